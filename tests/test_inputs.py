"""Random Q, K and V have scores that are proved to be within their bound; arrays are taken as they are."""

import math
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.numeric import inputs
from iosim.numeric.inputs import AttentionInput, from_arrays, random_input
from iosim.numeric.reference import norm_bound
from tests.refusals import refused

DATA = Path(__file__).parent / "data"
small = st.integers(1, 7)
seeds = st.integers(0, 2**64)


@settings(deadline=None)
@given(n=small, d=small, heads=small, bound=st.floats(1e-100, 1e100), seed=seeds)
def test_random_scores_are_within_the_bound_exactly(n, d, heads, bound, seed):
    """In rational arithmetic (q . k)^2 <= bound^2 d for every pair, and float64 scores are within the bound too."""
    data = random_input(n, d, logit_bound=bound, seed=seed, heads=heads)
    for Q, K in zip(data.Q, data.K, strict=True):
        for q in Q.tolist():
            for k in K.tolist():
                score = sum(Fraction(a) * Fraction(b) for a, b in zip(q, k, strict=True))
                assert score**2 <= Fraction(bound) ** 2 * d
        assert np.abs((Q / math.sqrt(d)) @ K.T).max() <= bound
        assert np.abs(Q @ K.T / math.sqrt(d)).max() <= bound


@settings(deadline=None)
@given(n=small, d=small, heads=small, bound=st.floats(1e-100, 1e100), seed=seeds)
def test_random_inputs_reach_the_bound_in_every_head(n, d, heads, bound, seed):
    """The bound from norms equals the bound asked for, but for the rounding allowance of (4 d + 32) 2^-53."""
    data = random_input(n, d, logit_bound=bound, seed=seed, heads=heads)
    for Q, K in zip(data.Q, data.K, strict=True):
        assert norm_bound(Q, K) == pytest.approx(bound, rel=1e-13)


def test_random_input_has_the_sizes_asked_for_and_says_what_it_is():
    """Queries, keys and values are as many, and the source names all arguments."""
    data = random_input(5, 3, logit_bound=2.5, seed=9, heads=2)
    assert (data.heads, data.n, data.n_k, data.d, data.d_v) == (2, 5, 5, 3, 3)
    assert data.Q.shape == data.K.shape == data.V.shape == (2, 5, 3)
    assert (data.seed, data.stored_dtype) == (9, "float64")
    assert str(data) == (
        "random input (n=5, d=3, heads=2, seed=9, logit bound 2.5): h=2, n=5, n_k=5, d=3, d_v=3, stored as float64"
    )


def test_random_input_depends_on_its_arguments_alone():
    """The same seed gives the same arrays, another seed others, and the bound only scales Q and K."""
    first, again, other = random_input(50, 4), random_input(50, 4), random_input(50, 4, seed=1)
    wider = random_input(50, 4, logit_bound=16.0)
    for name in ("Q", "K", "V"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
    np.testing.assert_allclose(wider.Q, first.Q * 4, rtol=1e-14)  # a factor 16 of the scores is 4 of Q and 4 of K
    np.testing.assert_allclose(wider.K, first.K * 4, rtol=1e-14)
    assert np.array_equal(wider.V, first.V)


def test_random_values_are_standard_normal_and_the_arrays_unrelated():
    """40,000 values have mean 0 and variance 1 within 6 standard errors, and no two arrays are correlated."""
    data = random_input(10_000, 4, seed=3)
    assert abs(data.V.mean()) < 6 / 200  # standard error 1 / sqrt(40,000)
    assert abs(data.V.var() - 1) < 6 * math.sqrt(2) / 200
    for one, two in ((data.Q, data.K), (data.K, data.V), (data.V, data.Q)):
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 6 / 200


def test_random_input_needs_little_memory_beside_its_arrays():
    """At n = 2^17, d = 16 the three arrays take 48 MiB; 2^17 squared norms take 1 MiB more."""
    tracemalloc.start()
    random_input(2**17, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 48 * 2**20 <= peak < 52 * 2**20


@pytest.mark.parametrize("wrong", [{"n": 0}, {"d": 0}, {"heads": 0}, {"n": -5}, {"seed": -1}])
def test_random_input_of_impossible_sizes_is_refused(wrong):
    """Sizes start at 1 and seeds at 0."""
    refused(
        lambda: random_input(**({"n": 4, "d": 2} | wrong)), "random input (", "allowed: n, d and heads from 1 up, seed"
    )


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf, 1e101])
def test_random_input_of_impossible_bound_is_refused(bound):
    """A bound on the scores is positive and of a size that float64 can work with."""
    refused(lambda: random_input(4, 2, logit_bound=bound), "allowed: a logit bound from 1e-100 to 1e100")


@pytest.mark.parametrize("n", [2**40, 2**62])
def test_random_input_larger_than_memory_is_refused(n):
    """2^40 rows of 64 are 1.7e15 bytes: an error, not a crash."""
    refused(lambda: random_input(n, 64), f"{3 * n * 64 * 8:,} B in float64; allowed: what fits into memory")


def test_running_out_of_memory_is_a_usage_error(monkeypatch):
    """When the system gives no memory, the error says how much was asked for."""

    def empty(shape):
        raise MemoryError

    monkeypatch.setattr(inputs.np, "empty", empty)
    refused(lambda: random_input(2, 2), "96 B in float64; allowed: what fits into memory")  # 3 * 2 * 2 * 8


def test_arrays_in_memory_are_copied():
    """An input doesn't change when the arrays that it was made from do."""
    Q = np.ones((2, 2))
    data = from_arrays(Q, Q, Q)
    Q[:] = 7
    assert data.Q.max() == data.K.max() == data.V.max() == 1


def test_input_made_by_hand_is_checked():
    """The class itself refuses shapes that don't fit and arrays that aren't float64 with a head axis."""
    one, three = np.ones((1, 2, 2)), np.ones((1, 3, 3))

    def made(Q, K, V):
        return AttentionInput(Q=Q, K=K, V=V, source="mine", seed=None, stored_dtype="float64")

    assert made(one, one, one).n == 2
    refused(
        lambda: made(one, three, three), "mine: Q [1, 2, 2], K [1, 3, 3], V [1, 3, 3]; allowed: Q and K with as many"
    )
    refused(
        lambda: made(one[0], one[0], one[0]), "mine: array Q is float64 [2, 2]; allowed here: float64 of shape [h, n"
    )
    refused(lambda: made(one, one, one.astype("f4")), "mine: array V is float32 [1, 2, 2]; allowed here: float64")
