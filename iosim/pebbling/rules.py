"""A graph and the rules of a game, as arrays for compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iosim.pebbling.game import Game
from iosim.pebbling.graph import Cdag
from iosim.pebbling.symmetry import exchanges


def compiled(graph: Cdag, capacity: int, *, one_shot: bool, overwrite: bool) -> Game:
    """The graph and the rules as arrays; terms are numbered node by node, nodes in order."""
    number = term_numbers(graph)
    uses = [_set(t for (_, term), t in number.items() if node in term) for node in range(graph.size)]
    below = uses.copy()
    for node in reversed(graph.order):
        below[node] |= _union(below[x] for x in graph.successors[node])
    symmetries = symmetries_of(graph)
    once = frozenset(range(graph.size)) if one_shot else nodes_made_once(graph)
    continued, first = _for_terms(graph, once, capacity, overwrite=overwrite)
    return Game(
        operands=_words(_set(term) for _, term in number),
        owner=np.array([node for node, _ in number], np.int64),
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
        continued=np.array(continued, np.int64),
        first=np.array(first, np.int64),
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


def _for_terms(
    graph: Cdag, once: frozenset[int], capacity: int, *, overwrite: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """Of each term of a node that is made once, the fewest words that are moved for it, whichever such term is done before:
    if its node has been begun, and if it has not; loads only, and with stores. Empty if nothing is moved. See
    `estimate.for_terms`.

    After a term its node and its operands are in fast memory (but for one operand, if the node took its place); only the
    words that are left over can be others that the next term needs. No other node that is made once is made in between.
    """
    terms = list(term_numbers(graph))
    uses = [sum(x in term for _, term in terms) for x in range(graph.size)]
    counted = [(node, term) for node, term in terms if node in once]

    def least(own: tuple[int, frozenset[int]], costs: dict[int, int]) -> int:
        found = sum(costs.values()) if len(counted) > 1 else 0
        for other in counted:
            before, operands = other
            held = {before, *operands}
            missing = sorted(cost for x, cost in costs.items() if x not in held)
            room = capacity - len(held) + overwrite
            if other != own:
                found = min(found, sum(missing[: max(0, len(missing) - room)]))
        return found

    continued: list[list[int]] = [[], []]
    first: list[list[int]] = [[], []]
    for stores in (0, 1):
        for node, term in terms:
            costs = {
                x: 1 + stores * (bool(graph.terms[x]) and uses[x] == 1 and x not in graph.outputs) for x in term & once
            }
            charged = node in once
            first[stores].append(least((node, term), costs) if charged else 0)
            continued[stores].append(least((node, term), {**costs, node: 1 + stores}) if charged else 0)
    if not any(map(any, continued)):
        return [[], []], [[], []]
    return continued, first


def _union(sets: Any) -> int:
    found = 0
    for one in sets:
        found |= one
    return found


def _set(members: Any) -> int:
    return _union(1 << member for member in members)


def _words(values: Any) -> Any:
    return np.array([int(value) for value in values], np.uint64)


def term_numbers(graph: Cdag) -> dict[tuple[int, frozenset[int]], int]:
    """The number of each term, by its node and operands."""
    listed = [(node, term) for node in graph.order for term in graph.terms[node]]
    return {key: number for number, key in enumerate(listed)}


def symmetries_of(graph: Cdag) -> list[tuple[dict[int, int], dict[int, int]]]:
    """Each as the nodes that move and where to, and the same for terms."""
    number = term_numbers(graph)
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
