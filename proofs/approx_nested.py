"""Approximate attention with nested evaluation, as by Horner's rule: parts of outputs hold q^(alpha-beta) W[alpha,l]."""

from __future__ import annotations

from functools import cache

import sympy
from sympy import And, Eq, Ge, Le, Rational

from iosim.bounds.approx import CLOSED_DEGREES, NESTED, closed_forms, steady_state
from iosim.bounds.bound import Bound, symbols
from iosim.proof import Fact, argue, prove
from iosim.theorem import IO, Conclusions, claim_of, expression_of, regime_of, theorem
from proofs.approx_capacity import words_of_a_segment, work_of_a_segment_in_closed_form
from proofs.approx_direct import columns, steady_state_exists
from proofs.approx_model import (
    ADDED,
    ALL,
    F,
    P,
    S,
    W,
    h,
    m,
    pure_stays_once,
    rows_of_a_sum,
    segments_are_full,
    stays_of_a_sum,
)
from proofs.model import M, measured, too_strong

X = measured("X", "words of all segments together: words of rows of K and V, of Q and of sums, and words of outputs")
LEAST, MOST = measured("T(F)", "contributions of F words"), measured("T(2M+F)", "contributions of 2M + F words")
DONE = measured("D", "contributions of all segments")
LENGTH = measured("F_1", "moves of a segment: sqrt(F_0^2 + M^2), rounded up")
NUMBER = measured("h_1", "segments of F_1 moves")
TWO = measured("T_2", "T(F_1) + T(2M + F_1)")

f, rho, M_0 = sympy.symbols("f rho M_0", positive=True)
x, k, T, y, c, a, io, e = sympy.symbols("x k T y c a io e", nonnegative=True)


@theorem
def approximate_io_with_nested_evaluation() -> Conclusions:
    """The traffic of approximate attention by one-shot sums of monomials, with nested evaluation.

    Statement: as with direct evaluation, but S segments of F moves are needed for contributions of (T(F) + T(2M + F))/2 in
        each on average; in closed form, the leading term is less by 2 F_0/(F_0 + sqrt(F_0^2 + M^2)): 0.94, 0.91, 0.89, 0.88
        for g = 1 to 4.
    Hypotheses: the machine, the words and the stays of `proofs.approx_model`; no contribution to a sum is executed twice. A
        word of an output may be a part of sum over alpha >= beta of q_i^(alpha-beta) W[alpha,l] for any beta; multiplied
        by a product of words of the row it is added to another one.
    Does not say: that nesting helps: no schedule that gains by it is known.
    Source: this proof.
    """
    # 1. A part of an output with beta > 0 may be made, kept over the end of a segment and used up without a move. So follow
    #    a contribution forwards, to where its value is when the segment ends, or to where it is stored.
    sinks = argue(
        "follow each contribution to an output along the words that its value is added to, up to the first that is stored "
        "in the segment or in fast memory at its end, its sink: on the way it is multiplied by words of the row that are in "
        "the segment, so that the sink and a product of at most g of them determine it; with t_i words of the row and u_i "
        "sinks there are C(t_i + g, g) u_i at most. Moves are now loads, beginnings of stays of sums, and stores of outputs",
        using=[words_of_a_segment()],
    )
    # 2. A segment has words at its start that are not of outputs, words of outputs at its end, and F moves.
    words = argue(
        "at each boundary the words of outputs that end a segment and the other words that begin the next are in fast "
        "memory together, M at most; nothing is there before the first: M h in all, and F h by moves",
        Le(X, (M + F) * h),
    )
    convex = prove(
        "T is the maximum of linear functions of X, each of which lies below the line through T(F) and T(2M + F) between "
        "them",
        Le((e * x - c) * 2 * M_0, a * (2 * M_0 + f - x) + io * (x - f)),
        given=[Le(e * f - c, a), Le(e * (2 * M_0 + f) - c, io), Le(f, x), Le(x, 2 * M_0 + f)],
        refuted=Le((e * x - c) * 2 * M_0 + 1, a * (2 * M_0 + f - x) + io * (x - f)),
    )
    lines = argue(
        "the same line for every segment, whose words are between F and 2M + F (a shorter last one counts as F moves): the "
        "sum",
        And(Le(DONE * 2 * M, LEAST * ((2 * M + F) * h - X) + MOST * (X - F * h)), Ge(MOST, LEAST)),
        using=[convex, sinks],
    )
    all_done = argue("they do all contributions", Ge(DONE, ALL))
    on_average = prove(
        "h segments do at most h (T(F) + T(2M + F))/2",
        Le(2 * ALL, h * (LEAST + MOST)),
        using=[words, lines, all_done],
        refuted=Le(2 * ALL, h * LEAST),
    )
    needed = argue("so that there are at least as many as are needed", Ge(h, S), using=[on_average])
    # 3. The rest is as for direct evaluation.
    conclusions: dict[Bound, Fact] = {
        NESTED: prove(
            "moves that are paid",
            claim_of(NESTED),
            using=[needed, rows_of_a_sum(), segments_are_full(), nested_moves_are_paid(), pure_stays_once()],
            refuted=Ge(IO, expression_of(NESTED) + 1),
        )
    }
    for degree in CLOSED_DEGREES:
        _, bound = closed_forms(degree)
        conclusions[bound] = _closed(bound, degree)
    too_strong("a quarter more", NESTED, times=Rational(5, 4), **columns(NESTED))  # type: ignore[arg-type]
    return conclusions


@cache
def nested_moves_are_paid() -> Fact:
    """As with direct evaluation, but for outputs only stores count."""
    return argue(
        "loads of words of rows are loads, stores of outputs are stores; a useful stay of a sum contains a "
        "load or a store of "
        "the sum, different ones different ones, unless it is pure",
        Le(W, IO + P),
        beside=[stays_of_a_sum()],
    )


@cache
def from_segments() -> Fact:
    """With F^2 = f^2 + M^2, rounded up, and T(F) + T(2M + F) <= rho ((F + f)^2 + M^2)/(2 f)."""
    rounding = prove(
        "rounding e = sqrt(f^2 + M^2) up costs a factor of 1 - 1/(4 f^2) at most",
        Ge(8 * f**2 * x * (f + e), (4 * f**2 - 1) * ((x + f) ** 2 + M_0**2)),
        given=[Eq(e**2, f**2 + M_0**2), Le(e, x), Le(x, e + 1)],
        refuted=Ge(8 * f**2 * x * (f + e), 4 * f**2 * ((x + f) ** 2 + M_0**2)),
    )
    share = prove(
        "moves of k segments, in terms of what they do",
        Ge(x * k * rho * 2 * f * (f + e), (4 * f**2 - 1) * a),
        given=[
            Eq(e**2, f**2 + M_0**2),
            Le(e, x),
            Le(x, e + 1),
            Le(2 * a, k * T),
            Le(2 * f * T, rho * ((x + f) ** 2 + M_0**2)),
        ],
        using=[rounding],
        refuted=Ge(x * k * rho * 2 * f * (f + e), 4 * f**2 * a + 1),
    )
    return prove(
        "all segments but the last are full",
        Ge(io, 2 * f / (f + e) * ((1 - 1 / (4 * f**2)) * (a / rho)) - e - 1 - c),
        given=[
            Eq(e**2, f**2 + M_0**2),
            Le(e, x),
            Le(x, e + 1),
            Le(2 * a, k * T),
            Le(2 * f * T, rho * ((x + f) ** 2 + M_0**2)),
            Ge(y, x * (k - 1)),
            Ge(io, y - c),
        ],
        using=[share],
        refuted=Ge(io, a / rho - c),
    )


def _closed(bound: Bound, degree: int) -> Fact:
    F_0, rate = (sympy.sympify(found) for found in steady_state(degree, symbols()))
    given = regime_of(bound)
    exists = steady_state_exists(degree)
    ideal = sympy.sqrt(F_0**2 + M**2)
    most = argue(
        "T(F_1) + T(2M + F_1), each by the tangent",
        Le(2 * F_0 * TWO, rate * ((LENGTH + F_0) ** 2 + M**2)),
        given=given,
        using=[work_of_a_segment_in_closed_form(degree), exists],
    )
    length = argue("F_1 is rounded up", And(Le(ideal, LENGTH), Le(LENGTH, ideal + 1)), given=given, using=[exists])
    number = argue("as above, with F_1 for F", Le(2 * ALL, NUMBER * TWO))
    full = argue("all but the last are full", Ge(W, LENGTH * (NUMBER - 1)))
    paid = prove(
        "moves are loads and stores, and pure stays",
        Ge(IO, W - ADDED / m),
        using=[rows_of_a_sum(), nested_moves_are_paid(), pure_stays_once()],
        refuted=Ge(IO, W),
    )
    values = {f: F_0, rho: rate, M_0: M, e: ideal, x: LENGTH, k: NUMBER, T: TWO, y: W, c: ADDED / m, a: ALL, io: IO}
    return prove(
        f"the closed form for g = {degree}",
        claim_of(bound),
        given=given,
        using=[exists, rows_of_a_sum(), most, length, number, full, paid, from_segments().at(values)],
        refuted=Ge(IO, 2 * ALL / rate),
    )
