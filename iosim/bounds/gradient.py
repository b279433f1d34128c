"""Lower bounds for the gradient of exact attention.

**What must move.** An input on which an output depends has to be loaded, and every output stored.

**Attention within the gradient.** The theorems about exact attention (`iosim.bounds.exact`) are about any schedule that
forms a word P_ij of each pair from the whole sum over l of the products of a word of one array with one of another, and adds
the products of P_ij with words of a third array, which is neither of them, to the words of a result (`proofs.model`). The
gradient contains that, twice:

    dV_j = sum_i P_ij dO_i    with P_ij from sum_l K_jl Q_il:     K, Q, dO, dV for Q, K, V, O
    dQ_i = sum_j dS_ij K_j    with dS_ij from sum_l dO_il V_jl:   dO, V, K, dQ for Q, K, V, O; d and d_v exchanged

Take a schedule of the gradient, and look at one of the two. All other words (L, D, and in the first row V, dP, O) are taken
as known: that costs nothing and takes no room, so what is left is a schedule of attention in the same fast memory that moves
no more words. A word that depends on the score of a pair and on what is known is a function of that score: a word of the
pair. So each theorem about all schedules of attention that are not tied holds for the gradient. (dQ from scores and keys,
or dK from scores and queries, would be tied: one array is factor of the scores and of the second product.)

The constants are of two products for each pair, while there are five, and three results: with d_v = d, 4 N d^2/M stands
against the 14 N d^2/M of two sweeps. Whether they can be closer is open here; without constants Li et al. 2024
(`iosim.bounds.literature`) have the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from iosim.bounds import exact
from iosim.bounds.bound import Bound, Letters, Setting
from iosim.bounds.declared import Declares, moved
from iosim.task import GRADIENT


def compulsory(program: Declares) -> Bound:
    """That each input that the program is given is loaded, and each output stored.

    A program that is not given O or L, and computes what it needs of them, does not load them.
    """
    names = [array.name for array in moved(program)]

    def words(x: Letters) -> Any:
        total: Any = 0
        for name in names:
            rows, *columns = GRADIENT.axes[name]
            total += x["n_q" if rows == "n" else rows] * (x[columns[0]] if columns else 1)
        return total

    return Bound(
        name="gradient_inputs_are_loaded_and_outputs_stored",
        formula=words,
        conditions=lambda x: ((x.N, x.n_q), (x.N, x.n_k)),
        source="every output depends on every word of its inputs that meets it",
        compulsory=True,
    )


def for_values(bound: Bound) -> Bound:
    """What a bound for attention says of the gradient, through dV: Q, K, V and O are K, Q, dO and dV."""
    return replace(
        bound,
        name=f"gradient_{bound.name}",
        formula=lambda x: bound.formula(x.renamed(n_q="n_k", n_k="n_q")),
        conditions=lambda x: bound.conditions(x.renamed(n_q="n_k", n_k="n_q")),
    )


def for_queries(bound: Bound) -> Bound:
    """What a bound for attention says of the gradient, through dQ: Q, K, V and O are dO, V, K and dQ."""
    return replace(
        bound,
        name=f"gradient_{bound.name}_with_d_and_dv_exchanged",
        formula=lambda x: bound.formula(x.renamed(d="d_v", d_v="d")),
        conditions=lambda x: bound.conditions(x.renamed(d="d_v", d_v="d")),
    )


def applicable(setting: Setting, program: Declares) -> Iterator[tuple[Bound, int]]:
    """The bounds that say something about this setting and this program, and what they say in words."""
    bound = compulsory(program)
    if bound.applies(setting):
        yield bound, bound.words(setting)
    for exchanged in (False, True) if setting.d != setting.d_v else (False,):
        of_attention = replace(
            setting,
            properties=frozenset(),
            **({"d": setting.d_v, "d_v": setting.d} if exchanged else {"n_q": setting.n_k, "n_k": setting.n_q}),
        )
        for found, words in exact.applicable(of_attention):
            if not found.compulsory:
                yield (for_queries if exchanged else for_values)(found), words
