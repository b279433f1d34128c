"""Polynomial approximate attention for any fast memory: the best of several schedules.

resident   every feature sum stays in fast memory (see approx_resident): 4nd words
leftover   just below that: the features in t coordinates, for e columns of V, are summed in a pass of their own
passes     the same with more passes over all rows, each filled with sums (see polynomial.passes)
blocks     blocks of features times groups of e columns, one after the other (see polynomial.blocks)
w-, q-, o-stationary
           the same in two stages, each with its own blocks; the second in one of three orders (see polynomial.stages)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from algorithms.approx_resident import approx_resident
from algorithms.designs.choice import Options
from algorithms.polynomial.blocks import blocks_forms, blocks_plan, least_words, most_columns
from algorithms.polynomial.passes import least_words_of_leftover, passes_forms, passes_offers
from algorithms.polynomial.sizes import SOURCE
from algorithms.polynomial.stage_choice import least_words_of_stages, stage_forms, stage_offers
from iosim import Algorithm, Form, Plan, Problem
from iosim.bounds.approx import SUMS_OF_MONOMIALS
from iosim.plan import Offer


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
        resident = approx_resident.least_capacity(problem) <= capacity
        if resident:
            yield Offer(io_words=approx_resident.io_words(problem), plan=partial(approx_resident.plan, problem))
        options = _designs(problem, capacity)
        fused = most_columns(problem, options, capacity)
        if not resident:
            yield from passes_offers(self.name, problem, capacity, fused[0] if fused else None)
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
        return min(least_words_of_leftover(problem), least_words(problem, options), *staged)

    def forms(self) -> tuple[Form, ...]:
        return (
            *approx_resident.forms(),
            *passes_forms(self.name),
            *blocks_forms(self.name),
            *stage_forms(self.name),
        )


def _designs(problem: Problem, capacity: int) -> Options:
    # n times coordinates for each group of columns, n times two columns of O and z for each block; and the same for keys
    times = 8 * (problem.n * problem.group + problem.n_k) * (problem.d_v + 2)
    return Options(problem.d, problem.degree, capacity, problem.d_v, times=times)


approx = Approx(
    name="approx",
    summary="polynomial attention: the best of resident, leftover, pass and block schedules for the fast memory",
    source=SOURCE,
    approximate=True,
    properties=SUMS_OF_MONOMIALS,
)
