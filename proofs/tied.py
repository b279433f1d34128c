"""Theorem 4: V is columns of K, as where attention runs on a compressed latent vector."""

from __future__ import annotations

import sympy
from sympy import And, Ge, Le, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import LARGE_CACHE, TIED, TIED_LARGE_CACHE, TIED_SMALL_CACHE
from iosim.proof import Fact, argue, prove
from iosim.theorem import Conclusions, theorem
from proofs import lemmas
from proofs.any_cache import A, bounds_from, c, chosen, from_segments, k_, o_, q_, s, t_PV, t_QK, w_s
from proofs.large_cache import X, words_of_a_segment
from proofs.large_cache import from_segments as from_moves
from proofs.lemmas import (
    cut_where_weight_is_full,
    loomis_whitney,
    product_of_three,
    product_of_two,
    root_of_a_product,
)
from proofs.model import M, N, d, d_v, measured, square, too_strong
from proofs.schedules import tied_order


@theorem
def io_for_tied_values() -> Conclusions:
    """The traffic of exact attention if the values are columns of the keys.

    Statement: if V_jl = K_jl for l < d_v <= d, every schedule moves at least N (d + d_v)^2/(2M) - M words from
        M = (d + d_v)^2/2 on, at least N (sqrt(2) (d + d_v)/sqrt(M) - 1) - M words up to M = 2d^2, and always at least
        (N d (d + d_v)/M) / (1 + 2 d^2/M + 2 (2/3)^(3/2) d/sqrt(M)) words.
    Hypotheses: the machine and the words of `proofs.model`, but V_jl is the word K_jl; d_v <= d. Scores may be computed
        again, stored and loaded.
    Does not say: that the constants of the first two are attained for d_v < d; that of the third is, as M/d^2 and N grow.
    Source: this proof.
    """
    conclusions = _in_any_cache() | _in_a_large_cache()
    at = square(2**16, 64, 2**16)
    schedule = tied_order(at, 503)
    too_strong("what holds for values of their own", LARGE_CACHE, schedule, at)
    too_strong("twice as much", TIED, schedule, at, times=Rational(21, 10))
    too_strong("half as much again", TIED_LARGE_CACHE, schedule, at, times=Rational(3, 2))
    return conclusions


def _in_any_cache() -> dict[Bound, Fact]:
    """As `io_in_any_cache`, with words of K that serve both products."""
    # 1. What a segment works with, without words of V.
    budget = argue(
        "every variable that has a counted stay in a segment weighs in once, whether it was there at the start or came in: "
        "1 for a word of Q, K or O, at least A^2 for a pair",
        Le(q_ + k_ + o_ + A**2 * s, 3 * w_s**2),
        given=[Le(A, 1)],
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
        given=[Le(A, 1)],
        using=[budget, both, product_of_three().at({lemmas.x: A**2 * s, lemmas.y: k_, lemmas.z: q_ + o_})],
        refuted=Le(A * (t_QK + t_PV), Rational(141, 100) * w_s**3),
        at={A: 1, w_s: 1, s: 1, k_: 1, q_: Rational(1, 2), o_: Rational(1, 2)},
    )
    # 3. The rest of that proof, with c = F/(sqrt(2) w^3).
    general = from_segments(segment, sqrt(2))
    values_of = chosen(sympy.Integer(2), 1 / sqrt(2))
    return bounds_from(
        general,
        {TIED: {**values_of, A: values_of[c] * (d + d_v) / 2}, TIED_SMALL_CACHE: {**values_of, A: sympy.Integer(1)}},
    )


def _in_a_large_cache() -> dict[Bound, Fact]:
    """As `io_in_a_large_cache`, with words of K that serve both products."""
    a, b, e = (measured(name, f"words of {what} in a segment") for name, what in zip("abe", "QKO", strict=True))
    s = measured("s", "pairs that are in fast memory at the start of a segment or loaded in it")
    rows, columns = measured("I", "whole rows of Q in a segment"), measured("J", "whole rows of K in a segment")
    C = measured("C", "pairs first completed in a segment")
    new = measured("T_1", "designated products of a segment with pairs summed up in it")
    old = measured("T_2", "other designated products of a segment")
    # 4. Segments as for `io_in_a_large_cache`.
    budget = words_of_a_segment(a, b, e, s)
    whole = argue("whole rows have d words each", And(Le(rows * d, a), Le(columns * d, b)))
    completed = argue("a pair first completed is among the s, or summed up from whole rows", Le(C, rows * columns + s))
    first = argue(
        "designated products with pairs summed up in the segment: I J pairs, J d_v words of K, e words of O",
        Le(new**2, (rows * columns) * (columns * d_v) * e),
        using=[loomis_whitney()],
    )
    second = argue("the others: s pairs, b words of K, e words of O", Le(old**2, s * b * e), using=[loomis_whitney()])
    # 5. The value (d - d_v)/2 C + T_1 + T_2 of a segment is at most X times M/(4d) + d/2 + sqrt(2M/3)/3.
    narrow = Ge(d, d_v)
    root = prove(
        "T_1 <= J (d_v I + e)/2",
        Le(2 * new, columns * (d_v * rows + e)),
        using=[first, root_of_a_product().at({lemmas.t: new, lemmas.r: columns, lemmas.x: d_v * rows, lemmas.y: e})],
        refuted=Le(3 * new, columns * (d_v * rows + e)),
    )
    summed = prove(
        "what is summed up in the segment: (d - d_v)/2 I J + T_1 <= b (a + e)/(2d)",
        Le((d - d_v) / 2 * rows * columns + new, b * (a + e) / (2 * d)),
        given=[narrow],
        using=[whole, root],
        refuted=Le((d - d_v) / 2 * rows * columns + new, b * (a + e) / (3 * d)),
    )
    halves = prove(
        "b (a + e)/(2d) <= X M/(4d)",
        Le(b * (a + e) / (2 * d), X * M / (4 * d)),
        using=[budget, product_of_two().at({lemmas.x: b, lemmas.y: a + e})],
        refuted=Le(b * (a + e) / (2 * d), X * M / (5 * d)),
    )
    cube = prove(
        "T_2^2 <= (X/3)^3",
        Le(27 * old**2, X**3),
        using=[budget, second, product_of_three().at({lemmas.x: s, lemmas.y: b, lemmas.z: e})],
        refuted=Le(28 * old**2, X**3),
        at={X: 3, s: 1, b: 1, e: 1, a: 0, M: 2},
    )
    carried = prove(
        "T_2 <= X sqrt(2M/3)/3",
        Le(old, X * sqrt(2 * M / 3) / 3),
        using=[budget, cube],
        refuted=Le(old, X * sqrt(2 * M / 3) / 4),
    )
    rate = M / (4 * d) + d / 2 + sqrt(2 * M / 3) / 3
    segment = prove(
        "the value of a segment",
        Le((d - d_v) / 2 * C + new + old, X * rate),
        given=[narrow],
        using=[budget, completed, summed, halves, carried],
        refuted=Le((d - d_v) / 2 * C + new + old, X * rate / 3),
    )
    # 6. N pairs are completed, and there are N d_v designated products.
    work, at = N * (d + d_v) / 2, {d: 1, d_v: 1, M: 6}
    return {TIED_LARGE_CACHE: from_moves(TIED_LARGE_CACHE, segment, where=[narrow], work=work, rate=rate, at=at)}
