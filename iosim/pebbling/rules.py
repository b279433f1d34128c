"""A graph and the rules of a game, as arrays for compiled code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iosim.pebbling.game import Game
from iosim.pebbling.graph import Cdag
from iosim.pebbling.symmetry import exchanges


def compiled(graph: Cdag, capacity: int, *, one_shot: bool, overwrite: bool) -> Game:
    """The graph and the rules as arrays; terms are numbered node by node, nodes in order."""
    number = {term: t for t, term in enumerate(graph.numbered_terms)}
    uses = [_set(t for (_, term), t in number.items() if node in term) for node in range(graph.size)]
    below = [_union(uses[x] for x in others) for others in _needed_for(graph)]
    symmetries = symmetries_of(graph)
    once = frozenset(range(graph.size)) if one_shot else nodes_made_once(graph)
    charged = charges(graph, once, capacity, overwrite=overwrite)
    return Game(
        operands=_words(_set(term) for _, term in number),
        owner=np.array([node for node, _ in number], np.int64),
        needs=_words(_union(_set(number[x, o] for o in graph.terms[x]) for x in term & once) for _, term in number),
        made_of=_words(_set(number[node, term] for term in graph.terms[node]) for node in range(graph.size)),
        uses=_words(uses),
        below=_words(below),
        outputs=np.uint64(_set(node for node in graph.outputs if graph.terms[node])),
        order=np.array(graph.order, np.int64),
        capacity=min(capacity, graph.size + 1),
        recompute=len(once) < graph.size,
        once=np.uint64(_set(once)),
        once_terms=np.uint64(_set(t for (node, _), t in number.items() if node in once)),
        overwrite=overwrite,
        swaps=_swaps(symmetries),
        symmetries=len(symmetries),
        scale=charged.scale,
        after=charged.after,
        before=charged.before,
        first=charged.first,
        ways=np.zeros(graph.size, np.uint64),
    )


def nodes_made_once(graph: Cdag) -> frozenset[int]:
    """The nodes no term of which need be done twice, inputs among them: see `iosim.pebbling.game`.

    Example:
        >>> from iosim.pebbling.families import attention
        >>> len(nodes_made_once(attention(2, 2, 1, 1))), len(nodes_made_once(attention(2, 2, 1, 2)))  # not the 4 scores
        (12, 12)
    """
    uses = [sum(node in term for terms in graph.terms for term in terms) for node in range(graph.size)]
    found: set[int] = set()
    for node in reversed(graph.order):
        if not graph.terms[node] or (uses[node] <= 1 and graph.successors[node] <= found):
            found.add(node)
    return frozenset(found)


class Charges(NamedTuple):
    """What `at_least.for_terms` charges, in units of 1/scale words; loads only, and with stores.

    Attributes:
        scale: 0 if nothing is charged.
        after, before: of each term, its share of what is moved between the term before and it, and between it and the next
            one. [2, terms]
        first: what is moved less for the first term of each node. [2]
    """

    scale: int
    after: NDArray[np.int64]
    before: NDArray[np.int64]
    first: NDArray[np.int64]


def charges(graph: Cdag, once: frozenset[int], capacity: int, *, overwrite: bool) -> Charges:
    """Shares of what is moved between any two terms of nodes that are made once, when one follows the other.

    After a term its node and its operands are in fast memory (but for one operand, if the node took its place); only the
    words that are left over can be others that the next term needs. No other node that is made once is made in between. So
    at least so many words are moved in between; the shares of two terms add up to no more. For the first term of its node,
    which is not loaded and which no other term of it comes before, they add up to no more than that and `first`. Subject to
    this, the sum of all shares is the largest (by duality what an assignment of terms to the next ones costs), and terms
    that are the same up to symmetry have the same.

    Args:
        once: the nodes that are made once.
    """
    terms = graph.numbered_terms
    counted = [t for t, (node, _) in enumerate(terms) if node in once]
    uses = [sum(x in term for _, term in terms) for x in range(graph.size)]
    after, before, first = (
        np.zeros((2, len(terms)), np.int64),
        np.zeros((2, len(terms)), np.int64),
        np.zeros(2, np.int64),
    )
    orbits = _orbits(graph)
    scale = math.lcm(*map(len, orbits))
    later = [{t for t, (_, term) in enumerate(terms) if term & others} for others in _needed_for(graph)]

    def moved(costs: Mapping[int, int], held: frozenset[int]) -> int:
        missing = sorted(cost for x, cost in costs.items() if x not in held)
        return sum(missing[: max(0, len(missing) - (capacity - len(held) + overwrite))])

    for stores in (0, 1):
        continued, fresh = np.zeros((2, len(counted), len(counted)), np.int64)
        for column, t in enumerate(counted):
            node, term = terms[t]
            costs = {
                x: 1 + stores * (bool(graph.terms[x]) and uses[x] == 1 and x not in graph.outputs) for x in term & once
            }
            # what can't come right before costs as much as can be
            continued[:, column] = fresh[:, column] = sum(costs.values()) + 1 + stores
            for row, other in enumerate(counted):
                before_it, operands = terms[other]
                if other == t or other in later[node]:
                    continue
                continued[row, column] = moved({**costs, node: 1 + stores}, operands | {before_it})
                if before_it != node:
                    fresh[row, column] = moved(costs, operands | {before_it})
        made = len({terms[t][0] for t in counted})
        best = 0
        for less in range(2 + stores):
            rows, columns = shares(np.minimum(continued, fresh + less))
            if rows.sum() + columns.sum() - less * made > best:
                best = rows.sum() + columns.sum() - less * made
                before[stores, counted], after[stores, counted], first[stores] = rows, columns, less
    for orbit in orbits:
        for each in (before, after):
            each[:, orbit] = (each[:, orbit].sum(axis=1) * (scale // len(orbit)))[:, None]
    return Charges(scale if after.any() or before.any() else 0, after, before, first * scale)


def shares(costs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole numbers for rows and columns of a square matrix, of the largest sum, so that no two add up to more than the cost
    in that row and column. By shortest paths, row by row (the Hungarian method)."""
    size = len(costs)
    rows, columns = np.zeros(size, np.int64), np.zeros(size + 1, np.int64)
    taken = np.full(size + 1, -1)  # the row that each column is assigned to; the last column is where a path starts
    far = 2**40
    for row in range(size):
        taken[size], column = row, size
        least, came = np.full(size, far), np.full(size, size)
        seen = np.zeros(size + 1, bool)
        while taken[column] >= 0:
            seen[column] = True
            slack = costs[taken[column]] - rows[taken[column]] - columns[:size]
            closer = ~seen[:size] & (slack < least)
            least[closer], came[closer] = slack[closer], column
            nearest = int(np.where(seen[:size], 2 * far, least).argmin())
            step = least[nearest]
            rows[taken[seen]] += step
            columns[seen] -= step
            least[~seen[:size]] -= step
            column = nearest
        while column != size:
            taken[column] = taken[came[column]]
            column = int(came[column])
    return rows, columns[:size]


def _orbits(graph: Cdag) -> list[list[int]]:
    """The terms, those together that symmetries exchange."""
    orbit = {t: {t} for t in range(len(graph.numbered_terms))}
    for _, moved in symmetries_of(graph):
        for t, other in moved.items():
            if orbit[t] is not orbit[other]:
                orbit[t] |= orbit[other]
                for x in orbit[other]:
                    orbit[x] = orbit[t]
    return [sorted(members) for t, members in orbit.items() if t == min(members)]


def _needed_for(graph: Cdag) -> list[set[int]]:
    """Of each node, those that it is needed for, itself among them."""
    found = [{node} for node in range(graph.size)]
    for node in reversed(graph.order):
        found[node].update(*(found[x] for x in graph.successors[node]))
    return found


def _union(sets: Any) -> int:
    found = 0
    for one in sets:
        found |= one
    return found


def _set(members: Any) -> int:
    return _union(1 << member for member in members)


def _words(values: Any) -> Any:
    return np.array([int(value) for value in values], np.uint64)


@lru_cache(maxsize=4)
def symmetries_of(graph: Cdag) -> list[tuple[dict[int, int], dict[int, int]]]:
    """Each as the nodes that move and where to, and the same for terms."""
    number = {term: t for t, term in enumerate(graph.numbered_terms)}
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
