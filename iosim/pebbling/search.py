"""The fewest words that any schedule of a tiny computation graph moves, and a schedule that moves no more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from iosim.errors import UsageError
from iosim.pebbling import kernel
from iosim.pebbling.graph import Cdag, from_edges
from iosim.pebbling.moves import Move, MoveKind
from iosim.pebbling.symmetry import exchanges

_SLICE_S = 0.2  # between two looks at the clock
_MOST_STEPS = 2**22
_LOG = 2**10  # moves and exchanges of one step; one that has more is done again with more room
_LONGEST = 2**14  # words of a schedule: beyond what can be searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Pebbling:
    """What a search found.

    Attributes:
        graph: the graph, without the nodes that no output needs.
        capacity: words of fast memory.
        one_shot, overwrite: the rules.
        lower_bound: no schedule moves fewer words.
        moves: a schedule that moves no more; None if the search ended at a limit.
        stopped: the limit that ended the search, for people; None if it was not.
        states: states that were met.
        seconds: how long it took.
    """

    graph: Cdag
    capacity: int
    one_shot: bool
    overwrite: bool
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
    limit_GB: float = 4.0,
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
    _check(graph, capacity, overwrite)
    _compile()
    begun = time.monotonic()
    limits = _Limits(begun + limit_s, limit_s, limit_GB, progress or (lambda _bound, _states: None))
    game = compiled(graph, capacity, one_shot=True, overwrite=overwrite)
    once = _search(game, limits, _LONGEST)
    found, states = once, once.states
    if not one_shot:
        # A schedule without recomputation is one of this game too: what is left to find out is whether there is a better.
        most = _LONGEST if once.end is None else once.bound
        if once.end is None or most > graph.compulsory_words:
            game_again = compiled(graph, capacity, one_shot=False, overwrite=overwrite)
            again = _search(game_again, limits, most)
            states += again.states
            if again.end is not None or again.stopped:
                found, game = again, game_again
    moves = tuple(_schedule(found, game, graph)) if found.end is not None else None
    return Pebbling(
        graph=graph,
        capacity=capacity,
        one_shot=one_shot,
        overwrite=overwrite,
        lower_bound=max(found.bound, graph.compulsory_words),
        moves=moves,
        stopped=found.stopped,
        states=states,
        seconds=time.monotonic() - begun,
    )


@cache
def _compile() -> None:
    """Compiles the search, by a search: not part of what a search takes."""
    for one_shot in (True, False):
        game = compiled(from_edges([("a", "b")]), 2, one_shot=one_shot, overwrite=False)
        found = _search(game, _Limits(math.inf, math.inf, 0.001, lambda _bound, _states: None), _LONGEST)
        _schedule(found, game, from_edges([("a", "b")]))


def compiled(graph: Cdag, capacity: int, *, one_shot: bool, overwrite: bool) -> kernel.Game:
    """The graph and the rules as arrays; terms are numbered node by node, nodes in order."""
    number = _terms(graph)
    reaches = [0] * graph.size
    for node in reversed(graph.order):
        reaches[node] = (1 << node if node in graph.outputs and graph.terms[node] else 0) | _union(
            reaches[x] for x in graph.successors[node]
        )
    symmetries = _symmetries(graph)
    continued, first = _for_terms(graph, capacity, overwrite=overwrite)
    return kernel.Game(
        operands=_words(_set(term) for _, term in number),
        owner=np.array([node for node, _ in number], np.int64),
        made_of=_words(_set(number[node, term] for term in graph.terms[node]) for node in range(graph.size)),
        uses=_words(_set(t for (_, term), t in number.items() if node in term) for node in range(graph.size)),
        reaches=_words(reaches),
        outputs=np.uint64(_set(node for node in graph.outputs if graph.terms[node])),
        order=np.array(graph.order, np.int64),
        capacity=min(capacity, graph.size + 1),
        one_shot=one_shot,
        overwrite=overwrite,
        swaps=_swaps(symmetries),
        symmetries=len(symmetries),
        continued=np.array(continued, np.int64) * one_shot,
        first=np.array(first, np.int64) * one_shot,
    )


def _for_terms(graph: Cdag, capacity: int, *, overwrite: bool) -> tuple[list[list[int]], list[list[int]]]:
    """Of each term, the fewest words that are moved for it, whichever term is done before: if its node has been begun, and
    if it has not; loads only, and with stores. See `kernel._for_terms`.

    After a term its node and its operands are in fast memory (but for one operand, if the node took its place); only the
    words that are left over can be others that the next term needs. Nothing else is made in between.
    """
    terms = list(_terms(graph))
    uses = [sum(x in term for _, term in terms) for x in range(graph.size)]

    def least(number: int, costs: dict[int, int]) -> int:
        found = sum(costs.values()) if len(terms) > 1 else 0
        for other, (before, operands) in enumerate(terms):
            held = {before, *operands}
            missing = sorted(cost for x, cost in costs.items() if x not in held)
            room = capacity - len(held) + overwrite
            if other != number:
                found = min(found, sum(missing[: max(0, len(missing) - room)]))
        return found

    continued: list[list[int]] = [[], []]
    first: list[list[int]] = [[], []]
    for stores in (0, 1):
        for number, (node, term) in enumerate(terms):
            costs = {x: 1 + stores * (bool(graph.terms[x]) and uses[x] == 1 and x not in graph.outputs) for x in term}
            first[stores].append(least(number, costs))
            continued[stores].append(least(number, {**costs, node: 1 + stores}))
    return continued, first


def _check(graph: Cdag, capacity: int, overwrite: bool) -> None:
    terms = sum(map(len, graph.terms))
    if graph.size > kernel.MAX_NODES or terms > kernel.MAX_TERMS:
        raise UsageError(
            f"{graph.title}: {graph.size} nodes and {terms} terms; allowed: up to {kernel.MAX_NODES} nodes and "
            f"{kernel.MAX_TERMS} terms (an edge is a term, a node of the classical game is one)"
        )
    least = graph.least_capacity(overwrite=overwrite)
    if capacity < least:
        raise UsageError(f"M = {capacity}: {graph.title} needs at least {least} words of fast memory")


def _union(sets: Any) -> int:
    found = 0
    for one in sets:
        found |= one
    return found


def _set(members: Any) -> int:
    return _union(1 << member for member in members)


def _words(values: Any) -> Any:
    return np.array([int(value) for value in values], np.uint64)


def _terms(graph: Cdag) -> dict[tuple[int, frozenset[int]], int]:
    """The number of each term, by its node and operands."""
    listed = [(node, term) for node in graph.order for term in graph.terms[node]]
    return {key: number for number, key in enumerate(listed)}


def _symmetries(graph: Cdag) -> list[tuple[dict[int, int], dict[int, int]]]:
    """Each as the nodes that move and where to, and the same for terms."""
    number = _terms(graph)
    return [
        (
            moved,
            {
                t: number[moved.get(node, node), frozenset(moved.get(x, x) for x in term)]
                for (node, term), t in number.items()
            },
        )
        for moved in exchanges(graph)
    ]


def _swaps(symmetries: Sequence[tuple[dict[int, int], dict[int, int]]]) -> Any:
    """Each symmetry as exchanges of bits: (which, nodes or terms, distance, the lower bits)."""
    rows: list[tuple[int, int, int, int]] = []
    for which, both in enumerate(symmetries):
        for kind, images in enumerate(both):
            distances: dict[int, int] = {}
            for low, high in images.items():
                if low < high:
                    distances[high - low] = distances.get(high - low, 0) | 1 << low
            rows += [(which, kind, distance, mask) for distance, mask in distances.items()]
    return np.array(rows, np.uint64).reshape(-1, 4)


@dataclass(slots=True)
class _Limits:
    until: float
    seconds: float
    GB: float
    progress: Callable[[int, int], None]


@dataclass(slots=True)
class _Found:
    bound: int
    end: int | None
    stopped: str | None
    states: int
    table: kernel.Table
    steps: kernel.Steps


def _search(game: kernel.Game, limits: _Limits, most: int) -> _Found:
    """A* among the schedules that move fewer than `most` words; its bound is `most` if there is none."""
    rooms = int(limits.GB * 1e9 / kernel.BYTES_A_STATE)
    table = _table(max(rooms, 1000))
    steps = _steps(2**12)
    kernel.start(game, table, most)
    stopped, slice_states = None, 100
    while True:
        begun = time.monotonic()
        result = kernel.search(game, table, steps, most, slice_states)
        slice_states = max(10, int(slice_states * min(2.0, _SLICE_S / max(time.monotonic() - begun, 1e-6))))
        states, bound = int(table.counts[0]), min(int(table.counts[2]), most)
        if result >= 0 or result == kernel.NOTHING:
            break
        if result == kernel.SLOTS_FULL:
            table = table._replace(slots=np.zeros(2 * len(table.slots), np.int32))
            kernel.rehash(table)
        if result == kernel.STEPS_FULL:
            if 2 * len(steps.term) > _MOST_STEPS:
                stopped = f"more than {len(steps.term):,} steps from one state"
                break
            steps = _steps(2 * len(steps.term))
        if result == kernel.STATES_FULL:
            stopped = f"--limit-GB {limits.GB:g}: memory for {rooms:,} states"
            break
        if time.monotonic() > limits.until:
            stopped = f"--limit-s {limits.seconds:g}: time"
            break
        limits.progress(bound, states)
    return _Found(bound, int(result) if result >= 0 else None, stopped, states, table, steps)


def _table(rooms: int) -> kernel.Table:
    # np.empty takes no memory before it is written to
    return kernel.Table(
        states=np.empty((rooms, 3), np.uint64),
        parent=np.empty(rooms, np.int32),
        paid=np.empty(rooms, np.int16),
        bucket=np.empty(rooms, np.int16),
        before=np.empty(rooms, np.int32),
        after=np.empty(rooms, np.int32),
        head=np.full(_LONGEST, -1, np.int32),
        slots=np.zeros(2**14, np.int32),
        counts=np.zeros(3, np.int64),
    )


def _steps(rooms: int) -> kernel.Steps:
    return kernel.Steps(
        term=np.empty(rooms, np.int64),
        how=np.empty(rooms, np.int64),
        evicted=np.empty(rooms, np.uint64),
        spilled=np.empty(rooms, np.uint64),
        replaced=np.empty(rooms, np.int64),
    )


def _schedule(found: _Found, game: kernel.Game, graph: Cdag) -> list[Move]:
    """The moves that lead to the end: at each state of the path the step to the next one.

    A state in the table was moved by symmetries when it was met. So what is done in its terms is moved back.
    """
    table = found.table
    assert found.end is not None
    path = [found.end]
    while table.parent[path[-1]] >= 0:
        path.append(int(table.parent[path[-1]]))
    symmetries = _symmetries(graph)
    nodes, terms = list(range(kernel.MAX_NODES)), list(range(kernel.MAX_TERMS))
    moves: list[Move] = []
    for before, after in zip(path[:0:-1], path[-2::-1], strict=True):
        log = _step(found, game, before, after)
        exchanged = [number for kind, number in log if kind == kernel.EXCHANGE]
        for kind, what in log:
            if kind != kernel.EXCHANGE:
                moves.append(Move(MoveKind(kind), terms[what] if kind == kernel.TERM else nodes[what]))
        for number in exchanged:
            moved, moved_terms = symmetries[number]
            nodes = [nodes[moved.get(x, x)] for x in range(len(nodes))]
            terms = [terms[moved_terms.get(x, x)] for x in range(len(terms))]
    B = int(table.states[found.end, 2])
    left = [v for v in range(graph.size) if int(game.outputs) >> v & 1 and int(game.made_of[v]) & ~B]
    return moves + [Move(MoveKind.STORE, nodes[v]) for v in left]


def _step(found: _Found, game: kernel.Game, before: int, after: int) -> list[tuple[int, int]]:
    """What leads from one state of the table to another, moves first and then symmetries."""
    table = found.table
    words = table.paid[after] - table.paid[before]
    R, X, B = table.states[before]
    for number in range(kernel.steps_from(game, R, X, B, found.steps)):
        rooms = _LOG
        while True:
            log = np.zeros((rooms, 2), np.int64)
            *state, cost = kernel.take(game, R, X, B, found.steps, number, log)
            r, x, b = map(np.uint64, state)
            reached = kernel.canonical(game, r, x, b, log)
            if log[0, 0] < rooms:
                break
            rooms = int(log[0, 0]) + 1
        if cost <= words and reached == tuple(table.states[after]):
            return [(int(kind), int(what)) for kind, what in log[1 : log[0, 0] + 1]]
    raise AssertionError("a state is not reached from its parent")
