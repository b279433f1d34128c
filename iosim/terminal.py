"""How results look at a terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from iosim.algorithm import Algorithm
from iosim.display import pairs
from iosim.interpret.legality.rules import Rule
from iosim.problem import Problem
from iosim.runs.checks import Check
from iosim.runs.result import Run
from iosim.units import format_words

WIDTH = 100  # of output that is not to a terminal
_SHOWN = 10  # violations


def run_report(run: Run, explanation: RenderableType | None = None) -> RenderableType:
    """One screen about one run; with its explanation before the verdict, if there is one."""
    parts = [_head(run), _moved(run), _cost(run), *([_others(run)] if run.others else [])]
    parts += [part for part in (explanation, _verdict(run)) if part is not None]
    return Group(*(line for part in parts[:-1] for line in (part, Text())), parts[-1])


def list_report(algorithms: Sequence[Algorithm]) -> RenderableType:
    """Name, what it is, its source; and for each schedule its closed forms and where they hold."""
    lines: list[RenderableType] = []
    for algorithm in algorithms:
        lines += [
            Text.assemble((algorithm.name, "bold"), f"  {algorithm.summary}"),
            pairs([("source", algorithm.source), *_settings(algorithm)]),
        ]
        for form in algorithm.forms():
            facts = [("words moved", str(form.io)), ("peak words", str(form.peak)), ("holds for", form.regime)]
            lines += [Text(f"  {form.schedule}"), pairs(facts, indent=4)]
        lines.append(Text())
    return Group(*lines[:-1])


def names_report(algorithms: Sequence[Algorithm]) -> RenderableType:
    """Names and what they are, approximate algorithms last."""
    ordered = sorted(algorithms, key=lambda algorithm: algorithm.approximate)
    return pairs([(algorithm.name, algorithm.summary) for algorithm in ordered], indent=0)


def _settings(algorithm: Algorithm) -> Iterator[tuple[str, str]]:
    """What `--set` can choose, with what it is by default."""
    options = algorithm.method.options if algorithm.method else ()
    yield from (("setting" if number == 0 else "", str(option)) for number, option in enumerate(options))


def show(renderable: RenderableType) -> None:
    """Prints to stdout; if that is no terminal, plainly, at a fixed width, without spaces at the ends of lines."""
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        console.print(renderable, crop=False)
        return
    print(plain(renderable))  # noqa: T201


def plain(renderable: RenderableType) -> str:
    """The text at a fixed width, without colours or spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in recorded(renderable).export_text().splitlines())


def recorded(renderable: RenderableType) -> Console:
    """A console of a fixed width that has printed it nowhere, and exports it; the same in a notebook."""
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False, highlight=False, markup=False, emoji=False
    )
    console.print(renderable, crop=False)
    return console


def _head(run: Run) -> RenderableType:
    tiles = run.plan.tiles
    facts = [
        ("algorithm", f"{run.algorithm}: {run.schedule}"),
        ("problem", problem_text(run.problem)),
        ("fast memory", f"M = {format_words(run.fast_memory_words, run.dtype)}"),
        ("peak", format_words(run.peak_words, run.dtype)),
        ("tiles", ", ".join(f"{name} = {value:,}" for name, value in tiles.items()) or "none to choose"),
    ]
    if run.polynomial is not None:
        p = run.polynomial
        R = f"{p.logit_bound:.4g}"
        facts.append(("polynomial", f"degree {p.degree} for exp on [-{R}, {R}], relative error {p.relative_error:.3g}"))
    if run.problem.settings:
        facts.append(("settings", ", ".join(f"{name} = {value:,}" for name, value in run.problem.settings)))
    return pairs(facts, indent=0)


def problem_text(problem: Problem) -> str:
    """The sizes of a problem, for people."""
    n, n_k, d, d_v, batch, heads = problem.n, problem.n_k, problem.d, problem.d_v, problem.batch, problem.heads
    if n == n_k:
        size = "n = 1 query and 1 key" if n == 1 else f"n = {n:,} queries and keys"
    else:
        size = f"n = {n:,} quer{'y' if n == 1 else 'ies'}, n_k = {n_k:,} key{'' if n_k == 1 else 's'}"
    more = [f"d = {d:,}"]
    more += [f"d_v = {d_v:,}"] if d_v != d else []
    of_each = f"{heads:,} head{'' if heads == 1 else 's'}"
    more += [f"{batch:,} sequences of {of_each}"] if batch > 1 else [of_each] if heads > 1 else []
    more += [f"{problem.group:,} to a key head"] if problem.group > 1 else []
    more += [f"mask {problem.mask}"] if not problem.mask.full else []
    more += ["V part of K"] if problem.tied else []
    return ", ".join([size, *more])


def _moved(run: Run) -> RenderableType:
    """Words by array; columns as wide as their numbers, however wide the terminal."""
    rows = [("words moved", "loads", "stores", "traffic")]
    for array in run.plan.program.arrays:
        loads, stores = run.loads.get(array.name, 0), run.stores.get(array.name, 0)
        rows.append((f"  {array.name}", f"{loads:,}", f"{stores:,}", f"{loads + stores:,}"))
    rows.append(("  all", f"{run.loads_words:,}", f"{run.stores_words:,}", f"{run.io_words:,}"))
    return table(rows)


def _cost(run: Run) -> RenderableType:
    facts = [
        ("traffic", format_words(run.io_words, run.dtype)),
        ("closed form", f"{run.plan.closed_form} = {run.closed_form_words:,}"),
        ("holds for", run.plan.regime),
        *_bounds(run),
        ("flops", f"{run.flops:,} ({run.flops / run.io_words:,.1f} for each word moved)"),
    ]
    comparison = _comparison(run)
    if comparison:
        facts.append((run.computes.rival, comparison))
    return pairs(facts, indent=0)


def _bounds(run: Run) -> Iterator[tuple[str, str]]:
    """The greatest lower bound for all schedules; and one for schedules of this kind, if that is greater."""
    best, words = run.lower_bound
    about = f" for {best.about}" if best.about else ""
    yield "lower bound", f"{words:,}{about} ({best.name}); the traffic is {run.io_words / words:.4g} times that"
    universal, fewer = run.universal_lower_bound
    if fewer < words:
        yield "any schedule", f"{fewer:,} ({universal.name})"
    kind, more = max(run.bounds, key=lambda found: found[1])
    if more > words:
        yield "of this kind", f"{more:,} ({kind.name})"


def _comparison(run: Run) -> str | None:
    """None for the best exact schedule itself."""
    exact = run.payoff.exact
    if exact is None:
        return str(run.payoff)
    if (exact.algorithm, exact.schedule, exact.tiles) == (run.plan.algorithm, run.plan.schedule, run.plan.tiles):
        return None
    return f"{run.payoff} ({run.exact_io_words:,})"


def _others(run: Run) -> RenderableType:
    """What the algorithm could have chosen instead."""
    rows = [("other schedules", "traffic", "times", "peak", "tiles")]
    for plan in run.others:
        tiles = ", ".join(f"{name} = {value:,}" for name, value in plan.tiles.items())
        words = plan.io_words
        name = f"  {plan.title}"
        rows.append((name, f"{words:,}", f"{words / run.io_words:.4g}", f"{plan.peak_words:,}", tiles))
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    indent = sum(widths) + 2 * len(widths)
    lines = []
    for name, *numbers, tiles in rows:
        cells = [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))]
        whole = tiles.replace(" = ", "\0=\0")  # a size stays beside its name
        first, *more = wrap(whole, max(WIDTH - indent, 20), break_long_words=False) or [""]
        lines += ["  ".join([*cells, first]), *(" " * indent + line for line in more)]
    return Text("\n".join(lines).replace("\0", " "), no_wrap=True, overflow="ignore")


def _verdict(run: Run) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in run.checks:
        mark = Text("holds", "green") if check.holds else Text("FAILS", "bold red")
        table.add_row(mark, f"{check.name}: {check.found}{_rows(run, check)}")
        if check.name == "legal schedule" and not check.holds:
            for violation in _more(run):
                table.add_row("", violation)
    for note in run.notes:
        table.add_row("note", note)
    return Group(table, Text(f"verdict: {run.verdict}", "bold green" if run.holds else "bold red"))


def _more(run: Run) -> Iterable[str]:
    """What else breaks a rule; that something else does not fit either is no news."""
    first, *others = run.violations
    news = [v for v in others if first.rule is not Rule.CAPACITY or v.rule is not Rule.CAPACITY]
    yield from map(str, news[:_SHOWN])
    left = len(others) - len(news[:_SHOWN])
    if left:
        yield f"and {left} more violation{'s' if left > 1 else ''}, listed by --json"


def _rows(run: Run, check: Check) -> str:
    """What the check of the result looked at."""
    numeric = run.numeric
    if numeric is None or check is not run.checks[-1]:
        return ""
    known = run.approximate and math.isfinite(numeric.relative_error)
    of_all = f", {numeric.relative_error:.3g} in relative Frobenius norm" if known else ""
    which = "all " if numeric.rows_checked == numeric.rows > 1 else f"{numeric.rows_checked:,} of "
    rows = f"{which}{numeric.rows:,} rows" if numeric.rows > 1 else "1 row"
    executed = ", ".join(f"{name} = {size:,}" for name, size in numeric.tiles.items())
    with_tiles = f"; executed with {executed}" if executed else ""
    return f"{of_all} ({rows}, seed {numeric.seed}, float64{with_tiles})"


def table(rows: Sequence[Sequence[str]], *, left: Iterable[int] = (0,)) -> RenderableType:
    """Columns as wide as their cells, however wide the terminal; `left` are those that are not numbers."""
    widths, aligned = [max(map(len, column)) for column in zip(*rows, strict=True)], set(left)
    lines = [
        "  ".join(
            cell.ljust(width) if number in aligned else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")
