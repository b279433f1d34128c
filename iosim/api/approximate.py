"""Approximate attention: what an error costs, and which method is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iosim.api.given import Arrays, as_flags, data_of, word_of
from iosim.defaults import DEFAULT_EPS, DEFAULT_LOGIT_BOUND
from iosim.errors import UsageError
from iosim.units import FP16, Number, Numbers, parse_counts, parse_size

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm
    from iosim.approximation.advice import Advice
    from iosim.approximation.tradeoff import By, Tradeoff
    from iosim.numeric.inputs import AttentionInput
    from iosim.problem import Problem
    from iosim.progress import Progress


@as_flags
def tradeoff(
    *,
    M: Number,
    n: Number | None = None,
    d: Number | None = None,
    dtype: str = FP16.name,
    logit_bound: float | None = None,
    input: Arrays | None = None,
    algo: str | Sequence[str] | None = None,
    grid: Mapping[str, Numbers] | None = None,
    by: By = "max",
    rows: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Tradeoff:
    """Words moved and measured error of approximate methods with many settings, on the same data: `iosim tradeoff`.

    Args:
        M, n, d, dtype, logit_bound, input, rows, seed, progress: as of `run`.
        algo: only these, as a list or as text like "approx,performer".
        grid: values of settings by name, `degree` for polynomials: lists, or texts like "64:1024:*2".
        by: error of the front: "max", the greatest difference, or "frobenius", the relative norm.

    Raises:
        UsageError: what can't be used, or nothing that can be measured.

    Example:
        >>> found = tradeoff(n=128, d=8, M=2000, algo="approx", grid={"degree": [1, 2]})
        >>> [point.settings["degree"] for point in found.points if found.on_front(point)]
        [2]
    """
    from dataclasses import replace

    from iosim.approximation.tradeoff import tradeoff as measured
    from iosim.numeric.inputs import random_input

    algorithms = _approximate(algo)
    problem, data, R = _asked(n, d, logit_bound, input, rows=rows, seed=seed)
    if data is None:
        R = DEFAULT_LOGIT_BOUND if R is None else R
        data = random_input(problem.n, problem.d, logit_bound=R, seed=seed or 0)
    word = word_of(dtype)
    found = measured(
        data,
        M=parse_size(M, word, where="--M"),
        where=f"--M {M}",
        algorithms=algorithms,
        grid={name: parse_counts(values, where=f"--grid {name}", least=0) for name, values in (grid or {}).items()},
        logit_bound=R,
        by=by,
        rows=rows,
        seed=seed or 0,
        progress=progress,
    )
    return replace(found, dtype=word)


@as_flags
def advise(
    *,
    M: Number,
    n: Number | None = None,
    d: Number | None = None,
    dtype: str = FP16.name,
    logit_bound: float | None = None,
    input: Arrays | None = None,
    algo: str | Sequence[str] | None = None,
    eps: float | None = None,
    numeric: bool = True,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Advice:
    """The cheapest method that is good enough, and from which n it pays: `iosim advise`.

    Args:
        M, n, d, dtype, logit_bound, input, seed, progress: as of `run`.
        algo: only these, as a list or as text like "approx,performer".
        eps: relative error of the weights exp(q.k/sqrt(d)) that is allowed; 0.1 if not given.
        numeric: whether to measure methods whose error is not proved.

    Raises:
        UsageError: what can't be used.

    Example:
        >>> advise(n=256, d=8, M=1000, numeric=False).heads[0].polynomial.degree
        2
    """
    from iosim.approximation.advice import advise as advice

    algorithms = _approximate(algo)
    problem, data, R = _asked(n, d, logit_bound, input, eps=eps, seed=seed, numeric=numeric)
    word = word_of(dtype)
    return advice(
        problem,
        M=parse_size(M, word, where="--M"),
        word=word,
        where=f"--M {M}",
        eps=DEFAULT_EPS if eps is None else eps,
        logit_bound=DEFAULT_LOGIT_BOUND if data is None and R is None else R,
        data=data,
        algorithms=algorithms,
        numeric=numeric,
        seed=seed or 0,
        progress=progress,
    )


def _approximate(given: str | Sequence[str] | None) -> list[Algorithm] | None:
    """The algorithms of that name; None for all."""
    from iosim.registry import find, names_of

    if given is None:
        return None
    found = [find(name) for name in names_of(given)]
    for algorithm in found:
        if not algorithm.approximate:
            raise UsageError(f"--algo {algorithm.name}: it is exact; allowed: approximate algorithms, see `iosim list`")
    return found


def _asked(
    n: Number | None, d: Number | None, logit_bound: float | None, given: Arrays | None, **options: Any
) -> tuple[Problem, AttentionInput | None, float | None]:
    """The problem, the data if there are any, and a bound on the logits if there is one."""
    from iosim import request

    shape = request.parse_shape({"n": n, "d": d})
    request.check_options(logit_bound=logit_bound, **options)
    data = data_of(given)
    if data is not None and logit_bound is not None:
        raise UsageError(f"--logit-bound {logit_bound} --input {data.source}: it is measured on the data; leave it out")
    return request.make_problem(shape, data, instead=request.WITH_INPUT), data, logit_bound
