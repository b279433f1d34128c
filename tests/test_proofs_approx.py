"""The theorems about approximate attention: their bounds are concluded, greater ones fail, and schedules are as claimed."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import pytest

from iosim.bounds import approx as of_approx
from iosim.bounds.approx import AGAIN, CLOSED_DEGREES, NOT_RESIDENT, bounds
from iosim.bounds.bound import Bound
from iosim.bounds.polynomial import LEAST_DEGREE, OUTPUT_ERROR
from iosim.errors import ProofError
from iosim.registry import find_theorem
from proofs import (
    approx_classes,
    approx_error,
    approx_model,
    approx_once,
    approx_one_shot,
    approx_recomputed,
)
from tests.small_proofs import checked

EVERY = [*dict.fromkeys(bound for g in CLOSED_DEGREES for bound in bounds(g)), OUTPUT_ERROR, LEAST_DEGREE]


@pytest.mark.parametrize("bound", EVERY, ids=lambda bound: bound.name)
def test_every_bound_is_concluded_by_its_theorem(bound: Bound) -> None:
    """Each bound is the claim of a final step of the theorem that it names, under no more than its regime."""
    assert bound.theorem is not None
    assert bound in checked(bound.theorem).conclusions


def greater(bound: Bound) -> Bound:
    """One percent more; one percent less of an upper bound."""
    formula, factor = bound.formula, Fraction(101 if bound.kind == "lower" else 99, 100)
    return dataclasses.replace(bound, formula=lambda x: formula(x) * x.number(factor))


MODULES: dict[str, tuple[Any, str]] = {
    "ONE_SHOT": (approx_one_shot, "ONE_SHOT"),
    "AGAIN": (approx_recomputed, "AGAIN"),
    "LINEAR": (approx_classes, "LINEAR"),
    "SMOOTH": (approx_classes, "SMOOTH"),
    "OUTPUT_ERROR": (approx_error, "OUTPUT_ERROR"),
    "LEAST_DEGREE": (approx_error, "LEAST_DEGREE"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_greater_bound_fails_its_proof(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one percent more, any bound is more than its proof gives, and the proof says so with numbers."""
    module, attribute = MODULES[name]
    bound = getattr(module, attribute)
    monkeypatch.setattr(module, attribute, greater(bound))
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(bound.theorem).check()


def test_a_greater_converse_fails_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """One percent more than inputs and outputs is not what is proved."""
    monkeypatch.setattr(approx_once, "NOT_RESIDENT", tuple(map(greater, NOT_RESIDENT)))
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(NOT_RESIDENT[0].theorem or "").check()


@pytest.mark.slow
def test_a_greater_closed_form_fails_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """One percent more at degree 1."""
    true = of_approx.closed_form(1)
    monkeypatch.setattr(approx_one_shot, "CLOSED_DEGREES", (1,))
    monkeypatch.setattr(approx_one_shot, "closed_form", lambda _: greater(true))
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(true.theorem or "").check()


def test_sums_computed_again_need_more_rows_than_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sums may be used with M/2 rows, nothing is left."""
    wide = dataclasses.replace(AGAIN, conditions=lambda x: ((2 * x.m, x.M),))
    monkeypatch.setattr(approx_recomputed, "AGAIN", wide)
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(AGAIN.theorem or "").check()


def test_the_first_segment_makes_up_for_the_last() -> None:
    """M = 3: three sums come and go, then two other words, and a fourth sum begins a segment: of one stay, with two words
    that have not moved in it. With the three stays of the first segment there are two to spare, not three."""
    schedule = (*("sum", "drop sum") * 3, "other", "other", "sum")
    assert approx_model.others_have_places(schedule, 3, spare=2)
    assert not approx_model.others_have_places(schedule, 3, spare=3)
