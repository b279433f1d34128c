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
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from algorithms.designs.finite_fields import Field, field

Blocks = tuple[tuple[int, ...], ...]
Vectors = NDArray[np.intp]  # over a finite field, by the numbers of its elements


def subspaces(m: int, s: int, q: int) -> Iterator[tuple[tuple[int, ...], Vectors]]:
    """The pivots of a basis in reduced echelon form, and all s-dimensional subspaces of GF(q)^m with these pivots.

    Shapes: [subspaces, s, m].
    """
    for pivots in combinations(range(m), s):
        free = [(i, c) for i, p in enumerate(pivots) for c in range(p + 1, m) if c not in pivots]
        bases = np.zeros((q ** len(free), s, m), dtype=np.intp)
        bases[:, range(s), pivots] = 1
        for (i, c), values in zip(free, _all_vectors(len(free), q).T, strict=True):
            bases[:, i, c] = values
        yield pivots, bases


def _all_vectors(m: int, q: int) -> Vectors:
    """Of GF(q)^m, in lexicographic order. Shape: [q^m, m]."""
    return np.indices((q,) * m).reshape(m, -1).T if m else np.zeros((1, 0), dtype=np.intp)


def _numbers(vectors: Vectors, q: int) -> Vectors:
    """The place of each vector among all of them. Shapes: [..., m] to [...]."""
    return vectors @ q ** np.arange(vectors.shape[-1])[::-1]


def _span(f: Field, bases: Vectors) -> Vectors:
    """Every sum of multiples of the rows. Shapes: [spaces, s, m] to [spaces, q^s, m]."""
    plus, times = np.array(f.plus), np.array(f.times)
    found = np.zeros((len(bases), 1, bases.shape[2]), dtype=np.intp)
    for row in np.moveaxis(bases, 1, 0):
        multiples = np.moveaxis(times[:, row], 0, 1)
        found = plus[found[:, :, None], multiples[:, None]].reshape(len(bases), -1, bases.shape[2])
    return found


def _sorted(points: Vectors) -> Blocks:
    """Blocks with their points in ascending order. Shape: [blocks, points]."""
    return tuple(sorted(map(tuple, np.sort(points, axis=1).tolist())))


def affine_flats(m: int, q: int, s: int) -> Blocks:
    """The s-dimensional flats of AG(m, q): any s+1 of its q^m points are in one."""
    f, found = field(q), []
    plus = np.array(f.plus)
    for pivots, bases in subspaces(m, s, q):
        # each coset has one vector with 0 at the pivots
        shifts = np.zeros((q ** (m - s), m), dtype=np.intp)
        shifts[:, [c for c in range(m) if c not in pivots]] = _all_vectors(m - s, q)
        flats = plus[_span(f, bases)[:, None], shifts[None, :, None]]
        found.append(_numbers(flats, q).reshape(-1, q**s))
    return _sorted(np.concatenate(found))


@lru_cache(maxsize=16)
def _projective_points(m: int, q: int) -> Vectors:
    """Vectors of GF(q)^(m+1) whose first entry that is not 0 is 1. Shape: [points, m+1]."""
    vectors = _all_vectors(m + 1, q)
    first = np.take_along_axis(vectors, (vectors != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    points: Vectors = vectors[first == 1]
    return points


def projective_flats(m: int, q: int, s: int) -> Blocks:
    """The s-dimensional flats of PG(m, q): any s+1 of its points are in one."""
    f, found = field(q), []
    plus, every = np.array(f.plus), _numbers(_projective_points(m, q), q)
    for _, bases in subspaces(m + 1, s + 1, q):
        # in reduced echelon form the first entry of a sum is 1 if the first coefficient is
        points = [plus[bases[:, i, None], _span(f, bases[:, i + 1 :])] for i in range(s + 1)]
        found.append(np.searchsorted(every, _numbers(np.concatenate(points, axis=1), q)))
    return _sorted(np.concatenate(found))


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


def _secants(q: int, chosen: NDArray[np.bool_], size: int) -> Blocks:
    """The lines of PG(2, q) that meet the chosen ones of its points in `size` of them."""
    kept = {int(x): i for i, x in enumerate(np.flatnonzero(chosen))}
    lines = (tuple(kept[x] for x in line if x in kept) for line in projective_flats(2, q, 1))
    return tuple(sorted(tuple(sorted(line)) for line in lines if len(line) == size))


def unital(q: int) -> Blocks:
    """The secants of the Hermitian curve x^(q+1) + y^(q+1) + z^(q+1) = 0 in PG(2, q^2): S(2, q+1, q^3+1)."""
    f = field(q * q)
    plus, norm = np.array(f.plus), np.array([f.power(x, q + 1) for x in range(f.q)])
    x, y, z = norm[_projective_points(2, f.q)].T
    return _secants(f.q, plus[plus[x, y], z] == 0, q + 1)


def maximal_arc(s: int, m: int) -> Blocks:
    """Denniston's maximal arc in PG(2, 2^s): S(2, 2^m, 2^(s+m) - 2^s + 2^m).

    The affine points (x, y) at which x^2 + b x y + y^2 is in an additive subgroup of 2^m elements, where the form is 0 at
    (0, 0) only.
    """
    f = field(2**s)
    trace_one = (b for b in range(1, f.q) if all(f.plus[f.plus[f.times[t][t]][f.times[b][t]]][1] for t in range(f.q)))
    b = next(trace_one)
    plus, times = np.array(f.plus), np.array(f.times)
    one, x, y = _projective_points(2, f.q).T
    form = plus[plus[times[x, x], times[b, times[x, y]]], times[y, y]]
    # sums of elements below 2^m are below 2^m
    return _secants(f.q, (one == 1) & (form < 2**m), 2**m)
