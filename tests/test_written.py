"""What has been written is known word by word: where, and what each word has seen, in whatever order it was stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iosim.errors import CountError
from iosim.expr import floor_div, maximum, minimum, symbols
from iosim.interpret.legality import written as module
from iosim.interpret.legality.boxes import Box
from iosim.interpret.legality.finished import all_have_seen
from iosim.interpret.legality.ranges import Ranges
from iosim.interpret.legality.written import End, Pieces, Written, stored, write
from tests.boxes import N, box, words

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


@example(4, 1, 16, 0, 14, 0, 0)  # the last word needs one more than it has seen
@example(5, 1, 5, 3, 3, 0, 0)  # the last word needs further up than from itself; there is none behind it
@example(3, 1, 9, 1, 30, 2, 0)  # the tiles begin at 2, 5 and 8
@given(
    *(st.integers(1, 5), st.integers(1, 5), st.integers(1, 30), st.integers(-3, 3), st.integers(0, 30)),
    *(st.integers(0, 5), st.integers(0, 6)),
)
def test_words_of_equal_tiles_have_seen_what_their_tile_has_and_no_more(
    height: int, behind: int, rows: int, more: int, twice: int, first: int, cut: int
) -> None:
    """Tiles that saw as many rows as they end at, and some more: a word needs the rows up to the end of its tile, or
    `behind` rows up from itself, or, from one word on, further and further up; decided for all at once as one by one,
    for tiles from any row on, and for what is left of them without the first `cut` rows."""
    written: tuple[Written, ...] = ()
    last = first + rows
    for start in range(first, last, height):
        stop = min(start + height, last)
        seen = (("X", (((-9, stop + more),),)),)
        written = write(Ranges(), written, stored(((start, stop),), seen, "store"))
    (w,) = written
    ends = {row: min(row - (row - first) % height + height, last) + more for row in range(first, last)}
    for start in range(first, last, height):
        stop = min(start + height, last)
        assert w.seen_by(Ranges(), ((start, stop),)) == (("X", (((-9, stop + more),),)),)
    if cut < rows:
        w = w.part(((first + cut, last),))
        ends = {row: end for row, end in ends.items() if row >= first + cut}
    ((_, reaches),) = w.seen
    for row, end in ends.items():
        ((_, ((span,),)),) = w.seen_by(Ranges(), ((row, row + 1),))
        assert end <= span[1] <= row + height + more
        alone = w.part(((row, row + 1),))
        for up, known in ((end, True), (end + 1, False)):
            assert all_have_seen(alone, alone.seen[0][1], lambda _, up=up: ((-9, up),)) is known
    assert all_have_seen(w, reaches, lambda cell: ((cell[0][0], cell[0][1] + behind),)) == all(
        row + 1 + behind <= end for row, end in ends.items()
    )
    further = all(max(row, 2 * row - twice) < end for row, end in ends.items())
    assert further == all_have_seen(
        w, reaches, lambda cell: ((cell[0][0], maximum(cell[0][1], 2 * cell[0][0] - twice + 1)),)
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


def test_tiles_of_two_axes_have_seen_no_more_than_their_own_words() -> None:
    """2 x 3 tiles that saw as much, stored row by row or column by column, are one box; each word knows its own tile."""
    rows, columns = [(x, x + 2) for x in range(0, 6, 2)], [(x, x + 3) for x in range(0, 9, 3)]
    grid = [(row, column) for row in rows for column in columns]
    for tiles in (grid, sorted(grid, key=lambda tile: tile[1])):
        written: tuple[Written, ...] = ()
        for tile in tiles:
            written = write(Ranges(), written, stored(tile, (("X", (tile,)),), "store"))
        (whole,) = written
        ((_, X),) = whole.seen
        for tile in tiles:
            assert whole.seen_by(Ranges(), tile) == (("X", (tile,)),)
        assert all_have_seen(whole, X, lambda cell: cell)
        assert not all_have_seen(whole, X, lambda cell: ((cell[0][0], minimum(cell[0][1] + 1, 6)), cell[1]))
        assert not all_have_seen(whole, X, lambda cell: (cell[0], (cell[1][0], minimum(cell[1][1] + 1, 9))))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_tiles_of_any_lengths_are_known_from_their_own_words_on(lengths: list[int]) -> None:
    """One after the other, each saw its own words: a word knows these, and none that is a longest tile or more away."""
    written: tuple[Written, ...] = ()
    stop = 0
    for length in lengths:
        start, stop = stop, stop + length
        written = write(Ranges(), written, stored(((start, stop),), (("X", (((start, stop),),)),), "store"))
    stop = 0
    for length in lengths:
        start, stop = stop, stop + length
        for word in range(start, stop):
            seen = words(
                *(box for w in written for _, boxes in w.seen_by(Ranges(), ((word, word + 1),)) for box in boxes)
            )
            assert words(((start, stop),)) <= seen <= words(((word + 1 - max(lengths), word + max(lengths)),))
    (whole,) = written
    assert all_have_seen(whole, whole.seen[0][1], lambda cell: cell)


def tile_by_tile(*tiles: tuple[int, int]) -> tuple[Written, ...]:
    """What is known once these tiles were stored, each with a value that has seen its own words."""
    written: tuple[Written, ...] = ()
    for tile in tiles:
        written = write(Ranges(), written, stored((tile,), (("X", ((tile,),)),), "store"))
    return written


def test_tiles_that_meet_others_of_their_length_are_known_exactly() -> None:
    """Two tiles of 4 words, and then two before them: each word has seen the words of its tile, and no others."""
    (whole,) = tile_by_tile((8, 12), (12, 16), (0, 4), (4, 8))
    for word in range(16):
        begin = word - word % 4
        assert whole.seen_by(Ranges(), ((word, word + 1),)) == (("X", (((begin, begin + 4),),)),)


def test_shorter_tiles_behind_a_longer_one_are_not_taken_for_its_like() -> None:
    """Words 7 to 9 are one tile, which begins in what would be the second tile of 4 words."""
    (whole,) = tile_by_tile((4, 7), (7, 10), (0, 4))
    for begin, end in ((0, 4), (4, 7), (7, 10)):
        for word in range(begin, end):
            ((_, seen),) = whole.seen_by(Ranges(), ((word, word + 1),))
            assert words(*seen) >= words(((begin, end),))


def test_what_is_left_of_a_tile_has_seen_all_of_it() -> None:
    """The second of three tiles of 4 words without its neighbours, and then without its first words too."""
    (whole,) = tile_by_tile((0, 4), (4, 8), (8, 12))
    alone = whole.part(((4, 8),))
    assert (alone.box, alone.pieces) == (((4, 8),), ())
    for here in (((4, 8),), ((5, 8),), ((6, 7),)):
        left = alone.part(here)
        assert left.box == here
        assert left.seen_by(Ranges(), here) == (("X", (((4, 8),),)),)
    more = whole.part(((4, 11),))
    assert more.pieces == whole.pieces


def test_neighbours_of_which_one_saw_less_are_two_boxes() -> None:
    """Row tiles that saw their own rows, and beside them one tile of all six rows that saw four, or all of them."""
    written: tuple[Written, ...] = ()
    for start in (0, 3):
        tile = (start, start + 3)
        written = write(Ranges(), written, stored((tile, (0, 2)), (("X", ((tile,),)),), "store"))
    for saw, boxes in ((4, 2), (6, 1)):
        beside = write(Ranges(), written, stored(((0, 6), (2, 4)), (("X", (((0, saw),),)),), "store"))
        assert len(beside) == boxes
        (last,) = [w for w in beside if w.box[1][1] == 4]
        assert last.seen_by(Ranges(), ((0, 6), (3, 4))) == (("X", (((0, saw),),)),)


def test_tiles_that_saw_one_place_do_not_follow_a_neighbour_that_saw_its_own() -> None:
    """Two tiles of 4 words saw words 0 to 5; the next saw its own, without the last two: as far behind as those two."""
    written: tuple[Written, ...] = ()
    for tile, saw in (((0, 4), (0, 6)), ((4, 8), (0, 6)), ((8, 12), (8, 10))):
        written = write(Ranges(), written, stored((tile,), (("X", ((saw,),)),), "store"))
    first, last = written
    for word in range(8):
        assert first.seen_by(Ranges(), ((word, word + 1),)) == (("X", (((0, 6),),)),)
    assert last.seen_by(Ranges(), ((8, 12),)) == (("X", (((8, 10),),)),)


def test_a_piece_begins_where_it_does_whatever_the_symbols_are() -> None:
    """Pieces of 4 words: at 4u + 8, not at 4u + 6, and not for all v at 4u + 3v + 4."""
    pieces, (u, v) = Pieces(4, 0, 100), symbols("u", "v")
    assert pieces.begins(4 * u + 8)
    assert not pieces.begins(4 * u + 6)
    assert not pieces.begins(4 * u + 3 * v + 4)


def test_where_pieces_of_unknown_places_could_be() -> None:
    """A word of pieces of at most 4 words is in one from 3 words before it to 3 words after it; known pieces are known."""
    known, unknown = Pieces(4, 0, 10), Pieces(4, None, 10)
    assert known.at_most((0, 8)) == (0, 8)
    assert known.at_most((4, 10)) == (4, 10)
    assert known.at_most((0, 3)) == (-3, 6)
    assert unknown.at_most((0, 10)) == (-3, 13)
    for exact, around in ((True, (4, 10)), (False, (2, 12))):
        assert known.around(Ranges(exact=exact), (5, 9)) == around
    w = replace(stored(((0, 10),), (), "store"), pieces=((0, unknown),))
    own = ((End(0, 0), End(0, 0)),)
    for below, above, seen in ((3, 3, True), (4, 3, False), (3, 4, False)):
        assert all_have_seen(w, (own,), lambda cell, b=below, a=above: ((cell[0][0] - b, cell[0][1] + a),)) is seen


@pytest.mark.parametrize("seen", [4, 5, 9])
def test_what_is_needed_may_be_no_affine_function_of_the_word(seen: int) -> None:
    """Word i of ten needs word floor(i/2): the last needs the fifth, and all together need five."""
    w = stored(((0, 10),), (("X", (((0, seen),),)),), "store")

    def needed(cell: Box) -> Box:
        low, high = cell[0]
        return ((floor_div(low, 2), floor_div(high - 1, 2) + 1),)

    assert all_have_seen(w, w.seen[0][1], needed) is (seen >= 5)
    # words 20 to 29, of a tile that begins before them, need words 10 to 14
    w = replace(stored(((20, 30),), (("X", (((0, 10 + seen),),)),), "store"), pieces=((0, Pieces(20, 15, 35)),))
    assert all_have_seen(w, w.seen[0][1], needed) is (seen >= 5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("seen", [1, 2, 3])
@pytest.mark.parametrize("own", [False, True])
def test_what_is_needed_may_go_up_and_down(own: bool, seen: int, axis: int) -> None:
    """Word i needs word i mod 2: with both seen by all, one look at all is enough; where each was stored by itself and has
    seen its own word too, they are looked at one by one."""
    n = 50 if own else 10**6
    box = [(0, 1), (0, 1)]
    box[axis] = (0, n)
    w = stored(tuple(box), (("X", (((0, seen),),)),), "store")
    reaches = w.seen[0][1]
    if own:
        w, reaches = replace(w, pieces=((axis, Pieces(1, 0, n)),)), (*reaches, ((End(0, axis), End(0, axis)),))
    asked: list[Box] = []

    def needed(cell: Box) -> Box:
        assert len(cell) == 2
        asked.append(cell)
        (low, high) = cell[axis]
        return ((low - 2 * floor_div(low, 2), high - 1 - 2 * floor_div(high - 1, 2) + 1),)

    assert all_have_seen(w, reaches, needed) is (seen >= 2)
    assert own or seen < 2 or len(asked) == 2


@pytest.mark.parametrize("missing", [0, 1])
def test_what_all_need_together_is_what_the_words_need_that_there_are(missing: int) -> None:
    """Word i of 40 in pieces of 4 needs word ceil(i/2) = i - floor(i/2), the last one word 20: 21 words that all have seen
    are enough at once; with one less the last is found."""
    w = replace(stored(((0, 40),), (("X", (((0, 21 - missing),),)),), "store"), pieces=((0, Pieces(4, 0, 40)),))
    asked: list[Box] = []

    def needed(cell: Box) -> Box:
        asked.append(cell)
        low, high = cell[0]
        return ((low - floor_div(low, 2), high - 1 - floor_div(high - 1, 2) + 1),)

    assert all_have_seen(w, w.seen[0][1], needed) is (not missing)
    assert missing or len(asked) == 2
    # words 20 to 29, of a tile that begins before them or of tiles who knows where, need words 10 to 15, and no others
    for pieces in (Pieces(20, 15, 35), Pieces(20, None, 30)):
        saw = (("X", (((10, 16 - missing),),)),)
        w = replace(stored(((20, 30),), saw, "store"), pieces=((0, pieces),))
        asked.clear()
        assert all_have_seen(w, w.seen[0][1], needed) is (not missing)
        assert missing or len(asked) == 2


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


def test_what_surely_holds_no_word_has_not_been_seen() -> None:
    """A value of the words up to where its tile begins has seen none if that is the beginning."""
    w = Written(((0, 4),), (("X", (((End(0), End(-4, 0)),),)),), ("store",), ((0, Pieces(4, 0, 4)),))
    assert w.seen_by(Ranges(), ((0, 4),)) == ()
