"""What a page reports: the runs of all algorithms at one fast memory, the curves over fast memories, and over n."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from iosim.algorithm import Algorithm
from iosim.bounds.open_problems import OpenProblem, open_problem
from iosim.defaults import PAGE_MAX_FLOPS
from iosim.display import Result
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.refusals import does_not_fit
from iosim.registry import find
from iosim.request import Shape, choose_polynomial
from iosim.runs.result import Run
from iosim.runs.verdict import run
from iosim.tuning.tune import Point, Search, Tuned, exact_algorithms, tune
from iosim.units import MAX_COUNT, Dtype, format_words

if TYPE_CHECKING:
    from rich.console import RenderableType

_POINTS = 60  # of each curve
_LENGTHS = range(-4, 7)  # of the curves over n: n times these powers of 2


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WebReport(Result):
    """What `iosim report` writes.

    Attributes:
        problem: with the degree of the polynomial.
        dtype: of a word.
        fast_memory_words: the M that was asked for.
        exact: the runs at this M of exact algorithms, fewest words first.
        approximate: that of attention by the polynomial, if it fits.
        left_out: algorithms that do not run at this M, and why.
        exact_curve, polynomial_curve: the fewest words for many M, this one among them.
        lengths: the fewest words of both kinds for several n, as rows of a table.
        command: what made it.
    """

    problem: Problem
    dtype: Dtype
    fast_memory_words: int
    exact: tuple[Run, ...]
    approximate: tuple[Run, ...]
    left_out: Mapping[str, str]
    exact_curve: Tuned
    polynomial_curve: Tuned
    lengths: tuple[Mapping[str, object], ...]
    command: str

    @property
    def runs(self) -> tuple[Run, ...]:
        return self.exact + self.approximate

    @property
    def curves(self) -> dict[str, Tuned]:
        """The curves by a short name."""
        return {"exact": self.exact_curve, "polynomial": self.polynomial_curve}

    @property
    def points(self) -> dict[str, dict[int, Point]]:
        """The points of each curve, by M."""
        return {name: {point.fast_memory_words: point for point in curve.points} for name, curve in self.curves.items()}

    @property
    def memories(self) -> list[int]:
        """All M of the curves, in order."""
        return sorted(set().union(*self.points.values()))

    @property
    def open_problem(self) -> OpenProblem | None:
        """What the gap between the best exact schedule and the bound is about; None if it is small."""
        best = self.exact[0]
        return open_problem(self.problem.setting(self.fast_memory_words), best.io_over_lower_bound)

    def html(self) -> str:
        """The page, a whole file."""
        from iosim.web.page import page

        return page(self)

    def report(self) -> RenderableType:
        from iosim.web.report import runs_report

        return runs_report(self)

    def rows(self) -> list[dict[str, object]]:
        """The runs, with the columns of a sweep."""
        return [row for run in self.runs for row in run.rows()]

    def to_dict(self) -> dict[str, object]:
        return {
            "fast_memory_words": self.fast_memory_words,
            "runs": [run.to_dict() for run in self.runs],
            "left_out": dict(self.left_out),
            "curves": {name: curve.to_dict() for name, curve in self.curves.items()},
            "lengths": [dict(row) for row in self.lengths],
            "holds": self.holds,
        }

    def title(self, curve: str) -> str:
        """What one of the curves is of, for people."""
        return "exact" if curve == "exact" else f"degree {self.problem.degree}"

    @property
    def failing(self) -> list[str]:
        """The algorithms of which a check fails, and the curves that are below their bound."""
        failing = [run.algorithm for run in self.runs if not run.holds]
        return failing + [f"the curve of {self.title(name)}" for name, curve in self.curves.items() if not curve.holds]

    @property
    def holds(self) -> bool:
        """Whether every check of every run holds, and no curve is below its bound."""
        return not self.failing


def web_report(
    n: int,
    d: int,
    *,
    M: int,
    where: str | None = None,
    degree: int | None = None,
    logit_bound: float | None = None,
    word: Dtype,
    seed: int = 0,
    numeric: bool = True,
    max_flops: float = PAGE_MAX_FLOPS,
    command: str,
    progress: Progress | None = None,
) -> WebReport:
    """Runs, tunes, and puts side by side.

    Args:
        n, d: queries and keys, head dimension.
        M: words of fast memory.
        where: what to call M in an error; its words if not given.
        degree: of the polynomial; that for a relative error of 0.1 if not given.
        logit_bound: R, the greatest |q.k|/sqrt(d) of the polynomial and of the random data; 1 if not given.
        word: the format of a word.
        seed: of the random data, and of the rows that are compared.
        numeric: whether results are computed and compared with softmax attention.
        max_flops: work beyond which a result is not computed.
        command: what to say that made the page.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: no exact schedule runs in M words, or a value that can't be used.
    """
    say = progress or silent
    problem = Problem(n=n, d=d)
    algorithms, approx = exact_algorithms(problem), find("approx")
    left_out: dict[str, str] = {}

    def runs_of(chosen: Sequence[Algorithm], **more: Any) -> tuple[Run, ...]:
        found: list[Run] = []
        for algorithm in chosen:
            least = algorithm.least_capacity(replace(problem, **more))
            if least > M:
                left_out[algorithm.name] = f"needs at least {format_words(least, word)} of fast memory"
                continue
            part = (len(found) + len(left_out)) / (2 * len(algorithms))
            found.append(
                run(
                    algorithm,
                    Shape(n=n, d=d),
                    M,
                    where=where or f"--M {M}w",
                    word=word,
                    logit_bound=logit_bound,
                    seed=seed,
                    numeric=numeric,
                    max_flops=max_flops,
                    progress=lambda what, _: say(f"{algorithm.name}: {what}", part),  # noqa: B023  called at once
                    **more,
                )
            )
        return tuple(sorted(found, key=lambda run: (run.io_words, run.peak_words)))

    exact = runs_of(algorithms)
    if not exact:
        least = min(algorithm.least_capacity(problem) for algorithm in algorithms)
        raise does_not_fit(where or f"--M {M}w", f"exact attention at d={d}", least, word)
    polynomial = choose_polynomial(approx, degree=degree, logit_bound=logit_bound)
    assert polynomial is not None
    degree = polynomial.degree
    approximate = runs_of([approx], degree=degree)
    problem = replace(problem, degree=degree)
    searches = [Search(problem, chosen) for chosen in (algorithms, [approx])]
    memories = sorted({M, *(words for search in searches for words in search.spread(_POINTS))})
    curves = []
    for number, search in enumerate(searches):
        say("other fast memories", 0.6 + number / 5)
        curves.append(tune(problem, search.algorithms, capacities=memories, word=word))
    say("other n", 0.95)
    return WebReport(
        problem=problem,
        dtype=word,
        fast_memory_words=M,
        exact=exact,
        approximate=approximate,
        left_out=left_out,
        exact_curve=curves[0],
        polynomial_curve=curves[1],
        lengths=tuple(_lengths(curves, searches, M)),
        command=command,
    )


def _lengths(curves: Sequence[Tuned], searches: Sequence[Search], M: int) -> Iterator[dict[str, object]]:
    """The fewest words in M for several n, where anything fits, as rows of a table."""
    for curve, search in zip(curves, searches, strict=True):
        sizes = {max(1, min(int(curve.problem.n * 2.0**power), MAX_COUNT)) for power in _LENGTHS}
        for n in sorted(sizes):
            other = Search(curve.problem.with_n(n), search.algorithms)
            yield from replace(curve, problem=other.problem, points=tuple(other.points([M]))).rows()
