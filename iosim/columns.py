"""The columns of a table of runs: what a sweep writes, and what one run is as a row. None where there is nothing to say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iosim.bounds.bound import Bound
    from iosim.problem import Problem
    from iosim.runs.result import Run
    from iosim.units import Dtype

# What was asked for comes first; words are those of all heads of all sequences, but for `peak_words`.
COLUMNS: Mapping[str, tuple[type, str]] = {
    "algorithm": (str, "the algorithm"),
    "n": (int, "queries of a head"),
    "n_k": (int, "keys of a head"),
    "d": (int, "head dimension of Q and K"),
    "d_v": (int, "head dimension of V and O"),
    "batch": (int, "sequences"),
    "heads": (int, "query heads of a sequence"),
    "kv_heads": (int, "key heads of a sequence"),
    "mask": (str, "keys that a query meets"),
    "tied": (bool, "whether V is the first columns of K"),
    "degree": (int, "of the polynomial"),
    "settings": (str, "of the method, as JSON"),
    "dtype": (str, "of a word"),
    "fast_memory_words": (int, "fast memory"),
    "schedule": (str, "the best schedule, with its algorithm if that is another one"),
    "tiles": (str, "its tile sizes, as JSON"),
    "loads_words": (int, "words loaded"),
    "stores_words": (int, "words stored"),
    "io_words": (int, "both"),
    "peak_words": (int, "most words of fast memory in use at once"),
    "flops": (int, "arithmetic operations"),
    "closed_form": (str, "the claimed traffic, in symbols"),
    "closed_form_words": (int, "the same at these sizes"),
    "lower_bound": (str, "the greatest proved lower bound that holds here, by name"),
    "lower_bound_words": (int, "what it says"),
    "lower_bound_class": (str, "of the schedules that it is about"),
    "io_over_lower_bound": (float, "io_words over lower_bound_words"),
    "exact_io_words": (int, "what the best exact schedule moves"),
    "legal": (bool, "whether no rule of the machine is broken"),
    "max_abs_error": (float, "greatest difference from float64 attention, in the rows compared"),
    "relative_frobenius_error": (float, "the same in the relative Frobenius norm"),
    "error_bound": (float, "proved bound on max_abs_error"),
    "rows_checked": (int, "rows compared"),
    "verdict": (str, "holds, fails, infeasible (the reason is in `error`), or error"),
    "seconds": (float, "time that the point took"),
    "error": (str, "why there is no result"),
}


def problem_columns(problem: Problem, *, degree: int | None, dtype: Dtype) -> dict[str, object]:
    """The columns that say what is computed, and in which words."""
    return {
        "n": problem.n,
        "n_k": problem.n_k,
        "d": problem.d,
        "d_v": problem.d_v,
        "batch": problem.batch,
        "heads": problem.heads,
        "kv_heads": problem.kv_heads,
        "mask": str(problem.mask),
        "tied": problem.tied,
        "degree": degree,
        "settings": json.dumps(dict(problem.settings)),
        "dtype": dtype.name,
    }


def bound_columns(bound: Bound | None, words: int | None) -> dict[str, object]:
    """The columns that say which lower bound it is, what it says, and of which schedules."""
    return {
        "lower_bound": None if bound is None else bound.name,
        "lower_bound_words": words,
        "lower_bound_class": None if bound is None else bound.about or "every schedule",
    }


def run_row(run: Run, seconds: float | None = None) -> dict[str, object]:
    """A run as a row: every column, in their order."""
    problem, numeric, polynomial = run.problem, run.numeric, run.polynomial
    return {
        "algorithm": run.algorithm,
        **problem_columns(problem, degree=None if polynomial is None else polynomial.degree, dtype=run.dtype),
        "fast_memory_words": run.fast_memory_words,
        "schedule": run.schedule,
        "tiles": json.dumps(dict(run.plan.tiles)),
        "loads_words": run.loads_words,
        "stores_words": run.stores_words,
        "io_words": run.io_words,
        "peak_words": run.peak_words,
        "flops": run.flops,
        "closed_form": str(run.plan.closed_form),
        "closed_form_words": run.closed_form_words,
        **bound_columns(*run.lower_bound),
        "io_over_lower_bound": run.io_over_lower_bound,
        "exact_io_words": run.exact_io_words,
        "legal": run.legal,
        "max_abs_error": None if numeric is None else finite(numeric.max_abs_error),
        "relative_frobenius_error": None if numeric is None else finite(numeric.relative_error),
        "error_bound": None if numeric is None else finite(numeric.error_bound),
        "rows_checked": None if numeric is None else numeric.rows_checked,
        "verdict": "holds" if run.holds else "fails",
        "seconds": seconds,
        "error": None,
    }


def finite(value: float | None) -> float | None:
    """None for what is no number: JSON has neither infinity nor NaN."""
    return value if value is not None and math.isfinite(value) else None
