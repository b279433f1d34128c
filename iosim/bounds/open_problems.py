"""What is not known about exact attention: where the lower bounds and the best schedules are apart, and why.

Write u = d/sqrt(M) for d_v = d, and N for the pairs that meet. The proved bound is 4u^2 N + 4M/5 up to u = 1/2, and
(4u - 1) N + 3M/5 beyond; the best schedules known move 4u^2 N up to u = 1, (1 + u)^2 N up to u = 2 and (4u + 1) N beyond, at
leading order.
"""

from __future__ import annotations

from dataclasses import dataclass

from iosim.bounds.bound import Setting


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
        "The bound is (4u - 1) N, the best schedules move 4u^2 N for d^2 <= M <= 4d^2, (1 + u)^2 N for d^2/4 <= M <= d^2 "
        "and (4u + 1) N below: up to 4/3 as much, at M = d^2. Conjecture: FlashAttention-2's order is optimal for all "
        "M >= d^2, and 4u N is a lower bound for M <= d^2."
    ),
)

SECOND_ORDER = OpenProblem(
    number=2,
    title="the second-order term, M near nd",
    statement=(
        "The bound is max(4nd, 4n^2d^2/M + 4M/5), from M = 2nd on 4nd; the best schedules move 4n^2d^2/M + 2nd, for Q and "
        "O, and what it adds that the number of row tiles is whole: up to 1.6 times as much, near M = nd. Conjecture: no "
        "schedule moves less than 4n^2d^2/M + 2nd from M = 4d^2 to M = 2nd."
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
