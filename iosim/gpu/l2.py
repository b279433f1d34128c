"""What does an L2 cache load and store while the blocks of a launch run? Tile by tile.

The model: an SM holds so many blocks at once, and they all take turns, one tile at a time; where one ends, the next one of
the grid starts. The cache is empty when the launch begins, holds cells of slow memory (`iosim.gpu.moves`), evicts the one
that was used longest ago, and writes to memory what it evicts if it was stored. A store loads nothing, unless it leaves out
a part of a sector that is not in the cache. What is stored and still in the cache when the launch ends is not yet written,
and counted apart.

A cache in partitions is as many caches, and every other block is on the side of each. What is in another partition is
copied from there, not from memory, and stays in both, until one side stores it: then it is in that one only.

What it leaves out: sets, the order of words within a tile, and blocks that run ahead of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iosim.errors import CountError
from iosim.gpu.moves import Moves

_MOST_TOUCHES = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """Bytes between the L2 cache and the memory behind it.

    Attributes:
        read: by array.
        written: by array; what was evicted.
        left: stored, and in the cache at the end: written later, or by a cache that does not wait with it, before.
    """

    read: Mapping[str, int]
    written: Mapping[str, int]
    left: int

    @property
    def reads(self) -> int:
        """Bytes read in all."""
        return sum(self.read.values())

    @property
    def writes(self) -> int:
        """Bytes written in all, if nothing is written before it has to be."""
        return sum(self.written.values())


def dram(moves: Moves, *, capacity: int, resident: int, partitions: int = 1) -> Dram:
    """What a cache of that capacity loads and stores.

    Args:
        moves: of all blocks of a launch.
        capacity: of the whole cache. Units: bytes.
        resident: how many blocks run at once.
        partitions: of the cache, of one size.

    Raises:
        CountError: more accesses than can be simulated.
    """
    per_shape = moves.shapes[:, :3].prod(axis=1)
    touches = int((per_shape * np.bincount(moves.shape, minlength=len(per_shape))).sum()) if len(moves.shape) else 0
    if touches > _MOST_TOUCHES:
        raise CountError(f"{touches:,} accesses to the L2 cache; it is simulated for at most {_MOST_TOUCHES:,}")
    from iosim.gpu.l2_kernel import simulate

    many = len(moves.arrays)
    read, written, left = (np.zeros(many, np.int64) for _ in range(3))
    cells = len(moves.weights)
    blocks = len(moves.first) - 1
    slots = min(resident, blocks)
    simulate(
        *(moves.first, moves.cell, moves.shape, moves.shapes, moves.weights, moves.owner, capacity // partitions),
        np.zeros(slots, np.int64),
        np.zeros(slots, np.int64),
        np.zeros(partitions * (cells + 1), np.int32),
        np.zeros(partitions * (cells + 1), np.int32),
        np.zeros(partitions * cells, np.int8),
        np.zeros(partitions, np.int64),
        *(read, written, left),
    )

    def named(found: npt.NDArray[np.int64]) -> dict[str, int]:
        return {name: int(x) for name, x in zip(moves.arrays, found, strict=True) if x}

    return Dram(read=named(read), written=named(written), left=int(left.sum()))
