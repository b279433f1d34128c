"""Polynomial attention in passes that are cut anywhere: counts, peaks and results, and the fewest words that cuts move.

r = C(d+g, g) features; the sums are r - 1 of the features themselves, for the normaliser, and r for each column of V.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.polynomial.passes import Cut, cut_plan, least_cut
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.interpret.steps import moves
from iosim.masks import CAUSAL, FULL
from iosim.numeric.reference import polynomial_attention
from iosim.problem import Problem
from iosim.program import Store
from tests.approximate import boundaries, every_cut
from tests.legality import fits_exactly
from tests.strategies import places, replaced


def cut_by_hand(problem: Problem, t: int, e: int, ends: Sequence[int]) -> Cut:
    """Passes that end there; a column is cut where one ends inside it."""
    columns = boundaries(problem.d, problem.d_v, problem.degree, t, e)
    x = sum(end not in columns for end in ends)
    n, n_k, d, d_v, NC = problem.n, problem.n_k, problem.d, problem.d_v, len(ends)
    # the coordinates for each pass; V, and O stored and loaded, for each visit of a column but the first; z
    words = (n + n_k) * (NC * d + t) + n_k * (d_v + e + x) + n * (d_v + 2 * (e + x)) + n * (NC if NC > 1 else 0)
    return Cut(words=words, t=t, e=e, ends=tuple(ends), x=x)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Problem, Cut]:
    """A small problem, and passes of any sizes."""
    d, d_v, g, n = (draw(st.integers(low, most)) for low, most in ((1, 4), (1, 4), (0, 3), (1, 7)))
    mask = draw(st.sampled_from([FULL, CAUSAL]))
    n_k = draw(st.integers(1, 7)) if mask.full else n
    coefficients = (1.0, 0.9, 0.5, 0.2)[: g + 1]
    problem = Problem(n=n, n_k=n_k, d=d, d_v=d_v, degree=g, mask=mask, coefficients=coefficients)
    e = draw(st.integers(0, d_v))
    t = draw(st.integers(0, d)) if e else 0
    columns = boundaries(d, d_v, g, t, e)
    inside = range(max(columns[0], 1), columns[-1])
    ends = draw(st.lists(st.sampled_from(inside), max_size=4, unique=True)) if inside else []
    return problem, cut_by_hand(problem, t, e, [*sorted(ends), columns[-1]])


@given(cuts(), st.data())
@settings(max_examples=20, deadline=None)
def test_passes_move_hold_and_compute_what_is_claimed(case: tuple[Problem, Cut], data: st.DataObject) -> None:
    """Wherever passes end, the closed form is the count and that of the expanded trace; it is legal in its peak and no
    word less; and the result is attention with the polynomial."""
    problem, cut = case
    plan = cut_plan("approx", problem, cut)
    counted = plan.count()
    assert counted.io_words == sum(move.words for move in moves(plan.program, plan.sizes)) == cut.words
    assert counted.io_words == plan.closed_form_words
    visits = problem.d_v + cut.e + cut.x
    assert counted.loads["V"] == problem.n_k * visits
    assert counted.stores["O"] == counted.loads.get("O", 0) + problem.n * problem.d_v == problem.n * visits

    # the sums of a pass, q, the normaliser, an output, and g-1 products; in the small one no normaliser, but where values
    # are weighted before they are added, a copy of one, if no product is there to be scaled
    g, copy = problem.degree, int(problem.degree == 1 and not problem.mask.full)
    held = [end - begin + problem.d + 1 + max(g, 1) for begin, end in pairwise((0, *cut.ends))]
    columns = boundaries(problem.d, problem.d_v, g, cut.t, cut.e)
    held[0] -= cut.ends[0] == columns[0] < columns[1]  # no output beside the features themselves
    held += [comb(cut.t + g, g) * cut.e + cut.t + max(g, 1) + copy] if cut.e else []
    assert plan.peak_words == plan.claimed_peak_words == max(held)
    fits_exactly(plan.program, plan.sizes, max(held))

    coarse = {**plan.sizes, **{name: data.draw(st.integers(1, 8), name) for name in {"N", "c", "B"} & set(plan.sizes)}}
    random = np.random.default_rng(data.draw(st.integers(0, 1000), "seed"))
    shapes = {"Q": (problem.n, problem.d), "K": (problem.n_k, problem.d), "V": (problem.n_k, problem.d_v)}
    inputs = {name: random.uniform(-0.7, 0.7, shape) for name, shape in shapes.items()}
    O = execute(plan.program, coarse, inputs)["O"]
    assert problem.coefficients is not None
    expected = polynomial_attention(*inputs.values(), problem.coefficients, mask=problem.mask)
    assert np.abs(O - expected).max() < 1e-11


def test_a_column_that_is_cut_twice_is_loaded_three_times() -> None:
    """A pass may hold features of one column only, in the middle of it: V is loaded and O stored in each of three passes,
    and O loaded in two."""
    problem = Problem(n=10, d=3, degree=2)  # r = 10
    plan = cut_plan("approx", problem, cut_by_hand(problem, 0, 0, (12, 16, 39)))  # 9 for z; 3, 4 and 3 for column 0
    counted = plan.count()
    assert (counted.loads["V"], counted.loads["O"], counted.stores["O"]) == (50, 20, 50)
    assert (counted.stores["Z"], counted.loads["Z"]) == (10, 20)


@pytest.mark.parametrize("array", ["O", "Z"])
def test_what_a_pass_leaves_for_the_next_must_be_stored(array: str) -> None:
    """Without the store of the first part of a column that is cut, or of z, the next pass has nothing to load."""
    problem = Problem(n=5, d=3, degree=2)
    plan = cut_plan("approx", problem, cut_by_hand(problem, 0, 0, (22, 39)))
    assert violations(plan.program, plan.sizes, plan.peak_words) == []
    stores = [place for place, s in places(plan.program) if isinstance(s, Store) and s.region.array.name == array]
    # of O: whole columns first, then the part
    first = stores[0] if array == "Z" else stores[1]
    mutant = replaced(plan.program, first)
    found = violations(mutant, plan.sizes, plan.peak_words)
    assert any(violation.rule is Rule.UNWRITTEN for violation in found)


# The fewest words


@given(st.integers(1, 3), st.integers(0, 3), st.data())
@settings(max_examples=8, deadline=None)
def test_the_cut_that_is_found_moves_the_fewest_words(d: int, g: int, data: st.DataObject) -> None:
    """Of all cuts into any number of passes, one plan moves the fewest words, if any fits."""
    r = comb(d + g, g)
    M = data.draw(st.integers(1, r * (d + 1) + d + max(g, 1) - 1), "M")
    problem = Problem(n=10, d=d, degree=g)
    found = [cut for NC in range(1, r * (d + 1) + 1) if (cut := least_cut(problem, M, NC))]
    assert min((cut.words for cut in found), default=0) == 10 * min(every_cut(d, g, M), default=0)
    for cut in found:
        assert cut == cut_by_hand(problem, cut.t, cut.e, cut.ends)
        assert cut_plan("approx", problem, cut).peak_words <= M
