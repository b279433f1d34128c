"""How many words move, and how many live at once? Exact, at any size, in numbers or in symbols.

Loops are summed, never run. The body of a loop is counted once, for a tile of symbolic length `s` at a symbolic
position `t`; its counts are polynomials in both, and summing a polynomial over all the tiles (full ones of length
`step`, and one ragged one) is arithmetic. The same code counts with integers and with symbols: sizes without a value
stay symbols, and the result is then an exact expression in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from iosim.errors import CountError
from iosim.expr import (
    Expr,
    Extremum,
    Size,
    ceil_div,
    collect,
    evaluate,
    floor_div,
    free_symbols,
    maximum,
    minimum,
    power_sum,
    sum_over,
    symbol,
)
from iosim.program import Alloc, Compute, Free, Load, Loop, Program, Statement, Store, TableLoop

Direction: TypeAlias = Literal["load", "store"]
Values: TypeAlias = Mapping[str, Size]
_Key: TypeAlias = tuple[str, str]

_ENUMERATION_LIMIT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a program costs.

    Attributes:
        loads: words moved from slow to fast memory, by array.
        stores: words moved from fast to slow memory, by array.
        flops: arithmetic operations.
        trips: iterations of each loop in all, by its index; loops of one name are added.
    """

    loads: Mapping[str, Size] = field(default_factory=dict)
    stores: Mapping[str, Size] = field(default_factory=dict)
    flops: Size = 0
    trips: Mapping[str, Size] = field(default_factory=dict)

    @property
    def loads_words(self) -> Size:
        return _total(self.loads.values())

    @property
    def stores_words(self) -> Size:
        return _total(self.stores.values())

    @property
    def io_words(self) -> Size:
        """Traffic: loads plus stores, in words."""
        return self.loads_words + self.stores_words


def count(program: Program, sizes: Values | None = None) -> Count:
    """Words moved by array and direction, flops and trip counts of `program`.

    Args:
        program: what to count.
        sizes: values of its sizes; one that is left out stays a symbol.

    Units: words, flops, iterations.
    Raises:
        CountError: a loop ends before it starts, or a sum has no closed form and too many terms to add.
    Example:
        >>> from iosim.builder import build
        >>> def copy(b, *, n, d, B):
        ...     X, Y = b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")
        ...     with b.tiles("i", n, B) as i, b.load(X[i, :]) as x:
        ...         b.store(x, Y[i, :])
        >>> print(count(build(copy, name="copy", n="n", d="d", B="B")).io_words)
        2*d*n
        >>> count(build(copy, name="copy", n="n", d="d", B="B"), {"n": 10, "d": 3, "B": 4}).io_words
        60
    """
    tally = _tally(program.body, dict(sizes or {}))

    def of(kind: str) -> dict[str, Size]:
        return {name: value for (k, name), value in tally.items() if k == kind}

    return Count(loads=of("load"), stores=of("store"), flops=tally.get(("flops", ""), 0), trips=of("trips"))


def peak_words(program: Program, sizes: Values | None = None, *, tiles_fit: bool = False) -> Size:
    """Most words of fast memory live at once while the program runs, an operation's own scratch words included.

    Args:
        program: what to measure.
        sizes: values of its sizes; one that is left out stays a symbol.
        tiles_fit: assume that no tile is longer than the axis it cuts (a formula without `min(B, n)`).

    Units: words.
    Source: the capacity rule of the two-level machine: tiles and temporaries count, loop indices don't.
    """
    peaks = _Peak(tiles_fit=tiles_fit)
    peaks.run(program.body, dict(sizes or {}))
    return maximum(*_undominated(peaks.seen)) if peaks.seen else 0


def _total(values: Iterable[Size]) -> Size:
    total: Size = 0
    for value in values:
        total = total + value
    return total


def _tally(body: Sequence[Statement], values: Values) -> dict[_Key, Size]:
    tally: dict[_Key, Size] = {}

    def add(key: _Key, amount: Size) -> None:
        tally[key] = tally.get(key, 0) + amount

    for statement in body:
        match statement:
            case Load(region=region):
                add(("load", region.array.name), evaluate(region.words, values))
            case Store(region=region):
                add(("store", region.array.name), evaluate(region.words, values))
            case Alloc() | Free():
                pass
            case Compute(op=op, operands=operands, params=params):
                shapes = [[evaluate(size, values) for size in view.shape] for view in operands]
                add(("flops", ""), op.flops(op.axis_sizes(shapes), dict(params)))
            case Loop():
                for key, amount in _loop(statement, values).items():
                    add(key, amount)
            case TableLoop(index=index, table=table, body=inner):
                add(("trips", index), len(table))
                for row, times, _ in table.classes():
                    bound = {**values, **{f"{index}.{column}": value for column, value in row.items()}}
                    for key, amount in _tally(inner, bound).items():
                        add(key, amount * times)
            case _:
                assert_never(statement)
    return tally


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


def _loop(loop: Loop, values: Values) -> dict[_Key, Size]:
    cut = tiles_of(loop, values)
    t, s = f"{loop.index}.t", f"{loop.index}.size"
    if isinstance(cut.tiles, int) and cut.tiles == 0:
        return {}
    bound = {**values, f"{loop.index}.start": cut.start + cut.step * symbol(t)}
    bound[s] = cut.step if cut.full == cut.tiles else symbol(s)
    totals = {key: _sum_tiles(term, t, s, cut) for key, term in _tally(loop.body, bound).items()}
    trips = ("trips", loop.index)
    totals[trips] = totals.get(trips, 0) + cut.tiles
    return totals


def _sum_tiles(term: Size, t: str, s: str, cut: Tiles) -> Size:
    """The sum over all tiles of `term`, which depends on the tile's number `t` and its length `s`."""
    ragged = cut.tiles - cut.full  # 0 or 1
    coefficients = collect(term, t, s)
    total: Size = 0
    if coefficients is None:
        total = sum_over(evaluate(term, {s: cut.step}), t, cut.full)
        if ragged != 0:
            total = total + ragged * evaluate(term, {t: cut.full, s: cut.rest})
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


class _Peak:
    """Runs a program on the words that are live, and keeps every amount that might be the greatest."""

    def __init__(self, *, tiles_fit: bool) -> None:
        self.tiles_fit = tiles_fit
        self.live: dict[str, Size] = {}
        self.seen: set[Size] = set()

    def run(self, body: Sequence[Statement], values: Values) -> None:
        for statement in body:
            match statement:
                case Load(tile=tile) | Alloc(tile=tile):
                    self.live[tile.name] = evaluate(tile.words, values)
                    self.seen.add(_total(self.live.values()))
                case Free(tile=tile):
                    self.live.pop(tile.name, None)
                case Store():
                    pass
                case Compute(op=op, params=params):
                    self.seen.add(_total(self.live.values()) + op.scratch(dict(params)))
                case Loop():
                    self.loop(statement, values)
                case TableLoop(index=index, table=table, body=inner):
                    for row, _, _ in table.classes():
                        bound = {f"{index}.{column}": value for column, value in row.items()}
                        self.run(inner, {**values, **bound})
                case _:
                    assert_never(statement)

    def loop(self, loop: Loop, values: Values) -> None:
        cut = tiles_of(loop, values)
        if isinstance(cut.tiles, int) and cut.tiles == 0:
            return
        t = f"{loop.index}.t"
        longest = cut.step if self.tiles_fit else minimum(cut.step, cut.extent)
        outer, self.seen = self.seen, set()
        # Words are not fewer in a full tile than in a ragged one, as lengths only multiply and add.
        bound = {f"{loop.index}.start": cut.start + cut.step * symbol(t), f"{loop.index}.size": longest}
        self.run(loop.body, {**values, **bound})
        inner, self.seen = self.seen, outer
        for amount in inner:
            self.seen.update(_greatest(amount, t, cut.tiles))


def _greatest(amount: Size, t: str, count: Size) -> list[Size]:
    """Candidates for the greatest value of `amount` over t = 0 .. count-1."""
    if t not in free_symbols(amount):
        return [amount]
    at: Callable[[Size], Size] = lambda value: evaluate(amount, {t: value})  # noqa: E731
    settled = _settle(amount, t, count - 1)
    coefficients = collect(settled, t)
    if coefficients is not None and max(exponent for (exponent,) in coefficients) <= 1:
        # an affine function is greatest at an end
        return [evaluate(settled, {t: 0}), evaluate(settled, {t: count - 1})]
    if isinstance(count, int) and count <= _ENUMERATION_LIMIT:
        return [at(value) for value in range(count)]
    raise CountError(f"the greatest of {amount} over {count} values of {t} is not known in closed form")


def _settle(amount: Size, t: str, last: Size) -> Size:
    """`amount` with each minimum or maximum replaced by the argument that is it at both ends, hence in between."""
    if isinstance(amount, int):
        return amount
    total: Size = 0
    for monomial, coefficient in amount.terms.items():
        term: Size = Expr({(): coefficient})
        for atom, exponent in monomial:
            factor: Size = Expr({((atom, 1),): 1})
            if isinstance(atom, Extremum) and t in free_symbols(factor):
                pick = maximum if atom.greatest else minimum
                for argument in atom.arguments:
                    affine = collect(argument, t)
                    ends = all(
                        pick(*(evaluate(x, {t: end}) for x in atom.arguments)) == evaluate(argument, {t: end})
                        for end in (0, last)
                    )
                    if affine is not None and max(e for (e,) in affine) <= 1 and ends:
                        factor = argument
                        break
            term = term * factor**exponent
        total = total + term
    return total


def _undominated(candidates: set[Size]) -> list[Size]:
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
