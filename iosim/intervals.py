"""What is known of a size whose symbols are known only to lie between two numbers, or to be positive: bounds, trend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TypeAlias, assert_never

from iosim.expr import Atom, Extremum, Quotient, Size, Sum, free_symbols, terms_of

Number: TypeAlias = int | Fraction
Interval: TypeAlias = tuple[Number, Number]

_PIECES = 8  # into which the terms of a sum are put


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
    low: Number = 0
    high: Number = 0
    for monomial, coefficient in terms_of(size).items():
        ends: Interval = coefficient, coefficient
        for atom, exponent in monomial:
            ends = _times(ends, _power(_of(atom, box), exponent))
        low, high = low + ends[0], high + ends[1]
    return low, high


def _of(atom: Atom, box: Mapping[str, tuple[int, int]]) -> Interval:
    match atom:
        case str():
            return box[atom]
        case Quotient(up=up, numerator=a, denominator=b):
            least, greatest = interval(b, box)
            divisors = max(1, least), greatest  # a divisor is at least 1
            quotients = [-(-x // y) if up else x // y for x in interval(a, box) for y in divisors]
            return min(quotients), max(quotients)
        case Extremum(greatest=greatest_of, arguments=arguments):
            pick = max if greatest_of else min
            lows, highs = zip(*(interval(argument, box) for argument in arguments), strict=True)
            return pick(lows), pick(highs)
        case Sum(term=term, variable=variable, count=count):
            few, many = (max(0, math.floor(end)) for end in interval(count, box))
            sure = _sum(term, variable, range(few), box)
            perhaps = _sum(term, variable, range(few, many), box, all_of_it=False)
            return sure[0] + perhaps[0], sure[1] + perhaps[1]
        case _:
            assert_never(atom)


def _sum(
    term: Size, variable: str, values: range, box: Mapping[str, tuple[int, int]], *, all_of_it: bool = True
) -> Interval:
    """Bounds of the sum over all of `values`, or over some of them, piece by piece."""
    low: Number = 0
    high: Number = 0
    step = max(1, -(-len(values) // _PIECES))
    for start in range(values.start, values.stop, step):
        last = min(start + step, values.stop) - 1
        ends = interval(term, {**box, variable: (start, last)})
        if not all_of_it:
            ends = min(0, ends[0]), max(0, ends[1])
        low, high = low + (last - start + 1) * ends[0], high + (last - start + 1) * ends[1]
    return low, high


def _times(a: Interval, b: Interval) -> Interval:
    products = [x * y for x in a for y in b]
    return min(products), max(products)


def _power(a: Interval, exponent: int) -> Interval:
    ends = a[0] ** exponent, a[1] ** exponent
    if exponent % 2 == 0 and a[0] < 0 < a[1]:
        return 0, max(ends)
    return min(ends), max(ends)


def trend(size: Size, variable: str) -> set[int]:
    """In which directions `size` may go where `variable` rises: up (1), down (-1); no size is negative."""

    def of(atom: Atom) -> set[int]:
        match atom:
            case str():
                return {1} if atom == variable else set()
            case Quotient(numerator=a, denominator=b):
                return trend(a, variable) | {-sign for sign in trend(b, variable)}
            case Extremum(arguments=arguments):
                return set().union(*(trend(x, variable) for x in arguments))
            case Sum(term=term, count=many):
                return {1, -1} if variable in free_symbols(many) else trend(term, variable)
            case _:
                assert_never(atom)

    if isinstance(size, int):
        return set()
    return {
        sign if coefficient > 0 else -sign
        for monomial, coefficient in size.terms.items()
        for atom, _ in monomial
        for sign in of(atom)
    }
