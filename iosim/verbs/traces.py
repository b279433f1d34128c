"""The verbs about traces: `iosim cache` and `iosim trace`."""

from __future__ import annotations

from typing import Any

import click

from iosim.errors import UsageError
from iosim.verbs.common import JSON, SIZES, WHOLE, Verb, flag, flags, print_result, progress_bar, user_files

_WHAT = (*SIZES, "tied", "dtype", "degree", "set")


@click.command(cls=Verb, short_help="What a hardware cache would do: loads and stores, or the whole miss curve.")
@flag("algo")
@flag("M", help="Fast memory that tiles are chosen for, and the cache without --cache: 100KB, 100KiB, 51200w.")
@flags(*_WHAT)
@flag("mask", default=None, show_default=False, help="As for `iosim run`.  [default: full]")
@flag("tiles", default=None, show_default=False, help="best, paper, or sizes like B_r=32,B_c=1.  [default: best]")
@click.option("--trace", metavar="FILE", help="A trace instead of an algorithm: .din, .oracleGeneral or .npz.")
@click.option("--cache", metavar="SIZE", help="Of the cache, if it is not --M.")
@click.option("--line", metavar="SIZE", default="1w", show_default=True, help="Of a line: 64B, 16w.")
@click.option(
    "--policy",
    metavar="NAME",
    default="lru",
    show_default=True,
    help="What is evicted: lru, fifo, opt (Belady), plru or random.",
)
@click.option("--ways", type=WHOLE, metavar="COUNT", help="Lines of a set.  [default: fully associative]")
@click.option("--seed", type=WHOLE, metavar="NUMBER", help="Of the random policy.  [default: 0]")
@click.option("--M2", "M2", metavar="SIZE", help="Of a second cache, behind the first.")
@click.option("--line2", metavar="SIZE", help="Of its lines.  [default: as the first]")
@click.option("--policy2", metavar="NAME", help="What it evicts.  [default: lru]")
@click.option("--ways2", type=WHOLE, metavar="COUNT", help="Lines of its sets.  [default: fully associative]")
@click.option(
    "--curve", is_flag=True, help="Every capacity at once, for lru or opt; opt takes a second for a million uses."
)
@click.option(
    "--temporaries/--no-temporaries", default=True, help="Whether tiles at home in no array are in the cache."
)
@JSON
def cache(as_json: bool, **options: Any) -> None:
    """Simulate a cache on the uses of an algorithm: every word of every operand of every operation, in order.

    \b
    Examples:
      iosim cache --algo flash2 --n 2048 --M 100KB
      iosim cache --algo flash2 --n 65536 --M 100KB --policy fifo
      iosim cache --algo standard --n 256 --M 64KiB --line 64B --ways 8 --policy plru
      iosim cache --algo flash2 --n 512 --M 8KiB --M2 64KiB --json
      iosim cache --algo approx --n 1024 --d 16 --M 20KB --policy opt --curve
      iosim cache --trace trace.din --M 32KiB --line 64B
    """
    from iosim import api

    with user_files(options["algo"]), progress_bar() as progress:
        found = api.cache(progress=progress, **options)
    print_result(found, as_json=as_json)


@click.command(cls=Verb, short_help="What happens, step by step, by tile or by word; to a file.")
@flag("algo", required=True)
@flag("M", required=True, help="Fast memory that tiles are chosen for: 100KB, 100KiB, 51200w.")
@flags(*_WHAT, "mask", "tiles")
@click.option("--by", metavar="NAME", help="How fine: word or tile.  [default: tile; with -o, which has words, word]")
@click.option(
    "--what",
    metavar="NAME",
    default="all",
    show_default=True,
    help="moves (loads and stores), uses, or all.",
)
@click.option("-o", "--output", metavar="FILE", help="Write the words to .din, .oracleGeneral or .npz instead.")
@JSON
def trace(algo: str, by: str | None, output: str | None, as_json: bool, **options: Any) -> None:
    """The trace of an algorithm at one size: its loads and stores, and the words that its operations use.

    \b
    Examples:
      iosim trace --algo flash2 --n 64 --d 4 --M 200w
      iosim trace --algo flash2 --n 64 --d 4 --M 200w --by word --what moves
      iosim trace --algo flash2 --n 128 --d 16 --M 8KiB --what uses -o flash2.npz
    """
    from iosim import api
    from iosim.table_files import check_folder

    if output is not None:
        if by == "tile":
            raise UsageError(f"--by tile -o {output}: a file has words; allowed: one of them")
        check_folder(output, where="-o")
    with user_files(algo):
        found = api.trace(algo, by=by or ("tile" if output is None else "word"), **options)
    if output is not None:
        click.echo(f"{output}: {found.write(output):,} accesses", err=True)
    if as_json:
        print_result(found, as_json=True)
    elif output is None:
        for line in found.lines():  # one by one: there may be millions
            click.echo(line)
