"""The greatest of many lines, one of which is the highest from each point on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cmp_to_key


class Envelope:
    """The greatest over s of (X - w) w/s at whole numbers X, for given pairs (w, s): of lines in X of slope w/s.

    Args:
        pairs: w >= 0 and s >= 1.

    Example:
        >>> Envelope([(1, 1), (6, 3)]).at(7), Envelope([(1, 1), (6, 3)]).at(20)  # 6 1/1 > 1 6/3; 19 1/1 < 14 6/3
        ((6, 1), (84, 3))
    """

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._lines: list[tuple[int, int]] = []
        self._starts: list[
            int
        ] = []  # the first whole number at which each line but the first is as high as the one before
        for line in sorted(pairs, key=cmp_to_key(_steeper)):
            while self._lines:
                start = _crossing(self._lines[-1], line)
                if start is not None and (not self._starts or start > self._starts[-1]):
                    self._starts.append(start)
                    break
                self._lines.pop()
                del self._starts[-1:]
            self._lines.append(line)

    def at(self, X: int) -> tuple[int, int]:
        """(X - w) w and s of the highest line at X."""
        w, s = self._lines[bisect_right(self._starts, X)]
        return (X - w) * w, s


def _steeper(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Above 0 if w/s of `one` is the greater slope or, of two equal ones, its w the smaller: it is the higher line then."""
    (w, s), (v, r) = one, other
    return w * r - v * s or v - w


def _crossing(one: tuple[int, int], other: tuple[int, int]) -> int | None:
    """The first whole X at which the steeper line `other` is at least as high; None if they are parallel, and it is the
    higher one.

    (X - w) w/s <= (X - v) v/r from X = (v^2 s - w^2 r)/(v s - w r) on.
    """
    (w, s), (v, r) = one, other
    steeper = v * s - w * r
    if steeper == 0:
        return None
    return -((w * w * r - v * v * s) // steeper)
