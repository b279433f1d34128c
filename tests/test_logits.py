"""The range of the scores of an input: as it is, and as the best shifts would leave it."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iosim.approximation.logits import logit_range
from iosim.numeric import reference
from iosim.numeric.input_files import load_input
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import norm_bound

DATA = Path(__file__).parent / "data"
small = st.integers(1, 7)
seeds = st.integers(0, 2**64)


@pytest.fixture(params=[None, 5], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    """Run with blocks as shipped, and with blocks of at most five scores, so that block edges fall inside arrays."""
    if request.param is not None:
        monkeypatch.setattr(reference, "MAX_WORDS_AT_ONCE", request.param)
        monkeypatch.setattr(reference, "MAX_ROWS_AT_ONCE", 2)


@pytest.mark.usefixtures("blocks")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=small, n_k=small, d=small, heads=small, seed=seeds)
def test_logit_range_equals_the_definition(n, n_k, d, heads, seed):
    """For any sizes each head's range is that of the full matrix of scores, plain, row-centred and key-centred."""
    generator = np.random.default_rng(seed)
    Q, K = generator.standard_normal((heads, n, d)), generator.standard_normal((heads, n_k, d))
    found = logit_range(from_arrays(Q, K, K))
    assert len(found.heads) == heads
    for head, q, k in zip(found.heads, Q, K, strict=True):
        scores, centred = q @ k.T / math.sqrt(d), q @ (k - k.mean(0)).T / math.sqrt(d)
        near = {"rtol": 1e-13, "atol": 1e-13}
        np.testing.assert_allclose([head.min, head.max], [scores.min(), scores.max()], **near)
        np.testing.assert_allclose(head.max_abs, np.abs(scores).max(), **near)
        np.testing.assert_allclose(head.centred_bound, np.ptp(scores, axis=1).max() / 2, **near)
        np.testing.assert_allclose(head.key_centred, np.abs(centred).max(), **near)
        assert head.norm_bound == norm_bound(q, k)
        # The best shift is at least as good as none and as the shift by the mean.
        assert head.centred_bound <= min(head.max_abs, head.key_centred) + 1e-13
        assert head.max_abs <= head.norm_bound + 1e-13


def test_logit_range_by_hand():
    """d = 4, so scores are half the products: rows (1, 3) and (-2, -6), whose means over the keys are 2 and -4."""
    Q = [[2.0, 0, 0, 0], [-4.0, 0, 0, 0]]
    K = [[1.0, 0, 0, 0], [3.0, 0, 0, 0]]
    (head,) = logit_range(from_arrays(Q, K, K)).heads
    assert (head.min, head.max, head.max_abs) == (-6, 3, 6)
    assert head.centred_bound == 2  # half of -2 - (-6)
    assert head.key_centred == 2  # -6 - (-4)
    assert head.norm_bound == 6  # 4 * 3 / sqrt(4)


def test_centred_keys_can_be_worse_than_plain_ones():
    """Scores 1, 1, 1, -1 have the mean 1/2: after subtracting it the last is -3/2."""
    (head,) = logit_range(from_arrays([[1.0]], [[1.0], [1.0], [1.0], [-1.0]], np.ones((4, 1)))).heads
    assert (head.max_abs, head.key_centred, head.centred_bound) == (1, 1.5, 1)


def test_worst_head_is_worst_in_everything():
    """The range over all heads takes the smallest minimum and the largest of the rest, head by head."""
    Q = [[[1.0]], [[-2.0]]]
    K = [[[1.0], [5.0]], [[1.0], [2.0]]]
    found = logit_range(from_arrays(Q, K, K))
    # Head 0: scores 1, 5. Head 1: scores -2, -4.
    assert [(head.min, head.max) for head in found.heads] == [(1, 5), (-4, -2)]
    worst = found.worst
    assert (worst.min, worst.max, worst.max_abs, worst.centred_bound, worst.norm_bound) == (-4, 5, 5, 2, 5)
    assert (
        str(found) == str(worst) == "scores from -4 to 5; |score| at most 5, 2 with centred keys, 2 with centred rows"
    )


@pytest.mark.usefixtures("blocks")
def test_progress_counts_rows_up_to_all_of_them():
    """Progress rises to the number of rows of all heads."""
    calls = []
    logit_range(random_input(7, 2, heads=3), progress=lambda done, total: calls.append((done, total)))
    assert [total for _, total in calls] == [21] * len(calls)
    done = [done for done, _ in calls]
    assert done == sorted(set(done))
    assert done[-1] == 21


@pytest.mark.parametrize(("n", "d"), [(5000, 16), (1100, 3000)])
def test_logit_range_stays_below_64_mib(n, d):
    """The full matrix of scores of n = 5000 has 190 MiB, and rows of d = 3000 are wide; neither matters."""
    data = from_arrays(np.ones((n, d)), np.ones((n, d)), np.ones((n, 1)))
    tracemalloc.start()
    found = logit_range(data).worst
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.max == pytest.approx(math.sqrt(d))
    assert peak < 64 * 2**20


# --- real activations


def test_real_head_is_read_and_far_from_bounded_entries():
    """Head 0 of the last layer of a sentence-embedding model: 512 tokens, d = 32, scores up to 7.86 in magnitude.

    The expected numbers are those of the full float64 matrix of scores, checked here against it.
    """
    data = load_input(DATA / "minilm_layer5_head0.npz")
    assert (data.heads, data.n, data.n_k, data.d, data.d_v) == (1, 512, 512, 32, 32)
    assert data.stored_dtype == "float16"
    found = logit_range(data).worst
    scores = data.Q[0] @ data.K[0].T / math.sqrt(32)
    assert found.max_abs == pytest.approx(np.abs(scores).max(), rel=1e-12)
    assert found.max_abs == pytest.approx(7.856, abs=1e-3)
    assert found.centred_bound == pytest.approx(6.06, abs=1e-2)
    assert found.key_centred == pytest.approx(6.95, abs=1e-2)


def test_real_head_attends_as_the_formula_says():
    """On real activations the reference equals the textbook formula within the rounding bound of its norms."""
    data = load_input(DATA / "minilm_layer5_head0.npz")
    Q, K, V = data.Q[0], data.K[0], data.V[0]
    weights = np.exp(Q @ K.T / math.sqrt(32))
    bound = reference.rounding_bound(512, 32, norm_bound(Q, K), float(np.abs(V).max()))
    assert np.abs(reference.softmax_attention(Q, K, V) - weights / weights.sum(1, keepdims=True) @ V).max() <= bound
    assert bound < 1e-10
