"""What is said of flags that can't be used: where, what was found, what is allowed, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from iosim.errors import UsageError
from iosim.units import flag_of


def given(**flags: object) -> list[str]:
    """The flags that are given, by the names of their parameters: what is neither None nor False.

    Example:
        >>> given(n_k=0, tied=False, mask=None)
        ['--n-k']
    """
    return [flag_of(name) for name, value in flags.items() if value is not None and value is not False]


def refuse(flags: Iterable[str], beside: str, allowed: str) -> None:
    """Refuses flags for what is beside them.

    Raises:
        UsageError: there are some; the message is about the first.
    """
    for flag in flags:
        raise UsageError(f"{flag} {beside}; allowed: {allowed}")


def missing(flag: str, *, like: str) -> UsageError:
    """What is said where a flag has to be given and is not.

    Example:
        >>> print(missing("--n", like="65536"))
        --n is missing; allowed: like --n 65536
    """
    return UsageError(f"{flag} is missing; allowed: like {flag} {like}")
