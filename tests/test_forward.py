"""Fast-forward gives the very numbers of the full simulation."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Builder, Size, build
from iosim.caches.forward import Forward
from iosim.caches.model import Cache, CacheCount
from iosim.caches.simulation import simulate
from iosim.errors import UsageError
from iosim.masks import CAUSAL
from iosim.problem import Problem
from iosim.program import Program
from iosim.registry import find
from iosim.traces.ask import looked_up
from iosim.traces.expand import Expansion
from tests.registered import EVERY_OWN, fitted, plans, problems
from tests.small_programs import MATMUL
from tests.strategies import FOLLOWABLE, sizes

LEVELS = st.tuples(st.sampled_from(["lru", "fifo"]), st.integers(1, 40), st.sampled_from([1, 1, 2, 3, 8]))


def moved(count: CacheCount) -> tuple[int, list[tuple[str, int, int, int]]]:
    """All but the split."""
    return count.accesses, [(array.name, array.loads, array.stores, array.misses) for array in count.arrays]


def check(program: Program, at: Mapping[str, int], cache: Cache, **options: object) -> int:
    """Both ways give the same; returns how many iterations were skipped."""
    forward = Forward(program, at, cache, least=(1, 1), **options)  # type: ignore[arg-type]
    found = forward.count()
    expansion = Expansion(program, at, align=cache.line, **options)  # type: ignore[arg-type]
    simulated = simulate([cache], expansion.places, expansion.pieces())[0]
    assert moved(found) == moved(simulated)
    assert not found.split or found.arrays == simulated.arrays
    return forward.skipped


@settings(max_examples=40)
@given(FOLLOWABLE, sizes(most=24), LEVELS)
def test_any_program_can_be_skipped_through(program: Program, at: dict[str, int], level: tuple[str, int, int]) -> None:
    """Random programs, ragged ends, lines of any length: by array the same accesses, loads and stores."""
    policy, lines, line = level
    check(program, at, Cache(words=lines * line, line=line, policy=policy))


@EVERY_OWN
@settings(max_examples=2)
@given(data=st.data())
def test_every_algorithm_can_be_skipped_through(name: str, data: st.DataObject) -> None:
    """Every registered algorithm with more iterations than a cache takes to settle."""
    problem = fitted(name, data.draw(problems(n=24, d=3, degree=2)))
    policy, lines, line = data.draw(LEVELS)
    for plan in plans(name, problem, data.draw(st.integers(0, 60))):
        cache = Cache(words=lines * line + plan.peak_words, line=line, policy=policy)
        check(plan.program, plan.sizes, cache, data=looked_up(plan, problem))


def test_compulsory_loads_are_not_guessed() -> None:
    """At degree 0 a polynomial reads no word of Q and of K, though it loads them: what is not known is said."""
    for degree in (0, 1):
        problem = Problem(n=24, d=3, degree=degree, coefficients=(0.5,) * (degree + 1))
        plan = find("approx-resident").best(problem, 200)
        cache = Cache(words=plan.peak_words + 3)  # so few that it settles
        assert Forward(plan.program, plan.sizes, cache, least=(1, 1)).count().split is (degree > 0)
        assert check(plan.program, plan.sizes, cache) > 0


def test_most_of_a_long_loop_is_skipped() -> None:
    """Attention of 400 rows in tiles of a few, and a causal mask, whose outer loop is no shift, but whose inner one is."""
    for mask, least in ((None, 350), (CAUSAL, 100)):
        problem = Problem(n=400, d=2, **({} if mask is None else {"mask": mask}))  # type: ignore[arg-type]
        plan = find("flash2").best(problem, 100)
        for policy in ("lru", "fifo"):
            assert check(plan.program, plan.sizes, Cache(words=100, policy=policy)) > least


def test_a_line_longer_than_a_step_has_a_longer_period() -> None:
    """A loop that moves by one word meets new lines of 8 words every 8 iterations."""
    assert check(MATMUL, {"n": 64, "B": 1}, Cache(words=64, line=8)) > 0


def test_ranges_that_meet_are_not_skipped() -> None:
    """X is read at i and at n - 1 - i: one place moves up, the other down, so that a shift is no longer one map."""

    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n, 1)), b.output("Y", (n, 1), needs="Y[i,l] <- X[i,l]")
        with b.tiles("i", n, 1) as i, b.zeros("y", i, 1) as y:
            for start in (i.start, n - 1 - i.start):
                with b.load(X[start : start + i.length, :]) as x:
                    b.op("divide_by_column", y, x)
            b.store(y, Y[i, :])

    program = build(author, name="both ends", n="n")
    for words in (1, 5, 20, 41, 60):
        assert check(program, {"n": 40}, Cache(words=words)) == 0


def test_others_are_refused() -> None:
    """The other policies, and sets, have no queue that moves."""
    for cache in (Cache(words=4, policy="opt"), Cache(words=4, ways=2)):
        with pytest.raises(UsageError, match="allowed: fully associative lru and fifo"):
            Forward(MATMUL, {"n": 2, "B": 1}, cache)


def test_a_day_of_accesses_in_a_second() -> None:
    """n = 65,536, d = 64: 10^12 accesses. Whatever fits stays, so that LRU with twice the peak loads what is new only:
    Q once, K and V once for each row tile, O never (it is written whole)."""
    plan = find("flash2").explicit(Problem(n=65536, d=64), {"B_r": 256})
    cache = Cache(words=2 * plan.peak_words)
    found = {array.name: array for array in Forward(plan.program, plan.sizes, cache).count().arrays}
    assert found["Q"].loads == 65536 * 64
    assert found["K"].loads == found["V"].loads == 65536 // 256 * 65536 * 64
    assert (found["O"].loads, found["O"].stores) == (0, 65536 * 64)
