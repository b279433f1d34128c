"""Proofs that are wrong in one small step are refuted, by the inequality that the step was needed for."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from types import ModuleType

import pytest

import proofs.audit.inequalities
import proofs.audit.segments
from proofs.audit.auditor import FACTS, audit, facts
from proofs.audit.ledger import Ledger
from proofs.audit.replay import AuditError, replay
from tests.schedules import bad_schedule

SEEDS = 400
FLAVOURS = ({}, {"tied": True}, {"fused": True})
START = "touched = {y.variable for y in scores if y.begin <= x.begin < y.end}"

# what the wrong proof says, the line of `proofs.audit.segments` that says otherwise, and what it becomes
MUTANTS = {
    "a score is charged whenever it is created, not once a segment": (
        "elif x.variable not in touched:",
        "else:",
        "any fast memory: T1 >= f'' d",
    ),
    "a score is charged once and for all, not in every segment": (
        START,
        "pass",
        "any fast memory: a + b + c + e + alpha s <= X",
    ),
    "a score carried into a segment can be charged in it": (
        START,
        'touched = {x.variable} if x.variable.kind == "S" else set()',
        "any fast memory: T1 >= f'' d",
    ),
    "creations of outputs weigh nothing": (
        'if x.variable.kind != "S":\n            weight +=',
        'if x.variable.kind != "S":\n            weight += 0 if x.variable.kind == "O" and not x.by_load else ',
        "any fast memory: a + b + c + e + alpha s <= X",
    ),
    "the move that crosses a threshold belongs to the old segment": (
        "cuts.append(x.begin)",
        "cuts.append(x.begin + 1)",
        "any fast memory: a + b + c + e + alpha s <= X",
    ),
    "creations of outputs are no moves": (
        "W = sum(weight for _, weight in loaded + created)",
        "created = []; W = sum(weight for _, weight in loaded)",
        "large fast memory: a + b + c + e + s <= X",
    ),
    "partial scores that are loaded in a segment count as built in it": (
        'carried = {(x.row, x.column) for x in found["S"]}',
        "carried = {(x.variable.row, x.variable.column) for x in history.stays "
        'if x.variable.kind == "S" and x.begin < start <= x.end}',
        "large fast memory: p <= floor(a/d) floor(b/d) + s",
    ),
}


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_wrong_step_is_refuted(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one rule of the segments changed, some bad schedule breaks the inequality that rests on the rule."""
    line, instead, name = MUTANTS[wrong]
    source = inspect.getsource(proofs.audit.segments)
    assert source.count(line) == 1
    mutant = ModuleType(proofs.audit.segments.__name__)
    monkeypatch.setitem(sys.modules, mutant.__name__, mutant)
    exec(compile(source.replace(line, instead), mutant.__name__, "exec"), vars(mutant))
    for function in ("contents", "cut_equally", "cut_weights", "touched_by_moves"):
        monkeypatch.setattr(proofs.audit.inequalities, function, getattr(mutant, function))
    found = set()
    for seed in range(SEEDS):
        for flavour in FLAVOURS:
            try:
                audit(*bad_schedule(seed, **flavour))
            except AuditError as refuted:
                found.add(refuted.name)
        if name in found:
            return
    raise AssertionError(f"{wrong}: not refuted; found {found}")


def test_waste_has_to_be_left_out() -> None:
    """If every stay counted, outputs that are thrown away would have to be stored."""
    found = set()
    for seed in range(SEEDS):
        history = replay(bad_schedule(seed)[0])
        every = tuple(replace(x, counted=True) for x in history.stays)
        try:
            facts(replace(history, stays=every), Ledger())
        except AuditError as refuted:
            found.add(refuted.name)
    assert FACTS[0] in found
