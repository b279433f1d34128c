"""The verb about all of it on one page: `iosim report`."""

from __future__ import annotations

import click

from iosim.errors import UsageError
from iosim.verbs.common import progress_bar


@click.command(short_help="One page for a browser: verdicts, tables, figures, and a slider over fast memories.")
@click.option("--n", metavar="COUNT", required=True, help="Queries and keys: 65536, 64Ki, 2^16.")
@click.option("--d", metavar="COUNT", default="64", show_default=True, help="Head dimension.")
@click.option("--M", "M", metavar="SIZE", required=True, help="Fast memory: 100KB, 100KiB, 51200w (words).")
@click.option("--dtype", "dtype_name", metavar="NAME", default="fp16", show_default=True, help="Of a word.")
@click.option("--degree", type=int, metavar="G", help="Of the polynomial.  [default: for a relative error of 0.1]")
@click.option(
    "--logit-bound", type=float, metavar="R", help="Greatest |q.k|/sqrt(d), of random data too.  [default: 1]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random data, and of the rows compared.")
@click.option("--numeric/--no-numeric", default=True, help="Whether to compute results and compare them.")
@click.option(
    "--max-flops",
    type=float,
    metavar="COUNT",
    default=1e11,
    show_default="1e11",
    help="Work beyond which the result of a run is not computed.",
)
@click.option("-o", "--output", "path", metavar="FILE.html", required=True, help="Where the page is written.")
@click.pass_context
def report(
    ctx: click.Context,
    /,
    n: str,
    d: str,
    M: str,
    dtype_name: str,
    degree: int | None,
    logit_bound: float | None,
    seed: int,
    numeric: bool,
    max_flops: float,
    path: str,
) -> None:
    """Every exact algorithm and a polynomial at one size: verdicts, tables and figures on one page that needs no network.

    A slider shows the best schedules for other fast memories.

    \b
    Examples:
      iosim report --n 65536 --M 100KB -o report.html
      iosim report --n 4096 --d 128 --M 227KiB --degree 3 --logit-bound 2 -o report.html
    """
    from iosim.request import check_options
    from iosim.table_files import check_folder, write_whole
    from iosim.units import dtype, parse_count, parse_size
    from iosim.web.ask import web_report
    from iosim.web.page import page

    if not path.lower().endswith(".html"):
        raise UsageError(f"-o {path}: allowed: FILE.html")
    check_folder(path, where="-o")
    check_options(
        degree=degree, eps=None, logit_bound=logit_bound, seed=seed, rows=None, numeric=numeric, max_flops=max_flops
    )
    word = dtype(dtype_name, where="--dtype")
    with progress_bar() as progress:
        found = web_report(
            parse_count(n, where="--n"),
            parse_count(d, where="--d"),
            M=parse_size(M, word, where="--M"),
            degree=degree,
            logit_bound=logit_bound,
            word=word,
            seed=seed,
            numeric=numeric,
            max_flops=max_flops,
            command=f"iosim report --n {n} --d {d} --M {M}" + (f" --degree {degree}" if degree is not None else ""),
            progress=progress,
        )
    text = page(found)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    click.echo(f"{path}: {'every check holds' if found.holds else 'a check FAILS'}", err=True)
    ctx.exit(0 if found.holds else 1)
