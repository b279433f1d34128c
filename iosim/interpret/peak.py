"""How many words live at once? The amounts of which the greatest is the peak, with loops summed up, not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, assert_never

from iosim.errors import CountError
from iosim.expr import Atom, Expr, Extremum, Size, collect, evaluate, free_symbols, map_atoms, maximum, minimum
from iosim.interpret.tiles import ENUMERATION_LIMIT, Around, Tiles, Values, general_tile, lower_bound, tiles_of
from iosim.intervals import trend
from iosim.loops import loop_of, number_name, row_values, size_name, tile_values
from iosim.program import Alloc, Compute, Free, Load, Loop, Statement, Store, TableLoop

Kind: TypeAlias = Literal["loaded", "created"]


class Peak:
    """Runs a program on the words that are live, and keeps every amount that might be the greatest."""

    def __init__(self, *, tiles_fit: bool, only: Kind | None) -> None:
        self.tiles_fit = tiles_fit
        self.only = only
        self.live: dict[str, Size] = {}
        self.seen: set[Size] = set()
        self.iterations = 0
        self.around: Around = ()

    def run(self, body: Sequence[Statement], values: Values) -> None:
        for statement in body:
            match statement:
                case Load(tile=tile) | Alloc(tile=tile):
                    if self.only != ("created" if isinstance(statement, Load) else "loaded"):
                        self.live[tile.name] = evaluate(tile.words, values)
                        self.seen.add(sum(self.live.values()))
                case Free(tile=tile):
                    self.live.pop(tile.name, None)
                case Store():
                    pass
                case Compute(op=op, params=params):
                    scratch = 0 if self.only == "loaded" else op.scratch(dict(params))
                    self.seen.add(sum(self.live.values()) + scratch)
                case Loop():
                    self.loop(statement, values)
                case TableLoop(index=index, table=table, body=inner):
                    for row, _, _ in table.classes():
                        self.run(inner, {**values, **row_values(index, row)})
                case _:
                    assert_never(statement)

    def loop(self, loop: Loop, values: Values) -> None:
        cut = tiles_of(loop, values)
        if isinstance(cut.tiles, int) and cut.tiles == 0:
            return
        live, outer, around, self.seen = dict(self.live), self.seen, self.around, set()
        try:
            self.around = (*self.around, (loop.index, cut))
            self.run(loop.body, general_tile(loop, cut, values))
            self.around = self.around[:-1]
            found = {candidate for amount in self.seen for candidate in self.greatest(amount, loop.index, cut)}
        except CountError:
            self.around = around
            if not isinstance(cut.tiles, int):
                raise
            self.live, self.seen = live, set()
            self.one_by_one(loop, cut, cut.tiles, values)
            found = self.seen
        self.seen = outer | found

    def one_by_one(self, loop: Loop, cut: Tiles, tiles: int, values: Values) -> None:
        for number in range(tiles):
            self.iterations += 1
            if self.iterations > ENUMERATION_LIMIT:
                raise CountError(f"loop {loop.index}: the peak of {tiles:,} tiles is not known in closed form")
            self.run(
                loop.body, {**values, **tile_values(loop.index, cut.start + cut.step * number, cut.length(number))}
            )

    def greatest(self, amount: Size, index: str, cut: Tiles) -> list[Size]:
        """Candidates for the greatest value of `amount` over all the tiles; 0 in place of one if there are no tiles."""
        t, s = number_name(index), size_name(index)
        if t not in free_symbols(amount) and trend(amount, s) <= {1}:
            longest = cut.step if self.tiles_fit else minimum(cut.step, cut.extent)
            return [self.if_any(cut.extent) * evaluate(amount, {s: longest})]
        candidates = [
            self.if_any(cut.full) * value for value in _greatest(evaluate(amount, {s: cut.step}), t, cut.full)
        ]
        ragged = cut.tiles - cut.full
        if ragged != 0:
            rest = cut.rest if isinstance(ragged, int) or collect(amount, s) is not None else maximum(1, cut.rest)
            candidates.append(ragged * evaluate(amount, {t: cut.full, s: rest}))
        return candidates

    def if_any(self, count: Size) -> Size:
        """1 if `count` is at least 1, else 0."""
        if isinstance(count, int):
            return min(1, count)
        if self.tiles_fit or _positive(count):
            return 1
        known = all(isinstance(x, int) for _, cut in self.around[:1] for x in (cut.start, cut.step, cut.extent))
        least = lower_bound(count, self.around) if known else None
        return 1 if least is not None and least >= 1 else minimum(1, count)


def _greatest(amount: Size, t: str, count: Size) -> list[Size]:
    """Candidates for the greatest value of `amount` over t = 0 .. count-1."""
    if t not in free_symbols(amount):
        return [amount]
    goes = trend(amount, t)
    if len(goes) == 1:
        return [evaluate(amount, {t: count - 1 if goes == {1} else 0})]
    # An affine function is greatest at an end. Often a minimum in it is decided but for the first and the last t.
    ranges: list[tuple[Size, Size]] = [(0, count - 1)]
    if isinstance(count, int) and count > 2:
        ranges += [(1, count - 1), (0, count - 2), (1, count - 2)]
    for low, high in ranges:
        settled = _settle(amount, t, low, high)
        if _affine(settled, t):
            apart = [end for end in (0, count - 1) if end not in (low, high)]
            return [
                evaluate(settled, {t: low}),
                evaluate(settled, {t: high}),
                *(evaluate(amount, {t: x}) for x in apart),
            ]
    raise CountError(f"the greatest of {amount} over {count} values of {t} is not known in closed form")


def _settle(amount: Size, t: str, low: Size, high: Size) -> Size:
    """`amount` with each minimum or maximum replaced by the argument that is it at both ends, hence in between."""

    def settled(atom: Atom) -> Size | None:
        whole = Expr({((atom, 1),): 1})
        if isinstance(atom, Extremum) and t in free_symbols(whole) and all(_affine(x, t) for x in atom.arguments):
            at_low, at_high = (evaluate(whole, {t: end}) for end in (low, high))
            for argument in atom.arguments:
                if at_low == evaluate(argument, {t: low}) and at_high == evaluate(argument, {t: high}):
                    return argument
        return None

    return map_atoms(amount, settled)


def _affine(size: Size, t: str) -> bool:
    coefficients = collect(size, t)
    return coefficients is not None and all(exponent <= 1 for (exponent,) in coefficients)


def _positive(size: Expr) -> bool:
    """Whether `size` is surely at least 1: symbols are, but for the number of a tile, which can be 0."""
    return all(coefficient > 0 for coefficient in size.terms.values()) and any(
        all(isinstance(atom, str) and atom != number_name(loop_of(atom)) for atom, _ in monomial)
        for monomial in size.terms
    )


def undominated(candidates: set[Size]) -> list[Size]:
    """Candidates without those that another one exceeds whatever the (positive) sizes are."""

    def exceeds(a: Size, b: Size) -> bool:
        difference = a - b
        terms = {(): difference} if isinstance(difference, int) else difference.terms
        return all(coefficient >= 0 for coefficient in terms.values())

    kept: list[Size] = []
    for candidate in sorted(candidates, key=str):
        if any(exceeds(other, candidate) for other in kept):
            continue
        kept = [other for other in kept if not exceeds(candidate, other)] + [candidate]
    return kept
