"""The validation, rehearsed without a GPU: whatever goes wrong with a case, the others are measured and reported."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from iosim.cli import main
from iosim.errors import UsageError
from iosim.gpu import case_list, crew, nsight
from iosim.gpu.cases import Case, work_of
from iosim.gpu.device import Facts
from iosim.gpu.predict import Prediction, predict
from iosim.gpu.record import Validation
from iosim.gpu.results import CaseResult
from iosim.gpu.validate import validate
from iosim.lowering.resources import Resources
from tests import fake_gpu

TILES = {"B_r": 16, "B_c": 16, "e": 16, "e_v": 16}
CASES = (
    Case(algorithm="flash2", n=32, d=16, heads=2, tiles=TILES, sdpa=True),
    Case(algorithm="flash2", n=48, d=16, tiles=TILES),
    Case(
        algorithm="standard",
        n=32,
        d=16,
        tiles={"B_r": 16, "B_c": 16, "B_o": 16, "B_d": 16, "e": 16, "f": 16, "h": 16, "e_v": 16},
    ),
)


def measured(prediction: Prediction) -> list[dict[str, int]]:
    """Counters of each launch that say what is predicted; everything in the first but DRAM."""
    counters: list[dict[str, int]] = []
    for number, launch in enumerate(prediction.launches):
        loads, stores = (sum(x.values()) if number == 0 else 0 for x in (prediction.loads, prediction.stores))
        metrics = dict.fromkeys(nsight.METRICS, 0)
        metrics |= {nsight.LOADED[1]: loads, nsight.L2_TO_SM[0]: loads}
        metrics |= {nsight.STORED[0]: stores, nsight.SM_TO_L2[0]: stores}
        metrics |= {nsight.DRAM_READ[0]: launch.dram.reads, nsight.DRAM_WRITTEN[0]: launch.dram.writes}
        counters.append(metrics)
    return counters


class FakeGpu:
    """What the fake worker and the fake Nsight Compute do."""

    def __init__(self, folder: Path, cases: tuple[Case, ...]) -> None:
        self.path = folder / "fake.json"
        self.ncu = folder / "ncu"
        self.ncu.write_text(f'#!/bin/sh\nexec {sys.executable} -S {fake_gpu.__file__} "$@"\n')
        self.ncu.chmod(0o755)
        facts = Facts(**fake_gpu.FACTS)  # type: ignore[arg-type]
        self.script: dict[str, Any] = {"does": {}, "launches": {}, "kernels": {}, "measured": {}}
        for number, case in enumerate(cases):
            work = work_of(case)
            many = len(work.kernels.launches)
            prediction = predict(work, [Resources(**fake_gpu.RESOURCES)] * many, facts)
            names = [f"case{number}_kernel_{k}" for k in range(many)]
            self.script["launches"][number] = many
            self.script["kernels"][number] = names + ([f"fused_{number}"] if case.sdpa else [])
            self.script["measured"] |= dict(zip(names, measured(prediction), strict=True))
            self.script["measured"][f"fused_{number}"] = dict.fromkeys(nsight.METRICS, 1000)

    def does(self, **what: str) -> None:
        """`compile_0="fail"`: what a case does in a mode."""
        self.script["does"] = {key.replace("_", " "): value for key, value in what.items()}
        self.path.write_text(json.dumps(self.script))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FakeGpu:
    """The predictions are made once."""
    return FakeGpu(tmp_path_factory.mktemp("gpu"), CASES)


@pytest.fixture
def fake(made: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    """Workers are fake ones; each test starts from the same script."""
    before = json.dumps(made.script)
    monkeypatch.setattr(crew, "WORKER", ("-S", fake_gpu.__file__))
    monkeypatch.setattr(crew, "_POLL_S", 0.02)
    monkeypatch.setattr("iosim.gpu.validate._predictors", lambda: ThreadPoolExecutor(1))
    monkeypatch.setenv("FAKE_GPU", str(made.path))
    made.does()
    yield made
    made.script = json.loads(before)


def run(fake: FakeGpu, limit_s: float = 60.0) -> list[CaseResult]:
    """All cases."""
    return validate(CASES, limit_s=limit_s, ncu=str(fake.ncu)).results


def test_counters_as_predicted_hold_and_others_do_not(fake: FakeGpu) -> None:
    """A counter 3 % off and a wrong value are found; what is known is kept after each part."""
    fake.script["measured"]["case1_kernel_0"][nsight.L2_TO_SM[0]] *= 1.03
    fake.does(time_2="wrong")
    found: list[Validation] = []
    results = validate(CASES, limit_s=60, ncu=str(fake.ncu), keep=found.append).results
    assert [r.status for r in results] == ["holds", "differs", "differs"]
    assert [b.name for b in results[1].boundaries if not b.holds] == ["L2 to SM"]
    assert all(b.holds for b in results[2].boundaries)
    assert [p.kernel for p in results[0].sdpa_profiles] == ["fused_0"]
    assert len(results[2].profiles) == 3  # standard attention has three passes
    assert len(found) == 3  # kept after compiling, after timing, and at the end


def test_the_whole_list_is_one_command(fake: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--all -o` leaves at most eight files, and exits with 1 if a case differs, 0 if all hold."""
    monkeypatch.setattr(case_list, "CASES", CASES)
    arguments = ["gpu", "validate", "--all", "-o", str(tmp_path / "out"), "--ncu", str(fake.ncu), "--limit-s", "60"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["nsight.csv", "roofline.png", "validation.json", "validation.txt"]
    saved = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert [case["status"] for case in saved["cases"]] == ["holds"] * 3
    assert saved["device"]["name"] == "NVIDIA H100 80GB HBM3"
    (read,) = [b for b in saved["cases"][0]["boundaries"] if b["name"] == "L2 to SM"]
    # Q once, K and V for each of two row tiles, two heads, 16 columns, 2 bytes a word
    assert read["predicted_least_bytes"] == read["measured_bytes"] == 2 * 2 * 32 * 16 * (1 + 2 * 2)
    assert "3 hold, 0 differ, 0 failed, 0 did not run" in (tmp_path / "out" / "validation.txt").read_text()
    assert len(nsight.parse((tmp_path / "out" / "nsight.csv").read_text())) == 1 + 1 + 1 + 3
    # predicted and compared again without a GPU: the same; with a counter that is off: not
    arguments = ["gpu", "validate", "--measured", str(tmp_path / "out"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((tmp_path / "out" / "validation.json").read_text()) == saved
    csv = (tmp_path / "out" / "nsight.csv").read_text()
    (tmp_path / "out" / "nsight.csv").write_text(csv.replace('"10,240"', '"10,540"'))
    assert CliRunner().invoke(main, arguments).exit_code == 1


@pytest.mark.parametrize(
    ("step", "does", "said"),
    [
        ("compile", "fail", "compile: it was told to fail"),
        ("time", "break", "time: it was told to break"),
        ("time", "die", "time: the process ended with code -6"),
        ("profile", "die", "profile: the process ended with code"),
    ],
)
def test_a_case_that_goes_wrong_does_not_stop_the_others(fake: FakeGpu, step: str, does: str, said: str) -> None:
    """It is said what happened, and in which step; the other cases hold."""
    fake.does(**{f"{step}_1": does})
    results = run(fake)
    assert [r.status for r in results] == ["holds", "failed", "holds"]
    assert results[1].errors[0].startswith(said)


def test_a_case_that_hangs_is_ended(fake: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its limit the process goes, and another one does the rest."""
    monkeypatch.setattr("iosim.gpu.validate.CASE_LIMIT_S", 0.5)
    fake.does(time_0="hang")
    results = run(fake)
    assert [r.status for r in results] == ["failed", "holds", "holds"]
    assert results[0].errors[0].startswith("time: ended after")


def test_what_the_time_does_not_allow_is_listed_as_not_run(fake: FakeGpu) -> None:
    """With no time at all, nothing runs, and nothing is said to hold."""
    results = run(fake, limit_s=0.0)
    assert [r.status for r in results] == ["not run"] * 3
    assert not any(r.holds for r in results)


def test_too_few_kernels_are_an_error(fake: FakeGpu) -> None:
    """A launch that Nsight Compute did not see is not taken for one that moved nothing."""
    fake.script["kernels"]["2" if "2" in fake.script["kernels"] else 2].pop()
    fake.does()
    assert run(fake)[2].errors == ["compare: 3 launches, and Nsight Compute measured 2"]


def test_without_a_gpu_or_nsight_compute_the_message_is_clear(fake: FakeGpu) -> None:
    """Exit code 2, one line."""
    fake.does(unusable="yes")
    with pytest.raises(UsageError, match="no GPU that can be used"):
        run(fake)
    arguments = ["gpu", "validate", "--algo", "flash2", "--n", "64", "--tiles", "B_r=16"]
    result = CliRunner().invoke(main, [*arguments, "--ncu", "/no/such/ncu"])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "Error: /no/such/ncu: there is no such program; validation needs NVIDIA Nsight Compute"
    )


def test_figures_need_something_to_draw(fake: FakeGpu) -> None:
    """A validation in which nothing was measured has no figure."""
    from iosim.gpu.roofline import roofline_figure, times_figure
    from iosim.machines import machine

    results = run(fake, limit_s=0.0)
    assert roofline_figure(results, machine("h100")) is None
    assert times_figure(results) is None
    assert os.environ["FAKE_GPU"]
