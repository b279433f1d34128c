"""Polynomial attention by matrix products: all r features of K and Q are stored, then W = phi(K)^T [V 1] and O = phi(Q) W.

What one library call after another does, and the baseline: features that are made in fast memory where they are used
need not move, and 2nr that are stored and loaded cost more than the best of `approx` moves in all.
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.designs.monomials import all_monomials
from algorithms.polynomial.blocks import groups
from algorithms.polynomial.sizes import SOURCE, columns, prefixes, rows_executed
from algorithms.shared.attention import arrays, whole
from iosim import Algorithm, Builder, Form, Plan, Problem, Size, build, ceil_div, maximum, symbols
from iosim.bounds.approx import SUMS_OF_MONOMIALS
from iosim.builder import ArrayHandle


def materialised(
    b: Builder,
    *,
    n: Size,
    d: Size,
    B_f: Size,
    e: Size,
    B_r: Size,
    e_2: Size,
    N: Size,
    c: Size,
    f: Size,
    degree: int,
    several: bool,
    several_2: bool,
    coefficients: object,
) -> None:
    """Features by f of a row; then tiles of B_f features by e columns of W stay; then tiles of B_r by e_2 of O."""
    Q, K, V, O = arrays(b, n=n, n_k=n, d=d, d_v=d)
    phi = all_monomials(d, degree, d)
    F, G = b.scratch("F", (n, phi.slots)), b.scratch("G", (n, phi.slots))
    S, s, Z = b.scratch("W", (phi.slots, d)), b.scratch("w", (phi.slots, 1)), b.scratch("Z", (n, 1))

    def store_features(X: ArrayHandle, of: ArrayHandle, coefficients: object) -> None:
        with b.tiles("j", n, N) as j, b.load(X[j, :], "x") as x, b.tiles("f", phi.slots, f) as m:
            with b.empty("p", j, m) as p:
                b.op("take_features", p, x, monomials=phi, first=m, coefficients=coefficients, degree=degree)
                b.store(p, of[j, m])

    store_features(K, F, None)
    store_features(Q, G, coefficients)
    for start, size, ones in groups(b, d, e, several):
        with b.tiles("m", phi.slots, B_f) as m:
            W = b.zeros("W", m, size)
            w = b.zeros("w", m, 1) if ones else None
            with b.tiles("j", n, N) as j, b.load(F[j, m], "p") as p:
                if w:
                    b.op("add_column_sums", w, p)
                with b.tiles("l", size, c) as l, b.load(V[j, start + l.start : start + l.stop]) as v:
                    b.op("add_atb", W[:, l], p, v)
            b.store(W, S[m, start : start + size])
            if w:
                b.store(w, s[m, :])
            b.free(W, *([w] if w else []))
    for start, size, ones in groups(b, d, e_2, several_2):
        with b.tiles("i", n, B_r) as i:
            y = b.zeros("y", i, size)
            z = b.zeros("z", i, 1) if ones else None
            with b.tiles("f", phi.slots, f) as m, b.load(G[i, m], "p") as p:
                if z:
                    with b.load(s[m, :], "w") as w:
                        b.op("add_ab", z, p, w)
                with b.tiles("l", size, c) as l, b.load(S[m, start + l.start : start + l.stop], "W") as W:
                    b.op("add_ab", y[:, l], p, W)
            if not z:
                z = b.load(Z[i, :])
            b.op("divide_by_column", y, z)
            b.store(y, O[i, start : start + size])
            if ones and several_2:
                b.store(z, Z[i, :])
            b.free(y, z)


def io(*, n: Size, d: Size, r: Size, B_f: Size, NC: Size, B_r: Size, NC_2: Size, several: Size) -> Size:
    """K and Q once, r features of each row stored; features for each of NC column groups, V for each tile of B_f
    W stored; features for each of NC_2 groups, W for each tile of B_r queries, O once, and z for the groups after the first.
    Units: words."""
    features = 2 * n * (d + r)
    sums = n * (NC * r + ceil_div(r, B_f) * d) + r * (d + 1)
    outputs = n * (NC_2 * r + d + several + NC_2 - 1) + ceil_div(n, B_r) * r * (d + 1)
    return features + sums + outputs


def peaks(*, d: Size, B_f: Size, e: Size, B_r: Size, e_2: Size, degree: int) -> tuple[Size, Size, Size]:
    """A row, a feature and the prefix products; a tile of W, B_f features and a word of V; a tile of O, B_r features and
    a word of W. Units: words."""
    return d + 1 + prefixes(degree), B_f * (e + 1) + 1, B_r * (e_2 + 1) + 1


class Materialised(Algorithm):
    """The algorithm of this file."""

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        n, d, degree = problem.n, problem.d, problem.degree
        if capacity < self.least_capacity(problem):
            return
        r = problem.features
        shapes = [(NC, e, (capacity - 1) // (e + 1)) for NC, e in sorted({columns(e, d) for e in range(1, d + 2)})]
        fitting = [(NC, e, rows) for NC, e, rows in shapes if rows >= 1]
        B_f, NC, e = min(
            ((min(r, rows), NC, e) for NC, e, rows in fitting), key=lambda shape: shape[1] * r - (-r // shape[0]) * d
        )
        B_r, NC_2, e_2 = min(
            ((min(n, rows), NC, e) for NC, e, rows in fitting),
            key=lambda shape: n * (shape[1] * (r + 1) + (shape[1] > 1)) - (-n // shape[0]) * r * (d + 1),
        )
        several = int(NC_2 > 1)
        names = ("n", "d", "r", "B_f", "NC", "B_r", "NC_2")
        letters = dict(zip(names, symbols(*names), strict=True))
        rows = rows_executed(r, n)
        yield Plan(
            algorithm=self.name,
            schedule="materialised",
            program=build(
                materialised,
                name=self.name,
                n="n",
                d=d,
                B_f="B_f",
                e=e,
                B_r="B_r",
                e_2=e_2,
                N="N",
                c="c",
                f="f",
                degree=degree,
                several=NC > 1,
                several_2=NC_2 > 1,
                coefficients=problem.coefficients,
            ),
            sizes={"n": n, "d": d, "B_f": B_f, "B_r": B_r, "N": 1, "c": 1, "f": 1},
            tiles={"r": r, "B_f": B_f, "e": e, "NC": NC, "B_r": B_r, "e_2": e_2, "NC_2": NC_2},
            executed={"n": n, "B_f": r, "B_r": min(n, max(rows, B_r)), "N": rows, "c": d, "f": r},
            closed_form=io(**letters, several=several),
            claimed_peak_words=max(map(whole, peaks(d=d, B_f=B_f, e=e, B_r=B_r, e_2=e_2, degree=degree))),
            regime="M >= d + max(g, 1), B_f (e + 1) + 1 and B_r (e_2 + 1) + 1; r = C(d+g, g)",
        )

    def least_capacity(self, problem: Problem) -> int:
        return max(map(whole, peaks(d=problem.d, B_f=1, e=1, B_r=1, e_2=1, degree=problem.degree)))

    def forms(self) -> tuple[Form, ...]:
        n, d, r, B_f, e, NC, B_r, e_2, NC_2, several = symbols(
            "n", "d", "r", "B_f", "e", "NC", "B_r", "e_2", "NC_2", "several"
        )
        program = build(
            materialised,
            name=self.name,
            n="n",
            d="d",
            B_f="B_f",
            e="e",
            B_r="B_r",
            e_2="e_2",
            N=1,
            c=1,
            f=1,
            degree=2,
            several=True,
            several_2=True,
            coefficients=None,
        )
        return (
            Form(
                schedule="materialised",
                program=program,
                io=io(n=n, d=d, r=r, B_f=B_f, NC=NC, B_r=B_r, NC_2=NC_2, several=several),
                peak=maximum(*peaks(d=d, B_f=B_f, e=e, B_r=B_r, e_2=e_2, degree=2)),
                regime="degree 2; NC = ceil((d+1)/e), NC_2 = ceil((d+1)/e_2) column groups, several = 1 if NC_2 > 1",
            ),
        )


approx_materialised = Materialised(
    name="approx-materialised",
    summary="polynomial attention by matrix products, features stored: the baseline that loses",
    source=SOURCE,
    approximate=True,
    properties=SUMS_OF_MONOMIALS,
)
