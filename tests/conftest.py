"""How long the random tests look: `dev` on a desk; `ci`, the same examples each time, where CI is set."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Before numpy is imported. Tests run side by side: threads of one that wait for each other hold up the others, and small
# matrices take seconds instead of milliseconds.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Programs are drawn statement by statement; that is slow to generate on a loaded machine, not wrong.
_SLOW_IS_FINE = [HealthCheck.too_slow]

settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True, suppress_health_check=_SLOW_IS_FINE)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict may run loop bodies two thousand times, not tens of thousands of times."""
    monkeypatch.setattr("iosim.interpret.legality.check._STEP_LIMIT", 2_000)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which modules can be imported, for as long as the test runs."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(scope="session")
def whole() -> list[dict[str, Any]]:
    """The rows of the small sweep, without a file."""
    import iosim
    from tests.small_sweeps import GRID, timeless

    return timeless(iosim.sweep(**GRID).rows())


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the points of a sweep that are computed from here on, in this process."""
    from iosim.sweeps import sweep
    from iosim.sweeps.work import work

    numbers: list[int] = []

    def counted(number: int, *args: Any) -> Any:
        numbers.append(number)
        return work(number, *args)

    monkeypatch.setattr(sweep, "work", counted)
    return numbers
