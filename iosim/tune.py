"""Which tile sizes move the fewest words? Exact counting, over all tile sizes whose peak fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iosim.expr import Expr, Extremum, Size, collect, evaluate, evaluate_int, free_symbols
from iosim.interpret.count import count, peak_words
from iosim.program import Program


class TileSearch:
    """The tile sizes of a program that fit in a fast memory, and the best of them.

    It relies on two facts about schedules, which the tests check against trying everything: a longer tile never moves
    more words and never lives in fewer, and the traffic changes with a tile size B only where ceil(axis/B) does.
    Tile sizes that never occur together in a term of the traffic or of a peak are searched one group after the other.

    Args:
        program: with symbolic tile sizes.
        tiles: the tile sizes to choose, and the axis that each one cuts.
        sizes: values of all the other sizes.
    """

    def __init__(self, program: Program, tiles: Mapping[str, str], sizes: Mapping[str, int]) -> None:
        self._axes = {name: sizes[axis] for name, axis in tiles.items()}
        self._io = count(program, sizes).io_words
        self._peaks = _arguments(peak_words(program, sizes, tiles_fit=True))
        self._groups = _groups(tuple(tiles), [*_terms(self._io), *self._peaks])

    @property
    def least_capacity(self) -> int:
        """The peak with every tile size 1. Units: words."""
        return self._peak(dict.fromkeys(self._axes, 1))

    def best(self, capacity: int) -> dict[str, int] | None:
        """The tile sizes with the fewest words moved whose peak is at most `capacity`; None if there are none.

        Of several with the same traffic it returns one that no smaller tile replaces.
        """
        chosen = dict.fromkeys(self._axes, 1)
        if self._peak(chosen) > capacity:
            return None
        for group in self._groups:
            candidates = self._candidates(group, chosen, capacity)
            chosen = min(candidates, key=lambda tiles: (evaluate_int(self._io, tiles), self._peak(tiles)))
        return chosen

    def _peak(self, tiles: Mapping[str, int]) -> int:
        return max(evaluate_int(peak, tiles) for peak in self._peaks)

    def _candidates(self, group: tuple[str, ...], tiles: dict[str, int], capacity: int) -> Iterator[dict[str, int]]:
        name, *others = group
        longest = self._longest(name, tiles, capacity)
        lengths = _breakpoints(self._axes[name], longest) if others else [_least(self._axes[name], longest)]
        if name not in free_symbols(self._io):
            lengths = [1]
        for length in lengths:
            here = {**tiles, name: length}
            if others:
                yield from self._candidates(tuple(others), here, capacity)
            else:
                yield here

    def _longest(self, name: str, tiles: Mapping[str, int], capacity: int) -> int:
        """The longest tile that fits; every peak is affine in each tile size."""
        others = {other: length for other, length in tiles.items() if other != name}
        longest = self._axes[name]
        for peak in self._peaks:
            coefficients = collect(evaluate(peak, others), name)
            assert coefficients is not None
            assert coefficients.keys() <= {(0,), (1,)}
            slope, fixed = coefficients.get((1,), 0), coefficients.get((0,), 0)
            assert isinstance(slope, int)
            assert isinstance(fixed, int)
            if slope:
                longest = min(longest, (capacity - fixed) // slope)
        return longest


def _least(axis: int, longest: int) -> int:
    """The least tile length that needs no more tiles than `longest`."""
    return -(-axis // -(-axis // longest))


def _breakpoints(axis: int, longest: int) -> list[int]:
    """The least tile length for each number of tiles, up to `longest`."""
    lengths = []
    length = _least(axis, longest)
    while True:
        lengths.append(length)
        if length == 1:
            return lengths
        length = _least(axis, length - 1)


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
    if isinstance(size, int):
        return [size]
    return [Expr({monomial: coefficient}) for monomial, coefficient in size.terms.items()]


def _groups(names: tuple[str, ...], together: list[Size]) -> list[tuple[str, ...]]:
    """Names partitioned so that names that occur together in one of the sizes are in one group."""
    groups = [{name} for name in names]
    for size in together:
        touched = [group for group in groups if group & free_symbols(size)]
        if len(touched) > 1:
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    return [tuple(sorted(group, key=names.index)) for group in groups]
