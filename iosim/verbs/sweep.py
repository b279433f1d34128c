"""`iosim sweep`: a grid of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from iosim.columns import COLUMNS
from iosim.verbs.common import JSON, SIZES, WHOLE, Verb, flag, flags, named_values, print_result, progress_bar


def _columns() -> str:
    """What a row says, for the end of the help."""
    width = max(map(len, COLUMNS))
    return "\n".join(["\b", "Columns:", *(f"  {name:{width}}  {what}" for name, (_, what) in COLUMNS.items())])


@click.command(cls=Verb, short_help="A grid of runs, to a table; it can be interrupted and goes on.", epilog=_columns())
@flag("algo", metavar="NAMES", required=True, help="Algorithms, like flash2,approx (see `iosim list`).")
@flag("n", metavar="COUNTS", help="Queries of a head: 65536, a list like 1k,2k, a range like 1k:1M:*2.")
@flags(*SIZES[1:], metavar="COUNTS")
@flag("mask", multiple=True, default=("full",), help="As for `iosim run`; repeatable.")
@flag("tied")
@flag("M", metavar="SIZES", required=True, help="Fast memories: 100KB, 32KB:1MB:*2, 1024w,51200w.")
@flag("dtype")
@flag("degree", type=None, metavar="COUNTS", help="Degrees of the polynomial, for algorithms that have one: 1,2,3.")
@flags("eps", "logit_bound")
@flag(
    "set",
    metavar="NAME=COUNTS",
    multiple=True,
    help="Values of a setting, like features=64:1024:*2, for methods that have it; repeatable.",
)
@flags("input", "tiles", "seed", "rows")
@click.option("--numeric/--no-numeric", default=False, help="Whether to compute each result and measure its error.")
@flag("max_flops")
@click.option("-o", "--output", metavar="FILE", required=True, help="FILE.csv, FILE.jsonl or FILE.parquet.")
@click.option(
    "--jobs", type=WHOLE, metavar="COUNT", default=1, show_default=True, help="Processes; -1: one a processor."
)
@click.option("--cluster", metavar="ADDRESS", help="Of a Dask scheduler, like tcp://host:8786; its workers do it.")
@click.option("--yes", is_flag=True, help="More than 10^7 points are meant.")
@JSON
@click.pass_context
def sweep(ctx: click.Context, /, as_json: bool, set: Sequence[str], **options: Any) -> None:
    """A run at every point of a grid, a row each: what was asked for, words, bounds, legality, error, verdict.

    An interrupted sweep goes on when the same command is given again: nothing is computed twice, nothing is lost. Points at
    which nothing fits are rows that say so. Exit code 1 if a check fails at some point, or nothing fits at any.

    \b
    Examples:
      iosim sweep --algo flash2,approx --n 1k:1M:*2 --d 64,128 --M 32KB:1MB:*2 -o grid.csv
      iosim sweep --algo approx,performer --n 1k --M 100KB --degree 1,2 --set features=64 -o e.jsonl
      iosim sweep --algo exact --n 4096 --M 1Kiw:1Miw:*2 --mask full --mask causal -o e.parquet
      iosim sweep --algo standard --n 1k:100k:+1k --M 100KB --cluster tcp://10.0.0.1:8786 -o s.csv
    """
    from iosim import api

    try:
        with progress_bar() as progress:
            found = api.sweep(set=named_values("--set", set), progress=progress, **options)
    except KeyboardInterrupt:
        click.echo(f"{options['output']}: the rows that are done are kept; the same command goes on", err=True)
        raise
    print_result(found, as_json=as_json)
    ctx.exit(0 if found.holds else 1)
