"""Polynomial approximate attention with all features in fast memory: linear traffic, if they fit.

p(q.k / sqrt(d)) is a sum of r = C(d+g, g) products of a monomial of q and the same monomial of k. Stage 1 sums, over the
keys, each monomial of k times each value (and times one, for the normaliser); stage 2 takes each query's monomials with
these sums. Under a causal mask the two stages take turns (see feature_sums). Query heads that share keys share the sums.
Every word of Q, K, V and O moves once. The sum of the constant monomial is a number of keys, which needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator

from algorithms.designs.monomials import all_monomials
from algorithms.polynomial.feature_sums import Chunk, FeatureSums
from algorithms.polynomial.sizes import SOURCE, coarse, resident_peak, unsupported
from algorithms.shared.attention import whole
from iosim import CAUSAL, FULL, Algorithm, Builder, Form, Mask, Plan, Problem, Size
from iosim.bounds.approx import SUMS_OF_MONOMIALS
from iosim.builder import Extent, Index
from iosim.plan import built
from iosim.problem import ANY_LETTERS


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
    sums = FeatureSums(b=b, n=n, n_k=n_k, mask=mask, g=g, B=B, N=N, c=c, degree=degree, coefficients=coefficients)
    Q, K, V, O = sums.arrays(d=d, d_v=d_v)
    phi, phi_1 = all_monomials(d, degree, d), all_monomials(d, degree, d, least=1)
    W, w = b.zeros("W", phi.slots, d_v), b.zeros("w", phi_1.slots, 1)

    def weigh() -> None:
        b.op("weigh_features", W, monomials=phi, coefficients=coefficients)
        b.op("weigh_features", w, monomials=phi_1, coefficients=coefficients)

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


class Resident(Algorithm):
    """The algorithm of this file."""

    def unsupported(self, problem: Problem) -> str | None:
        return unsupported(problem)

    def io_words(self, problem: Problem) -> int:
        """Of the plan, for one instance of the problem."""
        return whole(io(n=problem.n, n_k=problem.n_k, d=problem.d, d_v=problem.d_v, g=problem.group))

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        if self.least_capacity(problem) <= capacity:
            yield self.plan(problem)

    def plan(self, problem: Problem) -> Plan:
        """The plan, the same for every fast memory in which the sums fit."""
        r = problem.features
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
                coefficients=problem.coefficients,
            ),
            sizes={**problem.sizes, **dict.fromkeys(executed, 1)},
            tiles={"r": r},
            executed={**problem.sizes, **executed},
            closed_form=io(**{name: letters[name] for name in ("n", "n_k", "d", "d_v", "g")}),
            claimed_peak_words=self.least_capacity(problem),
            regime="M >= r(d_v+1) + d + max(g, 1), r = C(d+g, g)",
        )

    def least_capacity(self, problem: Problem) -> int:
        return whole(resident_peak(d=problem.d, d_v=problem.d_v, degree=problem.degree))

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
                    peak=resident_peak(d=d, d_v=d_v, degree=2),
                    regime="degree 2",
                )
            )
        return tuple(forms)


approx_resident = Resident(
    name="approx-resident",
    summary="polynomial attention, all feature sums in fast memory: linear traffic",
    source=SOURCE,
    approximate=True,
    properties=SUMS_OF_MONOMIALS,
)
