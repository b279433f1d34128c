"""One run: which arrays the words that it moves belong to, and what they are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iosim.plots.style import COLOURS, WIDTH, legend, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iosim.runs.result import Run


def run_figure(run: Run) -> Figure:
    """A bar for each array and for all, loads and then stores; below them the lower bound and exact attention."""
    from matplotlib.ticker import EngFormatter

    arrays = [array.name for array in run.plan.program.arrays]
    below: list[tuple[str, int, str]] = [("lower bound", run.lower_bound[1], "0.55")]
    exact = run.payoff.exact
    if exact is not None and run.exact_io_words is not None and exact.title != run.plan.title:
        below.append((run.computes.rival or "exact", run.exact_io_words, "0.75"))
    names = [*arrays, "all", *(name for name, _, _ in below)]
    # words may be more than 2^63
    loads = [float(words) for words in (*(run.loads.get(name, 0) for name in arrays), run.loads_words)]
    stores = [float(words) for words in (*(run.stores.get(name, 0) for name in arrays), run.stores_words)]
    longest = 1.05 * max(run.io_words, run.lower_bound[1])
    with styled():
        figure, axes = new_figure((0.7 + 0.22 * len(names)) / WIDTH)
        axes.grid(visible=False, axis="y")
        axes.barh(range(len(loads)), loads, color=COLOURS[0], label="loads")
        axes.barh(range(len(loads)), stores, left=loads, color=COLOURS[1], label="stores")
        for row, (_, words, colour) in enumerate(below, len(loads)):
            axes.barh(row, float(min(words, longest)), color=colour)
            if words > longest:  # its bar would leave no room for the others
                times = f"{EngFormatter(places=3)(words)}, {words / run.io_words:,.3g} times the traffic"
                axes.text(longest, row, f"{times} \N{RIGHTWARDS ARROW}", ha="right", va="center")
        axes.set_xlim(0, longest)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.set_xlabel("words moved")
        axes.set_title(f"{run.algorithm} {run.schedule}, $M$ = {run.fast_memory_words:,} words")
        legend(figure, axes)
        return figure
