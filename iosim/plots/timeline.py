"""The timeline of a program: which arrays the fast memory holds while words move, and the loops that it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.steps import steps
from iosim.plots.kind import PROBLEM, Kind, Settings
from iosim.plots.rows import Row
from iosim.plots.style import COLOURS, legend, new_figure, styled
from iosim.program import Alloc, Compute, Free, Load, Program, Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEPS = 20_000  # of which a figure is still made
_HATCHES = ("", "////", "....", "xxxx")  # for more arrays than there are colours
_BARS = 300  # iterations of a loop that are told apart
_WIDE = 0.035  # of the width: an iteration that has room for its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A load or a store, and the fullest that the fast memory is from the one before until then.

    Attributes:
        begin, end: words moved before and after it.
        held: words by array, by tile if it was created in fast memory, and scratch words of an operation.
        loops: index and number of each loop around it, outermost first.
    """

    begin: int
    end: int
    held: Mapping[str, int]
    loops: tuple[tuple[str, int], ...]


def moments(program: Program, sizes: Mapping[str, int]) -> Iterator[Moment]:
    """What a program holds as it moves word after word.

    Raises:
        UsageError: it has too many steps to be drawn.
    """
    live: dict[str, tuple[str, int]] = {}
    created: set[str] = set()
    fullest: dict[str, int] = {}
    moved = 0

    def look(scratch: int = 0) -> None:
        nonlocal fullest
        held = {"scratch": scratch} if scratch else {}
        for name, words in live.values():
            held[name] = held.get(name, 0) + words
        fullest = held if sum(held.values()) >= sum(fullest.values()) else fullest

    for number, step in enumerate(steps(program, sizes)):
        if number == _STEPS:
            raise UsageError(f"timeline: more than {_STEPS:,} steps; allowed: fewer rows, like --n 16 --d 4")
        match step.statement:
            case Load(tile=tile, region=region):
                live[tile.name] = region.array.name, evaluate_int(tile.words, step.values)
            case Alloc(tile=tile):
                created.add(tile.name)
                base, _, number_of = tile.name.rpartition("_")  # s_2 is the second tile that the author calls s
                name = base if number_of.isdecimal() and base in created else tile.name
                live[tile.name] = name, evaluate_int(tile.words, step.values)
            case Free(tile=tile):
                live.pop(tile.name, None)
                continue
            case Compute(op=op, params=params):
                look(evaluate_int(op.scratch(dict(params)), step.values))
                continue
            case Store():
                pass
        look()
        if isinstance(step.statement, Load | Store):
            words = evaluate_int(step.statement.region.words, step.values)
            yield Moment(begin=moved, end=moved + words, held=fullest, loops=step.path)
            moved, fullest = moved + words, {}
            look()


def timeline_figure(found: Sequence[Moment], *, title: str = "", M: int | None = None) -> Figure:
    """Words of fast memory by array, over the words that have moved; below, the loops and their iterations.

    Args:
        found: of `moments`.
        title: above the figure.
        M: fast memory in words, drawn as a line.
    """
    depth = max(len(moment.loops) for moment in found)
    with styled():
        figure, axes = new_figure(0.65 + 0.07 * depth)
        figure.clear()
        axes, below = figure.subplots(
            2, 1, sharex=True, height_ratios=[1, 0.09 * max(depth, 1)], gridspec_kw={"hspace": 0.02}
        )
        edges = [found[0].begin, *(moment.end for moment in found)]
        floor = [0] * len(found)
        for number, name in enumerate(dict.fromkeys(name for moment in found for name in moment.held)):
            top = [low + moment.held.get(name, 0) for low, moment in zip(floor, found, strict=True)]
            hatch = _HATCHES[number // len(COLOURS) % len(_HATCHES)]
            axes.stairs(
                top,
                edges,
                baseline=floor,
                fill=True,
                color=COLOURS[number % len(COLOURS)],
                hatch=hatch,
                label=name,
                lw=0,
            )
            floor = top
        peak = max(floor)
        axes.axhline(peak, color="0.2", linewidth=0.7, linestyle=":", label=f"peak, {peak:,}")
        if M is not None:
            axes.axhline(M, color="black", linewidth=0.8, linestyle="--", label=f"$M$ = {M:,}")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.08 * max(peak, M or 0))
        axes.set_ylabel("fast memory (words)")
        axes.set_title(title)
        _loops(below, found, depth)
        below.set_xlabel("words moved")
        legend(figure, axes, ncols=4)
        return figure


def _loops(axes: Axes, found: Sequence[Moment], depth: int) -> None:
    """A row of bars for each depth of the nest, one for each iteration that moves words."""
    whole = found[-1].end - found[0].begin
    names = []
    for level in range(depth):
        bars = []
        for path, part in groupby(found, key=lambda moment: moment.loops[: level + 1]):
            at = list(part)
            if len(path) == level + 1:
                bars.append((*path[-1], at[0].begin, at[-1].end))
        names.append("/".join(dict.fromkeys(name for name, *_ in bars)))
        if len(bars) > _BARS:
            axes.broken_barh([(found[0].begin, whole)], (level, 0.9), color="0.85")
            middle = (found[0].begin + found[-1].end) / 2
            axes.text(middle, level + 0.45, f"{len(bars):,} iterations", ha="center", va="center", fontsize=6)
            continue
        for number, (_, iteration, begin, end) in enumerate(bars):
            axes.broken_barh([(begin, end - begin)], (level, 0.9), color="0.85" if number % 2 else "0.7", linewidth=0)
            if end - begin > _WIDE * whole:
                axes.text((begin + end) / 2, level + 0.45, iteration, ha="center", va="center", fontsize=6)
    axes.set_ylim(max(depth, 1), 0)
    axes.set_yticks([level + 0.45 for level in range(depth)], names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("loop")


def _rows(settings: Settings) -> Sequence[Row]:
    """The best schedule of the algorithm in that fast memory, or the one with the tiles asked for."""
    from iosim import api

    settings.needed("n", like="16")
    settings.needed("M", like="64w")
    names = settings.names("flash2")
    if len(names) > 1:
        raise UsageError(f"--algo {settings.algo}: a timeline is of one algorithm")
    run = api.run(names[0], numeric=False, **settings.only(*(PROBLEM - {"algo"}), "M", "tiles"))
    tiles = ", ".join(f"${name}$ = {size}" for name, size in run.plan.tiles.items())
    title = f"{run.plan.title}, $n$ = {run.problem.n}, $d$ = {run.problem.d}"
    return [
        {"moment": moment, "title": f"{title}, {tiles}" if len(tiles) < 24 else title, "M": run.fast_memory_words}
        for moment in moments(run.plan.program, run.plan.sizes)
    ]


def _draw(rows: Sequence[Row], _: Settings) -> Figure:
    return timeline_figure([row["moment"] for row in rows], title=rows[0]["title"], M=rows[0]["M"])


KIND = Kind(
    name="timeline",
    summary="words of fast memory by array while words move, and the loops around them",
    examples=("timeline --algo flash2 --n 16 --d 4 --M 64w -o time.pdf",),
    settings=PROBLEM | {"M", "tiles"},
    rows=_rows,
    draw=_draw,
)
