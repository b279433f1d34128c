"""Nystromformer: words by hand, ragged segments, and where it is exact."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.nystrom import nystrom
from iosim.api import run
from iosim.approximation.measure import measure
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import softmax_attention
from iosim.problem import Problem

METHOD = nystrom.method
assert METHOD is not None


def test_the_words_of_a_small_case_by_hand() -> None:
    """n = 7, d = 2, d_v = 3, 3 landmarks: Q and K twice; five matrices of 9 words are what is most."""
    plan = nystrom.explicit(Problem(n=7, d=2, d_v=3, settings=(("landmarks", 3),)), {})
    counted = plan.count()
    assert counted.loads == {"Q": 2 * 14, "K": 2 * 14, "V": 21}
    assert counted.stores == {"O": 21}
    assert plan.peak_words == 3 * 2 + 3 * 3 + 5 * 9


def test_segments_have_all_rows_the_last_one_those_that_are_left() -> None:
    """7 rows in 3 segments of 2, 2 and 3: the result is that of landmarks by hand, with a pseudo-inverse by numpy."""
    data = random_input(7, 2, logit_bound=4.0, seed=3)
    Q, K, V = data.Q[0], data.K[0], data.V[0]

    def softmax(q: np.ndarray, k: np.ndarray) -> np.ndarray:
        weights = np.exp(q @ k.T / np.sqrt(2))
        return weights / weights.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]

    means = [np.array([x[0:2].mean(axis=0), x[2:4].mean(axis=0), x[4:7].mean(axis=0)]) for x in (Q, K)]
    assert METHOD is not None
    (head,) = METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, {"landmarks": 3})
    found = METHOD.reference(head, np.arange(7))
    A = softmax(*means)
    Z = A.T / (A.sum(axis=0).max() * A.sum(axis=1).max())
    for _ in range(6):
        Z = 0.25 * (13 * Z - 15 * Z @ A @ Z + 7 * Z @ A @ Z @ A @ Z - Z @ A @ Z @ A @ Z @ A @ Z)
    assert np.abs(found - softmax(Q, means[1]) @ Z @ softmax(means[0], K) @ V).max() < 1e-12


def test_groups_of_equal_rows_are_nearly_exact() -> None:
    """Four segments of equal queries and equal keys, far apart: the landmarks say everything."""
    points = np.repeat(3 * np.eye(4), 5, axis=0)
    data = from_arrays(points, points, np.random.default_rng(0).standard_normal((20, 2)))
    assert measure("nystrom", data, M=500, settings={"landmarks": 4}).relative_error < 1e-6


def test_one_landmark_is_the_mean_of_attention_of_the_mean_query() -> None:
    """m = 1: both outer factors are 1, every row is the attention of the mean query."""
    data = random_input(6, 3, seed=1)
    found = run("nystrom", input=data, M=100, set={"landmarks": 1})
    assert found.holds
    assert METHOD is not None
    (head,) = METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, {"landmarks": 1})
    mean = data.Q[0].mean(axis=0, keepdims=True)
    expected = softmax_attention(mean, data.K[0], data.V[0])
    assert METHOD.reference(head, np.arange(6)) == pytest.approx(np.repeat(expected, 6, axis=0), abs=1e-12)
