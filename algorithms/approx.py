"""Polynomial approximate attention for any fast memory: the best of several schedules.

resident   every feature sum stays in fast memory (see approx_resident): 4nd words
leftover   just below that: the features in t coordinates, for e columns of V, are summed in a pass of their own
blocks     blocks of features times groups of e columns, one after the other (see approx_blocks)
w-, q-, o-stationary
           the same in two stages, each with its own blocks; the second in one of three orders (see approx_stages)
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.approx_blocks import blocks_form, blocks_plan, least_words, most_columns, whole
from algorithms.approx_resident import NEEDS, approx_resident, prefixes, rows_executed
from algorithms.approx_resident import peak as resident_peak
from algorithms.approx_stages import least_words_of_stages, stage_forms, stage_plans
from algorithms.block_choice import designs
from algorithms.designs import all_monomials, other_monomials
from iosim import Algorithm, Builder, Form, Plan, Problem, Size, binomial, build, maximum, symbols


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
    return small * e + t + 1 + prefixes(degree), resident_peak(d=d, degree=degree) - small * e


class Approx(Algorithm):
    """The algorithm of this file."""

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        yield from approx_resident.plans(problem, capacity)
        least = approx_resident.least_capacity(problem)
        if least > capacity:
            choice = self._leftover(problem, capacity, least - capacity)
            if choice:
                yield self._leftover_plan(problem, *choice)
        options = list(designs(problem.d, problem.degree, capacity))
        fused = most_columns(problem, options, capacity)
        if fused:
            _, design, e = fused
            yield blocks_plan(self.name, problem, design, e)
        yield from stage_plans(self.name, problem, options, capacity)

    def least_capacity(self, problem: Problem) -> int:
        # with one monomial at a time over all coordinates among the designs
        options = list(designs(problem.d, problem.degree, problem.d + 1 + max(problem.degree, 1)))
        return min(
            self._least_leftover(problem), least_words(problem, options), least_words_of_stages(problem, options)
        )

    def forms(self) -> tuple[Form, ...]:
        n, d, t, e = symbols("n", "d", "t", "e")
        small = build(
            leftover, name="approx (leftover)", n="n", d="d", t="t", e="e", N=1, c=1, degree=2, coefficients=None
        )
        return (
            *approx_resident.forms(),
            Form(
                schedule="leftover",
                program=small,
                io=leftover_io(n=n, d=d, t=t, e=e),
                peak=maximum(*leftover_peak(d=d, t=t, e=e, degree=2)),
                regime="degree 2, M below the resident schedule's",
            ),
            blocks_form(self.name),
            *stage_forms(self.name),
        )

    def _leftover(self, problem: Problem, capacity: int, missing: int) -> tuple[int, int] | None:
        """(t, e) with the fewest words moved."""
        d, g = problem.d, problem.degree
        options = []
        for t in range(d + 1):
            small = whole(binomial(t + g, g))
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
            half = (everything - t - 1 - prefixes(g)) // (2 * whole(binomial(t + g, g)))
            least = min(least, *(_leftover_words(problem, t, min(max(e, 1), d)) for e in (half, half + 1)))
        return least

    def _leftover_plan(self, problem: Problem, t: int, e: int) -> Plan:
        n, d, g = problem.n, problem.d, problem.degree
        symbolic = dict(zip(("n", "d", "t", "e"), symbols("n", "d", "t", "e"), strict=True))
        r = whole(binomial(d + g, g))
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
            closed_form_words=whole(leftover_io(n=n, d=d, t=t, e=e)),
            claimed_peak_words=_leftover_words(problem, t, e),
            regime="r(d+1) + d + g' - C(t+g, g) e <= M, C(t+g, g) e + t + g' <= M; r = C(d+g, g), g' = max(g, 1)",
        )


def _leftover_words(problem: Problem, t: int, e: int) -> int:
    return max(map(whole, leftover_peak(d=problem.d, t=t, e=e, degree=problem.degree)))


approx = Approx(
    name="approx",
    summary="polynomial attention: the best of resident, leftover and block schedules for the fast memory",
    source=approx_resident.source,
    approximate=True,
)
