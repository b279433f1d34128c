"""One run: pick the tiles, count, check legality, compute on real data, compare, and say whether everything holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from iosim import request
from iosim.algorithm import Algorithm
from iosim.approximation.needed import needed
from iosim.approximation.payoff import payoff
from iosim.defaults import DEFAULT_LOGIT_BOUND
from iosim.expr import evaluate_int
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.numeric.check import ExactRows, compare_with_reference, too_large
from iosim.numeric.differences import sampled
from iosim.plan import Plan
from iosim.plan_bounds import lower_bounds
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.runs.checks import checks_of
from iosim.runs.notes import notes_of
from iosim.runs.result import Run
from iosim.units import Dtype

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput

Against: TypeAlias = (
    "Callable[[Problem, AttentionInput | None, float | None, int, int | None], tuple[AttentionInput, ExactRows]]"
)


def run(
    algorithm: Algorithm,
    shape: request.Shape,
    capacity: int,
    *,
    where: str,
    word: Dtype,
    seed: int,
    numeric: bool,
    max_flops: float,
    data: AttentionInput | None = None,
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    settings: Mapping[str, int] | None = None,
    tiles: str | Mapping[str, int] = "best",
    rows: int | None = None,
    elsewhere: bool = True,
    against: Against | None = None,
    progress: Progress | None = None,
) -> Run:
    """What `iosim.run` returns, of values that are parsed and in their ranges.

    Args:
        capacity: M. Units: words.
        where: what to call the capacity in an error.
        word: the format of a word.
        elsewhere: whether to look at what was not asked for: other schedules, degrees, and n at which it pays.
        against: `data_and_reference`, or the same with a memory.

    Raises:
        UsageError: what can't be done; the message says where, what was found, what is allowed.
    """
    say = progress or silent
    problem = request.make_problem(shape, data, instead=request.WITH_INPUT)
    logits = request.measured_logits(data, say) if data is not None else None
    problem, polynomial, plan = request.planned(
        algorithm,
        problem,
        capacity,
        tiles,
        where=where,
        word=word,
        degree=degree,
        eps=eps,
        logit_bound=logit_bound,
        logits=logits,
        settings=settings,
        progress=say,
    )
    counted = plan.count()
    say("checking each rule", 0.0)
    broken = tuple(violations(plan.program, plan.sizes, capacity))
    notes: list[str] = []
    result = None
    if numeric:
        reason = too_large(plan, max_flops)
        if any(violation.rule is not Rule.CAPACITY for violation in broken):
            notes.append("the result is not computed: the schedule is not legal")
        elif reason:
            notes.append(f"the result is not computed: {reason}")
        else:
            used, exact = (against or data_and_reference)(problem, data, logit_bound, seed, rows)
            result = compare_with_reference(
                plan,
                problem,
                polynomial,
                used,
                rows=rows,
                seed=seed,
                progress=say,
                task=algorithm.computes,
                method=algorithm.method,
                exact=exact,
            )
    say("comparing with other schedules", 0.0)
    own = Run(
        algorithm=algorithm.name,
        plan=plan,
        problem=problem,
        dtype=word,
        fast_memory_words=capacity,
        loads={name: evaluate_int(words, {}) for name, words in counted.loads.items()},
        stores={name: evaluate_int(words, {}) for name, words in counted.stores.items()},
        peak_words=plan.peak_words,
        flops=evaluate_int(counted.flops, {}),
        closed_form_words=plan.closed_form_words,
        bounds=tuple(lower_bounds(algorithm, problem, plan, capacity)),
        others=_others(algorithm, problem, capacity, plan) if elsewhere else (),
        violations=broken,
        polynomial=polynomial,
        logits=logits,
        needed=needed(algorithm, problem, capacity, polynomial) if elsewhere else None,
        numeric=result,
        payoff=payoff(algorithm, problem, capacity, plan.io_words // problem.instances, elsewhere=elsewhere),
        checks=(),
        notes=(),
        computes=algorithm.computes,
        method=algorithm.method,
    )
    return replace(own, checks=tuple(checks_of(own)), notes=(*notes, *notes_of(own)))


def data_and_reference(
    problem: Problem, data: AttentionInput | None, logit_bound: float | None, seed: int, rows: int | None
) -> tuple[AttentionInput, ExactRows]:
    """What to compute with, random if there are no data, and the rows of softmax attention to compare with."""
    used = _random(problem, logit_bound, seed) if data is None else data
    return used, ExactRows(used, problem, sampled(problem.n, rows, seed))


def _random(problem: Problem, logit_bound: float | None, seed: int) -> AttentionInput:
    from iosim.numeric.inputs import random_input

    bound = DEFAULT_LOGIT_BOUND if logit_bound is None else logit_bound
    return random_input(
        problem.n,
        problem.d,
        n_k=problem.n_k,
        d_v=problem.d_v,
        heads=problem.instances * problem.group,
        group=problem.group,
        tied=problem.tied,
        logit_bound=bound,
        seed=seed,
    )


def _others(algorithm: Algorithm, problem: Problem, capacity: int, plan: Plan) -> tuple[Plan, ...]:
    """What else the algorithm could have chosen, fewest words first."""
    if algorithm.unsupported(problem) is not None:
        return ()
    found = [other.times(problem.instances) for other in algorithm.plans(problem, capacity)]
    return tuple(sorted((other for other in found if other != plan), key=lambda other: other.io_words))
