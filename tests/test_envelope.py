"""The greatest of many lines, and the most that words of fast memory can contribute, which is made of it."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.bounds.approx import Work, products_of
from iosim.bounds.envelope import Envelope

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=12)


@settings(max_examples=200)
@given(PAIRS, st.integers(-10, 300))
def test_the_highest_line_is_found(pairs: list[tuple[int, int]], X: int) -> None:
    """Among lines of the same slope, of slope 0, and the same line twice."""
    value, s = Envelope(pairs).at(X)
    assert Fraction(value, s) == max(Fraction((X - w) * w, s) for w, s in pairs)


def test_of_parallel_lines_the_higher_one_counts() -> None:
    """(X - 4) 4/2 is above (X - 6) 6/3 everywhere, whichever is given first."""
    for pairs in ([(4, 2), (6, 3), (9, 9)], [(9, 9), (6, 3), (4, 2)]):
        assert Envelope(pairs).at(10) == (24, 2)
    # (X - 9) 9/9 is above 2 (X - 4) below X = -1 = 2 4 - 9, where the two are equal
    assert Envelope([(4, 2), (9, 9)]).at(-2) == (-99, 9)
    assert Envelope([(4, 2), (9, 9)]).at(-1) == (-20, 2)


@settings(max_examples=150)
@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 5000),
    st.integers(0, 3000),
    st.sampled_from(["linear", "smooth"]),
)
def test_what_words_contribute_is_the_maximum_that_defines_it(g: int, d: int, labels: int, X: int, words: str) -> None:
    """T(X) = max of (X - w) w/s over s with w = min(kappa(s), X/2), s from 1 to where kappa is all labels."""
    last = next(s for s in range(1, 10**6) if products_of(s, g, d, labels, words) == labels)
    expected = max(
        Fraction((X - w) * w, s)
        for s in range(1, last + 1)
        for w in (min(products_of(s, g, d, labels, words), X // 2),)
    )
    assert Work(g=g, d=d, labels=labels, total=1, M=1, words=words).of(X) == expected
