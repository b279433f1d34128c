"""Block designs: which monomials of degree at most g a block of features holds, and which coordinates it needs.

A block has `t` coordinates (`coords`) and room for `a` monomials in them (`monomials`). Every monomial is in exactly one
block. How programs go over the blocks is in `parts`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, combinations_with_replacement, islice
from math import comb
from typing import Protocol

from algorithms.designs.monomials import Factors, Monomials, touching
from iosim import monomial_count


class Design(Hashable, Protocol):
    """Blocks that hold every monomial of degree at most `degree` in d variables once, larger blocks first."""

    @property
    def d(self) -> int: ...

    @property
    def degree(self) -> int: ...

    @property
    def NB(self) -> int:
        """Number of blocks; it may be beyond what `len` can return."""

    @property
    def coordinates_words(self) -> int:
        """The sum of t over all blocks."""

    @property
    def first(self) -> tuple[int, int]:
        """t and a of the first block; no block has more."""

    @property
    def last(self) -> tuple[int, int]:
        """t and a of the last block; no block has less."""

    def kinds(self) -> Iterator[tuple[int, int, int, int]]:
        """(t, a, how many, number of the first) for the blocks with the same t and a, in the order of the first."""

    def blocks(self) -> Iterator[Mapping[str, object]]:
        """The blocks in order: t, a, coords and monomials."""


@dataclass(frozen=True)
class MonomialRuns:
    """Blocks that need all d coordinates: the monomials, by degree, are cut into NB runs as equal as possible."""

    d: int
    degree: int
    NB: int

    @property
    def coordinates_words(self) -> int:
        return self.NB * self.d

    @property
    def first(self) -> tuple[int, int]:
        return self.d, -(-self._monomials // self.NB)

    @property
    def last(self) -> tuple[int, int]:
        return self.d, self._monomials // self.NB

    @property
    def _monomials(self) -> int:
        return monomial_count(self.d, self.degree)

    def kinds(self) -> Iterator[tuple[int, int, int, int]]:
        longer = self._monomials % self.NB
        if longer:
            yield (*self.first, longer, 0)
        yield (*self.last, self.NB - longer, longer)

    def blocks(self) -> Iterator[Mapping[str, object]]:
        degrees = (combinations_with_replacement(range(self.d), m) for m in range(self.degree + 1))
        monomials = chain.from_iterable(degrees)
        for t, a, times, _ in self.kinds():
            for _ in range(times):
                held = Monomials(self.degree, self.d, a, tuple(islice(monomials, a)), f"the block's {a} monomials")
                yield {"t": t, "a": a, "coords": tuple(range(self.d)), "monomials": held}


@dataclass(frozen=True)
class GroupProducts:
    """Blocks that are products of groups of coordinates: the d coordinates are cut into v groups, as equal as possible,
    and each choice of g groups (all v, if there are fewer) is a block.

    A monomial that touches s < g groups could go to several blocks: for each set of s groups, its monomials are dealt out
    evenly, each block getting room for the ceiling. v = 1 is the block of all monomials.

    Source: the complete design S(g, g, v), each point blown up to a group.
    """

    d: int
    degree: int
    v: int

    @property
    def groups_of_block(self) -> int:
        return min(self.v, max(1, self.degree))

    @property
    def _larger(self) -> int:
        """Groups that have one coordinate more; they come first."""
        return self.d % self.v

    @property
    def NB(self) -> int:
        return comb(self.v, self.groups_of_block)

    @property
    def coordinates_words(self) -> int:
        # each coordinate is in every block that has its group
        return self.d * comb(self.v - 1, self.groups_of_block - 1)

    @property
    def first(self) -> tuple[int, int]:
        return self._size[self._larger_in_block[0]]

    @property
    def last(self) -> tuple[int, int]:
        return self._size[self._larger_in_block[-1]]

    @property
    def _larger_in_block(self) -> range:
        """How many larger groups a block may have, in the order in which such blocks first come."""
        k, larger = self.groups_of_block, self._larger
        return range(min(k, larger), max(0, k - (self.v - larger)) - 1, -1)

    def kinds(self) -> Iterator[tuple[int, int, int, int]]:
        k, larger = self.groups_of_block, self._larger
        for p in self._larger_in_block:
            begin = self._number((*range(p), *range(larger, larger + k - p)))
            yield (*self._size[p], comb(larger, p) * comb(self.v - larger, k - p), begin)

    def _number(self, chosen: tuple[int, ...]) -> int:
        """The number of a choice of groups in lexicographic order."""
        k = len(chosen)
        return comb(self.v, k) - 1 - sum(comb(self.v - 1 - x, k - i) for i, x in enumerate(chosen))

    @cached_property
    def _size(self) -> Mapping[int, tuple[int, int]]:
        """t and a of a block, by how many larger groups it has."""
        return {p: self._kind(p) for p in self._larger_in_block}

    def _kind(self, p: int) -> tuple[int, int]:
        """t and a of a block with p larger groups."""
        k, small = self.groups_of_block, self.d // self.v
        room = sum(
            comb(p, i) * comb(k - p, j) * -(-self._exactly(i, j) // self._sharing(i + j))
            for i in range(p + 1)
            for j in range(k - p + 1)
        )
        return k * small + p, room

    def _exactly(self, i: int, j: int) -> int:
        """Monomials that touch i given larger and j given smaller groups, each of them, and no other."""
        small = self.d // self.v
        return sum(
            (-1) ** (i + j - a - b) * comb(i, a) * comb(j, b) * monomial_count(a * (small + 1) + b * small, self.degree)
            for a in range(i + 1)
            for b in range(j + 1)
        )

    def _sharing(self, s: int) -> int:
        """Blocks that contain s given groups."""
        return comb(self.v - s, self.groups_of_block - s)

    def group(self, number: int) -> range:
        """The coordinates of a group."""
        small = self.d // self.v
        start = number * small + min(number, self._larger)
        return range(start, start + small + (number < self._larger))

    def blocks(self) -> Iterator[Mapping[str, object]]:
        """The blocks in lexicographic order of their groups."""
        dealt: dict[tuple[int, ...], int] = {}
        for chosen in combinations(range(self.v), self.groups_of_block):
            coords = tuple(x for number in chosen for x in self.group(number))
            place = {x: position for position, x in enumerate(coords)}
            held: list[Factors] = []
            for s in range(len(chosen) + 1):
                for touched in combinations(chosen, s):
                    monomials = self._touching(touched)
                    share = -(-len(monomials) // self._sharing(s))
                    begin = dealt.get(touched, 0)
                    dealt[touched] = begin + share
                    held.extend(tuple(place[x] for x in f) for f in monomials[begin : begin + share])
            t, a = self._size[sum(number < self._larger for number in chosen)]
            text = f"the block's {a} monomials"
            yield {"t": t, "a": a, "coords": coords, "monomials": Monomials(self.degree, self.d, a, tuple(held), text)}

    def _touching(self, touched: tuple[int, ...]) -> list[Factors]:
        """The monomials that touch each of these groups, and no other."""
        return touching(tuple(tuple(self.group(number)) for number in touched), self.degree)


def slots(design: Design | None) -> int:
    """Room for monomials in all blocks of a design."""
    return sum(a * times for _, a, times, _ in design.kinds()) if design else 0


def in_runs(design: Design) -> bool:
    """Whether the blocks of each kind follow each other."""
    before = 0
    for _, _, times, first in design.kinds():
        if first != before:
            return False
        before += times
    return True
