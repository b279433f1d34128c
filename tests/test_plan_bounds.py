"""Which bounds a plan is held against: those of its task, of the class of its schedule, and of the keys that it uses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iosim.algorithm import Algorithm
from iosim.bounds import declared, decoding, exact, gradient
from iosim.bounds.approx import SUMS_OF_MONOMIALS
from iosim.bounds.bound import Property
from iosim.errors import UsageError
from iosim.masks import CAUSAL
from iosim.plan import Plan
from iosim.plan_bounds import bounds_for_all, greatest_for_all, lower_bounds, setting
from iosim.problem import Problem
from iosim.registry import find
from iosim.task import Task

SQUARE = Problem(n=40, d=3)


def planned(name: str, problem: Problem = SQUARE, M: int = 200) -> tuple[Algorithm, Problem, Plan]:
    """The best plan of a registered algorithm."""
    algorithm = find(name)
    problem = algorithm.settled(problem)
    return algorithm, problem, algorithm.best(problem, M)


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("flash2", {"no recomputation", "no spilling"}),
        ("standard", {"no recomputation"}),  # S and P are in slow memory
        ("recompute", {"no spilling"}),
        ("approx", {"no recomputation", "no spilling"}),
    ],
)
def test_what_a_schedule_does_is_read_off_its_plan(name: str, properties: set[str]) -> None:
    """Scores twice, scores in slow memory; and nothing of a polynomial unless the algorithm is given."""
    _, problem, plan = planned(name)
    here = setting(problem, plan, 200)
    assert here.properties == properties
    assert (here.M, here.g, here.m) == (200, None, None)
    assert (here.N, here.n_q, here.n_k, here.d, here.d_v) == (1600, 40, 40, 3, 3)


def test_only_an_algorithm_that_takes_the_polynomial_has_its_degree() -> None:
    """Degree 2 is that of any problem; it is of account for `approx`, and for nothing else."""
    degrees = {}
    for name in ("approx", "flash2", "top-keys"):
        algorithm, problem, plan = planned(name, Problem(n=300, d=3))
        degrees[name] = setting(problem, plan, 200, algorithm).g
    assert degrees == {"approx": 2, "flash2": None, "top-keys": None}


def test_classes_are_about_every_query_with_every_key_and_every_feature() -> None:
    """Under a mask, or with a coefficient zero, or of an exact algorithm: none. What is computed twice is not one-shot."""
    algorithm, problem, plan = planned("approx")
    given = replace(problem, coefficients=(1.0, 1.0, 0.5))

    def classes(of: Algorithm | None, problem: Problem, plan: Plan = plan) -> frozenset[str]:
        return setting(problem, plan, 200, of).properties & SUMS_OF_MONOMIALS

    assert classes(algorithm, problem) == classes(algorithm, given) == SUMS_OF_MONOMIALS == algorithm.properties
    assert classes(None, problem) == classes(find("flash2"), problem) == frozenset()
    assert classes(algorithm, replace(problem, mask=CAUSAL)) == frozenset()
    assert classes(algorithm, replace(given, coefficients=(1.0, 1.0, 0.0))) == frozenset()
    assert classes(algorithm, problem, replace(plan, recomputes=True)) == SUMS_OF_MONOMIALS - {"one-shot"}


def test_keys_that_are_never_used_need_not_be_loaded() -> None:
    """Of 300 keys 256 are kept: 2 300 3 words of queries and outputs, 2 256 3 of keys and values."""
    algorithm, problem, plan = planned("top-keys", Problem(n=300, d=3))
    assert setting(problem, plan, 200).n_k == 256
    assert {bound.name: words for bound, words in lower_bounds(algorithm, problem, plan, 200)} == {
        "inputs_are_loaded_and_outputs_stored": 2 * 300 * 3 + 2 * 256 * 3
    }


def test_an_approximate_schedule_is_held_against_its_classes_and_what_is_compulsory() -> None:
    """The bounds of exact attention are more than it moves; of the classes at least one says something."""
    algorithm, problem, plan = planned("approx", Problem(n=300, d=6), 60)
    found = list(lower_bounds(algorithm, problem, plan, 60))
    of_classes = [bound for bound, _ in found if bound.requires]
    assert of_classes
    assert all(bound.requires <= SUMS_OF_MONOMIALS for bound in of_classes)
    assert [bound.name for bound, _ in found if bound not in of_classes] == ["inputs_are_loaded_and_outputs_stored"]
    exactly = max(words for _, words in exact.applicable(problem.setting(60)))
    assert exactly > max(words for _, words in found)


def test_an_exact_schedule_is_held_against_all_that_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need what the schedule does not do included; none that says zero or less."""
    algorithm, problem, plan = planned("flash2", Problem(n=200, d=8), 90)
    every = list(exact.applicable(setting(problem, plan, 90, algorithm)))
    found = list(lower_bounds(algorithm, problem, plan, 90))
    assert found == [(bound, words) for bound, words in every if words > 0]
    assert any(bound.requires == {"no recomputation", "no spilling"} for bound, _ in found)
    # 200^2 (2 (1 + sqrt(2)) 8/sqrt(300) - 3) - 200 8 + 9 300/5 is below 0
    algorithm, problem, plan = planned("flash2", Problem(n=200, d=8), 300)
    every = list(exact.applicable(setting(problem, plan, 300, algorithm)))
    assert [bound for bound, words in every if words <= 0] == [exact.NEVER_SPILLED]
    assert list(lower_bounds(algorithm, problem, plan, 300)) == [each for each in every if each[1] > 0]
    algorithm, problem, plan = planned("flash2", Problem(n=4, d=2), 90)
    # only 4 arrays of 4 2 words of inputs and outputs
    assert [words for _, words in lower_bounds(algorithm, problem, plan, 90)] == [32]
    monkeypatch.setattr(exact, "applicable", lambda _: [(exact.TRIVIAL, words) for words in (-1, 0, 1, 2)])
    assert [words for _, words in lower_bounds(algorithm, problem, plan, 90)] == [1, 2]


def test_other_tasks_have_bounds_of_their_own() -> None:
    """Of decoding, of looped layers and of the gradient; a task that is not known is refused, not bounded."""
    algorithm, problem, plan = planned("approx-decoding", Problem(n=1, n_k=30, d=3, kv_heads=2, group=3), 60)
    at = setting(problem, plan, 60, algorithm)
    expected = decoding.applicable(at, degree=2, group=3, heads=2)
    # a query and an output of 6 heads, a key and a value of 2; the state of 2, C(5, 2) = 10 features by 3 + 1, twice
    assert [words for _, words in expected] == [6 * 6 + 2 * 6 + 2 * 2 * 10 * 4]
    found = list(lower_bounds(algorithm, problem, plan, 60))
    assert [(bound.name, words) for bound, words in found] == [(bound.name, words) for bound, words in expected]
    assert found[0][0].compulsory
    assert found[0][0].words(at) == found[0][1]

    algorithm, problem, plan = planned("looped-layer-order", M=1000)
    found = list(lower_bounds(algorithm, problem, plan, 200))
    ((bound, words),) = declared.applicable(plan.program, plan.sizes)
    assert [(each.name, value) for each, value in found] == [(bound.name, words)]
    assert bound.compulsory
    assert bound.words(problem.setting(200)) == words

    algorithm, problem, plan = planned("flash2-backward")
    expected_gradient = gradient.applicable(setting(problem, plan, 200), plan.program)
    assert [(bound.name, words) for bound, words in lower_bounds(algorithm, problem, plan, 200)] == [
        (bound.name, words) for bound, words in expected_gradient if words > 0
    ]

    other = replace(find("flash2"), computes=Task(name="sorting", inputs={}, outputs={}))
    with pytest.raises(UsageError, match="flash2 computes sorting, for which no lower bounds are stated"):
        list(lower_bounds(other, problem, plan, 200))


def test_what_holds_for_all_holds_for_each_of_them() -> None:
    """Of exact algorithms what holds for every schedule; of polynomials what holds for a class that all are in."""
    exactly = [find("flash2"), find("recompute")]
    found = list(bounds_for_all(exactly, SQUARE, 30))
    assert found == [(bound, words) for bound, words in exact.applicable(SQUARE.setting(30)) if words > 0]
    assert all(bound.universal for bound, _ in found)
    problem = Problem(n=300, d=6)
    ours, other = find("approx"), replace(find("approx"), properties=frozenset[Property]({"feature sums"}))
    for algorithms, properties in (([ours], SUMS_OF_MONOMIALS), ([ours, other], {"feature sums"})):
        said = list(bounds_for_all(algorithms, problem, 60))
        assert all(bound.requires <= properties for bound, _ in said)
        assert any(bound.requires for bound, _ in said)
        assert any(bound.compulsory for bound, _ in said)
        assert greatest_for_all(algorithms, problem, 60, []) == max(said, key=lambda each: each[1])
    none = [bound for bound, _ in bounds_for_all([ours], replace(problem, mask=CAUSAL), 60) if bound.requires]
    assert none == []


def test_of_another_kind_the_least_of_what_holds_for_each_plan_holds_for_all() -> None:
    """One that keeps 256 of 300 keys and one that keeps 100: what the second has to load, both do."""
    algorithm, problem, plan = planned("top-keys", Problem(n=300, d=3))
    plans = [plan, replace(plan, keys=100)]
    words = [greatest_for_all([algorithm], problem, 200, [each])[1] for each in plans]
    assert words == [2 * 300 * 3 + 2 * keys * 3 for keys in (256, 100)]
    assert greatest_for_all([algorithm], problem, 200, plans)[1] == min(words)
