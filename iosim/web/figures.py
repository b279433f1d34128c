"""The figures of a page: SVG that stands in HTML, with marks that a script moves."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from iosim.plots.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS_PER_INCH = 72  # of the coordinates of SVG figures


class Svg:
    """A figure as an element of HTML.

    Args:
        figure: what to draw.
        name: of the figure: no two ids of a page may be equal.
        label: what it shows, for readers who don't see it.
    """

    def __init__(self, figure: Figure, name: str, label: str) -> None:
        self._figure, self._label = figure, label
        from matplotlib import rc_context

        figure.set_dpi(_UNITS_PER_INCH)
        text = io.StringIO()
        # letters as outlines: a browser's fonts would be wider than their places
        with styled(), rc_context({"svg.fonttype": "path"}):
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        root, _, inner = text.getvalue().partition("<svg ")[2].partition(">")
        found = re.search(r'viewBox="[^"]*"', root)
        assert found is not None
        self._view = found[0]
        inner = re.sub(r"<metadata>.*?</metadata>", "", inner.rpartition("</svg>")[0], flags=re.DOTALL)
        self._inner = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", inner)

    def places(self, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Where points of the axes are, in coordinates of the element."""
        height = self._figure.get_figheight() * _UNITS_PER_INCH
        transform = self._figure.axes[0].transData.transform
        drawn = [transform((float(x), float(y))) for x, y in points]  # words may be more than 2^63
        return [(round(float(x), 2), round(height - float(y), 2)) for x, y in drawn]

    def span(self) -> tuple[float, float]:
        """Where the axes begin and end from above to below, in coordinates of the element."""
        box, height = self._figure.axes[0].get_window_extent(), self._figure.get_figheight() * _UNITS_PER_INCH
        return round(height - box.y1, 2), round(height - box.y0, 2)

    def html(self, marks: str = "") -> str:
        """The element, with SVG on top of it."""
        return f'<svg {self._view} role="img" aria-label="{escape(self._label)}">{self._inner}{marks}</svg>'
