"""Two memories whose words know which variable of attention they are words of.

A word of fast memory is what was loaded into it, or what the products accumulated into it make it; slow memory keeps
what was stored. The machine writes down each event; what an operation does to its words is told in
`iosim.interpret.words.attention`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from iosim.errors import MeaningError
from iosim.expr import evaluate_int
from iosim.interpret.steps import Step
from iosim.interpret.words.events import (
    Aside,
    Discarded,
    Event,
    Exponentiated,
    Loaded,
    Multiplied,
    Place,
    Stored,
    Variable,
)
from iosim.program import Compute, Program


class Blank(Enum):
    """A word of fast or slow memory that is of no variable."""

    UNSET = "without a value"
    ZERO = "zero"
    MASKED = "a masked score"
    OTHER = "a row statistic or a constant"


@dataclass(slots=True)
class Word:
    """A word of a variable, in fast memory or as it was stored: the indices of its sum, and whether it is exp of it."""

    number: int
    variable: Variable
    terms: set[int]
    exponentiated: bool = False


Content: TypeAlias = Word | Blank
Words: TypeAlias = NDArray[Any]  # of Content


def row_and_column(at: tuple[int, ...], transposed: bool) -> tuple[int, int]:
    """Of a place in an array with two axes."""
    row, column = reversed(at) if transposed else at
    return row, column


class Machine:
    """Two memories whose words know which variable they are words of."""

    def __init__(
        self, program: Program, sizes: Mapping[str, int], inputs: Mapping[str, str], transposed: frozenset[str]
    ) -> None:
        self.shapes = {a.name: tuple(evaluate_int(size, sizes) for size in a.shape) for a in program.arrays}
        self.roles = {a.name: a.role for a in program.arrays}
        self.inputs = inputs
        self.transposed = transposed
        for name in self.shapes.keys() & inputs.keys():
            if len(self.shapes[name]) != 2:
                raise MeaningError(
                    f"{program.name}: {name} has {len(self.shapes[name])} axes, words of attention have 2"
                )
        queries = next((name for name, kind in inputs.items() if kind == "Q" and name in self.shapes), None)
        if queries is None:
            raise MeaningError(f"{program.name}: none of its arrays {', '.join(self.shapes)} holds the queries")
        self.d = self.shapes[queries][-2 if queries in transposed else -1]
        self.tiles: dict[str, Words] = {}
        self.slow: dict[Place, Content] = {}
        self.events: list[Event] = []
        self.born = 0
        self.step: Step | None = None

    def error(self, message: str) -> MeaningError:
        assert self.step is not None
        what = self.step.statement
        name = what.op.name if isinstance(what, Compute) else type(what).__name__.lower()
        return MeaningError(" / ".join([*(f"loop {i}={t}" for i, t in self.step.path), name]) + f": {message}")

    # Moves

    def load(self, place: Place) -> Content:
        if self.roles[place.array] == "input":
            kind = self.inputs.get(place.array)
            if kind not in ("Q", "K", "V"):
                raise self.error(f"{place.array} is none of the inputs {', '.join(self.inputs)}")
            variable = Variable(kind, *row_and_column(place.at, place.array in self.transposed))  # type: ignore[arg-type]
            content: Content = Word(0, variable, set())
        else:
            if place not in self.slow:
                raise self.error(f"{place.array}{list(place.at)} was never stored")
            content = self.slow[place]
        match content:
            case Word(variable=variable, terms=terms, exponentiated=exponentiated):
                word = self.new(variable, set(terms), exponentiated)
                self.events.append(Loaded(word.number, variable, place))
                return word
            case Blank():
                self.events.append(Aside("load", place))
                return content
            case _:
                assert_never(content)

    def store(self, content: Content, place: Place) -> None:
        match content:
            case Word(number=number, variable=variable, terms=terms, exponentiated=exponentiated):
                self.slow[place] = Word(number, variable, set(terms), exponentiated)
                self.events.append(Stored(number, place))
            case Blank():
                self.slow[place] = content
                self.events.append(Aside("store", place))
            case _:
                assert_never(content)

    # What operations are made of

    def new(self, variable: Variable, terms: set[int], exponentiated: bool = False) -> Word:
        self.born += 1
        return Word(self.born, variable, terms, exponentiated)

    def discard(self, content: Content) -> None:
        if isinstance(content, Word):
            self.events.append(Discarded(content.number))

    def overwrite(self, words: Words, blank: Blank) -> None:
        """Every word gets a value that is of no variable."""
        for at, content in np.ndenumerate(words):
            self.discard(content)
            words[at] = blank

    def rescale(self, words: Words) -> None:
        """Every word is multiplied or divided by a statistic or a constant: it stays what it is."""
        for content in words.flat:
            if content is Blank.UNSET:
                raise self.error("a word without a value")

    def multiply(self, left: Content, right: Content, into: Content) -> Content:
        """What `into` is once the product of two words has been added to it."""
        if left is Blank.ZERO or right is Blank.ZERO:
            return into
        if isinstance(left, Blank) or isinstance(right, Blank):
            raise self.error(f"a product of {_text(left)} and {_text(right)}")
        variable, term, swapped = self.product(left, right)
        if swapped:
            left, right = right, left
        if isinstance(into, Blank):
            if into is not Blank.ZERO:
                raise self.error(f"a product is added to {_text(into)}")
            target = self.new(variable, set())
        elif into.variable != variable or into.exponentiated:
            raise self.error(f"a product that belongs to {variable} is added to {_text(into)}")
        elif term in into.terms:
            raise self.error(f"the product with index {term} is added to {_text(into)} twice")
        else:
            target = into
        self.events.append(Multiplied(left.number, right.number, target.number, creates=into is not target))
        target.terms.add(term)
        return target

    def product(self, left: Word, right: Word) -> tuple[Variable, int, bool]:
        """Where the product of two words belongs, its index in the sum there, and whether its factors are swapped."""
        for x, y, swapped in ((left, right, False), (right, left, True)):
            a, b = x.variable, y.variable
            if a.kind == "Q" and b.kind == "K" and a.column == b.column:
                return Variable("S", a.row, b.row), a.column, swapped
            # where keys serve as values (tied), a probability meets a word of K
            if a.kind == "S" and x.exponentiated and b.kind in ("K", "V") and a.column == b.row:
                return Variable("O", a.row, b.column), b.row, swapped
        raise self.error(f"a product of {_text(left)} and {_text(right)}")

    def exponentiate(self, words: Words) -> None:
        """Scores become probabilities, in place; masked ones become zero."""
        for at, content in np.ndenumerate(words):
            if content is Blank.MASKED:
                words[at] = Blank.ZERO
                continue
            self.require_score(content)
            self.events.append(Exponentiated(content.number))
            content.exponentiated = True

    def require_score(self, content: Content) -> None:
        """A whole score, not yet a probability."""
        if isinstance(content, Blank) or content.variable.kind != "S" or content.exponentiated:
            raise self.error(f"needs a score, got {_text(content)}")
        if len(content.terms) != self.d:
            raise self.error(
                f"needs a whole score, got {_text(content)}, the sum of {len(content.terms)} products of {self.d}"
            )


def _text(content: Content) -> str:
    if isinstance(content, Blank):
        return content.value
    kind = "P" if content.exponentiated else content.variable.kind
    return f"{kind}[{content.variable.row}, {content.variable.column}]"
