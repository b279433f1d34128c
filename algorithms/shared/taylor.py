"""The exponential to the second order, p(s) = 1 + s + s^2/2: as a sum over features, and how far it is from exp(s)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from iosim import Op, Size, monomial_count
from iosim.approximation.minimax import softmax_output_error
from iosim.numeric.reference import Float64

_LARGEST_SCORE = 700  # the exponential is still a float64
_NUMBERS_AT_ONCE = 2**21  # of features: 16 MiB


def taylor(s: Float64) -> Float64:
    """exp(s) to the second order."""
    result: Float64 = 1 + s + s * s / 2
    return result


def _phi(x: Float64) -> Float64:
    """Features of rows whose products are p of their scaled product. Shape: [rows, C(d+2, 2)]."""
    rows, d = x.shape
    x = x * d**-0.25
    first, second = np.triu_indices(d)
    squares = x[:, first] * x[:, second] * np.where(first == second, math.sqrt(0.5), 1.0)
    return np.concatenate([np.ones((rows, 1)), x, squares], axis=1)


def _pieces(x: Float64) -> Iterator[slice]:
    """Rows whose features are a good piece of numpy work."""
    step = max(1, _NUMBERS_AT_ONCE // x.shape[1] ** 2)
    return (slice(start, start + step) for start in range(0, len(x), step))


def _sum(W: Float64, w: Float64, k: Float64, v: Float64, *, of: int) -> None:
    for rows in _pieces(k):
        features = _phi(k[rows])
        W += features.T @ v[rows]
        w += features.sum(axis=0)


def _use(y: Float64, z: Float64, q: Float64, W: Float64, w: Float64, *, of: int) -> None:
    for rows in _pieces(q):
        features = _phi(q[rows])
        y[rows] += features @ W
        z[rows] += features @ w


def features(d: Size) -> Size:
    """Monomials of degree at most 2 in d variables."""
    return monomial_count(d, 2)


def taylor_bound(scores: Float64, V: Float64) -> float:
    """Most by which a result may be off whose weights are p(s) for these scores and exp(s) for all others.

    From the relative error of p: 1 - p(s)/e^s never falls, as its slope is s^2/2 e^-s, so its greatest size is at an end of
    the range of the scores; then as for any polynomial of that relative error. Infinite where that is 1 or more.
    """
    ends = np.array([scores.min(), scores.max()]) if scores.size else np.zeros(1)
    if np.abs(ends).max() > _LARGEST_SCORE:
        return math.inf
    eps = float(np.abs(1 - taylor(ends) * np.exp(-ends)).max())
    return softmax_output_error(eps) * float(np.ptp(V, axis=0).max()) if eps < 1 else math.inf


SUM = Op(
    name="add_taylor_features",
    shapes="W[f,c] w[f] k[j,t] v[j,c]",
    updates=2,
    params=("of",),
    text="{W} += phi({k})^T {v}, {w} += colsum phi({k}): monomials up to degree 2, k scaled by {of}^(-1/4)",
    # a product and a factor for a feature, its sum, and a product and a sum for each column
    flops=lambda n, _: n["j"] * n["f"] * (3 + 2 * n["c"]),
    scratch=lambda _: 1,
    numpy=_sum,
    not_lowered="its features are in an order that only its numpy function knows",
)
USE = Op(
    name="add_taylor_products",
    shapes="y[i,c] z[i] q[i,t] W[f,c] w[f]",
    updates=2,
    params=("of",),
    text="{y} += phi({q}) {W}, {z} += phi({q}) {w}: monomials up to degree 2, q scaled by {of}^(-1/4)",
    flops=lambda n, _: n["i"] * n["f"] * (4 + 2 * n["c"]),
    scratch=lambda _: 1,
    numpy=_use,
    not_lowered="its features are in an order that only its numpy function knows",
)
