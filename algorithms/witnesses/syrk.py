"""Triangle blocks: C = A A^T, each entry computed once, with 1/sqrt(2) of the traffic of square tiles.

A square tile of B x B entries of C needs 2B words of each column of A; the triangle of all pairs of R rows has R(R-1)/2
entries and needs R words: sqrt(2) times fewer for the same number of entries. So the rows are grouped into *lines* of k
rows each, such that any two rows are on exactly one line: the lines of the affine space of dimension m over the integers
modulo a prime k, n = k^m. For each line, the scores of all its pairs stay in fast memory while the columns of A, restricted
to the line, pass by. The lines of one direction are disjoint: they take the diagonal entries too.

    loads    K n(n-1)/(k-1)    A: n(n-1)/(k(k-1)) lines, k words of each of K columns
    stores   n(n+1)/2          each entry on or below the diagonal once
    peak     k(k+1)/2 + k      the pairs and squares of a line, and its part of one column

It is no attention algorithm, hence none of `iosim list`. It is here because the lower bound K n^2/sqrt(M) for syrk, which
can be found quoted, is above what it moves; `iosim.bounds.einsum` says K n(n-1)/sqrt(2M) - M.

Source: Beaumont, Eyraud-Dubois, Verite and Langou, I/O-Optimal Algorithms for Symmetric Linear Algebra Kernels, SPAA 2022,
arXiv 2202.10217 (triangle blocks). That affine lines meet every pair once is classical; any prime k and m >= 2 will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, combinations_with_replacement, product

import numpy as np

from iosim import Builder, Size, build
from iosim.errors import UsageError
from iosim.numeric.reference import Float64
from iosim.ops import Op
from iosim.program import Program, Table


def pairs(k: int, *, squares: bool) -> list[tuple[int, int]]:
    """The pairs of k rows in the order in which a packed triangle holds them, with the pairs of equal rows or without."""
    return list((combinations_with_replacement if squares else combinations)(range(k), 2))


def _add_pairs(*, squares: bool) -> Callable[..., None]:
    def add(T: Float64, a: Float64) -> None:
        first, second = zip(*pairs(len(a), squares=squares), strict=True)
        T += np.einsum("pl,pl->p", a[list(first)], a[list(second)])

    return add


def _operation(name: str, rows: str, *, squares: bool) -> Op:
    return Op(
        name=name,
        shapes="T[u,p] a[k,l]",  # u = 1, p pairs of the k rows
        updates=1,
        uses="u(p(l(a@p a@p T)))",
        gather=lambda n, _: tuple(zip(*pairs(n["k"], squares=squares), strict=True)),
        text=f"{{T}} += products of {rows} of {{a}}",
        flops=lambda n, _: 2 * n["p"] * n["l"],
        numpy=_add_pairs(squares=squares),
    )


ADD_PAIRS = _operation("add_pairs", "each two rows", squares=False)
ADD_PAIRS_AND_SQUARES = _operation("add_pairs_and_squares", "each two rows, and of each row with itself,", squares=True)


def lines(k: int, m: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The lines of the affine space of dimension m modulo a prime k: those of the first direction, and all others.

    Example:
        >>> first, others = lines(2, 2)
        >>> first, others
        ([(0, 1), (2, 3)], [(0, 2), (1, 3), (0, 3), (1, 2)])

    Raises:
        UsageError: k is no prime, or m is below 2.
    """
    if k < 2 or any(k % divisor == 0 for divisor in range(2, k)) or m < 2:
        raise UsageError(f"triangle blocks of k={k}, m={m}: allowed: a prime k, and m from 2")
    directions = [v for v in product(range(k), repeat=m) if next((x for x in v if x), 0) == 1]
    groups = [list(_parallel(k, direction)) for direction in sorted(directions)]
    return groups[0], [line for group in groups[1:] for line in group]


def _parallel(k: int, direction: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The lines of one direction, by the rows on them."""
    axis = next(i for i, x in enumerate(direction) if x)
    for base in product(range(k), repeat=len(direction)):
        if base[axis] == 0:
            points = (tuple((b + t * v) % k for b, v in zip(base, direction, strict=True)) for t in range(k))
            yield tuple(_number(point, k) for point in points)


def _number(point: tuple[int, ...], k: int) -> int:
    number = 0
    for x in point:
        number = number * k + x
    return number


def syrk(b: Builder, *, K: Size, k: int, m: int, e: Size) -> None:
    """One line after the other, e columns of A at a time; C holds a row for each line: its packed triangle.

    Args:
        K: columns of A.
        k: rows of a line.
        m: A has k^m rows.
        e: columns that are loaded at a time; 1 needs the least fast memory.
    """
    n = k**m
    first, others = lines(k, m)
    A = b.input("A", (n, K))
    # A line of rows is a list of coordinates; which ones a triangle has seen is tested by its values.
    D = b.output("D", (len(first), k * (k + 1) // 2), needs="D[b,p] <- A[:,:]")
    C = b.output("C", (len(others), k * (k - 1) // 2), needs="C[b,p] <- A[:,:]")
    for name, found, array, op in (("f", first, D, ADD_PAIRS_AND_SQUARES), ("g", others, C, ADD_PAIRS)):
        with b.table(name, Table(list(_rows(found)))) as line:
            number = line.size("number")
            with b.zeros("t", 1, array.array.shape[1]) as t:
                with b.tiles("l", K, e) as l, b.load(A[line.coordinates("rows", "k"), l]) as a:
                    b.op(op, t, a)
                b.store(t, array[number, :])


def _rows(found: list[tuple[int, ...]]) -> Iterator[Mapping[str, object]]:
    for number, line in enumerate(found):
        yield {"number": number, "k": len(line), "rows": line}


def program(k: int, m: int = 2) -> Program:
    """The program for A of k^m rows, with sizes K and e."""
    return build(syrk, name=f"syrk (triangle blocks of {k} rows)", K="K", k=k, m=m, e="e")


def io_words(*, K: int, k: int, m: int) -> int:
    """What the program moves, as derived in this module's docstring. Units: words."""
    n: int = k**m
    return K * n * (n - 1) // (k - 1) + n * (n + 1) // 2


def peak_words(k: int) -> int:
    """Fast memory that the program needs with e = 1. Units: words."""
    return k * (k + 1) // 2 + k


def assembled(outputs: Mapping[str, Float64], k: int, m: int) -> Float64:
    """The symmetric matrix C from the packed triangles. Shapes: [n, n]."""
    n = k**m
    dense = np.full((n, n), np.nan)
    for found, packed, squares in zip(lines(k, m), (outputs["D"], outputs["C"]), (True, False), strict=True):
        for line, triangle in zip(found, packed, strict=True):
            for (x, y), value in zip(pairs(k, squares=squares), triangle, strict=True):
                dense[line[x], line[y]] = dense[line[y], line[x]] = value
    return dense
