"""Exact integer expressions in sizes: what a count is, before and after the sizes are known.

An `Expr` is a polynomial with rational coefficients over *atoms*: symbols (`n`, `B_r`), exact quotients (`ceil(n/B_r)`,
`floor(n/B_r)`), minima, maxima, and finite sums that have no closed form. It is kept in one normal form, so that two
expressions that are equal as polynomials over their atoms are equal as Python values. Plain integers stay plain
integers: the functions of this module take and return `Size = int | Expr`, and the same code therefore counts with
numbers (fast, at any magnitude) and with symbols (a formula).

There is no floating point here, and no rounding.
"""

from iosim.expr.algebra import (
    Atom,
    Coefficient,
    Expr,
    Extremum,
    Monomial,
    Quotient,
    Size,
    Sum,
    binomial,
    ceil_div,
    floor_div,
    maximum,
    minimum,
    monomial_count,
    symbol,
    symbols,
    terms_of,
    to_sympy,
)
from iosim.expr.values import (
    collect,
    evaluate,
    evaluate_int,
    free_symbols,
    map_atoms,
    power_sum,
    sum_over,
)

__all__ = [
    "Atom",
    "Coefficient",
    "Expr",
    "Extremum",
    "Monomial",
    "Quotient",
    "Size",
    "Sum",
    "binomial",
    "ceil_div",
    "collect",
    "evaluate",
    "evaluate_int",
    "floor_div",
    "free_symbols",
    "map_atoms",
    "maximum",
    "minimum",
    "monomial_count",
    "power_sum",
    "sum_over",
    "symbol",
    "symbols",
    "terms_of",
    "to_sympy",
]
