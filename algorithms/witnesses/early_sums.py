"""Polynomial attention whose sums are not what lower bounds for it take them to be: why these have their hypotheses.

Both programs compute the same output as `approx`, by sums W[alpha,l] of features that live for a moment only:

    held rows   Q and K stay in fast memory. For each column of V, one monomial after the other is summed over the rows,
                used for all queries, and dropped. No sum ever moves: a lower bound that takes each sum to be loaded or
                stored is refuted, and what is subtracted in `iosim.bounds.approx` for such sums is needed.
    row sums    A tile of B queries stays, and a "sum" is used when it holds a single row of K and V: this is flash attention
                in disguise. Where sums may be used early there is no bound in n r d: 4 n^2 d^2/M words are enough.

    held rows   io 4nd                          peak 2nd + 3n + 1 + g'
    row sums    io 2nd + 2nd ceil(n/B)          peak B (2d + 1) + d + 2 + g'      g' = max(g, 1) - 1

They are no schedules to be recommended, hence none of `iosim list`. Source: this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from algorithms.designs.monomials import Monomials, all_monomials
from algorithms.polynomial.sizes import prefixes
from algorithms.shared.attention import arrays
from iosim import Builder, Size, build, ceil_div
from iosim.builder import Index, TileHandle
from iosim.program import Program, Table


def _one_by_one(d: int, degree: int, *, least: int) -> Table:
    """Rows with a single monomial each, of degree `least` or more."""
    return Table(list(_rows(d, degree, least)))


def _rows(d: int, degree: int, least: int) -> Iterator[Mapping[str, object]]:
    listed = all_monomials(d, degree, d, least=least).factors
    assert listed is not None
    for number, factors in enumerate(listed):
        yield {"number": number, "monomials": Monomials(degree, d, 1, (factors,), "one monomial")}


def _normaliser(
    b: Builder, z: TileHandle, q: TileHandle, k: TileHandle, *, d: int, rows: Size, degree: int, c: object
) -> None:
    """The same for the column of ones, whose constant monomial is a number."""
    b.op("add_constant", z, coefficients=c, times=rows)
    with b.table("a", _one_by_one(d, degree, least=1)) as one, b.zeros("w", 1, 1) as w:
        phi = one.value("monomials")
        b.op("add_feature_sums", w, k, monomials=phi, degree=degree)
        b.op("weigh_features", w, monomials=phi, coefficients=c)
        b.op("add_feature_products", z, q, w, monomials=phi, degree=degree)


def _column(
    b: Builder, y: TileHandle, q: TileHandle, k: TileHandle, v: TileHandle, l: Index, *, d: int, degree: int, c: object
) -> None:
    """One monomial after the other: summed, used, dropped."""
    with b.table("a", _one_by_one(d, degree, least=0)) as one, b.zeros("W", 1, l) as W:
        phi = one.value("monomials")
        b.op("add_features", W, k, v, monomials=phi, degree=degree)
        b.op("weigh_features", W, monomials=phi, coefficients=c)
        b.op("add_feature_products", y, q, W, monomials=phi, degree=degree)


def held_rows(b: Builder, *, n: Size, d: int, degree: int, coefficients: object) -> None:
    """Q and K in fast memory; one column of V after the other, one sum after the other."""
    Q, K, V, O = arrays(b, n=n, n_k=n, d=d, d_v=d)
    q, k, z = b.load(Q[:, :]), b.load(K[:, :]), b.zeros("z", n, 1)
    _normaliser(b, z, q, k, d=d, rows=n, degree=degree, c=coefficients)
    with b.tiles("l", d, 1) as l, b.load(V[:, l]) as v, b.zeros("y", n, l) as y:
        _column(b, y, q, k, v, l, d=d, degree=degree, c=coefficients)
        b.op("divide_by_column", y, z)
        b.store(y, O[:, l])
    b.free(q, k, z)


def row_sums(b: Builder, *, n: Size, d: int, B: Size, degree: int, coefficients: object) -> None:
    """B rows of Q and O in fast memory; the features of one row of K and V after the other, one by one."""
    Q, K, V, O = arrays(b, n=n, n_k=n, d=d, d_v=d)
    with b.tiles("i", n, B) as i, b.load(Q[i, :]) as q, b.zeros("y", i, d) as y, b.zeros("z", i, 1) as z:
        with b.tiles("j", n, 1) as j, b.load(K[j, :]) as k:
            _normaliser(b, z, q, k, d=d, rows=1, degree=degree, c=coefficients)
            with b.tiles("l", d, 1) as l, b.load(V[j, l]) as v:
                _column(b, y[:, l], q, k, v, l, d=d, degree=degree, c=coefficients)  # type: ignore[arg-type]
        b.op("divide_by_column", y, z)
        b.store(y, O[i, :])


def held_rows_program(d: int, degree: int, coefficients: tuple[float, ...] | None = None) -> Program:
    """With size n."""
    return build(held_rows, name="held rows", n="n", d=d, degree=degree, coefficients=coefficients)


def row_sums_program(d: int, degree: int, coefficients: tuple[float, ...] | None = None) -> Program:
    """With sizes n and B."""
    return build(row_sums, name="row sums", n="n", d=d, B="B", degree=degree, coefficients=coefficients)


def held_rows_io(*, n: Size, d: Size) -> Size:
    """Everything once. Units: words."""
    return 4 * n * d


def held_rows_peak(*, n: Size, d: Size, degree: int) -> Size:
    """Q, K; the normaliser, a column of V and one of O; a sum, and the products of a monomial's first
    factors. Units: words."""
    return 2 * n * d + 3 * n + 1 + prefixes(degree)


def row_sums_io(*, n: Size, d: Size, B: Size) -> Size:
    """Q and O once, K and V for each tile of queries. Units: words."""
    return 2 * n * d + 2 * n * d * ceil_div(n, B)


def row_sums_peak(*, d: Size, B: Size, degree: int) -> Size:
    """A tile of Q and O with the normaliser; k, v_l, a sum, and the products of first factors. Units: words."""
    return B * (2 * d + 1) + d + 2 + prefixes(degree)
