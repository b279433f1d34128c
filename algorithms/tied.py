"""FlashAttention-2's order where V is the first d_v columns of K: each row of K is loaded once for both products.

So it is in the absorbed form of multi-head latent attention (DeepSeek: d = 576, d_v = 512), where all query heads share one
latent key and value. The constant falls from (d + d_v)^2 to d (d + d_v), and no order has a smaller one in a fast memory of
(32/27) d (4d - 3 d_v) words or more (see iosim.bounds.exact).
"""

from __future__ import annotations

from math import inf

from iosim import Builder, Schedule, Size, Tiled, ceil_div


def rows(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, B_c: Size) -> None:
    """K is streamed in pieces of B_c rows (one row: B_c = 1)."""
    Q, K = b.input("Q", (n, d)), b.input("K", (n_k, d))
    O = b.output("O", (n, d_v), needs="O[i,l] <- Q[i,:], K[:,:]")
    with b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", n_k, B_c) as j, b.load(K[j, :]) as k:
            b.op("attend", o, m, l, q, k, k[:, :d_v], of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


tied = Tiled(
    name="tied",
    summary="FlashAttention-2 order for values that are columns of the keys (multi-head latent attention)",
    source="this package; DeepSeek-AI, DeepSeek-V2, arXiv 2405.04434, 2024 (the absorbed form)",
    schedules=(
        Schedule(
            name="rows",
            author=rows,
            tiles={"B_r": "n"},
            streams={"B_c": "n_k"},
            # Q and O once, K once for each row tile
            io=lambda *, n, n_k, d, d_v, B_r, **_: n * (d + d_v) + n_k * d * ceil_div(n, B_r),
            # q, o, m, l; a row of k; one score and the new maximum
            peak=lambda *, d, d_v, B_r, B_c, **_: B_r * (d + d_v + 2) + B_c * d + 2,
            tied=True,
        ),
    ),
)
