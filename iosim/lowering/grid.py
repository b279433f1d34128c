"""Which loops become the launch grid, and how many launches a program is.

A launch is one fast memory at a time: statements that share a tile stay together. A loop becomes a grid axis if its
iterations are independent, which is proved here from the program:

    no tile lives on from one iteration to another, or past the loop;
    of each array that an iteration stores to, all that it loads and stores lies, on some axis, in an interval of its own.

The body of such a loop may fall into several parts that share no tile; each part may then be a launch of its own, in
order, and have loops that are grid axes too. Everything else is a loop of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from iosim.expr import Size, collect, evaluate
from iosim.loops import size_name, start_name
from iosim.lowering.scope import Scope
from iosim.program import (
    Alloc,
    Axis,
    Compute,
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
    walk,
)


@dataclass(frozen=True)
class Part:
    """What one launch does: for each combination of the tiles of the loops `grid`, the statements of `body`."""

    grid: tuple[Loop, ...]
    body: tuple[Statement, ...]

    @property
    def nest(self) -> tuple[Statement, ...]:
        """The loops of the grid around the body, as statements."""
        body = self.body
        for loop in reversed(self.grid):
            body = (replace(loop, body=body),)
        return body


def parts(program: Program, scope: Scope) -> list[Part]:
    """The launches of a program, in order."""
    return _split(program.body, (), scope)


def _split(body: Sequence[Statement], grid: tuple[Loop, ...], scope: Scope) -> list[Part]:
    found: list[Part] = []
    for group in _sharing(body):
        first = group[0]
        if all(isinstance(statement, Loop | TableLoop) for statement in walk(group)):
            continue  # nothing happens in it
        if isinstance(first, Loop) and _rectangular(first, scope):
            if scope.trips(first) == (0, 0):
                continue
            if len(group) == 1 and independent(first, scope):
                found += _split(first.body, (*grid, first), scope)
                continue
        found.append(Part(grid, tuple(group)))
    if found and all(part.grid == grid for part in found):
        return [Part(grid, tuple(statement for part in found for statement in part.body))] if grid else found
    return found


def _sharing(body: Sequence[Statement]) -> list[list[Statement]]:
    """Consecutive statements, as few together as share no tile with others."""
    mentioned = [_tiles((statement,)) for statement in body]
    last: dict[Tile, int] = {tile: at for at, tiles in enumerate(mentioned) for tile in tiles}
    groups: list[list[Statement]] = []
    end = -1
    for at, statement in enumerate(body):
        if at > end:
            groups.append([])
        groups[-1].append(statement)
        end = max([end, at, *(last[tile] for tile in mentioned[at])])
    return groups


def _tiles(body: Sequence[Statement]) -> set[Tile]:
    found: set[Tile] = set()
    for statement in walk(body):
        match statement:
            case Load(region=region, tile=tile):
                found |= {tile} | {axis.tile for axis in region.axes if isinstance(axis, Lookup)}
            case Store(view=view):
                found.add(view.tile)
            case Alloc(tile=tile) | Free(tile=tile):
                found.add(tile)
            case Compute(operands=operands):
                found |= {view.tile for view in operands}
            case Loop() | TableLoop():
                pass
    return found


def _rectangular(loop: Loop, scope: Scope) -> bool:
    """Whether the number of tiles is known, and the same in every iteration of the loops around."""
    cut = scope.tiles(loop)
    return all(isinstance(x, int) for x in (cut.start, cut.step, cut.extent))


def independent(loop: Loop, scope: Scope) -> bool:
    """Whether no iteration of `loop` touches what another one stores."""
    if scope.trips(loop)[1] <= 1:
        return True
    accesses = list(_accesses(loop.body, ()))
    stored = {access.region.array for access in accesses if access.stores}
    return all(
        any(
            _apart(
                [(access.region.axes[axis], access.inner) for access in accesses if access.region.array == array],
                loop,
                scope,
            )
            for axis in range(len(array.shape))
        )
        for array in stored
    )


@dataclass(frozen=True)
class _Access:
    """A load or a store, and the loops around it, from the outermost on."""

    region: Region
    stores: bool
    inner: tuple[Loop | TableLoop, ...]


def _accesses(body: Sequence[Statement], inner: tuple[Loop | TableLoop, ...]) -> Iterator[_Access]:
    for statement in body:
        match statement:
            case Load(region=region):
                yield _Access(region, False, inner)
            case Store(region=region):
                yield _Access(region, True, inner)
            case Loop() | TableLoop():
                yield from _accesses(statement.body, (*inner, statement))
            case Alloc() | Free() | Compute():
                pass
            case _:
                assert_never(statement)


@dataclass(frozen=True)
class _Bound:
    """`rate * start + sizes * size + constant`, with where a tile of the loop starts and how long it is."""

    rate: int
    sizes: int
    constant: int


def _apart(axes: Sequence[tuple[Axis, tuple[Loop | TableLoop, ...]]], loop: Loop, scope: Scope) -> bool:
    """Whether what one iteration touches on an axis ends before what the next one touches begins.

    The intervals of all accesses must move up by the same from one iteration to the next, so that it holds for all.
    """
    cut = scope.tiles(loop)
    assert isinstance(cut.step, int)
    rates: set[int] = set()
    begins: list[int] = []
    ends: list[int] = []
    for axis, inner in axes:
        match axis:
            case Span(start=start, stop=stop):
                pass
            case Point(at=start):
                stop = start + 1
            case _:
                return False
        below, end = _upper(-start, loop, inner, scope), _upper(stop, loop, inner, scope)
        if below is None or end is None or below.sizes > 0 or end.sizes < 0:
            return False
        rates |= {-below.rate, end.rate}
        begins.append(-below.constant)
        ends.append(end.constant + end.sizes * cut.step)
    (rate, *others) = rates
    return not others and rate > 0 and max(ends) <= rate * cut.step + min(begins)


def _upper(size: Size, loop: Loop, inner: Sequence[Loop | TableLoop], scope: Scope) -> _Bound | None:
    """An upper bound of `size` over all iterations of the loops inside `loop`; None if none is found."""
    size = evaluate(size, scope.values)
    for other in reversed(inner):
        terms = _affine(size, other.index)
        if terms is None or (isinstance(other, TableLoop) and terms[:2] != (0, 0)):
            return None
        if isinstance(other, Loop):
            a, b, size = terms
            start, stop, step = (evaluate(x, scope.values) for x in (other.start, other.stop, other.step))
            # a tile ends where the loop does or before, and starts before
            together = max(min(a, b), 0)
            size = size + together * stop + max(b - together, 0) * step
            size = size + (a - together) * (stop if a > 0 else start)
    terms = _affine(size, loop.index)
    return _Bound(*terms[:2], terms[2]) if terms is not None and isinstance(terms[2], int) else None


def _affine(size: Size, index: str) -> tuple[int, int, Size] | None:
    """(a, b, c) with `size` = a start + b size + c of the loop `index`, a and b numbers; None if it is not of that form."""
    terms = collect(size, start_name(index), size_name(index))
    if terms is None or set(terms) - {(0, 0), (1, 0), (0, 1)}:
        return None
    a, b = terms.get((1, 0), 0), terms.get((0, 1), 0)
    return (a, b, terms.get((0, 0), 0)) if isinstance(a, int) and isinstance(b, int) else None
