"""Comparisons made for many iterations at once: of sizes that are affine in the number of each tile.

A loop variable stands for a whole range, 0 .. times-1, whose end may depend on variables further out. A comparison that
comes out the same in all of it has one answer; else `Split` says where the range should be cut, or that only every p-th
value should be looked at (`floor(16*t/24)` is affine in every third t).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import gcd, lcm

from iosim.expr import Coefficient, Expr, Extremum, Quotient, Size, collect, evaluate, free_symbols, map_atoms, terms_of


class Split(Exception):  # noqa: N818  a signal, not an error
    """A comparison comes out differently within the range of a loop variable.

    Attributes:
        variable: the outermost one it depends on.
        period: if p > 1, it can't be made for a general value of the variable, but for every p-th; if 0, not at all.
        at: how many of the first values it is the same for; None if it depends on other variables too.
    """

    def __init__(self, variable: str, period: int = 1, at: int | None = None) -> None:
        self.variable = variable
        self.period = period
        self.at = at


class Ranges:
    """The loop variables that stand for a range now.

    Attributes:
        exact: whether words that were stored together are told apart from their neighbours wherever that can be known, at
            the cost of looking at many iterations one by one.
        told_apart: whether they have been.
    """

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact
        self.told_apart = False
        self._last: dict[str, Size] = {}  # their greatest values, outermost first; the least is 0
        self._known: dict[tuple[Expr, bool], int] = {}  # extreme values in these ranges

    @contextmanager
    def over(self, variable: str, times: Size) -> Iterator[None]:
        """Within the block, `variable` stands for 0 .. times-1, at least one value: a range that ends before it starts would
        decide anything."""
        assert not isinstance(times, int) or times > 0
        self._last[variable] = times - 1
        outside, self._known = self._known, {}
        try:
            yield
        finally:
            del self._last[variable]
            self._known = outside

    def le(self, a: Size, b: Size) -> bool:
        """Whether a <= b, in all of the ranges.

        Raises:
            Split: it is not the same in all of them.
        """
        if isinstance(a, int) and isinstance(b, int):
            return a <= b
        ends = self._ends(a, b)
        if ends is not None and (ends[0] >= 0 or ends[1] < 0):
            return ends[0] >= 0
        difference = self.settled(b - a)
        if isinstance(difference, int):
            return difference >= 0
        if self._extreme(difference, greatest=False) >= 0:
            return True
        if self._extreme(difference, greatest=True) < 0:
            return False
        if any(not isinstance(atom, str) for monomial in difference.terms for atom, _ in monomial):
            raise self._not_affine(difference)
        raise self._crossing(difference)

    def surely_le(self, a: Size, b: Size) -> bool:
        """Whether a <= b in all of the ranges; also False if that depends on several variables at once.

        Raises:
            Split: it depends on one.
        """
        try:
            return self.le(a, b)
        except Split as split:
            if split.period == 1 and split.at is None:
                return False
            raise

    def affine(self, value: Size) -> Size:
        """`value`, which is affine.

        Raises:
            Split: it is not (a quotient, say).
        """
        if isinstance(value, int):
            return value
        if all(isinstance(atom, str) for monomial in value.terms for atom, _ in monomial):
            return value
        value = self.settled(value)
        if any(not isinstance(atom, str) for monomial in terms_of(value) for atom, _ in monomial):
            raise self._not_affine(value)
        return value

    def settled(self, value: Size) -> Size:
        """`value` with each minimum and maximum replaced by the one of its arguments that it is in all of the ranges.

        Raises:
            Split: it is not the same one in all of them.
        """
        if isinstance(value, int) or not any(isinstance(atom, Extremum) for m in value.terms for atom, _ in m):
            return value
        return map_atoms(value, lambda atom: self._argument(atom) if isinstance(atom, Extremum) else None)

    def _argument(self, extremum: Extremum) -> Size:
        chosen, *others = map(self.settled, extremum.arguments)
        for other in others:
            if self.le(chosen, other) == extremum.greatest:
                chosen = other
        return chosen

    def first(self, value: Size) -> Size:
        """`value` in the first iteration of the ranges."""
        return evaluate(value, dict.fromkeys(self._last, 0))

    def outermost(self, value: Size) -> str:
        names = free_symbols(value)
        return next(variable for variable in self._last if variable in names)

    def _ends(self, a: Size, b: Size) -> tuple[Coefficient, Coefficient] | None:
        """The least and the greatest value of b - a, if it is affine in variables whose ranges are numbers."""
        difference = dict(terms_of(b))
        for monomial, coefficient in terms_of(a).items():
            difference[monomial] = difference.get(monomial, 0) - coefficient
        low: Coefficient = 0
        high: Coefficient = 0
        for monomial, coefficient in difference.items():
            if not monomial:
                low, high = low + coefficient, high + coefficient
            elif coefficient:
                ((atom, exponent), *others) = monomial
                last = self._last.get(atom) if isinstance(atom, str) else None
                if others or exponent != 1 or not isinstance(last, int):
                    return None
                low, high = low + min(0, coefficient * last), high + max(0, coefficient * last)
        return low, high

    def _extreme(self, value: Size, *, greatest: bool) -> int:
        """The least or the greatest `value`, which is affine in each variable, or only grows or only falls with it: it is at
        an end of each."""
        if isinstance(value, int):
            return value
        if (value, greatest) not in self._known:
            self._known[value, greatest] = self._found_extreme(value, greatest=greatest)
        return self._known[value, greatest]

    def _found_extreme(self, value: Expr, *, greatest: bool) -> int:
        variable = next(name for name in reversed(self._last) if name in free_symbols(value))
        coefficients = collect(value, variable)
        last = self._last[variable]
        slope: Size
        if coefficients is None or any(exponent > 1 for (exponent,) in coefficients):
            slope = _direction(value, variable)
            if not slope:
                raise self._not_affine(value)
        else:
            slope = coefficients[(1,)]
        ends: tuple[Size, ...] = (0, last)
        if isinstance(slope, int):
            ends = (last,) if (slope > 0) == greatest else (0,)
        found = [self._extreme(evaluate(value, {variable: end}), greatest=greatest) for end in ends]
        return max(found) if greatest else min(found)

    def _crossing(self, difference: Size) -> Split:
        """`difference`, which is affine, is negative in a part of the ranges."""
        variable = self.outermost(difference)
        coefficients = collect(difference, variable) or {}
        slope, start = coefficients.get((1,), 0), coefficients.get((0,), 0)
        if not isinstance(slope, int) or not isinstance(start, int):
            return Split(variable)
        return Split(variable, at=start // -slope + 1 if start >= 0 else -(start // slope))

    def _not_affine(self, value: Size) -> Split:
        variable = self.outermost(value)
        return Split(variable, _period(value, variable))


def _direction(value: Expr, variable: str) -> int:
    """1 or -1 if `value` is sure never to fall or never to grow with the variable, 0 if not."""
    directions = set()
    for monomial, coefficient in value.terms.items():
        if not any(variable in free_symbols(Expr({((atom, 1),): 1})) for atom, _ in monomial):
            continue
        match monomial:
            case ((str(), 1),):
                slope: Size | None = 1
            case ((Quotient(numerator=numerator, denominator=int(denominator)), 1),) if denominator > 0:
                inner = collect(numerator, variable) or {}
                slope = inner.get((1,)) if all(exponent <= 1 for (exponent,) in inner) else None
            case _:
                return 0
        if not isinstance(slope, int) or not slope:
            return 0
        directions.add(1 if (coefficient > 0) == (slope > 0) else -1)
    return directions.pop() if len(directions) == 1 else 0


def _period(value: Size, variable: str) -> int:
    """The least p for which `value` is affine in u where the variable is p*u; 0 if there is none."""
    period = 1
    for monomial in value.terms if isinstance(value, Expr) else ():
        touched = [(atom, e) for atom, e in monomial if variable in free_symbols(Expr({((atom, 1),): 1}))]
        if len(touched) > 1 or any(exponent > 1 for _, exponent in touched):
            return 0
        for atom, _ in touched:
            match atom:
                case str():
                    pass
                case Quotient(numerator=numerator, denominator=int(denominator)):
                    coefficients = collect(numerator, variable) or {}
                    slope = coefficients.get((1,))
                    if not isinstance(slope, int) or any(exponent > 1 for (exponent,) in coefficients):
                        return 0
                    period = lcm(period, denominator // gcd(slope, denominator))
                case _:
                    return 0
    return period if period > 1 else 0
