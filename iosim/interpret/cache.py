"""What would a hardware cache do? The uses of a program, simulated: any policy, line and number of ways, several levels.

The numbers are those of a machine that runs the program word by word with a cache in place of fast memory: its loads and
stores are the cache's, not the schedule's. `iosim.traces.expand` says which words are used in which order,
`iosim.caches.model` how a cache treats each use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from iosim.caches.curves import Curve, curve
from iosim.caches.forward import Forward, about_how_many_uses
from iosim.caches.model import Cache, CacheCount
from iosim.caches.simulation import simulate
from iosim.program import Program
from iosim.traces.expand import Expansion, Piece

_SIMULATED = 100_000_000  # uses that are simulated one by one in any case: about a second


def cache_counts(
    program: Program,
    sizes: Mapping[str, int],
    levels: Sequence[Cache],
    *,
    temporaries: bool = True,
    data: Mapping[str, npt.NDArray[Any]] | None = None,
) -> tuple[CacheCount, ...]:
    """What each level of a hierarchy of caches loads and stores, by array.

    Fully associative LRU and FIFO on one level skip what repeats in long traces (`iosim.caches.forward`); all else is
    simulated use by use.

    Args:
        program: a legal program.
        sizes: values of all its sizes.
        levels: the nearest to the operations first.
        temporaries: whether tiles that are at home in no array (softmax statistics, scores) are in the cache too.
        data: of the arrays that are looked up in, their values.

    Units: words.
    Raises:
        UsageError: OPT before another level, or more lines than a table can have.
        MeaningError: `data` are missing.
    """
    first = levels[0]
    skips = len(levels) == 1 and first.ways is None and first.policy in ("lru", "fifo")
    if skips and about_how_many_uses(program, sizes) > _SIMULATED:
        return (Forward(program, sizes, first, temporaries=temporaries, data=data).count(),)
    expansion = _expansion(program, sizes, [level.line for level in levels], data)
    return simulate(levels, expansion.places, _pieces(expansion, temporaries=temporaries))


def cache_curve(
    program: Program,
    sizes: Mapping[str, int],
    policy: str,
    *,
    line: int = 1,
    temporaries: bool = True,
    data: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Curve:
    """Loads and stores of a fully associative cache of every capacity, from one pass; see `iosim.caches.curves`."""
    expansion = _expansion(program, sizes, [line], data)
    return curve(policy, expansion.places, _pieces(expansion, temporaries=temporaries), line=line)


def _expansion(
    program: Program, sizes: Mapping[str, int], lines: Sequence[int], data: Mapping[str, npt.NDArray[Any]] | None
) -> Expansion:
    return Expansion(program, sizes, data=data, align=math.lcm(*lines))


def _pieces(expansion: Expansion, *, temporaries: bool) -> Iterator[Piece]:
    for piece in expansion.pieces():
        yield piece if temporaries else expansion.of_arrays(piece)
