"""The fewest words for every fast memory: the curve of I/O against M that is called ski-slope, and the bound below it.

For each M the best plan of every schedule is found by exact counting; the traffic and the peak of the one that moves the
fewest words are those of that plan, and the greatest lower bound that holds for all of them is put beside it. The curve
can be asked the other way round as well: how much fast memory does it take to move no more than so many words?
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from iosim import registry
from iosim.algorithm import Algorithm, Best
from iosim.bounds.bound import Bound
from iosim.columns import bound_columns, problem_columns
from iosim.defaults import DEFAULT_POINTS
from iosim.display import Result
from iosim.errors import UsageError
from iosim.plan import Choice
from iosim.plan_bounds import greatest_for_all
from iosim.problem import Problem
from iosim.progress import Progress
from iosim.refusals import does_not_fit
from iosim.task import ATTENTION
from iosim.units import FP16, MAX_WORDS, Dtype, words_to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The fewest words for one fast memory, over all heads; the peak is of one head.

    Attributes:
        fast_memory_words: M.
        choice: what moves the fewest words for one head; of several, what has the smallest peak.
        io_words: its traffic for all heads.
        bound: the greatest lower bound for all schedules that were looked at.
        lower_bound_words: what it says.
    """

    fast_memory_words: int
    choice: Choice
    io_words: int
    bound: Bound
    lower_bound_words: int

    @property
    def io_over_lower_bound(self) -> float:
        """Traffic over lower bound; at least 1, or one of them is wrong."""
        return self.io_words / self.lower_bound_words

    @property
    def schedule(self) -> str:
        return self.choice.title


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tuned(Result):
    """The fewest words for several fast memories.

    Attributes:
        problem: what is computed, with the degree if it is by a polynomial.
        algorithms: what was looked at, by name.
        approximate: whether it is attention by a polynomial, of the problem's degree, or another method.
        polynomial: whether it is by a polynomial.
        points: for each M in which something fits, smallest first.
        least_words: the fewest words of fast memory in which anything runs.
        too_small: the M in which nothing fits.
        dtype: of a word, for sizes in bytes.
    """

    problem: Problem
    algorithms: tuple[str, ...]
    approximate: bool
    polynomial: bool
    points: tuple[Point, ...]
    least_words: int
    too_small: tuple[int, ...]
    dtype: Dtype = FP16

    @property
    def below(self) -> tuple[Point, ...]:
        """The points that are below their lower bound or do not fit in their M: there must be none."""
        return tuple(
            point
            for point in self.points
            if point.io_words < point.lower_bound_words or point.choice.peak_words > point.fast_memory_words
        )

    @property
    def holds(self) -> bool:
        """Whether the curve is nowhere below the lower bound, and every plan fits."""
        return not self.below

    @property
    def what(self) -> str:
        """What the curve is of, for people."""
        if len(self.algorithms) == 1:
            return self.algorithms[0]
        return "polynomial" if self.polynomial else "exact"

    def at(self, M: int) -> Point | None:
        """What is known of a fast memory of M words: the last point whose peak is at most M."""
        fitting = (point for point in reversed(self.points) if point.choice.peak_words <= M)
        return next(fitting, None)

    def rows(self) -> list[dict[str, object]]:
        """The points as rows of a table, with the columns that sweeps have."""
        degree = self.problem.degree if self.polynomial else None
        same = problem_columns(self.problem, degree=degree, dtype=self.dtype)
        return [
            {
                "algorithm": self.what,
                **same,
                "fast_memory_words": point.fast_memory_words,
                "schedule": point.choice.within(self.what),
                "tiles": json.dumps(dict(point.choice.tiles)),
                "io_words": point.io_words,
                "peak_words": point.choice.peak_words,
                **bound_columns(point.bound, point.lower_bound_words),
                "io_over_lower_bound": point.io_over_lower_bound,
            }
            for point in self.points
        ]

    def to_dict(self) -> dict[str, object]:
        problem = self.problem
        return {
            "n": problem.n,
            "n_k": problem.n_k,
            "d": problem.d,
            "d_v": problem.d_v,
            "batch": problem.batch,
            "heads": problem.heads,
            "kv_heads": problem.kv_heads,
            "mask": str(problem.mask),
            "degree": problem.degree if self.polynomial else None,
            "algorithms": list(self.algorithms),
            "dtype": self.dtype.name,
            "least_fast_memory_words": self.least_words,
            "too_small_words": list(self.too_small),
            "holds": self.holds,
            "points": [self._point(point) for point in self.points],
        }

    def _point(self, point: Point) -> dict[str, object]:
        return {
            "fast_memory_words": point.fast_memory_words,
            "fast_memory_bytes": words_to_bytes(point.fast_memory_words, self.dtype),
            "algorithm": point.choice.algorithm,
            "schedule": point.choice.schedule,
            "tiles": dict(point.choice.tiles),
            "io_words": point.io_words,
            "peak_words": point.choice.peak_words,
            **bound_columns(point.bound, point.lower_bound_words),
            "io_over_lower_bound": point.io_over_lower_bound,
        }

    def report(self) -> RenderableType:
        from iosim.tuning.report import tune_report

        return tune_report(self)

    def plot(self) -> Figure:
        """The ski-slope, with the lower bound and the regimes."""
        from iosim.plots import ski_slope_figure

        return ski_slope_figure(self.rows())


def tune(
    problem: Problem,
    algorithms: Sequence[Algorithm] | None = None,
    *,
    capacities: Iterable[int] | None = None,
    word: Dtype = FP16,
    where: str | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """The fewest words for each fast memory.

    Args:
        problem: what is computed; its degree is that of the polynomial, for approximate algorithms.
        algorithms: whose schedules are looked at: exact ones, or ones with the polynomial, or one of another kind; all exact
            ones that are registered and for this problem if not given.
        capacities: words of fast memory; about 200 from the least in which anything fits to the least that more would not
            help, if not given.
        word: the format of a word.
        where: what to call the fast memories in an error; the largest is said if not given.
        progress: called with what is going on and its fraction done.

    Units: words.

    Raises:
        UsageError: algorithms of different kinds, or not for this problem, or nothing fits in any of the fast memories.

    Example:
        >>> found = tune(Problem(n=65536, d=64), capacities=[1024, 50000])
        >>> [(point.schedule, point.io_words, point.choice.peak_words) for point in found.points]
        [('two-pass tiles', 39829110784, 1024), ('flash2 cached rows', 1451207296, 49918)]
    """
    search = Search(problem, exact_algorithms(problem) if algorithms is None else algorithms)
    least = search.least_words
    listed = search.spread(DEFAULT_POINTS) if capacities is None else sorted(set(capacities))
    fitting = [M for M in listed if least <= M]
    if not fitting:
        raise does_not_fit(where or f"M = {max(listed):,}", f"{search.any_of} at {problem}", least, word)
    points: list[Point] = []
    for number, point in enumerate(search.points(fitting)):
        points.append(point)
        if progress is not None:
            progress("tuning", number / len(fitting))
    return Tuned(
        problem=search.problem,
        algorithms=tuple(algorithm.name for algorithm in search.algorithms),
        approximate=search.approximate,
        polynomial=search.polynomial,
        points=tuple(points),
        least_words=least,
        too_small=tuple(M for M in listed if least > M),
        dtype=word,
    )


def exact_algorithms(problem: Problem) -> list[Algorithm]:
    """All registered exact algorithms that are for this problem, each once."""
    return _registered(problem, lambda algorithm: not algorithm.approximate)


def polynomial_algorithms(problem: Problem) -> list[Algorithm]:
    """All registered algorithms by a polynomial that are for this problem, each once."""
    return _registered(problem, lambda algorithm: algorithm.takes_polynomial)


def _registered(problem: Problem, wanted: Callable[[Algorithm], bool]) -> list[Algorithm]:
    return [
        algorithm
        for algorithm in registry.algorithms().values()
        if algorithm.computes == ATTENTION
        and not isinstance(algorithm, Best)
        and wanted(algorithm)
        and algorithm.unsupported(problem) is None
    ]


class Search:
    """All schedules of some algorithms, asked for the best in a fast memory.

    Args:
        problem: what is computed.
        algorithms: as of `tune`.

    Raises:
        UsageError: no algorithm, one that is not for the problem, or algorithms of different kinds.
    """

    def __init__(self, problem: Problem, algorithms: Sequence[Algorithm]) -> None:
        self.algorithms = tuple(algorithms)
        self.names = ", ".join(algorithm.name for algorithm in self.algorithms)
        self.any_of = self.names if len(self.algorithms) == 1 else f"any of {self.names}"
        if not self.algorithms:
            raise UsageError(f"no registered algorithm is for {problem}")
        for algorithm in self.algorithms:
            algorithm.check_supported(problem, where=f"--algo {algorithm.name}: {problem}")
        exact = all(a.computes == ATTENTION and not a.approximate for a in self.algorithms)
        self.polynomial = all(a.computes == ATTENTION and a.takes_polynomial for a in self.algorithms)
        self.approximate = any(a.approximate for a in self.algorithms)
        alone = not exact and not self.polynomial
        if alone and len(self.algorithms) > 1:
            raise UsageError(
                f"--algo {self.names}: one bound is not for all of them; allowed: exact ones, or ones by a polynomial, or "
                "one algorithm"
            )
        self.problem = self.algorithms[0].settled(problem) if alone else problem

    @cached_property
    def least_words(self) -> int:
        """The fewest words of fast memory in which anything runs."""
        return min(algorithm.least_capacity(self.problem) for algorithm in self.algorithms)

    def points(self, capacities: Sequence[int]) -> Iterator[Point]:
        """The best for each of the capacities, which rise and in each of which something fits."""
        each = [algorithm.offers(self.problem, capacities) for algorithm in self.algorithms]
        best: Choice | None = None
        for M, *found in zip(capacities, *each, strict=True):
            offers = [offer for offers in found for offer in offers]
            least = min((offer.io_words for offer in offers), default=0)
            equal = [offer for offer in offers if offer.io_words == least]
            quick = all(offer.known is not None for offer in equal)
            # what fits in less fits here, and is made again only where that takes no plan
            if equal and (best is None or least < best.io_words or (least == best.io_words and quick)):
                choices = [offer.choice() for offer in equal]
                best = min(choices, key=lambda choice: (choice.io_words, choice.peak_words))
            if best is not None:
                plans = (offer.plan() for offer in offers)
                bound, words = greatest_for_all(self.algorithms, self.problem, M, plans)
                yield Point(
                    fast_memory_words=M,
                    choice=best,
                    io_words=self.problem.instances * best.io_words,
                    bound=bound,
                    lower_bound_words=words,
                )

    def fewest_words(self, M: int) -> int | None:
        """The fewest words for all heads; None if nothing fits."""
        each = [next(iter(algorithm.offers(self.problem, (M,)))) for algorithm in self.algorithms]
        words = [offer.io_words for offers in each for offer in offers]
        return self.problem.instances * min(words) if words else None

    def least_memory(self, words: int) -> int | None:
        """The least M in which no more than so many words move; None if there is none.

        By bisection, as more memory never takes more words.
        """

        def enough(M: int) -> bool:
            found = self.fewest_words(M)
            return found is not None and found <= words

        low = self.least_words
        if enough(low):
            return low
        high = low
        while not enough(high):
            if high >= MAX_WORDS:
                return None
            low, high = high, min(16 * high, MAX_WORDS)
        return bisect_left(range(high), True, low, high, key=enough)

    def spread(self, points: int) -> list[int]:
        """So many M, or fewer, at equal ratios: from the least in which anything fits to where more would not help."""
        least, fewest = self.least_words, self.fewest_words(MAX_WORDS)
        assert fewest is not None
        most = self.least_memory(fewest)
        assert most is not None
        between = (round(least * (most / least) ** (number / (points - 1))) for number in range(points))
        return sorted({least, most, *(min(max(M, least), most) for M in between)})


def least_memory(
    words: int, problem: Problem, algorithms: Sequence[Algorithm] | None = None, *, word: Dtype = FP16
) -> Tuned:
    """The least fast memory in which no more than `words` words move, as a curve of one point.

    Raises:
        UsageError: as of `tune`, or no fast memory is enough; the message names the fewest words.

    Example:
        >>> point = least_memory(1_451_207_296, Problem(n=65536, d=64)).points[0]
        >>> point.fast_memory_words, point.io_words, point.schedule
        (49918, 1451207296, 'flash2 cached rows')
    """
    search = Search(problem, exact_algorithms(problem) if algorithms is None else algorithms)
    M = search.least_memory(words)
    if M is None:
        raise UsageError(
            f"--io {words:,}: {search.names} at {problem} move{'s' * (len(search.algorithms) == 1)} at least "
            f"{search.fewest_words(MAX_WORDS):,} words, however large the fast memory"
        )
    return tune(search.problem, search.algorithms, capacities=[M], word=word)
