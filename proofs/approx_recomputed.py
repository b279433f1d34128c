"""Approximate attention whose sums may be computed again at will."""

from __future__ import annotations

from sympy import Expr, Ge, Le, Rational

from iosim.bounds.approx import AGAIN
from iosim.bounds.bound import Bound
from iosim.proof import Fact, argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs.approx_model import C, L, P, W, m, moves_are_paid, pure_stays_again, rows_of_a_sum, words_have_moved
from proofs.approx_one_shot import columns, words_of_all_rows
from proofs.model import M, n_k, n_q, too_strong


@theorem
def approximate_io_with_sums_computed_again() -> Conclusions:
    """The traffic of approximate attention by sums of monomials that may be computed again.

    Statement: every schedule moves at least (1 - M/m) (n_q + n_k) C words if m >= M, with the C of one-shot sums.
    Hypotheses: the machine, the words, the stays and the segments of `proofs.approx_model`; a sum is used only while it
        holds m rows.
    Does not say: anything for m < M. There it is false: with K and V in fast memory sums cost nothing.
    Source: this proof.
    """
    # 1. Of each contribution one execution is designated: rows need the words that they need for one-shot sums.
    too_strong("three percent more", AGAIN, *columns(AGAIN, 2**24), times=Rational(103, 100))
    return {AGAIN: again(AGAIN, words_of_all_rows(), (n_q + n_k) * C)}


def again(bound: Bound, needed: Fact, words: Expr) -> Fact:
    """From words of rows to traffic, where a pure stay is paid for by the loads in it."""
    loads = argue("they are loads", Le(L, IO))
    # 2. So P <= M L/(m - M), and the moves are at most IO m/(m - M).
    pure = prove(
        "pure stays are at most a share of the traffic",
        Le((m - M) * P, M * IO),
        using=[pure_stays_again(), loads],
        refuted=Le((m - M) * P, M * IO / 2),
    )
    share = prove(
        "moves are at most a share m/(m - M) of the traffic",
        Le((m - M) * W, m * IO),
        given=[Ge(m, M)],
        using=[pure, moves_are_paid()],
        refuted=Le((m - M) * W, m * IO / 2),
    )
    return prove(
        "words of rows are paid for but for that share",
        claim_of(bound),
        given=regime_of(bound),
        using=[needed, share, rows_of_a_sum(), words_have_moved()],
        refuted=Ge(IO, words),
    )
