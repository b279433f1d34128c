"""How kernels hold tiles and arrays, and small pieces of Triton."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from iosim.expr import Size
from iosim.program import Array

_LEAST = 16  # length of an axis, so that tensor cores can take it; but 1 stays 1


@dataclass(frozen=True)
class Memory:
    """An array of slow memory as the kernels see it."""

    array: Array
    shape: tuple[int, ...]
    dtype: str

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements; row-major."""
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))

    @property
    def wide(self) -> bool:
        """Whether a position in it needs 64 bits."""
        return math.prod(self.shape) >= 2**31


@dataclass
class Block:
    """A tile as the kernel holds it.

    Attributes:
        name: the variable.
        sizes: how much of each axis is the tile.
        padded: how long each axis of the block is.
        dtype: of its numbers.
        clean: whether the padding is known to be zero.
    """

    name: str
    sizes: tuple[Size, ...]
    padded: tuple[int, ...]
    dtype: str
    clean: bool


def padded(most: int) -> int:
    """The length of the axis of a block that holds at most `most`."""
    return 1 if most <= 1 else max(_LEAST, 1 << (most - 1).bit_length())


def pointer(name: str) -> str:
    """What a kernel calls the pointer to the first element of an array."""
    return f"{name}_ptr"


def shape_text(lengths: Sequence[int]) -> str:
    """The shape of a block."""
    return f"[{', '.join(map(str, lengths))}]"


def along(axis: int, rank: int) -> str:
    """The index that makes a block with one axis one along `axis`."""
    if rank == 1:
        return ""
    return f"[{', '.join(':' if other == axis else 'None' for other in range(rank))}]"


def factor(text: str) -> str:
    """An expression as a factor of a product, in brackets if it must be."""
    return text if re.fullmatch(r"\w+|[\w.]+\([^()]*\)", text) else f"({text})"
