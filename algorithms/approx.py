"""Polynomial approximate attention for any fast memory: the best of three schedules.

    resident   every feature sum stays in fast memory (see approx_resident): 4nd words
    leftover   just below that: the features in t coordinates, for e columns of V, are summed in a pass of their own
    blocks     blocks of features (see designs) times groups of e columns, one after the other; O is a running sum, stored
               and loaded again for each block

In all of them a feature sum that is in fast memory never moves: it is used up where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.approx_resident import NEEDS, approx_resident, rows_executed
from algorithms.designs import GroupProducts, Part, all_monomials, other_monomials
from iosim import Algorithm, Builder, Form, Plan, Problem, Size, binomial, build, ceil_div, symbols
from iosim.builder import Row


def leftover(
    b: Builder, *, n: Size, d: Size, t: Size, e: Size, N: Size, c: Size, degree: int, coefficients: object
) -> None:
    """First the monomials in coordinates 0..t-1 for columns 0..e-1, then everything else."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs=NEEDS)
    small, rest = all_monomials(t, degree, d), other_monomials(d, t, degree, d)
    phi, phi_1 = all_monomials(d, degree, d), all_monomials(d, degree, d, least=1)
    with b.zeros("W", small.slots, e) as W:
        with b.tiles("j", n, N) as j, b.load(K[j, :t]) as k:
            with b.tiles("l", e, c) as l, b.load(V[j, l]) as v:
                b.op("add_features", W[:, l], k, v, monomials=small, degree=degree)
        b.op("weigh_features", W, monomials=small, weights=coefficients)
        with b.tiles("i", n, N) as i, b.load(Q[i, :t]) as q:
            with b.tiles("l", e, c) as l, b.zeros("y", i, l) as y:
                b.op("add_feature_products", y, q, W[:, l], monomials=small, degree=degree)
                b.store(y, O[i, l])
    W, W_2, w = b.zeros("W", rest.slots, e), b.zeros("W", phi.slots, d - e), b.zeros("w", phi_1.slots, 1)
    with b.tiles("j", n, N) as j, b.load(K[j, :]) as k:
        b.op("add_feature_sums", w, k, monomials=phi_1, degree=degree)
        with b.tiles("l", e, c) as l, b.load(V[j, l]) as v:
            b.op("add_features", W[:, l], k, v, monomials=rest, degree=degree)
        with b.tiles("l", d, c, start=e) as l, b.load(V[j, l]) as v:
            b.op("add_features", W_2[:, l.start - e : l.stop - e], k, v, monomials=phi, degree=degree)
    b.op("weigh_features", W, monomials=rest, weights=coefficients)
    b.op("weigh_features", W_2, monomials=phi, weights=coefficients)
    b.op("weigh_features", w, monomials=phi_1, weights=coefficients)
    with b.tiles("i", n, N) as i, b.load(Q[i, :]) as q, b.zeros("z", i, 1) as z:
        b.op("add_constant", z, weights=coefficients, times=n)
        b.op("add_feature_products", z, q, w, monomials=phi_1, degree=degree)
        with b.tiles("l", e, c) as l, b.load(O[i, l], "y") as y:
            b.op("add_feature_products", y, q, W[:, l], monomials=rest, degree=degree)
            b.op("divide_by_column", y, z)
            b.store(y, O[i, l])
        with b.tiles("l", d, c, start=e) as l, b.zeros("y", i, l) as y:
            b.op("add_feature_products", y, q, W_2[:, l.start - e : l.stop - e], monomials=phi, degree=degree)
            b.op("divide_by_column", y, z)
            b.store(y, O[i, l])
    b.free(W, W_2, w)


def leftover_io(*, n: Size, d: Size, t: Size, e: Size) -> Size:
    """Everything once; t coordinates of K and Q again, e columns of V, and of O stored and loaded. Units: words."""
    return 4 * n * d + n * (2 * t + 3 * e)


def leftover_peak(*, d: Size, t: Size, e: Size, degree: int) -> tuple[Size, Size]:
    """The small pass: its sums, q, an output, g-1 prefixes; the main pass: as when all is resident, less the small sums.
    Units: words."""
    small, r = binomial(t + degree, degree), binomial(d + degree, degree)
    return small * e + t + degree, r * (d + 1) + d + degree - small * e


def blocks(
    b: Builder,
    *,
    n: Size,
    d: Size,
    e: Size,
    N: Size,
    c: Size,
    design: GroupProducts,
    several: bool,
    coefficients: object,
) -> None:
    """For each block, for each group of e columns: sum its features over the keys, then use them for all queries.

    The column of ones, for the normaliser z, comes first, in the group of the first e-1 columns of V. With `several`
    groups, the last block stores z for the groups after the first.
    """
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs=NEEDS)
    Z = b.scratch("Z", (n, 1))
    degree = design.degree

    def visit(block: Row, start: Size, size: Size, *, ones: bool, first: bool, last: bool) -> None:
        """One block and the columns start, ..., start+size-1, with the column of ones or without."""
        coords, a = block.coordinates("coords", "t"), block.size("a")
        phi = block.value("monomials")
        W = b.zeros("W", a, size)
        w = b.zeros("w", a, 1) if ones else None
        with b.tiles("j", n, N) as j, b.load(K[j, coords]) as k:
            if w:
                b.op("add_feature_sums", w, k, monomials=phi, degree=degree)
            with b.tiles("l", size, c) as l, b.load(V[j, start + l.start : start + l.stop]) as v:
                b.op("add_features", W[:, l], k, v, monomials=phi, degree=degree)
        b.op("weigh_features", W, monomials=phi, weights=coefficients)
        if w:
            b.op("weigh_features", w, monomials=phi, weights=coefficients)
        with b.tiles("i", n, N) as i, b.load(Q[i, coords]) as q:
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

    for where in ("only",) if len(design) == 1 else ("first", "middle", "last"):
        ends = {"first": where in ("only", "first"), "last": where in ("only", "last")}
        with b.table("b", Part(design, where)) as block:
            visit(block, 0, e - 1, ones=True, **ends)
            with b.tiles("g", d, e, start=e - 1) as g:
                visit(block, g.start.size, g.length.size, ones=False, **ends)


def blocks_io(*, n: Size, d: Size, NC: Size, NB: Size, T: Size, several: Size) -> Size:
    """NC column groups, NB blocks with T coordinates in all: K and Q for each visit, V for each block; O and z stored for
    each block and loaded for each but the first; z stored at the end and loaded by each group but the first, if there are
    several. Units: words."""
    stage_1 = NC * T + NB * d
    stage_2 = NC * T + 2 * (NB - 1) * (d + 1) + d + several + NC - 1
    return n * (stage_1 + stage_2)


def blocks_peak(*, t: Size, a: Size, e: Size, degree: int, last: bool) -> Size:
    """Stage 2 of a block: its sums; q, one output and g-1 prefix products; the normaliser too in the last block.
    Units: words."""
    return a * e + t + degree + last


class Approx(Algorithm):
    """The algorithm of this file."""

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        yield from approx_resident.plans(problem, capacity)
        least = approx_resident.least_capacity(problem)
        if least > capacity:
            choice = self._leftover(problem, capacity, least - capacity)
            if choice:
                yield self._leftover_plan(problem, *choice)
        options = [
            (self._blocks_words(problem, design, e), design.v, e) for design, e in self._blocks(problem, capacity)
        ]
        if options:
            _, v, e = min(options)
            yield self._blocks_plan(problem, GroupProducts(problem.d, problem.degree, v), e)

    def least_capacity(self, problem: Problem) -> int:
        return min(_int(self._peak(design, 1)) for design in _designs(problem))

    def forms(self) -> tuple[Form, ...]:
        n, d, t, e = symbols("n", "d", "t", "e")
        small = build(
            leftover, name="approx (leftover)", n="n", d="d", t="t", e="e", N=1, c=1, degree=2, coefficients=None
        )
        block = build(
            blocks,
            name="approx (blocks)",
            n="n",
            d="d",
            e="e",
            N=1,
            c=1,
            design=GroupProducts(8, 2, 4),
            several=True,
            coefficients=None,
        )
        NC, NB, T, several, a = symbols("NC", "NB", "T", "several", "a")
        peaks = leftover_peak(d=d, t=t, e=e, degree=2)
        return (
            *approx_resident.forms(),
            Form(
                schedule="leftover",
                program=small,
                io=leftover_io(n=n, d=d, t=t, e=e),
                peak=f"max({peaks[0]}, {peaks[1]})",
                regime="degree 2, M below the resident schedule's",
            ),
            Form(
                schedule="blocks",
                program=block,
                io=blocks_io(n=n, d=d, NC=NC, NB=NB, T=T, several=several),
                peak=blocks_peak(t=t, a=a, e=e, degree=2, last=True),
                regime="degree 2; NB blocks with T coordinates in all, NC = ceil((d+1)/e) column groups, "
                "several = 1 if NC > 1",
            ),
        )

    def _leftover(self, problem: Problem, capacity: int, missing: int) -> tuple[int, int] | None:
        """(t, e) with the fewest words moved."""
        d, g = problem.d, problem.degree
        options = []
        for t in range(1, d + 1):
            small = _int(binomial(t + g, g))
            e = -(-missing // small)
            if e <= d and small * e + t + g <= capacity:
                options.append((2 * t + 3 * e, t, e))
        return min(options)[1:] if options else None

    def _leftover_plan(self, problem: Problem, t: int, e: int) -> Plan:
        n, d, g = problem.n, problem.d, problem.degree
        symbolic = dict(zip(("n", "d", "t", "e"), symbols("n", "d", "t", "e"), strict=True))
        r = _int(binomial(d + g, g))
        return Plan(
            algorithm=self.name,
            schedule="leftover",
            program=build(
                leftover,
                name="approx (leftover)",
                n="n",
                d=d,
                t=t,
                e=e,
                N="N",
                c="c",
                degree=g,
                coefficients=problem.weights,
            ),
            sizes={"n": n, "N": 1, "c": 1},
            tiles={"r": r, "t": t, "e": e},
            executed={"n": n, "N": rows_executed(r, n), "c": d},
            closed_form=leftover_io(**symbolic),
            closed_form_words=_int(leftover_io(n=n, d=d, t=t, e=e)),
            claimed_peak_words=max(map(_int, leftover_peak(d=d, t=t, e=e, degree=g))),
            regime="M below r(d+1) + d + g, and still above C(t+g, g) e + t + g",
        )

    def _blocks(self, problem: Problem, capacity: int) -> Iterator[tuple[GroupProducts, int]]:
        """Every design that fits, with the most columns that fit."""
        for design in _designs(problem):
            e = min((capacity - t - problem.degree - last) // a for t, a, last in _kinds(design))
            if e >= 1:
                yield design, min(e, problem.d + 1)

    def _blocks_words(self, problem: Problem, design: GroupProducts, e: int) -> int:
        NC = _int(ceil_div(problem.d + 1, e))
        words = blocks_io(
            n=problem.n, d=problem.d, NC=NC, NB=len(design), T=design.coordinates_words, several=int(NC > 1)
        )
        return _int(words)

    def _blocks_plan(self, problem: Problem, design: GroupProducts, e: int) -> Plan:
        n, d, g = problem.n, problem.d, problem.degree
        NC = _int(ceil_div(d + 1, e))
        # the fewest columns that need no more groups
        e = -(-(d + 1) // NC)
        most = max(a for _, a, *_ in design.kinds())
        names = ("n", "d", "NC", "NB", "T")
        symbolic = dict(zip(names, symbols(*names), strict=True))
        return Plan(
            algorithm=self.name,
            schedule="blocks",
            program=build(
                blocks,
                name="approx (blocks)",
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
            tiles={"r": _int(binomial(d + g, g)), "v": design.v, "e": e, "NC": NC, "NB": len(design), "T": design.coordinates_words},
            executed={"n": n, "N": rows_executed(most, n), "c": d},
            closed_form=blocks_io(**symbolic, several=int(NC > 1)),
            closed_form_words=self._blocks_words(problem, design, e),
            claimed_peak_words=self._peak(design, e),
            regime="M >= a e + t + g for every block, and one word more for the last",
        )

    def _peak(self, design: GroupProducts, e: int) -> int:
        degree = design.degree
        return max(_int(blocks_peak(t=t, a=a, e=e, degree=degree, last=last)) for t, a, last in _kinds(design))


def _kinds(design: GroupProducts) -> Iterator[tuple[int, int, bool]]:
    """(t, a, whether it is the last block) for each kind of block; the last block is of the last kind."""
    t = a = 0
    for t, a, *_ in design.kinds():
        yield t, a, False
    yield t, a, True


def _designs(problem: Problem) -> Iterator[GroupProducts]:
    """One block of all monomials, and every product of groups."""
    for v in (1, *range(problem.degree + 1, problem.d + 1)):
        yield GroupProducts(problem.d, problem.degree, v)


def _int(size: Size) -> int:
    assert isinstance(size, int)
    return size


approx = Approx(
    name="approx",
    summary="polynomial attention: the best of resident, leftover and block schedules for the fast memory",
    source=approx_resident.source,
    approximate=True,
)
