"""Lower bounds on the traffic of any computation graph, from nothing but the graph: inputs and outputs, cuts, eigenvalues.

They are independent of the search, and of the theorems about attention. Two of them are for schedules that compute nothing
twice; each says which games it holds for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from iosim.pebbling.graph import Cdag


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphBound:
    """A lower bound on the words moved.

    Attributes:
        name: of the bound.
        words: no schedule of the games that it holds for moves fewer.
        holds_for: those games, for people.
        holds: whether the game that was asked about is one of them.
        source: where it comes from.
    """

    name: str
    words: int
    holds_for: str
    holds: bool
    source: str


def graph_bounds(graph: Cdag, capacity: int, *, one_shot: bool, classical: bool) -> tuple[GraphBound, ...]:
    """All bounds for the graph, those for other games than the one asked about among them."""
    graph = graph.trimmed()
    return (
        GraphBound(
            name="compulsory",
            words=graph.compulsory_words,
            holds_for="every game",
            holds=True,
            source="inputs that are needed are loaded, outputs stored",
        ),
        GraphBound(
            name="wavefront",
            words=wavefront_bound(graph, capacity),
            holds_for="games without recomputation",
            holds=one_shot,
            source="Elango, Rastello, Pouchet, Ramanujam and Sadayappan 2014",
        ),
        GraphBound(
            name="spectral",
            words=spectral_bound(graph, capacity),
            holds_for="the classical game without recomputation",
            holds=one_shot and classical,
            source="Jain and Zaharia 2020",
        ),
    )


def wavefront_bound(graph: Cdag, capacity: int) -> int:
    """The min-cut wavefront bound: |inputs| + |outputs| + 2 (w - M), w the widest wavefront that no schedule avoids.

    At the moment when node x is complete, so are its ancestors, and none of its descendants is. Take w paths from the
    former to the latter that share no node. On each there is an edge from a node a that is complete to a node b that is
    not: either b still needs a, or b has seen it already and is needed itself. So w different nodes are live, and at most M
    of them are in fast memory. The others have been stored and will be loaded. To these words come the first load of each
    input and the last store of each output, if no path goes through an input or an output that is an operand.

    It holds with partial computations, for schedules that do no term twice.

    Units: words.
    Source: Elango, Rastello, Pouchet, Ramanujam, Sadayappan, "On characterizing the data movement complexity of
        computational DAGs for parallel execution", SPAA 2014 (there for the classical game).
    """
    widest = max((_wavefront(graph, x) for x in range(graph.size) if graph.terms[x]), default=0)
    return graph.compulsory_words + 2 * max(0, widest - capacity)


def _wavefront(graph: Cdag, x: int) -> int:
    """The most paths without a common node from x and its ancestors to its descendants, through no input and no output
    that is an operand."""
    allowed = {v for v in range(graph.size) if graph.terms[v] and not (v in graph.outputs and graph.successors[v])}
    before, after = {x}, set[int]()
    for v in reversed(graph.order):
        if graph.successors[v] & before:
            before.add(v)
    for v in graph.order:
        if v != x and graph.predecessors[v] & (after | {x}):
            after.add(v)
    before, after = before & allowed, after & allowed
    # augmenting paths over nodes split in two: (v, 0) is entered, (v, 1) is left
    into: dict[int, int] = {}  # the node before, for each node on a path; -1 at its start
    out: dict[int, int] = {}  # the node after
    found = 0
    while _augment(graph, allowed, before, after, into, out):
        found += 1
    return found


def _augment(
    graph: Cdag, allowed: set[int], before: set[int], after: set[int], into: dict[int, int], out: dict[int, int]
) -> bool:
    """Finds one path more, perhaps undoing parts of others."""
    start: list[tuple[int, int]] = [(v, 0) for v in before if v not in into]
    came: dict[tuple[int, int], tuple[int, int] | None] = dict.fromkeys(start)
    for state in start:  # grows
        v, side = state
        if side == 1 and v in after and v not in out:
            _switch(came, state, into, out)
            return True
        following: list[tuple[int, int]] = []
        if side == 0:
            if v not in into:
                following.append((v, 1))  # through a free node
            elif into[v] >= 0:
                following.append((into[v], 1))  # back along the path that enters v
        else:
            following += [(u, 0) for u in graph.successors[v] if u in allowed and out.get(v) != u]
            if v in into:
                following.append((v, 0))  # back through a node on a path
        for other in following:
            if other not in came:
                came[other] = state
                start.append(other)
    return False


def _switch(
    came: dict[tuple[int, int], tuple[int, int] | None], end: tuple[int, int], into: dict[int, int], out: dict[int, int]
) -> None:
    """Applies an augmenting path: forward edges become parts of paths, backward ones cease to be."""
    path = [end]
    while (previous := came[path[-1]]) is not None:
        path.append(previous)
    path.reverse()
    if path[0][0] not in into:
        added = [(-1, path[0][0])]
    removed: list[tuple[int, int]] = []
    for (v, side), (u, other) in pairwise(path):
        if side == 1 and other == 0 and v != u:
            added.append((v, u))
        elif side == 0 and other == 1 and v != u:
            removed.append((u, v))
    for v, u in removed:
        if out.get(v) == u:
            del out[v]
        if into.get(u) == v:
            del into[u]
    for v, u in added:
        into[u] = v
        if v >= 0:
            out[v] = u


def spectral_bound(graph: Cdag, capacity: int) -> int:
    """The spectral bound: max over k of floor(n/k) (lambda_1 + ... + lambda_k) - 2 k M, plus the outputs nothing needs.

    lambda_i are the eigenvalues, least first, of the Laplacian of the graph without directions, where an edge from u weighs
    1/(number of successors of u). Cut the order in which nodes first come into fast memory into k pieces of at least
    floor(n/k) nodes. A piece S has to have the R(S) earlier nodes that it needs in fast memory: all but M are loaded in its
    time, again. The W(S) of its nodes that later pieces need are in slow memory at its end, but for M: those were stored in
    its time, or are inputs, which were loaded in it for the first time. R(S) + W(S) is at least the weight of the edges
    between S and the rest, and summed over the pieces that is at least floor(n/k) times the sum of the k least eigenvalues.
    Outputs that nothing needs are in no W(S), so their stores come on top.

    It holds for the classical game without recomputation.

    Units: words.
    Source: S. Jain and M. Zaharia, "Spectral lower bounds on the I/O complexity of computation graphs", SPAA 2020.
    """
    n = graph.size
    weights = np.zeros((n, n))
    for u, others in enumerate(graph.successors):
        for v in others:
            weights[u, v] += 1 / len(others)
            weights[v, u] += 1 / len(others)
    eigenvalues = np.linalg.eigvalsh(np.diag(weights.sum(axis=0)) - weights)
    ends = sum(not graph.successors[v] and bool(graph.terms[v]) for v in graph.outputs)
    best = max((n // k) * float(eigenvalues[:k].sum()) - 2 * k * capacity for k in range(1, n + 1)) if n else 0.0
    # rounded down by far more than the error of the eigenvalues
    return max(0, math.ceil(best - 1e-6 * max(n, 1))) + ends
