"""From what a user types to a graph, by name, by file or of an algorithm's task, and to its optimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from iosim import task
from iosim.algorithm import Algorithm
from iosim.defaults import DEFAULT_LIMIT_GB
from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.interpret.legality import violations
from iosim.masks import FULL
from iosim.pebbling import families
from iosim.pebbling.bounds import GraphBound, graph_bounds
from iosim.pebbling.graph import Cdag
from iosim.pebbling.result import Answer
from iosim.pebbling.schedule import program
from iosim.pebbling.search import Pebbling, optimal_pebbling
from iosim.plan import Plan, fewest
from iosim.plan_bounds import bounds_of_task
from iosim.problem import Problem
from iosim.program import Program
from iosim.refusals import among, given, one_of, refuse
from iosim.registry import find
from iosim.request import check_options, make_problem, parse_shape, refuse_polynomial
from iosim.runs.checks import Check

GAMES = ("partial", "classical")
_MOST = 64  # of n, n_k, d, d_v


def asked_graph(
    algo: str | None, source: str | None, shape: Mapping[str, Any]
) -> tuple[Cdag, Algorithm | None, Problem | None]:
    """The graph that is asked for; with the algorithm and its problem, if it is that of one.

    Args:
        algo: the graph of what this algorithm computes.
        source: or another one, by name or from a file.
        shape: of the problem: n, n_k, d, d_v, mask, tied and degree, None where nothing is said.

    Raises:
        UsageError: what can't be used.
    """
    one_of(algo=algo, graph=source)
    if source is not None:
        refuse(given(**shape), f"with --graph {source}", "with --algo")
        from iosim.pebbling.files import read_graph

        return families.family(source) or read_graph(source), None, None
    assert algo is not None
    algorithm = find(algo)
    degree = shape["degree"]
    counts = {"d": 1, **{name: shape[name] for name in ("n", "n_k", "d", "d_v") if shape[name] is not None}}
    asked = parse_shape(counts, mask=shape["mask"] or FULL, tied=shape["tied"])
    refuse_polynomial([algorithm], degree=degree)
    check_options(degree=degree)
    problem = make_problem(asked, None)
    if algorithm.approximate:
        problem = replace(problem, degree=1 if degree is None else degree)
    algorithm.check_supported(problem)
    return task_graph(algorithm, problem), algorithm, problem


def task_graph(algorithm: Algorithm, problem: Problem, plan: Plan | None = None) -> Cdag:
    """The graph of what an algorithm computes: the same for all algorithms of a task, whatever their schedules.

    Args:
        plan: of a gradient, for which of O and L it is given.
    """
    n, n_k, d, d_v = problem.n, problem.n_k, problem.d, problem.d_v
    for name, size in (("--n", n), ("--n-k", n_k), ("--d", d), ("--d-v", d_v)):
        if size > _MOST:
            raise UsageError(f"{name} {size}: allowed for pebbling: at most {_MOST}, and 64 nodes in all")
    if problem.instances * problem.group > 1:
        raise UsageError(f"{problem.instances * problem.group} heads: allowed for pebbling: one")
    if algorithm.computes == task.GRADIENT:
        arrays = ("O", "L") if plan is None else [array.name for array in plan.program.arrays]
        return families.gradient(n, n_k, d, d_v, given=arrays)
    if algorithm.computes != task.ATTENTION:
        raise UsageError(f"{algorithm.name} computes {algorithm.computes.name}; allowed: attention, its gradient")
    if algorithm.approximate:
        if not problem.mask.full:
            raise UsageError(f"{algorithm.name} with mask {problem.mask}: allowed for pebbling of polynomials: no mask")
        return families.polynomial_attention(n, n_k, d, d_v, problem.degree)
    meets = problem.mask.meets(np.arange(n), np.arange(n_k), n, n_k)
    return families.attention(n, n_k, d, d_v, meets=lambda i, j: bool(meets[i, j]), tied=problem.tied)


def plan_for(algorithm: Algorithm, problem: Problem, capacity: int) -> Plan | None:
    """The plan of the algorithm that moves the fewest words; None if none fits.

    Raises:
        UsageError: the algorithm is not for such problems.
    """
    algorithm.check_supported(problem)
    return fewest(algorithm.plans(problem, capacity))


def pebble(
    graph: Cdag,
    capacity: int,
    *,
    game: str = "partial",
    one_shot: bool = False,
    overwrite: bool = False,
    limit_s: float = math.inf,
    limit_GB: float = DEFAULT_LIMIT_GB,
    where: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    algorithm: Algorithm | None = None,
    problem: Problem | None = None,
) -> Answer:
    """The fewest words that any schedule of the graph moves, checked from both sides.

    Args:
        graph: what is to be computed.
        capacity: words of fast memory.
        game: "partial" (terms one by one) or "classical" (each node in one step).
        one_shot, overwrite, limit_s, limit_GB, where, progress: as in `optimal_pebbling`.
        algorithm, problem: if the graph is `task_graph` of these, for the theorems and the count of the algorithm.

    Raises:
        UsageError: an option that can't be used.
    """
    among(game, GAMES, where="--game")
    if not limit_s > 0:
        raise UsageError(f"--limit-s {limit_s:g}: allowed: numbers above 0")
    if not 0 < limit_GB < math.inf:
        raise UsageError(f"--limit-GB {limit_GB:g}: allowed: numbers above 0, but not inf")
    classical = game == "classical"
    played = graph.classical() if classical else graph
    found = optimal_pebbling(
        played,
        capacity,
        one_shot=one_shot,
        overwrite=overwrite,
        limit_s=limit_s,
        limit_GB=limit_GB,
        where=where,
        progress=progress,
    )
    bounds = graph_bounds(played, capacity, one_shot=one_shot, classical=classical)
    theorems: list[tuple[str, int]] = []
    plan = None
    if algorithm is not None and problem is not None and not classical:
        plan = plan_for(algorithm, problem, capacity)
        if plan is not None:
            theorems = theorems_for(algorithm, problem, plan, capacity, one_shot=one_shot)
    written = None if found.moves is None else program(found.graph, found.moves, "optimal schedule")
    counted = None if written is None else count(written, {})
    return Answer(
        pebbling=found,
        capacity=capacity,
        game=_game(classical, one_shot, overwrite),
        bounds=bounds,
        theorems=tuple(theorems),
        algorithm=None if algorithm is None or classical else algorithm.name if plan is None else plan.algorithm,
        schedule=None if plan is None else plan.schedule,
        algorithm_words=None if plan is None else plan.io_words,
        loads=sum(evaluate_int(words, {}) for words in counted.loads.values()) if counted else 0,
        stores=sum(evaluate_int(words, {}) for words in counted.stores.values()) if counted else 0,
        checks=tuple(_checks(found, written, capacity, bounds, theorems, plan, one_shot)),
    )


def theorems_for(
    algorithm: Algorithm, problem: Problem, plan: Plan, capacity: int, *, one_shot: bool
) -> list[tuple[str, int]]:
    """What the theorems say of every schedule of the task in the game, in words; nothing where they say less than one.

    A bound for schedules that never store a score is left out: the game stores what it likes.
    """
    here = problem.setting(capacity, properties={"no recomputation"} if one_shot else ())
    return [(bound.name, words) for bound, words in bounds_of_task(algorithm, problem, plan, here)]


def _game(classical: bool, one_shot: bool, overwrite: bool) -> str:
    return ", ".join(
        [
            "classical" if classical else "partial computations",
            "no recomputation" if one_shot else "recomputation allowed",
            "a result may replace an operand" if overwrite else "a result needs a free word",
        ]
    )


def _checks(
    found: Pebbling,
    written: Program | None,
    capacity: int,
    bounds: tuple[GraphBound, ...],
    theorems: list[tuple[str, int]],
    plan: Plan | None,
    one_shot: bool,
) -> list[Check]:
    """The schedule against the machine, the optimum against everything else that is known."""
    if written is None or found.optimum is None:
        return []
    best = found.optimum
    broken = violations(written, {}, capacity)
    words, peak = evaluate_int(count(written, {}).io_words, {}), evaluate_int(peak_words(written, {}), {})
    lower = [(bound.name, bound.words) for bound in bounds if bound.holds] + theorems
    name, most = max(lower, key=lambda pair: pair[1])
    legal = str(broken[0]) if broken else f"no rule is broken, peak {peak:,} words"
    counted = f"{words:,} words counted, {best:,} found by the search"
    between = f"{best:,} words, at least {most:,} ({name})"
    checks = [
        Check(name="legal schedule", holds=not broken, found=legal),
        Check(name="count equals optimum", holds=words == best, found=counted),
        Check(name="optimum at least each lower bound", holds=best >= most, found=between),
    ]
    if plan is not None and not (one_shot and plan.recomputes):
        moved = plan.io_words
        above = f"{moved:,} words, at least {best:,}"
        checks.append(Check(name="algorithm at least optimum", holds=moved >= best, found=above))
    return checks
