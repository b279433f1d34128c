"""Approximate attention whose sums may be computed again at will."""

from __future__ import annotations

from sympy import Ge, Le, Rational

from iosim.bounds.approx import AGAIN
from iosim.bounds.bound import Bound
from iosim.proof import Fact, argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs.approx_capacity import words_of_a_segment
from proofs.approx_model import F, L, P, S, W, h, m, moves_are_paid, pure_stays_again, rows_of_a_sum, segments_are_full
from proofs.approx_one_shot import columns
from proofs.model import M, too_strong


@theorem
def approximate_io_with_sums_computed_again() -> Conclusions:
    """The traffic of approximate attention by sums of monomials that may be computed again.

    Statement: every schedule moves at least (1 - M/m) F (S - 1) words if m >= M, with the S of one-shot sums.
    Hypotheses: the machine, the words, the stays and the segments of `proofs.approx_model`; a sum is used only while it
        holds m rows.
    Does not say: anything for m < M. There it is false: with K and V in fast memory sums cost nothing.
    Source: this proof.
    """
    # 1. Contributions that differ are as many as before, and segments are needed for them as before.
    needed = argue(
        "of each contribution one execution is designated: segments are needed as for one-shot sums",
        Ge(h, S),
        using=[words_of_a_segment()],
    )
    too_strong("a third more", AGAIN, *columns(AGAIN, 2**24), times=Rational(4, 3))
    return {AGAIN: again(AGAIN, needed)}


def again(bound: Bound, needed: Fact) -> Fact:
    """From segments to traffic, where a pure stay is paid for by the loads in it."""
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
        "all segments but the last are full",
        claim_of(bound),
        given=regime_of(bound),
        using=[needed, share, rows_of_a_sum(), segments_are_full()],
        refuted=Ge(IO, F * (S - 1)),
    )
