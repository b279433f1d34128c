"""Lower bounds for polynomial approximate attention, each for the class of schedules that it names.

exp(q.k) is replaced by a polynomial of degree g with no coefficient zero: r = C(d+g, g) monomials. A schedule of any of
these classes works in two stages: it adds the rows of K and V into *sums* W, and uses these for the rows of Q. It is a
straight-line program that is right for all inputs; words of fast memory are functions of one row, sums, or parts of the
outputs of one query; a sum is used only when it holds all rows of K (or at least m of them: *chunked*). A part of an output
is any sum of c(q_i) W_x; it may be multiplied by words of its row and added to another one (*nested* evaluation, as by
Horner's rule).

    monomials      Words of a row are k^beta, k^beta v_l, q^beta with |beta| <= g; any products of words of one row may be
                   formed, stored, loaded and formed again. The sums are W[alpha,l] = sum_j k_j^alpha v_jl, for columns l of
                   V and for that of ones, v_jl = 1; outputs are divided by the normaliser, which the latter make.
    V-linear sums  Words of a row of K and V are any smooth functions of k_j, and these times v_jl summed over l; the sums
                   are any linear functions of V, added in any pieces of single rows; none is made of others. Words of a
                   row of Q are any smooth functions.
    feature sums   What is added to a sum may be any smooth function of the row; what is not linear in V cancels in the end.
    one-shot       No k_j^alpha v_jl is added to W[alpha,l] twice, v_jl = 1 among them; without this, sums may be computed
                   again at will.

Each class contains those that it is said to generalise, so a bound for it holds for them. What is outside of all of them,
with programs that show it: sums used after a few rows (attention computed pair by pair), and additions that mix rows.

The count. kappa(s) is the most products k^alpha v_l that s words of one row give (`products_of`). A schedule is cut into
segments with at most M sums each (`proofs.approx_model`). In each of them a row that is there with s words makes at most
min(kappa(s), M) contributions, and it has T = r d_v to make: so its words in all segments together are at least

    C = min over s_1, s_2, ... of s_1 + s_2 + ... with min(kappa(s_1), M) + min(kappa(s_2), M) + ... >= T

Words that a row has as a segment begins have not been loaded for it; but there are no more of them, in all rows, than places
that sums leave, and with fewer sums at its beginning a segment has the more sums that come.

Of monomials the column of ones is counted, too, where that says more. Its sums, all but the constant W[0,ones], need no
word of V; nor does a normaliser need to be stored, as outputs can be divided by it at once. So s words of a row make
kappa(s+1) - 1 of T = r (d_v+1) - 1 products. Of other sums only columns of V are counted.
The proofs are in `proofs.approx_one_shot`, `approx_recomputed` and `approx_classes`; that of when inputs and outputs can
move once in `approx_once`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Literal

from iosim.bounds.bound import NAMES, Bound, Condition, Letters, Property, Setting, Sized, Sizes, rationals

_SOURCE = "iosim, proofs.approx_one_shot, approx_recomputed, approx_classes, approx_once"
# Every product is added once to a sum of monomials: the least of the classes.
SUMS_OF_MONOMIALS: frozenset[Property] = frozenset({"feature sums", "V-linear sums", "monomials", "one-shot"})

LETTERS = (*NAMES, "r", "m")
COUNTED = (*LETTERS, "C", "T")
MAX_DEGREE = 64  # of a polynomial in place of the exponential

Kind = Literal["linear", "normalised", "smooth"]
OF_MONOMIALS: tuple[Kind, ...] = ("linear", "normalised")


def products_of(s: int, g: int, d: int, products: int, kind: Kind = "linear") -> int:
    """kappa(s): the most products k^alpha v_l, |alpha| <= g, that are made of s words of one row.

    t words of K and u = s - t of V give C(t+g, g) u; most for t = floor(g s/(g+1)), or d, with which all r monomials are
    there. With the column of ones, which needs no word, they give C(t+g, g) (u+1), less the constant: kappa(s+1) - 1. If
    what is added need not be linear in V, s words give up to C(s+g+1, g+1) - 1.

    Args:
        s: words.
        g: degree of the polynomial.
        d: columns of K.
        products: T, all products that there are (`all_products`).
        kind: what is counted: products with columns of V; with the column of ones too; or, if sums need not be linear in V,
            dimensions.
    """
    if kind == "smooth":
        return min(math.comb(s + g + 1, g + 1) - 1, products)
    if kind == "normalised":
        return products_of(s + 1, g, d, products + 1) - 1
    t = min(d, g * s // (g + 1))
    return min(math.comb(t + g, g) * (s - t), products)


def all_products(r: int, d_v: int, kind: Kind) -> int:
    """T, what each row has to make: r monomials for each column of V; and for that of ones, all but the constant."""
    return r * (d_v + 1) - 1 if kind == "normalised" else r * d_v


@lru_cache(maxsize=4096)
def words_of_a_row(g: int, d: int, products: int, M: int, kind: Kind = "linear") -> int:
    """C: the fewest words of a row, over all segments, with which all its products are made, at most M in a segment.

    kappa is convex from kappa(0) = 0 on, as the most over all t of lines in s, or as a binomial of s. So of two parts with
    fewer words than make M products, one can be made smaller and the other larger at no loss, and all but one have none or
    the most of these, one word less than the parts that make M. Of the worse of both kinds there are fewer than words in
    the better: so many of it, for the words of as many of the other, make less.

    Args:
        g, d, products, kind: as in `products_of`.
        M: words of fast memory.

    Example:
        >>> words_of_a_row(1, 9, 90, 90), words_of_a_row(1, 9, 90, 60)  # 10 9 at once; or 8 8, of which 60, and 6 5
        (18, 25)
    """
    most = min(products, M)

    def words(made: int) -> int:
        """The fewest words that make so many products, at most `most`."""
        return bisect_left(range(most), made, key=lambda s: products_of(s, g, d, products, kind))

    full = words(most)
    below = products_of(full - 1, g, d, products, kind)
    better, worse = (most, full), (below, full - 1)
    if most * (full - 1) < below * full:
        better, worse = worse, better
    if not worse[0]:  # a word makes M products
        return full * -(-products // most)
    found = []
    for number in range(min(better[1], -(-products // worse[0])) + 1):
        many, rest = divmod(max(0, products - number * worse[0]), better[0])
        found.append(number * worse[1] + many * better[1] + words(rest))
    return min(found)


def _rows(x: Letters) -> Any:
    """Keys that a query meets: the rows that a whole sum holds."""
    return x.N / x.n_q


def _once(x: Letters) -> Any:
    """C words for each row, less the sums that are built, used and dropped within one stay: each holds m rows of its own."""
    return (x.n_q + x.n_k) * x.C - x.n_k * x.T / x.m


def _again(x: Letters) -> Any:
    """C words for each row, less the share of such sums: words of at least m - M of their rows are loaded meanwhile."""
    return (1 - x.M / x.m) * (x.n_q + x.n_k) * x.C


def _again_added(x: Letters) -> Any:
    """The same for rows of K only."""
    return (1 - x.M / x.m) * x.n_k * x.C


def _more_rows_than_words(x: Letters) -> tuple[Condition, ...]:
    return ((x.m, x.M),)


def _whole(x: Letters) -> tuple[Condition, ...]:
    return ((x.m, x.M), (x.m, _rows(x)))


def _counted(
    name: str,
    theorem: str,
    about: str,
    *needs: Property,
    formula: Callable[[Letters], Any] = _once,
    conditions: Callable[[Letters], tuple[Condition, ...]] = lambda _: (),
) -> Bound:
    return Bound(
        name=name,
        formula=formula,
        conditions=conditions,
        theorem=theorem,
        source=_SOURCE,
        requires=frozenset({"feature sums", *needs}),
        excludes=frozenset({"tied"}),
        letters=COUNTED,
        about=about,
    )


ONE_SHOT = _counted(
    "approximate_io_one_shot",
    "approximate_io_with_one_shot_sums",
    "sums of monomials, one-shot",
    "V-linear sums",
    "monomials",
    "one-shot",
)

AGAIN = _counted(
    "approximate_io",
    "approximate_io_with_sums_computed_again",
    "sums of monomials, computed again at will",
    "V-linear sums",
    "monomials",
    formula=_again,
    conditions=_more_rows_than_words,
)

LINEAR = _counted(
    "approximate_io_with_sums_linear_in_v",
    "approximate_io_with_any_features",
    "sums of any features that are linear in V, computed again at will",
    "V-linear sums",
    formula=_again,
    conditions=_whole,
)

SMOOTH = _counted(
    "approximate_io_with_sums_of_any_functions_of_rows",
    "approximate_io_with_sums_of_any_functions",
    "sums of any smooth functions of single rows, computed again at will",
    formula=_again_added,
    conditions=_whole,
)

SEGMENTS = (ONE_SHOT, AGAIN, LINEAR, SMOOTH)


def _not_resident(name: str, width: str, order: Callable[[Letters], Condition]) -> Bound:
    """Where each word of Q, K, V and O moves once, all sums are in fast memory before the last row of K and V is whole.

    Args:
        width: the letter of the smaller one of d and d_v.
        order: that it is.
    """
    return Bound(
        name=name,
        formula=lambda x: (x.n_q + x.n_k) * (x.d + x.d_v) + 1,
        conditions=lambda x: (
            (x.r * (x.d_v + 1) + x[width] - 1, x.M),
            (_rows(x), x.M + 2),
            (x.N / x.n_k, x.M + 1),
            (x.m, _rows(x)),
            order(x),
        ),
        theorem="each_word_moves_once_only_if_all_sums_are_resident",
        source=_SOURCE,
        requires=frozenset({"feature sums", "V-linear sums", "monomials"}),
        excludes=frozenset({"tied"}),
        letters=LETTERS,
        about="sums of monomials, computed again at will",
    )


NOT_RESIDENT = (
    _not_resident("approximate_io_with_less_memory_than_sums", "d", lambda x: (x.d_v, x.d)),
    _not_resident("approximate_io_with_less_memory_than_sums_narrow_values", "d_v", lambda x: (x.d, x.d_v + 1)),
)


def constant(g: int) -> Fraction:
    """A_g^(g+1) = (g+1)^(g+1) g!/g^g: kappa(s) <= ((s + (g+1)/2)/A_g)^(g+1).

    Example:
        >>> [round(float(constant(g)) ** (1 / (g + 1)), 4) for g in (1, 2, 3, 4)]
        [2.0, 2.3811, 2.7464, 3.1143]
    """
    return Fraction((g + 1) ** (g + 1) * math.factorial(g), g**g)


CLOSED_DEGREES = (1, 2, 3, 4)


def rate(g: int, x: Letters) -> Any:
    """rhohat(M): what a word of a row contributes beside M sums, at most, in closed form."""
    z = x.root(x.number(constant(g)) * x.M, g + 1)
    return x.M / (z - x.number(Fraction(g + 1, 2)))


@cache
def closed_form(g: int) -> Bound:
    """The bound for one-shot sums of monomials of that degree as a formula.

    With z = A_g M^(1/(g+1)), M sums serve a row at z - (g+1)/2 words: C >= r d_v (z - (g+1)/2)/M.
    """

    def formula(x: Letters) -> Any:
        return (x.n_q + x.n_k) * x.r * x.d_v / rate(g, x) - x.n_k * x.r * x.d_v / x.m

    return replace(ONE_SHOT, name=f"{ONE_SHOT.name}_in_closed_form_degree_{g}", formula=formula, letters=LETTERS)


def bounds(g: int) -> tuple[Bound, ...]:
    """All bounds for a polynomial of degree g >= 1; one of degree 0 needs neither Q nor K."""
    return (*SEGMENTS, *([closed_form(g)] if g in CLOSED_DEGREES else []), *NOT_RESIDENT)


def kinds(bound: Bound) -> tuple[Kind, ...]:
    """What can be counted for one of `SEGMENTS`."""
    if "monomials" in bound.requires:
        return OF_MONOMIALS
    return ("linear",) if "V-linear sums" in bound.requires else ("smooth",)


def sized(bound: Bound, setting: Setting) -> Sizes:
    """The sizes with C and T, for one of `SEGMENTS`, by the count with which it says the most."""
    assert setting.g is not None
    found = []
    for kind in kinds(bound):
        T = all_products(setting.sizes["r"], setting.d_v, kind)
        C = words_of_a_row(setting.g, setting.d, T, setting.M, kind)
        found.append(Sizes(sizes={**setting.sizes, "C": C, "T": T}, properties=setting.properties))
    return max(found, key=lambda at: bound.formula(rationals(at.sizes)))


def applicable(setting: Setting, *, strongest: bool = False) -> Iterator[tuple[Bound, int, Sized]]:
    """The bounds that say something about this setting, what they say in words, and the sizes, with C and T if they count.

    Args:
        setting: the problem, the fast memory, and the classes.
        strongest: whether to leave out those with segments of which another one, for a smaller class, says no less.
    """
    if not setting.g or setting.properties.isdisjoint({"feature sums"}):
        return
    said = [bound for bound in bounds(setting.g) if bound.applies(setting)]
    counted = [bound for bound in said if bound.letters == COUNTED]
    for bound in said:
        if strongest and bound in counted and any(bound.requires < other.requires for other in counted):
            continue
        sizes = sized(bound, setting) if bound in counted else setting
        words = bound.words(sizes)
        if words > 0:
            yield bound, words, sizes
