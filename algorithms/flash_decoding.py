"""Flash-Decoding: a long K/V cache in chunks, each with a partial result of its own, and a reduction at the end.

For each chunk of B_s keys the rows of FlashAttention-2 are computed as if there were no others: O, row maxima and row sums
of the chunk are stored. The reduction then loads them chunk by chunk, rescales and adds. The chunks depend on nothing
of each other: that is what makes the order worth its traffic, on a machine of many fast memories, where few queries
(one, in decoding, or those of the heads that share the keys) would leave most of them idle.

With S = ceil(n_k/B_s) chunks it moves n d (S - 1) + 2 n (d_v + 2) S words more than flash2 with the same row tiles: Q once
more for each chunk after the first, and the partial results stored and loaded. One fast memory gains nothing from it, so
the tile rule, which minimises the traffic, always ends at one chunk; to see what S of them cost, ask for
`--tiles B_r=...,B_s=...`.
"""

from __future__ import annotations

from math import inf

from algorithms.shared.attention import arrays, within
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum


def chunks(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    B_s: Size,
    B_c: Size,
    e: Size,
    e_v: Size,
    f: Size,
) -> None:
    """K and V are streamed in pieces of B_c rows and e or e_v columns; the reduction works on f rows at a time.

    Row i of chunk s has its partial result in row s n + i of O_s, m_s and l_s.
    """
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    S = ceil_div(n_k, B_s)
    O_s, m_s, l_s = b.scratch("O_s", (S * n, d_v)), b.scratch("m_s", (S * n,)), b.scratch("l_s", (S * n,))
    with b.tiles("s", n_k, B_s) as s, b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", s.stop, B_c, start=s.start) as j:
            scores = b.zeros("s", i, j)
            with b.tiles("c", d, e) as c, b.load(K[j, c]) as k:
                b.op("add_abt", scores, q[:, c], k)
            b.op("divide_by_sqrt", scores, of=d)
            b.op("online_softmax", scores, m, l, o)
            with b.tiles("c", d_v, e_v) as c, b.load(V[j, c]) as v:
                b.op("add_ab", o[:, c], scores, v)
            b.free(scores)
        first = s.start // B_s * n
        rows = slice(first + i.start, first + i.stop)
        b.store(o, O_s[rows, :])
        b.store(m, m_s[rows])
        b.store(l, l_s[rows])
        b.free(q, o, m, l)
    with b.tiles("i", n, f) as i:
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("s", n_k, B_s) as s:
            first = s.start // B_s * n
            rows = slice(first + i.start, first + i.stop)
            with b.load(m_s[rows], "p") as p, b.load(l_s[rows], "r") as r:
                b.op("merge_statistics", m, l, p, r)
                with b.tiles("c", d_v, e_v) as c, b.load(O_s[rows, c], "y") as y:
                    b.op("merge_rows", o[:, c], y, p, r)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)


flash_decoding = Tiled(
    name="flash-decoding",
    summary="chunks of a K/V cache with partial results of their own, and a reduction",
    source="Dao, Haziza, Massa and Sizov, Flash-Decoding for long-context inference, 2023",
    schedules=(
        Schedule(
            name="chunks",
            author=chunks,
            tiles={"B_r": "n", "B_s": "n_k"},
            streams={"B_c": "n_k", "e": "d", "e_v": "d_v", "f": "n"},
            # K and V once for each row tile; Q for each chunk; partial O, m and l stored and loaded for each; O once
            io=lambda *, n, n_k, d, d_v, B_r, B_s, **_: (
                n_k * (d + d_v) * ceil_div(n, B_r) + (n * d + 2 * n * (d_v + 2)) * ceil_div(n_k, B_s) + n * d_v
            ),
            # q, o, m, l, the scores, a piece of k or v; or o, m, l, p, r and a piece of a partial o
            peak=lambda *, d, d_v, B_r, B_s, B_c, e, e_v, f, **_: maximum(
                B_r * (d + d_v + 2) + within(B_c, B_s) * (B_r + maximum(e, e_v)), f * (d_v + 4 + e_v)
            ),
        ),
    ),
)
