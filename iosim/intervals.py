"""Between which two numbers is a size, when its symbols are known only to lie between two numbers each?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TypeAlias, assert_never

from iosim.expr import Atom, Extremum, Quotient, Size, Sum, terms_of

Interval: TypeAlias = tuple[Fraction, Fraction]


def interval(size: Size, box: Mapping[str, tuple[int, int]]) -> Interval:
    """Numbers between which `size` surely is; not always the closest ones.

    Args:
        box: the least and the greatest value of each symbol.

    Example:
        >>> from iosim.expr import ceil_div, symbols
        >>> n, B = symbols("n", "B")
        >>> low, high = interval(2 * n * ceil_div(n, B), {"n": (10, 10), "B": (3, 5)})
        >>> print(low, high)
        40 80
    """
    low = high = Fraction(0)
    for monomial, coefficient in terms_of(size).items():
        ends = Fraction(coefficient), Fraction(coefficient)
        for atom, exponent in monomial:
            ends = _times(ends, _power(_of(atom, box), exponent))
        low, high = low + ends[0], high + ends[1]
    return low, high


def _of(atom: Atom, box: Mapping[str, tuple[int, int]]) -> Interval:
    match atom:
        case str():
            return Fraction(box[atom][0]), Fraction(box[atom][1])
        case Quotient(up=up, numerator=a, denominator=b):
            least, greatest = interval(b, box)
            ends = _times(interval(a, box), (1 / greatest, 1 / max(Fraction(1), least)))  # a divisor is at least 1
            cut = math.ceil if up else math.floor
            return Fraction(cut(ends[0])), Fraction(cut(ends[1]))
        case Extremum(greatest=greatest_of, arguments=arguments):
            pick = max if greatest_of else min
            lows, highs = zip(*(interval(argument, box) for argument in arguments), strict=True)
            return pick(lows), pick(highs)
        case Sum(term=term, variable=variable, count=count):
            few, many = interval(count, box)
            if many <= 0:
                return Fraction(0), Fraction(0)
            return _times((max(Fraction(0), few), many), interval(term, {**box, variable: (0, math.floor(many) - 1)}))
        case _:
            assert_never(atom)


def _times(a: Interval, b: Interval) -> Interval:
    products = [x * y for x in a for y in b]
    return min(products), max(products)


def _power(a: Interval, exponent: int) -> Interval:
    ends = a[0] ** exponent, a[1] ** exponent
    if exponent % 2 == 0 and a[0] < 0 < a[1]:
        return Fraction(0), max(ends)
    return min(ends), max(ends)
