"""Algorithms in files that a user names, and mistakes in such files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from iosim import registry
from iosim.errors import UsageError
from iosim.problem import Problem
from iosim.user_files import user_code
from tests import own


def test_a_file_may_import_its_neighbours_use_dataclasses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file is run as a module of its own: its neighbours are found, and no bytecode is written beside it."""
    (tmp_path / "sizes_of_mine.py").write_text("ROWS = 'B_r'\n")
    path = own.write(
        tmp_path,
        ("from math import inf\n", "from math import inf\nfrom dataclasses import dataclass\n"),
        (
            'print("this goes to stderr")',
            "@dataclass\nclass Options:\n    deep: bool = False\n\n\nimport sizes_of_mine",
        ),
    )
    before = set(sys.modules)
    assert registry.find(f"{path}:mine").name == "block-rows"
    assert not list(tmp_path.glob("__pycache__/mine*"))
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """Edit and run again, in one process: the second run sees the edit."""
    path = own.write(tmp_path)
    assert registry.find(path).summary.startswith("row tiles")
    own.write(tmp_path, ("row tiles of Q and O stay", "another summary"))
    assert registry.find(path).summary.startswith("another summary")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x = 1\0", "mine.py: SyntaxError: source code string cannot contain null bytes"),
        (b"x = 1\ny = (", "mine.py, line 2: SyntaxError: '(' was never closed"),
        (b"x = 1\n\n1 / 0", "mine.py, line 3: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_cannot_be_run_is_named_with_the_line_if_there_is_one(
    tmp_path: Path, data: bytes, said: str
) -> None:
    """The error begins with what asked for the file."""
    (tmp_path / "mine.py").write_bytes(data)
    with pytest.raises(UsageError, match=f"^list {re.escape(str(tmp_path))}/{re.escape(said)}$"):
        registry.find(f"{tmp_path}/mine.py:mine", where="list")


def test_what_a_file_prints_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is for results."""
    registry.find(own.write(tmp_path))
    assert capsys.readouterr() == ("", "this goes to stderr\n")


def test_a_file_with_several_algorithms_needs_a_name(tmp_path: Path) -> None:
    """The name after the colon is that of a variable, or that of an algorithm."""
    path = own.write(tmp_path)
    more = "\nfrom dataclasses import replace\nsecond = replace(mine, name='two')\n"
    Path(path).write_text(Path(path).read_text() + more)
    assert [registry.find(f"{path}:{name}").name for name in ("mine", "second", "two", "block-rows")] == [
        "block-rows",
        "two",
        "two",
        "block-rows",
    ]
    with pytest.raises(UsageError, match=r"has several algorithms; allowed after the colon: block-rows, two"):
        registry.find(path)
    with pytest.raises(UsageError, match="has no algorithm secnd"):
        registry.find(f"{path}:secnd")


def test_an_error_outside_a_users_file_is_not_blamed_on_it() -> None:
    """For a registered name an exception that iosim does not raise on purpose stays as it is: a bug of ours."""
    with pytest.raises(ZeroDivisionError), user_code("flash2"):
        1 / 0  # noqa: B018
    with pytest.raises(UsageError, match="--n 0"), user_code("mine.py"):
        raise UsageError("--n 0: not a count")
    with pytest.raises(
        UsageError, match=r"--algo mine.py, in test_user_files.py, line \d+: ZeroDivisionError: division"
    ):
        with user_code("mine.py:mine"):
            1 / 0  # noqa: B018
    with pytest.raises(KeyboardInterrupt), user_code("mine.py"):
        raise KeyboardInterrupt


def test_of_several_files_the_one_that_raised_is_blamed(tmp_path: Path) -> None:
    """Wherever it stands among the names; all of them are named if the error is in none."""
    wrong = own.write(tmp_path, ('b.op("add_abt", s, q, k)', "1 / 0"), name="wrong.py")
    algorithm = registry.find(wrong)
    for names in (("mine.py", f"{wrong}:mine"), (f"{wrong}:mine", "flash2", "mine.py")):
        with (
            pytest.raises(UsageError, match=f"^--algo {re.escape(wrong)}, line 20: ZeroDivisionError"),
            user_code(*names),
        ):
            algorithm.least_capacity(Problem(n=8, d=2))
    with pytest.raises(
        UsageError, match=r"^--algo mine.py, other.py, in test_user_files.py, line \d+: ZeroDivisionError"
    ):
        with user_code("mine.py", "other.py:mine"):
            1 / 0  # noqa: B018
