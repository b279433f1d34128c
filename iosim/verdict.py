"""One run: pick the tiles, count, check legality, compute on real data, compare, and say whether everything holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from iosim import registry, request
from iosim.algorithm import Algorithm
from iosim.bounds.bound import Bound
from iosim.checks import Check, checks_of
from iosim.columns import finite
from iosim.defaults import DEFAULT_MAX_FLOPS
from iosim.differences import Numeric, sampled
from iosim.display import Result
from iosim.expr import evaluate_int
from iosim.interpret.legality import violations
from iosim.interpret.rules import Rule, Violation
from iosim.masks import FULL, AnyMask, parse_mask
from iosim.method import AttentionMethod
from iosim.needed import Needed, needed
from iosim.notes import notes_of
from iosim.numeric import ExactRows, compare_with_reference, too_large
from iosim.payoff import Payoff, payoff
from iosim.plan import Plan
from iosim.plan_bounds import lower_bounds
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.task import ATTENTION, Task
from iosim.units import Dtype, dtype, parse_size, words_to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from iosim.explanation import Explanation
    from iosim.inputs import AttentionInput
    from iosim.logits import LogitRange
    from iosim.minimax import ExpPolynomial

Against: TypeAlias = (
    "Callable[[Problem, AttentionInput | None, float | None, int, int | None], tuple[AttentionInput, ExactRows]]"
)

_FAR_FROM_EXP = 0.5  # relative error of a polynomial beyond which it is no approximation


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run(Result):
    """Everything that `iosim run` found out. Units: in the names; counts are for all heads.

    Attributes:
        algorithm: the name that was asked for, such as exact; the plan has that of the algorithm that was picked.
        plan: the schedule that was chosen, with its tiles.
        problem: what is computed.
        dtype: of a word.
        fast_memory_words: M.
        loads, stores: words moved, by array.
        peak_words: the most that is live at once.
        flops: of all operations.
        closed_form_words: what the schedule claims to move.
        bounds: those that hold for this schedule, and what they say in words.
        others: the best plan of each other schedule of the algorithm that fits.
        violations: broken rules; none for a legal schedule.
        polynomial: in place of the exponential; None where there is none.
        logits: the range of the scores of the data; None where none was given.
        needed: what it would take to approximate well; None where the polynomial does, or there is none.
        numeric: the result against the reference; None where it was not computed.
        payoff: the traffic beside that of the best exact schedule.
        checks: what has to hold, in the order in which it is printed.
        notes: what else a reader should know.
        computes: attention, its gradient, or another task.
        method: of an approximate algorithm that is no polynomial; None for others.
    """

    algorithm: str
    plan: Plan
    problem: Problem
    dtype: Dtype
    fast_memory_words: int
    loads: Mapping[str, int]
    stores: Mapping[str, int]
    peak_words: int
    flops: int
    closed_form_words: int
    bounds: tuple[tuple[Bound, int], ...]
    others: tuple[Plan, ...]
    violations: tuple[Violation, ...]
    polynomial: ExpPolynomial | None
    logits: LogitRange | None
    needed: Needed | None
    numeric: Numeric | None
    payoff: Payoff
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    computes: Task = ATTENTION
    method: AttentionMethod | None = None

    @property
    def approximate(self) -> bool:
        return self.polynomial is not None or (self.method is not None and self.computes == ATTENTION)

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
        return None if self.payoff.exact_words is None else self.problem.heads * self.payoff.exact_words

    @property
    def lower_bound(self) -> tuple[Bound, int]:
        """Of the bounds about all schedules the one that says the most, and what it says in words; for approximate
        attention, of all bounds for the classes that the schedule is in."""
        if self.polynomial is not None:
            return max(self.bounds, key=lambda found: found[1])
        return self.universal_lower_bound

    @property
    def universal_lower_bound(self) -> tuple[Bound, int]:
        """Of the bounds about all schedules the one that says the most, and what it says in words."""
        return max((found for found in self.bounds if found[0].universal), key=lambda found: found[1])

    @property
    def schedule(self) -> str:
        same = self.plan.algorithm == self.algorithm
        return self.plan.schedule if same else self.plan.title

    @property
    def exact_schedule(self) -> str | None:
        exact = self.payoff.exact
        return None if exact is None else exact.title

    @property
    def legal(self) -> bool:
        return not self.violations

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def verdict(self) -> str:
        """The verdict in one line, with what it leaves open."""
        if not self.holds:
            failing = [check.name for check in self.checks if not check.holds]
            return f"{', '.join(failing)} FAIL{'S' if len(failing) == 1 else ''}"
        limits = []
        if self.numeric is None:
            limits.append("the result was not computed")
        elif not self.numeric.proved:
            limits.append("its error has no proved bound")
        if self.polynomial is not None and self.polynomial.relative_error > _FAR_FROM_EXP:
            limits.append(f"degree {self.polynomial.degree} is no approximation at these logits")
        if self.approximate and not self.payoff.pays:
            limits.append("the approximation does not pay here")
        return "; ".join(["every check holds", *limits])

    @property
    def tiles(self) -> Mapping[str, int]:
        """What the schedule chose."""
        return self.plan.tiles

    def __repr__(self) -> str:
        what = f"{self.algorithm} {self.schedule}, {self.problem}, M={self.fast_memory_words:,} words"
        return f"<Run {what}: {self.io_words:,} words moved; {self.verdict}>"

    def report(self) -> RenderableType:
        from iosim.report import run_report

        return run_report(self)

    def explain(self) -> Explanation:
        """The program line by line: the words that each line moves, and why."""
        from iosim.explanation import explanation_of

        return explanation_of(self.plan, self.fast_memory_words)

    def rows(self) -> list[dict[str, object]]:
        """One row, with the columns of a sweep."""
        from iosim.columns import run_row

        return [run_row(self)]

    def plot(self) -> Figure:
        """Words moved by array, beside the lower bound and exact attention."""
        from iosim.plots.run import run_figure

        return run_figure(self)

    def to_dict(self) -> dict[str, object]:
        numeric, polynomial = self.numeric, self.polynomial
        return {
            "algorithm": self.algorithm,
            "computes": self.computes.name,
            "schedule": self.schedule,
            "n": self.problem.n,
            "d": self.problem.d,
            "n_k": self.problem.n_k,
            "d_v": self.problem.d_v,
            "heads": self.problem.heads * self.problem.group,
            "kv_heads": self.problem.heads,
            "mask": str(self.problem.mask),
            "tied": self.problem.tied,
            "pairs": self.problem.pairs,
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
            "degree": polynomial.degree if polynomial else None,
            "logit_bound": polynomial.logit_bound if polynomial else None,
            "polynomial_relative_error": polynomial.relative_error if polynomial else None,
            "degree_needed": self.needed.degree if self.needed else None,
            "settings": dict(self.problem.settings),
            "numeric": None
            if numeric is None
            else {
                "max_abs_error": finite(numeric.max_abs_error),
                "relative_frobenius_error": finite(numeric.relative_error),
                "error_bound": finite(numeric.error_bound),
                "rounding_bound": finite(numeric.rounding_bound),
                "method_max_abs_error": finite(numeric.method_error),
                "rows_checked": numeric.rows_checked,
                "rows": numeric.rows,
                "seed": numeric.seed,
                "executed_tiles": dict(numeric.tiles),
            },
            "exact_algorithm": self.exact_schedule,
            "exact_io_words": self.exact_io_words,
            "pays": self.payoff.pays if self.approximate else None,
            f"pays_from_{self.payoff.letter}": self.payoff.pays_from_n,
            "lower_bound_words": self.lower_bound[1],
            "lower_bound": self.lower_bound[0].name,
            "lower_bound_class": self.lower_bound[0].about or "every schedule",
            "universal_lower_bound_words": self.universal_lower_bound[1],
            "lower_bounds_words": {bound.name: words for bound, words in self.bounds},
            "io_over_lower_bound": self.io_words / self.lower_bound[1],
            "other_schedules": [
                {
                    "schedule": plan.title,
                    "tiles": dict(plan.tiles),
                    "io_words": plan.io_words,
                    "peak_words": plan.peak_words,
                }
                for plan in self.others
            ],
            "checks": {check.name: check.holds for check in self.checks},
            "notes": list(self.notes),
            "verdict": "holds" if self.holds else "fails",
        }


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
    capacity = parse_size(M, word, where="--M") if isinstance(M, str) else request.positive("--M", M)
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
    polynomial = request.choose_polynomial(algorithm, degree=degree, eps=eps, logit_bound=logit_bound, logits=logits)
    problem = request.with_polynomial(problem, polynomial)
    problem = request.with_settings(algorithm, problem, settings or {})
    why = ""
    if polynomial is not None and degree is None:
        R = f"{polynomial.logit_bound:.4g}"
        why = f"; a relative error of {eps or request.DEFAULT_EPS:g} on [-{R}, {R}] needs that degree"
    say("choosing tiles", 0.0)
    plan = request.choose_plan(algorithm, problem, capacity, tiles, where=f"--M {M}", word=word, why=why)
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
    from iosim.inputs import random_input

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
