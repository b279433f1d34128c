"""From what a user types to a plan whose trace is wanted, and the values that the trace depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from iosim import request
from iosim.errors import UsageError
from iosim.numeric.layouts import laid_out
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import index_arrays
from iosim.registry import find
from iosim.units import Dtype, Number, dtype, parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A plan that was asked for by flags.

    Attributes:
        data: of the arrays that are looked up in, their values.
        capacity: M. Units: words.
    """

    plan: Plan
    problem: Problem
    capacity: int
    word: Dtype
    data: Mapping[str, npt.NDArray[Any]]


def choose(*, algo: str, M: Number | None, dtype_name: str, tiles: str | Mapping[str, int], **options: Any) -> Chosen:
    """The plan that the flags ask for, as `iosim run` chooses it.

    Raises:
        UsageError: a flag that can't be used.
    """
    if M is None:
        raise UsageError("--M is missing: the fast memory that tiles are chosen for; allowed: like --M 100KB")
    algorithm, word = find(algo), dtype(dtype_name, where="--dtype")
    capacity = parse_size(M, word, where="--M")
    request.check_options(degree=options["degree"])
    counts = {name: options[name] for name in request.COUNTS}
    problem = request.make_problem(request.parse_shape(counts, mask=options["mask"], tied=options["tied"]), None)
    problem, _, plan = request.planned(
        algorithm,
        problem,
        capacity,
        tiles,
        where=f"--M {M}",
        word=word,
        degree=options["degree"],
        settings=options["settings"],
    )
    return Chosen(plan=plan, problem=problem, capacity=capacity, word=word, data=looked_up(plan, problem))


def looked_up(plan: Plan, problem: Problem) -> dict[str, npt.NDArray[Any]]:
    """Values of the arrays of a plan in which coordinates are looked up: those of its layout, for random Q, K and V."""
    names = index_arrays(plan.program)
    if not names or plan.layout is None:
        return {}
    arrays = laid_out(plan, problem, plan.sizes, np.random.default_rng(0).standard_normal)
    return {name: array for name, array in arrays.items() if name in names}
