"""What does a program compute? The very same statements on numpy arrays, tile by tile.

Slow memory is a dict of arrays, fast memory a dict of tiles. A tile is born as NaN unless the program fills it, and so
is every slow word that is not an input: a value that was never computed can't look like one that was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from iosim.errors import ExecutionError
from iosim.expr import evaluate_int
from iosim.interpret.count import count
from iosim.interpret.steps import Indices, Step, steps
from iosim.program import Alloc, Compute, Free, Load, Lookup, Program, Region, Store, Tile

Array: TypeAlias = NDArray[np.float64]


def execute(
    program: Program,
    sizes: Mapping[str, int],
    inputs: Mapping[str, Array],
    *,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Array]:
    """The outputs of `program`, by name, computed in float64.

    Args:
        program: what to run.
        sizes: values of all its sizes.
        inputs: one float64 array for each input of the program.
        progress: called now and then with the fraction of the words moved so far.

    Shapes: as the program declares its arrays, at these sizes.
    Raises:
        ExecutionError: an input is missing or its shape is not the declared one; a number that is looked up is none of the
            coordinates of its axis.
    """
    slow = _slow_memory(program, sizes, inputs)
    fast: dict[str, Array] = {}
    total = evaluate_int(count(program, sizes).io_words, sizes) if progress else 0
    moved = reported = 0
    for step in steps(program, sizes):
        match step.statement:
            case Load(region=region, tile=tile):
                fast[tile.name] = _take(slow[region.array.name], _looked_up(step, region, tile, fast))
                moved += fast[tile.name].size
            case Store(view=view, region=region):
                source = fast[view.tile.name][_box(step, view.axes)]
                slow[region.array.name][_box(step, region.axes)] = source
                moved += source.size
            case Alloc(tile=tile, fill=fill):
                fast[tile.name] = np.full(step.shape(tile.shape), np.nan if fill is None else fill)
            case Free(tile=tile):
                del fast[tile.name]
            case Compute(op=op, operands=operands, params=params):
                views = [fast[view.tile.name][_box(step, view.axes)] for view in operands]
                op.numpy(*views, **{key: step.value(value) for key, value in params})
            case _:
                assert_never(step.statement)
        if progress and moved - reported > total // 200:
            progress(moved / total)
            reported = moved
    return {array.name: slow[array.name] for array in program.arrays if array.role == "output"}


def _slow_memory(program: Program, sizes: Mapping[str, int], inputs: Mapping[str, Array]) -> dict[str, Array]:
    slow: dict[str, Array] = {}
    for array in program.arrays:
        shape = tuple(evaluate_int(size, sizes) for size in array.shape)
        if array.role != "input":
            slow[array.name] = np.full(shape, np.nan)
            continue
        if array.name not in inputs:
            raise ExecutionError(f"{program.name}: input {array.name} is missing, its shape is {list(shape)}")
        given = inputs[array.name]
        if given.shape != shape:
            raise ExecutionError(f"{program.name}: {array.name} is {list(given.shape)}, declared as {list(shape)}")
        slow[array.name] = given
    return slow


def _looked_up(step: Step, region: Region, tile: Tile, fast: Mapping[str, Array]) -> tuple[Indices, ...]:
    """What a region selects, with the numbers that are looked up in fast memory."""
    indices: list[Indices] = []
    for axis, index in enumerate(step.selected(region.axes)):
        if not isinstance(index, Lookup):
            indices.append(index)
            continue
        found = float(fast[index.tile.name][evaluate_int(index.position, {})])
        size = evaluate_int(region.array.shape[axis], step.values)
        if not (0 <= found < size and found.is_integer()):
            where = " / ".join([*(f"loop {loop}={number}" for loop, number in step.path), f"load {tile.name}"])
            raise ExecutionError(
                f"{where}: {index.tile.name}[{index.position}] is {found:g}, looked up on axis {axis} of "
                f"{region.array.name}; allowed: whole numbers from 0 to {size - 1:,}"
            )
        indices.append(int(found))
    return tuple(indices)


def _take(array: Array, indices: tuple[Indices, ...]) -> Array:
    """A copy of a region."""
    taken, axis = array, 0
    for index in indices:
        picked = list(index) if isinstance(index, tuple) else index
        taken = taken[(*(slice(None),) * axis, picked)]
        axis += not isinstance(index, int)
    return np.array(taken)


def _box(step: Step, axes: Any) -> tuple[slice | int, ...]:
    indices = step.indices(axes)
    assert not any(isinstance(index, tuple) for index in indices)
    return indices  # type: ignore[return-value]
