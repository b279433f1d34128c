"""What a run found: the numbers, the checks and the verdict, as a table, as plain numbers and as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim.approximation.needed import Needed
from iosim.approximation.payoff import Payoff
from iosim.bounds.bound import Bound
from iosim.columns import bound_columns, finite
from iosim.display import Result
from iosim.interpret.legality.rules import Violation
from iosim.method import AttentionMethod
from iosim.numeric.differences import Numeric
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.runs.checks import Check
from iosim.task import ATTENTION, Task
from iosim.units import Dtype, words_to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from iosim.approximation.logits import LogitRange
    from iosim.approximation.minimax import ExpPolynomial
    from iosim.explanation import Explanation


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
        explained: whether it shows the program line by line as well.
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
    explained: bool = False

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
        return None if self.payoff.exact_words is None else self.problem.instances * self.payoff.exact_words

    @property
    def lower_bound(self) -> tuple[Bound, int]:
        """Of the bounds about all schedules the one that says the most, and what it says in words; for approximate
        attention, of all bounds for the classes that the schedule is in."""
        if self.polynomial is not None:
            return max(self.bounds, key=lambda found: found[1])
        return self.universal_lower_bound

    @property
    def io_over_lower_bound(self) -> float:
        """Traffic over lower bound; at least 1, or a check fails."""
        return self.io_words / self.lower_bound[1]

    @property
    def universal_lower_bound(self) -> tuple[Bound, int]:
        """Of the bounds about all schedules the one that says the most, and what it says in words."""
        return max((found for found in self.bounds if found[0].universal), key=lambda found: found[1])

    @property
    def schedule(self) -> str:
        return self.plan.within(self.algorithm)

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
        from iosim.terminal import run_report

        return run_report(self, self.explain().report() if self.explained else None)

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
        numeric, polynomial, exact = self.numeric, self.polynomial, self.payoff.exact
        return {
            "algorithm": self.algorithm,
            "computes": self.computes.name,
            "schedule": self.schedule,
            "n": self.problem.n,
            "d": self.problem.d,
            "n_k": self.problem.n_k,
            "d_v": self.problem.d_v,
            "batch": self.problem.batch,
            "heads": self.problem.heads,
            "kv_heads": self.problem.kv_heads,
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
            "exact_algorithm": None if exact is None else exact.algorithm,
            "exact_schedule": None if exact is None else exact.schedule,
            "exact_io_words": self.exact_io_words,
            "pays": self.payoff.pays if self.approximate else None,
            f"pays_from_{self.payoff.letter}": self.payoff.pays_from_n,
            **bound_columns(*self.lower_bound),
            "universal_lower_bound_words": self.universal_lower_bound[1],
            "lower_bounds_words": {bound.name: words for bound, words in self.bounds},
            "io_over_lower_bound": self.io_over_lower_bound,
            "other_schedules": [
                {
                    "algorithm": plan.algorithm,
                    "schedule": plan.schedule,
                    "tiles": dict(plan.tiles),
                    "io_words": plan.io_words,
                    "peak_words": plan.peak_words,
                }
                for plan in self.others
            ],
            "checks": {check.name: check.holds for check in self.checks},
            "notes": list(self.notes),
            "verdict": "holds" if self.holds else "fails",
            **({"explanation": self.explain().to_dict()} if self.explained else {}),
        }
