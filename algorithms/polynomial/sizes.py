"""What schedules of polynomial attention share: their source, words for products, groups of columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from iosim import Mask, Problem, Size, monomial_count

SOURCE = (
    "Alman and Song, NeurIPS 2023 (polynomial method); Papp, Sobczyk and Zouzias, arXiv 2605.23751, 2026 "
    "(the question of its I/O); the schedule is this package's"
)
FEATURES_EXECUTED = 2**20  # numbers in one piece of features, when a program is executed: they stay in a cache


def lengths(problem: Problem) -> dict[str, int]:
    """Rows of Q, keys and columns of V."""
    return {"n": problem.n * problem.group, "n_k": problem.n_k, "d_v": problem.d_v}


def length_symbols(problem: Problem) -> dict[str, Size]:
    """The same in symbols."""
    letters = problem.letters
    return {"n": letters["n"] * letters["g"], "n_k": letters["n_k"], "d_v": letters["d_v"]}


def prefixes(degree: int) -> int:
    """Words for the products of a monomial's first factors, the last factor being fused into a sum."""
    return max(degree, 1) - 1


def resident_peak(*, d: Size, d_v: Size, degree: int) -> Size:
    """When queries use them: the sums of all features but the constant, which are numbers of keys; q, the normaliser, one
    output and the prefix products. Units: words."""
    return monomial_count(d, degree) * (d_v + 1) - 1 + d + 1 + 1 + prefixes(degree)


def rows_executed(features: int, n: int) -> int:
    """Rows whose features make a good piece of numpy work."""
    return max(1, min(n, FEATURES_EXECUTED // features))


def coarse(problem: Problem, features: int) -> dict[str, int]:
    """Rows, columns and positions at a time that are good numpy work; positions so few that the sums are used too."""
    rows = rows_executed(features, problem.n)
    positions = {} if problem.mask.full else {"B": max(1, min(rows, problem.n // 2))}
    return {"N": rows, "c": problem.d_v, **positions}


def copied(problem: Problem) -> int:
    """Words for copies of values, which weights need that are not applied in place to whole sums: one in degree 1, where no
    prefix product is there to be scaled."""
    return int(problem.degree == 1 and not problem.mask.full)


def unsupported(problem: Problem) -> str | None:
    """Why sums of features, to which keys are added and from which none is taken, are not for this problem."""
    if isinstance(problem.mask, Mask) and problem.mask.back is None:
        return None
    return "masks under which no key is left out again: full, causal, band:all,AHEAD"


class Groups(NamedTuple):
    """Groups of columns of V, with the column of ones.

    Attributes:
        NC: how many groups there are.
        e: columns of a group; the last may have fewer.
    """

    NC: Any
    e: Any


def columns(size: Any, d_v: int) -> Groups:
    """How many groups of at most `size` columns there are, and the fewest columns that need no more; of an array of sizes,
    arrays."""
    NC = -(-(d_v + 1) // size)
    return Groups(NC, -(-(d_v + 1) // NC))
