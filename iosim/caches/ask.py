"""From what a user types to a trace and the caches it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from iosim.caches.curves import Curve, curve
from iosim.caches.model import Cache, CacheCount, Traffic
from iosim.caches.simulation import simulate
from iosim.display import Result
from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.cache import cache_counts, cache_curve
from iosim.plan import Plan
from iosim.progress import Progress
from iosim.traces.ask import choose
from iosim.traces.expand import READ, UPDATE, WRITE, Piece
from iosim.traces.files import TraceFile, read_trace
from iosim.units import Dtype, Number, dtype, parse_size

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CacheRun(Result):
    """What `iosim cache` found out.

    Attributes:
        what: the trace, for people.
        plan: of the algorithm; None for a trace from a file.
        word: number format of a word.
        levels: what each cache does; none for a curve.
        curve: every capacity at once.
    """

    what: str
    plan: Plan | None
    word: Dtype
    levels: tuple[CacheCount, ...] = ()
    curve: Curve | None = None

    def report(self) -> RenderableType:
        from iosim.caches.report import cache_report

        return cache_report(self)

    def to_dict(self) -> dict[str, object]:
        found: dict[str, object] = {"trace": self.what, "dtype": self.word.name}
        if self.plan is not None:
            found |= {
                "algorithm": self.plan.algorithm,
                "schedule": self.plan.schedule,
                "tiles": dict(self.plan.tiles),
                "explicit_loads_words": evaluate_int(self.plan.count().loads_words, {}),
                "explicit_stores_words": evaluate_int(self.plan.count().stores_words, {}),
                "peak_words": self.plan.peak_words,
            }
        if self.levels:
            found |= _level(self.levels[0])
        if len(self.levels) > 1:
            found["level_2"] = _level(self.levels[1])
        if self.curve is not None:
            points = capacities(self.curve)
            found |= {
                "policy": self.curve.policy,
                "line_words": self.curve.line,
                "accesses": self.curve.accesses,
                "curve": [
                    {"capacity_words": words, "loads_words": loads, "stores_words": stores}
                    for words in points
                    for loads, stores in [self.curve.at(words)]
                ],
            }
        return found


def _level(count: CacheCount) -> dict[str, object]:
    total, cache = count.total, count.cache
    return {
        "policy": cache.policy,
        "capacity_words": cache.words,
        "line_words": cache.line,
        "ways": cache.ways,
        "sets": cache.sets,
        "accesses": count.accesses,
        "misses": total.misses,
        "loads_words": total.loads,
        "stores_words": total.stores,
        "io_words": total.io,
        **_split(total, known=count.split),
        "loads_words_by_array": {array.name: array.loads for array in count.arrays},
        "stores_words_by_array": {array.name: array.stores for array in count.arrays},
        "split_by_array": {array.name: _split(array, known=count.split) for array in count.arrays},
    }


def _split(traffic: Traffic, *, known: bool) -> dict[str, int | None]:
    return {
        "compulsory_loads_words": traffic.compulsory if known else None,
        "capacity_loads_words": traffic.capacity if known else None,
        "conflict_loads_words": traffic.conflict,
    }


def capacities(found: Curve) -> list[int]:
    """Where a curve is shown: powers of 2, and from where on nothing changes. Units: words."""
    powers = [found.line << bits for bits in range(63) if found.line << bits < found.most_words]
    return [*powers, found.most_words]


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
    line_words = parse_size(line, word, where="--line")
    levels = []
    if words is not None:
        levels.append(Cache(words=words, line=line_words, ways=ways, policy=policy, seed=seed))
    elif ways is not None or second["size"] is not None:
        raise UsageError("--curve with --ways or --M2; allowed: fully associative caches of one level")
    if second["size"] is not None:
        levels.append(
            Cache(
                words=parse_size(second["size"], word, where="--M2"),
                line=line_words if second["line"] is None else parse_size(second["line"], word, where="--line2"),
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
