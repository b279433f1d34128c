"""Does the program compute attention? Its result on real arrays, row by row against float64 softmax attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from iosim.algorithm import Plan, Problem
from iosim.errors import ExecutionError, UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words

if TYPE_CHECKING:
    from iosim.inputs import AttentionInput
    from iosim.minimax import ExpPolynomial
    from iosim.reference import Float64, Rows

Progress: TypeAlias = Callable[[str, float], None]  # what is going on, and which fraction of it is done

DEFAULT_ROWS = 256
ALL_ROWS = 4096  # up to this n every row of the result is compared
DEFAULT_MAX_FLOPS = 2e12  # a minute or two of numpy
MAX_ITERATIONS = 1_000_000  # of loops in Python; a minute or two
MAX_FEATURES = 5_000_000  # monomials that are listed one by one
MAX_BYTES = 6 * 2**30
_FIRST_ORDER = 0.01  # relative rounding error up to which the dropped higher orders are small
_LARGEST_NORM = 1e4  # far more than float64 can make anything of, and its 64th power is still a float


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """The result of the program on real data against float64 attention.

    Attributes:
        max_abs_error: greatest difference over the rows that were compared; NaN if a word of the result is not finite.
        error_bound: what it is proved to be at most, rounding included, over all heads; infinite if nothing is proved.
        rounding_bound: the part of the bound that is rounding.
        within_bound: whether each head stays within its own bound; False for NaN.
        polynomial_error: greatest difference from attention with the polynomial itself; None for exact algorithms, and
            where nothing is proved.
        polynomial_bound: what that is proved to be at most, which is rounding alone.
        is_polynomial: whether each head stays within its own such bound; True where there is nothing to compare.
        rows_checked: rows compared, over all heads.
        rows: rows that there are, over all heads.
        seed: of the sample of rows, and of the data if they are random.
        tiles: the sizes that the program was executed with, where they are not those that were counted.
    """

    max_abs_error: float
    error_bound: float
    rounding_bound: float
    within_bound: bool
    polynomial_error: float | None
    polynomial_bound: float | None
    is_polynomial: bool
    rows_checked: int
    rows: int
    seed: int
    tiles: Mapping[str, int]

    @property
    def proved(self) -> bool:
        """Whether there is a bound at all."""
        return math.isfinite(self.error_bound)


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
) -> Numeric:
    """Runs the program on each head of `data`, and compares rows of its result with float64 attention.

    Args:
        plan: the program, and the sizes to execute it with.
        problem: what it is a plan for.
        polynomial: in place of the exponential, for approximate algorithms.
        data: Q, K and V.
        rows: how many rows of each head to compare: all up to n = 4096, else 256.
        seed: of the sample of rows.
        progress: called with what is going on and its fraction done.

    Raises:
        ExecutionError: the program does not have the inputs Q, K, V and the output O of attention.
    """
    from iosim.reference import norm_bound, polynomial_attention, sample_rows, softmax_attention

    _check_arrays(plan, problem)
    if rows is None:
        rows = problem.n if problem.n <= ALL_ROWS else DEFAULT_ROWS
    chosen = sample_rows(problem.n, min(rows, problem.n), seed)
    exact, own = _Differences(), _Differences()
    roundings = []
    outputs = run_plan(plan, problem, data, partial(progress, "computing"))
    for head, O in enumerate(outputs):
        progress("comparing with float64 attention", head / len(outputs))
        Q, K, V = data.Q[head], data.K[head // problem.group], data.V[head // problem.group]
        bounds = _bounds(polynomial, problem, norm_bound(Q, K), V)
        roundings.append(bounds.rounding)
        right = softmax_attention(Q, K, V, chosen, problem.mask)
        exact.add(O, right, chosen, bounds.approximation + bounds.rounding)
        if polynomial is not None and math.isfinite(bounds.rounding):
            own.add(O, polynomial_attention(Q, K, V, polynomial.coefficients, chosen), chosen, bounds.rounding)
    compared = len(own.found) == data.heads
    return Numeric(
        max_abs_error=exact.greatest,
        error_bound=max(exact.bounds),
        rounding_bound=max(roundings),
        within_bound=exact.within,
        polynomial_error=own.greatest if compared else None,
        polynomial_bound=max(own.bounds) if compared else None,
        is_polynomial=own.within,
        rows_checked=data.heads * len(chosen),
        rows=data.heads * problem.n,
        seed=seed,
        tiles={name: size for name, size in plan.executed.items() if size != plan.sizes[name]},
    )


class _Differences:
    """Of each head from a reference, and what they may be."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.bounds: list[float] = []

    def add(self, O: Float64, reference: Float64, rows: Rows, bound: float) -> None:
        """The greatest difference over the given rows; NaN if any word of O, in whatever row, is not finite."""
        import numpy as np

        finite = bool(np.isfinite(O).all())
        self.found.append(float(np.max(np.abs(O[rows] - reference))) if finite else math.nan)
        self.bounds.append(bound)

    @property
    def greatest(self) -> float:
        return math.nan if any(map(math.isnan, self.found)) else max(self.found)

    @property
    def within(self) -> bool:
        return all(found <= bound for found, bound in zip(self.found, self.bounds, strict=True))


def _check_arrays(plan: Plan, problem: Problem) -> None:
    program = plan.program
    inputs = {array.name for array in program.arrays if array.role == "input"}
    outputs = {array.name for array in program.arrays if array.role == "output"}
    if (plan.layout is None and not inputs <= {"Q", "K", "V"}) or outputs != {"O"}:
        raise ExecutionError(
            f"{program.name}: inputs {', '.join(sorted(inputs)) or 'none'}, outputs {', '.join(sorted(outputs)) or 'none'}; "
            "allowed: inputs Q, K, V and output O, or --no-numeric"
        )
    heads = [problem.heads] if problem.heads > 1 else []
    rows = problem.group * problem.n
    expected = {
        "Q": [*heads, rows, problem.d],
        "K": [*heads, problem.n_k, problem.d],
        "V": [*heads, problem.n_k, problem.d_v],
        "O": [*heads, rows, problem.d_v],
    }
    for array in program.arrays:
        shape = [evaluate_int(size, plan.executed) for size in array.shape]
        if array.role == "input" and plan.layout is not None:
            continue  # `execute` holds what the layout makes against the declared shape
        if array.role != "scratch" and shape != expected[array.name]:
            raise ExecutionError(
                f"{program.name}: {array.name} is {shape}; allowed: {expected[array.name]}, or --no-numeric"
            )


def run_plan(plan: Plan, problem: Problem, data: AttentionInput, progress: Callable[[float], None]) -> Float64:
    """O of the plan's program on real data. Shape: [query heads, n, d_v]."""
    import numpy as np

    from iosim.interpret.execute import execute

    group = (problem.heads, problem.group)
    # the queries of heads that share keys are rows of one Q, those of one position next to each other
    Q = data.Q.reshape(*group, problem.n, problem.d).swapaxes(1, 2).reshape(problem.heads, -1, problem.d)
    inputs = {"Q": Q, "K": data.K, "V": data.V}
    if problem.heads == 1:
        inputs = {name: array[0] for name, array in inputs.items()}
    if plan.layout is not None:
        inputs = dict(plan.layout(inputs, plan.executed))
    with np.errstate(all="ignore"):  # what overflows shows as a word that is not finite
        O = execute(plan.program, plan.executed, inputs, progress=progress)["O"]
    return O.reshape(problem.heads, problem.n, problem.group, -1).swapaxes(1, 2).reshape(data.heads, problem.n, -1)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What the approximation costs at most, and what rounding in program and reference adds; infinite if not proved."""

    approximation: float
    rounding: float


def _bounds(polynomial: ExpPolynomial | None, problem: Problem, norm: float, V: Float64) -> _Bounds:
    import numpy as np

    from iosim.minimax import softmax_output_error
    from iosim.reference import rounding_bound

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
    relative errors of 2^-53 of that sum. The normaliser is at least n (1 - eps) e^-R, and numerator and normaliser err.
    """
    degree = polynomial.degree
    if not norm < _LARGEST_NORM:
        return math.inf
    absolute = sum(abs(c) * norm**m for m, c in enumerate(polynomial.coefficients))
    least = (1 - polynomial.relative_error) * math.exp(-polynomial.logit_bound)
    terms = problem.n_k + math.comb(problem.d + degree, degree) + 2 * degree + 8
    return 2 * terms * 2.0**-53 * absolute / least if least > 0 else math.inf
