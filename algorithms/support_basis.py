"""Large queries and keys exactly, the other pairs by a polynomial (support-basis decomposition).

The rows of Q and of K with the largest entries, a of them and b, are large. A pair of which one is large has the weight
exp(s), any other one p(s) = 1 + s + s^2/2: for small entries the scores are small, where p is close. So the weights differ
from p in a rows and b columns only.

    1. exact attention of the large queries over all keys, in FlashAttention-2's order; results stored aside
    2. for B_v columns of V at a time: the feature sums of p over all keys stay in fast memory; each tile of queries uses
       them, then takes the large keys with the weights exp(s) - p(s)
    3. in place of its result a large query takes that of step 1

Which rows are large is known from index arrays, whose words are counted. Since what is loaded must not depend on the data,
step 3 loads a row of step 1 for every query, and a word that says whether it counts.
"""

from __future__ import annotations

import math
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.shared.attention import COPY, within
from algorithms.shared.taylor import SUM, USE, features, taylor, taylor_bound
from iosim import AttentionMethod, Builder, Head, Op, Option, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, TileHandle
from iosim.numeric.reference import Float64, Rows


def _dots(s: Float64, q: Float64, k: Float64) -> None:
    s += q @ k


def _correct(s: Float64, z: Float64, *, of: int) -> None:
    s /= math.sqrt(of)
    s[:] = np.exp(s) - taylor(s)
    z += s


def _outer(y: Float64, s: Float64, v: Float64) -> None:
    y += s[:, None] * v


def _choose(y: Float64, x: Float64, f: Float64) -> None:
    y[:] = np.where(f[:, None] == 1, x, y)


DOTS = Op(
    name="add_dots",
    shapes="s[i] q[i,l] k[l]",
    updates=1,
    text="{s} += {q} {k}",
    flops=lambda n, _: 2 * n["i"] * n["l"],
    numpy=_dots,
    triton="{s} += tl.sum({q@l} * {k@l}[None, :], axis=1)",
)
CORRECT = Op(
    name="correct_key",
    shapes="s[i] z[i]",
    updates=2,
    params=("of",),
    text="s' = {s} / sqrt({of}); {s} = exp(s') - p(s'); {z} += {s}",
    flops=lambda n, _: 8 * n["i"],
    scratch=lambda _: 1,
    numpy=_correct,
    triton="""
$x = {s} * {of} ** -0.5
{s} = tl.exp($x) - (1.0 + $x + 0.5 * $x * $x)
{z} += {s}
""",
)
OUTER = Op(
    name="add_outer",
    shapes="y[i,c] s[i] v[c]",
    updates=1,
    text="{y} += {s} {v}^T",
    flops=lambda n, _: 2 * n["i"] * n["c"],
    numpy=_outer,
    triton="{y} += {s}[:, None] * {v}[None, :]",
)
CHOOSE = Op(
    name="choose_row",
    shapes="y[u,c] x[c] f[u]",
    updates=1,
    text="{y} = {x} if {f} is 1",
    flops=lambda n, _: 0,
    numpy=_choose,
    triton="{y} = tl.where({f}[:, None] == 1.0, {x}[None, :], {y})",
)


def large(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    queries: Size,
    keys: Size,
    B_q: Size,
    B_r: Size,
    B_v: Size,
    N: Size,
    e: Size,
    e_v: Size,
) -> None:
    """Keys pass by N rows, chosen rows in pieces of e and e_v columns (one: N = e = e_v = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    I, J = b.input("I", (queries,)), b.input("J", (keys,))
    U, F = b.input("U", (n,)), b.input("F", (n,))
    O = b.output("O", (n, d_v), needs=lambda i, l: (Q[i, :], K[:, :], V[:, l], J[:], U[i], F[i]))
    E = b.scratch("E", (queries, d_v))
    with b.tiles("t", queries, B_q) as t:
        q = b.empty("q", t, d)
        with b.tiles("r", t.stop, 1, start=t.start) as r, b.load(I[r.start], "at") as at, b.tiles("a", d, e) as a:
            with b.load(Q[at.at(0), a], "x") as x:
                b.op(COPY, q[r.start - t.start : r.start - t.start + 1, a], x)
        o, m, l = b.zeros("o", t, d_v), b.full("m", t, fill=-inf), b.zeros("l", t)
        with b.tiles("j", n_k, N) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.op("divide_rows", o, l)
        b.store(o, E[t, :])
        b.free(q, o, m, l)
    with b.tiles("c", d_v, B_v) as c, b.zeros("W", features(d), c) as W, b.zeros("w", features(d)) as w:
        with b.tiles("j", n_k, N) as j, b.load(K[j, :]) as k, b.load(V[j, c]) as v:
            b.op(SUM, W, w, k, v, of=d)
        with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q, b.zeros("y", i, c) as y, b.zeros("z", i) as z:
            b.op(USE, y, z, q, W, w, of=d)
            with b.tiles("r", keys, 1) as r, b.load(J[r.start], "at") as at, b.zeros("s", i) as s:
                with b.tiles("a", d, e) as a, b.load(K[at.at(0), a]) as k:
                    b.op(DOTS, s, q[:, a], k)
                b.op(CORRECT, s, z, of=d)
                with b.tiles("a", c.length, e_v) as a:
                    with b.load(V[at.at(0), c.start + a.start : c.start + a.stop]) as v:
                        b.op(OUTER, y[:, a], s, v)
            b.op("divide_rows", y, z)
            _put_back(b, y, (U, F, E), (i, c), e_v)
            b.store(y, O[i, c])


def _put_back(b: Builder, y: TileHandle, arrays: tuple[ArrayHandle, ...], tile: tuple[Any, Any], e_v: Size) -> None:
    """Step 3 for a tile of rows and columns."""
    (U, F, E), (i, c) = arrays, tile
    with b.tiles("r", i.stop, 1, start=i.start) as r, b.load(U[r.start]) as u, b.load(F[r.start]) as f:
        row = slice(r.start - i.start, r.start - i.start + 1)
        with b.tiles("a", c.length, e_v) as a, b.load(E[u.at(0), c.start + a.start : c.start + a.stop], "x") as x:
            b.op(CHOOSE, y[row, a], x, f)


def io(
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    queries: Size,
    keys: Size,
    B_q: Size,
    B_r: Size,
    B_v: Size,
    **_: Size,
) -> Size:
    """Step 1: large queries with their index, keys and values for each tile of them, results. Steps 2 and 3, for each group
    of columns: the keys, the queries, the large keys with their index for each tile of queries, two words for each query;
    and once for each column: the values, those of the large keys for each tile of queries, a row of E, the result.
    Units: words."""
    groups, tiles = ceil_div(d_v, B_v), ceil_div(n, B_r)
    first = queries * (d + 1) + n_k * (d + d_v) * ceil_div(queries, B_q) + queries * d_v
    for_each_group = n_k * d + n * d + keys * (d + 1) * tiles + 2 * n
    return first + groups * for_each_group + n_k * d_v + keys * d_v * tiles + 2 * n * d_v


def peak(*, d: Size, d_v: Size, B_q: Size, B_r: Size, B_v: Size, N: Size, e: Size, e_v: Size, **_: Size) -> Size:
    """Step 1: q, o, m, l with rows of k and v and two words, or while q is gathered an index and a piece. Step 2: the sums
    with rows of k and v and a feature; or with q, y, z, an index, the scores and a piece of k or v. Step 3: q, y, z,
    two words and a piece of a result. Units: words."""
    sums = features(d) * (B_v + 1)
    return maximum(
        B_q * (d + d_v + 2) + N * (d + d_v) + 2,
        B_q * d + 1 + e,
        sums + N * (d + B_v) + 1,
        sums + B_r * (d + B_v + 1) + 1 + B_r + maximum(e, within(e_v, B_v)),
        sums + B_r * (d + B_v + 1) + 2 + within(e_v, B_v),
    )


def largest(x: Float64, count: int) -> Rows:
    """The rows with the largest entries, in rising order."""
    return np.sort(np.argsort(-np.abs(x).max(axis=1), kind="stable")[:count])


def inputs(head: Head, _random: np.random.Generator) -> dict[str, Float64]:
    """I and J, the large queries and keys; F, whether a query is large; U, its place in I, or any."""
    I, J = largest(head.Q, head.settings["queries"]), largest(head.K, head.settings["keys"])
    F, U = np.zeros(len(head.Q)), np.zeros(len(head.Q))
    F[I], U[I] = 1, np.arange(len(I))
    return {"I": I.astype(np.float64), "J": J.astype(np.float64), "U": U, "F": F}


def _small(head: Head, rows: Rows) -> NDArray[np.bool_]:
    """Whether neither of a pair is large. Shape: [rows, n_k]."""
    queries, keys = np.ones(len(head.Q), dtype=bool), np.ones(len(head.K), dtype=bool)
    queries[head.extra["I"].astype(int)] = False
    keys[head.extra["J"].astype(int)] = False
    small: NDArray[np.bool_] = queries[rows][:, None] & keys[None, :]
    return small


def reference(head: Head, rows: Rows) -> Float64:
    """Pair by pair: exp where one of them is large, else p; then the weighted mean. Large scores are shifted to 0 where no
    weight of the row is p."""
    scores = head.Q[rows] @ head.K.T / math.sqrt(head.Q.shape[1])
    small = _small(head, rows)
    scores -= np.where(small.any(axis=1), 0.0, scores.max(axis=1))[:, None]
    weights = np.where(small, taylor(scores), np.exp(scores))
    result: Float64 = weights @ head.V / weights.sum(axis=1, keepdims=True)
    return result


def bound(head: Head, rows: Rows) -> float:
    """What weights p where exp is due can do, on the scores of small pairs."""
    scores = head.Q[rows] @ head.K.T / math.sqrt(head.Q.shape[1])
    return taylor_bound(scores[_small(head, rows)], head.V)


support_basis = Tiled(
    name="support-basis",
    summary="queries and keys with large entries exactly, the other pairs by a polynomial of degree 2",
    source="Aliakbarpour et al., Support Basis: Fast Attention Beyond Bounded Entries, arXiv 2510.01643 (one threshold, "
    "here by the number of rows above it); the schedule is this package's",
    approximate=True,
    method=AttentionMethod(
        options=(
            Option(name="queries", default=32, help="queries that are large", axis="n"),
            Option(name="keys", default=32, help="keys that are large", axis="n_k"),
        ),
        extra=inputs,
        reference=reference,
        bound=bound,
    ),
    schedules=(
        Schedule(
            name="large rows",
            author=large,
            tiles={"B_q": "queries", "B_r": "n", "B_v": "d_v"},
            streams={"N": "n_k", "e": "d", "e_v": "d_v"},
            io=io,
            peak=peak,
        ),
    ),
)
