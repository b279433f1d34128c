"""The backward pass as five tiled matrix products that share P and dS, stored in slow memory: for a small fast memory.

    1.  P = exp(Q K^T/sqrt(d) - L), stored
    2.  dS = P * (dO V^T - D), stored divided by sqrt(d)
    3.  dV = P^T dO,  dQ = dS K,  dK = dS^T Q

As in the forward pass, storing what pairs need beats keeping it in a small fast memory. Each of the five products moves
2 n^2 d/sqrt(M) words to leading order for M < d^2, and n^2 words of P and dS pass by three times besides: twice stored, and
P loaded for dS. For M > d^2 it is 6 n^2 + 5 n^2 d^2/M.

    tiles  passes 1 and 2 hold a tile of scores; words of Q, K, dO and V pass by
    rows   passes 1 and 2 hold rows of Q and of dO; words of K and V pass by

The standard backward pass also stores S and dP, and loads them again to make P and dS of them.
"""

from __future__ import annotations

from algorithms.shared.attention import within
from algorithms.shared.gradient import PRODUCTS, STREAMS, Arrays, arrays, products, products_io, products_peaks
from algorithms.shared.products import pair_tiles, pair_tiles_io, pair_tiles_peak
from iosim import GRADIENT, Builder, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, Index, TileHandle


def row_deltas(b: Builder, a: Arrays, D: ArrayHandle, *, n: Size, d_v: Size, h: Size, e_v: Size) -> None:
    """D = rowsum(dO * O), h rows at a time, e_v columns of dO and O in them."""
    with b.tiles("i", n, h) as i, b.zeros("delta", i) as delta:
        with b.tiles("c", d_v, e_v) as c, b.load(a.dO[i, c]) as do, b.load(a.O[i, c]) as o:
            b.op("add_row_dots", delta, do, o)
        b.store(delta, D[i])


def tiles(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    B_c: Size,
    B_q: Size,
    C_q: Size,
    B_k: Size,
    C_k: Size,
    B_v: Size,
    C_v: Size,
    e: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> None:
    """h rows of f columns of P pass by a finished tile of dP. D is computed before."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    D, P, dS = b.scratch("D", (n,)), b.scratch("P", (n, n_k)), b.scratch("dS", (n, n_k))

    def to_p(s: TileHandle, i: Index, j: Index) -> None:
        b.op("divide_by_sqrt", s, of=d)
        with b.load(a.L[i]) as l:
            b.op("exp_shifted", s, l)
        b.store(s, P[i, j])

    def to_ds(s: TileHandle, i: Index, j: Index) -> None:
        with b.tiles("r", i.stop, h, start=i.start) as r, b.load(D[r], "delta") as delta:
            with b.tiles("y", j.stop, f, start=j.start) as y, b.load(P[r, y]) as p:
                x = s[r.start - i.start : r.stop - i.start, y.start - j.start : y.stop - j.start]
                b.op("softmax_gradient", x, p, delta)
        b.op("divide_by_sqrt", s, of=d)
        b.store(s, dS[i, j])

    row_deltas(b, a, D, n=n, d_v=d_v, h=h, e_v=e_v)
    pair_tiles(b, a.Q, a.K, to_p, n=n, n_k=n_k, depth=d, B_r=B_r, B_c=B_c, e=e, f=f)
    pair_tiles(b, a.dO, a.V, to_ds, n=n, n_k=n_k, depth=d_v, B_r=B_r, B_c=B_c, e=e_v, f=f)
    sizes = {"B_q": B_q, "C_q": C_q, "B_k": B_k, "C_k": C_k, "B_v": B_v, "C_v": C_v}
    products(b, a, P, dS, n=n, n_k=n_k, d=d, d_v=d_v, e=e, f=f, h=h, e_v=e_v, **sizes)


def rows(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_s: Size,
    B_p: Size,
    B_q: Size,
    C_q: Size,
    B_k: Size,
    C_k: Size,
    B_v: Size,
    C_v: Size,
    e: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> None:
    """Pass 1: B_s rows of Q, e columns of f rows of K at a time. Pass 2: B_p rows of dO, e_v columns of f rows of V."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    P, dS = b.scratch("P", (n, n_k)), b.scratch("dS", (n, n_k))
    with b.tiles("i", n, B_s) as i, b.load(a.Q[i, :]) as q, b.load(a.L[i]) as l:
        with b.tiles("j", n_k, f) as j, b.zeros("s", i, j) as s:
            with b.tiles("c", d, e) as c, b.load(a.K[j, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            b.op("exp_shifted", s, l)
            b.store(s, P[i, j])
    with b.tiles("i", n, B_p) as i, b.load(a.dO[i, :]) as do, b.zeros("delta", i) as delta:
        with b.tiles("c", d_v, e_v) as c, b.load(a.O[i, c]) as o:
            b.op("add_row_dots", delta, do[:, c], o)
        with b.tiles("j", n_k, f) as j, b.zeros("s", i, j) as x:
            with b.tiles("c", d_v, e_v) as c, b.load(a.V[j, c]) as v:
                b.op("add_abt", x, do[:, c], v)
            with b.tiles("r", i.stop, h, start=i.start) as r, b.load(P[r, j]) as p:
                here = slice(r.start - i.start, r.stop - i.start)
                b.op("softmax_gradient", x[here, :], p, delta[here])
            b.op("divide_by_sqrt", x, of=d)
            b.store(x, dS[i, j])
    sizes = {"B_q": B_q, "C_q": C_q, "B_k": B_k, "C_k": C_k, "B_v": B_v, "C_v": C_v}
    products(b, a, P, dS, n=n, n_k=n_k, d=d, d_v=d_v, e=e, f=f, h=h, e_v=e_v, **sizes)


def tiles_io(*, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, B_c: Size, **sizes: Size) -> Size:
    """O and dO loaded, D stored; pass 1: Q, K, L loaded, P stored; pass 2: dO, V, D and P loaded, dS stored; pass 3.
    Units: words."""
    return (
        n * (2 * d_v + 1)
        + pair_tiles_io(n=n, n_k=n_k, depth=d + d_v, B_r=B_r, B_c=B_c)
        + 2 * n * ceil_div(n_k, B_c)
        + 3 * n * n_k
        + products_io(n=n, n_k=n_k, d=d, d_v=d_v, **sizes)
    )


def tiles_peak(*, B_r: Size, B_c: Size, e: Size, f: Size, h: Size, e_v: Size, **sizes: Size) -> Size:
    """D and pieces of dO and O; passes 1 and 2; D and a piece of P beside a tile of dP; pass 3. Units: words."""
    return maximum(
        h + 2 * h * e_v,
        pair_tiles_peak(B_r=B_r, B_c=B_c, e=e, f=f),
        pair_tiles_peak(B_r=B_r, B_c=B_c, e=e_v, f=f),
        B_r * B_c + within(h, B_r) + within(h, B_r) * within(f, B_c),
        *products_peaks(e=e, f=f, h=h, e_v=e_v, **sizes),
    )


def rows_io(*, n: Size, n_k: Size, d: Size, d_v: Size, B_s: Size, B_p: Size, **sizes: Size) -> Size:
    """Pass 1: Q and L once, K for each block of rows, P stored; pass 2: dO and O once, V for each block of rows, P loaded,
    dS stored; pass 3. Units: words."""
    return (
        n * (d + 1)
        + n_k * d * ceil_div(n, B_s)
        + 2 * n * d_v
        + n_k * d_v * ceil_div(n, B_p)
        + 3 * n * n_k
        + products_io(n=n, n_k=n_k, d=d, d_v=d_v, **sizes)
    )


def rows_peak(*, d: Size, d_v: Size, B_s: Size, B_p: Size, e: Size, f: Size, h: Size, e_v: Size, **sizes: Size) -> Size:
    """Pass 1: q, l, s and a piece of k; pass 2: dO, D, dP and a piece of v or P, or dO, D and a piece of O; pass 3.
    Units: words."""
    return maximum(
        B_s * (d + 1) + B_s * f + f * e,
        B_p * (d_v + 1) + B_p * f + maximum(f * e_v, within(h, B_p) * f),
        B_p * (d_v + 1) + B_p * e_v,
        *products_peaks(e=e, f=f, h=h, e_v=e_v, **sizes),
    )


two_pass_backward = Tiled(
    name="two-pass-backward",
    summary="backward pass with P and dS stored: the best in a small fast memory",
    source="this package; tiled matrix products, after Saha and Ye, arXiv 2402.07443, 2024",
    computes=GRADIENT,
    schedules=(
        Schedule(
            name="tiles",
            author=tiles,
            tiles={"B_r": "n", "B_c": "n_k", **PRODUCTS},
            streams=STREAMS,
            io=tiles_io,
            peak=tiles_peak,
        ),
        Schedule(
            name="rows",
            author=rows,
            tiles={"B_s": "n", "B_p": "n", **PRODUCTS},
            streams=STREAMS,
            io=rows_io,
            peak=rows_peak,
        ),
    ),
)
