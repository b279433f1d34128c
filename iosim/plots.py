"""Figures: what a table says, for a paper. Each is made from a result that says the same in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iosim.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from iosim.tradeoff import Tradeoff

SUFFIXES = (".png", ".svg", ".pdf")

# Okabe and Ito's colours, told apart by colour-blind readers, and a marker for each, for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH = 3.4  # inches: a column of a two-column paper
_FONT = 8  # points, at that width
_ROUNDING = 1e-12  # an error up to that is exact attention in float64, and not drawn


def check_file(path: str, *, where: str) -> None:
    """Whether a figure can be written there.

    Raises:
        UsageError: an unknown kind of file, or no such folder.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{where} {path}: allowed: FILE{', FILE'.join(SUFFIXES)}")
    if not Path(path).resolve().parent.is_dir():
        raise UsageError(f"{where} {path}: there is no folder {Path(path).parent}")


def save(figure: Figure, path: str) -> None:
    """Writes the figure, whole or not at all."""
    part = Path(path).with_name(f".{Path(path).name}.part")
    try:
        figure.savefig(part, format=Path(path).suffix[1:].lower(), dpi=300, metadata=_undated(path))
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _undated(path: str) -> dict[str, None]:
    """The same figure is the same file, whenever it is written."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(Path(path).suffix.lower(), {})


def tradeoff_figure(found: Tradeoff) -> Figure:
    """Error against words moved: a marker for each method, a line along the front, and where exact attention is."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": _FONT, "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
        axes = figure.add_subplot()
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
        _logarithmic(axes.xaxis, words=True)
        _logarithmic(axes.yaxis, words=False)
        axes.set_xlabel("words moved")
        axes.set_ylabel("greatest error" if found.by == "max" else "relative Frobenius error")
        M, problem = found.fast_memory_words, found.problem
        axes.set_title(f"$n$ = {problem.n:,}, $d$ = {problem.d}, $M$ = {M:,} words", fontsize=_FONT)
        axes.grid(visible=True, which="major", linewidth=0.3)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return figure


def _logarithmic(axis: Axis, *, words: bool) -> None:
    """A logarithmic axis whose labels don't run into each other: 1, 2 and 5 of each decade, words like 500 k."""
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(EngFormatter() if words else FuncFormatter(lambda value, _: f"{value:g}"))
