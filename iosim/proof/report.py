"""What `iosim prove` prints: a theorem, its steps, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from iosim.display import Result
from iosim.proof import Fact, Method
from iosim.proof.reals import written
from iosim.proof.theorem import Checked


@dataclass(frozen=True, slots=True)
class Proofs(Result, Sequence[Checked]):
    """Theorems whose proofs ran through."""

    theorems: tuple[Checked, ...]

    @overload
    def __getitem__(self, index: int) -> Checked: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Checked]: ...
    def __getitem__(self, index: int | slice) -> Checked | Sequence[Checked]:
        return self.theorems[index]

    def __len__(self) -> int:
        return len(self.theorems)

    def __iter__(self) -> Iterator[Checked]:
        return iter(self.theorems)

    def __repr__(self) -> str:
        return f"<Proofs {', '.join(checked.theorem.name for checked in self)}>"

    def report(self) -> RenderableType:
        first, *others = map(proof_report, self)
        return Group(first, *(part for other in others for part in (Text(), other)))

    def to_dict(self) -> dict[str, object]:
        """By name."""
        return {checked.theorem.name: proof_numbers(checked) for checked in self}

    def rows(self) -> list[dict[str, object]]:
        """One for each theorem."""
        return [proof_numbers(checked) for checked in self]


def proof_report(checked: Checked) -> RenderableType:
    """The statement with its headings, the steps one after another, the bounds, and the verdict."""
    theorem = checked.theorem
    headings = (
        ("Statement", theorem.statement),
        ("Hypotheses", theorem.hypotheses),
        ("Does not say", theorem.does_not_say),
        ("Source", theorem.source),
    )
    lines: list[RenderableType] = [Text(theorem.name, "bold")]
    lines += [_indented(f"{heading}: {text}", 2) for heading, text in headings]
    lines.append(Text())
    for step in checked.steps:
        lines += _step(checked, step)
    lines.append(Text())
    for bound, fact in checked.conclusions.items():
        lines.append(_indented(f"step {checked.number(fact)} is the bound {bound.name}", 2))
    lines.append(_indented(f"{len(checked.steps)} steps in {checked.seconds:.1f} s", 2))
    lines.append(Text(f"verdict: {checked.verdict}", "bold green"))
    return Group(*lines)


def proof_numbers(checked: Checked) -> dict[str, object]:
    """The same as plain values, for `--json`."""
    theorem = checked.theorem
    return {
        "theorem": theorem.name,
        "statement": theorem.statement,
        "hypotheses": theorem.hypotheses,
        "does_not_say": theorem.does_not_say,
        "source": theorem.source,
        "steps": [
            {
                "number": number,
                "text": step.text,
                "claim": None if step.claim is None else written(step.claim),
                "if": [written(formula) for formula in step.given],
                "method": _method(step),
                "trust": step.trust.name.lower(),
                "by": step.how,
                "using": [checked.number(fact) for fact in step.using],
                "checked_by": [checked.number(fact) for fact in step.beside],
                "refuted": step.refuted,
                "seconds": step.seconds,
            }
            for number, step in enumerate(checked.steps, 1)
        ],
        "conclusions": {bound.name: checked.number(fact) for bound, fact in checked.conclusions.items()},
        "trust": checked.trust.name.lower(),
        "rests_on": [checked.number(step) for step in checked.rests_on],
        "seconds": checked.seconds,
        "verdict": checked.verdict,
    }


def _method(step: Fact) -> str:
    """How a step is established; it follows, and is not proved, if something that it rests on is not."""
    if step.method is Method.PROVED and step.trust is not Method.PROVED:
        return "follows"
    return step.method.name.lower()


def _step(checked: Checked, step: Fact) -> list[RenderableType]:
    by = step.how if step.method in (Method.EXHAUSTED, Method.PROVED) else ""
    time = f"{step.seconds:.2f} s" if step.method in (Method.EXHAUSTED, Method.PROVED) else ""
    how = ", ".join(filter(None, (_method(step), by, time)))
    lines = [_indented(f"{checked.number(step)}. [{how}] {step.text}", 2)]
    details = []
    if step.claim is not None:
        given = f"  if {', '.join(map(written, step.given))}" if step.given else ""
        details.append(f"{written(step.claim)}{given}")
    if step.method is Method.CITED:
        details.append(f"source: {step.how}")
    if step.using:
        details.append(f"from {', '.join(str(checked.number(fact)) for fact in step.using)}")
    if step.beside:
        details.append(f"checked in cases by {', '.join(str(checked.number(fact)) for fact in step.beside)}")
    if step.refuted is not None:
        details.append(f"refuted: {step.refuted}")
    return [*lines, *(_indented(detail, 7) for detail in details)]


def _indented(text: str, indent: int) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, indent))
