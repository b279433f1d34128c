"""The pebble games as their rules say it: single moves, no order preferred, every state kept. For graphs of a few nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from iosim.pebbling.graph import Cdag

# A copy of a node is the set of its terms that it is the sum of, as bits; -1 where there is none. An input has the copy 0.
State = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # fast copies, slow copies, terms done


def least_words(graph: Cdag, capacity: int, *, one_shot: bool, overwrite: bool) -> int:
    """The fewest loads and stores that lead to all outputs in slow memory, by breadth first over all states."""
    whole = tuple((1 << len(terms)) - 1 for terms in graph.terms)
    nothing = tuple(-1 for _ in graph.terms)
    slow = tuple(-1 if terms else 0 for terms in graph.terms)
    start: State = (nothing, slow, tuple(0 for _ in graph.terms))
    best = {start: 0}
    queue = deque([(0, start)])
    while queue:
        paid, state = queue.popleft()
        if paid > best[state]:
            continue
        if all(state[1][node] == whole[node] for node in graph.outputs):
            return paid
        for cost, after in _moves(graph, whole, capacity, state, one_shot, overwrite):
            if paid + cost < best.get(after, 10**9):
                best[after] = paid + cost
                (queue.append if cost else queue.appendleft)((paid + cost, after))
    raise AssertionError("no schedule")


def _with(copies: tuple[int, ...], node: int, copy: int) -> tuple[int, ...]:
    return (*copies[:node], copy, *copies[node + 1 :])


def _moves(
    graph: Cdag, whole: tuple[int, ...], capacity: int, state: State, one_shot: bool, overwrite: bool
) -> Iterator[tuple[int, State]]:
    fast, slow, done = state
    live = sum(copy >= 0 for copy in fast)
    for node, terms in enumerate(graph.terms):
        if slow[node] >= 0 and fast[node] != slow[node] and (fast[node] >= 0 or live < capacity):
            yield 1, (_with(fast, node, slow[node]), slow, done)
        if fast[node] >= 0:
            if terms and slow[node] != fast[node]:
                yield 1, (fast, _with(slow, node, fast[node]), done)
            yield 0, (_with(fast, node, -1), slow, done)
        for number, operands in enumerate(terms):
            bit = 1 << number
            if any(fast[x] != whole[x] for x in operands) or (one_shot and done[node] & bit):
                continue
            now_done = _with(done, node, done[node] | bit) if one_shot else done
            if fast[node] >= 0:
                if not fast[node] & bit:
                    yield 0, (_with(fast, node, fast[node] | bit), slow, now_done)
                continue
            if live < capacity:
                yield 0, (_with(fast, node, bit), slow, now_done)
            if overwrite:
                for x in operands:
                    yield 0, (_with(_with(fast, x, -1), node, bit), slow, now_done)
