"""Bounds for sums that take several words, and the schedules that come close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.bounds.bound import Bound, Property, Setting
from iosim.bounds.exact import SEGMENTS, SEGMENTS_WITH_SUMS, SUMS, applicable
from proofs import schedules
from proofs.model import square

ALL: frozenset[Property] = frozenset({"no recomputation", "no spilling"})
TWO: Sequence[Property] = ["sums of 2 words"]
FOUR: Sequence[Property] = ["sums of 4 words"]
_TILE = st.integers(1, 200)


def setting(n: int, d: int, M: int, *, d_v: int | None = None, properties: Sequence[Property] = ()) -> Setting:
    """Every query meets every key."""
    return replace(square(n, d, M, d_v=d_v), properties=frozenset(properties))


def test_sums_of_one_word_are_those_of_the_theorems_without_them() -> None:
    """d = 512, d_v = 256: sums of 4 words count as twice as wide values, but for 3 n d_v; of 1 word as they are."""
    plain = setting(10**4, 512, 2**18)
    four = setting(10**4, 512, 2**18, d_v=256, properties=FOUR)
    less = 3 * 10**4 * 256
    assert (
        SEGMENTS_WITH_SUMS[3].words(four) == SEGMENTS[2].words(plain) - less == 10**8 * (4 - 1) + 157_287 - less
    )  # 3M/5
    four, plain = replace(four, M=2**22), replace(plain, M=2**22)
    assert SEGMENTS_WITH_SUMS[2].words(four) == SEGMENTS[0].words(plain) - less == 10**8 * 4 // 16 + 2_516_583 - less
    # 768 (512 + 1024) = 9/8 1024^2 and 512 256 9 = 9/8 1024^2: both forms meet at d = 2 d_v
    assert SUMS[3].words(four) == SUMS[4].words(four) == 10**8 * 9 // 32 + 3_355_444 - less  # 4M/5


@pytest.mark.parametrize("words", [2, 4])
@given(data=st.data(), n_q=st.integers(1, 10**5), n_k=st.integers(1, 10**5), d=_TILE, d_v=_TILE)
def test_no_schedule_with_wide_sums_moves_less(
    words: int, data: st.DataObject, n_q: int, n_k: int, d: int, d_v: int
) -> None:
    """FlashAttention-2's order, and that for groups of columns, with sums that take 2 or 4 words."""
    at = Setting(N=n_q * n_k, n_q=n_q, n_k=n_k, d=d, d_v=d_v, M=1, properties=frozenset(TWO if words == 2 else FOUR))
    rows, columns = (data.draw(_TILE) for _ in range(2))
    once = replace(at, properties=at.properties | ALL)
    for schedule, here in (
        (schedules.flash2_order(at, min(rows, n_q), words=words), once),
        (schedules.in_groups(at, min(rows, n_q), columns=min(columns, d_v), words=words), at),
    ):
        for bound, least in applicable(replace(here, M=schedule.peak)):
            assert least <= schedule.io, bound.name


@pytest.mark.parametrize(
    ("bound", "d_v", "columns", "words"),
    [
        (SUMS[0], 512, None, 2),
        (SUMS[1], 2172, 724, 2),  # 1024/sqrt(2) = 724.08 columns three times
        (SUMS[2], 1024, None, 2),  # FlashAttention-2's order is optimal if no score is computed twice
        (SUMS[3], 512, None, 4),
        (SUMS[5], 1024, None, 4),
        (SUMS[4], 1024, 512, 4),  # values as wide as keys: it pays to compute every score twice
    ],
)
def test_a_schedule_with_wide_sums_comes_within_a_percent(
    bound: Bound, d_v: int, columns: int | None, words: int
) -> None:
    """n = 2^26, d = 1024, 5000 rows: both constants are attained, the second in groups of d/sqrt(w) columns."""
    at = setting(2**26, 1024, 1, d_v=d_v, properties=sorted(bound.requires))
    if columns is None:
        schedule = schedules.flash2_order(at, 5000, words=words)
    else:
        schedule = schedules.in_groups(at, 5000, columns=columns, words=words)
    assert 1 <= schedule.io / bound.words(replace(at, M=schedule.peak)) < 1.01


def test_fp32_sums_beside_fp8_are_worth_a_second_score() -> None:
    """d_v = d = 64, sums of 4 words, M = 2^17: two groups of 32 columns move fewer words than FlashAttention-2's order with
    the same memory, at leading order 9 N d^2/M in place of 10 N d^2/M."""
    at = setting(2**18, 64, 2**17, properties=FOUR)
    # rows (64 + 4 (64 + 3)) + 4 and rows (64 + 4 (32 + 3)) + 4 words
    once, twice = (
        schedules.flash2_order(at, 394, words=4),
        schedules.in_groups(at, 642, columns=32, words=4),
    )
    assert once.peak == 394 * 332 + 4 <= at.M < 395 * 332 + 4
    assert twice.peak == 642 * 204 + 4 <= at.M < 643 * 204 + 4
    assert SUMS[4].words(at) <= twice.io < 0.94 * once.io
