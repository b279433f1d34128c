"""One operation on fast memory: everything that the interpreters need to know of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from iosim.errors import ProgramError
from iosim.expr import Size

Array: TypeAlias = NDArray[np.float64]
Sizes: TypeAlias = Mapping[str, Size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation on views of tiles.

    Attributes:
        name: how a program asks for it.
        shapes: its operands and their axes, updated ones first: `C[i,j] A[i,l] B[j,l]`; equal letters, equal sizes.
        updates: how many of the operands it changes.
        fresh: the updated operands that it overwrites without reading them.
        params: names of its parameters.
        uses: the order in which it uses words, as `i(j(l(A B C)))`: for each i, each j, each l, a word of A, of B and of
            C. `k@f` is the word of k that `gather` names for the f that it is at. If it is empty, every word once: of the
            operands that are read, one after the other, then of the updated ones.
        gather: for each `@` of `uses`, from the sizes of its axes and its parameters, the coordinate on the axis of the
            operand that no loop of `uses` is over, for 0, 1, ... of the letter (from the parameter `first` on, if it has
            one); -1 for none, and none beyond the list.
        scratch: words of fast memory it needs for itself, from its parameters.
        flops: from the sizes of its axes, by letter, and its parameters.
        text: a line of pseudo-code with `{C}` for operands and `{p}` for parameters.
        numpy: the definition; updates its first arguments in place.
        triton: the same as lines of Triton (see `iosim.lowering.operations`): `{C}` for a block, in fp32 if it is read;
            `{A!}` for it as it was loaded; where the block goes beyond axis j of the tile, `{s@j}` and `{A!j}` have zero,
            `{s@j=-inf}` has -inf; `{#j}` for how long that axis of the block is, `{|j|}` for how much of it is the tile;
            `{p}` for a parameter; `{features k}` for the monomials at each row of k, `{weights}` for their weights,
            `{weights?}` if there may be none, `{coefficients.0}` for the first coefficient; `$x` for a name of its own.
        not_lowered: why there are no such lines, if there are none.
    """

    name: str
    shapes: str
    updates: int
    text: str
    flops: Callable[[Sizes, Mapping[str, Any]], Size]
    numpy: Callable[..., None]
    uses: str = ""
    gather: Callable[[Mapping[str, int], Mapping[str, Any]], Sequence[Sequence[int]]] = lambda _sizes, _params: ()
    scratch: Callable[[Mapping[str, Any]], int] = lambda _: 0
    params: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    triton: str = ""
    not_lowered: str = ""

    @property
    def operands(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each operand's name and the letters of its axes."""
        return _operands(self.shapes)

    def axis_sizes(self, shapes: Sequence[Sequence[Size]]) -> dict[str, Size]:
        """The size of each letter for operands of these shapes.

        Raises:
            ProgramError: the number of operands, their ranks or the sizes of equal letters don't fit.
        """
        operands = self.operands
        if len(shapes) != len(operands):
            raise ProgramError(f"{self.name} takes {len(operands)} operands ({self.shapes}), got {len(shapes)}")
        sizes: dict[str, Size] = {}
        for (name, axes), shape in zip(operands, shapes, strict=True):
            if len(axes) != len(shape):
                raise ProgramError(f"{self.name}: {name} has {len(axes)} axes ({self.shapes}), got {len(shape)}")
            for letter, size in zip(axes, shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ProgramError(
                        f"{self.name}: axis {letter} of {name} is {size}, but {sizes[letter]} elsewhere ({self.shapes})"
                    )
        return sizes


@cache
def _operands(shapes: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = re.findall(r"(\w+)\[([\w,]*)\]", shapes)
    return tuple((name, tuple(axes.split(","))) for name, axes in found)
