"""How does a loop cut its range into tiles? Full ones, and a ragged one; in the loops around it, and summed over.

A tile in general is one whose number `i.t` and length `i.size` are symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from iosim.errors import CountError
from iosim.expr import (
    Extremum,
    Size,
    ceil_div,
    collect,
    evaluate,
    floor_div,
    map_atoms,
    maximum,
    minimum,
    power_sum,
    sum_over,
    symbol,
)
from iosim.loops import number_name, row_values, size_name, tile_values
from iosim.program import Alloc, Compute, Free, Load, Loop, Program, Statement, Store, TableLoop

Values: TypeAlias = Mapping[str, Size]

ENUMERATION_LIMIT = 20_000  # iterations that may be looked at one by one


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a loop cuts `start, ..., stop - 1`: `full` tiles of `step`, and a ragged one of `rest` if `tiles > full`."""

    start: Size
    step: Size
    extent: Size
    full: Size
    tiles: Size

    @property
    def rest(self) -> Size:
        return self.extent - self.step * self.full

    def length(self, number: int) -> Size:
        """How long the tile of that number is."""
        return minimum(self.step, self.extent - number * self.step)

    def at(self, values: Values) -> Tiles:
        return Tiles(*(evaluate(x, values) for x in (self.start, self.step, self.extent, self.full, self.tiles)))


Around: TypeAlias = tuple[tuple[str, Tiles], ...]  # the loops around a statement, outermost first


def tiles_of(loop: Loop, values: Values) -> Tiles:
    """How `loop` cuts its range at these sizes.

    Raises:
        CountError: it ends before it starts.
    """
    start, step = evaluate(loop.start, values), evaluate(loop.step, values)
    extent = evaluate(loop.stop, values) - start
    if isinstance(extent, int) and extent < 0:
        raise CountError(f"loop {loop.index}: it starts at {start} and stops {-extent} before that")
    return Tiles(start, step, extent, floor_div(extent, step), ceil_div(extent, step))


def general_tile(loop: Loop, cut: Tiles, values: Values) -> dict[str, Size]:
    """The values in the body of `loop` for a tile whose number and length are symbols."""
    start = cut.start + cut.step * symbol(number_name(loop.index))
    size = cut.step if cut.full == cut.tiles else symbol(size_name(loop.index))
    return {**values, **tile_values(loop.index, start, size)}


def sum_tiles(term: Size, t: str, s: str, cut: Tiles) -> Size:
    """The sum over all tiles of `term`, which depends on the tile's number `t` and its length `s`."""
    ragged = cut.tiles - cut.full  # 0 or 1
    coefficients = collect(term, t, s)
    total: Size = 0
    if coefficients is None:
        total = sum_over(evaluate(term, {s: cut.step}), t, cut.full)
        if ragged != 0:
            # where there is no ragged tile, its length is 0: nothing is divided by that
            rest = cut.rest if isinstance(ragged, int) else maximum(1, cut.rest)
            total = total + ragged * evaluate(term, {t: cut.full, s: rest})
        return total
    for (a, b), coefficient in coefficients.items():
        if a == 0 and b <= 1:
            # one for each tile, or the lengths of all the tiles
            amount = cut.tiles if b == 0 else cut.extent
        else:
            # rest^b is 0 when there is no ragged tile, except at b = 0
            last = ragged if b == 0 else cut.rest**b
            amount = cut.step**b * power_sum(a, cut.full) + cut.full**a * last
        total = total + coefficient * amount
    return total


# Loops that end before they start


def check_loops(program: Program, values: Values) -> None:
    """Raises a CountError if a loop ends before it starts in any iteration of the loops around it.

    Sizes that have no value can't be checked.
    """
    if all(name in values for name in program.sizes):
        _check_body(program.body, values, ())


def _check_body(body: Sequence[Statement], values: Values, around: Around) -> None:
    for statement in body:
        match statement:
            case Loop(index=index, body=inner):
                cut = tiles_of(statement, values)
                if not _never_negative(cut.extent, around):
                    raise CountError(
                        f"loop {index}: in some iteration of the loops around it, it stops before it starts"
                    )
                if cut.tiles != 0:
                    _check_body(inner, general_tile(statement, cut, values), (*around, (index, cut)))
            case TableLoop(index=index, table=table, body=inner):
                for row, _, _ in table.classes():
                    _check_body(inner, {**values, **row_values(index, row)}, around)
            case Load() | Store() | Alloc() | Free() | Compute():
                pass
            case _:
                assert_never(statement)


def _never_negative(value: Size, around: Around) -> bool:
    least = lower_bound(value, around)
    if least is not None and least >= 0:
        return True
    if not around:
        return False
    # The bound may be that of iterations that don't happen: the outermost loop is run.
    (index, cut), *inner = around
    assert isinstance(cut.tiles, int)
    if cut.tiles > ENUMERATION_LIMIT:
        raise CountError(f"whether {value} is negative in one of {cut.tiles:,} tiles of loop {index} is not known")
    for number in range(cut.tiles):
        tile = {number_name(index): number, size_name(index): cut.length(number)}
        here = tuple((name, other.at(tile)) for name, other in inner)
        if all(other.tiles != 0 for _, other in here) and not _never_negative(evaluate(value, tile), here):
            return False
    return True


def lower_bound(value: Size, around: Around) -> int | None:
    """At most the least of `value` over all iterations; None if it is not affine in the number of a tile."""
    if isinstance(value, int):
        return value
    if not around:
        return None
    for monomial, coefficient in value.terms.items():
        ((atom, exponent), *others) = monomial or ((None, 0),)
        if isinstance(atom, Extremum) and exponent == 1 and not others:
            # a max(x, y) is at least a x; - a max(x, y) is the less of - a x and - a y
            parts = [lower_bound(map_atoms(value, {atom: x}.get), around) for x in atom.arguments]
            known = [part for part in parts if part is not None]
            if (coefficient > 0) == atom.greatest:
                return max(known, default=None)
            return min(known) if len(known) == len(parts) else None
    *outer, (index, cut) = around
    t, s = number_name(index), size_name(index)
    candidates = []
    if cut.full != 0:
        whole = evaluate(value, {s: cut.step})
        coefficients = collect(whole, t)
        if coefficients is None or any(exponent > 1 for (exponent,) in coefficients):
            return None
        slope = coefficients.get((1,), 0)
        ends = [0] if isinstance(slope, int) and slope >= 0 else [0, cut.full - 1]
        candidates += [evaluate(whole, {t: end}) for end in ends]
    if cut.full != cut.tiles:
        candidates.append(evaluate(value, {t: cut.full, s: cut.rest}))
    bounds = [lower_bound(candidate, tuple(outer)) for candidate in candidates]
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known and len(known) == len(bounds) else None
