"""How what a page reports looks at a terminal: the runs at the fast memory that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.display import pairs
from iosim.terminal import problem_text, table
from iosim.units import format_words

if TYPE_CHECKING:
    from iosim.web.ask import WebReport


def runs_report(found: WebReport) -> RenderableType:
    """A row for each run, why other algorithms have none, and whether everything holds."""
    facts = [
        ("problem", problem_text(found.problem)),
        ("fast memory", f"M = {format_words(found.fast_memory_words, found.dtype)}"),
        *((name, why) for name, why in found.left_out.items()),
    ]
    rows = [("algorithm", "traffic", "lower bound", "ratio", "peak", "verdict")]
    for run in found.runs:
        rows.append(
            (
                run.plan.title,
                f"{run.io_words:,}",
                f"{run.lower_bound[1]:,}",
                f"{run.io_over_lower_bound:.3f}",
                f"{run.peak_words:,}",
                run.verdict,
            )
        )
    said, style = ("every check holds", "bold green") if found.holds else ("a check FAILS: ", "bold red")
    verdict = Text(f"verdict: {said}{', '.join(found.failing)}", style)
    return Group(pairs(facts, indent=0), Text(), table(rows, left=(0, 5)), Text(), verdict)
