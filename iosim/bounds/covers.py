"""How many points a set of index tuples can have if its projections are small: covers of the letters, in rationals.

Each access of a statement projects a set E of points to the words that it touches. If exponents s_j >= 0 and t_i in {0, 1}
cover every letter, sum of s_j over the accesses with the letter + t_i >= 1, then

    |E| <= product of |projection j|^s_j * product of N_i^t_i        (N_i: how many values the letter has)

Source: Loomis and Whitney 1949 for all but one letter; Shearer's lemma (Chung, Graham, Frankl, Shearer 1986), and
Friedgut and Kahn 1998, for covers with rational exponents; the Brascamp-Lieb inequality restricted to projections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Exponents that cover all letters.

    Attributes:
        exponents: s_j, one for each access.
        whole: the letters with t_i = 1: all their values are counted.
    """

    exponents: tuple[Fraction, ...]
    whole: tuple[str, ...]

    @property
    def sigma(self) -> Fraction:
        """The sum of the exponents: the number of points grows with this power of the words."""
        return sum(self.exponents, Fraction(0))


def covers(letters: Sequence[str], accesses: Sequence[Sequence[str]]) -> tuple[Cover, ...]:
    """Vertices of the polyhedron of covers, and the mean of those with the least sum, for each choice of whole letters.

    Every cover gives a true bound; these are the ones that are tried. The mean matters where the least sum is reached at
    several vertices: A[i,j] B[j,k] C[k,l] D[l,i] has (1,0,1,0) and (0,1,0,1), and (1/2,1/2,1/2,1/2) says four times more.
    Letters that the exponents cover anyway are not counted as whole. In order: fewest whole letters, least sum.

    Example:
        >>> [tuple(map(str, c.exponents)) for c in covers("ikj", ["ik", "kj", "ij"])][0]
        ('1/2', '1/2', '1/2')
    """
    found: dict[tuple[Fraction, ...], Cover] = {}
    for count in range(len(letters) + 1):
        for whole in combinations(letters, count):
            rest = [letter for letter in letters if letter not in whole]
            corners = list(dict.fromkeys(_vertices(rest, accesses)))
            least = min((sum(corner) for corner in corners), default=0)
            best = [corner for corner in corners if sum(corner) == least]
            if len(best) > 1:
                corners.append(tuple(sum(column) / len(best) for column in zip(*best, strict=True)))
            for exponents in corners:
                found.setdefault(exponents, Cover(exponents=exponents, whole=whole))
    return tuple(sorted(found.values(), key=lambda c: (len(c.whole), c.sigma, [-e for e in c.exponents])))


def _vertices(letters: Sequence[str], accesses: Sequence[Sequence[str]]) -> Iterator[tuple[Fraction, ...]]:
    """Vertices of {s >= 0: every letter has at least 1}: as many tight letters as positive exponents."""
    rows = [[Fraction(letter in access) for access in accesses] for letter in letters]
    for size in range(min(len(accesses), len(letters)) + 1):
        for support in combinations(range(len(accesses)), size):
            for tight in combinations(rows, size):
                solution = _solve([[row[j] for j in support] for row in tight])
                if solution is None or any(value <= 0 for value in solution):
                    continue
                exponents = [Fraction(0)] * len(accesses)
                for j, value in zip(support, solution, strict=True):
                    exponents[j] = value
                if all(sum(a * s for a, s in zip(row, exponents, strict=True)) >= 1 for row in rows):
                    yield tuple(exponents)


def _solve(matrix: list[list[Fraction]]) -> list[Fraction] | None:
    """x with matrix x = (1, ..., 1), or None if there is not exactly one."""
    size = len(matrix)
    rows = [[*row, Fraction(1)] for row in matrix]
    for column in range(size):
        pivot = next((r for r in range(column, size) if rows[r][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [value / head for value in rows[column]]
        for r in range(size):
            if r != column and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[column], strict=True)]
    return [row[-1] for row in rows]
