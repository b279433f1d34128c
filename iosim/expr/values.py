"""What an expression comes to: where its symbols have values, as a polynomial in some of them, summed over one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import comb
from typing import Any

from iosim.errors import CountError
from iosim.expr.algebra import (
    Atom,
    Coefficient,
    Expr,
    Extremum,
    Monomial,
    Quotient,
    Size,
    Sum,
    ceil_div,
    floor_div,
    maximum,
    minimum,
    never_negative,
    normal,
    symbol,
    terms_of,
    whole,
)

_ENUMERATION_LIMIT = 2_000_000


def evaluate(size: Size, values: Mapping[str, Size]) -> Size:
    """`size` with symbols replaced by values; an int when every symbol has an int value.

    Raises:
        CountError: a denominator is not positive, or a sum without closed form has too many terms.
    """
    if isinstance(size, int):
        return size
    if len(size.terms) == 1:
        ((factors, scale),) = size.terms.items()
        if scale == 1 and len(factors) == 1 and factors[0][1] == 1:  # the usual case, a symbol
            return _evaluate_atom(factors[0][0], values)
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
    return normal(terms) if any(terms.get(left) for left in terms if left) else whole(terms.get((), 0))


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
        term = normal({(): coefficient})
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
    return {exponents: normal(terms) for exponents, terms in parts.items()}


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
        return whole(Fraction(total, exponent + 1))
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
        if not (never_negative(slope) and never_negative(-start)) or slope == 0:
            slope, start, x, y = -slope, -start, y, x
            if not (never_negative(slope) and never_negative(-start)) or slope == 0:
                return None
        first = ceil_div(-start, slope)
        many = maximum(0, count - first)
        ramp = slope * (many * first + power_sum(1, many)) + start * many
        total = total + rest * (sum_over(x, variable, count) + (ramp if atom.greatest else -ramp))
    return None if len(plain) == len(terms_of(term)) else total + sum_over(normal(plain), variable, count)


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
    return whole(total)


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


def _evaluate_atom(atom: Atom, values: Mapping[str, Size]) -> Size:
    if isinstance(atom, str):  # the usual case, before a slower `match`
        value = values.get(atom)
        return symbol(atom) if value is None else value
    match atom:
        case Quotient(up=up, numerator=a, denominator=b):
            return (ceil_div if up else floor_div)(evaluate(a, values), evaluate(b, values))
        case Extremum(greatest=greatest, arguments=arguments):
            return (maximum if greatest else minimum)(*(evaluate(x, values) for x in arguments))
        case Sum(term=term, variable=variable, count=count):
            inner: dict[str, Any] = {name: value for name, value in values.items() if name != variable}
            return sum_over(evaluate(term, inner), variable, evaluate(count, values))
