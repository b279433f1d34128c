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

from iosim.errors import ProgramError
from iosim.expr import Expr, Size, free_symbols, symbol
from iosim.handles import ArrayHandle, Extent, Index, Offset, Row, TileHandle, as_extent, as_size
from iosim.ops import OPS, Op
from iosim.program import (
    Alloc,
    Array,
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
)

__all__ = ["ArrayHandle", "Builder", "Extent", "Index", "Row", "TileHandle", "build"]  # what authors import


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
        self._add(Loop(name, as_size(start), as_size(stop), as_size(step), tuple(body)))

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
        tile = self._tile(name, tuple(as_extent(size) for size in shape))
        self._add(Alloc(tile.tile, float(fill)))
        return tile

    def zeros(self, name: str, *shape: Index | Extent) -> TileHandle:
        """A new tile of zeros."""
        return self.full(name, *shape, fill=0.0)

    def empty(self, name: str, *shape: Index | Extent) -> TileHandle:
        """A new tile without values: an operation must give them before they are read."""
        tile = self._tile(name, tuple(as_extent(size) for size in shape))
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
        self._arrays[name] = Array(name, tuple(map(as_size, shape)), role, needs)
        return ArrayHandle(self._arrays[name])

    def _tile(self, name: str, shape: tuple[Size, ...]) -> TileHandle:
        unique, times = name, 1
        while unique in self._tiles:
            times += 1
            unique = f"{name}_{times}"
        self._tiles[unique] = Tile(unique, shape)
        return TileHandle(self._tiles[unique], self.free)

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


def _view(operand: TileHandle | View) -> View:
    if isinstance(operand, View):
        return operand
    return operand.tile.whole


def _shape(sizes: tuple[Size, ...]) -> str:
    return " x ".join(map(str, sizes))
