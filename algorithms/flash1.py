"""FlashAttention's order: a block of keys and values stays in fast memory, the rows of Q, O and statistics pass by.

O is kept divided by the row sums found so far, and moves to slow memory and back for each block of keys. The published
tiles B_c = ceil(M/4d), B_r = min(B_c, d) leave out the scores and the statistics: with the scores, the blocks of a long
input need more than M words for M < 8d^2, with both for M < 8d^2 + 12d. The best tiles are a block as large as fits and
rows passing by word by word.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from algorithms.shared.attention import arrays
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum


def streamed(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_c: Size, B_r: Size, e: Size, e_v: Size) -> None:
    """Q and O pass by in pieces of B_r rows and e or e_v columns (one word: B_r = e = e_v = 1).

    For the first block O, m and l are known (0, -inf, 0): they are created, not loaded.
    """
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    M, L = b.scratch("M", (n,)), b.scratch("L", (n,))
    for first in (True, False):
        start, stop = (0, B_c) if first else (B_c, n_k)
        with b.tiles("j", stop, B_c, start=start) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            with b.tiles("i", n, B_r) as i:
                s = b.zeros("s", i, j)
                with b.tiles("c", d, e) as c, b.load(Q[i, c]) as q:
                    b.op("add_abt", s, q, k[:, c])
                b.op("divide_by_sqrt", s, of=d)
                m = b.full("m", i, fill=-inf) if first else b.load(M[i])
                l = b.zeros("l", i) if first else b.load(L[i])
                a = b.empty("a", i)
                b.op("rescaling_softmax", s, m, l, a)
                b.store(m, M[i])
                b.store(l, L[i])
                b.free(m, l)
                with b.tiles("c", d_v, e_v) as c:
                    o = b.zeros("o", i, c) if first else b.load(O[i, c])
                    if not first:
                        b.op("scale_rows", o, a)
                    b.op("add_ab", o, s, v[:, c])
                    b.store(o, O[i, c])
                    b.free(o)
                b.free(s, a)


def published(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_c: Size, B_r: Size) -> None:
    """Algorithm 1 of the paper: O, l and m start in slow memory; blocks of all four move whole."""
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    M, L = b.scratch("M", (n,)), b.scratch("L", (n,))
    with b.tiles("i", n, B_r) as i:
        with b.zeros("o", i, d_v) as o:
            b.store(o, O[i, :])
        with b.zeros("l", i) as l:
            b.store(l, L[i])
        with b.full("m", i, fill=-inf) as m:
            b.store(m, M[i])
    with b.tiles("j", n_k, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
        with b.tiles("i", n, B_r) as i:
            q, o, l, m = b.load(Q[i, :]), b.load(O[i, :]), b.load(L[i]), b.load(M[i])
            s = b.zeros("s", i, j)
            b.op("add_abt", s, q, k)
            b.op("divide_by_sqrt", s, of=d)
            a = b.empty("a", i)
            b.op("rescaling_softmax", s, m, l, a)
            b.op("scale_rows", o, a)
            b.op("add_ab", o, s, v)
            b.store(o, O[i, :])
            b.store(l, L[i])
            b.store(m, M[i])
            b.free(q, o, l, m, s, a)


def published_tiles(axes: Mapping[str, int], capacity: int) -> dict[str, int]:
    """Line 1 of the paper's Algorithm 1: B_c = ceil(M/4d), B_r = min(B_c, d), neither longer than its axis."""
    B_c = -(-capacity // (4 * axes["d"]))
    return {"B_c": min(B_c, axes["n_k"]), "B_r": min(B_c, axes["d"], axes["n"])}


flash1 = Tiled(
    name="flash1",
    summary="FlashAttention order: blocks of K and V stay, Q, O and the statistics pass by",
    source="Dao, Fu, Ermon, Rudra and Re, FlashAttention, NeurIPS 2022, Algorithm 1",
    schedules=(
        Schedule(
            name="streamed",
            author=streamed,
            tiles={"B_c": "n_k"},
            streams={"B_r": "n", "e": "d", "e_v": "d_v"},
            # K and V once; for each block: Q loaded, O, m and l loaded (not for the first) and stored
            io=lambda *, n, n_k, d, d_v, B_c, **_: (
                n_k * (d + d_v) - n * d_v - 2 * n + (n * d + 2 * n * d_v + 4 * n) * ceil_div(n_k, B_c)
            ),
            # k, v and the scores of the passing rows; a piece of q, their m, l and factor of o, or the factor and a
            # piece of o
            peak=lambda *, d, d_v, B_c, B_r, e, e_v, **_: B_c * (d + d_v) + B_r * B_c + B_r * maximum(e, 3, 1 + e_v),
        ),
        Schedule(
            name="published",
            author=published,
            tiles={"B_c": "n_k", "B_r": "n"},
            # the initial values of O, m and l; K and V once; for each block Q loaded, O, m and l loaded and stored
            io=lambda *, n, n_k, d, d_v, B_c, **_: (
                n * d_v + 2 * n + n_k * (d + d_v) + (n * d + 2 * n * d_v + 4 * n) * ceil_div(n_k, B_c)
            ),
            # k and v, q and o, the scores, and m, l and the factor of o
            peak=lambda *, d, d_v, B_c, B_r, **_: (B_c + B_r) * (d + d_v) + B_r * B_c + 3 * B_r,
            published=published_tiles,
            searched=False,
        ),
    ),
)
