"""Exact attention in float64: by the definition, in bounded memory, and how far rounding can move it."""

import math
import re
import tracemalloc
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import ExecutionError, UsageError
from iosim.numeric import reference
from iosim.numeric.reference import (
    iter_scores,
    norm_bound,
    polynomial_attention,
    rounding_bound,
    row_blocks,
    sample_rows,
    softmax_attention,
)

small = st.integers(1, 9)
seeds = st.integers(0, 2**32)


def arrays(n, n_k, d, d_v, seed, scale=1.0):
    """Normal Q, K, V of the given sizes, Q and K times `scale`."""
    generator = np.random.default_rng(seed)
    Q, K, V = (generator.standard_normal(shape) for shape in ((n, d), (n_k, d), (n_k, d_v)))
    return Q * scale, K * scale, V


def exact_attention(Q, K, V):
    """Softmax attention with 60 digits, rounded to float64 at the end."""
    with mpmath.workdps(60):
        q, k, v = (mpmath.matrix(array.tolist()) for array in (Q, K, V))
        weights = (q * k.T / mpmath.sqrt(Q.shape[1])).apply(mpmath.exp)
        means = weights * v
        return np.array(
            [[float(means[i, c] / mpmath.fsum(weights[i, :])) for c in range(V.shape[1])] for i in range(len(Q))]
        )


def bound_of(Q, K, V):
    """The rounding bound that holds for these arrays."""
    return rounding_bound(len(K), Q.shape[1], norm_bound(Q, K), float(np.abs(V).max()))


def assert_within(found, expected, bound):
    """Assert that no entry is further from the expected one than the bound."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound


@pytest.fixture(params=[None, 5], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    """Run with blocks as shipped, and with blocks of at most five scores, so that block edges fall inside arrays."""
    if request.param is not None:
        monkeypatch.setattr(reference, "MAX_WORDS_AT_ONCE", request.param)
        monkeypatch.setattr(reference, "MAX_ROWS_AT_ONCE", 2)


# --- softmax attention


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(("n", "n_k", "d", "d_v"), [(1, 1, 1, 1), (5, 7, 3, 2), (7, 4, 2, 6), (3, 11, 1, 1)])
@pytest.mark.usefixtures("blocks")
def test_softmax_attention_equals_sixty_digits(n, n_k, d, d_v, scale):
    """Small cases agree with a 60-digit evaluation to within half the bound for two evaluations."""
    Q, K, V = arrays(n, n_k, d, d_v, seed=1, scale=scale)
    assert_within(softmax_attention(Q, K, V), exact_attention(Q, K, V), bound_of(Q, K, V) / 2)


@settings(deadline=None)
@given(n=small, n_k=small, d=small, d_v=small, seed=seeds)
def test_softmax_attention_equals_the_formula(n, n_k, d, d_v, seed):
    """For any sizes the result is the textbook formula, evaluated without a shift."""
    Q, K, V = arrays(n, n_k, d, d_v, seed)
    weights = np.exp(Q @ K.T / math.sqrt(d))
    assert_within(softmax_attention(Q, K, V), weights / weights.sum(1, keepdims=True) @ V, bound_of(Q, K, V))


def test_softmax_attention_of_equal_scores_is_the_mean_value():
    """With Q = 0 every key weighs the same: (1 + 2 + 6) / 3 = 3, exactly."""
    assert softmax_attention(np.zeros((2, 4)), np.ones((3, 4)), [[1.0], [2.0], [6.0]]).tolist() == [[3.0], [3.0]]


@pytest.mark.usefixtures("blocks")
def test_softmax_attention_survives_huge_scores():
    """Scores of 10^6 overflow an exponential without a shift; with it the largest score takes all."""
    Q, K = np.full((1, 1), 1e3), np.array([[-1e3], [0.0], [1e3], [999.0], [3.0], [4.0], [5.0]])
    V = np.arange(7.0)[:, np.newaxis]
    assert softmax_attention(Q, K, V).tolist() == [[2.0]]


@pytest.mark.usefixtures("blocks")
def test_softmax_attention_gives_the_rows_asked_for():
    """Rows come in the order asked for, with repetitions, and each as if computed with all the others."""
    Q, K, V = arrays(9, 8, 4, 3, seed=2)
    everything = softmax_attention(Q, K, V)
    rows = [8, 0, 3, 3, 5]
    assert_within(softmax_attention(Q, K, V, rows), everything[rows], bound_of(Q, K, V))
    assert softmax_attention(Q, K, V, []).shape == (0, 3)


def test_softmax_attention_is_in_float64_whatever_comes_in():
    """Half-precision inputs are taken as the exact numbers they are."""
    Q, K, V = (array.astype(np.float16) for array in arrays(4, 5, 3, 2, seed=3))
    result = softmax_attention(Q, K, V)
    assert result.dtype == np.float64
    Q, K, V = (array.astype(np.float64) for array in (Q, K, V))
    assert_within(result, exact_attention(Q, K, V), bound_of(Q, K, V) / 2)


def test_softmax_attention_leaves_its_inputs_alone():
    """The reference computes in memory of its own."""
    inputs = arrays(4, 5, 3, 2, seed=4)
    copies = [array.copy() for array in inputs]
    softmax_attention(*inputs)
    polynomial_attention(*inputs, (1, 2, 3))
    assert all(np.array_equal(array, copy) for array, copy in zip(inputs, copies, strict=True))


@pytest.mark.parametrize(("n", "n_k", "d"), [(1500, 5000, 16), (1, 3_000_000, 1), (1100, 40, 2100)])
def test_memory_stays_below_128_mib(n, n_k, d):
    """Neither many rows, nor more keys than a block has scores, nor wide rows need more than 128 MiB."""
    Q, K, V = np.ones((n, d)), np.ones((n_k, d)), np.ones((n_k, 1))
    for attention in (softmax_attention, lambda Q, K, V: polynomial_attention(Q, K, V, (1, 1, 1))):
        tracemalloc.start()
        result = attention(Q, K, V)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_allclose(result, 1, rtol=1e-12)
        assert peak < 128 * 2**20


# --- polynomial attention


@settings(deadline=None)
@given(n=small, n_k=small, d=st.sampled_from([1, 4]), seed=seeds, coefficients=st.lists(st.integers(1, 5), min_size=1))
def test_polynomial_attention_equals_exact_rationals(n, n_k, d, seed, coefficients):
    """On small non-negative integers, where the root of d is exact, the result is the correctly rounded rational's."""
    generator = np.random.default_rng(seed)
    Q, K, V = (generator.integers(0, 3, shape).astype(float) for shape in ((n, d), (n_k, d), (n_k, 2)))

    def weight(q, k):
        score = sum(Fraction(a) * Fraction(b) for a, b in zip(q, k, strict=True)) / math.isqrt(d)
        return sum(c * score**power for power, c in enumerate(coefficients))

    weights = [[weight(q, k) for k in K.tolist()] for q in Q.tolist()]
    expected = [[float(sum(w * Fraction(v) for w, v in zip(r, c, strict=True)) / sum(r)) for c in V.T] for r in weights]
    # All terms are non-negative, so each of the few operations on a term costs it at most one relative 2^-53.
    relative = 4 * (2 * len(coefficients) + 2 * d + 2 * n_k + 4) * 2.0**-53
    np.testing.assert_allclose(polynomial_attention(Q, K, V, coefficients), expected, rtol=relative, atol=0)


@pytest.mark.usefixtures("blocks")
def test_polynomial_attention_approaches_softmax_attention_as_proven():
    """With the Taylor polynomial of degree 6, of relative error e, the results differ by at most 2e/(1-e) max|V|."""
    Q, K, V = arrays(9, 12, 4, 3, seed=5, scale=0.5)
    R = norm_bound(Q, K)
    coefficients = [1 / math.factorial(power) for power in range(7)]
    # Lagrange: |p(x) - exp(x)| <= exp(R) R^7 / 7!, and exp(x) >= exp(-R).
    error = math.exp(2 * R) * R**7 / math.factorial(7)
    found, expected = polynomial_attention(Q, K, V, coefficients), softmax_attention(Q, K, V)
    assert_within(found, expected, 2 * error / (1 - error) * np.abs(V).max() + bound_of(Q, K, V))
    assert np.abs(found - expected).max() > bound_of(Q, K, V)  # and the difference is the polynomial's, not rounding


@pytest.mark.usefixtures("blocks")
def test_polynomial_attention_gives_the_rows_asked_for():
    """Rows come in the order asked for."""
    Q, K, V = arrays(9, 8, 4, 3, seed=6)
    coefficients = (3.0, 0.0, 1.0)  # 3 + x^2 > 0
    expected = polynomial_attention(Q, K, V, coefficients)[[7, 1]]
    np.testing.assert_allclose(polynomial_attention(Q, K, V, coefficients, [7, 1]), expected, rtol=1e-13)


@pytest.mark.parametrize("coefficients", [(), ((1.0, 2.0),)])
def test_polynomial_without_coefficients_is_refused(coefficients):
    """A polynomial is a sequence of at least one number."""
    with pytest.raises(UsageError, match=r"coefficients: shape \((0,|1, 2)\); allowed: a sequence of at least one"):
        polynomial_attention([[1.0]], [[1.0]], [[1.0]], coefficients)


def test_weights_that_cancel_are_an_error_with_the_row():
    """p(x) = x weighs the keys 1 and -1 with opposite signs, so row 1 has no mean; row 0 is fine without it."""
    Q, K, V = np.array([[1.0], [2.0]]), np.array([[1.0], [-1.0]]), np.ones((2, 1))
    with pytest.raises(ExecutionError, match=r"polynomial_attention: row 1 is not finite; allowed: .* sum to 0"):
        polynomial_attention(Q, K, V, (0, 1), rows=[1])


# --- wrong arguments


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_result_that_is_not_finite_is_an_error(bad):
    """A nan, an infinity or an overflowing score never turns into a silent nan."""
    Q = np.array([[0.0], [1.0], [bad]])
    with pytest.raises(ExecutionError, match="softmax_attention: row 2 is not finite; allowed: finite inputs"):
        softmax_attention(Q, [[1.0], [1e200]], [[1.0], [2.0]])


@pytest.mark.parametrize(
    ("Q", "K", "V"),
    [
        ((2, 3), (4, 2), (4, 2)),
        ((2, 3), (4, 3), (5, 2)),
        ((2, 3), (4, 3), (4,)),
        ((1, 2, 3), (1, 4, 3), (1, 4, 3)),
        ((0, 3), (4, 3), (4, 2)),
        ((2, 3), (0, 3), (0, 2)),
        ((2, 0), (4, 0), (4, 2)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(Q, K, V):
    """Wrong ranks, empty arrays and mismatches are refused with the three shapes."""
    found = re.escape(
        f"Q {list(Q)}, K {list(K)}, V {list(V)}; allowed: [n, d], [n_k, d], [n_k, d_v], none of them empty"
    )
    for name, more in (("softmax_attention", ()), ("polynomial_attention", ((1.0,),))):
        with pytest.raises(UsageError, match=f"{name}: {found}"):
            getattr(reference, name)(np.ones(Q), np.ones(K), np.ones(V), *more)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 3], "row 3; allowed: 0 to 2"),
        ([-1], "row -1; allowed: 0 to 2"),
        ([0.5], r"rows float64 \[1\]; allowed: a list of row indices"),
        ([True, False, True], r"rows bool \[3\]; allowed: a list of row indices"),
        ([[0, 1]], r"rows int64 \[1, 2\]; allowed: a list of row indices"),
    ],
)
def test_rows_that_are_not_rows_are_refused(rows, message):
    """Rows outside Q (negative ones too), fractions, masks and tables are refused."""
    with pytest.raises(UsageError, match=f"softmax_attention: {message}"):
        softmax_attention(*arrays(3, 3, 2, 2, seed=0), rows)


# --- samples


@settings(deadline=None)
@given(n=st.integers(1, 10**6) | st.just(2**40), count=st.integers(1, 300), seed=seeds)
def test_sample_is_sorted_distinct_repeatable_and_has_both_ends(n, count, seed):
    """A sample has the size asked for, no row twice, the first and the last row, and depends on its arguments alone."""
    rows = sample_rows(n, count, seed)
    assert rows.dtype == np.int64
    assert len(rows) == min(n, count)
    assert (np.diff(rows) > 0).all()
    assert rows[0] >= 0
    assert rows[-1] < n
    if len(rows) > 1:
        assert (rows[0], rows[-1]) == (0, n - 1)
    assert np.array_equal(rows, sample_rows(n, count, seed))


def test_sample_of_everything_is_everything():
    """Asking for as many rows as there are, or more, gives all of them."""
    assert sample_rows(4, 4, seed=1).tolist() == sample_rows(4, 100, seed=2).tolist() == [0, 1, 2, 3]


def test_samples_differ_with_the_seed_and_reach_every_row():
    """Over 200 seeds, four of ten rows: each inner row is in about 2/8 of the samples, none in less than an eighth."""
    samples = [sample_rows(10, 4, seed) for seed in range(200)]
    assert np.bincount(np.concatenate(samples))[1:9].min() > 200 / 8
    assert np.bincount(np.concatenate([sample_rows(4, 1, seed) for seed in range(200)])).min() > 200 / 8


@pytest.mark.parametrize(("n", "count", "seed"), [(0, 1, 0), (5, 0, 0), (5, -1, 0), (5, 2, -1)])
def test_sample_of_nothing_is_refused(n, count, seed):
    """No rows, no sample, or a negative seed is an error."""
    with pytest.raises(UsageError, match=f"{count} rows of {n} with seed {seed}: allowed: at least 1 row"):
        sample_rows(n, count, seed)


# --- blocks


@settings(deadline=None)
@given(n=st.integers(0, 5000), width=st.integers(1, 10**7))
def test_row_blocks_cover_every_row_once(n, width):
    """The blocks are adjacent, cover all rows, and are small unless a single row is large."""
    slices = list(row_blocks(n, width))
    assert [i for block in slices for i in range(block.start, block.stop)] == list(range(n))
    for block in slices:
        assert block.stop - block.start == 1 or (block.stop - block.start) * width <= reference.MAX_WORDS_AT_ONCE


@pytest.mark.usefixtures("blocks")
def test_blocks_of_scores_cover_every_key_once():
    """Side by side the blocks are q K^T."""
    q, K, _ = arrays(2, 9, 3, 1, seed=7)
    found = [(keys, scores.copy()) for keys, scores in iter_scores(q, K)]
    assert [j for keys, _ in found for j in range(keys.start, keys.stop)] == list(range(9))
    np.testing.assert_allclose(np.hstack([scores for _, scores in found]), q @ K.T, rtol=1e-14)


# --- how far rounding goes


@settings(deadline=None)
@given(n=small, n_k=small, d=small, seed=seeds)
def test_norm_bound_bounds_sums_of_absolute_products(n, n_k, d, seed):
    """No sum_t |q_t| |k_t| / sqrt(d), and so no score, exceeds the bound from norms."""
    Q, K, _ = arrays(n, n_k, d, 1, seed)
    assert (np.abs(Q) @ np.abs(K).T).max() / math.sqrt(d) <= norm_bound(Q, K) * (1 + (3 * d + 9) * 2.0**-53)


def test_norm_bound_of_half_precision_is_in_float64():
    """(300, 400) has the norm 500, whose square is beyond float16."""
    rows = np.array([[300.0, 400.0]], dtype=np.float16)
    assert norm_bound(rows, rows) == 250_000 / math.sqrt(2)


def shifted(Q, K, V, tile=1):
    """The plain way: shift by the row's largest score, normalise the weights, then average."""
    scores = Q @ K.T / math.sqrt(Q.shape[1])
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return (weights / weights.sum(1, keepdims=True)) @ V


def flash_2(Q, K, V, tile=1):
    """Rescale by the running maximum after each tile of keys, in base 2, normalise at the end."""
    scale = math.log2(math.e) / math.sqrt(Q.shape[1])
    m, l, O = np.full((len(Q), 1), -np.inf), np.zeros((len(Q), 1)), np.zeros((len(Q), V.shape[1]))
    for j in range(0, len(K), tile):
        scores = Q @ K[j : j + tile].T * scale
        new = np.maximum(m, scores.max(1, keepdims=True))
        weights, keep = np.exp2(scores - new), np.exp2(m - new)
        l = l * keep + weights.sum(1, keepdims=True)
        O = O * keep + weights @ V[j : j + tile]
        m = new
    return O * (1 / l)


def flash_1(Q, K, V, tile=1):
    """Like the first FlashAttention: normalise again after each tile of keys."""
    m, l, O = np.full((len(Q), 1), -np.inf), np.zeros((len(Q), 1)), np.zeros((len(Q), V.shape[1]))
    for j in range(0, len(K), tile):
        scores = (Q / math.sqrt(Q.shape[1])) @ K[j : j + tile].T
        own = scores.max(1, keepdims=True)
        weights = np.exp(scores - own)
        new = np.maximum(m, own)
        sums = np.exp(m - new) * l + np.exp(own - new) * weights.sum(1, keepdims=True)
        O = (1 / sums) * (l * np.exp(m - new) * O + np.exp(own - new) * (weights @ V[j : j + tile]))
        m, l = new, sums
    return O


def rising(n, n_k, d, d_v, scale):
    """Arrays whose scores grow along the keys, so that the running maximum changes at every one of them."""
    Q, K, V = arrays(n, n_k, d, d_v, seed=8)
    Q = np.abs(Q) * scale
    K = np.sort(np.abs(K), axis=0) * scale
    return Q, K, V


@pytest.mark.parametrize("schedule", [shifted, flash_2, flash_1])
@pytest.mark.parametrize("tile", [1, 3, 64])
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("kind", ["normal", "rising"])
def test_rounding_bound_holds_for_every_schedule(schedule, tile, scale, kind):
    """Each schedule stays within half the bound of the 60-digit result, so any two stay within the bound."""
    Q, K, V = rising(3, 50, 6, 2, scale) if kind == "rising" else arrays(3, 50, 6, 2, seed=9, scale=scale)
    assert_within(schedule(Q, K, V, tile), exact_attention(Q, K, V), bound_of(Q, K, V) / 2)


def test_rounding_bound_tells_float32_from_float64():
    """The bound is small enough to reject an evaluation in single precision."""
    Q, K, V = arrays(16, 256, 64, 8, seed=10)
    single = shifted(*(array.astype(np.float32) for array in (Q, K, V)))
    assert np.abs(single - softmax_attention(Q, K, V)).max() > bound_of(Q, K, V)


def test_rounding_bound_from_the_largest_score_alone_would_be_false():
    """Terms of 10^10 that cancel to a score of about 1 leave errors of 10^-6: only the sum of |q||k| bounds those."""
    generator = np.random.default_rng(11)
    a, b = generator.uniform(1e5, 2e5, (2, 8, 1))
    c, e, V = generator.standard_normal((3, 8, 1))
    Q, K = np.hstack([a, c, -a]), np.hstack([b, e, b])
    first, second, third = (q[:, np.newaxis] * k for q, k in zip(Q.T, K.T, strict=True))
    weights = np.exp(((first + second) + third) / math.sqrt(3))
    found, expected = weights / weights.sum(1, keepdims=True) @ V, exact_attention(Q, K, V)
    largest = float(np.abs(c * e.T).max()) / math.sqrt(3)
    assert np.abs(found - expected).max() > rounding_bound(8, 3, largest, float(np.abs(V).max()))
    assert_within(found, expected, bound_of(Q, K, V) / 2)


def test_rounding_bound_grows_with_every_argument():
    """More keys, more columns, larger scores and larger values allow for larger differences."""
    base = {"n_keys": 100, "d": 16, "logit_bound": 1.0, "value_max": 1.0}
    for name, value in base.items():
        assert rounding_bound(**(base | {name: 2 * value})) > rounding_bound(**base)
    # Per evaluation, in units of 2^-53: numerator (16 + 9) + 909 + 300 + 101, denominator 25 + 909 + 100, quotient 2.
    assert rounding_bound(**base) == 4 * (1335 + 1034 + 2) * 2.0**-53


@pytest.mark.parametrize(
    "wrong",
    [{"n_keys": 0}, {"d": 0}, {"logit_bound": -1.0}, {"logit_bound": math.nan}, {"value_max": math.inf}],
)
def test_rounding_bound_of_nonsense_is_refused(wrong):
    """No keys, no columns and bounds that bound nothing are errors."""
    with pytest.raises(UsageError, match=r"rounding bound of .*: allowed: at least 1 key, d from 1 up, finite bounds"):
        rounding_bound(**({"n_keys": 1, "d": 1, "logit_bound": 1.0, "value_max": 1.0} | wrong))


def test_rounding_bound_beyond_first_order_is_refused():
    """Scores of 10^13 have rounding errors of about 1e-2 themselves, where a first-order bound proves nothing."""
    with pytest.raises(UsageError, match=r"relative error .*, allowed: at most 1e-2; beyond that"):
        rounding_bound(n_keys=10, d=64, logit_bound=1e13, value_max=1.0)


@pytest.mark.parametrize(("ours", "exact"), [(np.exp, mpmath.exp), (np.exp2, lambda x: mpmath.power(2, x))])
def test_exponentials_are_as_accurate_as_the_rounding_bound_supposes(ours, exact):
    """numpy's exponentials of 2000 arguments from -700 to 0 are within 4 units in the last place."""
    x = -np.concatenate([np.linspace(0, 700, 1000), np.geomspace(1e-9, 1, 1000)])
    with mpmath.workdps(40):
        for argument, value in zip(x.tolist(), ours(x).tolist(), strict=True):
            assert abs(mpmath.mpf(value) - exact(mpmath.mpf(argument))) <= 4 * math.ulp(value)
