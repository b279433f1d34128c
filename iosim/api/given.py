"""What stands for what a flag says: text, or the thing itself."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from os import PathLike
from typing import TYPE_CHECKING, Any, ParamSpec, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

from iosim import units
from iosim.errors import UsageError
from iosim.units import flag_of

if TYPE_CHECKING:
    from iosim.numeric.inputs import AttentionInput
    from iosim.units import Dtype

# A file as for --input; Q, K and V by name, or in this order.
Arrays: TypeAlias = "str | PathLike[str] | AttentionInput | Mapping[str, Any] | Sequence[Any]"
Named: TypeAlias = "str | Mapping[str, SupportsIndex]"


_P = ParamSpec("_P")
_R = TypeVar("_R")


def as_flags(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function whose values may be as flags have them: numbers as text or of numpy, files as paths.

    What its annotations don't allow is a `UsageError` that begins with the flag; a parameter that it does not have is a
    `TypeError` that names those that it has.

    Raises:
        TypeError: an annotation that is neither read here nor among those that are checked later.
    """
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        kind, _ = _kind_of(str(parameter.annotation))
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and kind not in _READERS and kind not in _CHECKED_LATER:
            raise TypeError(f"{function.__name__}({name}: {kind}): allowed: {'; '.join((*_READERS, *_CHECKED_LATER))}")
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())

    @wraps(function)
    def call(*args: _P.args, **given: _P.kwargs) -> _R:
        read = []
        for (name, parameter), value in zip(parameters.items(), args, strict=False):
            read.append(_read(value, str(parameter.annotation), flag_of(name)))
        for name, value in given.items():
            if name in parameters:
                given[name] = _read(value, str(parameters[name].annotation), flag_of(name))
            elif not open_ended:
                raise TypeError(f"{function.__name__}() has no parameter {name}; allowed: {', '.join(parameters)}")
        return function(*read, *args[len(read) :], **given)  # type: ignore[arg-type]

    return call


def _kind_of(annotation: str) -> tuple[str, bool]:
    """An annotation without None, and whether None is allowed."""
    return annotation.removesuffix(" | None"), annotation.endswith(" | None")


def _read(value: Any, annotation: str, flag: str) -> Any:
    """A value as a parameter with that annotation takes it."""
    kind, optional = _kind_of(annotation)
    if (optional and value is None) or kind not in _READERS:
        return value
    read, allowed = _READERS[kind]
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{flag} {str(value)[:60]}: allowed: {allowed}{', or None' if optional else ''}") from error


def _whole(value: object) -> int:
    found = units.whole(value)
    if found is None:
        raise TypeError(value)
    return found


def _real(value: str | SupportsFloat) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value.encode("ascii") if isinstance(value, str) else value)


def _text(value: str | PathLike[str]) -> str:
    return str(os.fspath(value))


def _one_of(*kinds: type) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, kinds):
            raise TypeError(value)
        return value

    return read


def _mask(value: object) -> object:
    if not isinstance(value, str) and not hasattr(value, "meets"):
        raise TypeError(value)
    return value


# What values are for an annotation, and in words.
_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "int": (_whole, "whole numbers"),
    "float": (_real, "numbers"),
    "bool": (_one_of(bool), "True, False"),
    "str": (_text, "text"),
    "str | AnyMask": (_mask, "a mask, or text like causal"),
    "str | Sequence[str]": (_one_of(str, list, tuple), "text, or a list"),
    "Named": (_one_of(str, Mapping), "text like B_r=32, or a mapping"),
    "Mapping[str, Numbers]": (_one_of(Mapping), "a mapping from names to numbers"),
    "Iterable[str] | Mapping[str, Number]": (_one_of(list, tuple, Mapping), "a mapping, or a list like ['i=1024']"),
}

# Annotations of what is passed on as it is: those who take it say what they allow.
_CHECKED_LATER = (
    "Number",
    "Numbers",
    "Arrays",
    "By",
    "Progress",
    "str | Algorithm",
    "str | Sequence[str | Algorithm]",
    "str | Sequence[Mapping[str, Any]]",
    "str | PathLike[str]",
)


def word_of(name: str) -> Dtype:
    """The format of a word, of that name."""
    return units.dtype(name, where="--dtype")


def data_of(given: Arrays | None) -> AttentionInput | None:
    """Q, K and V from a file, or from arrays; None where nothing is given.

    Raises:
        UsageError: they can't be read, or are not Q, K and V.
    """
    from iosim.numeric.input_files import load_input
    from iosim.numeric.inputs import NAMES, AttentionInput, from_arrays

    if given is None or isinstance(given, AttentionInput):
        return given
    if isinstance(given, str | PathLike):
        return load_input(given)
    if isinstance(given, Mapping) and {*given} == {*NAMES}:
        return from_arrays(**given)
    if isinstance(given, Sequence) and len(given) == len(NAMES):
        return from_arrays(*given)
    raise UsageError("--input: allowed: a file, Q, K and V in this order, or a mapping with these names")
