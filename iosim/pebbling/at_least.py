"""What every way from a state of the pebble game to the end has to pay, compiled. Units of all: words."""

from __future__ import annotations

from typing import Any

from iosim.pebbling.game import ONE, ZERO, bit, complete, ready, unstored
from iosim.traces.jit import jit, lowest, ones


@jit
def at_least(game: Any, R: Any, X: Any, B: Any) -> Any:
    """Words that have to be moved from this state to the end, at least: see `moved_at_least`, and the next step, `forced`;
    or, if that is more, `for_terms`."""
    must = terms_that_must(game, X, B)
    unfinished = unstored(game, B)
    moved = moved_at_least(game, R, X, B, must, unfinished) + forced(game, R, X, B, must)
    terms = max(for_terms(game, R, X, B, 0), for_terms(game, R, X, B, 1))
    return max(moved, terms + ones(unfinished))


@jit
def terms_that_must(game: Any, X: Any, B: Any) -> Any:
    """The terms that must be done: those left of nodes that are made once; of another one, if it is needed by a term that
    must be done, or is an output that is not in slow memory yet, those that no copy of it has, if none has all."""
    must = game.once_terms & ~X
    if game.recompute:
        unfinished = unstored(game, B)
        for i in range(game.order.shape[0] - 1, -1, -1):
            v = game.order[i]
            mine = game.made_of[v]
            if game.once & bit(v) != ZERO or (game.uses[v] & must == ZERO and unfinished & bit(v) == ZERO):
                continue
            if mine & ~X != ZERO and mine & ~B != ZERO:
                must |= mine & ~X & ~B
    return must


@jit
def moved_at_least(game: Any, R: Any, X: Any, B: Any, must: Any, unfinished: Any) -> Any:
    """Loads of different nodes, and a store of each output that is not complete in slow memory.

    An input that a term that must be done needs is loaded. So is a node that is made once and has been begun, if it or its
    value is still needed: it can't be had otherwise.

    Any other node that is not in fast memory is loaded, or the terms that slow memory's copy has are done again, for which
    each of their operands has to be there: so by induction one node of a set is loaded, the node itself and one of the way
    back to an input. Where terms that must be done need a node, of which slow memory has a copy, and that set is disjoint
    from what is counted already, 1 is counted.
    """
    paid = ones(unfinished)
    counted = ZERO
    for v in range(game.made_of.shape[0]):
        if R & bit(v) != ZERO or game.once & bit(v) == ZERO:
            continue
        mine = game.made_of[v]
        needed = game.uses[v] & must != ZERO
        if mine != ZERO:
            needed = mine & X != ZERO and (needed or mine & must != ZERO)
        if needed:
            counted |= bit(v)
    paid += ones(counted)
    if not game.recompute:
        return paid
    ways = game.ways  # of each node one of whose loads is needed to have it: the nodes; 0 where none may be
    for v in game.order:
        mine = game.made_of[v]
        ways[v] = ZERO
        if R & bit(v) != ZERO:
            continue
        if mine == ZERO:
            ways[v] = bit(v) & ~counted
        if game.once & bit(v) != ZERO:
            continue
        again = B & mine
        way = _way(game, again if again != ZERO else mine, counted)
        if again != ZERO:
            way = way | bit(v) if way != ZERO else _way(game, mine & ~again, counted)
        ways[v] = way
        needed = game.uses[v] & must != ZERO or unfinished & bit(v) != ZERO
        if again != ZERO and way & bit(v) != ZERO and needed:
            paid += 1
            counted |= way
    return paid


@jit
def _way(game: Any, terms: Any, counted: Any) -> Any:
    """Of the operands of some terms, the smallest set of nodes one of which is loaded; 0 if there may be none."""
    best = ZERO
    while terms != ZERO:
        t = lowest(terms)
        terms &= terms - ONE
        operands = game.operands[t]
        while operands != ZERO:
            u = lowest(operands)
            operands &= operands - ONE
            way = game.ways[u]
            if way != ZERO and way & counted == ZERO and (best == ZERO or ones(way) < ones(best)):
                best = way
    return best


@jit
def losses(game: Any, R: Any, X: Any, B: Any, C: Any, must: Any) -> Any:
    """The words in fast memory whose loss costs 1 or more beyond what `moved_at_least` counts, and those for which it is 2.

    A word that leaves is loaded again, if it can't be had otherwise: a node that is made once always, an input if a term
    that must be done needs it. A node that is made once and that slow memory does not have is stored besides, which is
    counted already if it is a complete output.

    Args:
        C: the nodes in fast memory that are complete.
    """
    one, two, left = ZERO, ZERO, R & game.once
    while left != ZERO:
        v = lowest(left)
        left &= left - ONE
        if game.uses[v] & must == ZERO and C & bit(v) != ZERO:
            continue  # an input that need not be there again, an output that is only stored
        one |= bit(v)
        if game.made_of[v] & X & ~B != ZERO and game.outputs & C & bit(v) == ZERO:
            two |= bit(v)
    return one, two


@jit
def forced(game: Any, R: Any, X: Any, B: Any, must: Any) -> Any:
    """The least that the words evicted by the next step cost beyond what `moved_at_least` counts, see `losses`."""
    C = complete(game, R, X)
    free = game.capacity - ones(R)
    one, two = losses(game, R, X, B, C, must)
    most = 2 * game.capacity
    least = most
    for t in range(game.owner.shape[0]):
        v = game.owner[t]
        if X & bit(t) != ZERO:
            continue
        operands = game.operands[t]
        if not ready(game, operands, R, C, B):
            continue
        here = R & bit(v) != ZERO
        room = ones(operands & ~R) + (not here) - free
        if game.overwrite and not here:
            room -= 1
        others = R & ~operands & ~bit(v)
        room -= ones(others & ~one)  # those that cost nothing leave first
        if room <= 0:
            return 0
        cheap = ones(others & one & ~two)
        least = min(least, room + max(0, room - cheap))
    return least if least < most else 0


@jit
def for_terms(game: Any, R: Any, X: Any, B: Any, stores: int) -> Any:
    """Words moved for the terms that are left of nodes made once, at least: what is loaded between the one before and each;
    if `stores` is 1, also the stores that make such loads possible.

    Operands that are made more than once are left out: they may be made between two such terms. A node that is loaded to be
    continued was stored as it was then, once for each such load. So is a word with one use that is loaded for it; if it is
    an output, that store may be the one that is counted for outputs. What slow memory has now was stored before.

    What is moved between a term and the next one is at least a share of the former and one of the latter (`rules.Charges`).
    Whatever the order, each term that is left has its share of what is before it, but for the next one, which finds what is
    in fast memory now; and its share of what is after it, but for the last one. The next one needs no other that is left,
    and none needs the last one. One term of each node that has not been begun is its first one.
    """
    if game.scale == 0:
        return 0
    most = 2**60
    words, spared, last, stored = 0, -most, -most, 0
    for v in range(game.made_of.shape[0]):
        mine = game.made_of[v] & game.once_terms
        left, fresh = mine & ~X, mine & X == ZERO
        stored += stores == 1 and not fresh and B & mine == X & mine
        if left == ZERO:
            continue
        less = game.first[stores] if fresh else 0
        words -= less
        while left != ZERO:
            t = lowest(left)
            left &= left - ONE
            words += game.after[stores, t] + game.before[stores, t]
            if game.uses[v] & ~X == ZERO:
                last = max(last, game.before[stores, t])
            if game.needs[t] & ~X == ZERO:
                missing = ones(game.operands[t] & game.once & ~R) + (not fresh and R & bit(v) == ZERO)
                spared = max(spared, game.after[stores, t] - less - game.scale * missing)
    if last == -most:
        return 0  # none is left
    return -((last + spared - words) // game.scale) - stored
