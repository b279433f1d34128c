"""Sweeps: every point once in the file, whatever interrupts them, and in the order of the grid."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import iosim
from iosim.errors import UsageError
from iosim.sweeps import journal, sweep
from iosim.table_files import SUFFIXES, read_rows
from tests import killed_sweeps
from tests.bad_files import full_after
from tests.small_sweeps import BROKEN, GRID, timeless


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_has_the_rows(suffix: str, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    """The file has the rows in the order of the grid, and of the journal nothing is left."""
    path = tmp_path / f"grid{suffix}"
    found = iosim.sweep(**GRID, output=str(path))
    assert timeless(read_rows(str(path))) == timeless(found.rows()) == whole
    assert sorted(os.listdir(tmp_path)) == [path.name, f"{path.name}.settings.json"]
    assert found.verdicts == {"holds": 4, "infeasible": 4, "fails": 0, "error": 0}


@pytest.mark.parametrize("after", [0, 1, 5, 8])
def test_an_interrupted_sweep_goes_on(
    after: int, whole: list[dict[str, Any]], worked: list[int], tmp_path: Path
) -> None:
    """What is done before an interruption is not done again, and the file in the end is the same."""
    path = str(tmp_path / "grid.csv")

    def stop(_what: str, fraction: float) -> None:
        if round(8 * fraction) == after:
            raise KeyboardInterrupt

    if after:
        with pytest.raises(KeyboardInterrupt):
            iosim.sweep(**GRID, output=path, progress=stop)
        assert not Path(path).exists()
    found = iosim.sweep(**GRID, output=path)
    assert found.before == after
    assert sorted(worked) == list(range(8))
    assert timeless(read_rows(path)) == whole
    assert iosim.sweep(**GRID, output=path).before == 8
    assert len(worked) == 8


@pytest.mark.parametrize("cut", [1, 2, 40, 300, 10_000])
def test_half_a_row_is_no_row(cut: int, whole: list[dict[str, Any]], worked: list[int], tmp_path: Path) -> None:
    """A journal that was cut anywhere, as by a machine that went down, costs only the rows that are not whole."""
    path = str(tmp_path / "grid.csv")
    with pytest.raises(KeyboardInterrupt):
        iosim.sweep(**GRID, output=path, progress=stop_at_end)
    lines = Path(f"{path}.journal").read_bytes()
    left = lines[: max(0, len(lines) - cut)]
    Path(f"{path}.journal").write_bytes(left)
    worked.clear()
    found = iosim.sweep(**GRID, output=path)
    assert found.before == left.count(b"\n") < 8
    assert len(worked) == 8 - found.before
    assert timeless(read_rows(path)) == whole


def test_a_line_that_cant_be_read_costs_only_its_row(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    """Garbage in the midst of a journal is passed over; the rows after it are kept."""
    path = str(tmp_path / "grid.csv")
    with pytest.raises(KeyboardInterrupt):
        iosim.sweep(**GRID, output=path, progress=stop_at_end)
    lines = Path(f"{path}.journal").read_bytes().splitlines(keepends=True)
    lines[1:4] = [b"\0" * 50 + b"\n", b'{"point": 99, "row": {}}\n', b"[]\n"]
    Path(f"{path}.journal").write_bytes(b"".join(lines))
    assert iosim.sweep(**GRID, output=path).before == 5
    assert timeless(read_rows(path)) == whole


def stop_at_end(_what: str, fraction: float) -> None:
    """Interrupts a sweep when every row is in its journal."""
    if fraction == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("seed", "kills"), [(1, 20), *(pytest.param(seed, 100, marks=pytest.mark.slow) for seed in range(2, 6))]
)
def test_a_sweep_killed_at_any_moment_goes_on(seed: int, kills: int, tmp_path: Path) -> None:
    """SIGKILL at random moments, within rows and between any two lines that write, loses no row that was written; in the
    end there is what an uninterrupted sweep has."""
    path = tmp_path / "grid.csv"
    command = [sys.executable, "-m", "tests.killed_sweeps", str(path), str(seed), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(each["killed"] for each in found) == kills
    assert {each["how"] for each in found} == {"lines", "row", "time"}
    for before, after in itertools.pairwise(found):
        assert after["complete"] or not before["killed"] or after["kept"] >= before["kept"]
    left = found[-1]
    finished = iosim.sweep(**killed_sweeps.GRID, output=str(path))
    assert finished.before == (36 if left["complete"] else left["kept"]) > 0
    assert timeless(read_rows(str(path))) == timeless(iosim.sweep(**killed_sweeps.GRID).rows())
    assert sorted(os.listdir(tmp_path)) == ["grid.csv", "grid.csv.settings.json"]


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("at", ["write", "short write", "sync"])
def test_a_disk_that_fills_is_an_error_that_loses_nothing(
    at: str, whole: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a row can't be written, that is said with what is kept, and the sweep goes on when there is room."""
    path = str(tmp_path / "grid.csv")
    true_write, calls = journal._write, iter(range(100))

    def write(file: int, line: bytes) -> int:
        if next(calls) < 3:
            return true_write(file, line)
        if at == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true_write(file, line[:20] if at == "short write" else line)

    def sync(_file: int) -> None:
        if lines_of(Path(f"{path}.journal")) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write", write)
        patch.setattr(journal, "_SYNC_S", -1.0)
        patch.setattr(os, "fsync", sync if at == "sync" else lambda _file: None)
        with pytest.raises(UsageError, match=r"journal: No space left on device; 3 of 8 points are kept in .*goes on"):
            iosim.sweep(**GRID, output=path)
    assert lines_of(Path(f"{path}.journal")) == 3
    assert Path(f"{path}.journal").read_bytes().endswith(b"\n")
    assert iosim.sweep(**GRID, output=path).before == 3
    assert timeless(read_rows(path)) == whole


def test_a_disk_that_really_fills(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    """The same with a limit on the size of files that the system enforces: in the journal, and in the file at the end."""
    path = str(tmp_path / "grid.csv")
    with full_after(2500), pytest.raises(UsageError, match=r"File too large; [1-7] of 8 points are kept"):
        iosim.sweep(**GRID, output=path)
    with pytest.raises(KeyboardInterrupt):
        iosim.sweep(**GRID, output=path, progress=stop_at_end)
    with full_after(500), pytest.raises(UsageError, match=r"grid\.csv: File too large; 8 of 8 points are kept"):
        iosim.sweep(**GRID, output=path)
    assert not Path(path).exists()
    assert iosim.sweep(**GRID, output=path).before == 8
    assert timeless(read_rows(path)) == whole


def test_the_order_of_the_rows_is_that_of_the_grid(
    whole: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rows may come in any order, and twice: the file has each once, in the order of the grid."""

    def shuffled(results: Iterator[Any], _journal: Any) -> Iterator[Any]:
        rows = list(results)
        random.Random(1).shuffle(rows)
        yield from [*rows, rows[0]]

    monkeypatch.setattr(sweep, "_guarded", shuffled)
    iosim.sweep(**GRID, output=str(tmp_path / "grid.csv"))
    assert timeless(read_rows(str(tmp_path / "grid.csv"))) == whole


def test_other_settings_are_refused(tmp_path: Path) -> None:
    """A file that was begun with other settings stays as it is, and the error names each of them."""
    path = str(tmp_path / "grid.csv")
    iosim.sweep("approx", n=[7, 12], d=2, M=60, output=path)
    before = Path(path).read_bytes()
    said = "begun with other settings: n was 7, 12, now 7; degree was not given, now 2; numeric was False, now True; "
    with pytest.raises(UsageError, match=said):
        iosim.sweep("approx", n=7, d=2, M=60, degree=2, numeric=True, output=path)
    assert Path(path).read_bytes() == before


def test_a_changed_algorithm_is_another_sweep(tmp_path: Path) -> None:
    """What is in the files that a sweep reads is one of its settings."""
    own, path = tmp_path / "own.py", str(tmp_path / "grid.csv")
    own.write_text(BROKEN)
    iosim.sweep(f"{own}:mine", n=8, d=2, M=60, output=path)
    own.write_text(BROKEN.replace("nothing", "something"))
    with pytest.raises(
        UsageError, match=r"begun with other settings: files was .*own\.py=[0-9a-f]{64}, now .*own\.py="
    ):
        iosim.sweep(f"{own}:mine", n=8, d=2, M=60, output=path)


@pytest.mark.parametrize("name", ["grid.csv", "grid.csv.journal"])
def test_a_file_that_is_no_sweeps_is_left_alone(name: str, tmp_path: Path) -> None:
    """A file of the same name of which nobody knows what it is is neither written over nor gone on with."""
    (tmp_path / name).write_text("a,b\n")
    with pytest.raises(UsageError, match=r"is there, and no grid\.csv\.settings\.json that says which sweep it is of"):
        iosim.sweep(**GRID, output=str(tmp_path / "grid.csv"))
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "a,b\n"


def test_two_sweeps_dont_write_one_file(tmp_path: Path) -> None:
    """While a sweep is being written, the same one can't be begun."""
    path = str(tmp_path / "grid.csv")

    def again(_what: str, _fraction: float) -> None:
        iosim.sweep(**GRID, output=path)

    with pytest.raises(UsageError, match="another sweep is writing it"):
        iosim.sweep(**GRID, output=path, progress=again)
