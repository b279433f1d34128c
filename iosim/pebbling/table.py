"""The states that were met and the searches among them, compiled: A* for the optimum, a quick one for a good schedule."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iosim.pebbling.at_least import at_least, moved_at_least, terms_that_must
from iosim.pebbling.game import ONE, ZERO, U, Words, canonical, complete, unstored
from iosim.pebbling.steps import steps_from, take
from iosim.traces.jit import jit, ones


class Table(NamedTuple):
    """The states that were met, and which are to be searched next.

    Attributes:
        states: R, X, B. [states, 3]
        parent: the state that it was reached from. [states]
        paid: words moved to reach it. [states]
        rest: words that are still to be moved from it to the end, at least. [states]
        waits: whether it is in a bucket, to be searched. [states]
        before, after: the neighbours in its bucket, or -1. [states]
        head: the first state in each bucket, or -1. [buckets]
        slots: a hash table of positions in `states`, 1 more than those; 0 is empty.
        counts: states, states searched, the bucket that is being searched.
        no_log: for moves that are not written down.
    """

    states: Words
    parent: NDArray[np.int32]
    paid: NDArray[np.int16]
    rest: NDArray[np.int16]
    waits: NDArray[np.int8]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    head: NDArray[np.int32]
    slots: NDArray[np.int32]
    counts: NDArray[np.int64]
    no_log: NDArray[np.int64]


# A state and its neighbours, its share of slots (at most four to a state), and of half as many before there were so many.
BYTES_A_STATE = (3 * 8 + 4 + 2 + 2 + 1 + 4 + 4) + 4 * 4 + 2 * 4


@jit
def _hash(R: Any, X: Any, B: Any) -> Any:
    h = (R * U(0x9E3779B97F4A7C15)) ^ (X * U(0xC2B2AE3D27D4EB4F)) ^ (B * U(0x165667B19E3779F9))
    h = (h ^ (h >> U(29))) * U(0xBF58476D1CE4E5B9) + (X >> U(32)) + (B >> U(31)) * U(0x94D049BB133111EB)
    h = (h ^ (h >> U(32))) * U(0x94D049BB133111EB)
    return h ^ (h >> U(29))


@jit
def rehash(table: Any) -> None:
    """Fills empty slots."""
    mask = U(table.slots.shape[0] - 1)
    for i in range(table.counts[0]):
        at = _hash(table.states[i, 0], table.states[i, 1], table.states[i, 2]) & mask
        while table.slots[at] != 0:
            at = (at + ONE) & mask
        table.slots[at] = i + 1


@jit
def _unlink(table: Any, i: int, bucket: int) -> None:
    before, after = table.before[i], table.after[i]
    if before >= 0:
        table.after[before] = after
    else:
        table.head[bucket] = after
    if after >= 0:
        table.before[after] = before
    table.waits[i] = 0


@jit
def _link(table: Any, i: int, bucket: int) -> None:
    first = table.head[bucket]
    table.waits[i], table.before[i], table.after[i] = 1, -1, first
    if first >= 0:
        table.before[first] = i
    table.head[bucket] = i


@jit
def _reach(game: Any, table: Any, R: Any, X: Any, B: Any, paid: int, parent: int, floor: int) -> Any:
    """The place of a state that was reached for `paid` words, and what a schedule through it moves at least before and now.

    The state is the same as before up to symmetry. -1 if it had been reached for no more; before it was met first, the
    schedule moves infinitely many words. A state that was waiting in the bucket of the former is still there.
    """
    R, X, B = canonical(game, R, X, B, table.no_log)
    mask = U(table.slots.shape[0] - 1)
    at = _hash(R, X, B) & mask
    while table.slots[at] != 0:
        i = table.slots[at] - 1
        if table.states[i, 0] == R and table.states[i, 1] == X and table.states[i, 2] == B:
            if paid >= table.paid[i]:
                return -1, 0, 0
            was = table.paid[i] + table.rest[i]
            table.paid[i], table.parent[i] = paid, parent
            table.rest[i] = max(table.rest[i], floor - paid)
            return i, was, paid + table.rest[i]
        at = (at + ONE) & mask
    i = table.counts[0]
    table.counts[0] += 1
    table.slots[at] = i + 1
    table.states[i, 0], table.states[i, 1], table.states[i, 2] = R, X, B
    table.paid[i], table.parent[i], table.waits[i] = paid, parent, 0
    table.rest[i] = max(at_least(game, R, X, B), floor - paid)
    return i, -1, paid + table.rest[i]


@jit
def start(game: Any, table: Any, limit: int) -> None:
    """Puts the first state into an empty table."""
    i, _, f = _reach(game, table, ZERO, ZERO, ZERO, 0, -1, 0)
    if f < limit:
        _link(table, i, f)


# What a search came back with, if not the number of a final state.
AGAIN, NOTHING, SLOTS_FULL, STATES_FULL, STEPS_FULL = -1, -2, -3, -4, -5


@jit
def _room(table: Any, found: int) -> int:
    """Why there is no room for the states that so many steps lead to; AGAIN if there is."""
    if found < 0:
        return STEPS_FULL
    if 2 * (table.counts[0] + found) > table.slots.shape[0]:
        return SLOTS_FULL
    if table.counts[0] + found > table.states.shape[0]:
        return STATES_FULL
    return AGAIN


@jit
def a_star(game: Any, table: Any, steps: Any, limit: int, searched: int) -> Any:
    """Searches that many states; the number of a state at the end of an optimal schedule, or why there is none yet.

    Schedules that move `limit` words or more are left out.
    """
    for _ in range(searched):
        while table.counts[2] < limit and table.head[table.counts[2]] < 0:
            table.counts[2] += 1
        if table.counts[2] >= limit:
            return NOTHING
        floor = table.counts[2]
        i = table.head[floor]
        R, X, B, paid = table.states[i, 0], table.states[i, 1], table.states[i, 2], table.paid[i]
        unfinished = unstored(game, B)
        if unfinished & ~complete(game, R, X) == ZERO:
            return i
        known = paid + moved_at_least(game, R, X, B, terms_that_must(game, X, B), unfinished)
        found = steps_from(game, R, X, B, steps, limit - 1 - known)
        room = _room(table, found)
        if room != AGAIN:
            return room
        _unlink(table, i, floor)
        table.counts[1] += 1
        for number in range(found):
            r, x, b, cost = take(game, R, X, B, steps, number, table.no_log)
            j, was, f = _reach(game, table, r, x, b, paid + cost, i, floor)
            if j < 0 or f >= limit:
                continue
            if table.waits[j] != 0:
                _unlink(table, j, was)
            _link(table, j, f)
            table.counts[2] = min(table.counts[2], f)  # less only if the lower bound is not consistent
    return AGAIN


@jit
def descend(game: Any, table: Any, steps: Any, layer: int, width: int) -> Any:
    """A beam search, one layer: of the states with so many terms done, those that promise most are searched; of those that
    promise the same, those that have moved least.

    Without recomputation, where a step adds to the terms that have been done. Buckets are layers here.

    Returns:
        AGAIN, or why there was no room.
    """
    least = -1
    while table.head[layer] >= 0 and width > 0:
        following = 2**60
        i = table.head[layer]
        while i >= 0 and width > 0:
            after = table.after[i]
            rank = np.int64(table.paid[i] + table.rest[i]) * 2**16 + table.paid[i]
            if rank <= least:
                R, X, B, paid = table.states[i, 0], table.states[i, 1], table.states[i, 2], table.paid[i]
                found = steps_from(game, R, X, B, steps, 2 * game.capacity)
                room = _room(table, found)
                if room != AGAIN:
                    return room
                _unlink(table, i, layer)
                table.counts[1] += 1
                width -= 1
                for number in range(found):
                    r, x, b, cost = take(game, R, X, B, steps, number, table.no_log)
                    j, _, _ = _reach(game, table, r, x, b, paid + cost, i, 0)
                    if j >= 0 and table.waits[j] == 0:
                        _link(table, j, ones(table.states[j, 1]))
            else:
                following = min(following, rank)
            i = after
        least = following
    return AGAIN


def layer(table: Table, number: int) -> list[int]:
    """The states in a bucket."""
    found, i = [], int(table.head[number])
    while i >= 0:
        found.append(i)
        i = int(table.after[i])
    return found
