"""Standard attention: the scores S and the probabilities P are stored in slow memory, three passes.

    1.  S = Q K^T / sqrt(d), a tile of S at a time, Q and K word by word
    2.  P = softmax(S), row by row
    3.  O = P V, a tile of O at a time, P and V word by word

Pass 2 loads S once if a row of scores fits in fast memory, else twice.
"""

from __future__ import annotations

from math import inf

from algorithms.shared.attention import NEEDS
from algorithms.shared.products import pair_tiles_io, pair_tiles_peak, product_io, product_peak, scores
from iosim import Builder, Schedule, Size, Tiled, maximum
from iosim.builder import ArrayHandle


def outputs(
    b: Builder, P: ArrayHandle, *, n: Size, n_k: Size, d_v: Size, B_o: Size, B_d: Size, f: Size, e_v: Size
) -> None:
    """Pass 3: f columns of a tile of P at a time, e_v columns of V in them."""
    V, O = b.input("V", (n_k, d_v)), b.output("O", (n, d_v), needs=NEEDS)
    with b.tiles("i", n, B_o) as i, b.tiles("c", d_v, B_d) as c:
        with b.zeros("o", i, c) as o:
            with b.tiles("j", n_k, f) as j, b.load(P[i, j]) as p:
                with b.tiles("x", c.stop, e_v, start=c.start) as x, b.load(V[j, x]) as v:
                    b.op("add_ab", o[:, x.start - c.start : x.stop - c.start], p, v)
            b.store(o, O[i, c])


def whole_rows(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    B_c: Size,
    B_o: Size,
    B_d: Size,
    e: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> None:
    """Pass 2 with h whole rows of S in fast memory."""
    S, P = b.scratch("S", (n, n_k)), b.scratch("P", (n, n_k))
    Q, K = b.input("Q", (n, d)), b.input("K", (n_k, d))
    scores(b, Q, K, S, n=n, n_k=n_k, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
    with b.tiles("i", n, h) as i, b.load(S[i, :]) as s:
        with b.full("m", i, fill=-inf) as m, b.zeros("l", i) as l:
            b.op("row_statistics", m, l, s)
            b.op("softmax", s, m, l)
        b.store(s, P[i, :])
    outputs(b, P, n=n, n_k=n_k, d_v=d_v, B_o=B_o, B_d=B_d, f=f, e_v=e_v)


def two_sweeps(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    B_c: Size,
    B_o: Size,
    B_d: Size,
    e: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> None:
    """Pass 2 with pieces of h rows and f columns of S: once for the row statistics, once more for P."""
    S, P = b.scratch("S", (n, n_k)), b.scratch("P", (n, n_k))
    Q, K = b.input("Q", (n, d)), b.input("K", (n_k, d))
    scores(b, Q, K, S, n=n, n_k=n_k, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
    with b.tiles("i", n, h) as i, b.full("m", i, fill=-inf) as m, b.zeros("l", i) as l:
        with b.tiles("j", n_k, f) as j, b.load(S[i, j]) as s:
            b.op("row_statistics", m, l, s)
        with b.tiles("j", n_k, f) as j, b.load(S[i, j]) as s:
            b.op("softmax", s, m, l)
            b.store(s, P[i, j])
    outputs(b, P, n=n, n_k=n_k, d_v=d_v, B_o=B_o, B_d=B_d, f=f, e_v=e_v)


def products(*, n: Size, n_k: Size, d: Size, d_v: Size, B_r: Size, B_c: Size, B_o: Size, B_d: Size, **_: Size) -> Size:
    """Passes 1 and 3: Q once for each column of tiles and K for each row, S stored; P once for each column of tiles and
    V for each row, O stored. Units: words."""
    first = pair_tiles_io(n=n, n_k=n_k, depth=d, B_r=B_r, B_c=B_c) + n * n_k
    return first + product_io(rows=n, columns=d_v, inner=n_k, B=B_o, B_x=B_d)


def product_peaks(
    *, B_r: Size, B_c: Size, B_o: Size, B_d: Size, e: Size, f: Size, e_v: Size, **_: Size
) -> tuple[Size, Size]:
    """A tile of S, a column of q and a word of k; a tile of O, a column of p and a word of v (for e = f = e_v = 1).
    Units: words."""
    return pair_tiles_peak(B_r=B_r, B_c=B_c, e=e, f=f), product_peak(B=B_o, B_x=B_d, f=f, e=e_v)


_TILES = {"B_r": "n", "B_c": "n_k", "B_o": "n", "B_d": "d_v"}
_STREAMS = {"e": "d", "f": "n_k", "h": "n", "e_v": "d_v"}

standard = Tiled(
    name="standard",
    summary="standard attention: S and P stored in slow memory, tiled matrix products",
    source="Dao et al., FlashAttention, NeurIPS 2022, Algorithm 0; tiles by exact counting",
    schedules=(
        Schedule(
            name="whole rows",
            author=whole_rows,
            tiles=_TILES,
            streams=_STREAMS,
            # pass 2: S loaded, P stored
            io=lambda **sizes: products(**sizes) + 2 * sizes["n"] * sizes["n_k"],
            # pass 2: a row of S, m, l and one word for the new maximum
            peak=lambda *, n_k, h, **sizes: maximum(*product_peaks(**sizes), h * n_k + 2 * h + 1),
        ),
        Schedule(
            name="two sweeps",
            author=two_sweeps,
            tiles=_TILES,
            streams=_STREAMS,
            # pass 2: S loaded twice, P stored
            io=lambda **sizes: products(**sizes) + 3 * sizes["n"] * sizes["n_k"],
            # pass 2: a score, m, l and one word for the new maximum
            peak=lambda *, f, h, **sizes: maximum(*product_peaks(f=f, **sizes), h * f + 2 * h + 1),
        ),
    ),
)
