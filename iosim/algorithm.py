"""What an algorithm is: something that makes the best plan for a problem and a fast memory.

An `Algorithm` answers one question: which schedule, with which tiles, for this problem and this fast memory? The answer
is a `Plan`: a program with values for all its sizes, and what the algorithm claims about it. Most algorithms are
`iosim.tiled.Tiled`: a few author functions with symbolic tile sizes, among which the exact count decides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from iosim.bounds.bound import Property
from iosim.errors import UsageError
from iosim.method import AttentionMethod
from iosim.plan import Form, Offer, Plan, fewest
from iosim.problem import Problem
from iosim.refusals import does_not_fit
from iosim.task import ATTENTION, Task


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """A way to compute attention, or its gradient.

    Attributes:
        name: what `--algo` calls it.
        summary: one line.
        source: where the algorithm comes from.
        approximate: whether it computes softmax attention only approximately.
        computes: what it computes.
        properties: the classes of approximate schedules, of `iosim.bounds.approx`, that all of its schedules are in; of
            those that compute again what they have computed, "one-shot" is not taken.
        method: what an approximate algorithm computes; None for attention with the polynomial of the problem.
        best_of: the tasks of which it has the best exact schedule, with which others are compared.
    """

    name: str
    summary: str
    source: str
    approximate: bool = False
    computes: Task = ATTENTION
    properties: frozenset[Property] = frozenset()
    method: AttentionMethod | None = None
    best_of: tuple[Task, ...] = ()

    @property
    def takes_polynomial(self) -> bool:
        """Whether it computes attention with the polynomial of the problem."""
        return self.approximate and self.method is None

    def settled(self, problem: Problem) -> Problem:
        """`problem` with a number for each setting of the algorithm's method, and no other."""
        return replace(problem, settings=()) if self.method is None else self.method.complete(problem)

    def chosen(self, problem: Problem) -> str:
        """The degree or the settings, for people: what else the algorithm was given."""
        if self.takes_polynomial:
            return f", degree {problem.degree}"
        return "".join(f", {name}={value}" for name, value in self.settled(problem).settings if self.method)

    def unsupported(self, problem: Problem) -> str | None:
        """Why the algorithm is not for this problem; None if it is."""
        if problem.n_k != problem.n:
            return "as many keys as queries"
        if problem.group > 1:
            return "one query head a key head"
        if problem.d_v != problem.d:
            return "values as wide as keys"
        return None if problem.mask.full else "no mask"

    def check_supported(self, problem: Problem, *, where: str | None = None) -> None:
        """Whether the algorithm is for this problem.

        Args:
            where: what to say in front of for which it is; its name and the problem if not given.

        Raises:
            UsageError: it is not; the message says for which it is.
        """
        limit = self.unsupported(problem)
        if limit is not None:
            raise UsageError(f"{where or f'{self.name} at {problem}'}: this algorithm is for {limit}")

    @abstractmethod
    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        """The best plan for one instance of each of its schedules that fits in `capacity` words; none if nothing fits."""

    def offers(self, problem: Problem, capacities: Iterable[int]) -> Iterator[list[Offer]]:
        """For each of the capacities what `plans` gives, but quicker where it can be."""
        for capacity in capacities:
            plans = self.plans(problem, capacity)
            yield [Offer(io_words=plan.io_words, plan=partial(_itself, plan)) for plan in plans]

    @abstractmethod
    def least_capacity(self, problem: Problem) -> int:
        """The fewest words of fast memory with which any of its schedules runs. Units: words."""

    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """Its schedules in symbols."""

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        """The plan with the tile sizes that a user asked for."""
        raise UsageError(f"--tiles: {self.name} chooses its own blocks; allowed: best, not {assignments(tiles)}")

    def published(self, problem: Problem, capacity: int) -> Plan:
        """The plan with the tile sizes that the algorithm's paper prescribes."""
        raise UsageError(f"--tiles paper: {self.name} has no published tile rule; allowed: best")

    def best(self, problem: Problem, capacity: int) -> Plan:
        """The plan with the fewest words moved; among those, the one with the smallest peak.

        Raises:
            UsageError: nothing fits; the message names the smallest capacity.
        """
        plan = fewest(self.plans(problem, capacity))
        if plan is None:
            who = f"{self.name} at {problem}{self.chosen(problem)}"
            raise does_not_fit(f"M = {capacity:,}", who, self.least_capacity(problem))
        return plan


@dataclass(frozen=True, kw_only=True)
class Best(Algorithm):
    """Whichever of several algorithms moves the fewest words."""

    of: tuple[Algorithm, ...]

    def unsupported(self, problem: Problem) -> str | None:
        reasons = [algorithm.unsupported(problem) for algorithm in self.of]
        return None if None in reasons else reasons[0]

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        for algorithm in self._for(problem):
            yield from algorithm.plans(problem, capacity)

    def offers(self, problem: Problem, capacities: Iterable[int]) -> Iterator[list[Offer]]:
        listed = list(capacities)
        each = [algorithm.offers(problem, listed) for algorithm in self._for(problem)]
        for found in zip(*each, strict=True):
            yield [offer for offers in found for offer in offers]

    def least_capacity(self, problem: Problem) -> int:
        return min(algorithm.least_capacity(problem) for algorithm in self._for(problem))

    def _for(self, problem: Problem) -> list[Algorithm]:
        return [algorithm for algorithm in self.of if algorithm.unsupported(problem) is None]

    def forms(self) -> tuple[Form, ...]:
        return tuple(
            replace(form, schedule=f"{algorithm.name} {form.schedule}")
            for algorithm in self.of
            for form in algorithm.forms()
        )

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        if len(self.of) == 1:
            return self.of[0].explicit(problem, tiles)
        return super().explicit(problem, tiles)

    def published(self, problem: Problem, capacity: int) -> Plan:
        if len(self.of) == 1:
            return self.of[0].published(problem, capacity)
        return super().published(problem, capacity)


def _itself(plan: Plan) -> Plan:
    return plan


def assignments(tiles: Mapping[str, int]) -> str:
    """Sizes by name, as `--tiles` takes them."""
    return ",".join(f"{name}={value}" for name, value in tiles.items())
