"""FlashAttention-2's order: a tile of queries stays in fast memory, the keys and values stream past it.

Each row tile loads all of K and V once, so the traffic falls with the height B_r of the row tile; what limits B_r is the
fast memory. Two ways to stream differ in it:

    words   K and V word by word; a column of scores is built one product at a time: B_r(2d + 3) + 1 words
    rows    a row of K and of V at a time; each score is a scalar inside one operation: B_r(2d + 2) + 2d + 2 words
"""

from __future__ import annotations

from math import inf

from iosim import Best, Builder, Schedule, Size, Tiled, ceil_div

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l]"


def words(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size, e: Size) -> None:
    """K and V are streamed in pieces of B_c rows and e columns (one word: B_c = e = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs=NEEDS)
    with b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n, B_c) as j:
            s = b.zeros("s", i, j)
            with b.tiles("c", d, e) as c, b.load(K[j, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", d, e) as c, b.load(V[j, c]) as v:
                b.op("add_ab", o[:, c], s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def rows(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size) -> None:
    """K and V are streamed in pieces of B_c rows (one row: B_c = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs=NEEDS)
    with b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def io(*, n: Size, d: Size, B_r: Size, **_: Size) -> Size:
    """Q and O once, K and V once for each row tile. Units: words."""
    return 2 * n * d + 2 * n * d * ceil_div(n, B_r)


flash2 = Tiled(
    name="flash2",
    summary="FlashAttention-2 order: row tiles of Q and O stay, K and V stream past",
    source="Dao, FlashAttention-2, ICLR 2024 (order); tiles by exact counting",
    schedules=(
        Schedule(
            name="words",
            author=words,
            tiles={"B_r": "n"},
            streams={"B_c": "n", "e": "d"},
            io=io,
            # q, o, m, l and the scores; a piece of k or v, or one word for the new maximum
            peak=lambda *, d, B_r, B_c, e, **_: B_r * (2 * d + 2) + B_r * B_c + B_c * e,
        ),
        Schedule(
            name="rows",
            author=rows,
            tiles={"B_r": "n"},
            streams={"B_c": "n"},
            io=io,
            # q, o, m, l; rows k and v; one score and the new maximum
            peak=lambda *, d, B_r, B_c, **_: B_r * (2 * d + 2) + 2 * B_c * d + 2,
        ),
    ),
)

flash = Best(name="flash", summary="short for flash2", source=flash2.source, of=(flash2,))
