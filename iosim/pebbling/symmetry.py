"""Exchanges of nodes that leave a computation graph as it is: of two rows, of two columns, of two inputs of a butterfly.

Only exchanges are looked for (symmetries that are their own inverse), one for each pair of nodes at most, with as few other
nodes as possible. The search for pebblings needs no more than some symmetries, and each one is checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from iosim.pebbling.graph import Cdag

_TRIES = 2_000  # of one pair; a pair that takes more is passed over


def exchanges(graph: Cdag) -> list[dict[int, int]]:
    """Symmetries that are their own inverse, as the nodes that move and where to."""
    colours = _colours(graph)
    found: list[dict[int, int]] = []
    for a in range(graph.size):
        for b in range(a + 1, graph.size):
            if colours[a] == colours[b]:
                moved = _exchange(graph, colours, a, b)
                if moved is not None and moved not in found:
                    found.append(moved)
    return found


def is_symmetry(graph: Cdag, moved: dict[int, int]) -> bool:
    """Whether the graph with its nodes moved has the same terms and outputs."""
    images = [moved.get(node, node) for node in range(graph.size)]
    if sorted(images) != list(range(graph.size)) or {images[node] for node in graph.outputs} != graph.outputs:
        return False
    return all(
        {frozenset(images[x] for x in term) for term in graph.terms[node]} == set(graph.terms[images[node]])
        for node in range(graph.size)
    )


def _colours(graph: Cdag) -> list[int]:
    """Nodes of different colours can't be exchanged: refined until neighbours tell no more nodes apart."""
    colours = [(not terms) + 2 * (node in graph.outputs) for node, terms in enumerate(graph.terms)]
    while True:
        seen: list[object] = []
        for node in range(graph.size):
            below = Counter(tuple(sorted(colours[x] for x in term)) for term in graph.terms[node])
            above = Counter(
                (colours[other], tuple(sorted(colours[x] for x in term)))
                for other in graph.successors[node]
                for term in graph.terms[other]
                if node in term
            )
            seen.append((colours[node], frozenset(below.items()), frozenset(above.items())))
        numbers = {key: number for number, key in enumerate(dict.fromkeys(seen))}
        refined = [numbers[key] for key in seen]
        if len(set(refined)) == len(set(colours)):
            return refined
        colours = refined


def _exchange(graph: Cdag, colours: list[int], a: int, b: int) -> dict[int, int] | None:
    """A symmetry that exchanges a and b: nodes that are not forced to move stay."""
    tries = 0

    def conflicts(images: dict[int, int]) -> Iterator[tuple[int, list[int]]]:
        """Nodes that have to move as it stands, and where each may go."""
        for node in range(graph.size):
            image = images.get(node, node)
            want = [frozenset(images.get(x, x) for x in term) for term in graph.terms[node]]
            have = set(graph.terms[image])
            for term, wanted in zip(graph.terms[node], want, strict=True):
                if wanted not in have:
                    free = [x for x in {node, *term} if x not in images]
                    for x in free:
                        yield x, [y for y in range(graph.size) if colours[y] == colours[x] and y not in images and y != x]
                    yield -1, []  # nothing can be moved to mend it

    def solve(images: dict[int, int]) -> dict[int, int] | None:
        nonlocal tries
        tries += 1
        if tries > _TRIES:
            return None
        wrong = list(conflicts(images))
        if not wrong:
            return images
        # every broken term has to be mended by one of its nodes: try those of the first
        for node, places in wrong:
            if node < 0:
                return None
            for place in places:
                better = solve({**images, node: place, place: node})
                if better is not None:
                    return better
        return None

    moved = solve({a: b, b: a})
    return moved if moved is not None and is_symmetry(graph, moved) else None
