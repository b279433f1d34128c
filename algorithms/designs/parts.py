"""Blocks of a design as tables, so that a program can loop over them and be counted without listing them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import ClassVar

from algorithms.designs.design import Design, slots
from algorithms.designs.monomials import Factors, Monomials
from iosim.program import Table


class Part(Table):
    """Some of the blocks of a design, one after the other: all, the only, the first, those in the middle, or the last.

    Args:
        design: the design.
        where: which part.
        stored: if given, the design whose sums are in slow memory, see `Stored`; the rows then also list in `rows` where
            the sums of their monomials are.
    """

    lengths: ClassVar[Mapping[str, str]] = {"coords": "t", "rows": "a"}

    def __init__(self, design: Design, where: str, stored: Design | None = None) -> None:
        self.design, self.where, self.stored = design, where, stored
        NB = design.NB
        parts = {"all": (0, NB), "only": (0, 1), "first": (0, 1), "middle": (1, NB - 1), "last": (NB - 1, NB)}
        self.start, self.stop = parts[where]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.design, self.where, self.stored))

    def rows(self) -> Iterator[Mapping[str, object]]:
        for block in islice(self.design.blocks(), self.start, self.stop):
            if self.stored is None:
                yield block
                continue
            places = _places(self.stored)
            monomials, coords = block["monomials"], block["coords"]
            assert isinstance(monomials, Monomials)
            assert isinstance(coords, tuple)
            # room without a monomial takes any sum: its feature is zero
            listed = [places[tuple(coords[x] for x in f)] for f in monomials.in_order()]
            assert isinstance(monomials.slots, int)
            yield {**block, "rows": (*listed, *(0 for _ in range(monomials.slots - len(listed))))}

    def classes(self) -> Iterator[tuple[Mapping[str, int], int, int]]:
        first, last = self.design.first, self.design.last
        for t, a, times, begin in self.design.kinds():
            here = times
            if self.where in ("only", "first"):
                here = int((t, a) == first)
            elif self.where == "last":
                here = int((t, a) == last)
            elif self.where == "middle":
                here = times - ((t, a) == first) - ((t, a) == last)
            if here:
                # numbered from the first block of the part
                yield {"t": t, "a": a}, here, 0 if self.where == "last" else max(0, begin - self.start)

    def bounds(self, column: str) -> tuple[int, int]:
        return (0, self.design.d - 1) if column == "coords" else (0, slots(self.stored) - 1)


class Stored(Part):
    """All the blocks of a design, in slow memory: the sums of a block are `a` rows from `offset` + a times the block's
    number on. The blocks of each kind follow each other."""

    def __init__(self, design: Design) -> None:
        super().__init__(design, "all")

    def rows(self) -> Iterator[Mapping[str, object]]:
        offsets = {(row["t"], row["a"]): row["offset"] for row, _, _ in self.classes()}
        for block in super().rows():
            yield {**block, "offset": offsets[block["t"], block["a"]]}  # type: ignore[index]

    def classes(self) -> Iterator[tuple[Mapping[str, int], int, int]]:
        before = 0
        for row, times, first in super().classes():
            yield {**row, "offset": before - row["a"] * first}, times, first
            before += row["a"] * times


@lru_cache(maxsize=2)
def _places(design: Design) -> dict[Factors, int]:
    """For each monomial, which of the stored sums is its."""
    places: dict[Factors, int] = {}
    start = 0
    for block in design.blocks():
        monomials, coords = block["monomials"], block["coords"]
        assert isinstance(monomials, Monomials)
        assert isinstance(coords, tuple)
        for number, factors in enumerate(monomials.in_order()):
            places[tuple(coords[x] for x in factors)] = start + number
        assert isinstance(monomials.slots, int)
        start += monomials.slots
    return places
