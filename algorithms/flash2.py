"""FlashAttention-2's order: a tile of queries stays in fast memory, the keys and values stream past it.

Each row tile loads the keys and values that its queries meet once, so the traffic falls with the height B_r of the row
tile; what limits B_r is the fast memory. Four ways to stream differ in it:

    words   K and V word by word; a column of scores is built one product at a time: B_r(d + d_v + 3) + 1 words
    rows    a row of K and of V at a time; each score is a scalar inside one operation: B_r(d + d_v + 2) + d + d_v + 2
    cached  as words; the first C keys and values stay in fast memory for all row tiles, in the words that B_r leaves over
    cached rows  as rows; of the C rows of K and of V in fast memory, C - 1 stay, and the others pass through the last
"""

from __future__ import annotations

from math import inf

from algorithms.shared.attention import arrays, within
from iosim import Best, Builder, Mask, Schedule, Size, Tiled, ceil_div, maximum


def words(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    g: Size,
    B_r: Size,
    B_c: Size,
    e: Size,
    e_v: Size,
) -> None:
    """K and V are streamed in pieces of B_c rows and e or e_v columns (one word: B_c = e = e_v = 1).

    With a mask, B_r counts positions, and each has g rows, the queries of the heads that share the keys.
    """
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v, mask=mask, g=g)
    with b.tiles("i", n, B_r) as i:
        rows = slice(g * i.start, g * i.stop)
        q = b.load(Q[rows, :])
        o, m, l = b.zeros("o", g * i.length, d_v), b.full("m", g * i.length, fill=-inf), b.zeros("l", g * i.length)
        keys = mask.span(i.span, n, n_k)
        with b.tiles("j", keys.stop, B_c, start=keys.start) as j:
            s = b.zeros("s", g * i.length, j)
            with b.tiles("c", d, e) as c, b.load(K[j, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            mask.hide(b, s, i, j, shift=n_k - n, g=g)
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", d_v, e_v) as c, b.load(V[j, c]) as v:
                b.op("add_ab", o[:, c], s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[rows, :])
        b.free(q, o, m, l)


def rows(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, B_c: Size) -> None:
    """K and V are streamed in pieces of B_c rows (one row: B_c = 1)."""
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    with b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n_k, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def cached(
    b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, C: Size, B_c: Size, e: Size, e_v: Size
) -> None:
    """The first C rows of K and V are loaded once and stay."""
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    with b.load(K[:C, :], "k") as kept_k, b.load(V[:C, :], "v") as kept_v, b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        for keep in (True, False):
            with b.tiles("j", C if keep else n_k, B_c, start=0 if keep else C) as j:
                s = b.zeros("s", i, j)
                if keep:
                    b.op("add_abt", s, q, kept_k[j, :])
                else:
                    with b.tiles("c", d, e) as c, b.load(K[j, c]) as k:
                        b.op("add_abt", s, q[:, c], k)
                b.op("divide_by_sqrt", s, of=d)
                b.op("online_softmax", s, m, l, o)
                if keep:
                    b.op("add_ab", o, s, kept_v[j, :])
                else:
                    with b.tiles("c", d_v, e_v) as c, b.load(V[j, c]) as v:
                        b.op("add_ab", o[:, c], s, v)
                b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def cached_rows(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, C: Size, B_c: Size) -> None:
    """The first C - 1 rows of K and V are loaded once and stay, the others pass in pieces of B_c rows (one row: B_c = 1)."""
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    kept = C - 1
    with b.load(K[:kept, :], "k") as kept_k, b.load(V[:kept, :], "v") as kept_v, b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", kept, B_c) as j:
            b.op("attend", o, m, l, q, kept_k[j, :], kept_v[j, :], of=d)
        with b.tiles("j", n_k, B_c, start=kept) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def io(*, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, **_: Size) -> Size:
    """Q and O once, K and V once for each row tile. Units: words."""
    return n * (d + d_v) + n_k * (d + d_v) * ceil_div(n, B_r)


def masked_io(*, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, g: Size, B_r: Size, **_: Size) -> Size:
    """Q and O once, for each row tile the keys that it meets and their values. Units: words."""
    return n * g * (d + d_v) + (d + d_v) * mask.met(n, n_k, B_r)


def cached_peak(*, n_k: Size, d: Size, d_v: Size, B_r: Size, C: Size, B_c: Size, e: Size, e_v: Size, **_: Size) -> Size:
    """What is kept; q, o, m and l; the scores for keys that are kept and the new maximum, or as words. Units: words."""
    passing = within(B_c, n_k - C)
    scores = maximum(B_r * within(B_c, C) + 1, B_r * passing + passing * maximum(e, e_v))
    return C * (d + d_v) + B_r * (d + d_v + 2) + scores


_STREAMS = {"B_c": "n_k", "e": "d", "e_v": "d_v"}

flash2 = Tiled(
    name="flash2",
    summary="FlashAttention-2 order: row tiles of Q and O stay, K and V stream past",
    source="Dao, FlashAttention-2, ICLR 2024 (order); tiles by exact counting",
    schedules=(
        Schedule(
            name="words",
            author=words,
            tiles={"B_r": "n"},
            streams=_STREAMS,
            io=masked_io,
            # q, o, m, l and the scores; a piece of k or v, or one word for the new maximum
            peak=lambda *, d, d_v, g, B_r, B_c, e, e_v, **_: (
                g * B_r * (d + d_v + 2) + g * B_r * B_c + B_c * maximum(e, e_v)
            ),
        ),
        Schedule(
            name="rows",
            author=rows,
            tiles={"B_r": "n"},
            streams={"B_c": "n_k"},
            io=io,
            # q, o, m, l; rows k and v; one score and the new maximum
            peak=lambda *, d, d_v, B_r, B_c, **_: B_r * (d + d_v + 2) + B_c * (d + d_v) + 2,
        ),
        Schedule(
            name="cached",
            author=cached,
            tiles={"B_r": "n", "C": "n_k"},
            streams=_STREAMS,
            # as words, but C keys and values once
            io=lambda *, n, n_k, d, d_v, B_r, C, **_: (
                n * (d + d_v) + C * (d + d_v) + (n_k - C) * (d + d_v) * ceil_div(n, B_r)
            ),
            peak=cached_peak,
        ),
        Schedule(
            name="cached rows",
            author=cached_rows,
            tiles={"B_r": "n", "C": "n_k"},
            streams={"B_c": "n_k"},
            # as rows, but C - 1 keys and values once
            io=lambda *, n, n_k, d, d_v, B_r, C, **_: (
                n * (d + d_v) + (C - 1) * (d + d_v) + (n_k - C + 1) * (d + d_v) * ceil_div(n, B_r)
            ),
            # as rows, with C - 1 rows of k and v more
            peak=lambda *, n_k, d, d_v, B_r, C, B_c, **_: (
                (C - 1 + within(B_c, n_k - C + 1)) * (d + d_v) + B_r * (d + d_v + 2) + 2
            ),
        ),
    ),
)

flash = Best(name="flash", summary="short for flash2", source=flash2.source, of=(flash2,))
