"""What the first page draws: slow and fast memory of a small program, word by word, after each move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from iosim.expr import evaluate_int
from iosim.interpret.steps import Step, steps
from iosim.plots import COLOURS
from iosim.program import Alloc, Free, Load, Program, Store

_LOADED, _STORED = COLOURS[0], COLOURS[1]
_FACES = {"Q": "#9ecae1", "K": "#a1d99b", "V": "#fdd0a2", "O": "#cbc9e2"}
_OTHER, _EMPTY = "#bdbdbd", "white"


def film(program: Program, sizes: Mapping[str, int], *, capacity: int, across: int = 5) -> Figure:
    """A picture after each load and store of a small program whose arrays are matrices.

    Args:
        program: what to run.
        sizes: values of all its sizes.
        capacity: words of fast memory that are drawn.
        across: pictures in a row.
    """
    taken = list(_frames(program, sizes))
    down = -(-len(taken) // across)
    figure, grid = plt.subplots(down, across, figsize=(1.9 * across, 1.55 * down), squeeze=False)
    written: set[tuple[str, int, int]] = set()
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (axes, (step, words)) in enumerate(zip(grid.flat, taken, strict=False), start=1):
        load = isinstance(step.statement, Load)
        moved = _moved(step)
        written |= set() if load else moved
        width = _slow_memory(axes, program, sizes, moved, written, _LOADED if load else _STORED)
        _fast_memory(axes, words, capacity, width)
        axes.set_title(
            f"{number}. {'load' if load else 'store'} {step.statement.region.array.name}", fontsize=9, pad=11
        )
        axes.set_aspect("equal")
        axes.autoscale_view()
    figure.tight_layout(pad=0.3)
    plt.close(figure)  # shown once, as the value of its cell
    return figure


def _frames(program: Program, sizes: Mapping[str, int]) -> Iterator[tuple[Step, list[str]]]:
    """Each load and store, and the tile that each word of fast memory then belongs to."""
    live: dict[str, int] = {}
    for step in steps(program, sizes):
        match step.statement:
            case Load(tile=tile) | Alloc(tile=tile):
                live[tile.name] = evaluate_int(tile.words, step.values)
            case Free(tile=tile):
                del live[tile.name]
        if isinstance(step.statement, Load | Store):
            yield step, [name for name, words in live.items() for _ in range(words)]


def _moved(step: Step) -> set[tuple[str, int, int]]:
    """The array, the row and the column of each word that moves."""
    assert isinstance(step.statement, Load | Store)
    rows, columns = step.indices(step.statement.region.axes)
    assert isinstance(rows, slice)
    assert isinstance(columns, slice)
    name = step.statement.region.array.name
    return {(name, i, l) for i in range(rows.start, rows.stop) for l in range(columns.start, columns.stop)}


def _slow_memory(
    axes: Axes,
    program: Program,
    sizes: Mapping[str, int],
    moved: set[tuple[str, int, int]],
    written: set[tuple[str, int, int]],
    frame: str,
) -> float:
    """The arrays side by side, the words that move in a frame; returns the width."""
    left = 0.0
    for array in program.arrays:
        down, across = (evaluate_int(size, sizes) for size in array.shape)
        axes.text(left + across / 2, 0.25, array.name, ha="center", va="bottom", fontsize=8)
        for i in range(down):
            for l in range(across):
                known = array.role == "input" or (array.name, i, l) in written
                axes.add_patch(_word(left + l, -i - 1, _FACES[array.name] if known else _EMPTY))
        for name, i, l in moved:
            if name == array.name:
                axes.add_patch(Rectangle((left + l, -i - 1), 1, 1, fill=False, edgecolor=frame, linewidth=2, zorder=3))
        left += across + 0.6
    return left - 0.6


def _fast_memory(axes: Axes, words: list[str], capacity: int, width: float) -> None:
    """The words that live, below the arrays, in rows as wide; free words are empty."""
    across = int(width)
    left, top = (width - across) / 2, -5.6
    for number, name in enumerate([*words, *[""] * (capacity - len(words))]):
        x, y = left + number % across, top - number // across
        axes.add_patch(_word(x, y, _FACES.get(name.upper(), _OTHER) if name else _EMPTY))
        axes.text(x + 0.5, y + 0.45, name, ha="center", va="center", fontsize=6)


def _word(x: float, y: float, face: str) -> Rectangle:
    return Rectangle((x, y), 1, 1, facecolor=face, edgecolor="0.55", linewidth=0.5)
