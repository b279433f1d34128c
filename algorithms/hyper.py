"""Blocks of queries and keys that hash alike, and a sample of the other keys (HyperAttention).

Queries and keys are put in the order of a locality-sensitive hash: the signs of products with random vectors, read as the
place of a Gray code, so that neighbours differ in one sign. The t-th block of b queries, in that order, meets the t-th block
of b keys exactly, and m keys drawn at random stand for the rest: one outside the block has weight exp(s) n/m, one inside
none.

The orders and the sample are index arrays, whose words are counted; making them is not part of the program. For each block
its queries are gathered; its keys and the sample pass word by word; its results are stored in the hashed order. Since a
store goes to a box, the results are then put back one by one: 2nd_v + n words.
"""

from __future__ import annotations

import math
from math import inf

import numpy as np
from numpy.typing import NDArray

from iosim import SEED, Builder, Head, Method, Op, Option, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, Index, TileHandle

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def _copy(y: Array, x: Array) -> None:
    y[:] = x


def _weigh(s: Array, g: Array, *, start: int, stop: int, n: int, samples: int) -> None:
    s += np.where((g >= start) & (g < stop), -np.inf, math.log(n / samples))


COPY = Op(
    name="copy_row",
    shapes="y[u,c] x[c]",
    updates=1,
    fresh=("y",),
    text="{y} = {x}",
    flops=lambda n, _: 0,
    numpy=_copy,
)
WEIGH_SAMPLE = Op(
    name="weigh_sample",
    shapes="s[i,u] g[u]",
    updates=1,
    params=("start", "stop", "n", "samples"),
    text="{s} = {s} + log({n} / {samples}), or -inf if {g} is in {start}:{stop}",
    flops=lambda n, _: n["i"] * n["u"],
    numpy=_weigh,
)


def hashed(
    b: Builder, *, n: Size, d: Size, d_v: Size, block: Size, samples: Size, e: Size, e_v: Size
) -> None:
    """Rows pass in pieces of e and e_v columns (one word: e = e_v = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, 1, d)), b.input("V", (n, 1, d_v))
    P, R, J, U = b.input("P", (n,)), b.input("R", (n, 1)), b.input("J", (samples,)), b.input("U", (n,))
    O = b.output("O", (n, d_v), needs=lambda i, l: (Q[i, :], K[:, :, :], V[:, :, l], R[:, :], J[:], U[i]))
    Y = b.scratch("Y", (n, d_v))
    with b.tiles("t", n, block) as t:
        q = b.empty("q", t, d)
        with b.tiles("i", t.stop, 1, start=t.start) as i, b.load(P[i]) as p, b.tiles("c", d, e) as c:
            with b.load(Q[p.at(0), c]) as x:
                b.op(COPY, q[i.start - t.start : i.stop - t.start, c], x)
        o, m, l = b.zeros("o", t, d_v), b.full("m", t, fill=-inf), b.zeros("l", t)
        tiles, arrays = (q, o, m, l), (K, V)
        with b.tiles("j", t.stop, 1, start=t.start) as j, b.load(R[j, 0:1], "r") as r:
            _attend(b, tiles, arrays, r, (e, e_v), None, t, n, samples)
        with b.tiles("j", samples, 1) as j, b.load(J[j], "g") as g, b.load(R[g.at(0), :], "r") as r:
            _attend(b, tiles, arrays, r, (e, e_v), g, t, n, samples)
        b.op("divide_rows", o, l)
        b.store(o, Y[t, :])
        b.free(q, o, m, l)
    with b.tiles("i", n, 1) as i, b.load(U[i]) as u, b.tiles("c", d_v, e_v) as c:
        with b.load(Y[u.at(0), c]) as x, b.empty("y", 1, c) as y:
            b.op(COPY, y, x)
            b.store(y, O[i, c])
