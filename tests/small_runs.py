"""Runs at small sizes, and which of their checks fail."""

from __future__ import annotations

from pathlib import Path

from iosim.algorithm import Algorithm
from iosim.api import run
from iosim.runs.result import Run
from tests.needs import needs

HEAD = Path(__file__).parent / "data" / "minilm_layer5_head0.npz"  # n = 512, d = 32


def small(algorithm: str | Algorithm, **options: object) -> Run:
    """A run at small sizes."""
    given = {"n": 90, "d": 6, "M": 2000, **(needs(algorithm) if isinstance(algorithm, str) else {}), **options}
    return run(algorithm, **given)  # type: ignore[arg-type]


def failing(result: Run) -> list[str]:
    """The names of the checks that fail."""
    assert result.holds == all(check.holds for check in result.checks)
    assert result.to_dict()["verdict"] == ("holds" if result.holds else "fails")
    return [check.name for check in result.checks if not check.holds]
