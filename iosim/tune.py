"""Which tile sizes move the fewest words? Exact counting, over all tile sizes whose peak fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from heapq import heappop, heappush
from itertools import product
from math import inf, prod

from iosim.errors import CountError
from iosim.expr import (
    Atom,
    Coefficient,
    Expr,
    Extremum,
    Monomial,
    Quotient,
    Size,
    collect,
    evaluate,
    evaluate_int,
    free_symbols,
    terms_of,
)
from iosim.interpret.count import count, peak_words, trend
from iosim.program import Program

_TRIED = 20_000  # tile sizes that are tried one by one


class TileSearch:
    """The tile sizes of a program that fit in a fast memory, and the best of them.

    Where a longer tile surely never moves more words and never lives in fewer, which is read off the formulas, the
    search is branch and bound, and tile sizes that never occur together in a term of the traffic or of a peak are
    searched one group after the other. Where that is not sure, every tile size is tried.

    Args:
        program: with symbolic tile sizes.
        tiles: the tile sizes to choose, and the length of the axis that each one cuts.
        sizes: values of all the other sizes.

    Raises:
        CountError: not sure, and too many tile sizes to try.
    """

    def __init__(self, program: Program, tiles: Mapping[str, int], sizes: Mapping[str, int]) -> None:
        self._axes = dict(tiles)
        self._io = count(program, sizes).io_words
        self._peaks = _arguments(peak_words(program, sizes, tiles_fit=True))
        self._groups = _groups(tuple(tiles), [*_terms(self._io), *self._peaks])
        irregular = [
            name
            for name in tiles
            if not self._surely(self._io, name, -1) or not all(self._surely(peak, name, 1) for peak in self._peaks)
        ]
        self._try_all = bool(irregular)
        if irregular and prod(self._axes.values()) > _TRIED:
            names = ", ".join(irregular)
            raise CountError(
                f"{program.name}: a longer {names} may move more words, and there are too many tile sizes to try; "
                "give them explicitly"
            )

    @property
    def least_capacity(self) -> int:
        """The peak with every tile size 1. Units: words."""
        return self._peak(dict.fromkeys(self._axes, 1))

    def best(self, capacity: int) -> dict[str, int] | None:
        """The tile sizes with the fewest words moved whose peak is at most `capacity`; None if there are none.

        Of several with the same traffic it returns one in which no tile can be smaller.
        """
        if self._try_all:
            return self._best_of_all(capacity)
        chosen = dict.fromkeys(self._axes, 1)
        if self._peak(chosen) > capacity:
            return None
        for group in self._groups:
            chosen = self._best_of_group(group, chosen, capacity)[1]
        words = evaluate_int(self._io, chosen)
        for name, axis in self._axes.items():
            shorter = {**chosen, name: _least(axis, chosen[name]) if name in free_symbols(self._io) else 1}
            if evaluate_int(self._io, shorter) == words:
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
                least, greatest = self._range(rest)
                if not (ways <= {sign} and least >= 0) and not (ways <= {-sign} and greatest <= 0):
                    return False
        return True

    def _range(self, terms: Mapping[Monomial, Coefficient]) -> tuple[float, float]:
        """At most the least and at least the greatest value over all tile sizes, to float rounding, which keeps signs."""
        least = greatest = Fraction(0)
        for monomial, coefficient in terms.items():
            low = high = Fraction(1)
            for atom, exponent in monomial:
                ends = self._ends(atom)
                if ends is None:
                    return -inf, inf
                low, high = low * ends[0] ** exponent, high * ends[1] ** exponent
            both = coefficient * low, coefficient * high
            least, greatest = least + min(both), greatest + max(both)
        return float(least), float(greatest)

    def _ends(self, atom: Atom) -> tuple[int, int] | None:
        """At most its least and at least its greatest value, neither negative; None if they are not known."""
        whole = Expr({((atom, 1),): 1})
        match atom:
            case str():
                return 1, self._axes[atom]
            case Quotient(numerator=int()) if len(free_symbols(whole)) == 1:
                (name,) = free_symbols(whole)
                return evaluate_int(whole, {name: self._axes[name]}), evaluate_int(whole, {name: 1})
            case _:
                return None

    def _best_of_all(self, capacity: int) -> dict[str, int] | None:
        lengths = product(*(range(1, axis + 1) for axis in self._axes.values()))
        every = (dict(zip(self._axes, chosen, strict=True)) for chosen in lengths)
        fitting = (tiles for tiles in every if self._peak(tiles) <= capacity)
        return min(fitting, key=lambda tiles: (evaluate_int(self._io, tiles), self._peak(tiles)), default=None)

    def _peak(self, tiles: Mapping[str, int]) -> int:
        return max(evaluate_int(peak, tiles) for peak in self._peaks)

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
            return evaluate_int(self._io, best), best

        def at_least(low: int, high: int) -> int:
            here = {**tiles, name: low}
            free = {other: self._longest(other, here, capacity) for other in others}
            return evaluate_int(self._io, {**tiles, **free, name: high})

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
        others = {other: length for other, length in tiles.items() if other != name}
        longest = self._axes[name]
        for peak in self._peaks:
            needed = evaluate(peak, others)
            coefficients = collect(needed, name)
            if coefficients is None or not coefficients.keys() <= {(0,), (1,)}:
                longest = bisect_right(range(1, longest + 1), capacity, key=partial(_at, needed, name))
                continue
            slope, fixed = coefficients.get((1,), 0), coefficients.get((0,), 0)
            assert isinstance(slope, int)
            assert isinstance(fixed, int)
            if slope:
                longest = min(longest, (capacity - fixed) // slope)
        return longest


def _at(words: Size, name: str, length: int) -> int:
    return evaluate_int(words, {name: length})


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
