"""What is said of flags that can't be used: where, what was found, what is allowed, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from iosim.errors import UsageError
from iosim.units import Dtype, flag_of, words_to_bytes


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


def does_not_fit(where: str, who: str, least: int, word: Dtype | None = None, *, why: str = "") -> UsageError:
    """What is said of a fast memory in which nothing runs.

    Args:
        where: the fast memory: the flag as it was typed.
        who: what does not run.
        least: the fewest words in which it does.
        word: the format of a word, for the bytes; they are not said if not given.
        why: what else there is to say.

    Example:
        >>> print(does_not_fit("--M 64w", "flash2 at d=64", 132))
        --M 64w: flash2 at d=64 needs at least 132 words of fast memory
    """
    size = "" if word is None else f" ({words_to_bytes(least, word):,} B at {word})"
    return UsageError(f"{where}: {who} needs at least {least:,} words of fast memory{size}{why}")
