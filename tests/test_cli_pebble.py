"""`iosim pebble` at the shell."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

import iosim
from iosim.cli import main
from iosim.registry import algorithms


def _run(*args: str) -> Result:
    return CliRunner().invoke(main, ["pebble", *args])


def test_the_optimum_as_json() -> None:
    """Attention of 2 queries and keys in 5 words: 9 words, 1 more than compulsory, with a schedule."""
    result = _run(*["--algo", "exact", "--n-q", "2", "--n-k", "2", "--d", "1", "--d-v", "1", "--M", "5w", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["optimal_io_words"] == found["lower_bound_words"] == 9
    assert found["loads_words"] + found["stores_words"] == 9
    moves = [part for line in found["moves"] for part in line.split(", ") if part.startswith(("load", "store"))]
    assert len(moves) == 9
    assert all(found["checks"].values())
    assert set(found["checks"]) >= {"legal schedule", "count equals optimum", "algorithm at least optimum"}


def test_the_algorithm_is_the_one_that_has_the_schedule() -> None:
    """Of what `exact` picks from in 4 words, the one that a run picks too: `exact` itself has no schedules."""
    found = json.loads(_run("--algo", "exact", "--n", "2", "--M", "4w", "--json").stdout)
    plan = iosim.run("exact", n=2, d=1, M=4, numeric=False).plan
    assert (found["algorithm"], found["schedule"], found["algorithm_io_words"]) == (
        plan.algorithm,
        plan.schedule,
        plan.io_words,
    )
    assert found["schedule"] in {form.schedule for form in algorithms()[found["algorithm"]].forms()}


def test_the_optimum_in_a_table() -> None:
    """The same for people, with bounds for other games marked as such."""
    result = _run(*["--algo", "exact", "--n", "2", "--M", "5w"])
    assert result.exit_code == 0
    assert "9 words (7 loaded, 2 stored)" in result.stdout
    assert "only for the classical game" in result.stdout
    assert result.stdout.rstrip().endswith("verdict: every check holds")


def test_a_graph_by_name_and_by_file(tmp_path: Path) -> None:
    """A butterfly by name, written to a file and read from there, has the same optimum."""
    path = str(tmp_path / "fft.hdag")
    rules = ["--game", "classical", "--one-shot", "--M", "3w", "--json"]
    first = _run("--graph", "fft:4", *rules, "--export", path)
    again = _run("--graph", path, *rules)
    assert first.exit_code == again.exit_code == 0
    optima = [json.loads(result.stdout)["optimal_io_words"] for result in (first, again)]
    assert optima[0] == optima[1]
    assert optima[0] > 8  # 4 inputs and 4 outputs


def test_limits_end_with_exit_code_1() -> None:
    """The lower bound that was proved by then is printed."""
    result = _run(*["--algo", "exact", "--n", "4", "--M", "4w", "--limit-GB", "0.0001", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["optimal_io_words"] is None
    assert found["verdict"] == "stopped"
    assert found["lower_bound_words"] >= 16
    assert "--limit-GB 0.0001" in found["stopped"]
