"""An interval holds every value that a size takes in a box."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from iosim.expr import Size, ceil_div, evaluate_int, floor_div, maximum, minimum, sum_over, symbol
from iosim.intervals import interval

X, Y = symbol("x"), symbol("y")
ends = st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda x: (min(x), max(x)))
small = st.integers(-5, 5)


@given(small, small, small, ends, ends, st.integers(0, 4))
def test_every_value_in_the_box_is_in_the_interval(
    a: int, b: int, c: int, x: tuple[int, int], y: tuple[int, int], kind: int
) -> None:
    """Products, quotients, extremes, powers and sums, of either sign."""
    size: Size = (
        a * X * Y + b * X + c,
        a * ceil_div(7, X) * Y + floor_div(b * Y, X),
        maximum(a * X, b * Y) - minimum(c * X, Y, 3),
        (a * X + b) ** 2 + c * (X - Y) ** 3,
        sum_over(ceil_div(symbol("t") * X, 3) * a, "t", Y) + b,
    )[kind]
    low, high = interval(size, {"x": x, "y": y})
    values = [evaluate_int(size, {"x": u, "y": v}) for u, v in product(range(x[0], x[1] + 1), range(y[0], y[1] + 1))]
    assert low <= min(values)
    assert max(values) <= high


@given(small, small, ends)
def test_a_point_is_its_own_interval(a: int, b: int, x: tuple[int, int]) -> None:
    """Where every symbol has one value, so has the size."""
    size = a * ceil_div(10, X) + b * X**2 - minimum(X, 4)
    at = {"x": x[0]}
    assert interval(size, {"x": (x[0], x[0])}) == (evaluate_int(size, at), evaluate_int(size, at))
