"""Keys and values projected to fewer rows (Linformer): attention of Q over E K and E V, with E of k rows and n_k columns.

E is the same for keys and values (the paper's key-value sharing). It is learned there; here its entries are normal with
variance 1/k, as in the paper's existence proof, so the error is that of an untrained projection. E is an input: every word
of it is loaded once, word by word.

    resident     E K and E V stay in fast memory: K, V, E, Q and O move once
    two sweeps   they are made for B_k of their rows at a time and stored; then attention over them as in FlashAttention-2
"""

from __future__ import annotations

import math
from math import inf

import numpy as np

from algorithms.shared.attention import softmax_weights
from iosim import SEED, AttentionMethod, Builder, Head, Option, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, Index, TileHandle
from iosim.numeric.reference import Float64, Rows

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l], E[:,:]"


def _project(
    b: Builder, arrays: tuple[ArrayHandle, ...], sums: tuple[TileHandle, ...], rows: Index | slice, n_k: Size, N_k: Size
) -> None:
    """Adds to the sums the products of these rows of E, streamed, with all keys and all values, by N_k rows of them."""
    K, V, E = arrays
    x, y = sums
    with b.tiles("j", n_k, N_k) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
        height = x.tile.shape[0]
        with b.tiles("r", height, 1) as r:
            first = rows.start.size if isinstance(rows, Index) else 0
            with b.load(E[first + r.start.size : first + r.stop.size, j]) as e:
                b.op("add_ab", x[r, :], e, k)
                b.op("add_ab", y[r, :], e, v)


def resident(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, rows: Size, N_k: Size, N: Size) -> None:
    """K and V are streamed by N_k rows, Q by N (one: N_k = N = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    E = b.input("E", (rows, n_k))
    O = b.output("O", (n, d_v), needs=NEEDS)
    x, y = b.zeros("x", rows, d), b.zeros("y", rows, d_v)
    _project(b, (K, V, E), (x, y), slice(None), n_k, N_k)
    with b.tiles("i", n, N) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        b.op("attend", o, m, l, q, x, y, of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)
    b.free(x, y)


def two_sweeps(
    b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, rows: Size, B_k: Size, B_r: Size, N_k: Size, N: Size
) -> None:
    """K and V are streamed by N_k rows, then their projections by N (one: N_k = N = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    E = b.input("E", (rows, n_k))
    O = b.output("O", (n, d_v), needs=NEEDS)
    X, Y = b.scratch("X", (rows, d)), b.scratch("Y", (rows, d_v))
    with b.tiles("s", rows, B_k) as s, b.zeros("x", s, d) as x, b.zeros("y", s, d_v) as y:
        _project(b, (K, V, E), (x, y), s, n_k, N_k)
        b.store(x, X[s, :])
        b.store(y, Y[s, :])
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("t", rows, N) as t, b.load(X[t, :]) as x, b.load(Y[t, :]) as y:
            b.op("attend", o, m, l, q, x, y, of=d)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(o, m, l)


def reference(head: Head, rows: Rows) -> Float64:
    """softmax(Q (E K)^T / sqrt(d)) (E V): equation (7), with E = F."""
    E = head.extra["E"]
    result: Float64 = softmax_weights(head.Q[rows], E @ head.K) @ (E @ head.V)
    return result


def projection(head: Head, random: np.random.Generator) -> dict[str, Float64]:
    """E, with independent normal entries of variance 1/k."""
    k = head.settings["rows"]
    return {"E": random.standard_normal((k, len(head.K))) / math.sqrt(k)}


linformer = Tiled(
    name="linformer",
    summary="attention over random projections of the keys and the values",
    source="Wang et al., Linformer: Self-Attention with Linear Complexity, arXiv 2006.04768; the schedules are this "
    "package's",
    approximate=True,
    method=AttentionMethod(
        options=(Option(name="rows", default=64, help="rows k of the projected keys and values", axis="n_k"), SEED),
        extra=projection,
        reference=reference,
    ),
    schedules=(
        Schedule(
            name="resident",
            author=resident,
            tiles={},
            streams={"N_k": "n_k", "N": "n"},
            # everything once
            io=lambda *, n, n_k, d, d_v, rows, **_: (n + n_k) * (d + d_v) + rows * n_k,
            # the projections; a key, its value and a word of E, or a query, its result, m, l and two words for a score
            peak=lambda *, d, d_v, rows, N_k, N, **_: maximum(
                (rows + N_k) * (d + d_v) + N_k, (rows + N) * (d + d_v) + 2 * N + 2
            ),
        ),
        Schedule(
            name="two sweeps",
            author=two_sweeps,
            tiles={"B_k": "rows", "B_r": "n"},
            streams={"N_k": "n_k", "N": "rows"},
            # E once, K and V for each tile of rows, the projections stored; Q and O, the projections for each row tile
            io=lambda *, n, n_k, d, d_v, rows, B_k, B_r, **_: (
                rows * n_k
                + n_k * (d + d_v) * ceil_div(rows, B_k)
                + rows * (d + d_v)
                + n * (d + d_v)
                + rows * (d + d_v) * ceil_div(n, B_r)
            ),
            peak=lambda *, d, d_v, B_k, B_r, N_k, N, **_: maximum(
                (B_k + N_k) * (d + d_v) + N_k, (B_r + N) * (d + d_v) + 2 * B_r + 2
            ),
        ),
    ),
)
