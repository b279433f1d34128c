"""The verbs about traces: `iosim cache` and `iosim trace`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from iosim.errors import UsageError
from iosim.verbs.common import JSON, print_result

_F = TypeVar("_F", bound=Callable[..., Any])

_POLICIES = ("lru", "fifo", "opt", "plru", "random")
_PROBLEM = (
    click.option("--algo", metavar="NAME", help="A registered name (see `iosim list`), or path/to/file.py:name."),
    click.option("--n", metavar="COUNT", help="Queries of a head: 65536, 64Ki, 2^16."),
    click.option("--n-k", metavar="COUNT", help="Keys.  [default: as many as queries]"),
    click.option("--d", metavar="COUNT", help="Head dimension.  [default: 64]"),
    click.option("--d-v", metavar="COUNT", help="Columns of V and O.  [default: as many as d]"),
    click.option("--batch", metavar="COUNT", help="Sequences.  [default: 1]"),
    click.option("--heads", metavar="COUNT", help="Query heads of a sequence.  [default: 1]"),
    click.option("--kv-heads", metavar="COUNT", help="Key heads, which query heads share.  [default: as many]"),
    click.option("--mask", metavar="MASK", default="full", show_default=True, help="As for `iosim run`."),
    click.option("--tied", is_flag=True, help="V is the first columns of K, as in multi-head latent attention."),
    click.option("--M", "M", metavar="SIZE", help="Fast memory that tiles are chosen for: 100KB, 100KiB, 51200w."),
    click.option("--dtype", "dtype_name", metavar="NAME", default="fp16", show_default=True, help="Of a word."),
    click.option("--degree", type=int, metavar="G", help="Of the polynomial, for approximate algorithms."),
    click.option("--set", "settings", metavar="SETTINGS", help="Of an approximate method, like features=256."),
    click.option(
        "--tiles", metavar="TILES", default="best", show_default=True, help="best, paper, or sizes like B_r=32."
    ),
)
_OF_ALGORITHMS = (
    "settings",
    "n",
    "n_k",
    "d",
    "d_v",
    "batch",
    "heads",
    "kv_heads",
    "mask",
    "tied",
    "degree",
    "tiles",
    "temporaries",
)


def _problem(command: _F) -> _F:
    for option in reversed(_PROBLEM):
        command = option(command)
    return command


@click.command(short_help="What a hardware cache would do: loads and stores, or the whole miss curve.")
@_problem
@click.option("--trace", metavar="FILE", help="A trace instead of an algorithm: .din, .oracleGeneral or .npz.")
@click.option("--cache", "size", metavar="SIZE", help="Of the cache, if it is not --M.")
@click.option("--line", metavar="SIZE", default="1w", show_default=True, help="Of a line: 64B, 16w.")
@click.option("--policy", type=click.Choice(_POLICIES), default="lru", show_default=True, help="What is evicted.")
@click.option(
    "--ways", type=click.IntRange(min=1), metavar="COUNT", help="Lines of a set.  [default: fully associative]"
)
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True, help="Of the random policy.")
@click.option("--M2", "size_2", metavar="SIZE", help="Of a second cache, behind the first.")
@click.option("--line2", "line_2", metavar="SIZE", help="Of its lines.  [default: as the first]")
@click.option("--policy2", "policy_2", type=click.Choice(_POLICIES), default="lru", show_default=True)
@click.option("--ways2", "ways_2", type=click.IntRange(min=1), metavar="COUNT", help="[default: fully associative]")
@click.option("--curve", "whole_curve", is_flag=True, help="Every capacity at once, for lru or opt.")
@click.option(
    "--temporaries/--no-temporaries", default=True, help="Whether tiles at home in no array are in the cache."
)
@JSON
@click.pass_context
def cache(ctx: click.Context, /, as_json: bool, tiles: str, settings: str | None, **options: Any) -> None:
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
    from iosim.caches.ask import cache_run
    from iosim.registry import user_code
    from iosim.request import parse_settings, parse_tiles

    _refuse_what_says_nothing(ctx)
    second = {name: options.pop(f"{name}_2") for name in ("size", "line", "policy", "ways")}
    with user_code(options["algo"] or ""):
        found = cache_run(second=second, tiles=parse_tiles(tiles), settings=parse_settings(settings), **options)
    print_result(found, as_json=as_json)


def _refuse_what_says_nothing(ctx: click.Context) -> None:
    """Refuses flags that change nothing, given the others."""
    flags = {param.name: "/".join((*param.opts, *param.secondary_opts)) for param in ctx.command.params}
    given = {name for name in ctx.params if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE}

    def refuse(names: Iterable[str], beside: str, allowed: str) -> None:
        for name in names:
            if name in given:
                raise UsageError(f"{flags[name]} {beside}; allowed: {allowed}")

    if "trace" in given and "algo" not in given:
        refuse(_OF_ALGORITHMS, f"with --trace {ctx.params['trace']}", "with --algo")
        if "size" in given:
            refuse(["M"], "with --trace and --cache", "one of --M and --cache")
        if "whole_curve" in given:
            refuse(["M"], "with --trace and --curve", "without --curve, which has every capacity")
    if "whole_curve" in given:
        refuse(["size"], "with --curve", "without --curve, which has every capacity")
    if "size_2" not in given:
        refuse(["line_2", "policy_2", "ways_2"], "without --M2", "with it")
    if "random" not in (ctx.params["policy"], ctx.params["policy_2"]):
        refuse(["seed"], "without --policy random", "with it")


@click.command(short_help="What happens, step by step, by tile or by word; to a file.")
@_problem
@click.option("--by", type=click.Choice(("word", "tile")), default="tile", show_default=True, help="How fine.")
@click.option(
    "--what",
    type=click.Choice(("moves", "uses", "all")),
    default="all",
    show_default=True,
    help="Loads and stores, uses.",
)
@click.option("--output", metavar="FILE", help="Write the words to .din, .oracleGeneral or .npz instead.")
def trace(tiles: str, settings: str | None, by: str, what: str, output: str | None, **options: Any) -> None:
    """The trace of an algorithm at one size: its loads and stores, and the words that its operations use.

    \b
    Examples:
      iosim trace --algo flash2 --n 64 --d 4 --M 200w
      iosim trace --algo flash2 --n 64 --d 4 --M 200w --by word --what moves
      iosim trace --algo flash2 --n 1024 --M 100KB --what uses --output flash2.npz
    """
    from iosim.registry import user_code
    from iosim.request import parse_settings, parse_tiles
    from iosim.traces.ask import choose
    from iosim.traces.report import tile_lines, word_lines

    if options["algo"] is None:
        raise UsageError("--algo is missing; allowed: a name that `iosim list` prints")
    with user_code(options["algo"]):
        chosen = choose(tiles=parse_tiles(tiles), settings=parse_settings(settings), **options)
    if output is None:
        for line in tile_lines(chosen, what) if by == "tile" else word_lines(chosen, what):
            click.echo(line)
        return
    from iosim.trace_files import write_trace
    from iosim.traces.report import expansion

    expanded = expansion(chosen, what)
    written = write_trace(output, expanded.pieces(), expanded.places, chosen.word.bytes)
    click.echo(f"{output}: {written:,} accesses", err=True)
