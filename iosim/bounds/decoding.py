"""The lower bound for decoding with a state of feature sums: all of the state moves, both ways, and each word of the tokens.

Every word of the new state depends on the word of the old one and on a word of each new value; every output on all of the
state in its column. So whatever the order, all inputs are loaded and all outputs stored.
"""

from __future__ import annotations

from fractions import Fraction

from iosim.bounds.bound import Bound, Setting
from iosim.expr import monomial_count


def compulsory(degree: int, group: int, heads: int, d: int) -> Bound:
    """That the state and the new tokens are loaded, and the new state and the outputs stored.

    Args:
        degree: of the polynomial.
        group: query heads that share the keys of a token.
        heads: states, one for each key head.
        d: head dimension of queries and keys.
    """
    words = 2 * heads * monomial_count(d, degree)
    return Bound(
        name="state_and_tokens_are_loaded_and_new_state_and_outputs_stored",
        formula=lambda x: (1 + x.number(Fraction(1, group))) * x.n_q * (x.d + x.d_v) + words * (x.d_v + 1),
        source="every word of the new state depends on the old one and the new tokens, every output on the state",
        compulsory=True,
    )


def applicable(setting: Setting, *, degree: int, group: int, heads: int) -> tuple[tuple[Bound, int], ...]:
    """The bound, and what it says in words."""
    bound = compulsory(degree, group, heads, setting.d)
    return ((bound, bound.words(setting)),)
