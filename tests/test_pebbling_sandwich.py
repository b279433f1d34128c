"""Every lower bound, the optimum, and what each registered algorithm moves, in that order, on tiny instances."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iosim.algorithm import Algorithm
from iosim.errors import MeaningError, UsageError
from iosim.interpret.cdag import cdag
from iosim.masks import FULL, parse_mask
from iosim.pebbling.ask import pebble, plan_for, task_graph, theorems_for
from iosim.pebbling.families import attention
from iosim.pebbling.graph import Cdag
from iosim.pebbling.search import optimal_pebbling
from iosim.problem import Problem
from iosim.registry import algorithms
from iosim.task import ATTENTION, GRADIENT
from tests.needs import needs


def _problem(algorithm: Algorithm, **sizes: int) -> Problem:
    """Of these sizes, with what the algorithm has to be asked for."""
    wanted = needs(algorithm.name)
    mask = "blocks:1,local,2" if str(wanted.get("mask", "")).startswith("blocks") else ""
    return Problem(
        **sizes,
        mask=parse_mask(mask, where="mask") if mask else FULL,
        tied=bool(wanted.get("tied", False)),
        degree=1,
        coefficients=(1.0, 1.0) if algorithm.approximate else None,
    )


@pytest.mark.parametrize("name", [n for n, a in algorithms().items() if a.computes in (ATTENTION, GRADIENT)])
def test_bounds_optimum_counts(name: str) -> None:
    """At the least fast memory in which the algorithm runs, and with one and three words more.

    The gradient of 2 queries has 28 nodes, too many for a test: there it is that of 1.
    """
    algorithm = algorithms()[name]
    problem = _problem(algorithm, n=1 if algorithm.computes == GRADIENT else 2, d=1)
    least = algorithm.least_capacity(problem)
    for capacity in (least, least + 1, least + 3):
        plan = plan_for(algorithm, problem, capacity)
        assert plan is not None
        graph = task_graph(algorithm, problem, plan)
        found = optimal_pebbling(graph, capacity, limit_s=60)
        assert found.optimum is not None
        assert found.optimum <= plan.io_words
        theorems = theorems_for(algorithm, problem, plan, capacity, one_shot=False)
        assert theorems
        assert all(words <= found.optimum for _, words in theorems)


@pytest.mark.parametrize("name", [n for n, a in algorithms().items() if a.computes not in (ATTENTION, GRADIENT)])
def test_other_tasks_are_refused(name: str) -> None:
    """What computes something else than attention or its gradient has no graph here, and says so."""
    with pytest.raises(UsageError, match="allowed: attention, its gradient"):
        task_graph(algorithms()[name], _problem(algorithms()[name], n=1, d=1))


def test_one_row_of_fast_memory_is_attained() -> None:
    """FlashAttention-2's order is optimal once all fits: with M large every word moves once, 4nd."""
    algorithm = algorithms()["exact"]
    problem = _problem(algorithm, n=2, d=1)
    answer = pebble(task_graph(algorithm, problem), 40, algorithm=algorithm, problem=problem)
    assert answer.holds
    assert answer.pebbling.optimum == answer.algorithm_words == 4 * 2


def test_a_count_below_the_optimum_is_caught() -> None:
    """The check that an algorithm moves at least the optimum fails for a plan whose count is too small.

    The same schedule for one key less moves fewer words than the optimum of the whole problem.
    """
    algorithm = algorithms()["flash2"]

    class Cheating(type(algorithm)):  # type: ignore[misc]
        def plans(self, problem: Problem, capacity: int):  # type: ignore[no-untyped-def]
            return algorithm.plans(replace(problem, n=1, n_k=1), capacity)

    cheat = Cheating(**{name: getattr(algorithm, name) for name in algorithm.__dataclass_fields__})
    problem = _problem(algorithm, n=2, d=1)
    answer = pebble(task_graph(algorithm, problem), 40, algorithm=cheat, problem=problem)
    assert not answer.holds
    assert [check.name for check in answer.checks if not check.holds] == ["algorithm at least optimum"]


# Merged statistics, pages that are looked up, lists of keys: operations that have no meaning for words of attention yet.
NO_MEANING = {"flash-decoding", "paged", "block-sparse"}


def _by_name(graph: Cdag) -> dict[str, set[frozenset[str]]]:
    return {
        graph.names[node]: {frozenset(graph.names[x] for x in term) for term in graph.terms[node]}
        for node in range(graph.size)
    }


@pytest.mark.parametrize("name", [n for n, a in algorithms().items() if not a.approximate and a.computes == ATTENTION])
def test_programs_have_the_graph_of_their_task(name: str) -> None:
    """The words that a program loads and multiplies make the graph that is searched, whatever its schedule."""
    algorithm = algorithms()[name]
    problem = _problem(algorithm, n=3, d=2)
    plan = plan_for(algorithm, problem, algorithm.least_capacity(problem) + 7)
    assert plan is not None
    if name in NO_MEANING:
        with pytest.raises(MeaningError):
            cdag(plan.program, plan.sizes)
        return
    found, expected = cdag(plan.program, plan.sizes), task_graph(algorithm, problem).trimmed()
    assert _by_name(found) == _by_name(expected)
    assert {found.names[x] for x in found.outputs} == {expected.names[x] for x in expected.outputs}


def test_a_program_that_skips_a_key_has_another_graph() -> None:
    """A program for 2 keys does not have the graph of attention over 3."""
    algorithm = algorithms()["flash2"]
    problem = _problem(algorithm, n=3, d=1, n_k=2)
    plan = plan_for(algorithm, problem, 30)
    assert plan is not None
    found = _by_name(cdag(plan.program, plan.sizes))
    assert found == _by_name(attention(3, 2, 1, 1))
    assert found != _by_name(attention(3, 3, 1, 1))
