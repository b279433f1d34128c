"""What entry points register: algorithms, bounds and theorems, of this distribution and of others.

An entry point of the group `iosim.algorithms` names a module; every `Algorithm` in it or in its submodules is registered
under its own name. The groups `iosim.bounds` and `iosim.proofs` do the same for every `Bound` and every `Theorem`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

from iosim.errors import IosimError, UsageError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Kind = TypeVar("_Kind", bound=_Named)


def registered(
    group: str, kind: type[_Kind], plural: str, *, refused: Callable[[_Kind], str | None] = lambda _: None
) -> dict[str, _Kind]:
    """Everything of a kind that the entry points of a group lead to, by name.

    Args:
        refused: why one can't be used, or None where it can.

    Raises:
        UsageError: two different ones have the same name, one is refused, or a module of another package can't be imported.
    """
    found: dict[str, _Kind] = {}
    for entry in _entries(group):
        for module in _modules(entry):
            for value in in_module(module, kind):
                if (why := refused(value)) is not None:
                    raise UsageError(f"{_called(entry)}: {why}")
                if found.setdefault(value.name, value) is not value:
                    raise UsageError(f"{_called(entry)}: two {plural} are called {value.name!r}")
    return dict(sorted(found.items()))


def _called(entry: EntryPoint) -> str:
    """Which entry point it is, and of which distribution, for whoever has to take that away."""
    return f"entry point {entry.name}" + (f" of {entry.dist.name}" if entry.dist else "")


def _entries(group: str) -> list[EntryPoint]:
    """Those of everything that is installed; and iosim's own, if it is not."""
    try:
        distribution("iosim")
        own = []
    except PackageNotFoundError:
        own = _of_checkout(Path(__file__).parent.parent / "pyproject.toml", group)
    return [*own, *entry_points(group=group)]


def _of_checkout(pyproject: Path, group: str) -> list[EntryPoint]:
    """What an installation of the checkout would register; none where there is no such file."""
    import tomllib

    if not pyproject.is_file():
        return []
    listed = tomllib.loads(pyproject.read_text())["project"].get("entry-points", {}).get(group, {})
    return [EntryPoint(name=name, value=value, group=group) for name, value in listed.items()]


def _modules(entry: EntryPoint) -> list[ModuleType]:
    """The module that an entry point names, and its submodules."""
    try:
        module = importlib.import_module(entry.module)
        inner = pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + ".")
        return [module, *(importlib.import_module(info.name) for info in inner)]
    except (Exception, SystemExit) as error:  # a module of somebody else may raise anything
        why = str(error) if isinstance(error, ImportError) else said(error)
        raise UsageError(f"{_called(entry)}: {entry.module} can't be imported: {why}") from error


def in_module(module: ModuleType, kind: type[_Kind]) -> list[_Kind]:
    """What a module has of a kind."""
    return [value for value in vars(module).values() if isinstance(value, kind)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is nearest to another one; empty if none is near."""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    return f" (did you mean {near[0]}?)" if near else ""


def said(error: BaseException) -> str:
    """What an exception says; its kind too, unless iosim raised it on purpose."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return text if isinstance(error, IosimError) else f"{type(error).__name__}: {text}".removesuffix(": ")
