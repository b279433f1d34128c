"""Where algorithms and theorems are found: entry points, and for algorithms also files that a user names.

An entry point of the group `iosim.algorithms` names a module; every `Algorithm` in it or in its submodules is registered
under its own name. The group `iosim.proofs` does the same for every `Theorem`. Another distribution adds its own by entry
points of its own, a user without packaging adds an algorithm by `path/to/file.py:name`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeVar

from iosim.algorithm import Algorithm
from iosim.errors import IosimError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from iosim.theorem import Theorem

GROUP = "iosim.algorithms"
PROOFS = "iosim.proofs"

_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<name>[^:/\\]*))?", re.DOTALL)


@cache
def algorithms() -> dict[str, Algorithm]:
    """Every registered algorithm, by name, in the order of the names.

    Raises:
        UsageError: two different algorithms have the same name, or a module of another package can't be imported.
    """
    return _registered(GROUP, Algorithm, "algorithms")  # type: ignore[type-abstract]


@cache
def theorems() -> dict[str, Theorem]:
    """Every registered theorem, by name, in the order of the names.

    Raises:
        UsageError: two different theorems have the same name, or a module of another package can't be imported.
    """
    from iosim.theorem import Theorem

    return _registered(PROOFS, Theorem, "theorems")


def find_theorem(name: str) -> Theorem:
    """The theorem of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    registered = theorems()
    if name not in registered:
        hint = _nearest(name, registered)
        raise UnknownNameError(
            f"{name}: no such theorem{hint} (allowed: {', '.join(registered) or 'none is registered'})"
        )
    return registered[name]


def find(name: str | Algorithm, *, where: str = "--algo") -> Algorithm:
    """The algorithm that `--algo` means: a registered name, or `path/to/file.py:name`.

    Args:
        name: of the algorithm; or the algorithm itself.
        where: what to call the name in an error.

    Raises:
        UnknownNameError: no algorithm has this name; the message suggests the nearest.
        UsageError: the file can't be used, or it is no name.
    """
    if isinstance(name, Algorithm):
        return name
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"{where} {name!r}: allowed: a name, see `iosim list`, or FILE.py:NAME")
    if _FILE.fullmatch(name):
        return _from_file(name, where)
    registered = algorithms()
    if name not in registered:
        hint = _nearest(name, registered)
        raise UnknownNameError(
            f"{where} {name}: no such algorithm{hint} (allowed: {', '.join(registered)}, FILE.py:NAME)"
        )
    return registered[name]


def names_of(given: str | Algorithm | Iterable[str | Algorithm], *, where: str = "--algo") -> list[str | Algorithm]:
    """The names in a text like "flash2,approx", or those of a list; algorithms may stand for themselves.

    Raises:
        UsageError: there is none, or one twice.
    """
    if not isinstance(given, str | Algorithm | Iterable):
        raise UsageError(f"{where} {given}: allowed: names like flash2,approx, see `iosim list`")
    listed = given.split(",") if isinstance(given, str) else [given] if isinstance(given, Algorithm) else given
    names = [name.strip() if isinstance(name, str) else name for name in listed]
    if not names:
        raise UsageError(f"{where}: none is given; allowed: like flash2,approx, see `iosim list`")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UsageError(f"{where}: {name if isinstance(name, str) else name.name} is given twice; allowed: once")
    return names


@contextmanager
def user_code(name: str, *, where: str = "--algo") -> Iterator[None]:
    """Around whatever runs an algorithm by that name: what a user's file does wrong is reported, not traced.

    If it is in a file, an exception becomes a `UsageError` that says where in the file it was raised, and what the file
    prints goes to stderr, away from the results.
    """
    match = _FILE.fullmatch(name)
    if match is None:
        yield
        return
    path = match["path"]
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        if isinstance(error, IosimError) and _line(error, path) is None:
            raise
        raise UsageError(f"{where} {_where(error, path)}: {_said(error)}") from error


def _where(error: BaseException, path: str) -> str:
    """The line of the file in which an exception was raised, or that called what raised it; else the line of iosim."""
    line = _line(error, path)
    if line is not None:
        return f"{path}, line {line}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{path}, in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else path


def _line(error: BaseException, path: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return lines[-1] if lines else None


def _said(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return said if isinstance(error, IosimError) else f"{type(error).__name__}: {said}".removesuffix(": ")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else ""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Kind = TypeVar("_Kind", bound=_Named)


def _registered(group: str, kind: type[_Kind], plural: str) -> dict[str, _Kind]:
    """Everything of a kind that the entry points of a group lead to, by name."""
    found: dict[str, _Kind] = {}
    for entry in _entries(group):
        for module in _modules(entry):
            for value in _in_module(module, kind):
                if found.setdefault(value.name, value) is not value:
                    raise UsageError(f"entry point {entry.name}: two {plural} are called {value.name!r}")
    return dict(sorted(found.items()))


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
        owner = f" of {entry.dist.name}" if entry.dist else ""
        said = str(error) if isinstance(error, ImportError) else _said(error)
        raise UsageError(f"entry point {entry.name}{owner}: {entry.module} can't be imported: {said}") from error


def _in_module(module: ModuleType, kind: type[_Kind]) -> list[_Kind]:
    return [value for value in vars(module).values() if isinstance(value, kind)]


def _from_file(text: str, where: str) -> Algorithm:
    match = _FILE.fullmatch(text)
    assert match is not None
    path, name = match["path"], match["name"]
    if not Path(path).is_file():
        raise UsageError(f"{where} {text}: there is no file {path}")
    module = _run_file(path, where)
    own = {algorithm.name: algorithm for algorithm in _in_module(module, Algorithm)}  # type: ignore[type-abstract]
    named = getattr(module, name, None) if name else None
    if isinstance(named, Algorithm):
        return named
    if name in own:
        return own[name]
    if not name and len(own) == 1:
        return next(iter(own.values()))
    if not own:
        raise UsageError(
            f"{where} {text}: {path} has no algorithm; allowed: a file that makes an iosim.Tiled, as in README.md"
        )
    hint = _nearest(name, own) if name else ""
    found = f"{path} has no algorithm {name}{hint}" if name else f"{path} has several algorithms"
    raise UsageError(f"{where} {text}: {found} (allowed after the colon: {', '.join(own)})")


def _run_file(path: str, where: str) -> ModuleType:
    """The file as a module. It may import its neighbours; no bytecode is left beside it."""
    module = ModuleType(f"iosim_user_file_{Path(path).stem}")
    module.__file__ = path
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        code = compile(Path(path).read_bytes(), path, "exec")
    except OSError as error:
        raise UsageError(f"{where} {path} can't be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:  # ValueError for a null byte, in some versions of Python
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UsageError(f"{where} {path}{line}: {_said(error)}") from error
    with user_code(path, where=where):
        exec(code, module.__dict__)
    return module
