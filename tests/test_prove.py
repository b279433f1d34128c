"""`iosim prove`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from iosim import entries, registry
from tests import commands

prove = partial(commands.iosim, "prove")

BROKEN = '''
import sympy
from iosim.bounds.exact import TRIVIAL
from iosim.proof import argue, prove
from iosim.proof.theorem import IO, claim_of, theorem

x, y = sympy.symbols("x y", positive=True)


@theorem
def squares_grow():
    """Squares.

    Statement: squares are greater.
    Hypotheses: none.
    Does not say: much.
    Source: a test.
    """
    argue("numbers are numbers")
    prove("squares are greater", sympy.Ge(x**2, x), refuted=sympy.Ge(x, x**2))
    return {}
'''


@cache
def every() -> list[dict[str, Any]]:
    """What `iosim prove --json` prints of each theorem."""
    return list(json.loads(prove("--json").stdout).values())


def test_one_theorem_is_printed_with_its_headings_steps_and_verdict() -> None:
    """Statement, hypotheses, limits, source, numbered steps with their method, the bounds, and what it rests on."""
    result = prove("io_in_a_large_fast_memory")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "io_in_a_large_fast_memory"
    headings = [line.split(":")[0].strip() for line in lines if line.startswith("  ") and line[2:3].isupper()]
    assert [h for h in headings if h in ("Statement", "Hypotheses", "Does not say", "Source")] == [
        "Statement",
        "Hypotheses",
        "Does not say",
        "Source",
    ]
    assert "  1. [exhausted, 30,690 cases, " in result.stdout
    assert "  3. [argued] what a counted stay has in a segment was there at its start or moved;" in result.stdout
    assert "source: L. H. Loomis and H. Whitney" in result.stdout
    assert "is the bound io_at_least_N_d_plus_dv_squared_over_M_plus_4M_over_5\n" in result.stdout
    assert lines[-1] == "verdict: holds, resting on 18 argued steps and Loomis-Whitney (cited)"


def test_a_step_that_rests_on_an_argument_is_not_called_proved() -> None:
    """It follows; only what rests on nothing else is proved."""
    (found,) = (one for one in every() if one["theorem"] == "io_in_any_fast_memory")
    steps = {step["number"]: step for step in found["steps"]}
    methods = {(step["method"], step["trust"]) for step in steps.values()}
    assert ("proved", "proved") in methods
    assert ("follows", "argued") in methods
    assert all(trust == "proved" for method, trust in methods if method == "proved")
    assert all(steps[number]["trust"] == "argued" for number in found["conclusions"].values())
    assert found["trust"] == "argued"
    assert {steps[number]["method"] for number in found["rests_on"]} == {"argued", "cited"}


def test_without_a_name_every_theorem_is_proved() -> None:
    """All registered theorems, each to its verdict."""
    found = every()
    assert [one["theorem"] for one in found] == list(registry.theorems())
    assert all(one["verdict"].startswith("holds, resting on ") for one in found)
    assert all(one["seconds"] < 60 for one in found)
    for one in found:
        for step in one["steps"]:
            assert set(step["using"]) | set(step["checked_by"]) <= set(range(1, step["number"])), step["text"]


def test_a_failing_step_is_named_with_its_counterexample(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1; the step, and numbers at which it fails, on stderr."""
    (package / "broken_theorems.py").write_text(BROKEN)
    entry = entries.EntryPoint(name="entry", value="broken_theorems", group=registry.PROOFS)
    monkeypatch.setattr(entries, "entry_points", lambda group: [entry] if group == registry.PROOFS else [])
    monkeypatch.setattr(registry, "theorems", registry.theorems.__wrapped__)
    result = prove("squares_grow")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "squares_grow: a step fails: squares are greater: not proved: x**2 >= x does not follow; it fails at x = "
        in (result.stderr)
    )


def test_no_theorem_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is registered, nothing is proved."""
    monkeypatch.setattr(entries, "entry_points", lambda group: [])
    monkeypatch.setattr(registry, "theorems", registry.theorems.__wrapped__)
    result = prove()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no theorem is registered" in result.stderr
