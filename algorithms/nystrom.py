"""Attention through landmarks (Nystromformer): softmax(Q K~^T) softmax(Q~ K~^T)^+ (softmax(Q~ K^T) V), scores over sqrt(d).

The m landmarks Q~ and K~ are means of m segments of consecutive queries and keys: n/m rows each, rounded down, the last
segment with what is left. The pseudo-inverse is approached by six steps of a third-order iteration on matrices of m^2 words,
as in the paper. Everything that has m rows stays in fast memory: Q and K pass twice, V and O once.
"""

from __future__ import annotations

from math import inf

import numpy as np

from algorithms.shared.attention import softmax_weights
from iosim import AttentionMethod, Builder, Head, Op, Option, Schedule, Size, Tiled, floor_div, maximum
from iosim.builder import ArrayHandle, TileHandle
from iosim.numeric.reference import Float64, Rows

STEPS = 6


def _add_sum_of_rows(x: Float64, k: Float64) -> None:
    x += k.sum(axis=0)


def _divide(x: Float64, *, by: int) -> None:
    x /= by


def _pseudo_inverse(Z: Float64, P: Float64, T: Float64, U: Float64, A: Float64) -> None:
    Z[:] = A.T / (np.abs(A).sum(axis=0).max() * np.abs(A).sum(axis=1).max())
    one = np.eye(len(A))
    for _ in range(STEPS):
        P[:] = A @ Z
        T[:] = 7 * one - P
        U[:] = 15 * one - P @ T
        T[:] = 13 * one - P @ U
        U[:] = Z @ T
        Z[:] = U / 4


ADD_SUM_OF_ROWS = Op(
    name="add_sum_of_rows",
    shapes="x[u,c] k[j,c]",
    updates=1,
    text="{x} += colsum {k}",
    flops=lambda n, _: n["j"] * n["c"],
    numpy=_add_sum_of_rows,
    triton="{x} += tl.sum({k@j}, axis=0)[None, :]",
)
DIVIDE = Op(
    name="divide_by",
    shapes="x[u,c]",
    updates=1,
    params=("by",),
    text="{x} /= {by}",
    flops=lambda n, _: n["u"] * n["c"],
    numpy=_divide,
    triton="{x} = {x} / {by}",
)
PSEUDO_INVERSE = Op(
    name="pseudo_inverse",
    shapes="Z[i,j] P[i,j] T[i,j] U[i,j] A[i,j]",
    updates=4,
    fresh=("Z", "P", "T", "U"),
    text=f"{{Z}} = {{A}}^T / (norm_1 norm_inf); {STEPS} times: {{P}} = {{A}} {{Z}}; "
    "{Z} = {Z} (13 I - {P} (15 I - {P} (7 I - {P}))) / 4, in {T} and {U}",
    # norms and the start; for each step four products of matrices, three differences and a quotient
    flops=lambda n, _: 3 * n["i"] * n["j"] + STEPS * (8 * n["i"] * n["j"] * n["i"] + 4 * n["i"] * n["j"]),
    numpy=_pseudo_inverse,
    triton="""
$rows = tl.arange(0, {#i})[:, None]
$columns = tl.arange(0, {#j})[None, :]
$inside = ($rows < {|i|}) & ($columns < {|j|})
$a = tl.where($inside, {A}, 0.0)
$one = tl.where($inside & ($rows == $columns), 1.0, 0.0)
$size = tl.max(tl.sum(tl.abs($a), axis=0), axis=0) * tl.max(tl.sum(tl.abs($a), axis=1), axis=0)
{Z} = tl.trans($a) / $size
for $step in range(STEPS):
    {P} = product($a, {Z}, tl.zeros([{#i}, {#j}], tl.float32))
    {T} = 7.0 * $one - {P}
    {U} = 15.0 * $one - product({P}, {T}, tl.zeros([{#i}, {#j}], tl.float32))
    {T} = 13.0 * $one - product({P}, {U}, tl.zeros([{#i}, {#j}], tl.float32))
    {U} = product({Z}, {T}, tl.zeros([{#i}, {#j}], tl.float32))
    {Z} = {U} / 4.0
""".replace("STEPS", str(STEPS)),
)


def _means(b: Builder, array: ArrayHandle, means: TileHandle, n: Size, m: Size, N: Size) -> None:
    """Rows pass by N; the segments are of n/m rows, rounded down, but for the last."""
    length = floor_div(n, m)
    with b.tiles("r", m - 1, 1) as r:
        first = r.start * length
        with b.tiles("j", first + length, N, start=first) as j, b.load(array[j, :], "x") as x:
            b.op(ADD_SUM_OF_ROWS, means[r, :], x)
        b.op(DIVIDE, means[r, :], by=length)
    last, row = (m - 1) * length, slice(m - 1, m)
    with b.tiles("j", n, N, start=last) as j, b.load(array[j, :], "x") as x:
        b.op(ADD_SUM_OF_ROWS, means[row, :], x)
    b.op(DIVIDE, means[row, :], by=n - last)


def resident(b: Builder, *, n: Size, d: Size, d_v: Size, landmarks: Size, N: Size) -> None:
    """Q, K and V are streamed by N rows (one: N = 1)."""
    m = landmarks
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d_v))
    O = b.output("O", (n, d_v), needs="O[i,l] <- Q[:,:], K[:,:], V[:,l]")
    queries, keys = b.zeros("Q~", m, d), b.zeros("K~", m, d)
    _means(b, Q, queries, n, m, N)
    _means(b, K, keys, n, m, N)
    w, high, total = b.zeros("w", m, d_v), b.full("m", m, fill=-inf), b.zeros("l", m)
    with b.tiles("j", n, N) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
        b.op("attend", w, high, total, queries, k, v, of=d)
    b.op("divide_rows", w, total)
    b.free(high, total)
    A = _probabilities(b, queries, keys, d)
    b.free(queries)
    Z, *others = (b.empty(name, m, m) for name in ("Z", "P", "T", "U"))
    b.op(PSEUDO_INVERSE, Z, *others, A)
    b.free(A, *others)
    with b.zeros("y", m, d_v) as y:
        b.op("add_ab", y, Z, w)
        b.free(Z, w)
        with b.tiles("i", n, N) as i, b.load(Q[i, :]) as q:
            s = _probabilities(b, q, keys, d)
            with b.zeros("o", i, d_v) as o:
                b.op("add_ab", o, s, y)
                b.store(o, O[i, :])
            b.free(s)
    b.free(keys)


def _probabilities(b: Builder, q: TileHandle, k: TileHandle, d: Size) -> TileHandle:
    """softmax(q k^T / sqrt(d))."""
    rows = q.tile.shape[0]
    s = b.zeros("s", rows, k.tile.shape[0])
    b.op("add_abt", s, q, k)
    b.op("divide_by_sqrt", s, of=d)
    with b.full("m", rows, fill=-inf) as high, b.zeros("l", rows) as total:
        b.op("row_statistics", high, total, s)
        b.op("softmax", s, high, total)
    return s


def io(*, n: Size, d: Size, d_v: Size, **_: Size) -> Size:
    """Q and K twice, V and O once. Units: words."""
    return 4 * n * d + 2 * n * d_v


def peak(*, d: Size, d_v: Size, landmarks: Size, N: Size, **_: Size) -> Size:
    """Landmarks, w, m and l with rows of k and v and two words; landmarks, w, scores of landmarks, m, l and a word;
    landmarks of keys, w and five matrices; or these landmarks, y, and rows of q, of scores with m, l and a word, or of
    scores and o. Units: words."""
    m = landmarks
    return maximum(
        2 * m * d + m * d_v + 2 * m + N * (d + d_v) + 2,
        2 * m * d + m * d_v + m * m + 2 * m + 1,
        m * d + m * d_v + 5 * m * m,
        m * d + 2 * m * d_v + m * m,
        m * d + m * d_v + N * (d + m + 2) + 1,
        m * d + m * d_v + N * (d + m + d_v),
    )


def reference(head: Head, rows: Rows) -> Float64:
    """Equation (13), with landmarks (10) and the iteration (11) for the pseudo-inverse."""
    n, m = len(head.Q), head.settings["landmarks"]
    starts = np.arange(m) * (n // m)
    lengths = np.diff([*starts, n])[:, None]
    queries, keys = (np.add.reduceat(x, starts, axis=0) / lengths for x in (head.Q, head.K))
    A, one = softmax_weights(queries, keys), np.eye(m)
    Z = A.T / (np.linalg.norm(A, 1) * np.linalg.norm(A, np.inf))
    for _ in range(STEPS):
        P = A @ Z
        Z = Z @ (13 * one - P @ (15 * one - P @ (7 * one - P))) / 4
    result: Float64 = softmax_weights(head.Q[rows], keys) @ (Z @ (softmax_weights(queries, head.K) @ head.V))
    return result


nystrom = Tiled(
    name="nystrom",
    summary="attention through landmarks, means of segments of queries and of keys (Nystromformer)",
    source="Xiong et al., Nystromformer: A Nystrom-Based Algorithm for Approximating Self-Attention, AAAI 2021; the "
    "schedule is this package's",
    approximate=True,
    method=AttentionMethod(
        options=(Option(name="landmarks", default=32, help="segments m of queries, and of keys", axis="n"),),
        reference=reference,
    ),
    schedules=(
        Schedule(
            name="resident",
            author=resident,
            tiles={},
            streams={"N": "n"},
            io=io,
            peak=peak,
        ),
    ),
)
