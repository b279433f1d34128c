"""Finite fields GF(q), as tables of sums and products of the numbers 0, ..., q-1: for geometries over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product


@dataclass(frozen=True)
class Field:
    """The field with q elements, a power of a prime p; the number x stands for the polynomial whose coefficients are the
    digits of x in base p, the last one the constant.

    Attributes:
        q: how many elements.
        plus: plus[x][y] is x + y.
        times: times[x][y] is x y.
        powers: 1, x, x^2, ..., x^(q-2): every element but 0, for an x that generates them.
    """

    q: int
    plus: tuple[tuple[int, ...], ...]
    times: tuple[tuple[int, ...], ...]
    powers: tuple[int, ...]

    def minus(self, x: int) -> int:
        """The y with x + y = 0."""
        return self.plus[x].index(0)

    def inverse(self, x: int) -> int:
        """The y with x y = 1; x is not 0."""
        return self.times[x].index(1)

    def power(self, x: int, exponent: int) -> int:
        result = 1
        for _ in range(exponent):
            result = self.times[result][x]
        return result


def prime_power(q: int) -> tuple[int, int] | None:
    """(p, m) with q = p^m and p prime; None if q is no power of a prime."""
    p = next((p for p in range(2, q + 1) if q % p == 0), 0)
    m = 0
    while p and q % p == 0:
        q, m = q // p, m + 1
    return (p, m) if p and q == 1 else None


@lru_cache(maxsize=64)
def field(q: int) -> Field:
    """The field with q elements.

    Raises:
        ValueError: q is no power of a prime.
    """
    found = prime_power(q)
    if found is None:
        raise ValueError(f"GF({q}): {q} is no power of a prime")
    p, m = found
    plus = tuple(tuple(_number([(a + b) % p for a, b in _pairs(x, y, p, m)], p) for y in range(q)) for x in range(q))
    for low in product(range(p), repeat=m):
        powers = _powers(low, p, q)
        if powers is None:
            continue
        logarithm = {x: i for i, x in enumerate(powers)}
        times = tuple(
            tuple(powers[(logarithm[x] + logarithm[y]) % (q - 1)] if x and y else 0 for y in range(q)) for x in range(q)
        )
        return Field(q, plus, times, powers)
    raise AssertionError(f"GF({q}) has a primitive polynomial")


def _digits(x: int, p: int, m: int) -> list[int]:
    """Constant first."""
    return [x // p**i % p for i in range(m)]


def _pairs(x: int, y: int, p: int, m: int) -> list[tuple[int, int]]:
    return list(zip(_digits(x, p, m), _digits(y, p, m), strict=True))


def _number(digits: list[int], p: int) -> int:
    return sum(digit * p**i for i, digit in enumerate(digits))


def _powers(low: tuple[int, ...], p: int, q: int) -> tuple[int, ...] | None:
    """The powers of a root of x^m - low(x), if they are all elements but 0; for m = 1 the root is low itself."""
    m = len(low)
    element, found = [1] + [0] * (m - 1), [1]
    for _ in range(q - 2):
        # times x: digits move up; x^m is replaced by low(x)
        top = element[-1]
        element = [(digit + top * c) % p for digit, c in zip([0, *element[:-1]], low, strict=True)]
        found.append(_number(element, p))
    return tuple(found) if len(set(found) - {0}) == q - 1 else None
