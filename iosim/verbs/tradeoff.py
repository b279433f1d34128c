"""The verbs about error against I/O: `iosim tradeoff` and `iosim advise`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from iosim.defaults import DEFAULT_EPS
from iosim.verbs.common import (
    JSON,
    OUTPUTS,
    Verb,
    check_output,
    flag,
    flags,
    named_values,
    print_result,
    progress_bar,
    user_files,
    write_outputs,
)

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
@flag("degree", type=None, metavar="COUNTS", help="Degrees of the polynomial: 1,2,3.  [default: from 1 up]")
@flag(
    "set",
    metavar="NAME=COUNTS",
    multiple=True,
    help="Values of a setting, like features=64:1024:*2; repeatable.  [default: around the usual ones]",
)
@click.option(
    "--by",
    metavar="NAME",
    default="max",
    show_default=True,
    help="Error of the front: max, the greatest difference, or frobenius, the relative norm.",
)
@flag("rows")
@OUTPUTS
@JSON
def tradeoff(as_json: bool, files: Sequence[str], set: Sequence[str], **options: Any) -> None:
    """Words moved and measured error of each approximate method with each of its settings, on the same data.

    \b
    Examples:
      iosim tradeoff --n 256 --d 8 --M 4KiB
      iosim tradeoff --n 512 --d 16 --M 16KiB --algo performer --set features=16,64 --set seed=0,1
      iosim tradeoff --input qkv.npz --M 64KiB --by frobenius -o error.pdf -o errors.csv
      iosim tradeoff --n 256 --d 8 --M 4KiB --algo performer,nystrom --json
    """
    from iosim import api

    for path in files:
        check_output(path, figures=True)
    with user_files(options["algo"]), progress_bar() as progress:
        found = api.tradeoff(set=named_values("--set", set), progress=progress, **options)
    write_outputs(files, found.rows(), found.plot)
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
