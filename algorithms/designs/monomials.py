"""Lists of monomials, their weights in a polynomial of q.k, and those that touch given groups of coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement, product
from math import factorial

import numpy as np
from numpy.typing import NDArray

from iosim import Size, monomial_count

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
    def by_degree(self) -> tuple[NDArray[np.intp], ...]:
        """The factors of the monomials of each degree. Shapes: [monomials of degree m, m] each."""
        assert self.factors is not None, f"{self.text} are not listed"
        listed = [[f for f in self.factors if len(f) == m] for m in range(self.degree + 1)]
        return tuple(np.array(fs, dtype=np.intp).reshape(len(fs), m) for m, fs in enumerate(listed))

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
        for m, factors in enumerate(self.by_degree):
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
    slots = monomial_count(t, degree) - (monomial_count(t, least - 1) if least else 0)
    factors = None
    if isinstance(t, int) and isinstance(slots, int) and slots <= _LISTED:
        factors = tuple(f for m in range(least, degree + 1) for f in combinations_with_replacement(range(t), m))
    text = f"monomials of degree {least} to {degree} in {t} variables"
    return Monomials(degree, scale, slots, factors, text)


@lru_cache(maxsize=8)
def other_monomials(d: Size, t: Size, degree: int, scale: Size) -> Monomials:
    """The monomials of degree at most `degree` in d variables that are not in the first t alone."""
    slots = monomial_count(d, degree) - monomial_count(t, degree)
    factors = None
    if isinstance(d, int) and isinstance(t, int) and isinstance(slots, int) and slots <= _LISTED:
        everything = all_monomials(d, degree, scale).factors
        factors = None if everything is None else tuple(f for f in everything if f and f[-1] >= t)
    return Monomials(
        degree, scale, slots, factors, f"monomials of degree at most {degree} not in the first {t} variables"
    )


def run_of(monomials: Monomials, start: Size, stop: Size) -> Monomials:
    """Those from number `start` to number `stop` of a list."""
    factors = None
    if monomials.factors is not None and isinstance(start, int) and isinstance(stop, int):
        factors = monomials.factors[start:stop]
    return replace(monomials, slots=stop - start, factors=factors, text=f"{start} to {stop} of the {monomials.text}")


@lru_cache(maxsize=4096)
def touching(groups: tuple[tuple[int, ...], ...], degree: int) -> list[Factors]:
    found: list[Factors] = []
    for powers in product(range(1, degree + 1), repeat=len(groups)):
        if sum(powers) <= degree:
            choices = [combinations_with_replacement(group, m) for group, m in zip(groups, powers, strict=True)]
            found.extend(tuple(x for factors in picked for x in factors) for picked in product(*choices))
    return found
