"""How much error for how much I/O? Approximate methods with many settings on the same data, and which are worth having.

Each point is one method with one choice of settings: words moved by its best schedule, counted, and the error measured on
the data. Those worth having are on the front (`on_front`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from iosim import registry
from iosim.algorithm import Algorithm
from iosim.approximation.measure import DEGREE, MeasuredPoint, exact_rows, measure
from iosim.approximation.minimax import MIN_LOGIT_BOUND
from iosim.bounds.approx import MAX_DEGREE
from iosim.columns import finite, problem_columns
from iosim.display import Result
from iosim.errors import UsageError
from iosim.masks import FULL, AnyMask
from iosim.method import SEED
from iosim.numeric.inputs import AttentionInput
from iosim.plan import Plan, fewest
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.refusals import among
from iosim.request import Shape, make_problem, measured_logits
from iosim.task import ATTENTION
from iosim.units import FP16, Dtype

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

By: TypeAlias = Literal["max", "frobenius"]

_DEGREES = range(1, 9)  # that are tried if none are asked for
_STEPS = (4, 2, 1)  # a setting is tried at its default, that divided by these, and that times these


def on_front(point: tuple[int, float], rivals: Iterable[tuple[int, float]], *, exact: int | None) -> bool:
    """Whether no rival, nor exact attention, moves at most as many words with at most as large an error, one of both less.

    Args:
        point, rivals: words moved and error.
        exact: words that exact attention moves, if that is known.
    """
    words, error = point
    others = [*rivals, *([] if exact is None else [(exact, 0.0)])]
    return error < math.inf and not any(w <= words and e <= error and (w, e) != point for w, e in others)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tradeoff(Result):
    """Words moved against error on given data and a given fast memory.

    Attributes:
        problem: without degree or settings.
        source: of the data.
        logit_bound: R, which no |q.k|/sqrt(d) of the data exceeds.
        fast_memory_words: M.
        exact: the best exact schedule, which has no error; None if none fits.
        points: fewest words first.
        left_out: what was not measured, and why.
        by: which error the front is about: the greatest difference, or the relative Frobenius norm.
        dtype: of a word, for people.
    """

    problem: Problem
    source: str
    logit_bound: float
    fast_memory_words: int
    exact: Plan | None
    points: tuple[MeasuredPoint, ...]
    left_out: tuple[str, ...]
    by: By = "max"
    dtype: Dtype = FP16

    def error(self, point: MeasuredPoint) -> float:
        """The error that counts; infinite if the result is not finite."""
        found = point.max_abs_error if self.by == "max" else point.relative_error
        return math.inf if math.isnan(found) else found

    @property
    def exact_words(self) -> int | None:
        """What exact attention moves. Units: words."""
        return None if self.exact is None else self.exact.io_words

    def on_front(self, point: MeasuredPoint) -> bool:
        """Whether it is worth having: see `on_front`."""
        rivals = ((other.io_words, self.error(other)) for other in self.points)
        return on_front((point.io_words, self.error(point)), rivals, exact=self.exact_words)

    def cheapest(self, most: float) -> MeasuredPoint | None:
        """Of the points whose greatest difference is at most `most` the one with the fewest words; None if there is none."""
        good = (point for point in self.points if point.max_abs_error <= most)
        return min(good, key=lambda point: point.io_words, default=None)

    def report(self) -> RenderableType:
        from iosim.approximation.report import tradeoff_report

        return tradeoff_report(self)

    def plot(self) -> Figure:
        """Error against words moved, and the front."""
        from iosim.plots import tradeoff_figure

        return tradeoff_figure(self)

    def to_dict(self) -> dict[str, object]:
        return {
            "n": self.problem.n,
            "n_k": self.problem.n_k,
            "d": self.problem.d,
            "d_v": self.problem.d_v,
            "heads": self.problem.heads,
            "kv_heads": self.problem.kv_heads,
            "mask": str(self.problem.mask),
            "data": self.source,
            "logit_bound": self.logit_bound,
            "fast_memory_words": self.fast_memory_words,
            "exact_algorithm": None if self.exact is None else self.exact.algorithm,
            "exact_schedule": None if self.exact is None else self.exact.schedule,
            "exact_io_words": self.exact_words,
            "front_by": self.by,
            "points": [
                {"algorithm": point.algorithm, "settings": dict(point.settings), **self._measured(point)}
                for point in self.points
            ],
            "left_out": list(self.left_out),
        }

    def rows(self) -> list[dict[str, object]]:
        """The points, fewest words first, with the columns that sweeps have."""
        return [
            {
                "algorithm": point.algorithm,
                **problem_columns(point.problem, degree=point.settings.get(DEGREE), dtype=self.dtype),
                "fast_memory_words": self.fast_memory_words,
                "exact_io_words": self.exact_words,
                **self._measured(point),
            }
            for point in self.points
        ]

    def _measured(self, point: MeasuredPoint) -> dict[str, object]:
        return {
            "schedule": point.plan.within(point.algorithm),
            "io_words": point.io_words,
            "peak_words": point.peak_words,
            "max_abs_error": finite(point.max_abs_error),
            "relative_frobenius_error": finite(point.relative_error),
            "error_bound": point.error_bound,
            "is_the_method": point.is_method,
            "rows_checked": point.numeric.rows_checked,
            "seed": point.numeric.seed,
            "on_front": self.on_front(point),
        }


def tradeoff(
    data: AttentionInput,
    *,
    M: int,
    where: str | None = None,
    algorithms: Sequence[Algorithm] | None = None,
    grid: Mapping[str, Sequence[int]] | None = None,
    mask: AnyMask = FULL,
    logit_bound: float | None = None,
    by: By = "max",
    rows: int | None = None,
    seed: int = 0,
    below: int | None = None,
    enough: float = -1.0,
    progress: Progress | None = None,
) -> Tradeoff:
    """Words and errors of approximate methods on the same data, each with many settings.

    Args:
        data: Q, K and V.
        M: fast memory. Units: words.
        where: what to call M in an error; its words if not given.
        algorithms: all registered approximate ones if not given.
        grid: values of settings by name, `degree` for polynomials; those that are not named are tried around their
            defaults, degrees from 1 up.
        mask: which keys a query meets.
        logit_bound: R, at least the greatest |q.k|/sqrt(d) of the data; measured if not given.
        by: which error the front is about.
        rows: how many rows of each head to compare: all up to n = 4096, else 256.
        seed: of the sample of rows and of the methods' random numbers.
        below: only what moves fewer words than that is measured; everything if not given.
        enough: a greatest difference after which nothing that moves more words is measured.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: a name in the grid that no algorithm has a setting for, or nothing that could be measured.
    """
    among(by, get_args(By), where="--by")
    say = progress or silent
    problem = make_problem(Shape(mask=mask), data)
    chosen = approximate() if algorithms is None else list(algorithms)
    given = dict(grid or {})
    _check_grid(given, chosen, problem)
    exact = fewest(registry.best(ATTENTION).plans(problem, M))
    R = measured_logits(data, say).worst.max_abs if logit_bound is None else logit_bound
    shared = exact_rows(data, mask=mask, rows=rows, seed=seed)
    points: list[MeasuredPoint] = []
    left_out: list[str] = []
    todo = [*_polynomials(chosen, problem, given, M, exact, left_out), *_methods(chosen, problem, given, seed)]
    planned = sorted((_words(*each, problem, M), number) for number, each in enumerate(todo))
    for done, (words, number) in enumerate(planned):
        algorithm, settings = todo[number]
        what = f"{algorithm.name} {', '.join(f'{name}={value}' for name, value in settings.items())}"
        if below is not None and words >= below:
            left_out.append(f"{what}: {words:,} words, no fewer than {below:,}")
            continue
        say(what, done / len(todo))
        try:
            found = measure(
                algorithm,
                data,
                M=M,
                where=where,
                settings=settings,
                mask=mask,
                logit_bound=max(R, MIN_LOGIT_BOUND),
                rows=rows,
                seed=seed,
                exact=shared,
                progress=partial(_inside, say, done, len(todo), what),
            )
        except UsageError as error:  # it does not fit, or would take too long: said in the report
            left_out.append(f"{what}: {error}")
            continue
        points.append(found)
        if found.max_abs_error <= enough:
            break
    if not points:
        reasons = f"; {left_out[0]}" if left_out else ": no approximate algorithm is for this problem"
        raise UsageError(f"nothing can be measured{reasons}")
    return Tradeoff(
        problem=problem,
        source=data.source,
        logit_bound=R,
        fast_memory_words=M,
        exact=None if exact is None else exact.times(problem.instances),
        points=tuple(sorted(points, key=lambda point: (point.io_words, point.max_abs_error))),
        left_out=tuple(left_out),
        by=by,
    )


def _words(algorithm: Algorithm, settings: Mapping[str, int], problem: Problem, M: int) -> int:
    """What the best plan moves, for all heads; 0 if there is none, which `measure` says the reason of."""
    degree = settings.get(DEGREE) if algorithm.takes_polynomial else None
    if degree is not None:
        problem = replace(problem, degree=degree, coefficients=None)
    else:
        problem = replace(problem, settings=tuple(settings.items()))
    plan = fewest(algorithm.plans(problem, M))
    return 0 if plan is None else problem.instances * plan.io_words


def approximate() -> list[Algorithm]:
    """Every registered algorithm that computes attention approximately."""
    return [a for a in registry.algorithms().values() if a.approximate and a.computes == ATTENTION]


def _polynomials(
    algorithms: Sequence[Algorithm],
    problem: Problem,
    given: Mapping[str, Sequence[int]],
    M: int,
    exact: Plan | None,
    left_out: list[str],
) -> Iterator[tuple[Algorithm, dict[str, int]]]:
    """For each degree the algorithm that moves the fewest words: their results are the same. If no degrees are asked for,
    those up to the first that moves no fewer words than exact attention, which is left out."""
    able = [a for a in algorithms if a.takes_polynomial and a.unsupported(problem) is None]
    for degree in given.get(DEGREE, _DEGREES) if able else ():
        of_degree = replace(problem, degree=degree, coefficients=None)
        plans = [(plan.io_words, a) for a in able if (plan := fewest(a.plans(of_degree, M)))]
        words, algorithm = min(plans, key=lambda found: found[0], default=(0, able[0]))
        if DEGREE not in given and exact is not None and words >= exact.io_words:
            more = f"{words:,} words for a head, no fewer than exact attention"
            left_out.append(f"{algorithm.name} degree={degree}, and more: {more}; see --grid degree={degree}")
            return
        yield algorithm, {DEGREE: degree}


def _methods(
    algorithms: Sequence[Algorithm], problem: Problem, given: Mapping[str, Sequence[int]], seed: int
) -> Iterator[tuple[Algorithm, dict[str, int]]]:
    """Each method that is for the problem, with all combinations of its settings."""
    for algorithm in algorithms:
        method = algorithm.method
        if method is None or algorithm.unsupported(problem) is not None:
            continue
        ladders: list[list[int]] = []
        several = sum(option.name not in {SEED.name, *given} for option in method.options) > 1
        for option in method.options:
            most = option.most(problem)
            if option.name in given:
                ladders.append([value for value in given[option.name] if option.least <= value <= most])
            elif option.name == SEED.name:
                ladders.append([seed])
            else:
                steps = _STEPS[::2] if several else _STEPS
                around = {option.default // step for step in steps} | {option.default * step for step in steps}
                ladders.append(sorted({min(max(value, option.least), most) for value in around}))
        for values in product(*ladders):
            yield algorithm, dict(zip((option.name for option in method.options), values, strict=True))


def _check_grid(given: Mapping[str, Sequence[int]], algorithms: Sequence[Algorithm], problem: Problem) -> None:
    """Whether each setting is one of some method, and each of its values allowed there."""
    known: dict[str, list[tuple[int, int]]] = {}
    for algorithm in algorithms:
        if algorithm.takes_polynomial:
            known.setdefault(DEGREE, []).append((0, MAX_DEGREE))
        for option in algorithm.method.options if algorithm.method else ():
            known.setdefault(option.name, []).append((option.least, option.most(problem)))
    for name, values in given.items():
        if name not in known:
            raise UsageError(f"--grid {name}: no such setting; allowed: {', '.join(sorted(known)) or 'none'}")
        if not values:
            raise UsageError(f"--grid {name}: no values")
        least, most = min(low for low, _ in known[name]), max(high for _, high in known[name])
        for value in values:
            if not least <= value <= most:
                raise UsageError(f"--grid {name}={value}: allowed: whole numbers from {least:,} to {most:,}")


def _inside(say: Progress, number: int, of: int, what: str, _part: str, fraction: float) -> None:
    say(what, (number + fraction) / of)
