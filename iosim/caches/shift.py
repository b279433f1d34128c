"""Does each iteration of a loop use the same words as the one before, up to a shift?

The words that a view or region reaches in one iteration are those of the iteration before, all moved by the same
distance, if its first coordinates move by whole numbers that are the same in every iteration and its sizes stay. The
words that move by different distances must be apart: then a distance belongs to a range of addresses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from iosim.expr import Size, evaluate, evaluate_int, symbol
from iosim.intervals import interval
from iosim.loops import row_ranges, tile_ranges, tile_values
from iosim.program import (
    Coordinates,
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
from iosim.traces.form import Place
from iosim.traces.homes import used


class _NoShift(Exception):  # noqa: N818  what was found, not an error
    """An iteration is not the one before up to a shift."""


@dataclass(frozen=True, slots=True)
class Moving:
    """Addresses low, ..., high that move by `by` words from each iteration of a loop to the next."""

    low: int
    high: int
    by: int


@dataclass(slots=True)
class Shifts:
    """The shifts of the loops of one program.

    Args:
        homes: as `iosim.traces.homes.homes` has them.
        places: what lies at which addresses.
    """

    program: Program
    sizes: Mapping[str, int]
    homes: Mapping[Tile, Region | None]
    places: Sequence[Place]
    _moving: dict[int, bool] = field(default_factory=dict)

    def possible(self, loop: Loop) -> bool:
        """Whether every iteration, at any values of the loops around it, is the one before up to a shift."""
        if id(loop) not in self._moving:
            try:
                for _ in self._reached(loop, None):
                    pass
                self._moving[id(loop)] = True
            except _NoShift:
                self._moving[id(loop)] = False
        return self._moving[id(loop)]

    def of(self, loop: Loop, around: Mapping[str, int]) -> tuple[Moving, ...] | None:
        """The ranges that move, apart from each other and from all that does not move; None if they are not apart.

        Args:
            loop: for which a shift is possible.
            around: the values of the symbols of the loops around it.
        """
        ranges = sorted({(low, high, by) for low, high, by in self._reached(loop, around)})
        joined: list[list[int]] = []
        for low, high, by in ranges:
            if joined and low <= joined[-1][1]:
                if by != joined[-1][2]:
                    return None
                joined[-1][1] = max(joined[-1][1], high)
            else:
                joined.append([low, high, by])
        return tuple(Moving(low, high, by) for low, high, by in joined if by)

    def _reached(self, loop: Loop, around: Mapping[str, int] | None) -> Iterator[tuple[int, int, int]]:
        """Range and shift of whatever the body of the loop reaches; the ranges mean nothing where `around` is None."""
        walk = _Walk(self, {**self.sizes, **(around or {})}, known=around is not None)
        step = evaluate(loop.step, walk.values)
        walk.enter(loop, step if isinstance(step, int) else 1)
        yield from walk.body(loop.body)


class _Walk:
    def __init__(self, shifts: Shifts, values: Mapping[str, Size], *, known: bool) -> None:
        self.shifts = shifts
        self.values = dict(values)
        self.known = known
        self.by: dict[str, int] = {}
        self.box: dict[str, tuple[int, int]] = {}
        self.starts = {place.name: place for place in shifts.places if not place.tile}
        self.own = {place.name: place for place in shifts.places if place.tile}

    def moved(self, size: Size) -> int:
        """How far a size moves from one iteration to the next."""
        value = evaluate(size, self.values)
        if isinstance(value, int):
            return 0
        apart = evaluate(value, {name: symbol(name) + by for name, by in self.by.items() if by}) - value
        if not isinstance(apart, int):
            raise _NoShift
        return apart

    def enter(self, loop: Loop, by: int) -> None:
        self.by |= tile_values(loop.index, by, 0)
        if self.known:
            low, high, longest = self.ends(loop.start)[0], self.ends(loop.stop)[1], self.ends(loop.step)[1]
            self.box |= tile_ranges(loop.index, low, high, longest)

    def ends(self, size: Size) -> tuple[int, int]:
        if not self.known:
            return 0, 0
        low, high = interval(evaluate(size, self.values), self.box)
        return math.ceil(low), math.floor(high)

    def body(self, body: Sequence[Statement]) -> Iterator[tuple[int, int, int]]:
        for statement in body:
            match statement:
                case Loop():
                    by = self.moved(statement.start)
                    if self.moved(statement.stop) != by or self.moved(statement.step):
                        raise _NoShift
                    self.enter(statement, by)
                    yield from self.body(statement.body)
                case TableLoop(index=index, table=table):
                    if self.known:
                        self.box |= row_ranges(index, table)
                    yield from self.body(statement.body)
                case _:
                    for where, _ in used(statement, self.shifts.homes, self.shifts.sizes):
                        yield self.region(where) if isinstance(where, Region) else self.own_place(where)

    def own_place(self, view: View) -> tuple[int, int, int]:
        """All of the place of a tile that is at home in no array, where nothing may move."""
        sizes = [*view.tile.shape, *(size for axis in view.axes for size in (axis.start, axis.size))]
        if any(self.moved(size) for size in sizes):
            raise _NoShift
        place = self.own[view.tile.name]
        return place.start, place.start + place.words - 1, 0

    def region(self, region: Region) -> tuple[int, int, int]:
        place = self.starts[region.array.name]
        shape = [evaluate_int(size, self.shifts.sizes) for size in region.array.shape]
        low = high = place.start
        by = 0
        for number, axis in enumerate(region.axes):
            stride = math.prod(shape[number + 1 :])
            match axis:
                case Span(start=start, size=size):
                    if self.moved(size):
                        raise _NoShift
                    by += stride * self.moved(start)
                    low += stride * max(0, self.ends(start)[0])
                    high += stride * min(shape[number] - 1, self.ends(start + size)[1] - 1)
                case Point(at=at):
                    by += stride * self.moved(at)
                    low, high = low + stride * self.ends(at)[0], high + stride * self.ends(at)[1]
                case Coordinates(start=start, size=size):
                    if self.moved(start) or self.moved(size):
                        raise _NoShift
                    high += stride * (shape[number] - 1)
                case Lookup():
                    raise _NoShift
                case _:
                    assert_never(axis)
        return low, high, by
