"""Standard attention: the scores S and the probabilities P are stored in slow memory, three passes.

    1.  S = Q K^T / sqrt(d), a tile of S at a time, Q and K word by word
    2.  P = softmax(S), row by row
    3.  O = P V, a tile of O at a time, P and V word by word

Pass 2 loads S once if a row of scores fits in fast memory, else twice.
"""

from __future__ import annotations

from math import inf

from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum, minimum
from iosim.builder import ArrayHandle

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l]"


def scores(b: Builder, S: ArrayHandle, *, n: Size, d: Size, B_r: Size, B_c: Size, e: Size, f: Size) -> None:
    """Pass 1: e columns of a tile of Q at a time, f rows of K in them."""
    Q, K = b.input("Q", (n, d)), b.input("K", (n, d))
    with b.tiles("i", n, B_r) as i, b.tiles("j", n, B_c) as j:
        with b.zeros("s", i, j) as s:
            with b.tiles("c", d, e) as c, b.load(Q[i, c]) as q:
                with b.tiles("y", j.stop, f, start=j.start) as y, b.load(K[y, c]) as k:
                    b.op("add_abt", s[:, y.start - j.start : y.stop - j.start], q, k)
            b.op("divide_by_sqrt", s, of=d)
            b.store(s, S[i, j])


def outputs(b: Builder, P: ArrayHandle, *, n: Size, d: Size, B_o: Size, B_d: Size, f: Size, e: Size) -> None:
    """Pass 3: f columns of a tile of P at a time, e columns of V in them."""
    V, O = b.input("V", (n, d)), b.output("O", (n, d), needs=NEEDS)
    with b.tiles("i", n, B_o) as i, b.tiles("c", d, B_d) as c:
        with b.zeros("o", i, c) as o:
            with b.tiles("j", n, f) as j, b.load(P[i, j]) as p:
                with b.tiles("x", c.stop, e, start=c.start) as x, b.load(V[j, x]) as v:
                    b.op("add_ab", o[:, x.start - c.start : x.stop - c.start], p, v)
            b.store(o, O[i, c])


def whole_rows(
    b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size, B_o: Size, B_d: Size, e: Size, f: Size, h: Size
) -> None:
    """Pass 2 with h whole rows of S in fast memory."""
    S, P = b.scratch("S", (n, n)), b.scratch("P", (n, n))
    scores(b, S, n=n, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
    with b.tiles("i", n, h) as i, b.load(S[i, :]) as s:
        with b.full("m", i, fill=-inf) as m, b.zeros("l", i) as l:
            b.op("row_statistics", m, l, s)
            b.op("softmax", s, m, l)
        b.store(s, P[i, :])
    outputs(b, P, n=n, d=d, B_o=B_o, B_d=B_d, f=f, e=e)


def two_sweeps(
    b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size, B_o: Size, B_d: Size, e: Size, f: Size, h: Size
) -> None:
    """Pass 2 with pieces of h rows and f columns of S: once for the row statistics, once more for P."""
    S, P = b.scratch("S", (n, n)), b.scratch("P", (n, n))
    scores(b, S, n=n, d=d, B_r=B_r, B_c=B_c, e=e, f=f)
    with b.tiles("i", n, h) as i, b.full("m", i, fill=-inf) as m, b.zeros("l", i) as l:
        with b.tiles("j", n, f) as j, b.load(S[i, j]) as s:
            b.op("row_statistics", m, l, s)
        with b.tiles("j", n, f) as j, b.load(S[i, j]) as s:
            b.op("softmax", s, m, l)
            b.store(s, P[i, j])
    outputs(b, P, n=n, d=d, B_o=B_o, B_d=B_d, f=f, e=e)


def products(*, n: Size, d: Size, B_r: Size, B_c: Size, B_o: Size, B_d: Size, **_: Size) -> Size:
    """Passes 1 and 3: Q once for each column of tiles and K for each row, S stored; P once for each column of tiles and
    V for each row, O stored. Units: words."""
    first = n * d * (ceil_div(n, B_r) + ceil_div(n, B_c)) + n * n
    return first + n * n * ceil_div(d, B_d) + n * d * ceil_div(n, B_o) + n * d


def product_peaks(*, B_r: Size, B_c: Size, B_o: Size, B_d: Size, e: Size, f: Size, **_: Size) -> tuple[Size, Size]:
    """A tile of S, a column of q and a word of k; a tile of O, a column of p and a word of v (for e = f = 1).
    Units: words."""
    return B_r * B_c + B_r * e + _within(f, B_c) * e, B_o * B_d + B_o * f + f * _within(e, B_d)


def _within(stream: Size, tile: Size) -> Size:
    """How long a stream that passes through a tile is."""
    return 1 if stream == 1 else minimum(stream, tile)


_TILES = {"B_r": "n", "B_c": "n", "B_o": "n", "B_d": "d"}
_STREAMS = {"e": "d", "f": "n", "h": "n"}

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
            io=lambda **sizes: products(**sizes) + 2 * sizes["n"] * sizes["n"],
            # pass 2: a row of S, m, l and one word for the new maximum
            peak=lambda *, n, h, **sizes: maximum(*product_peaks(**sizes), h * n + 2 * h + 1),
        ),
        Schedule(
            name="two sweeps",
            author=two_sweeps,
            tiles=_TILES,
            streams=_STREAMS,
            # pass 2: S loaded twice, P stored
            io=lambda **sizes: products(**sizes) + 3 * sizes["n"] * sizes["n"],
            # pass 2: a score, m, l and one word for the new maximum
            peak=lambda *, f, h, **sizes: maximum(*product_peaks(f=f, **sizes), h * f + 2 * h + 1),
        ),
    ),
)
