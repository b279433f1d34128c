"""A large fast memory: at least 4 d^2 words, or (128/27) d^2 for wide values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sympy
from sympy import And, Ge, Implies, Le, Or, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import (
    LARGE_FAST_MEMORY,
    LARGE_FAST_MEMORY_FIRST_COLUMNS,
    LARGE_FAST_MEMORY_NO_RECOMPUTATION,
    LARGE_FAST_MEMORY_WIDE_VALUES,
    WIDE_VALUES,
)
from iosim.proof import Fact, argue, cases, prove, refute
from iosim.proof.reals import Formula, Measured
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs.lemmas import (
    cut_where_weight_is_full,
    loomis_whitney,
    product_of_two,
    r,
    root_of_a_product,
    stays_of_an_output,
    t,
    weight_by_rate,
    x,
    y,
)
from proofs.model import M, N, d, d_v, measured, square, too_strong
from proofs.schedules import flash2_order, in_groups
from proofs.wide_sums import sums_of_any_width
from proofs.wide_sums_segment import g, k, v

W = measured("W", "loads, and creations that begin a counted stay of an output word")
h = measured("h", "segments")
X = measured("X", "2M; W if there is one segment")
a, b, c, e = (measured(name, f"words of {what} in a segment") for name, what in zip("abce", "QKVO", strict=True))
s = measured("s", "pairs that are in fast memory at the start of a segment or loaded in it")
p = measured("p", "pairs used by designated products in a segment")
T = measured("T", "designated products of a segment")

q, G = sympy.symbols("q G", nonnegative=True)  # the root of p, and X
m = sympy.Symbol("m", positive=True)  # M
WHERE = (Ge(M, WIDE_VALUES * d**2),)


def a_segment() -> Fact:
    """What one segment can do: T <= X M / (8 d)."""
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
    value, more = Le(T, X * M / (8 * d)), Le(T, X * M / (10 * d))
    first_end = prove(
        "the value of a segment if no pair is carried",
        value,
        given=[*WHERE, none_carried],
        using=[budget, half],
        refuted=more,
    )
    # 6. At the second it is at most q (X - q^2)/2 with q^2 = p. Here 128/27 is needed: at X = 2M, q^2 = X/3 the value is
    #    (X/3)^(3/2), and that is X M/(8d) if M = (128/27) d^2.
    second_end = prove(
        "the value of a segment if no pair is summed up within it",
        value,
        given=[*WHERE, none_summed],
        using=[budget, half, carried_pairs().at({q: sqrt(p), G: X, m: M})],
        refuted=more,
    )
    return cases("the value of a segment", [first_end, second_end], given=WHERE, using=[ends])


@theorem
def io_in_a_large_fast_memory() -> Conclusions:
    """The traffic of exact attention if fast memory is large.

    Statement: if M >= 4 d^2, every schedule moves at least N (d + d_v)^2 / M words if d_v <= d, and at least 4 N d^2 / M
        words if d_v >= d; if M >= (128/27) d^2, at least 4 N d d_v / M words if d_v >= d; if M >= 4 d_v^2, d_v >= d and no
        product Q_il K_jl is computed twice, at least N (d + d_v)^2 / M words. Nothing is subtracted.
    Hypotheses: the machine and the words of `proofs.model`; K and V are different variables. Scores may be computed again
        if nothing else is said, stored and loaded.
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
            using=[sums_of_any_width(once=once).at({g: 1, k: least, v: least})],
            refuted=Ge(IO, Rational(101, 100) * bound.expression),
        )
        for bound, least, once in (
            (LARGE_FAST_MEMORY, d_v, False),
            (LARGE_FAST_MEMORY_FIRST_COLUMNS, d, False),
            (LARGE_FAST_MEMORY_NO_RECOMPUTATION, d_v, True),
        )
    }
    # 10. For wide values and somewhat more fast memory: there are N d_v designated products.
    bound = LARGE_FAST_MEMORY_WIDE_VALUES
    conclusions[bound] = from_moves(bound, a_segment(), where=WHERE, work=N * d_v, rate=M / (8 * d))
    stronger_is_false()
    return conclusions


@cache
def carried_pairs() -> Fact:
    """What q^2 pairs are worth if all are carried into a segment of G words."""
    given = [Le(G, 2 * m), Le(q**2, G)]
    worth = 4 * d * q * (G - q**2)
    found = prove(
        "q (G - q^2)/2 is at most G m/(8d)",
        Le(worth, G * m),
        given=[Ge(m, WIDE_VALUES * d**2), *given],
        refuted=Le(worth, Rational(99, 100) * G * m),
        at={d: 1, m: WIDE_VALUES, G: 2 * WIDE_VALUES},
    )
    threshold = Rational(127, 27)
    refute(
        "the same from (127/27) d^2 on",
        Implies(And(Ge(m, threshold * d**2), *given), Le(worth, G * m)),
        {d: 1, m: threshold, G: 2 * threshold, q: Rational(177, 100)},
    )
    return found


def words_of_a_segment(*words: Measured) -> Fact:
    """A segment works with X words at most, where X <= 2M."""
    return argue(
        "each move weighs 1: the first segment has at most 2M moves and starts with nothing, a later one has at most M and "
        "starts with at most M words; what a counted stay has in a segment was there at its start or moved",
        And(Le(sum(words), X), Le(X, 2 * M)),
        using=[cut_where_weight_is_full()],
    )


def from_moves(bound: Bound, segment: Fact, *, where: Sequence[Formula], work: Any, rate: Any) -> Fact:
    """The bound, from what all segments say together.

    Args:
        bound: what is to be concluded.
        segment: what one segment does is at most X times `rate`.
        where: where that holds.
        work: of all segments.
        rate: work for each word of a segment.
    """
    # The whole schedule is the sum of its segments. So W >= work/(2 rate), whatever their number.
    heavy = weight_by_rate(segment, work=work, rate=rate, W=W, h=h, given=where)
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
