"""What an author's variables are: tiles of loops, rows of tables, arrays and tiles, and what is selected of these.

A loop index stands for every tile at once: it supports arithmetic, and raises when it is compared or tested, so that a
program can't silently depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeAlias

from iosim.errors import ProgramError
from iosim.expr import Expr, Size
from iosim.program import (
    Array,
    Axis,
    Column,
    Coordinates,
    Lookup,
    Region,
    Span,
    Tile,
    View,
    entry_of,
    row_of,
    size_of,
    start_of,
)


class Offset:
    """A position or a length that depends on a loop index: arithmetic only."""

    __slots__ = ("size",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, size: Size) -> None:
        self.size = size

    def __add__(self, other: Extent) -> Offset:
        return Offset(self.size + as_size(other))

    __radd__ = __add__

    def __sub__(self, other: Extent) -> Offset:
        return Offset(self.size - as_size(other))

    def __rsub__(self, other: Extent) -> Offset:
        return Offset(as_size(other) - self.size)

    def __mul__(self, other: Extent) -> Offset:
        return Offset(self.size * as_size(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: Extent) -> Offset:
        return Offset(self.size // as_size(other))

    def _refuse(self, *_: object) -> NoReturn:
        raise ProgramError(
            f"{self.size} stands for every iteration of its loop at once: it can be added, subtracted, multiplied and "
            "divided, not compared or tested"
        )

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __index__ = __int__ = _refuse

    def __str__(self) -> str:
        return str(self.size)


class Index(Offset):
    """The current tile of a loop: as a number, where it begins; as an axis, the coordinates of the tile."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__(start_of(name))
        self.name = name

    @property
    def start(self) -> Offset:
        """Where the tile begins."""
        return Offset(start_of(self.name))

    @property
    def length(self) -> Offset:
        """How long the tile is: the step of the loop, or less for the last one."""
        return Offset(size_of(self.name))

    @property
    def stop(self) -> Offset:
        """Where the tile ends."""
        return self.start + self.length

    @property
    def span(self) -> Span:
        return Span(start_of(self.name), size_of(self.name))


class Row:
    """The current row of a table."""

    __slots__ = ("_index", "_sizes")

    def __init__(self, index: str, sizes: frozenset[str]) -> None:
        self._index = index
        self._sizes = sizes

    @property
    def number(self) -> Offset:
        """How many rows come before it in the table."""
        return Offset(start_of(row_of(self._index)))

    def size(self, column: str) -> Size:
        """The whole number in `column`."""
        if column not in self._sizes:
            found = ", ".join(sorted(self._sizes))
            raise ProgramError(f"table {self._index}: {column!r} is no column of whole numbers; those are {found}")
        return entry_of(self._index, column)

    def value(self, column: str) -> Column:
        """The entry in `column`, as a parameter of an operation."""
        return Column(self._index, column)

    def coordinates(self, column: str, part: str | Index) -> Coordinates:
        """The coordinates that `column` lists, as an axis.

        Args:
            part: the column that says how many they are; or a loop over positions in the list, for those in its tile.
        """
        if isinstance(part, Index):
            return Coordinates(self._index, column, part.length.size, part.start.size)
        return Coordinates(self._index, column, self.size(part))


Extent: TypeAlias = "Size | Offset"
Selector: TypeAlias = "Index | Coordinates | Lookup | Span | slice | Extent"


class ArrayHandle:
    """An array of slow memory; `A[i, :]` is a region of it."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __getitem__(self, selectors: Selector | tuple[Selector, ...]) -> Region:
        chosen = selectors if isinstance(selectors, tuple) else (selectors,)
        return Region(self.array, _axes(self.array.name, self.array.shape, chosen))


class TileHandle:
    """A tile of fast memory; `q[:, c]` is a view of it. As a context manager it is freed at the end of the block."""

    __slots__ = ("_free", "tile")

    def __init__(self, tile: Tile, free: Callable[[TileHandle], None]) -> None:
        self.tile = tile
        self._free = free

    def __getitem__(self, selectors: Selector | tuple[Selector, ...]) -> View:
        chosen = selectors if isinstance(selectors, tuple) else (selectors,)
        spans = []
        for axis in _axes(self.tile.name, self.tile.shape, chosen):
            if not isinstance(axis, Span):
                raise ProgramError(f"{self.tile.name}: a view of a tile is a box, no other coordinates")
            spans.append(axis)
        return View(self.tile, tuple(spans))

    def at(self, position: Extent) -> Lookup:
        """The number that the tile holds at `position`, as a coordinate of a region."""
        if len(self.tile.shape) != 1:
            raise ProgramError(f"{self.tile.name} has {len(self.tile.shape)} axes; looked up in are tiles with one")
        return Lookup(self.tile, as_size(position))

    def __enter__(self) -> TileHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self._free(self)


def as_size(value: Extent) -> Size:
    if isinstance(value, Offset):
        return value.size
    if isinstance(value, int | Expr) and not isinstance(value, bool):
        return value
    raise ProgramError(f"a size is a whole number or an expression in sizes, not {value!r}")


def as_extent(value: Index | Extent) -> Size:
    return size_of(value.name) if isinstance(value, Index) else as_size(value)


def _axes(name: str, shape: tuple[Size, ...], selectors: tuple[Selector, ...]) -> tuple[Axis, ...]:
    if len(selectors) != len(shape):
        raise ProgramError(f"{name} has {len(shape)} axes, {len(selectors)} given")
    return tuple(_axis(name, size, selector) for size, selector in zip(shape, selectors, strict=True))


def _axis(name: str, size: Size, selector: Selector) -> Axis:
    match selector:
        case Index():
            return selector.span
        case Coordinates() | Lookup() | Span():
            return selector
        case slice(start=start, stop=stop, step=None):
            low = 0 if start is None else as_size(start)
            high = size if stop is None else as_size(stop)
            return Span(low, high - low)
        case slice():
            raise ProgramError(f"{name}: a region has no stride")
        case _:
            return Span(as_size(selector), 1)
