"""Tiled products of matrices: a tile of the result stays in fast memory, words of the two factors pass by."""

from __future__ import annotations

from collections.abc import Callable

from algorithms.shared.attention import within
from iosim import Builder, Size, ceil_div
from iosim.builder import ArrayHandle, Index, TileHandle


def pair_tile(
    b: Builder,
    s: TileHandle,
    left: ArrayHandle,
    right: ArrayHandle,
    rows: Index | slice,
    j: Index,
    *,
    depth: Size,
    e: Size,
    f: Size,
) -> None:
    """A tile of left right^T, for these rows of `left` and rows j of `right`: e columns of `left` pass by, and f rows of
    `right` in them."""
    with b.tiles("c", depth, e) as c, b.load(left[rows, c]) as p:
        with b.tiles("y", j.stop, f, start=j.start) as y, b.load(right[y, c]) as r:
            b.op("add_abt", s[:, y.start - j.start : y.stop - j.start], p, r)


def pair_tiles(
    b: Builder,
    left: ArrayHandle,
    right: ArrayHandle,
    finish: Callable[[TileHandle, Index, Index], None],
    *,
    n: Size,
    n_k: Size,
    depth: Size,
    B_r: Size,
    B_c: Size,
    e: Size,
    f: Size,
) -> None:
    """left right^T, a tile at a time; `finish` says what becomes of each."""
    with b.tiles("i", n, B_r) as i, b.tiles("j", n_k, B_c) as j, b.zeros("s", i, j) as s:
        pair_tile(b, s, left, right, i, j, depth=depth, e=e, f=f)
        finish(s, i, j)


def scores(
    b: Builder,
    Q: ArrayHandle,
    K: ArrayHandle,
    S: ArrayHandle,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    B_r: Size,
    B_c: Size,
    e: Size,
    f: Size,
) -> None:
    """S = Q K^T/sqrt(d), a tile at a time."""

    def store(s: TileHandle, i: Index, j: Index) -> None:
        b.op("divide_by_sqrt", s, of=d)
        b.store(s, S[i, j])

    pair_tiles(b, Q, K, store, n=n, n_k=n_k, depth=d, B_r=B_r, B_c=B_c, e=e, f=f)


def pair_tiles_io(*, n: Size, n_k: Size, depth: Size, B_r: Size, B_c: Size) -> Size:
    """The left factor once for each column of tiles, the right one once for each row of them. Units: words."""
    return n * depth * ceil_div(n_k, B_c) + n_k * depth * ceil_div(n, B_r)


def pair_tiles_peak(*, B_r: Size, B_c: Size, e: Size, f: Size) -> Size:
    """A tile of scores, a piece of the left factor, a word of the right one (for e = f = 1). Units: words."""
    return B_r * B_c + B_r * e + within(f, B_c) * e


def product(
    b: Builder,
    out: ArrayHandle,
    left: ArrayHandle,
    right: ArrayHandle,
    *,
    rows: Size,
    columns: Size,
    inner: Size,
    B: Size,
    B_x: Size,
    f: Size,
    e: Size,
    transposed: bool,
) -> None:
    """out = left right, or left^T right: a tile of `out` stays; f rows of `right`, e columns of it in them, pass by."""
    with b.tiles("i", rows, B) as i, b.tiles("x", columns, B_x) as x, b.zeros("out", i, x) as o:
        with b.tiles("j", inner, f) as j, b.load(left[j, i] if transposed else left[i, j]) as p:
            with b.tiles("c", x.stop, e, start=x.start) as c, b.load(right[j, c]) as r:
                here = o[:, c.start - x.start : c.stop - x.start]
                b.op("add_atb" if transposed else "add_ab", here, p, r)
        b.store(o, out[i, x])


def product_io(*, rows: Size, columns: Size, inner: Size, B: Size, B_x: Size) -> Size:
    """The left factor once for each group of columns, the right one for each row tile, the result. Units: words."""
    return rows * inner * ceil_div(columns, B_x) + inner * columns * ceil_div(rows, B) + rows * columns


def product_peak(*, B: Size, B_x: Size, f: Size, e: Size) -> Size:
    """A tile of the result, a piece of the left factor, and a word of the right one (for f = e = 1). Units: words."""
    return B * B_x + B * f + f * within(e, B_x)
