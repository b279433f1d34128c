"""Polarisation: counted by hand, legal at its peak, right, and below what holds for sums that are linear in V."""

from __future__ import annotations

import math

import numpy as np
import pytest

from algorithms.witnesses.polarisation import assembled, io_words, peak_words, program
from iosim import count, execute
from iosim import peak_words as measured_peak
from iosim.bounds.approx import words_of_a_row
from iosim.errors import UsageError
from tests.legality import fits_exactly

CASES = [(2, 4, 3), (2, 8, 2), (3, 9, 5)]  # k, d, n


@pytest.mark.parametrize(("k", "d", "n"), CASES)
def test_counted_and_legal(k: int, d: int, n: int) -> None:
    """The claimed traffic and peak: legal there, and not with one word less."""
    built, sizes = program(d, k), {"n": n, "e": 1}
    assert count(built, sizes).io_words == io_words(n=n, d=d, k=k)
    assert measured_peak(built, sizes) == peak_words(k)
    fits_exactly(built, sizes, peak_words(k))


def test_the_count_by_hand() -> None:
    """k = 2, one block of 4 columns, n = 3: 4nH = 48 and 4 for the diagonal; four times 6 lines of 2 columns, 6 pairs
    stored; four words loaded and two stored for each of 6 pairs."""
    assert io_words(n=3, d=4, k=2) == 48 + 4 + 4 * (6 * 2 * 3 + 6) + 6 * 6
    counted = count(program(4, 2), {"n": 3, "e": 1})
    assert counted.loads["K"] == counted.loads["V"] == 4 * 3 + 6 * 2 * 3


@pytest.mark.parametrize(("k", "d", "n"), [*CASES, (5, 25, 4)])
def test_the_result_is_the_product(k: int, d: int, n: int) -> None:
    """Every entry of K^T V is there, to rounding."""
    random = np.random.default_rng(k)
    K, V = random.normal(size=(n, d)), random.normal(size=(n, d))
    outputs = execute(program(d, k), {"n": n, "e": n}, {"K": K.T.copy(), "V": V.T.copy()})
    np.testing.assert_allclose(assembled(outputs, d, k), K.T @ V, rtol=0, atol=3e-12)


@pytest.mark.parametrize(
    ("k", "blocks", "ratio"), [(31, 16, 0.835), pytest.param(127, 64, 0.749, marks=pytest.mark.slow)]
)
def test_below_what_holds_for_products_of_k_and_v(k: int, blocks: int, ratio: float) -> None:
    """M = 496 and 8128: 0.835 and less of 2nd^2/sqrt(M), below also what is proved for additions that are linear in V, where
    they are only n d^2 of the contributions of degree 1; and not below what is proved for any additions."""
    n, d, M = 2**40, blocks * k * k, peak_words(k)
    words = io_words(n=n, d=d, k=k)
    assert words <= ratio * 2 * n * d * d / math.sqrt(M)
    linear, smooth = (words_of_a_row(1, d, d * d, M, how) for how in ("linear", "smooth"))  # type: ignore[arg-type]
    assert n * smooth <= words < n * linear


def test_designs_that_do_not_exist_here_are_refused() -> None:
    """The columns must be blocks of k^2, k a prime."""
    with pytest.raises(UsageError, match="polarisation of d=10 columns: allowed for k=3: multiples of 9"):
        program(10, 3)
    with pytest.raises(UsageError, match="allowed: a prime k"):
        program(16, 4)
