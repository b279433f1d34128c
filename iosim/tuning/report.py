"""How a curve of I/O against M looks at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.display import pairs
from iosim.terminal import problem_text, table
from iosim.tuning.tune import Point, Tuned
from iosim.units import format_words

_ROWS = 25  # of a table, at the most


def tune_report(found: Tuned) -> RenderableType:
    """A row for each fast memory, or for some of them at equal distances, and whether the curve keeps above its bound."""
    polynomial = f", degree {found.problem.degree}" if found.polynomial else ""
    settings = "".join(f", {name} = {value:,}" for name, value in found.problem.settings)
    facts = [
        ("problem", problem_text(found.problem) + polynomial + settings),
        ("looked at", ", ".join(found.algorithms)),
        ("runs from", f"M = {format_words(found.least_words, found.dtype)}"),
    ]
    shown = _some(found.points)
    rows = [("M", "traffic", "lower bound", "ratio", "peak", "schedule", "tiles")]
    for point in shown:
        tiles = ", ".join(f"{name} = {value:,}" for name, value in point.choice.tiles.items())
        rows.append(
            (
                f"{point.fast_memory_words:,}",
                f"{point.io_words:,}",
                f"{point.lower_bound_words:,}",
                f"{point.io_over_lower_bound:.3f}",
                f"{point.choice.peak_words:,}",
                point.schedule,
                tiles,
            )
        )
    lines: list[RenderableType] = [pairs(facts, indent=0), Text(), table(rows, left=(5, 6)), Text()]
    if len(shown) < len(found.points):
        lines.append(Text(f"{len(shown)} of {len(found.points)} fast memories; --json and -o have all of them"))
    if found.too_small:
        lines.append(Text(f"nothing fits in {len(found.too_small)} of the fast memories asked for"))
    return Group(*lines, _verdict(found))


def _verdict(found: Tuned) -> Text:
    if found.holds:
        return Text(f"verdict: nowhere below the lower bound, at {len(found.points):,} fast memories", "bold green")
    worst = found.below[0]
    return Text(
        f"verdict: FAILS at M = {worst.fast_memory_words:,}: {worst.schedule} moves {worst.io_words:,} words with a peak of "
        f"{worst.choice.peak_words:,}, at least {worst.lower_bound_words:,} are proved",
        "bold red",
    )


def _some(points: Sequence[Point]) -> list[Point]:
    """All of few points; of many, the first, the last, and some at equal distances."""
    if len(points) <= _ROWS:
        return list(points)
    numbers = {round(number * (len(points) - 1) / (_ROWS - 1)) for number in range(_ROWS)}
    return [points[number] for number in sorted(numbers)]
