"""Is a program a legal schedule of the two-level machine at given sizes? Named rules, violations with their positions.

The loops are not run, they are proved. A loop is run for its first two tiles; from the two states after them the state
at the start of every later tile `t` is guessed, as a function affine in `t`; then the body is run *once more with `t` a
symbol*, and must lead from the guess at `t` to the guess at `t + 1`. Every decision on the way is a comparison of two
affine functions, made for the whole range of `t` at once; where it comes out differently at different `t`, the range
is split there. So the verdict holds for each single iteration, ragged ends included, at a cost that does not grow with
the number of iterations; a nest that is not uniform is run tile by tile where it has to be.

State: the live tiles with their words, and for each array of slow memory the boxes that have been written. With each
tile and each box goes what its value has *seen*: for every input, a box that contains the words that flowed into it.
An output is unfinished if it has not seen the inputs that its declaration says it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias, assert_never

from iosim.errors import CountError, ProgramError
from iosim.expr import Expr, Size, collect, evaluate, evaluate_int, free_symbols, symbol
from iosim.interpret.count import Tiles, tiles_of
from iosim.program import (
    Alloc,
    Array,
    Axis,
    Compute,
    Coordinates,
    Free,
    Load,
    Loop,
    Program,
    Region,
    Span,
    Statement,
    Store,
    Table,
    TableLoop,
    View,
    product,
)

Box: TypeAlias = tuple[tuple[Size, Size], ...]  # [start, stop) of each axis
Seen: TypeAlias = tuple[tuple[str, Box], ...]  # for each input, by name, a box around the words that flowed in

_STEP_LIMIT = 200_000  # runs of a loop body, after which the nest counts as too irregular to decide


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


def violations(program: Program, sizes: Mapping[str, int], capacity: int | None = None) -> list[Violation]:
    """Every statement of `program` that breaks a rule at these sizes, once for each rule; empty if it is legal.

    Args:
        program: what to check.
        sizes: values of all its sizes.
        capacity: words of fast memory; None leaves the capacity rule out.

    Units: words.
    Raises:
        CountError: the nest is too irregular to decide in reasonable time.
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
    checker = _Checker(program, dict(sizes), capacity)
    checker.run(program.body, dict(sizes))
    checker.end()
    return list(checker.found.values())


@dataclass(frozen=True, slots=True)
class _Live:
    words: Size
    shape: tuple[Size, ...]
    has_value: bool
    seen: Seen


@dataclass(frozen=True, slots=True)
class _Written:
    """A box of a slow array; a stale one is what is left of a box after part of it was written again."""

    box: Box
    seen: Seen
    stale: bool
    site: str


@dataclass(slots=True)
class _State:
    live: dict[str, _Live] = field(default_factory=dict)
    freed: frozenset[str] = frozenset()
    written: dict[str, tuple[_Written, ...]] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(dict(self.live), self.freed, dict(self.written))

    def extrapolated(self, earlier: _State, since: Size) -> _State | None:
        """This state, `since` iterations later, if the two states differ by constants only in their numbers."""
        numbers: Iterator[Size] = iter(list(earlier.numbers()))
        fits = True

        def go_on(value: Size) -> Size:
            nonlocal fits
            step = value - next(numbers, 0)
            fits = fits and isinstance(step, int)
            return value + step * since

        if earlier.skeleton() != self.skeleton():
            return None
        result = self.mapped(go_on)
        return result if fits else None

    def skeleton(self) -> object:
        """Everything but the numbers."""
        return (
            [(name, len(tile.shape), tile.has_value, _names(tile.seen)) for name, tile in self.live.items()],
            self.freed,
            [(name, [(_names(w.seen), w.stale, w.site) for w in boxes]) for name, boxes in self.written.items()],
        )

    def numbers(self) -> Iterator[Size]:
        collected: list[Size] = []

        def note(value: Size) -> Size:
            collected.append(value)
            return value

        self.mapped(note)
        return iter(collected)

    def mapped(self, f: Callable[[Size], Size]) -> _State:
        """The state with each of its numbers replaced, always in the same order."""

        def box(b: Box) -> Box:
            return tuple((f(low), f(high)) for low, high in b)

        def seen(s: Seen) -> Seen:
            return tuple((name, box(b)) for name, b in s)

        live = {
            name: replace(tile, words=f(tile.words), shape=tuple(map(f, tile.shape)), seen=seen(tile.seen))
            for name, tile in self.live.items()
        }
        written = {
            name: tuple(replace(w, box=box(w.box), seen=seen(w.seen)) for w in boxes)
            for name, boxes in self.written.items()
        }
        return _State(live, self.freed, written)


class _Split(Exception):  # noqa: N818  a signal, not an error
    """A comparison comes out differently within the range of this loop variable."""

    def __init__(self, variable: str) -> None:
        self.variable = variable


class _Checker:
    def __init__(self, program: Program, sizes: dict[str, int], capacity: int | None) -> None:
        self.program = program
        self.capacity = capacity
        self.shapes = {a.name: tuple(evaluate_int(size, sizes) for size in a.shape) for a in program.arrays}
        self.state = _State()
        self.found: dict[tuple[Rule, object], Violation] = {}
        self.ranges: dict[str, tuple[int, Size]] = {}  # symbolic loop variables, outermost first: least, greatest
        self.path: list[tuple[str, Size]] = []
        self.tables: dict[str, Table] = {}  # those of the loops we are in
        self.steps = 0

    # Deciding

    def le(self, a: Size, b: Size) -> bool:
        """Whether a <= b, for all values of the symbolic loop variables.

        Raises:
            _Split: it depends on them.
        """
        difference = b - a
        if isinstance(difference, int):
            return difference >= 0
        if self._extreme(difference, greatest=False) >= 0:
            return True
        if self._extreme(difference, greatest=True) < 0:
            return False
        raise _Split(self._outermost(difference))

    def _extreme(self, value: Size, *, greatest: bool) -> int:
        for variable, (low, high) in reversed(self.ranges.items()):
            if isinstance(value, int):
                break
            coefficients = collect(value, variable)
            slope = None if coefficients is None else coefficients.get((1,), 0)
            if coefficients is None or not isinstance(slope, int) or any(e > 1 for (e,) in coefficients):
                raise _Split(self._outermost(value))
            value = evaluate(value, {variable: high if (slope > 0) == greatest else low})
        assert isinstance(value, int)
        return value

    def _outermost(self, value: Size) -> str:
        names = free_symbols(value)
        return next(variable for variable in self.ranges if variable in names)

    def _int_of(self, value: Size) -> Size:
        """`value` if it is affine in the symbolic loop variables.

        Raises:
            _Split: it is not (a quotient, say), so a loop has to be run tile by tile.
        """
        if isinstance(value, Expr) and any(not isinstance(atom, str) for m in value.terms for atom, _ in m):
            raise _Split(self._outermost(value))
        return value

    # Reporting

    def report(self, rule: Rule, statement: Statement, what: str, found: str) -> None:
        key = (rule, id(statement))
        if key not in self.found:
            self.found[key] = Violation(rule, " / ".join([*self._position(), what]), found)

    def _position(self) -> list[str]:
        lowest = {variable: low for variable, (low, _) in self.ranges.items()}
        return [f"loop {index}={evaluate(t, lowest)}" for index, t in self.path]

    def _text(self, name: str, box: Box) -> str:
        lowest = {variable: low for variable, (low, _) in self.ranges.items()}
        axes = [f"{evaluate(low, lowest)}:{evaluate(high, lowest)}" for low, high in box]
        return f"{name}[{', '.join(axes)}]"

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
        if region.array.role == "input":
            seen: Seen = ((region.array.name, box),)
        else:
            missing, seen = [box], ()
            for written in self.state.written.get(region.array.name, ()):
                if self.overlap(written.box, box):
                    seen = self.union(seen, written.seen)
                missing = [piece for part in missing for piece in self.minus(part, written.box)]
            if missing:
                text = self._text(region.array.name, missing[0])
                self.report(Rule.UNWRITTEN, statement, what, f"{text} has never been written")
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
        site = " / ".join([*(f"loop {index}" for index, _ in self.path), what])
        new = _Written(box, tile.seen if tile else (), False, site)
        after: list[_Written] = []
        for written in self.state.written.get(name, ()):
            left = [written]
            if self.overlap(written.box, box):
                left = [replace(written, box=piece, stale=True) for piece in self.minus(written.box, box)]
            for piece in left:
                after = self.merge(after, piece)
        self.state.written[name] = tuple(self.merge(after, new))

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
            seen = self.union(seen, tile.seen if tile else ())
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
        if not all(self.le(0, low) and self.le(high, size) for (low, high), size in zip(box, tile.shape, strict=True)):
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
        if not self.le(words, self.capacity):
            lowest = {variable: low for variable, (low, _) in self.ranges.items()}
            found = f"{evaluate(words, lowest):,} words live, capacity is {self.capacity:,}"
            self.report(Rule.CAPACITY, statement, what, found)

    def end(self) -> None:
        """What must hold in the end: nothing left in fast memory, every output word written and finished."""
        for name in self.state.live:
            self.found[Rule.LEAK, name] = Violation(Rule.LEAK, "end", f"{name} is never freed")
        for array in self.program.arrays:
            if array.role != "output":
                continue
            whole: Box = tuple((0, size) for size in self.shapes[array.name])
            missing = [whole]
            for written in self.state.written.get(array.name, ()):
                missing = [piece for part in missing for piece in self.minus(part, written.box)]
                self.finished(array, written)
            if missing:
                found = f"{self._text(array.name, missing[0])} is not written"
                self.found[Rule.MISSING, array.name] = Violation(Rule.MISSING, "end", found)

    def finished(self, array: Array, written: _Written) -> None:
        seen = dict(written.seen)
        for need in array.needs:
            shape = self.shapes[need.array]
            needed: Box = tuple(
                (0, size) if axis is None else written.box[axis] for axis, size in zip(need.axes, shape, strict=True)
            )
            have = seen.get(need.array)
            if have is None or not self.inside(needed, have):
                saw = "nothing of it" if have is None else self._text(need.array, have)
                text = f"{self._text(array.name, written.box)} needs {self._text(need.array, needed)}, has seen {saw}"
                key = (Rule.UNFINISHED, (written.site, need.array))
                self.found.setdefault(key, Violation(Rule.UNFINISHED, written.site, text))

    # Loops

    def loop(self, loop: Loop, values: Mapping[str, Size]) -> None:
        cut = tiles_of(loop, values)
        full, rest = self._int_of(cut.full), self._int_of(cut.rest)
        ragged = cut.tiles - cut.full
        self.iterations(loop, values, cut, full)
        if self.le(1, ragged):
            self.iteration(loop, values, cut, full, rest)

    def iteration(self, loop: Loop, values: Mapping[str, Size], cut: Tiles, t: Size, size: Size) -> None:
        """The body for tile number `t`, which may be symbolic."""
        self.steps += 1
        if self.steps > _STEP_LIMIT:
            raise CountError(f"loop {loop.index}: legality is not decided after {_STEP_LIMIT:,} runs of a loop body")
        bound = {**values, f"{loop.index}.start": cut.start + cut.step * t, f"{loop.index}.size": size}
        self.body(loop, loop.body, bound, t)

    def body(self, loop: Loop | TableLoop, body: Sequence[Statement], values: Mapping[str, Size], t: Size) -> None:
        before = set(self.state.live)
        self.path.append((loop.index, t))
        self.run(body, values)
        for name in [name for name in self.state.live if name not in before]:
            self.report(Rule.LEAK, loop, f"end of loop {loop.index}", f"{name} is still in fast memory")
            del self.state.live[name]
        self.path.pop()

    def iterations(self, loop: Loop, values: Mapping[str, Size], cut: Tiles, count: Size) -> None:
        """The full tiles, numbers 0 .. count-1."""
        t, patience, attempt = 0, 1, 2
        while self.le(t + 1, count):
            before = self.state.copy()
            self.iteration(loop, values, cut, t, cut.step)
            t += 1
            # the first tile often differs from all the others; after a failure, wait for the nest to settle
            if t < attempt or not self.le(t + 1, count):
                continue
            for end in _ends(t, count):
                if self.prove(loop, values, cut, before, t, end):
                    if isinstance(end, Expr):
                        return
                    t = end
                    patience = 1
                    break
            else:
                if isinstance(count, Expr):
                    raise _Split(self._outermost(count))
                patience *= 2
            attempt = t + patience

    def prove(self, loop: Loop, values: Mapping[str, Size], cut: Tiles, before: _State, t: int, end: Size) -> bool:
        """Runs tiles t .. end-1 at once, by induction; `before` is the state one tile earlier."""
        variable = f"{loop.index}.t"
        now = self.state
        guess = now.extrapolated(before, symbol(variable) - t)
        if guess is None:
            return False
        found, path = dict(self.found), list(self.path)
        with self._ranging(variable, t, end - 1):
            try:
                self.state = guess.copy()
                self.iteration(loop, values, cut, symbol(variable), cut.step)
                proved = self.state == guess.mapped(lambda value: evaluate(value, {variable: symbol(variable) + 1}))
            except _Split as split:
                self.path = path
                if split.variable != variable:
                    self.state, self.found = now, found
                    raise
                proved = False
        if not proved:
            self.state, self.found = now, found
            return False
        self.state = guess.mapped(lambda value: evaluate(value, {variable: end}))
        for name, boxes in self.state.written.items():
            # boxes that were apart for a general t may touch at the end
            joined: list[_Written] = []
            for written in boxes:
                joined = self.merge(joined, written)
            self.state.written[name] = tuple(joined)
        return True

    @contextmanager
    def _ranging(self, variable: str, low: int, high: Size) -> Iterator[None]:
        self.ranges[variable] = (low, high)
        try:
            yield
        finally:
            del self.ranges[variable]

    def table(self, loop: TableLoop, values: Mapping[str, Size]) -> None:
        """The rows of a table. If the first row leads to a state that no kind of row changes, the rest is proved."""

        def run(row: Mapping[str, object], number: int) -> None:
            self.steps += 1
            if self.steps > _STEP_LIMIT:
                raise CountError(f"loop {loop.index}: legality is not decided after {_STEP_LIMIT:,} rows")
            bound: dict[str, Size] = dict(values)
            bound |= {f"{loop.index}.{key}": value for key, value in row.items() if isinstance(value, int)}
            self.body(loop, loop.body, bound, number)

        start, found = self.state.copy(), dict(self.found)
        self.tables[loop.index] = loop.table
        stable: _State | None = None
        for row, _, first in loop.table.classes():
            if stable is None:
                run(row, first)
                stable = self.state.copy()
            run(row, first)
            if self.state != stable:
                break
        else:
            return
        self.state, self.found = start, found
        for number, whole_row in enumerate(loop.table.rows()):
            run(whole_row, number)

    # Boxes

    def region_box(self, statement: Statement, what: str, region: Region, values: Mapping[str, Size]) -> Box:
        shape = self.shapes[region.array.name]
        box = self.axes_box(region.axes, values, shape)
        for axis, (low, high), size in zip(region.axes, box, shape, strict=True):
            inside = self.le(0, low) and self.le(low, high) and self.le(high, size)
            if isinstance(axis, Coordinates):
                inside = self._coordinates_inside(axis, size)
            if not inside:
                text = f"{self._text(region.array.name, box)} of an array of {_sizes(shape)}"
                self.report(Rule.BOUNDS, statement, what, text)
        return box

    def _coordinates_inside(self, axis: Coordinates, size: int) -> bool:
        least, greatest = self.tables[axis.index].bounds(axis.column)
        return least >= 0 and greatest < size

    def axes_box(self, axes: Sequence[Axis], values: Mapping[str, Size], shape: Sequence[int] = ()) -> Box:
        box: list[tuple[Size, Size]] = []
        for position, axis in enumerate(axes):
            match axis:
                case Span():
                    span = axis.at(values)
                    box.append((self._int_of(span.start), self._int_of(span.stop)))
                case Coordinates():
                    box.append((0, shape[position]))  # which coordinates is not tracked
                case _:
                    assert_never(axis)
        return tuple(box)

    def overlap(self, a: Box, b: Box) -> bool:
        return not any(self.le(ah, bl) or self.le(bh, al) for (al, ah), (bl, bh) in zip(a, b, strict=True))

    def inside(self, a: Box, b: Box) -> bool:
        return all(self.le(bl, al) and self.le(ah, bh) for (al, ah), (bl, bh) in zip(a, b, strict=True))

    def minus(self, a: Box, b: Box) -> list[Box]:
        """Disjoint boxes that cover `a` without `b`."""
        if not self.overlap(a, b):
            return [a]
        pieces: list[Box] = []
        for axis, ((al, ah), (bl, bh)) in enumerate(zip(a, b, strict=True)):
            if not self.le(bl, al):
                pieces.append((*a[:axis], (al, bl), *a[axis + 1 :]))
                al = bl  # noqa: PLW2901
            if not self.le(ah, bh):
                pieces.append((*a[:axis], (bh, ah), *a[axis + 1 :]))
                ah = bh  # noqa: PLW2901
            a = (*a[:axis], (al, ah), *a[axis + 1 :])
        return pieces

    def merge(self, others: list[_Written], new: _Written) -> list[_Written]:
        """`others` and `new`, with `new` joined to every neighbour that it makes a box with.

        What is left over from an earlier writing is joined only to more of the same, so that it stays visible that it
        was not written again.
        """
        for position, other in enumerate(others):
            if other.stale != new.stale or (new.stale and (other.seen, other.site) != (new.seen, new.site)):
                continue
            differ = [axis for axis, (a, b) in enumerate(zip(other.box, new.box, strict=True)) if a != b]
            if len(differ) == 1:
                (axis,) = differ
                (al, ah), (bl, bh) = other.box[axis], new.box[axis]
                if ah == bl or bh == al:
                    joined = (*new.box[:axis], (al, bh) if ah == bl else (bl, ah), *new.box[axis + 1 :])
                    rest = others[:position] + others[position + 1 :]
                    both = replace(new, box=joined, seen=self.union(other.seen, new.seen))
                    return self.merge(rest, both)
        return [*others, new]

    def union(self, a: Seen, b: Seen) -> Seen:
        """For each input, the least box around both."""
        boxes = dict(a)
        for name, box in b:
            mine = boxes.get(name)
            if mine is None:
                boxes[name] = box
            elif mine != box:
                boxes[name] = tuple(
                    (low if self.le(low, other_low) else other_low, other_high if self.le(high, other_high) else high)
                    for (low, high), (other_low, other_high) in zip(mine, box, strict=True)
                )
        return tuple(sorted(boxes.items(), key=lambda item: item[0]))


def _ends(t: int, count: Size) -> Iterator[Size]:
    """Where to end the range of tiles from `t` that is proved at once: all, all but the last, a half, a quarter, ..."""
    yield count
    if isinstance(count, int):
        end = count - 1
        while end - t >= 2:
            yield end
            end = t + (end - t) // 2


def _names(seen: Seen) -> tuple[str, ...]:
    return tuple(name for name, _ in seen)


def _sizes(shape: Sequence[Size]) -> str:
    return " x ".join(f"{size:,}" if isinstance(size, int) else str(size) for size in shape)
