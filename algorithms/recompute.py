"""Scores computed once for each group of columns of V: for values wider than keys.

FlashAttention-2's order keeps d + d_v words for each query. If d_v > d, it is better to keep d + B_d of them, and to go over
the keys once for each group of B_d columns of V: 4 n^2 d d_v / M words instead of n^2 (d + d_v)^2 / M, for B_d = d. No order
without recomputation does as well (see iosim.bounds.exact). If sums take w words, as in fp32 beside w times fewer bits,
B_d = d/sqrt(w) is best, and it pays for d_v > d/sqrt(w) already: with w = 4 and d_v = d, 9 n^2 d^2 / M in place of 10.
"""

from __future__ import annotations

from math import inf

from algorithms.shared.attention import arrays, within
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum


def groups(
    b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, B_d: Size, B_c: Size, e: Size, e_v: Size
) -> None:
    """B_d columns of V at a time; K and V are streamed word by word (B_c = e = e_v = 1)."""
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    with b.tiles("x", d_v, B_d) as x, b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, x), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n_k, B_c) as j:
            s = b.zeros("s", i, j)
            with b.tiles("c", d, e) as c, b.load(K[j, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", x.stop, e_v, start=x.start) as c, b.load(V[j, c]) as v:
                b.op("add_ab", o[:, c.start - x.start : c.stop - x.start], s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[i, x])
        b.free(q, o, m, l)


recompute = Tiled(
    name="recompute",
    summary="FlashAttention-2 order over groups of columns of V, scores recomputed for each: for d_v > d",
    source="this package",
    schedules=(
        Schedule(
            name="groups",
            author=groups,
            tiles={"B_r": "n", "B_d": "d_v"},
            streams={"B_c": "n_k", "e": "d", "e_v": "d_v"},
            # for each group: Q, and K once for each row tile; V once for each row tile; O stored
            io=lambda *, n, n_k, d, d_v, B_r, B_d, **_: (
                n * d * ceil_div(d_v, B_d)
                + n_k * d * ceil_div(d_v, B_d) * ceil_div(n, B_r)
                + n_k * d_v * ceil_div(n, B_r)
                + n * d_v
            ),
            # q, o, m, l and the scores; a word of k or v, or one word for the new maximum
            peak=lambda *, d, B_r, B_d, B_c, e, e_v, **_: (
                B_r * (d + B_d + 2) + B_r * B_c + B_c * maximum(e, within(e_v, B_d))
            ),
            recomputes=True,
        ),
    ),
)
