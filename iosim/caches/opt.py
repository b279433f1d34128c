"""Belady's OPT: the fewest loads of any replacement policy, in one pass, without looking ahead.

A line that is used at times p and t, and not in between, can stay from p to t if at every time in between fewer than
`ways` lines stay. Deciding in the order of t, and keeping whenever that is possible, keeps the most of any choice: it is
the choice of Belady's rule (evict what is used last), which gives up the interval with the latest end.

What has to be known is the number of lines that stay at each time, from a time x on at most: m(x), the greatest number
at x or later. It only falls, by 1 at places that are *marked*. Keeping from p to t = now adds 1 to m on all that is after
the last mark before p: that mark goes, and a new one is made at t - 1. Where m has reached its limit it stays there: no
interval that begins before the last such time can be kept.

Source: the rule: Belady 1966; intervals: Faigle and Nawijn 1995, Carlisle and Lloyd 1995.

A line whose next use writes it without reading it holds a value that nobody needs: it is not kept, and not stored.

For the next level it has to be known when a line is stored. That is when Belady's rule evicts it: `moves` follows the rule
itself, with all accesses at hand. Of lines that are not read again it evicts the one first that was used longest ago.
"""

from __future__ import annotations

import numpy as np

from iosim.caches.model import FIRST, LOADS, MISSES, STORES
from iosim.caches.queue import DIRTY, SEEN, line_of, owner
from iosim.traces.form import READ, WRITE, Bits, Bytes, Integers
from iosim.traces.jit import highest, inline, jit, lowest

UNUSED, DEAD = -1, -2  # in place of the time of the next use: there is none; it writes without reading
HERE = 4  # a flag of a line: it is in the cache

NOW, FULL_UNTIL, TOP, SET = range(4)  # accesses so far; the last time at its limit; the greatest m after that; the set


@inline
def _mark(time: int, marks: Bits, groups: Bits, areas: Bits) -> None:
    marks[time >> 6] |= np.uint64(1) << np.uint64(time & 63)
    groups[time >> 12] |= np.uint64(1) << np.uint64((time >> 6) & 63)
    areas[time >> 18] |= np.uint64(1) << np.uint64((time >> 12) & 63)


@inline
def _unmark(time: int, marks: Bits, groups: Bits, areas: Bits) -> None:
    marks[time >> 6] &= ~(np.uint64(1) << np.uint64(time & 63))
    if marks[time >> 6] == 0:
        groups[time >> 12] &= ~(np.uint64(1) << np.uint64((time >> 6) & 63))
        if groups[time >> 12] == 0:
            areas[time >> 18] &= ~(np.uint64(1) << np.uint64((time >> 12) & 63))


@inline
def _below(words: Bits, at: int) -> int:
    """The place of the highest 1 among the bits before `at` of the word that `at` is in; -1 if there is none."""
    word = words[at >> 6] & ((np.uint64(1) << np.uint64(at & 63)) - np.uint64(1))
    return -1 if word == 0 else (at & ~63) | highest(word)


@inline
def _last_mark(time: int, marks: Bits, groups: Bits, areas: Bits) -> int:
    """The last marked time before `time`; -1 if there is none."""
    found = _below(marks, time)
    if found >= 0:
        return found
    group = _below(groups, time >> 6)
    if group < 0:
        area = _below(areas, time >> 12)
        if area < 0:
            part = (time >> 18) - 1
            while part >= 0 and areas[part] == 0:
                part -= 1
            if part < 0:
                return -1
            area = (part << 6) | highest(areas[part])
        group = (area << 6) | highest(groups[area])
    return (group << 6) | highest(marks[group])


@inline
def _first_mark(time: int, marks: Bits) -> int:
    """The first marked time from `time` on, which there is."""
    word = marks[time >> 6] >> np.uint64(time & 63)
    if word != 0:
        return time + lowest(word)
    at = (time >> 6) + 1
    while marks[at] == 0:
        at += 1
    return (at << 6) | lowest(marks[at])


@jit
def simulate(
    addresses: Integers,
    kinds: Bytes,
    words: int,
    sets: int,
    ways: int,
    state: Integers,
    last: Integers,
    marks: Bits,
    groups: Bits,
    areas: Bits,
    flags: Bytes,
    bounds: Integers,
    counters: Integers,
) -> None:
    """Accesses one after the other.

    With several sets, the accesses of each set come together: what is known of one says nothing about the next.

    Args:
        last: of each line, when it was used last, or -1.
        marks: a bit for each time; groups: a bit for each word of marks; areas: one for each word of groups.
    """
    now, until, top = state[NOW], state[FULL_UNTIL], state[TOP]
    for access in range(len(addresses)):
        line = line_of(addresses, access, words)
        kind = kinds[access]
        made = words == 1 and kind == WRITE
        if sets > 1 and line % sets != state[SET]:
            state[SET] = line % sets
            until, top = now - 1, 0
        begin = last[line] + 1  # of the times in between
        last[line] = now
        if begin > 0 and not made and (begin == now or (begin > until and ways > 1)):
            if begin < now:
                before = _last_mark(begin, marks, groups, areas)
                _mark(now - 1, marks, groups, areas)
                if before > until:
                    _unmark(before, marks, groups, areas)
                else:
                    top += 1
                    if top == ways - 1:
                        until = _first_mark(begin, marks)
                        top -= 1
            if kind != READ:
                flags[line] |= DIRTY
        else:
            place = owner(bounds, line)
            if not made:
                counters[place, LOADS] += 1
                if begin == 0:
                    counters[place, FIRST] += 1
                if flags[line] & DIRTY:
                    counters[place, STORES] += 1
            if begin == 0 or begin < now:
                counters[place, MISSES] += 1
            flags[line] = SEEN if kind == READ else SEEN | DIRTY
        now += 1
    state[NOW], state[FULL_UNTIL], state[TOP] = now, until, top


def mark_words(times: int) -> tuple[int, int, int]:
    """Bits for the marks, groups and areas of so many times."""
    return (times >> 6) + 2, (times >> 12) + 2, (times >> 18) + 2


@jit
def next_uses(addresses: Integers, kinds: Bytes, words: int, dead: int, seen: Integers, following: Integers) -> None:
    """Of each access, when its line is used again; what `seen` has at first if it is not, `dead` if it is then written
    without being read."""
    for access in range(len(addresses) - 1, -1, -1):
        line = line_of(addresses, access, words)
        following[access] = seen[line]
        seen[line] = dead if words == 1 and kinds[access] == WRITE else access


@jit
def moves(
    addresses: Integers,
    kinds: Bytes,
    words: int,
    sets: int,
    ways: int,
    following: Integers,
    last: Integers,
    marks: Bits,
    groups: Bits,
    areas: Bits,
    unread: Integers,
    flags: Bytes,
    times: Integers,
    out: Integers,
    out_kinds: Bytes,
) -> int:
    """The loads and stores of lines that Belady's rule makes, and at which access; returns how many. The accesses of each
    set come together.

    Args:
        following: see `next_uses`, with UNUSED and DEAD.
        last: of each line, when it was used last, or -1.
        marks, groups, areas: as for `simulate`; here a mark is the next use of a line that is in the cache.
        unread: room for times of accesses whose lines are not read again. Shape: [accesses].
        flags: HERE and DIRTY; in the end those of the lines that are to be flushed.
    """
    written, held, head, tail, group = 0, 0, 0, 0, -1
    for now in range(len(addresses)):
        line = line_of(addresses, now, words)
        kind = kinds[now]
        if line % sets != group:
            # no line of another set is marked: each has come to its next use
            group, held, head = line % sets, 0, tail
        if flags[line] & HERE:
            if following[last[line]] == now:
                _unmark(now, marks, groups, areas)
        else:
            if held == ways:
                victim = -1
                while head < tail and victim < 0:
                    time = unread[head]
                    other = line_of(addresses, time, words)
                    if flags[other] & HERE and last[other] == time:
                        victim = other
                    head += 1
                if victim < 0:
                    time = _last_mark(len(addresses), marks, groups, areas)
                    _unmark(time, marks, groups, areas)
                    victim = line_of(addresses, time, words)
                if flags[victim] & DIRTY and following[last[victim]] != DEAD:
                    times[written], out[written], out_kinds[written] = now, victim, WRITE
                    written += 1
                flags[victim] = 0
            else:
                held += 1
            if words > 1 or kind != WRITE:
                times[written], out[written], out_kinds[written] = now, line, READ
                written += 1
        flags[line] |= HERE if kind == READ else HERE | DIRTY
        last[line] = now
        if following[now] >= 0:
            _mark(following[now], marks, groups, areas)
        else:
            unread[tail] = now
            tail += 1
    return written
