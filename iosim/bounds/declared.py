"""What bounds look at of a program, its arrays; and the bound that holds for any whose outputs depend on all its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Protocol

from iosim.bounds.bound import Bound
from iosim.expr import Size, evaluate_int


class Array(Protocol):
    """An array in slow memory: its role is "input", "output" or "scratch", the lengths of its axes are numbers of words."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def shape(self) -> Sequence[Size]: ...


class Declares(Protocol):
    """Whatever declares arrays, such as a program."""

    @property
    def arrays(self) -> Sequence[Array]: ...


def moved(program: Declares) -> tuple[Array, ...]:
    """The arrays that have to move: those that are given, and those to be computed."""
    return tuple(array for array in program.arrays if array.role != "scratch")


def applicable(program: Declares, sizes: Mapping[str, int]) -> Iterator[tuple[Bound, int]]:
    """The bound for the arrays that `program` declares, at these sizes. Units: words."""
    words = sum(prod(evaluate_int(length, sizes) for length in array.shape) for array in moved(program))
    bound = Bound(
        name="declared_inputs_are_loaded_and_outputs_stored",
        formula=lambda _: Fraction(words),
        source="every output depends on every word of the inputs",
        compulsory=True,
    )
    yield bound, words
