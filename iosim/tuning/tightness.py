"""How tight are the bounds? The best schedule over the greatest lower bound, over a range of fast memories.

For exact attention the bound is one for all schedules; for attention by a polynomial it is one for the class that all
schedules of the algorithm are in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from iosim.bounds.open_problems import OPEN_PROBLEMS, OpenProblem, open_problem
from iosim.columns import bound_columns
from iosim.display import Result
from iosim.terminal import table
from iosim.tuning.tune import Point, Tuned


@dataclass(frozen=True, slots=True, repr=False)
class Tightness(Result):
    """The fewest words beside the greatest lower bound, and what is open between them, for one head without a mask.

    Attributes:
        tuned: the fewest words for each fast memory.
    """

    tuned: Tuned

    @property
    def points(self) -> tuple[Point, ...]:
        """One for each fast memory in which something fits, smallest first."""
        return self.tuned.points

    def u(self, point: Point) -> float:
        """d/sqrt(M), in which the regimes are told apart."""
        return self.tuned.problem.d / math.sqrt(point.fast_memory_words)

    def over_n_d(self, words: int) -> float:
        """Words for each query, in units of d: 4 if each word moves once."""
        return words / (self.tuned.problem.n * self.tuned.problem.d)

    def open_problem(self, point: Point) -> OpenProblem | None:
        """What the gap is about; None where it is small, and for a polynomial."""
        if self.tuned.polynomial:
            return None
        return open_problem(self.tuned.problem.setting(point.fast_memory_words), point.io_over_lower_bound)

    def report(self) -> RenderableType:
        short = len(self.tuned.too_small)
        left_out = [Text(f"\nnothing fits in {short} of the fast memories asked for")] if short else []
        return Group(self._of_polynomial() if self.tuned.polynomial else self._exact(), *left_out)

    def rows(self) -> list[dict[str, object]]:
        """One for each fast memory, with units in the key names."""
        return [self._row(point) for point in self.points]

    def to_dict(self) -> dict[str, object]:
        return {"points": self.rows()}

    def _row(self, point: Point) -> dict[str, object]:
        problem, gap = self.tuned.problem, self.open_problem(point)
        return {
            "n": problem.n,
            "d": problem.d,
            "degree": problem.degree if self.tuned.polynomial else None,
            "fast_memory_words": point.fast_memory_words,
            "u": self.u(point),
            "algorithm": point.choice.algorithm,
            "schedule": point.choice.schedule,
            "io_words": point.io_words,
            **bound_columns(point.bound, point.lower_bound_words),
            "theorem": point.bound.theorem,
            "io_over_lower_bound": point.io_over_lower_bound,
            "open_problem": None if gap is None else gap.number,
        }

    def _exact(self) -> RenderableType:
        """A table, and the open problems that it names."""
        cells = [("M", "u", "traffic", "lower bound", "ratio", "open", "best schedule", "theorem")]
        for point in self.points:
            gap = self.open_problem(point)
            cells.append(
                (
                    f"{point.fast_memory_words:,}",
                    f"{self.u(point):.3f}",
                    f"{point.io_words:,}",
                    f"{point.lower_bound_words:,}",
                    f"{point.io_over_lower_bound:.3f}",
                    "" if gap is None else f"({gap.number})",
                    point.schedule,
                    point.bound.theorem or point.bound.name,
                )
            )
        named = set(map(self.open_problem, self.points))
        problems: list[RenderableType] = []
        for problem in OPEN_PROBLEMS:
            if problem in named:
                problems += [Text(), Text(f"({problem.number}) open: {problem.title}", "bold")]
                problems.append(Padding(Text(problem.statement), (0, 0, 0, 4)))
        return Group(table(cells, left=(6, 7)), *problems)

    def _of_polynomial(self) -> RenderableType:
        """A table, with the words for each query in units of d."""
        cells = [("M", "traffic", "/(n d)", "lower bound", "/(n d)", "ratio", "best schedule", "theorem")]
        for point in self.points:
            cells.append(
                (
                    f"{point.fast_memory_words:,}",
                    f"{point.io_words:,}",
                    f"{self.over_n_d(point.io_words):,.2f}",
                    f"{point.lower_bound_words:,}",
                    f"{self.over_n_d(point.lower_bound_words):,.2f}",
                    f"{point.io_over_lower_bound:.3f}",
                    point.schedule,
                    point.bound.theorem or point.bound.name,
                )
            )
        about = dict.fromkeys(point.bound.about for point in self.points if point.bound.about)
        return Group(table(cells, left=(6, 7)), *(Text(f"\nthe theorem is about {each}") for each in about))
