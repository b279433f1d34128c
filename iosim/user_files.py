"""Algorithms in files that a user names: what `path/to/file.py:name` means, and what becomes of mistakes in such a file."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from iosim.algorithm import Algorithm
from iosim.entries import in_module, nearest, said
from iosim.errors import IosimError, UsageError

_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<name>[^:/\\]*))?", re.DOTALL)


def file_of(name: str) -> str | None:
    """The file that the name of an algorithm means; None if it is no such name.

    Example:
        >>> file_of("mine.py:rows"), file_of("mine.py"), file_of("flash2")
        ('mine.py', 'mine.py', None)
    """
    match = _FILE.fullmatch(name)
    return None if match is None else match["path"]


def algorithm_in_file(text: str, *, where: str) -> Algorithm:
    """The algorithm that `path/to/file.py:name` means; the only one of the file, if no name is given.

    Args:
        where: what to call the text in an error.

    Raises:
        UsageError: the file can't be used, or has no such algorithm.
    """
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
    hint = nearest(name, own) if name else ""
    found = f"{path} has no algorithm {name}{hint}" if name else f"{path} has several algorithms"
    raise UsageError(f"{where} {text}: {found}; allowed after the colon: {', '.join(own)}")


@contextmanager
def user_code(*names: str, where: str = "--algo") -> Iterator[None]:
    """Around whatever runs algorithms by these names: what a user's file does wrong is reported, not traced.

    If one is in a file, an exception becomes a `UsageError` that says where in the file it was raised, and what the file
    prints goes to stderr, away from the results.
    """
    paths = [path for path in map(file_of, names) if path is not None]
    if not paths:
        yield
        return
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        blamed = next((path for path in paths if _line(error, path) is not None), None)
        if isinstance(error, IosimError) and blamed is None:
            raise
        raise UsageError(f"{where} {_where(error, blamed or ', '.join(paths))}: {said(error)}") from error


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
