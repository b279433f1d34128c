"""Figures for papers, each made from a result that says the same in numbers. One file for each kind (`iosim.plots.kind`).

A kind is found when its file is here: `iosim plot`, its help and `iosim.plot` know it then. The file has `KIND`, a
`iosim.plots.kind.Kind` that says what the kind is called, which flags it knows, where its rows come from, and how they are
drawn; `roofline.py` is a short one to begin with.
"""

from iosim.plots.error_against_io import error_figure, tradeoff_figure
from iosim.plots.io_against_n import against_n_figure
from iosim.plots.kind import Kind, Settings, kinds
from iosim.plots.roofline import roofline_figure
from iosim.plots.run import run_figure
from iosim.plots.ski_slope import ski_slope_figure
from iosim.plots.style import COLOURS, MARKERS, SUFFIXES, WIDTH, check_file, save
from iosim.plots.tightness import tightness_figure
from iosim.plots.timeline import timeline_figure

__all__ = [
    "COLOURS",
    "MARKERS",
    "SUFFIXES",
    "WIDTH",
    "Kind",
    "Settings",
    "against_n_figure",
    "check_file",
    "error_figure",
    "kinds",
    "roofline_figure",
    "run_figure",
    "save",
    "ski_slope_figure",
    "tightness_figure",
    "timeline_figure",
    "tradeoff_figure",
]
