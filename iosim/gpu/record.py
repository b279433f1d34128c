"""What a validation found: as a value, and in a folder."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.display import Result
from iosim.errors import UsageError
from iosim.gpu import nsight
from iosim.gpu.cases import Case
from iosim.gpu.crossover import crossovers
from iosim.gpu.device import Facts
from iosim.gpu.results import CaseResult
from iosim.gpu.worker import prefix
from iosim.machines import l2_partitions_of
from iosim.table_files import write_whole

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(kw_only=True, repr=False)
class Validation(Result):
    """All cases of a validation.

    Attributes:
        facts: of the device.
        date: when it began, in UTC.
        results: by case.
        messages: what went wrong in no particular case.
        steps: the seconds that each step took.
        csv: Nsight Compute's tables.
    """

    facts: Facts | None = None
    date: str = ""
    results: list[CaseResult] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    csv: str = ""

    @property
    def holds(self) -> bool:
        """Whether every case holds."""
        return bool(self.results) and all(result.holds for result in self.results)

    def report(self) -> RenderableType:
        from iosim.gpu.report import case_report, validation_report

        return (case_report if len(self.results) == 1 else validation_report)(self)

    def to_dict(self) -> dict[str, object]:
        device = None if self.facts is None else {name: getattr(self.facts, name) for name in self.facts.__slots__}
        return {
            "date": self.date,
            "device": device,
            "seconds_by_step": self.steps,
            "messages": self.messages,
            "approximate_pays_from": [
                {"title": x.title, "measured_n": x.measured, "roofline_n": x.modelled, "words_n": x.words}
                for x in crossovers(self.results, self.facts.machine if self.facts else None)
            ],
            "cases": [_finite(result.to_dict()) for result in self.results],
        }


def assign(profiles: Sequence[nsight.Profile], results: Sequence[CaseResult]) -> None:
    """Gives each launch to its case: its own kernels by their names, others to the case before them."""
    by_number = {result.number: result for result in results}
    current: CaseResult | None = None
    for profile in profiles:
        match = re.match(prefix(0).replace("0", r"(\d+)"), profile.kernel)
        if match is not None:
            current = by_number[int(match[1])]
            current.profiles = [*current.profiles, profile]
        elif current is not None:
            current.sdpa_profiles = [*current.sdpa_profiles, profile]


def write(found: Validation, folder: Path) -> None:
    """Writes what is known: `validation.json`, `validation.txt`, `nsight.csv`, and figures if there is something to draw.

    Raises:
        UsageError: it can't be written.
    """
    from iosim.gpu.report import validation_report
    from iosim.gpu.roofline import roofline_figure, times_figure
    from iosim.plots.style import save
    from iosim.terminal import plain

    _write(folder / "validation.json", json.dumps(found.to_dict(), indent=1) + "\n")
    _write(folder / "validation.txt", plain(validation_report(found)))
    if found.csv:
        _write(folder / "nsight.csv", found.csv)
    machine = None if found.facts is None else found.facts.machine
    drawn = {
        "roofline.png": None if machine is None else roofline_figure(found.results, machine),
        "times.png": times_figure(found.results),
    }
    for name, figure in drawn.items():
        if figure is not None:
            save(figure, str(folder / name))


def _write(path: Path, text: str) -> None:
    write_whole(str(path), lambda part: part.write_text(text, encoding="utf-8"))


def read(folder: Path) -> Validation:
    """What an earlier validation measured, without its predictions.

    Args:
        folder: with `validation.json` and `nsight.csv`.

    Raises:
        UsageError: they are not there, or not what `write` wrote.
    """
    try:
        saved = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
        csv = (folder / "nsight.csv").read_text(encoding="utf-8")
        facts = Facts(**{"l2_partitions": l2_partitions_of(saved["device"]["name"]), **saved["device"]})
        found = Validation(facts=facts, date=saved["date"], steps=saved["seconds_by_step"], csv=csv)
        found.messages = list(saved["messages"])
        found.results = [_saved(case) for case in saved["cases"]]
    except OSError as error:
        raise UsageError(
            f"{error.filename}: {error.strerror}; allowed: a folder that `iosim gpu validate -o` has written"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{folder}: not what `iosim gpu validate -o` writes: {type(error).__name__}, {error}"
        ) from error
    try:
        assign(nsight.parse(csv), found.results)
    except nsight.NsightError as error:
        raise UsageError(f"{folder / 'nsight.csv'}: {error}") from error
    return found


def _saved(case: Mapping[str, Any]) -> CaseResult:
    """A case as it was when it had been measured."""
    timed = {name: case[name] for name in ("resources", "accuracy", "seconds", "sdpa_seconds") if name in case}
    if timed:
        numbers = timed["accuracy"].items()
        timed["accuracy"] = {name: math.nan if number is None else number for name, number in numbers}
    errors = [error for error in case["errors"] if not error.startswith(("predict:", "compare:"))]
    return CaseResult(
        number=case["number"],
        case=Case(**case["case"]),
        errors=errors,
        compile_seconds=case["compile_seconds"],
        timed=timed or None,
    )


def _finite(value: Any) -> Any:
    """The same with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
