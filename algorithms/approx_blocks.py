"""The block schedule of polynomial attention: blocks of features (see designs) times groups of e columns, one after the
other; O is a running sum, stored and loaded again for each block. A feature sum that is in fast memory never moves: it is
used up where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from algorithms.approx_resident import NEEDS, prefixes, rows_executed
from algorithms.block_choice import Blocks, cheapest, least
from algorithms.blown_up import BlownUp
from algorithms.designs import Design, GroupProducts, Part
from iosim import Builder, Form, Plan, Problem, Size, binomial, build, symbols
from iosim.builder import ArrayHandle, Row, TileHandle

Options: TypeAlias = Sequence[tuple[Design, Blocks]]


def blocks(
    b: Builder, *, n: Size, d: Size, e: Size, N: Size, c: Size, design: Design, several: bool, coefficients: object
) -> None:
    """For each block, for each group of e columns: sum its features over the keys, then use them for all queries.

    The column of ones, for the normaliser z, comes first, in the group of the first e-1 columns of V. With `several`
    groups, the last block stores z for the groups after the first.
    """
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs=NEEDS)
    Z = b.scratch("Z", (n, 1))
    for where in ends(design):
        with b.table("b", Part(design, where)) as block:
            for start, size, ones in groups(b, d, e, several):
                W, w = feature_sums(b, K, V, block, start, size, ones, n, N, c, design.degree, coefficients)
                add_products(b, Q, O, Z, block, W, w, start, size, where, several, n, N, c, design.degree)


def ends(design: Design) -> tuple[str, ...]:
    """The parts of a design of which the first and the last block are their own."""
    return {1: ("only",), 2: ("first", "last")}.get(design.NB, ("first", "middle", "last"))


def groups(b: Builder, d: Size, e: Size, several: bool) -> Iterator[tuple[Size, Size, bool]]:
    """(first column, how many, whether the column of ones goes with them) of each group of columns."""
    yield 0, e - 1, True
    if several:
        with b.tiles("g", d, e, start=e - 1) as g:
            yield g.start.size, g.length.size, False


def feature_sums(
    b: Builder,
    K: ArrayHandle,
    V: ArrayHandle,
    block: Row,
    start: Size,
    size: Size,
    ones: bool,
    n: Size,
    N: Size,
    c: Size,
    degree: int,
    coefficients: object,
) -> tuple[TileHandle, TileHandle | None]:
    """The weighted sums over the keys of a block's features times columns of V, and, with `ones`, of the features."""
    phi, a = block.value("monomials"), block.size("a")
    W = b.zeros("W", a, size)
    w = b.zeros("w", a, 1) if ones else None
    with b.tiles("j", n, N) as j, b.load(K[j, block.coordinates("coords", "t")]) as k:
        if w:
            b.op("add_feature_sums", w, k, monomials=phi, degree=degree)
        with b.tiles("l", size, c) as l, b.load(V[j, start + l.start : start + l.stop]) as v:
            b.op("add_features", W[:, l], k, v, monomials=phi, degree=degree)
    b.op("weigh_features", W, monomials=phi, weights=coefficients)
    if w:
        b.op("weigh_features", w, monomials=phi, weights=coefficients)
    return W, w


def add_products(
    b: Builder,
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
    n: Size,
    N: Size,
    c: Size,
    degree: int,
) -> None:
    """Every query's features of a block times its sums, which are freed: added to O, and to the normaliser if there is w."""
    phi, first, last = block.value("monomials"), where in ("only", "first"), where in ("only", "last")
    with b.tiles("i", n, N) as i, b.load(Q[i, block.coordinates("coords", "t")]) as q:
        z = None
        if w:
            z = b.zeros("z", i, 1) if first else b.load(Z[i, :])
            b.op("add_feature_products", z, q, w, monomials=phi, degree=degree)
            if several or not last:
                b.store(z, Z[i, :])
            if not last:
                b.free(z)
        elif last:
            z = b.load(Z[i, :])
        with b.tiles("l", size, c) as l:
            region = O[i, start + l.start : start + l.stop]
            y = b.zeros("y", i, l) if first else b.load(region, "y")
            b.op("add_feature_products", y, q, W[:, l], monomials=phi, degree=degree)
            if z and last:
                b.op("divide_by_column", y, z)
            b.store(y, region)
            b.free(y)
        if z and last:
            b.free(z)
    b.free(W, *([w] if w else []))


def sums_io(*, n: Size, d: Size, NC: Size, NB: Size, T: Size) -> Size:
    """NC column groups, NB blocks with T coordinates in all: K for each block and group, V for each block. Units: words."""
    return n * (NC * T + NB * d)


def products_io(*, n: Size, d: Size, NC: Size, NB: Size, T: Size, several: Size) -> Size:
    """Q for each block and group; O and z stored for each block and loaded for each but the first; z stored at the end and
    loaded by each group but the first, if there are several. Units: words."""
    return n * (NC * T + 2 * (NB - 1) * (d + 1) + d + several + NC - 1)


def sums_peak(*, t: Size, a: Size, e: Size, degree: int) -> Size:
    """The sums of a block; k, one word of V and the prefix products. Units: words."""
    return a * e + t + 1 + prefixes(degree)


def products_peak(*, t: Size, a: Size, e: Size, degree: int, last: bool) -> Size:
    """The sums of a block; q, one output and the prefix products; the normaliser too in the last block. Units: words."""
    return a * e + t + 1 + prefixes(degree) + last


def columns(size: int, d: int) -> tuple[int, int]:
    """(NC, e): how many groups of at most `size` columns there are, and the fewest columns that need no more."""
    NC = -(-(d + 1) // size)
    return NC, -(-(d + 1) // NC)


def widest(found: Blocks, *, d: int, degree: int, capacity: int, last: bool) -> int:
    """The most columns with which every block fits; with `last`, the last block also holds the normaliser."""
    room = capacity - 1 - prefixes(degree)
    e = min((room - t) // a for t, a in found.kinds)
    if last and found.last[1]:
        e = min(e, (room - found.last[0] - 1) // found.last[1])
    return min(max(e, 0), d + 1)


def most_columns(problem: Problem, options: Options, capacity: int) -> tuple[int, Design, int] | None:
    """(words, design, columns) of the block schedule that moves the fewest words."""
    n, d = problem.n, problem.d

    def cost(found: Blocks, e: int) -> int:
        NC, _ = columns(e, d)
        words = sums_io(n=n, d=d, NC=NC, NB=found.NB, T=found.T) + products_io(
            n=n, d=d, NC=NC, NB=found.NB, T=found.T, several=int(NC > 1)
        )
        assert isinstance(words, int)
        return words

    def fit(found: Blocks) -> int:
        return widest(found, d=d, degree=problem.degree, capacity=capacity, last=True)

    return cheapest(options, fit, cost)


def least_words(problem: Problem, options: Options) -> int:
    """The fewest words in which the block schedule runs, one column at a time. Units: words."""
    g = problem.degree

    def need(found: Blocks) -> int:
        t, a = found.last
        each = max(whole(sums_peak(t=t, a=a, e=1, degree=g)) for t, a in found.kinds)
        return max(each, whole(products_peak(t=t, a=a, e=1, degree=g, last=True)))

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
    n, d, g = problem.n, problem.d, problem.degree
    NC, e = columns(size, d)
    letters = dict(zip(("n", "d", "NC", "NB", "T"), symbols("n", "d", "NC", "NB", "T"), strict=True))
    values = {"n": n, "d": d, "NC": NC, "NB": design.NB, "T": design.coordinates_words}
    several = int(NC > 1)
    kinds = [(t, a, False) for t, a, *_ in design.kinds()] + [(*design.last, True)]
    return Plan(
        algorithm=name,
        schedule="blocks",
        program=build(
            blocks,
            name=f"{name} (blocks)",
            n="n",
            d=d,
            e=e,
            N="N",
            c="c",
            design=design,
            several=NC > 1,
            coefficients=problem.weights,
        ),
        sizes={"n": n, "N": 1, "c": 1},
        tiles={
            "r": whole(binomial(d + g, g)),
            **design_tiles(design),
            "e": e,
            "NC": NC,
            "NB": design.NB,
            "T": design.coordinates_words,
        },
        executed={"n": n, "N": rows_executed(max(a for _, a, _ in kinds), n), "c": d},
        closed_form=sums_io(**letters) + products_io(**letters, several=several),
        closed_form_words=whole(sums_io(**values) + products_io(**values, several=several)),
        claimed_peak_words=max(whole(products_peak(t=t, a=a, e=e, degree=g, last=last)) for t, a, last in kinds),
        regime="M >= a e + t + max(g, 1) for every block, and one word more for the last",
    )


def blocks_form(name: str) -> Form:
    """The schedule in symbols, with pairs of four groups as an example."""
    n, d, e, NC, NB, T, several, t, a = symbols("n", "d", "e", "NC", "NB", "T", "several", "t", "a")
    program = build(
        blocks,
        name=f"{name} (blocks)",
        n="n",
        d="d",
        e="e",
        N=1,
        c=1,
        design=GroupProducts(8, 2, 4),
        several=True,
        coefficients=None,
    )
    return Form(
        schedule="blocks",
        program=program,
        io=sums_io(n=n, d=d, NC=NC, NB=NB, T=T) + products_io(n=n, d=d, NC=NC, NB=NB, T=T, several=several),
        peak=products_peak(t=t, a=a, e=e, degree=2, last=True),
        regime="degree 2; NB blocks with T coordinates in all, NC = ceil((d+1)/e) column groups, several = 1 if NC > 1",
    )


def whole(size: Size) -> int:
    """A size that is a number."""
    assert isinstance(size, int)
    return size
