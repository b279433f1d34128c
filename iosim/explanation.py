"""How an explanation looks: a program, and beside each line the words that it moves, as which product, and what is live."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from iosim.display import Result
from iosim.expr import evaluate_int
from iosim.interpret.explain import Line, explain
from iosim.interpret.reasons import peak_line, reasons
from iosim.interpret.render import render, statement_lines
from iosim.interpret.tiles import Tiles
from iosim.plan import Plan
from iosim.program import Program

_PEAK = "*"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Explanation(Result):
    """Why a plan moves as many words as it does.

    Attributes:
        program: the program.
        lines: what each of its lines contributes.
        reasons: the same in sentences.
    """

    program: Program
    lines: tuple[Line, ...]
    reasons: tuple[str, ...]

    @property
    def io_words(self) -> int:
        return sum(evaluate_int(line.words, {}) for line in self.lines)

    @property
    def peak_number(self) -> int | None:
        """The number of the first line at which the peak is reached."""
        peak = peak_line(self.lines)
        return None if peak is None else peak.number

    def to_dict(self) -> dict[str, object]:
        """Plain numbers and text, with units in the key names; what `--json` prints."""
        total = self.io_words
        return {
            "lines": [
                {
                    "text": text.strip(),
                    "times": line.times,
                    "io_words": line.words,
                    "share": evaluate_int(line.words, {}) / total if total else 0.0,
                    "factors": [
                        {"amount": factor.amount, "loops": list(factor.loops), "text": str(factor)}
                        for factor in line.factors
                    ],
                    "live_words": line.live_words,
                    "reaches_peak": line.number == self.peak_number,
                }
                for line, text in zip(self.lines, statement_lines(self.program), strict=True)
                if text
            ],
            "io_words": total,
            "reasons": list(self.reasons),
        }

    def report(self) -> RenderableType:
        """The annotated program and the sentences below it."""
        total = self.io_words
        rows = [("live", "words moved", "share", "program", "")]
        for line, text in zip(self.lines, statement_lines(self.program), strict=True):
            if text:
                live = "" if line.live_words is None else f"{line.live_words:,}"
                mark = _PEAK if line.number == self.peak_number else " "
                words = evaluate_int(line.words, {})
                moved = (f"{words:,}", f"{words / total:.1%}") if line.factors else ("", "")
                rows.append((f"{live}{mark}", *moved, text, how(line)))
        rows.append(("", f"{total:,}", "100.0%" if total else "", "in all", ""))
        lines = Text("\n".join(_aligned(rows)), no_wrap=True, overflow="ignore")
        sentences = [Padding(Text(sentence), (0, 0, 0, 2)) for sentence in self.reasons]
        legend = Text(f"{_PEAK} the peak is reached here first; live words are the most at any time, after the line")
        return Group(lines, legend, Text(), Text("why", "bold"), *sentences)


def explanation_of(plan: Plan, capacity: int) -> Explanation:
    """Why this plan moves as many words as it does.

    Args:
        plan: the schedule with its sizes.
        capacity: words of fast memory.
    """
    lines = explain(plan.program, plan.sizes)
    return Explanation(program=plan.program, lines=lines, reasons=reasons(plan.program, plan.sizes, lines, capacity))


def annotated(program: Program) -> str:
    """The program as `render` writes it, with the words that each line moves beside it, in symbols."""
    lines, texts = explain(program), statement_lines(program)
    head = render(program).splitlines()[: 1 + len(program.arrays)]
    rows = [(text, _in_symbols(line)) for line, text in zip(lines, texts, strict=True) if text]
    width = max((len(text) for text, beside in rows if beside), default=0)
    return "\n".join([*head, *(f"{text:{width}}  {beside}".rstrip() for text, beside in rows)])


def how(line: Line) -> str:
    """The product of a line that moves words; how a loop cuts its axis."""
    if line.factors:
        return " x ".join(map(str, line.factors))
    return "" if line.tiles is None else cut(line.tiles)


def _in_symbols(line: Line) -> str:
    return f"{line.words} = {how(line)}" if line.factors else ""


def cut(tiles: Tiles) -> str:
    """How many tiles a loop has, and of what length.

    Example:
        >>> cut(Tiles(0, 4, 10, 2, 3))
        '2 of 4 and 1 of 2'
    """
    full, step, ragged = (evaluate_int(x, {}) for x in (tiles.full, tiles.step, tiles.tiles - tiles.full))
    parts = [f"{full:,} of {step:,}"] if full else []
    parts += [f"1 of {evaluate_int(tiles.rest, {}):,}"] if ragged else []
    return " and ".join(parts) if parts else "none"


def _aligned(rows: list[tuple[str, str, str, str, str]]) -> list[str]:
    """Numbers to the right; what stands beside the program in one column, behind the longest line that has some."""
    live, words, share = (max(len(row[column]) for row in rows) for column in range(3))
    text = max((len(row[3]) for row in rows if row[4]), default=0)
    return [
        f"{row[0]:>{live}}  {row[1]:>{words}}  {row[2]:>{share}}  {row[3]:{text}}  {row[4]}".rstrip() for row in rows
    ]
