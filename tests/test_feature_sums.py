"""Approximate attention beyond one square unmasked head: causal masks, shared heads, any shape, decoding with a state."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.approx import approx
from algorithms.approx_decoding import approx_decoding
from algorithms.approx_resident import approx_resident
from iosim.api import run
from iosim.approximation.minimax import minimax_exp
from iosim.errors import UsageError
from iosim.interpret.execute import execute
from iosim.masks import CAUSAL, FULL, Mask
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import polynomial_attention
from iosim.numeric.reference_decoding import feature_sums, state_difference, state_rounding
from iosim.numeric.run import run_plan
from iosim.plan import Plan
from iosim.problem import Problem

COEFFICIENTS = (1.0, 0.9, 0.5, 0.2)


def plans(problem: Problem, capacity: int) -> dict[str, Plan]:
    return {plan.schedule: plan for plan in approx.plans(problem, capacity)}


# Causal masks


@given(st.integers(1, 50), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 2, 3]), st.integers(0, 60))
@settings(max_examples=15)
def test_a_causal_mask_costs_neither_words_nor_fast_memory(n: int, d: int, d_v: int, degree: int, spare: int) -> None:
    """Each schedule that makes sums and uses them at once moves the same words in the same peak with and without a mask."""
    full = Problem(n=n, d=d, d_v=d_v, degree=degree)
    causal = replace(full, mask=CAUSAL)
    capacity = approx.least_capacity(causal) + spare
    masked, unmasked = plans(causal, capacity), plans(full, capacity)
    assert masked
    for schedule, plan in masked.items():
        assert plan.io_words == unmasked[schedule].io_words
        assert plan.peak_words == unmasked[schedule].peak_words


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 60))
@settings(max_examples=15)
def test_in_degree_1_a_causal_mask_takes_a_word_at_the_most(d: int, d_v: int, spare: int) -> None:
    """There a weight is applied to a copy of a value; whatever fits without a mask fits in one word more with one."""
    full = Problem(n=9, d=d, d_v=d_v, degree=1)
    causal = replace(full, mask=CAUSAL)
    capacity = approx.least_capacity(causal) + spare
    words = min(plan.io_words for name, plan in plans(full, capacity).items() if "stationary" not in name)
    assert approx.best(causal, capacity + 1).io_words <= words


def test_what_comes_after_a_query_does_not_change_its_output() -> None:
    """With other keys and values from position 4 on, rows 0 to 3 of each schedule stay as they are, to the last bit."""
    problem = Problem(n=7, d=3, degree=2, coefficients=COEFFICIENTS[:3], mask=CAUSAL)
    random = np.random.default_rng(0)
    given_ = {name: random.uniform(-0.5, 0.5, (7, 3)) for name in "QKV"}
    other = {name: array.copy() for name, array in given_.items()}
    other["K"][4:], other["V"][4:] = 0.3, -5.0
    for capacity in (12, 40, 47, 60):
        for plan in approx.plans(problem, capacity):
            before, after = (execute(plan.program, plan.sizes, arrays)["O"] for arrays in (given_, other))
            np.testing.assert_array_equal(before[:4], after[:4])
            assert (before[4:] != after[4:]).all()


@pytest.mark.parametrize("mask", [Mask(back=3, ahead=0), Mask(back=2, ahead=2), Mask(back=1)], ids=str)
def test_masks_that_leave_keys_out_again_are_refused(mask: Mask) -> None:
    """A sum of features can't forget: windows and bands with an end at the back are an error that says what is allowed."""
    for algorithm in (approx, approx_resident):
        assert algorithm.unsupported(Problem(n=9, d=2, mask=mask)) is not None
    with pytest.raises(UsageError, match="masks under which no key is left out again: full, causal, band:all,AHEAD"):
        run("approx", n=9, d=2, M=1000, mask=mask)


# Shapes and shared heads


def test_shapes_by_hand() -> None:
    """Resident: Q and O of g n rows and K and V of n_k, once. In blocks: the formulas with their own lengths."""
    problem = Problem(n=10, n_k=30, d=3, d_v=2, group=4, degree=2)
    # 40 rows of Q and O and 30 of K and V, 3 + 2 words each
    assert plans(problem, 100)["resident"].io_words == (40 + 30) * 5
    # r = 10 features: one block, e = 2 columns at a time, the ones first: NC = 2 groups
    plan = plans(problem, 10 * 2 + 3 + 3)["blocks"]
    assert {name: plan.tiles[name] for name in ("NB", "NC", "e")} == {"NB": 1, "NC": 2, "e": 2}
    counted = plan.count()
    assert counted.loads == {"K": 2 * 30 * 3, "V": 30 * 2, "Q": 2 * 40 * 3, "Z": 40}
    assert counted.stores == {"O": 40 * 2, "Z": 40}


def test_the_sums_of_a_key_head_are_made_once_for_all_its_query_heads() -> None:
    """8 query heads on one key head: K and V move once, not 8 times; the fast memory is that of one head."""
    alone, shared = Problem(n=100, d=4, degree=2), Problem(n=100, d=4, degree=2, group=8)
    for mask in (FULL, CAUSAL):
        one = approx_resident.best(replace(alone, mask=mask), 10**4)
        eight = approx_resident.best(replace(shared, mask=mask), 10**4)
        assert one.io_words == 4 * 100 * 4
        assert eight.io_words == (2 * 8 + 2) * 100 * 4
        assert eight.peak_words == one.peak_words


def test_from_which_n_it_pays_keeps_the_earlier_keys_of_a_causal_problem() -> None:
    """Two queries after 30 earlier keys don't pay; with more queries after the same 30 keys they do."""
    found = run("approx-resident", n=2, n_k=32, d=4, M=200, mask="causal", numeric=False)
    assert not found.payoff.pays
    least = found.payoff.pays_from_n
    assert least is not None
    for n, pays in ((least - 1, False), (least, True)):
        assert run("approx-resident", n=n, n_k=30 + n, d=4, M=200, mask="causal", numeric=False).payoff.pays == pays


# Decoding


def step(n: int, n_k: int, **other: int) -> Problem:
    degree = other.pop("degree", 2)
    coefficients = minimax_exp(degree, 1.0).coefficients
    return Problem(n=n, n_k=n_k, mask=CAUSAL, degree=degree, coefficients=coefficients, **other)


@given(
    st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 60)
)
@settings(max_examples=25)
def test_a_token_moves_the_same_words_however_many_came_before(
    n: int, d: int, d_v: int, group: int, degree: int, spare: int
) -> None:
    """2 r(d_v+1) words of state for each B tokens, and (g+1)(d+d_v) for each token, at any n_k."""
    for n_k in (n, n + 50):
        problem = step(n, n_k, d=d, d_v=d_v, group=group, degree=degree)
        for plan in approx_decoding.plans(problem, approx_decoding.least_capacity(problem) + spare):
            passes = -(-n // plan.tiles.get("B", n))
            state = comb(d + degree, degree) * (d_v + 1)
            assert plan.io_words == 2 * state * passes + n * (group + 1) * (d + d_v)


@given(st.integers(1, 6), st.integers(0, 5), st.integers(1, 3), st.integers(0, 3), st.integers(0, 60), st.data())
@settings(max_examples=15)
def test_a_step_attends_to_all_keys_and_returns_their_state(
    n: int, past: int, group: int, degree: int, spare: int, choose: st.DataObject
) -> None:
    """Word by word and in pieces, the outputs are causal polynomial attention, and the new state is that of all keys."""
    problem = step(n, past + n, d=3, d_v=2, group=group, degree=degree)
    data = random_input(n, 3, n_k=past + n, d_v=2, heads=group, group=group, logit_bound=1.0, seed=n)
    K, V = data.K[0], data.V[0]
    for plan in approx_decoding.plans(problem, approx_decoding.least_capacity(problem) + spare):
        longer = {x: choose.draw(st.integers(1, 7), x) for x in plan.sizes if x in {"N", "f", "c"}}
        for sizes in (plan.sizes, plan.executed, {**plan.sizes, **longer}):
            found = run_plan(replace(plan, executed=sizes), problem, data, lambda _: None)
            for head in range(group):
                expected = polynomial_attention(data.Q[head], K, V, problem.coefficients or (), mask=CAUSAL)
                assert np.abs(found[head] - expected).max() < 1e-12
            assert plan.layout is not None
            inputs = {"Q": np.swapaxes(data.Q, 0, 1).reshape(-1, 3), "K": K, "V": V}
            new = execute(plan.program, sizes, plan.layout(inputs, sizes))
            away = state_difference(new["W_new"], new["w_new"], K, V, problem.coefficients or ())
            assert away <= state_rounding(past + n, degree)


def test_a_prompt_in_steps_ends_where_one_step_ends() -> None:
    """Appending 7 keys by steps of 3, 1 and 3, each from the state of the last, gives the state and outputs of one step."""
    random = np.random.default_rng(1)
    Q, K, V = (random.uniform(-0.5, 0.5, (7, 2)) for _ in range(3))
    coefficients = COEFFICIENTS[:3]
    W, w = feature_sums(K[:0], V[:0], coefficients)
    outputs = []
    for rows in (slice(0, 3), slice(3, 4), slice(4, 7)):
        problem = Problem(n=rows.stop - rows.start, d=2, mask=CAUSAL, degree=2, coefficients=coefficients)
        plan = approx_decoding.best(problem, 12)
        new = execute(plan.program, plan.sizes, {"Q": Q[rows], "K": K[rows], "V": V[rows], "W": W, "w": w})
        W, w = new["W_new"], new["w_new"]
        outputs.append(new["O"])
    np.testing.assert_allclose(
        np.concatenate(outputs), polynomial_attention(Q, K, V, coefficients, mask=CAUSAL), rtol=1e-12
    )
    np.testing.assert_allclose(W, feature_sums(K, V, coefficients)[0], rtol=1e-12, atol=1e-15)


def test_decoding_pays_from_the_keys_whose_cache_is_larger_than_twice_the_state() -> None:
    """One token, d = 8, degree 2, r = 45: 2 45 9 + 32 = 842 words against 16 + 16 n_k: from n_k = 52 on."""
    found = run("approx-decoding", n=1, n_k=30, d=8, M=1000)
    assert found.holds
    assert found.io_words == 842 == found.lower_bound[1]
    assert found.to_dict()["pays_from_n_k"] == 52
    assert "the approximation does not pay at n_k=30" in " ".join(found.notes)
    assert run("approx-decoding", n=1, n_k=52, d=8, M=1000).payoff.pays
    assert not run("approx-decoding", n=1, n_k=51, d=8, M=1000).payoff.pays


def test_decoding_is_for_tokens_one_after_the_other() -> None:
    """Several tokens that meet each other's keys both ways are refused."""
    with pytest.raises(UsageError, match="a causal mask, or one query"):
        run("approx-decoding", n=2, n_k=9, d=2, M=1000)


def test_a_wrong_word_of_the_state_is_seen() -> None:
    """A word that is off by a part in a million, is missing, or is not a number is far beyond rounding."""
    random = np.random.default_rng(2)
    K, V = random.normal(size=(20, 3)), random.normal(size=(20, 2))
    W, w = feature_sums(K, V, COEFFICIENTS)
    assert state_difference(W, w, K, V, COEFFICIENTS) == 0
    for factor in (1 + 1e-6, 0.0, np.nan):
        wrong = W.copy()
        wrong[7, 1] *= factor
        assert state_difference(wrong, w, K, V, COEFFICIENTS) > 100 * state_rounding(20, 3)


def test_the_state_evaluates_the_polynomial() -> None:
    """Monomials of a query times the state are the sum over keys of p(q.k/sqrt(d)) v, and of p(q.k/sqrt(d))."""
    random = np.random.default_rng(3)
    q, K, V = random.normal(size=2), random.normal(size=(5, 2)), random.normal(size=(5, 3))
    W, w = feature_sums(K, V, COEFFICIENTS)
    x, y = q
    phi = np.array([1, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3])
    p = np.polynomial.Polynomial(COEFFICIENTS)(K @ q / np.sqrt(2))
    np.testing.assert_allclose(phi @ W, p @ V, rtol=1e-12)
    np.testing.assert_allclose(phi @ w, [p.sum()], rtol=1e-12)
