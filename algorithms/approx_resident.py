"""Polynomial approximate attention with all features in fast memory: linear traffic, if they fit.

p(q.k / sqrt(d)) is a sum of r = C(d+g, g) products of a monomial of q and the same monomial of k. Stage 1 sums, over the
keys, each monomial of k times each value (and times one, for the normaliser); stage 2 takes each query's monomials with
these sums. Every word of Q, K, V and O moves once. The sum of the constant monomial is n, a number that needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.designs import all_monomials
from iosim import Algorithm, Builder, Form, Plan, Problem, Size, binomial, build, symbols
from iosim.bounds.approx import SUMS_OF_MONOMIALS

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l]"
FEATURES_EXECUTED = 2**20  # numbers in one piece of features, when a program is executed: they stay in a cache


def resident(
    b: Builder, *, n: Size, d: Size, N: Size, c: Size, degree: int, coefficients: tuple[float, ...] | None
) -> None:
    """K and Q are streamed by N rows, V and O by c columns of them (one: N = c = 1)."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs=NEEDS)
    phi, phi_1 = all_monomials(d, degree, d), all_monomials(d, degree, d, least=1)
    W, w = b.zeros("W", phi.slots, d), b.zeros("w", phi_1.slots, 1)
    with b.tiles("j", n, N) as j, b.load(K[j, :]) as k:
        b.op("add_feature_sums", w, k, monomials=phi_1, degree=degree)
        with b.tiles("l", d, c) as l, b.load(V[j, l]) as v:
            b.op("add_features", W[:, l], k, v, monomials=phi, degree=degree)
    b.op("weigh_features", W, monomials=phi, weights=coefficients)
    b.op("weigh_features", w, monomials=phi_1, weights=coefficients)
    with b.tiles("i", n, N) as i, b.load(Q[i, :]) as q, b.zeros("z", i, 1) as z:
        b.op("add_constant", z, weights=coefficients, times=n)
        b.op("add_feature_products", z, q, w, monomials=phi_1, degree=degree)
        with b.tiles("l", d, c) as l, b.zeros("y", i, l) as y:
            b.op("add_feature_products", y, q, W[:, l], monomials=phi, degree=degree)
            b.op("divide_by_column", y, z)
            b.store(y, O[i, l])
    b.free(W, w)


def io(*, n: Size, d: Size) -> Size:
    """Q, K, V and O once. Units: words."""
    return 4 * n * d


def peak(*, d: Size, degree: int) -> Size:
    """Stage 2: the sums, less one; q, the normaliser, one output and the prefix products. Units: words."""
    r = binomial(d + degree, degree)
    return r * (d + 1) - 1 + d + 1 + 1 + prefixes(degree)


def prefixes(degree: int) -> int:
    """Words for the products of a monomial's first factors, the last factor being fused into a sum."""
    return max(degree, 1) - 1


def rows_executed(features: int, n: int) -> int:
    """Rows whose features make a good piece of numpy work."""
    return max(1, min(n, FEATURES_EXECUTED // features))


class Resident(Algorithm):
    """The algorithm of this file."""

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        n, d, g = problem.n, problem.d, problem.degree
        if self.least_capacity(problem) > capacity:
            return
        r = binomial(d + g, g)
        assert isinstance(r, int)
        symbolic_n, symbolic_d = symbols("n", "d")
        yield Plan(
            algorithm=self.name,
            schedule="resident",
            program=build(
                resident,
                name=f"{self.name} (resident)",
                n="n",
                d=d,
                N="N",
                c="c",
                degree=g,
                coefficients=problem.weights,
            ),
            sizes={"n": n, "N": 1, "c": 1},
            tiles={"r": r},
            executed={"n": n, "N": rows_executed(r, n), "c": d},
            closed_form=io(n=symbolic_n, d=symbolic_d),
            closed_form_words=4 * n * d,
            claimed_peak_words=self.least_capacity(problem),
            regime="M >= r(d+1) + d + max(g, 1), r = C(d+g, g)",
        )

    def least_capacity(self, problem: Problem) -> int:
        words = peak(d=problem.d, degree=problem.degree)
        assert isinstance(words, int)
        return words

    def forms(self) -> tuple[Form, ...]:
        n, d = symbols("n", "d")
        program = build(resident, name=f"{self.name} (resident)", n="n", d="d", N=1, c=1, degree=2, coefficients=None)
        return (
            Form(schedule="resident", program=program, io=io(n=n, d=d), peak=peak(d=d, degree=2), regime="degree 2"),
        )


approx_resident = Resident(
    name="approx-resident",
    summary="polynomial attention, all feature sums in fast memory: linear traffic",
    source="Alman and Song, NeurIPS 2023 (polynomial method); Papp, Sobczyk and Zouzias, arXiv 2605.23751, 2026 "
    "(the question of its I/O); the schedule is this package's",
    approximate=True,
    properties=SUMS_OF_MONOMIALS,
)
