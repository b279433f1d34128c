"""Lower bounds from the graph alone: below the optimum, equal to what can be computed by hand, not always trivial."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.pebbling.bounds import graph_bounds, spectral_bound, wavefront_bound
from iosim.pebbling.families import fft, grid
from iosim.pebbling.graph import Cdag, from_edges
from iosim.pebbling.search import optimal_pebbling


@st.composite
def layered(draw: st.DrawFn, most: int = 7) -> Cdag:
    """Random edges between a few nodes, in order."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    size, dense = rng.randint(4, most), rng.choice((0.3, 0.5))
    edges = [(f"x{a}", f"x{b}") for b in range(size) for a in range(b) if rng.random() < dense]
    return from_edges(edges or [("x0", "x1")])


@settings(max_examples=20, deadline=None)
@given(layered(), st.booleans())
def test_bounds_are_below_the_optimum(graph: Cdag, classical: bool) -> None:
    """Each bound that claims to hold for a game is at most its optimum."""
    graph = graph.classical() if classical else graph
    capacity = graph.least_capacity(overwrite=False)
    for one_shot in (True, False):
        optimum = optimal_pebbling(graph, capacity, one_shot=one_shot).optimum
        assert optimum is not None
        bounds = graph_bounds(graph, capacity, one_shot=one_shot, classical=classical)
        assert [bound.holds for bound in bounds] == [True, one_shot, one_shot and classical]
        assert all(bound.words <= optimum for bound in bounds if bound.holds)


@settings(max_examples=40, deadline=None)
@given(layered(8))
def test_wavefronts_are_least_cuts(graph: Cdag) -> None:
    """As many disjoint paths as the fewest nodes that meet all paths, found by trying all sets of nodes."""
    inner = {v for v in range(graph.size) if graph.terms[v]}  # outputs need nothing more here, so paths may end there

    def descendants(start: set[int], without: set[int]) -> set[int]:
        found = start - without
        for v in graph.order:
            if v in inner - without and graph.predecessors[v] & found:
                found.add(v)
        return found

    widest = 0
    for x in inner:
        below = descendants({x}, set()) - {x}
        above = {v for v in inner if x in descendants({v}, set())}
        cuts = (set(cut) for size in range(graph.size) for cut in combinations(sorted(inner), size))
        widest = max(widest, next(len(cut) for cut in cuts if not descendants(above, cut) & below))
    for capacity in (1, 2):
        assert wavefront_bound(graph, capacity) == graph.compulsory_words + 2 * max(0, widest - capacity)


def test_wavefront_of_a_grid() -> None:
    """In an n x n grid n - 1 disjoint paths lead from the ancestors of the last node of the anti-diagonal's middle on: more
    than the one input and one output say."""
    graph = grid(6, 6).classical()
    assert graph.compulsory_words == 2
    assert wavefront_bound(graph, 3) == 6
    assert wavefront_bound(graph, 3) <= 38  # the optimum


def test_spectral_bound_of_a_butterfly() -> None:
    """Beyond its outputs, it says something of butterflies that are large for the fast memory, and less of larger ones."""
    large = fft(64).classical()
    outputs = 64
    found = [spectral_bound(large, capacity) for capacity in (2, 3, 4, 1000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > outputs
    assert found[-1] == outputs


def test_spectral_bound_by_hand() -> None:
    """Two nodes and an edge: eigenvalues 0 and 2, so max(2 * 0 - 2M, 1 * 2 - 4M) is below 0, and 1 output is stored."""
    assert spectral_bound(from_edges([("a", "b")]), 2) == 1


@pytest.mark.parametrize("capacity", [3, 4])
def test_bounds_of_other_games_are_marked(capacity: int) -> None:
    """With recomputation neither cuts nor eigenvalues prove anything, with partial computations eigenvalues don't."""
    graph = fft(8)
    holds = {
        (one_shot, classical): [b.holds for b in graph_bounds(graph, capacity, one_shot=one_shot, classical=classical)]
        for one_shot in (True, False)
        for classical in (True, False)
    }
    assert holds == {
        (True, True): [True, True, True],
        (True, False): [True, True, False],
        (False, True): [True, False, False],
        (False, False): [True, False, False],
    }
