"""Paged attention: FlashAttention-2's order where K and V lie in pages, in any order, and a block table says where.

The keys of a sequence are cut into pages of `page` positions (16 in vLLM), the last of which may be filled in part. A
page of K and one of V lie at one place of their pools; the block table T, in slow memory, holds the places in the order
of the positions. For each tile of queries and each page, its word of T is loaded, then the page's rows from the place
that it names, word by word. So paging costs one word for each row tile and each page, and one word of fast memory.

It is for queries that meet every key, as in decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np
from numpy.typing import NDArray

from algorithms.shared.attention import within
from iosim import Builder, Schedule, Size, Tiled, ceil_div, maximum, minimum

PAGE = 16
_SEED = 0


def pages(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_r: Size,
    page: Size,
    B_c: Size,
    e: Size,
    e_v: Size,
) -> None:
    """The rows of a page are streamed in pieces of B_c rows and e or e_v columns (one word: B_c = e = e_v = 1)."""
    P = ceil_div(n_k, page)
    Q, T = b.input("Q", (n, d)), b.input("T", (P,))
    K, V = b.input("K", (P, page, d)), b.input("V", (P, page, d_v))
    filled = minimum(page, n_k)  # of the first page; a looked-up page counts as any of them
    O = b.output("O", (n, d_v), needs=lambda i, l: (Q[i, :], T[:], K[:, :filled, :], V[:, :filled, l]))
    with b.tiles("i", n, B_r) as i:
        q = b.load(Q[i, :])
        o, m, l = b.zeros("o", i, d_v), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("p", n_k, page) as p, b.load(T[p.start // page]) as t, b.tiles("j", p.length, B_c) as j:
            s = b.zeros("s", i, j)
            with b.tiles("c", d, e) as c, b.load(K[t.at(0), j, c]) as k:
                b.op("add_abt", s, q[:, c], k)
            b.op("divide_by_sqrt", s, of=d)
            b.op("online_softmax", s, m, l, o)
            with b.tiles("c", d_v, e_v) as c, b.load(V[t.at(0), j, c]) as v:
                b.op("add_ab", o[:, c], s, v)
            b.free(s)
        b.op("divide_rows", o, l)
        b.store(o, O[i, :])
        b.free(q, o, m, l)


def layout(inputs: Mapping[str, NDArray[np.float64]], sizes: Mapping[str, int]) -> dict[str, NDArray[np.float64]]:
    """Q as it is; K and V in pages in random order, the same for both; T, which says where each one lies.

    The rest of the last page is NaN: nothing may read it.

    Shapes: K: [n_k, d] or [heads, n_k, d], to [P, page, d] or [heads, P, page, d] with P = ceil(n_k/page); T: [P] or
        [heads, P].
    """
    n_k, page = inputs["K"].shape[-2], sizes["page"]
    P = -(-n_k // page)
    heads = inputs["K"].shape[:-2]
    random = np.random.default_rng(_SEED)
    T = random.permuted(np.broadcast_to(np.arange(P), (*heads, P)), axis=-1)

    def paged(array: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.full((*heads, P * page, array.shape[-1]), np.nan)
        whole[..., :n_k, :] = array
        pool = np.empty((*heads, P, page, array.shape[-1]))
        np.put_along_axis(pool, T[..., None, None], whole.reshape(pool.shape), axis=-3)
        return pool

    return {"Q": inputs["Q"], "T": T.astype(np.float64), "K": paged(inputs["K"]), "V": paged(inputs["V"])}


paged = Tiled(
    name="paged",
    summary="FlashAttention-2 order over pages of K and V that a block table finds",
    source="Kwon et al., Efficient Memory Management for LLM Serving with PagedAttention, SOSP 2023",
    schedules=(
        Schedule(
            name="pages",
            author=pages,
            tiles={"B_r": "n"},
            streams={"B_c": "n_k", "e": "d", "e_v": "d_v"},
            given={"page": ("n_k", PAGE)},
            layout=layout,
            # as flash2, and a word of the table for each page and row tile
            io=lambda *, n, n_k, d, d_v, B_r, page, **_: (
                n * (d + d_v) + (n_k * (d + d_v) + ceil_div(n_k, page)) * ceil_div(n, B_r)
            ),
            # the place of a page; q, o, m, l and the scores; a piece of k or v, or one word for the new maximum
            peak=lambda *, d, d_v, B_r, page, B_c, e, e_v, **_: (
                1 + B_r * (d + d_v + 2) + within(B_c, page) * (B_r + maximum(e, e_v))
            ),
            regime="every n, d and page, tiles no longer than their axis",
        ),
    ),
)
