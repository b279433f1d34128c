"""Bounds against schedules and optimal pebblings, and how they change with sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.bounds.bound import NAMES, Bound, Property, Setting
from iosim.bounds.exact import (
    BOUNDS,
    LARGE_FAST_MEMORY,
    NO_RECOMPUTATION,
    SEGMENTS,
    TIED,
    TIED_LARGE_FAST_MEMORY,
    applicable,
    greatest,
)
from iosim.pebbling.families import attention
from iosim.pebbling.search import optimal_pebbling
from proofs import schedules
from proofs.model import Schedule
from tests.bound_settings import ALL, SIZES, setting

_TILE = st.integers(1, 200)
_TILES = st.tuples(_TILE, _TILE)
SCHEDULES: dict[str, tuple[Callable[..., Schedule], st.SearchStrategy[tuple[int, ...]], Sequence[Property]]] = {
    "flash2": (schedules.flash2_order, st.tuples(_TILE), sorted(ALL)),
    "regrouped": (schedules.in_groups, st.tuples(_TILE), ["no spilling"]),
    "tied": (schedules.tied_order, st.tuples(_TILE), sorted(ALL)),
    "fused": (schedules.fused_order, _TILES, sorted(ALL)),
    "spilled": (schedules.two_passes, _TILES, ["no recomputation"]),
}

SQUARE = SEGMENTS[0]


@pytest.mark.parametrize("name", SCHEDULES)
@given(data=st.data(), n_q=st.integers(1, 10**5), n_k=st.integers(1, 10**5), d=_TILE, d_v=_TILE)
def test_no_schedule_moves_less_than_any_bound_that_applies(
    name: str, data: st.DataObject, n_q: int, n_k: int, d: int, d_v: int
) -> None:
    """With exactly the fast memory that it needs, each schedule known moves at least what every bound says."""
    order, tiles, properties = SCHEDULES[name]
    tied = name == "tied"
    at = Setting(
        N=n_q * n_k,
        n_q=n_q,
        n_k=n_k,
        d=d,
        d_v=min(d, d_v) if tied else d_v,
        M=1,
        properties=frozenset([*properties, "tied"] if tied else properties),
    )
    schedule = order(at, *(min(tile, n_q, n_k) for tile in data.draw(tiles)))
    for bound, words in applicable(replace(at, M=schedule.peak)):
        assert words <= schedule.io, bound.name


@pytest.mark.parametrize("M", [3, 4, 5])
def test_no_optimal_pebbling_moves_less_than_any_bound_that_applies(M: int) -> None:
    """3 queries and keys of one word: for 4 words of fast memory 4 9/4 + 4 4/5 = 12.2 words at least move, where inputs and
    outputs are 12, and the optimum is above."""
    optimum = optimal_pebbling(attention(3, 3, 1, 1), M).optimum
    assert optimum is not None
    found = greatest(setting(3, 1, M))[1]
    assert {3: 14, 4: 13, 5: 12}[M] == found <= optimum


@pytest.mark.parametrize(
    ("bound", "name"),
    [
        (LARGE_FAST_MEMORY, "flash2"),
        (SQUARE, "flash2"),
        (NO_RECOMPUTATION, "flash2"),
        (TIED, "tied"),
        (TIED_LARGE_FAST_MEMORY, "tied"),
    ],
    ids=lambda value: value.name if isinstance(value, Bound) else value,
)
def test_a_schedule_comes_within_a_percent(bound: Bound, name: str) -> None:
    """n = 2^24, d = 512, 5000 rows: the schedule costs 1 + 3/(2d) + rows/n and a little: no constant can be 1% greater."""
    order, _, properties = SCHEDULES[name]
    at = setting(2**24, 512, 1, properties=[*properties, "tied"] if name == "tied" else properties)
    schedule = order(at, 5000)
    assert 1 <= schedule.io / bound.words(replace(at, M=schedule.peak)) < 1.01


# How they change


@given(SIZES, st.integers(1, 300), st.integers(1, 300), st.integers(1, 10**5), st.sampled_from(["n", "d_v"]))
def test_more_work_never_moves_less(n: int, d: int, d_v: int, M: int, more: str) -> None:
    """The greatest bound grows with the number of queries and keys, and with the width of the values."""
    larger: dict[str, Any] = {"n": n, "d_v": d_v}
    larger[more] += 1
    before = greatest(setting(n, d, M, d_v=d_v))[1]
    assert greatest(setting(larger["n"], d, M, d_v=larger["d_v"]))[1] >= before


@given(SIZES, st.integers(1, 300), st.integers(1, 300), st.integers(1, 10**5))
def test_more_memory_never_moves_more(n: int, d: int, d_v: int, M: int) -> None:
    """A single bound falls as M grows, as long as it applies."""
    for bound in BOUNDS:
        small, large = (setting(n, d, m, d_v=d_v, properties=sorted(bound.requires)) for m in (M, M + 1))
        if bound.applies(small) and bound.applies(large):
            assert bound.words(small) >= bound.words(large)


def test_every_letter_is_in_a_setting() -> None:
    """Formulas can read all sizes of a setting and nothing else."""
    assert tuple(setting(1, 1, 1).sizes) == NAMES
