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


def missing(flag: str, *, like: str, instead: str = "", why: str = "") -> UsageError:
    """What is said where a flag has to be given and is not.

    Args:
        like: a value that it could have.
        instead: what could be given in its place.
        why: it has to be given.

    Example:
        >>> print(missing("--n", like="65536", instead="data with --input"))
        --n is missing; allowed: like --n 65536, or data with --input
    """
    return UsageError(
        f"{flag} is missing{why and f' ({why})'}; allowed: like {flag} {like}{instead and f', or {instead}'}"
    )


def one_of(**flags: object) -> None:
    """Refuses flags, by the names of their parameters, of which not exactly one is given.

    Raises:
        UsageError: none is, or several are.

    Example:
        >>> one_of(algo="flash2", trace=None)
    """
    if not given(**flags):
        raise UsageError(f"{' or '.join(map(flag_of, flags))} is missing; allowed: one of them")
    at_most_one(**flags)


def at_most_one(**flags: object) -> None:
    """Refuses flags, by the names of their parameters, of which several are given.

    Raises:
        UsageError: they are.

    Example:
        >>> at_most_one(M=None, io=None)
    """
    if len(given(**flags)) > 1:
        typed = " ".join(f"{flag_of(name)} {value}" for name, value in flags.items() if value is not None)
        raise UsageError(f"{typed}: allowed: one of them")


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


def among(value: str, allowed: Iterable[str], *, where: str) -> None:
    """Refuses what is not among some names.

    Raises:
        UsageError: it is not.

    Example:
        >>> among("lru", ("lru", "opt"), where="--policy")
    """
    known = list(allowed)
    if value not in known:
        raise UsageError(f"{where} {value}: allowed: {', '.join(known)}")
