"""What has to hold of a run? The claims of the algorithm, the rules of the machine, the bounds, and the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim.task import LOOPED

if TYPE_CHECKING:
    from iosim.runs.result import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that has to hold."""

    name: str
    holds: bool
    found: str


def checks_of(run: Run) -> list[Check]:
    """Each thing that has to hold, and whether it does."""
    claimed, peak = run.closed_form_words, run.plan.claimed_peak_words
    checks = [
        Check(name="legal schedule", holds=run.legal, found=_broken(run)),
        Check(name="count equals closed form", holds=run.io_words == claimed, found=_both(run.io_words, claimed)),
        Check(
            name="count at least each lower bound",
            holds=all(run.io_words >= words for _, words in run.bounds),
            found=_above(run.io_words, max(words for _, words in run.bounds)),
        ),
        Check(name="peak equals claim", holds=run.peak_words == peak, found=_both(run.peak_words, peak)),
    ]
    numeric = run.numeric
    if numeric is None:
        return checks
    if numeric.is_method is not None and numeric.method_error is not None and numeric.method_bound is not None:
        whose, how = ("polynomial", "proved") if run.method is None else ("method", "allowed for rounding")
        found = _within(numeric.method_error, numeric.method_bound, how)
        checks.append(Check(name=f"result is the {whose}'s", holds=numeric.is_method, found=found))
    name = "error within its bound" if numeric.proved else "result is finite"
    how = "allowed for rounding" if run.computes == LOOPED else "proved"
    found = _within(numeric.max_abs_error, numeric.error_bound, how)
    return [*checks, Check(name=name, holds=numeric.within_bound, found=found)]


def _within(error: float, bound: float, how: str) -> str:
    measured = f"{error:.3g} measured" if math.isfinite(error) else "not finite"
    return f"{measured}, {f'{bound:.3g} {how}' if math.isfinite(bound) else 'none proved'}"


def _broken(run: Run) -> str:
    if run.legal:
        return "no rule is broken"
    over = run.peak_words > run.fast_memory_words
    factor = f"; the peak is {run.peak_words / run.fast_memory_words:.4g} M" if over else ""
    return f"{run.violations[0]}{factor}"


def _both(counted: int, claimed: int) -> str:
    if counted == claimed:
        return f"{counted:,} words"
    return f"{counted:,} words counted, {claimed:,} claimed"


def _above(counted: int, lower: int) -> str:
    return f"{counted:,} words, at least {lower:,} proved"
