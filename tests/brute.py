"""The two-level machine word by word: what a program does at small sizes, with a set for everything.

It shares with `iosim` the nodes of a program, the arithmetic of sizes and the flop functions of operations; the loops,
the counts, the peak and the rules are its own, written as plainly as they can be said.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from iosim.errors import ProgramError
from iosim.expr import Expr, evaluate_int
from iosim.interpret.legality.rules import Rule
from iosim.program import Alloc, Compute, Coordinates, Free, Load, Lookup, Loop, Point, Store, TableLoop


class RunsBackwards(Exception):  # noqa: N818  what happened, not an error of ours
    """A loop stops before it starts, or its tiles have no length."""


@dataclass
class Run:
    """What happened: words by array, peak, flops, iterations by loop, and each broken rule at its first position.

    `broken` holds (rule, position) once for each statement that breaks the rule, in the order in which it happened.
    """

    loads: Counter = field(default_factory=Counter)
    stores: Counter = field(default_factory=Counter)
    trips: Counter = field(default_factory=Counter)
    ran: set = field(default_factory=set)  # loops with an iteration, as objects: others may have the same index
    flops: int = 0
    peak: int = 0
    broken: list = field(default_factory=list)

    @property
    def rules(self):
        return {rule for rule, _ in self.broken}

    def positions(self, rule):
        return [where for broken, where in self.broken if broken is rule]


def run(program, sizes: Mapping[str, int], capacity: int | None = None, *, lists: bool = False) -> Run:
    """The run of a program at these sizes.

    Args:
        lists: whether a value that was loaded by a list of coordinates has seen only these; else it counts as having
            seen the whole axis, as `iosim.interpret.legality` says of itself.
    """
    machine = _Machine(program, sizes, capacity, lists)
    machine.block(program.body, dict(sizes), {}, (), ())
    machine.end()
    return machine.run


@dataclass
class _Tile:
    shape: tuple
    has_value: bool
    seen: dict  # input -> set of its words that flowed in

    @property
    def words(self):
        return prod(self.shape)


class _Machine:
    def __init__(self, program, sizes, capacity, lists):
        self.program = program
        self.capacity = capacity
        self.lists = lists
        self.sizes = dict(sizes)
        self.shapes = {a.name: tuple(evaluate_int(size, sizes) for size in a.shape) for a in program.arrays}
        self.live = {}  # name -> tile
        self.freed = set()
        self.slow = {}  # array -> word -> (what it has seen, which store wrote it)
        self.run = Run()
        self.reported = set()

    def block(self, body, values, rows, path, place):
        """`path` is where we are: (loop, iteration) pairs; `place` is where the statement stands in the program."""
        for number, statement in enumerate(body):
            here = (*place, number)
            match statement:
                case Loop(index=index):
                    start, stop, step = (
                        evaluate_int(x, values) for x in (statement.start, statement.stop, statement.step)
                    )
                    if stop < start or step < 1:
                        raise RunsBackwards
                    position, trip = start, 0
                    while position < stop:
                        tile = {f"{index}.start": position, f"{index}.size": min(step, stop - position)}
                        self.iteration(statement, {**values, **tile}, rows, (*path, (index, trip)), here)
                        position, trip = position + step, trip + 1
                case TableLoop(index=index, table=table):
                    for trip, row in enumerate(table.rows()):
                        entries = {f"{index}.{name}": value for name, value in row.items() if isinstance(value, int)}
                        entries[f"#{index}.start"] = trip
                        here_rows = {**rows, index: row}
                        self.iteration(statement, {**values, **entries}, here_rows, (*path, (index, trip)), here)
                case _:
                    self.step(statement, values, rows, path, here)

    def iteration(self, loop, values, rows, path, place):
        self.run.trips[loop.index] += 1
        self.run.ran.add(id(loop))
        before = set(self.live)
        self.block(loop.body, values, rows, path, place)
        for name in set(self.live) - before:
            self.report(Rule.LEAK, path, place, f"end of loop {loop.index}")
            del self.live[name]

    def step(self, statement, values, rows, path, place):
        def shape(node):
            return tuple(evaluate_int(size, values) for size in node.shape)

        def broken(rule, what):
            self.report(rule, path, place, what)

        match statement:
            case Load(region=region, tile=tile):
                what, name = f"load {tile.name}", region.array.name
                words = self.words(region, values, rows, lambda: broken(Rule.BOUNDS, what))
                self.run.loads[name] += len(words)
                if shape(tile) != shape(region):
                    broken(Rule.SHAPE, what)
                if region.array.role == "input":
                    seen = {name: set(self.around(region, words))}
                else:
                    seen = {}
                    written = self.slow.get(name, {})
                    for word in self.perhaps(region, words):
                        if word in written:
                            self.see(seen, written[word][0])
                    if any(word not in written for word in self.perhaps(region, words)):
                        broken(Rule.UNWRITTEN, what)
                for axis in region.axes:
                    if isinstance(axis, Lookup):
                        found = self.number(axis, values, what, broken)
                        self.see(seen, found.seen if found else {})
                self.create(tile.name, _Tile(shape(tile), True, seen), what, broken)
            case Store(view=view, region=region):
                what, name = f"store {view.tile.name}", region.array.name
                words = self.words(region, values, rows, lambda: broken(Rule.BOUNDS, what))
                self.run.stores[name] += len(words)
                tile = self.operand(view, shape(view), values, True, what, broken)
                if shape(view) != shape(region):
                    broken(Rule.SHAPE, what)
                if region.array.role == "input":
                    broken(Rule.INPUT, what)
                site = " / ".join([*(f"loop {index}" for index, _ in path), what])
                for word in words:
                    self.slow.setdefault(name, {})[word] = (tile.seen if tile else {}, site)
            case Alloc(tile=tile, fill=fill):
                new = _Tile(shape(tile), fill is not None, {})
                self.create(tile.name, new, f"alloc {tile.name}", broken)
            case Free(tile=tile):
                if tile.name in self.live:
                    del self.live[tile.name]
                    self.freed.add(tile.name)
                else:
                    broken(Rule.DOUBLE_FREE if tile.name in self.freed else Rule.OPERAND, f"free {tile.name}")
            case Compute(op=op, operands=operands, params=params):
                what = f"compute {op.name}"
                seen = {}
                for position, (view, (letter, _)) in enumerate(zip(operands, op.operands, strict=True)):
                    read = position >= op.updates or letter not in op.fresh
                    tile = self.operand(view, shape(view), values, read, what, broken)
                    self.see(seen, tile.seen if tile else {})
                try:
                    given = {key: evaluate_int(x, values) if isinstance(x, Expr) else x for key, x in params}
                    self.run.flops += op.flops(op.axis_sizes([shape(view) for view in operands]), given)
                except ProgramError:
                    broken(Rule.SHAPE, what)
                self.fits(op.scratch(dict(params)), what, broken)
                for view in operands[: op.updates]:
                    if view.tile.name in self.live:
                        old = self.live[view.tile.name]
                        self.live[view.tile.name] = _Tile(old.shape, True, seen)
            case _:
                raise AssertionError(statement)

    def words(self, region, values, rows, out_of_bounds):
        """The words of a region, one tuple of coordinates each."""
        axes, inside = [], True
        for axis, size in zip(region.axes, self.shapes[region.array.name], strict=True):
            if isinstance(axis, Coordinates):
                listed = list(rows[axis.index][axis.column])
                start, length = evaluate_int(axis.start, values), evaluate_int(axis.size, values)
                inside = inside and 0 <= start <= start + length <= len(listed) and all(0 <= x < size for x in listed)
                coordinates = (listed[max(start, 0) :] + [-1] * length)[:length]
            elif isinstance(axis, Lookup):
                coordinates = [0]  # one, whichever it is
            elif isinstance(axis, Point):
                coordinates = [evaluate_int(axis.at, values)]
                inside = inside and 0 <= coordinates[0] < size
            else:
                start, length = evaluate_int(axis.start, values), evaluate_int(axis.size, values)
                coordinates = range(start, start + length)
                inside = inside and 0 <= start <= start + length <= size
            axes.append(coordinates)
        if not inside:
            out_of_bounds()
        return list(product(*axes))

    def around(self, region, words):
        """The words of an input that a tile loaded from `words` counts as having seen."""
        words = self.perhaps(region, words)
        if self.lists or not any(isinstance(axis, Coordinates) for axis in region.axes):
            return words
        shape = self.shapes[region.array.name]
        return product(
            *(
                range(shape[number]) if isinstance(axis, Coordinates) else {word[number] for word in words}
                for number, axis in enumerate(region.axes)
            )
        )

    def perhaps(self, region, words):
        """The words that may be meant: those with any number for one that is looked up."""
        shape = self.shapes[region.array.name]
        axes = [number for number, axis in enumerate(region.axes) if isinstance(axis, Lookup)]
        for axis in axes:
            words = [(*word[:axis], number, *word[axis + 1 :]) for word in words for number in range(shape[axis])]
        return words

    def number(self, axis, values, what, broken):
        """The tile in which a coordinate is looked up."""
        name, position = axis.tile.name, evaluate_int(axis.position, values)
        if name not in self.live:
            broken(Rule.FREED if name in self.freed else Rule.OPERAND, what)
            return None
        if not self.live[name].has_value:
            broken(Rule.NO_VALUE, what)
        if not 0 <= position < self.live[name].shape[0]:
            broken(Rule.BOUNDS, what)
        return self.live[name]

    def operand(self, view, shape, values, read, what, broken):
        name = view.tile.name
        if name not in self.live:
            broken(Rule.FREED if name in self.freed else Rule.OPERAND, what)
            return None
        tile = self.live[name]
        if read and not tile.has_value:
            broken(Rule.NO_VALUE, what)
        starts = [evaluate_int(axis.start, values) for axis in view.axes]
        spans = zip(starts, shape, tile.shape, strict=True)
        if not all(0 <= start <= start + length <= size for start, length, size in spans):
            broken(Rule.BOUNDS, what)
        return tile

    def create(self, name, tile, what, broken):
        if name in self.live:
            broken(Rule.LEAK, what)
        self.live[name] = tile
        self.freed.discard(name)
        self.fits(0, what, broken)

    def fits(self, scratch, what, broken):
        words = sum(tile.words for tile in self.live.values()) + scratch
        self.run.peak = max(self.run.peak, words)
        if self.capacity is not None and words > self.capacity:
            broken(Rule.CAPACITY, what)

    def see(self, seen, more):
        for name, words in more.items():
            seen[name] = seen.get(name, set()) | words

    def report(self, rule, path, place, what):
        if (rule, place) not in self.reported:
            self.reported.add((rule, place))
            self.run.broken.append((rule, " / ".join([*(f"loop {index}={trip}" for index, trip in path), what])))

    def end(self):
        self.run.broken.extend((Rule.LEAK, "end") for _ in self.live)
        for array in self.program.arrays:
            if array.role != "output":
                continue
            written = self.slow.get(array.name, {})
            if set(product(*map(range, self.shapes[array.name]))) - set(written):
                self.run.broken.append((Rule.MISSING, "end"))
            unfinished = dict.fromkeys(
                (site, need.array)
                for word, (seen, site) in written.items()
                for need in array.needs
                if not self.finished(word, need, seen)
            )
            self.run.broken.extend((Rule.UNFINISHED, site) for site, _ in unfinished)

    def finished(self, word, need, seen):
        """Whether a value that has seen `seen` may be the final one of this word of an output, as for one input."""
        needed = [range(span.start, span.stop) for span in need.at(word, self.sizes)]
        if need.array not in seen or not seen[need.array]:
            return False
        return set(product(*needed)) <= seen[need.array]
