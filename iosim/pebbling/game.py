"""The pebble game, compiled: states, and what is free and never wrong.

**State.** Three words of 64 bits. `R`: the nodes in fast memory. `X`, over terms: of a node that is made once (below) those
that have been done; of another one, those that the copy in fast memory is the sum of. `B`, over terms: those that the copy
in slow memory is the sum of. (A copy of a node that is made once is of use only if it has seen all terms that have been
done: one that has not can never be completed. So the node's copies are all alike, and old ones are forgotten.)

**Nodes made once.** Without recomputation all. With it, a node is made once if it is an operand of at most one term, and so
is every node that it is needed for; `rules.nodes_made_once` finds them. Some optimal schedule does each of their terms once.
For take any schedule. Such a node v leads through a chain of nodes to an output that nothing needs. Follow the last copy of
that output back through the moves that it came about by: terms, each done to it once, loads and stores. Each term on that
way reads one copy of its operand on the chain: follow that one back in turn, down to v. So of each node on the chain one
line of copies is of use; if the node is an output itself, let it be stored for good from that line, when it is read. Leave
out all terms that belong to other copies, and their loads and stores. What is left is legal and moves no more: each copy of
use is where it was, fast memory holds a part of what it held, and no operand of a term that was left out is missed, as terms
of nodes off the chain have none on it.

**Moves.** Loads and stores cost 1, terms and discards nothing. What is searched are not single moves but *steps*, see
`iosim.pebbling.steps`: choose a term; evict as many words as there is no room for; load the missing operands, and the node
itself if it is to be continued; do the term; then do what is free and never wrong (`settle`). Nothing is lost by that. From
any schedule of the same cost or less one gets such a one by these changes:

1. A load is made as late as possible, right before the first term that uses the copy; one without such a term is left out.
2. A store is made as late as possible, right before the copy leaves fast memory. Nobody reads slow memory's copy of a node
   that is in fast memory, and a later copy has seen more terms. So words leave by being *spilled* (stored) or *discarded*.
3. A word leaves as late as possible, when there is no room for another one.
4. A term of a node in fast memory whose operands are there is done at once: a copy that has seen more terms can do all that
   one could that has seen fewer (just leave those terms out), and takes no more room. For a node that is made once this
   makes an unchanged copy dirty, which costs a store; but by 1 that copy was loaded to be changed, so it was to be dirty
   anyway.
5. An output that nothing else needs is stored as soon as it is complete; a word that nothing can need is discarded.
6. Let u be a word in fast memory that no copy of is in slow memory, with one term left, the others of whose operands are in
   fast memory, of a node v that has no term yet, both made once, and let there be room for v. Then the term is done at once,
   which leaves v where u was. Any schedule from there on can be followed with v for u: where it stores, loads or discards
   u, do the same with v (both had no copy in slow memory before). If it makes v by another term while u waits, then v is
   loaded there instead, if it had been spilled, and the load of u later is saved.
7. A node that is not made once and leaves before it is complete is spilled. If it were discarded, all that was done to it
   since it was made or loaded would be lost without having been used: leave that out.
8. So is a complete one that slow memory has no copy of, if no copy of any node has seen a term that it, or a node that it is
   needed for, is an operand of. If it were discarded, its terms and all those could be left out: what copies are left were
   made without them, as a copy that was made of one that has seen such a term has seen one itself.
"""

# Integer types are spelled out: a 64-bit unsigned number with a signed one is a float for numba.
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iosim.traces.jit import inline, jit, lowest, ones

U = np.uint64
ZERO, ONE = U(0), U(1)
Words = NDArray[np.uint64]
MAX_NODES = MAX_TERMS = 64


class Game(NamedTuple):
    """A graph and the rules, as arrays for compiled code.

    Attributes:
        operands: of each term, the nodes that it needs. [terms]
        owner: of each term, the node that it is a term of. [terms]
        needs: of each term, the terms of those of its operands that are made once. [terms]
        made_of: of each node, its terms; none for an input. [nodes]
        uses: of each node, the terms that it is an operand of. [nodes]
        below: of each node, the terms that it, or a node that it is needed for, is an operand of. [nodes]
        outputs: outputs that are not inputs.
        order: the nodes, each after its predecessors. [nodes]
        capacity: words of fast memory.
        recompute: whether some node may be made more than once.
        once, once_terms: the nodes that are made once, inputs among them, and their terms.
        overwrite: whether a new word may take the place of an operand of the term that makes it.
        swaps: symmetries of the graph; each row (which one, 0 for nodes and 1 for terms, distance, mask) exchanges the bits
            of the mask with those `distance` above.
        symmetries: how many there are.
        scale, after, before, first: see `rules.Charges`.
        ways: room for `at_least`. [nodes]
    """

    operands: Words
    owner: NDArray[np.int64]
    needs: Words
    made_of: Words
    uses: Words
    below: Words
    outputs: np.uint64
    order: NDArray[np.int64]
    capacity: int
    recompute: bool
    once: np.uint64
    once_terms: np.uint64
    overwrite: bool
    swaps: Words
    symmetries: int
    scale: int
    after: NDArray[np.int64]
    before: NDArray[np.int64]
    first: NDArray[np.int64]
    ways: Words


# Kinds of single moves in a log of (kind, node, term or symmetry); its first entry counts them, those that there is no
# room for among them.
LOAD, STORE, DISCARD, TERM, REPLACE, EXCHANGE = 0, 1, 2, 3, 4, 5


@inline
def bit(i: int) -> Any:
    return ONE << U(i)


@inline
def write(log: Any, kind: int, what: int) -> None:
    if log.shape[0] > 0:
        at = log[0, 0] + 1
        log[0, 0] = at
        if at < log.shape[0]:
            log[at, 0] = kind
            log[at, 1] = what


@jit
def complete(game: Any, R: Any, X: Any) -> Any:
    """The nodes in fast memory that have all their terms."""
    found, left = ZERO, R
    while left != ZERO:
        v = lowest(left)
        left &= left - ONE
        if game.made_of[v] & ~X == ZERO:
            found |= bit(v)
    return found


@jit
def unstored(game: Any, B: Any) -> Any:
    """The outputs that are not complete in slow memory."""
    found, left = ZERO, game.outputs
    while left != ZERO:
        v = lowest(left)
        left &= left - ONE
        if game.made_of[v] & ~B != ZERO:
            found |= bit(v)
    return found


@jit
def open_terms(game: Any, X: Any, unfinished: Any) -> Any:
    """The terms that may still be done: those left of a node that is made once, all of another one that may be needed.

    Args:
        unfinished: the outputs that are not complete in slow memory.
    """
    found = game.once_terms & ~X
    if game.recompute:
        for i in range(game.order.shape[0] - 1, -1, -1):
            v = game.order[i]
            if game.once & bit(v) == ZERO and (game.uses[v] & found != ZERO or unfinished & bit(v) != ZERO):
                found |= game.made_of[v]
    return found


@jit
def ready(game: Any, operands: Any, R: Any, C: Any, B: Any) -> bool:
    """Whether all operands of a term can be had now: complete in fast memory (C), or to be loaded complete."""
    if operands & R & ~C != ZERO:
        return False
    left = operands & ~R
    while left != ZERO:
        u = lowest(left)
        left &= left - ONE
        if game.made_of[u] & ~B != ZERO:
            return False
    return True


@jit
def accumulate(game: Any, R: Any, X: Any, log: Any) -> Any:
    """Every term of nodes in fast memory whose operands are there (4)."""
    while True:
        before = X
        C = complete(game, R, X)
        left = R & ~C
        while left != ZERO:
            v = lowest(left)
            left &= left - ONE
            todo = game.made_of[v] & ~X
            while todo != ZERO:
                t = lowest(todo)
                todo &= todo - ONE
                if game.operands[t] & ~C == ZERO:
                    X |= bit(t)
                    write(log, TERM, t)
        if before == X:
            return X


@jit
def leave(game: Any, R: Any, X: Any, B: Any, v: int, spilled: Any, how: int, log: Any) -> Any:
    """A word leaves fast memory, discarded or replaced; if it is among the spilled, it is stored first. Returns R, X, B and
    the words stored."""
    paid = 0
    if spilled & bit(v) != ZERO:
        B = (B & ~game.made_of[v]) | (X & game.made_of[v])
        paid = 1
        write(log, STORE, v)
    write(log, how, v)
    if game.once & bit(v) == ZERO:
        X &= ~game.made_of[v]
    return R & ~bit(v), X, B, paid


@jit
def settle(game: Any, R: Any, X: Any, B: Any, log: Any) -> Any:
    """All that is free and never wrong (4, 5, 6). Returns R, X, B and the words stored."""
    paid = 0
    while True:
        X = accumulate(game, R, X, log)
        C = complete(game, R, X)
        unfinished = unstored(game, B)
        left_over = open_terms(game, X, unfinished)
        ends = C & unfinished
        while ends != ZERO:
            v = lowest(ends)
            ends &= ends - ONE
            # of an output that may be made again: nothing else needs it ever
            left = game.uses[v] & left_over if game.once & bit(v) != ZERO else game.uses[v]
            if left == ZERO:
                B |= game.made_of[v]
                unfinished &= ~bit(v)
                paid += 1
                write(log, STORE, v)
        left_over = open_terms(game, X, unfinished)
        left = R & ~unfinished
        while left != ZERO:
            v = lowest(left)
            left &= left - ONE
            if game.uses[v] & left_over == ZERO:
                R, X, B, _ = leave(game, R, X, B, v, ZERO, DISCARD, log)
        t = _hand_over(game, R, X, B)
        if t < 0:
            break
        R |= bit(game.owner[t])
        X |= bit(t)
        write(log, TERM, t)
    # copies in slow memory that are of no use any more
    kept = ZERO
    for v in range(game.made_of.shape[0]):
        mine = game.made_of[v]
        if B & mine == ZERO:
            continue
        of_use = game.uses[v] & left_over != ZERO or unfinished & bit(v) != ZERO
        if game.once & bit(v) != ZERO:
            of_use = B & mine == X & mine and (of_use or mine & ~X != ZERO)
        if of_use or (game.outputs & ~unfinished & bit(v)) != ZERO:
            kept |= B & mine
    return R, X, kept, paid


@jit
def _hand_over(game: Any, R: Any, X: Any, B: Any) -> Any:
    """A term that leaves its new node where an operand was (6), or -1."""
    if ones(R) >= game.capacity:
        return -1
    C = complete(game, R, X)
    left = C & game.once & ~game.outputs
    while left != ZERO:
        u = lowest(left)
        left &= left - ONE
        todo = game.uses[u] & ~X
        if game.made_of[u] == ZERO or B & game.made_of[u] != ZERO or todo == ZERO or todo & (todo - ONE) != ZERO:
            continue
        t = lowest(todo)
        if game.operands[t] & ~C == ZERO and X & game.made_of[game.owner[t]] == ZERO:
            return t
    return -1


@jit
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
                write(log, EXCHANGE, number)
    return R, X, B
