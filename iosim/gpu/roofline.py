"""Figures of a validation: kernels on the roofline, and the time of approximate and fused attention over n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iosim.gpu.crossover import timed_over_n
from iosim.gpu.nsight import DRAM_READS, DRAM_WRITES
from iosim.gpu.results import CaseResult, measured_bytes
from iosim.machines import Machine
from iosim.plots.style import COLOURS, FONT, MARKERS, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roofline_figure(results: Sequence[CaseResult], machine: Machine) -> Figure | None:
    """Arithmetic a second against arithmetic for each byte of DRAM, by algorithm; None if nothing was measured.

    The bytes are those measured; a hollow marker is where the prediction puts the kernel.
    """
    from matplotlib.figure import Figure

    points = [(r, *found) for r in results if (found := _point(r)) is not None]
    peak, ridge = machine.tensor_fp16, machine.balance(machine.tensor_fp16)
    if not points or peak is None or ridge is None:
        return None
    with styled():
        figure = Figure(figsize=(1.6 * WIDTH, 1.2 * WIDTH), layout="constrained")
        axes = figure.add_subplot()
        names = list(dict.fromkeys(r.case.algorithm for r, *_ in points))
        for number, name in enumerate(names):
            own = [(measured, predicted, rate) for r, measured, predicted, rate in points if r.case.algorithm == name]
            style = {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)]}
            rates = [rate / 1e12 for *_, rate in own]
            axes.plot([p for _, p, _ in own], rates, linestyle="none", markersize=6, fillstyle="none", **style)  # type: ignore[arg-type]
            axes.plot([m for m, _, _ in own], rates, linestyle="none", markersize=3, label=name, **style)  # type: ignore[arg-type]
        fused = [(flops / moved, flops / seconds / 1e12) for flops, moved, seconds in map(_fused, results) if seconds]
        if fused:
            axes.plot(*zip(*fused, strict=True), "k+", markersize=5, label="PyTorch's fused attention")
        low, high = axes.get_xlim()
        corners = machine.corners(peak, min(max(low, 1.0), ridge / 10), max(high, ridge * 10))
        axes.plot([x for x, _ in corners], [y / 1e12 for _, y in corners], color="0.3", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("operations for each byte of DRAM: measured (filled), predicted (hollow)")
        axes.set_ylabel("Tera-operations a second")
        axes.set_title(f"{machine.title}: published bandwidth and fp16 peak", fontsize=FONT)
        axes.grid(visible=True, which="major", linewidth=0.3)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        return figure


def times_figure(results: Sequence[CaseResult]) -> Figure | None:
    """Time over n of approximate kernels and of fused attention beside them; None if there are no two sizes of one."""
    from matplotlib.figure import Figure

    groups = timed_over_n(results)
    if not groups:
        return None
    with styled():
        figure = Figure(figsize=(1.6 * WIDTH, 1.2 * WIDTH), layout="constrained")
        axes = figure.add_subplot()
        for number, (title, group) in enumerate(groups.items()):
            style = {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)], "markersize": 3}
            n = [result.case.n for result in group]
            axes.plot(n, [1e3 * (r.seconds or 0) for r in group], label=title, **style)  # type: ignore[arg-type]
            axes.plot(n, [1e3 * (r.sdpa_seconds or 0) for r in group], linestyle="--", **style)  # type: ignore[arg-type]
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("$n$")
        axes.set_ylabel("time in ms (dashed: PyTorch's fused attention)")
        axes.grid(visible=True, which="major", linewidth=0.3)
        figure.legend(loc="outside lower center", ncols=1, frameon=False)
        return figure


def _point(result: CaseResult) -> tuple[float, float, float] | None:
    """Operations for each byte of DRAM, measured and predicted, and operations a second."""
    reads, writes = result.boundary(DRAM_READS), result.boundary(DRAM_WRITES)
    if result.prediction is None or not result.seconds or reads is None or writes is None:
        return None
    flops, measured, predicted = result.prediction.flops, reads.measured + writes.measured, reads.low + writes.low
    return (flops / measured, flops / predicted, flops / result.seconds) if measured and predicted else None


def _fused(result: CaseResult) -> tuple[float, float, float]:
    if not result.sdpa_profiles or not result.sdpa_seconds:
        return 0.0, 1.0, 0.0
    found = measured_bytes(result.sdpa_profiles)
    return result.case.useful_flops, found[DRAM_READS] + found[DRAM_WRITES] or 1.0, result.sdpa_seconds
