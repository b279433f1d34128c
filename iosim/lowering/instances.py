"""Scratch arrays that the instances of a program use one after the other become one array for each of them.

Heads share nothing but the places of their scratch arrays; where each head writes there what it later reads, it may as
well have places of its own, and all heads can run at once. The same words move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from iosim.expr import Expr, Size, free_symbols
from iosim.instances import with_regions
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.loops import size_name, start_name
from iosim.program import (
    Alloc,
    Array,
    Axis,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Loop,
    Point,
    Program,
    Region,
    Span,
    Statement,
    Store,
    TableLoop,
    start_of,
    walk,
)


def with_own_scratch(program: Program, sizes: Mapping[str, int]) -> Program:
    """`program` with an axis more for scratch arrays, if it is a loop over instances that could share them.

    They can if the instances differ only in which place of other arrays they touch, and if one instance alone never reads
    a word of a scratch array that it has not written.
    """
    scratch = [array for array in program.arrays if array.role == "scratch"]
    if len(program.body) != 1 or not scratch:
        return program
    (loop,) = program.body
    if not isinstance(loop, Loop) or loop.step != 1 or not _only_places(loop):
        return program
    one = replace(program, body=(replace(loop, start=0, stop=1),))
    if any(broken.rule is Rule.UNWRITTEN for broken in violations(one, sizes)):
        return program
    own = {array: Array(array.name, (loop.stop, *array.shape), array.role, array.needs) for array in scratch}
    here = Point(start_of(loop.index))

    def region(old: Region) -> Region:
        return Region(own[old.array], (here, *old.axes)) if old.array in own else old

    arrays = tuple(own.get(array, array) for array in program.arrays)
    return replace(program, arrays=arrays, body=(replace(loop, body=with_regions(loop.body, region)),))


def _only_places(loop: Loop) -> bool:
    """Whether the number of the instance says which place of an axis of an array is meant, and nothing else."""
    own = {start_name(loop.index), size_name(loop.index)}
    return not any(own & free_symbols(size) for statement in walk(loop.body) for size in _sizes(statement, loop))


def _sizes(statement: Statement, instances: Loop) -> Iterator[Size]:
    """All sizes in a statement, but for places that are the number of the instance."""
    match statement:
        case Load(region=region, tile=tile):
            yield from _of_axes(region.axes, instances)
            yield from tile.shape
        case Store(view=view, region=region):
            yield from _of_axes(region.axes, instances)
            yield from _of_axes(view.axes, instances)
        case Alloc(tile=tile) | Free(tile=tile):
            yield from tile.shape
        case Compute(operands=operands, params=params):
            for view in operands:
                yield from _of_axes(view.axes, instances)
            yield from (value for _, value in params if isinstance(value, int | Expr))
        case Loop(start=start, stop=stop, step=step):
            yield from (start, stop, step)
        case TableLoop():
            pass
        case _:
            assert_never(statement)


def _of_axes(axes: Sequence[Axis], instances: Loop) -> Iterator[Size]:
    for axis in axes:
        match axis:
            case Span(start=start, size=size) | Coordinates(start=start, size=size):
                yield from (start, size)
            case Point(at=at):
                if at != start_of(instances.index):
                    yield at
            case Lookup(position=position):
                yield position
            case _:
                assert_never(axis)
