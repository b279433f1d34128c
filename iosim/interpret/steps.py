"""What happens, step by step? The program at given sizes, every loop run, one statement after the other.

This is the plain meaning of a program, for small sizes: the other interpreters answer without running the loops, and
are checked against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias, assert_never

from iosim.errors import MeaningError
from iosim.expr import Expr, Size, evaluate_int
from iosim.interpret.tiles import tiles_of
from iosim.loops import row_values, tile_values
from iosim.program import (
    Alloc,
    Axis,
    Column,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Loop,
    Point,
    Program,
    Region,
    Simple,
    Span,
    Statement,
    Store,
    TableLoop,
)

Indices: TypeAlias = slice | tuple[int, ...] | int
Selected: TypeAlias = Indices | Lookup  # which number is looked up is not known here


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, once: with the values of all symbols, the rows of the tables it is in, and its position."""

    statement: Simple
    values: Mapping[str, int]
    rows: Mapping[str, Mapping[str, object]]
    path: tuple[tuple[str, int], ...]

    def shape(self, sizes: Sequence[Size]) -> tuple[int, ...]:
        """Symbolic sizes as numbers."""
        return tuple(evaluate_int(size, self.values) for size in sizes)

    def value(self, param: object) -> object:
        """What a parameter of an operation is here: the entry of a column, a size as a number, or a constant."""
        match param:
            case Column(index=index, column=column):
                return self.rows[index][column]
            case Expr():
                return evaluate_int(param, self.values)
            case _:
                return param

    def selected(self, axes: Sequence[Axis]) -> tuple[Selected, ...]:
        """What the axes of a region select: as `indices`, or one coordinate that is looked up at a position."""
        return tuple(self._index(axis) for axis in axes)

    def indices(self, axes: Sequence[Axis]) -> tuple[Indices, ...]:
        """What the axes of a region or view select: a slice, a list of coordinates, or one that leaves no axis.

        Raises:
            MeaningError: one is looked up in fast memory.
        """
        found: list[Indices] = []
        for index in self.selected(axes):
            if isinstance(index, Lookup):
                where = " / ".join(f"loop {loop}={number}" for loop, number in self.path)
                raise MeaningError(
                    f"{where}: {index.tile.name}[{index.position}] is a number that only an execution knows"
                )
            found.append(index)
        return tuple(found)

    def places(self, axes: Sequence[Axis]) -> Iterator[tuple[int, ...]]:
        """The coordinates of each word of a region, in order.

        Raises:
            MeaningError: as `indices`.
        """
        found = (
            range(i.start, i.stop) if isinstance(i, slice) else (i,) if isinstance(i, int) else i
            for i in self.indices(axes)
        )
        return product(*found)

    def _index(self, axis: Axis) -> Selected:
        match axis:
            case Span(start=start, size=size):
                low = evaluate_int(start, self.values)
                return slice(low, low + evaluate_int(size, self.values))
            case Point(at=at):
                return evaluate_int(at, self.values)
            case Lookup(tile=tile, position=position):
                return Lookup(tile, evaluate_int(position, self.values))
            case Coordinates(index=index, column=column):
                listed = self.rows[index][column]
                assert isinstance(listed, Sequence)
                return tuple(listed[evaluate_int(axis.start, self.values) : evaluate_int(axis.stop, self.values)])
            case _:
                assert_never(axis)


@dataclass(frozen=True, slots=True)
class Move:
    """A region that moves between slow and fast memory. Units: words."""

    direction: Literal["load", "store"]
    array: str
    indices: tuple[Selected, ...]
    words: int


def steps(program: Program, sizes: Mapping[str, int]) -> Iterator[Step]:
    """Every simple statement in the order in which it happens.

    Args:
        program: what to run.
        sizes: values of all its sizes.
    """
    return _steps(program.body, dict(sizes), {}, ())


def moves(program: Program, sizes: Mapping[str, int]) -> Iterator[Move]:
    """Every load and store in the order in which it happens."""
    for step in steps(program, sizes):
        match step.statement:
            case Load(region=region):
                yield _move("load", step, region)
            case Store(region=region):
                yield _move("store", step, region)
            case _:
                pass


def _move(direction: Literal["load", "store"], step: Step, region: Region) -> Move:
    words = evaluate_int(region.words, step.values)
    return Move(direction, region.array.name, step.selected(region.axes), words)


def _steps(
    body: Sequence[Statement],
    values: dict[str, int],
    rows: Mapping[str, Mapping[str, object]],
    path: tuple[tuple[str, int], ...],
) -> Iterator[Step]:
    for statement in body:
        match statement:
            case Loop(index=index):
                cut = tiles_of(statement, values)
                start, step, extent, tiles = (
                    evaluate_int(x, values) for x in (cut.start, cut.step, cut.extent, cut.tiles)
                )
                for t in range(tiles):
                    tile = tile_values(index, start + t * step, min(step, extent - t * step))
                    yield from _steps(statement.body, values | tile, rows, (*path, (index, t)))
            case TableLoop(index=index, table=table, body=inner):
                for number, row in enumerate(table.rows()):
                    bound = {**values, **row_values(index, row, number)}
                    yield from _steps(inner, bound, {**rows, index: row}, (*path, (index, number)))
            case Load() | Store() | Alloc() | Free() | Compute():
                yield Step(statement, values, rows, path)
            case _:
                assert_never(statement)
