"""One run: pick the tiles, count, check legality, compute on real data, compare, and say whether everything holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from iosim import registry, request
from iosim.algorithm import Algorithm
from iosim.approximation.needed import needed
from iosim.approximation.payoff import payoff
from iosim.defaults import DEFAULT_MAX_FLOPS
from iosim.expr import evaluate_int
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.masks import FULL, AnyMask, parse_mask
from iosim.numeric.check import ExactRows, compare_with_reference, too_large
from iosim.numeric.differences import sampled
from iosim.plan import Plan
from iosim.plan_bounds import lower_bounds
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.runs.checks import checks_of
from iosim.runs.notes import notes_of
from iosim.runs.result import Run
from iosim.units import dtype, parse_size, parse_whole

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput

Against: TypeAlias = (
    "Callable[[Problem, AttentionInput | None, float | None, int, int | None], tuple[AttentionInput, ExactRows]]"
)


def run(
    algo: str | Algorithm,
    *,
    M: int | str,
    n: int | None = None,
    n_k: int | None = None,
    d: int | None = None,
    d_v: int | None = None,
    batch: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    mask: str | AnyMask = FULL,
    tied: bool = False,
    dtype_name: str = "fp16",
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    settings: Mapping[str, int] | None = None,
    data: AttentionInput | None = None,
    tiles: str | Mapping[str, int] = "best",
    seed: int = 0,
    rows: int | None = None,
    numeric: bool = True,
    max_flops: float = DEFAULT_MAX_FLOPS,
    elsewhere: bool = True,
    against: Against | None = None,
    progress: Progress | None = None,
) -> Run:
    """Everything there is to know about one algorithm at one size of problem and fast memory.

    Args:
        algo: a registered name, `path/to/file.py:name`, or an algorithm.
        M: fast memory, in words, or as text: "100KB", "51200w".
        n: queries of a head; this and the other sizes come from `data` if that is given.
        n_k: keys, as many as queries if not given.
        d: head dimension, 64 if not given.
        d_v: of the values, d if not given.
        batch: sequences, 1 if not given.
        heads: query heads of a sequence, 1 if not given.
        kv_heads: key heads of a sequence, as many as query heads if not given.
        mask: which keys a query meets: "full", "causal", "window:W", "band:BACK,AHEAD", or blocks of them, as in
            `iosim.block_masks`.
        tied: whether V is the first d_v columns of K.
        dtype_name: of a word: fp64, fp32, fp16, bf16 or fp8.
        degree: of the polynomial, for approximate algorithms.
        eps: relative error of the polynomial that the degree must reach, if no degree is given (0.1).
        logit_bound: R, the greatest |q.k|/sqrt(d): measured on `data`, else 1, which random data then obey.
        settings: of an approximate method, by name; the others are as by default.
        data: real Q, K, V; else seeded random ones.
        tiles: "best", "paper", or tile sizes by name.
        seed: of random data, and of the sample of rows.
        rows: how many rows to compare: all up to n = 4096, else 256.
        numeric: whether to compute the result.
        max_flops: work beyond which the result is not computed.
        elsewhere: whether to look at what was not asked for: other schedules, degrees, and n at which it pays.
        against: `data_and_reference`, or the same with a memory.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: a value that can't be used; the message says where, what was found, what is allowed.
    """
    algorithm = registry.find(algo)
    word = dtype(dtype_name, where="--dtype")
    capacity = parse_size(M, word, where="--M") if isinstance(M, str) else parse_whole(M, where="--M")
    say = progress or silent
    request.check_options(
        degree=degree, eps=eps, logit_bound=logit_bound, seed=seed, rows=rows, numeric=numeric, max_flops=max_flops
    )
    shape = request.Shape(
        n=n,
        n_k=n_k,
        d=d,
        d_v=d_v,
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        mask=parse_mask(mask, where="--mask") if isinstance(mask, str) else mask,
        tied=tied,
    )
    problem = request.make_problem(shape, data)
    logits = request.measured_logits(data, say) if data is not None else None
    problem, polynomial, plan = request.planned(
        algorithm,
        problem,
        capacity,
        tiles,
        where=f"--M {M}",
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
        payoff=payoff(algorithm, problem, capacity, plan.io_words // problem.heads, elsewhere=elsewhere),
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

    bound = request.DEFAULT_LOGIT_BOUND if logit_bound is None else logit_bound
    return random_input(
        problem.n,
        problem.d,
        n_k=problem.n_k,
        d_v=problem.d_v,
        heads=problem.heads * problem.group,
        group=problem.group,
        tied=problem.tied,
        logit_bound=bound,
        seed=seed,
    )


def _others(algorithm: Algorithm, problem: Problem, capacity: int, plan: Plan) -> tuple[Plan, ...]:
    """What else the algorithm could have chosen, fewest words first."""
    if algorithm.unsupported(problem) is not None:
        return ()
    found = [other.times(problem.heads) for other in algorithm.plans(problem, capacity)]
    return tuple(sorted((other for other in found if other != plan), key=lambda other: other.io_words))
