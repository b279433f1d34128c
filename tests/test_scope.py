"""Sizes in kernels: the text of an expression has its value, and a range contains it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iosim.expr import Size, ceil_div, evaluate_int, floor_div, maximum, minimum, symbol
from iosim.lowering.scope import Scope

RANGES = {"i.start": (-3, 12), "j.size": (1, 5)}


class Int(int):
    """A number as kernels have it: `//` rounds towards zero."""

    def __floordiv__(self, other: int) -> Int:
        return Int(int(abs(self) // abs(other)) * (1 if (self < 0) == (other < 0) else -1))

    def __add__(self, other: int) -> Int:
        return Int(int(self) + int(other))

    def __sub__(self, other: int) -> Int:
        return Int(int(self) - int(other))

    def __mul__(self, other: int) -> Int:
        return Int(int(self) * int(other))

    def __neg__(self) -> Int:
        return Int(-int(self))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: int) -> Int:
        return Int(int(other) - int(self))


TL = SimpleNamespace(minimum=lambda a, b: Int(min(a, b)), maximum=lambda a, b: Int(max(a, b)))


@st.composite
def sizes(draw: st.DrawFn, depth: int = 3) -> Size:
    """Expressions with quotients and extrema."""
    if depth == 0:
        return draw(st.sampled_from([symbol("i.start"), symbol("j.size"), draw(st.integers(-4, 9))]))
    a, b = draw(sizes(depth=depth - 1)), draw(sizes(depth=depth - 1))
    kind: Any = draw(
        st.sampled_from(
            [
                lambda: a + b,
                lambda: a - b,
                lambda: a * b,
                lambda: minimum(a, b),
                lambda: maximum(a, b),
                lambda: floor_div(a, draw(st.integers(1, 4))),
                lambda: ceil_div(a, symbol("j.size")),
            ]
        )
    )
    return kind()  # type: ignore[no-any-return]


@given(size=sizes(), i=st.integers(-3, 12), j=st.integers(1, 5))
def test_the_text_of_a_size_has_its_value(size: Size, i: int, j: int) -> None:
    """As Triton computes it, where quotients of negative numbers round up; the value lies in its range."""
    scope = Scope({}, names={"i.start": "i", "j.size": "j"}, ranges=RANGES)
    value = evaluate_int(size, {"i.start": i, "j.size": j})
    assert eval(scope.text(size), {"i": Int(i), "j": Int(j), "tl": TL}) == value
    low, high = scope.range(size)
    assert low <= value <= high
