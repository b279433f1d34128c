"""Does an approximation pay? Its traffic against that of the best exact schedule, here and at other n."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

from iosim import registry
from iosim.algorithm import Algorithm, Best, Plan, Problem, fewest
from iosim.task import DECODING
from iosim.units import MAX_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """An algorithm's traffic and that of the best exact schedule for the same n, d and fast memory, for one head.

    Attributes:
        words: what the algorithm moves.
        exact: the plan of the best exact schedule; None if none fits.
        exact_words: what that moves.
        pays_from_n: if the algorithm is approximate and does not move fewer words here: from which n it does; None if it
            does not at n = 2^50. Of decoding, where n tokens are what a step takes: from how many keys n_k.
        letter: "n", or "n_k" for decoding.
    """

    words: int
    exact: Plan | None
    exact_words: int | None
    pays_from_n: int | None
    letter: str = "n"

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


def payoff(algorithm: Algorithm, problem: Problem, capacity: int, words: int) -> Payoff:
    """How an algorithm that moves `words` for one head compares with the best exact schedule; from which n it pays, if not
    here."""
    exact = fewest(registry.find(algorithm.computes.best).plans(problem, capacity))
    found = Payoff(
        words=words,
        exact=exact,
        exact_words=None if exact is None else exact.io_words,
        pays_from_n=None,
        letter="n_k" if algorithm.computes == DECODING else "n",
    )
    if found.pays or not algorithm.approximate:
        return found
    return replace(found, pays_from_n=pays_from(algorithm, problem, capacity))


def pays_from(algorithm: Algorithm, problem: Problem, capacity: int) -> int | None:
    """An n, at least `problem.n`, at which the algorithm moves fewer words than exact attention, while at n - 1 it does not
    (or n - 1 is below `problem.n`); None if it does not at 2^50.

    It is the least such n, and all larger ones pay too, if, as n grows, exact attention never moves fewer words for each
    query, and the algorithm never more. So it is where tiles are searched for, and where feature sums don't depend on n.
    For decoding the same with n_k in the place of n.
    """
    decoding = algorithm.computes == DECODING

    def at(n: int) -> Problem:
        return replace(problem, n_k=n) if decoding else problem.with_n(n)

    exact = registry.find(algorithm.computes.best)
    rivals = exact.of[::-1] if isinstance(exact, Best) else (exact,)

    def counted(of: Algorithm) -> Callable[[int], int | None]:
        """Traffic of its best plan from n; None where nothing fits."""

        @cache
        def words(n: int) -> int | None:
            plan = fewest(of.plans(at(n), capacity))
            return None if plan is None else plan.io_words

        return words

    def saved(ours: Callable[[int], int | None], theirs: Callable[[int], int | None], n: int) -> float:
        few, many = ours(n), theirs(n)
        if few is None or many is None:
            return -math.inf if few is None else math.inf
        return many - few

    ours, theirs = counted(algorithm), [counted(rival) for rival in rivals]
    found: int | None = problem.n_k if decoding else problem.n
    for words in (*theirs, *theirs):  # twice: traffic that is not as described may move the answer of the first round
        if found is not None:
            found = _first_positive(partial(saved, ours, words), found)
    return found


def _first_positive(f: Callable[[int], float], start: int) -> int | None:
    """An n >= start with f(n) > 0 that is `start` or has f(n - 1) <= 0; None if f(start) and f(MAX_COUNT) are not positive.

    Steps 16 times as long each; then, as long as that helps, where a straight line through f(n)/n crosses zero, and a
    little beyond that; then bisection.
    """
    if f(start) > 0:
        return start
    if not f(MAX_COUNT) > 0:
        return None
    low, high = start, min(16 * start, MAX_COUNT)
    while not f(high) > 0:
        low, high = high, min(16 * high, MAX_COUNT)

    def closer(middle: int) -> tuple[int, int]:
        middle = min(high - 1, max(low + 1, middle))
        return (low, middle) if f(middle) > 0 else (middle, high)

    straight = True
    while high - low > 1:
        width = high - low
        below, above = f(low) / low, f(high) / high
        if straight and -math.inf < below < 0 and above < math.inf:
            before = low
            low, high = closer(low + int(width * below / (below - above)))
            if high - low > 1:
                low, high = closer(low + width // 256 if low > before else high - width // 256)
            straight = high - low < width // 16
        else:
            low, high = closer((low + high) // 2)
    return high
