"""The bounds for polynomial approximate attention side by side, one class of schedules after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from iosim.bounds.approx import (
    COUNTED,
    NOT_RESIDENT,
    SUMS_OF_MONOMIALS,
    Kind,
    all_products,
    applicable,
    bounds,
    constant,
    kinds,
)
from iosim.bounds.bound import Bound, Letters, Setting, Sized, symbols
from iosim.bounds.exact import TRIVIAL
from iosim.bounds.survey import Group, Line, Survey, conditions, text, value

if TYPE_CHECKING:
    import sympy

# kappa(s) by what is counted, and all products
_PRODUCTS: Mapping[Kind, tuple[str, str]] = {
    "linear": (
        "kappa(s) = min(r d_v, C(t+g, g) (s - t)) with t = min(d, floor(g s/(g+1))): products of s words of a row",
        "r d_v",
    ),
    "normalised": (
        "kappa(s) = min(r (d_v+1), C(t+g, g) (s+1 - t)) - 1 with t = min(d, floor(g (s+1)/(g+1))): with the column of ones",
        "r (d_v+1) - 1",
    ),
    "smooth": ("kappa(s) = min(r d_v, C(s+g+1, g+1) - 1): products of s words of a row", "r d_v"),
}


def approximate(setting: Setting, *, problem: str) -> Survey:
    """The bounds at given sizes; in each class those that say the most come first.

    Args:
        setting: with the degree, and m where sums are used before they hold all rows.
        problem: the sizes for people.
    """
    trivial = Line(label="trivial", expression=TRIVIAL.expression, words=TRIVIAL.words(setting), bound=TRIVIAL)
    groups = [Group(title="every schedule", lines=(trivial,))]
    everything = Setting(
        **{name: getattr(setting, name) for name in ("N", "n_q", "n_k", "d", "d_v", "M", "g", "m")},
        properties=SUMS_OF_MONOMIALS,
    )
    for bound, words, sized in applicable(everything):
        groups.append(_group(bound, everything, words, sized))
    assert setting.g is not None
    features = f"r = {everything.sizes['r']:,} features"
    used = [f"sums used with m = {setting.m:,} rows"] if setting.m is not None else []
    return Survey(
        problem=", ".join([f"attention by a polynomial of degree {setting.g}", problem, features, *used]),
        fast_memory_words=setting.M,
        groups=tuple(groups),
    )


def approximate_in_symbols(g: int) -> Survey:
    """The bounds for a polynomial of degree g as formulas; m is the number of rows that a sum holds when it is used."""
    groups = [
        Group(
            title="every schedule",
            lines=(Line(label="trivial", expression=TRIVIAL.expression, words=None, bound=TRIVIAL),),
        )
    ]
    groups += [_group(bound, None, None, None, g) for bound in bounds(g)]
    return Survey(
        problem=f"attention by a polynomial of degree {g}, r = C(d+{g}, {g}) features, sums used with m rows",
        fast_memory_words=None,
        simplified="n_q = n_k = m = n, d_v = d",
        groups=tuple(groups),
    )


def leading(bound: Bound, g: int, x: Letters) -> object:
    """What a bound comes to for many rows and a large M, in terms of r d_v and M^(1/(g+1))."""
    rows = x.n_q + x.n_k if "V-linear sums" in bound.requires else x.n_k
    power = constant(g) if "V-linear sums" in bound.requires else Fraction(math.factorial(g + 1))
    return rows * x.r * x.d_v * x.root(x.number(power) * x.M, g + 1) / x.M


def _group(
    bound: Bound, setting: Setting | None, words: int | None, sized: Sized | None, g: int | None = None
) -> Group:
    import sympy

    g = setting.g if setting is not None else g
    assert g is not None
    lines = [Line(label="full", expression=bound.expression, words=words, bound=bound)]
    if bound not in NOT_RESIDENT:
        most = sympy.sympify(leading(bound, g, symbols(bound.letters)))
        sizes: Mapping[str, int] = {} if setting is None else setting.sizes
        simple = _simplified(most, sizes)
        lines += [
            Line(label="leading", expression=most, words=value(most, setting), bound=bound),
            Line(label="simplified", expression=simple, words=value(simple, setting), bound=bound),
        ]
    where = [] if setting is not None else [text(condition) for condition in conditions(bound)]
    return Group(
        title=", if ".join([bound.about, *([" and ".join(where)] if where else [])]),
        lines=tuple(lines),
        steps=tuple(_steps(bound, sized)) if bound.letters == COUNTED else (),
    )


def _steps(bound: Bound, sized: Sized | None) -> Iterator[str]:
    """What C and T are."""
    for kind in kinds(bound):
        kappa, products = _PRODUCTS[kind]
        if sized is None:
            yield kappa
            least = f"C = min of s_1 + s_2 + ... with min(kappa(s_1), M) + min(kappa(s_2), M) + ... >= T = {products}"
            yield f"{least}: words of a row" + (", if that says more" if kind == "normalised" else "")
        elif sized.sizes["T"] == all_products(sized.sizes["r"], sized.sizes["d_v"], kind):
            C, T, M = (sized.sizes[letter] for letter in "CTM")
            yield kappa
            yield f"a row needs C = {C:,} words to make T = {products} = {T:,} products, at most M = {M:,} at a time"


def _simplified(expression: sympy.Expr, sizes: Mapping[str, int]) -> sympy.Expr:
    """With n for queries and keys of one head, and d for the head dimensions, if equal; in symbols they are."""
    import sympy

    n_q, n_k, d, d_v, n = (sympy.Symbol(x, positive=True) for x in ("n_q", "n_k", "d", "d_v", "n"))
    one_head = not sizes or sizes["N"] == sizes["n_q"] * sizes["n_k"]
    if one_head and sizes.get("n_q") == sizes.get("n_k"):
        expression = expression.subs({n_q: n, n_k: n})
    return sympy.powsimp(expression.subs(d_v, d) if sizes.get("d") == sizes.get("d_v") else expression)
