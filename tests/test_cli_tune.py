"""`iosim tune` as its users meet it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from iosim import Problem
from iosim.registry import find
from iosim.table_files import read_rows
from iosim.tuning.tune import tune
from tests import commands
from tests.own import write

iosim = partial(commands.iosim, "tune")


def test_numbers_are_those_of_the_library() -> None:
    """As JSON, with units in the names."""
    result = iosim("--n", "500", "--d", "16", "--algo", "flash2,two-pass", "--M", "100w:1600w:*4", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    expected = tune(Problem(n=500, d=16), [find("flash2"), find("two-pass")], capacities=[100, 400, 1600])
    assert found == expected.to_dict()
    assert [point["fast_memory_bytes"] for point in found["points"]] == [200, 800, 3200]


def test_a_table_of_some_rows_and_files_of_all(tmp_path: Path) -> None:
    """The default range has up to 200 M; the table 25 of them, the files each."""
    files = [str(tmp_path / name) for name in ("t.csv", "t.jsonl", "t.svg")]
    result = iosim("--n", "60", "--d", "8", "--algo", "flash2", *(x for path in files for x in ("-o", path)))
    assert result.exit_code == 0
    rows = read_rows(files[0])
    assert rows == read_rows(files[1])
    assert f"25 of {len(rows)} fast memories" in result.stdout
    assert Path(files[2]).read_text().startswith("<?xml")
    # from the least M, with which q, o, m, l, a score and one word fit, to where all keys stay as well
    assert (rows[0]["fast_memory_words"], rows[-1]["io_words"]) == (8 + 8 + 4, 4 * 60 * 8)


def test_the_least_memory_for_so_many_bytes() -> None:
    """4 n d words of fp32 are 51,200 B at n = 200, d = 16, which takes all keys, values and one query in fast memory."""
    found = json.loads(iosim("--n", "200", "--d", "16", "--dtype", "fp32", "--io", "51200B", "--json").stdout)
    (point,) = found["points"]
    assert point["io_words"] == 4 * 200 * 16
    assert point["fast_memory_bytes"] == 4 * point["fast_memory_words"]
    assert 2 * 200 * 16 < point["fast_memory_words"] <= 2 * 200 * 16 + 200 + 50


def test_degrees_and_settings() -> None:
    """--degree is for polynomials, --set for the one algorithm that has settings."""
    curve = json.loads(iosim("--n", "200", "--d", "4", "--degree", "1", "--M", "50w", "--json").stdout)
    assert curve["degree"] == 1
    assert "approx" in curve["algorithms"]
    assert iosim("--n", "200", "--d", "4", "--algo", "performer", "--set", "features=8", "--M", "500w").exit_code == 0


def test_tiles_that_fit_a_gpu() -> None:
    """What Triton would say, before it is run."""
    tiles = "B_r=128,B_c=128,e=128,e_v=128"
    result = iosim("--n", "65536", "--d", "128", "--gpu", "h100", "--num-stages", "4", "--tiles", tiles)
    assert result.exit_code == 0
    assert "out of shared memory: required 294,912 B, hardware limit 232,448 B" in result.stdout
    found = json.loads(iosim("--n", "32", "--d", "16", "--gpu", "a100", "--json").stdout)
    assert found["shared_bytes_per_block"] == 163 * 1024
    assert all(row["fits"] for row in found["points"])


def test_an_algorithm_in_a_file(tmp_path: Path) -> None:
    """What the file prints goes to stderr, what it does wrong is one line that says where."""
    good = iosim("--algo", write(tmp_path) + ":mine", "--n", "200", "--d", "8", "--M", "1KB")
    assert good.exit_code == 0
    assert "this goes to stderr" not in good.stdout
    path = write(tmp_path, ('b.zeros("o", i, d)', 'undefined("o", i, d)'), name="bad.py")
    for args in (["--M", "1KB"], ["--gpu", "h100"]):
        bad = iosim("--algo", f"flash2,{path}:mine", "--n", "200", "--d", "8", *args)
        assert bad.exit_code == 2
        assert "bad.py, line 16: NameError: name 'undefined' is not defined" in bad.stderr
