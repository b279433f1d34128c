"""The text of one kernel: the statements of one launch, in their order, as Triton.

Each tile is a block with axes that are powers of two; of a tile that is shorter, the rest of the block is padding: it is
never loaded or stored, and an operation that sums along an axis leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import assert_never

from iosim.errors import NotLowerable
from iosim.expr import Size, symbol
from iosim.loops import entry_name, row_name, size_name, start_name, tile_values
from iosim.lowering.blocks import Block, Memory, padded, pointer, shape_text
from iosim.lowering.constants import Constants
from iosim.lowering.grid import Part
from iosim.lowering.lines import Lines
from iosim.lowering.operations import Operation
from iosim.lowering.positions import positions
from iosim.lowering.scope import Scope
from iosim.program import (
    Alloc,
    Compute,
    Free,
    Load,
    Loop,
    Region,
    Span,
    Statement,
    Store,
    TableLoop,
    Tile,
    View,
    size_of,
    start_of,
    walk,
)
from iosim.progress import Progress

_MOST_NUMBERS = 2**20  # of a block of Triton


@dataclass
class Kernel:
    """Writes the body of one kernel.

    Attributes:
        part: what to write.
        memory: the arrays.
        constants: of all kernels of the program.
        where: makes a statement into words, for errors.
        progress: told what is going on.
    """

    part: Part
    memory: Mapping[str, Memory]
    constants: Constants
    where: Callable[[Statement], str]
    progress: Progress
    used: dict[str, None] = field(default_factory=dict)  # parameters, in order
    largest: int = 1  # numbers of a block
    features: bool = False  # whether there are blocks of features, several of which are needed at once
    lines: Lines = field(default_factory=Lines)
    _blocks: dict[Tile, Block] = field(default_factory=dict)
    _tables: dict[str, list[Mapping[str, object]]] = field(default_factory=dict)  # rows, by the loop over them
    scope: Scope = field(default_factory=lambda: Scope({}))

    def write(self, scope: Scope) -> tuple[str, int]:
        """The lines of the kernel, and how many programs its grid has."""
        statements = list(walk(self.part.body))
        self._updated = {v.tile for s in statements if isinstance(s, Compute) for v in s.updated}
        loaded = {s.region.array.name for s in statements if isinstance(s, Load)}
        stored = {s.region.array.name for s in statements if isinstance(s, Store)}
        self._both = loaded & stored
        self.scope = scope
        programs = self._grid()
        self.lines.hoisting(lambda: self._body(self.part.body))
        return "\n".join(self.lines.text), programs

    # Loops

    def _grid(self) -> int:
        cuts = [self.scope.tiles(loop) for loop in self.part.grid]
        programs = 1
        for cut in cuts:
            assert isinstance(cut.tiles, int)
            programs *= cut.tiles
        if programs > 1:
            pid = self.lines.unique("pid")
            self.lines.add(f"{pid} = tl.program_id(0)")
        left = programs
        for loop, cut in zip(self.part.grid, cuts, strict=True):
            assert isinstance(cut.tiles, int)
            tiles, above = cut.tiles, left
            left //= tiles
            if tiles == 1:
                self._enter_only(loop)
                continue
            number = pid if left == 1 else f"({pid} // {left})"
            number = number if above == programs else f"({number} % {tiles})"
            name = self.lines.unique(f"{loop.index}_start")
            start = "" if cut.start == 0 else f" + {cut.start}"
            times = "" if cut.step == 1 else f" * {cut.step}"
            self.lines.add(f"{name} = {number}{times}{start}")
            self._enter(loop, name)
        return programs

    def _enter_only(self, loop: Loop) -> None:
        """The scope of a loop with one tile."""
        cut = self.scope.tiles(loop)
        self.scope = self.scope.inside(loop, tile_values(loop.index, cut.start, cut.extent), {})

    def _enter(self, loop: Loop, name: str) -> None:
        """The scope of a loop whose tile begins at the variable `name`; a line for its size if that is not known."""
        scope, index = self.scope, loop.index
        cut = scope.tiles(loop)
        start = (scope.range(cut.start)[0], max(scope.range(cut.start)[0], scope.range(cut.start + cut.extent)[1] - 1))
        variables = {start_name(index): (name, start)}
        values: dict[str, Size] = {start_name(index): start_of(index)}
        if scope.full(loop):
            values[size_name(index)] = cut.step
        else:
            size = self.lines.unique(f"{index}_size")
            values[size_name(index)] = size_of(index)
            variables[size_name(index)] = (size, (1, min(scope.range(cut.step)[1], scope.range(cut.extent)[1])))
            left = scope.text(cut.start + cut.extent)
            self.lines.add(f"{size} = tl.minimum({scope.text(cut.step)}, {left} - {name})")
        self.scope = scope.inside(loop, values, variables)

    def _body(self, body: Sequence[Statement]) -> None:
        for statement in body:
            try:
                self._statement(statement)
            except NotLowerable as error:
                if isinstance(statement, Loop | TableLoop) or error.args[0].startswith("can't"):
                    raise
                raise NotLowerable(f"can't lower `{self.where(statement)}`: {error}") from error

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Loop():
                self._loop(statement)
            case TableLoop():
                self._table(statement)
            case Load(region=region, tile=tile):
                self._load(region, tile)
            case Store(view=view, region=region):
                self._store(view, region)
            case Alloc(tile=tile, fill=fill):
                block = self._new(tile, "fp32", clean=False)
                value = "nan" if fill is None else str(fill)
                literal = value if value[-1].isdigit() else f'float("{value}")'
                self.lines.add(f"{block.name} = tl.full({shape_text(block.padded)}, {literal}, tl.float32)")
            case Free():
                pass
            case Compute():
                self._compute(statement)
            case _:
                assert_never(statement)

    def _loop(self, loop: Loop) -> None:
        scope = self.scope
        fewest, most = scope.trips(loop)
        if most == 0:
            return
        if (fewest, most) == (1, 1):
            self._enter_only(loop)
            self._body(loop.body)
            self.scope = scope
            return
        cut = scope.tiles(loop)
        name = self.lines.unique(f"{loop.index}_start")
        bounds = f"{scope.text(cut.start)}, {scope.text(cut.start + cut.extent)}, {scope.text(cut.step)}"

        def inside() -> Set[str]:
            self._enter(loop, name)
            self._body(loop.body)
            return set(self.scope.names.values())

        self.lines.indented(self._head(name, bounds, loop), inside)
        self.scope = scope

    def _head(self, name: str, bounds: str, loop: Loop | TableLoop) -> str:
        """The line of a loop; one that loads what it stores must not load ahead."""
        names = [s.region.array.name for s in walk(loop.body) if isinstance(s, Load | Store)]
        if self._both & set(names):
            return f"for {name} in tl.range({bounds}, num_stages=1):"
        return f"for {name} in range({bounds}):"

    def _table(self, loop: TableLoop) -> None:
        scope, index, table = self.scope, loop.index, loop.table
        rows = self._tables[index] = []
        for row_of_table in table.rows():
            rows.append(row_of_table)
            self.progress(f"listing the table of {index}", len(rows) / table.row_count)
        if not rows:
            return
        numbers = [column for column, value in rows[0].items() if isinstance(value, int)]
        values: dict[str, Size] = {}
        variables: dict[str, tuple[str, tuple[int, int]]] = {}
        loads: list[str] = []
        row = "0"
        if len(rows) == 1:
            values[row_name(index)] = 0
        else:
            row = self.lines.unique(f"{index}_row")
            variables[row_name(index)] = (row, (0, len(rows) - 1))
            values[row_name(index)] = symbol(row_name(index))
        for column in numbers:
            entries = tuple(int(other[column]) for other in rows)  # type: ignore[call-overload]
            key = entry_name(index, column)
            if len(set(entries)) == 1:
                values[key] = entries[0]
                continue
            name = self.lines.unique(f"{index}_{column}")
            variables[key], values[key] = (name, (min(entries), max(entries))), symbol(key)
            loads.append(f"{name} = tl.load({self.constant(f'{index}_{column}', 'int32', entries)} + {row})")

        def inside() -> Set[str]:
            self.scope = scope.inside(loop, values, variables)
            self.lines.add(*loads)
            self.lines.hoisting(lambda: self._body(loop.body))
            return set(self.scope.names.values())

        if len(rows) == 1:
            inside()
        else:
            self.lines.indented(self._head(row, f"0, {len(rows)}", loop), inside)
        self.scope = scope

    # Moves

    def _load(self, region: Region, tile: Tile) -> None:
        memory = self.memory[region.array.name]
        block = self._new(tile, memory.dtype if tile not in self._updated else "fp32", clean=tile not in self._updated)
        pointers, mask = positions(self, region, memory, block.padded, block.sizes)
        other = "0" if memory.dtype == "int32" else "0.0"
        masked = f", mask={mask}, other={other}" if mask else ""
        cast = ".to(tl.float32)" if block.dtype != memory.dtype else ""
        self.lines.add(f"{block.name} = tl.load({pointers}{masked}){cast}")

    def _store(self, view: View, region: Region) -> None:
        memory = self.memory[region.array.name]
        name, sizes, shape = self._view(view)
        pointers, mask = positions(self, region, memory, shape, sizes)
        barrier = ["tl.debug_barrier()"] if region.array.name in self._both else []  # other threads load it
        masked = f", mask={mask}" if mask else ""
        self.lines.add(*barrier, f"tl.store({pointers}, {name}{masked})", *barrier)

    def inside(self, size: Size, length: int) -> str:
        """Which positions of an axis of a block are the tile; empty if all."""
        if self.scope.number(size) == length:
            return ""
        return f"tl.arange(0, {length}) < {self.scope.text(size)}"

    # Tables and constants

    def rows(self, index: str) -> list[Mapping[str, object]]:
        """Of the table that a loop around is over."""
        return self._tables[index]

    def row_pointer(self, name: str, dtype: str, values: tuple[float, ...], index: str, width: int) -> str:
        """Where the entries of the current row of a table begin."""
        row = self.scope.text(symbol(row_name(index)))
        return self.constant(name, dtype, values) + ("" if row == "0" else f" + {row} * {width}")

    def constant(self, name: str, dtype: str, values: tuple[float, ...]) -> str:
        """Where an array of constants begins."""
        return self.parameter(self.constants.name(f"{name}_table", dtype, values))

    def parameter(self, name: str) -> str:
        """The pointer to an array, which is used from here on."""
        self.used.setdefault(name)
        return pointer(name)

    # Operations

    def _compute(self, statement: Compute) -> None:
        op = statement.op
        if not op.triton:
            raise NotLowerable(op.not_lowered or f"{op.name} has no Triton text")
        params = dict(statement.params)
        letters: dict[str, tuple[Size, int]] = {}
        operands: dict[str, Block] = {}
        for (name, axes), view in zip(op.operands, statement.operands, strict=True):
            variable, sizes, shape = self._view(view)
            block = self._blocks[view.tile]
            clean = block.clean and variable == block.name
            operands[name] = Block(variable, sizes, shape, block.dtype, clean)
            letters |= {letter: (size, length) for letter, size, length in zip(axes, sizes, shape, strict=True)}
        lengths = sorted((length for _, length in letters.values()), reverse=True)
        self.largest = max(self.largest, math.prod(lengths[:2]))
        self.features |= "monomials" in params
        self.lines.add(*Operation(self, op, params, letters, operands).lines())
        for (name, _), view in zip(op.operands[: op.updates], statement.updated, strict=False):
            self._put(view, operands[name])

    # Tiles

    def _view(self, view: View) -> tuple[str, tuple[Size, ...], tuple[int, ...]]:
        """A variable with the numbers of a view, how much of each axis they are, and how long its axes are."""
        block = self._blocks[view.tile]
        sizes = tuple(self.scope.size(axis.size) for axis in view.axes)
        shape = tuple(self.padded(size) for size in sizes)
        name = block.name
        for at, (axis, length) in enumerate(zip(view.axes, shape, strict=True)):
            if self._whole(axis, sizes[at], length, block, at):
                continue
            taken = self.lines.unique(f"{block.name}_part")
            self.lines.add(f"{taken} = take({name}, {self.scope.text(axis.start)}, {length}, {at})")
            name = taken
        return name, sizes, shape

    def _whole(self, axis: Span, size: Size, length: int, block: Block, at: int) -> bool:
        return self.scope.number(axis.start) == 0 and length == block.padded[at] and size == block.sizes[at]

    def _put(self, view: View, part: Block) -> None:
        """Writes the numbers of a view back."""
        block = self._blocks[view.tile]
        axes = [
            at for at, axis in enumerate(view.axes) if not self._whole(axis, part.sizes[at], part.padded[at], block, at)
        ]
        name = part.name
        for at in reversed(axes):
            around = block.name
            for other in axes[: axes.index(at)]:  # what lies around the part on the axes that are put later
                taken = self.lines.unique(f"{block.name}_around")
                start = self.scope.text(view.axes[other].start)
                self.lines.add(f"{taken} = take({around}, {start}, {part.padded[other]}, {other})")
                around = taken
            result = block.name if at == axes[0] else self.lines.unique(f"{block.name}_part")
            start, size = self.scope.text(view.axes[at].start), self.scope.text(part.sizes[at])
            self.lines.add(f"{result} = put({around}, {name}, {start}, {size}, {at})")
            name = result

    def _new(self, tile: Tile, dtype: str, *, clean: bool) -> Block:
        sizes = tuple(self.scope.size(size) for size in tile.shape)
        shape = tuple(self.padded(size) for size in sizes)
        numbers = math.prod(shape)
        if not 1 <= len(shape) <= 2:
            raise NotLowerable(f"{tile.name} has {len(shape)} axes; allowed: 1 or 2")
        if numbers > _MOST_NUMBERS:
            raise NotLowerable(f"{tile.name} takes a block of {numbers:,} numbers; allowed: at most {_MOST_NUMBERS:,}")
        self.largest = max(self.largest, numbers)
        known = self._blocks.get(tile)
        block = Block(known.name if known else self.lines.unique(tile.name), sizes, shape, dtype, clean)
        self._blocks[tile] = block
        return block

    def variable(self, tile: Tile) -> str:
        """What a tile is called."""
        return self._blocks[tile].name

    def padded(self, size: Size) -> int:
        """The length of the axis of a block for an axis of a tile."""
        return padded(self.scope.range(size)[1])
