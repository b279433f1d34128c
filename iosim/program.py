"""The program: a loop nest over tiles, with explicit loads, stores, allocations and operations, as a frozen value.

Every question about an algorithm is a function of this value (`iosim.interpret`). The nodes are few:

    Statement := Load(region, tile)        slow to fast; moves each word of the region once
               | Store(tile, region)       fast to slow; moves each word of the region once
               | Alloc(tile, fill)         a new tile, every word `fill` or (None) not yet given a value; moves nothing
               | Free(tile)                moves nothing
               | Compute(op, operands)     words of fast memory only; the first `op.updates` operands change
               | Loop(index, ...)          over tiles of [start, stop), `step` long, the last one ragged
               | TableLoop(index, table)   over the rows of a finite table that is known when the program is built

Inside a loop over `i` the symbols `i.start` and `i.size` stand for where the tile begins and how long it is: `step`,
or less for the last one. Inside a loop over a table the symbols are `i.column`, and
`#i.start` for the number of the row. Slow memory holds arrays, fast memory
holds tiles; a `Region` is a box of an array (on some axes perhaps the coordinates that a table lists, or one that is
looked up in a tile), a `View` a box of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from iosim.expr import Size, evaluate, symbol
from iosim.loops import entry_name, size_name, start_name

if TYPE_CHECKING:
    from iosim.ops import Op

Role: TypeAlias = Literal["input", "output", "scratch"]


@dataclass(frozen=True, slots=True)
class Span:
    """The coordinates `start, ..., start + size - 1` of one axis."""

    start: Size
    size: Size

    @property
    def stop(self) -> Size:
        return self.start + self.size

    def at(self, values: Mapping[str, Size]) -> Span:
        return Span(evaluate(self.start, values), evaluate(self.size, values))


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Coordinates of one axis that a column of a table lists, row by row: `size` of them, from position `start` on."""

    index: str
    column: str
    size: Size
    start: Size = 0

    @property
    def stop(self) -> Size:
        """The first position that is no more among them."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Point:
    """One coordinate of an axis of an array; a tile of such a region does not have that axis."""

    at: Size


@dataclass(frozen=True, slots=True)
class Lookup:
    """One coordinate of an axis of an array: the number that `tile`, with one axis, holds at `position`; a tile of such a
    region does not have that axis."""

    tile: Tile
    position: Size


Axis: TypeAlias = Span | Coordinates | Point | Lookup


@dataclass(frozen=True, slots=True)
class Need:
    """What each word of an output must have seen: a box of `array`, in symbols that `coordinate_of` makes for where the
    word is."""

    array: str
    axes: tuple[Span, ...]

    def at(self, word: Sequence[Size], values: Mapping[str, Size]) -> tuple[Span, ...]:
        """The box for the word at these coordinates."""
        here = {**values, **{f"@{axis}": x for axis, x in enumerate(word)}}
        return tuple(span.at(here) for span in self.axes)


@dataclass(frozen=True, slots=True)
class Array:
    """A named array in slow memory."""

    name: str
    shape: tuple[Size, ...]
    role: Role
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """A box of an array in slow memory."""

    array: Array
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[Size, ...]:
        """Of a tile that holds it."""
        return tuple(axis.size for axis in self.axes if not isinstance(axis, Point | Lookup))

    @property
    def words(self) -> Size:
        return product(self.shape)


@dataclass(frozen=True, slots=True)
class Tile:
    """Words of fast memory under one name."""

    name: str
    shape: tuple[Size, ...]

    @property
    def words(self) -> Size:
        return product(self.shape)

    @property
    def whole(self) -> View:
        """All of it."""
        return View(self, tuple(Span(0, size) for size in self.shape))


@dataclass(frozen=True, slots=True)
class View:
    """A box of a tile: what an operation works on."""

    tile: Tile
    axes: tuple[Span, ...]

    @property
    def shape(self) -> tuple[Size, ...]:
        return tuple(axis.size for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Column:
    """The entry of a table in the row that the loop `index` is at."""

    index: str
    column: str


@dataclass(frozen=True, slots=True)
class Load:
    """Copies a box of slow memory to a new tile, which is live from here on."""

    region: Region
    tile: Tile


@dataclass(frozen=True, slots=True)
class Store:
    """Copies a box of a tile to slow memory; the tile stays live."""

    view: View
    region: Region


@dataclass(frozen=True, slots=True)
class Alloc:
    """Makes a new tile, each word of which has the value `fill`, or none that may be read."""

    tile: Tile
    fill: float | None


@dataclass(frozen=True, slots=True)
class Free:
    """Ends a tile: its words of fast memory are there for others."""

    tile: Tile


@dataclass(frozen=True, slots=True)
class Compute:
    """Applies an operation to views of live tiles, the first of which it updates in place."""

    op: Op
    operands: tuple[View, ...]
    params: tuple[tuple[str, object], ...] = ()  # a `Size`, a `Column` of a table, or a constant of the program

    @property
    def updated(self) -> tuple[View, ...]:
        return self.operands[: self.op.updates]

    @property
    def read(self) -> tuple[View, ...]:
        return self.operands[self.op.updates :]


@dataclass(frozen=True, slots=True)
class Loop:
    """Runs its body for each tile of a range, `step` long except for the last, which may be shorter."""

    index: str
    start: Size
    stop: Size
    step: Size
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class TableLoop:
    """Runs its body for each row of a table."""

    index: str
    table: Table
    body: tuple[Statement, ...]


Simple: TypeAlias = Load | Store | Alloc | Free | Compute
Statement: TypeAlias = Simple | Loop | TableLoop


@dataclass(frozen=True, slots=True)
class Program:
    """A whole algorithm; `sizes` are the names of its symbols that a caller gives values to."""

    name: str
    sizes: tuple[str, ...]
    arrays: tuple[Array, ...]
    body: tuple[Statement, ...]

    def array(self, name: str) -> Array:
        return next(array for array in self.arrays if array.name == name)


class Table:
    """A finite list of rows, known when the program is built; it moves nothing.

    Columns are of two kinds: whole numbers, usable as sizes, and anything else (tuples of coordinates,
    monomials, ...), usable as `Coordinates` or as parameters of operations. A design too long to be listed row by row
    may override `rows`, `classes`, `bounds` and `lengths`.

    Attributes:
        lengths: columns that list as many coordinates as the whole number in another column says, and that column.
    """

    lengths: ClassVar[Mapping[str, str]] = {}

    def __init__(self, rows: Sequence[Mapping[str, object]]) -> None:
        self._rows = tuple(rows)

    @property
    def row_count(self) -> int:
        """How many rows there are; of a design this may be more than `len` could say."""
        return sum(times for _, times, _ in self.classes())

    @property
    def listed(self) -> int:
        """How many numbers its rows have and list together."""
        return sum(
            times * (len(row) + sum(row[count] for count in self.lengths.values())) for row, times, _ in self.classes()
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and list(self.rows()) == list(other.rows())

    def __hash__(self) -> int:
        return hash((type(self), self.row_count))

    def rows(self) -> Iterator[Mapping[str, object]]:
        """The rows in order."""
        return iter(self._rows)

    def classes(self) -> Iterator[tuple[Mapping[str, int], int, int]]:
        """The distinct rows of the whole-number columns: how often each occurs, and at which row first, in that order."""
        counted: dict[tuple[tuple[str, int], ...], int] = {}
        first: dict[tuple[tuple[str, int], ...], int] = {}
        for number, row in enumerate(self.rows()):
            key = tuple(_whole_numbers(row).items())
            counted[key] = counted.get(key, 0) + 1
            first.setdefault(key, number)
        for key, times in counted.items():
            yield dict(key), times, first[key]

    def bounds(self, column: str) -> tuple[int, int]:
        """Least and greatest coordinate that `column` lists in any row; (0, -1) if it lists none."""
        values = [x for row in self.rows() for x in _coordinates(row[column])]
        return (min(values), max(values)) if values else (0, -1)

    def shortest(self, column: str, row: Mapping[str, Size]) -> int:
        """The fewest coordinates that `column` lists in any of the rows with these whole numbers."""
        return min(len(_coordinates(other[column])) for other in self.rows() if _whole_numbers(other) == row)


def _whole_numbers(row: Mapping[str, object]) -> dict[str, int]:
    return {name: value for name, value in row.items() if isinstance(value, int)}


def _coordinates(value: object) -> Sequence[int]:
    assert isinstance(value, Sequence)
    return value


def product(shape: Sequence[Size]) -> Size:
    """Words of a box of this shape."""
    words: Size = 1
    for size in shape:
        words = words * size
    return words


def start_of(index: str) -> Size:
    """Where the current tile of the loop over `index` begins."""
    return symbol(start_name(index))


def size_of(index: str) -> Size:
    """How long the current tile of the loop over `index` is."""
    return symbol(size_name(index))


def entry_of(index: str, column: str) -> Size:
    """The whole number in `column` of the current row of the loop over a table."""
    return symbol(entry_name(index, column))


def row_of(index: str) -> str:
    """The name of the loop over the numbers of the rows that the loop `index` over a table is."""
    return f"#{index}"


def coordinate_of(axis: int) -> Size:
    """Where a word of an output is on one of its axes: the symbol that `Need` uses."""
    return symbol(f"@{axis}")


def walk(body: Sequence[Statement]) -> Iterator[Statement]:
    """Every statement of `body` and of the loops inside it, in the order of the text."""
    for statement in body:
        yield statement
        if isinstance(statement, Loop | TableLoop):
            yield from walk(statement.body)


def index_arrays(program: Program, *, apart: Set[Tile] = frozenset()) -> frozenset[str]:
    """The arrays from which tiles are loaded that coordinates are looked up in; tiles `apart` are left out."""
    loads = [statement for statement in walk(program.body) if isinstance(statement, Load)]
    tiles = {axis.tile for load in loads for axis in load.region.axes if isinstance(axis, Lookup)} - apart
    return frozenset(load.region.array.name for load in loads if load.tile in tiles)
