"""What a cache is, what is counted, and how each kind of access is treated.

    READ, UPDATE   a hit if the line is in the cache, else the line is loaded
    WRITE          gives a word a value without reading the old one: if the line is one word, a miss makes the line
                   without loading it; a longer line is loaded, for the sake of its other words (fetch on write)

UPDATE and WRITE leave the line dirty. A dirty line is stored when it is evicted, and at the end (final flush).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from iosim.errors import UsageError
from iosim.refusals import among
from iosim.traces.form import Integers, Place
from iosim.units import parse_whole

POLICIES: Final = ("lru", "fifo", "opt", "plru", "random")
TEMPORARIES: Final = "temporaries"
MOST_LINES: Final = 2**29  # that a simulation has a table for

LOADS, FIRST, STORES, MISSES = range(4)  # columns of the counters, in lines: of them, loads of lines not seen before


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One level.

    Attributes:
        words: its capacity; a part of a line, or of a set, holds nothing.
        line: words of a line, which move together.
        ways: lines of a set; None if any line may be anywhere (fully associative).
        policy: lru, fifo, opt (Belady: what is read again last goes first), plru (a tree of bits), random.
        seed: of the random policy.
        level: 1 or 2; what an error calls its flags by.
    """

    words: int
    line: int = 1
    ways: int | None = None
    policy: str = "lru"
    seed: int = 0
    level: int = 1

    def __post_init__(self) -> None:
        flag = "" if self.level == 1 else str(self.level)
        among(self.policy, POLICIES, where=f"--policy{flag}")
        parse_whole(self.seed, where="--seed", least=0, most=2**32)
        if self.words < self.line:
            raise UsageError(
                f"--line{flag}: {self.line:,} words, the cache holds {self.words:,}; allowed: at most as many"
            )
        if self.ways is not None and (self.ways < 1 or self.lines % self.ways):
            raise UsageError(f"--ways{flag} {self.ways}: allowed: divisors of the {self.lines:,} lines of the cache")
        slots = self.ways or self.lines
        if self.policy == "plru" and slots & (slots - 1):
            which = (
                f"--ways{flag} {slots:,}"
                if self.ways
                else f"--policy{flag} plru: fully associative with {slots:,} lines"
            )
            raise UsageError(f"{which}: a tree of bits is for powers of 2; allowed: --ways{flag} as a power of 2")

    @property
    def lines(self) -> int:
        return self.words // self.line

    @property
    def sets(self) -> int:
        return 1 if self.ways is None else self.lines // self.ways

    @property
    def full(self) -> Cache:
        """The same, fully associative."""
        return replace(self, ways=None)

    def __str__(self) -> str:
        where = "fully associative" if self.ways is None else f"{self.ways}-way, {self.sets:,} sets"
        line = "" if self.line == 1 else f", lines of {self.line:,} words"
        return f"{self.words:,} words, {self.policy}, {where}{line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one cache moves for one array, or in all.

    Attributes:
        name: of the array; tiles that are at home in none are temporaries.
        loads: words loaded.
        stores: words of dirty lines stored, the final flush included.
        compulsory: of the loads, those of lines that were never used before.
        capacity: of the loads, those that a fully associative cache of the same policy has too.
        conflict: the rest; negative where sets help.
        misses: accesses that find their line missing. Units: accesses.
    """

    name: str
    loads: int
    stores: int
    compulsory: int
    capacity: int
    conflict: int
    misses: int

    @property
    def io(self) -> int:
        return self.loads + self.stores


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCount:
    """What a cache makes of a trace. Units: words, where nothing else is said.

    Attributes:
        cache: the cache.
        accesses: how many there are. Units: accesses.
        arrays: by array, in the order of addresses.
        split: whether compulsory loads are told from those for want of capacity; if not, all are counted as the latter.
    """

    cache: Cache
    accesses: int
    arrays: tuple[Traffic, ...]
    split: bool = True

    @property
    def total(self) -> Traffic:
        names = ("loads", "stores", "compulsory", "capacity", "conflict", "misses")
        return Traffic(name="all", **{name: sum(getattr(array, name) for array in self.arrays) for name in names})


def counted(
    cache: Cache, accesses: int, places: Sequence[Place], counters: Integers, full: Integers | None
) -> CacheCount:
    """The counters of a simulation by array.

    Args:
        counters: lines. Shape: [places, 4].
        full: the counters of the fully associative cache, if this one is not.
    """
    twin = counters if full is None else full
    rows: dict[str, Integers] = {}
    for place, own, other in zip(places, counters, twin, strict=True):
        row = np.array([*own, other[LOADS]], dtype=np.int64)
        name = TEMPORARIES if place.tile else place.name
        rows[name] = rows.get(name, np.zeros(5, dtype=np.int64)) + row
    return CacheCount(
        cache=cache,
        accesses=accesses,
        arrays=tuple(
            Traffic(
                name=name,
                loads=int(row[LOADS]) * cache.line,
                stores=int(row[STORES]) * cache.line,
                compulsory=int(row[FIRST]) * cache.line,
                capacity=int(row[4] - row[FIRST]) * cache.line,
                conflict=int(row[LOADS] - row[4]) * cache.line,
                misses=int(row[MISSES]),
            )
            for name, row in rows.items()
        ),
    )


def bounds_of(places: Sequence[Place], line: int) -> Integers:
    """The first line after each place. Lines belong to one place only: places begin at multiples of a line."""
    return np.array([-(-(place.start + place.words) // line) for place in places], dtype=np.int64)
