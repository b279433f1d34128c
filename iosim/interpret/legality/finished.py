"""Has each word that was written seen what it needs? All words at once, or in parts where they differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from iosim.expr import Size, symbol
from iosim.interpret.legality.boxes import Box, without
from iosim.interpret.legality.ranges import Ranges, Split
from iosim.interpret.legality.written import Reach, Written, box_of


@dataclass(frozen=True, slots=True)
class _Run:
    """Some coordinates of an axis, `of_each` of each of `times` pieces one after the other, `offset` behind its beginning;
    the pieces are `length` long, the first begins at `start`."""

    start: int
    times: int
    length: int
    offset: int
    of_each: int
    known: bool = True  # where the pieces are; if not, `length` is that of the longest

    @property
    def span(self) -> tuple[int, int]:
        """From the first of the coordinates to the last."""
        return self.start + self.offset, self.start + (self.times - 1) * self.length + self.offset + self.of_each

    def of(self, number: Size, further: Size) -> tuple[Size, tuple[Size, Size]]:
        """One coordinate, and where its piece begins and ends."""
        begin = self.start + self.length * number
        here = begin + self.offset + further
        return here, (begin, begin + self.length) if self.known else (here - self.length + 1, here + self.length)

    def parts(self, inside: bool, at: int | None) -> tuple[_Run, _Run]:
        """Two parts of it: the first pieces and the others, or, with `inside`, the first of each piece and the others."""
        if inside:
            cut = self.of_each // 2 if at is None else at
            rest = replace(self, offset=self.offset + cut, of_each=self.of_each - cut)
            return replace(self, of_each=cut), rest
        cut = self.times // 2 if at is None else at
        return replace(self, times=cut), replace(self, start=self.start + cut * self.length, times=self.times - cut)


def _runs(written: Written, axis: int) -> list[_Run]:
    """The coordinates of what was written, on `axis`; all are numbers."""
    (low, high), pieces = written.box[axis], written.pieces_along(axis)
    length, origin, stop = pieces.length, pieces.origin, pieces.stop
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert isinstance(length, int)
    assert isinstance(stop, int)
    if origin is None:
        return [_Run(low, 1, length, 0, high - low, known=False)]
    assert isinstance(origin, int)
    runs: list[_Run] = []
    while low < high:
        begin = low - (low - origin) % length
        whole = (high - low) // length if low == begin else 0
        if whole:
            runs.append(_Run(low, whole, length, 0, length))
            low += whole * length
        else:
            end = min(begin + length, high)
            runs.append(_Run(begin, 1, min(length, stop - begin), low - begin, end - low))
            low = end
    return runs


def all_have_seen(written: Written, reaches: tuple[Reach, ...], needed: Callable[[Box], Box]) -> bool:
    """Whether each word of what was written, the box of which is one of numbers, has seen what it needs.

    Args:
        written: the words.
        reaches: what they have seen of one input.
        needed: what a box of one word needs of it.
    """
    axes = range(len(written.box))
    return all(
        _have_seen(runs, reaches, needed) for runs in itertools.product(*(_runs(written, axis) for axis in axes))
    )


def _have_seen(runs: tuple[_Run, ...], reaches: tuple[Reach, ...], needed: Callable[[Box], Box]) -> bool:
    """The same for words at such coordinates: all are looked at at once, or in parts where they differ."""
    r = Ranges()
    variables: dict[str, tuple[int, bool]] = {}  # those that stand for a range: the axis, and whether within a piece
    word: list[tuple[Size, Size]] = []
    around: list[tuple[Size, Size]] = []
    with ExitStack() as ranges:
        for axis, run in enumerate(runs):
            number: Size = 0
            further: Size = 0
            if run.times > 1:
                number = symbol(f"piece.{axis}")
                ranges.enter_context(r.over(f"piece.{axis}", run.times))
                variables[f"piece.{axis}"] = axis, False
            if run.of_each > 1:
                further = symbol(f"word.{axis}")
                ranges.enter_context(r.over(f"word.{axis}", run.of_each))
                variables[f"word.{axis}"] = axis, True
            here, piece = run.of(number, further)
            word.append((here, here + 1))
            around.append(piece)
        try:
            return not without(r, needed(tuple(word)), tuple(box_of(reach, tuple(around)) for reach in reaches))
        except Split as split:
            (axis, inside), at = variables[split.variable], split.at
    # what each word needs may be no affine function of where it is: perhaps all have seen what all need together
    fixed = all(end.follows is None for reach in reaches for ends in reach for end in ends)
    whole = tuple(run.span for run in runs)
    if at is None and fixed and not without(Ranges(), needed(whole), tuple(box_of(reach, whole) for reach in reaches)):
        return True
    parts = runs[axis].parts(inside, at)
    return all(_have_seen((*runs[:axis], part, *runs[axis + 1 :]), reaches, needed) for part in parts)
