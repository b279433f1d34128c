"""The pebble game, compiled: states, moves, the bound on what is still to be paid, and A*.

**State.** Three words of 64 bits. `R`: the nodes in fast memory. `X`, over terms: in the game without recomputation, the
terms that have been done; with it, those that the copy in fast memory is the sum of. `B`, over terms: those that the copy
in slow memory is the sum of. (Without recomputation a copy is of use only if it has seen all terms of the node that have
been done: one that has not can never be completed. So a node's copies are all alike, and old ones are forgotten.)

**Moves.** Loads and stores cost 1, terms and discards nothing. What is searched are not single moves but *steps*: choose a
term; evict as many words as there is no room for; load the missing operands, and the node itself if it is to be continued;
do the term; then do what is free and never wrong (`_settle`). Nothing is lost by that. From any schedule of the same cost or
less one gets such a one by these changes:

1. A load is made as late as possible, right before the first term that uses the copy; one without such a term is left out.
2. A store is made as late as possible, right before the copy leaves fast memory. Nobody reads slow memory's copy of a node
   that is in fast memory, and a later copy has seen more terms. So words leave by being *spilled* (stored) or *discarded*.
3. A word leaves as late as possible, when there is no room for another one.
4. A term of a node in fast memory whose operands are there is done at once: a copy that has seen more terms can do all that
   one could that has seen fewer (just leave those terms out), and takes no more room. Without recomputation this makes an
   unchanged copy dirty, which costs a store; but by 1 that copy was loaded to be changed, so it was to be dirty anyway.
5. An output that nothing else needs is stored as soon as it is complete; a word that nothing can need is discarded.
6. Without recomputation: let u be a word in fast memory that no copy of is in slow memory, with one term left, the others
   of whose operands are in fast memory, of a node v that has no term yet, and let there be room for v. Then the term is done
   at once, which leaves v where u was. Any schedule from there on can be followed with v for u: where it stores, loads or
   discards u, do the same with v (both had no copy in slow memory before). If it makes v by another term while u waits, then
   v is loaded there instead, if it had been spilled, and the load of u later is saved.
7. With recomputation: a node that leaves before it is complete is spilled. If it were discarded, all that was done to it
   since it was made or loaded would be lost without having been used: leave that out.

**Estimate.** What every way to the end has to pay: see `_estimate`.
"""

# Integer types are spelled out: a 64-bit unsigned number with a signed one is a float for numba.
from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

U = np.uint64
ZERO, ONE = U(0), U(1)
Words = NDArray[np.uint64]
MAX_NODES = MAX_TERMS = 64


class Game(NamedTuple):
    """A graph and the rules, as arrays for compiled code.

    Attributes:
        operands: of each term, the nodes that it needs. [terms]
        owner: of each term, the node that it is a term of. [terms]
        made_of: of each node, its terms; none for an input. [nodes]
        uses: of each node, the terms that it is an operand of. [nodes]
        reaches: of each node, the outputs that it is needed for, itself among them. [nodes]
        outputs: outputs that are not inputs.
        order: the nodes, each after its predecessors. [nodes]
        capacity: words of fast memory.
        one_shot: whether no term may be done twice.
        overwrite: whether a new word may take the place of an operand of the term that makes it.
        swaps: symmetries of the graph; each row (which one, 0 for nodes and 1 for terms, distance, mask) exchanges the bits
            of the mask with those `distance` above.
        symmetries: how many there are.
        continued, first: of each term, the words moved for it, see `_for_terms`, if its node has been begun, or if it is
            the first of its node; zeros with recomputation. Loads only, and with stores. [2, terms]
    """

    operands: Words
    owner: NDArray[np.int64]
    made_of: Words
    uses: Words
    reaches: Words
    outputs: np.uint64
    order: NDArray[np.int64]
    capacity: int
    one_shot: bool
    overwrite: bool
    swaps: Words
    symmetries: int
    continued: NDArray[np.int64]
    first: NDArray[np.int64]


class Steps(NamedTuple):
    """Room for the steps from one state.

    Attributes:
        term: that is done. [steps]
        how: 0: its node is there, 1: it is made, 2: it is loaded. [steps]
        evicted, spilled: the nodes that leave fast memory, and those of them that are stored. [steps, 2]
        replaced: the operand whose place the new word takes, or -1. [steps]
    """

    term: NDArray[np.int64]
    how: NDArray[np.int64]
    evicted: Words
    spilled: Words
    replaced: NDArray[np.int64]


# Kinds of single moves in a log of (kind, node, term or symmetry); its first entry counts them, those that there is no
# room for among them.
LOAD, STORE, DISCARD, TERM, REPLACE, EXCHANGE = 0, 1, 2, 3, 4, 5

_jit = numba.njit(cache=True, nogil=True)


@_jit
def _bit(i: int) -> Any:
    return ONE << U(i)


@_jit
def _count(x: Any) -> Any:
    x = x - ((x >> U(1)) & U(0x5555555555555555))
    x = (x & U(0x3333333333333333)) + ((x >> U(2)) & U(0x3333333333333333))
    x = (x + (x >> U(4))) & U(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * U(0x0101010101010101)) >> U(56))


@_jit
def _lowest(x: Any) -> Any:
    """The position of the lowest bit; x is not 0."""
    return _count((x & (~x + ONE)) - ONE)


@_jit
def _log(log: Any, kind: int, what: int) -> None:
    if log.shape[0] > 0:
        at = log[0, 0] + 1
        log[0, 0] = at
        if at < log.shape[0]:
            log[at, 0] = kind
            log[at, 1] = what


@_jit
def _complete(game: Any, R: Any, X: Any) -> Any:
    """The nodes in fast memory that have all their terms."""
    found, left = ZERO, R
    while left != ZERO:
        v = _lowest(left)
        left &= left - ONE
        if game.made_of[v] & ~X == ZERO:
            found |= _bit(v)
    return found


@_jit
def _stored(game: Any, B: Any) -> Any:
    """The outputs that are complete in slow memory."""
    found, left = ZERO, game.outputs
    while left != ZERO:
        v = _lowest(left)
        left &= left - ONE
        if game.made_of[v] & ~B == ZERO:
            found |= _bit(v)
    return found


@_jit
def _useful(game: Any, X: Any, B: Any, v: int) -> Any:
    """Whether anything can still need node v."""
    if game.one_shot:
        unfinished = game.outputs & _bit(v) != ZERO and game.made_of[v] & ~B != ZERO
        return unfinished or game.uses[v] & ~X != ZERO
    return game.reaches[v] & ~_stored(game, B) != ZERO


@_jit
def _accumulate(game: Any, R: Any, X: Any, log: Any) -> Any:
    """Every term of nodes in fast memory whose operands are there (4)."""
    while True:
        before = X
        C = _complete(game, R, X)
        left = R & ~C
        while left != ZERO:
            v = _lowest(left)
            left &= left - ONE
            todo = game.made_of[v] & ~X
            while todo != ZERO:
                t = _lowest(todo)
                todo &= todo - ONE
                if game.operands[t] & ~C == ZERO:
                    X |= _bit(t)
                    _log(log, TERM, t)
        if before == X:
            return X


@_jit
def _settle(game: Any, R: Any, X: Any, B: Any, log: Any) -> Any:
    """All that is free and never wrong (4, 5, 6). Returns R, X, B and the words stored."""
    paid = 0
    while True:
        X = _accumulate(game, R, X, log)
        C = _complete(game, R, X)
        ends = C & game.outputs
        while ends != ZERO:
            v = _lowest(ends)
            ends &= ends - ONE
            left = game.uses[v] & ~X if game.one_shot else game.uses[v]
            if left == ZERO and game.made_of[v] & ~B != ZERO:
                B |= game.made_of[v]
                paid += 1
                _log(log, STORE, v)
        stored = _stored(game, B)
        left = R
        while left != ZERO:
            v = _lowest(left)
            left &= left - ONE
            if game.one_shot:
                unfinished = game.outputs & ~stored & _bit(v) != ZERO
                useful = unfinished or game.uses[v] & ~X != ZERO
            else:
                useful = game.reaches[v] & ~stored != ZERO
            if not useful:
                R &= ~_bit(v)
                _log(log, DISCARD, v)
                if not game.one_shot:
                    X &= ~game.made_of[v]
        t = _hand_over(game, R, X, B) if game.one_shot else -1
        if t < 0:
            break
        R |= _bit(game.owner[t])
        X |= _bit(t)
        _log(log, TERM, t)
    # copies in slow memory that are of no use any more
    kept = ZERO
    stored = _stored(game, B)
    for v in game.order:
        mine = game.made_of[v]
        if B & mine == ZERO:
            continue
        if stored & _bit(v) != ZERO:
            kept |= mine
        elif game.one_shot:
            if B & mine == X & mine and (
                game.uses[v] & ~X != ZERO or game.outputs & _bit(v) != ZERO or mine & ~X != ZERO
            ):
                kept |= B & mine
        elif game.reaches[v] & ~stored != ZERO:
            kept |= B & mine
    return R, X, kept, paid


@_jit
def _hand_over(game: Any, R: Any, X: Any, B: Any) -> Any:
    """A term that leaves its new node where an operand was (6), or -1."""
    if _count(R) >= game.capacity:
        return -1
    C = _complete(game, R, X)
    left = C
    while left != ZERO:
        u = _lowest(left)
        left &= left - ONE
        todo = game.uses[u] & ~X
        if game.made_of[u] == ZERO or B & game.made_of[u] != ZERO or todo == ZERO or todo & (todo - ONE) != ZERO:
            continue
        if game.outputs & _bit(u) != ZERO:
            continue
        t = _lowest(todo)
        if game.operands[t] & ~C == ZERO and X & game.made_of[game.owner[t]] == ZERO:
            return t
    return -1


@_jit
def _ready(game: Any, operands: Any, R: Any, C: Any, B: Any) -> bool:
    """Whether all operands of a term can be had now: complete in fast memory, or to be loaded complete."""
    if operands & R & ~C != ZERO:
        return False
    left = operands & ~R
    while left != ZERO:
        u = _lowest(left)
        left &= left - ONE
        if game.made_of[u] & ~B != ZERO:
            return False
    return True


@_jit
def _forced(game: Any, R: Any, X: Any, B: Any, must: Any) -> Any:
    """The least that the words evicted by the next step cost beyond what `estimate` counts. Units: words.

    Each word that leaves is loaded again, if it can't be had otherwise: without recomputation always, with it if it is an
    input of a term that must be done. Without recomputation a word that slow memory does not have is stored besides, which
    is counted already if it is a complete output.
    """
    C = _complete(game, R, X)
    free = game.capacity - _count(R)
    one, two, left = ZERO, ZERO, R  # words whose loss costs 1 or more, and 2
    while left != ZERO:
        v = _lowest(left)
        left &= left - ONE
        mine = game.made_of[v]
        if not game.one_shot:
            if mine == ZERO and game.uses[v] & must != ZERO:
                one |= _bit(v)
            continue
        if game.uses[v] & ~X == ZERO and C & _bit(v) != ZERO:
            continue  # an output that is only stored
        one |= _bit(v)
        if mine & X & ~B != ZERO and game.outputs & C & _bit(v) == ZERO:
            two |= _bit(v)
    least = 2 * game.capacity
    for t in range(game.owner.shape[0]):
        v = game.owner[t]
        if X & _bit(t) != ZERO:
            continue
        operands = game.operands[t]
        missing = operands & ~R
        if not _ready(game, operands, R, C, B):
            continue
        here = R & _bit(v) != ZERO
        room = _count(missing) + (not here) - free
        if game.overwrite and not here:
            room -= 1
        others = R & ~operands & ~_bit(v)
        room -= _count(others & ~one)  # those that cost nothing leave first
        if room <= 0:
            return 0
        cheap = _count(others & one & ~two)
        least = min(least, room + max(0, room - cheap))
    return least if least < 2 * game.capacity else 0


@_jit
def _for_terms(game: Any, R: Any, X: Any, B: Any, stores: int) -> Any:
    """Words moved for the terms that are left, at least: what is loaded between the term before and each; if `stores` is 1,
    also the stores that make such loads possible. Units: words.

    A node that is loaded to be continued was stored as it was then, once for each such load. So is a word with one use that
    is loaded for it; if it is an output, that store may be the one that is counted for outputs. What slow memory has now
    was stored before. One term of each node that has not been begun is its first one, whichever makes the least of it. The
    next term finds what is in fast memory now.
    """
    words, spared = 0, 0
    for v in game.order:
        mine = game.made_of[v]
        left, fresh, less = mine & ~X, mine & X == ZERO, 0
        words -= stores == 1 and not fresh and B & mine == X & mine
        while left != ZERO:
            t = _lowest(left)
            left &= left - ONE
            continued = game.continued[stores, t]
            words += continued
            if fresh:
                less = max(less, continued - game.first[stores, t])
            missing = _count(game.operands[t] & ~R) + (not fresh and R & _bit(v) == ZERO)
            spared = max(spared, continued - missing)
        words -= less
    return words - spared


@_jit
def _way(game: Any, ways: Any, terms: Any, counted: Any) -> Any:
    """Of the operands of some terms, the smallest set of nodes one of which is loaded; 0 if there may be none."""
    best = ZERO
    while terms != ZERO:
        t = _lowest(terms)
        terms &= terms - ONE
        operands = game.operands[t]
        while operands != ZERO:
            u = _lowest(operands)
            operands &= operands - ONE
            way = ways[u]
            if way != ZERO and way & counted == ZERO and (best == ZERO or _count(way) < _count(best)):
                best = way
    return best


@_jit
def estimate(game: Any, R: Any, X: Any, B: Any) -> Any:
    """Words that have to be moved from this state to the end, at least. Units: words.

    Each output that is not complete in slow memory is stored. Beyond that, loads of different nodes are counted:

    Without recomputation: of each node that is not in fast memory and has been begun, or is an input, if it or its value is
    still needed: it can't be had otherwise. Or, if that is more, what is moved for each term.

    With recomputation: a term *must* be done if its node is needed by a term that must be done, or is an output that is not
    in slow memory yet, and no copy of the node has all terms or this one. Inputs that such terms need are loaded. Any other
    node that is not in fast memory is loaded, or the terms that slow memory's copy has are done again, for which each of
    their operands has to be there: so by induction one node of a set is loaded, the node itself and one of the way back to
    an input. Where such terms need a node, of which slow memory has a copy, and that set is disjoint from what is counted
    already, 1 is counted.

    To that comes what the next step evicts, see `_forced`.
    """
    paid = _count(game.outputs & ~_stored(game, B))
    if game.one_shot:
        loads = 0
        for v in game.order:
            if R & _bit(v) != ZERO:
                continue
            mine = game.made_of[v]
            if mine == ZERO:
                loads += game.uses[v] & ~X != ZERO
            elif mine & X != ZERO:
                loads += mine & ~X != ZERO or game.uses[v] & ~X != ZERO
        loads += _forced(game, R, X, B, ZERO)
        return paid + max(loads, _for_terms(game, R, X, B, 0), _for_terms(game, R, X, B, 1))
    must, needed, loaded = ZERO, ZERO, ZERO
    stored = _stored(game, B)
    for i in range(game.order.shape[0] - 1, -1, -1):
        v = game.order[i]
        mine = game.made_of[v]
        if game.uses[v] & must == ZERO and game.outputs & ~stored & _bit(v) == ZERO:
            continue
        needed |= _bit(v)
        if mine == ZERO:
            if R & _bit(v) == ZERO:
                loaded |= _bit(v)
        elif mine & ~X != ZERO and mine & ~B != ZERO:
            must |= mine & ~X & ~B
    paid += _count(loaded)
    counted = loaded
    ways = np.zeros(
        64, np.uint64
    )  # of each node one of whose loads is needed to have it: the nodes; 0 where none may be
    for v in game.order:
        mine = game.made_of[v]
        if R & _bit(v) != ZERO:
            continue
        if mine == ZERO:
            ways[v] = _bit(v) & ~counted
            continue
        again = B & mine
        way = _way(game, ways, again if again != ZERO else mine, counted)
        if again != ZERO:
            way = way | _bit(v) if way != ZERO else _way(game, ways, mine & ~again, counted)
        ways[v] = way
        if again != ZERO and way & _bit(v) != ZERO and needed & _bit(v) != ZERO:
            paid += 1
            counted |= way
    return paid + _forced(game, R, X, B, must)


@_jit
def steps_from(game: Any, R: Any, X: Any, B: Any, steps: Any) -> int:
    """Writes the steps from a state to `steps`; returns how many there are, or -1 if there is no room for them."""
    found = 0
    C = _complete(game, R, X)
    free = game.capacity - _count(R)
    pool = np.empty(64, np.int64)
    chosen = np.empty(64, np.int64)
    for t in range(game.owner.shape[0]):
        v = game.owner[t]
        if X & _bit(t) != ZERO or (not game.one_shot and not _useful(game, X, B, v)):
            continue
        here = R & _bit(v) != ZERO
        operands = game.operands[t]
        missing = operands & ~R
        if not _ready(game, operands, R, C, B):
            continue
        mine = game.made_of[v]
        for how in range(3):
            if (how == 0) != here:
                continue
            if how == 1 and game.one_shot and X & mine != ZERO:
                continue
            if how == 2 and (B & mine == ZERO or B & _bit(t) != ZERO or (game.one_shot and X & mine == ZERO)):
                continue
            room = _count(missing) + (how > 0) - free
            replaceable = how == 1 and game.overwrite
            size = 0
            others = R & ~operands & ~_bit(v)
            if replaceable:
                others |= operands
            while others != ZERO:
                pool[size] = _lowest(others)
                others &= others - ONE
                size += 1
            room = max(room, 0)
            if room > size:
                continue
            for i in range(room):
                chosen[i] = i
            while True:
                evicted, dirty, inside = ZERO, ZERO, -1
                ok = True
                for i in range(room):
                    u = pool[chosen[i]]
                    if operands & _bit(u) != ZERO:
                        ok = ok and inside < 0
                        inside = u
                    evicted |= _bit(u)
                    terms = game.made_of[u]
                    if R & _bit(u) == ZERO or terms & X & ~B == ZERO:
                        continue  # slow memory has it
                    if game.one_shot and u == inside and not _useful(game, X | _bit(t), B, u):
                        continue  # this was its last use
                    dirty |= _bit(u)
                if ok:
                    # what may be made again instead of being stored (7)
                    choice = ZERO if game.one_shot else dirty & C
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


@_jit
def take(game: Any, R: Any, X: Any, B: Any, steps: Any, number: int, log: Any) -> Any:
    """The state after a step, and the words that it moves."""
    t, how, inside = steps.term[number], steps.how[number], steps.replaced[number]
    v, paid = game.owner[t], 0
    left = steps.evicted[number]
    if inside >= 0:
        left &= ~_bit(inside)
    while left != ZERO:
        u = _lowest(left)
        left &= left - ONE
        if steps.spilled[number] & _bit(u) != ZERO:
            B = (B & ~game.made_of[u]) | (X & game.made_of[u])
            paid += 1
            _log(log, STORE, u)
        R &= ~_bit(u)
        _log(log, DISCARD, u)
        if not game.one_shot:
            X &= ~game.made_of[u]
    wanted = game.operands[t] & ~R
    if how == 2:
        wanted |= _bit(v)
    while wanted != ZERO:
        u = _lowest(wanted)
        wanted &= wanted - ONE
        R |= _bit(u)
        X |= B & game.made_of[u]
        paid += 1
        _log(log, LOAD, u)
    if inside >= 0:
        X = _accumulate(game, R, X, log)
        if steps.spilled[number] & _bit(inside) != ZERO:
            B = (B & ~game.made_of[inside]) | (X & game.made_of[inside])
            paid += 1
            _log(log, STORE, inside)
        R &= ~_bit(inside)
        _log(log, REPLACE, inside)
        if not game.one_shot:
            X &= ~game.made_of[inside]
    R |= _bit(v)
    if X & _bit(t) == ZERO:
        X |= _bit(t)
        _log(log, TERM, t)
    R, X, B, more = _settle(game, R, X, B, log)
    return R, X, B, paid + more


@_jit
def canonical(game: Any, R: Any, X: Any, B: Any, log: Any) -> Any:
    """A state that is the same up to a symmetry of the graph: the least that exchanges, one after the other, lead to.

    Two states that are the same up to symmetry need not become equal; they are then searched twice.
    """
    changed = game.symmetries > 0
    while changed:
        changed = False
        at = 0
        while at < game.swaps.shape[0]:
            number = game.swaps[at, 0]
            r, x, b = R, X, B
            while at < game.swaps.shape[0] and game.swaps[at, 0] == number:
                distance, mask = game.swaps[at, 2], game.swaps[at, 3]
                if game.swaps[at, 1] == ZERO:
                    d = ((r >> distance) ^ r) & mask
                    r ^= d | (d << distance)
                else:
                    d = ((x >> distance) ^ x) & mask
                    x ^= d | (d << distance)
                    d = ((b >> distance) ^ b) & mask
                    b ^= d | (d << distance)
                at += 1
            if x < X or (x == X and (b < B or (b == B and r < R))):
                R, X, B = r, x, b
                changed = True
                _log(log, EXCHANGE, number)
    return R, X, B


class Table(NamedTuple):
    """The states that were met, and which are to be searched next.

    Attributes:
        states: R, X, B. [states, 3]
        parent: the state that it was reached from. [states]
        paid: words moved to reach it. [states]
        bucket: words that a schedule through it moves at least while it waits, -1 once it has been searched. [states]
        before, after: the neighbours in its bucket, or -1. [states]
        head: the first state in each bucket, or -1. [most words]
        slots: a hash table of positions in `states`, 1 more than those; 0 is empty.
        counts: states, states searched, the bucket that is being searched.
    """

    states: Words
    parent: NDArray[np.int32]
    paid: NDArray[np.int16]
    bucket: NDArray[np.int16]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    head: NDArray[np.int32]
    slots: NDArray[np.int32]
    counts: NDArray[np.int64]


# A state and its neighbours, its share of slots (at most four to a state), and of half as many before there were so many.
BYTES_A_STATE = (3 * 8 + 4 + 2 + 2 + 4 + 4) + 4 * 4 + 2 * 4


@_jit
def _hash(R: Any, X: Any, B: Any) -> Any:
    h = (R * U(0x9E3779B97F4A7C15)) ^ (X * U(0xC2B2AE3D27D4EB4F)) ^ (B * U(0x165667B19E3779F9))
    h = (h ^ (h >> U(29))) * U(0xBF58476D1CE4E5B9) + (X >> U(32)) + (B >> U(31)) * U(0x94D049BB133111EB)
    h = (h ^ (h >> U(32))) * U(0x94D049BB133111EB)
    return h ^ (h >> U(29))


@_jit
def rehash(table: Any) -> None:
    """Fills empty slots."""
    mask = U(table.slots.shape[0] - 1)
    for i in range(table.counts[0]):
        at = _hash(table.states[i, 0], table.states[i, 1], table.states[i, 2]) & mask
        while table.slots[at] != 0:
            at = (at + ONE) & mask
        table.slots[at] = i + 1


@_jit
def _unlink(table: Any, i: int) -> None:
    before, after = table.before[i], table.after[i]
    if before >= 0:
        table.after[before] = after
    else:
        table.head[table.bucket[i]] = after
    if after >= 0:
        table.before[after] = before
    table.bucket[i] = -1


@_jit
def _link(table: Any, i: int, f: int) -> None:
    first = table.head[f]
    table.bucket[i], table.before[i], table.after[i] = f, -1, first
    if first >= 0:
        table.before[first] = i
    table.head[f] = i
    table.counts[2] = min(table.counts[2], f)  # less only if the estimate is not consistent


@_jit
def _meet(game: Any, table: Any, R: Any, X: Any, B: Any, paid: int, parent: int, limit: int, floor: int) -> None:
    """A state has been reached for `paid` words; those from which no schedule moves fewer than `limit` are left out."""
    f = max(paid + estimate(game, R, X, B), floor)
    if f >= limit:
        return
    R, X, B = canonical(game, R, X, B, np.empty((0, 2), np.int64))
    mask = U(table.slots.shape[0] - 1)
    at = _hash(R, X, B) & mask
    while table.slots[at] != 0:
        i = table.slots[at] - 1
        if table.states[i, 0] == R and table.states[i, 1] == X and table.states[i, 2] == B:
            if paid < table.paid[i]:
                if table.bucket[i] >= 0:
                    _unlink(table, i)
                table.paid[i], table.parent[i] = paid, parent
                _link(table, i, f)
            return
        at = (at + ONE) & mask
    i = table.counts[0]
    table.counts[0] += 1
    table.slots[at] = i + 1
    table.states[i, 0], table.states[i, 1], table.states[i, 2] = R, X, B
    table.paid[i], table.parent[i] = paid, parent
    _link(table, i, f)


@_jit
def start(game: Any, table: Any, limit: int) -> None:
    """Puts the first state into an empty table."""
    _meet(game, table, ZERO, ZERO, ZERO, 0, -1, limit, 0)


# What `search` came back with, if not the number of a final state.
AGAIN, NOTHING, SLOTS_FULL, STATES_FULL, STEPS_FULL = -1, -2, -3, -4, -5


@_jit
def search(game: Any, table: Any, steps: Any, limit: int, searched: int) -> Any:
    """Searches that many states; the number of a state at the end of an optimal schedule, or why there is none yet."""
    no_log = np.empty((0, 2), np.int64)
    for _ in range(searched):
        while table.counts[2] < limit and table.head[table.counts[2]] < 0:
            table.counts[2] += 1
        if table.counts[2] >= limit:
            return NOTHING
        i = table.head[table.counts[2]]
        R, X, B, paid = table.states[i, 0], table.states[i, 1], table.states[i, 2], table.paid[i]
        unfinished = game.outputs & ~_stored(game, B)
        if unfinished & ~_complete(game, R, X) == ZERO:
            return i
        found = steps_from(game, R, X, B, steps)
        if found < 0:
            return STEPS_FULL
        if 2 * (table.counts[0] + found) > table.slots.shape[0]:
            return SLOTS_FULL
        if table.counts[0] + found > table.states.shape[0]:
            return STATES_FULL
        floor = table.bucket[i]
        _unlink(table, i)
        table.counts[1] += 1
        for number in range(found):
            r, x, b, cost = take(game, R, X, B, steps, number, no_log)
            _meet(game, table, r, x, b, paid + cost, i, limit, floor)
    return AGAIN
