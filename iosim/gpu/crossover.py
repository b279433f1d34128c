"""From which n on does approximate attention pay on a GPU? Measured, and where two models put it.

time      where the measured times of the kernel and of PyTorch's fused attention cross
roofline  where the times below which neither can be cross: for bytes at the bandwidth of the memory, matrix products at
          the peak of the matrix units, and exponentials at the rate of the special function units
words     where the program moves fewer words than the best exact schedule, in the fast memory of one SM (registers and
          shared memory)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from iosim.expr import evaluate_int
from iosim.gpu.cases import Case, problem_of, work_of
from iosim.gpu.results import CaseResult, title_without_n
from iosim.machines import Machine

_BYTES = 2  # of a word
_LARGEST = 2**40  # n that is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """From which n an approximate kernel takes less than exact attention.

    Attributes:
        title: of the kernel, without n.
        measured: by times, between two measured ones by a straight line of logarithms; None if they don't cross.
        modelled: on the roofline; None if the machine is not known, or never.
        words: by words moved; None if never, or the machine is not known.
        sizes: n at which both times were measured.
    """

    title: str
    measured: float | None
    modelled: int | None
    words: int | None
    sizes: tuple[int, ...]


def crossovers(results: Sequence[CaseResult], machine: Machine | None) -> list[Crossover]:
    """For each approximate kernel that was timed beside fused attention at several n."""
    found = []
    for title, group in timed_over_n(results).items():
        found.append(
            Crossover(
                title=title,
                measured=crossing([(r.case.n, (r.seconds or 0.0) / (r.sdpa_seconds or 1.0)) for r in group]),
                modelled=None if machine is None else _on_the_roofline(group[-1].case, machine),
                words=None if machine is None else _by_words(group[-1].case, machine),
                sizes=tuple(r.case.n for r in group),
            )
        )
    return found


def timed_over_n(results: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    """By title without n, in rising n: approximate kernels that were timed beside fused attention at several n."""
    groups: dict[str, list[CaseResult]] = {}
    for result in results:
        if result.case.degree is not None and result.seconds and result.sdpa_seconds:
            groups.setdefault(title_without_n(result.case), []).append(result)
    return {title: sorted(group, key=lambda result: result.case.n) for title, group in groups.items() if len(group) > 1}


def crossing(points: Sequence[tuple[int, float]]) -> float | None:
    """Where a ratio that is given at some n falls to 1, on straight lines in logarithms; None if it does not.

    Example:
        >>> crossing([(100, 4.0), (400, 1.0), (800, 0.5)])
        400.0
        >>> crossing([(100, 2.0), (400, 0.5)])
        200.0
    """
    for (n, ratio), (after, less) in pairwise(points):
        if ratio >= 1 >= less and ratio > less:
            part = math.log(ratio) / (math.log(ratio) - math.log(less))
            return round(math.exp(math.log(n) + part * (math.log(after) - math.log(n))), 6)
    return None


def roofline_seconds(machine: Machine, *, flops: float, moved: float, exponentials: float = 0.0) -> float | None:
    """The time below which no kernel can be; None if a figure of the machine is not known.

    Args:
        flops: of matrix products in 16 bits.
        moved: to and from the memory. Units: bytes.
        exponentials: of them.
    """
    rates = (machine.tensor_fp16, machine.memory_bandwidth, machine.exponentials)
    if None in rates:
        return None
    return max(amount / (rate or 1.0) for amount, rate in zip((flops, moved, exponentials), rates, strict=True))


def _on_the_roofline(case: Case, machine: Machine) -> int | None:
    """The program's flops and bytes grow with n, those of exact attention with the pairs that meet; each byte moves once."""
    if roofline_seconds(machine, flops=1, moved=1) is None:
        return None
    flops = evaluate_int(work_of(case).plan.count().flops, {}) / case.n

    def approximate_is_faster(n: int) -> bool:
        moved = 4 * n * case.d * case.heads * _BYTES
        ours = roofline_seconds(machine, flops=flops * n, moved=moved)
        fused = replace(case, n=n, n_k=None)
        exact = roofline_seconds(machine, flops=fused.useful_flops, moved=moved, exponentials=fused.pairs)
        return ours is not None and exact is not None and ours < exact

    return first(approximate_is_faster)


def first(holds: Callable[[int], bool]) -> int | None:
    """The least n at which something holds that holds for all larger ones; None if it does not at 2^40.

    Example:
        >>> first(lambda n: n * n > 1000)
        32
    """
    low, high = 0, 1
    while not holds(high):
        low, high = high, 2 * high
        if high > _LARGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _by_words(case: Case, machine: Machine) -> int | None:
    from iosim.approximation.payoff import pays_from
    from iosim.registry import find

    if machine.fast_bytes is None:
        return None
    algorithm, problem = find(case.algorithm), problem_of(case)
    capacity = machine.fast_bytes // _BYTES
    if algorithm.least_capacity(problem) > capacity:
        return None
    return pays_from(algorithm, problem.with_n(1), capacity)
