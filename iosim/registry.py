"""Where algorithms and theorems are found: entry points, and for algorithms also files that a user names.

Another distribution adds its own by entry points, see `iosim.entries`; a user without packaging adds an algorithm by
`path/to/file.py:name`.
"""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from iosim.algorithm import Algorithm
from iosim.entries import in_module, registered, said
from iosim.errors import IosimError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from iosim.proof.theorem import Theorem
    from iosim.task import Task

GROUP = "iosim.algorithms"
PROOFS = "iosim.proofs"

_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<name>[^:/\\]*))?", re.DOTALL)


@cache
def algorithms() -> dict[str, Algorithm]:
    """Every registered algorithm, by name, in the order of the names.

    Raises:
        UsageError: two different algorithms have the same name, or a module of another package can't be imported.
    """
    return registered(GROUP, Algorithm, "algorithms")  # type: ignore[type-abstract]


@cache
def theorems() -> dict[str, Theorem]:
    """Every registered theorem, by name, in the order of the names.

    Raises:
        UsageError: two different theorems have the same name, or a module of another package can't be imported.
    """
    from iosim.proof.theorem import Theorem

    return registered(PROOFS, Theorem, "theorems")


@cache
def best(task: Task) -> Algorithm:
    """The registered algorithm that has the best exact schedule of a task, with which others are compared.

    Raises:
        UsageError: none has, or several have.
    """
    found = [algorithm for algorithm in algorithms().values() if task in algorithm.best_of]
    if len(found) != 1:
        named = ", ".join(algorithm.name for algorithm in found) or "none"
        raise UsageError(f"{task.name}: one registered algorithm must be the best of it, found {named}")
    return found[0]


def find_theorem(name: str) -> Theorem:
    """The theorem of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    known = theorems()
    if name not in known:
        hint = _nearest(name, known)
        raise UnknownNameError(f"{name}: no such theorem{hint} (allowed: {', '.join(known) or 'none is registered'})")
    return known[name]


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
    known = algorithms()
    if name not in known:
        hint = _nearest(name, known)
        raise UnknownNameError(f"{where} {name}: no such algorithm{hint} (allowed: {', '.join(known)}, FILE.py:NAME)")
    return known[name]


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
        raise UsageError(f"{where} {_where(error, path)}: {said(error)}") from error


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


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else ""


def _from_file(text: str, where: str) -> Algorithm:
    match = _FILE.fullmatch(text)
    assert match is not None
    path, name = match["path"], match["name"]
    if not Path(path).is_file():
        raise UsageError(f"{where} {text}: there is no file {path}")
    module = _run_file(path, where)
    own = {algorithm.name: algorithm for algorithm in in_module(module, Algorithm)}  # type: ignore[type-abstract]
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
        raise UsageError(f"{where} {path}{line}: {said(error)}") from error
    with user_code(path, where=where):
        exec(code, module.__dict__)
    return module
