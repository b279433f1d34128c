"""Each rule by itself: where it is first broken, what was found and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from iosim import Builder, Size, build, violations
from iosim.interpret.legality.rules import Rule
from iosim.program import (
    Compute,
    Free,
    Load,
    Loop,
    Program,
    Span,
    Store,
    Table,
    Tile,
)
from tests import brute
from tests.legality import agrees, breaks, legal
from tests.surgery import replaced, statement_at

Author = Callable[..., None]


def one_loop(body: Callable[..., None]) -> Author:
    """A program that copies X to Y tile by tile and does something more in between."""

    def author(b: Builder, *, n: Size, B: Size) -> None:
        X, S = b.input("X", (n, 2)), b.scratch("S", (n, 2))
        Y = b.output("Y", (n, 2), needs="Y[i,l] <- X[i,l]")
        with b.tiles("i", n, B) as i:
            x = b.load(X[i, :])
            body(b, i, x, X, S, Y)
            b.store(x, Y[i, :])
            b.free(x)

    return author


def uses_before(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    y = b.empty("y", i)
    b._blocks[-1].pop()  # as if it had never been made
    b.op("scale_rows", x, y)


def uses_after(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.zeros("y", i) as y:
        pass
    b.op("scale_rows", x, y)


def frees_twice(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    y = b.zeros("y", i)
    b.free(y, y)


def uses_without_value(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.empty("y", i) as y:
        b.op("scale_rows", x, y)


def adds_to_no_value(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.empty("y", i, 2) as y, b.zeros("u", 2, 2) as u:
        b.op("add_ab", y, x, u)


def stores_no_value(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.empty("y", i, 2) as y:
        b.store(y, S[i, :])


def looks_up_no_value(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.empty("t", 1) as t, b.load(X[t.at(0), :]):
        pass


def reads_what_was_not_written(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.store(x, S[i, :])
    with b.load(S[: i.stop + 1, :]):
        pass


def reaches_out(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.load(X[i.start + 1 : i.stop + 1, :]):
        pass


def begins_too_early(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.load(X[i.start - 1 : i.stop - 1, :]):
        pass


def ends_before_it_starts(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.load(X[i.stop : i.start, :]):
        pass


def takes_the_row_behind(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.load(X[i.stop, :]):
        pass


def views_too_much(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.op("divide_by_sqrt", x[: i.length + 1, :], of=2)


def stores_to_the_input(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.store(x, X[i, :])


def takes_too_much(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.zeros("y", i.stop):
        pass


def needs_a_temporary(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.full("m", i, fill=-math.inf) as m, b.zeros("l", i) as l:
        b.op("row_statistics", m, l, x)


def forgets_to_free(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.zeros("y", i)


AT = {"n": 11, "B": 4}  # tiles of 4, 4 and 3 rows
EACH_RULE = [
    (uses_before, None, "loop i=0 / compute scale_rows: y is not in fast memory [operand not in fast memory]"),
    (uses_after, None, "loop i=0 / compute scale_rows: y is not in fast memory [use after free]"),
    (frees_twice, None, "loop i=0 / free y: y is not in fast memory [double free]"),
    (uses_without_value, None, "loop i=0 / compute scale_rows: y has not been given a value [operand without a value]"),
    (adds_to_no_value, None, "loop i=0 / compute add_ab: y has not been given a value [operand without a value]"),
    (stores_no_value, None, "loop i=0 / store y: y has not been given a value [operand without a value]"),
    (looks_up_no_value, None, "loop i=0 / load x_2: t has not been given a value [operand without a value]"),
    # rows 0..4 where only 0..3 are written
    (
        reads_what_was_not_written,
        None,
        "loop i=0 / load s: S[4:5, 0:2] has never been written [read of a slow word never written]",
    ),
    (reaches_out, None, "loop i=2 / load x_2: X[9:12, 0:2] of an array of 11 x 2 [region out of bounds]"),
    (begins_too_early, None, "loop i=0 / load x_2: X[-1:3, 0:2] of an array of 11 x 2 [region out of bounds]"),
    (ends_before_it_starts, None, "loop i=0 / load x_2: X[4:0, 0:2] of an array of 11 x 2 [region out of bounds]"),
    (takes_the_row_behind, None, "loop i=2 / load x_2: X[11:12, 0:2] of an array of 11 x 2 [region out of bounds]"),
    (views_too_much, None, "loop i=0 / compute divide_by_sqrt: x[0:5, 0:2] of a tile of 4 x 2 [region out of bounds]"),
    (stores_to_the_input, None, "loop i=0 / store x: X is an input [store to an input]"),
    # 8 words of x and 8 of y in the second tile; 6 and 11 in the third
    (takes_too_much, 15, "loop i=1 / alloc y: 16 words live, capacity is 15 [capacity]"),
    (takes_too_much, 16, "loop i=2 / alloc y: 17 words live, capacity is 16 [capacity]"),
    # 8 words of x, 4 of m and of l, and one besides
    (needs_a_temporary, 16, "loop i=0 / compute row_statistics: 17 words live, capacity is 16 [capacity]"),
    (forgets_to_free, None, "loop i=0 / end of loop i: y is still in fast memory [leak]"),
]


@pytest.mark.parametrize(
    ("body", "capacity", "said"), EACH_RULE, ids=[f"{b.__name__} {c or ''}".strip() for b, c, _ in EACH_RULE]
)
def test_each_rule_is_found_where_it_is_first_broken(body: Author, capacity: int | None, said: str) -> None:
    """A program that breaks one rule breaks no other, and the message says where, what was found and what is allowed."""
    program = build(one_loop(body), name="one", n="n", B="B")
    found = [str(violation) for violation in violations(program, AT, capacity)]
    # reading one row too many of a scratch array is out of bounds at the end, too
    assert found[0] == said
    assert len(found) == (2 if body is reads_what_was_not_written else 1)
    agrees(program, AT, capacity)


def test_what_an_operation_makes_needs_no_value_and_has_one() -> None:
    """The factors of a rescaling are made, the maxima are updated: only these must have been given values before."""

    def author_of(*, begun: bool) -> Author:
        def author(b: Builder, *, n: Size) -> None:
            X, Y = b.input("X", (n, 2)), b.output("Y", (n,), needs="Y[i] <- X[i,:]")
            with b.load(X[:, :]) as s, b.zeros("m", n) if begun else b.empty("m", n) as m, b.zeros("l", n) as l:
                with b.empty("a", n) as a:
                    b.op("rescaling_softmax", s, m, l, a)
                    b.store(a, Y[:])

        return author

    legal(build(author_of(begun=True), name="factors", n="n"), {"n": 3})
    breaks(
        build(author_of(begun=False), name="factors", n="n"),
        {"n": 3},
        "compute rescaling_softmax: m has not been given a value [operand without a value]",
    )


def test_a_word_is_looked_up_inside_its_tile() -> None:
    """The last of three words, and the one behind it."""

    def author(b: Builder, *, n: Size, p: Size) -> None:
        T, X = b.input("T", (n,)), b.input("X", (9,))
        with b.load(T[:]) as t, b.load(X[t.at(p)]):
            pass

    program = build(author, name="word", n="n", p="p")
    legal(program, {"n": 3, "p": 2})
    breaks(program, {"n": 3, "p": 3}, "load x: t[3:4] of a tile of 3 [region out of bounds]")


def test_what_is_looked_up_has_seen_where() -> None:
    """A row that an index picks is a value of the index too; without it the output is unfinished."""

    def author(b: Builder, *, n: Size) -> None:
        T, X = b.input("T", (n,)), b.input("X", (9, 2))
        Y = b.output("Y", (2,), needs="Y[i] <- T[:], X[:,i]")
        with b.load(T[:]) as t, b.load(X[t.at(0), :]) as x:
            b.store(x, Y[:])

    program = build(author, name="picks", n="n")
    legal(program, {"n": 3})
    load, inner, *_ = program.body
    assert isinstance(load, Load)
    assert isinstance(inner, Load)
    elsewhere = replace(inner, region=replace(inner.region, axes=(Span(0, 1), inner.region.axes[1])))
    assert Rule.UNFINISHED in {v.rule for v in violations(replaced(program, (1,), elsewhere), {"n": 3})}


def test_a_store_goes_to_a_box() -> None:
    """Not to listed coordinates, which the builder refuses too; and none of a list may be below zero."""

    def author(b: Builder) -> None:
        X, S = b.input("X", (2,)), b.scratch("S", (2,))
        with b.load(X[:]) as x:
            b.store(x, S[:])
        with b.table("t", Table([{"size": 2, "at": (0, 1)}])) as row, b.load(X[:]) as x:
            b.store(x, S[:])
            with b.load(S[row.coordinates("at", "size")]):
                pass

    program = build(author, name="listed")
    legal(program, {})
    store, load = statement_at(program, (3, 1)), statement_at(program, (3, 2))
    assert isinstance(store, Store)
    assert isinstance(load, Load)
    said = "a store goes to a box of S, not to listed or looked-up coordinates"
    breaks(
        replaced(program, (3, 1), replace(store, region=load.region)),
        {},
        f"loop t=0 / store x_2: {said} [shapes differ]",
    )

    def columns(b: Builder) -> None:
        X, S = b.input("X", (3, 2)), b.scratch("S", (3, 2))
        with b.load(X[:, :]) as x:
            b.store(x, S[:, :])
        with b.table("t", Table([{"size": 2, "at": (0, 1)}])) as row, b.load(X[:, :]) as x:
            b.store(x, S[:, :])
            with b.load(S[:, row.coordinates("at", "size")]):
                pass

    program = build(columns, name="columns")
    store, load = statement_at(program, (3, 1)), statement_at(program, (3, 2))
    assert isinstance(store, Store)
    assert isinstance(load, Load)
    (found, *_) = violations(replaced(program, (3, 1), replace(store, region=load.region)), {})
    assert str(found) == f"loop t=0 / store x_2: {said} [shapes differ]"
    breaks(
        gathered(Table([{"size": 2, "columns": (-1, 0)}])),
        {"n": 5},
        "loop t=0 / load x: X[0:5, 0:4] of an array of 5 x 4 [region out of bounds]",
    )


def test_a_tile_that_is_still_there_is_not_made_again() -> None:
    """The second load of one tile leaks the first."""
    program = build(one_loop(lambda *_: None), name="one", n="n", B="B")
    load = statement_at(program, (0, 0))
    twice = replaced(program, (0, 0), load, replace(load))
    breaks(twice, AT, "loop i=0 / load x: x is still in fast memory [leak]")


def test_shapes_that_differ() -> None:
    """A tile that is not as large as its region, and operands that don't fit each other."""
    program = build(one_loop(lambda *_: None), name="one", n="n", B="B")
    loop = program.body[0]
    assert isinstance(loop, Loop)
    load = loop.body[0]
    assert isinstance(load, Load)
    narrow = replace(load, tile=Tile("x", (load.tile.shape[0], 1)))
    breaks(
        replaced(program, (0, 0), narrow),
        AT,
        "loop i=0 / load x: tile 4 x 1, region X[0:4, 0:2] [shapes differ]",
        "loop i=0 / store x: x[0:4, 0:2] of a tile of 4 x 1 [region out of bounds]",
    )
    program = gathered(Table([{"size": 2, "columns": (0, 1)}]))
    compute = statement_at(program, (1, 2))
    assert isinstance(compute, Compute)
    y, x, u = compute.operands
    _, columns = u.axes
    short = replace(compute, operands=(y, x, replace(u, axes=(Span(0, 1), columns))))
    (found,) = violations(replaced(program, (1, 2), short), {"n": 5})
    assert (found.rule, found.where) == (Rule.SHAPE, "loop t=0 / compute add_ab")


def test_a_store_goes_to_a_region_as_large_as_its_view() -> None:
    """A view of one column does not fit into a region of two."""
    program = build(one_loop(lambda *_: None), name="one", n="n", B="B")
    store = statement_at(program, (0, 1))
    assert isinstance(store, Store)
    rows, _ = store.view.axes
    narrow = replace(store, view=replace(store.view, axes=(rows, Span(0, 1))))
    breaks(
        replaced(program, (0, 1), narrow),
        AT,
        "loop i=0 / store x: view and region Y[0:4, 0:2] differ in shape [shapes differ]",
    )


@pytest.mark.parametrize("capacity", [10, 20, 21])
def test_tiles_that_get_larger_and_smaller_again(capacity: int) -> None:
    """Tile i takes i (9 - i) + 1 words, at most 21 in the fifth: no period makes that affine, and each is looked at."""

    def author(b: Builder, *, n: Size) -> None:
        with b.tiles("i", n, 1) as i, b.zeros("y", (n - i.start) * i.start + 1):
            pass

    program = build(author, name="arch", n="n")
    agrees(program, {"n": 9}, capacity)
    assert (violations(program, {"n": 9}, capacity) == []) is (capacity == 21)


def test_what_must_hold_in_the_end() -> None:
    """Nothing is left in fast memory, and all of each output has been written."""

    def author(b: Builder, *, n: Size, B: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        b.zeros("z", 1)
        with b.tiles("i", n - B, B) as i, b.load(X[i]) as x:
            b.store(x, Y[i])

    program = build(author, name="ends", n="n", B="B")
    breaks(
        program,
        {"n": 100, "B": 8},
        "end: z is never freed [leak]",
        "end: Y[92:100] is not written [output word not written]",
    )


def test_a_tile_that_is_made_again_has_not_been_freed() -> None:
    """Left in fast memory by the loop that made it for the second time, it is not there after the loop, nor freed twice."""

    def author(b: Builder, *, n: Size, B: Size) -> None:
        X = b.input("X", (n,))
        with b.tiles("i", n, B) as i:
            x = b.load(X[i])
        b.free(x)

    program = build(author, name="again", n="n", B="B")
    again = replaced(
        program, (0, 0), statement_at(program, (0, 0)), Free(_loaded(program)), statement_at(program, (0, 0))
    )
    breaks(
        again,
        AT,
        "loop i=0 / end of loop i: x is still in fast memory [leak]",
        "free x: x is not in fast memory [operand not in fast memory]",
    )
    agrees(again, AT)


def _loaded(program: Program) -> Tile:
    load = statement_at(program, (0, 0))
    assert isinstance(load, Load)
    return load.tile


def gathered(table: Table) -> Program:
    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n, 4)), b.output("Y", (n, 1), needs="Y[i,u] <- X[i,:]")
        with b.zeros("y", n, 1) as y:
            with b.table("t", table) as row, b.load(X[:, row.coordinates("columns", "size")]) as x:
                with b.full("u", row.size("size"), 1, fill=1.0) as u:
                    b.op("add_ab", y, x, u)
            b.store(y, Y[:, :])

    return build(author, name="gathered", n="n")


def test_listed_coordinates_out_of_bounds_are_found_in_their_row() -> None:
    """The third row lists a column that is not there; the first two rows are like it but for that."""
    rows = [{"size": 2, "columns": columns} for columns in ((0, 1), (2, 3), (3, 4), (0, 2))]
    breaks(
        gathered(Table(rows)),
        {"n": 5},
        "loop t=2 / load x: X[0:5, 0:4] of an array of 5 x 4 [region out of bounds]",
    )
    legal(gathered(Table(rows[:2])), {"n": 5})
    legal(gathered(Table([{"size": 1, "columns": (3,)}, *rows[:2]])), {"n": 5})
    breaks(
        gathered(Table([{"size": 1, "columns": (3,)}, {"size": 2, "columns": (3,)}])),
        {"n": 5},
        "loop t=1 / load x: X[0:5, 0:4] of an array of 5 x 4 [region out of bounds]",
    )


def test_a_list_of_coordinates_counts_as_the_whole_axis() -> None:
    """What the checker can't tell apart: two columns of four are taken for all of them."""
    program = gathered(Table([{"size": 2, "columns": (0, 1)}]))
    legal(program, {"n": 5})
    assert brute.run(program, {"n": 5}, lists=True).rules == {Rule.UNFINISHED}


def test_a_row_that_undoes_what_another_did_is_run_row_by_row() -> None:
    """A tile is freed in the loop over the rows: legal with one row, a double free in the second of two or more."""

    def author_of(rows: int) -> Author:
        def author(b: Builder, *, n: Size) -> None:
            X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
            with b.load(X[:]) as x:
                b.store(x, Y[:])
            z = b.zeros("z", 1)
            with b.table("t", Table([{"size": 1}] * rows)):
                b.free(z)

        return author

    legal(build(author_of(1), name="once", n="n"), {"n": 5})
    for rows in (2, 3):
        program = build(author_of(rows), name="more", n="n")
        breaks(program, {"n": 5}, "loop t=1 / free z: z is not in fast memory [double free]")
