"""Is a program a legal schedule of the two-level machine at given sizes? Named rules, violations with their positions.

The loops are not run, they are proved. A loop is run for its first two tiles; from the two states after them the state
at the start of every later tile `t` is guessed, as a function affine in `t`; then the body is run *once more with `t` a
symbol*, and must lead from the guess at `t` to the guess at `t + 1`. Every decision on the way is a comparison of two
affine functions, made for the whole range of `t` at once; where it comes out differently at different `t`, the range
is split there. So the verdict holds for each single iteration, ragged ends included, at a cost that does not grow with
the number of iterations. Where the tiles of an inner loop fall differently into every p-th tile of an outer one, p tiles
are run in place of one; a nest that is not uniform at all is run tile by tile where it has to be.

State: the live tiles with their words, and for each array of slow memory the boxes that have been written. With each
tile and each box goes what its value has *seen*: for every input, the boxes of words that flowed into it. An output is
unfinished if it has not seen the inputs that its declaration says it needs. What this can't tell apart: words of one
tile, or of one box stored at once; in nests where that takes too long, words of a box and of the boxes stored before
and after it; a list of coordinates, or one that is looked up, and the whole axis; and the boxes,
where they are many (see `iosim.interpret.boxes`). What is looked up is a number that only an execution knows: that it is
inside the array is not checked here but there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import TypeVar, assert_never

from iosim.errors import CountError, ProgramError
from iosim.expr import Expr, Size, evaluate, evaluate_int, floor_div, free_symbols, symbol
from iosim.interpret.boxes import (
    Box,
    Seen,
    Written,
    all_have_seen,
    box_of,
    empty,
    merged,
    overlap,
    stored,
    union,
    without,
    write,
)
from iosim.interpret.ranges import Ranges, Split
from iosim.interpret.tiles import Tiles, tiles_of
from iosim.program import (
    Alloc,
    Array,
    Axis,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Loop,
    Need,
    Point,
    Program,
    Region,
    Span,
    Statement,
    Store,
    Table,
    TableLoop,
    View,
    product,
    row_of,
    walk,
)

_EXACT_LIMIT = 1_000  # after which words that were stored together are no more told apart from their neighbours
_STEP_LIMIT = 50_000  # runs of a loop body, after which the nest counts as too irregular to decide
_PERIOD_LIMIT = 5_000  # tiles after which a nest may repeat itself


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


class _UndecidedError(CountError):
    """A nest is too irregular to decide within the limit."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, and the first position in the loop nest where it is broken."""

    rule: Rule
    where: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found} [{self.rule.value}]"


def violations(program: Program, sizes: Mapping[str, int], capacity: int | None = None) -> list[Violation]:
    """Every statement of `program` that breaks a rule at these sizes, once for each rule; empty if it is legal.

    Args:
        program: what to check.
        sizes: values of all its sizes.
        capacity: words of fast memory; None leaves the capacity rule out.

    Units: words.
    Raises:
        CountError: a size has no value, a loop ends before it starts, or the nest is too irregular to decide in
            reasonable time.
    Example:
        >>> from iosim.builder import build
        >>> def forgets(b, *, n, B):
        ...     X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        ...     with b.tiles("i", n - B, B) as i, b.load(X[i]) as x:
        ...         b.store(x, Y[i])
        >>> for violation in violations(build(forgets, name="forgets", n="n", B="B"), {"n": 100, "B": 8}, capacity=7):
        ...     print(violation)
        loop i=0 / load x: 8 words live, capacity is 7 [capacity]
        end: Y[92:100] is not written [output word not written]
    """
    unknown = [name for name in program.sizes if name not in sizes]
    if unknown:
        raise CountError(f"{program.name}: no value for {', '.join(unknown)}")
    for exact, limit in ((True, _EXACT_LIMIT), (False, _STEP_LIMIT)):
        checker = _Checker(program, dict(sizes), capacity, exact=exact, limit=limit)
        try:
            checker.run(program.body, dict(sizes))
            checker.end()
        except _UndecidedError:
            if not exact:
                raise
        else:
            break
    return list(checker.found.values())


@dataclass(frozen=True, slots=True)
class _Live:
    words: Size
    shape: tuple[Size, ...]
    has_value: bool
    seen: Seen

    def mapped(self, f: Callable[[Size], Size]) -> _Live:
        """With each of its numbers replaced, always in the same order."""
        seen = tuple(
            (name, tuple(tuple((f(low), f(high)) for low, high in b) for b in boxes)) for name, boxes in self.seen
        )
        return _Live(f(self.words), tuple(map(f, self.shape)), self.has_value, seen)


_Part = TypeVar("_Part", _Live, Written)


@dataclass(slots=True)
class _State:
    live: dict[str, _Live] = field(default_factory=dict)
    freed: frozenset[str] = frozenset()
    written: dict[str, tuple[Written, ...]] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(dict(self.live), self.freed, dict(self.written))

    def extrapolated(self, earlier: _State, since: Size) -> _State | None:
        """This state, `since` iterations later, if the two states differ by constants only in their numbers."""
        if earlier.skeleton() != self.skeleton():
            return None
        numbers: list[Size] = []
        before: Iterator[Size] = iter(())
        fits = True

        def note(value: Size) -> Size:
            numbers.append(value)
            return value

        def go_on(value: Size) -> Size:
            nonlocal fits
            step = value - next(before)
            fits = fits and isinstance(step, int)
            return value + step * since

        def continued(now: _Part, then: _Part) -> _Part:
            nonlocal before
            if now is then or now == then:
                return now
            numbers.clear()
            then.mapped(note)
            before = iter(list(numbers))
            return now.mapped(go_on)

        live = {name: continued(tile, earlier.live[name]) for name, tile in self.live.items()}
        written = {name: tuple(map(continued, boxes, earlier.written[name])) for name, boxes in self.written.items()}
        return _State(live, self.freed, written) if fits else None

    def skeleton(self) -> object:
        """Everything but the numbers."""

        def of(tile: _Live) -> object:
            return len(tile.shape), tile.has_value, [(name, len(boxes)) for name, boxes in tile.seen]

        return (
            [(name, of(tile)) for name, tile in self.live.items()],
            self.freed,
            [(name, [written.skeleton() for written in boxes]) for name, boxes in self.written.items()],
        )

    def mapped(self, f: Callable[[Size], Size], constant: _State) -> _State:
        """The state with its numbers replaced, but for the parts that are those of `constant`."""
        live = {name: tile if tile is constant.live[name] else tile.mapped(f) for name, tile in self.live.items()}
        written = {
            name: tuple(w if w is same else w.mapped(f) for w, same in zip(boxes, constant.written[name], strict=True))
            for name, boxes in self.written.items()
        }
        return _State(live, self.freed, written)


class _Checker:
    def __init__(
        self, program: Program, sizes: dict[str, int], capacity: int | None, *, exact: bool, limit: int
    ) -> None:
        self.program = program
        self.capacity = capacity
        self.sizes = sizes
        self.shapes = {a.name: tuple(evaluate_int(size, sizes) for size in a.shape) for a in program.arrays}
        self.state = _State()
        self.found: dict[tuple[Rule, object], Violation] = {}
        self.ranges = Ranges(exact=exact)
        self.limit = limit
        self.path: list[tuple[str, Size]] = []
        self.tables: dict[str, tuple[Table, Mapping[str, Size]]] = {}  # those of the loops we are in, and their rows
        self.listed: dict[tuple[str, str], tuple[int, int, Size]] = {}  # what these rows list, by loop and column
        self.before: dict[str, int] = {}  # rows of a table before the run of equal ones that we are in
        self.steps = 0

    # Reporting

    def report(self, rule: Rule, statement: Statement, what: str, found: str) -> None:
        key = (rule, id(statement))
        if key not in self.found:
            self.found[key] = Violation(rule, " / ".join([*self._position(), what]), found)

    def _position(self) -> list[str]:
        return [f"loop {index}={self.ranges.first(t)}" for index, t in self.path]

    def _text(self, name: str, *boxes: Box) -> str:
        first = self.ranges.first
        return " and ".join(f"{name}[{', '.join(f'{first(low)}:{first(high)}' for low, high in box)}]" for box in boxes)

    # Statements

    def run(self, body: Sequence[Statement], values: Mapping[str, Size]) -> None:
        for statement in body:
            match statement:
                case Load():
                    self.load(statement, values)
                case Store():
                    self.store(statement, values)
                case Alloc(tile=tile, fill=fill):
                    shape = tuple(evaluate(size, values) for size in tile.shape)
                    new = _Live(product(shape), shape, fill is not None, ())
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
                case Loop():
                    self.loop(statement, values)
                case TableLoop():
                    self.table(statement, values)
                case _:
                    assert_never(statement)

    def load(self, statement: Load, values: Mapping[str, Size]) -> None:
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
        self.create(statement, what, tile.name, _Live(product(shape), shape, True, seen))

    def store(self, statement: Store, values: Mapping[str, Size]) -> None:
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
        op, what = statement.op, f"compute {statement.op.name}"
        tiles: list[_Live | None] = []
        fresh = {name for name, _ in op.operands if name in op.fresh}
        for position, (view, (name, _)) in enumerate(zip(statement.operands, op.operands, strict=True)):
            read = position >= op.updates or name not in fresh
            tiles.append(self.operand(statement, what, view, values, read=read))
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
    ) -> _Live | None:
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

    def create(self, statement: Statement, what: str, name: str, tile: _Live) -> None:
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

    # Loops

    def loop(self, loop: Loop, values: Mapping[str, Size]) -> None:
        start, stop = (self.ranges.settled(evaluate(x, values)) for x in (loop.start, loop.stop))
        cut = tiles_of(replace(loop, start=start, stop=stop), values)
        if not self.ranges.le(0, cut.extent):
            raise CountError(f"{' / '.join([*self._position(), f'loop {loop.index}'])}: it stops before it starts")
        full, rest = self.ranges.affine(cut.full), self.ranges.affine(cut.rest)
        ragged = cut.tiles - cut.full
        self.iterations(loop, values, cut, full)
        if self.ranges.le(1, ragged):
            self.iteration(loop, values, cut, full, rest)

    def iteration(self, loop: Loop, values: Mapping[str, Size], cut: Tiles, t: Size, size: Size) -> None:
        """The body for tile number `t`, which may be symbolic."""
        self.steps += 1
        if self.steps > self.limit:
            raise _UndecidedError(
                f"loop {loop.index}: legality is not decided after {self.limit:,} runs of a loop body"
            )
        bound = {**values, f"{loop.index}.start": cut.start + cut.step * t, f"{loop.index}.size": size}
        self.body(loop, loop.body, bound, t)

    def body(self, loop: Loop | TableLoop, body: Sequence[Statement], values: Mapping[str, Size], t: Size) -> None:
        before = set(self.state.live)
        self.path.append((loop.index.removeprefix("#"), self.before.get(loop.index, 0) + t))
        self.run(body, values)
        for name in [name for name in self.state.live if name not in before]:
            self.report(Rule.LEAK, loop, f"end of loop {loop.index}", f"{name} is still in fast memory")
            del self.state.live[name]
        self.path.pop()

    def iterations(self, loop: Loop, values: Mapping[str, Size], cut: Tiles, count: Size) -> None:
        """The full tiles, numbers 0 .. count-1."""
        t: Size = 0
        period, past = 1, [self.state.copy()]  # the states at the start of the last `period` tiles, and now
        # the first tile often differs from all the others; not the first row of a further kind
        wait, patience = 1 if self.before.get(loop.index) else 2, 1
        while self.ranges.le(t + 1, count):
            self.iteration(loop, values, cut, t, cut.step)
            t, wait = t + 1, wait - 1
            past = [*past[-period:], self.state.copy()]
            if wait > 0 or not self.ranges.le(t + period, count):
                continue
            times = self.ranges.affine(floor_div(count - t, period))
            proved, longer = self.prove_most(loop, values, cut, past[0], t, times, period)
            if not (isinstance(proved, int) and proved == 0):
                t = t + proved * period
                patience, past, wait = 1, [self.state.copy()], period
            elif longer > 1 and period * longer <= _PERIOD_LIMIT:
                wait, period = period * longer - period, period * longer
            elif isinstance(count, Expr) and isinstance(t, int) and t > 2:
                raise Split(self.ranges.outermost(count))
            else:
                # wait for the nest to settle
                patience *= 2
                wait = patience

    def prove_most(
        self, loop: Loop, values: Mapping[str, Size], cut: Tiles, before: _State, t: Size, times: Size, period: int
    ) -> tuple[Size, int]:
        """Proves as many as it can of `times` times `period` tiles from `t` on; how many times, and if none, how many
        times longer the period should be (1: no longer; 0: no period helps)."""
        end = times
        while True:
            try:
                return (end, 1) if self.prove(loop, values, cut, before, t, end, period) else (0, 1)
            except Split as split:
                if split.variable != f"{loop.index}.t":
                    raise
                if split.period != 1:
                    return 0, split.period
                if split.at is not None and self.ranges.le(split.at, times):
                    end = split.at
                elif isinstance(end, int) and end > 1:
                    end = end - 1 if end == times else end // 2
                else:
                    return 0, 1

    def prove(
        self, loop: Loop, values: Mapping[str, Size], cut: Tiles, before: _State, t: Size, times: Size, period: int
    ) -> bool:
        """Runs `times` times `period` tiles from `t` on at once, by induction; `before` is the state a period earlier.

        Raises:
            Split: some decision is not the same for all of them.
        """
        variable = f"{loop.index}.t"
        now, found, path = self.state, dict(self.found), list(self.path)
        guess = now.extrapolated(before, symbol(variable))
        if guess is None:
            return False
        try:
            with self.ranges.over(variable, times):
                self.state = guess.copy()
                for number in range(period):
                    self.iteration(loop, values, cut, t + period * symbol(variable) + number, cut.step)
                proved = self.state == guess.mapped(
                    lambda value: evaluate(value, {variable: symbol(variable) + 1}), now
                )
        except Split:
            self.state, self.found, self.path = now, found, path
            raise
        if not proved:
            self.state, self.found = now, found
            return False
        self.state = guess.mapped(lambda value: evaluate(value, {variable: times}), now)
        for name, boxes in self.state.written.items():
            if boxes != now.written[name]:
                self.state.written[name] = merged(boxes)
        for name, tile in self.state.live.items():
            self.state.live[name] = replace(tile, seen=union(self.ranges, (), tile.seen))
        return True

    def table(self, loop: TableLoop, values: Mapping[str, Size]) -> None:
        """The rows of a table. If the first row leads to a state that no kind of row changes, the rest is proved.

        Where it matters which row it is, each run of rows of one kind is a loop; this works if each kind has only one.
        """
        if _tells_rows_apart(loop):
            self.runs(loop, values)
            return

        def run(table: Table, row: Mapping[str, int], number: int) -> None:
            self.steps += 1
            if self.steps > self.limit:
                raise _UndecidedError(f"loop {loop.index}: legality is not decided after {self.limit:,} rows")
            self.tables[loop.index] = table, row
            self.listed = {key: known for key, known in self.listed.items() if key[0] != loop.index}
            self.body(loop, loop.body, {**values, **{f"{loop.index}.{key}": x for key, x in row.items()}}, number)

        start, found = self.state.copy(), dict(self.found)
        stable: _State | None = None
        for row, times, first in loop.table.classes():
            if stable is None:
                run(loop.table, row, first)
                stable = self.state.copy()
                if self.kinds(loop, values, stable):
                    return
            known = set(self.found)
            if times > 1 or first > 0:
                run(loop.table, row, first)
            # which row of the first kind, or which list of coordinates, breaks a rule is seen row by row
            again, new = self.found.keys() - known, self.found.keys() - found.keys()
            if self.state != stable or (again and first == 0) or any(rule is Rule.BOUNDS for rule, _ in new):
                break
        else:
            return
        self.state, self.found = start, found
        for number, whole_row in enumerate(loop.table.rows()):
            table = Table([whole_row])
            ((row, _, _),) = table.classes()
            steps = self.steps
            run(table, row, number)
            self.steps = steps + 1  # the limit is one on irregular nests, not on long tables

    def kinds(self, loop: TableLoop, values: Mapping[str, Size], stable: _State) -> bool:
        """Whether one row, of whole numbers that stand for all between their least and their greatest, leads from `stable`
        to itself and breaks no rule: then every row of the table does so, of whatever kind."""
        index, rows = loop.index, [row for row, _, _ in loop.table.classes()]
        if len(rows) == 1 or not loop.table.lengths or self.found:
            return False
        before, path = self.state.copy(), list(self.path)
        row: dict[str, Size] = {}
        mine: set[str] = set()
        with ExitStack() as ranges:
            for column in rows[0]:
                least, greatest = (extreme(each[column] for each in rows) for extreme in (min, max))
                row[column] = least
                if greatest > least:
                    variable = f"{index}.{column}.t"
                    mine.add(variable)
                    ranges.enter_context(self.ranges.over(variable, greatest - least + 1))
                    row[column] = least + symbol(variable)
            self.tables[index] = loop.table, row
            self.listed = {key: known for key, known in self.listed.items() if key[0] != index}
            try:
                self.body(loop, loop.body, {**values, **{f"{index}.{key}": x for key, x in row.items()}}, 0)
                proved = self.state == stable and not self.found
            except Split as split:
                self.path = path
                if split.variable not in mine:
                    raise
                proved = False
        if not proved:
            self.state, self.found = before, {}
        return proved

    def runs(self, loop: TableLoop, values: Mapping[str, Size]) -> None:
        """The rows of a table in which each kind of row comes in one run."""
        index, done = loop.index, 0
        for row, times, first in loop.table.classes():
            if first != done:
                raise CountError(
                    f"loop {index}: rows of one kind must follow each other where the number of a row matters"
                )
            done += times
            self.tables[index], self.before[row_of(index)] = (loop.table, row), first
            self.listed = {key: known for key, known in self.listed.items() if key[0] != index}
            entries = {f"{index}.{key}": x for key, x in row.items()}
            self.loop(Loop(row_of(index), first, done, 1, loop.body), {**values, **entries})
        del self.before[row_of(index)]

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
        if key not in self.listed:
            table, row = self.tables[axis.index]
            length = table.lengths.get(axis.column)
            listed = table.shortest(axis.column, row) if length is None else row[length]
            self.listed[key] = (*table.bounds(axis.column), listed)
        least, greatest, listed = self.listed[key]
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


def _tells_rows_apart(loop: TableLoop) -> bool:
    """Whether a region in the body depends on the number of the row."""
    number = f"{row_of(loop.index)}.start"
    regions = (each.region for each in walk(loop.body) if isinstance(each, Load | Store))
    return any(
        number in free_symbols(axis.start) for region in regions for axis in region.axes if isinstance(axis, Span)
    )


def _needed(need: Need, sizes: Mapping[str, Size], box: Box) -> Box:
    """What the words of `box` need to see, all together: what they need moves up with them."""
    first = need.at([low for low, _ in box], sizes)
    last = need.at([high - 1 for _, high in box], sizes)
    return tuple((low.start, high.stop) for low, high in zip(first, last, strict=True))


def _sizes(shape: Sequence[Size]) -> str:
    return " x ".join(f"{size:,}" if isinstance(size, int) else str(size) for size in shape)
