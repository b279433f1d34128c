"""A window of w transformer layers applied K times each, at inference (training-free looped transformers).

A layer is one head of attention and a perceptron, each added to what it is given: f(x) = g - x with h = x + attention(x)
and g = h + relu(h A^T) B. As a step of an equation in time it is refined into K steps of 1/K: x <- x + f(x)/K.

    block order   the window again and again: layers 1, ..., w, then 1, ..., w, K times; weights are loaded K times
    layer order   each layer K times before the next one; weights are loaded once and stay for K applications

The two orders compute different functions. A layer's P = 4d^2 + 2d hidden weights must fit beside a tile of tokens; then
layer order saves (K - 1) w P words, whatever the number of tokens. An application moves the tokens in either order: since
each token attends to all, keys and values are made and stored first, then the tokens pass by tiles, as in
FlashAttention-2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import inf

import numpy as np

from algorithms.shared.attention import softmax_weights
from iosim import SEED, AttentionMethod, Builder, Head, Op, Option, Schedule, Size, Tiled, ceil_div, maximum
from iosim.builder import ArrayHandle, Index, TileHandle
from iosim.numeric.reference import Float64, Rows
from iosim.task import LOOPED

SQUARE = ("Wq", "Wk", "Wv", "Wo")  # [w d, d], the layers one below the other
PERCEPTRON = ("A", "B")  # [w hidden, d]


def _add(h: Float64, y: Float64) -> None:
    h += y


def _relu(u: Float64) -> None:
    np.maximum(u, 0, out=u)


def _step(x: Float64, y: Float64, *, loops: int) -> None:
    x += y / loops


ADD = Op(
    name="add",
    shapes="h[i,c] y[i,c]",
    updates=1,
    text="{h} += {y}",
    flops=lambda n, _: n["i"] * n["c"],
    numpy=_add,
    triton="{h} += {y}",
)
RELU = Op(
    name="relu",
    shapes="u[i,c]",
    updates=1,
    text="{u} = max({u}, 0)",
    flops=lambda n, _: n["i"] * n["c"],
    numpy=_relu,
    triton="{u} = tl.maximum({u}, 0.0)",
)
STEP = Op(
    name="step",
    shapes="x[i,c] y[i,c]",
    updates=1,
    params=("loops",),
    text="{x} += {y} / {loops}",
    flops=lambda n, _: 2 * n["i"] * n["c"],
    numpy=_step,
    triton="{x} += {y} / {loops}",
)


class _Slow:
    """The arrays of slow memory; O holds the tokens on their way."""

    def __init__(self, b: Builder, n: Size, d: Size, layers: Size, hidden: Size) -> None:
        self.Q = b.input("Q", (n, d))
        self.weights: dict[str, ArrayHandle] = {name: b.input(name, (layers * d, d)) for name in SQUARE}
        self.weights |= {name: b.input(name, (layers * hidden, d)) for name in PERCEPTRON}
        everything = [array[:, :] for array in (self.Q, *self.weights.values())]
        self.O = b.output("O", (n, d), needs=lambda _i, _l: tuple(everything))
        self.X, self.Y = b.scratch("X", (n, d)), b.scratch("Y", (n, d))


def _weights(b: Builder, slow: _Slow, layer: Index, d: Size, hidden: Size) -> dict[str, TileHandle]:
    """Loads those of one layer."""
    found = {}
    for name, array in slow.weights.items():
        height = d if name in SQUARE else hidden
        first = layer.start * height
        found[name] = b.load(array[first : first + height, :])
    return found


def _apply(
    b: Builder, slow: _Slow, w: dict[str, TileHandle], n: Size, d: Size, loops: Size, hidden: Size, B_r: Size, N: Size
) -> None:
    """One step with one layer: keys X and values Y of all tokens, then the tokens by tiles of B_r."""
    with b.tiles("j", n, N) as j, b.load(slow.O[j, :], "x") as x:
        for weights, array in (("Wk", slow.X), ("Wv", slow.Y)):
            with b.zeros("y", j, d) as y:
                b.op("add_abt", y, x, w[weights])
                b.store(y, array[j, :])
    with b.tiles("i", n, B_r) as i, b.load(slow.O[i, :], "x") as x:
        q, o, m, l = b.zeros("q", i, d), b.zeros("o", i, d), b.full("m", i, fill=-inf), b.zeros("l", i)
        b.op("add_abt", q, x, w["Wq"])
        with b.tiles("j", n, N) as j, b.load(slow.X[j, :], "k") as k, b.load(slow.Y[j, :], "v") as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.op("divide_rows", o, l)
        b.free(q, m, l)
        y = b.zeros("y", i, d)
        b.op("add_abt", y, o, w["Wo"])
        b.free(o)
        h, u = b.zeros("h", i, d), b.zeros("u", i, hidden)
        b.op(ADD, h, x)
        b.op(ADD, h, y)
        b.op("add_abt", u, h, w["A"])
        b.op(RELU, u)
        b.op("add_ab", y, u, w["B"])
        b.op(STEP, x, y, loops=loops)
        b.store(x, slow.O[i, :])
        b.free(y, h, u)


def _copy(b: Builder, slow: _Slow, n: Size, N: Size) -> None:
    with b.tiles("i", n, N) as i, b.load(slow.Q[i, :]) as q:
        b.store(q, slow.O[i, :])


def block_order(b: Builder, *, n: Size, d: Size, loops: Size, layers: Size, hidden: Size, B_r: Size, N: Size) -> None:
    """Tokens are streamed by N (one: N = 1) where they are not tiled."""
    slow = _Slow(b, n, d, layers, hidden)
    _copy(b, slow, n, N)
    with b.tiles("t", loops, 1), b.tiles("s", layers, 1) as s:
        w = _weights(b, slow, s, d, hidden)
        _apply(b, slow, w, n=n, d=d, loops=loops, hidden=hidden, B_r=B_r, N=N)
        b.free(*w.values())


def layer_order(b: Builder, *, n: Size, d: Size, loops: Size, layers: Size, hidden: Size, B_r: Size, N: Size) -> None:
    """Tokens are streamed by N (one: N = 1) where they are not tiled."""
    slow = _Slow(b, n, d, layers, hidden)
    _copy(b, slow, n, N)
    with b.tiles("s", layers, 1) as s:
        w = _weights(b, slow, s, d, hidden)
        with b.tiles("t", loops, 1):
            _apply(b, slow, w, n=n, d=d, loops=loops, hidden=hidden, B_r=B_r, N=N)
        b.free(*w.values())


def weight_words(*, d: Size, hidden: Size) -> Size:
    """P, of one layer. Units: words."""
    return 4 * d * d + 2 * d * hidden


def token_words(*, n: Size, d: Size, loops: Size, layers: Size, B_r: Size) -> Size:
    """The tokens from Q to O; for each application they are loaded twice and stored once, keys and values are stored once
    and loaded for each tile. Units: words."""
    return 2 * n * d + loops * layers * (5 * n * d + 2 * n * d * ceil_div(n, B_r))


def peak(*, d: Size, hidden: Size, B_r: Size, N: Size, **_: Size) -> Size:
    """A layer's weights; x, q, o, m, l with rows of keys and values and two words; or x, y, h, u; or rows of tokens and of
    keys. Units: words."""
    P = weight_words(d=d, hidden=hidden)
    return maximum(P + 3 * B_r * d + 2 * B_r + 2 * N * d + 2, P + 3 * B_r * d + B_r * hidden)


def weights(head: Head, random: np.random.Generator) -> dict[str, Float64]:
    """Normal entries with variance one over the length of the sums that they are in."""
    d, layers, hidden = head.Q.shape[1], head.settings["layers"], head.settings["hidden"]
    found = {name: random.standard_normal((layers * d, d)) / math.sqrt(d) for name in SQUARE}
    found["A"] = random.standard_normal((layers * hidden, d)) / math.sqrt(d)
    found["B"] = random.standard_normal((layers * hidden, d)) / math.sqrt(hidden)
    return found


def _layer(x: Float64, head: Head, number: int) -> Float64:
    """f(x)."""
    layers = head.settings["layers"]
    Wq, Wk, Wv, Wo, A, B = (np.split(head.extra[name], layers)[number] for name in (*SQUARE, *PERCEPTRON))
    attended = softmax_weights(x @ Wq.T, x @ Wk.T) @ (x @ Wv.T) @ Wo.T
    return attended + np.maximum((x + attended) @ A.T, 0) @ B


def _in_order(order: Callable[[int, int], list[int]]) -> Callable[[Head, Rows], Float64]:
    def reference(head: Head, rows: Rows) -> Float64:
        """All tokens through the layers in this order, by steps of 1/K."""
        loops, layers = head.settings["loops"], head.settings["layers"]
        x = head.Q
        for number in order(loops, layers):
            x = x + _layer(x, head, number) / loops
        return x[rows]

    return reference


def _looped(
    name: str, summary: str, author: Callable[..., None], order: Callable[[int, int], list[int]], *, once: bool
) -> Tiled:
    def io(*, n: Size, d: Size, loops: Size, layers: Size, hidden: Size, B_r: Size, **_: Size) -> Size:
        P = weight_words(d=d, hidden=hidden)
        return token_words(n=n, d=d, loops=loops, layers=layers, B_r=B_r) + (layers if once else loops * layers) * P

    return Tiled(
        name=name,
        summary=summary,
        source="Chen et al., Training-Free Looped Transformers, arXiv 2605.23872 (steps of 1/K); the layer and the schedule "
        "are this package's",
        computes=LOOPED,
        best_of=(LOOPED,) if once else (),
        method=AttentionMethod(
            options=(
                Option(name="loops", default=4, help="applications K of each layer"),
                Option(name="layers", default=2, help="layers w of the window"),
                Option(name="hidden", default=64, help="width of the perceptron"),
                SEED,
            ),
            extra=weights,
            reference=_in_order(order),
        ),
        schedules=(
            Schedule(
                name=name.removeprefix("looped-").replace("-", " "),
                author=author,
                tiles={"B_r": "n"},
                streams={"N": "n"},
                io=io,
                peak=peak,
            ),
        ),
    )


looped_block_order = _looped(
    "looped-block-order",
    "a window of layers again and again: weights are loaded in each round",
    block_order,
    lambda loops, layers: list(range(layers)) * loops,
    once=False,
)

looped_layer_order = _looped(
    "looped-layer-order",
    "each layer of a window several times before the next one: weights are loaded once",
    layer_order,
    lambda loops, layers: [number for number in range(layers) for _ in range(loops)],
    once=True,
)
