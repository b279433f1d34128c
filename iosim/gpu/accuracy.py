"""Is what a kernel computed in low precision as good as low precision allows? Some rows, against float64.

The rule: the error is at most twice that of the plain definition computed with words of the same format, plus a small
absolute term for rows where that happens to be exact. The plain definition rounds what a simple implementation would: the
scores, the weights, and the result; its sums are exact. The inputs are those that the kernel had, already rounded.

Source: the tests of FlashAttention (Dao et al., NeurIPS 2022) hold a kernel to twice the error of plain attention in the
same format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.masks import FULL, AnyMask
from iosim.numeric.reference import Float64, Rows, polynomial_attention, softmax_attention

# Bits of a word's significand, the hidden one included, and its least normal exponent.
_FORMATS = {"fp32": (24, -126), "fp16": (11, -14), "bf16": (8, -126)}
FACTOR = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Rows of a result in low precision against float64.

    Attributes:
        error: greatest difference; NaN if a word of the result is not finite.
        plain_error: that of the plain definition in the same format.
        tolerance: the small absolute term.
        rows: how many rows were compared.
    """

    error: float
    plain_error: float
    tolerance: float
    rows: int

    @property
    def allowed(self) -> float:
        """The greatest error that the rule allows."""
        return FACTOR * self.plain_error + self.tolerance

    @property
    def holds(self) -> bool:
        """Whether the rule holds; False for NaN."""
        return self.error <= self.allowed


def rounded(x: npt.ArrayLike, dtype: str) -> Float64:
    """`x` rounded to the nearest number of a format, ties to even.

    Raises:
        UsageError: a format without a rule here.

    Example:
        >>> rounded([1 + 2**-9, 1 + 3 * 2**-8], "bf16").tolist()  # neighbours are 2^-7 apart; the second is a tie
        [1.0, 1.015625]
    """
    if dtype not in _FORMATS:
        raise UsageError(f"dtype {dtype}: allowed for a kernel: {', '.join(_FORMATS)}")
    bits, least = _FORMATS[dtype]
    values = np.asarray(x, np.float64)
    _, exponents = np.frexp(values)
    step = np.ldexp(1.0, np.maximum(exponents - 1, least) - (bits - 1))
    return np.asarray(np.rint(values / step) * step, np.float64)


def accuracy(
    found: Float64,
    Q: Float64,
    K: Float64,
    V: Float64,
    rows: Rows,
    *,
    dtype: str,
    coefficients: Sequence[float] | None = None,
    mask: AnyMask = FULL,
) -> Accuracy:
    """How far rows of a head are from float64, and how far the plain definition is.

    Args:
        found: the rows of the result.
        Q, K, V: what the kernel was given.
        rows: which rows of Q they are.
        dtype: the format of the words in slow memory.
        coefficients: of the polynomial in place of the exponential; None for softmax.
        mask: which keys a query meets.

    Shapes: found: [len(rows), d_v], Q: [n, d], K: [n_k, d], V: [n_k, d_v].
    """
    if coefficients is None:
        exact = softmax_attention(Q, K, V, rows, mask)
    else:
        exact = polynomial_attention(Q, K, V, coefficients, rows, mask)
    plain = _plain(Q, K, V, rows, dtype, coefficients, mask)
    bits, _ = _FORMATS[dtype]
    return Accuracy(
        error=float(np.max(np.abs(found - exact))) if np.isfinite(found).all() else math.nan,
        plain_error=float(np.max(np.abs(plain - exact))),
        tolerance=float(2.0**-bits * np.max(np.abs(exact))),  # half a unit of the greatest word of the result
        rows=len(rows),
    )


def _plain(
    Q: Float64, K: Float64, V: Float64, rows: Rows, dtype: str, coefficients: Sequence[float] | None, mask: AnyMask
) -> Float64:
    """The definition, with scores, weights and result rounded."""
    scores = rounded(Q[rows] @ K.T / math.sqrt(Q.shape[1]), dtype)
    met = np.ones(scores.shape, bool) if mask.full else mask.meets(rows, np.arange(len(K)), len(Q), len(K))
    if coefficients is None:
        shifted = scores - np.where(met, scores, -np.inf).max(axis=1, keepdims=True)
        weights = np.where(met, np.exp(np.where(met, shifted, 0.0)), 0.0)
    else:
        weights = np.where(met, np.polynomial.polynomial.polyval(scores, np.asarray(coefficients)), 0.0)
    weights = rounded(weights / weights.sum(axis=1, keepdims=True), dtype)
    return rounded(weights @ V, dtype)
