"""README.md says what is true: its commands print what it shows, its code runs.

With REGENERATE=1 in the environment the shown output is written anew.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from iosim.cli import main
from tests.rounding import without_rounding

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_CONSOLE = re.compile(r"```console\n\$ (iosim [^\n]*)\n(.*?)```", re.DOTALL)


def _blocks() -> list[tuple[str, str]]:
    return _CONSOLE.findall(README.read_text())


def _run(command: str, folder: Path) -> str:
    """What `command` prints, from a folder that has the README's own algorithm file."""
    (python,) = re.findall(r"```python\n(from math import inf.*?)```", README.read_text(), re.DOTALL)
    (folder / "my_attention.py").write_text(python)
    words = [str(ROOT / word) if word.startswith("tests/") else word for word in shlex.split(command)[1:]]
    words = [str(folder / word) if word.startswith("my_attention.py") else word for word in words]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("command", "shown"), _blocks(), ids=[command for command, _ in _blocks()])
def test_readme_shows_what_its_commands_print(command: str, shown: str, tmp_path: Path) -> None:
    """Each `console` block of the README holds exactly what its command prints."""
    printed = _run(command, tmp_path)
    if os.environ.get("REGENERATE"):
        text = README.read_text()
        README.write_text(text.replace(f"$ {command}\n{shown}```", f"$ {command}\n{printed}```"))
    else:
        assert without_rounding(printed) == without_rounding(shown)


_BENCHMARK = re.compile(r"```console\n\$ python (benchmarks/\S+) (\S+)\n(.*?)```", re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(("script", "table", "shown"), _BENCHMARK.findall(README.read_text()))
def test_readme_shows_what_benchmarks_print(script: str, table: str, shown: str) -> None:
    """The tables of the README are those that its benchmarks compute."""
    printed = subprocess.run([sys.executable, ROOT / script, table], capture_output=True, text=True, check=True).stdout
    if os.environ.get("REGENERATE"):
        README.write_text(README.read_text().replace(f" {table}\n{shown}```", f" {table}\n{printed}```"))
    else:
        assert printed == shown


def test_readme_has_two_install_commands() -> None:
    """One line installs and runs the main job, one installs and runs the tests."""
    lines = [line for line in README.read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith("iosim run --algo approx --n 65536 --M 100KB")
    assert "pytest" in lines[1]


def test_readme_python_session_is_true() -> None:
    """The Python session in the README prints what it shows."""
    failures, tests = doctest.testfile(str(README), module_relative=False, verbose=False)
    assert failures == 0
    assert tests >= 5
