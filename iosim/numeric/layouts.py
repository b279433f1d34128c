"""Inputs of a plan that lays Q, K and V out in a way of its own, such as pages and the table that finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy.typing as npt

from iosim.plan import Plan
from iosim.problem import Problem

_Array: TypeAlias = npt.NDArray[Any]


def laid_out(
    plan: Plan, problem: Problem, sizes: Mapping[str, int], draw: Callable[[tuple[int, ...]], _Array]
) -> dict[str, _Array]:
    """What the layout of a plan makes of Q, K and V.

    Args:
        plan: with a layout.
        problem: what is computed; its Q, K and V are laid out.
        sizes: of the program.
        draw: makes an array of a shape.

    Shapes: as the program declares its inputs.
    """
    assert plan.layout is not None
    heads = (problem.instances,) if problem.instances > 1 else ()
    shapes = {
        "Q": (*heads, problem.n * problem.group, problem.d),
        "K": (*heads, problem.n_k, problem.d),
        "V": (*heads, problem.n_k, problem.d_v),
    }
    return dict(plan.layout({name: draw(shape) for name, shape in shapes.items()}, sizes))
