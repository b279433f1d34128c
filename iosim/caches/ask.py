"""From what a user types to a trace and the caches it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from iosim.caches.curves import curve
from iosim.caches.model import Cache
from iosim.caches.result import CacheRun
from iosim.caches.simulation import simulate
from iosim.errors import UsageError
from iosim.interpret.cache import cache_counts, cache_curve
from iosim.progress import Progress
from iosim.traces.ask import choose
from iosim.traces.expand import READ, UPDATE, WRITE, Piece
from iosim.traces.files import TraceFile, read_trace
from iosim.units import Dtype, Number, dtype, parse_size


def cache_run(
    *,
    algo: str | None,
    trace: str | None,
    size: Number | None,
    line: Number,
    policy: str,
    ways: int | None,
    seed: int,
    second: Mapping[str, Any],
    whole_curve: bool,
    temporaries: bool,
    progress: Progress,
    **options: Any,
) -> CacheRun:
    """What the flags of `iosim cache` ask for.

    Raises:
        UsageError: flags that can't be read, or don't go together.
    """
    if (algo is None) == (trace is None):
        raise UsageError("--algo or --trace; allowed: one of them")
    word = dtype(options["dtype_name"], where="--dtype")
    capacity = size if size is not None else options["M"]
    if capacity is None and not whole_curve:
        raise UsageError("--M is missing: the words of the cache; allowed: like --M 100KB")
    words = None if whole_curve else parse_size(capacity, word, where="--M" if size is None else "--cache")
    line_words = parse_size(line, word, where="--line", whole=True)
    levels = []
    if words is not None:
        levels.append(Cache(words=words, line=line_words, ways=ways, policy=policy, seed=seed))
    elif ways is not None or second["size"] is not None:
        raise UsageError("--curve with --ways or --M2; allowed: fully associative caches of one level")
    if second["size"] is not None:
        levels.append(
            Cache(
                words=parse_size(second["size"], word, where="--M2"),
                line=line_words
                if second["line"] is None
                else parse_size(second["line"], word, where="--line2", whole=True),
                ways=second["ways"],
                policy=second["policy"],
                seed=seed,
                level=2,
            )
        )
    if trace is not None:
        return _from_file(trace, word, levels, policy, line_words, progress, whole_curve=whole_curve)
    chosen = choose(algo=str(algo), **options)
    what = f"{chosen.plan.title} at {chosen.problem}"
    program, sizes = chosen.plan.program, chosen.plan.sizes
    if whole_curve:
        found = cache_curve(
            program, sizes, policy, line=line_words, temporaries=temporaries, data=chosen.data, progress=progress
        )
        return CacheRun(what=what, plan=chosen.plan, word=word, curve=found)
    counts = cache_counts(program, sizes, levels, temporaries=temporaries, data=chosen.data, progress=progress)
    return CacheRun(what=what, plan=chosen.plan, word=word, levels=counts)


def _from_file(
    path: str, word: Dtype, levels: list[Cache], policy: str, line: int, progress: Progress, *, whole_curve: bool
) -> CacheRun:
    file = read_trace(path, word.bytes)
    unit = int(np.lcm.reduce([line, *(level.line * level.sets for level in levels)]))
    addresses, places = file.dense(unit)
    kinds = _uses(file)
    places = tuple(
        place._replace(words=-(-place.words // unit) * unit) if len(places) == 1 else place for place in places
    )
    pieces = [Piece(addresses[kinds], file.kinds[kinds])]
    if not kinds.any():
        raise UsageError(f"{path}: {len(kinds):,} loads and stores, and no use; allowed: a trace with uses")
    what = f"{path}, {len(addresses):,} accesses"
    if whole_curve:
        return CacheRun(
            what=what, plan=None, word=word, curve=curve(policy, places, pieces, line=line, progress=progress)
        )
    return CacheRun(what=what, plan=None, word=word, levels=simulate(levels, places, pieces))


def _uses(file: TraceFile) -> npt.NDArray[np.bool_]:
    """Which accesses are uses, not moves of a schedule."""
    return np.isin(file.kinds, (READ, UPDATE, WRITE))
