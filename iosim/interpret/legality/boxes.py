"""Boxes of arrays: what is in several of them, and in one but not in others; the boxes that a value has *seen*.

What a value has seen is, for each input, a few boxes of words that have flowed into it. All words of a tile have seen the
same.
"""

from __future__ import annotations

from typing import TypeAlias

from iosim.expr import Size
from iosim.interpret.legality.ranges import Ranges

Box: TypeAlias = tuple[tuple[Size, Size], ...]  # [start, stop) of each axis
Seen: TypeAlias = tuple[tuple[str, tuple[Box, ...]], ...]  # by the name of the input

_SEEN_LIMIT = 8  # boxes of one input that a value has seen; of more, some are replaced by a box around them


def empty(r: Ranges, a: Box) -> bool:
    return any(r.le(high, low) for low, high in a)


def surely_empty(r: Ranges, a: Box) -> bool:
    return any(r.surely_le(high, low) for low, high in a)


def overlap(r: Ranges, a: Box, b: Box) -> bool:
    for (al, ah), (bl, bh) in zip(a, b, strict=True):  # noqa: SIM110  the inner loop of legality: `any` is slower
        if r.le(ah, bl) or r.le(bh, al):
            return False
    return True


def minus(r: Ranges, a: Box, b: Box) -> list[Box]:
    """Disjoint boxes that cover `a` without `b`."""
    if not overlap(r, a, b):
        return [a]
    pieces: list[Box] = []
    for axis, ((al, ah), (bl, bh)) in enumerate(zip(a, b, strict=True)):
        if not r.le(bl, al):
            pieces.append((*a[:axis], (al, bl), *a[axis + 1 :]))
            al = bl  # noqa: PLW2901
        if not r.le(ah, bh):
            pieces.append((*a[:axis], (bh, ah), *a[axis + 1 :]))
            ah = bh  # noqa: PLW2901
        a = (*a[:axis], (al, ah), *a[axis + 1 :])
    return pieces


def without(r: Ranges, a: Box, others: tuple[Box, ...]) -> list[Box]:
    """Disjoint boxes that cover `a` without the others."""
    left = [a]
    for other in others:
        left = [piece for part in left for piece in minus(r, part, other)]
    return left


def _inside(r: Ranges, a: Box, b: Box) -> bool:
    return all(r.surely_le(bl, al) and r.surely_le(ah, bh) for (al, ah), (bl, bh) in zip(a, b, strict=True))


def neighbours(a: Box, b: Box) -> int | None:
    """The axis on which two boxes touch and together make a box; None if they don't."""
    axis = _differ(a, b)
    if axis is None:
        return None
    (al, ah), (bl, bh) = a[axis], b[axis]
    return axis if ah == bl or bh == al else None


def _differ(a: Box, b: Box) -> int | None:
    """The only axis on which two boxes are not the same; None if there are others, or none."""
    found: int | None = None
    for axis, (x, y) in enumerate(zip(a, b, strict=True)):
        if x != y:
            if found is not None:
                return None
            found = axis
    return found


def together(a: Box, b: Box, axis: int) -> Box:
    """The box that two neighbours on `axis` make."""
    (al, ah), (bl, bh) = a[axis], b[axis]
    return (*a[:axis], (al, bh) if ah == bl else (bl, ah), *a[axis + 1 :])


# What a value has seen


def union(r: Ranges, a: Seen, b: Seen) -> Seen:
    """What two values together have seen."""
    boxes = dict(a)
    for name, more in b:
        for box in more:
            boxes[name] = _added(r, boxes.get(name, ()), box)
    return tuple(sorted(boxes.items()))


def _added(r: Ranges, boxes: tuple[Box, ...], box: Box) -> tuple[Box, ...]:
    """`boxes` and `box`, joined where they surely make a box; what is in two of them makes both of them longer."""
    contained = False
    for position, other in enumerate(boxes):
        if other == box or _inside(r, box, other):
            contained = True
            continue
        both = box if _inside(r, other, box) else _joined(r, other, box)
        if both is not None:
            return _added(r, (*boxes[:position], *boxes[position + 1 :]), both)
    if contained:
        return boxes
    if len(boxes) < _SEEN_LIMIT:
        return (*boxes, box)
    first, second, *others = boxes
    around = tuple(
        (al if r.le(al, bl) else bl, bh if r.le(ah, bh) else ah)
        for (al, ah), (bl, bh) in zip(first, second, strict=True)
    )
    return _added(r, _added(r, tuple(others), around), box)


def _joined(r: Ranges, a: Box, b: Box) -> Box | None:
    """The box that two boxes make if they touch or overlap on one axis and are equal on the others."""
    axis = neighbours(a, b)
    if axis is not None:
        return together(a, b, axis)
    axis = _differ(a, b)
    if axis is not None:
        for (al, ah), (bl, bh) in ((a[axis], b[axis]), (b[axis], a[axis])):
            if r.surely_le(al, bl) and r.surely_le(bl, ah) and r.surely_le(ah, bh):
                return (*a[:axis], (al, bh), *a[axis + 1 :])
    return None
