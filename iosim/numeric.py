"""Does the program compute what it should? Its result on real arrays, row by row against a float64 reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from iosim.errors import ExecutionError, UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.method import TOLERANCE, AttentionMethod
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.progress import Progress
from iosim.task import ATTENTION, DECODING, GRADIENT, LOOPED, Task

if TYPE_CHECKING:
    from iosim.inputs import AttentionInput
    from iosim.minimax import ExpPolynomial
    from iosim.reference import Float64, Rows


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
    """The result of the program on real data against the float64 reference.

    Attributes:
        max_abs_error: greatest difference over the rows that were compared; NaN if a word of the result is not finite.
        relative_error: Frobenius norm of the difference over that of the reference, over the rows that were compared.
        error_bound: what it is proved to be at most, rounding included, over all heads; infinite if nothing is proved.
        rounding_bound: the part of the bound that is rounding.
        within_bound: whether each head (of a gradient: each of its arrays) stays within its own bound; False for NaN.
        method_error: greatest difference from what an approximate algorithm is defined to compute: attention with the
            polynomial, or the formula of its method; None for exact algorithms, and where nothing is known of rounding.
        method_bound: what that may be at most, which is rounding alone.
        is_method: whether each head stays within its own such bound; None where that is not known.
        rows_checked: rows compared, over all heads.
        rows: rows that there are, over all heads.
        seed: of the sample of rows, and of the data if they are random.
        tiles: the sizes that the program was executed with, where they are not those that were counted.
    """

    max_abs_error: float
    relative_error: float
    error_bound: float
    rounding_bound: float
    within_bound: bool
    method_error: float | None
    method_bound: float | None
    is_method: bool | None
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
    from iosim.reference import norm_bound, polynomial_attention

    check_arrays(plan, problem, task)
    if task == GRADIENT:
        from iosim.numeric_gradient import compare_gradient

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
        from iosim.reference_decoding import state_difference, state_rounding

        for head in range(problem.heads):
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
        from iosim.reference import softmax_attention

        if number not in self._found:
            keys, data = number // self._problem.group, self._data
            arrays = data.Q[number], data.K[keys], data.V[keys]
            self._found[number] = softmax_attention(*arrays, self._chosen, self._problem.mask)
        return self._found[number]


def sampled(n: int, rows: int | None, seed: int) -> Rows:
    """The rows of an array to be compared: as many as asked for; all up to n = 4096, else 256, if nothing is."""
    from iosim.reference import sample_rows

    wanted = rows if rows is not None else n if n <= ALL_ROWS else DEFAULT_ROWS
    return sample_rows(n, min(wanted, n), seed)


class Differences:
    """Of results from a reference, and what they may be."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.bounds: list[float] = []
        self._squares = [0.0, 0.0]  # of the differences, and of the reference

    def add(self, O: Float64, reference: Float64, rows: Rows, bound: float) -> None:
        """The greatest difference over the given rows; NaN if any word of O, in whatever row, is not finite."""
        import numpy as np

        finite = bool(np.isfinite(O).all())
        self.found.append(float(np.max(np.abs(O[rows] - reference))) if finite else math.nan)
        self.bounds.append(bound)
        for which, array in enumerate((O[rows] - reference, reference)):
            self._squares[which] += float(np.sum(array * array)) if finite else math.nan

    @property
    def relative(self) -> float:
        """Frobenius norm of the differences over that of the reference, all together; NaN where that is 0 or not finite."""
        over, under = self._squares
        return math.sqrt(over / under) if under > 0 else math.nan

    @property
    def greatest(self) -> float:
        return math.nan if any(map(math.isnan, self.found)) else max(self.found)

    @property
    def within(self) -> bool:
        return all(found <= bound for found, bound in zip(self.found, self.bounds, strict=True))

    def alone(self, plan: Plan, *, rows_checked: int, rows: int, seed: int) -> Numeric:
        """The result where rounding is all that is allowed: no other definition to compare with."""
        return Numeric(
            max_abs_error=self.greatest,
            relative_error=self.relative,
            error_bound=max(self.bounds),
            rounding_bound=max(self.bounds),
            within_bound=self.within,
            method_error=None,
            method_bound=None,
            is_method=None,
            rows_checked=rows_checked,
            rows=rows,
            seed=seed,
            tiles=executed_otherwise(plan),
        )


def executed_otherwise(plan: Plan) -> dict[str, int]:
    """The sizes that the program is executed with, where they are not those that are counted."""
    return {name: size for name, size in plan.executed.items() if size != plan.sizes[name]}


def check_arrays(plan: Plan, problem: Problem, task: Task) -> None:
    """Whether the program has the inputs and outputs of the task, and their shapes.

    Raises:
        ExecutionError: it has not.
    """
    program = plan.program
    inputs = {array.name for array in program.arrays if array.role == "input"}
    outputs = {array.name for array in program.arrays if array.role == "output"}
    if (plan.layout is None and not inputs <= set(task.inputs)) or outputs != set(task.outputs):
        raise ExecutionError(
            f"{program.name}: inputs {', '.join(sorted(inputs)) or 'none'}, outputs {', '.join(sorted(outputs)) or 'none'}; "
            f"allowed: inputs {_listed(task.inputs)} and output{'s' if len(task.outputs) > 1 else ''} "
            f"{_listed(task.outputs)}, or --no-numeric"
        )
    heads = [problem.heads] if problem.heads > 1 else []
    lengths = {"n": problem.group * problem.n, "n_k": problem.n_k, "d": problem.d, "d_v": problem.d_v}
    lengths |= {"new": problem.n, "r": math.comb(problem.d + problem.degree, problem.degree), "1": 1}
    for array in program.arrays:
        if array.role == "scratch" or (array.role == "input" and plan.layout is not None):
            continue  # `execute` holds what a layout makes against the declared shape
        shape = [evaluate_int(size, plan.executed) for size in array.shape]
        expected = [*heads, *(lengths[axis] for axis in task.axes[array.name])]
        if shape != expected:
            raise ExecutionError(f"{program.name}: {array.name} is {shape}; allowed: {expected}, or --no-numeric")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def run_plan(plan: Plan, problem: Problem, data: AttentionInput, progress: Callable[[float], None]) -> Float64:
    """O of the plan's program on real data. Shape: [query heads, n, d_v]."""
    return run_task(plan, problem, ATTENTION, {"Q": data.Q, "K": data.K, "V": data.V}, progress)["O"]


def run_task(
    plan: Plan, problem: Problem, task: Task, inputs: Mapping[str, Float64], progress: Callable[[float], None]
) -> dict[str, Float64]:
    """The outputs of the plan's program on real data.

    Shapes: inputs and outputs with rows for queries: [query heads, n, ...]; for keys: [key heads, n_k, ...].
    """
    import numpy as np

    from iosim.interpret.execute import execute

    heads, group = problem.heads, problem.group

    def of_queries(name: str) -> bool:
        return task.axes.get(name, ("",))[0] == "n"

    given = {name: _merged(array, problem) if of_queries(name) else array for name, array in inputs.items()}
    if heads == 1:
        given = {name: array[0] for name, array in given.items()}
    if plan.layout is not None:
        given = dict(plan.layout(given, plan.executed))
    with np.errstate(all="ignore"):  # what overflows shows as a word that is not finite
        found = execute(plan.program, plan.executed, given, progress=progress)
    for name, array in found.items():
        shape = (heads, problem.n, group, -1) if of_queries(name) else (heads, array.shape[-2], 1, -1)
        parted = array.reshape(shape).swapaxes(1, 2)
        found[name] = parted.reshape(-1, parted.shape[2], parted.shape[3])
    return found


def _merged(array: Float64, problem: Problem) -> Float64:
    """The queries of heads that share keys as rows of one array, those of one position next to each other."""
    heads = problem.heads
    return array.reshape(heads, problem.group, problem.n, -1).swapaxes(1, 2).reshape(heads, -1, *array.shape[2:])


def _given(data: AttentionInput, problem: Problem) -> dict[str, Float64]:
    """What a method starts from: the rows of Q of all query heads that share keys are one array."""
    return {"Q": _merged(data.Q, problem), "K": data.K, "V": data.V}


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
    relative errors of 2^-53 of that sum. The normaliser is at least m (1 - eps) e^-R for a query that meets m keys, whose
    terms alone are ever added, and numerator and normaliser err.
    """
    degree = polynomial.degree
    if not norm < _LARGEST_NORM:
        return math.inf
    absolute = sum(abs(c) * norm**m for m, c in enumerate(polynomial.coefficients))
    least = (1 - polynomial.relative_error) * math.exp(-polynomial.logit_bound)
    terms = problem.n_k + math.comb(problem.d + degree, degree) + 2 * degree + 8
    return 2 * terms * 2.0**-53 * absolute / least if least > 0 else math.inf
