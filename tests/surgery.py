"""Programs changed by hand: a statement replaced, two swapped, a region or a tile made larger."""

from collections.abc import Iterator
from dataclasses import replace

from iosim.program import (
    Axis,
    Coordinates,
    Lookup,
    Loop,
    Point,
    Program,
    Region,
    Span,
    Statement,
    TableLoop,
    Tile,
)

Place = tuple[int, ...]


def places(program: Program) -> Iterator[tuple[Place, Statement]]:
    """Where each statement stands, in the order of the text."""

    def inside(body: tuple[Statement, ...], at: Place) -> Iterator[tuple[Place, Statement]]:
        for number, statement in enumerate(body):
            yield (*at, number), statement
            if isinstance(statement, Loop | TableLoop):
                yield from inside(statement.body, (*at, number))

    return inside(program.body, ())


def statement_at(program: Program, place: Place) -> Statement:
    found = program
    for number in place:
        found = found.body[number]
    return found


def replaced(program: Program, place: Place, *statements: Statement) -> Program:
    """The program with other statements in place of one."""

    def inside(body: tuple[Statement, ...], at: Place) -> tuple[Statement, ...]:
        number, *rest = at
        if rest:
            new = (replace(body[number], body=inside(body[number].body, tuple(rest))),)
        else:
            new = statements
        return (*body[:number], *new, *body[number + 1 :])

    return replace(program, body=inside(program.body, place))


def swapped(program: Program, place: Place) -> Program:
    """The program with a statement and the one after it in the same block the other way round."""
    after = (*place[:-1], place[-1] + 1)
    first, second = statement_at(program, place), statement_at(program, after)
    return replaced(replaced(program, after, first), place, second)


def widened(region: Region, axis: int, *, start: int = 0, size: int = 1) -> Region:
    """The region with an axis that starts later and is longer by that many coordinates."""
    old = region.axes[axis]
    new: Axis
    if isinstance(old, Lookup):
        new = replace(old, position=old.position + start)
    elif isinstance(old, Point):
        new = Point(old.at + start + size)
    elif isinstance(old, Coordinates):
        new = replace(old, start=old.start + start, size=old.size + size)
    else:
        new = Span(old.start + start, old.size + size)
    return replace(region, axes=(*region.axes[:axis], new, *region.axes[axis + 1 :]))


def enlarged(tile: Tile, axis: int, by: int = 1) -> Tile:
    return replace(tile, shape=(*tile.shape[:axis], tile.shape[axis] + by, *tile.shape[axis + 1 :]))
