"""One fused loop for a small fast memory: a tile of scores stays, everything else passes by.

The fused orders keep the scores in fast memory; this is the best of them where rows of Q and O do not fit. It is there to
be compared with: storing the scores (two-pass) moves fewer words, 4 against 2 sqrt(6) = 4.899 n^2 d/sqrt(M) at best, and no
fused order does better than 4.828 (see iosim.bounds.exact).
"""

from __future__ import annotations

from math import inf

from algorithms.shared.attention import arrays, within
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum


def columns(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    B_c: Size,
    e: Size,
    f: Size,
    e_v: Size,
) -> None:
    """A tile of B_r rows and B_c columns of S; e columns of Q and e_v of O pass by, f rows of K and V in them.

    O is kept divided by the row sums found so far. For the first tile of a row O is created, not loaded.
    """
    Q, K, V, O = arrays(b, n=n, n_k=n_k, d=d, d_v=d_v)
    with b.tiles("i", n, B_r) as i:
        m, l = b.full("m", i, fill=-inf), b.zeros("l", i)
        for first in (True, False):
            start, stop = (0, B_c) if first else (B_c, n_k)
            with b.tiles("j", stop, B_c, start=start) as j:
                s = b.zeros("s", i, j)
                with b.tiles("c", d, e) as c, b.load(Q[i, c]) as q:
                    with b.tiles("y", j.stop, f, start=j.start) as y, b.load(K[y, c]) as k:
                        b.op("add_abt", s[:, y.start - j.start : y.stop - j.start], q, k)
                b.op("divide_by_sqrt", s, of=d)
                a = b.empty("a", i)
                b.op("rescaling_softmax", s, m, l, a)
                with b.tiles("c", d_v, e_v) as c:
                    o = b.zeros("o", i, c) if first else b.load(O[i, c])
                    if not first:
                        b.op("scale_rows", o, a)
                    with b.tiles("y", j.stop, f, start=j.start) as y, b.load(V[y, c]) as v:
                        b.op("add_ab", o, s[:, y.start - j.start : y.stop - j.start], v)
                    b.store(o, O[i, c])
                    b.free(o)
                b.free(s, a)
        b.free(m, l)


fused = Tiled(
    name="fused",
    summary="a tile of scores stays, columns of Q, K, V and O pass by: the fused order of a small fast memory",
    source="this package; the order of FlashAttention with tiles of scores instead of rows",
    schedules=(
        Schedule(
            name="columns",
            author=columns,
            tiles={"B_r": "n", "B_c": "n_k"},
            streams={"e": "d", "f": "n_k", "e_v": "d_v"},
            # K and V once for each row tile; Q for each column tile, O stored for each and loaded for all but the first
            io=lambda *, n, n_k, d, d_v, B_r, B_c, **_: (
                n_k * (d + d_v) * ceil_div(n, B_r) + (n * d + 2 * n * d_v) * ceil_div(n_k, B_c) - n * d_v
            ),
            # the scores, m, l; a column of q and a word of k, or the factor of o, a column of o and a word of v
            peak=lambda *, B_r, B_c, e, f, e_v, **_: (
                B_r * B_c + 2 * B_r + maximum(B_r * e + within(f, B_c) * e, B_r + B_r * e_v + within(f, B_c) * e_v)
            ),
        ),
    ),
)
