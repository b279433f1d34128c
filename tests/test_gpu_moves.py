"""The moves of all blocks of a launch at once are those of the program, run statement by statement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import CountError
from iosim.gpu.cases import Case, work_of
from iosim.gpu.cells import SECTOR
from iosim.gpu.moves import Moves, moves
from iosim.interpret.steps import steps
from iosim.interpret.triton import Launch, lower
from iosim.masks import CAUSAL
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import Load, Program, Store
from iosim.registry import find
from tests.small_programs import GATHERED

_Sector = tuple[str, tuple[int, ...], int]


def launches(plan: Plan) -> tuple[Launch, ...]:
    """What becomes a launch."""
    return lower(plan.program, plan.sizes).launches


def plainly(plan: Plan, launch: Launch, size: Mapping[str, int]) -> list[list[tuple[bool, frozenset[_Sector]]]]:
    """For each block, each move: whether it stores, and the sectors that it touches; every loop run."""
    program = Program(plan.program.name, plan.program.sizes, plan.program.arrays, launch.nest)
    lengths: dict[str, tuple[int, ...]] = {}
    found: dict[tuple[tuple[str, int], ...], list[tuple[bool, str, list[list[int]]]]] = {}
    for step in steps(program, plan.sizes):
        mine = found.setdefault(step.path[: len(launch.axes)], [])
        if isinstance(step.statement, Load | Store):
            region, store = step.statement.region, isinstance(step.statement, Store)
            length = lengths.setdefault(region.array.name, step.shape(region.array.shape))
            picked = [
                [*range(*index.indices(n))]
                if isinstance(index, slice)
                else [index]
                if isinstance(index, int)
                else [*index]
                for index, n in zip(step.indices(region.axes), length, strict=True)
            ]
            mine.append((store, region.array.name, picked))
    # trailing axes that every move takes whole lie in one piece
    kept = dict.fromkeys(lengths, 1)
    for _, name, picked in (move for block in found.values() for move in block):
        parts_of = [axis + 1 for axis, (p, n) in enumerate(zip(picked, lengths[name], strict=True)) if p != [*range(n)]]
        kept[name] = max([kept[name], *parts_of])

    def sectors(name: str, picked: Sequence[Sequence[int]]) -> frozenset[_Sector]:
        last, unit = kept[name] - 1, size[name] * math.prod(lengths[name][kept[name] :])
        rows = product(*picked[:last])
        columns = {s for x in picked[last] for s in range(x * unit // SECTOR, -(-(x + 1) * unit // SECTOR))}
        return frozenset((name, row, column) for row in rows for column in columns)

    order = sorted(found, key=lambda path: [number for _, number in path])
    return [[(store, sectors(name, picked)) for store, name, picked in found[path]] for path in order]


def cells(found: Moves, move: int) -> set[int]:
    """The cells that a move holds."""
    a, b, c, *strides = found.shapes[found.shape[move]].tolist()[:6]
    return {
        int(found.cell[move]) + i * strides[0] + j * strides[1] + k * strides[2]
        for i in range(a)
        for j in range(b)
        for k in range(c)
    }


def check(plan: Plan, size: Mapping[str, int]) -> None:
    """Blocks, order, direction, sectors, what any two moves share, and the words of the count."""
    loads: dict[str, int] = {}
    stores: dict[str, int] = {}
    for launch in launches(plan):
        found = moves(launch.nest, launch.axes, plan.sizes, size)
        plain = plainly(plan, launch, size)
        assert np.diff(found.first).tolist() == [len(block) for block in plain]
        flat = [move for block in plain for move in block]
        held = [cells(found, move) for move in range(len(flat))]
        assert [bool(found.shapes[s, 6]) for s in found.shape] == [store for store, _ in flat]
        for (_, sectors), mine in zip(flat, held, strict=True):
            assert found.weights[list(mine)].sum() == SECTOR * len(sectors)
        for (_, one), mine in zip(flat[:40], held, strict=False):
            for (_, other), theirs in zip(flat[:40], held, strict=False):
                assert found.weights[list(mine & theirs)].sum() == SECTOR * len(one & other)
        for total, each in ((loads, found.loads), (stores, found.stores)):
            for name, traffic in each.items():
                total[name] = total.get(name, 0) + traffic.words
        touched = sum(t.sector_bytes for t in (*found.loads.values(), *found.stores.values()))
        assert touched == SECTOR * sum(len(sectors) for _, sectors in flat)
    count = plan.count()
    assert loads == {name: words for name, words in count.loads.items() if words}
    assert stores == {name: words for name, words in count.stores.items() if words}


SIZES = st.integers(1, 16)


@settings(max_examples=3, deadline=None)
@given(st.data(), SIZES, SIZES, st.integers(1, 3), st.sampled_from([2, 4, 8]))
@pytest.mark.parametrize(
    ("name", "tiles"),
    [
        ("flash2", {"B_r": "n", "B_c": "n", "e": "d", "e_v": "d"}),
        ("flash1", {"B_c": "n", "B_r": "n", "e": "d", "e_v": "d"}),
        ("standard", {"B_r": "n", "B_c": "n", "B_o": "n", "B_d": "d", "e": "d", "f": "n", "h": "n", "e_v": "d"}),
    ],
)
def test_moves_are_those_of_the_program(
    name: str, tiles: dict[str, str], data: st.DataObject, n: int, d: int, heads: int, word: int
) -> None:
    """Any tiles, ragged ends, several heads, words of 2 to 8 bytes."""
    chosen = {tile: data.draw(st.integers(1, n if axis == "n" else d), tile) for tile, axis in tiles.items()}
    plan = find(name).explicit(Problem(n=n, d=d, kv_heads=heads), chosen).times(heads)
    check(plan, {array.name: word for array in plan.program.arrays})


@settings(max_examples=3, deadline=None)
@given(st.data(), SIZES, st.integers(1, 12))
def test_under_a_mask_blocks_have_moves_of_their_own(data: st.DataObject, n: int, B_r: int) -> None:
    """Causal attention: the loop over keys ends where the tile of queries does."""
    B_c = data.draw(st.integers(1, n), "B_c")
    problem = Problem(n=n, d=4, mask=CAUSAL)
    plan = find("flash2").explicit(problem, {"B_r": min(B_r, n)})
    plan = Plan(**{name: getattr(plan, name) for name in plan.__slots__} | {"sizes": {**plan.sizes, "B_c": B_c}})
    check(plan, {array.name: 2 for array in plan.program.arrays})


@pytest.mark.parametrize("M", [60, 20])
def test_listed_coordinates_are_the_sectors_that_they_are_in(M: int) -> None:
    """Polynomial attention in blocks loads columns that a design lists, and those of one sector once."""
    plan = work_of(Case(algorithm="approx", n=5, d=6, degree=2, fast_memory_words=M, heads=2)).plan
    assert plan.schedule != "resident"
    check(plan, {array.name: 8 for array in plan.program.arrays})


def test_coordinates_are_listed_in_any_order() -> None:
    """Columns 3 and 0 of four, of 16 bytes each, are in two sectors; column 2 is in one."""
    found = moves(GATHERED.body, ("i",), {"n": 5, "B": 2}, {"X": 16, "Y": 8})
    # for each row of X: two columns and one, 2 + 1 sectors; Y is one column of 8 bytes, 16 B of a tile of two rows
    assert (found.loads["X"].words, found.loads["X"].sector_bytes) == (5 * 3, 5 * (2 + 1) * SECTOR)
    assert (found.stores["Y"].words, found.stores["Y"].sector_bytes) == (5, 3 * SECTOR)


def test_a_trace_that_is_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on moves of all blocks together, found before they are made."""
    monkeypatch.setattr("iosim.gpu.moves._MOST_MOVES", 9)
    plan = work_of(Case(algorithm="flash2", n=32, d=2, tiles={"B_r": 16, "B_c": 16})).plan
    (launch,) = launches(plan)
    with pytest.raises(CountError, match="more than 9 moves of tiles"):
        moves(launch.nest, launch.axes, plan.sizes, dict.fromkeys("QKVO", 2))
