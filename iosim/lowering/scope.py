"""What is known of sizes while a kernel is written: numbers, variables of the kernel, and their ranges.

The sizes of the program are numbers here. Inside a loop that the kernel runs, `i.start` and `i.size` are variables, of
which the least and the greatest value are known; where a size turns out to be the same number in every iteration, it is a
literal of the kernel and no variable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from iosim.errors import NotLowerable
from iosim.expr import Expr, Extremum, Quotient, Size, Sum, evaluate, evaluate_int, free_symbols
from iosim.interpret.tiles import Tiles, tiles_of
from iosim.intervals import interval
from iosim.loops import loops_of, row_values, tile_values
from iosim.program import Loop, TableLoop

_ENUMERATED = 20_000  # iterations of the loops around that are looked at to find out whether all tiles are full

Range = tuple[int, int]  # the least and the greatest value


@dataclass(frozen=True)
class Scope:
    """The loops around a statement.

    Attributes:
        values: symbols that are numbers, or sizes in variables of the kernel.
        names: what the kernel calls the symbols that are its variables.
        ranges: the least and the greatest value of each of them.
        loops: the loops around, from the outermost on.
    """

    values: Mapping[str, Size]
    names: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    loops: tuple[Loop | TableLoop, ...] = ()

    def size(self, size: Size) -> Size:
        """`size` as a number, or in variables of the kernel."""
        return evaluate(size, self.values)

    def number(self, size: Size) -> int | None:
        """`size` if it is the same number in every iteration; else None."""
        known = self.size(size)
        if isinstance(known, int):
            return known
        low, high = self.range(known)
        return low if low == high else None

    def range(self, size: Size) -> Range:
        """Least and greatest value that `size` can have; the bounds may be loose."""
        return _range(self.size(size), self.ranges)

    def text(self, size: Size) -> str:
        """`size` as an expression of the kernel."""
        known = self.size(size)
        number = self.number(known)
        return _text(known if number is None else number, self.names, self.ranges)

    def inside(
        self, loop: Loop | TableLoop, values: Mapping[str, Size], variables: Mapping[str, tuple[str, Range]]
    ) -> Scope:
        """The scope of the body of `loop`: what its symbols are, and which of them are variables with a name and a range."""
        return replace(
            self,
            values={**self.values, **values},
            names={**self.names, **{symbol: name for symbol, (name, _) in variables.items()}},
            ranges={**self.ranges, **{symbol: known for symbol, (_, known) in variables.items()}},
            loops=(*self.loops, loop),
        )

    def tiles(self, loop: Loop) -> Tiles:
        """How `loop` cuts its range, in numbers or variables of the kernel."""
        return tiles_of(loop, self.values)

    def trips(self, loop: Loop) -> Range:
        """The fewest and the most tiles that `loop` can have."""
        cut = self.tiles(loop)
        if isinstance(cut.tiles, int):
            return cut.tiles, cut.tiles
        cases = self._cases(free_symbols(cut.extent) | free_symbols(cut.step))
        if cases is not None:
            found = [evaluate_int(cut.tiles, case) for case in cases]
            return min(found, default=0), max(found, default=0)
        low, high = self.range(cut.tiles)
        return max(0, low), high

    def full(self, loop: Loop) -> bool:
        """Whether every tile of `loop` is known to be full, so that none needs a mask."""
        cut = self.tiles(loop)
        if isinstance(cut.extent, int) and isinstance(cut.step, int):
            return cut.extent % cut.step == 0
        cases = self._cases(free_symbols(cut.extent) | free_symbols(cut.step))
        return cases is not None and all(
            evaluate_int(cut.extent, case) % evaluate_int(cut.step, case) == 0 for case in cases
        )

    def _cases(self, symbols: frozenset[str]) -> list[dict[str, int]] | None:
        """The values that these symbols have together, over all iterations of the loops around; None if too many."""
        wanted = loops_of(symbols)
        chosen: list[Loop | TableLoop] = []
        for loop in reversed(self.loops):
            if loop.index in wanted:
                chosen.insert(0, loop)
                if isinstance(loop, Loop):
                    needs = free_symbols(self.size(loop.stop)) | free_symbols(self.size(loop.start))
                    wanted |= loops_of(needs)
        cases: list[dict[str, int]] = [{}]
        for loop in chosen:
            cases = [case | more for case in cases for more in _iterations(loop, {**self.values, **case})]
            if len(cases) > _ENUMERATED:
                return None
        return cases


def _iterations(loop: Loop | TableLoop, values: Mapping[str, Size]) -> Iterator[dict[str, int]]:
    if isinstance(loop, TableLoop):
        for number, row in enumerate(loop.table.rows()):
            if number > _ENUMERATED:
                return
            yield row_values(loop.index, row, number)
        return
    cut = tiles_of(loop, values)
    assert isinstance(cut.start, int)
    assert isinstance(cut.step, int)
    assert isinstance(cut.extent, int)
    for t in range(min(-(-cut.extent // cut.step), _ENUMERATED + 1)):
        yield tile_values(loop.index, cut.start + t * cut.step, min(cut.step, cut.extent - t * cut.step))


def _range(size: Size, ranges: Mapping[str, Range]) -> Range:
    low, high = interval(size, ranges)
    return math.ceil(low), math.floor(high)


def _text(size: Size, names: Mapping[str, str], ranges: Mapping[str, Range]) -> str:
    """An expression in the variables of the kernel; its value is the exact whole number."""
    if isinstance(size, int):
        return str(size)
    denominator = math.lcm(*(c.denominator for c in size.terms.values()))
    pieces: list[str] = []
    for monomial, coefficient in size.terms.items():
        factors = [_atom_text(atom, names, ranges) for atom, exponent in monomial for _ in range(exponent)]
        scaled = Fraction(coefficient) * denominator
        magnitude = abs(scaled.numerator)
        if magnitude != 1 or not factors:
            factors.append(str(magnitude))
        sign = "-" if coefficient < 0 else "+"
        pieces.append(f"{sign} {' * '.join(factors)}" if pieces else ("-" if sign == "-" else "") + " * ".join(factors))
    text = " ".join(pieces)
    return text if denominator == 1 else f"({text}) // {denominator}"  # exact, so that rounding does not matter


def _atom_text(atom: object, names: Mapping[str, str], ranges: Mapping[str, Range]) -> str:
    match atom:
        case str():
            return names[atom]
        case Quotient(up=up, numerator=a, denominator=b):
            shifted: Size = a + b - 1 if up else a
            # `//` of a kernel rounds towards zero
            if _range(shifted, ranges)[0] < 0:
                low = -(_range(shifted, ranges)[0] // _range(b, ranges)[0])
                return f"({_brackets(shifted + low * b, names, ranges)} // {_brackets(b, names, ranges)} - {low})"
            return f"({_brackets(shifted, names, ranges)} // {_brackets(b, names, ranges)})"
        case Extremum(greatest=greatest, arguments=arguments):
            name = "tl.maximum" if greatest else "tl.minimum"
            text, *rest = (_text(x, names, ranges) for x in arguments)
            for other in rest:
                text = f"{name}({text}, {other})"
            return text
        case Sum():
            raise NotLowerable(f"{atom}: a sum without closed form is no size of a kernel")
        case _:
            raise AssertionError(atom)


def _brackets(size: Size, names: Mapping[str, str], ranges: Mapping[str, Range]) -> str:
    text = _text(size, names, ranges)
    return f"({text})" if isinstance(size, Expr) else text
