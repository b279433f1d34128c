"""A program once for each of many instances: a batch, or the heads of an attention layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from iosim.expr import Size, free_symbols
from iosim.program import (
    Alloc,
    Array,
    Compute,
    Free,
    Load,
    Loop,
    Need,
    Point,
    Program,
    Region,
    Span,
    Statement,
    Store,
    TableLoop,
    coordinate_of,
    start_of,
)


def for_each(program: Program, index: str, times: Size, *, shared: frozenset[str] = frozenset()) -> Program:
    """`program` once for each of `times` instances, one after the other: a batch, or the heads of an attention layer.

    Every input and output has one axis more, the first, on which each instance has a place of its own; scratch arrays are
    used again by each instance.

    Args:
        program: for one instance.
        index: the name of the loop over the instances, which no loop of `program` has.
        times: how many instances; a symbol becomes a size of the program.
        shared: inputs that all instances share, which stay as they are.
    """
    here = Point(start_of(index))

    def moved(array: Array) -> Array:
        if array.role == "scratch" or array.name in shared:
            return array
        word = {f"@{axis}": coordinate_of(axis + 1) for axis in range(len(array.shape))}
        needs = tuple(
            Need(
                need.array,
                (*(() if need.array in shared else (Span(coordinate_of(0), 1),)), *(s.at(word) for s in need.axes)),
            )
            for need in array.needs
        )
        return Array(array.name, (times, *array.shape), array.role, needs)

    arrays = {array: moved(array) for array in program.arrays}

    def region(old: Region) -> Region:
        new = arrays[old.array]
        return Region(new, old.axes if new is old.array else (here, *old.axes))

    sizes = program.sizes + tuple(sorted(free_symbols(times) - set(program.sizes)))
    loop = Loop(index, 0, times, 1, with_regions(program.body, region))
    return Program(program.name, sizes, tuple(arrays.values()), (loop,))


def with_regions(body: Sequence[Statement], region: Callable[[Region], Region]) -> tuple[Statement, ...]:
    """`body` with what `region` makes of each region that is loaded or stored."""

    def statement(old: Statement) -> Statement:
        match old:
            case Load(region=source, tile=tile):
                return Load(region(source), tile)
            case Store(view=view, region=target):
                return Store(view, region(target))
            case Loop() | TableLoop():
                return replace(old, body=with_regions(old.body, region))
            case Alloc() | Free() | Compute():
                return old
            case _:
                assert_never(old)

    return tuple(map(statement, body))
