"""Nests of loops whose bounds, and tiles whose lengths, are any expressions of the loops around them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Size, ceil_div, count, floor_div, maximum, minimum, peak_words
from iosim.errors import CountError
from iosim.expr import evaluate_int, symbols
from iosim.ops import Op
from iosim.program import (
    Alloc,
    Array,
    Compute,
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
        """Of the sizes at hand, their sums, differences, products, quotients and extremes; it is at hand from now on."""
        x, y = (self.draw(st.sampled_from(self.known)) for _ in range(2))
        combine = self.draw(
            st.sampled_from(
                [
                    lambda: x + y,
                    lambda: x - y,
                    lambda: x * y,
                    lambda: minimum(x, y),
                    lambda: maximum(x, y),
                    lambda: minimum(x, maximum(0, N - y)),
                    lambda: maximum(0, x - y) + maximum(0, y - x),
                    lambda: floor_div(x, 2),
                    lambda: ceil_div(x, 3),
                    lambda: x,
                ]
            )
        )
        self.known.append(combine())
        return self.known[-1]

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


@settings(max_examples=100)
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
        counted, formulas = count(program, at), count(program)
    except CountError:  # what never happens may run backwards, and is refused all the same
        assert {loop.index for loop in walk(program.body) if isinstance(loop, Loop | TableLoop)} > set(happened.trips)
        return
    assert counted.loads_words == happened.loads.total()
    assert {k: v for k, v in counted.trips.items() if v} == {k: v for k, v in happened.trips.items() if v}
    assert evaluate_int(formulas.loads_words, at) == happened.loads.total()
    assert evaluate_int(peak_words(program, at), {}) == happened.peak
    for kind, name in ((Load, "loaded"), (Alloc, "created")):
        assert evaluate_int(peak_words(program, at, only=name), {}) == brute.run(only(program, kind), at).peak
    try:
        symbolic = peak_words(program)
    except CountError:
        return
    assert evaluate_int(symbolic, at) == happened.peak


@pytest.mark.slow
@settings(max_examples=10_000)
@given(nests(), at)
def test_ten_thousand_nests(program: Program, at: dict[str, int]) -> None:
    """The same for very many."""
    test_any_nest_is_counted_as_it_runs.hypothesis.inner_test(program, at)


def bounded(size: Size, *, stop: Size = N) -> Program:
    """One loop of n rows, a tile of that size in each."""
    tile = Tile("t", (size,))
    return Program("one", ("n", "B"), (X,), (Loop("i", 0, stop, B, (Alloc(tile, 0.0), Free(tile))),))


@pytest.mark.parametrize("n", [2, 3, 9, 10])
def test_a_tile_that_grows_and_then_shrinks(n: int) -> None:
    """min(i, n - i) is greatest in the middle: found by looking at each row, floor(n/2) words."""
    i = start_of("i")
    assert peak_words(bounded(minimum(i, maximum(0, N - i))), {"n": n, "B": 1}) == n // 2


def test_a_peak_between_very_many_rows_is_refused() -> None:
    """The same for n = 10^6 is more than is looked at one by one; with one end it is at that end."""
    i = start_of("i")
    with pytest.raises(CountError, match="1,000,000 tiles is not known"):
        peak_words(bounded(minimum(i, maximum(0, N - i))), {"n": 10**6, "B": 1})
    assert peak_words(bounded(maximum(i, 7)), {"n": 10**6, "B": 1}) == 10**6 - 1
    assert peak_words(bounded(N - i), {"n": 10**6, "B": 1}) == 10**6


def test_a_loop_over_a_table_may_hold_one_that_runs_backwards() -> None:
    """The row with a = 3 makes the inner loop end before it starts, at 2 rows."""
    inner = Loop("j", entry("t", "a"), N, 1, ())
    program = Program("rows", ("n",), (), (TableLoop("t", ROWS, (inner,)),))
    assert count(program, {"n": 3}).trips == {"t": 4, "j": 1 + 3 + 0 + 1}
    for question in (count, peak_words):
        with pytest.raises(CountError, match="before"):
            question(program, {"n": 2})


def test_flops_may_depend_on_where_a_loop_is() -> None:
    """An operation with i.size as a parameter: 4, 4 and 2 for n = 10 and B = 4."""
    op = Op(name="work", shapes="", updates=0, text="", flops=lambda _, p: p["w"], numpy=lambda: None, params=("w",))
    program = Program("flops", ("n", "B"), (), (Loop("i", 0, N, B, (Compute(op, (), (("w", size_of("i")),)),)),))
    assert count(program, {"n": 10, "B": 4}).flops == 10
