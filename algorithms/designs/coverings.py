"""Systems of point sets in which any g points lie together in a set: Steiner systems, geometries, and other coverings.

A `System` is a value that says how many points and sets there are; the sets are constructed when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import comb

from algorithms.designs import geometries, steiner
from algorithms.designs.base_blocks import BASE_BLOCKS, developed
from algorithms.designs.finite_fields import prime_power
from algorithms.designs.geometries import Blocks
from algorithms.designs.small_coverings import COVERINGS, small_covering


@dataclass(frozen=True)
class System:
    """Sets of k of the points 0, ..., v-1, in which any `strength` points are together.

    Attributes:
        kind: how it is constructed, a key of `CONSTRUCTIONS`.
        arguments: of the construction.
        v: points.
        k: the most points of a set.
        b: sets.
        strength: how many points, at most, are surely together in a set.
    """

    kind: str
    arguments: tuple[int, ...]
    v: int
    k: int
    b: int
    strength: int

    @property
    def exact(self) -> bool:
        """Whether any `strength` points are in exactly one set: a Steiner system."""
        return self.b * comb(self.k, self.strength) == comb(self.v, self.strength)

    @property
    def blocks(self) -> Blocks:
        """The sets."""
        return _constructed(self.kind, self.arguments)

    def __str__(self) -> str:
        return f"{self.kind}{self.arguments}"


# S(5, 8, 24), S(5, 6, 12) (Mathieu), S(5, 7, 28) and S(5, 6, 24) (Denniston), and what is derived from them
_FIVE: Mapping[tuple[int, int], Callable[[], Blocks]] = {
    (8, 24): steiner.steiner_5_8_24,
    (6, 12): steiner.steiner_5_6_12,
    (7, 28): steiner.steiner_5_7_28,
    (6, 24): steiner.steiner_5_6_24,
}


def _derived(k: int, v: int, times: int) -> Blocks:
    """S(5 - times, k - times, v - times) from an S(5, k, v)."""
    blocks = _FIVE[k, v]()
    for _ in range(times):
        blocks = steiner.derived(blocks)
    return blocks


def quadruples(v: int) -> tuple[str, tuple[int, ...]] | None:
    """Kind and arguments of an S(3, 4, v); None if none is known here. One is for every v = 2 or 4 mod 6 up to 68."""
    if (3, 4, v) in BASE_BLOCKS:
        return "base blocks", (3, 4, v)
    if v == 22:
        return "derived", (6, 24, 2)
    match prime_power(v), prime_power(v - 1):
        case (2, m), _:
            return "AG", (m, 2, 2)
        case _, (3, n):
            return "spherical", (3, n)
    return ("doubled quadruples", (v,)) if v % 4 == 0 and quadruples(v // 2) else None


def _doubled(v: int) -> Blocks:
    """An S(3, 4, v) out of one on half as many points."""
    half = quadruples(v // 2)
    assert half is not None
    return steiner.doubled(_constructed(*half))


CONSTRUCTIONS: Mapping[str, Callable[..., Blocks]] = {
    "complete": steiner.complete,
    "AG": geometries.affine_flats,
    "PG": geometries.projective_flats,
    "spherical": geometries.spherical,
    "unital": geometries.unital,
    "maximal arc": geometries.maximal_arc,
    "triples": steiner.triples,
    "doubled quadruples": _doubled,
    "derived": _derived,
    "base blocks": developed,
    "covering": small_covering,
}


@lru_cache(maxsize=256)
def _constructed(kind: str, arguments: tuple[int, ...]) -> Blocks:
    return CONSTRUCTIONS[kind](*arguments)


def steiner_blocks(g: int, k: int, v: int) -> int:
    """Blocks of an S(g, k, v)."""
    return comb(v, g) // comb(k, g)


def _gaussian(m: int, s: int, q: int) -> int:
    """s-dimensional subspaces of GF(q)^m."""
    above = below = 1
    for i in range(s):
        above *= q ** (m - i) - 1
        below *= q ** (i + 1) - 1
    return above // below


@lru_cache(maxsize=8)
def systems(strength: int, most_points: int) -> tuple[System, ...]:
    """The systems of this strength that are known here, with at most so many points."""
    return tuple(system for system in _systems(strength, most_points) if strength < system.k < system.v <= most_points)


def _systems(g: int, most: int) -> Iterator[System]:
    for q in filter(prime_power, range(2, most)):
        for m in range(g, most.bit_length()):
            if q**m <= most:
                yield System("AG", (m, q, g - 1), q**m, q ** (g - 1), q ** (m - g + 1) * _gaussian(m, g - 1, q), g)
            v, k = (q ** (m + 1) - 1) // (q - 1), (q**g - 1) // (q - 1)
            if v <= most:
                yield System("PG", (m, q, g - 1), v, k, _gaussian(m + 1, g, q), g)
    if g == 2:
        for q in (3, 4, 5):
            yield System("unital", (q,), q**3 + 1, q + 1, q * q * (q * q - q + 1), 2)
        for s, m in ((4, 2), (4, 3)):
            v = 2 ** (s + m) - 2**s + 2**m
            yield System("maximal arc", (s, m), v, 2**m, steiner_blocks(2, 2**m, v), 2)
        for v in range(13, most + 1):
            if v % 6 in (1, 3):
                yield System("triples", (v,), v, 3, steiner_blocks(2, 3, v), 2)
    if g == 3:
        for q in filter(prime_power, range(2, most)):
            for n in range(2, most.bit_length()):
                if q**n < most:
                    yield System("spherical", (q, n), q**n + 1, q + 1, steiner_blocks(3, q + 1, q**n + 1), 3)
        for v in range(10, most + 1):
            kind, arguments = quadruples(v) or ("", ())
            if kind == "doubled quadruples":
                yield System(kind, arguments, v, 4, steiner_blocks(3, 4, v), 3)
    for strength, k, v in BASE_BLOCKS:
        if strength == g:
            yield System("base blocks", (g, k, v), v, k, steiner_blocks(g, k, v), g)
    for strength, v, k in COVERINGS:
        if strength == g:
            yield System("covering", (g, v, k), v, k, len(COVERINGS[g, v, k].split()), g)
    for k, v in _FIVE:
        for times in range(4):
            # also as coverings of fewer points than are surely together
            if 5 - times in (g, g + 1):
                blocks = steiner_blocks(5 - times, k - times, v - times)
                yield System("derived", (k, v, times), v - times, k - times, blocks, g)
