"""The simulated L2 cache is the plain one, and blocks take turns."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import CountError
from iosim.gpu import l2
from iosim.gpu.l2 import Dram, dram
from iosim.gpu.moves import Moves

WEIGHTS = [32, 64, 32, 96, 32, 32, 64, 160]  # bytes of each cell; the first four are of A, the others of B

_Move = tuple[int, int, bool]  # first cell, how many cells, whether it is a store


def made(blocks: list[list[_Move]], cut: tuple[int, int] = (0, 0)) -> Moves:
    """Moves of cells in a row, of which each move has the first or the last only in part."""
    shapes = sorted({(count, store) for block in blocks for _, count, store in block})
    flat = [move for block in blocks for move in block]
    return Moves(
        arrays=("A", "B"),
        first=np.cumsum([0, *map(len, blocks)]),
        cell=np.array([cell for cell, _, _ in flat], np.int32),
        shape=np.array([shapes.index((count, store)) for _, count, store in flat], np.int16),
        shapes=np.array([(count, 1, 1, 1, 0, 0, store, 0, *cut) for count, store in shapes], np.int64).reshape(-1, 10),
        weights=np.array(WEIGHTS, np.int32),
        owner=np.array([0] * 4 + [1] * 4, np.int8),
        loads={},
        stores={},
    )


def plain(blocks: list[list[_Move]], capacity: int, resident: int, partitions: int, cut: tuple[int, int]) -> Dram:
    """For each partition a list of cells in the order of use; a list of running blocks."""
    read, written = {"A": 0, "B": 0}, {"A": 0, "B": 0}
    caches: list[OrderedDict[int, bool]] = [OrderedDict() for _ in range(partitions)]
    waiting = [list(block) for block in blocks]
    running: list[list[_Move]] = [waiting.pop(0) for _ in range(min(resident, len(waiting)))]
    while any(running) or waiting:
        for slot in range(len(running)):
            while not running[slot] and waiting:
                running[slot] = waiting.pop(0)
            if not running[slot]:
                continue
            cache = caches[slot % partitions]
            first, count, store = running[slot].pop(0)
            for cell in range(first, first + count):
                owner = "A" if cell < 4 else "B"
                part = (cell == first and cut[0]) or (cell == first + count - 1 and cut[1])
                if not any(cell in each for each in caches) and (part or not store):
                    read[owner] += WEIGHTS[cell]
                if store:
                    for each in caches:
                        if each is not cache:
                            each.pop(cell, None)
                cache[cell] = cache.pop(cell, False) or store
                while sum(WEIGHTS[x] for x in cache) > capacity // partitions:
                    oldest, dirty = cache.popitem(last=False)
                    written["A" if oldest < 4 else "B"] += WEIGHTS[oldest] * dirty
    left = sum(WEIGHTS[cell] for cache in caches for cell, dirty in cache.items() if dirty)
    return Dram(read={k: v for k, v in read.items() if v}, written={k: v for k, v in written.items() if v}, left=left)


MOVE = st.integers(0, 7).flatmap(lambda cell: st.tuples(st.just(cell), st.integers(0, 8 - cell), st.booleans()))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(MOVE, max_size=6), max_size=6),
    st.sampled_from([0, 100, 200, 300, 512, 1024]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
def test_the_cache_is_the_plain_one(
    blocks: list[list[_Move]], capacity: int, resident: int, partitions: int, cut: tuple[int, int]
) -> None:
    """Reads, evictions of what was stored, and what is left of it, for blocks of any length, one at a time or several, in
    one partition or several, of whole sectors or not."""
    found = dram(made(blocks, cut), capacity=capacity, resident=resident, partitions=partitions)
    assert found == plain(blocks, capacity, resident, partitions, cut)


def test_what_all_blocks_use_is_held_in_each_partition() -> None:
    """Two blocks read the same 64 bytes twice, with others between: one cache of 128 bytes has room, two of 64 do not."""
    stream = [(1, 1, False), (0, 1, False), (1, 1, False)]  # 64, 32 and the 64 bytes again
    assert dram(made([stream, stream]), capacity=128, resident=2).reads == 64 + 32
    assert dram(made([stream, stream]), capacity=128, resident=2, partitions=2).reads == 64 + 32 + 64
    # what each block has for itself fits in its own partition
    own = [[(0, 1, False), (2, 1, False), (0, 1, False)], [(4, 1, False), (5, 1, False), (4, 1, False)]]
    assert dram(made(own), capacity=128, resident=2, partitions=2).reads == 4 * 32


def test_a_store_of_a_part_of_a_sector_fetches_the_rest() -> None:
    """Of three cells the first and the last are cut: they are read; not if they are in the cache."""
    assert dram(made([[(4, 3, True)]], (1, 1)), capacity=512, resident=1).read == {"B": 32 + 64}
    assert dram(made([[(4, 3, True)]], (0, 1)), capacity=512, resident=1).read == {"B": 64}
    assert dram(made([[(4, 3, True)] * 2], (1, 0)), capacity=512, resident=1).read == {"B": 32}
    assert dram(made([[(4, 3, True)]]), capacity=512, resident=1).read == {}


def test_blocks_that_run_together_share_what_they_load() -> None:
    """Two blocks that stream the same three cells, with room for one: together each cell is read once, alone twice."""
    stream = [(0, 1, False), (1, 1, False), (2, 1, False)]
    once = WEIGHTS[0] + WEIGHTS[1] + WEIGHTS[2]
    assert dram(made([stream, stream]), capacity=64, resident=2).reads == once
    assert dram(made([stream, stream]), capacity=64, resident=1).reads == 2 * once


def test_a_store_reads_nothing_and_is_written_when_it_is_evicted_or_left() -> None:
    """One cell is stored and loaded again from the cache; then others evict it."""
    blocks = [[(0, 1, True), (0, 1, False)]]
    assert dram(made(blocks), capacity=512, resident=1) == Dram(read={}, written={}, left=32)
    blocks[0] += [(7, 1, False)]
    assert dram(made(blocks), capacity=160, resident=1) == Dram(read={"B": 160}, written={"A": 32}, left=0)


def test_too_many_accesses_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before any is simulated."""
    monkeypatch.setattr(l2, "_MOST_TOUCHES", 9)
    with pytest.raises(CountError, match="10 accesses"):
        dram(made([[(0, 5, False), (0, 5, True)]]), capacity=100, resident=1)
