"""The command in this process: what it prints, and how it ends."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from iosim.cli import main


def iosim(*args: str) -> Result:
    """The command, in this process; whatever it does, it ends by an exit code, never by a traceback."""
    result = CliRunner().invoke(main, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def report(*args: str) -> str:
    """What a command whose checks all hold prints."""
    result = iosim(*args)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def numbers(*args: str) -> dict[str, object]:
    """The same with `--json`, as Python values."""
    found = json.loads(report(*args, "--json"))
    assert isinstance(found, dict)
    return found
