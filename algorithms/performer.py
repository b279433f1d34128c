"""Positive random features (Performer, FAVOR+): softmax's kernel as the mean of products of features of q and of k.

With x = q / d^(1/4) and y = k / d^(1/4), exp(x.y) is the mean over standard normal vectors w of phi(x) phi(y), where
phi(x) = exp(w.x - |x|^2 / 2). With m vectors, the rows of Omega, attention is phi(Q) (phi(K)^T [V 1]), divided by its last
column. Omega is an input: its words are loaded like those of K.

    resident     the sums phi(K)^T [V 1] and Omega stay in fast memory: every word moves once
    passing      the sums stay, Omega passes by once for each tile of keys and each tile of queries
    two sweeps   the sums are made for B_f features at a time and stored; then, as in FlashAttention-2, features and their
                 sums pass by tiles of queries, as keys and values do there
"""

from __future__ import annotations

import math

import numpy as np

from iosim import SEED, AttentionMethod, Builder, Head, Op, Option, Schedule, Size, Tiled, ceil_div, maximum
from iosim.numeric.reference import Float64, Rows

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l], Omega[:,:]"


def _phi(X: Float64, Omega: Float64, of: int) -> Float64:
    scores = X @ Omega.T
    scores /= of**0.25
    scores -= np.einsum("ij,ij->i", X, X)[:, None] / (2 * math.sqrt(of))
    return np.exp(scores, out=scores)


def _sum(W: Float64, w: Float64, k: Float64, v: Float64, Omega: Float64, *, of: int) -> None:
    features = _phi(k, Omega, of)
    W += features.T @ v
    w += features.sum(axis=0)


def _use(y: Float64, z: Float64, q: Float64, W: Float64, w: Float64, Omega: Float64, *, of: int) -> None:
    features = _phi(q, Omega, of)
    y += features @ W
    z += features @ w


# Row by row and feature by feature: one word for |x|^2, one for w.x and the feature.
SUM = Op(
    name="add_random_features",
    shapes="W[f,c] w[f] k[j,t] v[j,c] Omega[f,t]",
    updates=2,
    params=("of",),
    text="for each row: phi = exp({Omega} k / {of}^(1/4) - |k|^2 / (2 sqrt({of}))); {W} += phi v^T, {w} += phi ({k}, {v})",
    # the square of the norm, once a row; the product with w, a scaling, minus, exp, and the sums
    flops=lambda n, _: 2 * n["j"] * n["t"] + n["j"] * n["f"] * (2 * n["t"] + 2 * n["c"] + 4),
    scratch=lambda _: 2,
    numpy=_sum,
    triton="""
$scores = product({k!t}, tl.trans({Omega!t}), tl.zeros([{#j}, {#f}], tl.float32)) * {of} ** -0.25
$norm = tl.sum({k@t} * {k@t}, axis=1) * (0.5 * {of} ** -0.5)
$phi = tl.where((tl.arange(0, {#j}) < {|j|})[:, None], tl.exp($scores - $norm[:, None]), 0.0)
{W} = product(tl.trans($phi), {v@j}, {W})
{w} += tl.sum($phi, axis=0)
""",
)
USE = Op(
    name="add_random_feature_products",
    shapes="y[i,c] z[i] q[i,t] W[f,c] w[f] Omega[f,t]",
    updates=2,
    params=("of",),
    text="for each row: phi = exp({Omega} q / {of}^(1/4) - |q|^2 / (2 sqrt({of}))); {y} += phi {W}, {z} += phi {w} ({q})",
    flops=lambda n, _: 2 * n["i"] * n["t"] + n["i"] * n["f"] * (2 * n["t"] + 2 * n["c"] + 5),
    scratch=lambda _: 2,
    numpy=_use,
    triton="""
$scores = product({q!t}, tl.trans({Omega!t}), tl.zeros([{#i}, {#f}], tl.float32)) * {of} ** -0.25
$norm = tl.sum({q@t} * {q@t}, axis=1) * (0.5 * {of} ** -0.5)
$phi = tl.where((tl.arange(0, {#f}) < {|f|})[None, :], tl.exp($scores - $norm[:, None]), 0.0)
{y} = product($phi, {W@f}, {y})
{z} += tl.sum($phi * {w@f}[None, :], axis=1)
""",
)


def resident(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, features: Size, N_k: Size, N: Size) -> None:
    """K, V and Q are streamed by rows (one: N_k = N = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    Omega = b.input("Omega", (features, d))
    O = b.output("O", (n, d_v), needs=NEEDS)
    omega, W, w = b.load(Omega[:, :]), b.zeros("W", features, d_v), b.zeros("w", features)
    with b.tiles("j", n_k, N_k) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
        b.op(SUM, W, w, k, v, omega, of=d)
    with b.tiles("i", n, N) as i, b.load(Q[i, :]) as q, b.zeros("y", i, d_v) as y, b.zeros("z", i) as z:
        b.op(USE, y, z, q, W, w, omega, of=d)
        b.op("divide_rows", y, z)
        b.store(y, O[i, :])
    b.free(omega, W, w)


def passing(
    b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, features: Size, B_c: Size, B_r: Size, N_f: Size
) -> None:
    """Omega is streamed by rows (one: N_f = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    Omega = b.input("Omega", (features, d))
    O = b.output("O", (n, d_v), needs=NEEDS)
    W, w = b.zeros("W", features, d_v), b.zeros("w", features)
    with b.tiles("j", n_k, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
        with b.tiles("f", features, N_f) as f, b.load(Omega[f, :]) as omega:
            b.op(SUM, W[f, :], w[f], k, v, omega, of=d)
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q, b.zeros("y", i, d_v) as y, b.zeros("z", i) as z:
        with b.tiles("f", features, N_f) as f, b.load(Omega[f, :]) as omega:
            b.op(USE, y, z, q, W[f, :], w[f], omega, of=d)
        b.op("divide_rows", y, z)
        b.store(y, O[i, :])
    b.free(W, w)


def two_sweeps(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    features: Size,
    B_f: Size,
    B_r: Size,
    N_k: Size,
    N_f: Size,
) -> None:
    """K and V are streamed by rows, then Omega and the sums (one: N_k = N_f = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    Omega = b.input("Omega", (features, d))
    O = b.output("O", (n, d_v), needs=NEEDS)
    S, s = b.scratch("S", (features, d_v)), b.scratch("s", (features,))
    with b.tiles("f", features, B_f) as f, b.load(Omega[f, :]) as omega:
        W, w = b.zeros("W", f, d_v), b.zeros("w", f)
        with b.tiles("j", n_k, N_k) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op(SUM, W, w, k, v, omega, of=d)
        b.store(W, S[f, :])
        b.store(w, s[f])
        b.free(W, w)
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q, b.zeros("y", i, d_v) as y, b.zeros("z", i) as z:
        with b.tiles("f", features, N_f) as f, b.load(Omega[f, :]) as omega:
            with b.load(S[f, :], "W") as W, b.load(s[f], "w") as w:
                b.op(USE, y, z, q, W, w, omega, of=d)
        b.op("divide_rows", y, z)
        b.store(y, O[i, :])


def orthogonal(features: int, d: int, random: np.random.Generator) -> Float64:
    """Rows that are orthogonal to the others of their block of d, with the lengths of standard normal vectors.

    Shape: [features, d].
    """
    blocks = []
    for start in range(0, features, d):
        basis, upper = np.linalg.qr(random.standard_normal((d, d)))
        basis *= np.sign(np.diag(upper))  # uniformly distributed
        lengths = np.linalg.norm(random.standard_normal((d, d)), axis=1)
        blocks.append((lengths[:, None] * basis)[: features - start])
    return np.concatenate(blocks)


def reference(head: Head, rows: Rows) -> Float64:
    """D^-1 (Q' (K'^T V)) with D = diag(Q' (K'^T 1)), where the entries of Q' and K' are features: equation (4) with (7)."""
    Omega, scale = head.extra["Omega"], head.Q.shape[1] ** -0.25

    def features(X: Float64) -> Float64:
        x = scale * X
        values: Float64 = np.exp(x @ Omega.T - (x**2).sum(axis=1, keepdims=True) / 2) / math.sqrt(len(Omega))
        return values

    keys, queries = features(head.K), features(head.Q[rows])
    result: Float64 = (queries @ (keys.T @ head.V)) / (queries @ keys.sum(axis=0))[:, None]
    return result


performer = Tiled(
    name="performer",
    summary="positive orthogonal random features in place of the exponential (FAVOR+)",
    source="Choromanski et al., Rethinking Attention with Performers, ICLR 2021; the schedules are this package's",
    approximate=True,
    method=AttentionMethod(
        options=(Option(name="features", default=256, help="random features m"), SEED),
        extra=lambda head, random: {"Omega": orthogonal(head.settings["features"], head.Q.shape[1], random)},
        reference=reference,
    ),
    schedules=(
        Schedule(
            name="resident",
            author=resident,
            tiles={},
            streams={"N_k": "n_k", "N": "n"},
            # everything once
            io=lambda *, n, n_k, d, d_v, features, **_: (n + n_k) * (d + d_v) + features * d,
            # Omega and the sums; a query, its result and normaliser, two words of the operation
            peak=lambda *, d, d_v, features, N_k, N, **_: (
                features * (d + d_v + 1) + maximum(N_k * (d + d_v), N * (d + d_v + 1)) + 2
            ),
        ),
        Schedule(
            name="passing",
            author=passing,
            tiles={"B_c": "n_k", "B_r": "n"},
            streams={"N_f": "features"},
            # Q, K, V, O once; Omega for each tile of keys and of queries
            io=lambda *, n, n_k, d, d_v, features, B_c, B_r, **_: (
                (n + n_k) * (d + d_v) + features * d * (ceil_div(n_k, B_c) + ceil_div(n, B_r))
            ),
            # the sums; a tile of keys and values, or of queries, results and normalisers; a vector, and two words
            peak=lambda *, d, d_v, features, B_c, B_r, N_f, **_: maximum(
                features * (d_v + 1) + B_c * (d + d_v) + N_f * d + 2,
                features * (d_v + 1) + B_r * (d + d_v + 1) + N_f * d + 2,
            ),
        ),
        Schedule(
            name="two sweeps",
            author=two_sweeps,
            tiles={"B_f": "features", "B_r": "n"},
            streams={"N_k": "n_k", "N_f": "features"},
            # sweep 1: Omega, K and V for each tile of features, the sums stored;
            # sweep 2: Q and O, Omega and the sums for each tile of queries
            io=lambda *, n, n_k, d, d_v, features, B_f, B_r, **_: (
                features * (d + d_v + 1)
                + n_k * (d + d_v) * ceil_div(features, B_f)
                + n * (d + d_v)
                + features * (d + d_v + 1) * ceil_div(n, B_r)
            ),
            # vectors and their sums with a key and its value; queries, results, normalisers with a vector and its sums
            peak=lambda *, d, d_v, B_f, B_r, N_k, N_f, **_: maximum(
                B_f * (d + d_v + 1) + N_k * (d + d_v) + 2, (B_r + N_f) * (d + d_v + 1) + 2
            ),
        ),
    ),
)
