"""Block designs from systems of point sets: each point becomes a group of coordinates, each set a block.

The blocks hold every monomial once: a monomial touches at most g groups, which lie together in one or more sets, and the
monomials that could go to several blocks are dealt out so that the blocks become as equal as possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, combinations

from algorithms.designs.coverings import System
from algorithms.designs.monomials import Factors, Monomials, touching
from iosim import monomial_count

_ROUNDS = 6  # in which the monomials are dealt out, at the most
_AMOUNTS = 3  # different amounts of monomials for blocks with equally many coordinates


@lru_cache(maxsize=1 << 16)
def monomials_touching(sizes: tuple[int, ...], degree: int) -> int:
    """Monomials of degree at most `degree` with a factor in each of the groups of these sizes, and no other factor."""
    s, total = len(sizes), 0
    for chosen in range(1 << s):
        variables = sum(size for i, size in enumerate(sizes) if chosen >> i & 1)
        total += (-1) ** (s - chosen.bit_count()) * monomial_count(variables, degree)
    return total


@lru_cache(maxsize=1 << 16)
def _one_of_each(sizes: tuple[int, ...], count: int) -> int:
    """Ways to choose `count` factors, each of another of the groups of these sizes."""
    ways = [1] + [0] * count
    for size in sizes:
        for s in range(count, 0, -1):
            ways[s] += ways[s - 1] * size
    return ways[count]


@dataclass(frozen=True)
class Deal:
    """Which monomials of degree at most `degree` each set of a system holds, its points blown up to groups of the d
    coordinates."""

    d: int
    degree: int
    system: System

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The coordinates of each point, as many as possible for all, and one more for some; which ones, such that no set
        has many of them. Of more points than coordinates some have none."""
        small, larger = divmod(self.d, self.system.v)
        chosen = spread(self.system, larger)
        found, start = [], 0
        for point in range(self.system.v):
            stop = start + small + (point in chosen)
            found.append(tuple(range(start, stop)))
            start = stop
        return tuple(found)

    @cached_property
    def sets(self) -> list[tuple[int, ...]]:
        """The points of each set that have coordinates; a set with too few to matter is left out."""
        sets = list(self.system.blocks)
        if self.system.v > self.d:
            sets = [tuple(p for p in block if self.groups[p]) for block in sets]
        least = min(self.degree, self.system.strength, sum(1 for group in self.groups if group))
        return [block for block in sets if len(block) >= max(1, least)]

    @cached_property
    def widths(self) -> list[int]:
        """How many coordinates each set has."""
        sizes = [len(group) for group in self.groups]
        return [sum([sizes[p] for p in block]) for block in self.sets]

    @property
    def _listed(self) -> int:
        """Any points that are at least as many as this are in one set only."""
        return self.degree if self.system.exact and self.system.strength == self.degree else self.degree + 1

    @cached_property
    def _dealt(self) -> tuple[dict[tuple[int, ...], list[tuple[int, int, int]]], list[int]]:
        """(set, start, stop) for points that are together in several sets: of the monomials that touch exactly these, the
        set holds those from start to stop. They are dealt out in rounds, each of which levels what the last one left.
        And how many monomials each set holds."""
        containing: dict[tuple[int, ...], list[int]] = {}
        for number, block in enumerate(self.sets):
            for s in range(min(self._listed, len(block) + 1)):
                for touched in combinations(block, s):
                    containing.setdefault(touched, []).append(number)
        sizes, held = [len(group) for group in self.groups], list(self.own)
        choices: list[tuple[tuple[int, ...], list[int]]] = []
        for touched, numbers in containing.items():
            if len(numbers) > 1:
                choices.append((touched, numbers))
            else:
                held[numbers[0]] += monomials_touching(tuple(sorted([sizes[p] for p in touched])), self.degree)
        choices.sort(key=lambda choice: (len(choice[1]), -len(choice[0])))
        shares: list[list[tuple[int, int]]] = [[] for _ in choices]
        fullest = 0
        for _ in range(_ROUNDS):
            for i, (touched, numbers) in enumerate(choices):
                for x, share in shares[i]:
                    held[x] -= share
                amount = monomials_touching(tuple(sorted([sizes[p] for p in touched])), self.degree)
                shares[i] = [(numbers[at], share) for at, share in level([held[x] for x in numbers], amount)]
                for x, share in shares[i]:
                    held[x] += share
            if max(held) == fullest or max(held) - min(held) <= 1:
                break
            fullest = max(held)
        shared: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
        for (touched, _), mine in zip(choices, shares, strict=True):
            stops = accumulate((share for _, share in mine), initial=0)
            shared[touched] = [(x, stop, stop + share) for (x, share), stop in zip(mine, stops, strict=False)]
        return shared, held

    @cached_property
    def own(self) -> list[int]:
        """How many monomials each set holds that could go to no other: those with a factor in each of g groups."""
        if self._listed > self.degree:
            return [0] * len(self.sets)
        sizes = [len(group) for group in self.groups]
        return [_one_of_each(tuple(sorted([sizes[p] for p in block])), self.degree) for block in self.sets]

    @property
    def amounts(self) -> list[int]:
        """How many monomials each set holds."""
        return self._dealt[1]

    def monomials(self, number: int) -> list[Factors]:
        """The monomials that a set holds, by degree; their factors are positions among its coordinates."""
        block, (shared, _) = self.sets[number], self._dealt
        coordinates = (x for p in block for x in self.groups[p])
        place = {x: position for position, x in enumerate(coordinates)}
        held: list[Factors] = []
        for s in range(min(self.degree, len(block)) + 1):
            for touched in combinations(block, s):
                monomials = touching(tuple(self.groups[p] for p in touched), self.degree)
                if touched in shared:
                    mine = [(start, stop) for x, start, stop in shared[touched] if x == number]
                    monomials = monomials[slice(*mine[0])] if mine else []
                held.extend(tuple(place[x] for x in f) for f in monomials)
        return sorted(held, key=len)


@lru_cache(maxsize=256)
def deal(d: int, degree: int, system: System) -> Deal:
    """One deal for all the ways to cut it into pieces."""
    return Deal(d, degree, system)


@dataclass(frozen=True)
class BlownUp:
    """The blocks of a system on v points, each point blown up to a group of the d coordinates, see `Deal`. With `pieces`,
    the monomials of each set are cut into that many runs, each a block of its own."""

    d: int
    degree: int
    system: System
    pieces: int = 1

    @property
    def _deal(self) -> Deal:
        return deal(self.d, self.degree, self.system)

    def _cut(self, amount: int) -> list[tuple[int, int]]:
        """(first, how many) of so many monomials that each piece holds, if any."""
        shorter, longer = divmod(amount, self.pieces)
        lengths = [length for piece in range(self.pieces) if (length := shorter + (piece < longer))]
        return list(zip(accumulate(lengths, initial=0), lengths, strict=False))

    @cached_property
    def _runs(self) -> list[tuple[int, int, int, int]]:
        """(t, room for monomials, number of the set, first of its monomials) for each block, larger ones first.

        Blocks with equally many coordinates have one of a few amounts of room, so that there are only a few kinds.
        """
        runs: list[tuple[int, int, int, int]] = []
        for number, (t, amount) in enumerate(zip(self._deal.widths, self._deal.amounts, strict=True)):
            runs += [(t, length, number, start) for start, length in self._cut(amount)]
        held: dict[int, set[int]] = {}
        for t, a, *_ in runs:
            held.setdefault(t, set()).add(a)
        most = {t: max(amounts) for t, amounts in held.items()}
        step = {t: (max(amounts) - min(amounts)) // _AMOUNTS + 1 for t, amounts in held.items()}
        roomy = [(t, most[t] - (most[t] - a) // step[t] * step[t], x, start) for t, a, x, start in runs]
        return sorted(roomy, key=lambda run: (-run[0], -run[1], *run[2:]))

    @cached_property
    def _kinds(self) -> list[tuple[int, int, int, int]]:
        times = Counter((t, a) for t, a, *_ in self._runs)
        starts = accumulate(times.values(), initial=0)
        return [(t, a, count, first) for ((t, a), count), first in zip(times.items(), starts, strict=False)]

    @property
    def NB(self) -> int:
        return len(self._runs)

    @cached_property
    def coordinates_words(self) -> int:
        return sum(t * times for t, _, times, _ in self._kinds)

    @property
    def first(self) -> tuple[int, int]:
        return self._kinds[0][:2]

    @property
    def last(self) -> tuple[int, int]:
        return self._kinds[-1][:2]

    def kinds(self) -> Iterator[tuple[int, int, int, int]]:
        return iter(self._kinds)

    def blocks(self) -> Iterator[Mapping[str, object]]:
        before, held = -1, list[Factors]()
        for t, a, number, start in self._runs:
            coords = tuple(x for p in self._deal.sets[number] for x in self._deal.groups[p])
            if number != before:
                before, held = number, self._deal.monomials(number)
            stop = start + dict(self._cut(self._deal.amounts[number]))[start]
            monomials = Monomials(self.degree, self.d, a, tuple(held[start:stop]), f"the block's {a} monomials")
            yield {"t": t, "a": a, "coords": coords, "monomials": monomials}


def level(heights: list[int], amount: int) -> list[tuple[int, int]]:
    """(position, share) so that the shares add up to `amount` and the lowest heights are raised to one level."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    filled, total = 0, amount
    for x in order:
        if filled and total <= heights[x] * filled:
            break
        total += heights[x]
        filled += 1
    base, more = divmod(total, filled)
    shares = [(x, base + (i < more) - heights[x]) for i, x in enumerate(order[:filled])]
    return [(x, share) for x, share in shares if share]


def spread(system: System, larger: int) -> frozenset[int]:
    """`larger` of the points such that no block has many of them: one after the other, where the fullest block through
    it is the least full."""
    blocks = system.blocks
    through: list[list[int]] = [[] for _ in range(system.v)]
    for number, block in enumerate(blocks):
        for point in block:
            through[point].append(number)
    inside = [0] * len(blocks)
    fullest, squares = (
        [0] * system.v,
        [0] * system.v,
    )  # of the blocks through each point: the most, and the sum of squares
    left = set(range(system.v))
    for _ in range(larger):
        best = min(left, key=lambda p: (fullest[p], squares[p], p))
        left.remove(best)
        for x in through[best]:
            before = inside[x]
            inside[x] = before + 1
            for p in blocks[x]:
                squares[p] += 2 * before + 1
                if fullest[p] <= before:
                    fullest[p] = before + 1
    return frozenset(range(system.v)) - left
