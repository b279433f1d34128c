"""The fewest words that any schedule of a tiny computation graph moves, and a schedule that moves no more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from iosim.defaults import DEFAULT_LIMIT_GB
from iosim.errors import UsageError
from iosim.pebbling.game import EXCHANGE, MAX_NODES, MAX_TERMS, TERM, Game, canonical
from iosim.pebbling.graph import Cdag, from_edges
from iosim.pebbling.moves import Move, MoveKind
from iosim.pebbling.rules import compiled, symmetries_of
from iosim.pebbling.steps import Steps, steps_from, take
from iosim.pebbling.table import (
    AGAIN,
    BYTES_A_STATE,
    NOTHING,
    SLOTS_FULL,
    STATES_FULL,
    STEPS_FULL,
    Table,
    a_star,
    descend,
    layer,
    rehash,
    start,
)
from iosim.refusals import does_not_fit

_SLICE_S = 0.2  # between two looks at the clock
_MOST_STEPS = 2**22
_LOG = 2**10  # moves and exchanges of one step; one that has more is done again with more room
_WIDTH = 100  # states of each layer of a beam search
_LONGEST = 2**14  # words of a schedule: beyond what can be searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Pebbling:
    """What a search found.

    Attributes:
        graph: the graph, without the nodes that no output needs.
        capacity: words of fast memory.
        lower_bound: no schedule moves fewer words.
        moves: a schedule that moves no more; None if the search ended at a limit.
        stopped: the limit that ended the search, for people; None if it was not.
        states: states that were met.
        seconds: how long it took.
    """

    graph: Cdag
    capacity: int
    lower_bound: int
    moves: tuple[Move, ...] | None
    stopped: str | None
    states: int
    seconds: float

    @property
    def optimum(self) -> int | None:
        """The fewest words that any schedule moves, if it was found. Units: words."""
        return self.lower_bound if self.moves is not None else None


def optimal_pebbling(
    graph: Cdag,
    capacity: int,
    *,
    one_shot: bool = False,
    overwrite: bool = False,
    limit_s: float = math.inf,
    limit_GB: float = DEFAULT_LIMIT_GB,
    where: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pebbling:
    """The fewest words that any schedule of the graph moves.

    Args:
        graph: what is to be computed.
        capacity: words of fast memory.
        one_shot: whether no term may be done twice (no recomputation).
        overwrite: whether a new word may take the place of an operand of the term that makes it; by default it needs a
            free one.
        limit_s: seconds after which the search gives up.
        limit_GB: memory for states, in units of 10^9 bytes, beyond which it gives up.
        where: what to call the capacity in an error; its words if not given.
        progress: called now and then with the lower bound so far and the number of states.

    Raises:
        UsageError: the graph has more than 64 nodes or terms that matter, or some node can't be computed in so little
            fast memory.

    Example:
        >>> from iosim.pebbling.families import attention
        >>> optimal_pebbling(attention(2, 2, 1, 1), 6).optimum  # 6 inputs loaded, 2 outputs stored
        8
    """
    graph = graph.trimmed()
    _check(graph, capacity, overwrite, where)
    _compile()
    begun = time.monotonic()
    limits = Limits(begun + limit_s, limit_s, limit_GB, progress or (lambda _bound, _states: None))
    game = compiled(graph, capacity, one_shot=True, overwrite=overwrite)
    good = good_schedule(game, limits)
    best = best_below(game, limits, good.bound)
    states = good.states + best.states
    if best.end is None and best.stopped is None:
        best = good
    if not one_shot and good.bound > graph.compulsory_words:
        # A schedule without recomputation is one of this game too: what is left to find out is whether there is a better.
        game = compiled(graph, capacity, one_shot=False, overwrite=overwrite)
        if game.recompute:
            again = best_below(game, limits, good.bound if best.end is None else best.bound)
            states += again.states
            if again.end is not None or again.stopped is not None:
                best = again
            elif best.end is None:
                best = good  # though the first search was stopped, nothing is better
    moves = tuple(_schedule(best, graph)) if best.end is not None else None
    return Pebbling(
        graph=graph,
        capacity=capacity,
        lower_bound=max(best.bound, graph.compulsory_words),
        moves=moves,
        stopped=best.stopped,
        states=states,
        seconds=time.monotonic() - begun,
    )


@cache
def _compile() -> None:
    """Compiles the search, by a search: not part of what a search takes."""
    graph = from_edges([("a", "b")])
    limits = Limits(math.inf, math.inf, 0.001, lambda _bound, _states: None)
    game = compiled(graph, 2, one_shot=True, overwrite=False)
    for found in (good_schedule(game, limits), best_below(game, limits, _LONGEST)):
        _schedule(found, graph)


def _check(graph: Cdag, capacity: int, overwrite: bool, where: str | None) -> None:
    terms = sum(map(len, graph.terms))
    if graph.size > MAX_NODES or terms > MAX_TERMS:
        raise UsageError(
            f"{graph.title}: {graph.size} nodes and {terms} terms; allowed: up to {MAX_NODES} nodes and "
            f"{MAX_TERMS} terms (an edge is a term, a node of the classical game is one)"
        )
    least = graph.least_capacity(overwrite=overwrite)
    if capacity < least:
        raise does_not_fit(where or f"M = {capacity:,}", graph.title, least)


@dataclass(slots=True)
class Limits:
    """When a search gives up.

    Attributes:
        until: by this clock (`time.monotonic`). Units: seconds.
        seconds, GB: what was asked for; memory for states, in units of 10^9 bytes.
        progress: called now and then with the lower bound so far and the number of states.
    """

    until: float
    seconds: float
    GB: float
    progress: Callable[[int, int], None]

    @property
    def rooms(self) -> int:
        """States that there is memory for."""
        return max(1000, int(self.GB * 1e9 / BYTES_A_STATE))


@dataclass(slots=True)
class Found:
    """How far a search came.

    Attributes:
        game: that was searched.
        bound: no schedule that was looked for moves fewer words.
        end: the last state of a schedule that moves no more; None if there is none yet.
        stopped: the limit that ended the search, for people; None if none did.
        states: states that were met.
        table, steps: they and the ways between them.
    """

    game: Game
    bound: int
    end: int | None
    stopped: str | None
    states: int
    table: Table
    steps: Steps


def good_schedule(game: Game, limits: Limits) -> Found:
    """A schedule without recomputation that moves few words, as its `bound`.

    If a limit ended the search, or none of the states that promised most led to the end, there is no `end`, and the bound
    is one that is never reached.
    """
    found = Found(game, _LONGEST, None, None, 0, _table(limits.rooms), empty_steps(2**12))
    start(game, found.table, _LONGEST)
    found.table.head[:] = -1
    found.table.head[0] = 0
    for done in range(len(game.owner)):
        result = SLOTS_FULL
        while result != AGAIN:
            if time.monotonic() > limits.until:
                return found
            result = descend(game, found.table, found.steps, done, _WIDTH)
            if not _more_room(found, result):
                return found
    found.states = int(found.table.counts[0])
    ends = layer(found.table, len(game.owner))
    if ends:
        found.end = min(ends, key=lambda i: int(found.table.paid[i]))
        found.bound = int(found.table.paid[found.end])
    return found


def best_below(game: Game, limits: Limits, most: int) -> Found:
    """A* among the schedules that move fewer than `most` words; its bound is `most` if there is none."""
    found = Found(game, 0, None, None, 0, _table(limits.rooms), empty_steps(2**12))
    start(game, found.table, most)
    slice_states = 100
    while True:
        begun = time.monotonic()
        result = int(a_star(game, found.table, found.steps, most, slice_states))
        slice_states = max(10, int(slice_states * min(2.0, _SLICE_S / max(time.monotonic() - begun, 1e-6))))
        found.states, found.bound = int(found.table.counts[0]), min(int(found.table.counts[2]), most)
        if result >= 0:
            found.end = result
            return found
        if result == NOTHING:
            return found
        if not _more_room(found, result):
            found.stopped = (
                f"--limit-GB {limits.GB:g}: memory for {limits.rooms:,} states"
                if result == STATES_FULL
                else f"more than {len(found.steps.term):,} steps from one state"
            )
            return found
        if time.monotonic() > limits.until:
            found.stopped = f"--limit-s {limits.seconds:g}: time"
            return found
        limits.progress(found.bound, found.states)


def _more_room(found: Found, result: int) -> bool:
    """Whether the search can go on, with more room where that is what it wants."""
    if result == SLOTS_FULL:
        found.table = found.table._replace(slots=np.zeros(2 * len(found.table.slots), np.int32))
        rehash(found.table)
    if result == STEPS_FULL:
        if 2 * len(found.steps.term) > _MOST_STEPS:
            return False
        found.steps = empty_steps(2 * len(found.steps.term))
    return result != STATES_FULL


def _table(rooms: int) -> Table:
    # np.empty takes no memory before it is written to
    return Table(
        states=np.empty((rooms, 3), np.uint64),
        parent=np.empty(rooms, np.int32),
        paid=np.empty(rooms, np.int16),
        rest=np.empty(rooms, np.int16),
        waits=np.empty(rooms, np.int8),
        before=np.empty(rooms, np.int32),
        after=np.empty(rooms, np.int32),
        head=np.full(_LONGEST, -1, np.int32),
        slots=np.zeros(2**14, np.int32),
        counts=np.zeros(3, np.int64),
        no_log=np.empty((0, 2), np.int64),
    )


def empty_steps(rooms: int) -> Steps:
    """Room for so many steps from one state."""
    return Steps(
        term=np.empty(rooms, np.int64),
        how=np.empty(rooms, np.int64),
        evicted=np.empty(rooms, np.uint64),
        spilled=np.empty(rooms, np.uint64),
        replaced=np.empty(rooms, np.int64),
        pool=np.empty(MAX_NODES, np.int64),
        chosen=np.empty(MAX_NODES, np.int64),
    )


def _schedule(found: Found, graph: Cdag) -> list[Move]:
    """The moves that lead to the end: at each state of the path the step to the next one.

    A state in the table was moved by symmetries when it was met. So what is done in its terms is moved back.
    """
    table = found.table
    assert found.end is not None
    path = [found.end]
    while table.parent[path[-1]] >= 0:
        path.append(int(table.parent[path[-1]]))
    symmetries = symmetries_of(graph)
    nodes, terms = list(range(MAX_NODES)), list(range(MAX_TERMS))
    moves: list[Move] = []
    for before, after in zip(path[:0:-1], path[-2::-1], strict=True):
        log = _step(found, before, after)
        exchanged = [number for kind, number in log if kind == EXCHANGE]
        for kind, what in log:
            if kind != EXCHANGE:
                moves.append(Move(MoveKind(kind), terms[what] if kind == TERM else nodes[what]))
        for number in exchanged:
            moved, moved_terms = symmetries[number]
            nodes = [nodes[moved.get(x, x)] for x in range(len(nodes))]
            terms = [terms[moved_terms.get(x, x)] for x in range(len(terms))]
    B = int(table.states[found.end, 2])
    left = [v for v in range(graph.size) if int(found.game.outputs) >> v & 1 and int(found.game.made_of[v]) & ~B]
    return moves + [Move(MoveKind.STORE, nodes[v]) for v in left]


def _step(found: Found, before: int, after: int) -> list[tuple[int, int]]:
    """What leads from one state of the table to another, moves first and then symmetries."""
    game, table = found.game, found.table
    words = table.paid[after] - table.paid[before]
    R, X, B = table.states[before]
    for number in range(steps_from(game, R, X, B, found.steps, 2 * MAX_NODES)):
        rooms = _LOG
        while True:
            log = np.zeros((rooms, 2), np.int64)
            *state, cost = take(game, R, X, B, found.steps, number, log)
            r, x, b = map(np.uint64, state)
            reached = canonical(game, r, x, b, log)
            if log[0, 0] < rooms:
                break
            rooms = int(log[0, 0]) + 1
        if cost <= words and reached == tuple(table.states[after]):
            return [(int(kind), int(what)) for kind, what in log[1 : log[0, 0] + 1]]
    raise AssertionError("a state is not reached from its parent")
