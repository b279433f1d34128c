"""What all figures share: size, fonts, colours, axes, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.table_files import check_folder, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")

# Okabe and Ito's colours, told apart by colour-blind readers, and a marker for each, for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
WIDTH = 3.3  # inches: a column of a two-column paper
FONT = 8  # points, at that width
_STYLE: Any = {
    "font.size": FONT,
    "font.family": "serif",
    "font.serif": ["STIXGeneral", "Times New Roman", "DejaVu Serif"],
    "mathtext.fontset": "stix",  # Times, as papers are set
    "axes.titlesize": FONT,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": FONT - 1,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "iosim",  # the same figure is the same file
    "pdf.fonttype": 42,
}


def check_file(path: str, *, where: str) -> None:
    """Whether a figure can be written there.

    Raises:
        UsageError: an unknown kind of file, no such folder, or nothing can be written in it.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{where} {path}: allowed: FILE{', FILE'.join(SUFFIXES)}")
    check_folder(path, where=where)


def save(figure: Figure, path: str) -> None:
    """Writes the figure, whole or not at all."""
    from matplotlib import rc_context

    kind = Path(path).suffix[1:].lower()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})  # written again, the same file
    with rc_context(_STYLE):
        write_whole(path, lambda part: figure.savefig(part, format=kind, dpi=300, metadata=undated))


@contextmanager
def styled() -> Iterator[None]:
    """Within, figures are made in the style of this package."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def new_figure(height: float = 0.75) -> tuple[Figure, Axes]:
    """A figure as wide as a column, with one pair of axes.

    Args:
        height: in widths.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height * WIDTH), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=True, which="major", linewidth=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def legend(figure: Figure, axes: Axes, ncols: int = 2) -> None:
    """What the lines of `axes` are, below the figure, which grows by that."""
    handles, labels = axes.get_legend_handles_labels()
    figure.set_figheight(figure.get_figheight() + -(-len(labels) // ncols) * 1.6 * FONT / 72)
    figure.legend(handles, labels, loc="outside lower center", ncols=ncols, columnspacing=1)


def logarithmic(axis: Axis, *, words: bool) -> None:
    """A logarithmic axis whose labels don't run into each other: 1, 2 and 5 of each decade, words like 500 k."""
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,), numticks=12))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(EngFormatter() if words else FuncFormatter(lambda value, _: f"{value:g}"))
