"""The loops of a launch, run for all of its blocks at once: every number is that of all blocks together, a numpy array.

So a grid of thousands of blocks costs no more Python than one block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from iosim.expr import Size
from iosim.expr.compiled import for_arrays
from iosim.loops import row_values, tile_values
from iosim.program import Alloc, Compute, Coordinates, Free, Load, Loop, Region, Statement, Store, TableLoop

_MOST_AT_ONCE = 4_000_000  # numbers in an array

Numbers: TypeAlias = "int | npt.NDArray[np.int64]"
Values: TypeAlias = dict[str, Numbers]
Rows: TypeAlias = Mapping[str, Mapping[str, object]]


def value_of(size: Size, values: Mapping[str, Numbers]) -> Numbers:
    """A size for all blocks together.

    Raises:
        CountError: it is a sum without closed form.
    """
    if isinstance(size, int):
        return size
    function, names = for_arrays(size)
    found = function(*(values[name] for name in names))
    return found if isinstance(found, np.ndarray) and found.ndim else int(found)


@dataclass(frozen=True, slots=True)
class Step:
    """A load or a store, by all of the blocks or some."""

    region: Region
    store: bool
    values: Values
    rows: Rows
    block: npt.NDArray[np.int64] | None  # None: all of them
    order: Numbers  # a block's moves happen in this order


@dataclass(kw_only=True)
class Walk:
    """Runs the loops. One whose body has no loop to run is run at once, for all of its tiles."""

    grid: tuple[Loop, ...]
    sizes: dict[str, int]
    blocks: int = 1
    clock: int = 0  # of the next move

    def steps(self, body: Sequence[Statement]) -> Iterator[Step]:
        lengths = [int(_tiles(loop, self.sizes)) for loop in self.grid]
        self.blocks = math.prod(lengths)
        number = np.arange(self.blocks, dtype=np.int64)
        place: Values = {}
        for loop, tiles in reversed([*zip(self.grid, lengths, strict=True)]):
            place |= _tile(loop, number % tiles, self.sizes)
            number = number // tiles
        self.clock = 0
        return self._run(body, {**self.sizes, **place}, {}, None)

    def _run(
        self, body: Sequence[Statement], values: Values, rows: Rows, block: npt.NDArray[np.int64] | None
    ) -> Iterator[Step]:
        for statement in body:
            match statement:
                case Load(region=region) | Store(region=region):
                    self.clock += 1
                    yield Step(region, isinstance(statement, Store), values, rows, block, self.clock - 1)
                case Loop():
                    yield from self._loop(statement, values, rows, block)
                case TableLoop(index=index, table=table, body=inner):
                    for number, row in enumerate(table.rows()):
                        here = {**values, **row_values(index, row, number)}
                        yield from self._run(inner, here, {**rows, index: row}, block)
                case Alloc() | Free() | Compute():
                    pass
                case _:
                    assert_never(statement)

    def _loop(self, loop: Loop, values: Values, rows: Rows, block: npt.NDArray[np.int64] | None) -> Iterator[Step]:
        tiles = _tiles(loop, values)
        most, many = int(np.max(tiles, initial=0)), self.blocks if block is None else len(block)
        if 1 < most <= _MOST_AT_ONCE // max(1, many) and np.all(tiles == most):
            t = np.repeat(np.arange(most), many)
            copies: Values = {
                k: np.tile(v, most) if isinstance(v, np.ndarray) and v.ndim else v for k, v in values.items()
            }
            copies |= _tile(loop, t, copies)
            if self._once(loop.body, copies):
                everyone = np.arange(many) if block is None else block
                yield from self._at_once(loop.body, copies, rows, np.tile(everyone, most), t, most)
                return
        for number in range(most):
            running = np.asarray(tiles > number)
            if running.all():
                yield from self._run(loop.body, {**values, **_tile(loop, number, values)}, rows, block)
                continue
            running = np.broadcast_to(running, self.blocks if block is None else len(block))
            fewer = {k: v[running] if isinstance(v, np.ndarray) and v.ndim else v for k, v in values.items()}
            left = np.flatnonzero(running) if block is None else block[running]
            yield from self._run(loop.body, {**fewer, **_tile(loop, number, fewer)}, rows, left)

    def _once(self, body: Sequence[Statement], values: Values) -> bool:
        """Whether every loop in it has one tile, and the same coordinates are listed whatever the values."""
        for statement in body:
            if isinstance(statement, TableLoop):
                return False
            if isinstance(statement, Load) and any(
                isinstance(value_of(end, values), np.ndarray)
                for axis in statement.region.axes
                if isinstance(axis, Coordinates)
                for end in (axis.start, axis.stop)
            ):
                return False
            if isinstance(statement, Loop) and not (
                np.all(_tiles(statement, values) == 1)
                and self._once(statement.body, {**values, **_tile(statement, 0, values)})
            ):
                return False
        return True

    def _at_once(
        self,
        body: Sequence[Statement],
        values: Values,
        rows: Rows,
        block: npt.NDArray[np.int64],
        t: npt.NDArray[np.int64],
        tiles: int,
    ) -> Iterator[Step]:
        """The body for all tiles t: for each tile its moves, one after the other."""
        begin = self.clock
        steps = list(self._run(body, values, rows, block))
        each = self.clock - begin
        for step in steps:
            yield replace(step, order=step.order + t * each)
        self.clock = begin + tiles * each


def _tiles(loop: Loop, values: Mapping[str, Numbers]) -> Numbers:
    start, stop, step = (value_of(x, values) for x in (loop.start, loop.stop, loop.step))
    return -((start - stop) // step)


def _tile(loop: Loop, t: Numbers, values: Mapping[str, Numbers]) -> Values:
    """Where tile number `t` begins and how long it is."""
    start, stop, step = (value_of(x, values) for x in (loop.start, loop.stop, loop.step))
    begin = start + t * step
    return tile_values(loop.index, begin, np.minimum(step, stop - begin))
