"""What an algorithm is: schedules with their tile rule, closed form, regime and source.

An `Algorithm` answers one question: which schedule, with which tiles, for this problem and this fast memory? The answer
is a `Plan`: a program with values for all its sizes, and what the algorithm claims about it. Most algorithms are
`Tiled`: a few author functions with symbolic tile sizes, among which the exact count decides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from iosim.builder import build
from iosim.errors import UsageError
from iosim.expr import Size, evaluate_int, symbol
from iosim.interpret.count import Count, count, peak_words
from iosim.program import Program
from iosim.tune import TileSearch

# Shapes of numpy work that keep a Python loop short without much memory.
_ROWS_EXECUTED = 256
_SCORES_EXECUTED = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be computed: attention of n queries over n keys in d dimensions.

    Attributes:
        n: queries, and keys.
        d: head dimension of Q, K and V.
        degree: of the polynomial in place of the exponential, for approximate algorithms.
        weights: its coefficients c_0, ..., c_degree, once they are known; they move nothing.
    """

    n: int
    d: int
    degree: int = 2
    weights: tuple[float, ...] | None = None

    @property
    def sizes(self) -> dict[str, int]:
        return {"n": self.n, "d": self.d}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A schedule for one problem and one capacity.

    Attributes:
        algorithm: name of the algorithm it belongs to.
        schedule: name of the schedule.
        program: the program.
        sizes: values of all its sizes.
        tiles: what the schedule chose, for people.
        executed: sizes to run the same program with on real data: its streams are coarser there, so that a row is not
            a Python iteration. The result is the same to rounding; nothing is counted on it.
        closed_form: the claimed traffic, in symbols.
        closed_form_words: the claimed traffic at these sizes.
        claimed_peak_words: the claimed peak at these sizes.
        regime: where the claim holds.
    """

    algorithm: str
    schedule: str
    program: Program
    sizes: Mapping[str, int]
    tiles: Mapping[str, int]
    executed: Mapping[str, int]
    closed_form: Size
    closed_form_words: int
    claimed_peak_words: int
    regime: str

    def count(self) -> Count:
        """The exact count at these sizes."""
        return count(self.program, self.sizes)

    @property
    def io_words(self) -> int:
        """The counted traffic at these sizes. Units: words."""
        return evaluate_int(self.count().io_words, {})

    @property
    def peak_words(self) -> int:
        """The exact peak at these sizes. Units: words."""
        return evaluate_int(peak_words(self.program, self.sizes), {})


def fewest(plans: Iterable[Plan]) -> Plan | None:
    """The plan that moves the fewest words, by its count; among those, the one with the smallest peak; None of none."""
    counted = [(plan.io_words, plan) for plan in plans]
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


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """A way to compute attention.

    Attributes:
        name: what `--algo` calls it.
        summary: one line.
        source: where the algorithm comes from.
        approximate: whether it computes softmax attention only approximately.
    """

    name: str
    summary: str
    source: str
    approximate: bool = False

    @abstractmethod
    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        """The best plan of each of its schedules that fits in `capacity` words; none if nothing fits."""

    @abstractmethod
    def least_capacity(self, problem: Problem) -> int:
        """The fewest words of fast memory with which any of its schedules runs. Units: words."""

    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """Its schedules in symbols."""

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        """The plan with the tile sizes that a user asked for."""
        raise UsageError(f"--tiles: {self.name} chooses its own blocks; allowed: best, not {_assignments(tiles)}")

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
            least = self.least_capacity(problem)
            degree = f", degree {problem.degree}" if self.approximate else ""
            raise UsageError(
                f"{self.name} at n={problem.n:,}, d={problem.d}{degree} needs at least {least:,} words of fast memory, "
                f"got {capacity:,}"
            )
        return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One order of the work, in symbols.

    Attributes:
        name: of the schedule.
        author: the function that writes the program; it takes `n`, `d`, the tiles and the streams.
        tiles: tile sizes that the tile rule chooses, and the axis that each one cuts (`n` or `d`).
        streams: tile sizes that are 1 (one row, one word at a time), and the axis that each one cuts; they are coarser
            when the program is executed.
        io: the claimed traffic from the sizes by name, on integers and on symbols alike. Units: words.
        peak: the claimed peak for tiles no longer than their axis. Units: words.
        regime: where the claims hold.
        published: the tile sizes and streams that the paper prescribes, from n, d and the capacity.
        searched: whether the tile rule may choose this schedule.
    """

    name: str
    author: Callable[..., None]
    tiles: Mapping[str, str]
    streams: Mapping[str, str] = field(default_factory=dict)
    io: Callable[..., Size]
    peak: Callable[..., Size]
    regime: str = "every n and d, tiles no longer than their axis"
    published: Callable[[int, int, int], Mapping[str, int]] | None = None
    searched: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return ("n", "d", *self.tiles, *self.streams)

    def claimed_io(self, sizes: Mapping[str, Size]) -> Size:
        return self.io(**{name: sizes[name] for name in self.names})

    def claimed_peak(self, sizes: Mapping[str, Size]) -> Size:
        return self.peak(**{name: sizes[name] for name in self.names})


@dataclass(frozen=True, kw_only=True)
class Tiled(Algorithm):
    """An algorithm whose schedules are author functions with symbolic tile sizes.

    The tile rule minimises the exact count over all tile sizes whose exact peak fits in the fast memory.
    """

    schedules: tuple[Schedule, ...]

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        for schedule in self.schedules:
            if not schedule.searched:
                continue
            tiles = self._search(schedule, problem).best(capacity)
            if tiles is not None:
                yield self._plan(schedule, problem, tiles)

    def least_capacity(self, problem: Problem) -> int:
        return min(self._search(schedule, problem).least_capacity for schedule in self.schedules if schedule.searched)

    def forms(self) -> tuple[Form, ...]:
        return tuple(
            Form(
                schedule=schedule.name,
                program=self.program(schedule),
                io=schedule.claimed_io(_stream_ones(schedule)),
                peak=schedule.claimed_peak(_stream_ones(schedule)),
                regime=schedule.regime,
            )
            for schedule in self.schedules
        )

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        allowed = {name for schedule in self.schedules for name in (*schedule.tiles, *schedule.streams)}
        fitting = [s for s in self.schedules if set(s.tiles) <= set(tiles) <= {*s.tiles, *s.streams}]
        if not fitting:
            wanted = " or ".join(" and ".join(s.tiles) for s in self.schedules)
            extra = ", ".join(sorted(set(tiles) - allowed))
            found = f"unknown {extra}" if extra else f"got {_assignments(tiles)}"
            raise UsageError(f"--tiles: {self.name} needs {wanted}; {found}")
        for name, value in tiles.items():
            axis = {**fitting[0].tiles, **fitting[0].streams}[name]
            if not 1 <= value <= problem.sizes[axis]:
                raise UsageError(f"--tiles: {name}={value}; allowed: 1 to {axis}={problem.sizes[axis]:,}")
        plan = fewest(self._plan(schedule, problem, tiles) for schedule in fitting)
        assert plan is not None
        return plan

    def published(self, problem: Problem, capacity: int) -> Plan:
        for schedule in self.schedules:
            if schedule.published is not None:
                return self._plan(schedule, problem, schedule.published(problem.n, problem.d, capacity))
        raise UsageError(f"--tiles paper: {self.name} has no published tile rule; allowed: best, or sizes by name")

    def program(self, schedule: Schedule) -> Program:
        """The program of a schedule, in symbols."""
        return _program(schedule.author, f"{self.name} ({schedule.name})", schedule.names)

    def _search(self, schedule: Schedule, problem: Problem) -> TileSearch:
        return _tile_search(self.program(schedule), tuple(schedule.tiles.items()), tuple(schedule.streams), problem)

    def _plan(self, schedule: Schedule, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        sizes = {**problem.sizes, **dict.fromkeys(schedule.streams, 1), **tiles}
        return Plan(
            algorithm=self.name,
            schedule=schedule.name,
            program=self.program(schedule),
            sizes=sizes,
            tiles=dict(tiles),
            executed=_executed(schedule, sizes),
            closed_form=schedule.claimed_io(_stream_ones(schedule)),
            closed_form_words=evaluate_int(schedule.claimed_io(sizes), {}),
            claimed_peak_words=evaluate_int(schedule.claimed_peak(sizes), {}),
            regime=schedule.regime,
        )


@dataclass(frozen=True, kw_only=True)
class Best(Algorithm):
    """Whichever of several algorithms moves the fewest words."""

    of: tuple[Algorithm, ...]

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        for algorithm in self.of:
            yield from algorithm.plans(problem, capacity)

    def least_capacity(self, problem: Problem) -> int:
        return min(algorithm.least_capacity(problem) for algorithm in self.of)

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


def _stream_ones(schedule: Schedule) -> dict[str, Size]:
    """The sizes of a schedule as symbols, its streams as 1."""
    return {name: 1 if name in schedule.streams else symbol(name) for name in schedule.names}


def _executed(schedule: Schedule, sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes for numpy: tiles of at least a few hundred rows, streams as long as the scores of a tile stay small."""
    executed = dict(sizes)
    for name, axis in schedule.tiles.items():
        executed[name] = min(sizes[axis], max(sizes[name], _ROWS_EXECUTED))
    longest = max((executed[name] for name, axis in schedule.tiles.items() if axis == "n"), default=1)
    for name, axis in schedule.streams.items():
        rows = max(1, _SCORES_EXECUTED // longest)
        executed[name] = sizes["d"] if axis == "d" else min(sizes["n"], max(sizes[name], rows))
    return executed


def _assignments(tiles: Mapping[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in tiles.items())


@cache
def _program(author: Callable[..., None], name: str, sizes: tuple[str, ...]) -> Program:
    return build(author, name=name, **{size: size for size in sizes})


@cache
def _tile_search(
    program: Program, tiles: tuple[tuple[str, str], ...], streams: tuple[str, ...], problem: Problem
) -> TileSearch:
    return TileSearch(program, dict(tiles), {**problem.sizes, **dict.fromkeys(streams, 1)})
