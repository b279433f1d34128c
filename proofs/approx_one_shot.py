"""Approximate attention whose sums are computed once: the theorem with the best constant known."""

from __future__ import annotations

from functools import cache

from sympy import Eq, Ge, Rational

from iosim.bounds.approx import CLOSED_DEGREES, ONE_SHOT, closed_form, rate, sized, words_of_a_row
from iosim.bounds.bound import Bound, Sizes, symbols
from iosim.proof import Fact, argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, expression_of, regime_of, theorem
from proofs.approx_capacity import parts_of_a_row, rate_in_closed_form, words_of_monomials
from proofs.approx_model import (
    ADDED,
    C,
    T,
    X,
    m,
    moves_are_paid,
    pure_stays_once,
    r,
    rows_of_a_sum,
    words_have_moved,
)
from proofs.model import Schedule, d_v, n_k, n_q, square, too_strong
from proofs.schedules import best_sums, columns_of_sums, held_rows, row_sums


@theorem
def approximate_io_with_one_shot_sums() -> Conclusions:
    """The traffic of approximate attention by one-shot sums of monomials, however they are used.

    Statement: every schedule moves at least (n_q + n_k) C - n_k T/m words, where C is the fewest words of a row with which
        its T contributions are made in parts, at most M in each: T = r d_v to columns of V, or r (d_v+1) - 1 with the
        column of ones. For g = 1 to 4 that is at least (n_q + n_k) r d_v (A_g M^(1/(g+1)) - (g+1)/2)/M - n_k r d_v/m words.
    Hypotheses: the machine, the words, the stays and the segments of `proofs.approx_model`; no contribution to a sum, of the
        column of ones too, is executed twice; outputs are divided by their normalisers. Evaluation may be nested, as by
        Horner's rule.
    Does not say: anything for sums that are computed again, for other words than products of single words of rows, or that
        the constant is attained for g >= 2 by the uses of sums (it is by the additions).
    Source: this proof.
    """
    # 1. What each row needs, in all segments together.
    needed = words_of_all_rows()
    # 2. The moves are paid for by loads and stores, but for pure stays of sums.
    conclusions: dict[Bound, Fact] = {
        ONE_SHOT: prove(
            "moves that are paid",
            claim_of(ONE_SHOT),
            using=[needed, words_have_moved(), rows_of_a_sum(), moves_are_paid(), pure_stays_once()],
            refuted=Ge(IO, expression_of(ONE_SHOT) + 1),
        )
    }
    # 3. The closed form.
    for degree in CLOSED_DEGREES:
        conclusions[closed_form(degree)] = _closed(closed_form(degree), degree)
    stronger_is_false()
    return conclusions


@cache
def words_of_all_rows() -> Fact:
    """C words of each row, in all segments together."""
    return argue(
        "of a segment with s words of a row, sinks among them, and at most M sums, the row has at most min(kappa(s), M) "
        "distinct contributions to columns of V, since each needs a sum of its own, or min(kappa(s+1) - 1, M) with the "
        "column of ones, if its sums count; all segments together have all T of each row",
        Ge(X, (n_q + n_k) * C),
        using=[words_of_monomials(), parts_of_a_row()],
    )


def _closed(bound: Bound, degree: int) -> Fact:
    of_V = argue("let columns of V count only", Eq(T, r * d_v))
    each = argue(
        "c <= min(kappa(s), M) contributions of s words are at most s rho(M): so a row needs r d_v/rho(M) words at least",
        Ge(C, r * d_v / rate(degree, symbols())),
        using=[of_V, parts_of_a_row(), rate_in_closed_form(degree)],
    )
    return prove(
        f"the closed form for g = {degree}",
        claim_of(bound),
        given=regime_of(bound),
        using=[
            of_V,
            each,
            words_of_all_rows(),
            words_have_moved(),
            rows_of_a_sum(),
            moves_are_paid(),
            pure_stays_once(),
        ],
        refuted=Ge(IO, 2 * (n_q + n_k) * r * d_v / rate(degree, symbols())),
    )


def stronger_is_false() -> None:
    """Schedules that move fewer words than more would have it."""
    too_strong("three percent more", ONE_SHOT, *columns(ONE_SHOT), times=Rational(103, 100))
    # A sum may be built, used and dropped without a move of its own.
    held = square(3, 4, 52, g=4)
    too_strong("the bound with nothing subtracted", ONE_SHOT, held_rows(held), sized(ONE_SHOT, held), plus=ADDED / m)
    # Sums that are used with a single row are flash attention in disguise.
    early = square(256, 16, 351, g=4)
    too_strong(
        "the bound with all rows for m, where sums are used with one",
        ONE_SHOT,
        row_sums(early, 10),
        sized(ONE_SHOT, early),
    )
    # A normaliser that has been used needs no place in slow memory.
    resident = square(2**20, 4, 100, g=2)
    with_a_word = words_of_a_row(2, 4, 15 * 5, 100)  # as if the ones were one more column of V
    too_strong(
        "a word for the column of ones",
        ONE_SHOT,
        best_sums(resident),
        Sizes(sizes={**sized(ONE_SHOT, resident).sizes, "C": with_a_word}),
    )
    # What is left of a row after M products is less than another M of them.
    left = square(2**16, 64, 137000, g=2)
    sizes = dict(sized(ONE_SHOT, left).sizes)
    whole = Sizes(sizes={**sizes, "C": 2 * (left.d + left.d_v)})
    too_strong("two whole visits of a row, where sums are few more than M", ONE_SHOT, best_sums(left), whole)


def columns(bound: Bound, n: int = 2**16) -> tuple[Schedule, Sizes]:
    """A schedule with sums of all features, for a third of the columns after the other, and the sizes."""
    at = square(n, 64, 47257, g=2)
    return columns_of_sums(at, 22), sized(bound, at)
