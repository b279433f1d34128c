"""How bounds look at a terminal, and in LaTeX."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from iosim.bounds.literature import Statement
from iosim.bounds.survey import Line, Survey, latex, text
from iosim.display import pairs
from iosim.units import format_words

_facts = partial(pairs, min_width=12)  # the values of all groups in one column


def survey_report(survey: Survey) -> RenderableType:
    """Problem, the four lines of each bound, what is greatest, the derivation, and the literature."""
    head = [("problem", survey.problem)]
    if survey.fast_memory_words is not None:
        head.append(("fast memory", f"M = {format_words(survey.fast_memory_words, survey.dtype)}"))
    if survey.simplified:
        head.append(("simplified", f"for {survey.simplified}"))
    parts: list[RenderableType] = [_facts(head, indent=0)]
    for group in survey.groups:
        parts += [Text(), Text(f"holds for {group.title}", "bold"), _facts(_rows(group.lines))]
        if group.steps:
            parts.append(_facts([("because" if i == 0 else "", step) for i, step in enumerate(group.steps)]))
    if survey.greatest is not None and survey.greatest.words is not None:
        best = f"{survey.greatest.label}, {format_words(survey.greatest.words, survey.dtype)}"
        parts += [Text(), _facts([("greatest", best), *_others(survey)], indent=0)]
    if survey.cited:
        parts += [
            Text(),
            Text("in the literature (asymptotic unless it says >=: no value at given sizes)", "bold"),
            *map(_cited, survey.cited),
        ]
    return Group(*parts)


def latex_lines(survey: Survey) -> Iterator[str]:
    """Each line as LaTeX behind a comment that says what it is."""
    for group in survey.groups:
        for line in group.lines:
            yield f"% {line.label}, {group.title}: {line.bound.name}"
            yield latex(line.expression)
    for cited in survey.cited:
        for bound in cited.bounds:
            yield f"% {cited.symbol}, {cited.title}, {cited.problem}"
            yield latex(bound.expression)


def _rows(lines: tuple[Line, ...]) -> Iterator[tuple[str, str]]:
    for line in lines:
        words = "" if line.words is None else f" {'=' if line.proved else '~'} {line.words:,}"
        yield line.label, f"{text(line.expression)}{words}"
    named = {line.bound.name: line.bound for line in lines}
    for bound in named.values():
        proof = f"proofs: {bound.theorem}" if bound.theorem else bound.source
        yield "", f"{bound.name} ({proof})"


def _others(survey: Survey) -> Iterator[tuple[str, str]]:
    for number, (bound, words) in enumerate(survey.others):
        yield "also" if number == 0 else "", f"{words:,}  {bound.name}"


def _cited(cited: Statement) -> RenderableType:
    formulas = ", ".join(text(bound.expression) for bound in cited.bounds)
    formula = f"min({formulas})" if len(cited.bounds) > 1 else formulas
    shown = f">= {formula}" if cited.symbol == ">=" else f"{cited.symbol}({formula})"
    kind = "upper bound " if cited.bounds[0].kind == "upper" else ""
    first = Text(f"{cited.title}, {kind}for {cited.problem}: {shown}")
    return Group(Padding(first, (0, 0, 0, 2)), Padding(Text(f"{cited.note}; {cited.bounds[0].source}"), (0, 0, 0, 4)))
