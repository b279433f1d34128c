"""Where in slow memory the words of a tile are at home: what a use of them is a use of.

A tile that is loaded and never changed is at home where it was loaded from. A tile that is changed is at home where it
is stored: an accumulator of O is a part of O from its first zero on. If its words are stored nowhere, or to places that
are not one box that is known when the tile is made (scores of a fused schedule, softmax statistics), it has a place of
its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from iosim.expr import Size, evaluate, free_symbols
from iosim.loops import loops_of
from iosim.program import (
    Alloc,
    Axis,
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
)

_Path = tuple[int, ...]  # of the loops around a statement, each by its `id`


@dataclass(slots=True)
class _Life:
    births: list[tuple[Load | Alloc, _Path]] = field(default_factory=list)
    stores: list[tuple[Store, _Path]] = field(default_factory=list)
    updated: bool = False


def homes(program: Program, sizes: Mapping[str, int]) -> dict[Tile, Region | None]:
    """The region where each tile of `program` is at home; None for a place of its own.

    Args:
        sizes: values of all the sizes of the program; what else a region depends on are the loops around the statement
            that makes the tile.
    """
    lives: dict[Tile, _Life] = {}
    scopes: dict[_Path, frozenset[str]] = {(): frozenset()}
    _look(program.body, (), lives, scopes)
    return {tile: _home(tile, life, scopes, sizes) for tile, life in lives.items()}


def region_at(region: Region, values: Mapping[str, Size]) -> Region:
    """`region` with the symbols that have a value replaced by it."""
    return Region(region.array, tuple(_axis(axis, values) for axis in region.axes))


def part(home: Region, view: View, sizes: Mapping[str, Size]) -> Region:
    """Where the words of a view are in the home of its tile."""
    spans, axes = iter(view.axes), list[Axis]()
    for axis in home.axes:
        match axis:
            case Span():
                inside = next(spans)
                axes.append(Span(axis.start + evaluate(inside.start, sizes), evaluate(inside.size, sizes)))
            case Coordinates(index=index, column=column):
                inside = next(spans)
                start = axis.start + evaluate(inside.start, sizes)
                axes.append(Coordinates(index, column, evaluate(inside.size, sizes), start))
            case Point() | Lookup():
                axes.append(axis)
            case _:
                assert_never(axis)
    return Region(home.array, tuple(axes))


def used(
    statement: Statement, at_home: Mapping[Tile, Region | None], sizes: Mapping[str, int]
) -> Iterator[tuple[Region | View, bool]]:
    """What a statement that is no loop uses, and whether it writes it: regions, and views of tiles that are at home in none.

    A tile that is at home in none counts as written where it is made, with values or without.
    """

    def home(view: View) -> Region | View:
        where = at_home[view.tile]
        return view if where is None else part(where, view, sizes)

    match statement:
        case Load(region=region, tile=tile):
            here = region_at(region, sizes)
            if at_home[tile] != here:
                yield here, False
                yield home(tile.whole), True
        case Alloc(tile=tile, fill=fill):
            if fill is not None or at_home[tile] is None:
                yield home(tile.whole), True
        case Store(view=view, region=region):
            there, source = region_at(region, sizes), home(view)
            if there != source:
                yield source, False
                yield there, True
        case Compute(op=op, operands=operands):
            for number, view in enumerate(operands):
                yield home(view), number < op.updates
        case Free():
            pass
        case Loop() | TableLoop():
            raise AssertionError(statement)
        case _:
            assert_never(statement)


def _axis(axis: Axis, values: Mapping[str, Size]) -> Axis:
    match axis:
        case Span():
            return axis.at(values)
        case Point(at=at):
            return Point(evaluate(at, values))
        case Lookup(tile=tile, position=position):
            return Lookup(tile, evaluate(position, values))
        case Coordinates(index=index, column=column):
            return Coordinates(index, column, evaluate(axis.size, values), evaluate(axis.start, values))


def _look(
    body: tuple[Statement, ...], path: _Path, lives: dict[Tile, _Life], scopes: dict[_Path, frozenset[str]]
) -> None:
    for statement in body:
        match statement:
            case Load(tile=tile) | Alloc(tile=tile):
                lives.setdefault(tile, _Life()).births.append((statement, path))
            case Store(view=view):
                lives.setdefault(view.tile, _Life()).stores.append((statement, path))
            case Compute():
                for view in statement.updated:
                    lives.setdefault(view.tile, _Life()).updated = True
            case Loop(index=index) | TableLoop(index=index):
                inner = (*path, id(statement))
                scopes[inner] = scopes[path] | {index}
                _look(statement.body, inner, lives, scopes)
            case _:
                pass


def _home(tile: Tile, life: _Life, scopes: Mapping[_Path, frozenset[str]], sizes: Mapping[str, int]) -> Region | None:
    if len(life.births) != 1:
        return None
    ((birth, path),) = life.births
    if isinstance(birth, Load) and not life.updated:
        return region_at(birth.region, sizes)
    found = {_stored_at(tile, store, sizes) for store, _ in life.stores}
    if len(found) != 1 or any(store_path[: len(path)] != path for _, store_path in life.stores):
        return None
    (home,) = found
    if home is None or not _symbols(home) <= scopes[path]:
        return None
    return home


def _stored_at(tile: Tile, store: Store, sizes: Mapping[str, int]) -> Region | None:
    """Where the whole tile would be if its words were as far apart as those of the view that is stored."""
    spans, axes = iter(zip(store.view.axes, tile.shape, strict=True)), []
    for axis in store.region.axes:
        match axis:
            case Point():
                axes.append(_axis(axis, sizes))
            case Span(start=start):
                view, size = next(spans)
                axes.append(Span(evaluate(start - view.start, sizes), evaluate(size, sizes)))
            case _:
                return None
    return Region(store.region.array, tuple(axes))


def _symbols(region: Region) -> set[str]:
    """Names of the loops that a region of spans and points depends on."""
    names: set[str] = set()
    for axis in region.axes:
        for size in (
            (axis.start, axis.size) if isinstance(axis, Span) else (axis.at,) if isinstance(axis, Point) else ()
        ):
            names |= loops_of(free_symbols(size))
    return names
