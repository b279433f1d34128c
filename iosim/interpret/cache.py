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
from iosim.progress import Progress, silent
from iosim.traces.expand import Expansion, Piece

_SIMULATED = 100_000_000  # uses that are simulated one by one in any case: about a second


def cache_counts(
    program: Program,
    sizes: Mapping[str, int],
    levels: Sequence[Cache],
    *,
    temporaries: bool,
    data: Mapping[str, npt.NDArray[Any]] | None = None,
    progress: Progress = silent,
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
        progress: told what is going on, and about which fraction of it is done.

    Units: words.
    Raises:
        UsageError: OPT before another level, or more lines than a table can have.
        MeaningError: `data` are missing.
    """
    first = levels[0]
    skips = len(levels) == 1 and first.ways is None and first.policy in ("lru", "fifo")
    about = about_how_many_uses(program, sizes)
    if skips and about > _SIMULATED:
        return (Forward(program, sizes, first, temporaries=temporaries, data=data).count(),)
    expansion = _expansion(program, sizes, [level.line for level in levels], data)
    return simulate(levels, expansion.places, _pieces(expansion, about, progress, temporaries=temporaries))


def cache_curve(
    program: Program,
    sizes: Mapping[str, int],
    policy: str,
    *,
    line: int = 1,
    temporaries: bool,
    data: Mapping[str, npt.NDArray[Any]] | None = None,
    progress: Progress = silent,
) -> Curve:
    """Loads and stores of a fully associative cache of every capacity, from one pass; see `iosim.caches.curves`."""
    expansion = _expansion(program, sizes, [line], data)
    pieces = _pieces(expansion, about_how_many_uses(program, sizes), progress, temporaries=temporaries)
    return curve(policy, expansion.places, pieces, line=line, progress=progress)


def _expansion(
    program: Program, sizes: Mapping[str, int], lines: Sequence[int], data: Mapping[str, npt.NDArray[Any]] | None
) -> Expansion:
    return Expansion(program, sizes, data=data, align=math.lcm(*lines))


def _pieces(expansion: Expansion, about: int, progress: Progress, *, temporaries: bool) -> Iterator[Piece]:
    """The pieces of a trace of about so many uses."""
    done = 0
    for piece in expansion.pieces():
        done += len(piece.addresses)
        progress("simulating", min(1.0, done / max(1, about)))
        yield piece if temporaries else expansion.of_arrays(piece)
