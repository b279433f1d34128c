"""What several verbs share: flags, numbers by name, JSON, and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click

from iosim.errors import UsageError

JSON = click.option("--json", "as_json", is_flag=True, help="Print plain numbers, with units in the key names.")
ALGO = click.option(
    "--algo", required=True, metavar="NAME", help="A registered name (see `iosim list`), or path/to/file.py:name."
)


def parse_tiles(text: str) -> str | Mapping[str, int]:
    """The tile sizes that `--tiles` asks for by name, or the rule that it names.

    Raises:
        UsageError: it is neither.
    """
    return parse_numbers("--tiles", text, least=1, like="B_r=32") if "=" in text else text


def parse_settings(text: str | None) -> Mapping[str, int]:
    """The settings of a method that `--set` gives.

    Raises:
        UsageError: not such a text.
    """
    return {} if text is None else parse_numbers("--set", text, least=0, like="features=256")


def parse_numbers(flag: str, text: str, *, least: int, like: str) -> Mapping[str, int]:
    """Names with a number each, like `B_r=32,B_c=1`.

    Raises:
        UsageError: not such a text, a number below `least`, or a name given twice.
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        if not name or not value.isascii() or not value.isdecimal() or len(value) > 20 or int(value) < least:
            raise UsageError(f"{flag} {text}: {part!r} is not like {like}, with a whole number from {least}")
        if name in found:
            raise UsageError(f"{flag} {text}: {name} is given twice")
        found[name] = int(value)
    return found


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
