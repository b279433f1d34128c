"""Exchanges of nodes that leave a computation graph as it is: of two rows, of two columns, of two inputs of a butterfly.

Only exchanges are looked for (symmetries that are their own inverse), at most one for each pair of nodes, with few other
nodes moved. The search for pebblings needs no more than some symmetries; each one is checked before it is used.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from iosim.pebbling.graph import Cdag

Colours: TypeAlias = NDArray[np.uint64]


def exchanges(graph: Cdag) -> list[dict[int, int]]:
    """Symmetries that are their own inverse, as the nodes that move and where to; none that is two others in a row."""
    refine = _Refinement(graph)
    colours = refine(refine.first)
    found: list[dict[int, int]] = []
    for a in range(graph.size):
        for b in range(a + 1, graph.size):
            if colours[a] == colours[b]:
                moved = _exchange(refine, colours, a, b)
                if moved is not None and moved not in found and is_symmetry(graph, moved):
                    found.append(moved)
    found.sort(key=len)
    shorter = [[other for other in found if len(other) < len(moved)] for moved in found]
    return [
        moved
        for moved, others in zip(found, shorter, strict=True)
        if not any(moved == _one_after_other(p, q) for p in others for q in others)
    ]


def _one_after_other(p: dict[int, int], q: dict[int, int]) -> dict[int, int]:
    both = {x: q.get(p.get(x, x), p.get(x, x)) for x in p | q}
    return {x: y for x, y in both.items() if x != y}


def is_symmetry(graph: Cdag, moved: dict[int, int]) -> bool:
    """Whether the graph with its nodes moved has the same terms and outputs."""
    images = [moved.get(node, node) for node in range(graph.size)]
    if sorted(images) != list(range(graph.size)) or {images[node] for node in graph.outputs} != graph.outputs:
        return False
    return all(
        {frozenset(images[x] for x in term) for term in graph.terms[node]} == set(graph.terms[images[node]])
        for node in range(graph.size)
    )


class _Refinement:
    """Nodes that their neighbours tell apart get different colours (numbers that look random), until none is new."""

    def __init__(self, graph: Cdag) -> None:
        terms = [(node, term) for node in range(graph.size) for term in graph.terms[node]]
        self._owner = np.array([node for node, _ in terms], np.int64)
        self._needs = np.array([[x in term for x in range(graph.size)] for _, term in terms], np.uint64).reshape(
            -1, graph.size
        )
        self._owns = np.array([[x == node for x in range(graph.size)] for node, _ in terms], np.uint64).reshape(
            -1, graph.size
        )
        kinds = [(not made_of) + 2 * (node in graph.outputs) for node, made_of in enumerate(graph.terms)]
        self.first = _mixed(np.array(kinds, np.uint64))

    def __call__(self, colours: Colours) -> Colours:
        distinct = len(np.unique(colours))
        while True:
            terms = _mixed(self._needs @ _mixed(colours) + np.uint64(3) * colours[self._owner])
            below, above = terms @ self._owns, terms @ self._needs
            colours = _mixed(colours + np.uint64(5) * _mixed(below) + np.uint64(7) * _mixed(above + np.uint64(1)))
            now = len(np.unique(colours))
            if now == distinct:
                return colours
            distinct = now


def _mixed(x: Colours) -> Colours:
    x = (x + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _exchange(refine: _Refinement, colours: Colours, a: int, b: int) -> dict[int, int] | None:
    """What may be a symmetry that exchanges a and b.

    The graph is coloured twice, with a and b marked, and with the marks exchanged: a node goes where its first colour is
    the second one. Where several nodes have that, one of them is marked in turn: the node itself, if it is among them.
    """
    size = len(colours)
    here, there = colours.copy(), colours.copy()
    pairs = [(a, b)]
    for mark in range(1, 2 * size):
        for x, y in pairs:
            here[x] = there[y] = here[x] + np.uint64(2 * mark)
            if x != y:
                here[y] = there[x] = here[y] + np.uint64(2 * mark + 1)
        here, there = refine(here), refine(there)
        order, images = np.argsort(here, kind="stable"), np.argsort(there, kind="stable")
        if (here[order] != there[images]).any():
            return None
        if len(np.unique(here)) == size:
            moved = {int(x): int(y) for x, y in zip(order, images, strict=True) if x != y}
            return moved if all(moved.get(y) == x for x, y in moved.items()) else None
        fixed = [x for x in range(size) if here[x] == there[x] and (here == here[x]).sum() > 1]
        if fixed:
            # each a mark of its own
            pairs = [(fixed[0], fixed[0])]
            continue
        x = next(x for x in range(size) if (here == here[x]).sum() > 1)
        pairs = [(x, int(np.flatnonzero(there == here[x])[0]))]
    return None
