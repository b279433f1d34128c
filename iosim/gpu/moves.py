"""Which tiles does each block of threads of a launch move, in which order?

A launch is a part of a program, the loops around which have become the grid. The loops in it are run for all blocks at once
(`iosim.gpu.blocks`), and slow memory is cut into the cells that they move (`iosim.gpu.cells`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from iosim.errors import CountError
from iosim.gpu.blocks import Walk
from iosim.gpu.cells import AXES, Cut
from iosim.program import Loop, Statement

_MOST_MOVES = 60_000_000
_MOST_CELLS = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
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
    loads: Mapping[str, Moved]
    stores: Mapping[str, Moved]


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
    walk = Walk(grid=tuple(grid), sizes=dict(sizes))
    seen: dict[str, Cut] = {}
    made = 0
    for step in walk.steps(body):
        cut = seen.setdefault(step.region.array.name, Cut.of(step.region.array, sizes, word_bytes))
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


def _collect(walk: Walk, body: Sequence[Statement], cuts: Mapping[str, Cut]) -> Moves:
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
                shapes.setdefault((*map(int, key[:AXES]), *own, *map(int, key[AXES:])), len(shapes)) for key in keys
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
        shapes=np.array(list(shapes), np.int64).reshape(len(shapes), 2 * AXES + 4),
        weights=np.concatenate([cut.weights() for cut in cuts.values()]) if cuts else np.zeros(0, np.int32),
        owner=np.concatenate([np.full(c.cells_in_all, k, np.int8) for k, c in enumerate(cuts.values())])
        if cuts
        else np.zeros(0, np.int8),
        loads={n: Moved(words=w, sector_bytes=s) for (store, n), (w, s) in totals.items() if not store},
        stores={n: Moved(words=w, sector_bytes=s) for (store, n), (w, s) in totals.items() if store},
    )
