"""The block schedule of polynomial attention: blocks of features (see designs) times groups of e columns, one after the
other; O is a running sum, stored and loaded again for each block. A feature sum that is in fast memory never moves: it is
used up where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from algorithms.designs.blown_up import BlownUp
from algorithms.designs.choice import Listed, Numbers, Options, cheapest, least
from algorithms.designs.design import Design, GroupProducts
from algorithms.designs.parts import Part
from algorithms.polynomial.feature_sums import Chunk, FeatureSums, Use
from algorithms.polynomial.sizes import coarse, columns, copied, length_symbols, lengths, prefixes
from algorithms.shared.attention import whole
from iosim import CAUSAL, FULL, Builder, Form, Mask, Plan, Problem, Size, symbols
from iosim.builder import ArrayHandle, Extent, Index, Row, TileHandle
from iosim.plan import built


def blocks(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    g: Size,
    e: Size,
    B: Size,
    N: Size,
    c: Size,
    design: Design,
    several: bool,
    coefficients: tuple[float, ...] | None,
) -> None:
    """For each block, for each group of e columns: sum its features over the keys, then use them for all queries; under a
    mask, both in one pass (see feature_sums).

    The column of ones, for the normaliser z, comes first, in the group of the first e-1 columns of V. With `several`
    groups, the last block stores z for the groups after the first.
    """
    sums = FeatureSums(
        b=b, n=n, n_k=n_k, mask=mask, g=g, B=B, N=N, c=c, degree=design.degree, coefficients=coefficients
    )
    Q, K, V, O = sums.arrays(d=d, d_v=d_v)
    Z = b.scratch("Z", (n * g, 1))
    for where in ends(design):
        with b.table("b", Part(design, where)) as block:
            for start, size, ones in groups(b, d_v, e, several):
                W, w = zeros(b, block, size, ones)
                use = partial(use_sums, sums, Q, O, Z, block, W, w, start, size, where, several)
                make_sums(sums, K, V, block, W, w, start, size, use)
                b.free(W, *([w] if w else []))


def ends(design: Design) -> tuple[str, ...]:
    """The parts of a design of which the first and the last block are their own."""
    return {1: ("only",), 2: ("first", "last")}.get(design.NB, ("first", "middle", "last"))


def groups(b: Builder, d: Size, e: Size, several: bool) -> Iterator[tuple[Size, Size, bool]]:
    """(first column, how many, whether the column of ones goes with them) of each group of columns."""
    yield 0, e - 1, True
    if several:
        with b.tiles("g", d, e, start=e - 1) as group:
            yield group.start.size, group.length.size, False


def zeros(b: Builder, block: Row, size: Size, ones: bool) -> tuple[TileHandle, TileHandle | None]:
    """Room for the sums of a block's features times `size` columns of V, and, with `ones`, for those of the features."""
    return b.zeros("W", block.size("a"), size), b.zeros("w", block.size("a"), 1) if ones else None


def make_sums(
    sums: FeatureSums,
    K: ArrayHandle,
    V: ArrayHandle,
    block: Row,
    W: TileHandle,
    w: TileHandle | None,
    start: Size,
    size: Size,
    use: Use | None,
) -> None:
    """Fills W and w with weighted sums over the keys; `use` is what queries do with them, if not later."""
    b, phi = sums.b, block.value("monomials")

    def add_key(k: TileHandle) -> None:
        if w:
            sums.add_sums(w, k, phi)

    def weigh() -> None:
        b.op("weigh_features", W, monomials=phi, coefficients=sums.coefficients)
        if w:
            b.op("weigh_features", w, monomials=phi, coefficients=sums.coefficients)

    sums.run(
        lambda j: K[j, block.coordinates("coords", "t")],
        lambda j, l: V[j, start + l.start : start + l.stop],
        add_key=add_key,
        add=[(0, size, lambda k, v, l: sums.add_products(W[:, l], k, v, phi))],
        weigh=weigh,
        use=use,
    )


def use_sums(
    sums: FeatureSums,
    Q: ArrayHandle,
    O: ArrayHandle,
    Z: ArrayHandle,
    block: Row,
    W: TileHandle,
    w: TileHandle | None,
    start: Size,
    size: Size,
    where: str,
    several: bool,
    i: Index,
    keys: Extent,
    chunk: Chunk | None,
) -> None:
    """The features of rows i of Q times the sums of a block: added to O, and to the normaliser if there is w."""
    b, phi, a = sums.b, block.value("monomials"), block.size("a")
    first, last = where in ("only", "first"), where in ("only", "last")
    with b.load(Q[i, block.coordinates("coords", "t")]) as q:
        z = None
        if w:
            z = b.zeros("z", i, 1) if first else b.load(Z[i, :])
            sums.use_sums(z, q, w, phi, a, i, chunk)
            if several or not last:
                b.store(z, Z[i, :])
            if not last:
                b.free(z)
        elif last:
            z = b.load(Z[i, :])
        with b.tiles("l", size, sums.c) as l:
            region = O[i, start + l.start : start + l.stop]
            y = b.zeros("y", i, l) if first else b.load(region, "y")
            sums.use_products(y, q, W[:, l], phi, a, i, l, chunk)
            if z and last:
                b.op("divide_by_column", y, z)
            b.store(y, region)
            b.free(y)
        if z and last:
            b.free(z)


def sums_io(*, n_k: Size, d_v: Size, NC: Size, NB: Size, T: Size) -> Size:
    """NC column groups, NB blocks with T coordinates in all: K for each block and group, V for each block. Units: words."""
    return n_k * (NC * T + NB * d_v)


def products_io(*, n: Size, d_v: Size, NC: Size, NB: Size, T: Size, several: Size) -> Size:
    """n rows of Q for each block and group; O and z stored for each block and loaded for each but the first; z stored at
    the end and loaded by each group but the first, if there are several. Units: words."""
    return n * (NC * T + 2 * (NB - 1) * (d_v + 1) + d_v + several + NC - 1)


def sums_peak(*, t: Size, a: Size, e: Size, degree: int, copy: int = 0) -> Size:
    """The sums of a block; k, one word of V and the prefix products, or a copy of the word. Units: words."""
    return a * e + t + 1 + prefixes(degree) + copy


def products_peak(*, t: Size, a: Size, e: Size, degree: int, last: bool, **_: Size) -> Size:
    """The sums of a block; q, one output and the prefix products; the normaliser too in the last block. Units: words."""
    return a * e + t + 1 + prefixes(degree) + last


def widest(found: Listed, *, d_v: int, degree: int, capacity: int, last: bool, copy: int = 0) -> Numbers:
    """The most columns with which every block fits; with `last`, the last block also holds the normaliser."""
    room = capacity - 1 - prefixes(degree)
    e = np.minimum(np.min((room - copy - found.t) // found.a, axis=0), d_v + 1)
    if last:
        e = np.minimum(e, (room - 1 - found.last_t) // np.maximum(found.last_a, 1))
    return np.maximum(e, 0)


def most_columns(problem: Problem, options: Options, capacity: int) -> tuple[int, Design, int] | None:
    """(words, design, columns) of the block schedule that moves the fewest words."""
    values = lengths(problem)

    def cost(found: Listed, e: Numbers) -> Numbers:
        NC = columns(e, problem.d_v).NC
        return _io(**values, NC=NC, NB=found.NB, T=found.T, several=NC > 1)

    def fit(found: Listed) -> Numbers:
        copy = copied(problem)
        return widest(found, d_v=problem.d_v, degree=problem.degree, capacity=capacity, last=True, copy=copy)

    return cheapest(options, fit, cost)


def _io(*, n: Size, n_k: Size, d_v: Size, NC: Size, NB: Size, T: Size, several: Size) -> Size:
    moved = products_io(n=n, d_v=d_v, NC=NC, NB=NB, T=T, several=several)
    return sums_io(n_k=n_k, d_v=d_v, NC=NC, NB=NB, T=T) + moved


def least_words(problem: Problem, options: Options) -> int:
    """The fewest words in which the block schedule runs, one column at a time. Units: words."""
    degree = problem.degree

    def need(found: Listed) -> Numbers:
        each: Numbers = sums_peak(t=found.t, a=found.a, e=1, degree=degree, copy=copied(problem))
        last: Numbers = products_peak(t=found.last_t, a=found.last_a, e=1, degree=degree, last=True)
        return np.maximum(each.max(axis=0), last)

    return least(options, need)


def design_tiles(design: Design) -> dict[str, int]:
    """What a design is, for people: v groups, k of them in a block at the most."""
    match design:
        case GroupProducts():
            return {"v": design.v, "k": design.groups_of_block}
        case BlownUp():
            cut = {"pieces": design.pieces} if design.pieces > 1 else {}
            return {"v": design.system.v, "k": design.system.k, **cut}
        case _:
            return {}


def blocks_plan(name: str, problem: Problem, design: Design, size: int) -> Plan:
    """The plan with blocks of this design and groups of at most `size` columns."""
    degree = problem.degree
    NC, e = columns(size, problem.d_v)
    letters, several = problem.letters, int(NC > 1)
    symbolic = dict(zip(("NC", "NB", "T"), symbols("NC", "NB", "T"), strict=True))
    values = {"NC": NC, "NB": design.NB, "T": design.coordinates_words}
    kinds = [(t, a) for t, a, *_ in design.kinds()]
    peaks = [sums_peak(t=t, a=a, e=e, degree=degree, copy=copied(problem)) for t, a in kinds]
    t, a = design.last
    executed = coarse(problem, max(a for _, a in kinds))
    return Plan(
        algorithm=name,
        schedule="blocks",
        program=built(
            blocks,
            name=f"{name} (blocks)",
            **{**letters, "d": problem.d, "d_v": problem.d_v},
            **{"B": 1, **{name: name for name in executed}},
            e=e,
            design=design,
            several=NC > 1,
            coefficients=problem.coefficients,
        ),
        sizes={**problem.sizes, **dict.fromkeys(executed, 1)},
        tiles={"r": problem.features, **design_tiles(design), "e": e, **values},
        executed={**problem.sizes, **executed},
        closed_form=_io(**length_symbols(problem), **symbolic, several=several),
        claimed_peak_words=max(whole(x) for x in (*peaks, products_peak(t=t, a=a, e=e, degree=degree, last=True))),
        regime="M >= a e + t + max(g, 1) for every block, and one word more for the last"
        + (", or each if g = 1" if not problem.mask.full else ""),
    )


def blocks_forms(name: str) -> Iterator[Form]:
    """The schedule in symbols, with pairs of four groups as an example."""
    n, n_k, d, d_v, e, NC, NB, T, several, t, a = symbols(
        "n", "n_k", "d", "d_v", "e", "NC", "NB", "T", "several", "t", "a"
    )
    for schedule, mask, keys in (("blocks", FULL, n_k), ("blocks causal", CAUSAL, n)):
        program = built(
            blocks,
            name=f"{name} ({schedule})",
            **{"n": n, "n_k": keys, "d": d, "d_v": d_v, "mask": mask, "g": 1, "B": 1, "N": 1, "c": 1, "e": e},
            design=GroupProducts(8, 2, 4),
            several=True,
            coefficients=None,
        )
        yield Form(
            schedule=schedule,
            program=program,
            io=_io(n=n, n_k=keys, d_v=d_v, NC=NC, NB=NB, T=T, several=several),
            peak=products_peak(t=t, a=a, e=e, degree=2, last=True),
            regime="degree 2; NB blocks with T coordinates in all, NC = ceil((d_v+1)/e) column groups, several = 1 if "
            "NC > 1",
        )
