"""The rule for values in low precision, and what it is compared with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.gpu.accuracy import Accuracy, accuracy, rounded
from iosim.masks import CAUSAL
from iosim.numeric.reference import softmax_attention


@given(st.floats(-70000, 70000, width=64))
def test_rounding_is_that_of_numpy_s_formats(x: float) -> None:
    """fp16 and fp32 as numpy rounds; bf16 as cutting 16 bits from fp32 after adding half a unit, ties to even."""
    with np.errstate(over="ignore"):
        half = float(np.float16(x))
    if math.isfinite(half):
        assert rounded(x, "fp16") == half
    assert rounded(x, "fp32") == float(np.float32(x))
    exact = float(np.float32(x))
    bits = int(np.float32(x).view(np.uint32))
    cut = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    assert rounded(exact, "bf16") == float(np.uint32(cut).view(np.float32))


def test_formats_without_a_rule_are_refused() -> None:
    """There is none for fp8."""
    with pytest.raises(UsageError, match="fp8: allowed for a kernel: fp32, fp16, bf16"):
        rounded(1.0, "fp8")


def _head(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    Q, K, V = (rounded(generator.standard_normal((40, 8)), "bf16") for _ in range(3))
    return Q, K, V


@pytest.mark.parametrize("coefficients", [None, (1.0, 1.0, 0.5)])
@pytest.mark.parametrize("mask", [None, CAUSAL])
def test_a_result_rounded_once_is_good_and_one_that_is_off_is_not(
    coefficients: tuple[float, ...] | None, mask: object
) -> None:
    """Exact attention rounded to bf16 passes; the same with one word a few units off, or not finite, does not."""
    from iosim.masks import FULL
    from iosim.numeric.reference import polynomial_attention

    Q, K, V = _head(0)
    rows = np.array([0, 5, 39])
    used = mask or FULL
    if coefficients is None:
        exact = softmax_attention(Q, K, V, rows, used)  # type: ignore[arg-type]
    else:
        exact = polynomial_attention(Q, K, V, coefficients, rows, used)  # type: ignore[arg-type]

    def of(found: np.ndarray) -> Accuracy:
        return accuracy(found, Q, K, V, rows, dtype="bf16", coefficients=coefficients, mask=used)  # type: ignore[arg-type]

    good = of(rounded(exact, "bf16"))
    assert good.holds
    assert good.rows == 3
    off = exact.copy()
    off[1, 2] += 1.5 * good.allowed
    assert not of(off).holds
    off[1, 2] = math.nan
    assert not of(off).holds


def test_another_mask_is_another_result() -> None:
    """Causal attention is not taken for full attention."""
    Q, K, V = _head(1)
    rows = np.arange(40)
    full = rounded(softmax_attention(Q, K, V), "bf16")
    assert accuracy(full, Q, K, V, rows, dtype="bf16").holds
    assert not accuracy(full, Q, K, V, rows, dtype="bf16", mask=CAUSAL).holds
