"""How many words move, and how many live at once? Exact, at any size, in numbers or in symbols.

Loops are summed, never run. The body of a loop is counted once, for a tile of symbolic length `s` at a symbolic
position `t`; its counts are polynomials in both, and summing a polynomial over all the tiles (full ones of length
`step`, and one ragged one) is arithmetic. The same code counts with integers and with symbols: sizes without a value
stay symbols, and the result is then an exact expression in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from iosim.errors import CountError
from iosim.expr import (
    Atom,
    Expr,
    Extremum,
    Quotient,
    Size,
    Sum,
    ceil_div,
    collect,
    evaluate,
    floor_div,
    free_symbols,
    map_atoms,
    maximum,
    minimum,
    power_sum,
    sum_over,
    symbol,
)
from iosim.program import Alloc, Compute, Free, Load, Loop, Program, Statement, Store, TableLoop

Values: TypeAlias = Mapping[str, Size]
Kind: TypeAlias = Literal["loaded", "created"]
_Key: TypeAlias = tuple[str, str]

_ENUMERATION_LIMIT = 20_000  # iterations that may be looked at one by one


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
    values = dict(sizes or {})
    _check_loops(program, values)
    tally = _tally(program.body, values)

    def of(kind: str) -> dict[str, Size]:
        return {name: value for (k, name), value in tally.items() if k == kind}

    return Count(loads=of("load"), stores=of("store"), flops=tally.get(("flops", ""), 0), trips=of("trips"))


def peak_words(
    program: Program, sizes: Values | None = None, *, tiles_fit: bool = False, only: Kind | None = None
) -> Size:
    """Most words of fast memory live at once while the program runs, an operation's own scratch words included.

    Args:
        program: what to measure.
        sizes: values of its sizes; one that is left out stays a symbol.
        tiles_fit: assume that no tile is longer than the axis it cuts and that every loop has one (a formula without
            `min(B, n)`).
        only: count only the tiles that are loaded, or only those that are created, and scratch words.

    Units: words.
    Raises:
        CountError: a loop ends before it starts, or the greatest of too many amounts is not known in closed form.
    Source: the capacity rule of the two-level machine: tiles and temporaries count, loop indices don't.
    """
    values = dict(sizes or {})
    _check_loops(program, values)
    peaks = _Peak(tiles_fit=tiles_fit, only=only)
    peaks.run(program.body, values)
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
                given = {key: evaluate(x, values) if isinstance(x, Expr) else x for key, x in params}
                add(("flops", ""), op.flops(op.axis_sizes(shapes), given))
            case Loop():
                for key, amount in _loop(statement, values).items():
                    add(key, amount)
            case TableLoop(index=index, table=table, body=inner):
                add(("trips", index), table.row_count)
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

    def at(self, values: Values) -> Tiles:
        return Tiles(*(evaluate(x, values) for x in (self.start, self.step, self.extent, self.full, self.tiles)))


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
    start = cut.start + cut.step * symbol(f"{loop.index}.t")
    size = cut.step if cut.full == cut.tiles else symbol(f"{loop.index}.size")
    return {**values, f"{loop.index}.start": start, f"{loop.index}.size": size}


def _loop(loop: Loop, values: Values) -> dict[_Key, Size]:
    cut = tiles_of(loop, values)
    t, s = f"{loop.index}.t", f"{loop.index}.size"
    if isinstance(cut.tiles, int) and cut.tiles == 0:
        return {}
    bound = general_tile(loop, cut, values)
    totals = {key: sum_tiles(term, t, s, cut) for key, term in _tally(loop.body, bound).items()}
    trips = ("trips", loop.index)
    totals[trips] = totals.get(trips, 0) + cut.tiles
    return totals


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


class _Peak:
    """Runs a program on the words that are live, and keeps every amount that might be the greatest."""

    def __init__(self, *, tiles_fit: bool, only: Kind | None) -> None:
        self.tiles_fit = tiles_fit
        self.only = only
        self.live: dict[str, Size] = {}
        self.seen: set[Size] = set()
        self.iterations = 0
        self.around: _Around = ()

    def run(self, body: Sequence[Statement], values: Values) -> None:
        for statement in body:
            match statement:
                case Load(tile=tile) | Alloc(tile=tile):
                    if self.only != ("created" if isinstance(statement, Load) else "loaded"):
                        self.live[tile.name] = evaluate(tile.words, values)
                        self.seen.add(_total(self.live.values()))
                case Free(tile=tile):
                    self.live.pop(tile.name, None)
                case Store():
                    pass
                case Compute(op=op, params=params):
                    scratch = 0 if self.only == "loaded" else op.scratch(dict(params))
                    self.seen.add(_total(self.live.values()) + scratch)
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
            if self.iterations > _ENUMERATION_LIMIT:
                raise CountError(f"loop {loop.index}: the peak of {tiles:,} tiles is not known in closed form")
            tile = {f"{loop.index}.t": number, f"{loop.index}.size": minimum(cut.step, cut.extent - number * cut.step)}
            bound = general_tile(loop, cut, values)
            self.run(loop.body, {name: evaluate(value, tile) for name, value in bound.items()})

    def greatest(self, amount: Size, index: str, cut: Tiles) -> list[Size]:
        """Candidates for the greatest value of `amount` over all the tiles; 0 in place of one if there are no tiles."""
        t, s = f"{index}.t", f"{index}.size"
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
        least = _lower_bound(count, self.around) if known else None
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


def trend(size: Size, variable: str) -> set[int]:
    """In which directions `size` may go where `variable` rises: up (1), down (-1); no size is negative."""

    def of(atom: Atom) -> set[int]:
        match atom:
            case str():
                return {1} if atom == variable else set()
            case Quotient(numerator=a, denominator=b):
                return trend(a, variable) | {-sign for sign in trend(b, variable)}
            case Extremum(arguments=arguments):
                return set().union(*(trend(x, variable) for x in arguments))
            case Sum(term=term, count=many):
                return {1, -1} if variable in free_symbols(many) else trend(term, variable)
            case _:
                assert_never(atom)

    if isinstance(size, int):
        return set()
    return {
        sign if coefficient > 0 else -sign
        for monomial, coefficient in size.terms.items()
        for atom, _ in monomial
        for sign in of(atom)
    }


def _positive(size: Expr) -> bool:
    """Whether `size` is surely at least 1: symbols are, but for the number of a tile, which can be 0."""
    return all(coefficient > 0 for coefficient in size.terms.values()) and any(
        all(isinstance(atom, str) and not atom.endswith(".t") for atom, _ in monomial) for monomial in size.terms
    )


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


# Loops that end before they start

_Around = tuple[tuple[str, Tiles], ...]  # the loops around a statement, outermost first


def _check_loops(program: Program, values: Values) -> None:
    """Raises a CountError if a loop ends before it starts in any iteration of the loops around it.

    Sizes that have no value can't be checked.
    """
    if all(name in values for name in program.sizes):
        _check_body(program.body, values, ())


def _check_body(body: Sequence[Statement], values: Values, around: _Around) -> None:
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
                    bound = {f"{index}.{column}": value for column, value in row.items()}
                    _check_body(inner, {**values, **bound}, around)
            case Load() | Store() | Alloc() | Free() | Compute():
                pass
            case _:
                assert_never(statement)


def _never_negative(value: Size, around: _Around) -> bool:
    least = _lower_bound(value, around)
    if least is not None and least >= 0:
        return True
    if not around:
        return False
    # The bound may be that of iterations that don't happen: the outermost loop is run.
    (index, cut), *inner = around
    assert isinstance(cut.tiles, int)
    if cut.tiles > _ENUMERATION_LIMIT:
        raise CountError(f"whether {value} is negative in one of {cut.tiles:,} tiles of loop {index} is not known")
    for number in range(cut.tiles):
        tile = {f"{index}.t": number, f"{index}.size": minimum(cut.step, cut.extent - number * cut.step)}
        here = tuple((name, other.at(tile)) for name, other in inner)
        if all(other.tiles != 0 for _, other in here) and not _never_negative(evaluate(value, tile), here):
            return False
    return True


def _lower_bound(value: Size, around: _Around) -> int | None:
    """At most the least of `value` over all iterations; None if it is not affine in the number of a tile."""
    if isinstance(value, int):
        return value
    if not around:
        return None
    for monomial, coefficient in value.terms.items():
        ((atom, exponent), *others) = monomial or ((None, 0),)
        if isinstance(atom, Extremum) and exponent == 1 and not others:
            # a max(x, y) is at least a x; - a max(x, y) is the less of - a x and - a y
            parts = [_lower_bound(map_atoms(value, {atom: x}.get), around) for x in atom.arguments]
            known = [part for part in parts if part is not None]
            if (coefficient > 0) == atom.greatest:
                return max(known, default=None)
            return min(known) if len(known) == len(parts) else None
    *outer, (index, cut) = around
    t, s = f"{index}.t", f"{index}.size"
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
    bounds = [_lower_bound(candidate, tuple(outer)) for candidate in candidates]
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known and len(known) == len(bounds) else None
