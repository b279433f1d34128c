"""A proved fact: a value of its own type, that only the kernel (`iosim.proof`) makes.

A `Fact` remembers how it was established and what it rests on. A fact is worth as much as the weakest method among all that
it rests on: its `trust`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import sympy

from iosim.errors import ProofError
from iosim.proof.reals import Formula, written


class Method(IntEnum):
    """How a step was established; the greater, the less is left to believe."""

    ARGUED = 1
    CITED = 2
    EXHAUSTED = 3
    PROVED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What the kernel knows about a fact."""

    number: int
    text: str
    method: Method
    how: str
    claim: Formula | None = None
    given: tuple[Formula, ...] = ()
    using: tuple[Fact, ...] = ()
    beside: tuple[Fact, ...] = ()
    refuted: str | None = None
    questions: tuple[str, ...] = ()
    seconds: float = 0.0


class Fact:
    """A statement that the kernel has established. It can't be made, copied or changed from outside.

    Its contents are in a table of the kernel, under the identity of the object: a forged object has none.
    """

    __slots__ = ("__weakref__",)

    def __new__(cls) -> Fact:
        raise TypeError("facts are made by prove, identity, exhaust, cite, argue, cases and refute only")

    def __init_subclass__(cls) -> None:
        raise TypeError("a subclass of Fact would be a way around the kernel")

    @property
    def text(self) -> str:
        """The statement in words."""
        return _record(self).text

    @property
    def claim(self) -> Formula | None:
        """The statement as a formula, where it has one."""
        return _record(self).claim

    @property
    def given(self) -> tuple[Formula, ...]:
        """When the claim holds, besides the signs of its variables."""
        return _record(self).given

    @property
    def method(self) -> Method:
        """How this step itself was established."""
        return _record(self).method

    @property
    def how(self) -> str:
        """The solver, the number of cases or the source."""
        return _record(self).how

    @property
    def refuted(self) -> str | None:
        """A stronger statement, and where it fails."""
        return _record(self).refuted

    @property
    def questions(self) -> tuple[str, ...]:
        """What the solver found unsatisfiable, as SMT-LIB text."""
        return _record(self).questions

    @property
    def seconds(self) -> float:
        return _record(self).seconds

    @property
    def using(self) -> tuple[Fact, ...]:
        """What this step was derived from."""
        return _record(self).using

    @property
    def beside(self) -> tuple[Fact, ...]:
        """Checks of what this step says, in cases; it does not rest on them."""
        return _record(self).beside

    @property
    def closure(self) -> tuple[Fact, ...]:
        """This fact and all that it rests on, in the order in which they were established."""
        return _reached(self, lambda fact: fact.using)

    @property
    def steps(self) -> tuple[Fact, ...]:
        """The closure, and the checks beside it."""
        return _reached(self, lambda fact: fact.using + fact.beside)

    @property
    def trust(self) -> Method:
        """The weakest method among all that this fact rests on."""
        return min(fact.method for fact in self.closure)

    def at(self, values: Mapping[sympy.Symbol, Any]) -> Use:
        """This fact for these values of its variables, to be used in a step."""
        return Use(fact=self, values={symbol: sympy.sympify(value) for symbol, value in values.items()})

    def __str__(self) -> str:
        record = _record(self)
        formula = "" if record.claim is None else f": {written(record.claim)}"
        given = f"  if {', '.join(map(written, record.given))}" if record.given else ""
        return f"{record.text}{formula}{given}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A fact for some values of its variables. Worth nothing until a step has checked it."""

    fact: Fact
    values: Mapping[sympy.Symbol, sympy.Expr]


_RECORDS: WeakKeyDictionary[Fact, _Record] = WeakKeyDictionary()
_NUMBERS = count(1)
_made: ContextVar[Callable[[Fact], None] | None] = ContextVar("_made", default=None)


def established(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The same facts, once it is seen that the kernel made them.

    Raises:
        ProofError: it has not.
    """
    facts = tuple(facts)
    for fact in facts:
        _record(fact)
    return facts


@contextmanager
def recorded(also: Callable[[Fact], None] = lambda _: None) -> Iterator[list[Fact]]:
    """A list of all facts that are made meanwhile; each is also handed to a function."""
    facts: list[Fact] = []

    def keep(fact: Fact) -> None:
        facts.append(fact)
        also(fact)

    token = _made.set(keep)
    try:
        yield facts
    finally:
        _made.reset(token)


def _record(fact: Fact) -> _Record:
    record = _RECORDS.get(fact) if type(fact) is Fact else None
    if record is None:
        raise ProofError(f"{type(fact).__name__} object: not a fact that the kernel has made")
    return record


def _reached(start: Fact, neighbours: Callable[[Fact], tuple[Fact, ...]]) -> tuple[Fact, ...]:
    """All facts that are reached from one, in the order in which they were established."""
    found: dict[Fact, None] = {}
    left = [start]
    while left:
        fact = left.pop()
        if fact not in found:
            found[fact] = None
            left += neighbours(fact)
    return tuple(sorted(found, key=lambda fact: _record(fact).number))


def make(**contents: Any) -> Fact:
    """A fact with this record. Only `iosim.proof` calls it, once it has established what the record says."""
    fact = object.__new__(Fact)
    _RECORDS[fact] = _Record(number=next(_NUMBERS), **contents)
    made = _made.get()
    if made is not None:
        made(fact)
    return fact
