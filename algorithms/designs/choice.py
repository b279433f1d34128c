"""Which block design, with how many columns at a time? Every design that is known, ranked by what it could cost at best,
and looked at more closely until the best of them is known exactly: of a system first how many coordinates each set has,
which is quicker than dealing out the monomials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from algorithms.designs.blown_up import BlownUp, deal
from algorithms.designs.coverings import System, systems
from algorithms.designs.design import Design, GroupProducts, MonomialRuns, in_runs
from iosim import monomial_count

_LISTED = 150_000  # sets of at most g points of the blocks of a system; of more, dealing out monomials takes too long
_PIECES = 4  # into which the monomials of a set are cut at the most
_INT64 = 2**62  # products below are exact in numpy's integers, sums of two of them too

Numbers: TypeAlias = Any  # an array of whole numbers, of 64 bits or, if they are larger, of Python


@dataclass(frozen=True)
class Blocks:
    """What a choice depends on: of all blocks, (t, a) of each kind and of the last block, how many there are, the sum of
    their t and of their a."""

    kinds: tuple[tuple[int, int], ...]
    last: tuple[int, int]
    NB: int
    T: int
    slots: int


@dataclass(frozen=True)
class Listed:
    """The same for several designs at once. Shapes: t, a: [kinds, designs], some kinds repeated; the others: [designs]."""

    t: Numbers
    a: Numbers
    last_t: Numbers
    last_a: Numbers
    NB: Numbers
    T: Numbers
    slots: Numbers


Fit: TypeAlias = Callable[[Listed], Numbers]  # of each design the widest that fits, 0 if nothing does
Cost: TypeAlias = Callable[[Listed, Numbers], Numbers]  # words moved with blocks of that width


@lru_cache(maxsize=1 << 14)
def measured(design: Design) -> Blocks:
    """What the blocks of a design are."""
    kinds = list(design.kinds())
    return Blocks(
        tuple((t, a) for t, a, *_ in kinds),
        design.last,
        design.NB,
        design.coordinates_words,
        sum(a * times for _, a, times, _ in kinds),
    )


def hoped_for(design: Design) -> Blocks | None:
    """What the blocks of a system could be at best, from how many coordinates each set has and the monomials that no other
    has, which are known before the others are dealt out; None for other designs."""
    if not isinstance(design, BlownUp):
        return None
    dealt = deal(design.d, design.degree, design.system)
    widths, pieces, r = dealt.widths, design.pieces, monomial_count(design.d, design.degree)
    NB, widest = len(widths) * pieces, max(widths)
    own = max(own for width, own in zip(widths, dealt.own, strict=True) if width == widest)
    kinds = (min(widths), -(-r // NB)), (widest, max(1, -(-own // pieces)))
    return Blocks(kinds, (0, 0), NB, sum(widths) * pieces, r)


class _Constructed:
    """The designs of d coordinates that don't depend on the fast memory, and what is known of their blocks so far.

    Of a system that is at first what they could be at best, all with equally many monomials.
    """

    def __init__(self, d: int, degree: int) -> None:
        self.designs: list[Design] = []
        self.blocks: list[Blocks] = []
        for v in (1, *range(max(1, degree) + 1, d + 1)):
            products = GroupProducts(d, degree, v)
            self._add(products, measured(products))
        r, g = monomial_count(d, degree), max(1, degree)
        choices = [System("complete", (v, g), v, g, comb(v, g), g) for v in range(g, d + 1)]
        # of degree 0 there is one monomial, which is no reason to cut the coordinates into groups
        for system in (*choices, *systems(g, 3 * d // 2)) if degree else ():
            # with points left out, every set still has as many as matter
            listed = system.b * sum(comb(system.k, s) for s in range(degree + (not system.exact)))
            if listed > _LISTED or system.v - d > system.k - g:
                continue
            # each point is in equally many sets, which have d k/v coordinates on average
            t, T = max(1, system.k * (d // system.v)), d * system.b * system.k // system.v
            widest = -(-d * system.k // system.v)
            if system.kind == "covering":  # but in these
                widths = deal(d, degree, system).widths
                t, T, widest = min(widths), sum(widths), max(widths)
            for pieces in range(1, _PIECES + 1):
                NB = system.b * pieces
                if pieces == 1 or r >= 2 * NB:
                    hoped = Blocks(((t, -(-r // NB)), (widest, 1)), (0, 0), NB, T * pieces, r)
                    self._add(BlownUp(d, degree, system, pieces), hoped)
        self.in_runs = [not isinstance(design, GroupProducts) or in_runs(design) for design in self.designs]
        self._listed: dict[Any, Listed] = {}
        self._looks = [2 * (not isinstance(design, BlownUp)) for design in self.designs]

    def _add(self, design: Design, blocks: Blocks) -> None:
        self.designs.append(design)
        self.blocks.append(blocks)

    def exact(self, number: int) -> bool:
        """Whether all is known of a design."""
        return self._looks[number] == 2

    def look(self, number: int) -> None:
        """Looks more closely at a design."""
        design = self.designs[number]
        closer = None if self._looks[number] else hoped_for(design)
        self.blocks[number] = closer or measured(design)
        self._looks[number] = 1 if closer else 2
        self._listed.clear()

    def listed(self, times: int) -> Listed:
        """What is known of all designs; in numpy's integers if the numbers, so many times, are still such."""
        greatest = max(max(blocks.NB, blocks.T, blocks.slots) for blocks in self.blocks)
        dtype: Any = np.int64 if times * greatest < _INT64 else object
        if dtype not in self._listed:
            self._listed[dtype] = _list(self.blocks, dtype)
        return self._listed[dtype]


def _list(blocks: Sequence[Blocks], dtype: Any) -> Listed:
    most = max(2, *(len(one.kinds) for one in blocks))
    t, a = np.moveaxis(np.array([one.kinds + one.kinds[-1:] * (most - len(one.kinds)) for one in blocks], dtype), 2, 0)
    numbers = [(*one.last, one.NB, one.T, one.slots) for one in blocks]
    return Listed(t.T, a.T, *np.array(numbers, dtype).T)


@lru_cache(maxsize=64)
def _constructed(d: int, degree: int) -> _Constructed:
    return _Constructed(d, degree)


class Options:
    """Every design for a fast memory, and what its blocks could be at best.

    Args:
        d: coordinates.
        degree: of the polynomial.
        capacity: words of fast memory.
        d_v: columns of V.
        times: what the numbers of blocks, of their coordinates and of their monomials are multiplied with, at the most.
    """

    def __init__(self, d: int, degree: int, capacity: int, d_v: int, *, times: int = 1) -> None:
        self._d, self._degree, self._times = d, degree, times
        self._known = _constructed(d, degree)
        self._runs = list(_runs(d, degree, capacity, d_v))
        self.in_runs = np.array(self._known.in_runs + [True] * len(self._runs))
        self._exact = [*map(self._known.exact, range(len(self._known.designs))), *(True for _ in self._runs)]
        self.listed = self._list()

    def __iter__(self) -> Iterator[Design]:
        return map(self.design, range(len(self.in_runs)))

    def design(self, number: int) -> Design:
        """The design of that number."""
        designs = self._known.designs
        if number < len(designs):
            return designs[number]
        return MonomialRuns(self._d, self._degree, self._runs[number - len(designs)])

    def looks(self, number: int) -> Iterator[Listed]:
        """What is known of a design beyond what is listed, more and more closely, until all is known."""
        known = self._known
        if not self._exact[number] and known.exact(number):  # looked at since
            yield _list([known.blocks[number]], object)
        while not self._exact[number] and not known.exact(number):
            known.look(number)
            yield _list([known.blocks[number]], object)

    def _list(self) -> Listed:
        d, r = self._d, monomial_count(self._d, self._degree)
        most = max([r, *(d * runs for runs in self._runs)])
        known = self._known.listed(self._times)
        NB = np.array(self._runs, dtype=known.NB.dtype if self._times * most < _INT64 else object)
        longer, shorter, ones = -(-r // NB), r // NB, np.ones_like(NB)
        kinds = len(known.t)
        return Listed(
            t=np.hstack([known.t, [d * ones] * kinds]),
            a=np.hstack([known.a, [longer] + [shorter] * (kinds - 1)]),
            last_t=np.hstack([known.last_t, d * ones]),
            last_a=np.hstack([known.last_a, shorter]),
            NB=np.hstack([known.NB, NB]),
            T=np.hstack([known.T, d * NB]),
            slots=np.hstack([known.slots, r * ones]),
        )


def _runs(d: int, degree: int, capacity: int, d_v: int) -> Iterator[int]:
    """Numbers of blocks over all coordinates that leave room for some number of columns."""
    r, seen = monomial_count(d, degree), set[int]()
    for e in range(d_v + 1, 0, -1):
        # as many as it takes for e columns; the last block, or under a mask each, may have to leave room for a word more
        most, less = ((capacity - d - max(degree, 1) - spare) // e for spare in (0, 1))
        with_room = [r // (less + 1) + 1, -(-r // less)] if less >= 1 else []
        for runs in (*([-(-r // most)] if most >= 1 else []), *with_room):
            if runs <= r and runs not in seen:
                seen.add(runs)
                yield runs


def cheapest(
    options: Options, fit: Fit, cost: Cost, *, allowed: NDArray[np.bool_] | None = None
) -> tuple[int, Design, int] | None:
    """(words, design, width) with the fewest words moved, of all designs or of those that are allowed; None if nothing
    fits."""
    widths = fit(options.listed)
    fitting = np.flatnonzero(widths > 0 if allowed is None else (widths > 0) & allowed)
    words = cost(options.listed, np.maximum(widths, 1))
    best: tuple[int, int, int] | None = None  # words, number, width: of several with as few words the first
    for number in map(int, fitting[np.argsort(words[fitting], kind="stable")]):
        found = int(words[number]), number, int(widths[number])
        if best is not None and found > best:
            if found[0] > best[0]:
                break
            continue
        for listed in options.looks(number):
            width = fit(listed)
            found = int(cost(listed, np.maximum(width, 1))[0]), number, int(width[0])
            if not found[2] or (best is not None and found > best):
                break
        else:
            best = found
    return None if best is None else (best[0], options.design(best[1]), best[2])


def least(options: Options, need: Callable[[Listed], Numbers], *, allowed: NDArray[np.bool_] | None = None) -> int:
    """The fewest words that blocks of any of the designs need."""

    def one(listed: Listed) -> Numbers:
        return np.ones_like(listed.NB)

    found = cheapest(options, one, lambda listed, _: need(listed), allowed=allowed)
    assert found is not None
    return found[0]
