"""The verbs about error against I/O: `iosim tradeoff` and `iosim advise`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from iosim.errors import UsageError
from iosim.verbs.common import JSON, print_json, progress_bar

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm, Problem
    from iosim.inputs import AttentionInput
    from iosim.units import Dtype

_F = TypeVar("_F", bound=Callable[..., Any])

_PROBLEM = (
    click.option("--n", metavar="COUNT", help="Queries and keys: 65536, 64Ki, 2^16; those of the data with --input."),
    click.option("--d", metavar="COUNT", help="Head dimension.  [default: 64]"),
    click.option("--M", "M", metavar="SIZE", required=True, help="Fast memory: 100KB, 100KiB, 51200w (words)."),
    click.option("--dtype", "dtype_name", metavar="NAME", default="fp16", show_default=True, help="Of a word."),
    click.option(
        "--logit-bound",
        type=float,
        metavar="R",
        help="Greatest |q.k|/sqrt(d), of random data too.  [default: measured with --input, else 1]",
    ),
    click.option("--input", "path", metavar="FILE", help="Q, K and V: FILE.npz, FILE.safetensors, Q.npy,K.npy,V.npy."),
    click.option("--algo", "names", metavar="NAMES", help="Only these, like approx,performer.  [default: all]"),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random data, methods, and rows compared."),
    JSON,
)


def _problem(command: _F) -> _F:
    for option in reversed(_PROBLEM):
        command = option(command)
    return command


@click.command(short_help="Error against I/O: approximate methods with many settings, and the front.")
@_problem
@click.option(
    "--grid",
    "grid",
    metavar="NAME=COUNTS",
    multiple=True,
    help="Values of a setting: degree=1,2,3, features=64:1024:*2; repeatable.  [default: around the usual one]",
)
@click.option(
    "--by",
    type=click.Choice(["max", "frobenius"]),
    default="max",
    show_default=True,
    help="Error of the front: greatest difference, or relative Frobenius norm.",
)
@click.option("--rows", type=int, metavar="COUNT", help="Rows to compare.  [default: all up to n = 4096, else 256]")
@click.option("--plot", "plot", metavar="FILE", help="Draw it too: FILE.png, FILE.svg or FILE.pdf.")
def tradeoff(as_json: bool, plot: str | None, by: Any, rows: int | None, grid: Sequence[str], **options: Any) -> None:
    """Words moved and measured error of each approximate method with each of its settings, on the same data.

    \b
    Examples:
      iosim tradeoff --n 4096 --M 100KB
      iosim tradeoff --n 1024 --d 32 --M 32KiB --algo approx,performer --grid degree=1:4:+1 --grid features=16:256:*2
      iosim tradeoff --input qkv.npz --M 64KiB --by frobenius --plot error.pdf
      iosim tradeoff --n 1024 --M 64KiB --json
    """
    from iosim.report import show
    from iosim.tradeoff import tradeoff as measured
    from iosim.tradeoff_report import tradeoff_report

    if plot is not None:
        from iosim.plots import check_file

        check_file(plot, where="--plot")
    asked = _asked(**options)
    values = _grid(grid)
    with progress_bar() as progress:
        found = measured(
            asked.data_or_random,
            M=asked.M,
            algorithms=asked.algorithms,
            grid=values,
            logit_bound=asked.logit_bound,
            by=by,
            rows=rows,
            seed=asked.seed,
            progress=progress,
        )
    if plot is not None:
        from iosim.plots import save, tradeoff_figure

        save(tradeoff_figure(found), plot)
    if as_json:
        print_json(found.to_dict())
    else:
        show(tradeoff_report(found, asked.word))


@click.command(short_help="The cheapest method that is good enough, and from which n it pays.")
@_problem
@click.option(
    "--eps",
    type=float,
    metavar="E",
    help="Relative error of the weights exp(q.k/sqrt(d)) that is allowed.  [default: 0.1]",
)
@click.option("--numeric/--no-numeric", default=True, help="Whether to measure methods whose error is not proved.")
def advise(as_json: bool, eps: float | None, numeric: bool, **options: Any) -> None:
    """The cheapest method that is good enough; where it beats exact attention, and where nothing of its kind can.

    Good enough: no word of the output is off by more than weights with a relative error of --eps can make it.

    \b
    Examples:
      iosim advise --n 65536 --M 100KB --logit-bound 1 --eps 0.1 --no-numeric
      iosim advise --n 4096 --d 64 --M 100KB --eps 0.01
      iosim advise --input qkv.npz --M 64KiB --eps 0.1 --json
    """
    from iosim import request
    from iosim.advice import advise as advice
    from iosim.report import show
    from iosim.tradeoff_report import advice_report

    asked = _asked(**options)
    with progress_bar() as progress:
        found = advice(
            asked.problem,
            M=asked.M,
            eps=request.DEFAULT_EPS if eps is None else eps,
            logit_bound=asked.logit_bound,
            data=asked.data,
            algorithms=asked.algorithms,
            numeric=numeric,
            seed=asked.seed,
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
    else:
        show(advice_report(found, asked.word))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What both verbs are given; `logit_bound` is None where it is to be measured."""

    word: Dtype
    M: int
    problem: Problem
    data: AttentionInput | None
    logit_bound: float | None
    algorithms: list[Algorithm] | None
    seed: int

    @property
    def data_or_random(self) -> AttentionInput:
        from iosim.inputs import random_input

        if self.data is not None:
            return self.data
        assert self.logit_bound is not None
        return random_input(self.problem.n, self.problem.d, logit_bound=self.logit_bound, seed=self.seed)


def _asked(
    *,
    n: str | None,
    d: str | None,
    M: str,
    dtype_name: str,
    logit_bound: float | None,
    path: str | None,
    names: str | None,
    seed: int,
) -> _Asked:
    from iosim import request
    from iosim.inputs import load_input
    from iosim.registry import find
    from iosim.units import dtype, parse_count, parse_size

    word = dtype(dtype_name, where="--dtype")
    shape = request.Shape(
        n=None if n is None else parse_count(n, where="--n"), d=None if d is None else parse_count(d, where="--d")
    )
    request.check_options(
        degree=None, eps=None, logit_bound=logit_bound, seed=seed, rows=None, numeric=True, max_flops=math.inf
    )
    algorithms = None if names is None else [find(name.strip()) for name in names.split(",")]
    for algorithm in algorithms or ():
        if not algorithm.approximate:
            raise UsageError(f"--algo {algorithm.name}: it is exact; allowed: approximate algorithms, see `iosim list`")
    data = None if path is None else load_input(path)
    if data is not None and logit_bound is not None:
        raise UsageError(f"--logit-bound {logit_bound} --input {path}: it is measured on the data; leave it out")
    problem = request.make_problem(shape, data)
    R = None if data is not None else request.DEFAULT_LOGIT_BOUND if logit_bound is None else logit_bound
    return _Asked(
        word=word,
        M=parse_size(M, word, where="--M"),
        problem=problem,
        data=data,
        logit_bound=R,
        algorithms=algorithms,
        seed=seed,
    )


def _grid(given: Sequence[str]) -> dict[str, list[int]]:
    from iosim.units import parse_counts

    found: dict[str, list[int]] = {}
    for text in given:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise UsageError(f"--grid {text}: allowed: like degree=1,2,3 or features=64:1024:*2")
        if name in found:
            raise UsageError(f"--grid {text}: {name} is given twice")
        found[name] = parse_counts(values, where=f"--grid {name}")
    return found
