"""The ski-slope: the fewest words against the fast memory, with the lower bound and its regimes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from iosim.plots.style import COLOURS, DASHES, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from iosim.algorithm import Problem
    from iosim.bounds.bound import Bound
    from iosim.tune import Point, Tuned

_NARROW = 0.12  # of the width: a regime narrower than that has no room for its name


def ski_slope_figure(curves: Sequence[Tuned]) -> Figure:
    """I/O against M: a line for each curve, its lower bound dashed; the regimes of the first curve's bound are shaded."""
    with styled():
        figure, axes = new_figure(0.95)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        for number, found in enumerate(curves):
            colour, M = COLOURS[number % len(COLOURS)], [point.fast_memory_words for point in found.points]
            dash = DASHES[number // len(COLOURS) % len(DASHES)]
            words = [point.io_words for point in found.points]
            axes.plot(M, words, dash, color=colour, drawstyle="steps-post", linewidth=1.2, label=found.what)
            below = [point.lower_bound_words for point in found.points]
            axes.plot(M, below, "--", color=colour, linewidth=0.8, label=f"lower bound, {found.what}")
        first = curves[0]
        axes.margins(x=0)
        axes.set_xlabel("fast memory $M$ (words)")
        axes.set_ylabel("words moved")
        logarithmic(axes.yaxis, words=True)
        _regimes(axes, first.problem, first.points)
        axes.set_title(_title(first))
        figure.legend(loc="outside lower center", ncols=2)
        return figure


def _title(found: Tuned) -> str:
    problem = found.problem
    keys = f", $n_k$ = {problem.n_k:,}" if problem.n_k != problem.n else ""
    mask = "" if problem.mask.full else f", {problem.mask}"
    return f"$n$ = {problem.n:,}{keys}, $d$ = {problem.d}{mask}"


def _regimes(axes: Axes, problem: Problem, points: Sequence[Point]) -> None:
    """Shades every other regime, and names those that are wide enough at the top."""
    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top * (top / bottom) ** 0.12)
    named = {point.bound.name: point.bound for point in points}
    orders = {name: _regime(bound, problem) for name, bound in named.items()}
    for number, (name, part) in enumerate(groupby(points, key=lambda point: orders[point.bound.name])):
        at = list(part)
        start = at[0].fast_memory_words
        stop = next((p.fast_memory_words for p in points if p.fast_memory_words > at[-1].fast_memory_words), high)
        if number % 2:
            axes.axvspan(start, stop, color="0.92", zorder=0, linewidth=0)
        share = _log_share(max(start, low), stop, low, high)
        if share > _NARROW:
            middle = (max(start, low) * stop) ** 0.5
            axes.text(middle, 0.98, name, ha="center", va="top", transform=axes.get_xaxis_transform())


def _log_share(start: float, stop: float, low: float, high: float) -> float:
    from math import log

    return log(stop / start) / log(high / low) if high > low else 1.0


def _regime(bound: Bound, problem: Problem) -> str:
    """The order of the bound: the leading term of its formula, without its constant."""
    import sympy

    from iosim.bounds.exact import BOUNDS
    from iosim.bounds.survey import leading_term

    if bound.compulsory:
        return "each word once"
    if bound.theorem not in {each.theorem for each in BOUNDS}:
        return "sums do not fit"
    N, d, d_v, n, n_k = (sympy.Symbol(name, positive=True) for name in ("N", "d", "d_v", "n", "n_k"))
    term = leading_term(bound.expression).subs(N, n**2 if problem.n_k == problem.n else n * n_k)
    _, order = sympy.factor(term.subs(d_v, d) if problem.d_v == problem.d else term).as_coeff_Mul()
    return f"$\\sim {sympy.latex(order, fold_short_frac=True)}$"
