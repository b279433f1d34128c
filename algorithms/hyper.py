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
from typing import Any

import numpy as np

from algorithms.shared.attention import COPY
from iosim import SEED, AttentionMethod, Builder, Head, Op, Option, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, TileHandle
from iosim.numeric.reference import Float64, Rows


def _weigh(s: Float64, g: Float64, *, start: int, stop: int, n: int, samples: int) -> None:
    s += np.where((g >= start) & (g < stop), -np.inf, math.log(n / samples))


WEIGH_SAMPLE = Op(
    name="weigh_sample",
    shapes="s[i,u] g[u]",
    updates=1,
    params=("start", "stop", "n", "samples"),
    text="{s} = {s} + log({n} / {samples}), or -inf if {g} is in {start}:{stop}",
    flops=lambda n, _: n["i"] * n["u"],
    numpy=_weigh,
    triton="""
$weight = tl.log(tl.zeros([{#u}], tl.float32) + {n}) - tl.log(tl.zeros([{#u}], tl.float32) + {samples})
{s} += tl.where(({g} >= {start}) & ({g} < {stop}), float("-inf"), $weight)[None, :]
""",
)


def hashed(b: Builder, *, n: Size, d: Size, d_v: Size, block: Size, samples: Size, e: Size, e_v: Size) -> None:
    """Rows pass in pieces of e and e_v columns (one word: e = e_v = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, 1, d)), b.input("V", (n, 1, d_v))
    P, R, U = b.input("P", (n,)), b.input("R", (n,)), b.input("U", (n,))
    J, G = b.input("J", (samples,)), b.input("G", (samples,))
    O = b.output("O", (n, d_v), needs=lambda i, l: (Q[i, :], K[:, :, :], V[:, :, l], J[:], G[:], U[i]))
    Y = b.scratch("Y", (n, d_v))
    with b.tiles("t", n, block) as t:
        q = b.empty("q", t, d)
        with b.tiles("i", t.stop, 1, start=t.start) as i, b.load(P[i]) as p, b.tiles("c", d, e) as c:
            with b.load(Q[p.at(0), c]) as x:
                b.op(COPY, q[i.start - t.start : i.stop - t.start, c], x)
        o, m, l = b.zeros("o", t, d_v), b.full("m", t, fill=-inf), b.zeros("l", t)
        state = (q, o, m, l)
        with b.tiles("j", t.stop, 1, start=t.start) as j, b.load(R[j]) as r:
            _attend(b, state, (K, V), r, (e, e_v))
        with b.tiles("j", samples, 1) as j, b.load(J[j.start]) as r, b.load(G[j.start]) as g:
            _attend(b, state, (K, V), r, (e, e_v), g, start=t.start, stop=t.stop, n=n, samples=samples)
        b.op("divide_rows", o, l)
        b.store(o, Y[t, :])
        b.free(q, o, m, l)
    with b.tiles("i", n, 1) as i, b.load(U[i]) as u, b.tiles("c", d_v, e_v) as c:
        with b.load(Y[u.at(0), c]) as x, b.empty("y", 1, c) as y:
            b.op(COPY, y, x)
            b.store(y, O[i.start, c])


def _attend(
    b: Builder,
    state: tuple[TileHandle, ...],
    arrays: tuple[ArrayHandle, ArrayHandle],
    row: TileHandle,
    streams: tuple[Size, Size],
    place: TileHandle | None = None,
    **where: Any,
) -> None:
    """A step of the online softmax with the key and value of that row; with a place in their order, as a sample."""
    (q, o, m, l), (K, V), (e, e_v) = state, arrays, streams
    d, d_v = q.tile.shape[1], o.tile.shape[1]
    s = b.zeros("s", q.tile.shape[0], 1)
    with b.tiles("c", d, e) as c, b.load(K[row.at(0), :, c]) as k:
        b.op("add_abt", s, q[:, c], k)
    b.op("divide_by_sqrt", s, of=d)
    if place is not None:
        b.op(WEIGH_SAMPLE, s, place, **where)
    b.op("online_softmax", s, m, l, o)
    with b.tiles("c", d_v, e_v) as c, b.load(V[row.at(0), :, c]) as v:
        b.op("add_ab", o[:, c], s, v)
    b.free(s)


def io(*, n: Size, d: Size, d_v: Size, block: Size, samples: Size, **_: Size) -> Size:
    """Queries and keys of each block with their indices, and values; the sample for each block, with two indices; results
    stored in one order, loaded with an index and stored in the other. Units: words."""
    return (
        n * (d + 1)
        + n * (d + d_v + 1)
        + samples * (d + d_v + 2) * ceil_div(n, block)
        + n * d_v
        + n * (d_v + 1)
        + n * d_v
    )


def peak(*, d: Size, d_v: Size, block: Size, e: Size, e_v: Size, **_: Size) -> Size:
    """q, o, m, l and the scores; two words of indices and a piece of k or v, or one word for the new maximum; while queries
    are gathered, q, an index and a piece; at the end an index and two pieces of a result. Units: words."""
    return maximum(block * (d + d_v + 3) + 2 + maximum(e, e_v), block * d + 1 + e, 1 + 2 * e_v)


def gray_place(code: Rows, bits: int) -> Rows:
    """Where a number comes in the Gray code, in which neighbours differ in one bit.

    Example:
        >>> gray_place(np.array([0, 1, 3, 2]), 2).tolist()
        [0, 1, 2, 3]
    """
    place, shift = code.copy(), 1
    while shift < bits:
        place ^= place >> shift
        shift *= 2
    return place


def orders(head: Head, random: np.random.Generator) -> dict[str, Float64]:
    """P and R, queries and keys in the order of their hashes; U, where each query comes; J and G, the sampled keys and where
    they come in their order."""
    n, d = head.Q.shape
    bits = head.settings["bits"]
    vectors = random.standard_normal((d, bits))

    def order(x: Float64) -> Rows:
        return np.argsort(gray_place((x @ vectors > 0) @ (1 << np.arange(bits)), bits), kind="stable")

    P, R = order(head.Q), order(head.K)
    G = random.integers(n, size=head.settings["samples"])
    numbers = {"P": P, "R": R, "U": np.argsort(P), "J": R[G], "G": G}
    return {
        **{name: array.astype(np.float64) for name, array in numbers.items()},
        "K": head.K[:, None, :],
        "V": head.V[:, None, :],
    }


def reference(head: Head, rows: Rows) -> Float64:
    """Row by row: exp(s) for the keys of the query's block, exp(s) n/m for each sample of another block."""
    n, d = head.Q.shape
    block, samples = head.settings["block"], head.settings["samples"]
    P, R, J = (head.extra[name].astype(int) for name in "PRJ")
    block_of_query, block_of_key = np.empty(n, dtype=int), np.empty(n, dtype=int)
    block_of_query[P] = block_of_key[R] = np.arange(n) // block
    result = np.empty((len(rows), head.V.shape[1]))
    for place, row in enumerate(rows):
        own = np.flatnonzero(block_of_key == block_of_query[row])
        others = J[block_of_key[J] != block_of_query[row]]
        keys = np.concatenate([own, others])
        scores = head.K[keys] @ head.Q[row] / math.sqrt(d)
        weights = np.exp(scores - scores.max())
        weights[len(own) :] *= n / samples
        result[place] = weights @ head.V[keys] / weights.sum()
    return result


hyper = Tiled(
    name="hyper",
    summary="blocks of queries and keys that hash alike, and sampled keys for the rest (HyperAttention)",
    source="Han et al., HyperAttention: Long-context Attention in Near-Linear Time, ICLR 2024 (sortLSH, uniform samples); "
    "the schedule is this package's",
    approximate=True,
    method=AttentionMethod(
        options=(
            Option(name="block", default=128, help="queries of a block, and keys", axis="n"),
            Option(name="samples", default=128, help="keys drawn for all queries, with replacement"),
            Option(name="bits", default=8, help="random vectors of the hash", limit=62),
            SEED,
        ),
        extra=orders,
        reference=reference,
    ),
    schedules=(Schedule(name="hashed", author=hashed, tiles={}, streams={"e": "d", "e_v": "d_v"}, io=io, peak=peak),),
)
