"""Slow memory in flat rows: where arrays lie, and the values of those that are looked up in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from iosim.errors import MeaningError
from iosim.expr import evaluate_int
from iosim.program import Array, Program
from iosim.traces.form import RANK, Integers, Place
from iosim.traces.sizes import LARGEST


class SlowMemory:
    """Arrays one after the other in the order of the program, row by row, then whatever else gets a place.

    Attributes:
        places: what lies at which addresses.
        rows: of each array, its first address and its first value in `values` or -1.
        axes: of each axis of each array, its length and how far a step goes; all arrays have `RANK` axes.
        number: of each array, by its name.
        values: of one array that is looked up in after the other.
    """

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        data: Mapping[str, npt.NDArray[Any]],
        sources: Set[str],
        align: int,
    ) -> None:
        self.places: list[Place] = []
        self.rows: list[tuple[int, int]] = []
        self.axes: list[tuple[int, int]] = []
        self.number: dict[str, int] = {}
        self.values: list[Integers] = []
        self._align, self._end = align, 0
        looked_up = 0
        for array in program.arrays:
            shape = [evaluate_int(size, sizes) for size in array.shape]
            if len(shape) > RANK:
                raise MeaningError(f"{array.name} has {len(shape)} axes; allowed in a trace: at most {RANK}")
            start = self.place(array.name, math.prod(shape), tile=False)
            values = -1
            if array.name in sources:
                given = _values(program, array, data, shape)
                values, looked_up = looked_up, looked_up + given.size
                self.values.append(given)
            self.number[array.name] = len(self.rows)
            self.rows.append((start, values))
            strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
            self.axes += [*zip(shape, strides, strict=True), *[(1, 0)] * (RANK - len(shape))]

    def place(self, name: str, words: int, *, tile: bool) -> int:
        """The first address of so many words more.

        Raises:
            MeaningError: they end beyond 2^62.
        """
        start = -(-self._end // self._align) * self._align
        self._end = start + words
        if self._end > LARGEST:
            raise MeaningError(f"{name}: its addresses end at {self._end:,}; allowed: up to 2^62")
        self.places.append(Place(name, start, words, tile))
        return start


def _values(program: Program, array: Array, data: Mapping[str, npt.NDArray[Any]], shape: list[int]) -> Integers:
    if array.name not in data:
        raise MeaningError(f"{program.name}: {array.name} is looked up in; its values are missing")
    given = np.asarray(data[array.name])
    whole = given.astype(np.int64)
    if list(given.shape) != shape or not np.array_equal(whole, given):
        raise MeaningError(
            f"{program.name}: {array.name} is {given.dtype}, {list(given.shape)}; allowed: whole numbers, {shape}"
        )
    return whole.ravel()
