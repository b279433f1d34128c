"""One cache and its trace, piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from iosim.caches import opt, queue, sets
from iosim.caches.model import LOADS, MOST_LINES, STORES, Cache, CacheCount, bounds_of, counted
from iosim.caches.queue import DIRTY
from iosim.errors import UsageError
from iosim.traces.expand import WRITE, Piece
from iosim.traces.form import Bytes, Integers, Place

_POLICY = {"lru": sets.LRU, "fifo": sets.FIFO, "plru": sets.PLRU, "random": sets.RANDOM}
_NOTHING = Piece(np.empty(0, np.int64), np.empty(0, np.uint8))


class Simulation(ABC):
    """A cache while it is simulated.

    Args:
        cache: what is simulated.
        places: what lies at which addresses.
        tell: whether its loads and stores are wanted, for the next level.
    """

    most_lines = MOST_LINES

    def __init__(self, cache: Cache, places: Sequence[Place], *, tell: bool = False) -> None:
        self.cache = cache
        self.places = places
        self.bounds = bounds_of(places, cache.line)
        self.all_lines = int(self.bounds[-1]) if places else 0
        if self.all_lines > self.most_lines:
            raise UsageError(
                f"the arrays lie in {self.all_lines:,} lines; allowed in this simulation: {self.most_lines:,}"
            )
        self.tell = tell
        self.accesses = 0
        self.counters = np.zeros((max(1, len(places)), 4), dtype=np.int64)
        self._out = _NOTHING

    def feed(self, piece: Piece) -> Piece:
        """The next accesses; returns the loads and stores that they cause, if they are wanted, valid until the next call."""
        self.accesses += len(piece.addresses)
        if self.tell and len(self._out.addresses) < 2 * len(piece.addresses):
            size = 2 * len(piece.addresses)
            self._out = Piece(np.empty(size, np.int64), np.empty(size, np.uint8))
        written = self._simulate(piece, self._out)
        return self._words(Piece(self._out.addresses[:written], self._out.kinds[:written]))

    def finish(self) -> Piece:
        """The final flush: every dirty line is stored, in the order of addresses."""
        dirty = self._clean()
        for number, lines in enumerate(np.diff(np.searchsorted(dirty, [0, *self.bounds]))):
            self.counters[number, STORES] += lines
        return self._words(Piece(dirty if self.tell else dirty[:0], np.full(len(dirty) * self.tell, WRITE, np.uint8)))

    def _words(self, lines: Piece) -> Piece:
        """Every word of the lines."""
        if self.cache.line == 1 or not len(lines.addresses):
            return lines
        words = self.cache.line
        addresses = (lines.addresses[:, None] * words + np.arange(words)).ravel()
        return Piece(addresses, np.repeat(lines.kinds, words))

    @abstractmethod
    def _simulate(self, piece: Piece, out: Piece) -> int: ...

    @abstractmethod
    def _clean(self) -> Integers:
        """Makes every line clean; returns those that were dirty, in rising order."""


class Queue(Simulation):
    """LRU or FIFO, fully associative."""

    most_lines = 2**36

    def __init__(self, cache: Cache, places: Sequence[Place], *, tell: bool = False) -> None:
        super().__init__(cache, places, tell=tell)
        self.state = np.zeros(3, dtype=np.int64)
        self.at = queue.empty_table(self.all_lines)
        length, word = queue.queue_length(cache.lines, self.all_lines), np.int32 if self.all_lines < 2**31 else np.int64
        if length > MOST_LINES:
            raise UsageError(f"the cache holds {cache.lines:,} lines; allowed in this simulation: {MOST_LINES // 2:,}")
        self.queue: Integers = np.zeros(length, dtype=word)

    def _simulate(self, piece: Piece, out: Piece) -> int:
        cache = self.cache
        parts: Any = (self.state, self.at, self.queue, self.bounds, self.counters, *out)
        return queue.simulate(
            piece.addresses,
            piece.kinds,
            cache.line,
            cache.policy == "fifo",
            cache.lines,
            *parts,
        )

    def _clean(self) -> Integers:
        lines = self.queue[: queue.compact(self.state, self.at, self.queue)]
        dirty = np.sort(lines[self.at[lines] & DIRTY != 0]).astype(np.int64)
        self.at[dirty] ^= DIRTY
        return dirty


class _Sets(Simulation):
    def __init__(self, cache: Cache, places: Sequence[Place], *, tell: bool = False) -> None:
        super().__init__(cache, places, tell=tell)
        self.ways = min(cache.ways or cache.lines, max(1, self.all_lines) if cache.policy != "plru" else cache.lines)
        slots = cache.sets * self.ways
        self.random = np.array([2 * cache.seed + 88172645463325252], dtype=np.uint64)
        self.flags = np.zeros(self.all_lines, dtype=np.uint8)
        self.at = np.full(self.all_lines, -1, dtype=np.int32)
        self.slots = np.zeros(slots, dtype=np.int64)
        self.after, self.before = np.zeros(slots, dtype=np.int32), np.zeros(slots, dtype=np.int32)
        self.ends = np.zeros(3 * cache.sets, dtype=np.int32)

    def _simulate(self, piece: Piece, out: Piece) -> int:
        cache = self.cache
        tables = (self.at, self.slots, self.after, self.before, self.ends, self.flags)
        parts: Any = (*tables, self.bounds, self.counters, *out)
        return sets.simulate(
            piece.addresses,
            piece.kinds,
            cache.line,
            _POLICY[cache.policy],
            cache.sets,
            self.ways,
            self.random,
            *parts,
        )

    def _clean(self) -> Integers:
        return _clean(self.flags)


class _Opt(Simulation):
    def __init__(self, cache: Cache, places: Sequence[Place], *, tell: bool = False) -> None:
        super().__init__(cache, places, tell=tell)
        self.state = np.array([0, -1, 0, -1], dtype=np.int64)
        self.flags = np.zeros(self.all_lines, dtype=np.uint8)
        self.last = np.full(self.all_lines, -1, dtype=np.int64)
        self.marks = [np.zeros(0, dtype=np.uint64)] * 3
        self.kept: list[Piece] = []

    def _simulate(self, piece: Piece, out: Piece) -> int:
        if self.cache.sets > 1 or self.tell:
            self.kept.append(Piece(piece.addresses.copy(), piece.kinds.copy()))
        else:
            self._run(piece)
        return 0

    def _clean(self) -> Integers:
        return _clean(self.flags)

    def _run(self, piece: Piece) -> None:
        times = int(self.state[opt.NOW]) + len(piece.addresses)
        if len(self.marks[0]) < opt.mark_words(times)[0]:
            sizes = opt.mark_words(2 * times)
            grown = zip(self.marks, sizes, strict=True)
            self.marks = [np.concatenate([old, np.zeros(size - len(old), dtype=np.uint64)]) for old, size in grown]
        cache, ways = self.cache, self.cache.ways or self.cache.lines
        parts: Any = (self.state, self.last, *self.marks, self.flags, self.bounds, self.counters)
        opt.simulate(*piece, cache.line, cache.sets, ways, *parts)

    def finish(self) -> Piece:
        """Also what could not be done before all accesses were known: with sets, and for the next level."""
        if not self.kept:
            return super().finish()
        addresses, kinds = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
        self.kept = []
        order = np.arange(0)
        if self.cache.sets > 1:
            # Sets know nothing of each other: the accesses of one after those of the other.
            order = np.argsort(addresses // self.cache.line % self.cache.sets, kind="stable")
            addresses, kinds = addresses[order], kinds[order]
        self._run(Piece(addresses, kinds))
        flushed = super().finish()
        return self._moves(Piece(addresses, kinds), order) if self.tell else flushed

    def _moves(self, accesses: Piece, order: Integers) -> Piece:
        """What goes to the next level and comes from it, in order, the final flush included."""
        length, cache = len(accesses.addresses), self.cache
        following, unread = np.empty(length, dtype=np.int64), np.empty(length, dtype=np.int64)
        seen = np.full(self.all_lines, opt.UNUSED, dtype=np.int64)
        opt.next_uses(*accesses, cache.line, opt.DEAD, seen, following)
        most = int(self.counters[:, [LOADS, STORES]].sum())
        times, lines, kinds = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint8)
        self.flags[:] = 0
        self.last[:] = -1
        marks = [np.zeros(size, dtype=np.uint64) for size in opt.mark_words(length)]
        parts: Any = (following, self.last, *marks, unread, self.flags, times, lines, kinds)
        written = opt.moves(*accesses, cache.line, cache.sets, cache.ways or cache.lines, *parts)
        dirty = self._clean()
        assert written + len(dirty) == most, f"{cache}: {written} + {len(dirty)} moves, {most} counted"
        sequence = np.argsort(order[times[:written]], kind="stable") if len(order) else slice(written)
        flush = np.full(len(dirty), WRITE, np.uint8)
        return self._words(Piece(np.concatenate([lines[sequence], dirty]), np.concatenate([kinds[sequence], flush])))


def _clean(flags: Bytes) -> Integers:
    dirty = np.flatnonzero(flags & DIRTY)
    flags[dirty] ^= DIRTY
    return dirty


def simulation(cache: Cache, places: Sequence[Place], *, tell: bool = False) -> Simulation:
    """The simulation of a cache that holds nothing yet.

    Raises:
        UsageError: there are too many lines.
    """
    if cache.policy == "opt":
        return _Opt(cache, places, tell=tell)
    kind = Queue if cache.ways is None and cache.policy in ("lru", "fifo") else _Sets
    return kind(cache, places, tell=tell)


def simulate(levels: Sequence[Cache], places: Sequence[Place], pieces: Iterable[Piece]) -> tuple[CacheCount, ...]:
    """What each of several levels makes of a trace of uses; the loads and stores of one are the accesses of the next.

    A store is an access that writes words without reading them.

    Args:
        levels: the first one is nearest to the operations.
        places: what lies at which addresses; each begins at a multiple of every line.

    Raises:
        UsageError: there are too many lines.
    """
    last = len(levels) - 1
    chain = [simulation(cache, places, tell=number < last) for number, cache in enumerate(levels)]
    twins = [simulation(cache.full, places) if cache.ways else None for cache in levels]

    def down(number: int, piece: Piece) -> None:
        if number > last or not len(piece.addresses):
            return
        twin = twins[number]
        if twin is not None:
            twin.feed(piece)
        down(number + 1, chain[number].feed(piece))

    for piece in pieces:
        down(0, piece)
    for number, level in enumerate(chain):
        down(number + 1, level.finish())
    for twin in twins:
        if twin is not None:
            twin.finish()
    return tuple(
        counted(cache, level.accesses, places, level.counters, None if twin is None else twin.counters)
        for cache, level, twin in zip(levels, chain, twins, strict=True)
    )
