"""The ski-slope: for every M the fewest words of all schedules, exactly, and never below the lower bound."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Builder, Problem, Schedule, Size, Tiled, ceil_div, violations
from iosim.bounds.exact import greatest
from iosim.errors import UsageError
from iosim.masks import CAUSAL
from iosim.plan import fewest
from iosim.plan_bounds import bounds_for_all
from iosim.registry import find
from iosim.tuning.tune import Search, Tuned, exact_algorithms, least_memory, polynomial_algorithms, tune
from iosim.units import MAX_WORDS


def agrees_with_plans(found: Tuned, names: tuple[str, ...]) -> None:
    """Assert that each point is the count, and the peak, of the best plan of all algorithms, which is legal."""
    for point in found.points:
        M = point.fast_memory_words
        plans = [plan for name in names for plan in find(name).plans(found.problem, M)]
        best = fewest(plans)
        assert best is not None
        assert point.io_words == found.problem.instances * best.io_words
        choice = (point.choice.algorithm, point.choice.schedule, point.choice.tiles)
        chosen = next(plan for plan in plans if (plan.algorithm, plan.schedule, plan.tiles) == choice)
        assert (chosen.io_words, chosen.peak_words) == (point.choice.io_words, point.choice.peak_words)
        assert list(violations(chosen.program, chosen.sizes, M)) == []


@settings(max_examples=4)
@given(st.integers(2, 150), st.integers(1, 12), st.lists(st.integers(40, 4000), min_size=1, max_size=4))
def test_each_point_is_the_count_of_a_legal_plan_and_no_plan_moves_fewer(n: int, d: int, M: list[int]) -> None:
    """Random sizes, ragged ones too; all exact algorithms that there are."""
    problem = Problem(n=n, d=d, kv_heads=2)
    names = tuple(algorithm.name for algorithm in exact_algorithms(problem))
    agrees_with_plans(tune(problem, capacities=M), names)


@pytest.mark.parametrize("degree", [1, 2])
def test_each_point_of_a_polynomial_is_the_count_of_a_legal_plan(degree: int) -> None:
    """Block designs are chosen by their closed form; what is printed is counted."""
    problem = Problem(n=300, d=6, degree=degree)
    chosen = polynomial_algorithms(problem)
    found = tune(problem, chosen, capacities=[12, 30, 80, 400])
    agrees_with_plans(found, tuple(algorithm.name for algorithm in chosen))


def test_masked_attention_has_a_curve_too() -> None:
    """Under a mask, tiles are searched in another way."""
    agrees_with_plans(tune(Problem(n=500, d=8, mask=CAUSAL), [find("flash2")], capacities=[50, 700]), ("flash2",))


def test_two_hundred_fast_memories_take_under_a_second() -> None:
    """At n = 65536, d = 64, all exact algorithms: the best of three, in CPU seconds, as other work runs beside this test."""
    problem = Problem(n=65_536, d=64)
    capacities = sorted({round(512 * 2 ** (14 * i / 199)) for i in range(200)})
    assert len(capacities) == 200
    exact_algorithms(problem)
    taken = []
    for _ in range(3):
        start = time.process_time()
        found = tune(problem, capacities=capacities)
        taken.append(time.process_time() - start)
        if taken[-1] < 1:
            break
    assert len(found.points) == 200
    assert found.holds
    assert min(taken) < 1


@settings(max_examples=3)
@given(st.integers(2, 3000), st.integers(1, 64))
def test_the_curve_is_never_below_its_bound_and_never_rises(n: int, d: int) -> None:
    """Over the whole range where M matters, with the bound that `iosim bounds` has."""
    problem = Problem(n=n, d=d)
    search = Search(problem, exact_algorithms(problem))
    found = tune(problem, capacities=search.spread(9))
    words = [point.io_words for point in found.points]
    assert words == sorted(words, reverse=True)
    for point in found.points:
        assert (point.bound, point.lower_bound_words) == greatest(problem.setting(point.fast_memory_words))
        assert point.io_words >= point.lower_bound_words
    assert words[-1] == search.fewest_words(MAX_WORDS)  # more memory does not help
    assert found.holds


def test_the_bound_of_a_polynomial_is_that_of_its_class() -> None:
    """At M = 4096, d = 64, degree 2 the class bound is the greatest; once all sums fit, each word moves once."""
    problem = Problem(n=65_536, d=64)
    found = tune(problem, [find("approx")], capacities=[4096, 200_000])
    small, large = found.points
    said = {bound.name: words for bound, words in bounds_for_all([find("approx")], problem, 4096)}
    assert small.lower_bound_words == max(said.values()) > said["inputs_are_loaded_and_outputs_stored"]
    assert large.io_words == large.lower_bound_words == 4 * 65_536 * 64


def short(b: Builder, *, n: Size, d: Size, B_r: Size) -> None:
    """Not attention: only the first key and value are ever loaded."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q, b.zeros("o", i, d) as o:
        with b.load(K[:1, :]) as k, b.load(V[:1, :]) as v, b.zeros("s", i, 1) as s:
            b.op("add_abt", s, q, k)
            b.op("add_ab", o, s, v)
        b.store(o, O[i, :])


def test_a_schedule_that_leaves_work_out_is_caught_by_the_bound() -> None:
    """A mutant that skips all keys but one moves fewer words than any attention can."""
    mutant = Tiled(
        name="short",
        summary="a mutant",
        source="a test",
        schedules=(
            Schedule(
                name="rows",
                author=short,
                tiles={"B_r": "n"},
                io=lambda *, n, d, B_r: 2 * n * d + 2 * d * ceil_div(n, B_r),
                peak=lambda *, n, d, B_r: 2 * B_r * d + B_r + 2 * d,
            ),
        ),
    )
    found = tune(Problem(n=4096, d=16), [mutant], capacities=[500, 5000])
    assert not found.holds
    assert found.below == found.points
    assert "FAILS at M = 500" in rendered(found)


def test_a_peak_above_m_is_caught() -> None:
    """A point whose plan does not fit is as wrong as one below the bound."""
    found = tune(Problem(n=4096, d=16), [find("flash2")], capacities=[500])
    (point,) = found.points
    wrong = replace(found, points=(replace(point, fast_memory_words=point.choice.peak_words - 1),))
    assert found.holds
    assert not wrong.holds


def rendered(found: Tuned) -> str:
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(found.report())
    return out.getvalue()


@settings(max_examples=3)
@given(st.integers(5, 300), st.integers(1, 8), st.integers(30, 900))
def test_the_least_memory_for_a_traffic_is_sharp(n: int, d: int, M: int) -> None:
    """What some M takes, the least memory for that takes too; one word less of it is not enough."""
    problem = Problem(n=n, d=d)
    words = tune(problem, capacities=[max(M, 4)]).points[0].io_words
    search = Search(problem, exact_algorithms(problem))
    (point,) = least_memory(words, problem).points
    least = point.fast_memory_words
    assert point.io_words <= words
    assert least <= max(M, 4)
    fewer = search.fewest_words(least - 1)
    assert fewer is None or fewer > words


@settings(max_examples=3)
@given(st.integers(1, 3), st.integers(2, 10), st.integers(10, 600))
def test_more_memory_never_takes_a_polynomial_more_words(degree: int, d: int, M: int) -> None:
    """Bisection for the least memory needs it: block designs that depend on M are no worse for a word more."""
    search = Search(Problem(n=100, d=d, degree=degree), [find("approx")])
    words = [found for more in range(6) if (found := search.fewest_words(M + more)) is not None]
    assert words == sorted(words, reverse=True)


def test_what_no_memory_is_enough_for_is_refused() -> None:
    """All of Q, K, V and O must move: 4 n d words."""
    with pytest.raises(UsageError, match="move at least 4,096 words, however large"):
        least_memory(4095, Problem(n=64, d=16))


def test_what_can_not_be_tuned_together_is_refused() -> None:
    """Algorithms that one bound is not for; algorithms that are not for the problem; memories in which nothing fits."""
    problem = Problem(n=64, d=16)
    with pytest.raises(UsageError, match="one bound is not for all of them"):
        tune(problem, [find("flash2"), find("approx")])
    with pytest.raises(UsageError, match="--algo tied: n=64, d=16: this algorithm is for values that are columns"):
        tune(problem, [find("tied")])
    with pytest.raises(
        UsageError, match=r"^M = 35: flash2 at n=64, d=16 needs at least 36 words of fast memory \(72 B"
    ):
        tune(problem, [find("flash2")], capacities=[20, 35])


def test_a_point_below_the_least_memory_is_told_apart() -> None:
    """Of 35 and 36 words only the second has a plan: q, o, m, l, one score and one word of K or V at d = 16."""
    found = tune(Problem(n=64, d=16), [find("flash2")], capacities=[36, 35])
    assert found.too_small == (35,)
    assert [point.fast_memory_words for point in found.points] == [36]
    assert found.at(1000) == found.points[0]
    assert found.at(35) is None


def test_rows_are_those_of_a_sweep() -> None:
    """Names and numbers as files have them."""
    found = tune(Problem(n=64, d=16, kv_heads=3), [find("flash2")], capacities=[100])
    (row,) = found.rows()
    assert (row["algorithm"], row["heads"], row["fast_memory_words"], row["degree"]) == ("flash2", 3, 100, None)
    assert row["io_words"] == found.points[0].io_words
    assert row["io_over_lower_bound"] == found.points[0].io_over_lower_bound
