"""A compiled expression is the expression: the same whole number at all sizes, and the same refusals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import CountError
from iosim.expr import Expr, Size, ceil_div, evaluate_int, floor_div, maximum, minimum, sum_over, symbols
from iosim.expr.compiled import compiled, for_arrays

n, B, C = symbols("n", "B", "C")
EXPRESSIONS: tuple[Size, ...] = (
    7,
    2 * n * ceil_div(n, B) + 1,
    n * (n + 1) // 2 - floor_div(n + C, B * C),
    maximum(B * C, n - B, 3) * minimum(n, B + C),
    (n * n + n) * ceil_div(3 * n + 1, 4) ** 2,
    sum_over(maximum(n - B * symbols("t")[0], C) * ceil_div(symbols("t")[0] + 1, C), "t", ceil_div(n, B)),
)


@settings(max_examples=30)
@given(st.sampled_from(EXPRESSIONS), st.integers(1, 60), st.integers(1, 9), st.integers(1, 9))
def test_the_value_is_that_of_the_expression(size: Size, rows: int, b: int, c: int) -> None:
    """Quotients, extremums, powers and sums without a closed form."""
    values = {"n": rows, "B": b, "C": c}
    assert compiled(size, ("n", "B", "C"))(rows, b, c) == evaluate_int(size, values)


def test_numbers_are_exact_beyond_floats() -> None:
    """n^2 at n = 2^50 + 1 has 101 bits."""
    big = 2**50 + 1
    assert compiled(n * n, ("n",))(big) == big * big


def test_halves_come_out_whole() -> None:
    """n (n + 1)/2 has coefficients of a half and is whole."""
    triangle = floor_div(n * (n + 1), 2)
    halves = (n * n + n) * Fraction(1, 2)
    assert [compiled(halves, ("n",))(x) for x in (1, 2, 7)] == [1, 3, 28]
    assert compiled(triangle, ("n",))(7) == 28
    with pytest.raises(CountError, match="not a whole number"):
        compiled(n * Fraction(1, 2), ("n",))(3)


def test_a_tile_of_no_rows_and_a_missing_size_are_refused() -> None:
    """As by `evaluate`."""
    with pytest.raises(CountError, match="at least one row"):
        compiled(ceil_div(n, B), ("n", "B"))(5, 0)
    with pytest.raises(CountError, match="no value for B"):
        compiled(ceil_div(n, B), ("n",))


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5))
def test_values_for_arrays_are_those_of_each_entry(points: list[tuple[int, int, int]]) -> None:
    """All expressions but the sum, which has no closed form and is refused; so is what is not whole in one entry."""
    named = dict(zip(("n", "B", "C"), np.array(points).T, strict=True))
    *closed, summed = [size for size in EXPRESSIONS if isinstance(size, Expr)]
    for size in closed:
        function, names = for_arrays(size)
        wanted = [evaluate_int(size, dict(zip(("n", "B", "C"), point, strict=True))) for point in points]
        assert np.array_equal(function(*(named[name] for name in names)), wanted)
    with pytest.raises(CountError, match="no closed form"):
        for_arrays(summed)
    half, _ = for_arrays(n * Fraction(1, 2))
    with pytest.raises(CountError, match="not a whole number"):
        half(np.array([2, 3]))
