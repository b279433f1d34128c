"""Systems of blocks from geometries over a finite field: any g points lie in a common flat.

    AG(m, q)         points are vectors of GF(q)^m, flats translates of subspaces; any g points lie in one of dimension g-1
    PG(m, q)         points are lines through 0 in GF(q)^(m+1), flats its subspaces
    PG(1, q^n)       the images of PG(1, q) under all x -> (a x + b)/(c x + d) over GF(q^n): any three points in exactly
                     one of them; for n = 2 the inversive plane of order q
    unital           the q^3+1 points of PG(2, q^2) on a Hermitian curve; its lines with q+1 of them
    maximal arc      of PG(2, 2^s): 2^(s+m) - 2^s + 2^m points that each line meets in none or in 2^m (Denniston)

Source: Colbourn and Dinitz, Handbook of Combinatorial Designs, parts II.5 and VII.2; Denniston, J. Combin. Theory 6, 1969.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, product

from algorithms.designs.finite_fields import Field, field

Blocks = tuple[tuple[int, ...], ...]
Vector = tuple[int, ...]


def subspaces(m: int, s: int, q: int) -> Iterator[tuple[Vector, ...]]:
    """A basis in reduced echelon form of each s-dimensional subspace of GF(q)^m."""
    for pivots in combinations(range(m), s):
        free = [(i, c) for i, p in enumerate(pivots) for c in range(p + 1, m) if c not in pivots]
        for values in product(range(q), repeat=len(free)):
            rows = [[int(c == p) for c in range(m)] for p in pivots]
            for (i, c), value in zip(free, values, strict=True):
                rows[i][c] = value
            yield tuple(map(tuple, rows))


def _span(f: Field, basis: tuple[Vector, ...], m: int) -> list[Vector]:
    found: list[Vector] = [(0,) * m]
    for row in basis:
        multiples = [tuple(f.times[c][x] for x in row) for c in range(f.q)]
        found = [_add(f, v, multiple) for v in found for multiple in multiples]
    return found


def _add(f: Field, a: Vector, b: Vector) -> Vector:
    return tuple(f.plus[x][y] for x, y in zip(a, b, strict=True))


def affine_flats(m: int, q: int, s: int) -> Blocks:
    """The s-dimensional flats of AG(m, q): any s+1 of its q^m points are in one."""
    f = field(q)
    number = {point: i for i, point in enumerate(product(range(q), repeat=m))}
    blocks: set[tuple[int, ...]] = set()
    for basis in subspaces(m, s, q):
        vectors = _span(f, basis, m)
        pivots = [next(c for c, x in enumerate(row) if x) for row in basis]
        rest = [c for c in range(m) if c not in pivots]
        for values in product(range(q), repeat=len(rest)):
            shift = [0] * m
            for c, value in zip(rest, values, strict=True):
                shift[c] = value
            blocks.add(tuple(sorted(number[_add(f, v, tuple(shift))] for v in vectors)))
    return tuple(sorted(blocks))


@lru_cache(maxsize=16)
def _projective_points(m: int, q: int) -> dict[Vector, int]:
    """Vectors of GF(q)^(m+1) whose first entry that is not 0 is 1, and their numbers."""
    vectors = (v for v in product(range(q), repeat=m + 1) if next((x for x in v if x), 0) == 1)
    return {v: i for i, v in enumerate(vectors)}


def projective_flats(m: int, q: int, s: int) -> Blocks:
    """The s-dimensional flats of PG(m, q): any s+1 of its points are in one."""
    f, number = field(q), _projective_points(m, q)
    flats = (_span(f, basis, m + 1) for basis in subspaces(m + 1, s + 1, q))
    return tuple(sorted(tuple(sorted(number[v] for v in vectors if v in number)) for vectors in flats))


def spherical(q: int, n: int) -> Blocks:
    """The images of PG(1, q) in PG(1, q^n): any three of its q^n + 1 points are in exactly one.

    Through 0, 1 and infinity goes GF(q) with infinity; three points are moved there by x -> (x-a)(b-c)/((x-c)(b-a)).
    """
    big = field(q**n)
    infinity = big.q
    # the elements with x^q = x
    small = [x for x in range(big.q) if big.power(x, q) == x]
    minus = [big.minus(x) for x in range(big.q)]
    inverse = [0, *(big.inverse(x) for x in range(1, big.q))]
    blocks: set[tuple[int, ...]] = set()
    covered: set[tuple[int, int, int]] = set()
    for a, b, c in combinations(range(big.q + 1), 3):
        if (a, b, c) in covered:
            continue
        # the map that takes 0, 1, infinity to a, b, c; c may be infinity
        if c == infinity:
            step = big.plus[b][minus[a]]
            image = [big.plus[big.times[x][step]][a] for x in small] + [infinity]
        else:
            # y = (c u x + a)/(u x + 1), which is b at x = 1: u (c - b) = b - a
            u = big.times[big.plus[b][minus[a]]][inverse[big.plus[c][minus[b]]]]
            image = [c]
            for x in small:
                ux = big.times[u][x]
                below = big.plus[ux][1]
                above = big.plus[big.times[c][ux]][a]
                image.append(big.times[above][inverse[below]] if below else infinity)
        block = tuple(sorted(image))
        blocks.add(block)
        covered.update(combinations(block, 3))
    return tuple(sorted(blocks))


def _secants(q: int, points: list[Vector], size: int) -> Blocks:
    """The lines of PG(2, q) that meet `points` in `size` of them."""
    number = _projective_points(2, q)
    kept = {number[v]: i for i, v in enumerate(points)}
    lines = (tuple(kept[x] for x in line if x in kept) for line in projective_flats(2, q, 1))
    return tuple(sorted(tuple(sorted(line)) for line in lines if len(line) == size))


def unital(q: int) -> Blocks:
    """The secants of the Hermitian curve x^(q+1) + y^(q+1) + z^(q+1) = 0 in PG(2, q^2): S(2, q+1, q^3+1)."""
    f = field(q * q)
    norm = [f.power(x, q + 1) for x in range(f.q)]
    curve = [v for v in _projective_points(2, f.q) if f.plus[f.plus[norm[v[0]]][norm[v[1]]]][norm[v[2]]] == 0]
    return _secants(f.q, curve, q + 1)


def maximal_arc(s: int, m: int) -> Blocks:
    """Denniston's maximal arc in PG(2, 2^s): S(2, 2^m, 2^(s+m) - 2^s + 2^m).

    The affine points (x, y) at which x^2 + b x y + y^2 is in an additive subgroup of 2^m elements, where the form is 0 at
    (0, 0) only.
    """
    f = field(2**s)
    trace_one = (b for b in range(1, f.q) if all(f.plus[f.plus[f.times[t][t]][f.times[b][t]]][1] for t in range(f.q)))
    b = next(trace_one)
    group = range(2**m)  # sums of elements below 2^m are below 2^m
    points: list[Vector] = [
        (1, x, y)
        for x in range(f.q)
        for y in range(f.q)
        if f.plus[f.plus[f.times[x][x]][f.times[b][f.times[x][y]]]][f.times[y][y]] in group
    ]
    return _secants(f.q, points, 2**m)
