"""Why so many words? Sentences about one program at given sizes, read off its lines, its count and its peak.

How often each word of an array moves; which tiles make up the peak; and, where the traffic is governed by one tile size B,
what becomes of it when B is as long as the fast memory allows: a traffic of c ceil(X/B) words and a peak of a B + b words
make about c a X/M, whose leading term has the constant that people ask about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import assert_never

from iosim.errors import CountError
from iosim.expr import Expr, Extremum, Quotient, Size, collect, evaluate, evaluate_int, free_symbols, terms_of
from iosim.interpret.count import count, peak_words
from iosim.interpret.explain import Held, Line, held_at
from iosim.loops import loops_of, size_name, start_name
from iosim.program import Array, Compute, Coordinates, Load, Lookup, Point, Program, Span, Store

_MOST_PARTS = 3  # of an array that are told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """What one tile size does to the traffic: `per_tile` words for each of `ceil(axis/tile)` tiles.

    Attributes:
        tile: name of the tile size.
        axis: what it cuts.
        per_tile: words moved for each tile, in symbols.
        per_row: words of the peak that grow with the tile, for each row of it, in symbols.
        fixed: words of the peak that don't.
        leading: the terms of `per_tile` times `per_row` times `axis` of the highest degree; over M they are what the
            traffic comes to.
        all_terms: the same with all its terms.
    """

    tile: str
    axis: Size
    per_tile: Size
    per_row: Size
    fixed: Size
    leading: Size
    all_terms: Size


def reasons(program: Program, sizes: Mapping[str, int], lines: Sequence[Line], capacity: int) -> tuple[str, ...]:
    """Why the program moves as many words as it does, in sentences.

    Args:
        program: what is explained.
        sizes: values of all its sizes.
        lines: what `explain` says about it at these sizes.
        capacity: words of fast memory.
    """
    found = [*_by_array(program, sizes, lines)]
    peak = peak_line(lines)
    if peak is None:
        return tuple(found)
    held = held_at(program, sizes, peak.number)
    found.append(_of_the_peak(peak, held, sizes))
    law = governing_law(program, sizes)
    if law is not None:
        found += _of_the_law(law, sizes, evaluate_int(sum(line.words for line in lines), {}), held, capacity)
    return tuple(found)


def peak_line(lines: Sequence[Line]) -> Line | None:
    """The first line at which the peak is reached."""
    return max((line for line in lines if line.live_words is not None), key=lambda x: x.live_words or 0, default=None)


# How often each word moves


def _by_array(program: Program, sizes: Mapping[str, int], lines: Sequence[Line]) -> Iterator[str]:
    """One sentence for all the arrays of which the same can be said."""
    said: dict[tuple[str, str], list[str]] = {}
    for array in program.arrays:
        loaded, stored = (_moves(array, sizes, lines, kind) for kind in (Load, Store))
        said.setdefault((loaded, stored), []).append(array.name)
    for moves, names in said.items():
        told = [move for move in moves if move]
        if moves[1] and not moves[0]:
            told.append("none is loaded")
        yield f"{_listed(names)}: {', '.join(told) if told else 'no word is moved'}."


def _moves(array: Array, sizes: Mapping[str, int], lines: Sequence[Line], kind: type[Load | Store]) -> str:
    """Which words of the array move how often in one direction; empty if none ever does."""
    own = [x for x in lines if isinstance(x.statement, kind) and x.statement.region.array == array and x.words != 0]
    if not own:
        return ""
    moved = "loaded" if kind is Load else "stored"
    size = prod(evaluate_int(length, sizes) for length in array.shape)
    words = evaluate_int(sum(line.words for line in own), {})
    if all(apart(line) for line in own):
        parts = [evaluate_int(covered(line), {}) for line in own]
        if all(part == size for part in parts):
            repeats = [str(f) for line in own for f in line.factors if f.repeats and f.amount != 1]
            why = f", once for each of {' x '.join(repeats)}" if len(own) == 1 and repeats else ""
            return f"each word is {moved} {_times(words // size)}{why}"
        if sum(parts) <= size and len(parts) <= _MOST_PARTS:
            alike: dict[int, list[str]] = {}
            for line, part in zip(own, parts, strict=True):
                alike.setdefault(evaluate_int(line.words, {}) // part, []).append(f"{part:,}")
            return _listed([f"{_listed(same)} words are {moved} {_times(often)}" for often, same in alike.items()])
    times = _times(words // size) if words % size == 0 else f"{words / size:.4g} times"
    return f"each word is {moved} {times} on average"


def covered(line: Line) -> Size:
    """The words of a line without the loops that repeat them: as many different words of the array, if it is `apart`."""
    size: Size = 1
    for factor in line.factors:
        if not factor.repeats:
            size = size * factor.amount
    return size


def apart(line: Line) -> bool:
    """Whether a line surely moves different words for different tiles of the loops that its place depends on.

    Each axis must be cut by one loop, whose tiles it follows from end to end.
    """
    assert isinstance(line.statement, Load | Store)
    for axis in line.statement.region.axes:
        match axis:
            case Span(start=start, size=size):
                indices = loops_of(free_symbols(start) | free_symbols(size))
                if len(indices) > 1:
                    return False
                for index in indices:
                    step, length = collect(start, start_name(index)), collect(size, size_name(index))
                    if step is None or length is None or list(length) != [(1,)] or step.get((1,)) != length[1,]:
                        return False
            case Coordinates() | Lookup():
                return False
            case Point():
                pass
            case _:
                assert_never(axis)
    return not any(factor.summed for factor in line.factors)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


# What is live


def _of_the_peak(line: Line, held: Sequence[Held], sizes: Mapping[str, int]) -> str:
    peak = line.live_words or 0
    own = line.statement.op.scratch(dict(line.statement.params)) if isinstance(line.statement, Compute) else 0
    parts = [f"{tile.tile} {tile.words:,}{_formula(tile, sizes)}" for tile in held]
    parts += [f"the operation's own {own:,}"] if own else []
    together = sum(tile.words for tile in held) + own
    not_at_once = f", never all at their largest, which would be {together:,} words" if together != peak else ""
    return f"The peak of {peak:,} words: {', '.join(parts)}{not_at_once}."


def _formula(tile: Held, sizes: Mapping[str, int]) -> str:
    """How large a tile is in symbols, if it is as large as that."""
    known = evaluate(tile.formula, sizes)
    return f" ({tile.formula})" if tile.formula != tile.words and (known == tile.words or free_symbols(known)) else ""


# The tile size that governs the traffic


def governing_law(program: Program, sizes: Mapping[str, int]) -> Law | None:
    """The law of the tile size by whose tiles most of the words move; None if there is no such law in closed form.

    Sizes that are 1 (a row, a word at a time) and other tile sizes are numbers in it. There is none where two tile sizes
    share the room: where the words that a row of one needs depend on the other.
    """
    ones = {name: 1 for name, value in sizes.items() if value == 1}
    try:
        io = count(program, ones).io_words
        peak = peak_words(program, ones, tiles_fit=True)
    except CountError:
        return None
    given = frozenset().union(*(free_symbols(length) for array in program.arrays for length in array.shape))
    laws = []
    for quotient in _tile_counts(io, given):
        tile = str(quotient.denominator)
        per_tile = _coefficient(io, quotient)
        room = _room(peak, tile, sizes)
        if per_tile is None or room is None:
            continue
        per_row, fixed = room
        others = {name: value for name, value in sizes.items() if name not in given}
        per_tile = evaluate(per_tile, others)  # what else is chosen, is a number
        if not free_symbols(per_row) <= given or not _is_polynomial(per_tile):
            continue
        whole = per_tile * per_row * quotient.numerator
        law = Law(
            tile=tile,
            axis=quotient.numerator,
            per_tile=per_tile,
            per_row=per_row,
            fixed=fixed,
            leading=_leading(whole),
            all_terms=whole,
        )
        tiles = evaluate_int(Expr({((quotient, 1),): 1}), sizes)
        if 2 * tiles * evaluate_int(per_tile, sizes) > evaluate_int(io, sizes):
            laws.append(law)
    return laws[0] if laws else None


def _tile_counts(io: Size, given: frozenset[str]) -> list[Quotient]:
    """The numbers of tiles, ceil(X/B) with a tile size B that is not a size of the arrays, in the traffic."""
    found: dict[Quotient, None] = {}
    for monomial in terms_of(io):
        for atom, _ in monomial:
            if isinstance(atom, Quotient) and atom.up and isinstance(atom.denominator, Expr):
                (name, *more) = free_symbols(atom.denominator)
                if not more and name not in given and str(atom.denominator) == name:
                    found[atom] = None
    return list(found)


def _coefficient(io: Size, quotient: Quotient) -> Size | None:
    """Of the number of tiles in the traffic, if it occurs to the first power only."""
    total: Size = 0
    for monomial, coefficient in terms_of(io).items():
        powers = dict(monomial)
        if quotient in powers:
            if powers.pop(quotient) != 1:
                return None
            total = total + Expr({tuple(powers.items()): coefficient})
    return total


def _room(peak: Size, tile: str, sizes: Mapping[str, int]) -> tuple[Size, Size] | None:
    """The coefficients of the tile size in the argument of the peak that is greatest at these sizes, if it is linear."""
    arguments: Sequence[Size] = (peak,)
    terms = list(terms_of(peak).items())
    if len(terms) == 1 and len(terms[0][0]) == 1 and isinstance(terms[0][0][0][0], Extremum):
        arguments = terms[0][0][0][0].arguments
    greatest = max(arguments, key=lambda argument: evaluate_int(argument, sizes))
    parts = collect(greatest, tile)
    if parts is None or (1,) not in parts or not set(parts) <= {(0,), (1,)}:
        return None
    return parts[1,], parts.get((0,), 0)


def _is_polynomial(size: Size) -> bool:
    return all(isinstance(atom, str) for monomial in terms_of(size) for atom, _ in monomial)


def _leading(size: Size) -> Size:
    terms = terms_of(size)
    degree = max(sum(power for _, power in monomial) for monomial in terms)
    kept = {m: c for m, c in terms.items() if sum(power for _, power in m) == degree}
    return Expr(kept)


def _of_the_law(law: Law, sizes: Mapping[str, int], traffic: int, held: Sequence[Held], capacity: int) -> Iterator[str]:
    tile, tiles = sizes[law.tile], -(-evaluate_int(law.axis, sizes) // sizes[law.tile])
    per_tile, per_row, fixed = (evaluate_int(x, sizes) for x in (law.per_tile, law.per_row, law.fixed))
    yield (
        f"{tiles * per_tile / traffic:.1%} of the traffic: {law.per_tile} = {per_tile:,} words for each of "
        f"ceil({law.axis}/{law.tile}) = {tiles:,} tiles, {law.tile} = {tile:,}."
    )
    parts = [f"{one.tile} {words}" for one in held if (words := _per_row(one.formula, law.tile, sizes)) is not None]
    yield (
        f"A row of such a tile needs {law.per_row} = {per_row:,} words of fast memory ({', '.join(parts)}), and all else "
        f"{law.fixed}{'' if law.fixed == fixed else f' = {fixed:,}'}: M = {capacity:,} words have room for "
        f"{(capacity - fixed) // per_row:,} rows, about M/({law.per_row})."
    )
    words, all_words = evaluate_int(law.leading, sizes), evaluate_int(law.all_terms, sizes)
    yield (
        f"Hence about ({law.per_tile}) * {law.axis} * ({law.per_row})/M words, of which {_over(law.leading)}/M = "
        f"{round(Fraction(words, capacity)):,} is the leading term; with all terms it is {all_words / words:.4g} times "
        f"that, and the traffic, as counted, {traffic * capacity / words:.4g} times."
    )


def _over(size: Size) -> str:
    """As a numerator."""
    return f"({size})" if " " in str(size) else str(size)


def _per_row(formula: Size, tile: str, sizes: Mapping[str, int]) -> Size | None:
    """The words that one more row of the tile adds, in symbols; None if it adds none."""
    parts = collect(evaluate(formula, {name: 1 for name, value in sizes.items() if value == 1}), tile)
    return None if parts is None else parts.get((1,))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
