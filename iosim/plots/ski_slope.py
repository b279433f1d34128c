"""The ski-slope: the fewest words against the fast memory, with the lower bound and its regimes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import log
from typing import TYPE_CHECKING

from iosim.plots.kind import PROBLEM, Kind, Settings, tuned_rows
from iosim.plots.rows import Row, common, series
from iosim.plots.style import COLOURS, MARKERS, legend, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NARROW = 0.12  # of the width: a regime narrower than that has no room for its name
_MARKED = 12  # points: of so few, each has a marker


def ski_slope_figure(rows: Sequence[Row]) -> Figure:
    """I/O against M: a line for each curve, its lower bound dashed; the regimes of the first curve's bound are shaded.

    Args:
        rows: with fast_memory_words and io_words; and, for the bound, lower_bound_words and lower_bound.
    """
    with styled():
        figure, axes = new_figure()
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        lines = series(rows, "fast_memory_words")
        below = {label: _below(line) for label, line in lines.items()}
        shared = len(set(below.values())) == 1
        for number, (label, line) in enumerate(lines.items()):
            colour, M = COLOURS[number % len(COLOURS)], [row["fast_memory_words"] for row in line]
            marker = MARKERS[number % len(MARKERS)] if len(line) <= _MARKED else None
            words = [row["io_words"] for row in line]
            axes.plot(
                M, words, color=colour, drawstyle="steps-post", linewidth=1.2, label=label, marker=marker, markersize=3
            )
            if below[label] and not (shared and number):
                name, ink = ("lower bound", "0.2") if shared else (f"lower bound, {label}", colour)
                dash = "_" if len(below[label]) == 1 else None  # one point has no line
                axes.plot(
                    *zip(*below[label], strict=True),
                    "--",
                    color=ink,
                    linewidth=0.8,
                    label=name,
                    marker=dash,
                    markersize=6,
                )
        axes.margins(x=0)
        axes.set_xlabel("fast memory $M$ (words)")
        axes.set_ylabel("words moved")
        logarithmic(axes.yaxis, words=True)
        _regimes(axes, next(iter(lines.values())))
        axes.set_title(common(rows, "n", "n_k", "d", "d_v", "mask", "batch", "heads"))
        legend(figure, axes)
        return figure


def _below(line: Sequence[Row]) -> tuple[tuple[int, int], ...]:
    """The lower bound of a line: M and words."""
    return tuple((row["fast_memory_words"], row["lower_bound_words"]) for row in line if row.get("lower_bound_words"))


def _regimes(axes: Axes, line: Sequence[Row]) -> None:
    """Shades every other regime of the bound, and names those that are wide enough at the top."""
    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top * (top / bottom) ** 0.12)
    orders = {row["lower_bound"]: _regime(row) for row in line if row.get("lower_bound")}
    begins = [
        (name, next(part)["fast_memory_words"])
        for name, part in groupby(line, key=lambda row: orders.get(row.get("lower_bound")))
    ]
    for number, ((name, start), stop) in enumerate(
        zip(begins, [*(start for _, start in begins[1:]), high], strict=True)
    ):
        begin, end = max(start, low), min(stop, high)
        if number % 2 and end > begin:
            axes.axvspan(begin, end, color="0.92", zorder=0, linewidth=0)
        if name and end > begin and log(end / begin) > _NARROW * log(high / low):
            at = (begin * end) ** 0.5
            axes.text(at, 0.98, name, ha="center", va="top", transform=axes.get_xaxis_transform())


def _regime(row: Row) -> str | None:
    """The order of the bound: the leading term of its formula, without its constant."""
    import sympy

    from iosim.bounds.exact import known
    from iosim.bounds.survey import leading_term

    bound = {each.name: each for each in known()}.get(str(row["lower_bound"]))
    if bound is not None and bound.compulsory:
        return "each word once"
    if row.get("degree") is not None:
        return "sums do not fit"
    if bound is None:
        return None
    N, d, d_v, n, n_k = (sympy.Symbol(name, positive=True) for name in ("N", "d", "d_v", "n", "n_k"))
    term = leading_term(bound.expression).subs(N, n**2 if row.get("n_k") in (None, row.get("n")) else n * n_k)
    same = row.get("d_v") in (None, row.get("d"))
    _, order = sympy.factor(term.subs(d_v, d) if same else term).as_coeff_Mul()
    return f"$\\sim {sympy.latex(order, fold_short_frac=True)}$"


def _draw(rows: Sequence[Row], _: Settings) -> Figure:
    return ski_slope_figure(rows)


KIND = Kind(
    name="ski-slope",
    summary="the fewest words against the fast memory M, with the lower bound and its regimes",
    examples=(
        "ski-slope --n 65536 --d 64 -o slope.pdf",
        "ski-slope --n 65536 --algo exact,approx --degree 2 --M 256w:1Miw:*2 -o slope.svg",
        "ski-slope slope.csv -o slope.png",
    ),
    settings=PROBLEM | {"M"},
    columns=("fast_memory_words", "io_words"),
    rows=lambda settings: tuned_rows(settings, ranges=False),
    draw=_draw,
)
