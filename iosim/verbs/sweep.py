"""`iosim sweep`: a grid of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from iosim.columns import COLUMNS
from iosim.verbs.common import JSON, named_values, print_result, progress_bar


def _columns() -> str:
    """What a row says, for the end of the help."""
    width = max(map(len, COLUMNS))
    return "\n".join(["\b", "Columns:", *(f"  {name:{width}}  {what}" for name, (_, what) in COLUMNS.items())])


@click.command(short_help="A grid of runs, to a table; it can be interrupted and goes on.", epilog=_columns())
@click.option("--algo", metavar="NAMES", required=True, help="Algorithms, like flash2,approx (see `iosim list`).")
@click.option("--n", metavar="COUNTS", help="Queries of a head: 65536, a list like 1k,2k, a range like 1k:1M:*2.")
@click.option("--n-k", metavar="COUNTS", help="Keys.  [default: as many as queries]")
@click.option("--d", metavar="COUNTS", help="Head dimensions: 64,128.  [default: 64]")
@click.option("--d-v", metavar="COUNTS", help="Columns of V and O.  [default: as many as d]")
@click.option("--batch", metavar="COUNTS", help="Sequences.  [default: 1]")
@click.option("--heads", metavar="COUNTS", help="Query heads of a sequence.  [default: 1]")
@click.option("--kv-heads", metavar="COUNTS", help="Key heads, which query heads share.  [default: as many]")
@click.option("--mask", metavar="MASK", multiple=True, default=("full",), help="As for `iosim run`; repeatable.")
@click.option("--tied", is_flag=True, help="V is the first columns of K, as in multi-head latent attention.")
@click.option("--M", "M", metavar="SIZES", required=True, help="Fast memories: 100KB, 32KB:1MB:*2, 1024w,51200w.")
@click.option("--dtype", metavar="NAME", default="fp16", show_default=True, help="Of a word.")
@click.option("--degree", metavar="COUNTS", help="Degrees of the polynomial, for algorithms that have one: 1,2,3.")
@click.option("--eps", type=float, metavar="E", help="Relative error that picks the degree.  [default: 0.1]")
@click.option("--logit-bound", type=float, metavar="R", help="Greatest |q.k|/sqrt(d), as for `iosim run`.")
@click.option(
    "--set",
    "set",
    metavar="NAME=COUNTS",
    multiple=True,
    help="Values of a setting, like features=64:1024:*2, for methods that have it; repeatable.",
)
@click.option("--input", metavar="FILE", help="Q, K and V of every point, as for `iosim run`.")
@click.option("--tiles", metavar="TILES", default="best", show_default=True, help="best, paper, or sizes like B_r=32.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random data, and of the sample of rows.")
@click.option("--rows", type=int, metavar="COUNT", help="Rows to compare.  [default: all up to n = 4096, else 256]")
@click.option("--numeric/--no-numeric", default=False, help="Whether to compute each result and measure its error.")
@click.option(
    "--max-flops", type=float, metavar="COUNT", default=2e12, show_default="2e12", help="Work beyond which it is not."
)
@click.option("-o", "--output", metavar="FILE", required=True, help="FILE.csv, FILE.jsonl or FILE.parquet.")
@click.option("--jobs", type=int, metavar="COUNT", default=1, show_default=True, help="Processes; -1: one a processor.")
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
      iosim sweep --algo approx,performer --n 1k:64k:*4 --M 100KB --degree 1:4:+1 --set features=64,256 --numeric -o e.jsonl
      iosim sweep --algo exact --n 4096 --M 1Kiw:1Miw:*2 --mask full --mask causal --jobs 8 -o exact.parquet
      iosim sweep --algo standard --n 1k:100k:+1k --M 100KB --cluster tcp://10.0.0.1:8786 -o standard.csv
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
