"""Slow memory in cells: boxes of an array that every move of a launch holds wholly or not at all.

Along a row of an array they begin and end at sectors of 32 bytes, the least that moves between the caches of a GPU. Rows of
an array are taken to start at a sector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

import numpy as np
import numpy.typing as npt

from iosim.errors import CountError
from iosim.expr import evaluate_int
from iosim.gpu.blocks import Numbers, Rows, Values, value_of
from iosim.program import Array, Axis, Coordinates, Lookup, Point, Region, Span

SECTOR = 32  # bytes
AXES = 3  # of an array: head, row, column


@dataclass(kw_only=True)
class Cut:
    """How an array is cut into cells. Axes that every move takes whole are one with the axis before.

    First `look` at every region that moves, then `settle`; only then there are `weights`, `boxes` and `cells`.

    Attributes:
        name: of the array.
        lengths: of its axes.
        word_bytes: of its format.
        whole: of each axis, whether every region so far takes all of it.
        ends: of each axis, where regions begin and end. Units: words.
        kept: axes that are not one with the axis before; this and what follows is fixed by `settle`.
        pitch: words for one step along the last of them.
        edges: of each axis kept, where cells begin, and where the last ends: coordinates, of the last one sectors.
        index: of each axis kept, which cell begins at a coordinate or sector; -1 where none does.
        strides: of each of `AXES` axes, how many cells further the next one along it is; 0 for those not kept.
        offset: the number of the first cell.
    """

    name: str
    lengths: tuple[int, ...]
    word_bytes: int
    whole: list[bool]
    ends: list[set[int]]
    kept: int = 0
    pitch: int = 1
    edges: list[npt.NDArray[np.int64]] = field(default_factory=list)
    index: list[npt.NDArray[np.int32]] = field(default_factory=list)
    strides: tuple[int, ...] = ()
    offset: int = 0

    @staticmethod
    def of(array: Array, sizes: Mapping[str, int], word_bytes: Mapping[str, int]) -> Cut:
        lengths = tuple(evaluate_int(size, sizes) for size in array.shape)
        if len(lengths) > AXES:
            raise CountError(f"{array.name} has {len(lengths)} axes; the L2 cache is simulated for at most {AXES}")
        return Cut(
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
        self.strides += (0,) * (AXES - self.kept)
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
        counts = np.ones((many, AXES + 2), np.int64)
        words, touched = np.full(many, self.pitch, np.int64), np.full(many, SECTOR, np.int64)
        for axis, part in enumerate(box):
            words = words * part.words
            touched = touched * np.where(part.words == 0, 0, part.high - part.low)
            begin, end = self.index[axis][part.low], self.index[axis][part.high]
            cell = cell + begin.astype(np.int64) * self.strides[axis]
            counts[:, axis] = np.where(part.words == 0, 0, end - begin)
        counts[:, AXES], counts[:, AXES + 1] = box[-1].cut_low, box[-1].cut_high
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
            low = value_of(start, values)
            yield low, low + value_of(size, values)
        case Point(at=at):
            low = value_of(at, values)
            yield low, low + 1
        case Coordinates(index=index, column=column):
            listed = rows[index][column]
            assert isinstance(listed, Sequence)
            chosen = listed[int(value_of(axis.start, values)) : int(value_of(axis.stop, values))]
            for x in sorted(chosen):
                yield x, x + 1
        case Lookup(tile=tile, position=position):
            raise CountError(f"{tile.name}[{position}] is a number that only an execution knows")
        case _:
            assert_never(axis)
