"""Each check fails for what it is about, for nothing else, and says what was found."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from iosim.api import run
from iosim.interpret.legality.rules import Rule, Violation
from iosim.numeric.check import Numeric
from iosim.numeric.inputs import random_input
from iosim.runs.checks import checks_of
from iosim.runs.result import Run

ALL = (
    "legal schedule",
    "count equals closed form",
    "count at least each lower bound",
    "peak equals claim",
    "error within its bound",
)


@cache
def exact() -> Run:
    """A small run in which all holds."""
    return run("flash2", input=random_input(6, 2), M=60)


@cache
def polynomial() -> Run:
    return run("approx", input=random_input(6, 2), M=60, degree=2)


def said(found: Run) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.holds, check.found) for check in checks_of(found)}


def with_numeric(found: Run, **values: Any) -> Run:
    assert isinstance(found.numeric, Numeric)
    return replace(found, numeric=replace(found.numeric, **values))


def broken(found: Run) -> list[str]:
    return [name for name, (holds, _) in said(found).items() if not holds]


def test_all_that_has_to_hold_holds() -> None:
    """In this order, each with what was found."""
    found = exact()
    assert tuple(said(found)) == ALL
    assert broken(found) == []
    assert said(found)["legal schedule"][1] == "no rule is broken"
    assert said(found)["count equals closed form"][1] == f"{found.io_words:,} words"
    assert said(found)["peak equals claim"][1] == f"{found.peak_words:,} words"
    least = max(words for _, words in found.bounds)
    assert said(found)["count at least each lower bound"][1] == f"{found.io_words:,} words, at least {least:,} proved"
    assert tuple(said(replace(found, numeric=None))) == ALL[:-1]


def test_a_rule_that_is_broken_is_named_with_the_peak_if_it_is_too_high() -> None:
    """The first violation; how many times M the peak is, only if it is more than M."""
    found = exact()
    violation = Violation(rule=Rule.LEAK, where="end", found="o is still there")
    illegal = replace(found, violations=(violation, replace(violation, found="q is too")))
    assert broken(illegal) == ["legal schedule"]
    assert said(illegal)["legal schedule"][1] == str(violation)
    for M, more in (
        (found.peak_words, ""),
        (found.peak_words // 2, f"; the peak is {found.peak_words / (found.peak_words // 2):.4g} M"),
    ):
        text = said(replace(illegal, fast_memory_words=M))["legal schedule"][1]
        assert text == f"{violation}{more}"


@pytest.mark.parametrize("off", [-1, 1])
def test_a_claim_that_is_a_word_off_fails(off: int) -> None:
    """Traffic and peak, each with what was counted and what was claimed."""
    found = exact()
    other = replace(found, closed_form_words=found.io_words + off)
    assert broken(other) == ["count equals closed form"]
    assert said(other)["count equals closed form"][1] == (
        f"{found.io_words:,} words counted, {found.io_words + off:,} claimed"
    )
    other = replace(found, plan=replace(found.plan, claimed_peak_words=found.peak_words + off))
    assert broken(other) == ["peak equals claim"]


def test_one_bound_of_several_is_enough_to_fail() -> None:
    """A bound may be reached, not exceeded; the greatest is said."""
    found = exact()
    (bound, words), *_ = found.bounds
    reached = replace(found, bounds=((bound, words), (bound, found.io_words)))
    assert broken(reached) == []
    assert said(reached)["count at least each lower bound"][1].endswith(f"at least {found.io_words:,} proved")
    above = replace(found, bounds=((bound, found.io_words + 1), (bound, words)))
    assert broken(above) == ["count at least each lower bound"]


def test_the_error_is_held_against_its_bound() -> None:
    """What each head says counts; without a bound it is enough that the result is finite."""
    found = exact()
    last = "error within its bound"
    assert broken(with_numeric(found, within_bound=False)) == [last]
    assert said(with_numeric(found, max_abs_error=0.5, error_bound=2.0))[last] == (True, "0.5 measured, 2 proved")
    none = with_numeric(found, error_bound=math.inf, max_abs_error=math.nan, within_bound=False)
    assert said(none)["result is finite"] == (False, "not finite, none proved")
    assert last not in said(none)


def test_a_result_is_held_against_what_is_defined() -> None:
    """The polynomial's, or that of a method; not where nothing is known of rounding."""
    name = "result is the polynomial's"
    found = with_numeric(polynomial(), method_error=1e-9, method_bound=1e-8)
    assert tuple(said(found)) == (*ALL[:-1], name, ALL[-1])
    assert said(found)[name] == (True, "1e-09 measured, 1e-08 proved")
    assert broken(with_numeric(found, is_method=False)) == [name]
    for missing in ("is_method", "method_error", "method_bound"):
        assert name not in said(with_numeric(found, **{missing: None}))
    of_method = run("top-keys", input=random_input(6, 2), M=90, set={"kept": 3})
    found = with_numeric(of_method, method_error=0.25, method_bound=0.5)
    assert said(found)["result is the method's"] == (True, "0.25 measured, 0.5 allowed for rounding")


def test_the_error_of_looped_layers_is_rounding() -> None:
    """They are what they are defined to be; nothing is approximated."""
    found = run("looped-layer-order", n=5, d=2, M=400, set={"loops": 2, "hidden": 1})
    assert broken(found) == []
    assert said(found)["error within its bound"][1].endswith("allowed for rounding")
