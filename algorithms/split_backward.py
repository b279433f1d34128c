"""The backward pass in two sweeps, so that no gradient moves more than once.

sweeps  one sweep with blocks of queries for dQ, one with blocks of keys for dK and dV; P and dS computed in each:
        ((2d + d_v)(d + d_v) + 2(d + d_v)^2) n^2/M words, that is 14 n^2 d^2/M for d_v = d
stored  one sweep with blocks of keys for dK and dV, which stores dS; then dQ = dS K as a tiled product:
        9 n^2 d^2/M + 2 n^2, the better one for M from about d^2 to 2.5 d^2
"""

from __future__ import annotations

from algorithms.shared.gradient import (
    SOURCE,
    arrays,
    key_block,
    key_block_peak,
    passing,
    query_block,
    query_block_peak,
    some_key_alone,
)
from algorithms.shared.products import product, product_io, product_peak
from iosim import GRADIENT, Builder, Mask, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import Index, TileHandle


def sweeps(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    B_r: Size,
    B_c: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> None:
    """First sweep: f rows of K, e_v columns of V in them pass by; it stores D. Second: h rows of Q, e_v columns of dO."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v, mask=mask)
    D = b.scratch("D", (n,))
    with b.tiles("i", n, B_r) as i:
        query_block(b, a, i, n=n, n_k=n_k, d=d, d_v=d_v, f=f, e_v=e_v, mask=mask, D=D, first=None)
    with b.tiles("j", n_k, B_c) as j:
        key_block(b, a, D, j, n=n, n_k=n_k, d=d, d_v=d_v, f=h, e_v=e_v, mask=mask, first=False, use=lambda *_: None)


def sweeps_io(*, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, B_r: Size, B_c: Size, **_: Size) -> Size:
    """First sweep: Q, O, dO, L loaded, dQ and D stored, K and V for each block of queries, as far as they meet. Second: K, V
    loaded, dK and dV stored, Q, dO, L and D for each block of keys, as far as they meet. Units: words."""
    first = n * (2 * d + 2 * d_v + 2) + (d + d_v) * mask.met(n, n_k, B_r)
    return first + 2 * n_k * (d + d_v) + (d + d_v + 2) * mask.transposed.met(n_k, n, B_c)


def sweeps_peak(
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    B_r: Size,
    B_c: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> Size:
    """Of either sweep. Units: words."""
    f, h = passing(mask, n, n_k, B_r, f), passing(mask.transposed, n_k, n, B_c, h)
    return maximum(
        query_block_peak(d=d, d_v=d_v, B_r=B_r, f=f, e_v=e_v),
        key_block_peak(d=d, d_v=d_v, B_c=B_c, f=h, e_v=e_v, first=False),
    )


def stored(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_c: Size,
    B_q: Size,
    B_d: Size,
    f: Size,
    h: Size,
    e: Size,
    e_v: Size,
) -> None:
    """The sweep: h rows of Q, e_v columns of dO in them pass by. The product: f columns of dS, e columns of K in them."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    D, dS = b.scratch("D", (n,)), b.scratch("dS", (n, n_k))
    for first in (True, False):
        start, stop = (0, B_c) if first else (B_c, n_k)
        with b.tiles("j", stop, B_c, start=start) as j:

            def use(x: TileHandle, i: Index, _: TileHandle, *, j: Index = j) -> None:
                b.store(x, dS[i, j])

            key_block(b, a, D, j, n=n, n_k=n_k, d=d, d_v=d_v, f=h, e_v=e_v, first=first, use=use)
    product(b, a.dQ, dS, a.K, rows=n, columns=d, inner=n_k, B=B_q, B_x=B_d, f=f, e=e, transposed=False)


split_backward = Tiled(
    name="split-backward",
    summary="backward pass in two sweeps: dQ by blocks of queries, dK and dV by blocks of keys",
    source=f"this package; the two loops of {SOURCE}, one after the other",
    computes=GRADIENT,
    schedules=(
        Schedule(
            name="sweeps",
            author=sweeps,
            tiles={"B_r": "n", "B_c": "n_k"},
            streams={"f": "n_k", "h": "n", "e_v": "d_v"},
            io=sweeps_io,
            peak=sweeps_peak,
            recomputes=True,
            refuses=some_key_alone,
        ),
        Schedule(
            name="stored",
            author=stored,
            tiles={"B_c": "n_k", "B_q": "n", "B_d": "d"},
            streams={"f": "n_k", "h": "n", "e": "d", "e_v": "d_v"},
            # K, V, dK, dV once; O once, D stored, and loaded for all blocks but the first; Q, dO, L for each block; dS
            io=lambda *, n, n_k, d, d_v, B_c, B_q, B_d, **_: (
                2 * n_k * (d + d_v)
                + n * d_v
                + n * (d + d_v + 2) * ceil_div(n_k, B_c)
                + n * n_k
                + product_io(rows=n, columns=d, inner=n_k, B=B_q, B_x=B_d)
            ),
            peak=lambda *, d, d_v, B_c, B_q, B_d, f, h, e, e_v, **_: maximum(
                key_block_peak(d=d, d_v=d_v, B_c=B_c, f=h, e_v=e_v, first=True),
                product_peak(B=B_q, B_x=B_d, f=f, e=e),
            ),
        ),
    ),
)
