"""Polarisation: W = K^T V by two symmetric products, with fewer words than any algorithm that adds products k v only.

The additions of an algorithm with sums linear in V form k_i v_j from words of each. But with p = k + v

    p_i p_j = k_i k_j + v_i v_j + k_i v_j + k_j v_i

and, with x_i k_i + v_i in place of p_i for different numbers x_i, a second equation for W_ij and W_ji, in which the squares
weigh x_i x_j and 1. So take blocks of H = k^2 columns of K and of V: p^T p and p'^T p' by triangle blocks (see `syrk`), each
entry once, give W for all pairs of a column of K and one of V but those with the same number, which are summed while p is
formed. K^T K and V^T V are needed within blocks only. For d/H blocks, with R = (d/H):

    form      R^2 (4nH + H)          a block of K and one of V loaded, p and p' stored, and the diagonal of W
    syrk      (2 R^2 + 2R) (nH(k+1) + H(H-1)/2)
    solve     R^2 4 (4 - 1) H(H-1)/4 = R^2 3 H(H-1)   four words of each pair loaded, two of W stored
    peak      k(k-1)/2 + k           the pairs of a line, and its part of one row

For n large, that is n d^2 (2k + 6)/H + 2nd(k + 1), against 2 n d^2/sqrt(M) for products k v: sqrt(2) times fewer for large k
and larger d. So bounds for approximate attention of degree 1 need that additions are linear in V; see `iosim.bounds.approx`.

It is no attention algorithm, hence none of `iosim list`. Source: this package; triangle blocks as in `syrk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from algorithms.witnesses.syrk import ADD_PAIRS, lines, pairs
from iosim import Builder, Size, build
from iosim.builder import ArrayHandle, Row
from iosim.errors import UsageError
from iosim.numeric.reference import Float64
from iosim.ops import Op
from iosim.program import Program, Table


def _polarise(p: Float64, p_2: Float64, w: Float64, k: Float64, v: Float64, *, x: int) -> None:
    p[:] = k + v
    p_2[:] = x * k + v
    w += (k * v).sum()


def _solve(
    w: Float64,
    w_2: Float64,
    c: Float64,
    c_2: Float64,
    g_k: Float64,
    g_v: Float64,
    *,
    x: Sequence[tuple[int, int]],
    at: int,
) -> None:
    """c = g_k + g_v + w_ij + w_ji, c_2 = x_i x_j g_k + g_v + x_i w_ij + x_j w_ji; the first pair is number `at` of x."""
    i, j = np.array(x[at : at + c.shape[1]], dtype=float).T
    first = c - g_k - g_v
    second = c_2 - i * j * g_k - g_v
    w[:] = (second - j * first) / (i - j)
    w_2[:] = (i * first - second) / (i - j)


POLARISE = Op(
    name="polarise",
    params=("x",),
    shapes="p[u,l] p_2[u,l] w[u,u] k[u,l] v[u,l]",  # u = 1
    updates=3,
    fresh=("p", "p_2"),
    text="{p}, {p_2}, {w} = {k} + {v}, {x} {k} + {v}, {w} + {k} {v}",
    flops=lambda n, _: 5 * n["l"],
    numpy=_polarise,
    triton="""
{p} = {k} + {v}
{p_2} = {x} * {k} + {v}
{w} += tl.sum({k@l} * {v@l}, axis=1)[:, None]
""",
)
SOLVE = Op(
    name="solve_pairs",
    params=("x", "at"),
    shapes="w[u,p] w_2[u,p] c[u,p] c_2[u,p] g_k[u,p] g_v[u,p]",  # u = 1
    updates=2,
    fresh=("w", "w_2"),
    text="{w}, {w_2} = the unknowns of {c}, {c_2} without {g_k}, {g_v}",
    flops=lambda n, _: 12 * n["p"],
    numpy=_solve,
    not_lowered="its pairs of abscissas are a list, from which a kernel would have to pick",
)


def polarisation(b: Builder, *, n: Size, d: int, k: int, e: Size) -> None:
    """W = K^T V from the transposed K and V; what belongs to a line of k columns is packed in a row of an array.

    Args:
        n: rows of K and V.
        d: columns of each, a multiple of H = k^2.
        k: columns of a line, a prime.
        e: rows that are loaded at a time; 1 needs the least fast memory.
    """
    H = k * k
    if d % H:
        raise UsageError(f"polarisation of d={d} columns: allowed for k={k}: multiples of {H}")
    blocks = range(d // H)
    found = [line for group in lines(k, 2) for line in group]
    own = pairs(k, squares=False)
    K, V = b.input("K", (d, n)), b.input("V", (d, n))
    rows, size = len(found), len(own)
    # An entry of W depends on two columns, which the rows of a table name: what it has seen is tested by its values.
    diagonal = b.output("D", (d // H * d, 1), needs=lambda b, p: ())
    W = b.output("W", (len(blocks) ** 2 * rows, size), needs=lambda b, p: ())
    W_2 = b.output("W_2", (len(blocks) ** 2 * rows, size), needs=lambda b, p: ())
    P, P_2 = b.scratch("P", (H, n)), b.scratch("P_2", (H, n))
    C, C_2 = b.scratch("C", (rows, size)), b.scratch("C_2", (rows, size))
    G_K, G_V = b.scratch("G_K", (len(blocks) * rows, size)), b.scratch("G_V", (len(blocks) * rows, size))
    squares = Table([{"base": block * rows, "first": block * H} for block in blocks])
    own_lines = Table(
        [
            {"number": block * rows + number, "k": k, "rows": tuple(block * H + x for x in line)}
            for block in blocks
            for number, line in enumerate(found)
        ]
    )
    one_block = Table([{"number": number, "k": k, "rows": line} for number, line in enumerate(found)])

    def syrk(A: ArrayHandle, line: Row, out: ArrayHandle) -> None:
        with b.zeros("t", 1, size) as t:
            with b.tiles("l", n, e) as l, b.load(A[line.coordinates("rows", "k"), l]) as a:
                b.op(ADD_PAIRS, t, a)
            b.store(t, out[line.size("number"), :])

    for array, out in ((K, G_K), (V, G_V)):
        with b.table("f", own_lines) as line:
            syrk(array, line, out)
    numbers = Table([{"at": number, "x": number + 2} for number in range(H)])
    unknowns = Table(
        [
            {"number": number, "x": tuple((line[i] + 2, line[j] + 2) for i, j in own)}
            for number, line in enumerate(found)
        ]
    )
    with b.table("A", squares) as of_K, b.table("B", squares) as of_V:
        with b.table("i", numbers) as column, b.zeros("w", 1, 1) as w:
            here = column.size("at")
            with b.tiles("l", n, e) as l:
                i, j = of_K.size("first") + here, of_V.size("first") + here
                with b.load(K[i : i + 1, l]) as left, b.load(V[j : j + 1, l]) as right:
                    p, p_2 = b.empty("p", 1, l), b.empty("p_2", 1, l)
                    b.op(POLARISE, p, p_2, w, left, right, x=column.value("x"))
                    b.store(p, P[here : here + 1, l])
                    b.store(p_2, P_2[here : here + 1, l])
                    b.free(p, p_2)
            b.store(w, diagonal[of_K.size("first") * len(blocks) + of_V.size("first") + here, :])
        for array, out in ((P, C), (P_2, C_2)):
            with b.table("f", one_block) as line:
                syrk(array, line, out)
        with b.table("f", unknowns) as line, b.tiles("p", size, 1) as pair:
            number = line.size("number")
            of_line = of_K.size("base") * len(blocks) + of_V.size("base") + number
            in_K, in_V = of_K.size("base") + number, of_V.size("base") + number
            with (
                b.load(C[number : number + 1, pair]) as c,
                b.load(C_2[number : number + 1, pair]) as c_2,
                b.load(G_K[in_K : in_K + 1, pair]) as g_k,
                b.load(G_V[in_V : in_V + 1, pair]) as g_v,
                b.empty("w", 1, pair) as left,
                b.empty("w_2", 1, pair) as right,
            ):
                b.op(SOLVE, left, right, c, c_2, g_k, g_v, x=line.value("x"), at=pair.start.size)
                b.store(left, W[of_line : of_line + 1, pair])
                b.store(right, W_2[of_line : of_line + 1, pair])


def program(d: int, k: int) -> Program:
    """The program for d columns, with sizes n and e."""
    return build(polarisation, name=f"polarisation (lines of {k} columns)", n="n", d=d, k=k, e="e")


def io_words(*, n: int, d: int, k: int) -> int:
    """What the program moves, as derived in this module's docstring. Units: words."""
    H = k * k
    R = d // H
    form, syrk, solve = 4 * n * H + H, n * H * (k + 1) + H * (H - 1) // 2, 3 * H * (H - 1)
    return R * R * form + (2 * R * R + 2 * R) * syrk + R * R * solve


def peak_words(k: int) -> int:
    """Fast memory that the program needs with e = 1. Units: words."""
    return max(k * (k - 1) // 2 + k, 6)


def assembled(outputs: Mapping[str, Float64], d: int, k: int) -> Float64:
    """The matrix W = K^T V from the packed lines and diagonals. Shapes: [d, d]."""
    H = k * k
    found = [line for group in lines(k, 2) for line in group]
    dense = np.full((d, d), np.nan)
    for A in range(d // H):
        for B in range(d // H):
            block = dense[A * H : (A + 1) * H, B * H : (B + 1) * H]
            np.fill_diagonal(block, outputs["D"][(A * (d // H) + B) * H :][:H, 0])
            for number, line in enumerate(found):
                row = (A * (d // H) + B) * len(found) + number
                for position, (i, j) in enumerate(pairs(k, squares=False)):
                    block[line[i], line[j]] = outputs["W"][row, position]
                    block[line[j], line[i]] = outputs["W_2"][row, position]
    return dense
