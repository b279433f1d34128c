"""Bad input to every verb: `data/bad_input.txt` has a line for each kind, a command and what its error says."""

from __future__ import annotations

import random
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from iosim.cli import main
from iosim.errors import UsageError
from iosim.sweeps import cluster
from tests.bad_files import contents, make_bad_files

TABLE = Path(__file__).parent / "data" / "bad_input.txt"
_SAMPLE = 30  # commands that are run in processes of their own


def rows() -> Iterator[tuple[str, str, str]]:
    """The heading above each command, the command, and what is said; all below `# slow` takes longer."""
    heading = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        command, _, said = line.partition("  # ")
        if line.startswith("# "):
            heading = line[2:]
        elif line:
            assert said, line
            yield heading, command, said


COMMANDS: dict[str, dict[str, str]] = defaultdict(dict)
for _heading, _command, _said in rows():
    assert _command not in COMMANDS[_heading], _command
    COMMANDS[_heading][_command] = _said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are typed."""
    make_bad_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    return tmp_path


def refused(command: str, said: str, folder: Path) -> str | None:
    """What is wrong with the way in which a command is refused; None if nothing is."""
    before = contents(folder)
    result = CliRunner().invoke(main, shlex.split(command))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{command}: {result.exception!r}"
    if (result.exit_code, result.stdout) != (2, ""):
        return f"{command}: exit code {result.exit_code}, printed {result.stdout!r}"
    if not result.stderr.startswith("Error: ") or result.stderr.count("\n") != 1 or said not in result.stderr:
        return f"{command}: {said!r} is not in {result.stderr!r}"
    return None if contents(folder) == before else f"{command}: changed a file"


@pytest.mark.parametrize(
    "heading", [pytest.param(heading, marks=pytest.mark.slow if heading == "slow" else ()) for heading in COMMANDS]
)
def test_bad_input_is_one_line_and_changes_nothing(heading: str, folder: Path) -> None:
    """Where, what was found, what is allowed, in one line on stderr; exit code 2; no file is made or changed."""
    wrong = [refused(command, said, folder) for command, said in COMMANDS[heading].items()]
    assert [line for line in wrong if line] == []


def test_there_are_rows_for_every_verb() -> None:
    """No verb is forgotten, and the table stays the long one that it is."""
    begins = {tuple(shlex.split(command)[:2]) for commands in COMMANDS.values() for command in commands}
    verbs = {name for name in main.commands if name != "gpu"}
    assert verbs <= {first for first, *_ in begins}
    assert {("gpu", "run"), ("gpu", "validate")} <= begins
    assert sum(map(len, COMMANDS.values())) > 700


@pytest.mark.slow
def test_a_process_ends_as_the_function_does(folder: Path) -> None:
    """A sample of the table at a real shell: the same exit code, the same line, and no traceback."""
    commands = [row for commands in COMMANDS.values() for row in commands.items()]
    for command, said in random.Random(0).sample(commands, _SAMPLE):
        before = contents(folder)
        done = subprocess.run(
            [sys.executable, "-m", "iosim", *shlex.split(command)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, ""), command
        assert done.stderr.startswith("Error: "), command
        assert done.stderr.count("\n") == 1, command
        assert said in done.stderr, command
        assert contents(folder) == before, command


def test_a_refusal_that_is_none_is_seen(folder: Path) -> None:
    """The check itself: a command that works, one that says something else, one that raises, one that makes a file."""
    assert "exit code 0" in str(refused("list --short", "", folder))
    assert "is not in" in str(refused("run --algo flash2 --n 0 --M 9KB", "--d 0", folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iosim.api.show", lambda *_, **__: 1 / 0)
        assert "ZeroDivisionError" in str(refused("show --algo flash2", "", folder))
        patch.setattr("iosim.api.show", lambda *_, **__: made_and_refused())
        assert "changed a file" in str(refused("show --algo flash2", "made", folder))


def made_and_refused() -> None:
    Path("made").touch()
    raise UsageError("made")
