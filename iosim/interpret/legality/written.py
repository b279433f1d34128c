"""What has been written of an array, and what its words have *seen*: which words of the inputs have flowed into them.

All words of a box that is stored at once have seen the same. Boxes that were stored one after the other are kept as one
where one rule says for all of them what they have seen: each end of it is one coordinate for all, or moves along with the
box that was stored. Where such boxes were is remembered if they are equally long; where they are not, a word counts as
having seen what any word of a box around it could have: never less than is true, so that a legal schedule is never called
unfinished.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeAlias

from iosim.errors import CountError
from iosim.expr import Size, ceil_div, floor_div, maximum
from iosim.interpret.legality.boxes import Box, Seen, minus, neighbours, overlap, surely_empty, together, union
from iosim.interpret.legality.ranges import Ranges

_WRITTEN_LIMIT = 12  # boxes of one array with nothing in common; of more, some are joined, see `_compromise`
_SCATTERED_LIMIT = 500  # boxes of one array that are no neighbours


@dataclass(frozen=True, slots=True)
class End:
    """Where what has been seen begins or ends: at coordinate `value`, or, if it `follows` an axis of the array that was
    written, `value` behind where the box that was stored begins or ends on that axis."""

    value: Size
    follows: int | None = None

    def of(self, box: Box, side: int) -> Size:
        """The coordinate, if `box` was stored at once; side 0 is where it begins, 1 where it ends."""
        return self.value if self.follows is None else box[self.follows][side] + self.value


Reach: TypeAlias = tuple[tuple[End, End], ...]  # as a box, for any words of what was written


@dataclass(frozen=True, slots=True)
class Pieces:
    """The boxes that something written is made of, along one axis: from `origin` on one after the other, `length` long, but
    for the last, which ends at `stop`; where there is no origin, all that is known is that none is longer."""

    length: Size
    origin: Size | None
    stop: Size

    def around(self, r: Ranges, span: tuple[Size, Size]) -> tuple[Size, Size]:
        """Where the pieces begin and end that the coordinates of `span` are in.

        If `r` is not to be exact this is known only of whole pieces; else it is where they could at the most, wherever the
        span is, so that one that moves on by less than a piece is treated alike in each step.

        Raises:
            Split: `r` is to be exact, and `span` moves on by less than a piece.
        """
        low, high = span
        if self.begins(low) and (high == self.stop or self.begins(high)):
            return span
        if self.origin is None or not isinstance(self.length, int) or not r.exact:
            return self.at_most(span)
        r.told_apart = True
        before = r.affine(floor_div(low - self.origin, self.length))
        end = self.origin + self.length * r.affine(ceil_div(high - self.origin, self.length))
        return self.origin + self.length * before, self.stop if r.le(self.stop, end) else end

    def at_most(self, span: tuple[Size, Size]) -> tuple[Size, Size]:
        """Where the pieces could begin and end that the coordinates of `span` are in."""
        low, high = span
        if self.begins(low) and (high == self.stop or self.begins(high)):
            return span
        return low - (self.length - 1), high + (self.length - 1)

    def begins(self, coordinate: Size) -> bool:
        """Whether a piece is known to begin there."""
        return self.origin is not None and _remainder(coordinate - self.origin, self.length) == 0


def _remainder(value: Size, divisor: Size) -> int | None:
    """`value` modulo `divisor`, if it is the same whatever the symbols are."""
    if value in (0, divisor):
        return 0
    if not isinstance(divisor, int):
        return None
    if isinstance(value, int):
        return value % divisor
    if any(factor % divisor != 0 for monomial, factor in value.terms.items() if monomial != ()):
        return None
    return int(value.terms.get((), 0)) % divisor


@dataclass(frozen=True, slots=True)
class Written:
    """A box of a slow array that has been written.

    Attributes:
        box: its words.
        seen: what any of them have seen.
        sites: the stores.
        pieces: the axes on which it is made of several boxes, one after the other, and how.
    """

    box: Box
    seen: tuple[tuple[str, tuple[Reach, ...]], ...]
    sites: tuple[str, ...]
    pieces: tuple[tuple[int, Pieces], ...] = ()

    def seen_by(self, r: Ranges, box: Box) -> Seen:
        """What those of its words have seen that are in `box`."""
        here = tuple(
            (al if r.le(bl, al) else bl, ah if r.le(ah, bh) else bh)
            for (al, ah), (bl, bh) in zip(self.box, box, strict=True)
        )
        stored_box = list(here)
        for axis, pieces in self.pieces:
            stored_box[axis] = pieces.around(r, here[axis])
        found = ((name, [box_of(reach, tuple(stored_box)) for reach in reaches]) for name, reaches in self.seen)
        return union(r, (), tuple((name, tuple(x for x in boxes if not surely_empty(r, x))) for name, boxes in found))

    def skeleton(self) -> Hashable:
        """Everything but the numbers."""
        ends = tuple(
            (name, tuple(tuple((low.follows, high.follows) for low, high in reach) for reach in reaches))
            for name, reaches in self.seen
        )
        return ends, self.sites, tuple((axis, pieces.origin is None) for axis, pieces in self.pieces)

    def mapped(self, f: Callable[[Size], Size]) -> Written:
        """With each of its numbers replaced, always in the same order."""
        box = tuple((f(low), f(high)) for low, high in self.box)
        seen = tuple(
            (
                name,
                tuple(
                    tuple((End(f(low.value), low.follows), End(f(high.value), high.follows)) for low, high in reach)
                    for reach in reaches
                ),
            )
            for name, reaches in self.seen
        )
        pieces = tuple(
            (axis, Pieces(f(each.length), None if each.origin is None else f(each.origin), f(each.stop)))
            for axis, each in self.pieces
        )
        return Written(box, seen, self.sites, pieces)

    def part(self, box: Box) -> Written:
        """Those of its words that are in `box`, which is inside its own. On an axis on which that is one whole piece it is
        no longer made of several, and what followed that axis is where it is for this piece; pieces of one word need no
        such care, as any words are whole pieces."""
        whole = {
            axis
            for axis, each in self.pieces
            if each.length != 1 and box[axis][1] - box[axis][0] == each.length and each.begins(box[axis][0])
        }
        if not whole:
            return replace(self, box=box)

        def fixed(end: End, side: int) -> End:
            return End(end.of(box, side)) if end.follows in whole else end

        seen = tuple(
            (name, tuple(tuple((fixed(low, 0), fixed(high, 1)) for low, high in reach) for reach in reaches))
            for name, reaches in self.seen
        )
        return replace(self, box=box, seen=seen, pieces=tuple(each for each in self.pieces if each[0] not in whole))

    def pieces_along(self, axis: int) -> Pieces:
        """How it is made of boxes on `axis`, perhaps of one."""
        low, high = self.box[axis]
        return dict(self.pieces).get(axis, Pieces(high - low, low, high))


def stored(box: Box, seen: Seen, site: str) -> Written:
    """A box that was just written with a value that has seen `seen`."""
    reaches = (
        (name, tuple(tuple((End(low), End(high)) for low, high in each) for each in boxes)) for name, boxes in seen
    )
    return Written(box, tuple(reaches), (site,))


def box_of(reach: Reach, box: Box) -> Box:
    """What the words of `box` have seen, if it was stored at once."""
    return tuple((low.of(box, 0), high.of(box, 1)) for low, high in reach)


def write(r: Ranges, before: tuple[Written, ...], new: Written) -> tuple[Written, ...]:
    """What has been written of an array once `new` is, whose box is not empty.

    Raises:
        CountError: it is in too many pieces.
    """
    if len(before) > _SCATTERED_LIMIT:
        raise CountError(f"{new.sites[0]}: what has been written is in more than {_SCATTERED_LIMIT:,} pieces")
    after: list[Written] = []
    cut: list[Written] = []
    for written in before:
        if overlap(r, written.box, new.box):
            cut.extend(written.part(piece) for piece in minus(r, written.box, new.box))
        else:
            after.append(written)
    for piece in cut:
        after = _merged(after, piece)
    return tuple(_condensed(r, _merged(after, new)))


def merged(boxes: tuple[Written, ...]) -> tuple[Written, ...]:
    """The same, with neighbours joined; boxes that were apart for a general iteration may touch in the last."""
    joined: list[Written] = []
    for written in boxes:
        joined = _merged(joined, written)
    return tuple(joined)


def _merged(others: list[Written], new: Written) -> list[Written]:
    """`others` and `new`, with `new` joined to every neighbour, if one rule says what the words of both have seen."""
    for position, other in enumerate(others):
        axis = neighbours(other.box, new.box)
        seen = None if axis is None else _common(other, new, axis)
        if (
            axis is not None
            and seen is not None
            and [n for n, _ in other.seen] == [n for n, _ in new.seen] == list(seen)
        ):
            both = replace(
                new,
                box=together(other.box, new.box, axis),
                seen=tuple(seen.items()),
                pieces=_pieces_together(other, new, axis),
            )
            return _merged(others[:position] + others[position + 1 :], both)
    return [*others, new]


def _condensed(r: Ranges, boxes: list[Written]) -> list[Written]:
    """At most a few boxes, if there are neighbours among them."""
    if len(boxes) > _WRITTEN_LIMIT:
        for a, b in itertools.combinations(boxes[: 2 * _WRITTEN_LIMIT], 2):
            axis = neighbours(a.box, b.box)
            if axis is not None:
                both = _compromise(r, a, b, axis)
                return [both if x is a else x for x in boxes if x is not b]
    return boxes


def _compromise(r: Ranges, a: Written, b: Written, axis: int) -> Written:
    """Two neighbours as one box, whose words count as having seen all that either has: never less than is true, so that
    a legal schedule is never called unfinished."""
    box, sites = together(a.box, b.box, axis), tuple(dict.fromkeys((*a.sites, *b.sites)))
    seen = union(r, a.seen_by(r, a.box), b.seen_by(r, b.box))
    return replace(stored(box, seen, ""), sites=sites, pieces=_pieces_together(a, b, axis))


def _pieces_together(a: Written, b: Written, axis: int) -> tuple[tuple[int, Pieces], ...]:
    """How the two are made of boxes, as neighbours on `axis`."""
    first, second = (a, b) if a.box[axis][1] == b.box[axis][0] else (b, a)
    made = {axis: _chained(first, second, axis)}
    for other in {other for other, _ in (*a.pieces, *b.pieces)} - {axis}:
        x, y = a.pieces_along(other), b.pieces_along(other)
        made[other] = x if x == y else Pieces(_longer(x.length, y.length), None, x.stop)
    return tuple(sorted(made.items()))


def _chained(first: Written, second: Written, axis: int) -> Pieces:
    x, y = first.pieces_along(axis), second.pieces_along(axis)
    if x.origin is not None and y.origin is not None and _remainder(y.origin - x.origin, x.length) == 0:
        last = axis not in dict(second.pieces)  # it may be shorter
        if x.length == y.length or (last and _longer(x.length, y.length) == x.length):
            return replace(x, stop=y.stop)
    return Pieces(_longer(x.length, y.length), None, y.stop)


def _longer(x: Size, y: Size) -> Size:
    return max(x, y) if isinstance(x, int) and isinstance(y, int) else maximum(x, y)


def _common(a: Written, b: Written, axis: int) -> dict[str, tuple[Reach, ...]]:
    """What one rule says about both of two neighbours on `axis`, for each input that there is such a rule for."""
    theirs = dict(b.seen)
    common: dict[str, tuple[Reach, ...]] = {}
    for name, mine in a.seen:
        pairs = zip(mine, theirs.get(name, ()), strict=False)
        rules = [rule for x, y in pairs if (rule := _rule(a, x, b, y, axis)) is not None]
        if len(rules) == len(mine) == len(theirs.get(name, ())):
            common[name] = tuple(rules)
    return common


def _rule(a: Written, mine: Reach, b: Written, theirs: Reach, axis: int) -> Reach | None:
    axes: list[tuple[End, End]] = []
    for (low, high), (their_low, their_high) in zip(mine, theirs, strict=True):
        begin = _one_end(a, low, b, their_low, axis, 0)
        end = _one_end(a, high, b, their_high, axis, 1)
        if begin is None or end is None:
            return None
        axes.append((begin, end))
    return tuple(axes)


def _one_end(a: Written, mine: End, b: Written, theirs: End, axis: int, side: int) -> End | None:
    if mine == theirs:
        return mine
    if {mine.follows, theirs.follows} - {None, axis}:
        # on the other axes the boxes are the same: what follows one of these is at one coordinate for all, or at the most
        here = mine.of(_stored_around(a), side)
        return End(here) if here == theirs.of(_stored_around(b), side) else None
    x, y = _following(a, mine, axis, side), _following(b, theirs, axis, side)
    return End(x, axis) if x is not None and x == y else None


def _stored_around(written: Written) -> Box:
    """What was stored, at the most, when its words were."""
    box = list(written.box)
    for axis, pieces in written.pieces:
        box[axis] = pieces.at_most(box[axis])
    return tuple(box)


def _following(written: Written, end: End, axis: int, side: int) -> Size | None:
    """How far the end is from where the words are on `axis`; None if that is not known for each box it is made of."""
    if end.follows is None and axis not in dict(written.pieces):
        return end.value - written.box[axis][side]
    return end.value if end.follows == axis else None
