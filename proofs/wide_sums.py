"""Sums that take several words: fp32 accumulators beside inputs of 16 or 8 bits. With sums of one word, Theorem 1."""

from __future__ import annotations

from functools import cache

import sympy
from sympy import And, Eq, Ge, Gt, Implies, Le, Or, Rational, sqrt

from iosim.bounds.bound import Bound
from iosim.bounds.exact import SEGMENTS_WITH_SUMS, SUMS, sums_bounds
from iosim.proof import Fact, argue, cases, prove, refute
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs import any_fast_memory, lemmas
from proofs.lemmas import (
    cut_where_weight_is_full,
    intervals_of_an_output,
    loomis_whitney,
    one_or_more,
    product_of_two,
    root_of_a_product,
)
from proofs.model import M, N, d, d_v, measured, n_q, square, too_strong
from proofs.schedules import flash2_order, in_groups

# To choose: the root of the words that a sum takes, how many columns of V and O are looked at, and a width for them.
g, k, v = sympy.symbols("g k v", positive=True)
w = g**2

W = measured("W_g", "weight of all loads, and of the creations that begin a counted stay of an output word", g, k)
h = measured("h_g", "segments", g, k)
X = measured("X_g", "2M; W_g if there is one segment", g, k)
a, b, c, e = (
    measured(f"{name}_g", f"words of {what} in a segment", g, k)
    for name, what in zip("abce", ("Q", "K", "k columns of V", "k columns of O, each as one"), strict=True)
)
s = measured("s_g", "pairs that are in fast memory at the start of a segment or loaded in it", g, k)
p = measured("p_g", "pairs used by products of a segment that are looked at, or first completed in it", g, k)
C = measured("C_g", "pairs first completed in a segment", g, k)
T = measured("T_g", "designated products of a segment, in k columns", g, k)
T_b = measured("T_b", "those whose pair is summed up from nothing in the segment", g, k)
T_s = measured("T_s", "those of the s pairs", g, k)

SUM = Ge(g, 1)
LARGE = (SUM, Le(k, d_v), Ge(3 * M, 4 * d * (d + (1 + w) * k)), Ge(w * M, (1 + w) ** 2 * d**2))


@cache
def a_segment() -> Fact:
    """What one segment can do: (d^2 - w v^2) C + (d + w d + 2 w v) T <= X M/2."""
    # 1. What is in fast memory during a segment was there at its start, or was moved into it.
    budget = argue(
        "the first segment has moves of weight 2M at most and starts with nothing, a later one has moves of weight M at "
        "most and starts with M words; what a counted stay has in a segment was there at its start or moved; words of O "
        "weigh w each, those of pairs at least 1",
        And(Le(a + b + c + w * e + s, X), Le(X, 2 * M)),
        given=[SUM],
        using=[cut_where_weight_is_full()],
    )
    # 2. A pair that is not carried into the segment is summed up within it, from whole rows of Q and K.
    pairs = argue(
        "a pair that is not among the s has its score summed up within the segment, so that all d words of its row of Q and "
        "of its row of K are among the a and b: it is one of at most a/d times b/d; those first completed are among the p",
        And(Le(p, a * b / d**2 + s), Le(C, p)),
    )
    # 3. Each product needs a pair, a word of V and a word of O.
    triples = argue(
        "designated products are triples with at most p, c and e shadows", Le(T**2, p * c * e), using=[loomis_whitney()]
    )
    # 4. The columns of V and O may be used unevenly; but not by more keys, or queries, than there are whole rows of.
    built = argue(
        "the keys of pairs that are summed up within the segment are at most b/d, so that each of the e words of O gets at "
        "most b/d products of such pairs; their queries are at most a/d, so that each word of V has at most a/d",
        And(Le(d * T_b, e * b), Le(d * T_b, c * a)),
    )
    carried = argue(
        "each of the s pairs has at most k designated products in k columns, over all segments; and these are triples too",
        And(Le(T_s, s * k), Le(T_s**2, s * c * e), Eq(T, T_b + T_s)),
        using=[loomis_whitney()],
    )
    # 5. (a + w e)(b + c) holds the pairs, (1 + w) d of each product, and w c e.
    area = (a + w * e) * (b + c)
    spent = prove(
        "the pairs and the products of a segment in terms of its words",
        Le(a * b + (1 + w) * d * T_b + w * c * e, area),
        using=[built],
        refuted=Le(a * b + (2 + w) * d * T_b + w * c * e, area),
    )
    # 6. w c e is worth 2 w v more for each product, less what w v^2 p takes off the pairs.
    worth = prove(
        "2 v T <= v^2 p + c e",
        Le(2 * v * T, v**2 * p + c * e),
        using=[triples, root_of_a_product().at({lemmas.t: v * T, lemmas.r: 1, lemmas.x: v**2 * p, lemmas.y: c * e})],
        refuted=Le(3 * v * T, v**2 * p + c * e),
    )
    times_w = prove(
        "the same for sums of w words",
        Le(2 * w * v * T, w * v**2 * p + w * c * e),
        using=[worth],
        refuted=Le(3 * w * v * T, w * v**2 * p + w * c * e),
    )
    value = (d**2 - w * v**2) * C + (d + w * d + 2 * w * v) * T
    narrow = Ge(d, g * v)
    completed = prove(
        "C pairs are among the p",
        Le((d**2 - w * v**2) * C, d**2 * p - w * v**2 * p),
        given=[narrow],
        using=[pairs],
        refuted=Le((d**2 - w * v**2) * C, d**2 * p / 2 - w * v**2 * p),
    )
    rows = prove("d^2 p <= a b + d^2 s", Le(d**2 * p, a * b + d**2 * s), using=[pairs], refuted=Le(d**2 * p, a * b))
    both = prove(
        "(1 + w) d T is that of both kinds",
        Le((1 + w) * d * T, (1 + w) * d * T_b + (1 + w) * d * T_s),
        using=[carried],
        refuted=Le((1 + w) * d * T, (1 + w) * d * T_b),
    )
    terms = {
        y[0]: (d**2 - w * v**2) * C,
        y[1]: d**2 * p,
        y[2]: w * v**2 * p,
        y[3]: a * b,
        y[4]: d**2 * s,
        y[5]: (1 + w) * d * T,
        y[6]: (1 + w) * d * T_b,
        y[7]: (1 + w) * d * T_s,
        y[8]: 2 * w * v * T,
        y[9]: w * c * e,
        y[10]: area,
    }
    at_most = prove(
        "the value of a segment, with what carried pairs add",
        Le((d**2 - w * v**2) * C + (1 + w) * d * T + 2 * w * v * T, area + d**2 * s + (1 + w) * d * T_s),
        given=[narrow],
        using=[completed, rows, both, spent, times_w, _sum().at(terms)],
        refuted=Le((d**2 - w * v**2) * C + (1 + w) * d * T + 2 * w * v * T, area + d**2 * s),
    )
    # 7. a + w e and b + c are at most X - s together.
    half = prove(
        "(a + w e)(b + c) <= (X - s)^2/4",
        Le(4 * area, (X - s) ** 2),
        given=[SUM],
        using=[budget, product_of_two().at({lemmas.x: a + w * e, lemmas.y: b + c})],
        refuted=Le(5 * area, (X - s) ** 2),
    )
    # 8. Carried pairs take more from (X - s)^2/4 than they add.
    added = _carried_pairs(budget, carried)
    return prove(
        "the value of a segment",
        Le(value, X * M / 2),
        given=[*LARGE, Ge(d, g * v)],
        using=[at_most, half, added],
        refuted=Le(value, X * M / 3),
    )


y = sympy.symbols("y:11", real=True)


@cache
def _sum() -> Fact:
    """The five inequalities of a segment added up, with one letter for each product of others."""
    value, completed, less, rows, carried, products, built, of_carried, more, words, area = y
    return prove(
        "five inequalities added up",
        Le(value + products + more, area + carried + of_carried),
        given=[
            Le(value, completed - less),
            Le(completed, rows + carried),
            Le(products, built + of_carried),
            Le(rows + built + words, area),
            Le(more, less + words),
        ],
        refuted=Le(value + products + more, area + carried),
    )


def _carried_pairs(budget: Fact, carried: Fact) -> Fact:
    """(X - s)^2/4 + d^2 s + (1 + w) d T_s <= X M/2: few have k products each, many leave few words."""
    S, R, G, K, t = sympy.symbols("S R G K t", nonnegative=True)  # roots of s and M; X, d (d + (1 + w) k), s
    claim = Le((X - s) ** 2 / 4 + d**2 * s + (1 + w) * d * T_s, X * M / 2)
    few = prove(
        "(G - t)^2/4 + K t <= G R^2/2 for 2t <= G",
        Le((G - t) ** 2 / 4 + K * t, G * R**2 / 2),
        given=[Le(4 * K, 3 * R**2), Le(G, 2 * R**2), Le(2 * t, G)],
        refuted=Le((G - t) ** 2 / 4 + K * t, Rational(49, 100) * G * R**2),
    )
    many = prove(
        "(G - S^2)^2/4 + R^2 S^2/4 + R S (G - S^2)/2 <= G R^2/2 for 2 S^2 >= G",
        Le((G - S**2 + R * S) ** 2 / 4, G * R**2 / 2),
        given=[Le(G, 2 * R**2), Ge(2 * S**2, G), Le(S**2, G)],
        refuted=Le((G - S**2 + R * S) ** 2 / 4, Rational(49, 100) * G * R**2),
    )
    if_few = prove(
        "few carried pairs",
        claim,
        given=[*LARGE, Le(2 * s, X)],
        using=[
            budget,
            carried,
            few.at({G: X, t: s, R: sqrt(M), K: d * (d + (1 + w) * k)}),
        ],
        refuted=Le((X - s) ** 2 / 4 + d**2 * s + (1 + w) * d * T_s, X * M / 3),
    )
    thin = prove(
        "2 g T_s <= sqrt(s) (X - s)",
        Le(2 * g * T_s, sqrt(s) * (X - s)),
        given=[SUM],
        using=[
            budget,
            carried,
            root_of_a_product().at({lemmas.t: g * T_s, lemmas.r: sqrt(s), lemmas.x: c, lemmas.y: w * e}),
        ],
        refuted=Le(3 * g * T_s, sqrt(s) * (X - s)),
    )
    short = prove(
        "(1 + w) d <= g sqrt(M), and 2d <= sqrt(M)",
        And(Le((1 + w) * d, g * sqrt(M)), Le(2 * d, sqrt(M))),
        given=LARGE,
        refuted=Le(3 * d, sqrt(M)),
    )
    if_many = prove(
        "many carried pairs",
        claim,
        given=[*LARGE, Ge(2 * s, X)],
        using=[budget, thin, short, many.at({G: X, S: sqrt(s), R: sqrt(M)})],
        refuted=Le((X - s) ** 2 / 4 + d**2 * s + (1 + w) * d * T_s, X * M / 3),
    )
    less = Rational(39, 10)
    some = argue("s is at most half of X, or at least", Or(Le(2 * s, X), Ge(2 * s, X)))
    t_s = sympy.Symbol("T", nonnegative=True)
    refute(
        "the same from M = (13/10) d (d + (1 + w) k) on, for segments in which all pairs are carried and w = 1",
        Implies(
            And(Ge(10 * M, 13 * d * (d + 2 * k)), Le(G, 2 * M), Le(t_s, t * k), Le(4 * t_s**2, t * (G - t) ** 2)),
            Le(4 * d * t_s, G * M / 2),
        ),
        {d: 1, k: 1, M: less, G: 2 * less, t: Rational(193, 50), t_s: Rational(193, 50)},
    )
    return cases("what carried pairs add, in any segment", [if_few, if_many], given=LARGE, using=[some])


@cache
def sums_of_any_width() -> Fact:
    """Q_io >= N ((d^2 - w v^2) + k (d + w d + 2 w v))/M - (w - 1) n_q d_v, for every w, k <= d_v and v <= d/sqrt(w)."""
    segment = a_segment()
    given = [*LARGE, Ge(d, g * v)]
    work = N * (d**2 - w * v**2 + k * (d + w * d + 2 * w * v))
    # 9. Every pair is first completed once, N in all; there are N k designated products in k columns. So W >= work/M,
    #    whatever the number of segments.
    several = argue(
        "the sum over h segments with X = 2M each, of which all but the last are full",
        And(Le(work, h * M**2), Gt(W, h * M)),
        given=[*given, Ge(h, 2)],
        using=[segment, cut_where_weight_is_full()],
    )
    single = argue("the only segment, with X = W_g", Le(work, W * M / 2), given=[*given, Eq(h, 1)], using=[segment])
    # 10. All weight is paid for by traffic.
    paid = argue(
        "loads weigh what they move, or less; a counted stay of an output word that begins with a creation has a store, of "
        "w words unless it is the last store of one of the n_q d_v outputs, of one word or more; these are different stores",
        Le(W, IO + (w - 1) * n_q * d_v),
        given=[SUM],
        using=[intervals_of_an_output()],
    )
    share = sympy.Symbol("share", real=True)
    many, one = (
        prove(
            f"the weight of {text}",
            Ge(W * M, share),
            given=[Le(share, most), *more],
            refuted=Ge(W * M, Rational(201, 100) * share),
        )
        for text, most, more in (
            ("several segments", h * M**2, [Gt(W, h * M)]),
            ("one segment", W * M / 2, []),
        )
    )
    if_many = prove(
        "several segments",
        Ge(W * M, work),
        given=[*given, Ge(h, 2)],
        using=[several, many.at({share: work})],
        refuted=Ge(W * M, 2 * work),
    )
    if_one = prove(
        "one segment",
        Ge(W * M, work),
        given=[*given, Eq(h, 1)],
        using=[single, one.at({share: work})],
        refuted=Ge(W * M, 3 * work),
    )
    heavy = cases("any number of segments", [if_many, if_one], given=given, using=[one_or_more(h)])
    return prove(
        "the traffic for sums of any width",
        Ge(IO, work / M - (w - 1) * n_q * d_v),
        given=given,
        using=[heavy, paid],
        refuted=Ge(IO, work / M),
    )


@theorem
def io_with_wide_sums() -> Conclusions:
    """The traffic of exact attention if a sum takes several words, as fp32 accumulators beside inputs of 16 or 8 bits do.

    Statement: let a sum take w >= 1 words, and M >= (1 + w)^2 d^2/w. If d >= sqrt(w) d_v, every schedule moves at least
        N (d + d_v)(d + w d_v)/M - (w - 1) n_q d_v words. If M >= (4/3) d (d + (1 + w) d_v), every schedule moves at least
        N d d_v (1 + sqrt(w))^2/M - (w - 1) n_q d_v words. Whatever M is, every schedule moves at least
        4 sqrt(w) N d d_v/M - M - (w - 1) n_q d_v words from M = 4d^2 on, and at least
        N (2 (d + sqrt(w) d_v)/sqrt(M) - 1) - M - (w - 1) n_q d_v words up to M = 4d^2.
    Hypotheses: the machine and the words of `proofs.model`, but a word of O takes w words of fast memory, and a load or a
        store of it moves w words, or one or more if it is the last store of that output; words of pairs take at least one;
        the unit is a word of Q, K or V. K and V are different variables. Scores may be computed again, stored and loaded.
    Does not say: that scores in w words cost nothing more; that the last two constants are attained; that the second is
        where d/sqrt(w) columns do not divide d_v. Where they do, it is, by computing scores once for each such group of
        columns of V; so with w = 4 that pays for values as wide as keys. FlashAttention-2's order attains the first.
    Source: this proof.
    """
    any_width = sums_of_any_width()
    conclusions: dict[Bound, Fact] = {}
    # 11. The bounds for every w, and for fp32 beside 16 and 8 bits; v is d_v, or d/sqrt(w) if that is less.
    for bounds, root in ((sums_bounds(w), g), (SUMS[:2], sqrt(2)), (SUMS[2:], sympy.Integer(2))):
        for bound, width in zip(bounds, (d_v, d / root), strict=True):
            values = {k: d_v, v: width} if root == g else {g: root, k: d_v, v: width}
            conclusions[bound] = prove(
                bound.name,
                claim_of(bound),
                given=[SUM, *regime_of(bound)] if root == g else regime_of(bound),
                using=[any_width.at(values)],
                refuted=Ge(IO, Rational(101, 100) * bound.expression),
            )
    for bound in sums_bounds(w):
        del conclusions[bound]
    # 12. For any fast memory, segments as in `proofs.any_fast_memory`, of F = 2M.
    general = any_fast_memory.from_segments(any_fast_memory.a_segment(), 1)
    for bounds, root in ((SEGMENTS_WITH_SUMS[:2], sqrt(2)), (SEGMENTS_WITH_SUMS[2:], sympy.Integer(2))):
        values = any_fast_memory.chosen(sympy.Integer(2), 1, root)
        best = zip(bounds, (values[any_fast_memory.c] * d, sympy.Integer(1)), strict=True)
        conclusions |= any_fast_memory.bounds_from(
            general, {bound: {**values, any_fast_memory.A: weight} for bound, weight in best}
        )
    stronger_is_false()
    return conclusions


def stronger_is_false() -> None:
    """Schedules that move fewer words than the bounds would have it with a greater constant."""
    narrow, wide = square(2**16, 64, 2**16, d_v=32), square(2**18, 64, 2**17)
    too_strong(
        "five fourths of the first constant",
        SUMS[0],
        flash2_order(narrow, 480, words=2),
        narrow,
        times=Rational(5, 4),
    )
    too_strong(
        "(d + d_v)(d + 4 d_v) in place of 9 d d_v for d_v = d",
        SUMS[3],
        in_groups(wide, 640, columns=32, words=4),
        wide,
        plus=N * d_v * d / M,
    )
