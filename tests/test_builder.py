"""What an author may write, and what the builder refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iosim import Builder, build
from iosim.errors import ProgramError
from iosim.program import Free, Load, Loop, Store, Table, walk


def _written(author: Callable[..., None]) -> None:
    build(author, name="written", n="n", d="d", B="B")


def _io(b: Builder, n, d):  # type: ignore[no-untyped-def]
    return b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")


@pytest.mark.parametrize("depends", [lambda i: i == 0, lambda i: i < 3, bool, range, lambda i: i.start != i.stop])
def test_a_program_can_not_depend_on_a_loop_index(depends: Callable[..., object]) -> None:
    """Comparing, testing or counting with a loop index raises."""

    def author(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        with b.tiles("i", n, B) as i:
            depends(i)

    with pytest.raises(ProgramError, match="every iteration"):
        _written(author)


def test_a_loop_index_supports_arithmetic() -> None:
    """Positions computed from loop indices end up in the regions."""

    def author(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        X, Y = _io(b, n, d)
        with b.tiles("i", n, B) as i, b.load(X[i.start : i.stop, :]) as x:
            b.store(x, Y[(2 * i.start + i.start) // 3 : i.start + i.length, :])

    program = build(author, name="arithmetic", n="n", d="d", B="B")
    (store,) = [statement for statement in walk(program.body) if isinstance(statement, Store)]
    assert [str(axis.size) for axis in store.region.axes] == ["i.size", "d"]


def test_a_with_block_frees_its_tile() -> None:
    """A tile that is loaded in a `with` is freed at the end of the block, and names are unique."""

    def author(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        X, Y = _io(b, n, d)
        for _ in range(2):
            with b.tiles("i", n, B) as i, b.load(X[i, :]) as x:
                b.store(x, Y[i, :])

    program = build(author, name="twice", n="n", d="d", B="B")
    kinds = [(type(statement), getattr(statement, "tile", None)) for statement in walk(program.body)]
    names = [tile.name for kind, tile in kinds if kind in (Load, Free) and tile]
    assert names == ["x", "x", "x_2", "x_2"]
    assert program.sizes == ("n", "d", "B")
    assert build(author, name="twice", n="n", d="d", B="B") == program


@pytest.mark.parametrize(
    ("author", "says"),
    [
        (lambda b, x, y, i: b.op("no_such", x), "no operation"),
        (lambda b, x, y, i: b.op("divide_by_sqrt", x), "takes the parameters"),
        (lambda b, x, y, i: b.op("divide_by_sqrt", x, x, of=3), "takes 1 operands"),
        (lambda b, x, y, i: b.op("add_abt", x, x, b.zeros("z", 3, 4)), "axis"),
        (lambda b, x, y, i: b.op("scale_rows", x, x), "axes"),
        (lambda b, x, y, i: b.store(x, y[i.start : i.stop - 1, :]), "its shape is"),
        (lambda b, x, y, i: y[i], "2 axes, 1 given"),
        (lambda b, x, y, i: y[::2, :], "no stride"),
        (lambda b, x, y, i: b.zeros("z", 2.5), "whole number"),
        (lambda b, x, y, i: b.input("X", (3,)), "declared twice"),
        (lambda b, x, y, i: b.output("Z", (3,), needs="X"), "is not like"),
        (lambda b, x, y, i: b.output("Z", (3,), needs="Z[i] <- W[i]"), "does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_written(author: Callable[..., object], says: str) -> None:
    """Unknown operations, wrong operands, shapes and names raise while the program is being built."""

    def whole(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        X, Y = _io(b, n, d)
        with b.tiles("i", n, B) as i, b.load(X[i, :]) as x:
            author(b, x, Y, i)

    with pytest.raises(ProgramError, match=says):
        _written(whole)


def test_nested_loops_have_different_names() -> None:
    """A loop inside a loop of the same name is refused; one after the other is fine."""

    def nested(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        with b.tiles("i", n, B), b.tiles("i", d, 1):
            pass

    def in_turn(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        for _ in range(2):
            with b.tiles("i", n, B):
                pass

    with pytest.raises(ProgramError, match="different names"):
        _written(nested)
    _written(in_turn)


def test_columns_of_a_table_are_sizes_or_coordinates() -> None:
    """A whole-number column is a size; asking for another kind of column as a size is refused."""

    def author(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        X = b.input("X", (n, d))
        with b.table("b", Table([{"t": 2, "coords": (0, 3)}])) as row:
            with b.load(X[0, row.coordinates("coords", "t")]) as x:
                assert [str(size) for size in x.tile.shape] == ["1", "b.t"]
            row.size("coords")

    with pytest.raises(ProgramError, match="no column of whole numbers"):
        _written(author)


def test_loops_are_values() -> None:
    """A program is a frozen value that can be compared and hashed."""

    def author(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        with b.tiles("i", n, B), b.zeros("z", B, d):
            pass

    one, two = (build(author, name="same", n="n", d="d", B="B") for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert isinstance(one.body[0], Loop)
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "needs", ["Y[i,l] <- X[:i,k], junk", "Y[i,l] <- X[i,1]", "Y[i,l] <- X[i,l] and more", "Y[i,l] <-"]
)
def test_needs_are_read_strictly(needs: str) -> None:
    """A selector that is no letter of the output, or text that is no term, is refused, not taken for the whole axis."""
    b = Builder()
    b.input("X", (3, 4))
    with pytest.raises(ProgramError, match="needs of Y"):
        b.output("Y", (3, 4), needs=needs)


def test_a_store_goes_to_a_box() -> None:
    """Storing to listed coordinates is refused: which words are written could not be followed."""

    def author(b: Builder, *, n, d, B):  # type: ignore[no-untyped-def]
        _, Y = _io(b, n, d)
        with b.table("b", Table([{"t": 2, "coords": (0, 3)}])) as row, b.zeros("z", 1, row.size("t")) as z:
            b.store(z, Y[0, row.coordinates("coords", "t")])

    with pytest.raises(ProgramError, match="not to listed or looked-up coordinates"):
        _written(author)
