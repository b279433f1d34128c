"""`iosim VERB`: the command line. Results go to stdout, progress to stderr.

Exit code 0: every check holds. 1: a check fails. 2: wrong usage, with one line that says where, what and what is allowed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from iosim import __version__
from iosim.errors import IosimError, UsageError

_JSON = click.option("--json", "as_json", is_flag=True, help="Print plain numbers, with units in the key names.")


class _Verbs(click.Group):
    """Turns every error that iosim raises on purpose into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except IosimError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="iosim")
def main() -> None:
    """Count the data movement of attention algorithms exactly, and check the count from both sides.

    \b
    Examples:
      iosim run --algo approx --n 65536 --M 100KB
      iosim list
      iosim show --algo flash2
    """


@main.command()
@click.option("--algo", required=True, help="A registered name (see `iosim list`), or path/to/file.py:name.")
@click.option("--n", "n", help="Queries, and keys: 65536, 64Ki, 2^16.")
@click.option("--d", "d", help="Head dimension.  [default: 64]")
@click.option("--M", "M", required=True, help="Fast memory: 100KB (100,000 B), 100KiB (102,400 B), 51200w (words).")
@click.option("--dtype", "dtype_name", default="fp16", show_default=True, help="Of a word: fp64, fp32, fp16, bf16, fp8.")
@click.option("--degree", type=click.IntRange(min=0), help="Degree of the polynomial, for approximate algorithms.")
@click.option("--eps", type=float, help="Relative error that the polynomial must reach; picks the degree.  [default: 0.1]")
@click.option(
    "--logit-bound", type=float, help="Greatest |q.k|/sqrt(d).  [default: measured with --input, else 1]"
)
@click.option("--input", "path", help="Q, K and V: FILE.npz, FILE.safetensors, or Q.npy,K.npy,V.npy.")
@click.option("--tiles", default="best", show_default=True, help="best, paper, or sizes like B_r=32,B_c=1.")
@click.option("--seed", default=0, show_default=True, help="Of random data, and of the sample of rows.")
@click.option("--rows", type=click.IntRange(min=1), help="Rows to compare.  [default: all up to n = 4096, else 256]")
@click.option("--numeric/--no-numeric", default=True, help="Whether to compute the result and compare it.")
@click.option("--max-flops", default=2e12, show_default=True, help="Work beyond which the result is not computed.")
@_JSON
@click.pass_context
def run(
    ctx: click.Context,
    /,
    path: str | None,
    as_json: bool,
    tiles: str,
    n: str | None,
    d: str | None,
    **options: Any,
) -> None:
    """Pick tiles, count, check legality, compute, compare: one algorithm at one size, to a verdict.

    \b
    Examples:
      iosim run --algo approx --n 65536 --M 100KB
      iosim run --algo flash2 --n 4096 --M 51200w --tiles B_r=128 --no-numeric
      iosim run --algo flash1 --n 8192 --M 100KB --tiles paper --no-numeric
      iosim run --algo approx --input qkv.npz --M 64KiB --degree 2 --json
      iosim run --algo my_attention.py:mine --n 1024 --M 20000w
    """
    from iosim.inputs import load_input
    from iosim.units import parse_count
    from iosim.verdict import run as run_algorithm

    chosen: str | Mapping[str, int] = _tiles(tiles)
    data = load_input(path) if path is not None else None
    with _progress() as progress:
        result = run_algorithm(
            n=None if n is None else parse_count(n, where="--n"),
            d=None if d is None else parse_count(d, where="--d"),
            data=data,
            tiles=chosen,
            progress=progress,
            **options,
        )
    if as_json:
        _print_json(result.to_dict())
    else:
        from iosim.report import run_report, show

        show(run_report(result))
    ctx.exit(0 if result.holds else 1)


@main.command("list")
@_JSON
def list_algorithms(as_json: bool) -> None:
    """The registered algorithms: what each is, its schedules with regime and closed form, and its source.

    \b
    Examples:
      iosim list
      iosim list --json
    """
    from iosim.registry import algorithms

    found = list(algorithms().values())
    if as_json:
        _print_json([_description(algorithm) for algorithm in found])
    else:
        from iosim.report import list_report, show

        show(list_report(found))


@main.command()
@click.option("--algo", required=True, help="A registered name (see `iosim list`), or path/to/file.py:name.")
@click.option("--schedule", help="Only this one of its schedules.")
@_JSON
def show(algo: str, schedule: str | None, as_json: bool) -> None:
    """The program of an algorithm as pseudo-code, one for each of its schedules.

    \b
    Examples:
      iosim show --algo flash2
      iosim show --algo flash1 --schedule published
    """
    from iosim.interpret.render import render
    from iosim.registry import find

    forms = find(algo).forms()
    if schedule is not None:
        names = ", ".join(form.schedule for form in forms)
        forms = tuple(form for form in forms if form.schedule == schedule)
        if not forms:
            raise UsageError(f"--schedule {schedule}: {algo} has {names}")
    if as_json:
        _print_json({form.schedule: render(form.program) for form in forms})
        return
    for position, form in enumerate(forms):
        click.echo("\n" * (position > 0) + render(form.program))


def _description(algorithm: Any) -> dict[str, object]:
    return {
        "name": algorithm.name,
        "summary": algorithm.summary,
        "source": algorithm.source,
        "approximate": algorithm.approximate,
        "schedules": [
            {"name": form.schedule, "io_words": str(form.io), "peak_words": str(form.peak), "regime": form.regime}
            for form in algorithm.forms()
        ],
    }


def _tiles(text: str) -> str | dict[str, int]:
    if "=" not in text:
        return text
    tiles: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        if not name or not value.isdecimal() or int(value) < 1:
            raise UsageError(f"--tiles {text}: {part!r} is not like B_r=32, with a whole number from 1")
        if name in tiles:
            raise UsageError(f"--tiles {text}: {name} is given twice")
        tiles[name] = int(value)
    return tiles


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda what, fraction: bars.update(task, description=what, completed=fraction)
