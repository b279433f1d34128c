"""What stands for what a flag says: text, or the thing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

from iosim import units
from iosim.errors import UsageError

if TYPE_CHECKING:
    from iosim.inputs import AttentionInput
    from iosim.units import Dtype

# A file as for --input; Q, K and V by name, or in this order.
Arrays: TypeAlias = "str | PathLike[str] | AttentionInput | Mapping[str, Any] | Sequence[Any]"
Named: TypeAlias = "str | Mapping[str, SupportsIndex]"


def word_of(name: str) -> Dtype:
    """The format of a word, of that name."""
    return units.dtype(name, where="--dtype")


def data_of(given: Arrays | None) -> AttentionInput | None:
    """Q, K and V from a file, or from arrays; None where nothing is given.

    Raises:
        UsageError: they can't be read, or are not Q, K and V.
    """
    from iosim.input_files import load_input
    from iosim.inputs import NAMES, AttentionInput, from_arrays

    if given is None or isinstance(given, AttentionInput):
        return given
    if isinstance(given, str | PathLike):
        return load_input(given)
    if isinstance(given, Mapping) and {*given} == {*NAMES}:
        return from_arrays(**given)
    if not isinstance(given, Mapping) and len(given) == len(NAMES):
        return from_arrays(*given)
    raise UsageError("--input: allowed: a file, Q, K and V in this order, or a mapping with these names")
