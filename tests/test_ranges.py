"""A comparison made for a whole range of iterations at once is that of each of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.expr import Size, ceil_div, evaluate_int, floor_div, maximum, minimum, symbol
from iosim.interpret.legality.ranges import Ranges, Split

U, V = symbol("u"), symbol("v")
small = st.integers(-9, 9)


def within(r: Ranges, times: int, slope: int, more: int, ask):  # type: ignore[no-untyped-def]
    """The answer for u = 0 .. times-1 and v = 0 .. slope*u+more-1 at once, and all of these pairs."""
    pairs = [(u, v) for u in range(times) for v in range(slope * u + more)]
    with r.over("u", times), r.over("v", slope * U + more):
        try:
            return ask(), pairs
        except Split as split:
            return split, pairs


@given(small, small, small, small, st.integers(1, 9), st.integers(0, 3), st.integers(1, 9))
def test_a_decision_is_that_of_every_iteration(
    a: int, b: int, c: int, e: int, times: int, slope: int, more: int
) -> None:
    """True means true in all of them, False false in all of them; else the range is split, where it can be said where."""
    value: Size = a * U + b * V + c * U * V + e
    r = Ranges()
    answer, pairs = within(r, times, slope, more, lambda: r.le(0, value))
    truth = {pair: evaluate_int(value, {"u": pair[0], "v": pair[1]}) >= 0 for pair in pairs}
    if isinstance(answer, Split):
        if answer.at is not None:
            inner = {u if answer.variable == "u" else v: holds for (u, v), holds in truth.items()}
            assert all(inner[x] == inner[0] for x in inner if x < answer.at)
            assert inner.get(answer.at, not inner[0]) != inner[0]
        elif c == 0 or slope == 0:
            assert len(set(truth.values())) == 2
    else:
        assert set(truth.values()) == {answer}


@given(small, small, small, st.integers(1, 9), st.integers(0, 3), st.integers(1, 9))
def test_what_is_surely_so_is_so(a: int, b: int, e: int, times: int, slope: int, more: int) -> None:
    """Asked for a sure answer, False may mean that it depends on two variables, but True is true in all of them."""
    value: Size = a * U + b * V + e
    r = Ranges()
    answer, pairs = within(r, times, slope, more, lambda: r.surely_le(0, value))
    if answer is True:
        assert all(evaluate_int(value, {"u": u, "v": v}) >= 0 for u, v in pairs)
    elif isinstance(answer, Split):
        assert answer.at is not None
    else:
        assert answer is False


@given(
    small, small, small, st.integers(1, 6), st.integers(-9, 9), st.integers(1, 9), st.integers(0, 3), st.integers(1, 9)
)
def test_a_decision_on_quotients_is_that_of_every_iteration(
    a: int, b: int, c: int, den: int, e: int, times: int, slope: int, more: int
) -> None:
    """Where a quotient and the rest grow together, ends decide, as for affine values; where not, nothing wrong is said."""
    value: Size = a * U + b * floor_div(3 * U + V, den) - c * ceil_div(V, den) + e
    r = Ranges()
    answer, pairs = within(r, times, slope, more, lambda: r.le(0, value))
    truth = {evaluate_int(value, {"u": u, "v": v}) >= 0 for u, v in pairs}
    if isinstance(answer, Split):
        assert len(truth) == 2 or a * b < 0 or b * c > 0 or slope
    else:
        assert truth == {answer}


@given(st.integers(1, 12), st.integers(-9, 9), st.integers(1, 12), st.integers(2, 9), st.booleans())
def test_quotients_are_affine_once_in_a_period(a: int, e: int, c: int, times: int, up: bool) -> None:
    """floor((a u + e)/c) is refused for a general u, with a p that divides c, for which it is affine in every p-th u."""
    value = (ceil_div if up else floor_div)(a * U + e, c)
    r = Ranges()
    with r.over("u", times):
        try:
            assert r.affine(value) == value
            period = 1
        except Split as split:
            period = split.period
    assert c % period == 0
    for first in range(period):
        steps = {
            evaluate_int(value, {"u": u + period}) - evaluate_int(value, {"u": u}) for u in range(first, 60, period)
        }
        assert len(steps) == 1


def test_what_no_period_helps() -> None:
    """The quotient of a product, the quotient times another variable, and a square are not affine in any p-th value."""
    r = Ranges()
    with r.over("u", 5), r.over("v", 5):
        for value in (floor_div(U * U, 3), floor_div(U * V, 7), floor_div(U, 2) * U):
            with pytest.raises(Split) as caught:
                r.affine(value)
            assert (caught.value.variable, caught.value.period) == ("u", 0)
        for value in (U * U - 3, 9 - U * U):  # u = 0 .. 4: each is negative for some u
            with pytest.raises(Split) as caught:
                r.le(0, value)
            assert (caught.value.variable, caught.value.period) == ("u", 0)


def test_an_extreme_that_is_decided_is_its_argument() -> None:
    """For u = 0 .. 4, max(u, 7) is 7; also as a part of a sum, and where what is left is no variable."""
    r = Ranges()
    with r.over("u", 5):
        assert r.settled(maximum(U, 7)) == r.affine(maximum(U, 7)) == 7
        assert r.affine(maximum(U, 7) + U) == U + 7
        assert r.le(maximum(U, 7), 7)
        assert not r.le(8, minimum(7, U + 7))
        with pytest.raises(Split) as caught:
            r.settled(maximum(U, 3))
        assert (caught.value.variable, caught.value.at) in {("u", 3), ("u", 4)}  # at u = 3 both are 3


def test_the_first_iteration() -> None:
    """What is said about a range is said with the numbers of its first iteration."""
    r = Ranges()
    with r.over("u", 5), r.over("v", 2):
        assert r.first(3 * U + V + 7) == 7
        assert r.outermost(V - 2 * U) == "u"


@pytest.mark.parametrize("times", [0, -1])
def test_a_range_has_a_value(times: int) -> None:
    """Over none at all any decision would come out, and both ways."""
    with pytest.raises(AssertionError), Ranges().over("u", times):
        pass
