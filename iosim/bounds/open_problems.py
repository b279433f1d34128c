"""What is not known about exact attention: where the lower bounds and the best schedules are apart, and why.

Write u = d/sqrt(M) for d_v = d, and N for the pairs that meet. Then at leading order `proved(u)` N words move at least, and
the best schedules known move `best_known(u)` N.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from iosim.bounds.bound import Setting


class PerPair(NamedTuple):
    """Words that move for each pair of a query and a key that meet, at leading order.

    Attributes:
        text: the formula, for people.
        at: the same as a function of u.
    """

    text: str
    at: Callable[[Any], Any]


_ORDER = PerPair("4u^2", lambda u: 4 * u * u)  # of FlashAttention-2, and of the bound while it is optimal
_BOUND = PerPair("4u - 1", lambda u: 4 * u - 1)
_ROWS = PerPair("(1 + u)^2", lambda u: (1 + u) ** 2)  # two passes, the scores by whole rows
_SQUARES = PerPair("4u + 1", lambda u: 4 * u + 1)  # two passes, all by square tiles
FORMULAS = (_ORDER, _BOUND, _ROWS, _SQUARES)


def proved(u: Any) -> Any:
    """What the lower bound has for each pair that meets, beside terms without u. Units: words."""
    return (_ORDER if 2 * u <= 1 else _BOUND).at(u)


def best_known(u: Any) -> Any:
    """What the best schedules move for each pair that meets, at leading order. Units: words."""
    return (_ORDER if u <= 1 else _ROWS if u <= 2 else _SQUARES).at(u)


WIDEST = Fraction(best_known(1), proved(1))  # between them: the ratio rises up to u = 1 and falls from there on


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProblem:
    """A gap between bounds and schedules.

    Attributes:
        number: what tables call it.
        title: where it is, in a few words.
        statement: what is known, and what is conjectured.
    """

    number: int
    title: str
    statement: str


MIDDLE = OpenProblem(
    number=1,
    title="the middle regime, M < 4d^2",
    statement=(
        f"The bound is ({_BOUND.text}) N, the best schedules move {_ORDER.text} N for d^2 <= M <= 4d^2, {_ROWS.text} N for "
        f"d^2/4 <= M <= d^2 and ({_SQUARES.text}) N below: up to {WIDEST} as much, at M = d^2. Conjecture: "
        "FlashAttention-2's order is optimal for all M >= d^2, and 4u N is a lower bound for M <= d^2."
    ),
)

SECOND_ORDER = OpenProblem(
    number=2,
    title="the second-order term, M near nd",
    statement=(
        "The bound is max(4nd, 4n^2d^2/M + 4M/5), from M = 2nd on 4nd; the best schedules move 4n^2d^2/M + 2nd, for Q and "
        "O, and what it adds that the number of row tiles is whole: about 1.5 times as much near M = nd, more for small d. "
        "Conjecture: no schedule moves less than 4n^2d^2/M + 2nd from M = 4d^2 to M = 2nd."
    ),
)

OPEN_PROBLEMS = (MIDDLE, SECOND_ORDER)
GAP = 1.1  # times the lower bound, beyond which there is a gap


def open_problem(setting: Setting, ratio: float) -> OpenProblem | None:
    """What the gap at these sizes is about: the first open problem for M < 4d^2, else the second; None where it is small.

    Args:
        setting: the sizes.
        ratio: of the words that the best schedule moves to the lower bound.
    """
    if ratio <= GAP:
        return None
    return SECOND_ORDER if 4 * setting.d**2 <= setting.M else MIDDLE
