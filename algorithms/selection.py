"""Attention over some of the keys only, the same ones for every query, which an index array in slow memory names.

FlashAttention-2's order over m kept keys: for each tile of queries and each kept key, its word of the index array, then its
row of K and of V, word by word: 2nd words for Q and O, and (2d + 1) m for each tile of queries. How the keys are chosen is
not part of the program; its words are not counted, those of the index are.

    top-keys       the keys that get the most attention from a sample of the queries
    token-hunting  for keys that are tokens of frames: frames far from each other, and of each frame every sigma-th token
                   of every sigma-th row, a share of 1/sigma^2

The error is at most the attention that the dropped keys would have got (the greatest of any query) times the range of V:
with a share delta dropped, O = (1 - delta) O~ + delta mu, where O~ is the result and mu a weighted mean of dropped values,
so O - O~ = delta (mu - O~), and both are within the range of each column of V.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import numpy as np

from algorithms.shared.attention import softmax_weights
from iosim import (
    AttentionMethod,
    Builder,
    Head,
    Option,
    Schedule,
    Size,
    Tiled,
    ceil_div,
    floor_div,
    maximum,
    minimum,
)
from iosim.numeric.reference import Float64, Rows, softmax_attention

MOST_PROBES = 64  # queries that say which keys get the most attention


def selected(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, kept: Size, B_r: Size, e: Size, e_v: Size) -> None:
    """Rows of K and V pass in pieces of e and e_v columns (one word: e = e_v = 1)."""
    Q, T = b.input("Q", (n, d)), b.input("T", (kept,))
    K, V = b.input("K", (n_k, 1, d)), b.input("V", (n_k, 1, d_v))
    O = b.output("O", (n, d_v), needs=lambda i, l: (Q[i, :], T[:], K[:, :, :], V[:, :, l]))
    with b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", kept, 1) as j, b.load(T[j]) as t:
            s = b.zeros("s", i, 1)
            with b.tiles("c", d, e) as c, b.load(K[t.at(0), :, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", d_v, e_v) as c, b.load(V[t.at(0), :, c]) as v:
                b.op("add_ab", o[:, c], s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def grid(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    frames: Size,
    width: Size,
    sigma: Size,
    B_r: Size,
    e: Size,
    e_v: Size,
) -> None:
    """The same for what is left of frames of width^2 tokens."""
    kept = kept_tokens(n_k=n_k, frames=frames, width=width, sigma=sigma)
    selected(b, n=n, n_k=n_k, d=d, d_v=d_v, kept=kept, B_r=B_r, e=e, e_v=e_v)


def kept_tokens(*, n_k: Size, frames: Size, width: Size, sigma: Size) -> Size:
    """Of whole frames at most `frames`, of each every sigma-th token of every sigma-th row; all tokens beyond the last
    whole frame, such as those of a camera or of a register."""
    whole = floor_div(n_k, width * width)
    share = ceil_div(width, sigma)
    return minimum(frames, whole) * share * share + n_k - whole * width * width


def selected_io(*, n: Size, d: Size, d_v: Size, kept: Size, B_r: Size, **_: Size) -> Size:
    """Q and O once; for each tile of queries the index and the kept keys and values. Units: words."""
    return n * (d + d_v) + kept * (d + d_v + 1) * ceil_div(n, B_r)


def selected_peak(*, d: Size, d_v: Size, B_r: Size, e: Size, e_v: Size, **_: Size) -> Size:
    """A word of the index; q, o, m, l and the scores; a piece of k or v, or one word for the new maximum. Units: words."""
    return 1 + B_r * (d + d_v + 2) + B_r + maximum(e, e_v)


def grid_io(*, n_k: Size, frames: Size, width: Size, sigma: Size, **sizes: Size) -> Size:
    return selected_io(kept=kept_tokens(n_k=n_k, frames=frames, width=width, sigma=sigma), **sizes)


def _inputs(head: Head, kept: Rows) -> dict[str, Float64]:
    return {"T": kept.astype(np.float64), "K": head.K[:, None, :], "V": head.V[:, None, :]}


def reference(head: Head, rows: Rows) -> Float64:
    """Softmax attention over the kept keys."""
    kept = head.extra["T"].astype(int)
    return softmax_attention(head.Q[rows], head.K[kept], head.V[kept])


def dropped(head: Head, rows: Rows) -> float:
    """The greatest attention that the dropped keys together get from one of these queries."""
    left = np.ones((len(head.K), 1))
    left[head.extra["T"].astype(int)] = 0
    return float(softmax_attention(head.Q, head.K, left, rows).max())


def bound(head: Head, rows: Rows) -> float:
    """What the module's docstring proves."""
    return dropped(head, rows) * float(np.ptp(head.V, axis=0).max())


def heavy_keys(head: Head, _random: np.random.Generator) -> dict[str, Float64]:
    """The keys with the most attention from at most 64 queries, evenly spread; among equals, the earlier ones."""
    n = len(head.Q)
    probes = head.Q[np.unique(np.linspace(0, n - 1, min(n, MOST_PROBES)).astype(int))]
    mass = softmax_weights(probes, head.K).sum(axis=0)
    kept = np.sort(np.argsort(-mass, kind="stable")[: head.settings["kept"]])
    return _inputs(head, kept)


def grid_keys(head: Head, _random: np.random.Generator) -> dict[str, Float64]:
    """Frames by farthest-point sampling of their mean keys, from the first frame on; of each, the tokens of the grid."""
    width, sigma = head.settings["width"], head.settings["sigma"]
    area = width * width
    whole = len(head.K) // area
    features = head.K[: whole * area].reshape(whole, area, head.K.shape[1]).mean(axis=1)
    chosen = farthest_points(features, min(head.settings["frames"], whole))
    places = np.arange(0, width, sigma)
    tokens = (places[:, None] * width + places).reshape(-1)
    kept = (np.sort(chosen)[:, None] * area + tokens).reshape(-1)
    return _inputs(head, np.concatenate([kept, np.arange(whole * area, len(head.K))]))


def farthest_points(points: Float64, count: int) -> Rows:
    """`count` points, the first one first, then each time the one farthest from all that are chosen."""
    chosen = np.zeros(count, dtype=np.int64)
    nearest = np.full(len(points), np.inf)
    for number in range(1, count):
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[number - 1]], axis=1))
        chosen[number] = int(np.argmax(nearest))
    return chosen


def _schedule(author: Callable[..., None], io: Callable[..., Size], name: str) -> Schedule:
    return Schedule(
        name=name,
        author=author,
        tiles={"B_r": "n"},
        streams={"e": "d", "e_v": "d_v"},
        io=io,
        peak=selected_peak,
    )


def _kept_of_grid(sizes: Mapping[str, int]) -> int:
    names = ("n_k", "frames", "width", "sigma")
    kept = kept_tokens(**{name: sizes[name] for name in names})
    assert isinstance(kept, int)
    return kept


top_keys = Tiled(
    name="top-keys",
    summary="attention over the keys that a sample of queries attends to most",
    source="Zhang et al., H2O: Heavy-Hitter Oracle, NeurIPS 2023 (keys by the attention that they get); "
    "the schedule is FlashAttention-2's over an index",
    approximate=True,
    method=AttentionMethod(
        options=(Option(name="kept", default=256, help="keys that are kept", axis="n_k"),),
        extra=heavy_keys,
        reference=reference,
        bound=bound,
        keys=lambda sizes: sizes["kept"],
    ),
    schedules=(_schedule(selected, selected_io, "selected"),),
)

token_hunting = Tiled(
    name="token-hunting",
    summary="attention over a grid of the tokens of frames far from each other",
    source="Zheng et al., Good Token Hunting, arXiv 2605.23892 (farthest-point frames, a grid in each); "
    "the schedule is FlashAttention-2's over an index",
    approximate=True,
    method=AttentionMethod(
        options=(
            Option(name="frames", default=16, help="frames that are kept"),
            Option(name="width", default=8, help="tokens of a row of a frame, which has as many rows"),
            Option(name="sigma", default=2, help="of each frame, every sigma-th token of every sigma-th row"),
        ),
        extra=grid_keys,
        reference=reference,
        bound=bound,
        keys=_kept_of_grid,
    ),
    schedules=(_schedule(grid, grid_io, "grid"),),
)
