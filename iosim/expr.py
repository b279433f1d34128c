"""Exact integer expressions in sizes: what a count is, before and after the sizes are known.

An `Expr` is a polynomial with rational coefficients over *atoms*: symbols (`n`, `B_r`), exact quotients (`ceil(n/B_r)`,
`floor(n/B_r)`), minima, maxima, and finite sums that have no closed form. It is kept in one normal form, so that two
expressions that are equal as polynomials over their atoms are equal as Python values. Plain integers stay plain
integers: the functions of this module take and return `Size = int | Expr`, and the same code therefore counts with
numbers (fast, at any magnitude) and with symbols (a formula).

There is no floating point here, and no rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from itertools import pairwise
from math import comb
from typing import TYPE_CHECKING, Any, TypeAlias

from iosim.errors import CountError, ProgramError

if TYPE_CHECKING:
    import sympy

Coefficient: TypeAlias = int | Fraction
Atom: TypeAlias = "str | Quotient | Extremum | Sum"
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]

_ENUMERATION_LIMIT = 2_000_000


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
        return isinstance(other, Expr) and self.terms == other.terms

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
        return _normal(terms)

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
        return _normal(terms)

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __mul__(self, other: Size | Fraction) -> Size:
        if isinstance(other, (int, Fraction)):
            return _normal({monomial: coefficient * other for monomial, coefficient in self.terms.items()})
        if not isinstance(other, Expr):
            return NotImplemented
        terms: dict[Monomial, Coefficient] = {}
        for left, a in self.terms.items():
            for right, b in terms_of(other).items():
                monomial = _times(left, right)
                terms[monomial] = terms.get(monomial, 0) + a * b
        return _normal(terms)

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


def evaluate(size: Size, values: Mapping[str, Size]) -> Size:
    """`size` with symbols replaced by values; an int when every symbol has an int value.

    Raises:
        CountError: a denominator is not positive, or a sum without closed form has too many terms.
    """
    if isinstance(size, int):
        return size
    number: Coefficient = 0
    terms: dict[Monomial, Coefficient] = {}
    for monomial, coefficient in size.terms.items():
        product: Size = 1
        for atom, exponent in monomial:
            value = _evaluate_atom(atom, values)
            power = value if exponent == 1 else value**exponent
            if isinstance(power, int):
                coefficient *= power  # noqa: PLW2901
            else:
                product = power if isinstance(product, int) else product * power
        if isinstance(product, int):
            number += coefficient
        else:
            for left, factor in product.terms.items():
                terms[left] = terms.get(left, 0) + factor * coefficient
    if number:
        terms[()] = terms.get((), 0) + number
    return _normal(terms) if any(terms.get(left) for left in terms if left) else _whole(terms.get((), 0))


def evaluate_int(size: Size, values: Mapping[str, int]) -> int:
    """`size` at integer values of all its symbols.

    Raises:
        CountError: a symbol of `size` has no value.
    """
    result = evaluate(size, values)
    if not isinstance(result, int):
        missing = ", ".join(sorted(free_symbols(result)))
        raise CountError(f"{size}: no value for {missing}")
    return result


def free_symbols(size: Size) -> frozenset[str]:
    """Names of the symbols that occur in `size`, inside quotients and sums too."""
    if isinstance(size, int):
        return frozenset()
    names: set[str] = set()
    for monomial in size.terms:
        for atom, _ in monomial:
            match atom:
                case str():
                    names.add(atom)
                case Quotient(numerator=a, denominator=b):
                    names |= free_symbols(a) | free_symbols(b)
                case Extremum(arguments=arguments):
                    names = names.union(*map(free_symbols, arguments))
                case Sum(term=term, variable=variable, count=count):
                    names |= (free_symbols(term) - {variable}) | free_symbols(count)
    return frozenset(names)


def map_atoms(size: Size, f: Callable[[Any], Size | None]) -> Size:
    """`size` with each atom that is a factor of a term replaced by what `f` gives for it; kept where that is None."""
    total: Size = 0
    for monomial, coefficient in terms_of(size).items():
        term = _normal({(): coefficient})
        for atom, exponent in monomial:
            by = f(atom)
            term = term * (Expr({((atom, 1),): 1}) if by is None else by) ** exponent
        total = total + term
    return total


def collect(size: Size, *variables: str) -> dict[tuple[int, ...], Size] | None:
    """Coefficients of `size` as a polynomial in `variables`, by exponents; None if it isn't one.

    It is not a polynomial in a variable that occurs inside a quotient, an extremum or a sum.
    """
    if isinstance(size, int):
        return {(0,) * len(variables): size}
    parts: dict[tuple[int, ...], dict[Monomial, Coefficient]] = {}
    for monomial, coefficient in size.terms.items():
        powers = dict.fromkeys(variables, 0)
        rest: list[tuple[Atom, int]] = []
        for atom, exponent in monomial:
            if isinstance(atom, str):
                if atom in powers:
                    powers[atom] = exponent
                    continue
            elif not free_symbols(Expr({((atom, 1),): 1})).isdisjoint(variables):
                return None
            rest.append((atom, exponent))
        part = parts.setdefault(tuple(powers.values()), {})
        part[tuple(rest)] = part.get(tuple(rest), 0) + coefficient
    return {exponents: _normal(terms) for exponents, terms in parts.items()}


def power_sum(exponent: int, count: Size) -> Size:
    """`sum(t**exponent for t in range(count))` as a polynomial in count.

    Source: Faulhaber's formula, through the recursion (c)^(p+1) = sum_k C(p+1, k) S_k(c).
    """
    if exponent == 0:
        return count
    total: Size = count ** (exponent + 1)
    for k in range(exponent):
        total = total - comb(exponent + 1, k) * power_sum(k, count)
    if isinstance(total, int):
        return _whole(Fraction(total, exponent + 1))
    return total * Fraction(1, exponent + 1)


def sum_over(term: Size, variable: str, count: Size) -> Size:
    """`sum(term for variable in range(count))`: closed form where there is one, else enumerated or kept as a `Sum`.

    Raises:
        CountError: the sum has no closed form over our atoms and too many terms to be added one by one.
    """
    coefficients = collect(term, variable)
    if coefficients is not None:
        total: Size = 0
        for (exponent,), coefficient in coefficients.items():
            total = total + coefficient * power_sum(exponent, count)
        return total
    if isinstance(count, int) and free_symbols(term) == {variable}:
        pieces = _pieces(term, variable, count)
        if pieces is not None:
            # each piece from 0 on
            return sum(
                (
                    sum_over(evaluate(part, {variable: symbol(variable) + low}), variable, high - low)
                    for part, low, high in pieces
                ),
                start=0,
            )
        quotients = _sum_of_quotients(term, variable, count)
        if quotients is not None:
            return quotients
        if count > _ENUMERATION_LIMIT:
            raise CountError(f"sum of {term} over {count:,} values of {variable}: no closed form is known")
        return sum(evaluate_int(term, {variable: t}) for t in range(count))
    ramps = _sum_of_ramps(term, variable, count)
    return Expr({((Sum(term, variable, count), 1),): 1}) if ramps is None else ramps


def _sum_of_ramps(term: Size, variable: str, count: Size) -> Size | None:
    """The sum over t = 0 .. count-1 where each minimum and maximum in `term` is of two affine functions of t, alone in its
    term; None if it is not so, or if it is not known whether their difference rises or falls.

    max(x, y) = x + max(0, y - x), and for y - x = a t - b with a, b > 0 the sum of max(0, a t - b) begins at t = ceil(b/a).
    """
    plain: dict[Monomial, Coefficient] = {}
    total: Size = 0
    for monomial, coefficient in terms_of(term).items():
        extremums = [(atom, exponent) for atom, exponent in monomial if isinstance(atom, Extremum)]
        if not extremums:
            plain[monomial] = coefficient
            continue
        ((atom, exponent), *others) = extremums
        rest = Expr({tuple(factor for factor in monomial if factor[0] != atom): coefficient})
        if others or exponent != 1 or len(atom.arguments) != 2 or variable in free_symbols(rest):
            return None
        x, y = atom.arguments
        difference = collect(y - x if atom.greatest else x - y, variable)
        if difference is None or not difference.keys() <= {(0,), (1,)}:
            return None
        slope, start = difference.get((1,), 0), difference.get((0,), 0)
        if not (_never_negative(slope) and _never_negative(-start)) or slope == 0:
            slope, start, x, y = -slope, -start, y, x
            if not (_never_negative(slope) and _never_negative(-start)) or slope == 0:
                return None
        first = ceil_div(-start, slope)
        many = maximum(0, count - first)
        ramp = slope * (many * first + power_sum(1, many)) + start * many
        total = total + rest * (sum_over(x, variable, count) + (ramp if atom.greatest else -ramp))
    return None if len(plain) == len(terms_of(term)) else total + sum_over(_normal(plain), variable, count)


def _pieces(term: Size, variable: str, count: int) -> list[tuple[Size, int, int]] | None:
    """`term` over low .. high-1 for pieces of 0 .. count-1 on each of which every minimum and maximum is one argument.

    None if there is no minimum or maximum of affine functions in it.
    """
    for atom in (atom for monomial in terms_of(term) for atom, _ in monomial if isinstance(atom, Extremum)):
        affine = [collect(argument, variable) for argument in atom.arguments]
        if any(x is None or not x.keys() <= {(0,), (1,)} for x in affine):
            continue
        lines = [[evaluate_int(x.get((exponent,), 0), {}) for exponent in (1, 0)] for x in affine if x is not None]
        crossings = ((e - b) // (a - c) + 1 for a, b in lines for c, e in lines if a > c)
        ends = sorted({0, count, *(min(count, max(0, at)) for at in crossings)})

        def twice_the_middle(argument: Size, low: int, high: int) -> int:
            return sum(evaluate_int(argument, {variable: end}) for end in (low, high - 1))

        pick = max if atom.greatest else min
        pieces = []
        for low, high in pairwise(ends):
            # no two lines cross within a piece, so the one that is extreme in its middle is so at both its ends
            best = pick(atom.arguments, key=partial(twice_the_middle, low=low, high=high))
            pieces.append((map_atoms(term, {atom: best}.get), low, high))
        return pieces
    return None


def _sum_of_quotients(term: Size, variable: str, count: int) -> int | None:
    """The sum over t = 0 .. count-1 of terms t^p q^k, p + k <= 2, q a quotient of an affine function of t by a number.

    None if a term is of another kind. The work grows with the logarithm of the sizes.
    """
    total: Coefficient = 0
    for monomial, coefficient in terms_of(term).items():
        power, exponent, quotient = 0, 0, None
        for atom, times in monomial:
            if atom == variable:
                power = times
            elif isinstance(atom, Quotient) and quotient is None:
                exponent, quotient = times, atom
            else:
                return None
        if quotient is None:
            total += coefficient * evaluate_int(power_sum(power, count), {})
            continue
        affine, c = collect(quotient.numerator, variable), quotient.denominator
        if affine is None or not isinstance(c, int) or not affine.keys() <= {(0,), (1,)} or power + exponent > 2:
            return None
        a, b = affine.get((1,), 0), affine.get((0,), 0)
        if not isinstance(a, int) or not isinstance(b, int):
            return None
        sums = _floor_sums(count - 1, a, b + c - 1 if quotient.up else b, c)
        total += coefficient * sums[{(0, 1): 0, (1, 1): 1, (0, 2): 2}[power, exponent]]
    return _whole(total)


def _floor_sums(n: int, a: int, b: int, c: int) -> tuple[int, int, int]:
    """Sums over t = 0 .. n of q, t q and q^2 with q = floor((a t + b)/c), c > 0.

    Source: Euclid's algorithm on (a, c): reduce a and b modulo c, then count the lattice points below the line by columns
    of the other axis (Graham, Knuth and Patashnik, Concrete Mathematics, section 3.5, for the plain sum).
    """
    if n < 0:
        return 0, 0, 0
    ones, firsts, squares = n + 1, n * (n + 1) // 2, n * (n + 1) * (2 * n + 1) // 6
    x, y = a // c, b // c
    a, b = a % c, b % c
    f = g = h = 0
    m = (a * n + b) // c
    if m > 0:
        p, q, r = _floor_sums(m - 1, c, c - b - 1, a)
        f = n * m - p
        g = (m * n * (n + 1) - r - p) // 2
        h = n * m * (m + 1) - 2 * q - 2 * p - f
    return (
        f + x * firsts + y * ones,
        g + x * squares + y * firsts,
        h + 2 * y * f + 2 * x * g + x * x * squares + y * y * ones + 2 * x * y * firsts,
    )


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


def terms_of(size: Size) -> Mapping[Monomial, Coefficient]:
    """The terms of a size as a polynomial over its atoms."""
    return {(): size} if isinstance(size, int) else size.terms


def _whole(value: Coefficient) -> int:
    if isinstance(value, int):
        return value
    if value.denominator != 1:
        raise CountError(f"{value} is not a whole number of words")
    return value.numerator


def _normal(terms: Mapping[Monomial, Coefficient]) -> Size:
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
    return _normal(whole), _normal(rest)


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
            if _never_negative(y - x):
                if not greatest:
                    kept[position] = x
                break
            if _never_negative(x - y):
                if greatest:
                    kept[position] = x
                break
        else:
            kept.append(x)
    if len(kept) == 1:
        return kept[0]
    return Expr({((Extremum(greatest, tuple(sorted(kept, key=str))), 1),): 1})


def _never_negative(size: Size) -> bool:
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


def _evaluate_atom(atom: Atom, values: Mapping[str, Size]) -> Size:
    if isinstance(atom, str):  # the usual case, before a slower `match`
        value = values.get(atom)
        return symbol(atom) if value is None else value
    match atom:
        case Quotient(up=up, numerator=a, denominator=b):
            return _quotient(evaluate(a, values), evaluate(b, values), up=up)
        case Extremum(greatest=greatest, arguments=arguments):
            return _extremum(tuple(evaluate(x, values) for x in arguments), greatest=greatest)
        case Sum(term=term, variable=variable, count=count):
            inner: dict[str, Any] = {name: value for name, value in values.items() if name != variable}
            return sum_over(evaluate(term, inner), variable, evaluate(count, values))


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
