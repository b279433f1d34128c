"""Caches of any number of sets and ways: LRU, FIFO, a tree of bits (PLRU), random.

Line x may be in the ways of set x mod sets only. Empty ways are filled first, in order.
"""

from __future__ import annotations

import numpy as np

from iosim.caches.model import FIRST, LOADS, MISSES, STORES
from iosim.caches.queue import DIRTY, SEEN, line_of, owner, tell
from iosim.traces.form import READ, WRITE, Bits, Bytes, Integers, Integers32
from iosim.traces.jit import jit

LRU, FIFO, PLRU, RANDOM = range(4)


@jit
def simulate(
    addresses: Integers,
    kinds: Bytes,
    words: int,
    policy: int,
    sets: int,
    ways: int,
    random: Bits,
    at: Integers32,
    slots: Integers,
    after: Integers32,
    before: Integers32,
    ends: Integers32,
    flags: Bytes,
    bounds: Integers,
    counters: Integers,
    out: Integers,
    out_kinds: Bytes,
) -> int:
    """As `iosim.caches.queue.simulate`.

    Args:
        random: the state of the generator (xorshift, Marsaglia 2003). Shape: [1].
        at: of each line, its slot, or -1.
        slots: of each slot, its line. Shape: [sets * ways].
        after, before: LRU: of each slot, those used just after and just before it; PLRU: the bits of the trees. Shape:
            [slots].
        ends: of each set: lines in it; LRU: the slot used last; LRU and FIFO: the next to go. Shape: [3 * sets].
    """
    written = 0
    for access in range(len(addresses)):
        line = line_of(addresses, access, words)
        kind, group = kinds[access], line % sets
        first = group * ways
        slot = at[line]
        if slot < 0:
            place = owner(bounds, line)
            counters[place, MISSES] += 1
            if ends[3 * group] < ways:
                slot = first + ends[3 * group]
                ends[3 * group] += 1
                if policy == LRU:
                    before[slot] = -1
                    after[slot] = -1
            else:
                if policy == LRU:
                    slot = ends[3 * group + 2]
                elif policy == FIFO:
                    slot = first + ends[3 * group + 2]
                    ends[3 * group + 2] = (ends[3 * group + 2] + 1) % ways
                elif policy == PLRU:
                    node = 1
                    while node < ways:
                        node = 2 * node + after[first + node]
                    slot = first + node - ways
                else:
                    x = random[0]
                    x ^= x << np.uint64(13)
                    x ^= x >> np.uint64(7)
                    x ^= x << np.uint64(17)
                    random[0] = x
                    slot = first + np.int64((x >> np.uint64(11)) % np.uint64(ways))
                victim = slots[slot]
                at[victim] = -1
                if flags[victim] & DIRTY:
                    flags[victim] &= ~DIRTY
                    counters[owner(bounds, victim), STORES] += 1
                    written = tell(out, out_kinds, written, victim, WRITE)
            if words > 1 or kind != WRITE:
                counters[place, LOADS] += 1
                if not flags[line] & SEEN:
                    counters[place, FIRST] += 1
                written = tell(out, out_kinds, written, line, READ)
            flags[line] |= SEEN
            slots[slot] = line
            at[line] = slot
            if policy == LRU and ends[3 * group] == 1 and after[slot] < 0 and before[slot] < 0:
                ends[3 * group + 1] = slot
                ends[3 * group + 2] = slot
        if kind != READ:
            flags[line] |= DIRTY
        if policy == LRU:
            newest = ends[3 * group + 1]
            if slot != newest:
                # out of the chain, if it is in it, and to its end
                older, newer = before[slot], after[slot]
                if newer >= 0:
                    before[newer] = older
                    if older >= 0:
                        after[older] = newer
                    else:
                        ends[3 * group + 2] = newer
                after[newest] = slot
                before[slot] = newest
                after[slot] = -1
                ends[3 * group + 1] = slot
        elif policy == PLRU:
            node = slot - first + ways
            while node > 1:
                after[first + node // 2] = 1 - (node & 1)  # away from what was just used
                node //= 2
    return written
