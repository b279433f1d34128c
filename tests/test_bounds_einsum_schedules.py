"""No einsum's bound is above what a schedule moves, or the step that it would need is refuted."""

from __future__ import annotations

import math
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from algorithms.witnesses.syrk import io_words as syrk_words
from algorithms.witnesses.syrk import peak_words as syrk_peak
from tests.einsums import MATMUL, SYR2K, SYRK, TRMM, TWO, says


def tiles(size: int) -> range:
    return range(1, size + 1)


def cut(size: int, tile: int) -> int:
    return -(-size // tile)


def blocked(i: int, k: int, j: int, M: int) -> int | None:
    """Fewest words of a blocked matrix product: a tile of the result stays, or all fits; None if M is below 3."""
    # A once for each column of tiles, B once for each row of tiles, C once; a column of A and a word of B at a time
    found = [
        i * k * cut(j, b) + k * j * cut(i, a) + i * j
        for a, b in product(tiles(i), tiles(j))
        if a * b + min(a, b) + 1 <= M
    ]
    if i * k + k * j + i * j <= M:
        found.append(i * k + k * j + i * j)
    return min(found, default=None)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(3, 700))
def test_no_more_than_a_blocked_matrix_product(i: int, k: int, j: int, M: int) -> None:
    """At any sizes, dimensions of one included, the bound is at most what the best blocking moves."""
    words = blocked(i, k, j, M)
    assert words is not None
    assert says(MATMUL, M, i=i, k=k, j=j) <= words


@given(st.integers(1, 60), st.integers(1, 60), st.integers(3, 200))
def test_no_more_than_a_blocked_matrix_times_vector(i: int, j: int, M: int) -> None:
    """A rows by blocks of M - 2, the vector once for each block."""
    assert says("ij,j->i", M, i=i, j=j) <= i * j + j * cut(i, M - 2) + i


@given(st.sampled_from([2, 3, 5, 7, 11, 13]), st.integers(2, 3), st.integers(1, 3000))
def test_no_more_than_triangle_blocks(k: int, m: int, K: int) -> None:
    """SYRK by triangle blocks, and SYR2K in the same way with a column of two matrices."""
    n = k**m
    assert says(SYRK, syrk_peak(k), i=n, k=K) <= syrk_words(K=K, k=k, m=m)
    two = 2 * K * n * (n - 1) // (k - 1) + n * (n + 1) // 2
    assert says(SYR2K, k * (k + 1) // 2 + 2 * k, i=n, k=K) <= two


def test_treating_one_array_as_two_is_refuted_by_triangle_blocks() -> None:
    """Mutant: A[i,k] B[j,k] in place of A[i,k] A[j,k], without and with half the points, is above what they move.

    k = 23 rows in a line, n = 529 rows: 1024 529 528/22 + 529 530/2 words; M = 23 24/2 + 23 = 299.
    """
    words = 1024 * 529 * 24 + 529 * 265
    assert syrk_words(K=1024, k=23, m=2) == words
    assert says("C[i,j] += A[i,k] B[j,k]", 299, i=529, j=529, k=1024) > words
    # also the points below the diagonal alone, if their words count as those of three arrays of different index pairs
    assert 1024 * 529**2 / math.sqrt(299) > words
    assert says(SYRK, 299, i=529, k=1024) <= words
    # SYR2K: 2 n^2 K/sqrt(M), which can be found quoted, at M = 276 + 46
    assert 2 * 1024 * 529**2 / math.sqrt(322) > 2 * 1024 * 529 * 24 + 529 * 265 >= says(SYR2K, 322, i=529, k=1024)


@given(st.integers(2, 25), st.integers(1, 25), st.integers(3, 300))
def test_no_more_than_a_blocked_triangular_product(k: int, j: int, M: int) -> None:
    """TRMM with a tile of the result: A below the diagonal once for each column of tiles, B from the tile's first row on."""
    found = []
    for a, b in product(tiles(k), tiles(j)):
        if a * b + min(a, b) + 1 <= M:
            triangle = k * (k - 1) // 2 * cut(j, b)
            rows = sum(k - 1 - start for start in range(0, k - 1, a)) * j
            found.append(triangle + rows + (k - 1) * j)
    assert says(TRMM, M, k=k, j=j) <= min(found)


def fused(i: int, k: int, j: int, l: int, M: int) -> int | None:
    """(A B) D with rows of A and of the result resident, a column of A B at a time: it never moves a word of A B."""
    rows = (M - 1) // (k + l + 1)
    return None if rows < 1 else i * (k + l) + j * (k + l) * cut(i, rows)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(3, 900))
def test_no_more_than_two_products_fused_or_one_after_the_other(i: int, k: int, j: int, l: int, M: int) -> None:
    """The sum of two bounds, less the words between them, is at most what either order moves."""
    parts = blocked(i, k, j, M), blocked(i, j, l, M)
    assert None not in parts
    moved = [words for words in (sum(p or 0 for p in parts), fused(i, k, j, l, M)) if words is not None]
    assert says(TWO, M, i=i, k=k, j=j, l=l) <= min(moved)


def test_without_the_subtraction_the_sum_is_refuted_by_fusing() -> None:
    """Mutant: 2ij(k+l)/sqrt(M) - M, without - ij, is above what the fused order moves (k = l = 8, M = 32 17 + 1)."""
    n, k, M = 2048, 8, 545
    words = fused(n, k, n, k, M)
    assert words == n * 16 * (1 + 64)  # 32 rows
    assert 2 * n * n * 2 * k / math.sqrt(M) - M > words >= says(TWO, M, i=n, k=k, j=n, l=k)
    # the first product alone, 2ijk/sqrt(M) - M, as soon as its result is only read: l = 1, 54 rows of 8 + 1 + 1 words
    words = fused(n, k, n, 1, M)
    assert words == n * 9 * (1 + 38)
    assert 2 * n * n * k / math.sqrt(M) - M > words >= says(TWO, M, i=n, k=k, j=n, l=1)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(6, 200))
def test_no_more_than_a_blocked_mttkrp(i: int, j: int, k: int, l: int, M: int) -> None:
    """A tile of the result and a row of C stay; a column of A and a word of B at a time."""
    found = [
        i * j * k * cut(l, b) + (k * l + j * k * l) * cut(i, a) + i * l
        for a, b in product(tiles(i), tiles(l))
        if a * b + b + a + 1 <= M
    ]
    assert says("ijk,jl,kl->il", M, i=i, j=j, k=k, l=l) <= min(found)
