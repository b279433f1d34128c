"""Standard attention: the scores S and the probabilities P are stored in slow memory, three passes.

    1.  S = Q K^T / sqrt(d), a tile of S at a time, Q and K word by word
    2.  P = softmax(S), row by row
    3.  O = P V, a tile of O at a time, P and V word by word

Pass 2 loads S once if a row of scores fits in fast memory, else twice.
"""

from __future__ import annotations

from math import inf

from algorithms.shared.attention import NEEDS, within
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle


def scores(b: Builder, S: ArrayHandle, *, n: Size, n_k: Size, d: Size, B_r: Size, B_c: Size, e: Size, f: Size) -> None:
    """Pass 1: e columns of a tile of Q at a time, f rows of K in them."""
    Q, K = b.input("Q", (n, d)), b.input("K", (n_k, d))
    with b.tiles("i", n, B_r) as i, b.tiles("j", n_k, B_c) as j:
        with b.zeros("s", i, j) as s:
            with b.tiles("c", d, e) as c, b.load(Q[i, c]) as q:
                with b.tiles("y", j.stop, f, start=j.start) as y, b.load(K[y, c]) as k:
                    b.op("add_abt", s[:, y.start - j.start : y.stop - j.start], q, k)
            b.op("divide_by_sqrt", s, of=d)
            b.store(s, S[i, j])


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
    scores(b, S, n=n, n_k=n_k, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
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
    scores(b, S, n=n, n_k=n_k, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
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
    first = n * d * ceil_div(n_k, B_c) + n_k * d * ceil_div(n, B_r) + n * n_k
    return first + n * n_k * ceil_div(d_v, B_d) + n_k * d_v * ceil_div(n, B_o) + n * d_v


def product_peaks(
    *, B_r: Size, B_c: Size, B_o: Size, B_d: Size, e: Size, f: Size, e_v: Size, **_: Size
) -> tuple[Size, Size]:
    """A tile of S, a column of q and a word of k; a tile of O, a column of p and a word of v (for e = f = e_v = 1).
    Units: words."""
    return B_r * B_c + B_r * e + within(f, B_c) * e, B_o * B_d + B_o * f + f * within(e_v, B_d)


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
