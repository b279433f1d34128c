"""Polynomials over atoms in their normal form: what an expression is, and its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb
from typing import TYPE_CHECKING, TypeAlias, overload

from iosim.errors import CountError, ProgramError

if TYPE_CHECKING:
    import sympy

Coefficient: TypeAlias = int | Fraction
Atom: TypeAlias = "str | Quotient | Extremum | Sum"
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]


@dataclass(frozen=True, slots=True)
class Quotient:
    """`ceil(numerator/denominator)` or `floor(numerator/denominator)`, exact; the denominator is positive."""

    up: bool
    numerator: Size
    denominator: Size

    def __str__(self) -> str:
        return f"{'ceil' if self.up else 'floor'}({_parenthesised(self.numerator)}/{_parenthesised(self.denominator)})"


@dataclass(frozen=True, slots=True)
class Extremum:
    """The least or the greatest of several sizes."""

    greatest: bool
    arguments: tuple[Size, ...]

    def __str__(self) -> str:
        return f"{'max' if self.greatest else 'min'}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of `term` over `variable = 0 .. count-1`, kept as it is because it has no closed form over our atoms."""

    term: Size
    variable: str
    count: Size

    def __str__(self) -> str:
        return f"sum({self.term} for 0 <= {self.variable} < {self.count})"


class Expr:
    """A polynomial over atoms in normal form; see the module's docstring.

    Arithmetic is exact. Comparing by `<` or testing for truth raises: an expression has no sign before its sizes are
    known.

    Example:
        >>> from iosim.expr import evaluate
        >>> n, d, B = symbols("n", "d", "B")
        >>> print(2 * n * d + 2 * n * d * ceil_div(n, B))
        2*d*n*ceil(n/B) + 2*d*n
        >>> evaluate(2 * n * d + 2 * n * d * ceil_div(n, B), {"n": 10, "d": 3, "B": 4})
        240
    """

    __slots__ = ("_hash", "terms")

    terms: Mapping[Monomial, Coefficient]

    def __init__(self, terms: Mapping[Monomial, Coefficient]) -> None:
        self.terms = terms
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expr) and self.terms == other.terms)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __bool__(self) -> bool:
        raise ProgramError(f"the truth of {self} is not known before its sizes are")

    def _no_order(self, other: object) -> bool:
        raise ProgramError(f"{self} can't be compared with {other}: its sizes are not known here")

    __lt__ = __le__ = __gt__ = __ge__ = _no_order

    def __add__(self, other: Size) -> Size:
        if isinstance(other, int):
            if other == 0:
                return self
            terms = dict(self.terms)
            terms[()] = terms.get((), 0) + other
        elif isinstance(other, Expr):
            terms = dict(self.terms)
            for monomial, coefficient in other.terms.items():
                terms[monomial] = terms.get(monomial, 0) + coefficient
        else:
            return NotImplemented
        return normal(terms)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return Expr({monomial: -coefficient for monomial, coefficient in self.terms.items()})

    def __sub__(self, other: Size) -> Size:
        if isinstance(other, int):
            return self + -other
        if not isinstance(other, Expr):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, coefficient in other.terms.items():
            terms[monomial] = terms.get(monomial, 0) - coefficient
        return normal(terms)

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __mul__(self, other: Size | Fraction) -> Size:
        if isinstance(other, (int, Fraction)):
            return normal({monomial: coefficient * other for monomial, coefficient in self.terms.items()})
        if not isinstance(other, Expr):
            return NotImplemented
        terms: dict[Monomial, Coefficient] = {}
        for left, a in self.terms.items():
            for right, b in terms_of(other).items():
                monomial = _times(left, right)
                terms[monomial] = terms.get(monomial, 0) + a * b
        return normal(terms)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Size:
        result: Size = 1
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Size) -> Size:
        return floor_div(self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        return floor_div(other, self)

    def __mod__(self, other: Size) -> Size:
        return self - other * floor_div(self, other)

    def __str__(self) -> str:
        return _text(self)

    def __repr__(self) -> str:
        return f"Expr({_text(self)})"


Size: TypeAlias = int | Expr


def symbols(*names: str) -> tuple[Expr, ...]:
    """One symbol for each name."""
    return tuple(symbol(name) for name in names)


@cache
def symbol(name: str) -> Expr:
    """The size called `name`."""
    return Expr({((name, 1),): 1})


def floor_div(a: Size, b: Size) -> Size:
    """`floor(a/b)` for b > 0, exact.

    Example:
        >>> floor_div(7, 2)
        3
    """
    return _quotient(a, b, up=False)


def ceil_div(a: Size, b: Size) -> Size:
    """`ceil(a/b)` for b > 0, exact.

    Example:
        >>> ceil_div(7, 2)
        4
        >>> n, = symbols("n")
        >>> print(ceil_div(4 * n + 3, 4))
        n + 1
    """
    return _quotient(a, b, up=True)


def minimum(*arguments: Size) -> Size:
    """The least of the arguments."""
    return _extremum(arguments, greatest=False)


def maximum(*arguments: Size) -> Size:
    """The greatest of the arguments."""
    return _extremum(arguments, greatest=True)


@overload
def binomial(n: int, k: int) -> int: ...
@overload
def binomial(n: Size, k: int) -> Size: ...
def binomial(n: Size, k: int) -> Size:
    """`C(n, k)`, a polynomial of degree k in n.

    Example:
        >>> d, = symbols("d")
        >>> print(binomial(d + 2, 2))
        1/2*d^2 + 3/2*d + 1
    """
    if isinstance(n, int):
        return comb(n, k)
    result: Size = 1
    for i in range(k):
        result = Expr(terms_of(n - i)) * Fraction(1, i + 1) * result
    return result


@overload
def monomial_count(variables: int, degree: int) -> int: ...
@overload
def monomial_count(variables: Size, degree: int) -> Size: ...
def monomial_count(variables: Size, degree: int) -> Size:
    """`C(variables + degree, degree)`, the monomials of degree at most `degree`: r, the features of a polynomial.

    Example:
        >>> monomial_count(64, 2)  # 1, 64 coordinates, their 64 squares and 64 * 63 / 2 products
        2145
    """
    return binomial(variables + degree, degree)


def terms_of(size: Size) -> Mapping[Monomial, Coefficient]:
    """The terms of a size as a polynomial over its atoms."""
    return {(): size} if isinstance(size, int) else size.terms


def to_sympy(size: Size) -> sympy.Expr:
    """`size` as a sympy expression over positive integer symbols; ceilings and floors stay exact."""
    import sympy

    def atom_to_sympy(atom: Atom) -> sympy.Expr:
        match atom:
            case str():
                return sympy.Symbol(atom, integer=True, positive=True)
            case Quotient(up=up, numerator=a, denominator=b):
                return (sympy.ceiling if up else sympy.floor)(to_sympy(a) / to_sympy(b))
            case Extremum(greatest=greatest, arguments=arguments):
                return (sympy.Max if greatest else sympy.Min)(*map(to_sympy, arguments))
            case Sum(term=term, variable=variable, count=count):
                # A summation index starts at 0, so it is a symbol of its own, not a positive one.
                index = sympy.Symbol(variable, integer=True, nonnegative=True)
                body = to_sympy(term).subs(sympy.Symbol(variable, integer=True, positive=True), index)
                return sympy.Sum(body, (index, 0, to_sympy(count) - 1))

    total = sympy.Integer(0)
    for monomial, coefficient in terms_of(size).items():
        fraction = Fraction(coefficient)
        product = sympy.Rational(fraction.numerator, fraction.denominator)
        for atom, exponent in monomial:
            product *= atom_to_sympy(atom) ** exponent
        total += product
    return total


def whole(value: Coefficient) -> int:
    if isinstance(value, int):
        return value
    if value.denominator != 1:
        raise CountError(f"{value} is not a whole number of words")
    return value.numerator


def normal(terms: Mapping[Monomial, Coefficient]) -> Size:
    kept: dict[Monomial, Coefficient] = {}
    for monomial, coefficient in terms.items():
        if coefficient:
            if not isinstance(coefficient, int) and coefficient.denominator == 1:
                coefficient = coefficient.numerator  # noqa: PLW2901
            kept[monomial] = coefficient
    if len(kept) <= 1:
        if not kept:
            return 0
        constant = kept.get(())
        if isinstance(constant, int):
            return constant
    return Expr(kept)


def _times(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, exponent in right:
        powers[atom] = powers.get(atom, 0) + exponent
    if len(powers) == 1:
        return tuple(powers.items())
    return tuple(sorted(powers.items(), key=lambda item: (not isinstance(item[0], str), str(item[0]))))


def _quotient(a: Size, b: Size, *, up: bool) -> Size:
    if isinstance(b, int):
        if b <= 0:
            raise CountError(f"division of {a} by {b}: a tile has at least one row")
        if isinstance(a, int):
            return -(-a // b) if up else a // b
    whole, rest = _divide(a, b)
    if isinstance(rest, int) and rest == 0:
        return whole
    if isinstance(rest, int) and isinstance(b, int):
        return whole + _quotient(rest, b, up=up)
    return whole + Expr({((Quotient(up, rest, b), 1),): 1})


def _divide(a: Size, b: Size) -> tuple[Size, Size]:
    """`a = b*whole + rest`, where `whole` takes the terms of `a` that the single term `b` divides evenly."""
    if len(terms_of(b)) != 1:
        return (1, 0) if a == b else (0, a)
    ((divisor, scale),) = terms_of(b).items()
    whole: dict[Monomial, Coefficient] = {}
    rest: dict[Monomial, Coefficient] = {}
    for monomial, coefficient in terms_of(a).items():
        powers = dict(monomial)
        ratio = Fraction(coefficient) / scale
        if all(powers.get(atom, 0) >= exponent for atom, exponent in divisor):
            times = ratio.numerator // ratio.denominator
            left = coefficient - times * scale
            for atom, exponent in divisor:
                powers[atom] -= exponent
            if times:
                whole[tuple((atom, exponent) for atom, exponent in powers.items() if exponent)] = times
            if left:
                rest[monomial] = left
        else:
            rest[monomial] = coefficient
    return normal(whole), normal(rest)


def _extremum(arguments: tuple[Size, ...], *, greatest: bool) -> Size:
    pick: Callable[..., int] = max if greatest else min
    flat: list[Size] = []
    for argument in arguments:
        flat.extend(_extremum_arguments(argument, greatest=greatest))
    numbers = [x for x in flat if isinstance(x, int)]
    others: list[Size] = list(dict.fromkeys(x for x in flat if isinstance(x, Expr)))
    others += [pick(numbers)] if numbers else []
    # An argument that is at least another whatever the sizes, none of which is negative, is decided now.
    kept: list[Size] = []
    for x in others:
        for position, y in enumerate(kept):
            if never_negative(y - x):
                if not greatest:
                    kept[position] = x
                break
            if never_negative(x - y):
                if greatest:
                    kept[position] = x
                break
        else:
            kept.append(x)
    if len(kept) == 1:
        return kept[0]
    return Expr({((Extremum(greatest, tuple(sorted(kept, key=str))), 1),): 1})


def never_negative(size: Size) -> bool:
    return all(
        coefficient >= 0 and all(isinstance(atom, str) for atom, _ in monomial)
        for monomial, coefficient in terms_of(size).items()
    )


def _extremum_arguments(size: Size, *, greatest: bool) -> tuple[Size, ...]:
    if isinstance(size, Expr) and len(size.terms) == 1:
        ((monomial, coefficient),) = size.terms.items()
        if coefficient == 1 and len(monomial) == 1:
            atom, exponent = monomial[0]
            if isinstance(atom, Extremum) and atom.greatest == greatest and exponent == 1:
                return atom.arguments
    return (size,)


def _parenthesised(size: Size) -> str:
    text = str(size)
    return f"({text})" if isinstance(size, Expr) and (len(size.terms) > 1 or "*" in text) else text


def _text(size: Expr) -> str:
    """Highest degree first, then alphabetically: `2*d*n*ceil(n/B) + 2*d*n`."""

    def factor(atom: Atom, exponent: int) -> str:
        return str(atom) if exponent == 1 else f"{atom}^{exponent}"

    def order(item: tuple[Monomial, Coefficient]) -> tuple[int, str]:
        return (-sum(exponent for _, exponent in item[0]), "*".join(factor(*pair) for pair in item[0]))

    pieces: list[str] = []
    for monomial, coefficient in sorted(size.terms.items(), key=order):
        factors = [factor(atom, exponent) for atom, exponent in monomial]
        magnitude = abs(coefficient)
        body = "*".join(([str(magnitude)] if magnitude != 1 or not factors else []) + factors)
        sign = "-" if coefficient < 0 else "+"
        pieces.append(f"{sign} {body}" if pieces else (f"-{body}" if coefficient < 0 else body))
    return " ".join(pieces)
