"""Sweeps: every point once, whatever interrupts them, whoever works on them, in whatever order the rows come."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import iosim
from iosim.cli import main
from iosim.columns import COLUMNS
from iosim.errors import MissingPackageError, SweepError, UsageError
from iosim.registry import find
from iosim.sweeps import ask, journal, sweep
from iosim.sweeps import work as work_module
from iosim.sweeps.cluster import _telling_backend
from iosim.sweeps.grid import COUNTS, make_grid
from iosim.table_files import SUFFIXES, read_rows
from tests import killed_sweeps
from tests.bad_files import full_after

# 2 algorithms x 2 n x 2 M: 8 points, 4 of which are infeasible
GRID: dict[str, Any] = {"algo": "flash2,flash1", "n": [7, 12], "d": 2, "M": [6, 60]}
COMMAND = ("sweep", "--algo", "flash2,flash1", "--n", "7,12", "--d", "2", "--M", "6w,60w")

DEADLY = """
import os
from iosim import Schedule, Tiled

def program(b, *, n, d, B_r):
    os._exit(7)

mine = Tiled(
    name="mine", summary="ends the process", source="none",
    schedules=(Schedule(name="s", author=program, tiles={"B_r": "n"}, io=lambda *, n, d, B_r: n, peak=lambda *, n, d, B_r: n),),
)
"""  # noqa: E501

BROKEN = """
from iosim import Schedule, Tiled

def program(b, *, n, d, B_r):
    raise LookupError("nothing\\nhere")

mine = Tiled(
    name="mine", summary="raises", source="none",
    schedules=(Schedule(name="s", author=program, tiles={"B_r": "n"}, io=lambda *, n, d, B_r: n, peak=lambda *, n, d, B_r: n),),
)
"""  # noqa: E501


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what is not the same twice."""
    assert all(row["seconds"] >= 0 for row in rows)
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole() -> list[dict[str, Any]]:
    """The rows of the grid, without a file."""
    return timeless(iosim.sweep(**GRID).rows())


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the points that are computed from here on, in this process."""
    numbers: list[int] = []

    def work(number: int, *args: Any) -> Any:
        numbers.append(number)
        return work_module.work(number, *args)

    monkeypatch.setattr(sweep, "work", work)
    return numbers


# The grid


@settings(max_examples=20)
@given(
    counts=st.dictionaries(
        st.sampled_from(["n", "n_k", "d", "heads"]), st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True)
    ),
    masks=st.lists(st.sampled_from(["full", "causal", "window:2"]), min_size=1, unique=True),
    degrees=st.lists(st.integers(0, 4), max_size=3, unique=True),
    features=st.lists(st.integers(1, 9), max_size=2, unique=True),
    capacities=st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True),
)
def test_the_grid_is_the_product_of_the_axes_that_an_algorithm_knows(
    counts: Any, masks: Any, degrees: Any, features: Any, capacities: Any
) -> None:
    """Each combination is one point, M fastest; degrees and settings only where they mean something."""
    names = ["flash2", "approx", "performer"]
    grid = make_grid(
        [(name, find(name)) for name in names],
        counts=counts,
        masks=masks,
        polynomial={"degree": degrees} if degrees else {},
        settings={"features": features} if features else {},
        capacities=capacities,
    )
    shared = len(masks) * len(capacities)
    for values in counts.values():
        shared *= len(values)
    assert grid.size == shared * (1 + max(1, len(degrees)) + max(1, len(features)))
    points = [grid.point(number) for number in range(grid.size)]
    assert len({json.dumps(point, sort_keys=True) for point in points}) == grid.size
    axes = {name: counts[name] for name in COUNTS if name in counts}
    places: dict[str, Any] = {"algo": names, **axes, "mask": masks, "degree": degrees, "M": capacities}
    order = [[values.index(p[name]) if name in p else -1 for name, values in places.items()] for p in points]
    order = [[*place[:-1], *p["settings"].values(), place[-1]] for place, p in zip(order, points, strict=True)]  # type: ignore[attr-defined]
    assert [place for place in order if place[0] == 0] == sorted(place for place in order if place[0] == 0)
    assert all(("degree" in p) == (p["algo"] == "approx" and bool(degrees)) for p in points)
    assert all(("features" in p["settings"]) == (p["algo"] == "performer" and bool(features)) for p in points)  # type: ignore[operator]
    with pytest.raises(IndexError):
        grid.point(grid.size)


def test_a_row_is_what_a_run_is(whole: list[dict[str, Any]]) -> None:
    """Each row of a sweep is that of `iosim.run` at that point; where it raises, the row has the reason."""
    points = [(algo, n, M) for algo in ("flash2", "flash1") for n in (7, 12) for M in (6, 60)]
    assert [(row["algorithm"], row["n"], row["fast_memory_words"]) for row in whole] == points
    for (algo, n, M), row in zip(points, whole, strict=True):
        assert list(row) == [name for name in COLUMNS if name != "seconds"]
        if M == 60:
            assert row == timeless([{**iosim.run(algo, n=n, d=2, M=M, numeric=False).rows()[0], "seconds": 0.0}])[0]
            assert row["verdict"] == "holds"
        else:
            with pytest.raises(UsageError) as raised:
                iosim.run(algo, n=n, d=2, M=M, numeric=False)
            assert (row["verdict"], row["error"]) == ("infeasible", str(raised.value))
            nothing = {name for name, value in row.items() if value is None}
            assert nothing >= {"io_words", "legal", "io_over_lower_bound", "tiles"}


def test_errors_and_settings_are_measured() -> None:
    """With `numeric` the rows have the errors that `iosim.run` measures, for each degree and each number of features."""
    found = iosim.sweep(
        ["approx", "performer"], n=[9, 8], d=2, M=200, degree=[0, 2], set={"features": [4]}, numeric=True
    )
    kinds: list[dict[str, Any]] = [{"degree": 0}, {"degree": 2}, {"set": {"features": 4}}]
    points = [
        (name, n, kind)
        for name, own in (("approx", kinds[:2]), ("performer", kinds[2:]))
        for n in (9, 8)
        for kind in own
    ]
    single = [iosim.run(name, n=n, d=2, M=200, **kind).rows()[0] for name, n, kind in points]
    assert timeless(found.rows()) == timeless([{**row, "seconds": 0.0} for row in single])
    assert all(row["rows_checked"] == row["n"] and row["max_abs_error"] > 0 for row in found.rows())


def test_what_a_point_raises_is_in_its_row(tmp_path: Path) -> None:
    """An algorithm that raises is a row with what it said, in one line; the others are not stopped."""
    (tmp_path / "broken.py").write_text(BROKEN)
    found = iosim.sweep([f"{tmp_path}/broken.py:mine", "flash2"], n=8, d=2, M=60)
    assert [row["verdict"] for row in found.rows()] == ["infeasible", "holds"]
    assert "line 5: LookupError: nothing here" in str(found.rows()[0]["error"])


def test_an_error_of_ours_is_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong at a point is in its row, and the sweep does not hold."""

    def run(*_: Any, **__: Any) -> None:
        raise AssertionError("impossible")

    monkeypatch.setattr(work_module, "run", run)
    found = iosim.sweep("flash2", n=8, d=2, M=[60, 70])
    assert [(row["verdict"], row["error"]) for row in found.rows()] == [("error", "AssertionError: impossible")] * 2
    assert not found.holds


def test_a_sweep_is_drawn_as_its_file_is() -> None:
    """Over whichever of n and M varies more, or as any kind that the rows have the columns of."""
    along_n = iosim.sweep("flash2", n=[64, 128, 256], d=2, M=[60, 90])
    assert along_n.plot().axes[0].get_xlabel() == "queries and keys $n$"
    along_M = iosim.sweep("flash2", n=64, d=2, M=[60, 90])
    assert along_M.plot().axes[0].get_xlabel() == "fast memory $M$ (words)"
    assert along_M.plot("roofline", gpu="h100").axes[0].get_xlabel() == "intensity (flops per byte moved)"
    with pytest.raises(UsageError, match="no row has positive numbers in all of io_words, max_abs_error"):
        along_n.plot("error-against-io")


def test_what_can_never_run_is_an_error_before_anything_runs(worked: list[int], tmp_path: Path) -> None:
    """Tiles, masks, heads and settings that an algorithm has at no point are errors; what it has at one point is enough."""
    path = str(tmp_path / "grid.csv")
    for wrong, said in (
        ({"tiles": "B_x=3"}, "--tiles: flash2 needs B_r or B_r and C; unknown B_x"),
        ({"tiles": "B_r=13"}, "--tiles: B_r=13; allowed: 1 to n=7"),
        ({"tiles": "paper"}, "flash2 has no published tile rule"),
        ({"heads": [2, 3], "kv_heads": 5}, "--kv-heads 5: allowed: divisors of --heads 2"),
        ({"algo": "flash2,tied"}, "tied at n=7, d=2: this algorithm is for values that are columns of the keys"),
        ({"algo": "performer", "set": {"features": 0}}, "--set features=0: allowed for performer"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            iosim.sweep(**{**GRID, **wrong}, output=path)
    assert (worked, os.listdir(tmp_path)) == ([], [])
    found = iosim.sweep("flash2", n=[7, 12], d=2, M=60, heads=[3, 2], kv_heads=2, tiles="B_r=8").rows()
    assert [row["verdict"] for row in found] == ["infeasible", "infeasible", "infeasible", "holds"]


def test_what_is_asked_of_polynomials_is_asked_of_them_alone() -> None:
    """A relative error, and a bound on the logits of given data, say nothing of exact algorithms, and don't stop them."""
    found = iosim.sweep("flash2,approx", n=64, d=2, M=60, eps=0.01).rows()
    assert [(row["algorithm"], row["degree"], row["verdict"]) for row in found] == [
        ("flash2", None, "holds"),
        ("approx", iosim.run("approx", n=64, d=2, M=60, eps=0.01, numeric=False).polynomial.degree, "holds"),  # type: ignore[union-attr]
    ]
    head = str(Path(__file__).parent / "data" / "minilm_layer5_head0.npz")
    found = iosim.sweep("flash2,approx", input=head, M=9000, degree=1, logit_bound=50).rows()
    assert [row["verdict"] for row in found] == ["holds", "holds"]


# Files


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


# Errors


def test_as_many_points_as_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """More points than the limit are worked off with `--yes`."""
    monkeypatch.setattr(ask, "MOST_POINTS", 3)
    with pytest.raises(UsageError, match="4 points: 2 n x 2 M; allowed: at most 3, more with --yes"):
        iosim.sweep("flash2", n=[7, 12], d=2, M=[6, 60])
    assert iosim.sweep("flash2", n=[7, 12], d=2, M=[6, 60], yes=True).size == 4


def test_the_command_prints_what_there_is(tmp_path: Path) -> None:
    """A summary, or with --json plain numbers: exit code 1 if a point fails or all are infeasible, else 0."""
    path = str(tmp_path / "grid.csv")
    result = CliRunner().invoke(main, [*COMMAND, "-o", path])
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[:3] == [["rows", "8", "in", *path.split()], ["holds", "4"], ["infeasible", "4"]]
    numbers = json.loads(CliRunner().invoke(main, [*COMMAND, "-o", path, "--json"]).stdout)
    assert (numbers["points_in_all"], numbers["points_before"], numbers["points_infeasible"]) == (8, 8, 4)
    text = Path(path).read_text()
    assert text.count(",holds,") == 4
    Path(path).write_text(text.replace(",holds,", ",fails,", 1))
    assert CliRunner().invoke(main, [*COMMAND, "-o", path]).exit_code == 1
    Path(path).write_text(text.replace(",holds,", ",infeasible,"))
    assert CliRunner().invoke(main, [*COMMAND, "-o", path]).exit_code == 1


def test_an_interruption_says_that_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Interrupted at the command line, a sweep ends with exit code 130 and says how it goes on; and so it does."""

    def interrupted(results: Iterator[Any], _journal: Any) -> Iterator[Any]:
        yield from itertools.islice(results, 3)
        raise KeyboardInterrupt

    path = str(tmp_path / "grid.csv")
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "_guarded", interrupted)
        result = CliRunner().invoke(main, [*COMMAND, "-o", path])
    assert result.exit_code == 130
    assert f"{path}: the rows that are done are kept; the same command goes on" in result.stderr
    assert iosim.sweep(**GRID, output=path).before == 3


# Side by side


def test_processes_find_what_one_finds(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    """Two processes side by side give the same rows in the same order."""
    path = str(tmp_path / "grid.csv")
    iosim.sweep(**GRID, output=path, jobs=2)
    assert timeless(read_rows(path)) == whole


def test_lost_processes_are_an_error_that_loses_nothing(tmp_path: Path) -> None:
    """Where a point ends its worker, that is said with what is kept."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    path = str(tmp_path / "grid.csv")
    with pytest.raises(
        SweepError, match=r"the workers are lost: TerminatedWorkerError: .*; \d of 4 points are kept in"
    ):
        iosim.sweep(["flash2", f"{tmp_path}/deadly.py:mine"], n=[7, 8], d=2, M=60, output=path, jobs=2)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two Dask workers, each a process of its own, which come back when they are killed."""
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as found:
            yield found


@pytest.mark.filterwarnings("ignore")  # of Dask, about connections to the worker that is killed
def test_a_cluster_loses_nothing_with_a_worker(cluster: Any, tmp_path: Path) -> None:
    """A Dask cluster of two workers, one of which is killed in mid-sweep, gives the rows that one process gives."""
    path = str(tmp_path / "grid.csv")
    grid: dict[str, Any] = {"algo": "flash2", "n": list(range(5, 11)), "d": 2, "M": [6, 60]}
    killed: list[int] = []

    def kill(_what: str, _fraction: float) -> None:
        if not killed:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    found = iosim.sweep(**grid, output=path, cluster=cluster.scheduler_address, progress=kill)
    assert killed
    assert found.size == 12
    assert timeless(read_rows(path)) == timeless(iosim.sweep(**grid).rows())


def test_a_cluster_of_one_works_itself() -> None:
    """joblib does in its own process what has only one worker: a cluster must never seem to have only one."""
    backend = object.__new__(_telling_backend())
    backend.client, backend.wait_for_workers_timeout = SimpleNamespace(ncores=lambda: {"tcp://w": 1}), 0
    assert backend.effective_n_jobs(-1) > 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_point_that_kills_every_worker_is_an_error(cluster: Any, tmp_path: Path) -> None:
    """Where Dask gives a point up, the sweep ends with an error, and does not wait for ever."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    path = str(tmp_path / "grid.csv")
    with pytest.raises(SweepError, match=r"the workers are lost: KilledWorker: .*; \d of 4 points are kept in"):
        iosim.sweep(
            ["flash2", f"{tmp_path}/deadly.py:mine"],
            n=[7, 8],
            d=2,
            M=60,
            output=path,
            cluster=cluster.scheduler_address,
        )


def test_a_cluster_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Dask is missing, `--cluster` names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r"--cluster needs Dask; allowed: pip install 'iosim\[cluster\]'"):
        iosim.sweep(**GRID, cluster="tcp://127.0.0.1:8786")
