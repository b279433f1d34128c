"""Which tile sizes move the fewest words? Exact counting, over all tile sizes whose peak fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count as count_from
from typing import TypeAlias

from iosim.errors import CountError, ProgramError
from iosim.expr import (
    Coefficient,
    Expr,
    Extremum,
    Monomial,
    Size,
    collect,
    evaluate,
    evaluate_int,
    free_symbols,
    terms_of,
)
from iosim.expr.compiled import Compiled, compiled
from iosim.interpret.count import count, peak_words
from iosim.intervals import interval, trend
from iosim.program import Alloc, Free, Load, Loop, Program, Statement, TableLoop

_BOXES = 2_000  # of tile sizes that are looked at, where it is not known that longer tiles are better

Box: TypeAlias = dict[str, tuple[int, int]]  # the least and the greatest size of each tile


class TileSearch:
    """The tile sizes of a program that fit in a fast memory, and the best of them.

    The search is branch and bound. Where a longer tile surely never moves more words and never lives in fewer, which is
    read off the formulas, it looks at the longest tiles that fit, and tile sizes that never occur together in a term of
    the traffic or of a peak are searched one group after the other. Where that is not sure, it bounds boxes of tile sizes.

    Args:
        program: with symbolic tile sizes.
        tiles: the tile sizes to choose, and the length of the axis that each one cuts.
        sizes: values of all the other sizes.
        claim: of the traffic: never more than the count, and perhaps a simpler formula, with closer bounds.
    """

    def __init__(
        self,
        program: Program,
        tiles: Mapping[str, int],
        sizes: Mapping[str, int],
        claim: Size = 0,
    ) -> None:
        self._claim = evaluate(claim, sizes)
        self._name, self._axes = program.name, dict(tiles)
        self._program, self._sizes = program, dict(sizes)
        self._exact_peak: Compiled | None = None
        self._io = count(program, sizes).io_words
        self._peaks = _arguments(peak_words(program, sizes, tiles_fit=True))
        if any(free_symbols(peak) - set(tiles) for peak in self._peaks):
            raise ProgramError(
                f"{program.name}: {', '.join(_left(program.body))}: still in fast memory after the loop that makes it; "
                "free it in the loop"
            )
        irregular = [
            name
            for name in tiles
            if not self._surely(self._io, name, -1) or not all(self._surely(peak, name, 1) for peak in self._peaks)
        ]
        self._irregular = tuple(irregular)
        regular = tuple(name for name in tiles if name not in irregular)
        self._groups = _groups(regular, [*_terms(self._io), *self._peaks])
        self._names = tuple(tiles)  # in the order of which all tile sizes are, below
        self._io_of, self._claim_of = (compiled(size, self._names) for size in (self._io, self._claim))
        self._peaks_of = [compiled(peak, self._names) for peak in self._peaks]
        self._limits = {
            name: [
                (_limit(peak, name, self._names), compiled(peak, self._names))
                for peak in self._peaks
                if name in free_symbols(peak)
            ]
            for name in self._names
        }
        self._in_traffic = free_symbols(self._io)

    @property
    def least_capacity(self) -> int:
        """The peak with every tile size 1. Units: words."""
        return self._peak(dict.fromkeys(self._axes, 1))

    def io_words(self, tiles: Mapping[str, int]) -> int:
        """The counted traffic with these tile sizes. Units: words."""
        return self._io_of(*(tiles[name] for name in self._names))

    def peak_words(self, tiles: Mapping[str, int]) -> int:
        """The exact peak with these tile sizes; the search itself takes it that every loop has a tile. Units: words."""
        try:
            if self._exact_peak is None:
                self._exact_peak = compiled(peak_words(self._program, self._sizes), self._names)
        except CountError:  # not known in symbols
            return evaluate_int(peak_words(self._program, {**self._sizes, **tiles}), {})
        return self._exact_peak(*(tiles[name] for name in self._names))

    def best(self, capacity: int) -> dict[str, int] | None:
        """The tile sizes with the fewest words moved whose peak is at most `capacity`; None if there are none.

        Of several with the same traffic it returns one in which no tile can be smaller.

        Raises:
            CountError: too many boxes of tile sizes would have to be looked at.
        """
        if self.least_capacity > capacity:
            return None
        ones = dict.fromkeys(self._axes, 1)
        chosen = self._bounded(ones, capacity) if self._irregular else self._completed(ones, capacity)
        words = self.io_words(chosen)
        for name, axis in self._axes.items():
            shorter = {**chosen, name: _least(axis, chosen[name]) if name in self._in_traffic else 1}
            if self.io_words(shorter) == words and self._peak(shorter) <= self._peak(chosen):
                chosen = shorter
        return chosen

    def _surely(self, size: Size, name: str, sign: int) -> bool:
        """Whether `size` surely never goes against `sign` (1: up, -1: down) where the tile `name` gets longer.

        What depends on the tile is a factor whose own way is known, times a rest: n ceil(n/B) - C ceil(n/B) goes the way of
        ceil(n/B), as n - C is never negative.
        """
        rests: dict[Monomial, dict[Monomial, Coefficient]] = {}
        for monomial, coefficient in terms_of(size).items():
            mine = tuple(factor for factor in monomial if name in free_symbols(Expr({(factor,): 1})))
            rests.setdefault(mine, {})[tuple(factor for factor in monomial if factor not in mine)] = coefficient
        for mine, rest in rests.items():
            ways = trend(Expr({mine: 1}), name) if mine else set()
            if ways:
                least, greatest = interval(Expr(rest), {other: (1, axis) for other, axis in self._axes.items()})
                if not (ways <= {sign} and least >= 0) and not (ways <= {-sign} and greatest <= 0):
                    return False
        return True

    def _completed(self, tiles: dict[str, int], capacity: int) -> dict[str, int]:
        """The best of the tiles of which longer ones are better, where the others are as in `tiles`, and all fit."""
        for group in self._groups:
            tiles = self._best_of_group(group, tiles, capacity)[1]
        return tiles

    def _bounded(self, ones: dict[str, int], capacity: int) -> dict[str, int]:
        """Branch and bound over boxes of the other tile sizes, with what interval arithmetic says about each box."""
        best, found = ones, self.io_words(ones)
        ticket = count_from(0)  # boxes of one bound are taken in the order in which they came
        waiting: list[tuple[Fraction, int, Box]] = []

        def wait(box: Box) -> None:
            shortest = {**ones, **{name: low for name, (low, _) in box.items()}}
            if self._peak(shortest) > capacity:
                return
            others = {name: self._longest(name, shortest, capacity) for name in ones if name not in box}
            whole = {**box, **{name: (longest, longest) for name, longest in others.items()}}
            least = max(interval(x, whole)[0] for x in (self._io, self._claim))
            heappush(waiting, (Fraction(least), next(ticket), box))

        wait({name: (1, self._longest(name, ones, capacity)) for name in self._irregular})
        for _ in range(_BOXES):
            if not waiting or waiting[0][0] >= found:
                return best
            _, _, box = heappop(waiting)
            widest = max(box, key=lambda name: Fraction(box[name][1], box[name][0]))
            low, high = box[widest]
            for side in (1, 0):
                tiles = {**ones, **{name: ends[side] for name, ends in box.items()}}
                if self._peak(tiles) <= capacity:
                    tiles = self._completed(tiles, capacity)
                    words = self.io_words(tiles)
                    if self._claim_of(*(tiles[name] for name in self._names)) > words:
                        raise CountError(
                            f"{self._name}: {words:,} words counted, more claimed: {self._claim}, at {tiles}"
                        )
                    best, found = (tiles, words) if words < found else (best, found)
            if low < high:
                middle = (low + high) // 2
                wait({**box, widest: (low, middle)})
                wait({**box, widest: (middle + 1, high)})
        raise CountError(
            f"{self._name}: the best tile sizes are not found among {_BOXES:,} boxes; give them explicitly"
        )

    def _peak(self, tiles: Mapping[str, int]) -> int:
        return max(peak(*tiles.values()) for peak in self._peaks_of)

    def _best_of_group(
        self, group: tuple[str, ...], tiles: dict[str, int], capacity: int
    ) -> tuple[int, dict[str, int]]:
        """The least traffic over the tile sizes of `group`, the others as they are, and where it is reached.

        Branch and bound on the length of the first tile: over lengths low .. high, the traffic is at least what it is
        with the longest first tile (high) and the other tiles as long as the shortest one (low) lets each of them be.
        """
        name, *others = group
        longest = self._longest(name, tiles, capacity)
        if not others:
            best = {**tiles, name: longest}
            return self._io_of(*best.values()), best

        def at_least(low: int, high: int) -> int:
            here, widest = {**tiles, name: low}, {**tiles, name: high}
            for other in others:
                widest[other] = self._longest(other, here, capacity)
            return self._io_of(*widest.values())

        found: tuple[int, dict[str, int]] | None = None
        waiting = [(at_least(1, longest), 1, longest)]
        while waiting:
            bound, low, high = heappop(waiting)
            if found is not None and bound >= found[0]:
                break
            if low == high:
                reached = self._best_of_group(tuple(others), {**tiles, name: low}, capacity)
                found = reached if found is None or reached[0] < found[0] else found
                continue
            middle = (low + high) // 2
            for part in ((low, middle), (middle + 1, high)):
                heappush(waiting, (at_least(*part), *part))
        assert found is not None
        return found

    def _longest(self, name: str, tiles: Mapping[str, int], capacity: int) -> int:
        """The longest tile that fits: by a division where a peak is affine in the tile size, else by bisection."""
        longest = self._axes[name]
        lengths = tuple(tiles.values())
        for limit, peak in self._limits[name]:
            if limit is not None:
                slope, fixed = limit[0](*lengths), limit[1](*lengths)
                longest = min(longest, (capacity - fixed) // slope) if slope else longest
                continue
            place = self._names.index(name)

            def at(length: int, peak: Compiled = peak, place: int = place) -> int:
                return peak(*lengths[:place], length, *lengths[place + 1 :])

            longest = bisect_right(range(1, longest + 1), capacity, key=at)
        return longest


def _left(body: tuple[Statement, ...]) -> Iterator[str]:
    """The tiles that a loop in there makes and does not free."""
    for loop in body:
        if isinstance(loop, Loop | TableLoop):
            made = [each.tile.name for each in loop.body if isinstance(each, Load | Alloc)]
            freed = {each.tile.name for each in loop.body if isinstance(each, Free)}
            yield from (name for name in made if name not in freed)
            yield from _left(loop.body)


def _limit(peak: Size, name: str, names: tuple[str, ...]) -> tuple[Compiled, Compiled] | None:
    """What a peak that is affine in a tile size grows with it by, and what it is without it; None if it is not affine."""
    coefficients = collect(peak, name)
    if coefficients is None or not coefficients.keys() <= {(0,), (1,)}:
        return None
    return compiled(coefficients.get((1,), 0), names), compiled(coefficients.get((0,), 0), names)


def _least(axis: int, longest: int) -> int:
    """The least tile length that needs no more tiles than `longest`."""
    return -(-axis // -(-axis // longest))


def _arguments(peak: Size) -> list[Size]:
    """The sizes whose maximum `peak` is."""
    if isinstance(peak, Expr) and len(peak.terms) == 1:
        ((monomial, coefficient),) = peak.terms.items()
        if len(monomial) == 1 and coefficient == 1 and monomial[0][1] == 1:
            atom = monomial[0][0]
            if isinstance(atom, Extremum) and atom.greatest:
                return list(atom.arguments)
    return [peak]


def _terms(size: Size) -> list[Size]:
    return [Expr({monomial: coefficient}) for monomial, coefficient in terms_of(size).items()]


def _groups(names: tuple[str, ...], together: list[Size]) -> list[tuple[str, ...]]:
    """Names partitioned so that names that occur together in one of the sizes are in one group."""
    groups = [{name} for name in names]
    for size in together:
        touched = [group for group in groups if group & free_symbols(size)]
        if len(touched) > 1:
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    return [tuple(sorted(group, key=names.index)) for group in groups]
