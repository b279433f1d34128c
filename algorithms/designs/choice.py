"""Which block design, with how many columns at a time? Every design that is known, ranked by what it could cost at best,
and counted exactly until none that is left could be better: of blocks of a system, not before the number of coordinates of
each has been looked at, which is quicker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import TypeAlias

from algorithms.designs.blown_up import BlownUp, deal
from algorithms.designs.coverings import System, systems
from algorithms.designs.design import Design, GroupProducts, MonomialRuns

_LISTED = 150_000  # sets of at most g points of the blocks of a system; of more, dealing out monomials takes too long
_PIECES = 4  # into which the monomials of a set are cut at the most


@dataclass(frozen=True)
class Blocks:
    """What a choice depends on: of all blocks, (t, a) of each kind and of the last block, how many there are, the sum of
    their t and of their a."""

    kinds: tuple[tuple[int, int], ...]
    last: tuple[int, int]
    NB: int
    T: int
    slots: int


Fit: TypeAlias = Callable[[Blocks], int]  # the widest that fits, 0 if nothing does
Cost: TypeAlias = Callable[[Blocks, int], int]  # words moved with blocks of that width


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


@lru_cache(maxsize=1 << 12)
def _widths(d: int, degree: int, system: System) -> tuple[int, int, int, int]:
    """How many blocks the sets of a system make, their coordinates in all, and the fewest and the most of a block: what is
    known before monomials are dealt out, which takes longer."""
    found = deal(d, degree, system)
    widths = [found.width(number) for number in range(len(found.sets))]
    return len(widths), sum(widths), min(widths), max(widths)


def hoped_for(design: Design) -> Blocks | None:
    """What the blocks of a system could be at best, from how many coordinates each has; None for other designs."""
    if not isinstance(design, BlownUp):
        return None
    sets, T, narrowest, widest = _widths(design.d, design.degree, design.system)
    NB, r = sets * design.pieces, comb(design.d + design.degree, design.degree)
    return Blocks(((narrowest, -(-r // NB)), (widest, 1)), (0, 0), NB, T * design.pieces, r)


@lru_cache(maxsize=64)
def _constructed(d: int, degree: int) -> tuple[tuple[Design, Blocks], ...]:
    """The designs of d coordinates that don't depend on the fast memory, and what each could be at best: all blocks with
    equally many monomials."""
    found: list[tuple[Design, Blocks]] = []
    for v in (1, *range(max(1, degree) + 1, d + 1)):
        products = GroupProducts(d, degree, v)
        found.append((products, measured(products)))
    r, g = comb(d + degree, degree), max(1, degree)
    choices = [System("complete", (v, g), v, g, comb(v, g), g) for v in range(g, d + 1)]
    # of degree 0 there is one monomial, which is no reason to cut the coordinates into groups
    for system in (*choices, *systems(g, 3 * d // 2)) if degree else ():
        # with points left out, every set still has as many as matter
        listed = system.b * sum(comb(system.k, s) for s in range(degree + (not system.exact)))
        if listed > _LISTED or system.v - d > system.k - g:
            continue
        t, T = max(1, system.k * (d // system.v)), d * system.b * system.k // system.v
        if system.kind == "covering":
            # the points are not in equally many sets
            widths = [deal(d, degree, system).width(number) for number in range(system.b)]
            t, T = min(widths), sum(widths)
        for pieces in range(1, _PIECES + 1):
            NB = system.b * pieces
            if pieces == 1 or r >= 2 * NB:
                found.append(
                    (BlownUp(d, degree, system, pieces), Blocks(((t, -(-r // NB)),), (0, 0), NB, T * pieces, r))
                )
    return tuple(found)


def designs(d: int, degree: int, capacity: int, d_v: int) -> Iterator[tuple[Design, Blocks]]:
    """Every design, and what its blocks could be at best, for d_v columns of V."""
    yield from _constructed(d, degree)
    r, seen = comb(d + degree, degree), set[int]()
    for e in range(d_v + 1, 0, -1):
        # blocks over all coordinates, as many as it takes for e columns; the last one, or under a mask each, may have to
        # leave room for a word more
        most, less = ((capacity - d - max(degree, 1) - spare) // e for spare in (0, 1))
        with_room = [r // (less + 1) + 1, -(-r // less)] if less >= 1 else []
        for runs in (*([-(-r // most)] if most >= 1 else []), *with_room):
            if runs <= r and runs not in seen:
                seen.add(runs)
                run = MonomialRuns(d, degree, runs)
                yield run, measured(run)


def cheapest(
    options: Sequence[tuple[Design, Blocks]],
    fit: Fit,
    cost: Cost,
    *,
    allowed: Callable[[Design], bool] = lambda _: True,
) -> tuple[int, Design, int] | None:
    """(words, design, width) with the fewest words moved; None if nothing fits."""
    ranked = []
    for number, (_, hoped) in enumerate(options):
        width = fit(hoped)
        if width:
            ranked.append((cost(hoped, width), number))
    best: tuple[int, Design, int] | None = None
    for words, number in sorted(ranked):
        if best is not None and words >= best[0]:
            break
        design = options[number][0]
        if not allowed(design):
            continue
        if best is not None and (closer := hoped_for(design)) is not None:
            width = fit(closer)
            if not width or cost(closer, width) >= best[0]:
                continue
        blocks = measured(design)
        width = fit(blocks)
        if width:
            exact = cost(blocks, width)
            if best is None or exact < best[0]:
                best = exact, design, width
    return best


def least(options: Sequence[tuple[Design, Blocks]], need: Callable[[Blocks], int]) -> int:
    """The fewest words that blocks of any of the designs need."""
    found = cheapest(options, lambda _: 1, lambda blocks, _: need(blocks))
    assert found is not None
    return found[0]
