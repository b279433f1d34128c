"""Predicted against measured: cases compiled, run, timed and profiled on a GPU, each step in processes of its own.

1. Compile, in several processes; Triton keeps the kernels.
2. Run each case alone: values, what a block needs of an SM, times, PyTorch's fused attention beside it.
3. Run each case once under Nsight Compute, some cases to a process; meanwhile predict what it should measure.
4. Compare.

Everything ends in time: cases come in the order of their importance, and one that did not run is listed as not run.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from iosim.errors import IosimError, UsageError
from iosim.gpu import nsight
from iosim.gpu.cases import Case, work_of
from iosim.gpu.crew import Outcome, work_through
from iosim.gpu.device import Facts
from iosim.gpu.predict import Prediction, compare, predict
from iosim.gpu.record import Validation, assign, read
from iosim.gpu.results import CaseResult
from iosim.lowering.resources import Resources
from iosim.progress import Progress, silent

COMPILERS, PREDICTORS, BATCH = 8, 4, 14
CASE_LIMIT_S = 60.0
_COMPILED_BY, _TIMED_BY, _PROFILED_BY = 0.35, 0.65, 0.93  # of the time that there is


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
    progress: Progress = silent,
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
        compare_all(found.results)
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
                note_prediction(result, partial(predicted[result.number].result, timeout=left))

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
            assign(nsight.parse(text), self.found.results)
        except IosimError as error:
            self.found.messages.append(f"{path.stem}: {error}")


def again(folder: Path, *, progress: Progress = silent) -> Validation:
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
            note_prediction(result, partial(predicted_case, result.case, result.timed["resources"], found.facts))
    compare_all(found.results)
    return found


def note_prediction(result: CaseResult, predict: Callable[[], Prediction]) -> None:
    """Has a case predicted; what goes wrong is an error of the case."""
    try:
        result.prediction = predict()
    except TimeoutError:
        result.errors.append("predict: not in time")
    except Exception as error:  # noqa: BLE001  one case must not stop the others
        result.errors.append(f"predict: {type(error).__name__}: {error}")


def compare_all(results: Sequence[CaseResult]) -> None:
    """Compares what was predicted with what was measured, where there is both."""
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


def _now(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
