"""Polynomial approximate attention for any fast memory: the best of several schedules.

resident   every feature sum stays in fast memory (see approx_resident): 4nd words
leftover   just below that: the features in t coordinates, for e columns of V, are summed in a pass of their own
blocks     blocks of features times groups of e columns, one after the other (see polynomial.blocks)
w-, q-, o-stationary
           the same in two stages, each with its own blocks; the second in one of three orders (see polynomial.stages)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from algorithms.approx_resident import approx_resident
from algorithms.designs.choice import Options
from algorithms.designs.monomials import all_monomials, other_monomials
from algorithms.polynomial.blocks import blocks_forms, blocks_plan, least_words, most_columns
from algorithms.polynomial.feature_sums import Chunk, FeatureSums
from algorithms.polynomial.sizes import (
    SOURCE,
    coarse,
    copied,
    features,
    length_symbols,
    lengths,
    prefixes,
    resident_peak,
)
from algorithms.polynomial.stage_choice import least_words_of_stages, stage_forms, stage_offers
from algorithms.shared.attention import whole
from iosim import CAUSAL, FULL, Algorithm, Builder, Form, Mask, Plan, Problem, Size, binomial, maximum, symbols
from iosim.bounds.approx import SUMS_OF_MONOMIALS
from iosim.builder import Extent, Index
from iosim.plan import Offer, built
from iosim.problem import ANY_LETTERS


def leftover(
    b: Builder,
    *,
    n: Size,
    n_k: Size,
    d: Size,
    d_v: Size,
    mask: Mask,
    g: Size,
    t: Size,
    e: Size,
    B: Size,
    N: Size,
    c: Size,
    degree: int,
    coefficients: tuple[float, ...] | None,
) -> None:
    """First the monomials in coordinates 0..t-1 (for t = 0 the constant) for columns 0..e-1, then everything else."""
    sums = FeatureSums(b=b, n=n, n_k=n_k, mask=mask, g=g, B=B, N=N, c=c, degree=degree, coefficients=coefficients)
    Q, K, V, O = sums.arrays(d=d, d_v=d_v)
    small, rest = all_monomials(t, degree, d), other_monomials(d, t, degree, d)
    phi, phi_1 = all_monomials(d, degree, d), all_monomials(d, degree, d, least=1)

    with b.zeros("W", small.slots, e) as W_s:

        def use_small(i: Index, keys: Extent, chunk: Chunk | None) -> None:
            with b.load(Q[i, :t]) as q, b.tiles("l", e, c) as l, b.zeros("y", i, l) as y:
                sums.use_products(y, q, W_s[:, l], small, small.slots, i, l, chunk)
                b.store(y, O[i, l])

        sums.run(
            lambda j: K[j, :t],
            lambda j, l: V[j, l],
            add_key=lambda k: None,
            add=[(0, e, lambda k, v, l: sums.add_products(W_s[:, l], k, v, small))],
            weigh=lambda: b.op("weigh_features", W_s, monomials=small, coefficients=coefficients),
            use=use_small,
        )
    W, W_2, w = b.zeros("W", rest.slots, e), b.zeros("W", phi.slots, d_v - e), b.zeros("w", phi_1.slots, 1)

    def weigh() -> None:
        for held, monomials in ((W, rest), (W_2, phi), (w, phi_1)):
            b.op("weigh_features", held, monomials=monomials, coefficients=coefficients)

    def columns(l: Index) -> slice:
        """Those of W_2."""
        return slice(l.start - e, l.stop - e)

    def use(i: Index, keys: Extent, chunk: Chunk | None) -> None:
        with b.load(Q[i, :]) as q, b.zeros("z", i, 1) as z:
            sums.use_counts(z, i, keys, chunk)
            sums.use_sums(z, q, w, phi_1, phi_1.slots, i, chunk)
            with b.tiles("l", e, c) as l, b.load(O[i, l], "y") as y:
                sums.use_products(y, q, W[:, l], rest, rest.slots, i, l, chunk)
                b.op("divide_by_column", y, z)
                b.store(y, O[i, l])
            with b.tiles("l", d_v, c, start=e) as l, b.zeros("y", i, l) as y:
                sums.use_products(y, q, W_2[:, columns(l)], phi, phi.slots, i, l, chunk)
                b.op("divide_by_column", y, z)
                b.store(y, O[i, l])

    sums.run(
        lambda j: K[j, :],
        lambda j, l: V[j, l],
        add_key=lambda k: sums.add_sums(w, k, phi_1),
        add=[
            (0, e, lambda k, v, l: sums.add_products(W[:, l], k, v, rest)),
            (e, d_v, lambda k, v, l: sums.add_products(W_2[:, columns(l)], k, v, phi)),
        ],
        weigh=weigh,
        use=use,
    )
    b.free(W, W_2, w)


def leftover_io(*, n: Size, n_k: Size, d: Size, d_v: Size, t: Size, e: Size) -> Size:
    """Everything once, n being rows of Q; t coordinates of K and Q again, e columns of V, and of O stored and loaded.
    Units: words."""
    return (n + n_k) * (d + d_v) + (n + n_k) * t + (2 * n + n_k) * e


def leftover_peak(*, d: Size, d_v: Size, t: Size, e: Size, degree: int, copy: int = 0) -> tuple[Size, Size]:
    """The small pass: its sums, q, one output and the prefix products; the main pass: as when all is resident, less the
    small sums. Units: words."""
    small = binomial(t + degree, degree)
    held = resident_peak(d=d, d_v=d_v, degree=degree) - small * e
    return small * e + t + 1 + prefixes(degree) + copy, held


class Approx(Algorithm):
    """The algorithm of this file."""

    def unsupported(self, problem: Problem) -> str | None:
        return approx_resident.unsupported(problem)

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        for offer in self._offers(problem, capacity):
            yield offer.plan()

    def offers(self, problem: Problem, capacities: Iterable[int]) -> Iterator[list[Offer]]:
        for capacity in capacities:
            yield list(self._offers(problem, capacity))

    def _offers(self, problem: Problem, capacity: int) -> Iterator[Offer]:
        least = approx_resident.least_capacity(problem)
        if least > capacity:
            choice = self._leftover(problem, capacity, least - capacity)
            if choice:
                words, t, e = choice
                yield Offer(io_words=words, plan=partial(self._leftover_plan, problem, t, e))
        else:
            yield Offer(io_words=approx_resident.io_words(problem), plan=partial(approx_resident.plan, problem))
        options = _designs(problem, capacity)
        fused = most_columns(problem, options, capacity)
        if fused:
            words, design, e = fused
            yield Offer(io_words=words, plan=partial(blocks_plan, self.name, problem, design, e))
        if problem.mask.full:
            yield from stage_offers(self.name, problem, options, capacity)

    def least_capacity(self, problem: Problem) -> int:
        # with one monomial at a time over all coordinates among the designs
        least = problem.d + 1 + max(problem.degree, 1)
        options = _designs(problem, least)
        staged = [least_words_of_stages(problem, options)] if problem.mask.full else []
        return min(self._least_leftover(problem), least_words(problem, options), *staged)

    def forms(self) -> tuple[Form, ...]:
        n, n_k, d, d_v, t, e = symbols("n", "n_k", "d", "d_v", "t", "e")
        letters = {**ANY_LETTERS, "t": t, "e": e, "B": 1, "N": 1, "c": 1, "degree": 2, "coefficients": None}
        return (
            *approx_resident.forms(),
            *(
                Form(
                    schedule=schedule,
                    program=built(leftover, name=f"approx ({schedule})", **{**letters, "mask": mask, "n_k": keys}),
                    io=leftover_io(n=n, n_k=keys, d=d, d_v=d_v, t=t, e=e),
                    peak=maximum(*leftover_peak(d=d, d_v=d_v, t=t, e=e, degree=2)),
                    regime="degree 2, M below the resident schedule's",
                )
                for schedule, mask, keys in (("leftover", FULL, n_k), ("leftover causal", CAUSAL, n))
            ),
            *blocks_forms(self.name),
            *stage_forms(self.name),
        )

    def _leftover(self, problem: Problem, capacity: int, missing: int) -> tuple[int, int, int] | None:
        """(words, t, e) with the fewest words moved."""
        options = []
        for t in range(problem.d + 1):
            small = whole(binomial(t + problem.degree, problem.degree))
            e = -(-missing // small)
            if e <= problem.d_v and _leftover_words(problem, t, e) <= capacity:
                options.append((whole(leftover_io(**lengths(problem), d=problem.d, t=t, e=e)), t, e))
        return min(options, default=None)

    def _least_leftover(self, problem: Problem) -> int:
        """The fewest words in which the leftover schedule runs: about half of the sums in each pass."""
        degree, most = problem.degree, problem.d_v
        everything = approx_resident.least_capacity(problem)
        least = everything
        for t in range(problem.d + 1):
            rest = everything - t - 1 - prefixes(degree) - copied(problem)
            half = rest // (2 * whole(binomial(t + degree, degree)))
            least = min(least, *(_leftover_words(problem, t, min(max(e, 1), most)) for e in (half, half + 1)))
        return least

    def _leftover_plan(self, problem: Problem, t: int, e: int) -> Plan:
        degree, letters = problem.degree, problem.letters
        r = features(problem)
        executed = coarse(problem, r)
        symbolic = length_symbols(problem) | {"d": letters["d"], "t": symbols("t")[0], "e": symbols("e")[0]}
        return Plan(
            algorithm=self.name,
            schedule="leftover",
            program=built(
                leftover,
                name="approx (leftover)",
                **{**letters, "d": problem.d, "d_v": problem.d_v, "B": 1, **{name: name for name in executed}},
                t=t,
                e=e,
                degree=degree,
                coefficients=problem.coefficients,
            ),
            sizes={**problem.sizes, **dict.fromkeys(executed, 1)},
            tiles={"r": r, "t": t, "e": e},
            executed={**problem.sizes, **executed},
            closed_form=leftover_io(**symbolic),
            claimed_peak_words=_leftover_words(problem, t, e),
            regime="r(d_v+1) + d + g' - C(t+g, g) e <= M, C(t+g, g) e + t + g' <= M; r = C(d+g, g), g' = max(g, 1)"
            + (", one word more under a mask if g = 1" if copied(problem) else ""),
        )


def _designs(problem: Problem, capacity: int) -> Options:
    # n times coordinates for each group of columns, n times two columns of O and z for each block; and the same for keys
    times = 8 * (problem.n * problem.group + problem.n_k) * (problem.d_v + 2)
    return Options(problem.d, problem.degree, capacity, problem.d_v, times=times)


def _leftover_words(problem: Problem, t: int, e: int) -> int:
    peaks = leftover_peak(d=problem.d, d_v=problem.d_v, t=t, e=e, degree=problem.degree, copy=copied(problem))
    return max(map(whole, peaks))


approx = Approx(
    name="approx",
    summary="polynomial attention: the best of resident, leftover and block schedules for the fast memory",
    source=SOURCE,
    approximate=True,
    properties=SUMS_OF_MONOMIALS,
)
