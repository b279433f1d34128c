"""The reference gradient: what finite differences of attention say, within bounds that rounding keeps and mistakes break."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import ExecutionError, UsageError
from iosim.masks import CAUSAL, FULL, Mask
from iosim.numeric.reference import norm_bound, softmax_attention
from iosim.numeric.reference_gradient import (
    Gradient,
    gradient_rounding_bound,
    key_masses,
    log_sum_exp,
    softmax_attention_gradient,
)

MASKS = pytest.mark.parametrize("mask", [FULL, CAUSAL, Mask(back=2, ahead=0), Mask(back=1, ahead=3)], ids=str)


def arrays(seed: int, n: int = 5, n_k: int = 7, d: int = 3, d_v: int = 2) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {"Q": (n, d), "K": (n_k, d), "V": (n_k, d_v), "dO": (n, d_v)}
    return {name: random.standard_normal(shape) for name, shape in shapes.items()}


def gradient(x: dict[str, np.ndarray], mask: Mask = FULL, **chosen: np.ndarray) -> Gradient:
    O, L = softmax_attention(x["Q"], x["K"], x["V"], mask=mask), log_sum_exp(x["Q"], x["K"], mask)
    return softmax_attention_gradient(x["Q"], x["K"], x["V"], O, x["dO"], L, mask=mask, **chosen)


@MASKS
def test_the_gradient_is_that_of_finite_differences(mask: Mask) -> None:
    """Each entry of Q, K and V moved by h either way changes sum dO * O by 2h times the entry of the gradient."""
    x, h = arrays(1), 1e-5
    found = dict(zip("QKV", gradient(x, mask), strict=True))

    def loss(name: str, place: tuple[int, ...], step: float) -> float:
        moved = {key: array.copy() for key, array in x.items()}
        moved[name][place] += step
        return float((x["dO"] * softmax_attention(moved["Q"], moved["K"], moved["V"], mask=mask)).sum())

    for name, array in found.items():
        for place in np.ndindex(array.shape):
            difference = (loss(name, place, h) - loss(name, place, -h)) / (2 * h)
            assert array[place] == pytest.approx(difference, abs=1e-9), (name, place)


@MASKS
def test_chosen_rows_are_rows_of_the_whole(mask: Mask) -> None:
    """Some rows of dQ, and some of dK and dV, in any order, are those of the full gradient."""
    x = arrays(2, n=6, n_k=8)
    whole, rows, keys = gradient(x, mask), np.array([4, 0]), np.array([7, 2, 3])
    some = gradient(x, mask, rows=rows, keys=keys)
    for part, all_of_it, chosen in zip(some, whole, (rows, keys, keys), strict=True):
        np.testing.assert_allclose(part, all_of_it[chosen], rtol=1e-13, atol=1e-15)


def test_long_inputs_are_computed_in_pieces() -> None:
    """More rows than are computed at once give the sums of the definition."""
    x = arrays(3, n=1100, n_k=1300)
    p = np.exp(x["Q"] @ x["K"].T / np.sqrt(3))
    p /= p.sum(axis=1, keepdims=True)
    dp = x["dO"] @ x["V"].T
    ds = p * (dp - (p * dp).sum(axis=1, keepdims=True)) / np.sqrt(3)
    for found, expected in zip(gradient(x), (ds @ x["K"], ds.T @ x["Q"], p.T @ x["dO"]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13)


@MASKS
def test_masses_are_sums_of_probabilities(mask: Mask) -> None:
    """The mass of a key is the sum of dV over the queries where dO is 1."""
    x = {**arrays(7), "dO": np.ones((5, 2))}
    masses = key_masses(x["Q"], x["K"], log_sum_exp(x["Q"], x["K"], mask), mask=mask)
    np.testing.assert_allclose(masses, gradient(x, mask).dV[:, 0], rtol=1e-13)
    assert masses.sum() == pytest.approx(5)


def test_log_sum_exp_does_not_overflow() -> None:
    """Scores of 1000 and more are shifted by the largest: log(2 e^1000) = 1000 + log 2."""
    np.testing.assert_allclose(log_sum_exp([[1000.0]], [[1.0], [1.0]]), [1000 + np.log(2)], rtol=1e-15)


def test_shapes_that_do_not_fit_and_results_that_are_not_finite_are_refused() -> None:
    """dO of another width, and an infinite V, are errors that say what was found."""
    x, L = arrays(4), np.zeros(5)
    with pytest.raises(UsageError, match=r"O \[5, 3\].*allowed"):
        softmax_attention_gradient(x["Q"], x["K"], x["V"], np.zeros((5, 3)), x["dO"], L)
    with pytest.raises(ExecutionError, match="dQ of softmax_attention_gradient is not finite"):
        softmax_attention_gradient(x["Q"], x["K"], np.inf * x["V"], x["dO"], x["dO"], L)


def other_evaluation(x: dict[str, np.ndarray], order: np.ndarray) -> tuple[np.ndarray, ...]:
    """The gradient with other row statistics, D from P and dP, keys in another order, and everything in single steps."""
    K, V, n_k = x["K"][order], x["V"][order], len(order)
    s = (x["Q"] / np.sqrt(x["Q"].shape[1])) @ K.T
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dp = x["dO"] @ V.T
    ds = p * (dp - np.cumsum(p * dp, axis=1)[:, -1:])
    dQ = sum(ds[:, j, None] * K[j] for j in range(n_k)) / np.sqrt(x["Q"].shape[1])
    back = np.argsort(order)
    return dQ, ((ds.T @ x["Q"]) / np.sqrt(x["Q"].shape[1]))[back], (p.T @ x["dO"])[back]


def bounds(x: dict[str, np.ndarray]) -> tuple[float, ...]:
    mass = key_masses(x["Q"], x["K"], log_sum_exp(x["Q"], x["K"])).max()
    logits = norm_bound(x["Q"], x["K"])
    return gradient_rounding_bound(x["Q"], x["K"], x["V"], x["dO"], logit_bound=logits, mass=mass)


@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 40), n_k=st.integers(1, 40), d=st.integers(1, 6), d_v=st.integers(1, 6)
)
@settings(max_examples=40)
def test_another_order_stays_within_the_rounding_bound(seed: int, n: int, n_k: int, d: int, d_v: int) -> None:
    """Other statistics, another formula for D and another order of the keys differ by no more than the bound."""
    x = arrays(seed, n, n_k, d, d_v)
    bound = bounds(x)
    other = other_evaluation(x, np.random.default_rng(seed).permutation(n_k))
    for one, two, most in zip(gradient(x), other, bound, strict=True):
        assert np.abs(one - two).max() <= most


def test_the_rounding_bound_is_far_below_the_gradient() -> None:
    """At n = 1000 it is still a millionth of the largest entry of each array: it would not hide a mistake."""
    x = arrays(5, 1000, 1000, 16, 16)
    for array, most in zip(gradient(x), bounds(x), strict=True):
        assert 0 < most < 1e-6 * np.abs(array).max()


def test_scores_beyond_float64_have_no_bound() -> None:
    """With scores of 1e13 rounding is no longer of first order: refused."""
    x = arrays(6)
    with pytest.raises(UsageError, match="rounding bound of the gradient"):
        gradient_rounding_bound(x["Q"], x["K"], x["V"], x["dO"], logit_bound=1e13, mass=1.0)
