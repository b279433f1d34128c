"""Fully associative LRU and FIFO: one queue of lines, the next to go at its head.

Under LRU a line that is used again is put at the end of the queue once more; its old entry is stale, and is passed over
when it comes to the head. That takes no links to be kept: an access is one look at a table and one entry in the queue.
"""

from __future__ import annotations

import mmap

import numpy as np

from iosim.caches.model import FIRST, LOADS, MISSES, STORES
from iosim.errors import UsageError
from iosim.traces.form import READ, WRITE, Bytes, Integers, Integers32
from iosim.traces.jit import inline, jit

U = np.uint64  # of an index: for others it is looked whether they count from the end
DIRTY, SEEN = 1, 2
HEAD, TAIL, LIVE = range(3)  # of the queue, and lines in it


@inline
def owner(bounds: Integers, line: int) -> int:
    """The place that a line belongs to."""
    low, high = 0, len(bounds) - 1
    while low < high:
        middle = (low + high) // 2
        if line < bounds[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@inline
def line_of(addresses: Integers, access: int, words: int) -> int:
    """The line that an access is to; lines of one word need no division."""
    return int(addresses[access] if words == 1 else addresses[access] // words)


@inline
def tell(out: Integers, out_kinds: Bytes, written: int, line: int, kind: int) -> int:
    """Writes a load or a store of a line to `out`, if it is not empty; returns how many there are."""
    if len(out) == 0:
        return written
    out[written] = line
    out_kinds[written] = kind
    return written + 1


@jit
def _without_stale(head: int, tail: int, at: Integers32, queue: Integers) -> int:
    """Moves the entries that are not stale to the front of the queue, in order; returns how many they are."""
    kept = 0
    for old in range(head, tail):
        line = queue[old]
        if at[line] >> 2 == old + 1:
            queue[kept] = line
            kept += 1
            at[line] = kept << 2 | at[line] & 3
    return kept


@jit
def simulate(
    addresses: Integers,
    kinds: Bytes,
    words: int,
    fifo: bool,
    lines: int,
    state: Integers,
    at: Integers32,
    queue: Integers,
    bounds: Integers,
    counters: Integers,
    out: Integers,
    out_kinds: Bytes,
) -> int:
    """Accesses one after the other; returns how many loads and stores of lines were written to `out`, if it is not empty.

    Args:
        words: of a line.
        lines: that the cache holds.
        at: of each line, 4 times one more than its place in the queue, or 0, and its flags. Shape: [all lines].
        queue: lines; longer than the cache. 32 or 64 bits.
        out: line numbers. Shape: [2 * accesses] or [0].
    """
    head, tail, live = state[HEAD], state[TAIL], state[LIVE]
    written = 0
    for access in range(len(addresses)):
        line = line_of(addresses, access, words)
        kind = kinds[access]
        dirty = DIRTY if kind != READ else 0
        known = at[U(line)]
        if known >= 4:
            if fifo or known >> 2 == tail:
                at[line] = known | dirty
                continue
        else:
            place = owner(bounds, line)
            counters[place, MISSES] += 1
            if live == lines:
                while True:
                    victim = queue[U(head)]
                    flags = at[U(victim)]
                    head += 1
                    if flags >> 2 == head:
                        break
                if flags & DIRTY:
                    counters[owner(bounds, victim), STORES] += 1
                    written = tell(out, out_kinds, written, victim, WRITE)
                at[U(victim)] = SEEN
            else:
                live += 1
            if words > 1 or kind != WRITE:
                counters[place, LOADS] += 1
                if not known & SEEN:
                    counters[place, FIRST] += 1
                written = tell(out, out_kinds, written, line, READ)
            dirty |= SEEN
        if tail == len(queue):
            # At most `lines` entries stay.
            tail, head = _without_stale(head, tail, at, queue), 0
        queue[U(tail)] = line
        tail += 1
        at[U(line)] = tail << 2 | known & 3 | dirty
    state[HEAD], state[TAIL], state[LIVE] = head, tail, live
    return written


@jit
def compact(state: Integers, at: Integers32, queue: Integers) -> int:
    """Moves what is in the cache to the front of the queue, in order; returns how many lines that are."""
    state[HEAD], state[TAIL] = 0, _without_stale(state[HEAD], state[TAIL], at, queue)
    return int(state[TAIL])


def empty_table(lines: int) -> Integers32:
    """Zeros, one for each line; memory is taken only for the parts that are used.

    Raises:
        UsageError: the system does not give so much, not even of what may never be used.
    """
    if lines < 1 << 26:
        return np.zeros(lines, dtype=np.int32)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        return np.frombuffer(mmap.mmap(-1, 4 * lines, flags=flags), dtype=np.int32)
    except OSError as error:
        raise UsageError(
            f"a table of {lines:,} lines needs {4 * lines / 2**30:.3g} GiB of addresses: {error.strerror or error}; "
            "allowed: fewer words, or longer lines"
        ) from error


def queue_length(lines: int, all_lines: int) -> int:
    """Entries with which making room is rare."""
    held = min(lines, all_lines)
    return 2 * held + (1 << 14)
