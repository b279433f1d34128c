"""Which tiles does each block of threads of a launch move, in which order? All blocks at once.

A launch is a part of a program, the loops around which have become the grid. The loops in it are run; in them every number
is that of all blocks together, a numpy array, so that a grid of thousands costs no more Python than one block.

Slow memory is cut into cells, boxes of an array that every move holds wholly or not at all. Along a row of an array they
begin and end at sectors of 32 bytes, the least that moves between the caches of a GPU. Rows of an array are taken to start
at a sector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from iosim.errors import CountError
from iosim.expr import Atom, Expr, Extremum, Quotient, Size, Sum, evaluate_int
from iosim.loops import row_values, tile_values
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
    Region,
    Span,
    Statement,
    Store,
    TableLoop,
)

SECTOR = 32  # bytes
_AXES = 3  # of an array: head, row, column
_MOST_MOVES = 60_000_000
_MOST_AT_ONCE = 4_000_000  # numbers in an array
_MOST_CELLS = 60_000_000

Numbers: TypeAlias = "int | npt.NDArray[np.int64]"
Values: TypeAlias = dict[str, Numbers]
Rows: TypeAlias = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the moves of one array in one direction are. Units: words; bytes of the sectors that they touch."""

    words: int = 0
    sector_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Every move of every block, block after block.

    Attributes:
        arrays: names of the arrays that move.
        first: where the moves of each block begin, and where those of the last end.
        cell: the first cell of each move.
        shape: which of `shapes` each move has.
        shapes: cells along each axis, the distance between neighbours along each axis, whether it is a store, the axis along
            rows, and whether the first and the last cell along it are sectors that the move has only a part of.
        weights: of each cell. Units: bytes.
        owner: the array of each cell, by its number.
        loads, stores: by array.
    """

    arrays: tuple[str, ...]
    first: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int32]
    shape: npt.NDArray[np.int16]
    shapes: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int32]
    owner: npt.NDArray[np.int8]
    loads: Mapping[str, Traffic]
    stores: Mapping[str, Traffic]


def moves(
    nest: Sequence[Statement],
    axes: Sequence[str],
    sizes: Mapping[str, int],
    word_bytes: Mapping[str, int],
) -> Moves:
    """The moves of one launch.

    Args:
        nest: the part of a program that it runs.
        axes: the loops around everything else in it that are the grid, the outermost first; blocks start in the order in
            which these loops would run.
        sizes: values of all sizes of the program.
        word_bytes: of a word of each array.

    Raises:
        CountError: more moves or cells than can be simulated, or a region that only an execution knows.
    """
    grid: list[Loop] = []
    body = nest
    for index in axes:
        (loop,) = body
        assert isinstance(loop, Loop)
        assert loop.index == index
        grid.append(loop)
        body = loop.body
    walk = _Walk(grid=tuple(grid), sizes=dict(sizes))
    seen: dict[str, _Cut] = {}
    made = 0
    for step in walk.steps(body):
        cut = seen.setdefault(step.region.array.name, _Cut.of(step.region.array, sizes, word_bytes))
        cut.look(step.region, step.values, step.rows)
        made += walk.blocks if step.block is None else len(step.block)
        if made > _MOST_MOVES:
            raise CountError(f"more than {_MOST_MOVES:,} moves of tiles; the L2 cache is simulated for fewer")
    offset = 0
    for cut in seen.values():
        offset = cut.settle(offset)
    if offset > _MOST_CELLS:
        raise CountError(f"{offset:,} cells of slow memory; the L2 cache is simulated for at most {_MOST_CELLS:,}")
    return _collect(walk, body, seen)


def _collect(walk: _Walk, body: Sequence[Statement], cuts: Mapping[str, _Cut]) -> Moves:
    shapes: dict[tuple[int, ...], int] = {}
    parts: list[tuple[npt.NDArray[Any], ...]] = []  # block, order, cell, shape
    totals: dict[tuple[bool, str], list[int]] = {}
    everyone = np.arange(walk.blocks, dtype=np.int32)
    for step in walk.steps(body):
        name = step.region.array.name
        cut, block = cuts[name], everyone if step.block is None else step.block.astype(np.int32)
        total = totals.setdefault((step.store, name), [0, 0])
        moment = np.broadcast_to(np.asarray(step.order, np.int64), block.shape)
        for box in cut.boxes(step.region, step.values, step.rows):
            cell, counts, words, touched = cut.cells(box, len(block))
            total[0] += words
            total[1] += touched
            if len(counts) == 0 or (counts == counts[0]).all():
                keys, inverse = counts[:1], np.zeros(len(counts), np.int64)
            else:
                keys, inverse = np.unique(counts, axis=0, return_inverse=True)
            own = (*cut.strides, int(step.store), cut.kept - 1)
            numbers = [
                shapes.setdefault((*map(int, key[:_AXES]), *own, *map(int, key[_AXES:])), len(shapes)) for key in keys
            ]
            parts.append((block, moment, cell, np.array(numbers, np.int16)[inverse.reshape(-1)]))
    block, when, cell, shape = (
        np.concatenate([part[k] for part in parts]) if parts else np.zeros(0, np.int32) for k in range(4)
    )
    order = np.lexsort((when, block))
    first = np.searchsorted(block[order], np.arange(walk.blocks + 1))
    return Moves(
        arrays=tuple(cuts),
        first=first.astype(np.int64),
        cell=cell[order].astype(np.int32),
        shape=shape[order].astype(np.int16),
        shapes=np.array(list(shapes), np.int64).reshape(len(shapes), 2 * _AXES + 4),
        weights=np.concatenate([cut.weights() for cut in cuts.values()]) if cuts else np.zeros(0, np.int32),
        owner=np.concatenate([np.full(c.cells_in_all, k, np.int8) for k, c in enumerate(cuts.values())])
        if cuts
        else np.zeros(0, np.int8),
        loads={n: Traffic(words=w, sector_bytes=s) for (store, n), (w, s) in totals.items() if not store},
        stores={n: Traffic(words=w, sector_bytes=s) for (store, n), (w, s) in totals.items() if store},
    )


# The loops


@dataclass(frozen=True, slots=True)
class _Step:
    """A load or a store, by all of the blocks or some."""

    region: Region
    store: bool
    values: Values
    rows: Rows
    block: npt.NDArray[np.int64] | None  # None: all of them
    order: Numbers  # a block's moves happen in this order


@dataclass(kw_only=True)
class _Walk:
    """Runs the loops. One whose body has no loop to run is run at once, for all of its tiles."""

    grid: tuple[Loop, ...]
    sizes: dict[str, int]
    blocks: int = 1
    clock: int = 0  # of the next move

    def steps(self, body: Sequence[Statement]) -> Iterator[_Step]:
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
    ) -> Iterator[_Step]:
        for statement in body:
            match statement:
                case Load(region=region) | Store(region=region):
                    self.clock += 1
                    yield _Step(region, isinstance(statement, Store), values, rows, block, self.clock - 1)
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

    def _loop(self, loop: Loop, values: Values, rows: Rows, block: npt.NDArray[np.int64] | None) -> Iterator[_Step]:
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
                isinstance(_value(end, values), np.ndarray)
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
    ) -> Iterator[_Step]:
        """The body for all tiles t: for each tile its moves, one after the other."""
        begin = self.clock
        steps = list(self._run(body, values, rows, block))
        each = self.clock - begin
        for step in steps:
            yield replace(step, order=step.order + t * each)
        self.clock = begin + tiles * each


def _tiles(loop: Loop, values: Mapping[str, Numbers]) -> Numbers:
    start, stop, step = (_value(x, values) for x in (loop.start, loop.stop, loop.step))
    return -((start - stop) // step)


def _tile(loop: Loop, t: Numbers, values: Mapping[str, Numbers]) -> Values:
    """Where tile number `t` begins and how long it is."""
    start, stop, step = (_value(x, values) for x in (loop.start, loop.stop, loop.step))
    begin = start + t * step
    return tile_values(loop.index, begin, np.minimum(step, stop - begin))


# Slow memory in cells


@dataclass(kw_only=True)
class _Cut:
    """How an array is cut into cells. Axes that every move takes whole are one with the axis before."""

    name: str
    lengths: tuple[int, ...]
    word_bytes: int
    whole: list[bool]
    ends: list[set[int]]
    kept: int = 0  # axes that are not one with the axis before
    pitch: int = 1  # words for one step along the last of them
    edges: list[npt.NDArray[np.int64]] = field(default_factory=list)
    index: list[npt.NDArray[np.int32]] = field(default_factory=list)
    strides: tuple[int, ...] = ()
    offset: int = 0

    @staticmethod
    def of(array: Array, sizes: Mapping[str, int], word_bytes: Mapping[str, int]) -> _Cut:
        lengths = tuple(evaluate_int(size, sizes) for size in array.shape)
        if len(lengths) > _AXES:
            raise CountError(f"{array.name} has {len(lengths)} axes; the L2 cache is simulated for at most {_AXES}")
        return _Cut(
            name=array.name,
            lengths=lengths,
            word_bytes=word_bytes[array.name],
            whole=[True] * len(lengths),
            ends=[set() for _ in lengths],
        )

    def look(self, region: Region, values: Values, rows: Rows) -> None:
        """Takes note of where the region begins and ends."""
        for axis, (part, length) in enumerate(zip(region.axes, self.lengths, strict=True)):
            for low, high in _intervals(part, values, rows):
                if self.whole[axis] and not (np.all(low == 0) and np.all(high == length)):
                    self.whole[axis] = False
                self.ends[axis].update(np.unique(low).tolist(), np.unique(high).tolist())

    def settle(self, offset: int) -> int:
        """Fixes the cells, the first of which has the number `offset`; returns the number after the last."""
        self.kept = max((axis + 1 for axis, whole in enumerate(self.whole) if not whole), default=1)
        self.pitch = int(np.prod(self.lengths[self.kept :], dtype=np.int64))
        for axis in range(self.kept):
            ends = np.array(sorted({0, self.lengths[axis], *self.ends[axis]}), np.int64)
            if axis == self.kept - 1:
                step = self.pitch * self.word_bytes
                ends = np.unique(np.concatenate([ends * step // SECTOR, -(-ends * step // SECTOR)]))
            table = np.full(int(ends[-1]) + 1, -1, np.int32)
            table[ends] = np.arange(len(ends))
            self.edges.append(ends)
            self.index.append(table)
        counts = [len(edges) - 1 for edges in self.edges]
        self.strides = tuple(int(np.prod(counts[axis + 1 :], dtype=np.int64)) for axis in range(self.kept))
        self.strides += (0,) * (_AXES - self.kept)
        self.offset = offset
        return offset + self.cells_in_all

    @property
    def cells_in_all(self) -> int:
        return int(np.prod([len(edges) - 1 for edges in self.edges], dtype=np.int64))

    def weights(self) -> npt.NDArray[np.int32]:
        weights = np.ones(1, np.int64)
        for edges in self.edges:
            weights = np.multiply.outer(weights, np.diff(edges)).reshape(-1)
        return (weights * SECTOR).astype(np.int32)

    def boxes(self, region: Region, values: Values, rows: Rows) -> Iterator[list[_Part]]:
        """What the region is: one box, or for listed coordinates one for each run of them."""
        found: list[list[_Part]] = [[]]
        for axis in range(self.kept):
            unit = self.pitch * self.word_bytes if axis == self.kept - 1 else SECTOR
            parts: list[_Part] = []
            for low, high in _intervals(region.axes[axis], values, rows):
                cut = low * unit % SECTOR != 0, high * unit % SECTOR != 0
                part = _Part(high - low, low * unit // SECTOR, -(-high * unit // SECTOR), *cut)
                before = parts[-1] if parts else None
                if before is not None and isinstance(low, int) and int(part.low) <= int(before.high):
                    # of listed coordinates, which are only loaded
                    parts[-1] = _Part(before.words + part.words, before.low, max(before.high, part.high), False, False)
                else:
                    parts.append(part)
            found = [[*box, part] for box in found for part in parts]
        yield from found

    def cells(self, box: Sequence[_Part], many: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int, int]:
        """First cell, and cells along each axis and whether the ends are cut, for each block; words and bytes of sectors of
        all blocks together."""
        cell = np.full(many, self.offset, np.int64)
        counts = np.ones((many, _AXES + 2), np.int64)
        words, touched = np.full(many, self.pitch, np.int64), np.full(many, SECTOR, np.int64)
        for axis, part in enumerate(box):
            words = words * part.words
            touched = touched * np.where(part.words == 0, 0, part.high - part.low)
            begin, end = self.index[axis][part.low], self.index[axis][part.high]
            cell = cell + begin.astype(np.int64) * self.strides[axis]
            counts[:, axis] = np.where(part.words == 0, 0, end - begin)
        counts[:, _AXES], counts[:, _AXES + 1] = box[-1].cut_low, box[-1].cut_high
        return cell.astype(np.int32), counts, int(words.sum()), int(touched.sum())


class _Part(NamedTuple):
    """Coordinates of one axis: how many, and the rows or sectors that they are in."""

    words: Numbers
    low: Numbers
    high: Numbers
    cut_low: bool | npt.NDArray[np.bool_]  # whether only a part of the first is in it
    cut_high: bool | npt.NDArray[np.bool_]  # and of the last


def _intervals(axis: Axis, values: Values, rows: Rows) -> Iterator[tuple[Numbers, Numbers]]:
    """The coordinates, as intervals."""
    match axis:
        case Span(start=start, size=size):
            low = _value(start, values)
            yield low, low + _value(size, values)
        case Point(at=at):
            low = _value(at, values)
            yield low, low + 1
        case Coordinates(index=index, column=column):
            listed = rows[index][column]
            assert isinstance(listed, Sequence)
            chosen = listed[int(_value(axis.start, values)) : int(_value(axis.stop, values))]
            for x in sorted(chosen):
                yield x, x + 1
        case Lookup(tile=tile, position=position):
            raise CountError(f"{tile.name}[{position}] is a number that only an execution knows")
        case _:
            assert_never(axis)


# Sizes of all blocks at once


def _value(size: Size, values: Mapping[str, Numbers]) -> Numbers:
    return size if isinstance(size, int) else _compiled(size)(values)


@cache
def _compiled(size: Expr) -> Callable[[Mapping[str, Numbers]], Numbers]:
    code = eval(f"lambda v: {_text(size)}", {"np": np})

    def value(values: Mapping[str, Numbers]) -> Numbers:
        found: Any = code(values)
        return found if isinstance(found, np.ndarray) and found.ndim else int(found)

    return value


def _text(size: Size) -> str:
    """A Python expression."""
    if isinstance(size, int):
        return f"({size})"
    whole = int(np.lcm.reduce([getattr(c, "denominator", 1) for c in size.terms.values()], initial=1))
    terms = [
        "*".join([f"({int(coefficient * whole)})", *(f"{_atom(atom)}**{power}" for atom, power in monomial)])
        for monomial, coefficient in size.terms.items()
    ]
    return f"(({' + '.join(terms) or '0'})//{whole})" if whole > 1 else f"({' + '.join(terms) or '0'})"


def _atom(atom: Atom) -> str:
    match atom:
        case str():
            return f"v[{atom!r}]"
        case Quotient(up=up, numerator=a, denominator=b):
            return f"(-((-{_text(a)})//{_text(b)}))" if up else f"({_text(a)}//{_text(b)})"
        case Extremum(greatest=greatest, arguments=arguments):
            name = "maximum" if greatest else "minimum"
            found = _text(arguments[0])
            for other in arguments[1:]:
                found = f"np.{name}({found}, {_text(other)})"
            return found
        case Sum():
            raise CountError(f"{atom} has no closed form; the L2 cache is not simulated for it")
        case _:
            assert_never(atom)
