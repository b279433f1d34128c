"""A program at given sizes as flat arrays of whole numbers, for compiled code to run (`iosim.traces.expand`).

Symbols of loops are registers. A size is a number, a multiple of one register plus a number, or a piece of code for a
stack. A statement becomes instructions: loops, births of tiles, and *emissions*, each a nest of loops over letters in
which words of its operands are used in turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from iosim.errors import MeaningError
from iosim.expr import Expr, Size, evaluate, evaluate_int
from iosim.intervals import interval
from iosim.loops import row_ranges, row_values, tile_ranges, tile_values
from iosim.program import (
    Alloc,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Loop,
    Point,
    Program,
    Region,
    Span,
    Statement,
    Store,
    TableLoop,
    Tile,
    View,
    index_arrays,
    product,
    walk,
)
from iosim.traces.form import (
    BIRTH,
    COORDINATES,
    EMIT,
    END,
    LETTERS,
    LOAD,
    LOOKUP,
    LOOP,
    MOVES,
    OPERANDS,
    POINT,
    RANK,
    READ,
    SPAN,
    STORE,
    TABLE,
    TABLE_END,
    UPDATE,
    USES,
    WRITE,
    Flat,
    Flattened,
    Integers,
)
from iosim.traces.homes import homes, part, region_at
from iosim.traces.lists import Lists, gathered
from iosim.traces.memory import SlowMemory
from iosim.traces.nests import Nests, one_after_the_other
from iosim.traces.sizes import Sizes

_COLUMNS = 10  # of an instruction
_TEXT = "abcdef"
_REACHED = 0  # the tile that stands for a region whose words are used or moved where they are
_MOST_LISTED = 10**7  # numbers of a table: each takes some 160 bytes while it is read


def flatten(
    program: Program, sizes: Mapping[str, int], data: Mapping[str, npt.NDArray[Any]] | None = None, *, align: int = 1
) -> Flattened:
    """`program` as flat arrays.

    Arrays lie one after the other in the order of the program, row by row, then tiles that are at home in none.

    Args:
        program: a legal program.
        sizes: values of all its sizes.
        data: of the arrays that are looked up in, their values. Shapes: as the program declares them, at these sizes.
        align: every array begins at a multiple of this. Units: words.

    Raises:
        MeaningError: `data` are missing, the addresses don't fit in 62 bits, or an array, an operation or a size is larger
            than what the compiled code has room for.
        CountError: a size has no value.
    """
    return _Flattener(program, sizes, data or {}, align).finish()


class _Flattener:
    def __init__(
        self, program: Program, sizes: Mapping[str, int], data: Mapping[str, npt.NDArray[Any]], align: int
    ) -> None:
        self.sizes = dict(sizes)
        self.program = program
        self.homes = homes(program, sizes)
        self.computed = _computed(program)
        self.memory = SlowMemory(program, sizes, data, index_arrays(program, apart=self.computed), align)
        self.numbers = Sizes(program.name, self.sizes)
        self.nests = Nests()
        self.lists = Lists()
        self.instructions: list[tuple[int, ...]] = []
        self.statements: list[Statement | None] = []
        self.operands: list[tuple[int, ...]] = []
        self.regions: list[tuple[int, int]] = []
        self.region_axes: list[tuple[int, int, int, int, int]] = []
        self.tiles: dict[Tile, int] = {}
        self.tile_rows: list[tuple[int, int]] = [(-1, 0)]  # the first is `_REACHED`
        self.rows: list[int] = []
        self.registers = 0
        self.box: dict[str, tuple[int, int]] = {}
        self.tables: dict[str, tuple[TableLoop, int]] = {}
        self._body(program.body)

    def finish(self) -> Flattened:
        table = np.array(self.numbers.rows, dtype=np.int64).reshape(-1, 4)

        def columns(rows: Sequence[tuple[int, ...]], width: int) -> Integers:
            return np.array(rows, dtype=np.int64).reshape(-1, width)

        def joined(parts: Sequence[Integers]) -> Integers:
            return np.concatenate(parts).astype(np.int64) if parts else np.zeros(1, dtype=np.int64)

        flat = Flat(
            constant=table[:, 0].copy(),
            coefficient=table[:, 1].copy(),
            register=table[:, 2].copy(),
            code_at=table[:, 3].copy(),
            code=columns(self.numbers.code or [(0, 0)], 2),
            instructions=columns(self.instructions, _COLUMNS),
            operands=columns(self.operands or [(0,) * (3 + 3 * RANK)], 3 + 3 * RANK),
            nests=columns(self.nests.rows or [(0,) * 5], 5),
            regions=columns(self.regions or [(0, 0)], 2),
            region_axes=columns(self.region_axes or [(0,) * 5], 5),
            arrays=columns(self.memory.rows, 2),
            array_axes=columns(self.memory.axes, 2),
            tiles=columns(self.tile_rows, 2),
            rows=np.array(self.rows or [0], dtype=np.int64),
            lists=columns(self.lists.rows or [(0, 0)], 2),
            coordinates=joined(self.lists.coordinates),
            looked_up=joined(self.memory.values),
        )
        return Flattened(
            flat, max(1, self.registers), len(self.tile_rows), tuple(self.memory.places), tuple(self.statements)
        )

    # Sizes

    def _most(self, size: Size) -> int:
        """No less than `size` ever is."""
        return math.floor(interval(evaluate(size, self.sizes), self.box)[1])

    # Statements

    def _body(self, body: Sequence[Statement]) -> None:
        for statement in body:
            match statement:
                case Loop():
                    self._loop(statement)
                case TableLoop():
                    self._table(statement)
                case Load(region=region, tile=tile):
                    self._emit(statement, MOVES, [(region, LOAD)])
                    self._birth(statement, tile)
                    if self.homes[tile] != region_at(region, self.sizes):
                        self._emit(statement, USES, [(region, READ), (tile.whole, WRITE)])
                case Alloc(tile=tile, fill=fill):
                    self._birth(statement, tile)
                    if fill is not None:
                        self._emit(statement, USES, [(tile.whole, WRITE)])
                case Store(view=view, region=region):
                    home = self.homes[view.tile]
                    there = home is not None and part(home, view, self.sizes) == region_at(region, self.sizes)
                    if not there:
                        self._emit(statement, USES, [(view, READ), (region, WRITE)])
                    self._emit(statement, MOVES, [(region, STORE)])
                case Compute():
                    self._compute(statement)
                case Free():
                    pass
                case _:
                    assert_never(statement)

    def _add(self, statement: Statement | None, *columns: int) -> int:
        self.instructions.append((*columns, *(0,) * (_COLUMNS - len(columns))))
        self.statements.append(statement)
        return len(self.instructions) - 1

    def _put(self, at: int, *columns: int) -> None:
        self.instructions[at] = (*columns, *(0,) * (_COLUMNS - len(columns)))

    def _loop(self, loop: Loop) -> None:
        """Columns: kind, start, stop, step, first of four registers, instruction after the loop."""
        start, stop, step = (self.numbers.number(size) for size in (loop.start, loop.stop, loop.step))
        low, high, longest = -self._most(-loop.start), self._most(loop.stop), self._most(loop.step)
        register = self.registers
        self.registers += 4  # start, size, stop, step
        first = self._add(loop, LOOP, start, stop, step, register)
        names = tile_values(loop.index, register, register + 1)
        self._inside(loop, names, tile_ranges(loop.index, low, high, longest))
        self._add(loop, END, first)
        self._put(first, LOOP, start, stop, step, register, len(self.instructions))

    def _table(self, loop: TableLoop) -> None:
        """Columns: kind, first row in `rows`, how many, whole numbers in a row, first register, instruction after it."""
        if (listed := loop.table.listed) > _MOST_LISTED:
            raise MeaningError(f"the table of loop {loop.index} lists {listed:,} numbers; allowed: {_MOST_LISTED:,}")
        rows = list(loop.table.rows())
        names = [name for name, value in rows[0].items() if isinstance(value, int)] if rows else []
        first_row, register = len(self.rows), self.registers
        self.rows += [int(row[name]) for row in rows for name in names]  # type: ignore[call-overload]
        self.registers += 1 + len(names)  # the number of the row, then its whole numbers
        first = self._add(loop, TABLE)
        after = {name: register + 1 + number for number, name in enumerate(names)}
        self.tables[loop.index] = (loop, register)
        self._inside(loop, row_values(loop.index, after, register), row_ranges(loop.index, loop.table))
        del self.tables[loop.index]
        self._add(loop, TABLE_END, first)
        self._put(first, TABLE, first_row, len(rows), len(names), register, len(self.instructions))

    def _inside(self, loop: Loop | TableLoop, names: Mapping[str, int], ends: Mapping[str, tuple[int, int]]) -> None:
        symbols, box = self.numbers.symbols, self.box
        self.numbers.symbols, self.box = {**symbols, **names}, {**box, **ends}
        self._body(loop.body)
        self.numbers.symbols, self.box = symbols, box

    def _birth(self, statement: Statement, tile: Tile) -> None:
        """Columns: kind, tile, home or -1, operand that has its sizes or -1, when. Of a tile: its own place, its rank."""
        home = self.homes[tile]
        if tile not in self.tiles:
            if len(tile.shape) > RANK:
                raise MeaningError(f"{tile.name} has {len(tile.shape)} axes; allowed in a trace: at most {RANK}")
            words = self._most(product(tile.shape)) if home is None else 0
            own = self.memory.place(tile.name, max(0, words), tile=True) if home is None else -1
            self.tiles[tile] = len(self.tile_rows)
            self.tile_rows.append((own, len(tile.shape)))
        number = self.tiles[tile]
        if home is not None:
            self._add(statement, BIRTH, number, self._region(home), -1, MOVES | USES)
            return
        shape = [self.numbers.number(size) for size in tile.shape]
        self.operands.append((number, 0, 0, *shape, *[-1] * (RANK - len(shape)), *(0,) * (2 * RANK)))
        self._add(statement, BIRTH, number, -1, len(self.operands) - 1, MOVES | USES)

    def _region(self, region: Region) -> int:
        """Columns: array, rank. Of an axis: kind, start or place or position, size, first list or -1, row's register
        or tile."""
        self.regions.append((self.memory.number[region.array.name], len(region.axes)))
        for axis in region.axes:
            match axis:
                case Span(start=start, size=size):
                    row = (SPAN, self.numbers.number(start), self.numbers.number(size), -1, 0)
                case Point(at=at):
                    row = (POINT, self.numbers.number(at), 0, -1, 0)
                case Lookup(tile=tile, position=position):
                    if tile not in self.tiles or tile in self.computed:
                        raise MeaningError(
                            f"{self.program.name}: {tile.name}[{axis.position}] is a number that only an execution knows; "
                            "a trace looks up in tiles that are loaded and never changed"
                        )
                    row = (LOOKUP, self.numbers.number(position), 0, -1, self.tiles[tile])
                case Coordinates(index=index, column=column):
                    loop, register = self.tables[index]
                    first = self.lists.column(loop.table, column)
                    low, high = loop.table.bounds(column)
                    length = evaluate_int(region.array.shape[len(self.region_axes) % RANK], self.sizes)
                    if low < 0 or high >= length:
                        raise MeaningError(
                            f"{region.array.name}: coordinates {low} to {high}; allowed: 0 to {length - 1}"
                        )
                    row = (
                        COORDINATES,
                        self.numbers.number(axis.start),
                        self.numbers.number(axis.size),
                        first,
                        register,
                    )
                case _:
                    assert_never(axis)
            self.region_axes.append(row)
        self.region_axes += [(SPAN, 0, 0, -1, 0)] * (RANK - len(region.axes))
        return len(self.regions) - 1

    # Emissions

    def _emit(
        self,
        statement: Statement,
        when: int,
        used: Sequence[tuple[Region | View, int]],
    ) -> None:
        """All words of regions or views of one shape, one after the other; of several of them, in turn."""
        rank = sum(not isinstance(axis, Point | Lookup) for axis in used[0][0].axes)
        letters = _TEXT[:rank]
        names = "XY"[: len(used)]
        text = " ".join(names)
        for letter in reversed(letters):
            text = f"{letter}({text})"
        nest = self.nests.add(text, {name: tuple(letters) for name in names})
        first = len(self.operands)
        for operand, kind in used:
            if isinstance(operand, Region):
                self._add(statement, BIRTH, _REACHED, self._region(operand), -1, when)
                axes, number = tuple(Span(0, size) for size in operand.shape), _REACHED
            else:
                axes, number = operand.axes, self.tiles[operand.tile]
            self._operand(number, axes, kind, tuple(letters), letters)
        self._add(statement, EMIT, when, nest, first, len(used), -1, -1, 0, rank, -1)

    def _compute(self, compute: Compute) -> None:
        """Columns of an emission: kind, when, nest, first operand, how many, first list or -1, register of the row or
        -1, lists in a row, letters, how many entries of a list come before or -1."""
        op = compute.op
        named = dict(op.operands)
        letters = "".join(dict.fromkeys(letter for axes in named.values() for letter in axes))
        if not named:
            return
        if len(letters) > LETTERS:
            raise MeaningError(f"{op.name} has {len(letters)} axes in all; allowed in a trace: at most {LETTERS}")
        if len(named) > OPERANDS:
            raise MeaningError(f"{op.name} has {len(named)} operands; allowed in a trace: at most {OPERANDS}")
        uses = op.uses or one_after_the_other(op)
        nest = self.nests.add(uses, named, letters)
        first = len(self.operands)
        for number, (name, view) in enumerate(zip(named, compute.operands, strict=True)):
            kind = READ if number >= op.updates else WRITE if name in op.fresh else UPDATE
            self._operand(self.tiles[view.tile], view.axes, kind, named[name], letters)
        lists, register = self._gathered(compute) if "@" in uses else (-1, 0)
        skipped = dict(compute.params).get("first")
        begin = self.numbers.number(skipped) if isinstance(skipped, int | Expr) else -1
        self._add(compute, EMIT, USES, nest, first, len(named), lists, register, uses.count("@"), len(letters), begin)

    def _operand(self, tile: int, spans: Sequence[Span], kind: int, axes: Sequence[str], letters: str) -> None:
        """Columns: tile, kind, rank; of each axis: start, size, letter."""
        rest = [-1] * (RANK - len(spans))
        starts = [self.numbers.number(span.start) for span in spans]
        sizes = [self.numbers.number(span.size) for span in spans]
        self.operands.append((tile, kind, len(spans), *starts, *rest, *sizes, *rest, *map(letters.index, axes), *rest))

    def _gathered(self, compute: Compute) -> tuple[int, int]:
        """The first of the lists that an operation gathers by, and the register of the table's row that they depend on.

        The lists of one row are next to each other; without a table, there is one row.
        """
        table, rows = gathered(compute, self.sizes, {index: loop for index, (loop, _) in self.tables.items()})
        lists = self.lists.add([each for row in rows for each in row])
        return lists, -1 if table is None else self.tables[table.index][1]


def _computed(program: Program) -> set[Tile]:
    """The tiles that hold anything but what was loaded."""
    statements = list(walk(program.body))
    made = {s.tile for s in statements if isinstance(s, Alloc)}
    return made | {view.tile for s in statements if isinstance(s, Compute) for view in s.updated}
