"""From what a user types to a trace and the caches it is for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iosim.caches.curves import curve
from iosim.caches.model import Cache
from iosim.caches.result import CacheRun
from iosim.caches.simulation import simulate
from iosim.errors import UsageError
from iosim.interpret.cache import cache_counts, cache_curve
from iosim.progress import Progress
from iosim.refusals import given, missing, one_of, refuse
from iosim.traces.ask import Asked, choose
from iosim.traces.expand import READ, UPDATE, WRITE, Piece
from iosim.traces.files import TraceFile, read_trace
from iosim.units import Dtype, Number, parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCache:
    """A cache, as flags say it; None where nothing is said."""

    size: Number | None
    line: Number | None
    policy: str | None
    ways: int | None


def cache_run(
    asked: Asked,
    first: AskedCache,
    second: AskedCache,
    *,
    trace: str | None,
    seed: int | None,
    whole_curve: bool,
    temporaries: bool,
    progress: Progress,
) -> CacheRun:
    """What the flags of `iosim cache` ask for.

    Args:
        asked: the algorithm, if there is no trace from a file; M is the first cache too, if that has no size.

    Raises:
        UsageError: flags that can't be read, don't go together, or say nothing beside the others.
    """
    one_of(algo=asked.algo, trace=trace)
    _refuse_what_says_nothing(
        asked, first, second, trace=trace, seed=seed, whole_curve=whole_curve, temporaries=temporaries
    )
    word, policy = asked.word, first.policy or "lru"
    size, flag = (asked.M, "--M") if first.size is None else (first.size, "--cache")
    if size is None and not whole_curve:
        raise missing("--M", like="100KB")
    line = parse_size("1w" if first.line is None else first.line, word, where="--line", whole=True)
    levels = []
    if size is not None and not whole_curve:
        words = parse_size(size, word, where=flag)
        levels.append(Cache(words=words, line=line, ways=first.ways, policy=policy, seed=seed or 0))
    if second.size is not None:
        levels.append(
            Cache(
                words=parse_size(second.size, word, where="--M2"),
                line=line if second.line is None else parse_size(second.line, word, where="--line2", whole=True),
                ways=second.ways,
                policy=second.policy or "lru",
                seed=seed or 0,
                level=2,
            )
        )
    if trace is not None:
        return _from_file(trace, word, levels, policy, line, progress, whole_curve=whole_curve)
    chosen = choose(asked)
    what = f"{chosen.plan.title} at {chosen.problem}"
    program, sizes = chosen.plan.program, chosen.plan.sizes
    if whole_curve:
        found = cache_curve(
            program, sizes, policy, line=line, temporaries=temporaries, data=chosen.data, progress=progress
        )
        return CacheRun(what=what, plan=chosen.plan, word=word, curve=found)
    counts = cache_counts(program, sizes, levels, temporaries=temporaries, data=chosen.data, progress=progress)
    return CacheRun(what=what, plan=chosen.plan, word=word, levels=counts)


def _refuse_what_says_nothing(
    asked: Asked,
    first: AskedCache,
    second: AskedCache,
    *,
    trace: str | None,
    seed: int | None,
    whole_curve: bool,
    temporaries: bool,
) -> None:
    """Refuses what changes nothing, given the rest."""
    if trace is not None:
        beside = f"with --trace {trace}"
        refuse(asked.of_the_algorithm, beside, "with --algo")
        refuse([] if temporaries else ["--no-temporaries"], beside, "with --algo")
        if first.size is not None:
            refuse(given(M=asked.M), "with --trace and --cache", "one of --M and --cache")
        if whole_curve:
            refuse(given(M=asked.M), "with --trace and --curve", "without --curve, which has every capacity")
    if whole_curve:
        refuse(given(cache=first.size), "with --curve", "without --curve, which has every capacity")
        refuse(given(ways=first.ways, M2=second.size), "with --curve", "fully associative caches of one level")
    if second.size is None:
        refuse(given(line2=second.line, policy2=second.policy, ways2=second.ways), "without --M2", "with it")
    if "random" not in (first.policy, second.policy):
        refuse(given(seed=seed), "without --policy random", "with it")


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
