"""What stays in fast memory cost, checked in every short history of one variable.

A history is a sequence of events; only those are generated in which everything that is added reaches its use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

History = tuple[str, ...]
Parts = frozenset[int]


def histories_of_an_output(longest: int) -> Iterator[History]:
    """Histories of one output word with one place in either memory: every addition has to be in the final store."""

    def go(past: History, fast: Parts | None, slow: Parts | None, added: int) -> Iterator[History]:
        if added and slow == frozenset(range(added)):
            yield past
        if len(past) == longest:
            return
        if fast is None:
            yield from go((*past, "create"), frozenset({added}), slow, added + 1)
            if slow is not None:
                yield from go((*past, "load"), slow, slow, added)
        else:
            yield from go((*past, "add"), fast | {added}, slow, added + 1)
            yield from go((*past, "store"), fast, fast, added)
            yield from go((*past, "discard"), None, slow, added)
            if slow is not None:  # what is stored is added to what is here
                yield from go((*past, "load"), fast | slow, slow, added)

    yield from go((), None, None, 0)


def counted_stays(history: History) -> int:
    """Stays of an output word in which something is added."""
    stays, counted = 0, False
    for event in history:
        if event in ("create", "add") and not counted:
            stays, counted = stays + 1, True
        if event == "discard":
            counted = False
    return stays


_BOTH = frozenset({0, 1})  # a score is a sum of d = 2 products


def histories_of_a_pair(longest: int) -> Iterator[History]:
    """Histories of one pair with d = 2, in which the whole score is used at least once.

    Events: "0" and "1" are the products; with "*" the product begins a stay and ends the segment by its weight. "cut" is
    another end of a segment.
    """

    def go(past: History, fast: Parts | None, slow: Parts | None) -> Iterator[History]:
        if past and past[-1] == "use":
            yield past
        if len(past) == longest:
            return
        if past and past[-1] != "cut":
            yield from go((*past, "cut"), fast, slow)
        for part in (0, 1):
            if fast is None:
                yield from go((*past, f"{part}"), frozenset({part}), slow)
                yield from go((*past, f"{part}*"), frozenset({part}), slow)
            elif part not in fast:
                yield from go((*past, f"{part}"), fast | {part}, slow)
        if slow is not None:
            yield from go((*past, "load"), slow if fast is None or fast & slow else fast | slow, slow)
        if fast is not None:
            yield from go((*past, "store"), fast, fast)
            yield from go((*past, "discard"), None, slow)
            if fast == _BOTH:
                yield from go((*past, "use"), fast, slow)

    yield from go((), None, None)


@dataclass(slots=True)
class _Stay:
    by_load: bool
    begun_in: int  # segment whose weight it is part of
    segments: set[int]  # in which it is
    ends_segment: bool  # by the weight of its beginning; then it is in the next
    moves: int = 0
    used: bool = False
    products: list[tuple[int, str]] = field(default_factory=list)  # segment, which

    @property
    def counted(self) -> bool:
        return self.used or self.moves > 0

    @property
    def free(self) -> bool:
        return self.counted and not self.moves


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCount:
    """What a history of one pair comes to.

    Attributes:
        moves: loads and stores.
        charged: beginnings of counted stays that have weight and are not free.
        free: free stays that have weight.
        work: products in counted stays, each once a segment.
        possible: whether each stay that is said to end a segment has weight, as it needs to.
        weighed: whether every segment with a counted stay has one from its start or a weight for its beginning.
    """

    moves: int
    charged: int
    free: int
    work: int
    possible: bool
    weighed: bool


def count_pair(history: History) -> PairCount:
    """The accounts of one history: a beginning has weight by load, or if no counted stay was in the segment before."""
    stays = _stays(history)
    counted = [stay for stay in stays if stay.counted]
    in_segment: set[int] = set()  # segments that have a counted stay already
    weighed, possible = True, all(stay.counted for stay in stays if stay.ends_segment)
    charged = free = 0
    for stay in counted:
        heavy = stay.by_load or stay.begun_in not in in_segment
        if heavy and stay.free:
            free += 1
        elif heavy:
            charged += 1
        possible = possible and (heavy or not stay.ends_segment)
        weighed = weighed and (heavy or min(stay.segments) in in_segment)
        in_segment |= stay.segments
    work = len({product for stay in counted for product in stay.products})
    moves = sum(event in ("load", "store") for event in history)
    return PairCount(moves=moves, charged=charged, free=free, work=work, possible=possible, weighed=weighed)


def _stays(history: History) -> list[_Stay]:
    """The stays in order."""
    stays: list[_Stay] = []
    here: _Stay | None = None
    segment = 0
    for event in history:
        if event == "cut":
            segment += 1
        elif event == "discard":
            here = None
            continue
        if here is None and event != "cut":
            here = _Stay(by_load=event == "load", begun_in=segment, segments=set(), ends_segment=event.endswith("*"))
            segment += here.ends_segment
            stays.append(here)
        if here is not None:
            here.segments.add(segment)
            here.moves += event in ("load", "store")
            here.used |= event == "use"
            if event[0] in "01":
                here.products.append((segment, event[0]))
    return stays
