"""How many contributions words of a row can make, and how many words a row needs: Lemmas 1 and 2, and C.

These are steps of the theorems in `approx_one_shot` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import chain, combinations, product
from math import comb, factorial

import sympy
from sympy import Ge, Le, Rational

from iosim.bounds.approx import OF_MONOMIALS, Kind, constant, products_of, words_of_a_row
from iosim.proof import Fact, argue, exhaust, prove

t, u, g, s = sympy.symbols("t u g s", nonnegative=True)
p, q = sympy.symbols("p q", positive=True)  # A_g w^(1/(g+1))

Monomial = tuple[int, ...]
Product = tuple[Monomial, int]  # k^alpha v_l


# Lemma 1


@cache
def words_of_monomials() -> Fact:
    """t words of K-type and u of V-type of one row give at most C(t+g, g) u contributions to columns of V, and
    C(t+g, g) (u+1) - 1 with the column of ones."""
    return argue(
        "k^alpha v_l is one V-type word times a product of at most g K-type words, since each of these has degree at least "
        "1: at most C(t+g, g) multisets of t words for each of u words, and no more than the r monomials; for the column of "
        "ones k^alpha is such a product alone, other than that of no words",
        beside=[_words_of_monomials(2, 2, 1), _words_of_monomials(1, 3, 2)],
    )


def _words_of_monomials(d: int, degree: int, d_v: int) -> Fact:
    return exhaust(
        f"every set of words of a row, d = {d}, g = {degree}, d_v = {d_v}: at most C(t+g, g) u contributions to columns of "
        "V, and C(t+g, g) (u+1) - 1 with the column of ones",
        product(_sets_of_words(d, degree, d_v), (0, 1)),
        lambda case: _available(*case[0], degree, case[1]) <= _most(*case[0], degree, case[1]),
        refuted=lambda case: _available(*case[0], degree, case[1]) < max(1, _most(*case[0], degree, case[1])),
    )


def _most(K: Sequence[Monomial], V: Sequence[Product], degree: int, ones: int) -> int:
    return comb(len(K) + degree, degree) * (len(V) + ones) - ones


def monomials(d: int, degree: int) -> list[Monomial]:
    """Exponents of all monomials of at most that degree."""
    return [alpha for alpha in product(range(degree + 1), repeat=d) if sum(alpha) <= degree]


def _sets_of_words(d: int, degree: int, d_v: int) -> Iterator[tuple[tuple[Monomial, ...], tuple[Product, ...]]]:
    of_K = [alpha for alpha in monomials(d, degree) if any(alpha)]
    of_V = list(product(monomials(d, degree), range(d_v)))
    for K in _subsets(of_K):
        for V in _subsets(of_V):
            yield K, V


def _subsets(of: list) -> Iterator[tuple]:  # type: ignore[type-arg]
    return chain.from_iterable(combinations(of, size) for size in range(len(of) + 1))


def _available(K: Sequence[Monomial], V: Sequence[Product], degree: int, ones: int) -> int:
    """Products k^alpha v_l, |alpha| <= degree, that these words give, for the column of ones, if it counts, too."""
    found = {*V, *([((0,) * len(K[0]) if K else (), -1)] if ones else [])}
    new = found
    while new:
        new = {
            (tuple(x + y for x, y in zip(alpha, beta, strict=True)), l)
            for alpha, l in new
            for beta in K
            if sum(alpha) + sum(beta) <= degree
        } - found
        found |= new
    return len(found) - ones  # the constant


@cache
def best_split() -> Fact:
    """Of s words, floor(g s/(g+1)) of K-type are the best."""
    # C(t+1+g, g)/C(t+g, g) = (t+1+g)/(t+1)
    more = prove(
        "one more word of K-type, in place of one of V-type, is no loss as long as (g+1)(t+1) <= g s",
        Ge((t + 1 + g) * (s - t - 1), (t + 1) * (s - t)),
        given=[Le((g + 1) * (t + 1), g * s)],
        refuted=Ge((t + 1 + g) * (s - t - 1), (t + 1) * (s - t) + 1),
    )
    fewer = prove(
        "and no gain from there on",
        Le((t + 1 + g) * (s - t - 1), (t + 1) * (s - t)),
        given=[Ge((g + 1) * (t + 1), g * s)],
        refuted=Le((t + 1 + g) * (s - t - 1), (t + 1) * (s - t) - 1),
    )
    return argue(
        "kappa(s) = C(t+g, g)(s - t) with t = floor(g s/(g+1)), or d with which there are all r monomials, is the most over "
        "all t < s",
        using=[more, fewer],
        beside=[
            exhaust(
                "kappa(s) for g up to 5, d up to 6, s up to 30",
                product(range(1, 6), range(1, 7), range(1, 31)),
                lambda case: (
                    _kappa(*case)
                    == max(comb(min(t, case[1]) + case[0], case[0]) * (case[2] - t) for t in range(case[2]))
                ),
                refuted=lambda case: _kappa(*case) <= comb(case[0] + case[1], case[0]),
            )
        ],
    )


def _kappa(g: int, d: int, s: int) -> int:
    return products_of(s, g, d, 10**9)


# Lemma 2


@cache
def words_of_any_functions() -> Fact:
    """s arbitrary analytic functions of a row give, in additions that are linear in V, jets of
    dimension at most kappa(s)."""
    trailing = argue(
        "take trailing exponents, in an order that refines the degree: functions of p_1..p_s whose trailing exponents are "
        "independent over the integers have a Jacobian of that rank, since the lowest term of its minor is the product of "
        "the functions times the determinant of the exponents; so the exponents lie in a space of rank at most s, and the "
        "dimension of a space of jets is the number of their trailing exponents"
    )
    return argue(
        "let u be the rank of that space on the coordinates of v: u of them, I_V, determine it there, and t further "
        "coordinates of k determine it, t + u <= s; an exponent (alpha, e_l) with l outside I_V vanishes on I_V, hence on "
        "all coordinates of v, which it does not: so there are u choices for l, and C(t+g, g) for alpha by its t "
        "coordinates",
        using=[trailing, best_split()],
        beside=[_exponents_in_a_space(2, 1, 2), _exponents_in_a_space(1, 3, 2), _exponents_in_a_space(2, 2, 1)],
    )


def _exponents_in_a_space(d: int, degree: int, d_v: int) -> Fact:
    points = [
        (*alpha, *(int(l == column) for column in range(d_v))) for alpha in monomials(d, degree) for l in range(d_v)
    ]
    return exhaust(
        f"every space that up to {d + d_v} of the exponents (alpha, e_l) span, d = {d}, g = {degree}, d_v = {d_v}",
        (chosen for size in range(1, d + d_v + 1) for chosen in combinations(points, size)),
        lambda chosen: _inside(chosen, points) <= products_of(len(chosen), degree, d, len(points)),
        refuted=lambda chosen: _inside(chosen, points) < products_of(len(chosen), degree, d, len(points)),
    )


def _inside(chosen: tuple[Monomial, ...], points: list[Monomial]) -> int:
    """Points in the rational span of some of them."""
    rows = echelon(chosen)
    return sum(len(echelon((*rows, point))) == len(rows) for point in points)


def echelon(vectors: Sequence[Sequence[int | Fraction]]) -> tuple[tuple[Fraction, ...], ...]:
    """A basis of the span, by elimination."""
    basis: list[tuple[Fraction, ...]] = []
    for vector in vectors:
        rest = [Fraction(x) for x in vector]
        for row in basis:
            lead = next(i for i, x in enumerate(row) if x)
            factor = rest[lead] / row[lead]
            rest = [x - factor * y for x, y in zip(rest, row, strict=True)]
        if any(rest):
            basis.append(tuple(rest))
    return tuple(basis)


# What a row needs

_KINDS: tuple[Kind, ...] = (*OF_MONOMIALS, "smooth")


@cache
def parts_of_a_row() -> Fact:
    """C, as it is computed, is the least over all ways to make the products of a row in parts."""
    return argue(
        "C is the least s_1 + s_2 + ... with min(kappa(s_1), M) + min(kappa(s_2), M) + ... >= T; with kappa(s+1) - 1 for "
        "kappa(s) where the column of ones counts",
        using=[best_split()],
        beside=[
            exhaust(
                "C for g up to 3, d up to 4, up to 30 products, M up to 12: no parts of the products have fewer words",
                product(range(1, 4), range(1, 5), range(1, 31), range(1, 13), _KINDS),
                lambda case: words_of_a_row(*case) == _fewest(*case),
                refuted=lambda case: words_of_a_row(*case) < _fewest(*case),
            )
        ],
    )


def _fewest(degree: int, d: int, products: int, M: int, kind: Kind) -> int:
    """Words of a row, over all ways to cut its products into parts of at most M."""
    words = [0]
    for c in range(1, min(products, M) + 1):
        words.append(next(s for s in range(1, c + 1) if products_of(s, degree, d, products, kind) >= c))
    fewest = [0]
    for made in range(1, products + 1):
        fewest.append(min(words[c] + fewest[made - c] for c in range(1, min(made, M) + 1)))
    return fewest[products]


# The closed form: kappa(s) <= ((s + B)/A)^(g+1), and what follows for degrees 1 to 4


def constants(degree: int) -> tuple[Rational, Rational]:
    """c = A_g^(g+1), and B = (g+1)/2."""
    c = constant(degree)
    return Rational(c.numerator, c.denominator), Rational(degree + 1, 2)


@cache
def products_in_closed_form(degree: int) -> Fact:
    """kappa(s) <= (s + B)^(g+1)/c."""
    c, B = constants(degree)
    rising = sympy.prod(t + i for i in range(1, degree + 1))
    means_of_factors = []
    if degree > 1:  # for g = 1 they are the same
        means_of_factors.append(
            prove(
                f"(t+1)...(t+{degree}) is at most the power of its mean factor",
                Le(rising, (t + B) ** degree),
                refuted=Le(rising, Rational(9, 10) * (t + B) ** degree),
            )
        )
    x, y = sympy.symbols("x y", nonnegative=True)
    means = prove(
        f"x^{degree} y, with x + y = s, is greatest at x = {degree} y",
        Le((degree + 1) ** (degree + 1) * x**degree * y, degree**degree * (x + y) ** (degree + 1)),
        refuted=Le(
            (degree + 1) ** (degree + 1) * x**degree * y, Rational(9, 10) * degree**degree * (x + y) ** (degree + 1)
        ),
        at={y: 1, x: degree},
    )
    return prove(
        f"kappa(s) <= ((s + B)/A)^{degree + 1} for g = {degree}",
        Le(rising / factorial(degree) * u * c, (t + u + B) ** (degree + 1)),
        using=[*means_of_factors, means.at({x: t + B, y: u})],
        refuted=Le(rising / factorial(degree) * u * c, Rational(1, 2) * (t + u + B) ** (degree + 1)),
        at={t: 10 * degree, u: 10},
    )


@cache
def rate_in_closed_form(degree: int) -> Fact:
    """rho(w) <= rhohat(w) = w/(p - B) with p = A w^(1/(g+1)), for every w >= 1."""
    c, B = constants(degree)
    bernoulli = prove(
        f"Bernoulli's inequality for the power {degree + 1}",
        Ge(p ** (degree + 1), q**degree * (q + (degree + 1) * (p - q))),
        given=[Ge(p, q)],
        refuted=Ge(p ** (degree + 1), q**degree * (q + (degree + 2) * (p - q))),
        at={q: 2, p: Rational(21, 10)},
    )
    grows = prove(
        "p^(g+1)/(p - B) grows from p = (g+1) B/g on",
        Le(q ** (degree + 1) * (p - B), p ** (degree + 1) * (q - B)),
        given=[Ge(q, (degree + 1) * B / degree), Ge(p, q)],
        using=[bernoulli],
        refuted=Le(q ** (degree + 1) * (p - B), Rational(9, 10) * p ** (degree + 1) * (q - B)),
        at={p: 5, q: 5},
    )
    starts = exhaust(
        f"g = {degree}: p = s + B is at least (g+1) B/g from s = 1 on, and A > B: rhohat exists from w = 1 on",
        [degree],
        lambda g: (g + 1) * B / g <= 1 + B and c > B ** (g + 1),
        refuted=lambda g: 2 * (g + 1) * B / g <= 1 + B and c > B ** (g + 1),
    )
    return argue(
        "of w sums, s words of a row give at most min(kappa(s), w) <= s rho(w), rho(w) = max over s of min(kappa(s), w)/s: "
        "if w < ((s + B)/A)^(g+1), then s > p - B and w/s < w/(p - B); else kappa(s)/s <= ((s + B)/A)^(g+1)/s is the value "
        "of rhohat where p = s + B, and it grows from there on",
        using=[products_in_closed_form(degree), grows, starts],
    )
