"""Sweeps: the points of a grid, each a row as its run is, and errors that are told before or in the rows."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import iosim
from iosim.cli import main
from iosim.columns import COLUMNS
from iosim.errors import UsageError
from iosim.registry import find
from iosim.sweeps import ask, sweep
from iosim.sweeps import work as work_module
from iosim.sweeps.grid import COUNTS, make_grid
from tests.small_sweeps import BROKEN, COMMAND, GRID, timeless

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
