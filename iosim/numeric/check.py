"""Does the program compute what it should? Its result on real arrays, row by row against a float64 reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from iosim.errors import UsageError
from iosim.expr import evaluate_int, monomial_count
from iosim.interpret.count import count, peak_words
from iosim.method import TOLERANCE, AttentionMethod
from iosim.numeric.differences import Differences, Numeric, executed_otherwise, sampled
from iosim.numeric.run import check_arrays, merged_queries, run_plan, run_task
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.progress import Progress
from iosim.task import ATTENTION, DECODING, GRADIENT, LOOPED, Task

if TYPE_CHECKING:
    from iosim.approximation.minimax import ExpPolynomial
    from iosim.numeric.inputs import AttentionInput
    from iosim.numeric.reference import Float64, Rows

MAX_ITERATIONS = 1_000_000  # of loops in Python; a minute or two
MAX_FEATURES = 5_000_000  # monomials that are listed one by one
MAX_BYTES = 6 * 2**30
_FIRST_ORDER = 0.01  # relative rounding error up to which the dropped higher orders are small
_LARGEST_NORM = 1e4  # far more than float64 can make anything of, and its 64th power is still a float


def too_large(plan: Plan, max_flops: float) -> str | None:
    """Why the program can't be executed in reasonable time and memory; None if it can."""
    features = plan.tiles.get("r", 0)
    if features > MAX_FEATURES:
        return f"{features:,} features, the limit is {MAX_FEATURES:,}"
    work = count(plan.program, plan.executed)
    flops = evaluate_int(work.flops, {})
    if flops > max_flops:
        return f"{flops:.2g} flops, the limit is {max_flops:.2g} (--max-flops)"
    iterations = sum(evaluate_int(trips, {}) for trips in work.trips.values())
    if iterations > MAX_ITERATIONS:
        return f"{iterations:.2g} iterations of loops in Python, the limit is {MAX_ITERATIONS:,}"
    words = evaluate_int(peak_words(plan.program, plan.executed), {})
    for array in plan.program.arrays:
        words += math.prod(evaluate_int(size, plan.executed) for size in array.shape)
    if 8 * words > MAX_BYTES:
        return f"{8 * words / 2**30:.3g} GiB in float64, the limit is {MAX_BYTES / 2**30:.0f} GiB"
    return None


def compare_with_reference(
    plan: Plan,
    problem: Problem,
    polynomial: ExpPolynomial | None,
    data: AttentionInput,
    *,
    rows: int | None,
    seed: int,
    progress: Progress,
    task: Task = ATTENTION,
    method: AttentionMethod | None = None,
    exact: ExactRows | None = None,
) -> Numeric:
    """Runs the program on each head of `data`, and compares rows of its result with the float64 reference.

    Args:
        plan: the program, and the sizes to execute it with.
        problem: what it is a plan for.
        polynomial: in place of the exponential, for approximate algorithms without a method.
        data: Q, K and V.
        rows: how many rows of each head to compare: all up to n = 4096, else 256.
        seed: of the sample of rows.
        progress: called with what is going on and its fraction done.
        task: what the program should compute.
        method: what an approximate algorithm computes, if it is not the polynomial.
        exact: softmax attention of the same data, where that is known from another call with the same rows and seed.

    Raises:
        ExecutionError: the program does not have the inputs and outputs of the task.
    """
    from iosim.numeric.reference import norm_bound, polynomial_attention

    check_arrays(plan, problem, task)
    if task == GRADIENT:
        from iosim.numeric.gradient import compare_gradient

        return compare_gradient(plan, problem, data, rows=rows, seed=seed, progress=progress)
    if task == LOOPED:
        assert method is not None
        return _compare_with_method(plan, problem, data, method, rows=rows, seed=seed, progress=progress)
    chosen = sampled(problem.n, rows, seed)
    exact = exact or ExactRows(data, problem, chosen)
    softmax, own = Differences(), Differences()
    roundings = []
    given = {"Q": data.Q, "K": data.K, "V": data.V}
    outputs = run_task(plan, problem, task, given, partial(progress, "computing"))
    heads = list(method.heads(_given(data, problem), plan.executed, problem.mask)) if method else []
    for number, O in enumerate(outputs["O"]):
        progress("comparing with float64 attention", number / data.heads)
        own_keys, member = divmod(number, problem.group)
        Q, K, V = data.Q[number], data.K[own_keys], data.V[own_keys]
        bounds = _bounds(polynomial, problem, norm_bound(Q, K), V)
        if method is not None:
            mine = chosen * problem.group + member  # rows of the head
            proved = math.inf if method.bound is None else method.bound(heads[own_keys], mine)
            bounds = _Bounds(proved, bounds.rounding + TOLERANCE * float(abs(V).max()))
        roundings.append(bounds.rounding)
        softmax.add(O, exact.of(number), chosen, bounds.approximation + bounds.rounding)
        if method is not None:
            own.add(O, method.reference(heads[own_keys], mine), chosen, TOLERANCE * float(abs(V).max()))
        elif polynomial is not None and math.isfinite(bounds.rounding):
            right = polynomial_attention(Q, K, V, polynomial.coefficients, chosen, problem.mask)
            own.add(O, right, chosen, bounds.rounding)
    compared = len(own.found) == data.heads
    if task == DECODING and polynomial is not None:
        from iosim.numeric.reference_decoding import state_difference, state_rounding

        for head in range(problem.instances):
            state = outputs["W_new"][head], outputs["w_new"][head]
            own.found.append(state_difference(*state, data.K[head], data.V[head], polynomial.coefficients))
            own.bounds.append(state_rounding(problem.n_k, polynomial.degree))
    known = compared or not own.within  # one head that is wrong is enough
    return Numeric(
        max_abs_error=softmax.greatest,
        relative_error=softmax.relative,
        error_bound=max(softmax.bounds),
        rounding_bound=max(roundings),
        within_bound=softmax.within,
        method_error=own.greatest if known else None,
        method_bound=max(own.bounds) if known else None,
        is_method=own.within if known else None,
        rows_checked=data.heads * len(chosen),
        rows=data.heads * problem.n,
        seed=seed,
        tiles=executed_otherwise(plan),
    )


def _compare_with_method(
    plan: Plan,
    problem: Problem,
    data: AttentionInput,
    method: AttentionMethod,
    *,
    rows: int | None,
    seed: int,
    progress: Progress,
) -> Numeric:
    """The same for what is defined by a method alone: the bound is what is allowed for rounding."""
    chosen = sampled(problem.n, rows, seed)
    outputs = run_plan(plan, problem, data, partial(progress, "computing"))
    own = Differences()
    for O, head in zip(outputs, method.heads(_given(data, problem), plan.executed), strict=True):
        progress("comparing with the formula", len(own.found) / len(outputs))
        right = method.reference(head, chosen)
        own.add(O, right, chosen, TOLERANCE * float(abs(right).max()))
    return own.alone(plan, rows_checked=data.heads * len(chosen), rows=data.heads * problem.n, seed=seed)


class ExactRows:
    """Some rows of softmax attention of each query head, computed when they are first asked for."""

    def __init__(self, data: AttentionInput, problem: Problem, chosen: Rows) -> None:
        self._data, self._problem, self._chosen = data, problem, chosen
        self._found: dict[int, Float64] = {}

    def of(self, number: int) -> Float64:
        """The chosen rows of one query head. Shape: [rows, d_v]."""
        from iosim.numeric.reference import softmax_attention

        if number not in self._found:
            keys, data = number // self._problem.group, self._data
            arrays = data.Q[number], data.K[keys], data.V[keys]
            self._found[number] = softmax_attention(*arrays, self._chosen, self._problem.mask)
        return self._found[number]


def _given(data: AttentionInput, problem: Problem) -> dict[str, Float64]:
    """What a method starts from: the rows of Q of all query heads that share keys are one array."""
    return {"Q": merged_queries(data.Q, problem), "K": data.K, "V": data.V}


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What the approximation costs at most, and what rounding in program and reference adds; infinite if not proved."""

    approximation: float
    rounding: float


def _bounds(polynomial: ExpPolynomial | None, problem: Problem, norm: float, V: Float64) -> _Bounds:
    import numpy as np

    from iosim.approximation.minimax import softmax_output_error
    from iosim.numeric.reference import rounding_bound

    value_max, value_range = float(np.max(np.abs(V))), float(np.max(np.ptp(V, axis=0)))
    try:
        rounding = rounding_bound(problem.n_k, problem.d, norm, value_max)
    except UsageError:  # scores so large that float64 is no reference
        return _Bounds(math.inf, math.inf)
    if polynomial is None:
        return _Bounds(0.0, rounding)
    relative = _polynomial_rounding(polynomial, problem, norm)
    if polynomial.relative_error >= 1 or not relative <= _FIRST_ORDER:
        return _Bounds(math.inf, math.inf)
    # Twice for the higher orders, and twice for two evaluations where the reference is the polynomial's too.
    rounding += 2 * 2 * relative * value_max
    return _Bounds(softmax_output_error(polynomial.relative_error) * value_range, rounding)


def _polynomial_rounding(polynomial: ExpPolynomial, problem: Problem, norm: float) -> float:
    """Relative error by rounding of a sum over keys of all the weighted monomials, in any order, over the normaliser.

    To first order, for numerator and normaliser together; a factor for the higher orders is up to the caller.

    A term c_m (q.k)^m / d^(m/2), written in monomials, has absolute values that sum to at most |c_m| norm^m, as
    sum_a |q_a k_a| <= |q| |k|. Each product of at most 2g + 2 factors and each of the two sums (n_k keys, r monomials) adds
    relative errors of 2^-53 of that sum. The normaliser is at least m (1 - eps) e^-R for a query that meets m keys, whose
    terms alone are ever added, and numerator and normaliser err.
    """
    degree = polynomial.degree
    if not norm < _LARGEST_NORM:
        return math.inf
    absolute = sum(abs(c) * norm**m for m, c in enumerate(polynomial.coefficients))
    least = (1 - polynomial.relative_error) * math.exp(-polynomial.logit_bound)
    terms = problem.n_k + monomial_count(problem.d, degree) + 2 * degree + 8
    return 2 * terms * 2.0**-53 * absolute / least if least > 0 else math.inf
