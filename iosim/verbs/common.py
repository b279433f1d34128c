"""What several verbs share: flags, numbers by name, JSON, and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from iosim.errors import UsageError

if TYPE_CHECKING:
    from iosim.display import Result

JSON = click.option("--json", "as_json", is_flag=True, help="Print plain numbers, with units in the key names.")
ALGO = click.option(
    "--algo", required=True, metavar="NAME", help="A registered name (see `iosim list`), or path/to/file.py:name."
)


def named_values(flag: str, given: Sequence[str]) -> dict[str, str]:
    """What a repeatable flag says of each name, like `degree=1,2,3`.

    Raises:
        UsageError: not such a text, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise UsageError(f"{flag} {text}: allowed: like degree=1,2,3 or features=64:1024:*2")
        if name in found:
            raise UsageError(f"{flag} {text}: {name} is given twice")
        found[name] = values
    return found


def print_result(found: Result, *, as_json: bool) -> None:
    """Prints a result, for people or for other programs."""
    if as_json:
        print_json(found.to_dict())
    else:
        from iosim.report import show

        show(found.report())


def print_json(value: object) -> None:
    """Prints a result for other programs."""
    click.echo(json.dumps(value, indent=2))


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda what, fraction: bars.update(task, description=what, completed=fraction)
