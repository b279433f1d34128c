"""A theorem: a statement for people, a proof that can be run, and the bounds that it proves.

The proof is a function. Its docstring has the headings Statement, Hypotheses, Does not say, Source; its body makes facts
and returns, for each bound, the fact whose claim is that bound.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import sympy

from iosim.bounds.bound import NAMES, Bound, symbols
from iosim.errors import ProofError
from iosim.proof import Fact, Method, established, recorded
from iosim.proof.reals import Measured, written

Conclusions: TypeAlias = Mapping[Bound, Fact]

HEADINGS = ("Statement", "Hypotheses", "Does not say", "Source")
_HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):\s*", re.MULTILINE)


def _free(*names: str) -> tuple[sympy.Symbol, ...]:
    """The letters of bounds with these names."""
    letters = symbols(names)
    return tuple(letters[name] for name in names)


_OF = _free(*NAMES)

# What every bound is about.
IO = Measured("Q_io", "words loaded and stored by the schedule", of=_OF)

# Letters of bounds that are not free to choose: they have their value from the problem, or from how schedules are cut.
DEFINED: Mapping[str, Measured] = {
    name: Measured(name, meaning, of=of)
    for name, meaning, of in (
        ("r", "monomials of degree at most g in d variables", _OF),
        ("m", "rows of K that a sum of features holds when it is used, at least", _OF),
        ("C", "the fewest words of a row with which all its products are made, at most M in a segment", _OF),
        ("T", "products of a row, those with columns that are counted", _OF),
        ("a", "ln((1 + eps)/(1 - eps))", ()),
        ("c", "arccosh(4R/L - 1)", _free("R", "L")),
    )
}
# What bounds about the polynomials of approximate attention are about: one with error e, on the interval [-R, R].
ERROR = Measured("|O - O~|", "the error of a word of the output of approximate attention", of=_free("e", "v"))
DEGREE = Measured("g", "the degree of the polynomial", of=_free("R"))
_ABOUT = {"traffic": IO, "error": ERROR, "degree": DEGREE}
_DEFINED = {sympy.Symbol(name, positive=True): letter for name, letter in DEFINED.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Theorem:
    """A statement and its proof, not yet run.

    Attributes:
        name: the conclusion, in words joined by underscores.
        proof: makes the facts; returns the final one for each bound.
        statement, hypotheses, does_not_say, source: for people.
    """

    name: str
    proof: Callable[[], Conclusions]
    statement: str
    hypotheses: str
    does_not_say: str
    source: str

    def check(self, progress: Callable[[Fact], None] = lambda _: None) -> Checked:
        """Runs the proof.

        Raises:
            ProofError: a step fails, or a final fact is not what its bound says.
        """
        start = time.perf_counter()
        with recorded(progress) as made:
            conclusions = self.proof()
        if not conclusions:
            raise ProofError(f"{self.name}: concludes nothing")
        for bound, fact in conclusions.items():
            _concludes(self.name, bound, fact)
        steps = dict.fromkeys(step for fact in (*made, *conclusions.values()) for step in fact.steps)
        return Checked(
            theorem=self, steps=tuple(steps), conclusions=dict(conclusions), seconds=time.perf_counter() - start
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A theorem whose proof ran through.

    Attributes:
        steps: every fact, in the order in which they were established.
        conclusions: the final fact of each bound.
        seconds: how long the proof ran.
    """

    theorem: Theorem
    steps: tuple[Fact, ...]
    conclusions: Conclusions
    seconds: float

    @property
    def trust(self) -> Method:
        """The weakest method that a conclusion rests on."""
        return min(fact.trust for fact in self.conclusions.values())

    @property
    def rests_on(self) -> tuple[Fact, ...]:
        """The steps in the closures of the conclusions that are not proved."""
        needed = {step for fact in self.conclusions.values() for step in fact.closure}
        return tuple(step for step in self.steps if step in needed and step.method is not Method.PROVED)

    @property
    def verdict(self) -> str:
        """What may be said of the theorem: "proved" only if every step is."""
        argued = sum(step.method is Method.ARGUED for step in self.rests_on)
        cited = [f"{step.text.split(':')[0]} (cited)" for step in self.rests_on if step.method is Method.CITED]
        exhausted = sum(step.method is Method.EXHAUSTED for step in self.rests_on)
        parts = [f"{argued} argued step{'s' if argued > 1 else ''}"] if argued else []
        parts += cited
        parts += [f"{exhausted} exhausted step{'s' if exhausted > 1 else ''}"] if exhausted else []
        if not parts:
            return "proved"
        return f"holds, resting on {' and '.join([', '.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)}"

    def number(self, step: Fact) -> int:
        """The number of a step, from 1."""
        return self.steps.index(step) + 1


def theorem(proof: Callable[[], Conclusions]) -> Theorem:
    """The theorem that a proof function and its docstring make.

    Raises:
        ProofError: a heading is missing, empty, or out of order.
    """
    text = inspect.getdoc(proof) or ""
    found = [match[1] for match in _HEADING.finditer(text)]
    if tuple(found) != HEADINGS:
        raise ProofError(f"{proof.__name__}: headings are {', '.join(found)}, they should be {', '.join(HEADINGS)}")
    parts = [" ".join(part.split()) for part in _HEADING.split(text)[2::2]]
    if not all(parts):
        raise ProofError(f"{proof.__name__}: a heading has no text")
    statement, hypotheses, does_not_say, source = parts
    return Theorem(
        name=proof.__name__,
        proof=proof,
        statement=statement,
        hypotheses=hypotheses,
        does_not_say=does_not_say,
        source=source,
    )


def claim_of(bound: Bound) -> sympy.Basic:
    """What a bound says, as a formula."""
    comparison = sympy.Ge if bound.kind == "lower" else sympy.Le
    return comparison(_ABOUT[bound.quantity], expression_of(bound), evaluate=False)


def expression_of(bound: Bound) -> sympy.Expr:
    """The formula of a bound, with the letters of `DEFINED` as the numbers that they are."""
    return bound.expression.xreplace(_DEFINED)


def regime_of(bound: Bound) -> tuple[sympy.Basic, ...]:
    """The conditions of a bound, one by one."""
    regime = bound.regime.xreplace(_DEFINED)
    if regime == sympy.true:
        return ()
    return tuple(regime.args) if isinstance(regime, sympy.And) else (regime,)


def _concludes(name: str, bound: Bound, fact: Fact) -> None:
    """The final fact says what the bound says, and asks for no more than its regime."""
    established([fact])
    if bound.theorem != name:
        raise ProofError(f"{name}: {bound.name} names the theorem {bound.theorem}")
    if (bound.kind == "upper" and bound.quantity == "traffic") or fact.claim != claim_of(bound):
        raise ProofError(f"{name}: {bound.name} is not what is claimed in the end, {fact}")
    beyond = [written(formula) for formula in fact.given if formula not in regime_of(bound)]
    if beyond:
        raise ProofError(f"{name}: {bound.name} holds only if {', '.join(beyond)}, which is not in its regime")
