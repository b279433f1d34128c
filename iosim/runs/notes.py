"""What else should a reader of a run know? What the counts are of, and whether the approximation is one, and pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iosim.approximation.needed import MOST_DEGREE, Needed
from iosim.approximation.payoff import Payoff
from iosim.defaults import DEFAULT_EPS
from iosim.problem import Problem
from iosim.task import GRADIENT
from iosim.units import MAX_COUNT

if TYPE_CHECKING:
    from iosim.runs.result import Run


def notes_of(run: Run) -> list[str]:
    """A line for each thing that the reader of a report should know."""
    notes = []
    if run.problem.instances > 1:
        notes.append(f"{run.problem.instances} key heads, one after the other: counts are for all, the peak is for one")
    if run.logits is not None and run.polynomial is not None:
        worst = run.logits.worst
        notes.append(
            f"the largest |q.k|/sqrt(d) of the input is {worst.max_abs:.3g}; "
            f"the best shift of each row would leave {worst.centred_bound:.3g}"
        )
    if run.numeric is not None and run.computes == GRADIENT:
        notes.append("dO is standard normal; O and L are those of a forward pass in float64")
    if run.numeric is not None and run.method is not None and not run.numeric.proved:
        notes.append("the error of this method is measured on these data: nothing is proved about it on others")
    elif run.numeric is not None and not run.numeric.proved:
        notes.append("rounding alone may exceed the result at these logits: the error is measured, no bound is proved")
    if run.approximate:
        features = run.plan.tiles.get("r")
        letter = run.payoff.letter
        n = run.problem.n if letter == "n" else run.problem.n_k
        if features is not None and features > n:
            notes.append(f"{features:,} features for {letter}={n:,}: more arithmetic than exact attention")
        if not run.payoff.pays:
            notes.append(_paying("the approximation", run.problem, run.payoff))
    if run.needed is not None:
        notes += _needed_notes(run, run.needed)
    return notes


def _needed_notes(run: Run, needed: Needed) -> list[str]:
    assert run.polynomial is not None
    R = f"{run.polynomial.logit_bound:.4g}"
    wish = f"a relative error of {DEFAULT_EPS} on [-{R}, {R}]"
    if needed.degree is None:
        return [f"no degree up to {MOST_DEGREE} has {wish}"]
    degree = f"degree {needed.degree}"
    notes = [f"{wish} needs {degree}, that is {needed.features:,} features"]
    if needed.payoff is not None:
        notes.append(_paying(degree, run.problem, needed.payoff))
    elif needed.least_words is not None:
        notes.append(f"{degree} needs at least {needed.least_words:,} words of fast memory")
    return notes


def _paying(what: str, problem: Problem, found: Payoff) -> str:
    letter = found.letter
    n = problem.n if letter == "n" else problem.n_k
    if found.pays:
        return f"{what} pays at {letter}={n:,}: {found}"
    least = found.pays_from_n
    otherwise = f"it pays from {letter}={least:,}" if least else f"nor does it pay at {letter}={MAX_COUNT:,}"
    return f"{what} does not pay at {letter}={n:,}: {found}; {otherwise}"
