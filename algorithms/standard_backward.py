"""The standard backward pass: every matrix of pairs is stored in slow memory, and loaded where it is needed.

1.  S = Q K^T/sqrt(d), stored
2.  P = exp(S - L), S loaded, P stored (FlashAttention's Algorithm 3 is given P instead)
3.  dV = P^T dO
4.  dP = dO V^T, stored
5.  dS = P * (dP - D)/sqrt(d) with D = rowsum(dO * O), P and dP loaded, dS stored
6.  dQ = dS K
7.  dK = dS^T Q
"""

from __future__ import annotations

from algorithms.shared.gradient import PRODUCTS, STREAMS, arrays, products, products_io, products_peaks
from algorithms.shared.products import pair_tiles, pair_tiles_io, pair_tiles_peak, scores
from iosim import GRADIENT, Builder, Schedule, Size, Tiled, maximum


def seven_passes(
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
    """Passes 2 and 5: h rows, f columns at a time (one word: h = f = 1). dV is computed last, as its order is free."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    S, P, dP, dS = (b.scratch(name, (n, n_k)) for name in ("S", "P", "dP", "dS"))
    scores(b, a.Q, a.K, S, n=n, n_k=n_k, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
    with b.tiles("i", n, h) as i, b.load(a.L[i]) as l, b.tiles("j", n_k, f) as j, b.load(S[i, j]) as s:
        b.op("exp_shifted", s, l)
        b.store(s, P[i, j])
    pair_tiles(
        b, a.dO, a.V, lambda s, i, j: b.store(s, dP[i, j]), n=n, n_k=n_k, depth=d_v, B_r=B_r, B_c=B_c, e=e_v, f=f
    )
    with b.tiles("i", n, h) as i, b.zeros("delta", i) as delta:
        with b.tiles("c", d_v, e_v) as c, b.load(a.dO[i, c]) as do, b.load(a.O[i, c]) as o:
            b.op("add_row_dots", delta, do, o)
        with b.tiles("j", n_k, f) as j, b.load(dP[i, j]) as x:
            with b.load(P[i, j]) as p:
                b.op("softmax_gradient", x, p, delta)
            b.op("divide_by_sqrt", x, of=d)
            b.store(x, dS[i, j])
    sizes = {"B_q": B_q, "C_q": C_q, "B_k": B_k, "C_k": C_k, "B_v": B_v, "C_v": C_v}
    products(b, a, P, dS, n=n, n_k=n_k, d=d, d_v=d_v, e=e, f=f, h=h, e_v=e_v, **sizes)


def io(*, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, B_c: Size, **sizes: Size) -> Size:
    """Passes 1 and 4: Q, K, dO, V loaded, S and dP stored; pass 2: L, S loaded, P stored; pass 5: dO, O, dP, P loaded, dS
    stored; the products. Units: words."""
    return (
        pair_tiles_io(n=n, n_k=n_k, depth=d + d_v, B_r=B_r, B_c=B_c)
        + 7 * n * n_k
        + n * (1 + 2 * d_v)
        + products_io(n=n, n_k=n_k, d=d, d_v=d_v, **sizes)
    )


def peak(*, B_r: Size, B_c: Size, e: Size, f: Size, h: Size, e_v: Size, **sizes: Size) -> Size:
    """Passes 1 and 4; pass 5: D and pieces of dO and O, or of dP and P; the products. Units: words."""
    return maximum(
        pair_tiles_peak(B_r=B_r, B_c=B_c, e=e, f=f),
        pair_tiles_peak(B_r=B_r, B_c=B_c, e=e_v, f=f),
        h + 2 * h * maximum(e_v, f),
        *products_peaks(e=e, f=f, h=h, e_v=e_v, **sizes),
    )


standard_backward = Tiled(
    name="standard-backward",
    summary="standard backward pass: S, P, dP and dS stored in slow memory, tiled matrix products",
    source="Dao et al., FlashAttention, NeurIPS 2022, Algorithm 3; tiles by exact counting",
    computes=GRADIENT,
    schedules=(
        Schedule(
            name="seven passes",
            author=seven_passes,
            tiles={"B_r": "n", "B_c": "n_k", **PRODUCTS},
            streams=STREAMS,
            io=io,
            peak=peak,
        ),
    ),
)
