"""FlashAttention-2's backward pass: a block of K, V, dK and dV stays in fast memory, the queries pass by.

dQ moves to slow memory and back for each block of keys. Each pair of a block and a query moves Q, dO, dQ twice, L and D:
3d + d_v + 2 words, and a block of B_c keys takes 2(d + d_v) B_c words, so that for d_v = d the traffic is 16 n^2 d^2/M to
leading order.

    words   rows of Q, words of dO and dQ; the first block computes D and needs no dQ
    blocks  as published: a pass before computes D and sets dQ to 0; blocks of all arrays move whole

The transposed order keeps a block of Q, dO and dQ, and lets K, V, dK and dV pass by: 3(d + d_v) words for each pair of a
block and a key, and (2d + d_v) B_r words a block, that is 18 n^2 d^2/M. It is the better one if one block will do: then it
moves each input and each output once.
"""

from __future__ import annotations

from algorithms.shared.gradient import (
    SOURCE,
    arrays,
    key_block,
    key_block_peak,
    probabilities,
    query_block,
    query_block_peak,
)
from iosim import GRADIENT, Builder, Mask, Problem, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import Index, TileHandle


def words(
    b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, B_c: Size, f: Size, e: Size, e_v: Size
) -> None:
    """f rows of Q, e_v columns of dO and e columns of dQ in them pass by (one row, one word: f = e = e_v = 1)."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v, mask=mask)
    D = b.scratch("D", (n,))
    for first in (True, False):

        def use(x: TileHandle, i: Index, k: TileHandle, *, first: bool = first) -> None:
            with b.tiles("c", d, e) as c:
                dq = b.zeros("dq", i, c) if first else b.load(a.dQ[i, c])
                b.op("add_ab", dq, x, k[:, c])
                b.store(dq, a.dQ[i, c])
                b.free(dq)

        start, stop = (0, B_c) if first else (B_c, n_k)
        with b.tiles("j", stop, B_c, start=start) as j:
            key_block(b, a, D, j, n=n, n_k=n_k, d=d, d_v=d_v, mask=mask, f=f, e_v=e_v, first=first, use=use)


def words_io(*, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, B_c: Size, **_: Size) -> Size:
    """K, V, dK, dV once; for each block the queries that it meets: Q, dO, L loaded, dQ stored; in the first block, which all
    queries meet, O loaded and D stored, in the others dQ and D loaded. Units: words."""
    met = mask.transposed.met(n_k, n, B_c)
    return 2 * n_k * (d + d_v) + met * (2 * d + d_v + 1) + n * (d_v + 1) + (met - n) * (d + 1)


def first_block_meets_all(problem: Problem) -> str | None:
    """What the orders are for in which the first block of keys begins all of dQ."""
    every = isinstance(problem.mask, Mask) and problem.mask.back is None
    return None if every else "a mask in which every query meets the first key"


def blocks(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, B_c: Size, B_r: Size) -> None:
    """Algorithm 2 of the paper."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v, mask=mask)
    D = b.scratch("D", (n,))
    with b.tiles("i", n, B_r) as i:
        with b.zeros("dq", i, d) as dq:
            b.store(dq, a.dQ[i, :])
        with b.load(a.dO[i, :]) as do, b.load(a.O[i, :]) as o, b.zeros("delta", i) as delta:
            b.op("add_row_dots", delta, do, o)
            b.store(delta, D[i])
    with b.tiles("j", n_k, B_c) as j:
        k, v, dk, dv = b.load(a.K[j, :]), b.load(a.V[j, :]), b.zeros("dk", j, d), b.zeros("dv", j, d_v)
        queries = mask.transposed.span(j.span, n_k, n)
        with b.tiles("i", queries.stop, B_r, start=queries.start) as i:
            q, do, l, delta = b.load(a.Q[i, :]), b.load(a.dO[i, :]), b.load(a.L[i]), b.load(D[i], "delta")
            p = probabilities(b, q, k, i, j, n=n, n_k=n_k, d=d, mask=mask)
            b.op("exp_shifted", p, l)
            b.op("add_atb", dv, p, do)
            x = b.zeros("ds", i, j)
            b.op("add_abt", x, do, v)
            b.op("softmax_gradient", x, p, delta)
            b.op("divide_by_sqrt", x, of=d)
            with b.load(a.dQ[i, :]) as dq:
                b.op("add_ab", dq, x, k)
                b.store(dq, a.dQ[i, :])
            b.op("add_atb", dk, x, q)
            b.free(q, do, l, delta, p, x)
        b.store(dk, a.dK[j, :])
        b.store(dv, a.dV[j, :])
        b.free(k, v, dk, dv)


def blocks_io(*, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask, B_c: Size, **_: Size) -> Size:
    """The pass before: dO and O loaded, dQ and D stored. Then K, V, dK, dV once, and for each block the queries that it
    meets: Q, dO, L, D and dQ loaded, dQ stored. Units: words."""
    met = mask.transposed.met(n_k, n, B_c)
    return n * (2 * d_v + d + 1) + 2 * n_k * (d + d_v) + met * (3 * d + d_v + 2)


flash2_backward = Tiled(
    name="flash2-backward",
    summary="backward pass, FlashAttention-2 order: blocks of K, V, dK, dV stay, the queries pass by",
    source=f"{SOURCE} (order); tiles by exact counting",
    computes=GRADIENT,
    schedules=(
        Schedule(
            name="words",
            author=words,
            tiles={"B_c": "n_k"},
            streams={"f": "n", "e": "d", "e_v": "d_v"},
            io=words_io,
            peak=lambda *, d, d_v, B_c, f, e_v, **_: key_block_peak(d=d, d_v=d_v, B_c=B_c, f=f, e_v=e_v, first=True),
            refuses=first_block_meets_all,
        ),
        Schedule(
            name="blocks",
            author=blocks,
            tiles={"B_c": "n_k", "B_r": "n"},
            io=blocks_io,
            # k, v, dk, dv; q, dO, dQ, L and D; P and dP; or the pass before, with dO, O and D
            peak=lambda *, d, d_v, B_c, B_r, **_: maximum(
                2 * B_c * (d + d_v) + B_r * (2 * d + d_v + 2) + 2 * B_r * B_c, B_r * (2 * d_v + 1)
            ),
            searched=False,
            refuses=first_block_meets_all,
        ),
    ),
)


def transposed(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, f: Size, e: Size, e_v: Size) -> None:
    """f rows of K, e_v columns of V and dV and e columns of dK in them pass by. For the first block dK and dV are 0."""
    a = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    for first in (True, False):
        start, stop = (0, B_r) if first else (B_r, n)
        with b.tiles("i", stop, B_r, start=start) as i:
            query_block(b, a, i, n=n, n_k=n_k, d=d, d_v=d_v, f=f, e=e, e_v=e_v, mask=Mask(), D=None, first=first)


transposed_backward = Tiled(
    name="transposed-backward",
    summary="backward pass: blocks of Q, dO, dQ stay, K, V, dK, dV pass by",
    source="this package; the loops of FlashAttention-2's Algorithm 2 exchanged",
    computes=GRADIENT,
    schedules=(
        Schedule(
            name="words",
            author=transposed,
            tiles={"B_r": "n"},
            streams={"f": "n_k", "e": "d", "e_v": "d_v"},
            # Q, O, dO, L and dQ once; for each block K and V loaded, dK and dV loaded (not for the first) and stored
            io=lambda *, n, n_k, d, d_v, B_r, **_: (
                n * (2 * d + 2 * d_v + 1) + 3 * n_k * (d + d_v) * ceil_div(n, B_r) - n_k * (d + d_v)
            ),
            peak=lambda *, d, d_v, B_r, f, e_v, **_: query_block_peak(d=d, d_v=d_v, B_r=B_r, f=f, e_v=e_v),
        ),
    ),
)
