"""Where algorithms are found: the entry-point group `iosim.algorithms`, and files that a user names.

An entry point names a module; every `Algorithm` in it or in its submodules is registered under its own name. Another
distribution adds algorithms by an entry point of its own, a user without packaging by `path/to/file.py:name`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from iosim.algorithm import Algorithm
from iosim.errors import UnknownNameError, UsageError

GROUP = "iosim.algorithms"


@cache
def algorithms() -> dict[str, Algorithm]:
    """Every registered algorithm, by name, in the order of the names.

    Raises:
        UsageError: two different algorithms have the same name.
    """
    found: dict[str, Algorithm] = {}
    for entry in entry_points(group=GROUP):
        for module in _modules(importlib.import_module(entry.module)):
            for algorithm in _in_module(module):
                if found.setdefault(algorithm.name, algorithm) is not algorithm:
                    raise UsageError(f"entry point {entry.name}: two algorithms are called {algorithm.name!r}")
    return dict(sorted(found.items()))


def find(name: str) -> Algorithm:
    """The algorithm that `--algo` means: a registered name, or `path/to/file.py:name`.

    Raises:
        UnknownNameError: no algorithm has this name; the message suggests the nearest.
        UsageError: the file can't be used.
    """
    if ".py" in name:
        return _from_file(name)
    registered = algorithms()
    if name not in registered:
        near = difflib.get_close_matches(name, registered, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownNameError(f"--algo {name}: no such algorithm{hint} (allowed: {', '.join(registered)})")
    return registered[name]


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        yield importlib.import_module(info.name)


def _in_module(module: ModuleType) -> list[Algorithm]:
    return [value for value in vars(module).values() if isinstance(value, Algorithm)]


def _from_file(text: str) -> Algorithm:
    path, _, name = text.partition(":")
    if not Path(path).is_file():
        raise UsageError(f"--algo {text}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--algo {text}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file does wrong is reported, not traced
        raise UsageError(f"--algo {text}: {path} can't be run: {type(error).__name__}: {error}") from error
    own = {algorithm.name: algorithm for algorithm in _in_module(module)}
    named = getattr(module, name, None) if name else None
    if isinstance(named, Algorithm):
        return named
    if name in own:
        return own[name]
    if not name and len(own) == 1:
        return next(iter(own.values()))
    there = ", ".join(own) or "none"
    raise UsageError(f"--algo {text}: name one of the algorithms in {path} after a colon (it has {there})")
