"""Sums that take several words: fp32 accumulators beside inputs of 16 or 8 bits. `large_fast_memory` is about one word."""

from __future__ import annotations

from functools import cache

import sympy
from sympy import Ge, Le, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import SEGMENTS_WITH_SUMS, SUMS, sums_bounds
from iosim.proof import Fact, argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs import any_fast_memory
from proofs.lemmas import PLUS_LARGE, stays_of_an_output, weight_of_equal_segments
from proofs.model import M, N, d, d_v, n_q, square, too_strong
from proofs.schedules import flash2_order, in_groups
from proofs.wide_sums_segment import SUM, W, X, a_segment, g, h, k, large, m, v, w


@cache
def sums_of_any_width(*, once: bool = False) -> Fact:
    """Q_io >= L/M + 4/5 M - (w - 1) n_q d_v, L = N ((d^2 - w v^2) + k (d + w d + 2 w v)), for w, k <= d_v, v <= d/sqrt(w)
    and L >= M^2.

    Args:
        once: for schedules that compute no score twice; then for v >= d/sqrt(w).
    """
    segment, given = a_segment(once), large(once, M)
    work = N * (d**2 - w * v**2 + k * (d + w * d + 2 * w * v))
    # 9. Every pair is first completed once, N in all; there are N k designated products in k columns. So W is what the
    #    work needs.
    heavy = weight_of_equal_segments(segment, work=work, per=2, W=W, h=h, m=m, X=X, large=large(once), given=given)
    # 10. All weight is paid for by traffic.
    return prove(
        "the traffic for sums of any width",
        Ge(IO, work / M + PLUS_LARGE * M - (w - 1) * n_q * d_v),
        given=[*given, Ge(work, M**2)],
        using=[heavy, moves_are_paid()],
        refuted=Ge(IO, work / M + PLUS_LARGE * M),
    )


@cache
def moves_are_paid() -> Fact:
    """Loads by themselves, creations by a store in the stay of the output that each begins."""
    return argue(
        "loads weigh what they move, or less; a counted stay of an output word that begins with a creation has a store, of "
        "w words unless it is the last store of one of the n_q d_v outputs, of one word or more; these are different stores",
        Le(W, IO + (w - 1) * n_q * d_v),
        given=[SUM],
        using=[stays_of_an_output()],
    )


@theorem
def io_with_wide_sums() -> Conclusions:
    """The traffic of exact attention if a sum takes several words, as fp32 accumulators beside inputs of 16 or 8 bits do.

    Statement: let a sum take w >= 1 words, and M >= (1 + w)^2 d^2/w. If d >= sqrt(w) d_v, every schedule moves at least
        N (d + d_v)(d + w d_v)/M + 4M/5 - (w - 1) n_q d_v words; for d <= sqrt(w) d_v that holds if M >= 4 w d_v^2 and no
        product Q_il K_jl is computed twice. If M >= (4/3) d (d + (1 + w) d_v), every schedule moves at least
        N d d_v (1 + sqrt(w))^2/M + 4M/5 - (w - 1) n_q d_v words. That is as long as the first term is at least M. Every
        schedule moves at least 4 sqrt(w) N d d_v/M + 3M/5 - (w - 1) n_q d_v words from M = 4d^2 on, and at least
        N (2 (d + sqrt(w) d_v)/sqrt(M) - 1) + 3M/5 - (w - 1) n_q d_v words up to M = 4d^2, where these fall as M grows.
    Hypotheses: the machine and the words of `proofs.model`, but a word of O takes w words of fast memory, and a load or a
        store of it moves w words, or one or more if it is the last store of that output; words of pairs take at least one;
        the unit is a word of Q, K or V. K and V are different variables. Scores may be computed again, stored and loaded.
    Does not say: that scores in w words cost nothing more; that the last two constants are attained; that the second is
        where d/sqrt(w) columns do not divide d_v. Where they do, it is, by computing scores once for each such group of
        columns of V; so with w = 4 that pays for values as wide as keys. FlashAttention-2's order attains the
        first, and computes no product twice.
    Source: this proof.
    """
    any_width, without = sums_of_any_width(), sums_of_any_width(once=True)
    conclusions: dict[Bound, Fact] = {}
    # 11. The bounds for every w, and for fp32 beside 16 and 8 bits; v is d_v, or d/sqrt(w) if that is less and scores may
    #     be computed twice.
    for bounds, root in ((sums_bounds(w), g), (SUMS[:3], sqrt(2)), (SUMS[3:], sympy.Integer(2))):
        chosen = ((any_width, d_v), (any_width, d / root), (without, d_v))
        for bound, (general, width) in zip(bounds, chosen, strict=True):
            proved = prove(
                bound.name,
                claim_of(bound),
                given=[SUM, *regime_of(bound)] if root == g else regime_of(bound),
                using=[general.at({k: d_v, v: width} | ({} if root == g else {g: root}))],
                refuted=Ge(IO, Rational(101, 100) * bound.expression),
            )
            if root != g:
                conclusions[bound] = proved
    # 12. For any fast memory, segments as in `proofs.any_fast_memory`.
    general = any_fast_memory.for_every_choice()
    for bounds, root in ((SEGMENTS_WITH_SUMS[:2], sqrt(2)), (SEGMENTS_WITH_SUMS[2:], sympy.Integer(2))):
        best = zip(bounds, (2 * d / sqrt(M), sympy.Integer(1)), strict=True)
        conclusions |= any_fast_memory.bounds_from(
            general, {bound: {any_fast_memory.A: weight, any_fast_memory.g: root} for bound, weight in best}
        )
    stronger_is_false()
    return conclusions


def stronger_is_false() -> None:
    """Schedules that move fewer words than a greater constant would have it, or what holds if no score is computed twice."""
    narrow, wide = square(2**16, 64, 2**16, d_v=32), square(2**20, 64, 2**18)
    too_strong(
        "five fourths of the first constant",
        SUMS[0],
        flash2_order(narrow, 480, words=2),
        narrow,
        times=Rational(5, 4),
    )
    too_strong(
        "(d + d_v)(d + 4 d_v) in place of 9 d d_v for d_v = d, for schedules that compute scores twice",
        SUMS[5],
        in_groups(wide, 1284, columns=32, words=4),
        wide,
    )
