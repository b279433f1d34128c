"""What `iosim pebble` answers: an optimum between lower bounds from elsewhere and what algorithms move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim.display import Result
from iosim.pebbling.bounds import GraphBound
from iosim.pebbling.schedule import listing
from iosim.pebbling.search import Pebbling
from iosim.runs.checks import Check

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer(Result):
    """An optimum, or what is known of it.

    Attributes:
        pebbling: what the search found.
        capacity: words of fast memory.
        game: the rules, for people.
        bounds: lower bounds from the graph alone.
        theorems: the theorems' bounds for the task, by name. Units: words.
        algorithm: whose schedule moves the fewest words, if the graph is that of an algorithm's task: one of those that the
            algorithm asked for picks from, or that one itself, also where none fits.
        schedule: that schedule; None if none fits.
        algorithm_words: what that moves. Units: words.
        loads, stores: of the schedule that was found, as counted. Units: words.
        checks: what has to hold.
    """

    pebbling: Pebbling
    capacity: int
    game: str
    bounds: tuple[GraphBound, ...]
    theorems: tuple[tuple[str, int], ...]
    algorithm: str | None
    schedule: str | None
    algorithm_words: int | None
    loads: int
    stores: int
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether the optimum was found and every check holds."""
        return self.pebbling.moves is not None and all(check.holds for check in self.checks)

    @property
    def verdict(self) -> str:
        if self.pebbling.moves is None:
            return "stopped at a limit"
        return "every check holds" if self.holds else "a check fails"

    def report(self) -> RenderableType:
        from iosim.pebbling.report import pebble_report

        return pebble_report(self)

    def to_dict(self) -> dict[str, object]:
        found = self.pebbling
        return {
            "graph": found.graph.title,
            "nodes": found.graph.size,
            "terms": sum(map(len, found.graph.terms)),
            "fast_memory_words": self.capacity,
            "game": self.game,
            "optimal_io_words": found.optimum,
            "loads_words": self.loads if found.moves is not None else None,
            "stores_words": self.stores if found.moves is not None else None,
            "lower_bound_words": found.lower_bound,
            "stopped": found.stopped,
            "states": found.states,
            "seconds": found.seconds,
            "graph_bounds_words": {bound.name: bound.words for bound in self.bounds},
            "graph_bounds_hold": {bound.name: bound.holds for bound in self.bounds},
            "lower_bounds_words": dict(self.theorems),
            "algorithm": self.algorithm,
            "schedule": self.schedule,
            "algorithm_io_words": self.algorithm_words,
            "moves": None if found.moves is None else listing(found.graph, found.moves),
            "checks": {check.name: check.holds for check in self.checks},
            "verdict": "holds" if self.holds else "stopped" if found.moves is None else "fails",
        }
