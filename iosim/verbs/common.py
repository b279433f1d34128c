"""What several verbs share: flags, numbers by name, JSON, and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from iosim.errors import UsageError

if TYPE_CHECKING:
    from iosim.display import Result

_F = TypeVar("_F", bound=Callable[..., Any])

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
def user_files(names: str | None) -> Iterator[None]:
    """Around whatever runs algorithms of these names, by commas: as `registry.user_code` for each that is in a file."""
    from iosim.registry import user_code

    with ExitStack() as stack:
        for name in (names or "").split(","):
            stack.enter_context(user_code(name.strip()))
        yield


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


PROBLEM = (
    click.option("--n", metavar="COUNT", help="Queries of a head: 65536, 64Ki, 2^16."),
    click.option("--n-k", "n_k", metavar="COUNT", help="Keys.  [default: as many as queries]"),
    click.option("--d", metavar="COUNT", help="Head dimension.  [default: 64]"),
    click.option("--d-v", "d_v", metavar="COUNT", help="Columns of V and O.  [default: as many as d]"),
    click.option("--heads", metavar="COUNT", help="Query heads.  [default: 1]"),
    click.option(
        "--kv-heads", "kv_heads", metavar="COUNT", help="Key heads, which query heads share.  [default: as many]"
    ),
    click.option(
        "--mask", metavar="MASK", default="full", show_default=True, help="Keys that a query meets, as of `run`."
    ),
    click.option("--tied", is_flag=True, help="V is the first columns of K."),
    click.option("--dtype", metavar="NAME", default="fp16", show_default=True, help="Of a word."),
    click.option("--degree", type=int, metavar="G", help="Of the polynomial, for approximate algorithms."),
    click.option("--set", "set", metavar="SETTINGS", help="Of an approximate method, like features=256."),
)


def options(given: Sequence[Callable[[_F], _F]]) -> Callable[[_F], _F]:
    """All these options, in their order."""

    def decorate(command: _F) -> _F:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate
