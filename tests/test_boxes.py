"""Boxes are sets of words: what is cut and joined is what the sets say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iosim.expr import symbol
from iosim.interpret.legality.boxes import Box, empty, surely_empty, union, without
from iosim.interpret.legality.ranges import Ranges
from tests.boxes import box, span, words


@given(box, st.lists(box, max_size=4))
def test_cutting_boxes_is_taking_words_away(a: Box, others: list[Box]) -> None:
    """What is left of a box without some others is disjoint boxes of just the words that are in none of them."""
    left = without(Ranges(), a, tuple(others))
    assert words(*left) == words(a) - words(*others)
    assert sum(len(words(piece)) for piece in left) == len(words(*left))


@example(((0, 3), (0, 3), (0, 3)), [((1, 2), (1, 2), (1, 2))])
@given(st.tuples(span, span, span), st.lists(st.tuples(span, span, span), max_size=3))
def test_cutting_boxes_of_three_axes_is_taking_words_away(a: Box, others: list[Box]) -> None:
    """The same where an axis lies between two others."""
    left = without(Ranges(), a, tuple(others))
    assert words(*left) == words(a) - words(*others)
    assert sum(len(words(piece)) for piece in left) == len(words(*left))


@pytest.mark.parametrize(
    ("parts", "seen"),
    [
        ([((0, 4), (0, 4)), ((1, 2), (1, 3))], [((0, 4), (0, 4))]),
        ([((1, 2), (1, 3)), ((0, 4), (0, 4))], [((0, 4), (0, 4))]),
        ([((0, 4), (0, 4)), ((0, 4), (0, 4))], [((0, 4), (0, 4))]),
        ([((0, 2), (0, 4)), ((2, 5), (0, 4))], [((0, 5), (0, 4))]),  # neighbours
        ([((0, 3), (0, 4)), ((2, 5), (0, 4))], [((0, 5), (0, 4))]),  # they overlap
        ([((0, 2), (0, 4)), ((3, 5), (0, 4))], [((0, 2), (0, 4)), ((3, 5), (0, 4))]),
        ([((0, 2), (0, 4)), ((2, 5), (0, 3))], [((0, 2), (0, 4)), ((2, 5), (0, 3))]),
    ],
)
def test_boxes_that_make_a_box_are_one(parts: list[Box], seen: list[Box]) -> None:
    """One in another, neighbours, and two that overlap on one axis; others stay two."""
    ((_, found),) = union(Ranges(), (), (("X", tuple(parts)),))
    assert sorted(found) == seen


def test_a_box_is_surely_empty_if_one_of_its_axes_is() -> None:
    """Of symbols too, but not if it depends on them."""
    r, u = Ranges(), symbol("u")
    for of in (empty, surely_empty):
        assert of(r, ((0, 3), (2, 2)))
        assert not of(r, ((0, 3), (2, 3)))
    with r.over("u", 4), r.over("v", 4):
        assert surely_empty(r, ((u + 1, u + 1), (0, 2)))
        assert not surely_empty(r, ((u, u + 1), (0, 2)))
        assert not surely_empty(r, ((u, symbol("v")), (0, 2)))


@given(st.lists(box, min_size=1, max_size=7))
def test_a_value_has_seen_the_words_that_flowed_in(parts: list[Box]) -> None:
    """A union of few boxes has the words of all, and no more."""
    seen = ()
    for part in parts:
        seen = union(Ranges(), seen, (("X", (part,)),))
    ((name, found),) = seen
    assert name == "X"
    assert words(*found) == words(*parts)


@given(st.lists(box, min_size=9, max_size=14))
def test_of_many_boxes_a_value_has_seen_at_least_the_words(parts: list[Box]) -> None:
    """However many there are, no more than eight are kept, around all the words."""
    ((_, found),) = union(Ranges(), (), (("X", tuple(parts)),))
    assert len(found) <= 8
    assert words(*found) >= words(*parts)


def test_of_boxes_that_are_no_neighbours_the_first_two_are_replaced_by_one_around_both() -> None:
    """Nine words on either diagonal: from the one in the corner to the next but one, and the seven others."""
    for sign in (1, -1):
        parts = tuple(((2 * x, 2 * x + 1), (2 * sign * x, 2 * sign * x + 1)) for x in range(9))
        for order in (parts, parts[::-1]):
            ((_, found),) = union(Ranges(), (), (("X", order),))
            assert sorted(len(words(each)) for each in found) == [1] * 7 + [9]
            assert words(*found) >= words(*parts)
