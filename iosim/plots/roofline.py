"""The roofline: does a schedule wait for words or for flops? Its intensity against the balance of a machine.

Source: Williams, Waterman and Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iosim.errors import UsageError
from iosim.plots.kind import PROBLEM, Kind, Settings, refuse_idle_degree
from iosim.plots.rows import Row, common, series
from iosim.plots.style import COLOURS, DASHES, MARKERS, legend, logarithmic, new_figure, styled
from iosim.refusals import missing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iosim.machines import Machine

_MACHINE = "a100"
_JOINED = 50  # points, in the order of M: of more, nothing is seen
_ROOFS = (("tensor_fp16", "fp16 matrices"), ("fp32", "fp32"))


def roofline_figure(rows: Sequence[Row], machines: Sequence[Machine]) -> Figure:
    """Flops a second that each machine can do at an intensity, and the intensities of the rows.

    Args:
        rows: with flops, io_words, fast_memory_words and dtype; a point for each, on the highest roof of the first machine.
        machines: with a bandwidth and at least one peak.

    Raises:
        UsageError: a machine has neither.
    """
    for machine in machines:
        if machine.memory_bandwidth is None or all(getattr(machine, roof) is None for roof, _ in _ROOFS):
            raise UsageError(f"--gpu {machine.name}: no published peak of {machine.title} is known here")
    points = {label: [_intensity(row) for row in line] for label, line in series(rows, "fast_memory_words").items()}
    every = [x for xs in points.values() for x in xs]
    balances = [machine.balance(getattr(machine, roof)) for machine in machines for roof, _ in _ROOFS]
    low = min([*every, *(b for b in balances if b)]) / 4
    high = max([*every, *(b for b in balances if b)]) * 4
    with styled():
        figure, axes = new_figure()
        axes.set_xscale("log")
        axes.set_yscale("log")
        for number, machine in enumerate(machines):
            for style, (roof, name) in zip(DASHES, _ROOFS, strict=False):
                if (peak := getattr(machine, roof)) is not None:
                    corners = zip(*machine.corners(peak, low, high), strict=True)
                    color, label = "0.35" if number == 0 else "0.65", f"{machine.name}, {name}"
                    axes.plot(*corners, style, color=color, linewidth=1, label=label)
        first = machines[0]
        top = max(getattr(first, roof) or 0 for roof, _ in _ROOFS)
        for number, (label, xs) in enumerate(points.items()):
            axes.plot(
                xs,
                [first.roof(top, x) for x in xs],
                linestyle="-" if len(xs) < _JOINED else "none",
                linewidth=0.5,
                marker=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                markersize=5,
                label=label,
            )
        axes.set_xlim(low, high)
        axes.set_xlabel("intensity (flops per byte moved)")
        axes.set_ylabel("attainable flops per second")
        logarithmic(axes.xaxis, words=False)
        logarithmic(axes.yaxis, words=True)
        axes.set_title(common(rows, "n", "d", "fast_memory_words", "dtype"))
        legend(figure, axes)
        return figure


def _intensity(row: Row) -> float:
    from iosim.units import FP16, dtype

    bytes_moved = row["io_words"] * dtype(row.get("dtype") or FP16.name, where="dtype").bytes
    return float(row["flops"] / bytes_moved)


def machines_of(settings: Settings) -> list[Machine]:
    """The machines that are asked for."""
    from iosim.machines import machine

    return [machine(name.strip(), where="--gpu") for name in settings.given.get("gpu", _MACHINE).split(",")]


def _rows(settings: Settings) -> Sequence[Row]:
    """Runs of each algorithm for each M, by default in what a block of threads of the first machine has."""
    from iosim import api
    from iosim.columns import run_row
    from iosim.registry import find
    from iosim.units import FP16, dtype, parse_sizes

    settings.needed("n", like="65536")
    given = settings.only(*(PROBLEM - {"algo", "degree", "set"}))
    word = dtype(given.get("dtype", FP16.name), where="--dtype")
    block = machines_of(settings)[0].shared_bytes_per_block
    if "M" not in settings.given and block is None:
        raise missing("--M", like="1MB", why=f"{machines_of(settings)[0].title} has no shared memory")
    sizes = settings.given.get("M", f"{block}B")
    rows = []
    refuse_idle_degree(settings, settings.names("standard,exact,approx"))
    for name in settings.names("standard,exact,approx"):
        own = settings.only("degree") if find(name).takes_polynomial else {}
        own |= settings.only("set") if find(name).method else {}
        rows += [
            run_row(api.run(name, M=f"{M}w", numeric=False, **given, **own))
            for M in parse_sizes(sizes, word, where="--M")
        ]
    return rows


def _draw(rows: Sequence[Row], settings: Settings) -> Figure:
    return roofline_figure(rows, machines_of(settings))


KIND = Kind(
    name="roofline",
    summary="flops per byte moved, against the balance of machines",
    examples=(
        "roofline --n 65536 --d 64 --gpu a100,h100 -o roof.pdf",
        "roofline grid.csv --gpu epyc7763 -o roof.png",
    ),
    settings=PROBLEM | {"M", "gpu"},
    columns=("flops", "io_words", "fast_memory_words"),
    rows=_rows,
    draw=_draw,
)
