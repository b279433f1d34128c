"""Sums that take several words: what one segment can do, steps 1 to 8 of the proof in `proofs.wide_sums`."""

from __future__ import annotations

from functools import cache

import sympy
from sympy import And, Eq, Ge, Implies, Le, Rational, sqrt

from iosim.proof import Fact, argue, cases, prove, refute
from iosim.proof.reals import Formula
from proofs import lemmas
from proofs.lemmas import (
    cut_in_equal_segments,
    equal_segments,
    loomis_whitney,
    product_of_two,
    root_of_a_product,
)
from proofs.model import d, d_v, measured

# To choose: the root of the words that a sum takes, how many columns of V and O are looked at, and a width for them.
g, k, v = sympy.symbols("g k v", positive=True)
w = g**2

W = measured("W_g", "weight of all loads, and of the creations that begin a counted stay of an output word", g, k)
h, m, X = equal_segments("_g", g, k, v)
a, b, c, e = (
    measured(f"{name}_g", f"words of {what} in a segment", g, k, v)
    for name, what in zip("abce", ("Q", "K", "k columns of V", "k columns of O, each as one"), strict=True)
)
s = measured("s_g", "pairs that are in fast memory at the start of a segment or loaded in it", g, k, v)
p = measured("p_g", "pairs used by products of a segment that are looked at, or first completed in it", g, k, v)
C = measured("C_g", "pairs first completed in a segment", g, k, v)
T = measured("T_g", "designated products of a segment, in k columns", g, k, v)
T_b = measured("T_b", "those whose pair is summed up from nothing in the segment", g, k, v)
T_s = measured("T_s", "those of the s pairs", g, k, v)

SUM = Ge(g, 1)


def each(once: bool) -> sympy.Expr:
    """What a pair that is carried into a segment adds besides its products, at most."""
    return w * v**2 if once else d**2


def large(once: bool, size: sympy.Symbol = m) -> tuple[Formula, ...]:
    """How much is large, and which v there are: d/sqrt(w) at most, or at least if no score is computed twice."""
    return (
        SUM,
        Le(k, d_v),
        Ge(3 * size, 4 * (each(once) + (1 + w) * d * k)),
        Ge(w * size, (1 + w) ** 2 * d**2),
        Ge(size, 4 * each(once)),
        Le(d, g * v) if once else Ge(d, g * v),
    )


@cache
def _contents() -> tuple[Fact, ...]:
    """What one segment works with, whether or not scores are computed again."""
    # 1. What is in fast memory during a segment was there at its start, or was moved into it.
    budget = argue(
        "what a counted stay has in a segment was there at its start or moved; words of O weigh w each, those of pairs at "
        "least 1",
        Le(a + b + c + w * e + s, X),
        given=[SUM],
        using=[cut_in_equal_segments()],
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
    return budget, pairs, triples, built, carried


@cache
def a_segment(once: bool) -> Fact:
    """What one segment can do: (d^2 - w v^2) C + (d + w d + 2 w v) T <= X m/2, if X <= 2m.

    Args:
        once: whether no score is computed twice.
    """
    # 1 to 4.
    budget, pairs, triples, built, carried = _contents()
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
    share = d**2 - w * v**2
    if once:
        first = argue(
            "a pair that is used is among the s, or is summed up within the segment; as no product is computed twice, it is "
            "then first completed in it",
            Le(p, C + s),
        )
        more, which, known = -share * s, Le(d, g * v), first
    else:
        more, which, known = sympy.Integer(0), Ge(d, g * v), pairs
    completed = prove(
        "C pairs in place of p",
        Le(share * C, d**2 * p - w * v**2 * p + more),
        given=[which],
        using=[known],
        refuted=Le(share * C, (d**2 * p - w * v**2 * p) / 2 + more - m),
    )
    rows = prove("d^2 p <= a b + d^2 s", Le(d**2 * p, a * b + d**2 * s), using=[pairs], refuted=Le(d**2 * p, a * b))
    both = prove(
        "(1 + w) d T is that of both kinds",
        Le((1 + w) * d * T, (1 + w) * d * T_b + (1 + w) * d * T_s),
        using=[carried],
        refuted=Le((1 + w) * d * T, (1 + w) * d * T_b),
    )
    terms = {
        y[0]: share * C,
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
        y[11]: more,
    }
    at_most = prove(
        "the value of a segment, with what carried pairs add",
        Le(share * C + (1 + w) * d * T + 2 * w * v * T, area + d**2 * s + more + (1 + w) * d * T_s),
        given=[which],
        using=[completed, rows, both, spent, times_w, _sum().at(terms)],
        refuted=Le(share * C + (1 + w) * d * T + 2 * w * v * T, area + d**2 * s + more),
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
    added = _carried_pairs(budget, carried, once)
    return prove(
        "the value of a segment",
        Le(value, X * m / 2),
        given=[*large(once), Le(X, 2 * m)],
        using=[at_most, half, added],
        refuted=Le(value, X * m / 3),
    )


y = sympy.symbols("y:12", real=True)


@cache
def _sum() -> Fact:
    """The five inequalities of a segment added up, with one letter for each product of others."""
    value, completed, less, rows, carried, products, built, of_carried, more, words, area, rest = y
    return prove(
        "five inequalities added up",
        Le(value + products + more, area + carried + rest + of_carried),
        given=[
            Le(value, completed - less + rest),
            Le(completed, rows + carried),
            Le(products, built + of_carried),
            Le(rows + built + words, area),
            Le(more, less + words),
        ],
        refuted=Le(value + products + more, area + carried + rest),
    )


def _carried_pairs(budget: Fact, carried: Fact, once: bool) -> Fact:
    """(X - s)^2/4 + each s + (1 + w) d T_s <= X m/2: few have k products each, many leave few words."""
    S, R, G, K, t = sympy.symbols("S R G K t", nonnegative=True)  # roots of s and m; X, each + (1 + w) d k, s
    given = [*large(once), Le(X, 2 * m)]
    claim = Le((X - s) ** 2 / 4 + each(once) * s + (1 + w) * d * T_s, X * m / 2)
    more = Le((X - s) ** 2 / 4 + each(once) * s + (1 + w) * d * T_s, X * m / 3)
    few = prove(
        "(G - t)^2/4 + K t <= G R^2/2 for 2t <= G",
        Le((G - t) ** 2 / 4 + K * t, G * R**2 / 2),
        given=[Le(4 * K, 3 * R**2), Le(G, 2 * R**2), Le(2 * t, G)],
        refuted=Le((G - t) ** 2 / 4 + K * t, Rational(49, 100) * G * R**2),
    )
    many = prove(
        "(G - S^2)^2/4 + R^2 S^2/4 + R S (G - S^2)/2 <= G R^2/2 for 2 S^2 >= G",
        Le((G - S**2) ** 2 / 4 + R**2 * S**2 / 4 + R * S * (G - S**2) / 2, G * R**2 / 2),
        given=[Le(G, 2 * R**2), Ge(2 * S**2, G), Le(S**2, G)],
        refuted=Le((G - S**2 + R * S) ** 2 / 4, Rational(49, 100) * G * R**2),
    )
    if_few = prove(
        "few carried pairs",
        claim,
        given=[*given, Le(2 * s, X)],
        using=[
            budget,
            carried,
            few.at({G: X, t: s, R: sqrt(m), K: each(once) + (1 + w) * d * k}),
        ],
        refuted=more,
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
        "(1 + w) d <= g sqrt(m)",
        Le((1 + w) * d, g * sqrt(m)),
        given=given,
        refuted=Le((1 + w) * d, g * sqrt(m) / 2),
    )
    L, B = sympy.symbols("L B", real=True)
    longer = prove(
        "2 L t <= R B",
        Le(2 * L * t, R * B),
        given=[Le(2 * G * t, B), Le(L, G * R)],
        refuted=Le(3 * L * t, R * B),
    )
    weighed = prove(
        "carried pairs add at most m/4 each besides their products",
        Le(4 * each(once) * s, m * s),
        given=given,
        refuted=Le(5 * each(once) * s, m * s),
    )
    x = sympy.symbols("x:6", real=True)
    both = prove(
        "three inequalities added up",
        Le(x[0] + x[1] + x[2], x[5]),
        given=[Le(x[1], x[3]), Le(x[2], x[4]), Le(x[0] + x[3] + x[4], x[5])],
        refuted=Le(x[0] + x[1] + x[2], x[5] - 1),
    )
    terms = {
        x[0]: (X - s) ** 2 / 4,
        x[1]: each(once) * s,
        x[2]: (1 + w) * d * T_s,
        x[3]: m * s / 4,
        x[4]: sqrt(m) * sqrt(s) * (X - s) / 2,
        x[5]: X * m / 2,
    }
    products = {L: (1 + w) * d, t: T_s, R: sqrt(m), B: sqrt(s) * (X - s), G: g}
    if_many = prove(
        "many carried pairs",
        claim,
        given=[*given, Ge(2 * s, X)],
        using=[
            budget,
            thin,
            short,
            weighed,
            longer.at(products),
            many.at({G: X, S: sqrt(s), R: sqrt(m)}),
            both.at(terms),
        ],
        refuted=more,
        at={d: 1, d_v: 1, k: 1, v: 1, g: 1, m: 4, X: 8, s: 4, T_s: 4, c: 2, e: 2},
    )
    less = Rational(39, 10)
    t_s, size = sympy.symbols("T m", nonnegative=True)
    refute(
        "the same from m = (13/10) d (d + (1 + w) k) on, for segments in which all pairs are carried and w = 1",
        Implies(
            And(Ge(10 * size, 13 * d * (d + 2 * k)), Le(G, 2 * size), Le(t_s, t * k), Le(4 * t_s**2, t * (G - t) ** 2)),
            Le(4 * d * t_s, G * size / 2),
        ),
        {d: 1, k: 1, size: less, G: 2 * less, t: Rational(193, 50), t_s: Rational(193, 50)},
    )
    return cases("what carried pairs add, in any segment", [if_few, if_many], given=given)
