"""The page itself: a report as HTML. What the browser gets is all there is: no request goes anywhere.

Without JavaScript, and on paper, everything is there but the slider.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from iosim import __version__
from iosim.bounds.bound import Bound
from iosim.plots import against_n_figure, ski_slope_figure
from iosim.runs.result import Run
from iosim.terminal import problem_text
from iosim.tuning.tune import Point
from iosim.units import format_words
from iosim.web.ask import WebReport
from iosim.web.figures import Svg

_ROWS = 13  # of the table of fast memories
_FIELDS = ("words", "bound", "ratio", "schedule", "tiles", "peak")  # of the table that the slider changes


def page(found: WebReport) -> str:
    """The report as one HTML file."""
    template = Template((files("iosim.web") / "page.html").read_text(encoding="utf-8"))
    memories, M = found.memories, found.fast_memory_words
    asked = memories.index(M)
    slope = Svg(
        ski_slope_figure([row for curve in found.curves.values() for row in curve.rows()]),
        "slope",
        f"Words moved against fast memory, exact and of degree {found.problem.degree}, with lower bounds",
    )
    places = _places(found, slope)
    points = [_entry(found, M, places) for M in memories]
    return template.substitute(
        version=__version__,
        title=escape(f"I/O of attention, n = {found.problem.n:,}, d = {found.problem.d:,}"),
        problem=escape(problem_text(found.problem)),
        memory=escape(_memory(found, M)),
        cards="".join(f"<div class='card'><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _cards(found)),
        verdict=_verdict(found),
        verdicts=_verdicts(found),
        left_out=_left_out(found.left_out),
        notes=_notes(found.runs),
        points=f"{len(memories):,}",
        ski_slope=slope.html(_marker(points[asked], slope.span())),
        last=len(memories) - 1,
        asked=asked,
        chosen=_chosen(found, points[asked]),
        curve=_curve(found),
        figures="".join(_figures(found)),
        arrays=_arrays(found),
        bounds=_bounds(found),
        open=_open(found),
        command=escape(found.command),
        json=_json({"asked": asked, "points": points}),
    )


# What stands where


def _cards(found: WebReport) -> Iterator[tuple[str, str]]:
    best = found.exact[0]
    bound, least = best.lower_bound
    yield "exact attention, fewest words", _number(best.io_words, f"{best.algorithm}: {best.schedule}")
    yield "no schedule moves less than", _number(least, bound.name)
    yield "so the best is within", _number(f"{best.io_words / least:.3f}", "times the least possible")
    for run in found.approximate:
        assert run.polynomial is not None
        R = f"{run.polynomial.logit_bound:g}"
        error = f"{run.schedule}; weights exp(x) off by up to {run.polynomial.relative_error:.2g} for |x| ≤ {R}"
        yield f"by a polynomial of degree {found.problem.degree}", _number(run.io_words, error)
        yield "against exact attention", _number(_times(best.io_words, run.io_words), "words moved")


def _number(value: int | str, below: str) -> str:
    shown = f"{value:,}" if isinstance(value, int) else value
    return f"{escape(shown)}<small>{escape(below)}</small>"


def _times(exact: int, approximate: int) -> str:
    if approximate <= exact:
        return f"{exact / approximate:,.3g}× fewer"
    return f"{approximate / exact:,.3g}× more"


def _verdict(found: WebReport) -> str:
    if found.holds:
        checks = sum(len(run.checks) for run in found.runs)
        return (
            f'<span class="holds">Every check holds</span>: {checks} checks of {len(found.runs)} runs at this M, each '
            "legal, counted, and held against its closed form and lower bounds; and no curve is below its bound."
        )
    return f'<span class="fails">A check FAILS</span>: {escape(", ".join(found.failing))}.'


def _verdicts(found: WebReport) -> str:
    header = ("algorithm", "words moved", "/ lower bound", "peak", "greatest error", "verdict", "tiles")
    rows = [
        (
            escape(run.plan.title),
            f"{run.io_words:,}",
            f"{run.io_over_lower_bound:.3f}",
            f"{run.peak_words:,}",
            "not computed" if run.numeric is None else f"{run.numeric.max_abs_error:.2g}",
            '<span class="holds">holds</span>' if run.holds else '<span class="fails">FAILS</span>',
            escape(_tiles(run.plan.tiles)),
        )
        for run in found.runs
    ]
    checks = "".join(
        f"<h3>{escape(run.plan.title)}</h3><ul>"
        + "".join(
            f"<li>{'holds' if c.holds else 'FAILS'}: {escape(c.name)}, {escape(c.found)}</li>" for c in run.checks
        )
        + f"</ul><p>{escape(run.verdict)}</p>"
        for run in found.runs
    )
    table = _table("Every algorithm at this M, exact ones first, fewest words first", header, rows, wrapped=(6,))
    return f"{table}<details><summary>What was checked, one by one</summary>{checks}</details>"


def _left_out(left_out: Mapping[str, str]) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in left_out.items())
    return f"<p>Not at this M:</p><ul>{items}</ul>" if items else ""


def _notes(runs: Sequence[Run]) -> str:
    notes = dict.fromkeys(note for run in runs for note in run.notes)
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<p>Notes:</p><ul>{items}</ul>" if items else ""


def _arrays(found: WebReport) -> str:
    shown = [found.exact[0], *found.approximate]
    names = dict.fromkeys(array.name for run in shown for array in run.plan.program.arrays)
    header = ["array"]
    for run in shown:
        header += [f"{run.plan.title}: {what}" for what in ("loads", "stores")]
    rows = [
        (name, *(f"{words.get(name, 0):,}" for run in shown for words in (run.loads, run.stores))) for name in names
    ]
    rows.append(("all", *(f"{words:,}" for run in shown for words in (run.loads_words, run.stores_words))))
    return _table("Words loaded and stored by array", [escape(cell) for cell in header], rows)


def _bounds(found: WebReport) -> str:
    best = found.exact[0]
    tables = [_bounds_of(best, "Exact attention: words, at least")]
    for run in found.approximate:
        tables.append(
            _bounds_of(run, f"By a polynomial of degree {found.problem.degree}, {run.schedule}: words, at least")
        )
    return "".join(tables)


def _bounds_of(run: Run, caption: str) -> str:
    rows = [
        (
            escape(bound.name.replace("_", " ")),
            f"{words:,}",
            escape(_about(bound)),
            f"<code>{escape(bound.theorem or 'cited')}</code>",
        )
        for bound, words in sorted(run.bounds, key=lambda found: -found[1])
    ]
    return _table(caption, ("bound", "words", "for", "theorem"), rows, wrapped=(0, 2, 3))


def _about(bound: Bound) -> str:
    """Which schedules a bound is for."""
    if bound.compulsory:
        return "everything that needs all inputs"
    return bound.about or " and ".join(sorted(bound.requires)) or "every schedule"


def _open(found: WebReport) -> str:
    problem = found.open_problem
    return "" if problem is None else f"<p><b>Open: {escape(problem.title)}.</b> {escape(problem.statement)}</p>"


def _figures(found: WebReport) -> Iterator[str]:
    for run in (found.exact[0], *found.approximate):
        name = run.plan.title
        drawn = Svg(run.plot(), f"run-{run.plan.algorithm}", f"Words loaded and stored by array: {name}")
        yield f"<figure>{drawn.html()}<figcaption>{escape(name)}, at this M.</figcaption></figure>"
    if len({row["n"] for row in found.lengths}) > 1:
        drawn = Svg(against_n_figure(found.lengths), "lengths", "Words moved against n, exact and by the polynomial")
        yield f"<figure>{drawn.html()}<figcaption>The same fast memory, other n.</figcaption></figure>"


# The curve over fast memories


def _entry(found: WebReport, M: int, places: Mapping[tuple[str, int], tuple[float, float]]) -> dict[str, object]:
    """What the slider shows at one M."""
    curves = {}
    for name, points in found.points.items():
        curves[name] = {**_fields(points[M]), "y": places[name, M][1]} if M in points else None
    x = next(places[name, M][0] for name, entry in curves.items() if entry is not None)
    return {"memory": _memory(found, M), "x": x, "curves": curves}


def _fields(point: Point) -> dict[str, str]:
    cells = (
        f"{point.io_words:,}",
        f"{point.lower_bound_words:,}",
        f"{point.io_over_lower_bound:.3f}",
        point.schedule,
        _tiles(point.choice.tiles),
        f"{point.choice.peak_words:,}",
    )
    return dict(zip(_FIELDS, cells, strict=True))


def _places(found: WebReport, slope: Svg) -> dict[tuple[str, int], tuple[float, float]]:
    """Where each point of each curve is on the figure."""
    at = {(name, M): point for name, points in found.points.items() for M, point in points.items()}
    places = slope.places((M, point.io_words) for (_, M), point in at.items())
    return dict(zip(at, places, strict=True))


def _marker(entry: Mapping[str, Any], ends: tuple[float, float]) -> str:
    """A line at an M, and a dot on each curve."""
    dots = "".join(
        f'<circle id="marker-{name}" class="{name}" r="3.2" cx="{entry["x"]}" cy="{0 if found is None else found["y"]}"'
        f"{' style=display:none' if found is None else ''}/>"
        for name, found in entry["curves"].items()
    )
    top, bottom = ends
    line = f'<line id="marker-line" x1="{entry["x"]}" x2="{entry["x"]}" y1="{top}" y2="{bottom}"/>'
    return f'<g class="marker">{line}{dots}</g>'


def _chosen(found: WebReport, entry: Mapping[str, Any]) -> str:
    """The table that the slider changes."""
    titles = {"words": "words moved", "bound": "lower bound", "ratio": "words / bound"}
    columns = "".join(f'<th scope="col" class="{name}">{found.title(name)}</th>' for name in found.curves)
    rows = "".join(
        f'<tr><th scope="row">{titles.get(field, field)}</th>'
        + "".join(
            f'<td class="wrap" data-curve="{name}" data-field="{field}">{escape(_cell(entry["curves"][name], field))}</td>'
            for name in found.curves
        )
        + "</tr>"
        for field in _FIELDS
    )
    caption = f'<caption>At M = <span id="chosen-M">{escape(str(entry["memory"]))}</span></caption>'
    return f'<div class="scroll"><table id="chosen">{caption}<thead><tr><td></td>{columns}</tr></thead>{rows}</table></div>'


def _cell(fields: Mapping[str, str] | None, field: str) -> str:
    return "" if fields is None else fields[field]


def _curve(found: WebReport) -> str:
    """Some fast memories at equal ratios, and the one that was asked for."""
    memories, last = found.memories, len(found.memories) - 1
    shown = {memories[round(number * last / (_ROWS - 1))] for number in range(_ROWS)} | {found.fast_memory_words}
    header = ["M"]
    for name in found.curves:
        header += [f"{found.title(name)}: words", "/ bound", "schedule"]
    rows = []
    for M in sorted(shown):
        cells = [f"{M:,}"]
        for points in found.points.values():
            point = points.get(M)
            cells += (
                ["", "", "nothing fits"]
                if point is None
                else [f"{point.io_words:,}", f"{point.io_over_lower_bound:.3f}", point.schedule]
            )
        rows.append([escape(cell) for cell in cells])
    asked = sorted(shown).index(found.fast_memory_words)
    return _table(
        "The same at some of them; the row of this page's M is marked", header, rows, left=(3, 6), marked=asked
    )


# Shared


def _memory(found: WebReport, M: int) -> str:
    return format_words(M, found.dtype)


def _tiles(tiles: Mapping[str, int]) -> str:
    return ", ".join(f"{name}\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value:,}" for name, value in tiles.items())


def _table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[int] = (),
    wrapped: Sequence[int] = (),
    marked: int | None = None,
) -> str:
    """A table of cells that are HTML; the first of each row names it."""
    kinds = {**dict.fromkeys(left, ' class="left"'), **dict.fromkeys(wrapped, ' class="left wrap"')}
    head = "".join(f'<th scope="col"{kinds.get(k, "")}>{cell}</th>' for k, cell in enumerate(header))
    lines = []
    for number, (name, *cells) in enumerate(rows):
        inner = "".join(f"<td{kinds.get(k, '')}>{cell}</td>" for k, cell in enumerate(cells, start=1))
        asked = ' class="asked"' if number == marked else ""
        lines.append(f'<tr{asked}><th scope="row"{kinds.get(0, "")}>{name}</th>{inner}</tr>')
    body = "".join(lines)
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _json(value: object) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
