"""When does an approximation pay? Against brute force: counting at every n."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iosim.algorithm import Algorithm
from iosim.approximation.payoff import Payoff, _begins, _first_positive, _traffic, counted, payoff, pays_from
from iosim.interpret.count import count
from iosim.plan import Form, Plan
from iosim.problem import Problem
from iosim.registry import find
from iosim.units import MAX_COUNT

APPROX = find("approx")
EXACT = find("exact")
RIVALS = ("standard", "two-pass", "fused", "flash1", "flash2", "recompute")


def pays(algorithm: Algorithm, problem: Problem, capacity: int) -> bool:
    """By counting the best plan of each, and of each exact algorithm by itself."""
    ours = algorithm.best(problem, capacity).count().io_words
    theirs = []
    for name in RIVALS:
        plans = list(find(name).plans(problem, capacity))
        theirs += [plan.count().io_words for plan in plans]
    return all(ours < words for words in theirs)


@given(
    d=st.integers(1, 6), degree=st.integers(1, 3), n=st.integers(1, 30), spare=st.integers(0, 60) | st.integers(0, 600)
)
@example(d=5, degree=3, n=40, spare=48)  # pays at 41 and 42, not at 43 and 44: tiles of 7 queries
@settings(max_examples=3)
def test_it_pays_at_every_n_from_that_one_on(d: int, degree: int, n: int, spare: int) -> None:
    """From the answer on the approximation pays at every n that is tried, and not one below; none is none at 2^50."""
    problem = Problem(n=n, d=d, degree=degree)
    capacity = APPROX.least_capacity(problem) + spare
    found = pays_from(APPROX, problem, capacity)
    if found is None:
        assert not pays(APPROX, problem.with_n(MAX_COUNT), capacity)
        return
    assert found == n or not pays(APPROX, problem.with_n(found - 1), capacity)
    for m in (*range(found, found + 12), found * 3 // 2, 2 * found + 1, 1000 * found):
        assert pays(APPROX, problem.with_n(m), capacity)


def test_where_it_pays_is_not_an_interval() -> None:
    """d = 5, degree 3, 57 words: it pays at 41 and 42, six full tiles of 7 queries; with one query more, all sums are
    loaded again. From n = 45 on it always pays; so the answer is 45."""
    problem = Problem(n=38, d=5, degree=3)
    assert [n for n in range(38, 70) if not pays(APPROX, problem.with_n(n), 57)] == [38, 39, 40, 43, 44]
    assert APPROX.best(problem.with_n(42), 57).sizes["B_r"] == 7
    assert pays_from(APPROX, problem, 57) == 45


@given(n=st.integers(1, 50), B_r=st.integers(1, 12), group=st.integers(1, 12))
def test_one_more_tile_of_queries_begins_at_these_n(n: int, B_r: int, group: int) -> None:
    """For the queries of `group` heads together, by counting tiles of n g rows over a whole period."""
    plan = next(plan for plan in find("approx-materialised").plans(Problem(n=4, d=2, degree=1), 40))
    tiled = replace(plan, sizes={**plan.sizes, "B_r": B_r})
    found = set(_begins(tiled, n, group))
    assert found == {
        m for m in range(n, n + B_r // gcd(group, B_r)) if -(-m * group // B_r) > -(-(m - 1) * group // B_r)
    }


@pytest.mark.parametrize(
    ("d", "degree", "capacity"), [(64, 2, 50_000), (64, 2, 64), (128, 4, 50_000), (32, 11, 32_768), (3, 1, 1000)]
)
def test_at_sizes_of_real_heads_it_pays_there_and_not_one_below(d: int, degree: int, capacity: int) -> None:
    """At head dimensions of real models, and fast memories from tiny to a GPU's."""
    problem = Problem(n=1, d=d, degree=degree)
    found = pays_from(APPROX, problem, capacity)
    assert found is not None
    assert pays(APPROX, problem.with_n(found), capacity)
    assert not pays(APPROX, problem.with_n(found - 1), capacity)


@given(n=st.integers(1, 3000), capacity=st.integers(200, 5000))
@settings(max_examples=12)
def test_the_comparison_is_with_the_best_of_all_exact_schedules(n: int, capacity: int) -> None:
    """Words of both sides are counted ones, the exact side is the best of all, and paying means strictly fewer."""
    problem = Problem(n=n, d=8)
    plan = APPROX.best(problem, capacity)
    found = payoff(APPROX, problem, capacity, plan.io_words)
    counted = [p.io_words for name in RIVALS for p in find(name).plans(problem, capacity)]
    assert found.words == plan.count().io_words
    assert found.exact_words == min(counted)
    assert found.pays == (found.words < min(counted))
    assert (found.pays_from_n is not None) == (not found.pays)


@given(n=st.integers(1, 3000), d=st.integers(1, 12), degree=st.integers(0, 3), spare=st.integers(0, 3000))
@example(n=1000, d=16, degree=2, spare=200)
@settings(max_examples=10)
def test_a_program_counted_in_symbols_moves_what_it_does_at_these_sizes(
    n: int, d: int, degree: int, spare: int
) -> None:
    """The traffic of each plan is that of counting it with numbers, also for other n of which the program is the same."""
    problem = Problem(n=n, d=d, degree=degree)
    for algorithm in (APPROX, EXACT):
        for other in (problem, problem.with_n(2 * n + 1)):
            for plan in algorithm.plans(other, algorithm.least_capacity(problem) + spare):
                assert counted(plan) == count(plan.program, plan.sizes).io_words == plan.io_words


def test_programs_are_written_once_for_each_choice_of_blocks() -> None:
    """Plans for other n with the same blocks have the same program, so that looking for the n from which it pays, which
    asks for dozens of plans, counts few programs: an earlier version counted each of them anew, several times."""
    first, second = (APPROX.best(Problem(n=n, d=16, degree=3), 1000) for n in (5000, 5001))
    assert first.program is second.program
    _traffic.cache_clear()
    assert pays_from(APPROX, Problem(n=1, d=16, degree=3), 1000) is not None
    assert _traffic.cache_info().misses < 30 < _traffic.cache_info().hits


def test_an_exact_algorithm_is_not_asked_from_which_n_it_pays() -> None:
    """An exact algorithm that moves more words than the best is only compared."""
    problem = Problem(n=1000, d=64)
    found = payoff(find("standard"), problem, 9000, find("standard").best(problem, 9000).io_words)
    assert not found.pays
    assert found.pays_from_n is None


def test_where_no_exact_schedule_fits_there_is_nothing_to_compare_with() -> None:
    """Three words are too few for any exact schedule: the approximation pays, and says why."""
    problem = Problem(n=10, d=1, degree=1)
    capacity = EXACT.least_capacity(problem) - 1
    plan = APPROX.best(problem, 100)
    found = payoff(APPROX, problem, capacity, plan.io_words)
    assert (found.exact, found.exact_words, found.pays) == (None, None, True)
    assert str(found) == "no exact schedule fits in this fast memory"


@pytest.mark.parametrize(
    ("words", "exact", "said"),
    [
        (100, 100, "as many words as flash2 rows"),
        (100, 3200, "32x fewer words than flash2 rows"),
        (100, 148, "1.48x fewer words than flash2 rows"),
        (155, 100, "1.55x more words than flash2 rows"),
        (1_234_500, 100, "12,345x more words than flash2 rows"),
        (101, 100, "1% more words than flash2 rows"),
        (9995, 10_000, "0.05% fewer words than flash2 rows"),
    ],
)
def test_comparisons_read_well(words: int, exact: int, said: str) -> None:
    """A factor where it is one, a percentage where it is close, no 'one time fewer'."""
    problem = Problem(n=4096, d=64)
    plan = next(p for p in find("flash2").plans(problem, 50_000) if p.schedule == "rows")
    assert str(Payoff(words=words, exact=plan, exact_words=exact, pays_from_n=None)) == said


@dataclass(frozen=True, kw_only=True)
class Pretender(Algorithm):
    """Claims to move as many words for each query as flash2 does at n = `turn`; needs `n` words of fast memory."""

    turn: int

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        if capacity >= self.least_capacity(problem):
            yield find("flash2").best(problem.with_n(min(problem.n, self.turn)), 1000)

    def least_capacity(self, problem: Problem) -> int:
        return problem.n

    def forms(self) -> tuple[Form, ...]:
        return ()


def test_an_algorithm_that_needs_ever_more_fast_memory_never_pays() -> None:
    """If no schedule fits at 2^50, there is no n from which it pays."""
    algorithm = Pretender(name="pretender", summary="", source="", approximate=True, turn=10)
    assert pays_from(algorithm, Problem(n=1, d=4), 1000) is None


@given(
    turn=st.integers(1, 10**6) | st.integers(1, MAX_COUNT),
    start=st.integers(1, 10**6) | st.integers(1, MAX_COUNT),
    slope=st.integers(1, 10**9),
    step=st.integers(1, 1000),
)
def test_the_first_positive_value_of_a_rising_function_is_found(turn: int, start: int, slope: int, step: int) -> None:
    """For any staircase that turns positive at some n, that n, or the start if it is positive there."""
    calls = []

    def f(n: int) -> int:
        calls.append(n)
        return slope * (1 + (n - turn) // step) if n >= turn else -slope * (1 + (turn - n) // step)

    assert _first_positive(f, start) == max(turn, start)
    assert all(start <= n <= MAX_COUNT for n in calls)
    assert len(calls) < 600


def test_a_function_that_is_never_positive_has_no_first_positive_value() -> None:
    """Not positive at the greatest n means None, without a search."""
    assert _first_positive(lambda n: -n, 5) is None
    assert _first_positive(lambda _: 0, MAX_COUNT) is None
