"""An algorithm in a file of one's own: a verdict, or an error that says where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import own
from tests.commands import iosim


def test_a_file_of_ones_own_runs_to_a_verdict(tmp_path: Path) -> None:
    """A realistic file needs no packaging; what it prints stays out of the results."""
    path = own.write(tmp_path)
    for name in (path, f"{path}:mine", f"{path}:block-rows"):
        result = iosim("run", "--algo", name, "--n", "300", "--d", "16", "--M", "8KiB", "--json")
        assert result.exit_code == 0
        assert result.stderr == "this goes to stderr\n"
        found = json.loads(result.stdout)
        assert (found["algorithm"], found["schedule"], found["verdict"]) == ("block-rows", "blocks", "holds")
        assert found["numeric"]["rows_checked"] == 300
    assert iosim("show", "--algo", path).stdout.startswith("block-rows (blocks), for sizes n, d, B_r, B_c\n")
    explicit = iosim("run", "--algo", path, "--n", "300", "--M", "99KB", "--tiles", "B_r=7,B_c=5")
    assert explicit.stdout.splitlines()[-1] == "verdict: every check holds"


WRONG = {
    "closed form": (("2 * n * d + 2 *", "3 * n * d + 2 *"), "count equals closed form"),
    "peak": (("2 * B_r * d + 2 *", "3 * B_r * d + 2 *"), "peak equals claim"),
    "no division by the row sum": (('b.op("divide_rows", o, l)', "pass"), "error within its bound"),
    "no scaling": (('b.op("divide_by_sqrt", s, of=d)', "pass"), "error within its bound"),
    "leak": (("b.free(o, m, l)", "b.free(o, m)"), "legal schedule"),
    "double free": (("b.free(o, m, l)", "b.free(o, m, l, l)"), "legal schedule"),
    "rows left out": (('b.tiles("i", n, B_r)', 'b.tiles("i", n - B_r, B_r)'), "legal schedule"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_algorithm_fails_the_check_that_says_so(mistake: str, tmp_path: Path) -> None:
    """Each mistake ends with exit code 1, and the check that is about it says FAILS; for an illegal schedule, where."""
    change, check = WRONG[mistake]
    result = iosim("run", "--algo", own.write(tmp_path, change), "--n", "300", "--d", "16", "--M", "8KiB")
    assert result.exit_code == 1
    failing = [line for line in result.stdout.splitlines() if line.startswith("FAILS  ")]
    assert any(line.startswith(f"FAILS  {check}: ") for line in failing)
    assert check in result.stdout.splitlines()[-1]
    assert result.stdout.splitlines()[-1].endswith((" FAILS", " FAIL"))
    if check == "legal schedule":
        assert "loop i" in failing[0] or "end: " in failing[0]
        assert "the result is not computed: the schedule is not legal" in result.stdout


BROKEN = {
    "syntax error": (("mine = Tiled(", "mine = Tiled(("), "line 31: SyntaxError: '(' was never closed"),
    "no algorithm": (("mine = Tiled(", "mine = dict("), "has no algorithm; allowed: a file that makes an iosim.Tiled"),
    "missing module": (
        ("from math import inf", "import absent"),
        "line 5: ModuleNotFoundError: No module named 'absent'",
    ),
    "exit": (('print("this goes to stderr")', "raise SystemExit(3)"), "line 9: SystemExit: 3"),
    "unknown operation": (
        ('b.op("add_abt", s, q, k)', 'b.op("add", s, q, k)'),
        "line 20: no operation 'add'; there are ",
    ),
    "operands": (('b.op("add_abt", s, q, k)', 'b.op("add_abt", s, k, q)'), "line 20: add_abt: axis "),
    "comparison of an index": (
        ('b.op("add_abt", s, q, k)', "assert j < 5"),
        "line 20: j.start stands for every iteration",
    ),
    "own exception": (('b.op("add_abt", s, q, k)', "1 / 0"), "line 20: ZeroDivisionError: division by zero"),
    "closed form on wrong sizes": (
        ("io=lambda *, n, d, B_r, B_c:", "io=lambda *, n, d, B_r:"),
        "TypeError: <lambda>() got",
    ),
    "closed form with /": (("ceil_div(n, B_r),", "(n / B_r),"), "TypeError: "),
    "unknown axis": (('"B_c": "n"}', '"B_c": "k"}'), "KeyError: 'k'"),
    "a tile without a size": (
        ('"B_r": "n", "B_c": "n"}', '"B_r": "n"}'),
        "its author takes B_c, which is neither",
    ),
    "other output": (('b.output("O", (n, d), needs="O[', 'b.output("Y", (n, d), needs="Y['), "allowed: inputs Q, K, V"),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_file_is_an_error_that_says_where(mistake: str, tmp_path: Path) -> None:
    """What a file does wrong is one line with the line of the file, and exit code 2, not a traceback."""
    change, said = BROKEN[mistake]
    path = own.write(tmp_path, change)
    result = iosim("run", "--algo", f"{path}:mine", "--n", "300", "--d", "16", "--M", "8KiB")
    assert (result.exit_code, result.stdout) == (2, "")
    error = result.stderr.removeprefix("this goes to stderr\n")
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.parametrize("verb", ["tradeoff", "advise", "gpu run --device cpu"])
def test_a_broken_file_is_an_error_that_says_where_in_verbs_that_run_it_later(verb: str, tmp_path: Path) -> None:
    """An author who raises while tiles are chosen or kernels are made is one line with the line of the file, too."""
    change = ('b.op("add_abt", s, q, k)', "{}[b]")
    path = own.write(tmp_path, change, ('source="a test",', 'source="a test", approximate=True,'))
    result = iosim(*verb.split(), "--algo", f"{path}:mine", "--n", "16", "--d", "16", "--M", "4KiB")
    assert (result.exit_code, result.stdout) == (2, "")
    error = result.stderr.replace("this goes to stderr\n", "")
    assert error.startswith(f"Error: --algo {path}, line 20: KeyError: ")
    assert error.count("\n") == 1


def test_errors_show_control_characters_as_escapes() -> None:
    """A name with a line feed and an escape code in it still makes one printable line."""
    result = iosim("run", "--algo", "fla\nsh\x1b[31m", "--n", "64", "--M", "9KB")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --algo fla sh\\x1b[31m: no such algorithm")
    assert result.stderr.count("\n") == 1


def test_bad_input_to_python_run_raises_a_usage_error_with_the_same_words() -> None:
    """Integers of the wrong kind are refused in Python too."""
    from iosim.api import run
    from iosim.errors import UsageError

    for wrong in ({"n": 0}, {"n": True}, {"n": 1.5}, {"M": 0}, {"M": -1}, {"d": 0}, {"rows": 0}, {"seed": 0.5}):
        given = {"n": 64, "M": 5000, **wrong}
        with pytest.raises(UsageError, match=f"--{next(iter(wrong))} "):
            run("flash2", **given)  # type: ignore[arg-type]
