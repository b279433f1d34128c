"""Nests of loops whose bounds, and tiles whose lengths, are any expressions of the loops around them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Size, ceil_div, count, floor_div, maximum, minimum, peak_words
from iosim.errors import CountError
from iosim.expr import evaluate_int, symbols
from iosim.interpret.peak import undominated
from iosim.interpret.tiles import check_loops, general_tile, lower_bound, tiles_of
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
        assert any(id(loop) not in happened.ran for loop in walk(program.body) if isinstance(loop, Loop | TableLoop))
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


def test_a_peak_that_an_extreme_decides_but_for_one_end() -> None:
    """max(1, i) + n - i is n + 1 in the first row, n in all others; min(i, n - 2) + n - i is n, n - 1 in the last row.
    max(1, 3i) + n - i is 2i + n but for the first row; 5 max(i, n - 2) + min(i, n) + n - i is 6n - 10, in the last row
    6n - 5; 5 min(i, 1) + max(i, n - 2) + 3(n - i) goes 4n - 2, 4n, 4n - 3, 4n - 6, ...: neither end has most."""
    i, last = start_of("i"), maximum(0, N - 2)
    for n in (10**6, 1):
        assert peak_words(bounded(maximum(1, i) + (N - i)), {"n": n, "B": 1}) == n + 1
    assert peak_words(bounded(minimum(i, last) + (N - i)), {"n": 10**6, "B": 1}) == 10**6
    assert peak_words(bounded(maximum(1, 3 * i) + (N - i)), {"n": 10**6, "B": 1}) == 3 * 10**6 - 2
    assert peak_words(bounded(5 * maximum(i, last) + minimum(i, N) + (N - i)), {"n": 10**6, "B": 1}) == 6 * 10**6 - 5
    between = 5 * minimum(i, 1) + maximum(i, last) + 3 * (N - i)
    assert peak_words(bounded(between), {"n": 10**6, "B": 1}) == 4 * 10**6


@pytest.mark.parametrize("n", [6, 7])
def test_a_product_that_is_greatest_in_the_middle(n: int) -> None:
    """i (n - i) words: floor(n/2) ceil(n/2), and nothing at either end."""
    assert peak_words(bounded(start_of("i") * (N - start_of("i"))), {"n": n, "B": 1}) == n // 2 * (n - n // 2)


@pytest.mark.parametrize(("n", "step"), [(8, 4), (7, 4), (3, 4)])
def test_formulas_divide_by_the_length_of_no_tile_that_is_not_there(n: int, step: int) -> None:
    """A tile of ceil(n/length) words: the formula for any n holds where there is a ragged tile, and where there is none."""
    tile = Tile("t", (ceil_div(N, size_of("i")),))
    load = Load(Region(X, (Span(0, tile.shape[0]),)), tile)
    program = Program("parts", ("n", "B"), (X,), (Loop("i", 0, N, B, (load, Free(tile))),))
    at = {"n": n, "B": step}
    words = [-(-n // min(step, n - start)) for start in range(0, n, step)]
    assert evaluate_int(peak_words(program), at) == max(words)
    assert evaluate_int(count(program).loads_words, at) == sum(words)


def test_a_peak_is_of_iterations_that_happen() -> None:
    """Tiles of i words are made n - 1 - i times, not at all in the last row: the most is n - 2, whatever was before."""
    i = start_of("i")
    tile = Tile("t", (i,))
    nest = Loop("i", 0, N, 1, (Loop("j", 0, 1, 1, ()), Loop("k", 0, N - 1 - i, 1, (Alloc(tile, 0.0), Free(tile)))))
    assert peak_words(Program("fewer", ("n",), (), (Loop("i", 0, 2, 1, ()), nest)), {"n": 6}) == 4


def test_a_loop_may_have_no_iteration_in_the_first_of_those_around_it() -> None:
    """Loops of n and of n i rows with 5 words: none at all for one row of the outer loop, as i = 0 there."""
    tile = Tile("t", (5,))
    inner = Loop("j", 0, N * start_of("i"), 1, (Alloc(tile, 0.0), Free(tile)))
    peak = peak_words(Program("later", ("n", "B"), (), (Loop("i", 0, B, 1, (inner,)),)))
    assert [evaluate_int(peak, {"n": 3, "B": rows}) for rows in (1, 2, 3)] == [0, 5, 5]


def test_a_peak_of_loaded_tiles_has_no_scratch_words() -> None:
    """4 words are loaded, 2 are created, and the operation needs 3 more."""
    op = Op(name="work", shapes="", updates=0, text="", flops=lambda _, p: 0, numpy=lambda: None, scratch=lambda _: 3)
    x, y = Tile("x", (4,)), Tile("y", (2,))
    body = (Load(Region(X, (Span(0, 4),)), x), Alloc(y, 0.0), Compute(op, ()), Free(x), Free(y))
    program = Program("loaded", ("n",), (X,), body)
    assert [peak_words(program, {"n": 4}, only=only) for only in ("loaded", "created", None)] == [4, 5, 9]


def test_amounts_that_others_exceed_are_left_out() -> None:
    """n + 1 exceeds n, and 2n does: whichever comes first."""
    assert undominated({N, N + 1}) == [N + 1]
    assert undominated({N, 2 * N}) == [2 * N]
    assert set(undominated({N, B})) == {N, B}


@given(st.integers(1, 20), st.integers(1, 6))
def test_tiles_are_as_long_as_what_is_left(n: int, B: int) -> None:
    """min(B, n - k B) for the k-th of ceil(n/B)."""
    cut = tiles_of(Loop("i", 0, n, B, ()), {})
    assert [cut.length(k) for k in range(-(-n // B))] == [min(B, n - start) for start in range(0, n, B)]


# Loops that end before they start


def rows_of(*loops: tuple[str, Size]) -> Program:
    """Loops inside each other, from 0 to these ends, row by row."""
    body: tuple[Statement, ...] = ()
    for index, stop in reversed(loops):
        body = (Loop(index, 0, stop, 1, body),)
    return Program("rows", ("n",), (), body)


def test_a_loop_that_never_runs_backwards_is_counted_though_no_end_shows_it() -> None:
    """|i - 3| rows for i = 0 .. 5 are 3, 2, 1, 0, 1, 2; i (i - 1) in pairs, where no pair has i = 0."""
    i = start_of("i")
    away = maximum(i - 3, 3 - i)
    assert count(rows_of(("i", N), ("j", away)), {"n": 6}).trips["j"] == 9
    assert count(rows_of(("i", N), ("j", 2), ("k", away)), {"n": 6}).trips["k"] == 18
    assert count(rows_of(("i", N), ("j", i), ("k", i - 1)), {"n": 6}).trips["k"] == sum(i * (i - 1) for i in range(6))
    check_loops(rows_of(("i", N), ("j", maximum(i - 3, minimum(2, i)))), {"n": 10**6})  # seen without looking at each i


@pytest.mark.parametrize("between", [1, 2])
def test_a_loop_that_runs_backwards_in_the_first_of_those_around_it_is_refused(between: int) -> None:
    """i - 3 rows are none too few from i = 3 on; also with a single row, and with a loop of one row in between."""
    i = start_of("i")
    for n, program in ((6, rows_of(("i", N), ("j", between), ("k", i - 3))), (1, rows_of(("i", N), ("j", i - 1)))):
        for question in (count, peak_words):
            with pytest.raises(CountError, match="before"):
                question(program, {"n": n})


def test_a_loop_from_3_to_1_is_refused_with_sizes_or_without() -> None:
    """No size is needed to see it."""
    program = Program("back", ("n",), (), (Loop("i", 3, 1, 1, ()),))
    for question in (count, peak_words):
        with pytest.raises(CountError, match="starts at 3 and stops 2 before that"):
            question(program)


def test_a_loop_over_a_table_may_hold_one_that_runs_backwards() -> None:
    """The row with a = 3 makes the innermost loop end before it starts, at j = 0: its end is j + 2."""
    inner = Loop("k", entry("t", "a"), start_of("j") + 2, 1, ())
    program = Program("rows", ("n",), (), (TableLoop("t", ROWS, (Loop("j", 0, N, 1, (inner,)),)),))
    for question in (count, peak_words):
        with pytest.raises(CountError, match="before"):
            question(program, {"n": 2})
    later = Program("rows", ("n",), (), (TableLoop("t", ROWS, (Loop("j", 1, N, 1, (inner,)),)),))
    # j = 1: from a to 3, for a = 2, 0, 3, 2
    assert count(later, {"n": 2}).trips == {"t": 4, "j": 4, "k": 1 + 3 + 0 + 1}


small = st.integers(-3, 3)


shapes = st.sampled_from([(1, 0), (1, 0), (2, 0), (1, 1)])


@given(st.integers(1, 12), st.integers(1, 4), st.lists(small, min_size=6, max_size=6), st.booleans(), shapes)
def test_a_lower_bound_is_below_every_value(
    n: int, B: int, factors: list[int], greatest: bool, powers: tuple[int, int]
) -> None:
    """Over two loops, the inner one up to where the tile of the outer one ends; of one loop it is the least value."""
    a, b, c, e, f, g = factors
    outer = Loop("i", 0, n, B, ())
    cut = tiles_of(outer, {})
    inside = general_tile(outer, cut, {})
    inner = Loop("j", 0, inside["i.start"] + inside["i.size"], 2, ())
    own = tiles_of(inner, inside)
    i, j, s = symbols("i.t", "j.t", "i.size")
    extreme = (maximum if greatest else minimum)(i, b * j + 2) ** powers[0] * minimum(j - 3, -i) ** powers[1]
    value = a * i + b * j + c * s + e + f * extreme
    values = [
        evaluate_int(value, {"i.t": x, "j.t": y, "i.size": min(B, n - x * B)})
        for x in range(-(-n // B))
        for y in range(-(-min(n, (x + 1) * B) // 2))
    ]
    bound = lower_bound(value, (("i", cut), ("j", own)))
    assert bound is None or bound <= min(values)
    square, product = maximum(-i, -2) ** 2 - 3, maximum(i, 2) * minimum(j - 3, -2)  # -3 and -6 in the first tiles
    for some, there in ((square, -3), (product, -6)):
        bound = lower_bound(some, (("i", cut), ("j", own)))
        assert bound is None or bound <= there
    line = g * i + e
    assert lower_bound(line, (("i", cut),)) == min(evaluate_int(line, {"i.t": x}) for x in range(-(-n // B)))


def test_flops_may_depend_on_where_a_loop_is() -> None:
    """An operation with i.start as a parameter: 0, 4 and 8 for n = 10 and B = 4."""
    op = Op(name="work", shapes="", updates=0, text="", flops=lambda _, p: p["w"], numpy=lambda: None, params=("w",))
    program = Program("flops", ("n", "B"), (), (Loop("i", 0, N, B, (Compute(op, (), (("w", start_of("i")),)),)),))
    assert count(program, {"n": 10, "B": 4}).flops == 12
