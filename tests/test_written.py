"""What has been written is known word by word: where, and what each word has seen, in whatever order it was stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.errors import CountError
from iosim.interpret import written as module
from iosim.interpret.boxes import Box
from iosim.interpret.finished import all_have_seen
from iosim.interpret.ranges import Ranges
from iosim.interpret.written import Written, stored, write
from tests.test_boxes import N, box, words

rows, columns = st.sampled_from([(0, 2), (2, 4), (4, 6), (6, 7)]), st.sampled_from([(0, 3), (3, 6), (6, 7)])
kinds = st.sampled_from(["all", "own tile", "own rows", "rows up to here"])


@given(kinds, st.lists(st.tuples(rows, columns) | box, min_size=1, max_size=16))
def test_what_was_written_is_known_in_any_order(kind: str, stores: list[Box]) -> None:
    """After stores of tiles of any size in any order, each word is in one box, which knows at least what was seen by the
    tile that the word was stored with last."""
    whole = (0, N)
    written: tuple[Written, ...] = ()
    last: dict[tuple[int, ...], Box] = {}
    for tile in stores:
        row, column = tile
        seen = {
            "all": (whole, whole),
            "own tile": (row, column),
            "own rows": (row, whole),
            "rows up to here": ((0, row[1]), whole),
        }[kind]
        written = write(Ranges(), written, stored(tile, (("X", (seen,)),), "store"))
        last.update(dict.fromkeys(words(tile), seen))
    assert words(*(w.box for w in written)) == last.keys()
    assert sum(len(words(w.box)) for w in written) == len(last)
    for w in written:
        ((_, reaches),) = w.seen
        for word in words(w.box):
            one = tuple((x, x + 1) for x in word)
            assert all_have_seen(replace(w, box=one), reaches, lambda _, box=last[word]: box)
            ((_, found),) = w.seen_by(Ranges(), one)
            assert words(*found) >= words(last[word])


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 30), st.integers(-3, 3))
def test_words_of_equal_tiles_have_seen_what_their_tile_has_and_no_more(
    height: int, behind: int, rows: int, more: int
) -> None:
    """Tiles that saw as many rows as they end at, and some more: a word needs the rows up to the end of its tile, or
    `behind` rows up from itself; decided for all of them at once as one by one."""
    written: tuple[Written, ...] = ()
    for start in range(0, rows, height):
        stop = min(start + height, rows)
        seen = (("X", (((-9, stop + more),),)),)
        written = write(Ranges(), written, stored(((start, stop),), seen, "store"))
    (w,) = written
    ((_, reaches),) = w.seen
    ends = {row: min(row - row % height + height, rows) + more for row in range(rows)}
    for start in range(0, rows, height):
        stop = min(start + height, rows)
        assert w.seen_by(Ranges(), ((start, stop),)) == (("X", (((-9, stop + more),),)),)
    for row, end in ends.items():
        ((_, ((span,),)),) = w.seen_by(Ranges(), ((row, row + 1),))
        assert end <= span[1] <= row + height + more
    assert all_have_seen(w, reaches, lambda cell: ((cell[0][0], cell[0][1] + behind),)) == all(
        row + 1 + behind <= end for row, end in ends.items()
    )


def test_boxes_that_follow_one_rule_are_one_box() -> None:
    """Tiles that saw their own rows, all of the columns, and everything up to their end: one box, and one rule."""
    written: tuple[Written, ...] = ()
    for start in range(0, 30, 3):
        tile = (start, start + 3)
        seen = (("K", (((0, start + 3), (0, 4)),)), ("Q", ((tile, (0, 4)),)))
        written = write(Ranges(), written, stored((tile, (0, 4)), seen, "store"))
    (whole,) = written
    assert whole.box == ((0, 30), (0, 4))
    assert whole.seen_by(Ranges(), ((6, 9), (0, 4))) == (("K", (((0, 9), (0, 4)),)), ("Q", (((6, 9), (0, 4)),)))
    ((_, K), (_, Q)) = whole.seen
    assert all_have_seen(whole, Q, lambda cell: (cell[0], (0, 4)))
    assert all_have_seen(whole, K, lambda cell: ((0, cell[0][1]), (0, 4)))
    assert not all_have_seen(whole, K, lambda cell: ((0, 30), (0, 4)))
    assert not all_have_seen(whole, Q, lambda cell: (cell[1], (0, 4)))


def test_boxes_that_follow_no_rule_are_few() -> None:
    """Where many neighbours have seen unrelated things, the first of them count as having seen all of it."""
    written: tuple[Written, ...] = ()
    for start in range(30):
        seen = (("X", (((start * start, 1000),),)),)
        written = write(Ranges(), written, stored(((start, start + 1),), seen, "store"))
    assert len(written) <= module._WRITTEN_LIMIT
    assert written[0].seen_by(Ranges(), ((3, 4),)) == (("X", (((0, 1000),),)),)


def test_words_in_very_many_places_are_refused() -> None:
    """Boxes that are no neighbours are kept one by one, up to a limit."""
    written: tuple[Written, ...] = ()
    limit = module._SCATTERED_LIMIT
    for start in range(0, 2 * limit + 2, 2):
        written = write(Ranges(), written, stored(((start, start + 1),), (), "store"))
    assert len(written) == limit + 1
    with pytest.raises(CountError, match=f"more than {limit} pieces"):
        write(Ranges(), written, stored(((-2, -1),), (), "store"))
