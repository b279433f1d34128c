"""What is made a kernel of: each schedule of the registered algorithms, at a few rows."""

from __future__ import annotations

from iosim import Problem
from iosim.algorithm import Algorithm, Best
from iosim.approximation.minimax import minimax_exp
from iosim.plan import Plan
from tests.registered import REGISTERED, SETTINGS, fitted

OWN = [name for name, algorithm in REGISTERED.items() if not isinstance(algorithm, Best)]

# The operation that has no Triton text.
NOT_LOWERED = {
    "based": "add_taylor_features",
    "block-sparse": "hide_listed_scores",
    "support-basis": "add_taylor_features",
}


def small(name: str, **changes: object) -> Problem:
    """A problem of a few rows that the algorithm is for."""
    problem = Problem(
        n=21, d=4, degree=2, coefficients=minimax_exp(2, 1.0).coefficients, settings=tuple(SETTINGS.items()), **changes
    )
    return REGISTERED[name].settled(fitted(name, problem))


def plans_of(algorithm: Algorithm, problem: Problem) -> list[Plan]:
    """A plan of each of its schedules."""
    least = algorithm.least_capacity(problem)
    found: dict[str, Plan] = {}
    for capacity in (least, 2 * least, 8 * least):
        for plan in algorithm.plans(problem, capacity):
            found.setdefault(plan.schedule, plan)
    return list(found.values())
