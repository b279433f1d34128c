"""Fast-forward: what LRU and FIFO make of a trace that repeats, without running all of it.

An iteration of a loop that uses the words of the one before, all moved by fixed distances (`iosim.caches.shift`), meets
a cache that holds what it held some iterations ago, moved in the same way, at the same places in the queue: then the
loads and stores of these iterations repeat as well, exactly, for as long as the loop goes on in this way. They are
multiplied, the lines in the queue are moved to where they will be, and the loop goes on from there. Loops are looked at
at every level, the inner ones first.

Source: the idea of warping cache simulation, Morelli and Reineke, PLDI 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from iosim.caches.model import FIRST, Cache, CacheCount, counted
from iosim.caches.queue import DIRTY, HEAD, LIVE, SEEN, TAIL, compact
from iosim.caches.shift import Moving, Shifts
from iosim.caches.simulation import Queue
from iosim.caches.touched import first_loads
from iosim.errors import UsageError
from iosim.expr import Size, evaluate
from iosim.loops import row_values, tile_values
from iosim.program import Alloc, Compute, Loop, Program, Statement, TableLoop, product
from iosim.traces.expand import PIECE, Expansion, Piece, advance, size_at
from iosim.traces.form import LOOP, TABLE, Integers, Integers32
from iosim.traces.homes import homes
from iosim.traces.jit import jit
from iosim.traces.run import start

_LEAST_ITERATION = 256  # uses below which an iteration costs less than to look at it
_LEAST_LOOP = 2_000_000  # uses below which a loop costs less than to look at it


@jit
def _moved(line: int, low: Integers, high: Integers, by: Integers, times: int) -> int:
    """Where a line is so many shifts later; -1 if it leaves the range that it moves in."""
    for number in range(len(low)):
        if low[number] <= line <= high[number]:
            there = int(line + by[number] * times)
            return there if low[number] <= there <= high[number] else -1
    return line


@jit
def _recurs(
    queue: Integers,
    at: Integers32,
    then: Integers,
    dirty: Integers,
    low: Integers,
    high: Integers,
    by: Integers,
    times: int,
) -> bool:
    """Whether the queue is what it was `times` iterations ago, moved."""
    for number in range(len(then)):
        line = queue[number]
        if line != _moved(then[number], low, high, by, times) or (at[line] & DIRTY) != dirty[number]:
            return False
    return True


@jit
def _oldest(state: Integers, at: Integers32, queue: Integers) -> int:
    head = state[HEAD]
    while head < state[TAIL] and at[queue[head]] >> 2 != head + 1:
        head += 1
    state[HEAD] = head
    return queue[head] if head < state[TAIL] else -1


@dataclass(slots=True)
class _Segment:
    """Instructions begin, ..., end - 1: run by compiled code, or a loop that is run from here, with its body."""

    begin: int
    end: int
    body: list[_Segment] = field(default_factory=list)
    loop: Loop | TableLoop | None = None
    looked_at: bool = False


@dataclass(frozen=True, slots=True)
class _Then:
    """The queue at some iteration, and what had been counted."""

    iteration: int
    lines: Integers
    dirty: Integers
    counters: Integers
    accesses: int


class Forward:
    """A simulation of the uses of a program that skips what repeats.

    Args:
        program: a legal program.
        sizes: values of all its sizes.
        cache: fully associative, LRU or FIFO.
        least: uses of an iteration, and of all iterations, from which on a loop is looked at.
        temporaries: whether tiles that are at home in no array are in the cache too.
        data: of the arrays that are looked up in, their values.

    Attributes:
        skipped: iterations that were not run, each with all that is inside counted once.
    """

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        cache: Cache,
        *,
        least: tuple[int, int] = (_LEAST_ITERATION, _LEAST_LOOP),
        temporaries: bool = True,
        data: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> None:
        if cache.ways is not None or cache.policy not in ("lru", "fifo"):
            raise UsageError(f"fast-forward: {cache}; allowed: fully associative lru and fifo")
        self.expansion = Expansion(program, sizes, data=data, align=cache.line)
        self.sizes, self.cache, self.least = sizes, cache, least
        self.simulation = Queue(cache, self.expansion.places)
        self.state = start(self.expansion.flattened)
        self.piece = Piece(np.empty(PIECE, np.int64), np.empty(PIECE, np.uint8))
        self.shifts = Shifts(program, sizes, homes(program, sizes), self.expansion.places)
        self.around: dict[str, int] = {}
        self.skipped = 0
        self.temporaries = temporaries
        self.code = self.expansion.flattened.flat.instructions

    def count(self) -> CacheCount:
        """What the cache makes of all of it."""
        self._run_all(self._segments(0, len(self.code), dict(self.sizes)))
        self.simulation.finish()
        found, known = self.simulation, True
        if self.skipped:
            first = first_loads(self.shifts.program, self.sizes, found.places, self.cache.line)
            known = first is not None
            found.counters[:, FIRST] = 0 if first is None else first
            if not self.temporaries:
                found.counters[[place.tile for place in found.places], FIRST] = 0
        counts = counted(self.cache, found.accesses, found.places, found.counters, None)
        return replace(counts, split=known)

    # What is run how

    def _segments(self, begin: int, end: int, values: Mapping[str, Size]) -> list[_Segment]:
        """The instructions from `begin` to `end`, loops that are worth it apart."""
        segments: list[_Segment] = []
        pc = plain = begin
        while pc < end:
            if self.code[pc, 0] not in (LOOP, TABLE):
                pc += 1
                continue
            after = int(self.code[pc, 5])
            loop = self.expansion.flattened.statements[pc]
            assert isinstance(loop, Loop | TableLoop)
            inside, trips = _first(loop, values)
            uses = _uses(loop.body, inside)
            if trips * uses >= self.least[1]:
                looked_at = (
                    isinstance(loop, Loop) and uses >= self.least[0] and trips > 2 and self.shifts.possible(loop)
                )
                body = self._segments(pc + 1, after - 1, inside)
                if looked_at or any(part.loop is not None for part in body):
                    if plain < pc:
                        segments.append(_Segment(plain, pc))
                    segments.append(_Segment(pc, after, body, loop, looked_at))
                    plain = after
            pc = after
        if plain < end:
            segments.append(_Segment(plain, end))
        return segments

    def _run_all(self, segments: Sequence[_Segment]) -> None:
        for segment in segments:
            if segment.loop is None:
                self._plain(segment.begin, segment.end)
            elif isinstance(segment.loop, TableLoop):
                self._table(segment)
            else:
                self._loop(segment, segment.loop)

    def _plain(self, begin: int, end: int) -> None:
        self.state.at[0] = begin
        done = False
        while not done:
            done, words = advance(self.expansion, self.state, end, *self.piece, 0)
            piece = Piece(self.piece.addresses[:words], self.piece.kinds[:words])
            self.simulation.feed(piece if self.temporaries else self.expansion.of_arrays(piece))

    def _table(self, segment: _Segment) -> None:
        row, flat = self.code[segment.begin], self.expansion.flattened.flat
        assert isinstance(segment.loop, TableLoop)
        rows = list(segment.loop.table.rows())
        for number in range(int(row[2])):
            entries = flat.rows[row[1] + number * row[3] : row[1] + (number + 1) * row[3]]
            self.state.registers[row[4]] = number
            self.state.registers[row[4] + 1 : row[4] + 1 + row[3]] = entries
            self._inside(segment, row_values(segment.loop.index, rows[number], number))

    def _inside(self, segment: _Segment, values: Mapping[str, int]) -> None:
        outside = self.around
        self.around = {**outside, **values}
        self._run_all(segment.body)
        self.around = outside

    def _loop(self, segment: _Segment, loop: Loop) -> None:
        row = self.code[segment.begin]
        begin, stop, step = (size_at(self.expansion, self.state, int(number)) for number in row[1:4])
        if begin > stop or step < 1:
            self._plain(segment.begin, segment.end)  # raises
        whole = (stop - begin) // step
        moving = self.shifts.of(loop, self.around) if segment.looked_at else None
        ranges = None if moving is None else self._ranges(moving)
        then: _Then | None = None
        again = 1
        iteration = 0
        while begin + iteration * step < stop:
            at = begin + iteration * step
            size = min(step, stop - at)
            self.state.registers[row[4] : row[4] + 4] = (at, size, stop, step)
            self._inside(segment, tile_values(loop.index, at, size))
            iteration += 1
            if ranges is None or iteration >= whole:
                continue
            if then is not None and self._recurs(then, iteration, ranges):
                iteration += self._skip(then, iteration, whole, ranges)
                then = None
            elif then is None or iteration >= again:
                # Brent: the queue is kept at iterations further and further apart, so that every period is met.
                then = self._now(iteration)
                again = 2 * iteration

    # The queue

    def _ranges(self, moving: Sequence[Moving]) -> Integers:
        """Rows: least and greatest line of each range, and how many words it moves by."""
        line = self.cache.line
        found = [(m.low // line, m.high // line, m.by) for m in moving]
        return np.array(found, dtype=np.int64).reshape(-1, 3).T.copy()

    def _parts(self) -> tuple[Integers, Integers32, Integers]:
        return self.simulation.state, self.simulation.at, self.simulation.queue

    def _now(self, iteration: int) -> _Then:
        state, at, queue = self._parts()
        live = compact(state, at, queue)
        lines = queue[:live].copy()
        dirty = (at[lines] & DIRTY).astype(np.int64)
        return _Then(iteration, lines, dirty, self.simulation.counters.copy(), self.simulation.accesses)

    def _recurs(self, then: _Then, iteration: int, ranges: Integers) -> bool:
        state, at, queue = self._parts()
        low, high, words = ranges
        times = iteration - then.iteration
        if int(state[LIVE]) != len(then.lines) or (words * times % self.cache.line).any():
            return False
        if not len(then.lines):
            return True
        by = words * times // self.cache.line
        if _oldest(state, at, queue) != _moved(int(then.lines[0]), low, high, by, 1):
            return False
        compact(state, at, queue)
        return bool(_recurs(queue, at, then.lines, then.dirty, low, high, by, 1))

    def _skip(self, then: _Then, iteration: int, whole: int, ranges: Integers) -> int:
        """Goes as many periods ahead as the loop has, and as all lines stay in the ranges that they move in."""
        state, at, queue = self._parts()
        low, high, words = ranges
        period = iteration - then.iteration
        by = words * period // self.cache.line
        times = (whole - iteration) // period
        lines = queue[: int(state[TAIL])]
        for number in range(len(by)):
            inside = lines[(lines >= low[number]) & (lines <= high[number])]
            if by[number] > 0 and len(inside):
                times = min(times, int(high[number] - inside.max()) // int(by[number]))
            elif by[number] < 0 and len(inside):
                times = min(times, int(inside.min() - low[number]) // int(-by[number]))
        if times < 1:
            return 0
        found = self.simulation
        found.counters += times * (found.counters - then.counters)
        found.accesses += times * (found.accesses - then.accesses)
        flags = at[lines] & 3
        at[lines] = SEEN
        moved = lines.astype(np.int64)
        for number in range(len(by)):
            inside = (lines >= low[number]) & (lines <= high[number])
            moved[inside] += by[number] * times
        lines[:] = moved
        at[lines] = np.arange(1, len(lines) + 1, dtype=np.int32) << 2 | flags
        self.skipped += times * period
        return times * period


def about_how_many_uses(program: Program, sizes: Mapping[str, int]) -> int:
    """An estimate from the first iteration of every loop. Units: accesses."""
    return _uses(program.body, sizes)


def _first(loop: Loop | TableLoop, values: Mapping[str, Size]) -> tuple[dict[str, Size], int]:
    """The values in the first iteration of a loop, and about how many there are."""
    if isinstance(loop, TableLoop):
        row = next(iter(loop.table.classes()), ({}, 0, 0))[0]
        return {**values, **row_values(loop.index, row, 0)}, loop.table.row_count
    start, stop, step = (evaluate(size, values) for size in (loop.start, loop.stop, loop.step))
    assert isinstance(start, int)
    assert isinstance(stop, int)
    assert isinstance(step, int)
    inside = {**values, **tile_values(loop.index, start, min(step, max(1, stop - start)))}
    return inside, max(0, -((start - stop) // max(1, step)))


def _uses(body: Sequence[Statement], values: Mapping[str, Size]) -> int:
    """About how many words are used; only what is worth looking at depends on it."""
    total = 0
    for statement in body:
        match statement:
            case Loop() | TableLoop():
                inside, trips = _first(statement, values)
                total += trips * _uses(statement.body, inside)
            case Compute(op=op, operands=operands):
                sizes = op.axis_sizes([view.shape for view in operands])
                words = evaluate(product(list(sizes.values())), values)
                total += words if isinstance(words, int) else 0
            case Alloc(tile=tile):
                words = evaluate(tile.words, values)
                total += words if isinstance(words, int) else 0
            case _:
                pass
    return total
