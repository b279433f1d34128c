"""The verb about all of it on one page: `iosim report`."""

from __future__ import annotations

from typing import Any

import click

from iosim.defaults import DEFAULT_EPS, DEFAULT_LOGIT_BOUND, PAGE_MAX_FLOPS
from iosim.verbs.common import Verb, flag, plain, progress_bar


@click.command(
    cls=Verb, short_help="One page for a browser: verdicts, tables, figures, and a slider over fast memories."
)
@flag("n", required=True, help="Queries and keys: 65536, 64Ki, 2^16.")
@flag("d")
@flag("M", required=True)
@flag("dtype")
@flag("degree", help=f"Of the polynomial.  [default: for a relative error of {DEFAULT_EPS}]")
@flag("logit_bound", help=f"Greatest |q.k|/sqrt(d), of random data too.  [default: {DEFAULT_LOGIT_BOUND:g}]")
@flag("seed")
@click.option("--numeric/--no-numeric", default=True, help="Whether to compute results and compare them.")
@flag(
    "max_flops",
    help=f"Work beyond which the result of a run is not computed.  [default: {plain(PAGE_MAX_FLOPS)}]",
)
@click.option("-o", "--output", metavar="FILE.html", required=True, help="Where the page is written: FILE.html.")
@click.pass_context
def report(ctx: click.Context, /, output: str, **options: Any) -> None:
    """Every exact algorithm and a polynomial at one size: verdicts, tables and figures on one page that needs no network.

    A slider shows the best schedules for other fast memories.

    \b
    Examples:
      iosim report --n 65536 --M 100KB -o report.html
      iosim report --n 4096 --d 128 --M 227KiB --degree 3 --logit-bound 2 -o report.html
    """
    from iosim import api

    with progress_bar() as progress:
        found = api.report(output=output, progress=progress, **options)
    click.echo(f"{output}: {'every check holds' if found.holds else 'a check FAILS'}", err=True)
    ctx.exit(0 if found.holds else 1)
