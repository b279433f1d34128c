"""How tight are the bounds? The best schedule over the greatest lower bound, over a range of fast memories.

For exact attention the bound is one for all schedules; for attention by a polynomial it is one for the class that all
schedules of the algorithm are in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from iosim import registry
from iosim.algorithm import Algorithm
from iosim.bounds.bound import Bound
from iosim.bounds.open_problems import OPEN_PROBLEMS, OpenProblem, open_problem
from iosim.columns import bound_columns
from iosim.display import Result
from iosim.plan import Scheduled
from iosim.plan_bounds import greatest_for_all
from iosim.problem import Problem
from iosim.task import ATTENTION
from iosim.terminal import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightness(Scheduled):
    """Best schedule and greatest lower bound for one problem and one fast memory. Units: in the names.

    Attributes:
        n, d, fast_memory_words: the problem and the fast memory.
        algorithm, schedule: what moves the fewest words of all that is known here.
        io_words: its traffic, counted.
        bound: the bound that says the most.
        lower_bound_words: what it says.
        degree: of the polynomial; None for exact attention.
    """

    n: int
    d: int
    fast_memory_words: int
    algorithm: str
    schedule: str
    io_words: int
    bound: Bound
    lower_bound_words: int
    degree: int | None = None

    @property
    def u(self) -> float:
        """d/sqrt(M), in which the regimes are told apart."""
        return self.d / math.sqrt(self.fast_memory_words)

    @property
    def io_over_lower_bound(self) -> float:
        """Traffic over lower bound, at least 1."""
        return self.io_words / self.lower_bound_words

    @property
    def io_over_n_d(self) -> float:
        """Traffic for each query, in units of d: 4 if each word moves once."""
        return self.io_words / (self.n * self.d)

    @property
    def lower_bound_over_n_d(self) -> float:
        """The bound for each query, in units of d."""
        return self.lower_bound_words / (self.n * self.d)

    @property
    def open_problem(self) -> OpenProblem | None:
        """What the gap is about; None where it is small, and for a polynomial."""
        if self.degree is not None:
            return None
        return open_problem(Problem(n=self.n, d=self.d).setting(self.fast_memory_words), self.io_over_lower_bound)

    def to_dict(self) -> dict[str, object]:
        """Plain numbers and text, with units in the key names."""
        problem = self.open_problem
        return {
            "n": self.n,
            "d": self.d,
            "degree": self.degree,
            "fast_memory_words": self.fast_memory_words,
            "u": self.u,
            "algorithm": self.algorithm,
            "schedule": self.schedule,
            "io_words": self.io_words,
            **bound_columns(self.bound, self.lower_bound_words),
            "theorem": self.bound.theorem,
            "io_over_lower_bound": self.io_over_lower_bound,
            "open_problem": None if problem is None else problem.number,
        }


def tightness(
    n: int, d: int, capacities: Iterable[int], *, degree: int | None = None, algorithm: Algorithm | None = None
) -> Iterator[Tightness]:
    """The best schedule and the greatest lower bound for each fast memory.

    Args:
        n: queries and keys.
        d: head dimension.
        capacities: words of fast memory.
        degree: of the polynomial; exact attention if not given.
        algorithm: whose schedules are looked at; `exact` or `approx` if not given.

    Raises:
        UsageError: nothing fits; the message names the smallest capacity.
    """
    chosen = algorithm or (registry.best(ATTENTION) if degree is None else registry.find("approx"))
    problem = Problem(n=n, d=d) if degree is None else Problem(n=n, d=d, degree=degree)
    for capacity in capacities:
        plan = chosen.best(problem, capacity)
        bound, words = greatest_for_all([chosen], problem, capacity, [plan])
        yield Tightness(
            n=n,
            d=d,
            fast_memory_words=capacity,
            algorithm=plan.algorithm,
            schedule=plan.schedule,
            io_words=plan.io_words,
            bound=bound,
            lower_bound_words=words,
            degree=degree,
        )


@dataclass(frozen=True, slots=True, repr=False)
class TightnessTable(Result):
    """Best schedule and greatest lower bound over a range of fast memories.

    Attributes:
        points: one for each fast memory, of one n and d.
    """

    points: Sequence[Tightness]

    def report(self) -> RenderableType:
        return _of_polynomial(self.points) if self.points[0].degree is not None else _exact(self.points)

    def rows(self) -> list[dict[str, object]]:
        """One for each fast memory."""
        return [point.to_dict() for point in self.points]

    def to_dict(self) -> dict[str, object]:
        return {"points": self.rows()}


def _exact(listed: Sequence[Tightness]) -> RenderableType:
    """A table, and the open problems that it names."""
    cells = [("M", "u", "traffic", "lower bound", "ratio", "open", "best schedule", "theorem")]
    for row in listed:
        problem = row.open_problem
        cells.append(
            (
                f"{row.fast_memory_words:,}",
                f"{row.u:.3f}",
                f"{row.io_words:,}",
                f"{row.lower_bound_words:,}",
                f"{row.io_over_lower_bound:.3f}",
                "" if problem is None else f"({problem.number})",
                row.title,
                row.bound.theorem or row.bound.name,
            )
        )
    named = {row.open_problem for row in listed}
    problems: list[RenderableType] = []
    for problem in OPEN_PROBLEMS:
        if problem in named:
            problems += [Text(), Text(f"({problem.number}) open: {problem.title}", "bold")]
            problems.append(Padding(Text(problem.statement), (0, 0, 0, 4)))
    return Group(table(cells, left=(6, 7)), *problems)


def _of_polynomial(rows: Sequence[Tightness]) -> RenderableType:
    """A table, with the words for each query in units of d."""
    cells = [("M", "traffic", "/(n d)", "lower bound", "/(n d)", "ratio", "best schedule", "theorem")]
    for row in rows:
        cells.append(
            (
                f"{row.fast_memory_words:,}",
                f"{row.io_words:,}",
                f"{row.io_over_n_d:,.2f}",
                f"{row.lower_bound_words:,}",
                f"{row.lower_bound_over_n_d:,.2f}",
                f"{row.io_over_lower_bound:.3f}",
                row.title,
                row.bound.theorem or row.bound.name,
            )
        )
    about = dict.fromkeys(row.bound.about for row in rows if row.bound.about)
    return Group(table(cells, left=(6, 7)), *(Text(f"\nthe theorem is about {each}") for each in about))
