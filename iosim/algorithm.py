"""What an algorithm is: schedules with their tile rule, closed form, regime and source.

An `Algorithm` answers one question: which schedule, with which tiles, for this problem and this fast memory? The answer
is a `Plan`: a program with values for all its sizes, and what the algorithm claims about it. Most algorithms are
`Tiled`: a few author functions with symbolic tile sizes, among which the exact count decides.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from iosim.bounds.bound import Property, Setting
from iosim.builder import build
from iosim.errors import ProgramError, UsageError
from iosim.expr import Size, evaluate_int, symbol
from iosim.interpret.count import Count, count, peak_words
from iosim.masks import FULL, AnyMask, Mask
from iosim.method import Method
from iosim.program import Program, for_each
from iosim.task import ATTENTION, GRADIENT, Task
from iosim.tile_search import TileSearch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Shapes of numpy work that keep a Python loop short without much memory.
_ROWS_EXECUTED = 256
_SCORES_EXECUTED = 2**20
_PIECES_EXECUTED = 512


Layout: TypeAlias = (
    "Callable[[Mapping[str, NDArray[np.float64]], Mapping[str, int]], Mapping[str, NDArray[np.float64]]]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be computed: attention of n queries over n_k keys, in d dimensions, once for each of several heads.

    Attributes:
        n: queries of a head.
        d: head dimension of Q and K.
        n_k: keys; 0 stands for as many as queries.
        d_v: head dimension of V and O; 0 stands for d.
        heads: instances with keys and values of their own: the heads of all sequences of a batch.
        group: query heads that share the keys and values of an instance (grouped-query attention).
        mask: which keys a query meets.
        tied: whether V is the first d_v columns of K.
        degree: of the polynomial in place of the exponential, for approximate algorithms.
        weights: its coefficients c_0, ..., c_degree, once they are known; they move nothing.
        settings: of an approximate method, by name.
    """

    n: int
    d: int
    n_k: int = 0
    d_v: int = 0
    heads: int = 1
    group: int = 1
    mask: AnyMask = FULL
    tied: bool = False
    degree: int = 2
    weights: tuple[float, ...] | None = None
    settings: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_k", self.n_k or self.n)
        object.__setattr__(self, "d_v", self.d_v or self.d)
        self.mask.check(self.n, self.n_k)
        if self.tied and self.d_v > self.d:
            raise UsageError(f"tied: V is {self.d_v} columns of K, which has {self.d}; allowed: d_v <= d")

    def with_n(self, n: int) -> Problem:
        """The same with n queries, and n keys if there were as many; under a mask, with the earlier keys that there were."""
        if self.n_k == self.n:
            return replace(self, n=n, n_k=n)
        return replace(self, n=n, n_k=self.n_k if self.mask.full else self.n_k - self.n + n)

    @property
    def sizes(self) -> dict[str, int]:
        """Values of the symbols in `letters`."""
        sizes = {"n": self.n, "d": self.d}
        sizes |= {"n_k": self.n_k} if self.n_k != self.n else {}
        sizes |= {"d_v": self.d_v} if self.d_v != self.d else {}
        return sizes | ({"g": self.group} if self.group > 1 else {}) | dict(self.settings)

    @property
    def letters(self) -> dict[str, Any]:
        """What an author's `n`, `n_k`, `d`, `d_v`, `mask`, `g` and settings stand for.

        Sizes that are the same are one symbol. Without a mask, the queries of a group of heads that share keys are rows of
        one long Q; with one, row r is the query of position r // g.
        """
        n, d, g = symbol("n"), symbol("d"), symbol("g") if self.group > 1 else 1
        return {
            "n": n * g if self.mask.full else n,
            "n_k": n if self.n_k == self.n else symbol("n_k"),
            "d": d,
            "d_v": d if self.d_v == self.d else symbol("d_v"),
            "mask": self.mask,
            "g": 1 if self.mask.full else g,
            **{name: symbol(name) for name, _ in self.settings},
        }

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that meet, over all heads."""
        return self.heads * self.group * self.mask.pairs(self.n, self.n_k)

    def setting(
        self, M: int, *, properties: Iterable[Property] = (), degree: int | None = None, keys: int | None = None
    ) -> Setting:
        """What lower bounds look at, over all heads.

        Args:
            M: words of fast memory.
            properties: of the schedules that are asked about; that V is tied to K is known.
            degree: of the polynomial, for approximate attention.
            keys: how many keys of an instance are ever used; all that some query meets if not given.
        """
        tied: set[Property] = {"tied"} if self.tied else set()
        return Setting(
            N=self.pairs,
            n_q=self.heads * self.group * self.n,
            n_k=self.heads * (self.mask.keys(self.n, self.n_k) if keys is None else keys),
            d=self.d,
            d_v=self.d_v,
            M=M,
            properties=frozenset({*tied, *properties}),
            g=degree,
        )

    def length(self, letter: str) -> int:
        """The value of one of the sizes among the letters."""
        return evaluate_int(self.letters[letter], self.sizes)

    def __str__(self) -> str:
        plain = "" if self.mask.full else f", mask {self.mask}"
        group = f", {self.group} query heads a key head" if self.group > 1 else ""
        keys = f", n_k={self.n_k:,}" if self.n_k != self.n else ""
        values = f", d_v={self.d_v}" if self.d_v != self.d else ""
        return f"n={self.n:,}{keys}, d={self.d}{values}{group}{plain}"


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
    closed_form_words: int
    claimed_peak_words: int
    regime: str
    recomputes: bool = False
    layout: Layout | None = None
    keys: int | None = None

    def count(self) -> Count:
        """The exact count at these sizes."""
        return count(self.program, self.sizes)

    def times(self, heads: int) -> Plan:
        """The plan for that many instances, one after the other; this one is for one."""
        if heads == 1:
            return self
        return replace(
            self,
            program=for_each(self.program, "h", symbol("heads")),
            sizes={**self.sizes, "heads": heads},
            executed={**self.executed, "heads": heads},
            closed_form=symbol("heads") * self.closed_form,
            closed_form_words=heads * self.closed_form_words,
        )

    @property
    def io_words(self) -> int:
        """The counted traffic at these sizes. Units: words."""
        return evaluate_int(self.count().io_words, {})

    @property
    def peak_words(self) -> int:
        """The exact peak at these sizes. Units: words."""
        return evaluate_int(peak_words(self.program, self.sizes), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
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
    """

    name: str
    summary: str
    source: str
    approximate: bool = False
    computes: Task = ATTENTION
    properties: frozenset[Property] = frozenset()
    method: Method | None = None

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
        if problem.n_k != problem.n or problem.group > 1:
            return "as many keys as queries"
        if problem.d_v != problem.d:
            return "values as wide as keys"
        return None if problem.mask.full else "no mask"

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
            raise UsageError(
                f"{self.name} at {problem}{self.chosen(problem)} needs at least {least:,} words of fast memory, "
                f"got {capacity:,}"
            )
        return plan


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
            return "as many keys as queries"
        if "d_v" not in taken and given["d_v"] != given["d"]:
            return "values as wide as keys"
        if "mask" not in taken and not problem.mask.full:
            return "no mask"
        if not isinstance(problem.mask, Mask):
            return "masks that are bands: full, causal, window, band"
        if "g" not in taken and given["g"] != 1:
            return "one query head a key head"
        return self.refuses(problem)

    def arguments(self, problem: Problem | None, method: Method | None = None) -> dict[str, Any]:
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

    def claims(self, problem: Problem | None, method: Method | None = None) -> tuple[Size, Size]:
        """The claimed traffic and peak in symbols, the streams as 1."""
        given = self.arguments(problem, method) | dict.fromkeys(self.streams, 1)
        return self.io(**given), self.peak(**given)

    def claimed(self, problem: Problem, sizes: Mapping[str, int]) -> tuple[int, int]:
        """The claimed traffic and peak at these sizes."""
        given = {
            name: value if isinstance(value, Mask) else evaluate_int(value, sizes)
            for name, value in self.arguments(problem).items()
        }
        return evaluate_int(self.io(**given), {}), evaluate_int(self.peak(**given), {})


ANY_LETTERS: Mapping[str, Any] = {**{name: symbol(name) for name in ("n", "n_k", "d", "d_v")}, "mask": FULL, "g": 1}


@dataclass(frozen=True, kw_only=True)
class Tiled(Algorithm):
    """An algorithm whose schedules are author functions with symbolic tile sizes.

    The tile rule minimises the exact count over all tile sizes whose exact peak fits in the fast memory.
    """

    schedules: tuple[Schedule, ...]

    def unsupported(self, problem: Problem) -> str | None:
        if problem.tied and self.computes == GRADIENT:
            return "values of their own"
        if self._searched(problem):
            return None
        reasons = (schedule.unsupported(problem) for schedule in self.schedules)
        return next((reason for reason in reasons if reason), "other masks, unless --tiles are given")

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
        schedules = [schedule for schedule in self.schedules if schedule.unsupported(problem) is None]
        if not schedules:
            raise UsageError(f"{self.name} at {problem}: this algorithm is for {self.unsupported(problem)}")
        allowed = {name for schedule in schedules for name in schedule.axes}
        fitting = [s for s in schedules if set(s.tiles) <= set(tiles) <= set(s.axes)]
        if not fitting:
            wanted = " or ".join(dict.fromkeys(" and ".join(s.tiles) for s in schedules))
            extra = ", ".join(sorted(set(tiles) - allowed))
            found = f"unknown {extra}" if extra else f"got {_assignments(tiles)}"
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
            if schedule.published is not None and schedule.unsupported(problem) is None:
                axes = {axis: problem.length(axis) for axis in ("n", "n_k", "d", "d_v")}
                return self._plan(schedule, problem, schedule.published(axes, capacity))
        raise UsageError(f"--tiles paper: {self.name} has no published tile rule; allowed: best, or sizes by name")

    def program(self, schedule: Schedule, problem: Problem | None = None) -> Program:
        """The program of a schedule, in symbols; for any problem without a mask if none is given."""
        arguments = schedule.arguments(problem, self.method)
        return built(schedule.author, name=f"{self.name} ({schedule.name})", **arguments)

    def _searched(self, problem: Problem) -> list[Schedule]:
        return [s for s in self.schedules if s.searched and s.unsupported(problem) is None]

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
        io, peak = schedule.claimed(problem, sizes)
        method = self.method
        return Plan(
            algorithm=self.name,
            schedule=schedule.name,
            program=self.program(schedule, problem),
            sizes=sizes,
            tiles=_shown(schedule, tiles),
            executed=_executed(schedule, problem, sizes),
            closed_form=schedule.claims(problem)[0],
            closed_form_words=io,
            claimed_peak_words=peak,
            regime=schedule.regime,
            recomputes=schedule.recomputes,
            layout=schedule.layout if method is None else method.layout,
            keys=method.keys({**sizes, "n_k": problem.n_k}) if method and method.keys else None,
        )


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


def _executed(schedule: Schedule, problem: Problem, sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes for numpy: tiles of at least a few hundred rows, streams as long as the scores of a tile stay small."""
    executed = dict(sizes)
    rows = ("n", "n_k")
    for name, axis in schedule.tiles.items():
        executed[name] = min(problem.length(axis), max(sizes[name], _ROWS_EXECUTED))
    for name, (axis, _) in schedule.given.items():
        executed[name] = max(sizes[name], -(-problem.length(axis) // _PIECES_EXECUTED))
    tiles = [(axis, executed[name]) for name, axis in schedule.tiles.items() if axis in rows]
    tiles += [(name, value) for name, value in problem.settings if name in schedule.letters]
    for name, axis in schedule.streams.items():
        # a stream of keys meets tiles of queries, and the other way round
        across = [length for other, length in tiles if other != axis] or [length for _, length in tiles]
        longest = max(across, default=1)
        most = max(1, _SCORES_EXECUTED // (longest * problem.group)) if axis in rows else problem.length(axis)
        executed[name] = min(problem.length(axis), max(sizes[name], most))
    return executed


def _shown(schedule: Schedule, tiles: Mapping[str, int]) -> dict[str, int]:
    """What a schedule chose, and what it was given."""
    return {**tiles, **{name: tiles.get(name, size) for name, (_, size) in schedule.given.items()}}


def _itself(plan: Plan) -> Plan:
    return plan


def _assignments(tiles: Mapping[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in tiles.items())


@lru_cache(maxsize=1024)
def built(author: Callable[..., None], *, name: str, **arguments: Any) -> Program:
    """The program that an author writes, see `iosim.builder.build`: the same one for the same arguments."""
    return build(author, name=name, **arguments)


@lru_cache(maxsize=4096)  # a sweep over many sizes must not fill the memory
def _tile_search(
    program: Program,
    lengths: tuple[tuple[str, int], ...],
    sizes: tuple[tuple[str, int], ...],
    claim: Size,
) -> TileSearch:
    return TileSearch(program, dict(lengths), dict(sizes), claim)
