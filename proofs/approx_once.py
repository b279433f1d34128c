"""When each word of Q, K, V and O can move once: only if all sums are resident."""

from __future__ import annotations

from dataclasses import replace

from sympy import Ge, Le, Or

from iosim.bounds.approx import NOT_RESIDENT
from iosim.bounds.bound import Bound, Condition, Letters
from iosim.proof import Fact, argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs.approx_model import r
from proofs.model import M, d, d_v, measured, n_k, n_q, square, too_strong
from proofs.schedules import best_sums

WORDS = measured("X_1", "words in fast memory with the last word of K and V")
ONCE = (n_q + n_k) * (d + d_v)


@theorem
def each_word_moves_once_only_if_all_sums_are_resident() -> Conclusions:
    """Where the traffic of approximate attention is more than inputs and outputs.

    Statement: with M < r (d_v + 1) + min(d, d_v) words and more than M + 1 keys and M queries for each head, every schedule
        moves at least one word more than inputs and outputs.
    Hypotheses: the words of `proofs.approx_model`, in any model of a step; sums may be computed again, evaluation may be
        nested, sums are used when they hold all rows.
    Does not say: how many words more; that r (d_v + 1) + min(d, d_v) words are enough: with binary fused multiply-add g more
        are used.
    Source: this proof.
    """
    # 1. Suppose that nothing moves but each input once, and each output once.
    least = argue("every input is loaded and every output stored", Ge(IO, ONCE))
    whole = argue("traffic is a whole number", Or(Ge(IO, ONCE + 1), Le(IO, ONCE)))
    fit = argue(
        "the last word is one of v_j: with it, k_j,1 ... k_j,d are needed; or of k_j: with it v_j,1 ...", Le(WORDS, M)
    )
    conclusions: dict[Bound, Fact] = {}
    for bound, width in zip(NOT_RESIDENT, (d, d_v), strict=True):
        given = regime_of(bound)
        # 2. The moment at which the last word of K and V comes, of row j.
        sums = argue(
            "before it, of the rows but j all words are loaded, and at most M have a word in fast memory: of some row none "
            "is left, and all its contributions are in words of sums. No output is finished, since every sum lacks row j; "
            "of each row of Q that has been touched a word or a part of an output is still there, since it can't be loaded "
            "again: some row is untouched, and needs every sum. So a word of each of the r d_v sums and of the r - 1 of the "
            "normaliser that are not a constant is in fast memory",
            Or(Ge(IO, ONCE + 1), Ge(WORDS, r * (d_v + 1) - 1 + width + 1)),
            given=given,
        )
        conclusions[bound] = prove(
            "one word more than inputs and outputs",
            claim_of(bound),
            given=given,
            using=[least, whole, sums, fit],
            refuted=Ge(IO, ONCE + 2),
        )
    _stronger_is_false()
    return conclusions


def _stronger_is_false() -> None:
    """n = 1000, d = 4, g = 1, r = 5: M = 28 words, one less than r (d + 1) + d."""
    at = square(1000, 4, 28, g=1)
    # one feature of one column in a pass of its own: a word of K and of V loaded again, one of Q, and O twice
    too_strong("five words a query more, and one", NOT_RESIDENT[0], best_sums(at), at, plus=5 * n_q)
    at, wider = square(1000, 4, 30, g=1), replace(NOT_RESIDENT[0], conditions=_wider)
    too_strong("the same up to r (d + 1) + d + 1 words", wider, best_sums(at), at)


def _wider(x: Letters) -> tuple[Condition, ...]:
    return ((x.r * (x.d_v + 1) + x.d + 1, x.M),)
