"""Words moved against n: where one algorithm overtakes another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.plots.kind import PROBLEM, Kind, Settings, tuned_rows
from iosim.plots.rows import Row, common, series
from iosim.plots.style import COLOURS, MARKERS, legend, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def against_n_figure(rows: Sequence[Row]) -> Figure:
    """I/O against n: a line for each algorithm, its lower bound dashed; where two lines change places is marked.

    Args:
        rows: with n and io_words; and, for the bound, lower_bound_words.

    Raises:
        UsageError: no line has two n.
    """
    lines = series(rows, "n")
    if all(len(line) < 2 for line in lines.values()):
        raise UsageError("io-against-n: there is one n only; allowed: several, like --n 1k:1M:*2")
    with styled():
        figure, axes = new_figure()
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        for number, (label, line) in enumerate(lines.items()):
            colour, n = COLOURS[number % len(COLOURS)], [row["n"] for row in line]
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(
                n,
                [row["io_words"] for row in line],
                color=colour,
                marker=marker,
                markersize=3,
                linewidth=1,
                label=label,
            )
            if all(row.get("lower_bound_words") for row in line):
                below = [row["lower_bound_words"] for row in line]
                axes.plot(n, below, "--", color=colour, linewidth=0.7)
        for at, words in sorted(set(crossovers(lines))):
            axes.axvline(at, color="0.4", linestyle=":", linewidth=0.8, zorder=0)
            axes.plot([at], [words], marker="o", markersize=7, markerfacecolor="none", color="0.3", linewidth=0)
            beside: Any = {"rotation": 90, "ha": "right", "va": "top", "fontsize": "small", "color": "0.2"}
            axes.text(at, 0.98, f"$n$ = {at:,}", transform=axes.get_xaxis_transform(), **beside)
        if any(row.get("lower_bound_words") for row in rows):
            axes.plot([], [], "--", color="0.4", linewidth=0.7, label="lower bounds")
        axes.set_xlabel("queries and keys $n$")
        axes.set_ylabel("words moved")
        logarithmic(axes.yaxis, words=True)
        axes.set_title(common(rows, "d", "d_v", "fast_memory_words", "mask", "batch", "heads"))
        legend(figure, axes)
        return figure


def crossovers(lines: Mapping[str, Sequence[Row]]) -> list[tuple[int, int]]:
    """The first of the n listed at which another of two lines is the lower one and, as far as they go, stays so; and what
    it moves there."""
    found = []
    for one, other in combinations(lines.values(), 2):
        first, second = ({row["n"]: row["io_words"] for row in line} for line in (one, other))
        both = sorted(first.keys() & second.keys())
        signs = [(first[n] > second[n]) - (first[n] < second[n]) for n in both]
        last = next((number for number in reversed(range(len(both))) if signs[number] != signs[-1]), None)
        if last is not None and signs[-1] and -signs[-1] in signs:
            at = both[last + 1]
            found.append((at, min(first[at], second[at])))
    return found


def _rows(settings: Settings) -> Sequence[Row]:
    """For the n asked for, and for those in between at which lines change places."""
    settings.needed("M", like="100KB")
    rows = tuned_rows(settings, ranges=True)
    lines = zip(settings.names(""), series(rows, "n").values(), strict=False)
    more = [first_below(settings, one, other) for one, other in combinations(lines, 2)]
    return [*rows, *(row for found in more for row in found)]


def first_below(settings: Settings, one: tuple[str, Sequence[Row]], other: tuple[str, Sequence[Row]]) -> Sequence[Row]:
    """The rows of the n at which the lower one of two lines changes for the last time, found by bisection between two of
    the n listed; none if it does not change, or for several M.

    Args:
        settings: of the figure.
        one, other: an algorithm and its line.
    """
    place = crossovers({"one": one[1], "other": other[1]})
    if not place or len({row["fast_memory_words"] for row in (*one[1], *other[1])}) > 1:
        return []
    high = place[0][0]
    low = max(row["n"] for row in one[1] if row["n"] < high)
    words = [next(row["io_words"] for row in line if row["n"] == high) for _, line in (one, other)]
    first_is_lower = words[0] < words[1]
    made: dict[int, list[Row]] = {}

    def changed(n: int) -> bool:
        both = replace(settings, algo=f"{one[0]},{other[0]}", given={**settings.given, "n": n})
        made[n] = tuned_rows(both, ranges=True)
        mine, others = (row["io_words"] for row in made[n])
        return bool(mine < others if first_is_lower else mine > others)

    n = bisect_left(range(high), True, low + 1, high, key=changed)
    return made.get(n, [])


def _draw(rows: Sequence[Row], _: Settings) -> Figure:
    return against_n_figure(rows)


KIND = Kind(
    name="io-against-n",
    summary="words moved against n, with the n from which on another algorithm moves fewer",
    examples=(
        "io-against-n --n 256:1M:*2 --d 64 --M 100KB --algo exact,approx --degree 2 -o n.pdf",
        "io-against-n grid.csv -o n.png",
    ),
    settings=PROBLEM | {"M"},
    columns=("n", "io_words"),
    rows=_rows,
    draw=_draw,
)
