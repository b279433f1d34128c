"""Which points are there? For each algorithm the product of its axes, numbered, without being listed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from iosim.algorithm import Algorithm
from iosim.errors import UsageError
from iosim.masks import AnyMask, parse_mask
from iosim.request import COUNTS, Shape, refuse_polynomial

Point = Mapping[str, object]  # what `iosim.run` is asked for besides what all points share; its `set` is `settings`


def shape_of(point: Point, *, tied: bool) -> Shape:
    """What a point asks for of the sizes."""
    counts = {name: point[name] for name in COUNTS if name in point}
    return Shape(**counts, mask=_mask(point["mask"]), tied=tied)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _mask(text: str) -> AnyMask:
    return parse_mask(text, where="--mask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The points of one algorithm.

    Attributes:
        algo: its name.
        axes: what varies, and its values; that of the last one changes from each point to the next.
        settings: which of the axes are settings of its method.
    """

    algo: str
    axes: tuple[tuple[str, Sequence[object]], ...]
    settings: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return math.prod(len(values) for _, values in self.axes)

    def point(self, number: int) -> Point:
        """The point of that number."""
        found: dict[str, object] = {}
        for name, values in reversed(self.axes):
            number, place = divmod(number, len(values))
            found[name] = values[place]
        plain = {name: value for name, value in reversed(found.items()) if name not in self.settings}
        return {"algo": self.algo, **plain, "settings": {n: v for n, v in found.items() if n in self.settings}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All points: those of the first algorithm, those of the second one, and so on."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """How many points there are; more than `len` could say."""
        return sum(math.prod(len(values) for _, values in part.axes) for part in self.parts)

    def point(self, number: int) -> Point:
        """The point of that number.

        Example:
            >>> grid = Grid(parts=(Part(algo="flash2", axes=(("n", [64, 128]), ("M", [500, 900, 1700]))),))
            >>> grid.size, grid.point(4)
            (6, {'algo': 'flash2', 'n': 128, 'M': 900, 'settings': {}})
        """
        for part in self.parts:
            if number < len(part):
                return part.point(number)
            number -= len(part)
        raise IndexError(number)

    def points(self, wanted: Iterator[int]) -> Iterator[tuple[int, Point]]:
        """Those of some numbers, each with its number."""
        return ((number, self.point(number)) for number in wanted)


def make_grid(
    algorithms: Sequence[tuple[str, Algorithm]],
    *,
    counts: Mapping[str, Sequence[int]],
    masks: Sequence[str],
    polynomial: Mapping[str, Sequence[object]],
    settings: Mapping[str, Sequence[int]],
    capacities: Sequence[int],
) -> Grid:
    """The grid of what varies; an axis that an algorithm knows nothing of is none of its points'.

    Args:
        algorithms: each with the name by which it was asked for.
        counts: values of n, d, and so on; what is not there is as by default.
        masks: which keys a query meets.
        polynomial: what is asked for of polynomials, for those that have one, by name: `degree`, `eps`.
        settings: values of the settings of approximate methods.
        capacities: fast memories. Units: words.

    Raises:
        UsageError: an axis that none of the algorithms knows.
    """
    known = {option.name for _, algorithm in algorithms if algorithm.method for option in algorithm.method.options}
    for name in settings:
        if name not in known:
            raise UsageError(f"--set {name}: none of the algorithms has such a setting; allowed: {_listed(known)}")
    typed = {name: ",".join(map(str, values)) for name, values in polynomial.items()}
    refuse_polynomial([algorithm for _, algorithm in algorithms], **typed)
    parts = []
    for name, algorithm in algorithms:
        own = {option.name for option in algorithm.method.options} & {*settings} if algorithm.method else set()
        axes: list[tuple[str, Sequence[object]]] = [(count, counts[count]) for count in COUNTS if count in counts]
        axes.append(("mask", masks))
        axes += [(setting, values) for setting, values in settings.items() if setting in own]
        axes += polynomial.items() if algorithm.takes_polynomial else []
        parts.append(Part(algo=name, axes=(*axes, ("M", capacities)), settings=frozenset(own)))
    return Grid(parts=tuple(parts))


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no settings with these algorithms"
