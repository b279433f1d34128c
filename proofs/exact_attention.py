"""Exact attention: the theorems behind the bounds of `iosim.bounds.exact`, and here the first of them.

The others are in `any_fast_memory`, `wide_sums_segment` and `wide_sums`, `large_fast_memory`, `never_stored` and `tied`, to
be read in this order.

The machine, the words and the terms are those of `proofs.model`. Every algebraic step is proved for all real values;
Loomis-Whitney is cited; what a schedule does to its words is argued, and where it is small enough, checked in all cases.
"""

from __future__ import annotations

from sympy import Ge, Le

from iosim.bounds.exact import TRIVIAL, TRIVIAL_TIED
from iosim.proof import argue, prove
from iosim.proof.theorem import IO, Conclusions, claim_of, regime_of, theorem
from proofs.model import d, d_v, measured, n_k, n_q, square, too_strong
from proofs.schedules import flash2_order, tied_order

LOADS, STORES = measured("loads", "words loaded"), measured("stores", "words stored")


@theorem
def inputs_are_loaded_and_outputs_stored() -> Conclusions:
    """What every schedule moves, however large fast memory is.

    Statement: every schedule moves at least (n_q + n_k)(d + d_v) words; n_q (d + d_v) + n_k d words if V is columns of K.
    Hypotheses: the machine and the words of `proofs.model`; every query meets a key and every key a query, so that N is
        at least n_q and n_k.
    Does not say: anything for algorithms that leave products out, as an algorithm may for a query with a single key.
    Source: this proof.
    """
    # 1. The two directions make up the traffic.
    both = argue("a word is moved by a load or by a store", Le(LOADS + STORES, IO))
    # 2. Nothing can be put into slow memory but by a store.
    stores = argue("every word of O has to end in slow memory", Ge(STORES, n_q * d_v))
    conclusions = {}
    for bound, inputs in ((TRIVIAL, n_q * d + n_k * (d + d_v)), (TRIVIAL_TIED, n_q * d + n_k * d)):
        # 3. Fast memory starts empty.
        loads = argue(
            "every word of an input is an operand of a product that is formed, for which it has to be in fast memory",
            Ge(LOADS, inputs),
            given=regime_of(bound),
        )
        conclusions[bound] = prove(
            "inputs and outputs together",
            claim_of(bound),
            given=regime_of(bound),
            using=[both, stores, loads],
            refuted=Ge(IO, bound.expression + 1),
        )
    # With fast memory for all rows of Q and O these bounds are attained.
    at = square(2**10, 64, 2**18)
    too_strong("one word more", TRIVIAL, flash2_order(at, 2**10), at, plus=1)
    schedule = tied_order(at, 2**10)
    too_strong("one word more if tied", TRIVIAL_TIED, schedule, at, plus=1)
    too_strong("what holds for values of their own, if tied", TRIVIAL, schedule, at)
    return conclusions
