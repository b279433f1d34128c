"""What several verbs share: flags, numbers by name, JSON, and the progress bar."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from iosim.errors import UsageError

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm, Problem

_F = TypeVar("_F", bound=Callable[..., Any])

JSON = click.option("--json", "as_json", is_flag=True, help="Print plain numbers, with units in the key names.")
ALGO = click.option(
    "--algo", required=True, metavar="NAME", help="A registered name (see `iosim list`), or path/to/file.py:name."
)


def parse_tiles(text: str) -> str | Mapping[str, int]:
    """The tile sizes that `--tiles` asks for by name, or the rule that it names.

    Raises:
        UsageError: it is neither.
    """
    return parse_numbers("--tiles", text, least=1, like="B_r=32") if "=" in text else text


def parse_settings(text: str | None) -> Mapping[str, int]:
    """The settings of a method that `--set` gives.

    Raises:
        UsageError: not such a text.
    """
    return {} if text is None else parse_numbers("--set", text, least=0, like="features=256")


def parse_numbers(flag: str, text: str, *, least: int, like: str) -> Mapping[str, int]:
    """Names with a number each, like `B_r=32,B_c=1`.

    Raises:
        UsageError: not such a text, a number below `least`, or a name given twice.
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        if not name or not value.isascii() or not value.isdecimal() or len(value) > 20 or int(value) < least:
            raise UsageError(f"{flag} {text}: {part!r} is not like {like}, with a whole number from {least}")
        if name in found:
            raise UsageError(f"{flag} {text}: {name} is given twice")
        found[name] = int(value)
    return found


def print_json(value: object) -> None:
    """Prints a result for other programs."""
    click.echo(json.dumps(value, indent=2))


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
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


PROBLEM = (
    click.option("--n", metavar="COUNT", help="Queries of a head: 65536, 64Ki, 2^16."),
    click.option("--n-k", "n_k", metavar="COUNT", help="Keys.  [default: as many as queries]"),
    click.option("--d", metavar="COUNT", help="Head dimension.  [default: 64]"),
    click.option("--d-v", "d_v", metavar="COUNT", help="Columns of V and O.  [default: as many as d]"),
    click.option("--heads", metavar="COUNT", help="Query heads.  [default: 1]"),
    click.option(
        "--kv-heads", "kv_heads", metavar="COUNT", help="Key heads, which query heads share.  [default: as many]"
    ),
    click.option(
        "--mask", metavar="MASK", default="full", show_default=True, help="Keys that a query meets, as of `run`."
    ),
    click.option("--tied", is_flag=True, help="V is the first columns of K."),
    click.option("--dtype", "dtype_name", metavar="NAME", default="fp16", show_default=True, help="Of a word."),
    click.option("--degree", type=int, metavar="G", help="Of the polynomial, for approximate algorithms."),
    click.option("--set", "settings", metavar="SETTINGS", help="Of an approximate method, like features=256."),
)


def options(given: Sequence[Callable[[_F], _F]]) -> Callable[[_F], _F]:
    """All these options, in their order."""

    def decorate(command: _F) -> _F:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate


def asked_for(
    names: str | None,
    *,
    n: str | None,
    degree: int | None,
    mask: str,
    tied: bool,
    settings: str | None,
    **counts: str | None,
) -> tuple[Problem, list[Algorithm]]:
    """The problem and the algorithms that `PROBLEM` and `--algo` ask for: all exact ones if none are named, all with the
    polynomial if there is a degree.

    Raises:
        UsageError: what can't be used.
    """
    from dataclasses import replace

    from iosim import request, tune
    from iosim.masks import parse_mask
    from iosim.registry import find
    from iosim.units import parse_count

    sizes = {name: None if text is None else parse_count(text, where=_flag(name)) for name, text in counts.items()}
    queries = None if n is None else parse_count(n, where="--n")
    shape = request.Shape(n=queries, mask=parse_mask(mask, where="--mask"), tied=tied, **sizes)
    problem = request.make_problem(shape, None)
    if names is None:
        chosen = (tune.exact_algorithms if degree is None else tune.polynomial_algorithms)(problem)
    else:
        chosen = [find(name.strip()) for name in names.split(",")]
    request.check_options(
        degree=degree, eps=None, logit_bound=None, seed=0, rows=None, numeric=True, max_flops=math.inf
    )
    polynomials = [request.choose_polynomial(a, degree=degree, eps=None, logit_bound=None, logits=None) for a in chosen]
    degrees = [polynomial.degree for polynomial in polynomials if polynomial is not None]
    problem = replace(problem, degree=degrees[0]) if degrees else problem
    own = parse_settings(settings)
    if own and len(chosen) != 1:
        raise UsageError(f"--set {settings}: allowed with one algorithm, by --algo")
    for algorithm in chosen[:1]:
        problem = request.with_settings(algorithm, problem, own) if own else problem
    return problem, chosen


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
