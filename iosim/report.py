"""How results look at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from iosim.algorithm import Algorithm
from iosim.units import format_words
from iosim.verdict import Run


def run_report(run: Run) -> RenderableType:
    """One screen about one run."""
    return Group(_head(run), Text(), _traffic(run), Text(), _verdict(run))


def list_report(algorithms: Sequence[Algorithm]) -> RenderableType:
    """Name, what it is, and for each schedule its regime and closed forms; then the source."""
    lines: list[RenderableType] = []
    for algorithm in algorithms:
        lines.append(Text.assemble((algorithm.name, "bold"), f"  {algorithm.summary}"))
        lines.append(Text(f"  source: {algorithm.source}"))
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=True)
        for column in ("schedule", "words moved", "peak words", "regime"):
            table.add_column(column, overflow="fold")
        for form in algorithm.forms():
            table.add_row(form.schedule, str(form.io), str(form.peak), form.regime)
        lines += [table, Text()]
    return Group(*lines[:-1])


def show(renderable: RenderableType) -> None:
    """Prints to stdout, wide enough for tables when it is not a terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(renderable)


def _head(run: Run) -> RenderableType:
    problem, plan = run.problem, run.plan
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    heads = f", {run.heads} heads" if run.heads > 1 else ""
    grid.add_row("algorithm", f"{run.algorithm}: {run.schedule}")
    grid.add_row("problem", f"n = {problem.n:,} queries and keys, d = {problem.d:,}{heads}")
    grid.add_row("fast memory", f"M = {format_words(run.fast_memory_words, run.dtype)}")
    grid.add_row("peak", format_words(run.peak_words, run.dtype))
    grid.add_row("tiles", ", ".join(f"{name} = {size:,}" for name, size in plan.tiles.items()))
    if run.polynomial is not None:
        p = run.polynomial
        R = f"{p.logit_bound:.4g}"
        grid.add_row("polynomial", f"degree {p.degree} for exp on [-{R}, {R}], relative error {p.relative_error:.3g}")
    return grid


def _traffic(run: Run) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("words moved", style="bold")
    for column in ("loads", "stores", "traffic"):
        table.add_column(column, justify="right")
    for array in run.plan.program.arrays:
        loads, stores = run.loads.get(array.name, 0), run.stores.get(array.name, 0)
        table.add_row(f"  {array.name}", f"{loads:,}", f"{stores:,}", f"{loads + stores:,}")
    table.add_row("  all", f"{run.loads_words:,}", f"{run.stores_words:,}", f"{run.io_words:,}", style="bold")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("traffic", format_words(run.io_words, run.dtype))
    grid.add_row("closed form", f"{run.plan.closed_form} = {run.closed_form_words:,}   ({run.plan.regime})")
    grid.add_row("flops", f"{run.flops:,}   ({run.flops / run.io_words:,.1f} for each word moved)")
    comparison = _comparison(run)
    if comparison:
        grid.add_row("exact attention", comparison)
    return Group(table, Text(), grid)


def _comparison(run: Run) -> str | None:
    exact = run.exact
    words = run.exact_io_words
    if exact is None or words is None:
        return "no exact schedule fits in this fast memory"
    name = f"{exact.algorithm} {exact.schedule}"
    if (exact.algorithm, exact.schedule) == (run.plan.algorithm, run.plan.schedule) and words == run.io_words:
        return None
    if words >= run.io_words:
        return f"{_ratio(words, run.io_words)}x fewer words than {name} ({words:,})"
    return f"{_ratio(run.io_words, words)}x more words than {name} ({words:,})"


def _ratio(a: int, b: int) -> str:
    return f"{a / b:,.0f}" if a >= 100 * b else f"{a / b:.3g}"


def _verdict(run: Run) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for check in run.checks:
        mark = Text("holds", "green") if check.holds else Text("FAILS", "bold red")
        table.add_row(mark, f"{check.name}: {check.found}{_rows(run) if check.name.startswith('error') else ''}")
    lines: list[RenderableType] = [table]
    lines += [Text(f"note   {note}") for note in run.notes]
    verdict = Text("verdict: every check holds", "bold green") if run.holds else Text("verdict: a check FAILS", "bold red")
    return Group(*lines, verdict)


def _rows(run: Run) -> str:
    numeric = run.numeric
    assert numeric is not None
    which = "all" if numeric.rows_checked == numeric.rows else f"{numeric.rows_checked:,} of"
    executed = ", ".join(f"{name} = {size:,}" for name, size in numeric.tiles.items())
    with_tiles = f"; executed with {executed}" if executed else ""
    return f" ({which} {numeric.rows:,} rows, seed {numeric.seed}{with_tiles})"
