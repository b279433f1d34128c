"""The verbs about error against I/O: `iosim tradeoff` and `iosim advise`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from iosim.defaults import DEFAULT_EPS
from iosim.verbs.common import JSON, Verb, flag, flags, named_values, print_result, progress_bar, user_files

_SIZES = {"help": "Queries and keys: 65536, 64Ki, 2^16; those of the data with --input."}
_ALGO = {"metavar": "NAMES", "help": "Only these, like approx,performer.  [default: all]"}
_SEED = {"help": "Of random data, methods, and rows compared.  [default: 0]"}


@click.command(cls=Verb, short_help="Error against I/O: approximate methods with many settings, and the front.")
@flag("n", **_SIZES)
@flag("d")
@flag("M", required=True)
@flags("dtype", "logit_bound", "input")
@flag("algo", **_ALGO)
@flag("seed", **_SEED)
@click.option(
    "--grid",
    metavar="NAME=COUNTS",
    multiple=True,
    help="Values of a setting: degree=1,2,3, features=64:1024:*2; repeatable.  [default: around the usual one]",
)
@click.option(
    "--by",
    metavar="NAME",
    default="max",
    show_default=True,
    help="Error of the front: max, the greatest difference, or frobenius, the relative norm.",
)
@flag("rows")
@click.option("--plot", metavar="FILE", help="Draw it too: FILE.png, FILE.svg or FILE.pdf.")
@JSON
def tradeoff(as_json: bool, plot: str | None, grid: Sequence[str], **options: Any) -> None:
    """Words moved and measured error of each approximate method with each of its settings, on the same data.

    \b
    Examples:
      iosim tradeoff --n 256 --d 8 --M 4KiB
      iosim tradeoff --n 512 --d 16 --M 16KiB --algo performer --grid features=16,64 --grid seed=0,1
      iosim tradeoff --input qkv.npz --M 64KiB --by frobenius --plot error.pdf
      iosim tradeoff --n 256 --d 8 --M 4KiB --algo performer,nystrom --json
    """
    from iosim import api

    if plot is not None:
        from iosim.plots import check_file

        check_file(plot, where="--plot")
    with user_files(options["algo"]), progress_bar() as progress:
        found = api.tradeoff(grid=named_values("--grid", grid), progress=progress, **options)
    if plot is not None:
        from iosim.plots import save

        save(found.plot(), plot)
    print_result(found, as_json=as_json)


@click.command(cls=Verb, short_help="The cheapest method that is good enough, and from which n it pays.")
@flag("n", **_SIZES)
@flag("d")
@flag("M", required=True)
@flags("dtype", "logit_bound", "input")
@flag("algo", **_ALGO)
@flag("seed", **_SEED)
@flag("eps", help=f"Relative error of the weights exp(q.k/sqrt(d)) that is allowed.  [default: {DEFAULT_EPS}]")
@click.option("--numeric/--no-numeric", default=True, help="Whether to measure methods whose error is not proved.")
@JSON
def advise(as_json: bool, **options: Any) -> None:
    """The cheapest method that is good enough; where it beats exact attention, and where nothing of its kind can.

    Good enough: no word of the output is off by more than weights with a relative error of --eps can make it.

    \b
    Examples:
      iosim advise --n 65536 --M 100KB --logit-bound 1 --eps 0.1 --no-numeric
      iosim advise --n 1024 --d 16 --M 16KiB --eps 0.01
      iosim advise --input qkv.npz --M 64KiB --eps 0.1 --json
    """
    from iosim import api

    with user_files(options["algo"]), progress_bar() as progress:
        found = api.advise(progress=progress, **options)
    print_result(found, as_json=as_json)
