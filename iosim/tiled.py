"""Algorithms whose schedules are author functions with symbolic tile sizes: exact counting says which sizes are the best."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from iosim.algorithm import Algorithm, assignments
from iosim.errors import ProgramError, UsageError
from iosim.expr import Size, evaluate_int, symbol
from iosim.masks import Mask
from iosim.method import AttentionMethod
from iosim.plan import Choice, Form, Layout, Offer, Plan, built, fewest
from iosim.problem import ANY_LETTERS, Problem
from iosim.program import Program
from iosim.task import GRADIENT
from iosim.tuning.tile_search import TileSearch

# Shapes of numpy work that keep a Python loop short without much memory.
ROWS_EXECUTED = 256
SCORES_EXECUTED = 2**20
_PIECES_EXECUTED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One order of the work, in symbols.

    Attributes:
        name: of the schedule.
        author: the function that writes the program; it takes what it is for of the letters of a `Problem`, and the tiles
            and the streams. One that takes no `n_k`, `d_v` or `mask` is for as many keys as queries, values as wide as
            keys, or no mask.
        tiles: tile sizes that the tile rule chooses, and the axis that each one cuts (`n`, `n_k`, `d` or `d_v`).
        streams: tile sizes that are 1 (one row, one word at a time), and the axis that each one cuts; they are coarser
            when the program is executed.
        given: sizes that are as they are unless a user asks for others, each with the axis that it cuts; where that would
            be hundreds of pieces, they are coarser when the program is executed.
        layout: what makes the inputs of the program out of Q, K and V, at the sizes of the program; with a head axis, or
            without. None if they are Q, K and V.
        io: the claimed traffic from what the author takes, on integers and on symbols alike. Units: words.
        peak: the claimed peak for tiles no longer than their axis. Units: words.
        regime: where the claims hold.
        published: the tile sizes and streams that the paper prescribes, from the axes and the capacity.
        searched: whether the tile rule looks at this schedule; if not, its tiles must be given.
        tied: whether it is only for values that are columns of the keys.
        recomputes: whether it computes a score more than once.
        refuses: of what the author's letters allow, what the schedule is for instead; None if it is for all of it.
    """

    name: str
    author: Callable[..., None]
    tiles: Mapping[str, str]
    streams: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    layout: Layout | None = None
    io: Callable[..., Size]
    peak: Callable[..., Size]
    regime: str = "every n and d, tiles no longer than their axis"
    published: Callable[[Mapping[str, int], int], Mapping[str, int]] | None = None
    searched: bool = True
    tied: bool = False
    recomputes: bool = False
    refuses: Callable[[Problem], str | None] = lambda _: None

    @property
    def axes(self) -> dict[str, str]:
        """The axis that each tile size, stream and given size cuts."""
        return {**self.tiles, **self.streams, **{name: axis for name, (axis, _) in self.given.items()}}

    @property
    def fixed(self) -> dict[str, int]:
        """The sizes that are not chosen."""
        return {**dict.fromkeys(self.streams, 1), **{name: size for name, (_, size) in self.given.items()}}

    @property
    def letters(self) -> tuple[str, ...]:
        """What the author takes besides tiles and streams."""
        _, *names = inspect.signature(self.author).parameters
        return tuple(name for name in names if name not in self.axes)

    def unsupported(self, problem: Problem) -> str | None:
        """Why the schedule is not for this problem; None if it is."""
        given, taken = problem.letters, self.letters
        if self.tied and not problem.tied:
            return "values that are columns of the keys"
        if "n_k" not in taken and given["n_k"] != given["n"]:
            return "as many keys as queries" if problem.n_k != problem.n else "one query head a key head"
        if "d_v" not in taken and given["d_v"] != given["d"]:
            return "values as wide as keys"
        if "mask" not in taken and not problem.mask.full:
            return "no mask"
        if not isinstance(problem.mask, Mask):
            return "masks that are bands: full, causal, window, band"
        if "g" not in taken and given["g"] != 1:
            return "one query head a key head"
        return self.refuses(problem)

    def arguments(self, problem: Problem | None, method: AttentionMethod | None = None) -> dict[str, Any]:
        """What the author is given: symbols for the sizes of `problem`; of any problem without a mask for None, with the
        settings of `method`."""
        letters = ANY_LETTERS if problem is None else problem.letters
        if problem is None and method is not None:
            letters = {**letters, **{option.name: symbol(option.name) for option in method.options}}
        unknown = [name for name in self.letters if name not in letters]
        if unknown:
            raise ProgramError(
                f"schedule {self.name}: its author takes {', '.join(unknown)}, which is neither one of its tiles and "
                f"streams nor one of {', '.join(letters)}"
            )
        return {name: letters[name] for name in self.letters} | {name: symbol(name) for name in self.axes}

    def claims(
        self, problem: Problem | None, method: AttentionMethod | None = None, sizes: Mapping[str, int] | None = None
    ) -> tuple[Size, Size]:
        """The claimed traffic and peak in symbols, the streams as in `sizes`, else 1."""
        streams = {name: (sizes or {}).get(name, 1) for name in self.streams}
        given = self.arguments(problem, method) | streams
        return self.io(**given), self.peak(**given)

    def claimed(self, problem: Problem, sizes: Mapping[str, int]) -> tuple[int, int]:
        """The claimed traffic and peak at these sizes; in symbols each tile has a word, here C = n_k leaves none."""
        given = {
            name: value if isinstance(value, Mask) else evaluate_int(value, sizes)
            for name, value in self.arguments(problem).items()
        }
        return evaluate_int(self.io(**given), {}), evaluate_int(self.peak(**given), {})


@dataclass(frozen=True, kw_only=True)
class Tiled(Algorithm):
    """An algorithm whose schedules are author functions with symbolic tile sizes.

    The tile rule minimises the exact count over all tile sizes whose exact peak fits in the fast memory.
    """

    schedules: tuple[Schedule, ...]

    def unsupported(self, problem: Problem) -> str | None:
        if self._searched(problem):
            return None
        reasons = (self._refuses(schedule, problem) for schedule in self.schedules)
        return next((reason for reason in reasons if reason), "other masks, unless --tiles are given")

    def _refuses(self, schedule: Schedule, problem: Problem) -> str | None:
        """Why one of its schedules is not for this problem; None if it is."""
        if problem.tied and self.computes == GRADIENT:
            return "values of their own"
        return schedule.unsupported(problem)

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        for offers in self.offers(problem, (capacity,)):
            yield from (offer.plan() for offer in offers)

    def offers(self, problem: Problem, capacities: Iterable[int]) -> Iterator[list[Offer]]:
        problem = self.settled(problem)
        searches = [(schedule, self._search(schedule, problem)) for schedule in self._searched(problem)]
        for capacity in capacities:
            found = ((schedule, search, search.best(capacity)) for schedule, search in searches)
            yield [
                self._offer(schedule, problem, search, tiles) for schedule, search, tiles in found if tiles is not None
            ]

    def least_capacity(self, problem: Problem) -> int:
        problem = self.settled(problem)
        return min(self._search(schedule, problem).least_capacity for schedule in self._searched(problem))

    def forms(self) -> tuple[Form, ...]:
        forms = []
        for schedule in self.schedules:
            io, peak = schedule.claims(None, self.method)
            program = self.program(schedule)
            forms.append(Form(schedule=schedule.name, program=program, io=io, peak=peak, regime=schedule.regime))
        return tuple(forms)

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        problem = self.settled(problem)
        schedules = [schedule for schedule in self.schedules if self._refuses(schedule, problem) is None]
        if not schedules:
            self.check_supported(problem)
        allowed = {name for schedule in schedules for name in schedule.axes}
        fitting = [s for s in schedules if set(s.tiles) <= set(tiles) <= set(s.axes)]
        if not fitting:
            wanted = " or ".join(dict.fromkeys(" and ".join(s.tiles) for s in schedules))
            extra = ", ".join(sorted(set(tiles) - allowed))
            found = f"unknown {extra}" if extra else f"got {assignments(tiles)}"
            raise UsageError(f"--tiles: {self.name} needs {wanted}; {found}")
        streams = sorted(set(tiles) & set(fitting[0].streams))
        if streams and not problem.mask.full:
            raise UsageError(f"--tiles: {', '.join(streams)}: with a mask, it passes word by word; leave it out")
        for name, value in tiles.items():
            axis = fitting[0].axes[name]
            if not 1 <= value <= problem.length(axis):
                raise UsageError(f"--tiles: {name}={value}; allowed: 1 to {axis}={problem.length(axis):,}")
        plan = fewest(self._plan(schedule, problem, tiles) for schedule in fitting)
        assert plan is not None
        return plan

    def published(self, problem: Problem, capacity: int) -> Plan:
        for schedule in self.schedules:
            if schedule.published is not None and self._refuses(schedule, problem) is None:
                axes = {axis: problem.length(axis) for axis in ("n", "n_k", "d", "d_v")}
                return self._plan(schedule, problem, schedule.published(axes, capacity))
        raise UsageError(f"--tiles paper: {self.name} has no published tile rule; allowed: best, or sizes by name")

    def program(self, schedule: Schedule, problem: Problem | None = None) -> Program:
        """The program of a schedule, in symbols; for any problem without a mask if none is given."""
        arguments = schedule.arguments(problem, self.method)
        return built(schedule.author, name=f"{self.name} ({schedule.name})", **arguments)

    def _searched(self, problem: Problem) -> list[Schedule]:
        return [s for s in self.schedules if s.searched and self._refuses(s, problem) is None]

    def _search(self, schedule: Schedule, problem: Problem) -> TileSearch:
        lengths = tuple((name, problem.length(axis)) for name, axis in schedule.tiles.items())
        sizes = tuple({**problem.sizes, **schedule.fixed}.items())
        claim = schedule.claims(problem)[0]
        return _tile_search(self.program(schedule, problem), lengths, sizes, claim)

    def _offer(self, schedule: Schedule, problem: Problem, search: TileSearch, tiles: Mapping[str, int]) -> Offer:
        words = search.io_words(tiles)

        def known() -> Choice:
            return Choice(
                algorithm=self.name,
                schedule=schedule.name,
                tiles=_shown(schedule, tiles),
                io_words=words,
                peak_words=search.peak_words(tiles),
            )

        return Offer(io_words=words, plan=partial(self._plan, schedule, problem, tiles), known=known)

    def with_tiles(self, schedule: Schedule, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        """The plan of one of its schedules with these sizes of tiles and streams, whatever the fast memory."""
        return self._plan(schedule, self.settled(problem), tiles)

    def _plan(self, schedule: Schedule, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        sizes = {**problem.sizes, **schedule.fixed, **tiles}
        method = self.method
        return Plan(
            algorithm=self.name,
            schedule=schedule.name,
            program=self.program(schedule, problem),
            sizes=sizes,
            tiles=_shown(schedule, tiles),
            executed=_executed(schedule, problem, sizes),
            closed_form=schedule.claims(problem, sizes=sizes)[0],
            claimed_peak_words=schedule.claimed(problem, sizes)[1],
            regime=schedule.regime,
            recomputes=schedule.recomputes,
            layout=schedule.layout if method is None else method.layout,
            keys=method.keys({**sizes, "n_k": problem.n_k}) if method and method.keys else None,
        )


def _executed(schedule: Schedule, problem: Problem, sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes for numpy: tiles of at least a few hundred rows, streams as long as the scores of a tile stay small."""
    executed = dict(sizes)
    rows = ("n", "n_k")
    for name, axis in schedule.tiles.items():
        executed[name] = min(problem.length(axis), max(sizes[name], ROWS_EXECUTED))
    for name, (axis, _) in schedule.given.items():
        executed[name] = max(sizes[name], -(-problem.length(axis) // _PIECES_EXECUTED))
    tiles = [(axis, executed[name]) for name, axis in schedule.tiles.items() if axis in rows]
    tiles += [(name, value) for name, value in problem.settings if name in schedule.letters]
    for name, axis in schedule.streams.items():
        # a stream of keys meets tiles of queries, and the other way round
        across = [length for other, length in tiles if other != axis] or [length for _, length in tiles]
        longest = max(across, default=1)
        most = max(1, SCORES_EXECUTED // (longest * problem.group)) if axis in rows else problem.length(axis)
        executed[name] = min(problem.length(axis), max(sizes[name], most))
    return executed


def _shown(schedule: Schedule, tiles: Mapping[str, int]) -> dict[str, int]:
    """What a schedule chose, and what it was given."""
    return {**tiles, **{name: tiles.get(name, size) for name, (_, size) in schedule.given.items()}}


@lru_cache(maxsize=4096)  # a sweep over many sizes must not fill the memory
def _tile_search(
    program: Program,
    lengths: tuple[tuple[str, int], ...],
    sizes: tuple[tuple[str, int], ...],
    claim: Size,
) -> TileSearch:
    return TileSearch(program, dict(lengths), dict(sizes), claim)
