"""Tied values: V is columns of K, as where attention runs on a compressed latent vector."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import sympy
from sympy import And, Eq, Ge, Implies, Le, Or, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import LARGE_FAST_MEMORY, TIED, TIED_LARGE_FAST_MEMORY, TIED_SMALL_FAST_MEMORY, TIED_VALUES
from iosim.proof import Fact, argue, cases, prove, refute
from iosim.proof.reals import Formula
from iosim.proof.theorem import Conclusions, theorem
from proofs import lemmas
from proofs.any_fast_memory import CHOSEN, A, bounds_from, from_segments, g, k_, o_, q_, s, t_PV, t_QK, w_s
from proofs.large_fast_memory import G, H, T, X, from_moves, q, words_of_a_segment
from proofs.large_fast_memory import s as s_
from proofs.lemmas import (
    cut_where_weight_is_full,
    equal_segments,
    loomis_whitney,
    product_of_three,
    product_of_two,
    root_of_a_product,
)
from proofs.model import M, N, d, d_v, measured, square, too_strong
from proofs.schedules import tied_order

v = sympy.Symbol("v", positive=True)  # d_v
h, m, _ = equal_segments("_t")
p = measured("p", "pairs used by designated products in a segment, or first completed in it")
C = measured("C", "pairs first completed in a segment")


@theorem
def io_for_tied_values() -> Conclusions:
    """The traffic of exact attention if the values are columns of the keys.

    Statement: if V_jl = K_jl for l < d_v <= d, every schedule moves at least N d (d + d_v)/M words if
        M >= (32/27) d (4d - 3 d_v), and 4M/5 more, up to M^2 = N d (d + d_v); at least N (d + d_v)^2/(2M) + 3M/5 words from
        M = (d + d_v)^2/2 on, and at least N (sqrt(2) (d + d_v)/sqrt(M) - 1) + 3M/5 words up to M = 2d^2, where these fall as
        M grows.
    Hypotheses: the machine and the words of `proofs.model`, but V_jl is the word K_jl; d_v <= d. Scores may be computed
        again, stored and loaded.
    Does not say: that the constants of the last two are attained for d_v < d; that of the first is, as N grows.
    Source: this proof.
    """
    conclusions = _in_any_fast_memory() | _in_a_large_fast_memory()
    at = square(2**16, 64, 2**16)
    schedule = tied_order(at, 503)
    too_strong("what holds for values of their own", LARGE_FAST_MEMORY, schedule, at)
    too_strong("twice as much", TIED, schedule, at, times=Rational(21, 10))
    too_strong("a twentieth more", TIED_LARGE_FAST_MEMORY, schedule, at, times=Rational(21, 20))
    return conclusions


def _in_any_fast_memory() -> dict[Bound, Fact]:
    """As `io_in_any_fast_memory`, with words of K that serve both products."""
    # 1. What a segment works with, without words of V.
    budget = argue(
        "every variable that has a counted stay in a segment weighs in once, whether it was there at the start or came in: "
        "1 for a word of Q, K or O, at least A^2 for a pair",
        Le(q_ + k_ + o_ + A**2 * s, 3 * w_s**2),
        given=[Le(A, 1), Eq(g, 1)],
        using=[cut_where_weight_is_full()],
    )
    scores = argue("Q_il K_jl needs Q_il, K_jl and the pair", Le(t_QK**2, s * q_ * k_), using=[loomis_whitney()])
    values = argue("P_ij K_jl needs the pair, K_jl and O_il", Le(t_PV**2, s * k_ * o_), using=[loomis_whitney()])
    # 2. (t_QK + t_PV)^2 <= 2 s k (q + o), and A^2 s, k and q + o are at most 3 w_s^2 together.
    both = prove(
        "the square of the products of a segment",
        Le((t_QK + t_PV) ** 2, 2 * s * k_ * (q_ + o_)),
        using=[scores, values],
        refuted=Le((t_QK + t_PV) ** 2, s * k_ * (q_ + o_)),
    )
    segment = prove(
        "the products of a segment, times A, are at most sqrt(2) w_s^3",
        Le(A * (t_QK + t_PV), sqrt(2) * w_s**3),
        given=[Le(A, 1), Eq(g, 1)],
        using=[budget, both, product_of_three().at({lemmas.x: A**2 * s, lemmas.y: k_, lemmas.z: q_ + o_})],
        refuted=Le(A * (t_QK + t_PV), Rational(141, 100) * w_s**3),
        at={A: 1, w_s: 1, s: 1, k_: 1, q_: Rational(1, 2), o_: Rational(1, 2)},
    )
    # 3. The rest of that proof, with c = sqrt(2/M) and sums of one word.
    general = from_segments(segment, sqrt(2), where=[*CHOSEN, Eq(g, 1)])
    return bounds_from(
        general,
        {
            TIED: {A: (d + d_v) / sqrt(2 * M), g: sympy.Integer(1)},
            TIED_SMALL_FAST_MEMORY: {A: sympy.Integer(1), g: sympy.Integer(1)},
        },
    )


def _in_a_large_fast_memory() -> dict[Bound, Fact]:
    """As `io_in_a_large_fast_memory`, with words of K that serve both products."""
    a, e = measured("a", "words of Q in a segment"), measured("e", "words of O in a segment")
    b = measured("b", "words of K that are values in a segment"), measured("b_r", "other words of K in a segment")
    J = measured("J", "whole rows of K in a segment")
    # 4. Segments as for `io_in_a_large_fast_memory`. A pair that is not carried into one needs whole rows of Q and K.
    budget = words_of_a_segment(a, *b, e, s_)
    whole = argue(
        "a whole row of K has d_v words that are values, and d - d_v others",
        And(Le(J * d_v, b[0]), Le(J * (d - d_v), b[1])),
        given=[Ge(d, d_v)],
    )
    pairs = argue(
        "a pair used or first completed in a segment is among the s, or is summed up from whole rows, of which there are at "
        "most a/d of Q and J of K",
        Le(p, a * J / d + s_),
    )
    completed = argue("the pairs first completed in a segment are among the p", Le(C, p))
    products = argue(
        "P_ij K_jl needs one of p pairs, one of b words of K and one of e words of O",
        Le(T**2, p * b[0] * e),
        using=[loomis_whitney()],
    )
    # 5. For given words of K and O, p grows with a at the rate J/d and with s at the rate 1: it is at most what it is with
    #    only one of them. Z is what is left for both.
    Z = X - b[0] - b[1] - e
    none_carried, none_summed = Le(d * p, J * Z), Le(p, Z)
    ends = prove(
        "p is at most what it is at one of the two ends",
        Or(none_carried, none_summed),
        using=[budget, pairs],
        refuted=none_summed,
    )
    value, more = Le((d - d_v) / 2 * C + T, X * m / (4 * d)), Le((d - d_v) / 2 * C + T, X * m / (5 * d))
    # 6. If no pair is carried, 2d T <= b Z + J d e, and J d is at most all b + b_r words of K: the value is at most
    #    (b + b_r)(Z + e)/(2d), where these are X together.
    narrow = Ge(d, d_v)
    halves = prove(
        "2d T <= b Z + J d e",
        Le(2 * d * T, b[0] * Z + J * d * e),
        given=[none_carried],
        using=[
            budget,
            products,
            root_of_a_product().at({lemmas.t: d * T, lemmas.r: 1, lemmas.x: b[0] * Z, lemmas.y: J * d * e}),
        ],
        refuted=Le(3 * d * T, b[0] * Z + J * d * e),
    )
    first_end = prove(
        "the value of a segment if no pair is carried",
        value,
        given=[narrow, none_carried, Le(X, 2 * m)],
        using=[
            budget,
            whole,
            completed,
            halves,
            product_of_two().at({lemmas.x: b[0] + b[1], lemmas.y: Z + e}),
        ],
        refuted=more,
    )
    # 7. If none is summed up, the value is at most (d - d_v)/2 q^2 + q (X - q^2)/2 with q^2 = p.
    half = prove(
        "a segment has at most sqrt(p) (b + e)/2 designated products",
        Le(2 * T, sqrt(p) * (b[0] + e)),
        using=[products, root_of_a_product().at({lemmas.t: T, lemmas.r: sqrt(p), lemmas.x: b[0], lemmas.y: e})],
        refuted=Le(3 * T, sqrt(p) * (b[0] + e)),
    )
    where = [*_where(m), Le(X, 2 * m)]
    second_end = prove(
        "the value of a segment if no pair is summed up within it",
        value,
        given=[*where, none_summed],
        using=[budget, completed, half, _carried_pairs().at({q: sqrt(p), G: X, H: m, v: d_v})],
        refuted=Le((d - d_v) / 2 * C + T, X * m / (5 * d)),
        at={d: 1, d_v: 1, m: TIED_VALUES},
    )
    segment = cases("the value of a segment", [first_end, second_end], given=where, using=[ends])
    # 8. N pairs are completed, and there are N d_v designated products.
    bound, work = TIED_LARGE_FAST_MEMORY, N * (d + d_v) / 2
    return {bound: from_moves(bound, segment, h=h, m=m, large=_where, work=work, per=4 * d)}


def _where(size: sympy.Symbol) -> tuple[Formula, ...]:
    return (Ge(size, threshold(TIED_VALUES, d_v)), Ge(d, d_v))


def threshold(factor: Fraction, width: sympy.Symbol) -> sympy.Expr:
    """Words of fast memory from which on carried pairs are worth no more than pairs that are summed up."""
    return factor * d * (4 * d - 3 * width)


@cache
def _carried_pairs() -> Fact:
    """What q^2 pairs are worth if all are carried into a segment of G words."""
    worth = 2 * d * ((d - v) * q**2 + q * (G - q**2))
    given = [Ge(d, v), Le(G, 2 * H), Le(q**2, G)]
    found = prove(
        "(d - v)/2 q^2 + q (G - q^2)/2 is at most G m/(4d)",
        Le(worth, G * H),
        given=[Ge(H, threshold(TIED_VALUES, v)), *given],
        refuted=Le(worth, Rational(99, 100) * G * H),
        at={d: 1, v: 1, H: TIED_VALUES, G: 2 * TIED_VALUES},
    )
    less = Fraction(31, 27)
    refute(
        "the same from (31/27) d (4d - 3v) on",
        Implies(And(Ge(H, threshold(less, v)), *given), Le(worth, G * H)),
        {d: 1, v: 1, H: less, G: 2 * less, q: Rational(87, 100)},
    )
    return found
