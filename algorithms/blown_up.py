"""Block designs from systems of point sets: each point becomes a group of coordinates, each set a block.

The blocks hold every monomial once: a monomial touches at most g groups, which lie together in one or more sets, and the
monomials that could go to several blocks are dealt out so that the blocks become as equal as possible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, combinations

from algorithms.coverings import System
from algorithms.designs import Factors, Monomials, touching
from iosim import binomial

_AMOUNTS = 3  # different amounts of monomials for blocks with equally many coordinates


@lru_cache(maxsize=1 << 16)
def monomials_touching(sizes: tuple[int, ...], degree: int) -> int:
    """Monomials of degree at most `degree` with a factor in each of the groups of these sizes, and no other factor."""
    s, total = len(sizes), 0
    for chosen in range(1 << s):
        variables = sum(size for i, size in enumerate(sizes) if chosen >> i & 1)
        count = binomial(variables + degree, degree)
        assert isinstance(count, int)
        total += (-1) ** (s - chosen.bit_count()) * count
    return total


@dataclass(frozen=True)
class BlownUp:
    """The blocks of a system on v points, each point blown up to a group of the d coordinates, as equal as possible; of
    more points than coordinates some are left out.

    Which groups have one coordinate more is chosen so that no block has many of them. With `pieces`, the monomials of each
    block are cut into that many runs, each a block of its own.
    """

    d: int
    degree: int
    system: System
    pieces: int = 1

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The coordinates of each point."""
        small, larger = divmod(self.d, self.system.v)
        chosen = spread(self.system, larger)
        found, start = [], 0
        for point in range(self.system.v):
            stop = start + small + (point in chosen)
            found.append(tuple(range(start, stop)))
            start = stop
        return tuple(found)

    @cached_property
    def _sets(self) -> list[tuple[int, ...]]:
        """The points of each block that have coordinates; if points are left out, some sets may have too few to matter."""
        sets = [tuple(p for p in block if self.groups[p]) for block in self.system.blocks]
        least = min(self.degree, self.system.strength, sum(1 for group in self.groups if group))
        return [block for block in sets if len(block) >= max(1, least)]

    def _width(self, block: tuple[int, ...]) -> int:
        return sum(len(self.groups[p]) for p in block)

    @property
    def _choices(self) -> int:
        """The monomials that touch fewer groups than this may go to several blocks."""
        return self.degree if self.system.exact and self.system.strength == self.degree else self.degree + 1

    @cached_property
    def _dealt(self) -> list[dict[tuple[int, ...], tuple[int, int]]]:
        """For each set: of the monomials that touch exactly these points, it holds those from ... to ..., where there is a
        choice."""
        containing: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, block in enumerate(self._sets):
            for s in range(min(self._choices, len(block) + 1)):
                for touched in combinations(block, s):
                    containing[touched].append(number)
        sizes = [len(group) for group in self.groups]
        held = list(self._alone)
        dealt: list[dict[tuple[int, ...], tuple[int, int]]] = [{} for _ in self._sets]
        # those with the fewest choices first
        for touched, numbers in sorted(containing.items(), key=lambda item: (len(item[1]), -len(item[0]))):
            amount = monomials_touching(tuple(sorted(sizes[p] for p in touched)), self.degree)
            start = 0
            for number, share in level([held[x] for x in numbers], amount):
                x = numbers[number]
                held[x] += share
                dealt[x][touched] = start, start + share
                start += share
        return dealt

    @cached_property
    def _alone(self) -> list[int]:
        """How many monomials each set holds that could not go to another: one factor in each of g of its groups."""
        if self._choices > self.degree:
            return [0] * len(self._sets)
        sizes = [len(group) for group in self.groups]
        found = []
        for block in self._sets:
            ways = [1] + [0] * self.degree  # to choose that many factors in different groups
            for point in block:
                for s in range(self.degree, 0, -1):
                    ways[s] += ways[s - 1] * sizes[point]
            found.append(ways[self.degree])
        return found

    def _cut(self, number: int) -> list[tuple[int, int]]:
        """(first, how many) of the monomials of a set that each of its pieces holds, if any."""
        whole = self._alone[number] + sum(stop - start for start, stop in self._dealt[number].values())
        shorter, longer = divmod(whole, self.pieces)
        found, start = [], 0
        for piece in range(self.pieces):
            length = shorter + (piece < longer)
            if length:
                found.append((start, length))
            start += length
        return found

    @cached_property
    def _runs(self) -> list[tuple[int, int, int, int]]:
        """(t, room for monomials, number of the set, first of its monomials) for each block, larger ones first.

        Blocks with equally many coordinates have one of a few amounts of room, so that there are only a few kinds.
        """
        runs: list[tuple[int, int, int, int]] = []
        for number, block in enumerate(self._sets):
            t = self._width(block)
            runs += [(t, length, number, start) for start, length in self._cut(number)]
        most: dict[int, int] = {}
        step: dict[int, int] = {}
        for t in {t for t, *_ in runs}:
            held = [a for width, a, *_ in runs if width == t]
            most[t], step[t] = max(held), (max(held) - min(held)) // _AMOUNTS + 1
        roomy = [(t, most[t] - (most[t] - a) // step[t] * step[t], *rest) for t, a, *rest in runs]
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
        before, held = -1, [()]
        for t, a, number, start in self._runs:
            coords = tuple(x for p in self._sets[number] for x in self.groups[p])
            if number != before:
                before, held = number, self._held(number, coords)
            stop = start + dict(self._cut(number))[start]
            monomials = Monomials(self.degree, self.d, a, tuple(held[start:stop]), f"the block's {a} monomials")
            yield {"t": t, "a": a, "coords": coords, "monomials": monomials}

    def _held(self, number: int, coords: tuple[int, ...]) -> list[Factors]:
        """The monomials dealt to a set, by degree, in its coordinates."""
        place = {x: position for position, x in enumerate(coords)}
        held: list[Factors] = []
        shares: dict[tuple[int, ...], tuple[int, int | None]] = dict(self._dealt[number])
        if self._choices == self.degree:
            shares |= dict.fromkeys(combinations(self._sets[number], self.degree), (0, None))
        for touched, (start, stop) in shares.items():
            monomials = touching(tuple(self.groups[p] for p in touched), self.degree)
            held.extend(tuple(place[x] for x in f) for f in monomials[start:stop])
        return sorted(held, key=len)


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
    through: list[list[int]] = [[] for _ in range(system.v)]
    for number, block in enumerate(system.blocks):
        for point in block:
            through[point].append(number)
    inside = [0] * len(system.blocks)
    chosen: set[int] = set()
    for _ in range(larger):
        best = min(
            (p for p in range(system.v) if p not in chosen),
            key=lambda p: (max(inside[x] for x in through[p]), sum(inside[x] ** 2 for x in through[p]), p),
        )
        chosen.add(best)
        for x in through[best]:
            inside[x] += 1
    return frozenset(chosen)
