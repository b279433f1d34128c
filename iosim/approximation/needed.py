"""What would it take to approximate well, where the degree asked for does not?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim import request
from iosim.algorithm import Algorithm
from iosim.approximation.payoff import Payoff, payoff
from iosim.defaults import DEFAULT_EPS
from iosim.problem import Problem

if TYPE_CHECKING:
    from iosim.approximation.minimax import ExpPolynomial

MOST_DEGREE = 32  # a degree beyond is not looked for where no degree was asked for: it never pays
MOST_FEATURES = 10**12  # of more, no schedule is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What it would take to approximate well, where the degree asked for does not: relative error at most 0.1.

    Attributes:
        degree: the least degree that reaches it; None if none up to 32 does.
        features: monomials of at most that degree in d variables.
        least_words: the fewest words of fast memory with that degree.
        payoff: its traffic against exact attention; None if it does not fit in the fast memory.
    """

    degree: int | None
    features: int = 0
    least_words: int | None = None
    payoff: Payoff | None = None


def needed(algorithm: Algorithm, problem: Problem, capacity: int, polynomial: ExpPolynomial | None) -> Needed | None:
    """None where the polynomial at hand is good enough."""
    if polynomial is None or polynomial.relative_error <= DEFAULT_EPS:
        return None
    better = request.least_degree(DEFAULT_EPS, polynomial.logit_bound, MOST_DEGREE)
    if better is None:
        return Needed(degree=None)
    problem = request.with_polynomial(problem, better)
    if problem.features > MOST_FEATURES:
        return Needed(degree=better.degree, features=problem.features)
    least = algorithm.least_capacity(problem)
    found = None
    if least <= capacity:
        found = payoff(algorithm, problem, capacity, algorithm.best(problem, capacity).io_words)
    return Needed(degree=better.degree, features=problem.features, least_words=least, payoff=found)
