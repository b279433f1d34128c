"""A trace word by word is what the program says, whatever its loops, tables, views and homes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.paged import pages
from iosim import Builder, Size, build, count
from iosim.errors import MeaningError
from iosim.expr import floor_div, symbol
from iosim.interpret.count import peak_words
from iosim.ops import Op
from iosim.program import Loop, Program, Table
from iosim.traces.ask import looked_up
from iosim.traces.expand import LOAD, MOVES, READ, STORE, UPDATE, USES, WRITE, Expansion
from iosim.traces.form import OPERANDS, STACK
from iosim.traces.homes import homes
from iosim.traces.sizes import Sizes
from tests import plain_traces
from tests.registered import EVERY_OWN, OWN, fitted, plans, problems
from tests.small_programs import MATMUL
from tests.strategies import FOLLOWABLE, looks_up, sizes


def words(expansion: Expansion) -> list[tuple[int, int]]:
    """All of a trace, as (address, kind)."""
    addresses, kinds = expansion.whole()
    return list(zip(addresses.tolist(), kinds.tolist(), strict=True))


@settings(max_examples=60)
@given(FOLLOWABLE, sizes(), st.sampled_from([1, 4]))
def test_a_trace_is_what_the_program_says(program: Program, at: dict[str, int], align: int) -> None:
    """Moves and uses are those of the plain machine, in the same order, wherever the arrays begin."""
    expansion = Expansion(program, at, what=MOVES | USES, align=align)
    assert words(expansion) == plain_traces.trace(program, at, expansion.places)
    assert all(place.start % align == 0 for place in expansion.places)


@settings(max_examples=30)
@given(FOLLOWABLE, sizes(), st.integers(16, 60))
def test_pieces_are_the_whole(program: Program, at: dict[str, int], size: int) -> None:
    """However long the pieces are, one after the other they are the same trace, none too long."""
    expansion = Expansion(program, at, what=MOVES | USES)
    parts = [(p.addresses.tolist(), p.kinds.tolist()) for p in expansion.pieces(size)]
    assert [word for part in parts for word in zip(*part, strict=True)] == words(expansion)
    assert all(len(addresses) <= size for addresses, _ in parts)


@EVERY_OWN
@settings(max_examples=4)
@given(data=st.data())
def test_moves_of_algorithms_are_their_count(name: str, data: st.DataObject) -> None:
    """For every registered algorithm the loads and stores in the trace, array by array, are the counted ones."""
    problem = fitted(name, data.draw(problems(n=9, d=3, degree=2)))
    for plan in plans(name, problem, data.draw(st.integers(0, 60))):
        expansion = Expansion(plan.program, plan.sizes, what=MOVES, data=looked_up(plan, problem))
        addresses, kinds = expansion.whole()
        counted = plan.count()
        for kind, moved in ((LOAD, counted.loads), (STORE, counted.stores)):
            for place in expansion.places:
                there = (addresses >= place.start) & (addresses < place.start + place.words) & (kinds == kind)
                assert there.sum() == (0 if place.tile else moved.get(place.name, 0))


PLAIN = [name for name, algorithm in OWN.items() if not any(looks_up(form.program) for form in algorithm.forms())]


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=2)
@given(data=st.data())
def test_uses_of_algorithms_are_those_of_the_plain_machine(name: str, data: st.DataObject) -> None:
    """For every registered algorithm every word that is used, and how, in order."""
    problem = fitted(name, data.draw(problems(n=5, d=3, degree=2)))
    for plan in plans(name, problem, data.draw(st.integers(0, 40))):
        expansion = Expansion(plan.program, plan.sizes, what=USES)
        expected = plain_traces.trace(plan.program, plan.sizes, expansion.places)
        assert words(expansion) == [word for word in expected if word[1] <= WRITE]


def test_uses_by_hand() -> None:
    """n = 2 in tiles of 1: C_00 is written, then updated by A_00 B_00 and A_01 B_10; A is at 0, B at 4, C at 8."""
    found = words(Expansion(MATMUL, {"n": 2, "B": 1}))
    assert found[:7] == [(8, WRITE), (0, READ), (4, READ), (8, UPDATE), (1, READ), (6, READ), (8, UPDATE)]
    assert len(found) == 4 * (1 + 2 * 3)  # each word of C: one write, n products of three words


def test_homes_by_hand() -> None:
    """An accumulator is at home where it is stored; a copy that changes has a place of its own, and is copied."""

    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n, 1)), b.output("Y", (n, 1), needs="Y[i,l] <- X[i,l]")
        with b.tiles("i", n, 1) as i:
            with b.load(X[i, :]) as x:
                b.op("divide_by_sqrt", x, of=n)
                b.store(x, Y[i, :])
            with b.load(X[i, :], "z") as z:
                b.op("divide_by_sqrt", z, of=n)

    program = build(author, name="copies", n="n")
    by_name = {tile.name: home for tile, home in homes(program, {"n": 1}).items()}
    assert by_name["x"] is not None
    assert by_name["x"].array.name == "Y"
    assert by_name["z"] is None
    # X at 0, Y at 1, z at 2: x is copied to Y and changed there, z to its own place
    assert words(Expansion(program, {"n": 1})) == [
        (0, READ),
        (1, WRITE),
        (1, UPDATE),
        (0, READ),
        (2, WRITE),
        (2, UPDATE),
    ]


def test_lookups_need_their_values() -> None:
    """Pages are found through the table that is given; without it, or with numbers that are no pages, there is no trace."""
    program = build(pages, name="pages", n=1, n_k=4, d=1, d_v=1, B_r=1, page=2, B_c=1, e=1, e_v=1)
    expansion = Expansion(program, {}, what=MOVES, data={"T": np.array([1.0, 0.0])})
    starts = {place.name: place.start for place in expansion.places}
    loaded = [
        address - starts["K"] for address, kind in words(expansion) if kind == LOAD and 0 <= address - starts["K"] < 4
    ]
    assert loaded == [2, 3, 0, 1]
    with pytest.raises(MeaningError, match="T is looked up in; its values are missing"):
        Expansion(program, {})
    with pytest.raises(MeaningError, match=r"allowed: whole numbers, \[2\]"):
        Expansion(program, {}, data={"T": np.array([0.5, 0.0])})
    with pytest.raises(MeaningError, match="reaches outside"):
        Expansion(program, {}, data={"T": np.array([2, 0])}).whole()


def test_what_can_not_be_followed_is_refused() -> None:
    """A loop that stops before it starts, a listed coordinate that is not there, addresses beyond 62 bits."""
    (loop,) = MATMUL.body
    assert isinstance(loop, Loop)
    with pytest.raises(MeaningError, match="matmul: loop i stops before it starts"):
        Expansion(replace(MATMUL, body=(replace(loop, start=5),)), {"n": 2, "B": 1}).whole()
    with pytest.raises(MeaningError, match="addresses end at"):
        Expansion(MATMUL, {"n": 2**32, "B": 1})

    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n, 2)), b.output("Y", (n, 1), needs="Y[i,l] <- X[i,:]")
        with b.table("t", Table([{"size": 1, "columns": (2,)}])) as t:
            with b.load(X[:, t.coordinates("columns", "size")]), b.zeros("y", n, 1) as y:
                b.store(y, Y[:, :])

    with pytest.raises(MeaningError, match="coordinates 2 to 2; allowed: 0 to 1"):
        Expansion(build(author, name="listed", n="n"), {"n": 2})


@pytest.mark.parametrize("many", [8, 13])
def test_an_operation_of_many_operands_is_followed_or_refused(many: int) -> None:
    """The compiled code has room for 8 operands: 13 are an error, and overwrite nothing."""
    names = "YABCDEFGHIJKL"[:many]
    shapes = " ".join(f"{x}[i]" for x in names)
    op = Op(
        name="many", shapes=shapes, updates=1, text="", flops=lambda _sizes, _params: 0, numpy=lambda *_arrays: None
    )

    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        with b.load(X[:]) as x, b.zeros("y", n) as y:
            b.op(op, y, *[x] * (many - 1))
            b.store(y, Y[:])

    program = build(author, name="many", n="n")
    if many == OPERANDS:
        assert len(words(Expansion(program, {"n": 2}))) == 2 + 2 * many  # zeros, then each operand
        return
    with pytest.raises(MeaningError, match="many has 13 operands; allowed in a trace: at most 8"):
        Expansion(program, {"n": 2})


@pytest.mark.parametrize(("levels", "deepest"), [(20, 63), (21, 66)])
def test_a_size_that_is_too_deep_is_refused(levels: int, deepest: int) -> None:
    """y // (y // (... // x)): each quotient waits with a sum, a factor and y, the last one for the 3 numbers of x."""
    size: Size = symbol("x")
    for _ in range(levels):
        size = floor_div(symbol("y"), size)
    sizes = Sizes("deep", {})
    sizes.symbols = {"x": 0, "y": 1}
    if deepest <= STACK:
        assert sizes.rows[sizes.number(size)][3] == 0
        return
    with pytest.raises(
        MeaningError, match=f"deep: a size needs {deepest} numbers at once; allowed in a trace: at most 64"
    ):
        sizes.number(size)


def test_every_word_is_there_at_once() -> None:
    """A trace may be longer than a piece: 3 n^3 + n^2 uses of n = 80 in 1.5 pieces."""
    n = 80
    expansion = Expansion(MATMUL, {"n": n, "B": 16})
    lengths = [len(piece.addresses) for piece in expansion.pieces()]
    assert len(lengths) == 2
    assert sum(lengths) == 3 * n**3 + n**2
    assert count(MATMUL, {"n": n, "B": 16}).loads_words == 2 * n**3 // 16
    assert peak_words(MATMUL, {"n": n, "B": 16}) == 3 * 16**2
