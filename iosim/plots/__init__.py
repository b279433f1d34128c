"""Figures: what a table says, for a paper. Each is made from a result that says the same in numbers; one file a kind."""

from iosim.plots.ski_slope import ski_slope_figure
from iosim.plots.style import COLOURS, MARKERS, SUFFIXES, WIDTH, check_file, save
from iosim.plots.tradeoff import tradeoff_figure

__all__ = [
    "COLOURS",
    "MARKERS",
    "SUFFIXES",
    "WIDTH",
    "check_file",
    "save",
    "ski_slope_figure",
    "tradeoff_figure",
]
