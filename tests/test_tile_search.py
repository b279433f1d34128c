"""The tile search finds the fewest words, and says how little fast memory is enough."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Builder, Size, build
from iosim.errors import ProgramError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.tuning.tile_search import TileSearch


def three_tiles(b: Builder, *, n: Size, m: Size, p: Size, A: Size, B: Size, C: Size) -> None:
    """A product of an n x p by a p x m matrix, all three tile sizes free: they share one peak, so one group."""
    X, Y = b.input("X", (n, p)), b.input("Y", (p, m))
    Z = b.output("Z", (n, m), needs="Z[i,j] <- X[i,:], Y[:,j]")
    with b.tiles("k", p, C) as k, b.tiles("i", n, A) as i, b.load(X[i, k]) as x:
        with b.tiles("j", m, B) as j, b.zeros("z", i, j) as z, b.load(Y[k, j]) as y:
            b.op("add_ab", z, x, y)
            b.store(z, Z[i, j])


AXES = {"A": "n", "B": "m", "C": "p"}
PROGRAM = build(three_tiles, name="three", **{name: name for name in ("n", "m", "p", "A", "B", "C")})


@settings(max_examples=60)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.integers(0, 90))
def test_the_search_finds_what_trying_everything_finds(n: int, m: int, p: int, spare: int) -> None:
    """With three tile sizes in one peak, the traffic found is the least over all that fit."""
    sizes = {"n": n, "m": m, "p": p}
    search = TileSearch(PROGRAM, {tile: sizes[axis] for tile, axis in AXES.items()}, sizes)
    capacity = search.least_capacity + spare
    everything = [dict(zip("ABC", t, strict=True)) for t in product(*(range(1, sizes[x] + 1) for x in AXES.values()))]
    io, peak = count(PROGRAM, sizes).io_words, peak_words(PROGRAM, sizes)
    fitting = [tiles for tiles in everything if evaluate_int(peak, tiles) <= capacity]
    found = search.best(capacity)
    assert found in fitting
    assert evaluate_int(io, found) == min(evaluate_int(io, tiles) for tiles in fitting)
    assert found["B"] == 1  # the traffic does not depend on it


def test_the_least_capacity_is_sharp() -> None:
    """Tiles of one word: a word of x, of z and of y; one word less and nothing fits."""
    search = TileSearch(PROGRAM, dict.fromkeys(AXES, 9), {"n": 9, "m": 9, "p": 9})
    assert search.least_capacity == 3
    assert search.best(3) == {"A": 1, "B": 1, "C": 1}
    assert search.best(2) is None


@pytest.mark.parametrize("n", [2**20, 2**40])
def test_the_search_does_not_try_every_tile(n: int) -> None:
    """At sizes where trying every tile would never end, the tiles found fill the fast memory."""
    search = TileSearch(PROGRAM, dict.fromkeys(AXES, n), {"n": n, "m": n, "p": n})
    found = search.best(3_000_000)
    assert found is not None
    assert 2_990_000 < evaluate_int(peak_words(PROGRAM, {"n": n, "m": n, "p": n}), found) <= 3_000_000


def causal(b: Builder, *, n: Size, B: Size) -> None:
    """Each tile of queries loads the keys up to its end: a longer tile may load more."""
    X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
    with b.tiles("i", n, B) as i:
        with b.zeros("y", i) as y:
            with b.tiles("j", i.stop, 1) as j, b.load(X[j]):
                pass
            b.store(y, Y[i])


def test_traffic_that_may_rise_with_a_tile_is_searched_one_by_one() -> None:
    """n = 10: tiles of 5 load 5 + 10 keys, tiles of 9 load 9 + 10; the search does not trust that longer is better."""
    program = build(causal, name="causal", n="n", B="B")
    io = count(program, {"n": 10}).io_words
    assert [evaluate_int(io, {"B": B}) for B in (5, 9, 10)] == [25, 29, 20]
    # 9 words of y and one of x fit, 10 don't: among 1..9 the best is 5
    assert TileSearch(program, {"B": 10}, {"n": 10}).best(10) == {"B": 5}
    # the greatest of all tiles moves the fewest words, if it fits: x, y and 10^6 words in all
    assert TileSearch(program, {"B": 10**6}, {"n": 10**6}).best(2 * 10**6) == {"B": 10**6}


def test_a_tile_is_not_shortened_where_that_moves_more() -> None:
    """Keys from each tile on, n = 11: tiles of 10 load 11 + 1 keys; 6, which need no more tiles, load 11 + 5."""

    def later(b: Builder, *, n: Size, B: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        with b.tiles("i", n, B) as i, b.zeros("y", i) as y:
            with b.tiles("j", n, 1, start=i.start) as j, b.load(X[j]):
                pass
            b.store(y, Y[i])

    search = TileSearch(build(later, name="later", n="n", B="B"), {"B": 11}, {"n": 11})
    assert [search.io_words({"B": B}) for B in (10, 6)] == [11 + 12, 11 + 16]
    assert search.best(11) == {"B": 10}


def squares(b: Builder, *, n: Size, m: Size, B: Size) -> None:
    """A tile of B^2 words beside B of X; Y passes by."""
    X, Y = b.input("X", (n,)), b.input("Y", (m,))
    Z = b.output("Z", (n,), needs="Z[i] <- X[i]")
    with b.tiles("i", n, B) as i, b.load(X[i]) as x, b.zeros("z", i, i):
        with b.tiles("j", m, 1) as j, b.load(Y[j]):
            pass
        b.store(x, Z[i])


@given(st.integers(1, 12), st.integers(0, 170))
def test_a_tile_that_takes_the_square_of_its_length_is_as_long_as_fits(n: int, spare: int) -> None:
    """Peak B^2 + B + 1: of the longest that fits, the shortest that needs no more tiles."""
    program = build(squares, name="squares", n="n", m="m", B="B")
    capacity = 3 + spare
    longest = max(B for B in range(1, n + 1) if capacity >= B * B + B + 1)
    tiles = -(-n // longest)
    search = TileSearch(program, {"B": n}, {"n": n, "m": 5})
    assert search.best(capacity) == {"B": -(-n // tiles)}
    # X and Z once, Y for each tile
    assert search.io_words({"B": longest}) == 2 * n + 5 * tiles
    assert search.peak_words({"B": longest}) == longest * longest + longest + 1


def kept(b: Builder, *, n: Size, m: Size, B: Size, C: Size) -> None:
    """C rows of Y stay for all tiles of X; the others pass by each of them."""
    X, Y = b.input("X", (n,)), b.input("Y", (m,))
    Z = b.output("Z", (n,), needs="Z[i] <- X[i]")
    with b.load(Y[:C]), b.tiles("i", n, B) as i, b.load(X[i]) as x:
        with b.tiles("j", m, 1, start=C) as j, b.load(Y[j]):
            pass
        b.store(x, Z[i])


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(2, 9), st.integers(3, 20))
def test_a_tile_that_saves_a_word_for_each_tile_but_one_is_searched_too(n: int, m: int, capacity: int) -> None:
    """Traffic with a term that grows with C, C words once, and one that falls, C words for each tile: never more in all."""
    program = build(kept, name="kept", **{name: name for name in ("n", "m", "B", "C")})
    found = TileSearch(program, {"B": n, "C": m - 1}, {"n": n, "m": m}).best(capacity)
    io, peak = count(program, {"n": n, "m": m}).io_words, peak_words(program, {"n": n, "m": m})
    tiles = [{"B": B, "C": C} for B in range(1, n + 1) for C in range(1, m)]
    fitting = [t for t in tiles if evaluate_int(peak, t) <= capacity]
    assert (found is None) == (not fitting)
    if found is not None:
        assert evaluate_int(io, found) == min(evaluate_int(io, t) for t in fitting)


def test_a_tile_that_is_left_in_a_loop_is_named() -> None:
    """What a loop makes and does not free is as long as one of its tiles, of which no tile rule can know."""

    def leaking(b: Builder, *, n: Size, A: Size, B: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[:]")
        with b.tiles("i", n, A) as i, b.zeros("y", i) as y:
            with b.tiles("j", n, B) as j:
                b.load(X[j], "x")
            with b.zeros("z", i):
                b.store(y, Y[i])

    program = build(leaking, name="leaking", n="n", A="A", B="B")
    with pytest.raises(ProgramError, match=r"^leaking: x: still in fast memory after the loop that makes it; free it"):
        TileSearch(program, {"A": 9, "B": 9}, {"n": 9})
