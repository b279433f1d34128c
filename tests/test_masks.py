"""A mask says which keys a query meets; what it counts is what one finds by looking at every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.expr import evaluate_int, symbols
from iosim.masks import CAUSAL, FULL, Mask, parse_mask
from iosim.program import Span

widths = st.none() | st.integers(0, 6)
masks = st.builds(Mask, back=widths, ahead=widths)
counts = st.integers(1, 14)


def pairs_of(mask: Mask, n: int, n_k: int) -> np.ndarray:
    """Whether query i meets key j, pair by pair, by the definition in the module's docstring."""
    shift = n_k - n
    back = n_k if mask.back is None else mask.back
    ahead = n_k + n if mask.ahead is None else mask.ahead
    return np.array([[i + shift - back <= j <= i + shift + ahead for j in range(n_k)] for i in range(n)])


def valid(mask: Mask, n: int, n_k: int) -> bool:
    try:
        mask.check(n, n_k)
    except UsageError:
        return False
    return True


@given(masks, counts, counts)
def test_pairs_are_those_of_the_definition(mask: Mask, n: int, n_k: int) -> None:
    """The pairs themselves, how many they are, and how many keys are met, whichever way they are asked for."""
    met = pairs_of(mask, n, n_k)
    assert (mask.allows(np.arange(n), np.arange(n_k), n_k - n) == met).all()
    assume(valid(mask, n, n_k))
    assert mask.pairs(n, n_k) == met.sum()
    assert mask.keys(n, n_k) == met.any(axis=0).sum()


@given(masks, counts, counts)
def test_a_problem_is_refused_if_a_query_meets_no_key(mask: Mask, n: int, n_k: int) -> None:
    """Whoever is accepted has a key for each query."""
    if valid(mask, n, n_k):
        assert pairs_of(mask, n, n_k).any(axis=1).all()
    else:
        assert not pairs_of(mask, n, n_k).any(axis=1).all()


@given(masks, counts, counts, counts)
def test_tiles_of_queries_meet_the_keys_between_their_first_and_their_last(
    mask: Mask, n: int, n_k: int, B: int
) -> None:
    """The keys of each tile are the span, and their number over all tiles is the closed form, in numbers and in symbols."""
    assume(valid(mask, n, n_k))
    met, total = pairs_of(mask, n, n_k), 0
    for start in range(0, n, B):
        size = min(B, n - start)
        (keys,) = np.nonzero(met[start : start + size].any(axis=0))
        span = mask.span(Span(start, size), n, n_k)
        assert (span.start, span.stop) == (keys[0], keys[-1] + 1)
        total += len(keys)
    assert mask.met(n, n_k, B) == total
    in_symbols = mask.met(*symbols("n", "n_k", "B"))
    assert evaluate_int(in_symbols, {"n": n, "n_k": n_k, "B": B}) == total


def test_causal_pairs_in_closed_form() -> None:
    """n (n + 1)/2 pairs; tiles of 4 among 8 keys meet 4 and 8; at n = 2^40 too."""
    assert CAUSAL.pairs(8, 8) == 36
    assert CAUSAL.met(8, 8, 4) == 12
    assert CAUSAL.pairs(2**40, 2**40) == 2**39 * (2**40 + 1)
    assert str(CAUSAL.met(*symbols("n", "n", "B"))) == "1/2*B*ceil(n/B)^2 - 1/2*B*ceil(n/B) + n"


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("full", FULL),
        ("causal", CAUSAL),
        ("window:1", Mask(back=0, ahead=0)),
        ("window:256", Mask(back=255, ahead=0)),
        ("band:3,7", Mask(back=3, ahead=7)),
        ("band:all,2", Mask(ahead=2)),
        ("band:2,all", Mask(back=2)),
    ],
)
def test_masks_are_read_and_written(text: str, mask: Mask) -> None:
    """What a mask prints is what the command line reads."""
    assert parse_mask(text, where="--mask") == mask
    assert str(mask) == text


@pytest.mark.parametrize("text", ["", "window", "window:0", "window:-1", "band:1", "band:1,x", "Causal", "band:1,2,3"])
def test_other_masks_are_refused(text: str) -> None:
    """The error says what was found and what is allowed."""
    with pytest.raises(UsageError, match="allowed: full, causal, window:W"):
        parse_mask(text, where="--mask")
