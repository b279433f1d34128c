"""Polynomial approximate attention for any fast memory: the best of three schedules.

    resident   every feature sum stays in fast memory (see approx_resident): 4nd words
    leftover   just below that: the features in t coordinates, for e columns of V, are summed in a pass of their own
    blocks     blocks of features (see designs) times groups of e columns, one after the other; O is a running sum, stored
               and loaded again for each block

In all of them a feature sum that is in fast memory never moves: it is used up where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.approx_resident import NEEDS, approx_resident, prefixes, rows_executed
from algorithms.approx_resident import peak as resident_peak
from algorithms.designs import Design, GroupProducts, MonomialRuns, Part, all_monomials, other_monomials
from iosim import Algorithm, Builder, Form, Plan, Problem, Size, binomial, build, ceil_div, maximum, symbols
from iosim.builder import Row


def leftover(
    b: Builder, *, n: Size, d: Size, t: Size, e: Size, N: Size, c: Size, degree: int, coefficients: object
) -> None:
    """First the monomials in coordinates 0..t-1 (for t = 0 the constant) for columns 0..e-1, then everything else."""
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
    """The small pass: its sums, q, one output and the prefix products; the main pass: as when all is resident, less the
    small sums. Units: words."""
    small = binomial(t + degree, degree)
    return small * e + t + 1 + prefixes(degree), resident_peak(d=d, d_v=d, degree=degree) - small * e


def blocks(
    b: Builder,
    *,
    n: Size,
    d: Size,
    e: Size,
    N: Size,
    c: Size,
    design: Design,
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

    for where in {1: ("only",), 2: ("first", "last")}.get(design.NB, ("first", "middle", "last")):
        ends = {"first": where in ("only", "first"), "last": where in ("only", "last")}
        with b.table("b", Part(design, where)) as block:
            visit(block, 0, e - 1, ones=True, **ends)
            if several:
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
    """Stage 2 of a block: its sums; q, one output and the prefix products; the normaliser too in the last block.
    Units: words."""
    return a * e + t + 1 + prefixes(degree) + last


class Approx(Algorithm):
    """The algorithm of this file."""

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        yield from approx_resident.plans(problem, capacity)
        least = approx_resident.least_capacity(problem)
        if least > capacity:
            choice = self._leftover(problem, capacity, least - capacity)
            if choice:
                yield self._leftover_plan(problem, *choice)
        options = list(self._blocks(problem, capacity))
        if options:
            yield self._blocks_plan(problem, *min(options, key=lambda option: self._blocks_words(problem, *option)))

    def least_capacity(self, problem: Problem) -> int:
        r = _int(binomial(problem.d + problem.degree, problem.degree))
        designs: list[Design] = [*_group_products(problem), MonomialRuns(problem.d, problem.degree, r)]
        return min(*(_peak(design, 1) for design in designs), self._least_leftover(problem))

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
        return (
            *approx_resident.forms(),
            Form(
                schedule="leftover",
                program=small,
                io=leftover_io(n=n, d=d, t=t, e=e),
                peak=maximum(*leftover_peak(d=d, t=t, e=e, degree=2)),
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
        for t in range(d + 1):
            small = _int(binomial(t + g, g))
            e = -(-missing // small)
            if e <= d and _leftover_words(problem, t, e) <= capacity:
                options.append((2 * t + 3 * e, t, e))
        return min(options)[1:] if options else None

    def _least_leftover(self, problem: Problem) -> int:
        """The fewest words in which the leftover schedule runs: about half of the sums in each pass."""
        d, g = problem.d, problem.degree
        everything = approx_resident.least_capacity(problem)
        least = everything
        for t in range(d + 1):
            half = (everything - t - 1 - prefixes(g)) // (2 * _int(binomial(t + g, g)))
            least = min(least, *(_leftover_words(problem, t, min(max(e, 1), d)) for e in (half, half + 1)))
        return least

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
            claimed_peak_words=_leftover_words(problem, t, e),
            regime="r(d+1) + d + g' - C(t+g, g) e <= M, C(t+g, g) e + t + g' <= M; r = C(d+g, g), g' = max(g, 1)",
        )

    def _blocks(self, problem: Problem, capacity: int) -> Iterator[tuple[Design, int]]:
        """Designs and columns that fit: the most columns for products of groups, the longest runs for each e."""
        d, g = problem.d, problem.degree
        for design in _group_products(problem):
            e = min((capacity - rest) // a for a, rest in _words(design))
            if e >= 1:
                yield design, min(e, d + 1)
        r = _int(binomial(d + g, g))
        for e in range(1, d + 2):
            # words for the sums of the first run, which is the longest, and of the last
            first, last = (capacity - _int(blocks_peak(t=d, a=0, e=e, degree=g, last=x)) for x in (False, True))
            if last >= e:
                # ceil(r/NB) e <= first, floor(r/NB) e <= last
                runs = max(-(-r // (first // e)), r // (last // e + 1) + 1)
                if runs <= r:
                    yield MonomialRuns(d, g, runs), e

    def _blocks_words(self, problem: Problem, design: Design, e: int) -> int:
        NC = _int(ceil_div(problem.d + 1, e))
        words = blocks_io(
            n=problem.n, d=problem.d, NC=NC, NB=design.NB, T=design.coordinates_words, several=int(NC > 1)
        )
        return _int(words)

    def _blocks_plan(self, problem: Problem, design: Design, e: int) -> Plan:
        n, d, g = problem.n, problem.d, problem.degree
        NC = _int(ceil_div(d + 1, e))
        # the fewest columns that need no more groups
        e = -(-(d + 1) // NC)
        _, most = design.first
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
            tiles={
                "r": _int(binomial(d + g, g)),
                **({"v": design.v} if isinstance(design, GroupProducts) else {}),
                "e": e,
                "NC": NC,
                "NB": design.NB,
                "T": design.coordinates_words,
            },
            executed={"n": n, "N": rows_executed(most, n), "c": d},
            closed_form=blocks_io(**symbolic, several=int(NC > 1)),
            closed_form_words=self._blocks_words(problem, design, e),
            claimed_peak_words=_peak(design, e),
            regime="M >= a e + t + max(g, 1) for every block, and one word more for the last",
        )


def _peak(design: Design, e: int) -> int:
    return max(a * e + rest for a, rest in _words(design))


def _words(design: Design) -> Iterator[tuple[int, int]]:
    """For the first block, which is the largest, and for the last: its sums for one column, and its other words."""
    for (t, a), last in ((design.first, False), (design.last, True)):
        yield a, _int(blocks_peak(t=t, a=a, e=0, degree=design.degree, last=last))


def _leftover_words(problem: Problem, t: int, e: int) -> int:
    return max(map(_int, leftover_peak(d=problem.d, t=t, e=e, degree=problem.degree)))


def _group_products(problem: Problem) -> Iterator[GroupProducts]:
    """One block of all monomials, and all that have several."""
    for v in (1, *range(max(1, problem.degree) + 1, problem.d + 1)):
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
