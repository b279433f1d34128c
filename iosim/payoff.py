"""Does an approximation pay? Its traffic against that of the best exact schedule, here and at other n."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from iosim import registry
from iosim.algorithm import Algorithm, Best, Plan, Problem
from iosim.expr import evaluate_int

MAX_N = 2**50


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """An algorithm's traffic and that of the best exact schedule for the same n, d and fast memory, for one head.

    Attributes:
        words: what the algorithm moves.
        exact: the plan of the best exact schedule; None if none fits.
        exact_words: what that moves.
        pays_from_n: if the algorithm is approximate and does not move fewer words here: from which n it does; None if it
            does not at n = 2^50.
    """

    words: int
    exact: Plan | None
    exact_words: int | None
    pays_from_n: int | None

    @property
    def pays(self) -> bool:
        """Whether it moves fewer words than every exact schedule that fits."""
        return self.exact_words is None or self.words < self.exact_words

    def __str__(self) -> str:
        """How the traffic compares with that of the exact schedule, in words."""
        if self.exact is None or self.exact_words is None:
            return "no exact schedule fits in this fast memory"
        name = f"{self.exact.algorithm} {self.exact.schedule}"
        if self.words == self.exact_words:
            return f"as many words as {name}"
        few, many = sorted((self.words, self.exact_words))
        more = "fewer" if self.words == few else "more"
        if many >= 1.1 * few:
            ratio = f"{many / few:,.0f}" if many >= 100 * few else f"{many / few:.3g}"
            return f"{ratio}x {more} words than {name}"
        return f"{100 * (many - few) / self.exact_words:.2g}% {more} words than {name}"


def payoff(algorithm: Algorithm, problem: Problem, capacity: int, plan: Plan) -> Payoff:
    """How `plan`, one of the algorithm's, compares with exact attention; from which n the algorithm pays, if not here."""
    exact = _fewest(registry.find("exact"), problem, capacity)
    found = Payoff(
        words=io_words(plan),
        exact=exact,
        exact_words=None if exact is None else io_words(exact),
        pays_from_n=None,
    )
    if found.pays or not algorithm.approximate:
        return found
    return replace(found, pays_from_n=pays_from(algorithm, problem, capacity))


def io_words(plan: Plan) -> int:
    """Counted traffic of a plan. Units: words."""
    return evaluate_int(plan.count().io_words, {})


def pays_from(algorithm: Algorithm, problem: Problem, capacity: int) -> int | None:
    """An n, at least `problem.n`, at which the algorithm moves fewer words than exact attention, while at n - 1 it does not
    (or n - 1 is below `problem.n`); None if it does not at 2^50.

    It is the least such n, and all larger ones pay too, if, as n grows, exact attention never moves fewer words for each
    query, and the algorithm never more. So it is where tiles are searched for, and where feature sums don't depend on n.
    """
    exact = registry.find("exact")
    rivals = exact.of[::-1] if isinstance(exact, Best) else (exact,)
    found = problem.n
    for rival in (*rivals, *rivals):  # a second time, for traffic that is not as described: then the first answer moves on

        @cache
        def saved(n: int, rival: Algorithm = rival) -> float:  # an int, or infinite where one of them does not fit
            there = replace(problem, n=n)
            ours, theirs = _fewest(algorithm, there, capacity), _fewest(rival, there, capacity)
            if ours is None or theirs is None:
                return -math.inf if ours is None else math.inf
            return io_words(theirs) - io_words(ours)

        crossing = _first_positive(saved, found)
        if crossing is None:
            return None
        found = crossing
    return found


def _fewest(algorithm: Algorithm, problem: Problem, capacity: int) -> Plan | None:
    plans = list(algorithm.plans(problem, capacity))
    return min(plans, key=lambda plan: (plan.closed_form_words, plan.claimed_peak_words), default=None)


def _first_positive(f: Callable[[int], float], start: int) -> int | None:
    """An n >= start with f(n) > 0 that is `start` or has f(n - 1) <= 0; None if f(start) and f(MAX_N) are not positive.

    Steps 16 times as long each, then a bisection that takes every other point from a straight line through f(n)/n.
    """
    if f(start) > 0:
        return start
    if not f(MAX_N) > 0:
        return None
    low, high = start, min(16 * start, MAX_N)
    while not f(high) > 0:
        low, high = high, min(16 * high, MAX_N)
    by_line = True
    while high - low > 1:
        middle = (low + high) // 2
        below, above = f(low) / low, f(high) / high
        if by_line and -math.inf < below < 0 and above < math.inf:
            middle = min(high - 1, max(low + 1, low + int((high - low) * below / (below - above))))
        low, high = (low, middle) if f(middle) > 0 else (middle, high)
        by_line = not by_line
    return high
