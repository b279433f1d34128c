"""Where do the words come from? Each line of a program: how often it happens, how many words it moves, as which product.

The words of a line are counted by `count`, in a program in which each line moves words of an array of its own. The product
is found by going outwards from the words of one move: a loop multiplies by how many tiles it has, or, where a move is as
long as the tile, by the length of the axis that it cuts, so that a ragged end needs no special case. What depends on an
outer loop in another way (the keys that a mask leaves to a row tile) is summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count as numbers_from
from typing import Literal, TypeAlias, assert_never

from iosim.expr import Size, collect, evaluate, evaluate_int, free_symbols
from iosim.interpret.count import count, peak_words
from iosim.interpret.tiles import Tiles, general_tile, sum_tiles, tiles_of
from iosim.loops import loops_of, number_name, row_values, size_name
from iosim.ops import Op
from iosim.program import (
    Alloc,
    Array,
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
)

Noun: TypeAlias = Literal["tile", "table row", "row", "column", "word", ""]
_AXES: tuple[Noun, ...] = ("row", "column")
_NO_TILE = Tile("", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One factor of the words that a line moves.

    Attributes:
        amount: the factor.
        noun: what it counts; nothing where there is no word for it.
        loops: the loops that it stands for, outermost first; none for the words of one move.
        repeats: whether these loops repeat the same words, because the place of the move does not depend on them.
        summed: whether it is a sum over tiles that differ.
    """

    amount: Size
    noun: Noun
    loops: tuple[str, ...]
    repeats: bool = False
    summed: bool = False

    def __str__(self) -> str:
        amount = f"{self.amount:,}" if isinstance(self.amount, int) else str(self.amount)
        amount = f"({amount})" if " " in amount else amount
        noun = self.noun if self.amount == 1 or not self.noun else f"{self.noun}s"
        over = "summed over" if self.summed else ""
        return " ".join(part for part in (amount, noun, over, ", ".join(self.loops)) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one statement contributes.

    Attributes:
        number: of the statement, in the order of the text (`walk`), from 0.
        statement: the statement.
        times: how often it happens; of a loop, how many tiles it has in all.
        words: the words that it moves in all.
        factors: their product is `words`; empty for what moves none or never happens.
        tiles: how a loop cuts its axis, if it does so in the same way each time.
        live_words: the most words of fast memory that are live when it has happened, an operation's own included; None
            for what adds none, for what never happens, and where sizes are symbols.
    """

    number: int
    statement: Statement
    times: Size
    words: Size
    factors: tuple[Factor, ...]
    tiles: Tiles | None = None
    live_words: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A tile that is live at some line; `formula` is its size in symbols, where the loops around it are at whole tiles."""

    tile: str
    words: int
    formula: Size


@dataclass(frozen=True, slots=True)
class _Around:
    """A loop around a statement, with the values outside it, where the places of the loops further out are symbols."""

    loop: Loop | TableLoop
    values: Mapping[str, Size]


def explain(program: Program, sizes: Mapping[str, int] | None = None) -> tuple[Line, ...]:
    """Every line of `program`, in the order of its text, and what it contributes to the traffic and to the peak.

    The words of all lines add up to the traffic that `count` finds; it is counted by the same code.

    Args:
        program: what to explain.
        sizes: values of its sizes; one that is left out stays a symbol.

    Units: words.
    Raises:
        CountError: as `count` and `peak_words` do.
    Example:
        >>> from iosim.builder import build
        >>> def sums(b, *, n, B):
        ...     X, R = b.input("X", (n,)), b.output("R", (n,), needs="R[i] <- X[:]")
        ...     with b.tiles("i", n, B) as i, b.zeros("r", i) as r:
        ...         with b.tiles("j", n, B) as j, b.load(X[j]) as x:
        ...             pass
        ...         b.store(r, R[i])
        >>> for line in explain(build(sums, name="sums", n="n", B="B"), {"n": 10, "B": 4}):
        ...     if line.factors:
        ...         print(line.words, "=", " x ".join(map(str, line.factors)))
        30 = 3 tiles i x 10 rows j
        10 = 10 rows i
    """
    values = dict(sizes or {})
    counted = count(_probe(program), values).loads
    numeric = all(name in values for name in program.sizes)
    beyond = evaluate_int(peak_words(program, values), {}) + 1 if numeric else None
    lines = []
    for number, (statement, around, here) in enumerate(_walk(program.body, values, ())):
        line = Line(
            number=number,
            statement=statement,
            times=counted.get(f"times {number}", 0),
            words=counted.get(f"words {number}", 0),
            factors=(),
        )
        match statement:
            case Load(region=region) | Store(region=region):
                if around is not None:
                    line = replace(line, factors=_factors(region, around, evaluate(region.words, here)))
            case Loop():
                line = replace(line, tiles=None if around is None else _constant_tiles(statement, here))
            case Alloc() | Free() | Compute() | TableLoop():
                pass
            case _:
                assert_never(statement)
        if beyond is not None and isinstance(statement, Load | Alloc | Compute):
            line = replace(line, live_words=_live(program, values, number, beyond, lambda _: True))
        lines.append(line)
    return tuple(lines)


def held_at(program: Program, sizes: Mapping[str, int], number: int) -> tuple[Held, ...]:
    """The tiles that are live once the statement of that number has happened, in the order in which they come.

    Each is as large as it ever is there. Where lengths differ from one iteration to another, not all of them need be so in
    the same one: the words of the tiles then add up to more than are ever live.

    Units: words.
    """
    beyond = evaluate_int(peak_words(program, sizes), {}) + 1
    held: dict[str, Held] = {}
    for at, (statement, loops, _) in enumerate(_walk(program.body, sizes, ())):
        if at > number:
            break
        match statement:
            case Load(tile=tile) | Alloc(tile=tile):
                held.pop(tile.name, None)
                held[tile.name] = Held(tile=tile.name, words=0, formula=_whole(tile.words, loops))
            case _:
                pass
    found = []
    for name, one in held.items():
        words = _live(program, sizes, number, beyond, name.__eq__)
        if words:
            found.append(replace(one, words=words))
    return tuple(found)


def _whole(words: Size, loops: Sequence[_Around] | None) -> Size:
    """The size of a tile in symbols, where each loop around it is at a tile of full length."""
    for around in reversed(loops or ()):
        if isinstance(around.loop, Loop):
            words = evaluate(words, {size_name(around.loop.index): around.loop.step})
    return words


def _walk(
    body: Sequence[Statement], values: Mapping[str, Size], around: tuple[_Around, ...] | None
) -> Iterator[tuple[Statement, tuple[_Around, ...] | None, Mapping[str, Size]]]:
    """Every statement in the order of `walk`, with the loops around it, None if one has no tile, and the values there."""
    for statement in body:
        yield statement, around, values
        match statement:
            case Loop(body=inner):
                cut = None if around is None else tiles_of(statement, values)
                if around is None or cut is None or cut.tiles == 0:
                    yield from _walk(inner, values, None)
                else:
                    yield from _walk(inner, general_tile(statement, cut, values), (*around, _Around(statement, values)))
            case TableLoop(body=inner):
                yield from _walk(inner, values, None if around is None else (*around, _Around(statement, values)))
            case Load() | Store() | Alloc() | Free() | Compute():
                pass
            case _:
                assert_never(statement)


# Words of each line


def _probe(program: Program) -> Program:
    """Moves words of `words 7` where line 7 moves some, and one of `times 7` whenever line 7 happens."""
    numbers = numbers_from()

    def move(name: str, region: Region | None = None) -> Load:
        axes = () if region is None else region.axes
        shape = () if region is None else region.array.shape
        return Load(Region(Array(name, shape, "input"), axes), _NO_TILE)

    def marked(body: Sequence[Statement]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for statement in body:
            number = next(numbers)
            time = move(f"times {number}")
            match statement:
                case Loop() | TableLoop():
                    found.append(replace(statement, body=(time, *marked(statement.body))))
                case Load(region=region) | Store(region=region):
                    found += [time, move(f"words {number}", region)]
                case Alloc() | Free() | Compute():
                    found.append(time)
                case _:
                    assert_never(statement)
        return tuple(found)

    return replace(program, body=marked(program.body))


def _factors(region: Region, around: Sequence[_Around], words: Size) -> tuple[Factor, ...]:
    """The words that a move of `words` at `region` in these loops moves in all, as a product, outermost loop first."""
    names = _names(region)
    place = set(names)  # the loops that the place of the move depends on
    pending: list[str] = []  # loops passed so far that are no factor yet, outermost first
    summed = False
    factors: list[Factor] = []
    for here in reversed(around):
        index = here.loop.index
        words, amount, noun, ends = _passed(words, here)  # words: in all the loops that are pending
        if index in place:
            place |= ends
        summed = summed or amount is None
        if amount is None or _in_loops(amount):
            words = words if amount is None else words * amount
            pending.insert(0, index)
            continue
        if noun == "":
            noun = next((names[name] for name in (index, *pending) if name in names), "")
        passed: tuple[str, ...] = (index,)
        if words == 1 and not summed:  # nothing else is left of those that are pending
            passed, pending = (index, *pending), []
        factors.insert(0, Factor(amount=amount, noun=noun, loops=passed, repeats=index not in place))
    if pending:
        factors.insert(0, Factor(amount=words, noun="", loops=tuple(pending), summed=True))
    elif words != 1 or not factors:
        factors.append(Factor(amount=words, noun="word", loops=()))
    return tuple(factors)


def _passed(words: Size, here: _Around) -> tuple[Size, Size | None, Noun, set[str]]:
    """What passing a loop makes of `words`: what is left of them, the factor, what it counts, and the loops that it ends by.

    There is no factor if the words of its tiles had to be summed; a loop in steps of one has no noun of its own.
    """
    loop, index = here.loop, here.loop.index
    if isinstance(loop, TableLoop):
        if index not in loops_of(free_symbols(words)):
            return words, loop.table.row_count, "table row", set()
        total: Size = 0
        for row, times, _ in loop.table.classes():
            total = total + times * evaluate(words, row_values(index, row))
        return total, None, "", set()
    cut = tiles_of(loop, here.values)
    ends = set().union(*(loops_of(free_symbols(x)) for x in (loop.start, loop.stop, loop.step)))
    t, s = number_name(index), size_name(index)
    coefficients = collect(words, t, s)
    if coefficients is not None and list(coefficients) == [(0, 0)]:
        return words, cut.tiles, "" if cut.step == 1 else "tile", ends
    if coefficients is not None and list(coefficients) == [(0, 1)]:
        return coefficients[0, 1], cut.extent, "", ends
    return sum_tiles(words, t, s, cut), None, "", ends


def _in_loops(amount: Size) -> bool:
    """Whether it depends on where a loop is."""
    return bool(loops_of(free_symbols(amount)))


def _names(region: Region) -> dict[str, Noun]:
    """What each loop that the region depends on goes through: rows or columns of the array, or something else."""
    spans = [axis for axis in region.axes if not isinstance(axis, Point | Lookup)]
    names: dict[str, Noun] = {}
    for axis in region.axes:
        match axis:
            case Span(start=start, size=size):
                for index in sorted(loops_of(free_symbols(start) | free_symbols(size))):
                    names[index] = _AXES[spans.index(axis)] if len(spans) <= len(_AXES) else ""
            case Coordinates(index=index):
                names[index] = ""
            case Lookup(position=at) | Point(at=at):
                names |= dict.fromkeys(loops_of(free_symbols(at)), "")
            case _:
                assert_never(axis)
    return names


def _constant_tiles(loop: Loop, values: Mapping[str, Size]) -> Tiles | None:
    cut = tiles_of(loop, values)
    return None if _in_loops(cut.extent) or _in_loops(cut.step) else cut


# Live words


def _live(
    program: Program, sizes: Mapping[str, Size], number: int, beyond: int, kept: Callable[[str], bool]
) -> int | None:
    """The most words of the tiles kept that are live after line `number`; None if it never happens.

    An operation that needs `beyond` words, more than the program ever has, is put behind that line; it is then where the
    peak is.
    """
    numbers = numbers_from()

    def marked(body: Sequence[Statement]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for statement in body:
            here = next(numbers) == number
            extra = beyond
            match statement:
                case Loop() | TableLoop():
                    found.append(replace(statement, body=marked(statement.body)))
                case Load(tile=tile) | Alloc(tile=tile) | Free(tile=tile):
                    found += [statement] if kept(tile.name) else []
                case Compute(op=op, params=params):
                    extra += op.scratch(dict(params)) if kept("") else 0
                case Store():
                    pass
                case _:
                    assert_never(statement)
            found += [Compute(_needing(extra), ())] if here else []
        return tuple(found)

    most = evaluate_int(peak_words(replace(program, body=marked(program.body)), sizes), {})
    return most - beyond if most >= beyond else None


def _needing(words: int) -> Op:
    """An operation that does nothing but need so many words for itself."""
    return Op(
        name="marker",
        shapes="",
        updates=0,
        text="",
        flops=lambda *_: 0,
        numpy=lambda: None,
        scratch=lambda _: words,
    )
