"""A window of exact weights and a polynomial of degree 2 beyond it (Based): sum over keys of exp(s) or p(s) times V.

Query i weighs key j by exp(s_ij) if they are less than a window apart and by p(s_ij) = 1 + s_ij + s_ij^2 / 2, which is
positive, if not; all weights share one normaliser. The feature sums of p over all keys stay in fast memory for B_v columns
of V at a time; what p gets wrong within the window is then made good key by key, with weights exp(s) - p(s).

K and V are padded: w - 1 rows of zeros on either side, which are loaded and counted, and have no weight.

    whole    every query meets every key: first the sums, then all queries
    causal   tile by tile of queries: the sums over the keys before, the tile's own keys, then these are added to the sums
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.shared.attention import within
from algorithms.shared.taylor import SUM, USE, features, taylor, taylor_bound
from iosim import (
    CAUSAL,
    AttentionMethod,
    Builder,
    Head,
    Mask,
    Op,
    Option,
    Problem,
    Schedule,
    Size,
    Tiled,
    ceil_div,
    maximum,
)
from iosim.builder import ArrayHandle, Index, TileHandle
from iosim.numeric.reference import Float64, Rows


def _apart(s: Float64, row: int, column: int, window: int) -> tuple[NDArray[np.bool_], Rows, Rows]:
    """Whether pairs are in the window; the rows, and the keys' places without padding."""
    rows = row + np.arange(s.shape[0])[:, None]
    keys = column - (window - 1) + np.arange(s.shape[1])[None, :]
    return np.abs(rows - keys) < window, rows, keys


def _correct(s: Float64, *, row: int, column: int, window: int, n: int) -> None:
    near, _, keys = _apart(s, row, column, window)
    s[:] = np.where(near & (keys >= 0) & (keys < n), np.exp(s) - taylor(s), 0.0)


def _weigh(s: Float64, *, row: int, column: int, window: int) -> None:
    near, rows, keys = _apart(s, row, column, window)
    s[:] = np.where(keys > rows, 0.0, np.where(near, np.exp(s), taylor(s)))


def _add_row_sums(z: Float64, s: Float64) -> None:
    z += s.sum(axis=1)


CORRECT = Op(
    name="correct_window",
    shapes="s[i,j]",
    updates=1,
    params=("row", "column", "window", "n"),
    text="{s} = exp({s}) - p({s}) for keys of {column} - {window} + 1 on, 0 if not in 0:{n} or not within {window} of "
    "queries of {row} on",
    flops=lambda n, _: 6 * n["i"] * n["j"],
    scratch=lambda _: 1,
    numpy=_correct,
    triton="""
$query = {row} + tl.arange(0, {#i})[:, None]
$key = {column} - ({window} - 1) + tl.arange(0, {#j})[None, :]
$near = (tl.abs($query - $key) < {window}) & ($key >= 0) & ($key < {n})
{s} = tl.where($near, tl.exp({s}) - (1.0 + {s} + 0.5 * {s} * {s}), 0.0)
""",
)
WEIGH = Op(
    name="weigh_window",
    shapes="s[i,j]",
    updates=1,
    params=("row", "column", "window"),
    text="{s} = exp({s}) within {window} before queries of {row} on, else p({s}); 0 after them; keys of "
    "{column} - {window} + 1 on",
    flops=lambda n, _: 5 * n["i"] * n["j"],
    scratch=lambda _: 1,
    numpy=_weigh,
    triton="""
$query = {row} + tl.arange(0, {#i})[:, None]
$key = {column} - ({window} - 1) + tl.arange(0, {#j})[None, :]
$weight = tl.where(tl.abs($query - $key) < {window}, tl.exp({s}), 1.0 + {s} + 0.5 * {s} * {s})
{s} = tl.where($key > $query, 0.0, $weight)
""",
)
ADD_ROW_SUMS = Op(
    name="add_row_sums",
    shapes="z[i] s[i,j]",
    updates=1,
    text="{z} += rowsum {s}",
    flops=lambda n, _: n["i"] * n["j"],
    numpy=_add_row_sums,
    triton="{z} += tl.sum({s@j}, axis=1)",
)


def _arrays(b: Builder, n: Size, d: Size, d_v: Size, window: Size) -> tuple[ArrayHandle, ArrayHandle, ArrayHandle]:
    padded = n + 2 * (window - 1)
    return b.input("Q", (n, d)), b.input("K", (padded, d)), b.input("V", (padded, d_v))


def _near(
    b: Builder,
    sums: tuple[TileHandle, TileHandle, TileHandle],
    arrays: tuple[ArrayHandle, ArrayHandle],
    keys: tuple[Any, Any],
    columns: Index,
    op: Op,
    streams: tuple[Size, Size, Size],
    **params: Any,
) -> None:
    """Adds keys from keys[0] to keys[1], of the padded array, with the weights that `op` makes of scores."""
    (q, y, z), (K, V), (B_c, e, e_v) = sums, arrays, streams
    d = q.tile.shape[1]
    with b.tiles("j", keys[1], B_c, start=keys[0]) as j, b.zeros("s", q.tile.shape[0], j) as s:
        with b.tiles("a", d, e) as a, b.load(K[j, a]) as k:
            b.op("add_abt", s, q[:, a], k)
        b.op("divide_by_sqrt", s, of=d)
        b.op(op, s, column=j.start, **params)
        b.op(ADD_ROW_SUMS, z, s)
        with b.tiles("l", columns.length, e_v) as l:
            with b.load(V[j, columns.start + l.start : columns.start + l.stop]) as v:
                b.op("add_ab", y[:, l], s, v)


def whole(
    b: Builder,
    *,
    n: Size,
    d: Size,
    d_v: Size,
    window: Size,
    B_r: Size,
    B_v: Size,
    N: Size,
    B_c: Size,
    e: Size,
    e_v: Size,
) -> None:
    """Keys pass by N rows for the sums, then in pieces of B_c rows and e or e_v columns (one: N = B_c = e = e_v = 1)."""
    Q, K, V = _arrays(b, n, d, d_v, window)
    O = b.output(
        "O",
        (n, d_v),
        needs=lambda i, l: (Q[i, :], K[window - 1 : window - 1 + n, :], V[window - 1 : window - 1 + n, l]),
    )
    r, pad = features(d), window - 1
    with b.tiles("c", d_v, B_v) as c, b.zeros("W", r, c) as W, b.zeros("w", r) as w:
        with b.tiles("j", n, N) as j, b.load(K[j.start + pad : j.stop + pad, :]) as k:
            with b.load(V[j.start + pad : j.stop + pad, c]) as v:
                b.op(SUM, W, w, k, v, of=d)
        with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q, b.zeros("y", i, c) as y, b.zeros("z", i) as z:
            b.op(USE, y, z, q, W, w, of=d)
            near, streams = (i.start, i.stop + 2 * pad), (B_c, e, e_v)
            _near(b, (q, y, z), (K, V), near, c, CORRECT, streams, row=i.start, window=window, n=n)
            b.op("divide_rows", y, z)
            b.store(y, O[i, c])


def causal(
    b: Builder,
    *,
    n: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    window: Size,
    B_r: Size,
    B_v: Size,
    N: Size,
    B_c: Size,
    e: Size,
    e_v: Size,
) -> None:
    """As `whole`; each query meets the keys up to its own."""
    Q, K, V = _arrays(b, n, d, d_v, window)
    O = b.output(
        "O", (n, d_v), needs=lambda i, l: (Q[i, :], K[window - 1 : window + i, :], V[window - 1 : window + i, l])
    )
    r, pad = features(d), window - 1
    with b.tiles("c", d_v, B_v) as c, b.zeros("W", r, c) as W, b.zeros("w", r) as w:
        with b.tiles("i", n, B_r) as i:
            with b.load(Q[i, :]) as q, b.zeros("y", i, c) as y, b.zeros("z", i) as z:
                b.op(USE, y, z, q, W, w, of=d)
                place: dict[str, Any] = {"row": i.start, "window": window}
                before, own, streams = (i.start, i.start + pad), (i.start + pad, i.stop + pad), (B_c, e, e_v)
                _near(b, (q, y, z), (K, V), before, c, CORRECT, streams, **place, n=n)
                _near(b, (q, y, z), (K, V), own, c, WEIGH, streams, **place)
                b.op("divide_rows", y, z)
                b.store(y, O[i, c])
            with b.tiles("j", i.stop + pad, N, start=i.start + pad) as j, b.load(K[j, :]) as k, b.load(V[j, c]) as v:
                b.op(SUM, W, w, k, v, of=d)


def _io(*, n: Size, d: Size, d_v: Size, B_v: Size, again: Size) -> Size:
    """For each group of columns Q, K for the sums and K again for the window, `again` rows; V so too, and O, once for each
    column. Units: words."""
    groups = ceil_div(d_v, B_v)
    return (2 * n + again) * d * groups + (2 * n + again) * d_v


def whole_io(*, n: Size, d: Size, d_v: Size, window: Size, B_r: Size, B_v: Size, **_: Any) -> Size:
    """The window of a tile is w - 1 keys longer than the tile on either side. Units: words."""
    return _io(n=n, d=d, d_v=d_v, B_v=B_v, again=n + 2 * (window - 1) * ceil_div(n, B_r))


def causal_io(*, n: Size, d: Size, d_v: Size, window: Size, B_r: Size, B_v: Size, **_: Any) -> Size:
    """The window of a tile is w - 1 keys longer than the tile. Units: words."""
    return _io(n=n, d=d, d_v=d_v, B_v=B_v, again=n + (window - 1) * ceil_div(n, B_r))


def _peak(*, d: Size, B_r: Size, B_v: Size, N: Size, e: Size, e_v: Size, keys: Size, **_: Any) -> Size:
    """The sums; a key, its values and a feature; or queries, results, normalisers and a feature, or scores of some keys and
    pieces of k or v. Units: words."""
    sums = features(d) * (B_v + 1)
    return maximum(
        sums + N * (d + B_v) + 1,
        sums + B_r * (d + B_v + 1) + B_r * keys + keys * maximum(e, within(e_v, B_v)),
    )


def whole_peak(*, window: Size, B_r: Size, B_c: Size, **sizes: Any) -> Size:
    return _peak(B_r=B_r, keys=within(B_c, B_r + 2 * (window - 1)), **sizes)


def causal_peak(*, window: Size, B_r: Size, B_c: Size, N: Size, **sizes: Any) -> Size:
    return _peak(B_r=B_r, keys=within(B_c, maximum(window - 1, B_r)), N=within(N, B_r), **sizes)


def reference(head: Head, rows: Rows) -> Float64:
    """Pair by pair: exp within the window and p beyond it, then the weighted mean."""
    scores = head.Q[rows] @ head.K.T / math.sqrt(head.Q.shape[1])
    apart = rows[:, None] - np.arange(len(head.K))[None, :]
    weights = np.where(np.abs(apart) < head.settings["window"], np.exp(scores), taylor(scores))
    if not head.mask.full:
        weights[apart < 0] = 0.0
    result: Float64 = weights @ head.V / weights.sum(axis=1, keepdims=True)
    return result


def bound(head: Head, rows: Rows) -> float:
    """What weights p where exp is due can do, on the scores of these queries."""
    return taylor_bound(head.Q[rows] @ head.K.T / math.sqrt(head.Q.shape[1]), head.V)


def padded(head: Head, _random: np.random.Generator) -> dict[str, Float64]:
    """K and V with zeros before and after."""
    pad = head.settings["window"] - 1
    return {name: np.pad(array, ((pad, pad), (0, 0))) for name, array in (("K", head.K), ("V", head.V))}


def _only_causal(problem: Problem) -> str | None:
    return None if problem.mask == CAUSAL else "no mask, or a causal one"


_STREAMS = {"N": "n", "B_c": "n", "e": "d", "e_v": "d_v"}

based = Tiled(
    name="based",
    summary="exact weights in a sliding window, the Taylor polynomial of degree 2 beyond it",
    source="Arora et al., Simple Linear Attention Language Models Balance the Recall-Throughput Tradeoff, ICML 2024 (both "
    "parts, in layers of their own); in one layer with one normaliser as in Zhang et al., LoLCATs, ICLR 2025",
    approximate=True,
    method=AttentionMethod(
        options=(
            Option(
                name="window", default=64, help="a query and a key less than this apart are weighed exactly", axis="n"
            ),
        ),
        extra=padded,
        reference=reference,
        bound=bound,
    ),
    schedules=(
        Schedule(
            name="whole", author=whole, tiles={"B_r": "n", "B_v": "d_v"}, streams=_STREAMS, io=whole_io, peak=whole_peak
        ),
        Schedule(
            name="causal",
            author=causal,
            tiles={"B_r": "n", "B_v": "d_v"},
            streams=_STREAMS,
            io=causal_io,
            peak=causal_peak,
            refuses=_only_causal,
        ),
    ),
)
