"""How an author writes a program: in the paper's order and letters, with `with` blocks for loops.

    def scaled_copy(b, *, n, d, B):
        X, Y = b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")
        with b.tiles("i", n, B) as i:
            with b.load(X[i, :]) as x:
                b.op("divide_by_sqrt", x, of=d)
                b.store(x, Y[i, :])

The body of a loop runs once, while the program is being built. A loop index therefore stands for every tile at once:
it supports arithmetic, and raises when it is compared or tested, so that a program can't silently depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeAlias

from iosim.errors import ProgramError
from iosim.expr import Expr, Size, free_symbols, symbol
from iosim.ops import OPS, Op
from iosim.program import (
    Alloc,
    Array,
    Axis,
    Column,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Loop,
    Need,
    Program,
    Region,
    Role,
    Span,
    Statement,
    Store,
    Table,
    TableLoop,
    Tile,
    View,
    coordinate_of,
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
        return Offset(self.size + _size(other))

    __radd__ = __add__

    def __sub__(self, other: Extent) -> Offset:
        return Offset(self.size - _size(other))

    def __rsub__(self, other: Extent) -> Offset:
        return Offset(_size(other) - self.size)

    def __mul__(self, other: Extent) -> Offset:
        return Offset(self.size * _size(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: Extent) -> Offset:
        return Offset(self.size // _size(other))

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

    __slots__ = ("_builder", "tile")

    def __init__(self, tile: Tile, builder: Builder) -> None:
        self.tile = tile
        self._builder = builder

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
        return Lookup(self.tile, _size(position))

    def __enter__(self) -> TileHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self._builder.free(self)


class Builder:
    """Collects the statements of one program while its author's function runs."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._tiles: dict[str, Tile] = {}
        self._open: list[str] = []
        self._blocks: list[list[Statement]] = [[]]

    # Slow memory

    def input(self, name: str, shape: tuple[Size, ...]) -> ArrayHandle:
        """An array that is in slow memory at the start."""
        return self._array(name, shape, "input", ())

    def output(
        self, name: str, shape: tuple[Size, ...], *, needs: str | Callable[..., tuple[Region, ...]]
    ) -> ArrayHandle:
        """An array that must be in slow memory at the end.

        Args:
            needs: what each of its words must have seen, as `O[i,l] <- Q[i,:], K[:,:], V[:,l]`; or a function from the
                coordinates of a word to boxes that move up with them, as `lambda i, l: (Q[i, :], K[: i + 1, :])`.
        """
        if isinstance(needs, str):
            return self._array(name, shape, "output", self._parse_needs(name, shape, needs))
        boxes = needs(*(Offset(coordinate_of(axis)) for axis in range(len(shape))))
        return self._array(name, shape, "output", tuple(self._need(name, box) for box in boxes))

    def _need(self, name: str, region: Region) -> Need:
        spans = tuple(axis for axis in region.axes if isinstance(axis, Span))
        if len(spans) < len(region.axes):
            raise ProgramError(f"needs of {name}: of {region.array.name} it needs a box, no other coordinates")
        return Need(region.array.name, spans)

    def scratch(self, name: str, shape: tuple[Size, ...]) -> ArrayHandle:
        """An array of slow memory for intermediate results; its words are written before they are read."""
        return self._array(name, shape, "scratch", ())

    # Loops

    @contextmanager
    def tiles(self, name: str, stop: Extent, step: Extent, *, start: Extent = 0) -> Iterator[Index]:
        """A loop over the tiles of `start, ..., stop - 1`, `step` long each, the last one ragged."""
        with self._block(name) as body:
            yield Index(name)
        self._add(Loop(name, _size(start), _size(stop), _size(step), tuple(body)))

    @contextmanager
    def table(self, name: str, table: Table) -> Iterator[Row]:
        """A loop over the rows of a table that is known now."""
        columns = next(iter(table.classes()), ({}, 0, 0))[0]
        with self._block(name) as body:
            yield Row(name, frozenset(columns))
        self._add(TableLoop(name, table, tuple(body)))

    # Fast memory

    def load(self, region: Region, name: str | None = None) -> TileHandle:
        """A new tile with the words of `region`, each moved once."""
        tile = self._tile(name or region.array.name.lower(), region.shape)
        self._add(Load(region, tile.tile))
        return tile

    def store(self, source: TileHandle | View, region: Region) -> None:
        """Moves the words of a tile (or a view of it) to `region`; the tile stays in fast memory.

        Raises:
            ProgramError: the shapes differ, or the region is not a box.
        """
        view = _view(source)
        if any(isinstance(axis, Coordinates | Lookup) for axis in region.axes):
            array = region.array.name
            raise ProgramError(
                f"store {view.tile.name}: a store goes to a box of {array}, not to listed or looked-up coordinates"
            )
        if view.shape != region.shape:
            raise ProgramError(
                f"store {view.tile.name}: its shape is {_shape(view.shape)}, the region of {region.array.name} is "
                f"{_shape(region.shape)}"
            )
        self._add(Store(view, region))

    def full(self, name: str, *shape: Index | Extent, fill: float) -> TileHandle:
        """A new tile, every word `fill`."""
        tile = self._tile(name, tuple(_extent(size) for size in shape))
        self._add(Alloc(tile.tile, float(fill)))
        return tile

    def zeros(self, name: str, *shape: Index | Extent) -> TileHandle:
        """A new tile of zeros."""
        return self.full(name, *shape, fill=0.0)

    def empty(self, name: str, *shape: Index | Extent) -> TileHandle:
        """A new tile without values: an operation must give them before they are read."""
        tile = self._tile(name, tuple(_extent(size) for size in shape))
        self._add(Alloc(tile.tile, None))
        return tile

    def free(self, *tiles: TileHandle) -> None:
        """Gives the words of the tiles back."""
        for tile in tiles:
            self._add(Free(tile.tile))

    def op(self, op: str | Op, *operands: TileHandle | View, **params: object) -> None:
        """One operation on fast words: the first operands are updated, the others read (see `iosim.ops`).

        Raises:
            ProgramError: no such operation, or operands or parameters that don't fit it.
        """
        if isinstance(op, str):
            if op not in OPS:
                raise ProgramError(f"no operation {op!r}; there are {', '.join(OPS)}")
            op = OPS[op]
        views = tuple(_view(operand) for operand in operands)
        op.axis_sizes([view.shape for view in views])
        if set(params) != set(op.params):
            raise ProgramError(f"{op.name} takes the parameters {op.params}, got {tuple(params)}")
        values = tuple((key, value.size if isinstance(value, Offset) else value) for key, value in params.items())
        self._add(Compute(op, views, values))

    # What the methods above share

    def finish(self, name: str, sizes: tuple[str, ...]) -> Program:
        """The program built so far."""
        return Program(name, sizes, tuple(self._arrays.values()), tuple(self._blocks[0]))

    def _add(self, statement: Statement) -> None:
        self._blocks[-1].append(statement)

    @contextmanager
    def _block(self, name: str) -> Iterator[list[Statement]]:
        if name in self._open:
            raise ProgramError(f"loop {name} inside loop {name}: nested loops need different names")
        self._open.append(name)
        self._blocks.append([])
        yield self._blocks[-1]
        self._blocks.pop()
        self._open.pop()

    def _array(self, name: str, shape: tuple[Size, ...], role: Role, needs: tuple[Need, ...]) -> ArrayHandle:
        if name in self._arrays:
            raise ProgramError(f"array {name} is declared twice")
        self._arrays[name] = Array(name, tuple(map(_size, shape)), role, needs)
        return ArrayHandle(self._arrays[name])

    def _tile(self, name: str, shape: tuple[Size, ...]) -> TileHandle:
        unique, times = name, 1
        while unique in self._tiles:
            times += 1
            unique = f"{name}_{times}"
        self._tiles[unique] = Tile(unique, shape)
        return TileHandle(self._tiles[unique], self)

    def _parse_needs(self, name: str, shape: tuple[Size, ...], text: str) -> tuple[Need, ...]:
        term = r"\w+\[[^\[\]]*\]"
        if not re.fullmatch(rf"\s*{name}\[[\w\s,]*\]\s*<-\s*{term}(\s*,\s*{term})*\s*", text):
            raise ProgramError(f"needs of {name}: {text!r} is not like 'O[i,l] <- Q[i,:], K[:,:], V[:,l]'")
        (_, own), *terms = re.findall(r"(\w+)\[([^\[\]]*)\]", text)
        letters = [letter.strip() for letter in own.split(",")]
        needs = []
        for array, axes in terms:
            chosen = [letter.strip() for letter in axes.split(",")]
            known = array in self._arrays and len(chosen) == len(self._arrays[array].shape)
            if not known or len(letters) != len(shape):
                raise ProgramError(f"needs of {name}: {array}[{axes}] does not fit the arrays declared so far")
            for letter in chosen:
                if letter != ":" and letter not in letters:
                    allowed = ", ".join([":", *letters])
                    raise ProgramError(f"needs of {name}: {letter!r} in {array}[{axes}]; allowed: {allowed}")
            spans = zip(chosen, self._arrays[array].shape, strict=True)
            needs.append(
                Need(
                    array, tuple(Span(0, s) if x == ":" else Span(coordinate_of(letters.index(x)), 1) for x, s in spans)
                )
            )
        return tuple(needs)


def build(author: Callable[..., None], *, name: str, **sizes: object) -> Program:
    """The program that `author(builder, **sizes)` writes.

    Args:
        author: a function like the one in this module's docstring.
        name: the name of the program.
        sizes: what `author` takes besides the builder. A `str` value becomes the symbol of that name; an int stays an
            int; anything else (a table, a polynomial) is handed on as it is.

    Example:
        >>> from iosim.interpret.render import render
        >>> def copy(b, *, n, B):
        ...     X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        ...     with b.tiles("i", n, B) as i, b.load(X[i]) as x:
        ...         b.store(x, Y[i])
        >>> build(copy, name="copy", n="n", B="B").sizes
        ('n', 'B')
    """
    builder = Builder()
    arguments = {key: symbol(value) if isinstance(value, str) else value for key, value in sizes.items()}
    author(builder, **arguments)
    names = [x for value in arguments.values() if isinstance(value, Expr) for x in sorted(free_symbols(value))]
    return builder.finish(name, tuple(dict.fromkeys(names)))


def _size(value: Extent) -> Size:
    if isinstance(value, Offset):
        return value.size
    if isinstance(value, int | Expr) and not isinstance(value, bool):
        return value
    raise ProgramError(f"a size is a whole number or an expression in sizes, not {value!r}")


def _extent(value: Index | Extent) -> Size:
    return size_of(value.name) if isinstance(value, Index) else _size(value)


def _view(operand: TileHandle | View) -> View:
    if isinstance(operand, View):
        return operand
    return operand.tile.whole


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
            low = 0 if start is None else _size(start)
            high = size if stop is None else _size(stop)
            return Span(low, high - low)
        case slice():
            raise ProgramError(f"{name}: a region has no stride")
        case _:
            return Span(_size(selector), 1)


def _shape(sizes: tuple[Size, ...]) -> str:
    return " x ".join(map(str, sizes))
