"""Processes that work through a list of cases, watched: one that hangs is ended, one that breaks is replaced.

However badly a case goes, the others run, and what has been found is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iosim.errors import UsageError
from iosim.gpu.cases import Case
from iosim.gpu.worker import BROKEN

_CHECKOUT, _PYTHONPATH = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")
WORKER = ("-m", "iosim.gpu.worker")
_POLL_S = 0.1
_GRACE_S = 20.0  # for a process to end after it was told that its time is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a list of cases.

    Attributes:
        results: of those that ran, by number.
        errors: of those that failed.
        facts: of the device; None if no process came so far.
        messages: what processes said that ended badly.
    """

    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    facts: Mapping[str, Any] | None = None
    messages: tuple[str, ...] = ()


@dataclass(kw_only=True)
class _Process:
    name: str
    child: subprocess.Popen[bytes]
    log: Path
    read: int = 0
    ready: bool = False
    current: int | None = None
    since: float = 0.0


def work_through(
    cases: Sequence[tuple[int, Case]],
    folder: Path,
    mode: str,
    *,
    device: str,
    processes: int,
    until: float,
    case_limit_s: float,
    wrap: Callable[[list[str], str], list[str]],
    progress: Callable[[int], None],
) -> Outcome:
    """Runs cases in worker processes.

    Args:
        cases: with a number each, those that matter most first.
        folder: an empty folder for what the processes tell.
        mode: of `iosim.gpu.worker`.
        device: "cuda" or "cpu".
        processes: how many at once.
        until: no case starts after this time; soon after it every process is ended. Units: seconds, of `time.time`.
        case_limit_s: a case that takes longer is ended.
        wrap: makes the command of a process, by its name, into another that runs it.
        progress: told how many cases are done.

    Raises:
        UsageError: a process can't use the device.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = {"device": device, "until": until, "cases": [(number, case.to_dict()) for number, case in cases]}
    (folder / "cases.json").write_text(json.dumps(task))
    outcome, messages, started = Outcome(), [], 0
    facts: Mapping[str, Any] | None = None
    numbers = {number for number, _ in cases}
    running: list[_Process] = []

    def start() -> None:
        nonlocal started
        name = f"{mode}-{started}"
        started += 1
        command = wrap([sys.executable, *WORKER, str(folder), mode, name], name)
        with (folder / f"{name}.txt").open("wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (_CHECKOUT, _PYTHONPATH)))},
            )
        running.append(_Process(name=name, child=child, log=folder / f"{name}.jsonl", since=time.time()))

    def settled() -> int:
        return len(outcome.results) + len(outcome.errors)

    try:
        for _ in range(min(processes, len(cases))):
            start()
        while running:
            time.sleep(_POLL_S)
            for process in list(running):
                over = process.child.poll() is not None
                for line in _lines(process):
                    if line["event"] == "unusable":
                        raise UsageError(line["error"])
                    facts = _note(outcome, process, line) or facts
                now = time.time()
                late = process.current is not None and now - process.since > case_limit_s
                if not over and (late or now > until + _GRACE_S):
                    _end(process.child)
                    if process.current is not None:
                        took = f"ended after {now - process.since:.0f} s"
                        outcome.errors[process.current] = took if late else f"{took}, when the time was over"
                    over = True
                if over:
                    running.remove(process)
                    code = process.child.wait()
                    if process.current is not None and process.current not in outcome.errors:
                        outcome.errors[process.current] = f"the process ended with code {code}"
                    if code not in (0, BROKEN):
                        messages.append(f"{process.name}: code {code}: {_last_line(folder / f'{process.name}.txt')}")
                    # one that ended before its first case would do so again
                    came_far = process.ready
                    if settled() < len(numbers) and now < until and code != 0 and came_far:
                        start()
            progress(settled())
    finally:
        for process in running:
            _end(process.child)
    return Outcome(results=outcome.results, errors=outcome.errors, facts=facts, messages=tuple(messages))


def _lines(process: _Process) -> list[dict[str, Any]]:
    """What the process has told since it was last asked, in whole lines."""
    try:
        text = process.log.read_bytes()[process.read :]
    except FileNotFoundError:
        return []
    whole = text[: text.rfind(b"\n") + 1]
    process.read += len(whole)
    return [json.loads(line) for line in whole.splitlines()]


def _note(outcome: Outcome, process: _Process, line: dict[str, Any]) -> Mapping[str, Any] | None:
    """Keeps what a line says; returns the facts of the device, if it says them."""
    match line["event"]:
        case "ready":
            facts: Mapping[str, Any] = line["facts"]
            process.ready = True
            return facts
        case "start":
            process.current, process.since = line["number"], time.time()
        case "done":
            outcome.results[line["number"]] = line["result"]
            process.current = None
        case "failed":
            outcome.errors[line["number"]] = line["error"]
            process.current = None
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a process and those that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=2.0)
            return
    child.wait()


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
