"""Every capacity at once: loads and stores of fully associative LRU and OPT caches, from the stack distances of one pass.

Both policies have the inclusion property (Mattson et al. 1970): what a cache holds, a larger one holds too. So an access
has a *distance*: the fewest lines that a cache must have for it to be a hit.

    LRU   lines used since the line was used last, itself included: counted in a tree over time, 64 bits a leaf
    OPT   where the line is in Belady's stack, which every access rearranges: from the top, what is read again later than
          what comes down changes places with it, as far as the old place of the line that is used; a tree over the
          stack finds who is next

Stores come from the same pass: a line is dirty in the caches of at least `clean` lines, which is 1 after a write and
grows to the distance of each access that only reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iosim.caches.model import MOST_LINES, bounds_of
from iosim.caches.opt import next_uses
from iosim.caches.queue import line_of
from iosim.errors import UsageError
from iosim.progress import Progress, silent
from iosim.traces.expand import Piece
from iosim.traces.form import READ, WRITE, Bits, Bytes, Integers, Integers32, Place
from iosim.traces.jit import inline, jit, lowest, ones

NEVER = np.iinfo(np.int64).max
_CLEAN = np.iinfo(np.int32).max
_TIME = 0
_AT_ONCE = 1 << 18  # accesses between two words on the progress
AT, CLEAN = range(2)  # of a line: its last time, or place in the stack, or -1; the least cache where it is dirty


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Loads and stores of a fully associative cache, by its capacity.

    Attributes:
        policy: lru or opt.
        line: words of a line.
        loads: words loaded by a cache of 0, 1, 2, ... lines; beyond the last one, as for it.
        stores: words stored, the final flush included.
        accesses: how many there are. Units: accesses.

    Shapes: loads, stores: [capacities + 1]; at 0 lines nothing can be used: entry 0 is that of 1.
    """

    policy: str
    line: int
    loads: Integers
    stores: Integers
    accesses: int

    def at(self, words: int) -> tuple[int, int]:
        """Loads and stores of a cache of so many words."""
        lines = min(words // self.line, len(self.loads) - 1)
        return int(self.loads[lines]), int(self.stores[lines])

    @property
    def most_words(self) -> int:
        """The capacity from which on nothing changes."""
        return (len(self.loads) - 1) * self.line


@inline
def _tally(
    line: int, kind: int, made: bool, distance: int, lines: Integers32, loaded: Integers32, stored: Integers32
) -> None:
    """One access at a distance; `len(loaded) - 1` stands for a line that was never used.

    Args:
        loaded: by distance, loads of caches of fewer lines.
        stored: by lines of a cache, what the stores grow by from there on.
    """
    if not made:
        loaded[distance] += 1
    clean = lines[line, CLEAN]
    if clean < distance:
        # Where it was dirty and is not there any more it has been stored.
        stored[clean] += 1
        stored[distance] -= 1
    if kind != READ:
        lines[line, CLEAN] = 1
    elif clean < distance:
        lines[line, CLEAN] = distance


@inline
def _used_after(words: Bits, tree: Integers32, levels: Integers, time: int) -> int:
    """Lines whose last use is after `time`, but for those in the last word, which the tree does not know."""
    node = time >> 6
    found = ones(words[node] >> np.uint64(time & 63)) - 1
    for level in range(len(levels) - 1):
        base, inside = levels[level] + (node & ~15), node & 15
        part: Any = np.int32(0)
        for other in range(16):
            part += tree[base + other] if other > inside else np.int32(0)
        found += int(part)
        node >>= 4
    return found + int(tree[levels[len(levels) - 1] + node])


@inline
def _add(tree: Integers32, levels: Integers, node: int, by: int) -> None:
    """That many more lines have their last use in word number `node`.

    At the top there are sums of what comes after: every access changes these sixteen numbers, and one of them is read
    much sooner after that than all of them would be.
    """
    for level in range(len(levels) - 1):
        tree[levels[level] + node] += by
        node >>= 4
    base = levels[len(levels) - 1]
    for other in range(16):
        tree[base + other] += np.int32(by) if other < node else np.int32(0)


@jit
def _lru(
    addresses: Integers,
    kinds: Bytes,
    line_words: int,
    state: Integers,
    lines: Integers32,
    used: Integers32,
    words: Bits,
    tree: Integers32,
    levels: Integers,
    loaded: Integers32,
    stored: Integers32,
) -> None:
    """Accesses one after the other; times start anew when they are at the end of the tree.

    Args:
        lines: see AT and CLEAN. Shape: [lines, 2]. used: of each time, the line.
        words: a bit for each time that is the last use of a line.
        tree: how many bits are 1 in each word, in each 16 of them, in each 16 of those, and so on; at the top, in all that
            come after each. The word of the last use is added when it is full. levels: where each level begins.
    """
    time = state[_TIME]
    for access in range(len(addresses)):
        line = line_of(addresses, access, line_words)
        kind = kinds[access]
        now = time >> 6
        if time & 63 == 0:
            if time == len(used):
                time = 0
                for part in range(len(words)):
                    word = words[part]
                    while word != 0:
                        kept = used[part << 6 | lowest(word)]
                        word &= word - np.uint64(1)
                        used[time] = kept
                        lines[kept, AT] = time
                        time += 1
                now = time >> 6
                words[:] = 0
                tree[:] = 0
                for part in range(now):
                    words[part] = ~np.uint64(0)
                    _add(tree, levels, part, 64)
                words[now] = (np.uint64(1) << np.uint64(time & 63)) - np.uint64(1)
            elif time > 0:
                _add(tree, levels, now - 1, ones(words[now - 1]))
        before = lines[line, AT]
        distance = len(loaded) - 1
        if before >= 0:
            node = before >> 6
            if node == now:
                distance = ones(words[now] >> np.uint64(before & 63))
            else:
                distance = _used_after(words, tree, levels, before) + ones(words[now]) + 1
                _add(tree, levels, node, -1)
            words[node] ^= np.uint64(1) << np.uint64(before & 63)
        _tally(line, kind, line_words == 1 and kind == WRITE, distance, lines, loaded, stored)
        words[now] |= np.uint64(1) << np.uint64(time & 63)
        used[time] = line
        lines[line, AT] = time
        time += 1
    state[_TIME] = time


@jit
def _opt(
    addresses: Integers,
    kinds: Bytes,
    line_words: int,
    following: Integers,
    lines: Integers32,
    stack: Integers32,
    tree: Integers,
    depth: Integers,
    loaded: Integers32,
    stored: Integers32,
) -> None:
    """Accesses one after the other, from the state that those before have left.

    Args:
        lines: see AT and CLEAN. Shape: [lines, 2].
        tree: the greatest next use in parts of the stack; its leaves are the second half. Shape: [2 * a power of 2].
        depth: how many lines are in the stack. Shape: [1].
    """
    leaves = len(tree) // 2
    for access in range(len(addresses)):
        line, kind = line_of(addresses, access, line_words), kinds[access]
        place = lines[line, AT]
        distance = place + 1 if place >= 0 else len(loaded) - 1
        made = line_words == 1 and kind == WRITE
        if made:
            lines[line, CLEAN] = len(loaded)  # nobody needs the old value: it is not stored
        _tally(line, kind, made, distance, lines, loaded, stored)
        if place < 0:
            place = depth[0]
            depth[0] += 1
        if place > 0:
            carried, use, here = stack[0], tree[leaves], 0
            while True:
                # The next place on the way down, before `place`, of a line that is used later than the one carried.
                node = leaves + here
                below = -1
                while node > 1:
                    if node & 1 == 0 and tree[node + 1] > use:
                        node += 1
                        while node < leaves:
                            node = 2 * node if tree[2 * node] > use else 2 * node + 1
                        below = node - leaves
                        break
                    node >>= 1
                if below < 0 or below >= place:
                    break
                here = below
                other, other_use = stack[here], tree[leaves + here]
                stack[here] = carried
                lines[carried, AT] = here
                _put(tree, leaves + here, use)
                carried, use = other, other_use
            stack[place] = carried
            lines[carried, AT] = place
            _put(tree, leaves + place, use)
        stack[0] = line
        lines[line, AT] = 0
        _put(tree, leaves, following[access])


@inline
def _put(tree: Integers, node: int, use: int) -> None:
    tree[node] = use
    node >>= 1
    while node >= 1:
        greatest = max(tree[2 * node], tree[2 * node + 1])
        if tree[node] == greatest:
            break
        tree[node] = greatest
        node >>= 1


class _Distances(ABC):
    """The distances of one policy, tallied."""

    policy: str

    def __init__(self, places: Sequence[Place], line: int) -> None:
        bounds = bounds_of(places, line)
        self.lines = int(bounds[-1]) if len(bounds) else 0
        if self.lines > MOST_LINES:
            raise UsageError(f"the arrays lie in {self.lines:,} lines; allowed for a curve: {MOST_LINES:,}")
        self.line = line
        self.accesses = 0
        self.table = np.full((self.lines, 2), -1, dtype=np.int32)
        self.table[:, CLEAN] = _CLEAN
        # of a piece: loads of smaller caches, by distance; what the stores grow by from that capacity on
        self.found = np.zeros((2, self.lines + 2), dtype=np.int32)
        self.total = np.zeros((2, self.lines + 2), dtype=np.int64)

    @abstractmethod
    def feed(self, piece: Piece) -> None: ...

    def _add(self) -> None:
        """Before 2^31 of anything have been found."""
        self.total += self.found
        self.found[:] = 0

    def curve(self, progress: Progress) -> Curve:
        """The curve of all that was fed."""
        self._add()
        loaded, stored = self.total.copy()
        clean = self.table[:, CLEAN]
        stored += np.bincount(clean[clean < len(stored)], minlength=len(stored))  # the final flush
        used = np.flatnonzero(self.total[:, :-1].any(axis=0) | (stored[:-1] != 0))
        most = max(1, int(used[-1])) if len(used) else 1
        # An access at distance s is a load where there are fewer lines than s.
        loads = loaded.sum() - np.cumsum(loaded)[: most + 1]
        stores = np.cumsum(stored)[: most + 1]
        loads[0], stores[0] = loads[1], stores[1]
        return Curve(
            policy=self.policy,
            line=self.line,
            loads=loads * self.line,
            stores=stores * self.line,
            accesses=self.accesses,
        )


class _Lru(_Distances):
    policy = "lru"

    def __init__(self, places: Sequence[Place], line: int) -> None:
        super().__init__(places, line)
        # few, so that they stay in a cache; then half of them are in use when they start anew
        times = 64 * max(1 << 10, -(-2 * self.lines // 64))
        self.state = np.zeros(1, dtype=np.int64)
        self.unadded = 0
        self.used = np.zeros(times, dtype=np.int32)
        self.words = np.zeros(times // 64, dtype=np.uint64)
        sizes = [times // 64]
        while sizes[-1] > 16:
            sizes.append(-(-sizes[-1] // 16))
        sizes = [-(-size // 16) * 16 for size in sizes]  # whole groups
        self.levels = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
        self.tree = np.zeros(sum(sizes), dtype=np.int32)

    def feed(self, piece: Piece) -> None:
        self.accesses += len(piece.addresses)
        tables: Any = (self.state, self.table, self.used, self.words, self.tree, self.levels, *self.found)
        _lru(*piece, self.line, *tables)
        self.unadded += len(piece.addresses)
        if self.unadded >= 1 << 30:
            self._add()
            self.unadded = 0


class _Opt(_Distances):
    policy = "opt"

    def __init__(self, places: Sequence[Place], line: int) -> None:
        super().__init__(places, line)
        self.pieces: list[Piece] = []
        self.depth = np.zeros(1, dtype=np.int64)

    def feed(self, piece: Piece) -> None:
        self.accesses += len(piece.addresses)
        self.pieces.append(Piece(piece.addresses.copy(), piece.kinds.copy()))

    def curve(self, progress: Progress) -> Curve:
        if self.pieces:
            addresses, kinds = (np.concatenate(parts) for parts in zip(*self.pieces, strict=True))
            following = np.empty(len(addresses), dtype=np.int64)
            seen = np.full(self.lines, NEVER, dtype=np.int64)
            next_uses(addresses, kinds, self.line, NEVER, seen, following)
            stack = np.zeros(self.lines, dtype=np.int32)
            tree = np.full(2 << max(1, self.lines).bit_length(), -1, dtype=np.int64)
            for begin in range(0, len(addresses), _AT_ONCE):
                part = slice(begin, begin + _AT_ONCE)
                progress("finding OPT's distances", begin / len(addresses))
                parts: Any = (following[part], self.table, stack, tree, self.depth, *self.found)
                _opt(addresses[part], kinds[part], self.line, *parts)
        return super().curve(progress)


def curve(
    policy: str,
    places: Sequence[Place],
    pieces: Iterable[Piece],
    *,
    line: int = 1,
    progress: Progress = silent,
) -> Curve:
    """Loads and stores of a trace of uses for every capacity.

    Args:
        policy: lru (constant memory), or opt (17 bytes and about a microsecond for each access).
        places: what lies at which addresses.
        line: words of a line.
        progress: told what is going on, and which fraction of it is done.

    Raises:
        UsageError: another policy, or too many lines.
    """
    kinds = {"lru": _Lru, "opt": _Opt}
    if policy not in kinds:
        raise UsageError(f"--policy {policy}: it has no stack; allowed for all capacities at once: lru, opt")
    distances = kinds[policy](places, line)
    for piece in pieces:
        distances.feed(piece)
    return distances.curve(progress)
