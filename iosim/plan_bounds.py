"""Which lower bounds hold for a plan, and what do they say?"""

from __future__ import annotations

from collections.abc import Iterator

from iosim import task
from iosim.algorithm import Algorithm
from iosim.bounds import approx, declared, decoding, gradient
from iosim.bounds.bound import Bound, Property, Setting
from iosim.bounds.exact import applicable
from iosim.errors import UsageError
from iosim.plan import Plan
from iosim.problem import Problem


def setting(problem: Problem, plan: Plan, capacity: int, algorithm: Algorithm | None = None) -> Setting:
    """What bounds look at, of a problem and of the schedule that is held against them; of an approximate one, its algorithm
    knows the classes."""
    properties: set[Property] = set() if plan.recomputes else {"no recomputation"}
    properties |= set() if any(array.role == "scratch" for array in plan.program.arrays) else {"no spilling"}
    return problem.setting(
        capacity,
        properties=properties | _classes(algorithm, problem, plan),
        degree=problem.degree if algorithm is not None and algorithm.takes_polynomial else None,
        keys=plan.keys,
    )


def _classes(algorithm: Algorithm | None, problem: Problem, plan: Plan) -> frozenset[Property]:
    """The classes of `iosim.bounds.approx`: these are about every query with every key, and r features with weight."""
    if algorithm is None or not problem.mask.full or 0.0 in (problem.coefficients or ()):
        return frozenset()
    return algorithm.properties - {"one-shot"} if plan.recomputes else algorithm.properties


def lower_bounds(algorithm: Algorithm, problem: Problem, plan: Plan, capacity: int) -> Iterator[tuple[Bound, int]]:
    """The lower bounds on the traffic: for what is not exact attention that each input word in use is loaded, and what holds
    for the classes that the schedule is in.

    Raises:
        UsageError: no bounds are stated for what the algorithm computes.
    """
    here = setting(problem, plan, capacity, algorithm)
    match algorithm.computes:
        case task.DECODING:
            yield from decoding.applicable(here, degree=problem.degree, group=problem.group, heads=problem.heads)
            return
        case task.LOOPED:
            yield from declared.applicable(plan.program, plan.sizes)
            return
        case task.ATTENTION:
            found = applicable(here)
        case task.GRADIENT:
            found = gradient.applicable(here, plan.program)
        case other:  # the bounds of another task may be more than it moves
            raise UsageError(f"{algorithm.name} computes {other.name}, for which no lower bounds are stated")
    for bound, words, _ in approx.applicable(here):
        yield bound, words
    for bound, words in found:
        if words > 0 and (bound.compulsory or not algorithm.approximate):
            yield bound, words
