"""Nests of loops whose bounds, and tiles whose lengths, are any expressions of the loops around them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Size, ceil_div, count, floor_div, maximum, minimum, peak_words
from iosim.errors import CountError
from iosim.expr import evaluate_int, symbols
from iosim.program import (
    Alloc,
    Array,
    Free,
    Load,
    Loop,
    Program,
    Region,
    Span,
    Statement,
    Table,
    TableLoop,
    Tile,
    size_of,
    start_of,
    walk,
)
from iosim.program import entry_of as entry
from tests import brute

N, B = symbols("n", "B")
X = Array("X", (N,), "input")
ROWS = Table([{"a": 2}, {"a": 0}, {"a": 3}, {"a": 2}])


class Nest:
    """Draws loops inside loops; each body makes tiles and frees them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.known: list[Size] = [0, 1, 3, N]  # sizes at hand
        self.tiles = 0

    def size(self) -> Size:
        """Of the sizes at hand, their sums, differences, products, quotients and extremes."""
        x, y = (self.draw(st.sampled_from(self.known)) for _ in range(2))
        match self.draw(st.sampled_from(["x", "x", "+", "-", "*", "min", "max", "/", "ceil"])):
            case "+":
                return x + y
            case "-":
                return x - y
            case "*":
                return x * y
            case "min":
                return minimum(x, y)
            case "max":
                return maximum(x, y)
            case "/":
                return floor_div(x, 2)
            case "ceil":
                return ceil_div(x, 3)
            case _:
                return x

    def body(self, loops: str) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for _ in range(self.draw(st.integers(1, 2))):
            self.tiles += 1
            tile = Tile(f"t{self.tiles}", (maximum(0, self.size()),))
            made = Alloc(tile, 0.0) if self.draw(st.booleans()) else Load(Region(X, (Span(0, tile.shape[0]),)), tile)
            inside = self.loop(loops) if loops and self.draw(st.booleans()) else ()
            found += [made, *inside, Free(tile)] if self.draw(st.booleans()) else [made, Free(tile), *inside]
        return tuple(found)

    def loop(self, loops: str) -> tuple[Statement, ...]:
        (index, *inner), known = loops, self.known
        if self.draw(st.integers(0, 4)) == 0:
            self.known = [*known, entry(index, "a")]
            loop: Statement = TableLoop(index, ROWS, self.body("".join(inner)))
        else:
            start, stop = self.draw(st.sampled_from([0, 0, maximum(0, self.size())])), self.size()
            self.known = [*known, start_of(index), start_of(index) + size_of(index), size_of(index)]
            loop = Loop(index, start, stop, self.draw(st.sampled_from([1, 2, B])), self.body("".join(inner)))
        self.known = known
        return (loop,)


@st.composite
def nests(draw: st.DrawFn) -> Program:
    """Nests of one to three loops."""
    return Program("nest", ("n", "B"), (X,), Nest(draw).loop(draw(st.sampled_from(["i", "ij", "ijk", "ijk"]))))


at = st.fixed_dictionaries({"n": st.integers(1, 9), "B": st.integers(1, 4)})


def only(program: Program, kind: type[Load] | type[Alloc]) -> Program:
    """The program with tiles of one kind alone."""

    def kept(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for statement in body:
            match statement:
                case Loop() | TableLoop():
                    found.append(type(statement)(**{**_fields(statement), "body": kept(statement.body)}))
                case Load(tile=tile) | Alloc(tile=tile) if isinstance(statement, kind):
                    found += [statement, Free(tile)] if Free(tile) not in body else [statement]
                case Free(tile=tile) if any(isinstance(s, kind) and s.tile == tile for s in body):
                    found.append(statement)
                case _:
                    pass
        return tuple(found)

    return Program(program.name, program.sizes, program.arrays, kept(program.body))


def _fields(node: object) -> dict[str, object]:
    return {name: getattr(node, name) for name in type(node).__slots__}  # type: ignore[attr-defined]


@settings(max_examples=200)
@given(nests(), at)
def test_any_nest_is_counted_as_it_runs(program: Program, at: dict[str, int]) -> None:
    """Words, iterations and peak are those of the run, in numbers and in symbols; a loop that ends before it starts, in any
    iteration of the loops around it, is refused."""
    try:
        happened = brute.run(program, at)
    except brute.RunsBackwards:
        for question in (count, peak_words):
            with pytest.raises(CountError, match=r"before"):
                question(program, at)
        return
    try:
        counted = count(program, at)
    except CountError:  # what never happens may run backwards, and is refused all the same
        assert {loop.index for loop in walk(program.body) if isinstance(loop, Loop | TableLoop)} > set(happened.trips)
        return
    assert counted.loads_words == happened.loads.total()
    assert {k: v for k, v in counted.trips.items() if v} == {k: v for k, v in happened.trips.items() if v}
    assert evaluate_int(count(program).loads_words, at) == happened.loads.total()
    assert evaluate_int(peak_words(program, at), {}) == happened.peak
    for kind, name in ((Load, "loaded"), (Alloc, "created")):
        assert evaluate_int(peak_words(program, at, only=name), {}) == brute.run(only(program, kind), at).peak
    try:
        symbolic = peak_words(program)
    except CountError:
        return
    assert evaluate_int(symbolic, at) == happened.peak
