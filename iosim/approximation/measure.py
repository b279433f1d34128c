"""What does an algorithm with given settings cost and how far off is it, on given data? Words moved and measured error.

This is one point of a trade-off of error against I/O; `iosim.run` says everything about such a point, this only
what is needed to compare many of them on the same data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim import registry, request
from iosim.algorithm import Algorithm
from iosim.defaults import DEFAULT_MAX_FLOPS
from iosim.errors import UsageError
from iosim.masks import FULL, AnyMask
from iosim.numeric.check import ExactRows, compare_with_reference, too_large
from iosim.numeric.differences import Numeric, sampled
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.units import FP16, parse_whole

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput

DEGREE = "degree"  # the setting of an algorithm that takes a polynomial


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPoint:
    """Words moved and measured error of one algorithm with one choice of settings.

    Attributes:
        algorithm: its name.
        settings: all of them; of an algorithm with a polynomial, its degree.
        plan: the schedule that moves the fewest words.
        problem: what it is a plan for, over all heads.
        io_words: what it moves, for all heads. Units: words.
        peak_words: what it holds at most. Units: words.
        numeric: its errors, and the proved bound if there is one.
    """

    algorithm: str
    settings: Mapping[str, int]
    plan: Plan
    problem: Problem
    io_words: int
    peak_words: int
    numeric: Numeric

    @property
    def max_abs_error(self) -> float:
        """Greatest difference from softmax attention; NaN if a word of the result is not finite."""
        return self.numeric.max_abs_error

    @property
    def relative_error(self) -> float:
        """Frobenius norm of the difference from softmax attention over the norm of that."""
        return self.numeric.relative_error

    @property
    def error_bound(self) -> float | None:
        """What the greatest difference is proved to be at most; None if nothing is proved."""
        return self.numeric.error_bound if self.numeric.proved else None

    @property
    def is_method(self) -> bool | None:
        """Whether the program computes what the method is defined to compute, to rounding; None where that is not known."""
        return self.numeric.is_method


def exact_rows(data: AttentionInput, *, mask: AnyMask = FULL, rows: int | None = None, seed: int = 0) -> ExactRows:
    """Softmax attention of the data at the rows that `measure` looks at, to be shared by several calls of it."""
    problem = request.make_problem(request.Shape(mask=mask), data)
    return ExactRows(data, problem, sampled(problem.n, rows, seed))


def measure(
    algo: str | Algorithm,
    data: AttentionInput,
    *,
    M: int,
    where: str | None = None,
    settings: Mapping[str, int] | None = None,
    mask: AnyMask = FULL,
    logit_bound: float | None = None,
    rows: int | None = None,
    seed: int = 0,
    exact: ExactRows | None = None,
    progress: Progress | None = None,
) -> MeasuredPoint:
    """Words moved and measured error of an algorithm with these settings, on these data.

    Args:
        algo: a registered name, or an algorithm.
        data: Q, K and V.
        M: fast memory. Units: words.
        where: what to call M in an error; its words if not given.
        settings: by name, the others as by default; `degree` for an algorithm with a polynomial.
        mask: which keys a query meets.
        logit_bound: R, at least the greatest |q.k|/sqrt(d) of the data, if that is known; only an algorithm with a
            polynomial asks for it.
        rows: how many rows of each head to compare: all up to n = 4096, else 256.
        seed: of the sample of rows.
        exact: from `exact_rows` with the same data, mask, rows and seed.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: a setting that does not exist or is out of range, a problem that the algorithm is not for, a fast memory
            in which nothing fits, or more work than is reasonable.

    Example:
        >>> from iosim.numeric.inputs import random_input
        >>> found = measure("performer", random_input(64, 8), M=2000, settings={"features": 32})
        >>> found.io_words, found.settings
        (2304, {'features': 32, 'seed': 0})
        >>> 0 < found.relative_error < 1
        True
        >>> found.error_bound is None
        True
    """
    algorithm = registry.find(algo) if isinstance(algo, str) else algo
    say = progress or silent
    given = dict(settings or {})
    degree = given.pop(DEGREE, None) if algorithm.takes_polynomial else None
    request.check_options(degree=degree, logit_bound=logit_bound, seed=seed, rows=rows)
    problem = request.make_problem(request.Shape(mask=mask), data)
    problem, polynomial, plan = request.planned(
        algorithm,
        problem,
        parse_whole(M, where="M"),
        where=where or f"M = {M:,}",
        word=FP16,
        degree=degree,
        logit_bound=logit_bound,
        logits=request.measured_logits(data, say) if algorithm.takes_polynomial and logit_bound is None else None,
        settings=given,
    )
    reason = too_large(plan, DEFAULT_MAX_FLOPS)
    if reason:
        raise UsageError(f"{algorithm.name} at {problem}{algorithm.chosen(problem)}: {reason}")
    numeric = compare_with_reference(
        plan,
        problem,
        polynomial,
        data,
        rows=rows,
        seed=seed,
        progress=say,
        task=algorithm.computes,
        method=algorithm.method,
        exact=exact,
    )
    return MeasuredPoint(
        algorithm=algorithm.name,
        settings={DEGREE: problem.degree} if polynomial is not None else dict(problem.settings),
        plan=plan,
        problem=problem,
        io_words=plan.io_words,
        peak_words=plan.peak_words,
        numeric=numeric,
    )
