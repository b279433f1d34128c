"""Which lines does a program use at all? Without running it: each place where words are used is looked at on its own.

The words that an operand reaches depend on few of the loops around it; the others need not be run: one iteration of them
is all of them. What is left is about as long as the arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from iosim.caches.model import bounds_of
from iosim.expr import Size, evaluate, free_symbols
from iosim.intervals import interval
from iosim.loops import loops_of, row_ranges, tile_ranges
from iosim.program import (
    Alloc,
    Array,
    Compute,
    Coordinates,
    Load,
    Lookup,
    Loop,
    Point,
    Program,
    Region,
    Span,
    Statement,
    TableLoop,
    Tile,
    View,
)
from iosim.traces.expand import MOVES, Expansion
from iosim.traces.form import Place
from iosim.traces.homes import homes, used
from iosim.traces.lists import gathers_all

_Loops: TypeAlias = tuple[Loop | TableLoop, ...]


def first_loads(
    program: Program, sizes: Mapping[str, int], places: Sequence[Place], line: int
) -> npt.NDArray[np.int64] | None:
    """Lines of each place that are loaded for the first time, whatever the cache.

    With lines of one word these are the words of the inputs that are used: all else is written before it is read. With
    longer ones they are all the lines that are used.

    Args:
        program: a legal program.
        places: as the trace has them, each at a multiple of a line.

    Returns:
        None where it is not known: coordinates are looked up, an input is written, an operation gathers coordinates and
        perhaps not all, or (longer lines) a tile that is at home in no array is born without values, so that perhaps not
        all of it is used.
    """
    at_home = homes(program, sizes)
    seen = np.zeros(int(bounds_of(places, line)[-1]), dtype=bool)
    own = {place.name: place for place in places if place.tile}
    looked_at: set[tuple[Region, _Loops]] = set()
    for statement, loops in _statements(program.body, ()):
        if isinstance(statement, Compute) and "@" in statement.op.uses:
            tables = {loop.index: loop for loop in loops if isinstance(loop, TableLoop)}
            if not gathers_all(statement, sizes, tables):
                return None
        for reached, written in used(statement, at_home, sizes):
            if isinstance(reached, View):
                if line == 1 or isinstance(statement, Compute):  # all of the tile is used when it is made
                    continue
                if isinstance(statement, Alloc) and statement.fill is None:
                    return None
                words = Array(reached.tile.name, (own[reached.tile.name].words,), "scratch")
                reached = Region(words, (Span(0, evaluate(reached.tile.words, sizes)),))  # noqa: PLW2901
            elif any(isinstance(axis, Lookup) for axis in reached.axes):
                return None
            elif line == 1:
                if reached.array.role != "input":
                    continue
                if written:
                    return None
            needed = _needed(reached, loops, sizes)
            if (reached, needed) not in looked_at:
                looked_at.add((reached, needed))
                _mark(program, reached, needed, sizes, line, seen, own.get(reached.array.name))
    ends = bounds_of(places, line)
    return np.array([seen[begin:end].sum() for begin, end in zip([0, *ends[:-1]], ends, strict=True)])


def _statements(body: Sequence[Statement], loops: _Loops) -> Iterator[tuple[Statement, _Loops]]:
    for statement in body:
        if isinstance(statement, Loop | TableLoop):
            yield from _statements(statement.body, (*loops, statement))
        else:
            yield statement, loops


def _needed(region: Region, loops: _Loops, sizes: Mapping[str, int]) -> _Loops:
    """The loops that the region depends on, the loops that those depend on, and those that may have no iteration."""
    names: set[str] = set()
    for axis in region.axes:
        match axis:
            case Span(start=start, size=size):
                names |= _symbols(start, size)
            case Coordinates(index=index, start=start, size=size):
                names |= _symbols(start, size) | {index}
            case Point(at=at):
                names |= _symbols(at)
            case Lookup():
                raise AssertionError(axis)
    sure = _surely_run(loops, sizes)
    kept: list[Loop | TableLoop] = []
    for loop in reversed(loops):
        if loop.index not in names and loop in sure:
            continue
        kept.append(loop)
        if isinstance(loop, Loop):
            bounds = (evaluate(size, sizes) for size in (loop.start, loop.stop, loop.step))
            names |= _symbols(*bounds)
    return tuple(reversed(kept))


def _symbols(*sizes: Size) -> set[str]:
    return loops_of(name for size in sizes for name in free_symbols(size))


def _surely_run(loops: _Loops, sizes: Mapping[str, int]) -> list[Loop | TableLoop]:
    """The loops that have an iteration at any values of those around them."""
    box = {name: (value, value) for name, value in sizes.items()}
    found: list[Loop | TableLoop] = []
    for loop in loops:
        if isinstance(loop, TableLoop):
            box |= row_ranges(loop.index, loop.table)
            if loop.table.row_count:
                found.append(loop)
            continue
        low, high = interval(loop.start, box)[0], interval(loop.stop, box)[1]
        box |= tile_ranges(loop.index, int(low), int(high), int(interval(loop.step, box)[1]))
        if interval(loop.stop - loop.start, box)[0] >= 1:
            found.append(loop)
    return found


def _mark(
    program: Program,
    region: Region,
    loops: _Loops,
    sizes: Mapping[str, int],
    line: int,
    seen: npt.NDArray[np.bool_],
    own: Place | None,
) -> None:
    body: tuple[Statement, ...] = (Load(region, Tile("reached", region.shape)),)
    for loop in reversed(loops):
        body = (replace(loop, body=body),)
    arrays = program.arrays if own is None else (region.array,)
    alone = Program(program.name, program.sizes, arrays, body)
    begin = 0 if own is None else own.start
    for piece in Expansion(alone, sizes, what=MOVES, align=line).pieces():
        seen[(piece.addresses + begin) // line] = True
