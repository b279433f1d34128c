"""Boxes of a few words, and the words in them."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from iosim.interpret.legality.boxes import Box

N = 7
span = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)).map(lambda x: (min(x), max(x) + 1))
box = st.tuples(span, span)


def words(*boxes: Box) -> set[tuple[int, ...]]:
    """Their words, by their coordinates."""
    return {word for each in boxes for word in product(*(range(low, high) for low, high in each))}
