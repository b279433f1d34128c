"""One run: pick the tiles, count, check legality, compute on real data, compare, and say whether everything holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from iosim import registry
from iosim.algorithm import Algorithm, Plan, Problem
from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.interpret.legality import Violation, violations
from iosim.units import Dtype, dtype, parse_size, words_to_bytes

if TYPE_CHECKING:
    from iosim.inputs import AttentionInput, LogitRange
    from iosim.minimax import ExpPolynomial

Progress = Callable[[str, float], None]  # what is going on, and which fraction of it is done

DEFAULT_EPS = 0.1
DEFAULT_LOGIT_BOUND = 1.0
DEFAULT_ROWS = 256
ALL_ROWS = 4096  # up to this n every row of the result is compared
DEFAULT_MAX_FLOPS = 2e12  # a minute or two of numpy
_MAX_BYTES = 6 * 2**30
_MAX_MONOMIALS = 5_000_000
_MAX_N = 2**50


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that has to hold."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """The result of the program on real data against float64 attention.

    Attributes:
        max_abs_error: greatest difference over the rows that were compared.
        error_bound: what it is proved to be at most, rounding included.
        rounding_bound: the part of the bound that is rounding.
        rows_checked: rows compared, over all heads.
        rows: rows that there are, over all heads.
        seed: of the sample of rows, and of the data if they are random.
        tiles: the sizes that the program was executed with.
    """

    max_abs_error: float
    error_bound: float
    rounding_bound: float
    rows_checked: int
    rows: int
    seed: int
    tiles: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that `iosim run` found out. Units: in the names; counts are for all heads."""

    algorithm: str
    plan: Plan
    problem: Problem
    heads: int
    dtype: Dtype
    fast_memory_words: int
    loads: Mapping[str, int]
    stores: Mapping[str, int]
    peak_words: int
    flops: int
    closed_form_words: int
    violations: tuple[Violation, ...]
    polynomial: ExpPolynomial | None
    logits: LogitRange | None
    numeric: Numeric | None
    exact: Plan | None
    pays_from_n: int | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def loads_words(self) -> int:
        return sum(self.loads.values())

    @property
    def stores_words(self) -> int:
        return sum(self.stores.values())

    @property
    def io_words(self) -> int:
        return self.loads_words + self.stores_words

    @property
    def exact_io_words(self) -> int | None:
        """Traffic of the best exact schedule for the same n, d and fast memory."""
        return None if self.exact is None else self.heads * self.exact.closed_form_words

    @property
    def schedule(self) -> str:
        same = self.plan.algorithm == self.algorithm
        return self.plan.schedule if same else f"{self.plan.algorithm} {self.plan.schedule}"

    @property
    def legal(self) -> bool:
        return not self.violations

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    def to_dict(self) -> dict[str, object]:
        """The run as plain numbers and text, with units in the names; what `--json` prints."""
        numeric = self.numeric
        return {
            "algorithm": self.algorithm,
            "schedule": self.schedule,
            "n": self.problem.n,
            "d": self.problem.d,
            "heads": self.heads,
            "dtype": self.dtype.name,
            "fast_memory_words": self.fast_memory_words,
            "fast_memory_bytes": words_to_bytes(self.fast_memory_words, self.dtype),
            "tiles": dict(self.plan.tiles),
            "loads_words": self.loads_words,
            "stores_words": self.stores_words,
            "loads_words_by_array": dict(self.loads),
            "stores_words_by_array": dict(self.stores),
            "io_words": self.io_words,
            "io_bytes": words_to_bytes(self.io_words, self.dtype),
            "peak_words": self.peak_words,
            "flops": self.flops,
            "closed_form": str(self.plan.closed_form),
            "closed_form_words": self.closed_form_words,
            "regime": self.plan.regime,
            "legal": self.legal,
            "violations": [str(violation) for violation in self.violations],
            "degree": self.polynomial.degree if self.polynomial else None,
            "logit_bound": self.polynomial.logit_bound if self.polynomial else None,
            "polynomial_relative_error": self.polynomial.relative_error if self.polynomial else None,
            "numeric": None
            if numeric is None
            else {
                "max_abs_error": _finite(numeric.max_abs_error),
                "error_bound": _finite(numeric.error_bound),
                "rounding_bound": _finite(numeric.rounding_bound),
                "rows_checked": numeric.rows_checked,
                "rows": numeric.rows,
                "seed": numeric.seed,
                "executed_tiles": dict(numeric.tiles),
            },
            "exact_algorithm": None if self.exact is None else f"{self.exact.algorithm} {self.exact.schedule}",
            "exact_io_words": self.exact_io_words,
            "pays_from_n": self.pays_from_n,
            "lower_bound_words": None,
            "checks": {check.name: check.holds for check in self.checks},
            "notes": list(self.notes),
            "verdict": "holds" if self.holds else "fails",
        }


def run(
    algo: str | Algorithm,
    *,
    n: int | None = None,
    M: int | str,
    d: int | None = None,
    dtype_name: str = "fp16",
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    data: AttentionInput | None = None,
    tiles: str | Mapping[str, int] = "best",
    seed: int = 0,
    rows: int | None = None,
    numeric: bool = True,
    max_flops: float = DEFAULT_MAX_FLOPS,
    progress: Progress | None = None,
) -> Run:
    """Everything there is to know about one algorithm at one size of problem and fast memory.

    Args:
        algo: a registered name, `path/to/file.py:name`, or an algorithm.
        n: queries, and keys; from `data` if that is given.
        M: fast memory, in words, or as text: "100KB", "51200w".
        d: head dimension, 64 unless `data` says otherwise.
        dtype_name: of a word: fp64, fp32, fp16, bf16 or fp8.
        degree: of the polynomial, for approximate algorithms.
        eps: relative error of the polynomial that the degree must reach, if no degree is given (0.1).
        logit_bound: R, the greatest |q.k|/sqrt(d): measured on `data`, else 1, which random data then obey.
        data: real Q, K, V; else seeded random ones.
        tiles: "best", "paper", or tile sizes by name.
        seed: of random data, and of the sample of rows.
        rows: how many rows to compare: all up to n = 4096, else 256.
        numeric: whether to compute the result.
        max_flops: work beyond which the result is not computed.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: a value that can't be used; the message says where, what was found, what is allowed.
    """
    algorithm = registry.find(algo) if isinstance(algo, str) else algo
    word = dtype(dtype_name, where="--dtype")
    capacity = parse_size(M, word, where="--M") if isinstance(M, str) else _positive("--M", M)
    say = progress or (lambda _what, _fraction: None)
    n, d, heads = _sizes(n, d, data)
    if rows is not None:
        _positive("--rows", rows)
    logits = _logits(data, say) if data is not None else None
    polynomial = _polynomial(algorithm, degree, eps, logit_bound, logits)
    problem = Problem(n=n, d=d)
    if polynomial is not None:
        problem = replace(problem, degree=polynomial.degree, weights=polynomial.coefficients)
    plan = _plan(algorithm, problem, capacity, tiles)
    counted = plan.count()
    peak = plan.peak_words
    if isinstance(tiles, Mapping) and peak > capacity:
        raise UsageError(f"--tiles: these need {peak:,} words of fast memory, --M is {capacity:,}")
    broken = tuple(violations(plan.program, plan.sizes, capacity))
    notes: list[str] = []
    exact, pays = _comparison(algorithm, problem, capacity, plan)
    result = None
    if numeric:
        reason = _too_large(plan, problem, heads, max_flops)
        if broken:
            notes.append("numeric check not run: the schedule is not legal")
        elif reason:
            notes.append(f"numeric check not run: {reason}")
        else:
            result = _numeric(algorithm, plan, problem, polynomial, data, logit_bound, rows, seed, say)
    own = Run(
        algorithm=algorithm.name,
        plan=plan,
        problem=problem,
        heads=heads,
        dtype=word,
        fast_memory_words=capacity,
        loads={name: heads * evaluate_int(words, {}) for name, words in counted.loads.items()},
        stores={name: heads * evaluate_int(words, {}) for name, words in counted.stores.items()},
        peak_words=peak,
        flops=heads * evaluate_int(counted.flops, {}),
        closed_form_words=heads * plan.closed_form_words,
        violations=broken,
        polynomial=polynomial,
        logits=logits,
        numeric=result,
        exact=exact,
        pays_from_n=pays,
        checks=(),
        notes=(),
    )
    return replace(own, checks=tuple(_checks(own)), notes=(*notes, *_notes(own)))


def _checks(run: Run) -> list[Check]:
    claimed, peak = run.closed_form_words, run.plan.claimed_peak_words
    first = str(run.violations[0]) if run.violations else "no rule broken"
    checks = [
        Check(name="legal schedule", holds=run.legal, found=first),
        Check(
            name="count equals closed form",
            holds=run.io_words == claimed,
            found=f"{run.io_words:,} counted, {claimed:,} claimed",
        ),
        Check(name="peak equals claim", holds=run.peak_words == peak, found=f"{run.peak_words:,} counted, {peak:,} claimed"),
    ]
    if run.numeric is not None:
        error, bound = run.numeric.max_abs_error, run.numeric.error_bound
        checks.append(
            Check(
                name="error within its bound",
                holds=error <= bound,  # false for NaN
                found=f"{error:.3g} measured, {bound:.3g} proved",
            )
        )
    return checks


def _notes(run: Run) -> list[str]:
    notes = []
    if run.heads > 1:
        notes.append(f"{run.heads} heads, one after the other: counts are for all of them, the peak for one")
    if run.polynomial is not None:
        notes += _approximation_notes(run, run.polynomial)
    capacity = [v for v in run.violations if v.rule.value == "capacity"]
    if capacity:
        notes.append(f"the tiles need {run.peak_words:,} words, {run.peak_words / run.fast_memory_words:.3f} of M")
    return notes


def _approximation_notes(run: Run, polynomial: ExpPolynomial) -> list[str]:
    notes = []
    features = run.plan.tiles.get("r")
    if run.logits is not None:
        worst = run.logits.worst
        notes.append(
            f"largest |q.k|/sqrt(d) of the input: {worst.max_abs:.2f}; half the widest range of a row, which is what "
            f"a shift of each row could leave: {worst.centred_bound:.2f}"
        )
    if features is not None and features > run.problem.n:
        notes.append(f"{features:,} features for n = {run.problem.n:,}: more arithmetic than exact attention too")
    exact = run.exact_io_words
    if exact is not None and run.io_words >= exact:
        where = f"it would from n = {run.pays_from_n:,}" if run.pays_from_n else f"nor for any n up to {_MAX_N:.1g}"
        notes.append(
            f"the approximation does not pay here: {run.io_words / exact:.3g} times the words of exact attention; {where}"
        )
    if polynomial.relative_error > 0.5:
        notes.append(f"a polynomial of degree {polynomial.degree} is no approximation of exp at these logits")
    return notes


def _sizes(n: int | None, d: int | None, data: AttentionInput | None) -> tuple[int, int, int]:
    if data is None:
        if n is None:
            raise UsageError("--n is missing: give the number of queries, or --input")
        return _positive("--n", n), _positive("--d", 64 if d is None else d), 1
    if data.n_k != data.n or data.d_v != data.d:
        raise UsageError(
            f"{data.source}: Q is [{data.n}, {data.d}], K [{data.n_k}, {data.d}], V [{data.n_k}, {data.d_v}]; "
            "allowed: all of one shape"
        )
    for flag, given, found in (("--n", n, data.n), ("--d", d, data.d)):
        if given is not None and given != found:
            raise UsageError(f"{flag} {given}: {data.source} has {found}; leave {flag} out with --input")
    return data.n, data.d, data.heads


def _positive(where: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{where} {value}: allowed are whole numbers from 1")
    return value


def _logits(data: AttentionInput, say: Progress) -> LogitRange:
    from iosim.inputs import logit_range

    return logit_range(data, lambda done, total: say("measuring the logits", done / total))


def _polynomial(
    algorithm: Algorithm, degree: int | None, eps: float | None, logit_bound: float | None, logits: LogitRange | None
) -> ExpPolynomial | None:
    given = [("--degree", degree), ("--eps", eps)]
    if not algorithm.approximate:
        for flag, value in [*given, ("--logit-bound", logit_bound)]:
            if value is not None:
                raise UsageError(f"{flag} {value}: {algorithm.name} is exact; {flag} is for approximate algorithms")
        return None
    if degree is not None and eps is not None:
        raise UsageError(f"--degree {degree} --eps {eps}: the one fixes the other; give one of them")
    from iosim.minimax import minimax_exp, smallest_degree

    bound = logit_bound
    if bound is None:
        bound = logits.worst.max_abs if logits is not None else DEFAULT_LOGIT_BOUND
    elif logits is not None and bound < logits.worst.max_abs:
        raise UsageError(
            f"--logit-bound {bound}: the largest |q.k|/sqrt(d) of the input is {logits.worst.max_abs:.4g}; "
            "leave it out to use that"
        )
    if degree is not None:
        return minimax_exp(degree, bound)
    return smallest_degree(DEFAULT_EPS if eps is None else eps, bound)


def _plan(algorithm: Algorithm, problem: Problem, capacity: int, tiles: str | Mapping[str, int]) -> Plan:
    if tiles == "best":
        return algorithm.best(problem, capacity)
    if tiles == "paper":
        return algorithm.published(problem, capacity)
    if isinstance(tiles, str):
        raise UsageError(f"--tiles {tiles}: allowed: best, paper, or sizes like B_r=32,B_c=1")
    return algorithm.explicit(problem, tiles)


def _comparison(algorithm: Algorithm, problem: Problem, capacity: int, plan: Plan) -> tuple[Plan | None, int | None]:
    """The best exact plan at the same sizes; and from which n an approximate one that does not pay would."""
    exact = registry.find("exact")
    if capacity < exact.least_capacity(problem):
        return None, None
    best = exact.best(problem, capacity)
    if not algorithm.approximate or plan.closed_form_words < best.closed_form_words:
        return best, None

    def pays(n: int) -> bool:
        here = replace(problem, n=n)
        ours = algorithm.best(here, capacity).closed_form_words
        return ours < exact.best(here, capacity).closed_form_words

    low, high = problem.n, problem.n
    while not pays(high):
        low, high = high, 4 * high
        if high > _MAX_N:
            return best, None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if pays(middle) else (middle, high)
    return best, high


def _too_large(plan: Plan, problem: Problem, heads: int, max_flops: float) -> str | None:
    """Why the program can't be executed in reasonable time and memory; None if it can."""
    features = plan.tiles.get("r", 0)
    if features > _MAX_MONOMIALS:
        return f"{features:,} features; the limit is {_MAX_MONOMIALS:,}"
    flops = heads * evaluate_int(count(plan.program, plan.executed).flops, {})
    if flops > max_flops:
        return f"{flops:.2g} flops in numpy; the limit is {max_flops:.2g} (--max-flops)"
    words = evaluate_int(peak_words(plan.program, plan.executed), {})
    for array in plan.program.arrays:
        words += math.prod(evaluate_int(size, plan.executed) for size in array.shape)
    if 8 * words > _MAX_BYTES:
        return f"{8 * words / 2**30:.1f} GiB in float64; the limit is {_MAX_BYTES / 2**30:.0f} GiB"
    return None


def _numeric(
    algorithm: Algorithm,
    plan: Plan,
    problem: Problem,
    polynomial: ExpPolynomial | None,
    data: AttentionInput | None,
    logit_bound: float | None,
    rows: int | None,
    seed: int,
    say: Progress,
) -> Numeric:
    import numpy as np

    from iosim.inputs import random_input
    from iosim.interpret.execute import execute
    from iosim.reference import norm_bound, rounding_bound, sample_rows, softmax_attention

    if data is None:
        bound = DEFAULT_LOGIT_BOUND if logit_bound is None else logit_bound
        data = random_input(problem.n, problem.d, logit_bound=bound, seed=seed)
    if rows is None:
        rows = problem.n if problem.n <= ALL_ROWS else DEFAULT_ROWS
    chosen = sample_rows(problem.n, min(rows, problem.n), seed)
    worst = proved = rounding = 0.0
    for head in range(data.heads):
        Q, K, V = data.Q[head], data.K[head], data.V[head]
        what = "computing" if data.heads == 1 else f"computing head {head + 1} of {data.heads}"
        with np.errstate(all="ignore"):  # what overflows shows as a difference that is not finite
            inputs = {"Q": Q, "K": K, "V": V}
            O = execute(plan.program, plan.executed, inputs, progress=partial(say, what))["O"]
        say("comparing with float64 attention", head / data.heads)
        difference = float(np.max(np.abs(O[chosen] - softmax_attention(Q, K, V, chosen))))
        worst = difference if math.isnan(difference) else max(worst, difference)
        value_max, value_range = float(np.max(np.abs(V))), float(np.max(np.ptp(V, axis=0)))
        norm = norm_bound(Q, K)
        if polynomial is None:
            rounding = max(rounding, rounding_bound(problem.n, problem.d, norm, value_max))
            proved = rounding
        else:
            rounding = max(rounding, _polynomial_rounding(polynomial, problem, norm, value_max))
            proved = max(proved, _approximation_error(polynomial, value_range) + rounding)
        if math.isnan(worst):
            break
    return Numeric(
        max_abs_error=worst,
        error_bound=proved,
        rounding_bound=rounding,
        rows_checked=data.heads * len(chosen),
        rows=data.heads * problem.n,
        seed=seed,
        tiles={name: size for name, size in plan.executed.items() if size != plan.sizes[name]},
    )


def _approximation_error(polynomial: ExpPolynomial, value_range: float) -> float:
    """Theorem: |O - O~| <= (1 - sqrt(1 - eps^2))/eps times the range of a column of V."""
    from iosim.minimax import softmax_output_error

    return softmax_output_error(polynomial.relative_error) * value_range


def _polynomial_rounding(polynomial: ExpPolynomial, problem: Problem, norm: float, value_max: float) -> float:
    """Rounding of a sum over keys of all the weighted monomials, in any order, over the normaliser; first order, twice.

    A term c_m (q.k)^m / d^(m/2), written in monomials, has absolute values that sum to at most |c_m| norm^m, as
    sum_a |q_a k_a| <= |q| |k|. Each product of at most 2g + 2 factors and each of the two sums (n keys, r monomials) adds
    relative errors of 2^-53 of that sum. The normaliser is at least n (1 - eps) e^-R, and numerator and normaliser err.
    """
    absolute = sum(abs(c) * norm**m for m, c in enumerate(polynomial.coefficients))
    r = math.comb(problem.d + problem.degree, problem.degree)
    terms = problem.n + r + 2 * problem.degree + 8
    least = (1 - polynomial.relative_error) * math.exp(-polynomial.logit_bound)
    return 2 * 2 * terms * 2.0**-53 * absolute / least * value_max


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
