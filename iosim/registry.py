"""Where algorithms and theorems are found: entry points, and for algorithms also files that a user names.

Another distribution adds its own by entry points, see `iosim.entries`; a user without packaging adds an algorithm by
`path/to/file.py:name`, see `iosim.user_files`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from iosim.algorithm import Algorithm
from iosim.entries import nearest, registered
from iosim.errors import UnknownNameError, UsageError
from iosim.user_files import algorithm_in_file, file_of

if TYPE_CHECKING:
    from iosim.proof.theorem import Theorem
    from iosim.task import Task

GROUP = "iosim.algorithms"
PROOFS = "iosim.proofs"


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
        hint = nearest(name, known)
        raise UnknownNameError(f"{name}: no such theorem{hint}; allowed: {', '.join(known) or 'none is registered'}")
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
    if file_of(name) is not None:
        return algorithm_in_file(name, where=where)
    known = algorithms()
    if name not in known:
        hint = nearest(name, known)
        raise UnknownNameError(f"{where} {name}: no such algorithm{hint}; allowed: {', '.join(known)}, FILE.py:NAME")
    return known[name]


def names_of(given: str | Algorithm | Iterable[str | Algorithm]) -> list[str | Algorithm]:
    """The names in a text like "flash2,approx", or those of a list; algorithms may stand for themselves.

    Raises:
        UsageError: there is none, or one twice.
    """
    if not isinstance(given, str | Algorithm | Iterable):
        raise UsageError(f"--algo {given}: allowed: names like flash2,approx, see `iosim list`")
    listed = given.split(",") if isinstance(given, str) else [given] if isinstance(given, Algorithm) else given
    names = [name.strip() if isinstance(name, str) else name for name in listed]
    if not names:
        raise UsageError("--algo: none is given; allowed: like flash2,approx, see `iosim list`")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UsageError(f"--algo: {name if isinstance(name, str) else name.name} is given twice; allowed: once")
    return names
