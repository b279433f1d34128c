"""How far results on real arrays are from a float64 reference, on all rows or a sample, and how far they may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim.defaults import ALL_ROWS, DEFAULT_ROWS
from iosim.plan import Plan

if TYPE_CHECKING:
    from iosim.numeric.reference import Float64, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """The result of the program on real data against the float64 reference.

    Attributes:
        max_abs_error: greatest difference over the rows that were compared; NaN if a word of the result is not finite.
        relative_error: Frobenius norm of the difference over that of the reference, over the rows that were compared.
        error_bound: what it is proved to be at most, rounding included, over all heads; infinite if nothing is proved.
        rounding_bound: the part of the bound that is rounding.
        within_bound: whether each head (of a gradient: each of its arrays) stays within its own bound; False for NaN.
        method_error: greatest difference from what an approximate algorithm is defined to compute: attention with the
            polynomial, or the formula of its method; None for exact algorithms, and where nothing is known of rounding.
        method_bound: what that may be at most, which is rounding alone.
        is_method: whether each head stays within its own such bound; None where that is not known.
        rows_checked: rows compared, over all heads.
        rows: rows that there are, over all heads.
        seed: of the sample of rows, and of the data if they are random.
        tiles: the sizes that the program was executed with, where they are not those that were counted.
    """

    max_abs_error: float
    relative_error: float
    error_bound: float
    rounding_bound: float
    within_bound: bool
    method_error: float | None
    method_bound: float | None
    is_method: bool | None
    rows_checked: int
    rows: int
    seed: int
    tiles: Mapping[str, int]

    @property
    def proved(self) -> bool:
        """Whether there is a bound at all."""
        return math.isfinite(self.error_bound)


def sampled(n: int, rows: int | None, seed: int) -> Rows:
    """The rows of an array to be compared: as many as asked for; all up to n = 4096, else 256, if nothing is."""
    from iosim.numeric.reference import sample_rows

    wanted = rows if rows is not None else n if n <= ALL_ROWS else DEFAULT_ROWS
    return sample_rows(n, min(wanted, n), seed)


class Differences:
    """Of results from a reference, and what they may be."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.bounds: list[float] = []
        self._squares = [0.0, 0.0]  # of the differences, and of the reference

    def add(self, O: Float64, reference: Float64, rows: Rows, bound: float) -> None:
        """The greatest difference over the given rows; NaN if any word of O, in whatever row, is not finite."""
        import numpy as np

        finite = bool(np.isfinite(O).all())
        self.found.append(float(np.max(np.abs(O[rows] - reference))) if finite else math.nan)
        self.bounds.append(bound)
        for which, array in enumerate((O[rows] - reference, reference)):
            self._squares[which] += float(np.sum(array * array)) if finite else math.nan

    @property
    def relative(self) -> float:
        """Frobenius norm of the differences over that of the reference, all together; NaN where that is 0 or not finite."""
        over, under = self._squares
        return math.sqrt(over / under) if under > 0 else math.nan

    @property
    def greatest(self) -> float:
        return math.nan if any(map(math.isnan, self.found)) else max(self.found)

    @property
    def within(self) -> bool:
        return all(found <= bound for found, bound in zip(self.found, self.bounds, strict=True))

    def alone(self, plan: Plan, *, rows_checked: int, rows: int, seed: int) -> Numeric:
        """The result where rounding is all that is allowed: no other definition to compare with."""
        return Numeric(
            max_abs_error=self.greatest,
            relative_error=self.relative,
            error_bound=max(self.bounds),
            rounding_bound=max(self.bounds),
            within_bound=self.within,
            method_error=None,
            method_bound=None,
            is_method=None,
            rows_checked=rows_checked,
            rows=rows,
            seed=seed,
            tiles=executed_otherwise(plan),
        )


def executed_otherwise(plan: Plan) -> dict[str, int]:
    """The sizes that the program is executed with, where they are not those that are counted."""
    return {name: size for name, size in plan.executed.items() if size != plan.sizes[name]}
