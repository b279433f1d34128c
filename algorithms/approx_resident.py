"""Polynomial approximate attention with all features in fast memory: linear traffic, if they fit.

p(q.k / sqrt(d)) is a sum of r = C(d+g, g) products of a monomial of q and the same monomial of k. Stage 1 sums, over the
keys, each monomial of k times each value (and times one, for the normaliser); stage 2 takes each query's monomials with
these sums. Under a causal mask the two stages take turns (see feature_sums). Query heads that share keys share the sums.
Every word of Q, K, V and O moves once. The sum of the constant monomial is a number of keys, which needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.designs import all_monomials
from algorithms.feature_sums import Chunk, FeatureSums
from iosim import CAUSAL, FULL, Algorithm, Builder, Form, Mask, Plan, Problem, Size, binomial
from iosim.algorithm import ANY_LETTERS, built
from iosim.bounds.approx import SUMS_OF_MONOMIALS
from iosim.builder import Extent, Index

NEEDS = "O[i,l] <- Q[i,:], K[:,:], V[:,l]"
FEATURES_EXECUTED = 2**20  # numbers in one piece of features, when a program is executed: they stay in a cache


def resident(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    g: Size,
    B: Size,
    N: Size,
    c: Size,
    degree: int,
    coefficients: tuple[float, ...] | None,
) -> None:
    """K and Q are streamed by N rows, V and O by c columns of them (one: N = c = 1); with a mask, by B positions."""
    sums = FeatureSums(b=b, n=n, n_k=n_k, mask=mask, g=g, B=B, N=N, c=c, degree=degree, weights=coefficients)
    Q, K, V = b.input("Q", (n * g, d)), b.input("K", (n_k, d)), b.input("V", (n_k, d_v))
    O = b.output("O", (n * g, d_v), needs=sums.needs(Q, K, V))
    phi, phi_1 = all_monomials(d, degree, d), all_monomials(d, degree, d, least=1)
    W, w = b.zeros("W", phi.slots, d_v), b.zeros("w", phi_1.slots, 1)

    def weigh() -> None:
        b.op("weigh_features", W, monomials=phi, weights=coefficients)
        b.op("weigh_features", w, monomials=phi_1, weights=coefficients)

    def use(i: Index, keys: Extent, chunk: Chunk | None) -> None:
        with b.load(Q[i, :]) as q, b.zeros("z", i, 1) as z:
            sums.use_counts(z, i, keys, chunk)
            sums.use_sums(z, q, w, phi_1, phi_1.slots, i, chunk)
            with b.tiles("l", d_v, c) as l, b.zeros("y", i, l) as y:
                sums.use_products(y, q, W[:, l], phi, phi.slots, i, l, chunk)
                b.op("divide_by_column", y, z)
                b.store(y, O[i, l])

    sums.run(
        lambda j: K[j, :],
        lambda j, l: V[j, l],
        add_key=lambda k: sums.add_sums(w, k, phi_1),
        add=[(0, d_v, lambda k, v, l: sums.add_products(W[:, l], k, v, phi))],
        weigh=weigh,
        use=use,
    )
    b.free(W, w)


def io(*, n: Size, n_k: Size, d: Size, d_v: Size, g: Size) -> Size:
    """Q, K, V and O once. Units: words."""
    return n * g * (d + d_v) + n_k * (d + d_v)


def words_moved(problem: Problem) -> int:
    """For one instance of the problem. Units: words."""
    words = io(n=problem.n, n_k=problem.n_k, d=problem.d, d_v=problem.d_v, g=problem.group)
    assert isinstance(words, int)
    return words


def peak(*, d: Size, d_v: Size, degree: int) -> Size:
    """When queries use them: the sums, less one; q, the normaliser, one output and the prefix products. Units: words."""
    r = binomial(d + degree, degree)
    return r * (d_v + 1) - 1 + d + 1 + 1 + prefixes(degree)


def prefixes(degree: int) -> int:
    """Words for the products of a monomial's first factors, the last factor being fused into a sum."""
    return max(degree, 1) - 1


def rows_executed(features: int, n: int) -> int:
    """Rows whose features make a good piece of numpy work."""
    return max(1, min(n, FEATURES_EXECUTED // features))


def coarse(problem: Problem, features: int) -> dict[str, int]:
    """Rows, columns and positions at a time that are good numpy work; positions so few that the sums are used too."""
    rows = rows_executed(features, problem.n)
    positions = {} if problem.mask.full else {"B": max(1, min(rows, problem.n // 2))}
    return {"N": rows, "c": problem.d_v, **positions}


def copied(problem: Problem) -> int:
    """Words for copies of values, which weights need that are not applied in place to whole sums: one in degree 1, where no
    prefix product is there to be scaled."""
    return int(problem.degree == 1 and not problem.mask.full)


def unsupported(problem: Problem) -> str | None:
    """Why sums of features, to which keys are added and from which none is taken, are not for this problem."""
    if isinstance(problem.mask, Mask) and problem.mask.back is None:
        return None
    return "masks under which no key is left out again: full, causal, band:all,AHEAD"


class Resident(Algorithm):
    """The algorithm of this file."""

    def unsupported(self, problem: Problem) -> str | None:
        return unsupported(problem)

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        if self.least_capacity(problem) <= capacity:
            yield self.plan(problem)

    def plan(self, problem: Problem) -> Plan:
        """The plan, the same for every fast memory in which the sums fit."""
        r = binomial(problem.d + problem.degree, problem.degree)
        assert isinstance(r, int)
        letters = problem.letters
        executed = coarse(problem, r)
        return Plan(
            algorithm=self.name,
            schedule="resident",
            program=built(
                resident,
                name=f"{self.name} (resident)",
                **{**letters, "d": problem.d, "d_v": problem.d_v},
                **{"B": 1, **{name: name for name in executed}},
                degree=problem.degree,
                coefficients=problem.weights,
            ),
            sizes={**problem.sizes, **dict.fromkeys(executed, 1)},
            tiles={"r": r},
            executed={**problem.sizes, **executed},
            closed_form=io(**{name: letters[name] for name in ("n", "n_k", "d", "d_v", "g")}),
            closed_form_words=words_moved(problem),
            claimed_peak_words=self.least_capacity(problem),
            regime="M >= r(d_v+1) + d + max(g, 1), r = C(d+g, g)",
        )

    def least_capacity(self, problem: Problem) -> int:
        words = peak(d=problem.d, d_v=problem.d_v, degree=problem.degree)
        assert isinstance(words, int)
        return words

    def forms(self) -> tuple[Form, ...]:
        letters = {**ANY_LETTERS, "B": 1, "N": 1, "c": 1, "degree": 2, "coefficients": None}
        n, d, d_v = (ANY_LETTERS[name] for name in ("n", "d", "d_v"))
        forms = []
        for schedule, mask, n_k in (("resident", FULL, ANY_LETTERS["n_k"]), ("resident causal", CAUSAL, n)):
            program = built(resident, name=f"{self.name} ({schedule})", **{**letters, "mask": mask, "n_k": n_k})
            forms.append(
                Form(
                    schedule=schedule,
                    program=program,
                    io=io(n=n, n_k=n_k, d=d, d_v=d_v, g=1),
                    peak=peak(d=d, d_v=d_v, degree=2),
                    regime="degree 2",
                )
            )
        return tuple(forms)


approx_resident = Resident(
    name="approx-resident",
    summary="polynomial attention, all feature sums in fast memory: linear traffic",
    source="Alman and Song, NeurIPS 2023 (polynomial method); Papp, Sobczyk and Zouzias, arXiv 2605.23751, 2026 "
    "(the question of its I/O); the schedule is this package's",
    approximate=True,
    properties=SUMS_OF_MONOMIALS,
)
