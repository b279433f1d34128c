"""A large fast memory: at least 4 d^2 words, or (128/27) d^2 for wide values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import sympy
from sympy import And, Ge, Implies, Le, Or, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import (
    LARGE_FAST_MEMORY,
    LARGE_FAST_MEMORY_FIRST_COLUMNS,
    LARGE_FAST_MEMORY_WIDE_VALUES,
    WIDE_VALUES,
)
from iosim.proof import Fact, argue, cases, prove, refute
from iosim.proof.reals import Formula, Measured
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs.lemmas import (
    cut_in_equal_segments,
    equal_segments,
    loomis_whitney,
    product_of_two,
    r,
    root_of_a_product,
    stays_of_an_output,
    t,
    weight_of_equal_segments,
    x,
    y,
)
from proofs.model import M, N, d, d_v, measured, square, too_strong
from proofs.schedules import flash2_order, in_groups
from proofs.wide_sums import sums_of_any_width
from proofs.wide_sums_segment import g, k, v

W = measured("W", "loads, and creations that begin a counted stay of an output word")
h, m, X = equal_segments("")
a, b, c, e = (measured(name, f"words of {what} in a segment") for name, what in zip("abce", "QKVO", strict=True))
s = measured("s", "pairs that are in fast memory at the start of a segment or loaded in it")
p = measured("p", "pairs used by designated products in a segment")
T = measured("T", "designated products of a segment")

q, G, H = sympy.symbols("q G H", nonnegative=True)  # the root of p, X, and m


def _where(size: sympy.Symbol) -> tuple[Formula, ...]:
    return (Ge(size, WIDE_VALUES * d**2),)


def a_segment() -> Fact:
    """What one segment can do: T <= X m / (8 d), if X <= 2m."""
    # 1. What is in fast memory during a segment was there at its start, or was moved into it.
    budget = words_of_a_segment(a, b, c, e, s)
    # 2. A pair that is not carried into the segment is summed up from nothing, from whole rows of Q and K.
    pairs = argue(
        "a pair not among the s has its score summed up within the segment, so that all d words of its row of Q and of its "
        "row of K are among the a and b; there are at most a/d such rows and b/d such columns",
        Le(p, a * b / d**2 + s),
    )
    # 3. A designated product (i, j, l) needs the pair (i, j), V_jl and O_il.
    products = argue(
        "designated products are triples with at most p, c and e shadows", Le(T**2, p * c * e), using=[loomis_whitney()]
    )
    half = prove(
        "a segment has at most sqrt(p) (c + e)/2 designated products",
        Le(2 * T, sqrt(p) * (c + e)),
        using=[products, root_of_a_product().at({t: T, r: sqrt(p), x: c, y: e})],
        refuted=Le(3 * T, sqrt(p) * (c + e)),
    )
    # 4. For given c + e, p is a convex function on a + b + s <= X - c - e, so that it is greatest at one end: either no
    #    pair is carried (s = 0), or none is summed up (a = b = 0).
    z, D = sympy.symbols("z D", nonnegative=True)
    convex = prove(
        "x^2/D + y is greatest, for 2x + y <= z, at y = 0 or at x = 0",
        Or(Le(4 * (x**2 + D * y), z**2), Le(x**2 + D * y, D * z)),
        given=[Le(2 * x + y, z)],
        refuted=Or(Le(5 * (x**2 + D * y), z**2), Le(x**2 + D * y, D * z)),
    )
    none_carried, none_summed = Le(4 * d**2 * p, (X - c - e) ** 2), Le(p, X - c - e)
    ends = prove(
        "p is at most what it is at one of the two ends",
        Or(none_carried, none_summed),
        using=[
            budget,
            pairs,
            product_of_two().at({x: a, y: b}),
            convex.at({x: (a + b) / 2, y: s, z: X - c - e, D: d**2}),
        ],
        refuted=none_summed,
    )
    # 5. The value of a segment at both ends. At the first it is at most X^2/(16d).
    value, more = Le(T, X * m / (8 * d)), Le(T, X * m / (10 * d))
    where = [*_where(m), Le(X, 2 * m)]
    first_end = prove(
        "the value of a segment if no pair is carried",
        value,
        given=[*where, none_carried],
        using=[budget, half],
        refuted=more,
    )
    # 6. At the second it is at most q (X - q^2)/2 with q^2 = p. Here 128/27 is needed: at X = 2m, q^2 = X/3 the value is
    #    (X/3)^(3/2), and that is X m/(8d) if m = (128/27) d^2.
    second_end = prove(
        "the value of a segment if no pair is summed up within it",
        value,
        given=[*where, none_summed],
        using=[budget, half, carried_pairs().at({q: sqrt(p), G: X, H: m})],
        refuted=more,
    )
    return cases("the value of a segment", [first_end, second_end], given=where, using=[ends])


@theorem
def io_in_a_large_fast_memory() -> Conclusions:
    """The traffic of exact attention if fast memory is large.

    Statement: if M >= 4 d^2, every schedule moves at least N (d + d_v)^2/M + 4M/5 words if d_v <= d, up to
        M^2 = N (d + d_v)^2, and at least 4 N d^2/M + 4M/5 words if d_v >= d, up to M^2 = 4 N d^2; if M >= (128/27) d^2 and
        d_v >= d, at least 4 N d d_v/M + 4M/5 words, up to M^2 = 4 N d d_v. More fast memory holds inputs and outputs.
    Hypotheses: the machine and the words of `proofs.model`; K and V are different variables. Scores may be computed again,
        stored and loaded.
    Does not say: anything for less fast memory, for V that are columns of K, or for algorithms that do not form every
        product Q_il K_jl and P_ij V_jl; that the constant is attained for sparse masks, or with statistics counted.
    Source: this proof. The order of magnitude, without constants: B. Saha and C. Ye, arXiv 2402.07443.
    """
    # 1 to 9. Sums of one word are those of `proofs.wide_sums`. All columns of V are looked at, or if d_v >= d, only d.
    conclusions = {
        bound: prove(
            bound.name,
            claim_of(bound),
            given=regime_of(bound),
            using=[sums_of_any_width().at({g: 1, k: least, v: least})],
            refuted=Ge(IO, Rational(101, 100) * bound.expression),
        )
        for bound, least in ((LARGE_FAST_MEMORY, d_v), (LARGE_FAST_MEMORY_FIRST_COLUMNS, d))
    }
    # 10. For wide values and somewhat more fast memory: there are N d_v designated products.
    bound = LARGE_FAST_MEMORY_WIDE_VALUES
    conclusions[bound] = from_moves(bound, a_segment(), h=h, m=m, large=_where, work=N * d_v, per=8 * d)
    stronger_is_false()
    return conclusions


@cache
def carried_pairs() -> Fact:
    """What q^2 pairs are worth if all are carried into a segment of G words."""
    given = [Le(G, 2 * H), Le(q**2, G)]
    worth = 4 * d * q * (G - q**2)
    found = prove(
        "q (G - q^2)/2 is at most G m/(8d)",
        Le(worth, G * H),
        given=[Ge(H, WIDE_VALUES * d**2), *given],
        refuted=Le(worth, Rational(99, 100) * G * H),
        at={d: 1, H: WIDE_VALUES, G: 2 * WIDE_VALUES},
    )
    threshold = Rational(127, 27)
    refute(
        "the same from (127/27) d^2 on",
        Implies(And(Ge(H, threshold * d**2), *given), Le(worth, G * H)),
        {d: 1, H: threshold, G: 2 * threshold, q: Rational(177, 100)},
    )
    return found


def words_of_a_segment(*words: Measured) -> Fact:
    """A segment works with X words at most."""
    return argue(
        "each move weighs 1; what a counted stay has in a segment was there at its start or moved",
        Le(sum(words), X),
        using=[cut_in_equal_segments()],
    )


def from_moves(
    bound: Bound,
    segment: Fact,
    *,
    h: Measured,
    m: Measured,
    large: Callable[[sympy.Symbol], Sequence[Formula]],
    work: Any,
    per: Any,
) -> Fact:
    """The bound, from what all segments say together.

    Args:
        bound: what is to be concluded.
        segment: if X <= 2m and m is large, what one segment does is at most X m/per.
        h, m: as in `proofs.lemmas.equal_segments`.
        large: what m, and M, have to be.
        work: of all segments.
        per: see `segment`.
    """
    # The whole schedule is the sum of its segments.
    heavy = weight_of_equal_segments(segment, work=work, per=per, W=W, h=h, m=m, X=X, large=large(m), given=large(M))
    return prove(
        bound.name,
        claim_of(bound),
        given=regime_of(bound),
        using=[moves_are_paid(), heavy],
        refuted=Ge(IO, Rational(101, 100) * bound.expression),
    )


@cache
def moves_are_paid() -> Fact:
    """A load by itself, a creation by a store in the stay of the output that it begins."""
    return argue(
        "loads are loads; a counted stay of an output word contains a store, or its designated product would be lost, and "
        "different stays have different stores",
        Le(W, IO),
        using=[stays_of_an_output()],
    )


def stronger_is_false() -> None:
    """Schedules that move fewer words than a greater constant would have it."""
    narrow, twice, wide = (square(2**16, 64, 2**16, d_v=d_v) for d_v in (64, 128, 256))
    too_strong(
        "the bound with 5 in place of 4 = (1 + d_v/d)^2",
        LARGE_FAST_MEMORY,
        flash2_order(narrow, 500),
        narrow,
        times=Rational(5, 4),
    )
    all_fits, unlimited = (
        square(2**10, 64, 2**19),
        replace(LARGE_FAST_MEMORY, conditions=lambda x: ((x.M, 4 * x.d**2),)),
    )
    too_strong("the same where inputs and outputs fit", unlimited, flash2_order(all_fits, 2**10), all_fits)
    too_strong(
        "three times that of d columns, for d_v = 2d",
        LARGE_FAST_MEMORY_FIRST_COLUMNS,
        in_groups(twice, 500),
        twice,
        times=3,
    )
    too_strong(
        "(d + d_v)^2 in place of 4 d d_v for wide values",
        LARGE_FAST_MEMORY_WIDE_VALUES,
        in_groups(wide, 500),
        wide,
        times=(d + d_v) ** 2 / (4 * d * d_v),
    )
