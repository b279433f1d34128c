"""How caches and traces look at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.caches.model import CacheCount, Traffic
from iosim.caches.result import CacheRun, capacities
from iosim.expr import evaluate_int
from iosim.units import format_words


def cache_report(run: CacheRun) -> RenderableType:
    """The trace; for each cache what it loads and stores, by array; or the curve."""
    parts: list[RenderableType] = [Text(f"trace: {run.what}")]
    if run.plan is not None:
        count = run.plan.count()
        loads, stores = (evaluate_int(words, {}) for words in (count.loads_words, count.stores_words))
        peak = format_words(run.plan.peak_words, run.word)
        parts.append(Text(f"the schedule itself: loads {loads:,}, stores {stores:,}, peak {peak}"))
    for number, level in enumerate(run.levels, 1):
        name = f"cache {number}" if len(run.levels) > 1 else "cache"
        parts += [Text(), Text(f"{name}: {level.cache}; {level.accesses:,} accesses, {level.total.misses:,} misses")]
        parts.append(_table(_rows(level)))
        if not level.split:
            parts.append(Text("what repeats was skipped, and compulsory loads could not be told from the others"))
    if run.curve is not None:
        curve = run.curve
        line = f", lines of {curve.line:,} words" if curve.line > 1 else ""
        parts += [Text(), Text(f"{curve.policy}, fully associative{line}; {curve.accesses:,} accesses")]
        rows = [("capacity", "loads", "stores", "traffic")]
        for words in capacities(curve):
            loads, stores = curve.at(words)
            rows.append((f"{words:,}", f"{loads:,}", f"{stores:,}", f"{loads + stores:,}"))
        parts += [_table(rows), Text("words; a larger cache does not load or store less")]
    return Group(*parts)


def _rows(level: CacheCount) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("words", "loads", "stores", "traffic", "compulsory", "capacity", "conflict")]
    return rows + [_row(array, level) for array in (*level.arrays, level.total)]


def _row(traffic: Traffic, level: CacheCount) -> tuple[str, ...]:
    split = (f"{traffic.compulsory:,}", f"{traffic.capacity:,}") if level.split else ("-", "-")
    moved = (f"{traffic.loads:,}", f"{traffic.stores:,}", f"{traffic.io:,}")
    return (f"  {traffic.name}", *moved, *split, f"{traffic.conflict:,}")


def _table(rows: Sequence[Sequence[str]]) -> Text:
    name, *numbers = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([first.ljust(name), *(cell.rjust(width) for cell, width in zip(rest, numbers, strict=True))])
        for first, *rest in rows
    ]
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")
