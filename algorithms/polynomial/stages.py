"""Polynomial attention in two stages, each with the block design and the order that suit it: the feature sums W are stored
by the first stage and loaded by the second, a number of words that does not grow with n.

    first stage     the sums of a block, for a group of columns, stay; K and V are streamed
    second stage    W-stationary: the sums of a block, for a group of columns, stay; Q and O are streamed
                    Q-stationary: B_r rows of Q stay, with one column of O at a time; W is streamed
                    O-stationary: B_r rows of O stay, in a group of columns; Q and W are streamed
"""

from __future__ import annotations

from algorithms.designs.design import Design, slots
from algorithms.designs.parts import Part, Stored
from algorithms.polynomial.blocks import ends, groups, make_sums, use_sums, zeros
from algorithms.polynomial.feature_sums import FeatureSums
from algorithms.polynomial.sizes import prefixes
from iosim import FULL, Builder, Size
from iosim.builder import ArrayHandle


def store_sums(
    sums: FeatureSums, *, d: Size, d_v: Size, e: Size, design: Design, several: bool
) -> tuple[ArrayHandle, ...]:
    """The first stage: for each block, for each group of columns, sum its features over the keys and store the sums.

    Returns: Q, O, the sums for the columns of V and the sums for the column of ones.
    """
    b = sums.b
    Q, K, V, O = sums.arrays(d=d, d_v=d_v)
    S, s = b.scratch("W", (slots(design), d_v)), b.scratch("w", (slots(design), 1))
    with b.table("s", Stored(design)) as block:
        begin = block.size("offset") + block.size("a") * block.number
        rows = slice(begin, begin + block.size("a"))
        for start, size, ones in groups(b, d_v, e, several):
            W, w = zeros(b, block, size, ones)
            make_sums(sums, K, V, block, W, w, start, size, use=None)
            b.store(W, S[rows, start : start + size])
            if w:
                b.store(w, s[rows, :])
            b.free(W, *([w] if w else []))
    return Q, O, S, s


def _all_keys(
    b: Builder, *, n: Size, n_k: Size, N: Size, c: Size, degree: int, coefficients: tuple[float, ...] | None
) -> FeatureSums:
    """Sums over all keys, whatever the query."""
    return FeatureSums(b=b, n=n, n_k=n_k, mask=FULL, g=1, B=1, N=N, c=c, degree=degree, coefficients=coefficients)


def w_stationary(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    e: Size,
    e_2: Size,
    N: Size,
    c: Size,
    design: Design,
    design_2: Design,
    several: bool,
    several_2: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The second stage with other blocks and groups of columns: as in the block schedule, with sums that are loaded."""
    sums = _all_keys(b, n=n, n_k=n_k, N=N, c=c, degree=design.degree, coefficients=coefficients)
    Q, O, S, s = store_sums(sums, d=d, d_v=d_v, e=e, design=design, several=several)
    Z = b.scratch("Z", (n, 1))
    for where in ends(design_2):
        with b.table("b", Part(design_2, where, design)) as block:
            rows = block.coordinates("rows", "a")
            for start, size, ones in groups(b, d_v, e_2, several_2):
                W = b.load(S[rows, start : start + size], "W")
                w = b.load(s[rows, :], "w") if ones else None
                with b.tiles("i", n, N) as i:
                    use_sums(sums, Q, O, Z, block, W, w, start, size, where, several_2, i, n_k, None)
                b.free(W, *([w] if w else []))


def q_stationary(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    e: Size,
    B_r: Size,
    N: Size,
    c: Size,
    f: Size,
    design: Design,
    design_2: Design,
    several: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The second stage with B_r queries at a time: for each block and column, the sums are streamed, by f (one)."""
    sums = _all_keys(b, n=n, n_k=n_k, N=N, c=c, degree=design.degree, coefficients=coefficients)
    Q, O, S, s = store_sums(sums, d=d, d_v=d_v, e=e, design=design, several=several)
    Z, degree = b.scratch("Z", (n, 1)), design.degree
    with b.tiles("i", n, B_r) as i:
        for where in ends(design_2):
            first, last = where in ("only", "first"), where in ("only", "last")
            with b.table("b", Part(design_2, where, design)) as block:
                phi, a = block.value("monomials"), block.size("a")
                q = b.load(Q[i, block.coordinates("coords", "t")])
                z = b.zeros("z", i, 1) if first else b.load(Z[i, :])
                with b.tiles("f", a, f) as x, b.load(s[block.coordinates("rows", x), :], "w") as w:
                    b.op("add_some_feature_products", z, q, w, monomials=phi, first=x, degree=degree)
                if not last:
                    b.store(z, Z[i, :])
                    b.free(z)
                with b.tiles("l", d_v, c) as l:
                    y = b.zeros("y", i, l) if first else b.load(O[i, l], "y")
                    with b.tiles("f", a, f) as x, b.load(S[block.coordinates("rows", x), l], "W") as W:
                        b.op("add_some_feature_products", y, q, W, monomials=phi, first=x, degree=degree)
                    if last:
                        b.op("divide_by_column", y, z)
                    b.store(y, O[i, l])
                    b.free(y)
                b.free(q, *([z] if last else []))


def o_stationary(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    e: Size,
    e_2: Size,
    B_r: Size,
    N: Size,
    c: Size,
    f: Size,
    design: Design,
    design_2: Design,
    several: bool,
    several_2: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """The second stage with B_r rows of a group of columns of O at a time: for each block, its coordinates of Q are
    loaded, and its sums are streamed, by f (one)."""
    sums = _all_keys(b, n=n, n_k=n_k, N=N, c=c, degree=design.degree, coefficients=coefficients)
    Q, O, S, s = store_sums(sums, d=d, d_v=d_v, e=e, design=design, several=several)
    Z, degree = b.scratch("Z", (n, 1)), design.degree
    for start, size, ones in groups(b, d_v, e_2, several_2):
        with b.tiles("i", n, B_r) as i:
            y = b.zeros("y", i, size)
            z = b.zeros("z", i, 1) if ones else None
            with b.table("b", Part(design_2, "all", design)) as block:
                phi, a = block.value("monomials"), block.size("a")
                with b.load(Q[i, block.coordinates("coords", "t")]) as q, b.tiles("f", a, f) as x:
                    rows = block.coordinates("rows", x)
                    if z:
                        with b.load(s[rows, :], "w") as w:
                            b.op("add_some_feature_products", z, q, w, monomials=phi, first=x, degree=degree)
                    with b.tiles("l", size, c) as l, b.load(S[rows, start + l.start : start + l.stop], "W") as W:
                        b.op("add_some_feature_products", y[:, l], q, W, monomials=phi, first=x, degree=degree)
            if not z:
                z = b.load(Z[i, :])
            b.op("divide_by_column", y, z)
            b.store(y, O[i, start : start + size])
            if ones and several_2:
                b.store(z, Z[i, :])
            b.free(y, z)


def stored_io(*, d_v: Size, W_1: Size) -> Size:
    """Room for W_1 sums in the first stage's blocks, each stored for each column and the ones. Units: words."""
    return W_1 * (d_v + 1)


def q_stationary_io(*, n: Size, d_v: Size, tiles: Size, NB: Size, T: Size, W_2: Size, **_: Size) -> Size:
    """The second stage: Q for each block; O and z stored for each block and loaded for each but the first, but z is never
    stored by the last; the W_2 sums of all blocks for each of `tiles` tiles of queries. Units: words."""
    return n * (T + 2 * (NB - 1) * (d_v + 1) + d_v) + tiles * W_2 * (d_v + 1)


def q_stationary_peak(*, t: Size, B_r: Size, degree: int, last: bool, **_: Size) -> Size:
    """t coordinates and one output of each query, in the last block the normaliser too; one sum and the prefix products.
    Units: words."""
    return B_r * (t + 1 + last) + 1 + prefixes(degree)


def o_stationary_io(*, n: Size, d_v: Size, NC: Size, tiles: Size, T: Size, W_2: Size, several: Size, **_: Size) -> Size:
    """The second stage: Q for each group of columns; O once; z stored and loaded by each group but the first, if there are
    several; the W_2 sums of all blocks for each tile of queries. Units: words."""
    return n * (NC * T + d_v + several + NC - 1) + tiles * W_2 * (d_v + 1)


def o_stationary_peak(*, t: Size, e: Size, B_r: Size, degree: int, **_: Size) -> Size:
    """t coordinates and e outputs of each query; one sum and the prefix products. Units: words."""
    return B_r * (t + e) + 1 + prefixes(degree)
