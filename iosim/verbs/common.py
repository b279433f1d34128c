"""What several verbs share: flags and how they are read, JSON, and the progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from iosim.defaults import ALL_ROWS, DEFAULT_D, DEFAULT_EPS, DEFAULT_LOGIT_BOUND, DEFAULT_MAX_FLOPS, DEFAULT_ROWS
from iosim.errors import UsageError
from iosim.progress import silent
from iosim.units import FP16, flag_of, named, parse_whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from iosim.display import Result

_F = TypeVar("_F", bound=Callable[..., Any])


class Verb(click.Command):
    """A command that takes no flag twice, and none without a value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        rest = super().parse_args(ctx, args)
        if ctx.resilient_parsing:  # a shell asks what may come next
            return rest
        _, _, order = self.make_parser(ctx).parse_args(given)
        seen: set[str | None] = set()
        for param in order:
            many = getattr(param, "multiple", False) or param.nargs != 1
            if param.name in seen and not many:
                raise UsageError(f"{_shown(param)} is given twice; allowed: once")
            seen.add(param.name)
        for param in self.params:
            value = ctx.params.get(param.name or "")
            if value == "" or (isinstance(value, tuple) and "" in value):
                raise UsageError(f"{_shown(param)} '': is empty; allowed: a value, or leave it out")
        return rest


def _shown(param: click.Parameter | None) -> str:
    """A parameter as a user types it."""
    if param is None:
        return "value"
    return "/".join((*param.opts, *param.secondary_opts)) if isinstance(param, click.Option) else param.name or ""


class _Whole(click.ParamType):  # type: ignore[type-arg]  # which it takes from click 8.3 on only
    """A whole number in plain digits."""

    name = "whole number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return parse_whole(value, where=_shown(param), least=None)


class _Real(click.ParamType):  # type: ignore[type-arg]
    """A number as Python writes it, nan and inf among them: who asks for it says what is allowed."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return float(value.encode("ascii"))
        except ValueError as error:
            raise UsageError(f"{_shown(param)} {value}: allowed: numbers, like 0.5 or 1e9") from error


WHOLE, REAL = _Whole(), _Real()


def plain(number: float) -> str:
    """A large number as one would type it: 2e12."""
    return f"{number:g}".replace("+", "")


# Flags that several verbs have, each as most of them have it.
_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "algo": {"metavar": "NAME", "help": "A registered name (see `iosim list`), or path/to/file.py:name."},
    "n": {"metavar": "COUNT", "help": "Queries of a head: 65536, 64Ki, 2^16."},
    "n_k": {"metavar": "COUNT", "help": "Keys.  [default: as many as queries]"},
    "d": {"metavar": "COUNT", "help": f"Head dimension.  [default: {DEFAULT_D}]"},
    "d_v": {"metavar": "COUNT", "help": "Columns of V and O.  [default: as many as d]"},
    "batch": {"metavar": "COUNT", "help": "Sequences.  [default: 1]"},
    "heads": {"metavar": "COUNT", "help": "Query heads of a sequence.  [default: 1]"},
    "kv_heads": {
        "metavar": "COUNT",
        "help": "Key heads of a sequence, which its query heads share.  [default: as many]",
    },
    "mask": {"metavar": "MASK", "default": "full", "show_default": True, "help": "As for `iosim run`."},
    "tied": {"is_flag": True, "help": "V is the first columns of K, as in multi-head latent attention."},
    "M": {"metavar": "SIZE", "help": "Fast memory: 100KB (100,000 B), 100KiB (102,400 B), 51200w (words)."},
    "dtype": {"metavar": "NAME", "default": FP16.name, "show_default": True, "help": "Of a word."},
    "degree": {"type": WHOLE, "metavar": "G", "help": "Of the polynomial, for approximate algorithms."},
    "eps": {"type": REAL, "metavar": "E", "help": f"Relative error that picks the degree.  [default: {DEFAULT_EPS}]"},
    "logit_bound": {
        "type": REAL,
        "metavar": "R",
        "help": "Greatest |q.k|/sqrt(d), of random data too.  "
        f"[default: measured with --input, else {DEFAULT_LOGIT_BOUND:g}]",
    },
    "set": {"metavar": "SETTINGS", "help": "Of an approximate method, like features=256 (see `iosim list`)."},
    "input": {"metavar": "FILE", "help": "Q, K and V: FILE.npz, FILE.safetensors, or Q.npy,K.npy,V.npy."},
    "tiles": {
        "metavar": "TILES",
        "default": "best",
        "show_default": True,
        "help": "best, paper, or sizes like B_r=32,B_c=1.",
    },
    "num_warps": {"type": WHOLE, "metavar": "COUNT", "help": "Of a kernel.  [default: by the size of its blocks]"},
    "num_stages": {"type": WHOLE, "metavar": "COUNT", "help": "Stages of the software pipeline.  [default: 2]"},
    "seed": {
        "type": WHOLE,
        "metavar": "NUMBER",
        "help": "Of random data, and of the sample of rows.  [default: 0]",
    },
    "rows": {
        "type": WHOLE,
        "metavar": "COUNT",
        "help": f"Rows to compare.  [default: all up to n = {ALL_ROWS}, else a sample of {DEFAULT_ROWS}]",
    },
    "max_flops": {
        "type": REAL,
        "metavar": "COUNT",
        "help": f"Work beyond which the result is not computed.  [default: {plain(DEFAULT_MAX_FLOPS)}]",
    },
}

JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print one object of plain numbers, with units in the key names."
)


def flag(name: str, **changed: Any) -> Callable[[_F], _F]:
    """A flag that several verbs have; what is `changed` is otherwise with this one."""
    return click.option(flag_of(name), name, **{**_FLAGS[name], **changed})


def flags(*names: str, **changed: Any) -> Callable[[_F], _F]:
    """Several of them, in their order; what is `changed` is otherwise with all of these."""

    def decorate(command: _F) -> _F:
        for name in reversed(names):
            command = flag(name, **changed)(command)
        return command

    return decorate


# What is computed.
SIZES = ("n", "n_k", "d", "d_v", "batch", "heads", "kv_heads")
PROBLEM = (*SIZES, "mask", "tied", "dtype", "degree", "set")


def named_values(flag: str, given: Sequence[str]) -> dict[str, str]:
    """What a repeatable flag says of each name, like `degree=1,2,3`.

    Raises:
        UsageError: not such a text, or a name given twice.
    """
    return named(given, where=flag, like="degree=1,2,3 or features=64:1024:*2")


def print_result(found: Result, *, as_json: bool, report: Callable[[], RenderableType] | None = None) -> None:
    """Prints a result: for other programs exactly what its `to_dict()` has, for people its report.

    Args:
        report: what people see instead.
    """
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        from iosim.terminal import show

        show((report or found.report)())


def user_files(names: str | None, *, where: str = "--algo") -> AbstractContextManager[None]:
    """Around whatever runs algorithms of these names, by commas: as `iosim.user_files.user_code`."""
    from iosim.user_files import user_code

    return user_code(*(name.strip() for name in (names or "").split(",")), where=where)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda what, fraction: bars.update(task, description=what, completed=fraction)
