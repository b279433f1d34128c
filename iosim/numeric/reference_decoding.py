"""The state of decoding with a polynomial in place of the exponential: weighted sums of features of all keys so far.

p(q.k / sqrt(d)) is the sum over the monomials alpha of degree at most g in d variables of c_alpha q^alpha k^alpha, with
c_alpha = c_m m! / (alpha! d^(m/2)) for a monomial of degree m. The state is W[alpha, l] = sum_j c_alpha k_j^alpha v_jl and
w[alpha] = sum_j c_alpha k_j^alpha; monomials are ordered by degree, then as combinations with repetition of the variables.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np

from iosim.numeric.reference import UNIT_ROUNDOFF, Float64, row_blocks


def feature_sums(K: Float64, V: Float64, coefficients: Sequence[float]) -> tuple[Float64, Float64]:
    """The state after these keys and values.

    Shapes: K: [m, d], V: [m, d_v], m from 0 up; returns W: [r, d_v] and w: [r, 1] with r = C(d+g, g), g + 1 coefficients.

    Example:
        >>> W, w = feature_sums(np.array([[2.0], [3.0]]), np.array([[1.0], [10.0]]), (1.0, 0.5))
        >>> W.tolist(), w.tolist()  # 1 + 10 and (2 + 30)/2; 2 keys and (2 + 3)/2
        ([[11.0], [16.0]], [[2.0], [2.5]])
    """
    d = K.shape[1]
    monomials = [f for m in range(len(coefficients)) for f in combinations_with_replacement(range(d), m)]
    weights = np.array([_weight(f, d, coefficients) for f in monomials])[:, None]
    W, w = np.zeros((len(monomials), V.shape[1])), np.zeros((len(monomials), 1))
    for block in row_blocks(len(K), len(monomials)):
        phi = np.array([np.prod(K[block][:, list(f)], axis=1) for f in monomials])
        W += phi @ V[block]
        w[:, 0] += phi.sum(axis=1)
    return weights * W, weights * w


def _weight(factors: tuple[int, ...], d: int, coefficients: Sequence[float]) -> float:
    m = len(factors)
    repeated = math.prod(math.factorial(times) for times in Counter(factors).values())
    scale: float = d ** (m / 2)
    return coefficients[m] * math.factorial(m) / repeated / scale


def state_difference(W: Float64, w: Float64, K: Float64, V: Float64, coefficients: Sequence[float]) -> float:
    """The greatest difference of a word of a state from the right one, relative to the sum of its terms' absolute values.

    Infinite if a word is not finite, or is not 0 where all its terms are.

    Shapes: W: [r, d_v], w: [r, 1], K: [n_k, d], V: [n_k, d_v].
    """
    right = feature_sums(K, V, coefficients)
    size = feature_sums(np.abs(K), np.abs(V), np.abs(coefficients).tolist())
    most = 0.0
    for found, expected, magnitude in zip((W, w), right, size, strict=True):
        away = np.abs(found - expected)
        relative = np.divide(away, magnitude, out=np.where(away == 0, 0.0, math.inf), where=magnitude > 0)
        most = max(most, float(np.max(np.where(np.isnan(relative), math.inf, relative))))
    return most


def state_rounding(n_k: int, degree: int) -> float:
    """What `state_difference` is at most for any order of the sums and products.

    A term is a product of at most `degree` coordinates, a value and a weight, which itself takes at most 2 degree + 4
    operations; it takes part in n_k sums. Twice for two evaluations, and twice for the higher orders.
    """
    return 2 * 2 * (n_k + 3 * degree + 6) * UNIT_ROUNDOFF
