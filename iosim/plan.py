"""A schedule for one problem and one fast memory: a program, values of all its sizes, and what is claimed about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from iosim.builder import build
from iosim.expr import Size, evaluate_int, symbol
from iosim.instances import for_each
from iosim.interpret.count import Count, count, peak_words
from iosim.program import Program

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Layout: TypeAlias = (
    "Callable[[Mapping[str, NDArray[np.float64]], Mapping[str, int]], Mapping[str, NDArray[np.float64]]]"
)


class Scheduled:
    """What has an algorithm and one of its schedules."""

    __slots__ = ()
    algorithm: str
    schedule: str

    @property
    def title(self) -> str:
        """Algorithm and schedule, for people."""
        return f"{self.algorithm} {self.schedule}"

    def within(self, algorithm: str) -> str:
        """The schedule, with its algorithm if that is another one."""
        return self.schedule if self.algorithm == algorithm else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Scheduled):
    """A schedule for one problem and one capacity.

    Attributes:
        algorithm: name of the algorithm it belongs to.
        schedule: name of the schedule.
        program: the program.
        sizes: values of all its sizes.
        tiles: what the schedule chose, for people.
        executed: sizes to run the same program with on real data: its streams are coarser there, so that a row is not
            a Python iteration. The result is the same to rounding; nothing is counted on it.
        closed_form: the claimed traffic, in symbols, each of them one of `sizes` or of `tiles`.
        claimed_peak_words: the claimed peak at these sizes.
        regime: where the claim holds.
        recomputes: whether it computes a score more than once.
        layout: what makes the inputs of the program out of Q, K and V; None if they are Q, K and V.
        keys: how many of the keys it ever uses; None if all.
    """

    algorithm: str
    schedule: str
    program: Program
    sizes: Mapping[str, int]
    tiles: Mapping[str, int]
    executed: Mapping[str, int]
    closed_form: Size
    claimed_peak_words: int
    regime: str
    recomputes: bool = False
    layout: Layout | None = None
    keys: int | None = None

    def count(self) -> Count:
        """The exact count at these sizes."""
        return count(self.program, self.sizes)

    def times(self, instances: int) -> Plan:
        """The plan for that many instances, one after the other; this one is for one."""
        if instances == 1:
            return self
        return replace(
            self,
            program=for_each(self.program, "h", symbol("instances")),
            sizes={**self.sizes, "instances": instances},
            executed={**self.executed, "instances": instances},
            closed_form=symbol("instances") * self.closed_form,
        )

    @property
    def closed_form_words(self) -> int:
        """The claimed traffic at these sizes. Units: words."""
        return evaluate_int(self.closed_form, {**self.tiles, **self.sizes})

    @property
    def io_words(self) -> int:
        """The counted traffic at these sizes. Units: words."""
        return evaluate_int(self.count().io_words, {})

    @property
    def peak_words(self) -> int:
        """The exact peak at these sizes. Units: words."""
        return evaluate_int(peak_words(self.program, self.sizes), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Scheduled):
    """What one schedule does best in some fast memory, for one instance.

    Attributes:
        algorithm, schedule, tiles: as in `Plan`.
        io_words: the exact traffic. Units: words.
        peak_words: the exact peak. Units: words.
    """

    algorithm: str
    schedule: str
    tiles: Mapping[str, int]
    io_words: int
    peak_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A plan that is not made yet.

    Attributes:
        io_words: its traffic, counted, or as the closed form of the schedule has it. Units: words.
        plan: makes it.
        known: its choice, where that is known without the plan.
    """

    io_words: int
    plan: Callable[[], Plan]
    known: Callable[[], Choice] | None = None

    def choice(self) -> Choice:
        """What was chosen, counted."""
        if self.known is not None:
            return self.known()
        plan = self.plan()
        return Choice(
            algorithm=plan.algorithm,
            schedule=plan.schedule,
            tiles=plan.tiles,
            io_words=plan.io_words,
            peak_words=plan.peak_words,
        )


def fewest(plans: Iterable[Plan], words: Callable[[Plan], int] = lambda plan: plan.io_words) -> Plan | None:
    """The plan that moves the fewest words, by its count; among those, the one with the smallest peak; None of none.

    Args:
        words: what says how many a plan moves, for who knows that already.
    """
    counted = [(words(plan), plan) for plan in plans]
    least = min((words for words, _ in counted), default=0)
    equal = [plan for words, plan in counted if words == least]
    return min(equal, key=lambda plan: plan.peak_words) if len(equal) > 1 else next(iter(equal), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One schedule of an algorithm in symbols, to be read: its program, claimed traffic and peak, and regime."""

    schedule: str
    program: Program
    io: Size | str
    peak: Size | str
    regime: str


@lru_cache(maxsize=1024)
def built(author: Callable[..., None], *, name: str, **arguments: Any) -> Program:
    """The program that an author writes, see `iosim.builder.build`: the same one for the same arguments."""
    return build(author, name=name, **arguments)
