"""Any fast memory; and what follows if no score is computed twice.

The steps are for sums of g^2 words, which `proofs.wide_sums` makes use of; here they take one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sympy
from sympy import And, Eq, Ge, Le, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import NO_RECOMPUTATION, NO_RECOMPUTATION_SMALL_FAST_MEMORY, SEGMENTS
from iosim.proof import Fact, argue, identity, prove
from iosim.proof.reals import Formula
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs import lemmas
from proofs.lemmas import (
    cubic,
    cut_where_weight_is_full,
    loomis_whitney,
    root_of_a_product,
    weight_of_segments,
    work_of_free_stays,
)
from proofs.model import M, N, d, d_v, measured, n_q, square, too_strong
from proofs.schedules import flash2_order, in_groups

# To choose: the root of the weight of a creation; the root of the words that a sum takes.
A, g = sympy.symbols("A g", positive=True)
CHOSEN = (Le(A, 1), Ge(g, 1))

W = measured("W_A", "weight of all moves", A, g)
h = measured("h_A", "segments", A, g)
last = measured("r_A", "root of the words of the last segment, in units of 3M", A, g)
free = measured("f", "free stays of pairs that have weight", A, g)
first = measured("f_1", "the same, and one for each pair that has none", A, g)
T_QK = measured("T_QK", "products Q_il K_jl in counted stays, each (i, j, l) once a segment", A, g)
T_PV = measured("T_PV", "designated products", A, g)

w_s = measured("w_s", "root of a third of the words of a segment: of M, or less in the last one", A, g)
q_, k_, v_, o_ = (measured(f"{n}", f"words of {n.upper()} in a segment", A, g) for n in "qkvo")
s = measured("s", "pairs in a segment", A, g)
t_QK = measured("t_QK", "products Q_il K_jl of a segment in counted stays, each (i, j, l) once", A, g)
t_PV = measured("t_PV", "designated products of a segment", A, g)


@cache
def a_segment() -> Fact:
    """What one segment can do: A (t_QK + g t_PV) <= w_s^3."""
    # 1. What a segment works with was in fast memory at its start, M words, or came in with moves of weight 2M.
    budget = argue(
        "every variable that has a counted stay in a segment weighs in once, whether it was there at the start or came in: "
        "1 for a word of Q, K or V, g^2 for one of O, at least A^2 for a pair",
        Le(q_ + k_ + v_ + g**2 * o_ + A**2 * s, 3 * w_s**2),
        given=[Le(A, 1), Ge(g, 1)],
        using=[cut_where_weight_is_full()],
    )
    # 2. Both kinds of products are triples; their shadows are variables of the segment.
    scores = argue("Q_il K_jl needs Q_il, K_jl and the pair", Le(t_QK**2, s * q_ * k_), using=[loomis_whitney()])
    values = argue("P_ij V_jl needs the pair, V_jl and O_il", Le(t_PV**2, s * v_ * o_), using=[loomis_whitney()])
    # 3. So the products, those with V times g, are at most sqrt(s) times half the words, which are at most 3 w_s^2 - A^2 s.
    root = root_of_a_product()
    at_most = prove(
        "the products of a segment",
        Le(2 * (t_QK + g * t_PV), sqrt(s) * (q_ + k_ + v_ + g**2 * o_)),
        using=[
            scores,
            values,
            root.at({lemmas.t: t_QK, lemmas.r: sqrt(s), lemmas.x: q_, lemmas.y: k_}),
            root.at({lemmas.t: g * t_PV, lemmas.r: sqrt(s), lemmas.x: v_, lemmas.y: g**2 * o_}),
        ],
        refuted=Le(3 * (t_QK + g * t_PV), sqrt(s) * (q_ + k_ + v_ + g**2 * o_)),
    )
    # 4. A sqrt(s) (3 w_s^2 - A^2 s)/2 is greatest at A sqrt(s) = w_s.
    return prove(
        "the products of a segment, times A, are at most w_s^3",
        Le(A * (t_QK + g * t_PV), w_s**3),
        given=[Le(A, 1), Ge(g, 1)],
        using=[budget, at_most, cubic().at({lemmas.t: A * sqrt(s), lemmas.k: w_s})],
        refuted=Le(A * (t_QK + g * t_PV), Rational(99, 100) * w_s**3),
        at={A: 1, g: 1, w_s: 1, s: 1, q_: Rational(1, 2), k_: Rational(1, 2), v_: Rational(1, 2), o_: Rational(1, 2)},
    )


def from_segments(segment: Fact, gain: Any, *, recomputation: bool = True, where: Sequence[Formula] = CHOSEN) -> Fact:
    """What all segments say together, with c = 2/(gain sqrt(M)), for every A and g with 5 c N A (d + g d_v) >= 2M:
    Q_io >= N (c A (d + g d_v) - A^2) + 3/5 M - (g^2 - 1) n_q d_v.

    Args:
        segment: A (t_QK + g t_PV) <= gain w_s^3.
        gain: 1; more if words serve both products.
        recomputation: whether scores may be computed more than once; then A <= c d is needed.
        where: what is chosen.
    """
    # 5. Sum over the segments, of weight 2M, and their number: W_A >= c A (T_QK + g T_PV) + 3/5 M.
    whole, c = A * (T_QK + g * T_PV), 2 / (gain * sqrt(M))
    heavy = weight_of_segments(
        segment, work=whole, most=gain * M ** Rational(3, 2), resident=M, W=W, h=h, last=last, given=where
    )
    # 6. All weight is paid for by traffic, except that of free stays.
    paid = argue(
        "a stay that begins with a load is paid for by it; a stay of an output word that begins with a creation by a store "
        "in it, of g^2 words unless it is the last store of one of the n_q d_v outputs, of one word or more; a stay of a "
        "pair that begins with a creation, of weight A^2 <= 1, by a load or a store in it, if it has one; if not it is "
        "free. These are different loads and stores",
        Le(W, IO + A**2 * free + (g**2 - 1) * n_q * d_v),
        given=[Le(A, 1), Ge(g, 1)],
        using=[lemmas.stays_of_an_output()],
    )
    # 7. A free stay holds all d products of its pair, so free stays do work too.
    if recomputation:
        work = argue(
            "a stay of a pair that begins with a creation has weight only if no counted stay of the pair was in the segment "
            "before, so the free stays of a pair that have weight have their d products each in segments of their own; a "
            "pair without any still has d products in counted stays, as its designated products show, traced back through "
            "stores and loads; f_1 is N or more",
            And(Ge(T_QK, first * d), Ge(first, free), Ge(first, N), Eq(T_PV, N * d_v)),
            beside=[work_of_free_stays()],
        )
    else:
        work = argue(
            "no product is computed twice: a pair has at most one free stay, which has all its d products, and every pair "
            "has its d products in counted stays",
            And(Ge(T_QK, N * d), Le(free, N), Eq(T_PV, N * d_v)),
        )
    enough = Ge(5 * A * N * (d + g * d_v), gain * M ** Rational(3, 2))
    # 8. Q_io >= W_A - A^2 f, and each f that is subtracted has c A d in T_QK, which is at least A^2.
    traffic = N * (c * A * (d + g * d_v) - A**2) + lemmas.PLUS * M - (g**2 - 1) * n_q * d_v
    return prove(
        "the traffic for every A",
        Ge(IO, traffic),
        given=[*where, enough, *([Le(A, c * d)] if recomputation else [])],
        using=[work, heavy, paid],
        refuted=Ge(IO, traffic + M),
    )


@cache
def for_every_choice(*, recomputation: bool = True) -> Fact:
    """The traffic for every A and g."""
    return from_segments(a_segment(), 1, recomputation=recomputation)


def bounds_from(general: Fact, bounds: Mapping[Bound, Mapping[sympy.Symbol, Any]]) -> dict[Bound, Fact]:
    """The bounds that the general form comes to for what is chosen in each."""
    return {
        bound: prove(
            bound.name,
            claim_of(bound),
            given=regime_of(bound),
            using=[general.at(values)],
            refuted=Ge(IO, Rational(101, 100) * bound.expression),
        )
        for bound, values in bounds.items()
    }


@theorem
def io_in_any_fast_memory() -> Conclusions:
    """The traffic of exact attention, whatever M is.

    Statement: for every A with 0 < A <= min(1, 2d/sqrt(M)) and 5 N A (d + d_v) >= M^(3/2), every schedule moves at least
        N (2A (d + d_v)/sqrt(M) - A^2) + 3M/5 words. With the best A, and where that falls as M grows: if d_v <= d, at least
        N (d + d_v)^2/M + 3M/5 words from M = (d + d_v)^2 on; if d_v >= d, at least 4 N d d_v/M + 3M/5 words from M = 4d^2
        on; at least N (2 (d + d_v)/sqrt(M) - 1) + 3M/5 words up to M = 4d^2.
    Hypotheses: the machine and the words of `proofs.model`; K and V are different variables. Scores may be computed again,
        stored and loaded.
    Does not say: that the constants are attained between M = d^2/4 and 4d^2; anything about V that are columns of K; or
        where what is to be computed fits in M words or little more.
    Source: this proof. Segments longer than M, for matrix products: T. M. Smith, B. Lowery, J. Langou, R. A. van de Geijn,
        arXiv 1702.02017; there 2M are subtracted.
    """
    general = for_every_choice()
    # 9. The best A is half of c (d + d_v), c = 2/sqrt(M), or as near to it as min(1, c d) allows.
    b = sympy.Symbol("b", positive=True)
    prove(
        "no A gives more than A = b/2, where b = c (d + d_v)",
        Le(b * A - A**2, b**2 / 4),
        refuted=Le(b * A - A**2, Rational(24, 100) * b**2),
    )
    # 10. A segment of weight F, with c = F (3/(M + F))^(3/2), would have it that traffic >= N (c A (d + d_v) - A^2) + M -
    #     M^(3/2) c/27^(1/2). That grows with c, and c is greatest for F = 2M.
    length = sympy.Symbol("l", nonnegative=True)
    prove(
        "c^2 M = 27 l^2/(1 + l)^3, l = F/M, is at most 4",
        Le(27 * length**2, 4 * (1 + length) ** 3),
        refuted=Le(27 * length**2, Rational(399, 100) * (1 + length) ** 3),
        at={length: 2},
    )
    # 11. The three bounds.
    narrow, wide, small = SEGMENTS
    best = {narrow: (d + d_v) / sqrt(M), wide: 2 * d / sqrt(M), small: sympy.Integer(1)}
    conclusions = bounds_from(general, {bound: {A: root, g: sympy.Integer(1)} for bound, root in best.items()})
    # 12. With d_v = d and u = d/sqrt(M) the bounds are 3M/5 and N 4u^2 or N (4u - 1): two branches of one function with a
    #     common tangent.
    u = sympy.Symbol("u", positive=True)
    parabola, of_wide, line = (
        bound.expression.subs(d_v, d).subs(d, u * sqrt(M)) - lemmas.PLUS * M for bound in SEGMENTS
    )
    identity("N 4u^2", parabola, 4 * u**2 * N)
    identity("the same for d_v >= d", of_wide, 4 * u**2 * N)
    identity("N (4u - 1)", line, (4 * u - 1) * N)
    identity("the branches touch at u = 1/2", 4 * u**2 - (4 * u - 1), (2 * u - 1) ** 2)
    stronger_is_false()
    return conclusions


@theorem
def io_without_recomputation() -> Conclusions:
    """The traffic of exact attention if no score is computed twice.

    Statement: every schedule that computes no product Q_il K_jl twice moves at least N (d + d_v)^2/M + 3M/5 words if
        M >= (d + d_v)^2, and at least N (2 (d + d_v)/sqrt(M) - 1) + 3M/5 words if M <= (d + d_v)^2, where these fall as M
        grows.
    Hypotheses: the machine and the words of `proofs.model`; no product Q_il K_jl is computed twice; K and V are different
        variables.
    Does not say: that this holds with recomputation; for d_v > d it does not.
    Source: this proof.
    """
    # The proof of `io_in_any_fast_memory`, up to step 7: A <= c d is not needed there: A = (d + d_v)/sqrt(M) is allowed.
    general = for_every_choice(recomputation=False)
    best = {NO_RECOMPUTATION: (d + d_v) / sqrt(M), NO_RECOMPUTATION_SMALL_FAST_MEMORY: sympy.Integer(1)}
    conclusions = bounds_from(general, {bound: {A: root, g: sympy.Integer(1)} for bound, root in best.items()})
    at = square(2**18, 64, 2**17, d_v=256)
    too_strong(
        "the same for schedules that compute scores twice",
        NO_RECOMPUTATION,
        in_groups(at, 1000),
        at,
    )
    return conclusions


def stronger_is_false() -> None:
    """Schedules that move fewer words than the bounds would have it with a greater constant, or with nothing subtracted."""
    at, wide = square(2**16, 64, 2**14), square(2**16, 64, 2**16, d_v=256)
    schedule = flash2_order(at, 125)
    for_narrow, for_wide, line = SEGMENTS
    too_strong("5 in place of 4 = (1 + d_v/d)^2", for_narrow, schedule, at, times=Rational(5, 4))
    too_strong("2 N (d + d_v)/sqrt(M), without - N", line, schedule, at, plus=N)
    too_strong(
        "(d + d_v)^2 in place of 4 d d_v for wide values",
        for_wide,
        in_groups(wide, 500),
        wide,
        times=(d + d_v) ** 2 / (4 * d * d_v),
    )
