"""Does an approximation pay? Its traffic against that of the best exact schedule, here and at other n."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial

from iosim import registry
from iosim.algorithm import Algorithm, Best
from iosim.errors import CountError
from iosim.expr import Size, evaluate_int
from iosim.interpret.count import count
from iosim.plan import Plan, fewest
from iosim.problem import Problem
from iosim.program import Program
from iosim.task import DECODING
from iosim.units import MAX_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """An algorithm's traffic and that of the best exact schedule for the same n, d and fast memory, for one head.

    Attributes:
        words: what the algorithm moves.
        exact: the plan of the best exact schedule; None if none fits.
        exact_words: what that moves.
        pays_from_n: if the algorithm is approximate and does not move fewer words here: from which n on it does; None if
            it does not at n = 2^50. Of decoding, where n tokens are what a step takes: from how many keys n_k.
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
        name = self.exact.title
        if self.words == self.exact_words:
            return f"as many words as {name}"
        few, many = sorted((self.words, self.exact_words))
        more = "fewer" if self.words == few else "more"
        if many >= 1.1 * few:
            ratio = f"{many / few:,.0f}" if many >= 100 * few else f"{many / few:.3g}"
            return f"{ratio}x {more} words than {name}"
        return f"{100 * (many - few) / self.exact_words:.2g}% {more} words than {name}"


def payoff(algorithm: Algorithm, problem: Problem, capacity: int, words: int, *, elsewhere: bool = True) -> Payoff:
    """How an algorithm that moves `words` for one head compares with the best exact schedule; and, unless `elsewhere` is
    false, from which n it pays, if not here."""
    exact = _best_exact(registry.best(algorithm.computes), problem, capacity)
    found = Payoff(
        words=words,
        exact=exact,
        exact_words=None if exact is None else exact.io_words,
        pays_from_n=None,
        letter="n_k" if algorithm.computes == DECODING else "n",
    )
    if found.pays or not algorithm.approximate or not elsewhere:
        return found
    return replace(found, pays_from_n=pays_from(algorithm, problem, capacity))


def _best_exact(algorithm: Algorithm, problem: Problem, capacity: int) -> Plan | None:
    """The best plan of that algorithm; None if none fits. In a sweep other algorithms are held against the same one."""
    if algorithm.method is None:  # what an approximate algorithm was asked for is nothing to it
        problem = replace(problem, degree=0, coefficients=None, settings=())
    return _fewest(algorithm.name, problem, capacity)


@lru_cache(maxsize=1024)
def _fewest(name: str, problem: Problem, capacity: int) -> Plan | None:
    return fewest(registry.find(name).plans(problem, capacity))


def pays_from(algorithm: Algorithm, problem: Problem, capacity: int) -> int | None:
    """From which n on, at least `problem.n`, the algorithm moves fewer words than exact attention: the n after the last at
    which it does not; None if it does not at 2^50.

    There may be smaller n at which it pays: where the last tile of queries is nearly full, sums that are loaded for each
    tile cost a query less. That it pays at *every* larger n follows from what is counted if, as n grows, exact attention
    never moves fewer words for each query, and a plan of the algorithm, with the same tiles, stays one. Then a plan that
    pays at n pays up to the end of the tile of queries that n is in, for that costs no more for each query; and if it pays
    at the first query of one more tile, too, it pays from there on, for each tile costs the same.

    So it is where tiles are searched for, and where feature sums don't depend on n. For decoding the same with n_k in the
    place of n.
    """
    decoding = algorithm.computes == DECODING

    def at(n: int) -> Problem:
        return replace(problem, n_k=n) if decoding else problem.with_n(n)

    exact = registry.best(algorithm.computes)
    rivals = exact.of[::-1] if isinstance(exact, Best) else (exact,)

    def planned(of: Algorithm) -> Callable[[int], tuple[int, Plan] | None]:
        """What its best plan for n moves, and the plan; None where nothing fits."""

        @cache
        def plan(n: int) -> tuple[int, Plan] | None:
            found = fewest(of.plans(at(n), capacity), counted)
            return None if found is None else (counted(found), found)

        return plan

    ours, theirs = planned(algorithm), [planned(rival) for rival in rivals]

    def saved(theirs: Callable[[int], tuple[int, Plan] | None], n: int) -> float:
        few, many = ours(n), theirs(n)
        if few is None or many is None:
            return -math.inf if few is None else math.inf
        return many[0] - few[0]

    def first(n: int) -> int | None:
        """One from n on at which it pays, but not before, or n."""
        before = None
        while n != before:
            before = n
            for plan in theirs:
                found = _first_positive(partial(saved, plan), n)
                if found is None:
                    return None
                n = found
        return n

    found = here = first(problem.n_k if decoding else problem.n)
    while found is not None and here is not None:
        best = ours(here)
        assert best is not None
        _, plan = best
        for begin in () if decoding else _begins(plan, here, problem.group):
            words = counted(replace(plan, sizes={**plan.sizes, **at(begin).sizes}))
            others = (rival(begin) for rival in theirs)
            if any(other is not None and other[0] <= words for other in others):
                here = first(begin)  # which is `begin` if another plan pays there
                found = found if here == begin else here
                break
        else:
            break
    return found


def counted(plan: Plan) -> int:
    """The counted traffic of a plan, quicker than `Plan.io_words` for many plans whose programs are the same: a program is
    counted once, in symbols. Units: words."""
    words = _traffic(plan.program)
    return plan.io_words if words is None else evaluate_int(words, plan.sizes)


@lru_cache(maxsize=1024)
def _traffic(program: Program) -> Size | None:
    """The counted traffic in symbols; None if there is no closed form."""
    try:
        return count(program).io_words
    except CountError:
        return None


def _begins(plan: Plan, n: int, group: int) -> Iterator[int]:
    """The n, from this one on, with which one more tile of queries begins, until that repeats itself."""
    B_r = plan.sizes.get("B_r")
    if B_r is None:
        return  # each query costs the same
    tiles = -(-(n - 1) * group // B_r)  # of the queries before
    for more in range(group // math.gcd(group, B_r)):
        yield (tiles + more) * B_r // group + 1


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
