"""Where in slow memory a tile is: the positions of a region as a block of pointers.

An axis of a region is a range, coordinates that a table lists, one coordinate, or one that is looked up in a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iosim.expr import Size
from iosim.lowering.blocks import Memory, along, factor
from iosim.program import Axis, Coordinates, Lookup, Point, Region, Span

if TYPE_CHECKING:
    from iosim.lowering.body import Kernel


def positions(
    kernel: Kernel, region: Region, memory: Memory, shape: tuple[int, ...], sizes: Sequence[Size]
) -> tuple[str, str]:
    """The positions of a region as a block of pointers, and which of them are not padding; empty if all.

    Args:
        kernel: in which they are.
        region: of an array.
        memory: the array.
        shape: of the block.
        sizes: how much of each axis of the block is the region.
    """
    text = kernel.parameter(region.array.name)
    masks: list[str] = []
    at, rank = 0, len(shape)
    for axis, stride in zip(region.axes, memory.strides, strict=True):
        times = f" * {stride}" if stride != 1 else ""
        if isinstance(axis, Point | Lookup):
            position = _scalar(kernel, axis)
            if position != "0":
                position = f"tl.cast({position}, tl.int64)" if memory.wide else factor(position)
                text += f" + {position}{times}"
            continue
        offset = _offsets(kernel, axis, shape[at], sizes[at])
        offset = f"{offset}.to(tl.int64)" if memory.wide else offset
        text += f" + {offset}{along(at, rank)}{times}"
        inside = kernel.inside(sizes[at], shape[at])
        if inside:
            masks.append(f"({inside}){along(at, rank)}" if rank > 1 else inside)
        at += 1
    return text, " & ".join(masks)


def _scalar(kernel: Kernel, axis: Point | Lookup) -> str:
    if isinstance(axis, Point):
        return kernel.scope.text(axis.at)
    return f"pick({kernel.variable(axis.tile)}, {kernel.scope.text(axis.position)})"


def _offsets(kernel: Kernel, axis: Axis, length: int, size: Size) -> str:
    """Coordinates of one axis, as a block with one axis, in brackets."""
    steps = f"tl.arange(0, {length})"
    match axis:
        case Span(start=start):
            begin = kernel.scope.text(start)
            return f"({begin} + {steps})" if begin != "0" else steps
        case Coordinates(index=index, column=column, start=start):
            begin = kernel.scope.text(start)
            listed: list[tuple[int, ...]] = [tuple(row[column]) for row in kernel.rows(index)]  # type: ignore[arg-type]
            first = listed[0][0] if listed[0] else 0
            if all(entries == tuple(range(first, first + len(entries))) for entries in listed):
                begin = kernel.scope.text(start + first)
                return f"({begin} + {steps})" if begin != "0" else steps
            width = max(map(len, listed))
            flat = tuple(x for entries in listed for x in (*entries, *(0,) * (width - len(entries))))
            entries_at = kernel.row_pointer(f"{index}_{column}", "int32", flat, index, width)
            inside = kernel.inside(size, length)
            begin = "" if begin == "0" else f" + {begin}"
            return f"tl.load({entries_at}{begin} + {steps}{f', mask={inside}, other=0' if inside else ''})"
        case _:
            raise AssertionError(axis)
