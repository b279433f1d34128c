"""What `iosim cache` answers: what each cache does to a trace, or every capacity at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim.caches.curves import Curve
from iosim.caches.model import CacheCount, Traffic
from iosim.display import Result
from iosim.expr import evaluate_int
from iosim.plan import Plan
from iosim.units import Dtype

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
