"""From what a user types to a plan whose trace is wanted, and the values that the trace depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from iosim import request
from iosim.numeric.layouts import laid_out
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import index_arrays
from iosim.refusals import given, missing
from iosim.registry import find
from iosim.units import Dtype, Number, dtype, parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An algorithm at one size, as flags say it; None where nothing is said."""

    algo: str | None
    M: Number | None
    n: Number | None
    n_k: Number | None
    d: Number | None
    d_v: Number | None
    batch: Number | None
    heads: Number | None
    kv_heads: Number | None
    mask: str | None
    tied: bool
    dtype: str
    degree: int | None
    set: str | Mapping[str, SupportsIndex] | None
    tiles: str | Mapping[str, SupportsIndex] | None

    @property
    def word(self) -> Dtype:
        return dtype(self.dtype, where="--dtype")

    @property
    def of_the_algorithm(self) -> list[str]:
        """The flags that are given, and say nothing without an algorithm."""
        others = ("algo", "M", "dtype")
        return given(**{each.name: getattr(self, each.name) for each in fields(self) if each.name not in others})


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


def choose(asked: Asked) -> Chosen:
    """The plan that the flags ask for, as `iosim run` chooses it.

    Raises:
        UsageError: a flag that can't be used.
    """
    if asked.algo is None:
        raise missing("--algo", like="flash2")
    if asked.M is None:
        raise missing("--M", like="100KB")
    algorithm, word = find(asked.algo), asked.word
    capacity = parse_size(asked.M, word, where="--M")
    request.check_options(degree=asked.degree)
    shape = request.parse_shape(
        {name: getattr(asked, name) for name in request.COUNTS}, mask=asked.mask or "full", tied=asked.tied
    )
    problem, _, plan = request.planned(
        algorithm,
        request.make_problem(shape, None),
        capacity,
        request.parse_tiles(asked.tiles or "best"),
        where=f"--M {asked.M}",
        word=word,
        degree=asked.degree,
        settings=request.parse_settings(asked.set),
    )
    return Chosen(plan=plan, problem=problem, capacity=capacity, word=word, data=looked_up(plan, problem))


def looked_up(plan: Plan, problem: Problem) -> dict[str, npt.NDArray[Any]]:
    """Values of the arrays of a plan in which coordinates are looked up: those of its layout, for random Q, K and V."""
    names = index_arrays(plan.program)
    if not names or plan.layout is None:
        return {}
    arrays = laid_out(plan, problem, plan.sizes, np.random.default_rng(0).standard_normal)
    return {name: array for name, array in arrays.items() if name in names}
