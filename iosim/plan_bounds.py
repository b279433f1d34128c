"""Which lower bounds hold for a plan, or for every schedule of some algorithms, and what do they say?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from iosim import task
from iosim.algorithm import Algorithm
from iosim.bounds import approx, declared, decoding, exact, gradient
from iosim.bounds.bound import Bound, Property, Setting
from iosim.errors import UsageError
from iosim.plan import Plan
from iosim.problem import Problem


def setting(problem: Problem, plan: Plan, capacity: int, algorithm: Algorithm | None = None) -> Setting:
    """What bounds look at, of a problem and of the schedule that is held against them; of an approximate one, its algorithm
    knows the classes."""
    properties: set[Property] = set() if plan.recomputes else {"no recomputation"}
    properties |= set() if any(array.role == "scratch" for array in plan.program.arrays) else {"no spilling"}
    classes = frozenset() if algorithm is None else _classes([algorithm], problem)
    return problem.setting(
        capacity,
        properties=properties | (classes - {"one-shot"} if plan.recomputes else classes),
        degree=problem.degree if algorithm is not None and algorithm.takes_polynomial else None,
        keys=plan.keys,
    )


def _classes(algorithms: Iterable[Algorithm], problem: Problem) -> frozenset[Property]:
    """The classes of `iosim.bounds.approx` that all are in: these are about every query with every key, and r features with
    weight."""
    if not problem.mask.full or 0.0 in (problem.coefficients or ()):
        return frozenset()
    return frozenset.intersection(*(algorithm.properties for algorithm in algorithms))


def lower_bounds(algorithm: Algorithm, problem: Problem, plan: Plan, capacity: int) -> Iterator[tuple[Bound, int]]:
    """The lower bounds on the traffic of a plan, for all heads.

    Raises:
        UsageError: no bounds are stated for what the algorithm computes.
    """
    yield from bounds_of_task(algorithm, problem, plan, setting(problem, plan, capacity, algorithm))


def bounds_of_task(algorithm: Algorithm, problem: Problem, plan: Plan, here: Setting) -> Iterator[tuple[Bound, int]]:
    """The lower bounds for every schedule with the properties of a setting, of what an algorithm computes.

    For what is not exact attention: that each input word in use is loaded, and what holds for the classes it is in.

    Args:
        plan: says which arrays are given.

    Raises:
        UsageError: no bounds are stated for what the algorithm computes.
    """
    match algorithm.computes:
        case task.DECODING:
            yield from decoding.applicable(here, degree=problem.degree, group=problem.group, heads=problem.instances)
        case task.LOOPED:
            yield from declared.applicable(plan.program, plan.sizes)
        case task.ATTENTION:
            yield from _of_attention(here, approximate=algorithm.approximate)
        case task.GRADIENT:
            yield from (found for found in gradient.applicable(here, plan.program) if found[1] > 0)
        case other:  # the bounds of another task may be more than it moves
            raise UsageError(f"{algorithm.name} computes {other.name}, for which no lower bounds are stated")


def _of_attention(here: Setting, *, approximate: bool, strongest: bool = False) -> Iterator[tuple[Bound, int]]:
    yield from ((bound, words) for bound, words, _ in approx.applicable(here, strongest=strongest))
    found = exact.compulsory(here) if approximate else exact.applicable(here)
    yield from ((bound, words) for bound, words in found if words > 0)


def bounds_for_all(algorithms: Sequence[Algorithm], problem: Problem, capacity: int) -> Iterator[tuple[Bound, int]]:
    """The lower bounds on the traffic of every schedule of some algorithms, for all heads; of those with segments the one
    for the smallest class.

    Args:
        algorithms: exact ones, or ones with the polynomial of the problem's degree.
    """
    approximate = algorithms[0].approximate
    classes = _classes(algorithms, problem) if approximate else frozenset()
    here = problem.setting(capacity, properties=classes, degree=problem.degree if approximate else None)
    return _of_attention(here, approximate=approximate, strongest=True)


def greatest_for_all(
    algorithms: Sequence[Algorithm], problem: Problem, capacity: int, plans: Iterable[Plan]
) -> tuple[Bound, int]:
    """The greatest lower bound on the traffic of every schedule of some algorithms, and what it says, for all heads.

    Args:
        algorithms: as of `bounds_for_all`; or one of another kind.
        plans: of that one, all that are looked at; for others none is made.
    """
    first = algorithms[0]
    if first.computes == task.ATTENTION and first.method is None:
        return max(bounds_for_all(algorithms, problem, capacity), key=_words)
    # each with the keys that it uses and the arrays that it is given: the least of what holds for them
    each = ([found for found in lower_bounds(first, problem, plan, capacity) if found[0].universal] for plan in plans)
    return min((max(bounds, key=_words) for bounds in each), key=_words)


def _words(found: tuple[Bound, int]) -> int:
    return found[1]
