"""Block designs: which monomials of degree at most g a block of features holds, and which coordinates it needs.

A block has `t` coordinates (`coords`) and room for `a` monomials in them (`monomials`). Every monomial is in exactly one
block. A `Part` of a design is a `Table`, so that a program can loop over it and be counted without listing it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, combinations, combinations_with_replacement, islice, product
from math import comb, factorial
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from iosim import Size, binomial
from iosim.program import Table

Factors = tuple[int, ...]  # a monomial: its factors in ascending order, x0 x0 x3 is (0, 0, 3)


@dataclass(frozen=True)
class Monomials:
    """A list of monomials, ordered by degree, with room for `slots` of them.

    Attributes:
        degree: greatest degree that the list may hold.
        scale: head dimension d; the argument of the polynomial is q.k / sqrt(d).
        slots: rows that the features take; those beyond the list are zero.
        factors: the monomials, None if they are too many to be listed or known in symbols only.
        text: what it is, for people.
    """

    degree: int
    scale: Size
    slots: Size
    factors: tuple[Factors, ...] | None
    text: str

    def __str__(self) -> str:
        return self.text

    @cached_property
    def _by_degree(self) -> tuple[NDArray[np.intp], ...]:
        assert self.factors is not None, f"{self.text} are not listed"
        listed = [[f for f in self.factors if len(f) == m] for m in range(self.degree + 1)]
        return tuple(np.array(fs, dtype=np.intp).reshape(len(fs), m) for m, fs in enumerate(listed))

    def by_degree(self) -> tuple[NDArray[np.intp], ...]:
        """The factors of the monomials of each degree. Shapes: [monomials of degree m, m] each."""
        return self._by_degree

    def in_order(self) -> tuple[Factors, ...]:
        """The monomials in the order of their features."""
        assert self.factors is not None, f"{self.text} are not listed"
        return tuple(sorted(self.factors, key=len))

    def weights(self, coefficients: tuple[float, ...]) -> NDArray[np.float64]:
        """Weight of each monomial of q and k in p(q.k / sqrt(d)) = sum of c_m (q.k)^m / d^(m/2), zero in unused slots.

        (q.k)^m is the sum over monomials alpha of degree m of m!/alpha! q^alpha k^alpha.
        """
        assert isinstance(self.scale, int)
        assert isinstance(self.slots, int)
        parts = []
        for m, factors in enumerate(self._by_degree):
            run, denominators = np.ones(len(factors)), np.ones(len(factors))
            for position in range(1, m):
                run = np.where(factors[:, position] == factors[:, position - 1], run + 1, 1)
                denominators *= run
            parts.append(coefficients[m] * factorial(m) / self.scale ** (m / 2) / denominators)
        parts.append(np.zeros(self.slots - len(self.factors or ())))
        return np.concatenate(parts)


_LISTED = 5_000_000


@lru_cache(maxsize=8)
def all_monomials(t: Size, degree: int, scale: Size, *, least: int = 0) -> Monomials:
    """All monomials of degree `least` to `degree` in t variables."""
    slots = binomial(t + degree, degree) - (binomial(t + least - 1, least - 1) if least else 0)
    factors = None
    if isinstance(t, int) and isinstance(slots, int) and slots <= _LISTED:
        factors = tuple(f for m in range(least, degree + 1) for f in combinations_with_replacement(range(t), m))
    text = f"monomials of degree {least} to {degree} in {t} variables"
    return Monomials(degree, scale, slots, factors, text)


@lru_cache(maxsize=8)
def other_monomials(d: Size, t: Size, degree: int, scale: Size) -> Monomials:
    """The monomials of degree at most `degree` in d variables that are not in the first t alone."""
    slots = binomial(d + degree, degree) - binomial(t + degree, degree)
    factors = None
    if isinstance(d, int) and isinstance(t, int) and isinstance(slots, int) and slots <= _LISTED:
        everything = all_monomials(d, degree, scale).factors
        factors = None if everything is None else tuple(f for f in everything if f and f[-1] >= t)
    return Monomials(
        degree, scale, slots, factors, f"monomials of degree at most {degree} not in the first {t} variables"
    )


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
        return comb(self.d + self.degree, self.degree)

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
            (-1) ** (i + j - a - b)
            * comb(i, a)
            * comb(j, b)
            * comb(a * (small + 1) + b * small + self.degree, self.degree)
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


@lru_cache(maxsize=4096)
def touching(groups: tuple[tuple[int, ...], ...], degree: int) -> list[Factors]:
    found: list[Factors] = []
    for powers in product(range(1, degree + 1), repeat=len(groups)):
        if sum(powers) <= degree:
            choices = [combinations_with_replacement(group, m) for group, m in zip(groups, powers, strict=True)]
            found.extend(tuple(x for factors in picked for x in factors) for picked in product(*choices))
    return found


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
