"""Approximate attention whose sums are computed once: the theorem with the best constant known."""

from __future__ import annotations

from functools import cache

import sympy
from sympy import And, Ge, Le, Rational

from iosim.bounds.approx import (
    CLOSED_DEGREES,
    ONE_SHOT,
    closed_form,
    least_memory,
    steady_state,
    work,
)
from iosim.bounds.bound import Bound, Setting, Sizes, symbols
from iosim.proof import Fact, argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, expression_of, regime_of, theorem
from proofs.approx_capacity import words_of_a_segment, work_of_a_segment_in_closed_form
from proofs.approx_model import (
    ADDED,
    ALL,
    S,
    W,
    h,
    m,
    moves_are_paid,
    pure_stays_once,
    rows_of_a_sum,
    segments_are_full,
)
from proofs.model import M, Schedule, measured, square, too_strong
from proofs.schedules import columns_of_sums, held_rows, row_sums

# A segment of the closed form, which is of another length than M + F.
LENGTH = measured("F_1", "words of a segment, less M: F_0, rounded up")
NUMBER = measured("h_1", "segments of M + F_1 words")
MOST = measured("T_1", "contributions of a segment of M + F_1 words, at most")

f, rho = sympy.symbols("f rho", positive=True)
x, k, T, y, c, a, io = sympy.symbols("x k T y c a io", nonnegative=True)


@theorem
def approximate_io_with_one_shot_sums() -> Conclusions:
    """The traffic of approximate attention by one-shot sums of monomials, however they are used.

    Statement: every schedule moves at least F (S - 1) - n_k r d_v/m words for every whole F, where S segments of M + F
        words are needed for (n_q + n_k) r d_v contributions, T(M + F) in each. For g = 1 to 4 and M from a small number on,
        that is (1 - 1/(4 F_0^2)) (n_q + n_k) r d_v (A_g M^(1/(g+1)) - (g+1)/2)/M - F_0 - 1 - n_k r d_v/m words.
    Hypotheses: the machine, the words, the stays and the segments of `proofs.approx_model`; no contribution to a sum is
        executed twice. Evaluation may be nested, as by Horner's rule.
    Does not say: anything for sums that are computed again, for other words than products of single words of rows, or that
        the constant is attained for g >= 2 by the uses of sums (it is by the additions).
    Source: this proof.
    """
    # 1. Segments of M + F words: those at the start that are not of outputs, those that come or are stored, and the outputs
    #    at the end.
    contributions = argue(
        "of the M + F words of a segment w are sums, the others words of rows and sinks of contributions, from which all "
        "contributions of the segment are formed: at most T(M + F); and the h segments have all (n_q + n_k) r d_v, so that "
        "there are at least as many as are needed",
        Ge(h, S),
        using=[words_of_a_segment()],
    )
    # 2. The moves are paid for by loads and stores, but for pure stays of sums.
    conclusions: dict[Bound, Fact] = {
        ONE_SHOT: prove(
            "moves that are paid",
            claim_of(ONE_SHOT),
            using=[contributions, rows_of_a_sum(), segments_are_full(), moves_are_paid(), pure_stays_once()],
            refuted=Ge(IO, expression_of(ONE_SHOT) + 1),
        )
    }
    # 3. The closed form: T from the tangent, segments of M + F_0 words.
    for degree in CLOSED_DEGREES:
        conclusions[closed_form(degree)] = _closed(closed_form(degree), degree)
    stronger_is_false()
    return conclusions


@cache
def from_segments() -> Fact:
    """With F_0 <= F <= F_0 + 1 and T <= rho (F + F_0)^2/(4 F_0)."""
    rounding = prove(
        "rounding F_0 up costs a factor of 1 - 1/(4 F_0^2) at most",
        Ge(16 * f**3 * x, (4 * f**2 - 1) * (x + f) ** 2),
        given=[Le(f, x), Le(x, f + 1)],
        refuted=Ge(16 * f**3 * x, 4 * f**2 * (x + f) ** 2),
    )
    share = prove(
        "moves of k segments, in terms of what they do",
        Ge(x * k * rho * 4 * f**2, (4 * f**2 - 1) * a),
        given=[Le(f, x), Le(x, f + 1), Le(a, k * T), Le(4 * f * T, rho * (x + f) ** 2)],
        using=[rounding],
        refuted=Ge(x * k * rho * 4 * f**2, 4 * f**2 * a + 1),
    )
    return prove(
        "all segments but the last are full",
        Ge(io, (1 - 1 / (4 * f**2)) * (a / rho) - f - 1 - c),
        given=[
            Le(f, x),
            Le(x, f + 1),
            Le(a, k * T),
            Le(4 * f * T, rho * (x + f) ** 2),
            Ge(y, x * (k - 1)),
            Ge(io, y - c),
        ],
        using=[share],
        refuted=Ge(io, a / rho - f + 1 - c),
    )


def _closed(bound: Bound, degree: int) -> Fact:
    F_0, rate = (sympy.sympify(found) for found in steady_state(degree, symbols()))
    given = regime_of(bound)
    exists = steady_state_exists(degree)
    most = argue(
        "T(M + F_1), by the tangent",
        Le(4 * F_0 * MOST, rate * (LENGTH + F_0) ** 2),
        given=given,
        using=[work_of_a_segment_in_closed_form(degree), exists],
    )
    length = argue("F_1 is F_0 rounded up", And(Le(F_0, LENGTH), Le(LENGTH, F_0 + 1)), given=given, using=[exists])
    number = argue("the segments do all contributions", Le(ALL, NUMBER * MOST))
    paid = prove(
        "moves are loads and stores, and pure stays",
        Ge(IO, W - ADDED / m),
        using=[rows_of_a_sum(), moves_are_paid(), pure_stays_once()],
        refuted=Ge(IO, W),
    )
    values = {f: F_0, rho: rate, x: LENGTH, k: NUMBER, T: MOST, y: W, c: ADDED / m, a: ALL, io: IO}
    return prove(
        f"the closed form for g = {degree}",
        claim_of(bound),
        given=given,
        using=[
            exists,
            rows_of_a_sum(),
            most,
            length,
            number,
            segments_are_full(LENGTH, NUMBER),
            paid,
            from_segments().at(values),
        ],
        refuted=Ge(IO, 2 * ALL / rate),
    )


@cache
def steady_state_exists(degree: int) -> Fact:
    """F_0 and rhohat(M) are positive from the least M of the closed form on."""
    F_0, rate = (sympy.sympify(found) for found in steady_state(degree, symbols()))
    return prove(
        f"F_0 and rhohat(M) are positive for g = {degree}",
        And(sympy.Gt(F_0, 0), sympy.Gt(rate, 0)),
        given=[Ge(M, least_memory(degree))],
        refuted=sympy.Gt(rate, M),
    )


def stronger_is_false() -> None:
    """Schedules that move fewer words than more would have it."""
    too_strong("a tenth more", ONE_SHOT, *columns(ONE_SHOT), times=Rational(11, 10))
    # A sum may be built, used and dropped without a move of its own.
    held = square(3, 4, 52, g=4)
    too_strong("the bound with nothing subtracted", ONE_SHOT, held_rows(held), cut(ONE_SHOT, held), plus=ADDED / m)
    # Sums that are used with a single row are flash attention in disguise.
    early = square(256, 16, 351, g=4)
    too_strong(
        "the bound with all rows for m, where sums are used with one",
        ONE_SHOT,
        row_sums(early, 10),
        cut(ONE_SHOT, early),
    )


def columns(bound: Bound, n: int = 2**16) -> tuple[Schedule, Sizes]:
    """A schedule with sums of all features, for a third of the columns after the other, and the sizes."""
    at = square(n, 64, 47257, g=2)
    return columns_of_sums(at, 22), cut(bound, at)


def cut(bound: Bound, at: Setting) -> Sizes:
    """The sizes, with the best F and its S."""
    found = work(bound, at).best()
    assert found is not None
    return Sizes(sizes={**at.sizes, "F": found[0], "S": found[1]})
