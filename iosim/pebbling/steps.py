"""The steps of the search for pebblings, compiled: choose a term; evict what there is no room for; load what is missing, and
the node itself if it is to be continued; do the term; then what is free (`iosim.pebbling.game` says why that is enough)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iosim.pebbling.at_least import losses, terms_that_must
from iosim.pebbling.game import (
    DISCARD,
    LOAD,
    ONE,
    REPLACE,
    TERM,
    ZERO,
    Words,
    accumulate,
    bit,
    complete,
    leave,
    open_terms,
    ready,
    settle,
    unstored,
    write,
)
from iosim.traces.jit import jit, lowest, ones


class Steps(NamedTuple):
    """Room for the steps from one state.

    Attributes:
        term: that is done. [steps]
        how: THERE: its node is in fast memory, MADE: it is made, LOADED: it is loaded. [steps]
        evicted, spilled: the nodes that leave fast memory, and those of them that are stored. [steps]
        replaced: the operand whose place the new word takes, or -1. [steps]
        pool, chosen: room for the words that might leave, and for the places there of those that do. [nodes]
    """

    term: NDArray[np.int64]
    how: NDArray[np.int64]
    evicted: Words
    spilled: Words
    replaced: NDArray[np.int64]
    pool: NDArray[np.int64]
    chosen: NDArray[np.int64]


THERE, MADE, LOADED = 0, 1, 2


@jit
def steps_from(game: Any, R: Any, X: Any, B: Any, steps: Any, budget: int) -> int:
    """Writes the steps from a state to `steps`; returns how many there are, or -1 if there is no room for them.

    Without recomputation a step adds to the sum of the words paid and of `moved_at_least` what is lost with the words that
    leave (`losses`), no less: what it loads, and the outputs that it stores, were counted; what it makes was not and is
    there. (An operand that is loaded and then replaced is lost too, which is not looked at.)

    Args:
        budget: without recomputation, steps that lose more words than this are left out.
    """
    found = 0
    C = complete(game, R, X)
    free = game.capacity - ones(R)
    unfinished = unstored(game, B)
    left_over = open_terms(game, X, unfinished)
    one, two = losses(game, R, X, B, C, terms_that_must(game, X, B))
    pool, chosen = steps.pool, steps.chosen
    todo = left_over & ~X
    while todo != ZERO:
        t = lowest(todo)
        todo &= todo - ONE
        v = game.owner[t]
        here = R & bit(v) != ZERO
        operands = game.operands[t]
        if not ready(game, operands, R, C, B):
            continue
        mine = game.made_of[v]
        single = game.once & bit(v) != ZERO
        after = left_over & ~bit(t) if single else left_over
        for how in range(3):
            if (how == THERE) != here:
                continue
            if how == MADE and single and X & mine != ZERO:
                continue
            if how == LOADED and (B & mine == ZERO or B & bit(t) != ZERO):
                continue
            room = max(0, ones(operands & ~R) + (how != THERE) - free)
            others = R & ~operands & ~bit(v)
            if how == MADE and game.overwrite:
                others |= operands
            size = 0
            while others != ZERO:
                pool[size] = lowest(others)
                others &= others - ONE
                size += 1
            if room > size:
                continue
            for i in range(room):
                chosen[i] = i
            while True:
                evicted, dirty, inside = ZERO, ZERO, -1
                ok = True
                lost = ZERO
                for i in range(room):
                    u = pool[chosen[i]]
                    evicted |= bit(u)
                    last = False
                    if operands & bit(u) != ZERO:
                        ok = ok and inside < 0
                        inside = u
                        last = game.uses[u] & after == ZERO
                    if R & bit(u) == ZERO or (last and unfinished & bit(u) == ZERO):
                        continue  # slow memory has it, or this was its last use
                    if not last:
                        lost |= bit(u)
                    if game.made_of[u] & X & ~B != ZERO:
                        dirty |= bit(u)
                if ok and (game.recompute or ones(lost & one) + ones(lost & two) <= budget):
                    # what may be made again instead of being stored (7, 8)
                    choice = dirty & C & ~game.once
                    left = choice
                    while left != ZERO:
                        u = lowest(left)
                        left &= left - ONE
                        if B & game.made_of[u] == ZERO and (X | B) & game.below[u] == ZERO and u != inside:
                            choice &= ~bit(u)
                    spilled = choice
                    while True:
                        if found == steps.term.shape[0]:
                            return -1
                        steps.term[found] = t
                        steps.how[found] = how
                        steps.evicted[found] = evicted
                        steps.spilled[found] = spilled | (dirty & ~choice)
                        steps.replaced[found] = inside
                        found += 1
                        if spilled == ZERO:
                            break
                        spilled = (spilled - ONE) & choice
                # the next choice of `room` out of `size`
                i = room - 1
                while i >= 0 and chosen[i] == size - room + i:
                    i -= 1
                if i < 0:
                    break
                chosen[i] += 1
                for j in range(i + 1, room):
                    chosen[j] = chosen[j - 1] + 1
    return found


@jit
def take(game: Any, R: Any, X: Any, B: Any, steps: Any, number: int, log: Any) -> Any:
    """The state after a step, and the words that it moves."""
    t, how, inside = steps.term[number], steps.how[number], steps.replaced[number]
    v, paid = game.owner[t], 0
    left = steps.evicted[number]
    if inside >= 0:
        left &= ~bit(inside)
    while left != ZERO:
        u = lowest(left)
        left &= left - ONE
        R, X, B, stored = leave(game, R, X, B, u, steps.spilled[number], DISCARD, log)
        paid += stored
    wanted = game.operands[t] & ~R
    if how == LOADED:
        wanted |= bit(v)
    while wanted != ZERO:
        u = lowest(wanted)
        wanted &= wanted - ONE
        R |= bit(u)
        X |= B & game.made_of[u]
        paid += 1
        write(log, LOAD, u)
    if inside >= 0:
        X = accumulate(game, R, X, log)
        R, X, B, stored = leave(game, R, X, B, inside, steps.spilled[number], REPLACE, log)
        paid += stored
    R |= bit(v)
    if X & bit(t) == ZERO:
        X |= bit(t)
        write(log, TERM, t)
    R, X, B, more = settle(game, R, X, B, log)
    return R, X, B, paid + more
