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


def made(blocks: list[list[_Move]]) -> Moves:
    """Moves of cells in a row."""
    shapes = sorted({(count, store) for block in blocks for _, count, store in block})
    flat = [move for block in blocks for move in block]
    return Moves(
        arrays=("A", "B"),
        first=np.cumsum([0, *map(len, blocks)]),
        cell=np.array([cell for cell, _, _ in flat], np.int32),
        shape=np.array([shapes.index((count, store)) for _, count, store in flat], np.int16),
        shapes=np.array([(count, 1, 1, 1, 0, 0, store) for count, store in shapes], np.int64).reshape(-1, 7),
        weights=np.array(WEIGHTS, np.int32),
        owner=np.array([0] * 4 + [1] * 4, np.int8),
        loads={},
        stores={},
    )


def plain(blocks: list[list[_Move]], capacity: int, resident: int) -> Dram:
    """A list of cells in the order of use; a list of running blocks."""
    read, written = {"A": 0, "B": 0}, {"A": 0, "B": 0}
    cache: OrderedDict[int, bool] = OrderedDict()
    waiting = [list(block) for block in blocks]
    running: list[list[_Move]] = [waiting.pop(0) for _ in range(min(resident, len(waiting)))]
    while running:
        for slot in range(len(running)):
            while not running[slot] and waiting:
                running[slot] = waiting.pop(0)
            if not running[slot]:
                continue
            first, count, store = running[slot].pop(0)
            for cell in range(first, first + count):
                owner = "A" if cell < 4 else "B"
                if cell not in cache and not store:
                    read[owner] += WEIGHTS[cell]
                cache[cell] = cache.pop(cell, False) or store
                while sum(WEIGHTS[x] for x in cache) > capacity:
                    oldest, dirty = cache.popitem(last=False)
                    written["A" if oldest < 4 else "B"] += WEIGHTS[oldest] * dirty
        running = running if any(running) or waiting else []
    left = sum(WEIGHTS[cell] for cell, dirty in cache.items() if dirty)
    return Dram(read={k: v for k, v in read.items() if v}, written={k: v for k, v in written.items() if v}, left=left)


MOVE = st.integers(0, 7).flatmap(lambda cell: st.tuples(st.just(cell), st.integers(0, 8 - cell), st.booleans()))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(MOVE, max_size=6), max_size=6), st.sampled_from([0, 100, 200, 300, 512]), st.integers(1, 4))
def test_the_cache_is_the_plain_one(blocks: list[list[_Move]], capacity: int, resident: int) -> None:
    """Reads, evictions of what was stored, and what is left of it, for blocks of any length, one at a time or several."""
    assert dram(made(blocks), capacity=capacity, resident=resident) == plain(blocks, capacity, resident)


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
