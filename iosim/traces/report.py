"""How a trace looks at a terminal: word by word, or tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from iosim.expr import evaluate_int
from iosim.interpret.steps import Indices, Selected, Step, steps
from iosim.program import Array, Compute, Load, Lookup, Store
from iosim.traces.ask import Chosen
from iosim.traces.expand import KINDS, MOVES, USES, Expansion

_WHAT = {"moves": MOVES, "uses": USES, "all": MOVES | USES}


def expansion(chosen: Chosen, what: str) -> Expansion:
    """The trace of a plan, word by word: moves, uses, or all."""
    return Expansion(chosen.plan.program, chosen.plan.sizes, what=_WHAT[what], data=chosen.data)


def word_lines(chosen: Chosen, what: str) -> Iterator[str]:
    """Each word of the trace: what happens to it, its address, and what lies there."""
    expanded = expansion(chosen, what)
    shapes = {
        array.name: tuple(evaluate_int(size, chosen.plan.sizes) for size in array.shape)
        for array in chosen.plan.program.arrays
    }
    ends = [(place.start + place.words, place) for place in expanded.places]
    for piece in expanded.pieces():
        for address, kind in zip(piece.addresses.tolist(), piece.kinds.tolist(), strict=True):
            place = next(place for end, place in ends if address < end)
            offset = address - place.start
            if place.tile:
                name = f"{place.name}[{offset}]"
            else:
                shape = shapes[place.name]
                below = [*accumulate(reversed(shape[1:]), int.__mul__, initial=1)][::-1]
                at = (offset // stride % size for stride, size in zip(below, shape, strict=True))
                name = f"{place.name}[{', '.join(map(str, at))}]"
            yield f"{KINDS[kind]:6} {address:>12} {name}"


def tile_lines(chosen: Chosen, what: str) -> Iterator[str]:
    """Each load, store and operation: where in the loops, and on what."""
    for step in steps(chosen.plan.program, chosen.plan.sizes):
        at = " ".join(f"{index}={number}" for index, number in step.path)
        match step.statement:
            case Load(region=region, tile=tile) if what != "uses":
                words = evaluate_int(region.words, step.values)
                yield f"{at:24} load  {_box(region.array, step.selected(region.axes))} -> {tile.name}  {words:,}"
            case Store(view=view, region=region) if what != "uses":
                words = evaluate_int(region.words, step.values)
                yield f"{at:24} store {view.tile.name} -> {_box(region.array, step.selected(region.axes))}  {words:,}"
            case Compute(op=op) if what != "moves":
                yield f"{at:24} use   {op.name} {_operands(step)}"
            case _:
                pass


def _operands(step: Step) -> str:
    assert isinstance(step.statement, Compute)
    views = step.statement.operands
    return ", ".join(f"{view.tile.name}[{_axes(step.indices(view.axes))}]" for view in views)


def _box(array: Array, axes: Sequence[Selected]) -> str:
    return f"{array.name}[{_axes(axes)}]"


def _axes(axes: Sequence[Selected | Indices]) -> str:
    return ", ".join(map(_axis, axes))


def _axis(axis: Selected) -> str:
    match axis:
        case slice():
            return f"{axis.start}:{axis.stop}"
        case Lookup(tile=tile, position=position):
            return f"{tile.name}[{position}]"
        case _:
            return str(axis)
