"""How caches and traces look at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.caches.ask import CacheRun, Chosen, capacities
from iosim.caches.model import CacheCount, Traffic
from iosim.expr import evaluate_int
from iosim.interpret.steps import Indices, Selected, Step, steps
from iosim.program import Array, Compute, Load, Lookup, Store
from iosim.traces.expand import KINDS, MOVES, USES, Expansion
from iosim.units import format_words

_WHAT = {"moves": MOVES, "uses": USES, "all": MOVES | USES}


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


def expansion(chosen: Chosen, what: str) -> Expansion:
    """The trace of a plan, word by word: moves, uses, or all."""
    return Expansion(chosen.plan.program, chosen.plan.sizes, what=_WHAT[what], data=chosen.data)


def word_lines(chosen: Chosen, what: str) -> Iterator[str]:
    """Each word of the trace: what happens to it, its address, and what lies there."""
    expanded = expansion(chosen, what)
    shapes = {
        array.name: tuple(evaluate_int(size, chosen.plan.sizes) for size in array.shape)
        for array in chosen.plan.program.arrays
    }
    ends = [(place.start + place.words, place) for place in expanded.places]
    for piece in expanded.pieces():
        for address, kind in zip(piece.addresses.tolist(), piece.kinds.tolist(), strict=True):
            place = next(place for end, place in ends if address < end)
            offset = address - place.start
            if place.tile:
                name = f"{place.name}[{offset}]"
            else:
                shape = shapes[place.name]
                below = [*accumulate(reversed(shape[1:]), int.__mul__, initial=1)][::-1]
                at = (offset // stride % size for stride, size in zip(below, shape, strict=True))
                name = f"{place.name}[{', '.join(map(str, at))}]"
            yield f"{KINDS[kind]:6} {address:>12} {name}"


def tile_lines(chosen: Chosen, what: str) -> Iterator[str]:
    """Each load, store and operation: where in the loops, and on what."""
    for step in steps(chosen.plan.program, chosen.plan.sizes):
        at = " ".join(f"{index}={number}" for index, number in step.path)
        match step.statement:
            case Load(region=region, tile=tile) if what != "uses":
                words = evaluate_int(region.words, step.values)
                yield f"{at:24} load  {_box(region.array, step.selected(region.axes))} -> {tile.name}  {words:,}"
            case Store(view=view, region=region) if what != "uses":
                words = evaluate_int(region.words, step.values)
                yield f"{at:24} store {view.tile.name} -> {_box(region.array, step.selected(region.axes))}  {words:,}"
            case Compute(op=op) if what != "moves":
                yield f"{at:24} use   {op.name} {_operands(step)}"
            case _:
                pass


def _operands(step: Step) -> str:
    assert isinstance(step.statement, Compute)
    views = step.statement.operands
    return ", ".join(f"{view.tile.name}[{_axes(step.indices(view.axes))}]" for view in views)


def _box(array: Array, axes: Sequence[Selected]) -> str:
    return f"{array.name}[{_axes(axes)}]"


def _axes(axes: Sequence[Selected | Indices]) -> str:
    return ", ".join(map(_axis, axes))


def _axis(axis: Selected) -> str:
    match axis:
        case slice():
            return f"{axis.start}:{axis.stop}"
        case Lookup(tile=tile, position=position):
            return f"{tile.name}[{position}]"
        case _:
            return str(axis)
