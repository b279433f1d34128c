"""What must each statement obey? The rules, and a machine that holds its state against them, one statement at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import assert_never

from iosim.errors import ProgramError
from iosim.expr import Size, evaluate, evaluate_int
from iosim.interpret.legality.boxes import Box, Seen, empty, overlap, union, without
from iosim.interpret.legality.finished import all_have_seen
from iosim.interpret.legality.ranges import Ranges
from iosim.interpret.legality.states import Live, State
from iosim.interpret.legality.written import Written, box_of, stored, write
from iosim.program import (
    Alloc,
    Array,
    Axis,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Need,
    Point,
    Program,
    Region,
    Simple,
    Span,
    Statement,
    Store,
    Table,
    View,
    product,
)


class Rule(Enum):
    """What a legal schedule obeys."""

    OPERAND = "operand not in fast memory"
    FREED = "use after free"
    DOUBLE_FREE = "double free"
    LEAK = "leak"
    NO_VALUE = "operand without a value"
    UNWRITTEN = "read of a slow word never written"
    MISSING = "output word not written"
    UNFINISHED = "output word written with an unfinished value"
    BOUNDS = "region out of bounds"
    SHAPE = "shapes differ"
    INPUT = "store to an input"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, and the first position in the loop nest where it is broken."""

    rule: Rule
    where: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found} [{self.rule.value}]"


class Machine:
    """The two-level machine in one state, or in those of many iterations at once, and what has been found wrong so far.

    Attributes:
        state: what is live and written now.
        found: the first violation of each rule by each statement.
        ranges: the loop variables that stand for a range now.
        path: the loops that we are in, and the number of the iteration.
        tables: those of the loops that we are in, and their rows.
    """

    def __init__(self, program: Program, sizes: Mapping[str, int], capacity: int | None, *, exact: bool) -> None:
        self.program = program
        self.sizes = sizes
        self.capacity = capacity
        self.shapes = {a.name: tuple(evaluate_int(size, sizes) for size in a.shape) for a in program.arrays}
        self.state = State()
        self.found: dict[tuple[Rule, object], Violation] = {}
        self.ranges = Ranges(exact=exact)
        self.path: list[tuple[str, Size]] = []
        self.tables: dict[str, tuple[Table, Mapping[str, Size]]] = {}
        self._listed: dict[tuple[str, str], tuple[int, int, Size]] = {}  # what their rows list, by loop and column

    # What the loops need

    def saved(self) -> tuple[State, dict[tuple[Rule, object], Violation], list[tuple[str, Size]]]:
        """What `restore` goes back to."""
        return self.state.copy(), dict(self.found), list(self.path)

    def restore(self, saved: tuple[State, dict[tuple[Rule, object], Violation], list[tuple[str, Size]]]) -> None:
        self.state, self.found, self.path = saved

    def at_row(self, index: str, table: Table, row: Mapping[str, Size]) -> None:
        """The loop over a table goes to this row, or to all rows with these whole numbers."""
        self.tables[index] = table, row
        self._listed = {key: known for key, known in self._listed.items() if key[0] != index}

    # Reporting

    def report(self, rule: Rule, statement: Statement, what: str, found: str) -> None:
        key = (rule, id(statement))
        if key not in self.found:
            self.found[key] = Violation(rule, self.where(what), found)

    def where(self, what: str) -> str:
        """The position in the loop nest; the first one, where it is one in many iterations at once."""
        return " / ".join([*(f"loop {index}={self.ranges.first(t)}" for index, t in self.path), what])

    def _text(self, name: str, *boxes: Box) -> str:
        first = self.ranges.first
        return " and ".join(f"{name}[{', '.join(f'{first(low)}:{first(high)}' for low, high in box)}]" for box in boxes)

    # Statements

    def step(self, statement: Simple, values: Mapping[str, Size]) -> None:
        """One statement; the values are those of all symbols."""
        match statement:
            case Load():
                self.load(statement, values)
            case Store():
                self.store(statement, values)
            case Alloc(tile=tile, fill=fill):
                shape = tuple(evaluate(size, values) for size in tile.shape)
                new = Live(product(shape), shape, fill is not None, ())
                self.create(statement, f"alloc {tile.name}", tile.name, new)
            case Free(tile=tile):
                if tile.name in self.state.live:
                    del self.state.live[tile.name]
                    self.state.freed |= {tile.name}
                else:
                    rule = Rule.DOUBLE_FREE if tile.name in self.state.freed else Rule.OPERAND
                    self.report(rule, statement, f"free {tile.name}", f"{tile.name} is not in fast memory")
            case Compute():
                self.compute(statement, values)
            case _:
                assert_never(statement)

    def load(self, statement: Load, values: Mapping[str, Size]) -> None:
        """A new tile of the region's shape, whose words have seen what those of the region have, or are these inputs."""
        region, tile = statement.region, statement.tile
        what = f"load {tile.name}"
        box = self.region_box(statement, what, region, values)
        shape = tuple(evaluate(size, values) for size in tile.shape)
        if shape != tuple(evaluate(size, values) for size in region.shape):
            found = f"tile {_sizes(shape)}, region {self._text(region.array.name, box)}"
            self.report(Rule.SHAPE, statement, what, found)
        seen: Seen = ()
        if empty(self.ranges, box):
            pass
        elif region.array.role == "input":
            seen = ((region.array.name, (box,)),)
        else:
            before = self.state.written.get(region.array.name, ())
            for written in before:
                if overlap(self.ranges, written.box, box):
                    seen = union(self.ranges, seen, written.seen_by(self.ranges, box))
            missing = without(self.ranges, box, tuple(written.box for written in before))
            if missing:
                text = self._text(region.array.name, missing[0])
                self.report(Rule.UNWRITTEN, statement, what, f"{text} has never been written")
        for axis in region.axes:
            if isinstance(axis, Lookup):
                index = View(axis.tile, (Span(axis.position, 1),))
                found_in = self.operand(statement, what, index, values, read=True)
                seen = union(self.ranges, seen, found_in.seen if found_in else ())
        self.create(statement, what, tile.name, Live(product(shape), shape, True, seen))

    def store(self, statement: Store, values: Mapping[str, Size]) -> None:
        """What is in fast memory and has a value goes to a box of no input, whose words have then seen what it has."""
        view, region = statement.view, statement.region
        name, what = region.array.name, f"store {view.tile.name}"
        box = self.region_box(statement, what, region, values)
        tile = self.operand(statement, what, view, values, read=True)
        if tuple(evaluate(size, values) for size in view.shape) != tuple(evaluate(s, values) for s in region.shape):
            self.report(Rule.SHAPE, statement, what, f"view and region {self._text(name, box)} differ in shape")
        if region.array.role == "input":
            self.report(Rule.INPUT, statement, what, f"{name} is an input")
        if any(isinstance(axis, Coordinates | Lookup) for axis in region.axes):
            found = f"a store goes to a box of {name}, not to listed or looked-up coordinates"
            self.report(Rule.SHAPE, statement, what, found)
        if not empty(self.ranges, box):
            site = " / ".join([*(f"loop {index}" for index, _ in self.path), what])
            new = stored(box, tile.seen if tile else (), site)
            before = self.state.written.get(name, ())
            self.state.written[name] = write(self.ranges, before, new)

    def compute(self, statement: Compute, values: Mapping[str, Size]) -> None:
        """All operands are in fast memory, with room for temporaries; what is updated has then seen what any of them has."""
        op, what = statement.op, f"compute {statement.op.name}"
        tiles: list[Live | None] = []
        for view, (name, _) in zip(statement.operands, op.operands, strict=True):
            tiles.append(self.operand(statement, what, view, values, read=name not in op.fresh))
        try:
            op.axis_sizes([[evaluate(size, values) for size in view.shape] for view in statement.operands])
        except ProgramError as error:
            self.report(Rule.SHAPE, statement, what, str(error))
        self.check_capacity(statement, what, op.scratch(dict(statement.params)))
        seen: Seen = ()
        for tile in tiles:
            seen = union(self.ranges, seen, tile.seen if tile else ())
        for view in statement.updated:
            if view.tile.name in self.state.live:
                self.state.live[view.tile.name] = replace(self.state.live[view.tile.name], has_value=True, seen=seen)

    def operand(
        self, statement: Statement, what: str, view: View, values: Mapping[str, Size], *, read: bool
    ) -> Live | None:
        """The live tile that the view is a box of, with a value if it is `read`; None, reported, where there is none."""
        name = view.tile.name
        tile = self.state.live.get(name)
        if tile is None:
            rule = Rule.FREED if name in self.state.freed else Rule.OPERAND
            self.report(rule, statement, what, f"{name} is not in fast memory")
            return None
        if read and not tile.has_value:
            self.report(Rule.NO_VALUE, statement, what, f"{name} has not been given a value")
        box = self.axes_box(view.axes, values)
        spans = zip(box, tile.shape, strict=True)
        if not all(self._within(low, high, size) for (low, high), size in spans):
            self.report(Rule.BOUNDS, statement, what, f"{self._text(name, box)} of a tile of {_sizes(tile.shape)}")
        return tile

    def create(self, statement: Statement, what: str, name: str, tile: Live) -> None:
        if name in self.state.live:
            self.report(Rule.LEAK, statement, what, f"{name} is still in fast memory")
        self.state.live[name] = tile
        self.state.freed -= {name}
        self.check_capacity(statement, what, 0)

    def check_capacity(self, statement: Statement, what: str, scratch: int) -> None:
        if self.capacity is None:
            return
        words: Size = scratch
        for tile in self.state.live.values():
            words = words + tile.words
        if not self.ranges.le(words, self.capacity):
            found = f"{self.ranges.first(words):,} words live, capacity is {self.capacity:,}"
            self.report(Rule.CAPACITY, statement, what, found)

    def end(self) -> None:
        """What must hold in the end: nothing left in fast memory, every output word written and finished."""
        for name in self.state.live:
            self.found[Rule.LEAK, name] = Violation(Rule.LEAK, "end", f"{name} is never freed")
        for array in self.program.arrays:
            if array.role != "output":
                continue
            whole: Box = tuple((0, size) for size in self.shapes[array.name])
            boxes = self.state.written.get(array.name, ())
            missing = without(self.ranges, whole, tuple(written.box for written in boxes))
            for written in boxes:
                self.finished(array, written)
            if missing:
                found = f"{self._text(array.name, missing[0])} is not written"
                self.found[Rule.MISSING, array.name] = Violation(Rule.MISSING, "end", found)

    def finished(self, array: Array, written: Written) -> None:
        """Reports what words of an output needed to see and have not."""
        seen = dict(written.seen)
        for need in array.needs:
            reaches = seen.get(need.array, ())
            needed = partial(_needed, need, self.sizes)
            if all_have_seen(written, reaches, needed):
                continue
            if not reaches:
                saw = "has seen nothing of it"
            elif all(end.follows is None for reach in reaches for ends in reach for end in ends):
                saw = f"has seen {self._text(need.array, *(box_of(reach, written.box) for reach in reaches))}"
            else:
                saw = "each of its words has seen only a part, which moves along with it"
            where = " or ".join(written.sites)
            whole = self._text(need.array, needed(written.box))
            text = f"{self._text(array.name, written.box)} needs {whole}, {saw}"
            self.found.setdefault((Rule.UNFINISHED, (where, need.array)), Violation(Rule.UNFINISHED, where, text))

    # Boxes

    def region_box(self, statement: Statement, what: str, region: Region, values: Mapping[str, Size]) -> Box:
        shape = self.shapes[region.array.name]
        box = self.axes_box(region.axes, values, shape)
        for axis, (low, high), size in zip(region.axes, box, shape, strict=True):
            inside = self._within(low, high, size)
            if isinstance(axis, Coordinates):
                inside = self._coordinates_inside(axis, size, values)
            if not inside:
                text = f"{self._text(region.array.name, box)} of an array of {_sizes(shape)}"
                self.report(Rule.BOUNDS, statement, what, text)
        return box

    def _within(self, low: Size, high: Size, size: Size) -> bool:
        return self.ranges.le(0, low) and self.ranges.le(low, high) and self.ranges.le(high, size)

    def _coordinates_inside(self, axis: Coordinates, size: int, values: Mapping[str, Size]) -> bool:
        """Whether the list goes so far, and all of its coordinates are inside, also those that are not used here."""
        key = axis.index, axis.column
        if key not in self._listed:
            table, row = self.tables[axis.index]
            length = table.lengths.get(axis.column)
            listed = table.shortest(axis.column, row) if length is None else row[length]
            self._listed[key] = (*table.bounds(axis.column), listed)
        least, greatest, listed = self._listed[key]
        start, stop = (self.ranges.affine(evaluate(x, values)) for x in (axis.start, axis.stop))
        return least >= 0 and greatest < size and self._within(start, stop, listed)

    def axes_box(self, axes: Sequence[Axis], values: Mapping[str, Size], shape: Sequence[int] = ()) -> Box:
        box: list[tuple[Size, Size]] = []
        for position, axis in enumerate(axes):
            match axis:
                case Span():
                    span = axis.at(values)
                    box.append((self.ranges.affine(span.start), self.ranges.affine(span.stop)))
                case Point():
                    at = self.ranges.affine(evaluate(axis.at, values))
                    box.append((at, at + 1))
                case Coordinates() | Lookup():
                    box.append((0, shape[position]))  # which coordinates is not tracked
                case _:
                    assert_never(axis)
        return tuple(box)


def _needed(need: Need, sizes: Mapping[str, Size], box: Box) -> Box:
    """What the words of `box` need to see, all together: what they need moves up with them."""
    first = need.at([low for low, _ in box], sizes)
    last = need.at([high - 1 for _, high in box], sizes)
    return tuple((low.start, high.stop) for low, high in zip(first, last, strict=True))


def _sizes(shape: Sequence[Size]) -> str:
    return " x ".join(f"{size:,}" if isinstance(size, int) else str(size) for size in shape)
