"""What programs of attention share: their arrays, sizes in their claims, softmax weights for references, a copied row."""

from __future__ import annotations

import math

import numpy as np

from iosim import FULL, Builder, Mask, Op, Size, Span, minimum
from iosim.builder import ArrayHandle
from iosim.numeric.reference import Float64

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l]"  # where every query meets every key


def arrays(
    b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask = FULL, g: Size = 1
) -> tuple[ArrayHandle, ArrayHandle, ArrayHandle, ArrayHandle]:
    """Declares Q, K, V and O, with what each word of O must have seen; g rows of Q and O belong to each position.

    Shapes: Q: [n g, d], K: [n_k, d], V: [n_k, d_v], O: [n g, d_v].
    """
    Q, K, V = b.input("Q", (n * g, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))

    def seen(i, l):  # type: ignore[no-untyped-def]
        keys = mask.span(Span(i.size // g, 1), n, n_k)
        return Q[i, :], K[keys, :], V[keys, l]

    return Q, K, V, b.output("O", (n * g, d_v), needs=NEEDS if mask.full else seen)


def within(stream: Size, tile: Size) -> Size:
    """How long a stream that passes through a tile is; through one of unknown length, at least 1."""
    return 1 if isinstance(stream, int) and stream == 1 and not isinstance(tile, int) else minimum(stream, tile)


def whole(size: Size) -> int:
    """A size that is a number."""
    assert isinstance(size, int)
    return size


def softmax_weights(Q: Float64, K: Float64) -> Float64:
    """softmax(Q K^T / sqrt(d)), whole. Shapes: Q: [n, d], K: [n_k, d]; result: [n, n_k]."""
    scores = Q @ K.T / math.sqrt(Q.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    normalised: Float64 = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def _copy(y: Float64, x: Float64) -> None:
    y[:] = x


COPY = Op(
    name="copy_row",
    shapes="y[u,c] x[c]",
    updates=1,
    fresh=("y",),
    text="{y} = {x}",
    flops=lambda n, _: 0,
    numpy=_copy,
    triton="{y} = {x}[None, :] + tl.zeros([{#u}, {#c}], tl.float32)",
)
