"""How a trace looks at a terminal and as rows: word by word, or tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

from iosim.display import Result
from iosim.expr import evaluate_int
from iosim.interpret.steps import Indices, Selected, Step, steps
from iosim.program import Array, Compute, Load, Lookup, Store
from iosim.traces.ask import Chosen
from iosim.traces.expand import KINDS, MOVES, USES, Expansion

if TYPE_CHECKING:
    from rich.console import RenderableType

WHAT = {"moves": MOVES, "uses": USES, "all": MOVES | USES}
BY = ("word", "tile")

# Where in the loops, what happens, to what, and how many words move; None for an operation.
_Happening: TypeAlias = tuple[str, str, str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Trace(Result):
    """What `iosim trace` prints, made line by line as it is asked for.

    Attributes:
        chosen: the plan whose trace it is.
        what: of `WHAT`.
        by: of `BY`.
    """

    chosen: Chosen
    what: str
    by: str

    def lines(self) -> Iterator[str]:
        """The lines of the report, one a load, store and operation, or one a word."""
        if self.by == "word":
            for kind, address, word in _words(self.chosen, self.what):
                yield f"{kind:6} {address:>12} {word}"
        else:
            for at, kind, text, words in _happenings(self.chosen, self.what):
                yield f"{at:24} {kind:5} {text}{'' if words is None else f'  {words:,}'}"

    def rows(self) -> list[dict[str, object]]:
        """One a line."""
        if self.by == "word":
            return [dict(zip(("kind", "address", "word"), row, strict=True)) for row in _words(self.chosen, self.what)]
        columns = ("at", "kind", "what", "io_words")
        return [dict(zip(columns, row, strict=True)) for row in _happenings(self.chosen, self.what)]

    def to_dict(self) -> dict[str, object]:
        plan = self.chosen.plan
        return {
            "algorithm": plan.algorithm,
            "schedule": plan.schedule,
            "tiles": dict(plan.tiles),
            "fast_memory_words": self.chosen.capacity,
            "by": self.by,
            "steps": self.rows(),
        }

    def write(self, path: str) -> int:
        """Writes the words to a file: .din, .oracleGeneral or .npz; returns how many accesses it has.

        Raises:
            UsageError: the name has another ending, or the file can't be written.
        """
        from iosim.traces.files import write_trace

        expanded = _expansion(self.chosen, self.what)
        return write_trace(path, expanded.pieces(), expanded.places, self.chosen.word.bytes)

    def report(self) -> RenderableType:
        from rich.text import Text

        return Text(str(self), no_wrap=True, overflow="ignore")

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        plan = self.chosen.plan
        return f"<Trace {plan.title}: {self.what} by {self.by}>"


def _expansion(chosen: Chosen, what: str) -> Expansion:
    return Expansion(chosen.plan.program, chosen.plan.sizes, what=WHAT[what], data=chosen.data)


def _words(chosen: Chosen, what: str) -> Iterator[tuple[str, int, str]]:
    """Each word of the trace: what happens to it, its address, and what lies there."""
    expanded = _expansion(chosen, what)
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
            yield KINDS[kind], address, name


def _happenings(chosen: Chosen, what: str) -> Iterator[_Happening]:
    """Each load, store and operation."""
    for step in steps(chosen.plan.program, chosen.plan.sizes):
        at = " ".join(f"{index}={number}" for index, number in step.path)
        match step.statement:
            case Load(region=region, tile=tile) if what != "uses":
                words = evaluate_int(region.words, step.values)
                yield at, "load", f"{_box(region.array, step.selected(region.axes))} -> {tile.name}", words
            case Store(view=view, region=region) if what != "uses":
                words = evaluate_int(region.words, step.values)
                yield at, "store", f"{view.tile.name} -> {_box(region.array, step.selected(region.axes))}", words
            case Compute(op=op) if what != "moves":
                yield at, "use", f"{op.name} {_operands(step)}", None
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
