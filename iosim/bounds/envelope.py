"""The greatest of many lines, one of which is the highest from each point on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


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
        self._starts: list[int] = []  # the first whole number at which each line is as high as the one before
        # of lines with one slope w/s the one with the smaller w is the higher one, everywhere
        for line in sorted(pairs, key=lambda pair: (_Ratio(*pair), -pair[0])):
            while self._lines:
                start = _crossing(self._lines[-1], line)
                if start is not None and (len(self._lines) == 1 or start > self._starts[-1]):
                    self._lines.append(line)
                    self._starts.append(start)
                    break
                self._lines.pop()
                self._starts.pop()
            else:
                self._lines, self._starts = [line], [-1]

    def at(self, X: int) -> tuple[int, int]:
        """(X - w) w and s of the highest line at X."""
        w, s = self._lines[max(0, bisect_right(self._starts, X) - 1)]
        return (X - w) * w, s


class _Ratio:
    """w/s, compared without division."""

    def __init__(self, w: int, s: int) -> None:
        self.w, self.s = w, s

    def __lt__(self, other: _Ratio) -> bool:
        return self.w * other.s < other.w * self.s

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ratio) and self.w * other.s == other.w * self.s

    __hash__ = None  # type: ignore[assignment]


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
