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
and after it; a list of coordinates, or one that is looked up, and the whole axis; and the boxes, where they are many (see
`iosim.interpret.legality.boxes`). What is looked up is a number that only an execution knows: that it is inside the array
is not checked here but there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import assert_never

from iosim.errors import CountError
from iosim.expr import Expr, Size, evaluate, floor_div, free_symbols, symbol
from iosim.interpret.legality.boxes import union
from iosim.interpret.legality.ranges import Split
from iosim.interpret.legality.rules import Machine, Rule, Violation
from iosim.interpret.legality.states import State, Trend
from iosim.interpret.legality.written import merged
from iosim.interpret.tiles import Tiles, tiles_of
from iosim.loops import entry_name, number_name, row_values, tile_values
from iosim.program import (
    Alloc,
    Compute,
    Free,
    Load,
    Loop,
    Program,
    Span,
    Statement,
    Store,
    Table,
    TableLoop,
    row_of,
    walk,
)

_STEP_LIMIT = 50_000  # runs of a loop body, after which the nest counts as too irregular to decide
_EXACT_LIMIT = 1_000  # the same where words are told apart from those they were stored with, which is given up then
_PERIOD_LIMIT = 5_000  # tiles after which a nest may repeat itself


class _UndecidedError(CountError):
    """A nest is too irregular to decide within the limit."""


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
    machine = Machine(program, sizes, capacity, exact=True)
    try:
        _Loops(machine).run(program.body, sizes)
    except _UndecidedError:
        if not machine.ranges.told_apart:
            raise
        machine = Machine(program, sizes, capacity, exact=False)
        _Loops(machine).run(program.body, sizes)
    machine.end()
    return list(machine.found.values())


@dataclass(frozen=True, slots=True)
class _Nest:
    """A loop at some values of the symbols outside it.

    Attributes:
        loop: the loop; over the numbers of the rows, if it is one over a run of rows of a table.
        written: what the program calls it.
        values: those outside.
        cut: its tiles.
        before: rows of the table before the run.
    """

    loop: Loop
    written: Loop | TableLoop
    values: Mapping[str, Size]
    cut: Tiles
    before: int

    @property
    def variable(self) -> str:
        """Stands for the number of a tile."""
        return number_name(self.loop.index)


class _Loops:
    """Runs the loops of a program on a machine that knows the rules of single statements."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.ranges = machine.ranges
        self.runs = 0  # of loop bodies

    def run(self, body: Sequence[Statement], values: Mapping[str, Size]) -> None:
        for statement in body:
            match statement:
                case Load() | Store() | Alloc() | Free() | Compute():
                    self.machine.step(statement, values)
                case Loop():
                    self.loop(statement, statement, values)
                case TableLoop():
                    self.table(statement, values)
                case _:
                    assert_never(statement)

    def body(
        self, written: Loop | TableLoop, body: Sequence[Statement], values: Mapping[str, Size], number: Size
    ) -> None:
        """The body of a loop in one iteration, or in a range of them."""
        self.runs += 1
        self.within_limit(written, 0)
        machine = self.machine
        before = set(machine.state.live)
        machine.path.append((written.index, number))
        self.run(body, values)
        for name in [name for name in machine.state.live if name not in before]:
            machine.report(Rule.LEAK, written, f"end of loop {written.index}", f"{name} is still in fast memory")
            del machine.state.live[name]
        machine.path.pop()

    def within_limit(self, written: Loop | TableLoop, more: int) -> None:
        """Raises an _UndecidedError if the body of a loop was run too often, or will be if it is run so many times more."""
        limit = _EXACT_LIMIT if self.ranges.told_apart else _STEP_LIMIT
        if self.runs + more > limit:
            raise _UndecidedError(f"loop {written.index}: legality is not decided after {limit:,} runs of a loop body")

    # Loops over tiles

    def loop(self, loop: Loop, written: Loop | TableLoop, values: Mapping[str, Size], before: int = 0) -> None:
        start, stop = (self.ranges.settled(evaluate(x, values)) for x in (loop.start, loop.stop))
        cut = tiles_of(replace(loop, start=start, stop=stop), values)
        if not self.ranges.le(0, cut.extent):
            raise CountError(f"{self.machine.where(f'loop {written.index}')}: it stops before it starts")
        full, rest = self.ranges.affine(cut.full), self.ranges.affine(cut.rest)
        ragged = cut.tiles - cut.full
        nest = _Nest(loop, written, values, cut, before)
        self.iterations(nest, full)
        if self.ranges.le(1, ragged):
            self.iteration(nest, full, rest)

    def iteration(self, nest: _Nest, t: Size, size: Size) -> None:
        """The body for tile number `t`, which may be symbolic."""
        index, cut = nest.loop.index, nest.cut
        tile = tile_values(index, cut.start + cut.step * t, size)
        self.body(nest.written, nest.loop.body, {**nest.values, **tile}, nest.before + t)

    def iterations(self, nest: _Nest, count: Size) -> None:
        """The full tiles, numbers 0 .. count-1."""
        t: Size = 0
        period, past = 1, [self.machine.state.copy()]  # the states at the start of the last `period` tiles, and now
        # the first tile often differs from all the others; not the first row of a further kind
        wait, patience = 1 if nest.before else 2, 1
        least = _STEP_LIMIT  # runs of loop bodies that a tile took
        while self.ranges.le(t + 1, count):
            runs = self.runs
            self.iteration(nest, t, nest.cut.step)
            least = min(least, self.runs - runs)
            t, wait = t + 1, wait - 1
            past = [*past[-period:], self.machine.state.copy()]
            if wait > 0 or not self.ranges.le(t + period, count):
                continue
            times = self.ranges.affine(floor_div(count - t, period))
            trend = self.machine.state.trend(past[0])
            proved, longer = (0, 1) if trend is None else self.prove_most(nest, trend, t, times, period)
            if not (isinstance(proved, int) and proved == 0):
                t = t + proved * period
                patience, past, wait = 1, [self.machine.state.copy()], period
            elif longer > 1 and period * longer <= _PERIOD_LIMIT:
                wait, period = period * longer - period, period * longer
                if isinstance(count, int) and isinstance(t, int):
                    self.within_limit(nest.written, least * min(count - t, wait + period))
            elif isinstance(count, Expr) and isinstance(t, int) and t > 2:
                raise Split(self.ranges.outermost(count))
            else:
                # wait for the nest to settle
                patience *= 2
                wait = patience

    def prove_most(self, nest: _Nest, trend: Trend, t: Size, times: Size, period: int) -> tuple[Size, int]:
        """Proves as many as it can of `times` times `period` tiles from `t` on, over which the state goes on by `trend`; how
        many times, and if none, how many times longer the period should be (1: no longer; 0: no period helps)."""
        end = times
        while True:
            try:
                return (end, 1) if self.prove(nest, trend, t, end, period) else (0, 1)
            except Split as split:
                if split.variable != nest.variable:
                    raise
                if split.period != 1:
                    return 0, split.period
                if split.at is not None and self.ranges.le(split.at, times):
                    end = split.at
                elif isinstance(end, int) and end > 1:
                    end = end - 1 if end == times else end // 2
                else:
                    return 0, 1

    def prove(self, nest: _Nest, trend: Trend, t: Size, times: Size, period: int) -> bool:
        """Runs `times` times `period` tiles from `t` on at once, by induction: the state goes on by `trend`.

        Raises:
            Split: some decision is not the same for all of them.
        """
        machine, past = self.machine, symbol(nest.variable)
        now, saved = machine.state, machine.saved()
        proved = False
        try:
            with self.ranges.over(nest.variable, times):
                machine.state = now.advanced(trend, past)
                for number in range(period):
                    self.iteration(nest, t + period * past + number, nest.cut.step)
                proved = machine.state == now.advanced(trend, past + 1)
        finally:
            if not proved:
                machine.restore(saved)
        if proved:
            machine.state = now.advanced(trend, times)
            for name, boxes in machine.state.written.items():
                if boxes != now.written[name]:
                    machine.state.written[name] = merged(boxes)
            for name, tile in machine.state.live.items():
                machine.state.live[name] = replace(tile, seen=union(self.ranges, (), tile.seen))
        return proved

    # Loops over tables

    def table(self, loop: TableLoop, values: Mapping[str, Size]) -> None:
        """The rows of a table. If the first row leads to a state that no kind of row changes, the rest is proved.

        Where it matters which row it is, each run of rows of one kind is a loop; this works if each kind has only one.
        """
        if _tells_rows_apart(loop):
            self.row_by_row_of_each_kind(loop, values)
            return
        machine = self.machine
        saved = machine.saved()
        found = set(machine.found)
        stable: State | None = None
        for row, times, first in loop.table.classes():
            if stable is None:
                self.row(loop, loop.table, row, first, values)
                stable = machine.state.copy()
                if self.kinds(loop, values, stable):
                    return
            known = set(machine.found)
            if times > 1 or first > 0:
                self.row(loop, loop.table, row, first, values)
            # which row of the first kind, or which list of coordinates, breaks a rule is seen row by row
            again, new = machine.found.keys() - known, machine.found.keys() - found
            if machine.state != stable or (again and first == 0) or any(rule is Rule.BOUNDS for rule, _ in new):
                break
        else:
            return
        machine.restore(saved)
        for number, whole_row in enumerate(loop.table.rows()):
            table = Table([whole_row])
            ((row, _, _),) = table.classes()
            runs = self.runs
            self.row(loop, table, row, number, values)
            self.runs = runs + 1  # the limit is one on irregular nests, not on long tables

    def row(
        self, loop: TableLoop, table: Table, row: Mapping[str, Size], number: int, values: Mapping[str, Size]
    ) -> None:
        """The body for one row."""
        self.machine.at_row(loop.index, table, row)
        entries = {entry_name(loop.index, column): value for column, value in row.items()}
        self.body(loop, loop.body, {**values, **entries}, number)

    def kinds(self, loop: TableLoop, values: Mapping[str, Size], stable: State) -> bool:
        """Whether one row, of whole numbers that stand for all between their least and their greatest, leads from `stable`
        to itself and breaks no rule: then every row of the table does so, of whatever kind."""
        machine, rows = self.machine, [row for row, _, _ in loop.table.classes()]
        if len(rows) == 1 or not loop.table.lengths or machine.found:
            return False
        saved = machine.saved()
        row: dict[str, Size] = {}
        mine: set[str] = set()
        proved = False
        with ExitStack() as ranges:
            for column in rows[0]:
                least, greatest = (extreme(each[column] for each in rows) for extreme in (min, max))
                row[column] = least
                if greatest > least:
                    variable = number_name(entry_name(loop.index, column))
                    mine.add(variable)
                    ranges.enter_context(self.ranges.over(variable, greatest - least + 1))
                    row[column] = least + symbol(variable)
            try:
                self.row(loop, loop.table, row, 0, values)
                proved = machine.state == stable and not machine.found
            except Split as split:
                if split.variable not in mine:
                    raise
            finally:
                if not proved:
                    machine.restore(saved)
        return proved

    def row_by_row_of_each_kind(self, loop: TableLoop, values: Mapping[str, Size]) -> None:
        """The rows of a table in which each kind of row comes in one run."""
        index, done = loop.index, 0
        for row, times, first in loop.table.classes():
            if first != done:
                raise CountError(
                    f"loop {index}: rows of one kind must follow each other where the number of a row matters"
                )
            done += times
            self.machine.at_row(index, loop.table, row)
            numbers = Loop(row_of(index), first, done, 1, loop.body)
            self.loop(numbers, loop, {**values, **row_values(index, row)}, first)


def _tells_rows_apart(loop: TableLoop) -> bool:
    """Whether a region in the body depends on the number of the row."""
    number = f"{row_of(loop.index)}.start"
    regions = (each.region for each in walk(loop.body) if isinstance(each, Load | Store))
    return any(
        number in free_symbols(axis.start) for region in regions for axis in region.axes if isinstance(axis, Span)
    )
