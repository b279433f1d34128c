"""What the orders of the backward pass share: its arrays, a block of keys or of queries, products with stored P and dS.

With S = Q K^T/sqrt(d), P = exp(S - L) and D = rowsum(dO * O):

    dV = P^T dO,  dP = dO V^T,  dS = P * (dP - D),  dQ = dS K/sqrt(d),  dK = dS^T Q/sqrt(d)

where L, the logarithm of the row sums of exp(S), and O are what the forward pass left. Source: Dao, FlashAttention-2, ICLR
2024, section 3.1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from algorithms.shared.products import product, product_io, product_peak
from iosim import FULL, Builder, Mask, Problem, Size, Span, maximum, minimum
from iosim.builder import ArrayHandle, Index, TileHandle
from iosim.program import Region

SOURCE = "Dao, FlashAttention-2, ICLR 2024, Algorithm 2"


class Arrays(NamedTuple):
    """Of the backward pass, in slow memory."""

    Q: ArrayHandle
    K: ArrayHandle
    V: ArrayHandle
    O: ArrayHandle
    dO: ArrayHandle
    L: ArrayHandle
    dQ: ArrayHandle
    dK: ArrayHandle
    dV: ArrayHandle


def arrays(b: Builder, *, n: Size, n_k: Size, d: Size, d_v: Size, mask: Mask = FULL) -> Arrays:
    """Declares inputs and outputs, with what each word of the outputs must have seen."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    O, dO, L = b.input("O", (n, d_v)), b.input("dO", (n, d_v)), b.input("L", (n,))

    def of_query(i, l):  # type: ignore[no-untyped-def]
        keys = mask.span(Span(i.size, 1), n, n_k)
        return Q[i, :], K[keys, :], V[keys, :], O[i, :], dO[i, :], L[i]

    def queries(j) -> Span:  # type: ignore[no-untyped-def]
        return mask.transposed.span(Span(j.size, 1), n_k, n)

    def of_key(j, l) -> tuple[Region, ...]:  # type: ignore[no-untyped-def]
        i = queries(j)
        return Q[i, :], K[j, :], V[j, :], O[i, :], dO[i, :], L[i]

    def of_value(j, l) -> tuple[Region, ...]:  # type: ignore[no-untyped-def]
        i = queries(j)
        return Q[i, :], K[j, :], dO[i, l], L[i]

    dQ = b.output("dQ", (n, d), needs=of_query)
    dK, dV = b.output("dK", (n_k, d), needs=of_key), b.output("dV", (n_k, d_v), needs=of_value)
    return Arrays(Q, K, V, O, dO, L, dQ, dK, dV)


def probabilities(
    b: Builder, q: TileHandle, k: TileHandle, i: Index, j: Index, *, n: Size, n_k: Size, d: Size, mask: Mask = FULL
) -> TileHandle:
    """The scores of rows of Q and K, hidden where they don't meet; to become probabilities by `exp_shifted`."""
    s = b.zeros("s", i, j)
    b.op("add_abt", s, q, k)
    b.op("divide_by_sqrt", s, of=d)
    mask.hide(b, s, i, j, shift=n_k - n)
    return s


def key_block(
    b: Builder,
    a: Arrays,
    D: ArrayHandle,
    j: Index,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    f: Size,
    e_v: Size,
    first: bool,
    use: Callable[[TileHandle, Index, TileHandle], None],
    mask: Mask = FULL,
) -> None:
    """A tile j of keys with K, V, dK and dV in fast memory; f rows of Q and e_v columns of dO in them pass by.

    Args:
        first: whether D is not in slow memory yet: then it is computed from O, and stored.
        use: what else dS/sqrt(d) of rows i is for; it is given dS/sqrt(d), i and K.
    """
    k, v, dk, dv = b.load(a.K[j, :]), b.load(a.V[j, :]), b.zeros("dk", j, d), b.zeros("dv", j, d_v)
    queries = mask.transposed.span(j.span, n_k, n)
    with b.tiles("i", queries.stop, f, start=queries.start) as i:
        q = b.load(a.Q[i, :])
        p = probabilities(b, q, k, i, j, n=n, n_k=n_k, d=d, mask=mask)
        with b.load(a.L[i]) as l:
            b.op("exp_shifted", p, l)
        x, delta = b.zeros("ds", i, j), b.zeros("delta", i) if first else b.load(D[i], "delta")
        with b.tiles("c", d_v, e_v) as c, b.load(a.dO[i, c]) as do:
            b.op("add_abt", x, do, v[:, c])
            b.op("add_atb", dv[:, c], p, do)
            if first:
                with b.load(a.O[i, c]) as o:
                    b.op("add_row_dots", delta, do, o)
        b.op("softmax_gradient", x, p, delta)
        if first:
            b.store(delta, D[i])
        b.free(p, delta)
        b.op("divide_by_sqrt", x, of=d)
        b.op("add_atb", dk, x, q)
        b.free(q)
        use(x, i, k)
        b.free(x)
    b.store(dk, a.dK[j, :])
    b.store(dv, a.dV[j, :])
    b.free(k, v, dk, dv)


def key_block_peak(*, d: Size, d_v: Size, B_c: Size, f: Size, e_v: Size, first: bool) -> Size:
    """k, v, dk, dv; rows of q; P and dP; D; a piece of dO, and of O where D is computed. Units: words."""
    return 2 * B_c * (d + d_v) + f * d + 2 * f * B_c + f + (2 if first else 1) * f * e_v


def query_block(
    b: Builder,
    a: Arrays,
    i: Index,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    f: Size,
    e_v: Size,
    mask: Mask,
    D: ArrayHandle | None,
    first: bool | None,
    e: Size = 1,
) -> None:
    """A tile i of queries with Q, dO, dQ, L and D in fast memory; f rows of K, e_v columns of V in them pass by.

    Args:
        D: where D is stored; None if nowhere.
        first: whether dK and dV are not in slow memory yet; None if they don't pass by.
        e: columns of dK that pass by.
    """
    do, delta = b.load(a.dO[i, :]), b.zeros("delta", i)
    with b.tiles("c", d_v, e_v) as c, b.load(a.O[i, c]) as o:
        b.op("add_row_dots", delta, do[:, c], o)
    if D is not None:
        b.store(delta, D[i])
    q, l, dq = b.load(a.Q[i, :]), b.load(a.L[i]), b.zeros("dq", i, d)
    keys = mask.span(i.span, n, n_k)
    with b.tiles("j", keys.stop, f, start=keys.start) as j:
        k = b.load(a.K[j, :])
        p = probabilities(b, q, k, i, j, n=n, n_k=n_k, d=d, mask=mask)
        b.op("exp_shifted", p, l)
        x = b.zeros("ds", i, j)
        with b.tiles("c", d_v, e_v) as c:
            with b.load(a.V[j, c]) as v:
                b.op("add_abt", x, do[:, c], v)
            if first is not None:
                with b.zeros("dv", j, c) if first else b.load(a.dV[j, c]) as dv:
                    b.op("add_atb", dv, p, do[:, c])
                    b.store(dv, a.dV[j, c])
        b.op("softmax_gradient", x, p, delta)
        b.op("divide_by_sqrt", x, of=d)
        b.op("add_ab", dq, x, k)
        b.free(p, k)
        if first is not None:
            with b.tiles("c", d, e) as c:
                with b.zeros("dk", j, c) if first else b.load(a.dK[j, c]) as dk:
                    b.op("add_atb", dk, x, q[:, c])
                    b.store(dk, a.dK[j, c])
        b.free(x)
    b.store(dq, a.dQ[i, :])
    b.free(do, delta, q, l, dq)


def query_block_peak(*, d: Size, d_v: Size, B_r: Size, f: Size, e_v: Size) -> Size:
    """q, dO, dq, L and D; rows of k; P and dP; a piece of v, or of dv. Units: words."""
    return B_r * (2 * d + d_v + 2) + f * d + 2 * f * B_r + f * e_v


def passing(mask: Mask, n: Size, n_k: Size, B: Size, f: Size) -> Size:
    """How many keys pass by a tile of B queries at once, at most, where f are wanted and each tile loads those it meets.

    Between its ends, what a tile meets is concave in the number of the tile: it is greatest where a bound of it bends.
    """
    if mask.full or f == 1:
        return f
    assert isinstance(n, int)
    assert isinstance(n_k, int)
    assert isinstance(B, int)
    bends = [0, n // B - 1, n // B]
    bends += [] if mask.back is None else [(n - n_k + mask.back) // B, (n - n_k + mask.back) // B + 1]
    bends += [] if mask.ahead is None else [(n - mask.ahead) // B - 1, (n - mask.ahead) // B]
    starts = {B * t for t in bends if 0 <= B * t < n}
    met = (mask.span(Span(start, min(B, n - start)), n, n_k).size for start in starts)
    return minimum(f, maximum(*met))


def products(
    b: Builder,
    a: Arrays,
    P: ArrayHandle,
    dS: ArrayHandle,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_q: Size,
    C_q: Size,
    B_k: Size,
    C_k: Size,
    B_v: Size,
    C_v: Size,
    e: Size,
    f: Size,
    h: Size,
    e_v: Size,
) -> None:
    """dV = P^T dO, dQ = dS K and dK = dS^T Q: tiles of them stay; P, dS and the words of dO, K and Q pass by."""
    product(b, a.dV, P, a.dO, rows=n_k, columns=d_v, inner=n, B=B_v, B_x=C_v, f=h, e=e_v, transposed=True)
    product(b, a.dQ, dS, a.K, rows=n, columns=d, inner=n_k, B=B_q, B_x=C_q, f=f, e=e, transposed=False)
    product(b, a.dK, dS, a.Q, rows=n_k, columns=d, inner=n, B=B_k, B_x=C_k, f=h, e=e, transposed=True)


def products_io(
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    B_q: Size,
    C_q: Size,
    B_k: Size,
    C_k: Size,
    B_v: Size,
    C_v: Size,
    **_: Size,
) -> Size:
    """Of these products. Units: words."""
    return (
        product_io(rows=n_k, columns=d_v, inner=n, B=B_v, B_x=C_v)
        + product_io(rows=n, columns=d, inner=n_k, B=B_q, B_x=C_q)
        + product_io(rows=n_k, columns=d, inner=n, B=B_k, B_x=C_k)
    )


def products_peaks(
    *, B_q: Size, C_q: Size, B_k: Size, C_k: Size, B_v: Size, C_v: Size, e: Size, f: Size, h: Size, e_v: Size, **_: Size
) -> tuple[Size, Size, Size]:
    """Of these products. Units: words."""
    return (
        product_peak(B=B_v, B_x=C_v, f=h, e=e_v),
        product_peak(B=B_q, B_x=C_q, f=f, e=e),
        product_peak(B=B_k, B_x=C_k, f=h, e=e),
    )


PRODUCTS = {"B_q": "n", "C_q": "d", "B_k": "n_k", "C_k": "d", "B_v": "n_k", "C_v": "d_v"}
STREAMS = {"e": "d", "f": "n_k", "h": "n", "e_v": "d_v"}


def some_key_alone(problem: Problem) -> str | None:
    """What a schedule is for whose blocks of keys must all meet queries."""
    back = problem.mask.back if isinstance(problem.mask, Mask) else None
    alone = back is not None and problem.n_k > problem.n + back
    return "a mask in which every key meets a query" if alone else None
