"""How tight are the bounds? Traffic over lower bound, for every fast memory and n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iosim.errors import UsageError
from iosim.plots.kind import PROBLEM, Kind, Settings, tuned_rows
from iosim.plots.rows import Row, common
from iosim.plots.style import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WRITTEN = 64  # cells: of so few, each has its number


def tightness_figure(rows: Sequence[Row]) -> Figure:
    """A heat map of I/O over lower bound over M and n. Of several algorithms, each cell has the one that moves the fewest
    words.

    Args:
        rows: with n, fast_memory_words, io_words and lower_bound_words.

    Raises:
        UsageError: there is one n or one M only, or rows that can't be in one map.
    """
    import numpy as np
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if len({(row.get("d"), row.get("degree"), row.get("mask")) for row in rows}) > 1:
        raise UsageError("tightness: rows of several d, degrees or masks; allowed: of one")
    n, M = (sorted({row[name] for row in rows}) for name in ("n", "fast_memory_words"))
    if len(n) < 2 or len(M) < 2:
        raise UsageError(f"tightness: {len(n)} n and {len(M)} M; allowed: several of both, like --n 1k:1M:*4")
    best: dict[tuple[int, int], Row] = {}
    for row in rows:
        at = row["n"], row["fast_memory_words"]
        best[at] = min(best.get(at, row), row, key=lambda each: each["io_words"])
    ratio = np.full((len(n), len(M)), np.nan)
    for (rows_n, words), row in best.items():
        ratio[n.index(rows_n), M.index(words)] = row["io_words"] / row["lower_bound_words"]
    with styled():
        figure, axes = new_figure(0.8)
        axes.grid(visible=False)
        axes.set_facecolor("0.85")  # where nothing fits
        top = max(float(np.nanmax(ratio)), 1.01)
        mesh = axes.pcolormesh(
            range(len(M)),
            range(len(n)),
            ratio,
            cmap="cividis_r",
            norm=LogNorm(1, top),
            shading="nearest",
            rasterized=True,
        )
        if ratio.size <= _WRITTEN:
            for (i, j), value in np.ndenumerate(ratio):
                if np.isfinite(value):
                    dark = value > top**0.5
                    axes.text(
                        j, i, f"{value:.2f}", ha="center", va="center", fontsize=5.5, color="white" if dark else "black"
                    )
        for axis, values in ((axes.xaxis, M), (axes.yaxis, n)):
            every = -(-len(values) // 6)
            axis.set_ticks(range(0, len(values), every), [_short(value) for value in values[::every]])
        axes.set_xlabel("fast memory $M$ (words)")
        axes.set_ylabel("queries and keys $n$")
        bar = figure.colorbar(mesh, ax=axes, label="words moved / lower bound")
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}") if top < 10 else NullFormatter())
        names = ", ".join(dict.fromkeys(str(row.get("algorithm")) for row in rows))
        axes.set_title(", ".join(text for text in (names, common(rows, "degree", "d", "mask")) if text))
        return figure


def _short(value: int) -> str:
    """A power of two as one; another number with a prefix."""
    if value & (value - 1) == 0:
        return f"$2^{{{value.bit_length() - 1}}}$"
    for size, prefix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g}{prefix}"
    return str(value)


def _rows(settings: Settings) -> Sequence[Row]:
    settings.needed("M", like="1Kiw:1Miw:*2")
    return tuned_rows(settings, ranges=True)


def _draw(rows: Sequence[Row], _: Settings) -> Figure:
    return tightness_figure(rows)


KIND = Kind(
    name="tightness",
    summary="a heat map of words moved over lower bound, over M and n",
    examples=("tightness --n 1Ki:1Mi:*4 --M 256w:1Miw:*4 --d 64 -o tight.pdf", "tightness grid.csv -o tight.png"),
    settings=PROBLEM | {"M"},
    columns=("n", "fast_memory_words", "io_words", "lower_bound_words"),
    rows=_rows,
    draw=_draw,
)
