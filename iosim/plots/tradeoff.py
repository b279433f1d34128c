"""Error against I/O: which approximation is worth what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iosim.errors import UsageError
from iosim.plots.kind import Kind, Settings
from iosim.plots.rows import Row, common
from iosim.plots.style import COLOURS, MARKERS, legend, logarithmic, new_figure, styled
from iosim.refusals import among

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iosim.approximation.tradeoff import Tradeoff

_ROUNDING = 1e-12  # an error up to that is exact attention in float64, and not drawn
_ERRORS = {
    "max": ("max_abs_error", "greatest error"),
    "frobenius": ("relative_frobenius_error", "relative Frobenius error"),
}


def tradeoff_figure(found: Tradeoff) -> Figure:
    """Error against words moved: a marker for each method, a line along the front, and where exact attention is."""
    return error_figure(found.rows(), by=found.by)


def error_figure(rows: Sequence[Row], *, by: str = "max") -> Figure:
    """Error against words moved: a marker for each algorithm, a line along the front, and where exact attention is.

    Args:
        rows: with io_words and the error; and exact_io_words for exact attention.
        by: which error: "max" for max_abs_error, "frobenius" for relative_frobenius_error.

    Raises:
        UsageError: no row has an error that is more than rounding.
    """
    among(by, _ERRORS, where="--by")
    column, name = _ERRORS[by]
    exact = {row["exact_io_words"] for row in rows if row.get("exact_io_words") is not None}
    shown = [row for row in rows if row.get(column) is not None and _ROUNDING < row[column] < math.inf]
    if not shown:
        raise UsageError(
            f"error-against-io: no {column} is above {_ROUNDING:g}; allowed: rows of approximate algorithms"
        )
    with styled():
        figure, axes = new_figure()
        for number, algo in enumerate(dict.fromkeys(row.get("algorithm") for row in rows)):
            own = [row for row in shown if row.get("algorithm") == algo]
            axes.plot(
                [row["io_words"] for row in own],
                [row[column] for row in own],
                linestyle="none",
                marker=MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                markersize=4,
                label=algo,
            )
        front = _front(shown, column, min(exact, default=None))
        axes.step(
            [row["io_words"] for row in front],
            [row[column] for row in front],
            where="post",
            color="0.4",
            linewidth=0.8,
            zorder=0,
            label="front",
        )
        if len(exact) == 1:
            axes.axvline(exact.pop(), color="black", linestyle="--", linewidth=0.8, label="exact attention")
        axes.set_xscale("log")
        axes.set_yscale("log")
        logarithmic(axes.xaxis, words=True)
        logarithmic(axes.yaxis, words=False)
        axes.set_xlabel("words moved")
        axes.set_ylabel(name)
        axes.set_title(common(rows, "n", "d", "fast_memory_words"))
        legend(figure, axes)
        return figure


def _front(rows: Sequence[Row], column: str, exact: int | None) -> list[Row]:
    """The rows on the front, by the words that they move."""
    from iosim.approximation.tradeoff import on_front

    def at(row: Row) -> tuple[int, float]:
        return row["io_words"], row[column]

    return sorted((row for row in rows if on_front(at(row), map(at, rows), exact=exact)), key=at)


def _rows(settings: Settings) -> Sequence[Row]:
    from iosim import api

    settings.needed("n", like="4096")
    settings.needed("M", like="100KB")
    options = settings.only("n", "d", "M", "dtype")
    return api.tradeoff(algo=settings.algo, progress=settings.progress, **options).rows()


def _draw(rows: Sequence[Row], settings: Settings) -> Figure:
    return error_figure(rows, by=settings.given.get("by", "max"))


KIND = Kind(
    name="error-against-io",
    summary="measured error against words moved, each approximate method with several settings",
    examples=(
        "error-against-io --n 256 --d 8 --M 4KiB --algo performer,nystrom -o error.pdf",
        "error-against-io errors.csv --by frobenius -o error.svg",
    ),
    settings=frozenset({"algo", "n", "d", "M", "dtype", "by"}),
    columns=("io_words", "max_abs_error", "relative_frobenius_error"),
    rows=_rows,
    draw=_draw,
)
