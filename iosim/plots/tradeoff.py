"""Error against I/O: which approximation is worth what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iosim.plots.style import COLOURS, MARKERS, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iosim.tradeoff import Tradeoff

_ROUNDING = 1e-12  # an error up to that is exact attention in float64, and not drawn


def tradeoff_figure(found: Tradeoff) -> Figure:
    """Error against words moved: a marker for each method, a line along the front, and where exact attention is."""
    with styled():
        figure, axes = new_figure(1)
        names = list(dict.fromkeys(point.algorithm for point in found.points))
        shown = [point for point in found.points if _ROUNDING < found.error(point) < float("inf")]
        for number, name in enumerate(names):
            own = [point for point in shown if point.algorithm == name]
            axes.plot(
                [point.io_words for point in own],
                [found.error(point) for point in own],
                linestyle="none",
                marker=MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                markersize=4,
                label=name,
            )
        front = [point for point in shown if found.on_front(point)]
        axes.step(
            [point.io_words for point in front],
            [found.error(point) for point in front],
            where="post",
            color="0.4",
            linewidth=0.8,
            zorder=0,
            label="front",
        )
        if found.exact_words is not None:
            axes.axvline(found.exact_words, color="black", linestyle="--", linewidth=0.8, label="exact attention")
        axes.set_xscale("log")
        axes.set_yscale("log")
        logarithmic(axes.xaxis, words=True)
        logarithmic(axes.yaxis, words=False)
        axes.set_xlabel("words moved")
        axes.set_ylabel("greatest error" if found.by == "max" else "relative Frobenius error")
        M, problem = found.fast_memory_words, found.problem
        axes.set_title(f"$n$ = {problem.n:,}, $d$ = {problem.d}, $M$ = {M:,} words")
        figure.legend(loc="outside lower center", ncols=2)
        return figure
