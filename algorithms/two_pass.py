"""Scores stored once, two passes: the schedule of least traffic in a small fast memory.

    1.  S = Q K^T / sqrt(d), stored
    2.  O = softmax(S) V, with an online softmax over the columns of S as they are loaded

In a small fast memory no order that keeps the scores there does as well (see iosim.bounds.exact): two tiled matrix products
that share S are cheaper than one fused loop. The probabilities are never stored, and no statistics are: pass 2 finds them
anew for each group of columns of V.

    tiles   pass 1 holds a tile of S; words of Q and K pass by
    rows    pass 1 holds rows of Q; words of K pass by
    panels  both passes for one row tile after the other, each with the keys that it meets: for masks
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from algorithms.shared.attention import NEEDS, arrays, within
from algorithms.shared.products import pair_tile, pair_tiles_io, pair_tiles_peak, scores
from iosim import Builder, Mask, Schedule, Size, Span, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, Extent, Index, TileHandle


def tiles(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    B_c: Size,
    B_o: Size,
    B_d: Size,
    e: Size,
    f: Size,
    e_v: Size,
) -> None:
    """Pass 1: e columns of a tile of Q at a time, f rows of K in them."""
    S = b.scratch("S", (n, n_k))
    Q, K = b.input("Q", (n, d)), b.input("K", (n_k, d))
    scores(b, Q, K, S, n=n, n_k=n_k, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
    outputs(b, S, n=n, n_k=n_k, d_v=d_v, B_o=B_o, B_d=B_d, f=f, e_v=e_v)


def rows(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_q: Size,
    B_o: Size,
    B_d: Size,
    e: Size,
    f: Size,
    e_v: Size,
) -> None:
    """Pass 1: B_q rows of Q, e columns of f rows of K at a time."""
    S = b.scratch("S", (n, n_k))
    Q, K = b.input("Q", (n, d)), b.input("K", (n_k, d))
    with b.tiles("i", n, B_q) as i, b.load(Q[i, :]) as q, b.tiles("j", n_k, f) as j, b.zeros("s", i, j) as s:
        with b.tiles("c", d, e) as c, b.load(K[j, c]) as k:
            b.op("add_abt", s, q[:, c], k)
        b.op("divide_by_sqrt", s, of=d)
        b.store(s, S[i, j])
    outputs(b, S, n=n, n_k=n_k, d_v=d_v, B_o=B_o, B_d=B_d, f=f, e_v=e_v)


def panels(
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
    B_d: Size,
    e: Size,
    f: Size,
    e_v: Size,
) -> None:
    """B_r positions of g rows each in both passes; as `tiles`, but S has only the rows of one tile."""
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v, mask=mask, g=g)
    S = b.scratch("S", (g * B_r, n_k))
    with b.tiles("i", n, B_r) as i:
        rows, height, keys = slice(g * i.start, g * i.stop), g * i.length, mask.span(i.span, n, n_k)
        with b.tiles("j", keys.stop, B_c, start=keys.start) as j, b.zeros("s", height, j) as s:
            pair_tile(b, s, Q, K, rows, j, depth=d, e=e, f=f)
            b.op("divide_by_sqrt", s, of=d)
            b.store(s, S[:height, j])

        def hide(s: TileHandle, j: Index, *, i: Index = i) -> None:
            mask.hide(b, s, i, j, shift=n_k - n, g=g)

        row_tile(b, S, V, O, (slice(height), rows, height), keys, d_v=d_v, B_d=B_d, f=f, e_v=e_v, hide=hide)


def panels_io(
    *, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, g: Size, B_r: Size, B_c: Size, B_d: Size, **_: Size
) -> Size:
    """For each panel and the keys that it meets: Q for each tile of them, K and V once, S stored, and loaded for each group
    of columns; O once. Units: words."""

    if mask.full:
        return products_io(n=n, n_k=n_k, d=d, d_v=d_v, B_r=B_r, B_c=B_c, B_o=B_r, B_d=B_d)

    def panel(rows: Size, keys: Size) -> Size:
        words = g * rows * d * ceil_div(keys, B_c) + keys * (d + d_v)
        return words + g * rows * keys * (1 + ceil_div(d_v, B_d))

    return mask.total(panel, n, n_k, B_r) + n * g * d_v


def outputs(
    b: Builder, S: ArrayHandle, *, n: Size, n_k: Size, d_v: Size, B_o: Size, B_d: Size, f: Size, e_v: Size
) -> None:
    """Pass 2: B_o rows and B_d columns of O at a time; f columns of S, e_v columns of V in them."""
    V, O = b.input("V", (n_k, d_v)), b.output("O", (n, d_v), needs=NEEDS)
    with b.tiles("i", n, B_o) as i:
        row_tile(b, S, V, O, (i, i, i), Span(0, n_k), d_v=d_v, B_d=B_d, f=f, e_v=e_v)


def row_tile(
    b: Builder,
    S: ArrayHandle,
    V: ArrayHandle,
    O: ArrayHandle,
    rows: tuple[Index | slice, Index | slice, Index | Extent],
    keys: Span,
    *,
    d_v: Size,
    B_d: Size,
    f: Size,
    e_v: Size,
    hide: Callable[[TileHandle, Index], None] = lambda *_: None,
) -> None:
    """Pass 2 for a tile of rows and the keys that they meet: where the rows are in S, in O, and how many they are."""
    here, of, height = rows
    with b.tiles("x", d_v, B_d) as x:
        o, m, l = b.zeros("o", height, x), b.full("m", height, fill=-inf), b.zeros("l", height)
        with b.tiles("j", keys.stop, f, start=keys.start) as j, b.load(S[here, j]) as s:
            hide(s, j)
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", x.stop, e_v, start=x.start) as c, b.load(V[j, c]) as v:
                b.op("add_ab", o[:, c.start - x.start : c.stop - x.start], s, v)
        b.op("divide_rows", o, l)
        b.store(o, O[of, x])
        b.free(o, m, l)


def outputs_io(*, n: Size, n_k: Size, d_v: Size, B_o: Size, B_d: Size, **_: Size) -> Size:
    """S once for each group of columns, V once for each row tile, O stored. Units: words."""
    return n * n_k * ceil_div(d_v, B_d) + n_k * d_v * ceil_div(n, B_o) + n * d_v


def products_io(*, n: Size, n_k: Size, d: Size, B_r: Size, B_c: Size, **sizes: Size) -> Size:
    """Pass 1: Q once for each column of tiles, K once for each row of them, S stored; and pass 2. Units: words."""
    first = pair_tiles_io(n=n, n_k=n_k, depth=d, B_r=B_r, B_c=B_c) + n * n_k
    return first + outputs_io(n=n, n_k=n_k, **sizes)


def outputs_peak(*, d_v: Size, B_o: Size, B_d: Size, f: Size, e_v: Size, **_: Size) -> Size:
    """A tile of O, m, l and a column of S; one word of V, or the new maximum (for f = e_v = 1). Units: words."""
    return B_o * B_d + 2 * B_o + B_o * f + f * within(e_v, B_d)


_STREAMS = {"e": "d", "f": "n_k", "e_v": "d_v"}

two_pass = Tiled(
    name="two-pass",
    summary="scores stored and loaded again, probabilities never: the best in a small fast memory",
    source="this package; two tiled matrix products, after Saha and Ye, arXiv 2402.07443, 2024",
    schedules=(
        Schedule(
            name="tiles",
            author=tiles,
            tiles={"B_r": "n", "B_c": "n_k", "B_o": "n", "B_d": "d_v"},
            streams=_STREAMS,
            # pass 1: Q once for each column of tiles, K once for each row of them, S stored
            io=products_io,
            # pass 1: a tile of S, a column of q and a word of k
            peak=lambda *, B_r, B_c, e, f, **sizes: maximum(
                pair_tiles_peak(B_r=B_r, B_c=B_c, e=e, f=f), outputs_peak(f=f, **sizes)
            ),
        ),
        Schedule(
            name="rows",
            author=rows,
            tiles={"B_q": "n", "B_o": "n", "B_d": "d_v"},
            streams=_STREAMS,
            # pass 1: Q once, K once for each row tile, S stored
            io=lambda *, n, n_k, d, B_q, **sizes: (
                n * d + n_k * d * ceil_div(n, B_q) + n * n_k + outputs_io(n=n, n_k=n_k, **sizes)
            ),
            # pass 1: rows of q, a column of scores and a word of k
            peak=lambda *, d, B_q, e, f, **sizes: maximum(B_q * d + B_q * f + f * e, outputs_peak(f=f, **sizes)),
        ),
        Schedule(
            name="panels",
            author=panels,
            tiles={"B_r": "n", "B_c": "n_k", "B_d": "d_v"},
            searched=False,  # for masks; the search for its tiles takes long
            streams=_STREAMS,
            io=panels_io,
            # as `tiles`
            peak=lambda *, g, B_r, B_c, e, f, **sizes: maximum(
                pair_tiles_peak(B_r=g * B_r, B_c=B_c, e=e, f=f), outputs_peak(f=f, B_o=g * B_r, **sizes)
            ),
        ),
    ),
)
