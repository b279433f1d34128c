"""Assertions on what the checker of legality says, beside what a machine that runs word by word says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from iosim import violations
from iosim.interpret.legality.rules import Rule
from iosim.plan import Plan
from iosim.program import Program
from tests import brute


def legal(program: Program, at: dict[str, int], capacity: int | None = None) -> None:
    """Assert that no rule is broken."""
    assert [str(violation) for violation in violations(program, at, capacity)] == []


def fits_exactly(program: Program, at: Mapping[str, int], peak: int) -> None:
    """Assert that no rule is broken in as many words as the peak, and in one word less that of the capacity and no other."""
    assert violations(program, at, peak) == []
    assert {violation.rule for violation in violations(program, at, peak - 1)} == {Rule.CAPACITY}


def is_as_claimed(plan: Plan) -> None:
    """Assert that a plan moves and holds the words that it claims, and fits exactly in these."""
    assert (plan.count().io_words, plan.peak_words) == (plan.closed_form_words, plan.claimed_peak_words)
    fits_exactly(plan.program, plan.sizes, plan.peak_words)


def runs_as_counted(plan: Plan) -> None:
    """Assert that the machine that runs word by word breaks no rule and moves, holds and computes what is counted."""
    counted, ran = plan.count(), brute.run(plan.program, plan.sizes, plan.peak_words)
    assert ran.broken == []
    assert (+ran.loads, +ran.stores) == (+Counter(counted.loads), +Counter(counted.stores))
    assert (ran.peak, ran.flops) == (plan.peak_words, counted.flops)


def breaks(program: Program, at: dict[str, int], *said: str, capacity: int | None = None) -> None:
    """Assert that exactly these violations are reported."""
    assert [str(violation) for violation in violations(program, at, capacity)] == list(said)


def agrees(program: Program, at: dict[str, int], capacity: int | None = None) -> None:
    """Assert that the rules broken, and where each statement first breaks them, are those of the word-by-word machine.

    Which store of a word was the last one is not followed everywhere, so for unfinished outputs only the rule counts;
    and where words were used that are not there, the checker may follow less of them than the machine.
    """
    happened = brute.run(program, at, capacity)
    found = violations(program, at, capacity)
    finished = [(v.rule, v.where) for v in found if v.rule is not Rule.UNFINISHED]
    assert Counter(finished) == Counter(b for b in happened.broken if b[0] is not Rule.UNFINISHED)
    if Rule.UNFINISHED in happened.rules:
        assert Rule.UNFINISHED in {v.rule for v in found}
    elif not happened.rules & {Rule.BOUNDS, Rule.UNWRITTEN, Rule.OPERAND, Rule.FREED, Rule.SHAPE}:
        assert Rule.UNFINISHED not in {v.rule for v in found}
