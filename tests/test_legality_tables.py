"""Legality of loops over tables: rows whose number matters, many kinds of rows at once, tiles written column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest

import iosim.interpret.legality.check as checker
from iosim.builder import Builder, build
from iosim.errors import CountError
from iosim.expr import Size
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.interpret.steps import moves
from iosim.program import Program, Table
from tests import brute


class Pieces(Table):
    """Rows of `a` words each; what is listed in `at` is `a` long."""

    lengths: ClassVar[Mapping[str, str]] = {"at": "a"}


def pieces(sizes: list[int], *, gap: int = 0) -> Pieces:
    """Pieces one after the other, as offset + a * number, the later ones `gap` too far."""
    rows, start = [], 0
    for number, a in enumerate(sizes):
        rows.append({"a": a, "offset": start - a * number + gap * (number > 0), "at": tuple(range(start, start + a))})
        start += a
    return Pieces(rows)


def stored_in_pieces(table: Table, words: int) -> Program:
    """Writes a scratch array piece by piece and reads it again as lists of coordinates."""

    def author(b: Builder) -> None:
        S = b.scratch("S", (words,))
        with b.table("t", table) as row:
            begin = row.size("offset") + row.size("a") * row.number
            with b.zeros("s", row.size("a")) as s:
                b.store(s, S[begin : begin + row.size("a")])
        with b.table("u", table) as row, b.load(S[row.coordinates("at", "a")], "s"):
            pass

    return build(author, name="pieces")


@pytest.mark.parametrize("sizes", [[2, 2, 2], [3, 2, 2, 1], [1], [4] * 50 + [3] * 20], ids=str)
def test_pieces_at_places_that_depend_on_their_number_are_legal(sizes: list[int]) -> None:
    """offset + a * number is where each piece begins: all words are written before they are read."""
    program = stored_in_pieces(pieces(sizes), sum(sizes))
    assert violations(program, {}, max(sizes)) == []
    assert not brute.run(program, {}, max(sizes)).broken
    stored = [move.indices[0] for move in moves(program, {}) if move.direction == "store"]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    assert [(x.start, x.stop) for x in stored] == [(s, s + a) for s, a in zip(starts, sizes, strict=True)]  # type: ignore


@pytest.mark.parametrize("gap", [1, -1])
def test_a_piece_that_is_out_of_place_is_found_with_its_number(gap: int) -> None:
    """A word too far: beyond the end, and a word is never written; a word too early: the last word is never written."""
    found = violations(stored_in_pieces(pieces([3, 2, 2], gap=gap), 7), {})
    assert Rule.UNWRITTEN in {violation.rule for violation in found}
    if gap > 0:
        (out,) = [violation for violation in found if violation.rule is Rule.BOUNDS]
        assert out.where == "loop t=2 / store s"


def test_rows_of_one_kind_must_follow_each_other_where_their_number_matters() -> None:
    """Of the pieces 2, 1, 3 and 2 the first and the last begin at 0 + 2 * number."""
    with pytest.raises(CountError, match="loop t: rows of one kind must follow each other where the number of a row"):
        violations(stored_in_pieces(pieces([2, 1, 3, 2]), 8), {})


def kinds(sizes: list[int]) -> Program:
    """Each row allocates a times 3 words."""

    def author(b: Builder, *, n: Size) -> None:
        X, O = b.input("X", (n, 8)), b.output("O", (n,), needs=lambda i: ())
        with b.table("t", pieces(sizes)) as row, b.zeros("W", row.size("a"), 3), b.tiles("i", n, 1) as i:
            with b.load(X[i, row.coordinates("at", "a")], "x"), b.zeros("o", i) as o:
                b.store(o, O[i])

    return build(author, name="kinds", n="n")


def test_rows_of_many_kinds_are_proved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many kinds of rows there are, a few runs of the body decide."""
    monkeypatch.setattr(checker, "_STEP_LIMIT", 12)
    sizes = [1] * 8
    assert violations(kinds(sizes), {"n": 10**9}, 5) == []
    assert violations(kinds([2, 1, 1, 1, 1, 1, 1]), {"n": 10**9}, 9) == []
    assert violations(kinds([3, 2, 1, 2]), {"n": 10**9}, 13) == []


def test_the_kind_of_rows_that_breaks_a_rule_is_found() -> None:
    """3a + a + 1 words: the capacity is broken by the only row with a = 3, the second of its table."""
    program = kinds([2, 3, 2, 1])
    assert violations(program, {"n": 50}, 13) == []
    first, *_ = violations(program, {"n": 50}, 12)
    assert (first.rule, first.where) == (Rule.CAPACITY, "loop t=1 / loop i=0 / alloc o")
    assert first.found == "13 words live, capacity is 12"


@pytest.mark.parametrize(("read", "rules"), [(2, set()), (3, {Rule.UNWRITTEN})])
def test_kinds_of_rows_that_leave_different_words_behind(read: int, rules: set[Rule]) -> None:
    """Rows with a = 1, 2, 1 write the first a words: two words are there in the end, and not a third."""

    def author(b: Builder) -> None:
        S = b.scratch("S", (4,))
        with b.table("t", pieces([1, 2, 1])) as row, b.zeros("s", row.size("a")) as s:
            b.store(s, S[: row.size("a")])
        with b.load(S[:read]):
            pass

    program = build(author, name="left")
    assert {violation.rule for violation in violations(program, {})} == brute.run(program, {}).rules == rules


def test_rows_that_hand_a_value_on_are_run_until_nothing_changes() -> None:
    """In each row C is written with what B has seen, B with what A has, A with nothing: unfinished from the third on."""

    def author_of(sizes: list[int]) -> Callable[[Builder], None]:
        def author(b: Builder) -> None:
            X = b.input("X", (1,))
            A, B, C = b.scratch("A", (1,)), b.scratch("B", (1,)), b.output("C", (1,), needs="C[i] <- X[i]")
            with b.load(X[:]) as x:
                b.store(x, A[:])
                b.store(x, B[:])
            with b.table("t", pieces(sizes)):
                for source, target in ((B, C), (A, B)):
                    with b.load(source[:], "moved") as moved:
                        b.store(moved, target[:])
                with b.zeros("z", 1) as z:
                    b.store(z, A[:])

        return author

    for sizes in ([2], [2, 1], [2, 1, 1], [2, 1, 1, 2], [3, 2, 1, 1]):
        program = build(author_of(sizes), name="hands on")
        found = {violation.rule for violation in violations(program, {})}
        assert found == brute.run(program, {}).rules == ({Rule.UNFINISHED} if len(sizes) > 2 else set())


def test_a_row_that_is_run_by_itself_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one on irregular nests, not on long tables: of 20 rows each has a loop that takes three runs and more."""

    def author(b: Builder) -> None:
        S = b.scratch("S", (2,))
        with b.table("t", pieces([1, 2] * 10)) as row:
            with b.tiles("i", 50, 1), b.zeros("o", 1):
                pass
            with b.zeros("s", row.size("a")) as s:
                b.store(s, S[: row.size("a")])
        with b.load(S[:]):
            pass

    program = build(author, name="long")
    monkeypatch.setattr(checker, "_STEP_LIMIT", 50)
    assert violations(program, {}, 2) == []


def test_what_is_the_same_in_all_kinds_of_rows_is_known() -> None:
    """Columns of one value, beside one that differs: c + a words in each row, at most 5."""
    rows = Pieces([{"a": a, "c": 3, "at": tuple(range(a))} for a in (1, 2, 1)])

    def author(b: Builder) -> None:
        with b.table("t", rows) as row, b.zeros("s", row.size("a") + row.size("c")):
            pass

    program = build(author, name="columns")
    assert violations(program, {}, 5) == []
    (found,) = violations(program, {}, 4)
    assert str(found) == "loop t=1 / alloc s: 5 words live, capacity is 4 [capacity]"


def test_what_follows_rows_that_are_not_alike_is_outside_of_their_loop() -> None:
    """Rows read one word or two, which were written apart and with different values; then a tile is too large."""

    def author(b: Builder) -> None:
        X, S = b.input("X", (1,)), b.scratch("S", (2,))
        with b.load(X[:]) as x, b.zeros("z", 1) as z:
            b.store(x, S[:1])
            b.store(z, S[1:])
        with b.table("t", pieces([1, 2, 1])) as row, b.load(S[: row.size("a")]):
            pass
        with b.zeros("w", 3):
            pass

    program = build(author, name="apart")
    (found,) = violations(program, {}, 2)
    assert str(found) == "alloc w: 3 words live, capacity is 2 [capacity]"


def twice(b: Builder, *, n: Size, d: Size, B: Size) -> None:
    """Tiles of rows are written column by column, and then once more from what was written."""
    X, O = b.input("X", (n, d)), b.output("O", (n, d), needs="O[i,l] <- X[i,l]")
    with b.tiles("i", n, B) as i:
        with b.tiles("l", d, 1) as l, b.load(X[i, l]) as x:
            b.store(x, O[i, l])
        with b.tiles("l", d, 1) as l, b.load(O[i, l]) as o:
            b.store(o, O[i, l])


def test_tiles_of_rows_that_are_written_twice_are_proved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 10^9 rows as at 40: which part of an earlier tile a column overwrites does not depend on how many there were."""
    monkeypatch.setattr(checker, "_STEP_LIMIT", 200)
    for n in (40, 43, 10**9):
        assert violations(build(twice, name="twice", n="n", d="d", B="B"), {"n": n, "d": 12, "B": 4}, 4) == []
