"""Predicted against measured: cases compiled, run, timed and profiled on a GPU, each step in processes of its own.

1. Compile, in several processes; Triton keeps the kernels.
2. Run each case alone: values, what a block needs of an SM, times, PyTorch's fused attention beside it.
3. Run each case once under Nsight Compute, some cases to a process; meanwhile predict what it should measure.
4. Compare.

Everything ends in time: cases come in the order of their importance, and one that did not run is listed as not run.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from iosim.errors import IosimError, UsageError
from iosim.gpu import nsight
from iosim.gpu.cases import Case, work_of
from iosim.gpu.crew import Outcome, work_through
from iosim.gpu.crossover import crossovers
from iosim.gpu.device import Facts
from iosim.gpu.predict import Prediction, compare, predict
from iosim.gpu.results import CaseResult
from iosim.gpu.worker import prefix
from iosim.lowering.resources import Resources
from iosim.machines import l2_partitions_of
from iosim.table_files import write_whole

COMPILERS, PREDICTORS, BATCH = 8, 4, 14
CASE_LIMIT_S = 60.0
_COMPILED_BY, _TIMED_BY, _PROFILED_BY = 0.35, 0.65, 0.93  # of the time that there is

Progress: TypeAlias = Callable[[str, float], None]


@dataclass(kw_only=True)
class Validation:
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

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers with units in the names."""
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


def find_ncu(ncu: str) -> None:
    """Looks for Nsight Compute.

    Raises:
        UsageError: there is no such program.
    """
    if shutil.which(ncu) is None:
        raise UsageError(f"{ncu}: there is no such program; validation needs NVIDIA Nsight Compute on the PATH")


def validate(
    cases: Sequence[Case],
    *,
    limit_s: float,
    device: str = "cuda",
    ncu: str = "ncu",
    progress: Progress = lambda _what, _fraction: None,
    keep: Callable[[Validation], None] = lambda _found: None,
) -> Validation:
    """Runs the cases and compares.

    Args:
        cases: those that matter most first.
        limit_s: for everything together.
        device: "cuda", or "cpu" to rehearse in Triton's interpreter.
        ncu: Nsight Compute.
        progress: told what is going on.
        keep: told after each step what is known.

    Raises:
        UsageError: no GPU, or no Nsight Compute.
    """
    find_ncu(ncu)
    begin = time.time()
    found = Validation(
        date=_now(begin),
        results=[CaseResult(number=number, case=case) for number, case in enumerate(cases)],
    )
    with tempfile.TemporaryDirectory(prefix="iosim-") as name:
        run = _Run(found, Path(name), begin, limit_s, device, ncu, progress)
        if device == "cuda":
            run.compile()
            keep(found)
        run.time()
        keep(found)
        with _predictors() as pool:
            predicted = {
                result.number: pool.submit(predicted_case, result.case, result.timed["resources"], found.facts)
                for result in found.results
                if result.timed is not None and found.facts is not None
            }
            run.profile()
            run.predict(predicted)
            pool.shutdown(wait=False, cancel_futures=True)
        _compare(found.results)
        keep(found)
    return found


def _predictors() -> Executor:
    return ProcessPoolExecutor(PREDICTORS, mp_context=get_context("spawn"))


def predicted_case(case: Case, resources: Sequence[Mapping[str, int] | None], facts: Facts) -> Prediction:
    """What a case should move; a function of plain values, for another process."""
    return predict(work_of(case), [None if each is None else Resources(**each) for each in resources], facts)


@dataclass(kw_only=False)
class _Run:
    found: Validation
    folder: Path
    begin: float
    limit_s: float
    device: str
    ncu: str
    progress: Progress

    def compile(self) -> None:
        outcome = self._step("compile", self._open(), self._at(_COMPILED_BY), processes=COMPILERS)
        for result in self.found.results:
            if result.number in outcome.results:
                result.compile_seconds = outcome.results[result.number]["seconds"]
        if outcome.facts is None:
            raise UsageError("; ".join(outcome.messages) or "no process could use the GPU")

    def time(self) -> None:
        ready = [r for r in self._open() if self.device == "cpu" or r.compile_seconds is not None]
        outcome = self._step("time", ready, self._at(_TIMED_BY))
        for result in self.found.results:
            result.timed = outcome.results.get(result.number)
        if outcome.facts is None and ready:
            raise UsageError("; ".join(outcome.messages) or "no process could use the GPU")

    def profile(self) -> None:
        ready = [result for result in self._open() if result.timed is not None]
        until = self._at(_PROFILED_BY)
        for number, start in enumerate(range(0, len(ready), BATCH)):
            if time.time() > until:
                return
            step = f"profile{number or ''}"
            self._step(step, ready[start : start + BATCH], until, wrap=self._under_ncu(step), mode="profile")
            for path in sorted((self.folder / step).glob("*.csv")):
                self._read(path)

    def predict(self, predicted: Mapping[int, Future[Prediction]]) -> None:
        self.progress("predicting", 0.0)
        for result in self.found.results:
            if result.number in predicted:
                left = max(0.5, self.begin + self.limit_s - time.time())
                _predicted(result, partial(predicted[result.number].result, timeout=left))

    def _open(self) -> list[CaseResult]:
        """Cases with which nothing went wrong."""
        return [result for result in self.found.results if not result.errors]

    def _at(self, fraction: float) -> float:
        return self.begin + fraction * self.limit_s

    def _step(
        self,
        step: str,
        results: Sequence[CaseResult],
        until: float,
        *,
        mode: str | None = None,
        processes: int = 1,
        wrap: Callable[[list[str], str], list[str]] = lambda command, _name: command,
    ) -> Outcome:
        start = time.time()
        outcome = work_through(
            [(result.number, result.case) for result in results],
            self.folder / step,
            mode or step,
            device=self.device,
            processes=processes,
            until=until,
            case_limit_s=CASE_LIMIT_S,
            wrap=wrap,
            progress=lambda done: self.progress(step, done / max(1, len(results))),
        )
        for number, error in outcome.errors.items():
            self.found.results[number].errors.append(f"{step}: {error}")
        self.found.messages += [f"{step}: {message}" for message in outcome.messages]
        if outcome.facts is not None:
            self.found.facts = Facts(**outcome.facts)
        self.found.steps[step] = round(time.time() - start, 1)
        return outcome

    def _under_ncu(self, step: str) -> Callable[[list[str], str], list[str]]:
        def wrap(command: list[str], name: str) -> list[str]:
            return nsight.command(command, log=str(self.folder / step / f"{name}.csv"), ncu=self.ncu)

        return wrap

    def _read(self, path: Path) -> None:
        text = path.read_text(errors="replace")
        self.found.csv += text if text.endswith("\n") else text + "\n"
        try:
            _assign(nsight.parse(text), self.found.results)
        except IosimError as error:
            self.found.messages.append(f"{path.stem}: {error}")


def _assign(profiles: Sequence[nsight.Profile], results: Sequence[CaseResult]) -> None:
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
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder}: no results of a validation: {error}") from error
    _assign(nsight.parse(csv), found.results)
    return found


def again(folder: Path, *, progress: Progress = lambda _what, _fraction: None) -> Validation:
    """What an earlier validation measured, predicted and compared again: no GPU is needed.

    Args:
        folder: as for `read`.
        progress: told what is going on.

    Raises:
        UsageError: as `read`.
    """
    found = read(folder)
    for done, result in enumerate(found.results):
        progress("predicting", done / len(found.results))
        if result.timed is not None and found.facts is not None:
            _predicted(result, partial(predicted_case, result.case, result.timed["resources"], found.facts))
    _compare(found.results)
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


def _predicted(result: CaseResult, predict: Callable[[], Prediction]) -> None:
    try:
        result.prediction = predict()
    except TimeoutError:
        result.errors.append("predict: not in time")
    except Exception as error:  # noqa: BLE001  one case must not stop the others
        result.errors.append(f"predict: {type(error).__name__}: {error}")


def _compare(results: Sequence[CaseResult]) -> None:
    for result in results:
        if result.prediction is not None and result.profiles:
            try:
                result.boundaries = compare(result.prediction, result.profiles)
            except IosimError as error:
                result.errors.append(f"compare: {error}")


def run_alone(case: Case, *, device: str) -> Validation:
    """One case in this process, without Nsight Compute: values, times, and the count.

    Raises:
        UsageError: no such device.
        IosimError: no kernel does that.
    """
    from iosim.gpu.device import Device
    from iosim.gpu.worker import timed

    work = work_of(case)
    on = Device("cuda" if device == "cuda" else "cpu")
    result = CaseResult(number=0, case=case)
    found = Validation(facts=on.facts(), date=_now(time.time()), results=[result])
    result.timed = told = timed(on, work, 0)
    assert found.facts is not None
    result.prediction = predicted_case(case, told["resources"], found.facts)
    return found


def write(found: Validation, folder: Path) -> None:
    """Writes what is known: `validation.json`, `validation.txt`, `nsight.csv`, and figures if there is something to draw.

    Raises:
        UsageError: it can't be written.
    """
    from iosim.gpu.report import validation_report
    from iosim.gpu.roofline import roofline_figure, times_figure
    from iosim.plots.style import save
    from iosim.report import plain

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


def _finite(value: Any) -> Any:
    """The same with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _now(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
