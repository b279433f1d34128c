"""What a schedule did to its variables: stays, designated products, first completions.

Stays, which of them are counted or free, and designated products are as in `proofs.model`; stays that are not counted are
waste, on which no output depends.

`replay` runs a trace on a machine of its own that trusts nothing in it, and refuses what breaks the model's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from iosim.errors import IosimError
from iosim.interpret.words.events import (
    Aside,
    Discarded,
    Event,
    Exponentiated,
    Kind,
    Loaded,
    Merged,
    Multiplied,
    Place,
    Stored,
    Variable,
    WordTrace,
)

Pair: TypeAlias = tuple[int, int]
Triple: TypeAlias = tuple[int, int, int]  # query, key, column


class AuditError(IosimError, AssertionError):
    """A rule of the model or an inequality of a proof does not hold; `name` says which one."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"{name}: {found}")
        self.name = name


@dataclass(slots=True)
class Stay:
    """A maximal time with a word of a variable in fast memory, from event `begin` until event `end` takes the last."""

    variable: Variable
    begin: int
    by_load: bool
    end: int = -1
    loads: list[int] = field(default_factory=list)
    stores: list[int] = field(default_factory=list)
    products: list[tuple[int, int]] = field(default_factory=list)  # into the variable: when, and the index of the sum
    used: list[int] = field(default_factory=list)  # products P_ij V_jl that took their P_ij from here
    counted: bool = True

    @property
    def free(self) -> bool:
        """Of a counted stay of (i, j): it costs nothing by itself."""
        return not self.by_load and not self.loads and not self.stores


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a legal trace did.

    Attributes:
        stays: the stays, in the order of their beginnings.
        loads: when each word of a variable was loaded, and of which.
        stores: when each word of a variable was stored, and of which.
        designated: the designated product of each (query, key, column), by its time.
        completed: when the first whole score of each pair that meets came to be.
        scores: every product Q_il K_jl that was executed, by its time.
        pairs: the pairs that meet.
        d, d_v: columns of K and of V.
        tied: the values are words of K.
        peak: most words of variables in fast memory at once.
        held: every number of words that was in fast memory at once, and how many of them were of O.
        length: number of events.
    """

    stays: tuple[Stay, ...]
    loads: tuple[tuple[int, Variable], ...]
    stores: tuple[tuple[int, Variable], ...]
    designated: Mapping[Triple, int]
    completed: Mapping[Pair, int]
    scores: tuple[tuple[int, Triple], ...]
    pairs: frozenset[Pair]
    d: int
    d_v: int
    tied: bool
    peak: int
    held: frozenset[tuple[int, int]]
    length: int

    @property
    def traffic(self) -> int:
        """Loads and stores of words of variables; row statistics cost nothing here. Units: words."""
        return len(self.loads) + len(self.stores)

    def peak_with(self, words: int) -> int:
        """Most words in fast memory at once if each of O takes that many. Units: words."""
        return max(every + (words - 1) * sums for every, sums in self.held)

    def traffic_with(self, words: int) -> int:
        """Loads and stores if each of O moves that many words, its last store one. Units: words."""
        last = len({variable for _, variable in self.stores if variable.kind == "O"})
        return self.traffic + (words - 1) * (self.loads_of("O") + self.stores_of("O") - last)

    @property
    def recomputed(self) -> bool:
        """Whether some product Q_il K_jl was executed twice."""
        return len(self.scores) > len({triple for _, triple in self.scores})

    @property
    def spilled(self) -> bool:
        """Whether a score or probability, whole or partial, was ever stored or loaded."""
        return any(variable.kind == "S" for _, variable in (*self.loads, *self.stores))

    def loads_of(self, *kinds: Kind) -> int:
        """Words of these kinds of variables loaded."""
        return sum(variable.kind in kinds for _, variable in self.loads)

    def stores_of(self, *kinds: Kind) -> int:
        """Words of these kinds of variables stored."""
        return sum(variable.kind in kinds for _, variable in self.stores)

    def counted(self, *kinds: Kind) -> list[Stay]:
        """The counted stays of these kinds of variables, by beginning."""
        return [x for x in self.stays if x.counted and x.variable.kind in kinds]


@dataclass(slots=True)
class _Word:
    variable: Variable
    terms: dict[int, int]  # index of the sum, and when that product was executed
    exponentiated: bool = False

    def copy(self) -> _Word:
        return _Word(self.variable, dict(self.terms), self.exponentiated)


def replay(trace: WordTrace, M: int | None = None) -> History:
    """Runs a trace on a two-level machine and says what it did.

    Args:
        trace: of a schedule.
        M: words of fast memory; without it, as many as it takes.

    Raises:
        AuditError: the trace breaks a rule: `rule: operand` (a word used that is not in fast memory), `rule: creation`
            (a word made or not made, against what the trace says), `rule: product` (factors that do not belong
            together), `rule: sum` (an index twice in one sum), `rule: whole score` (a probability of a partial score),
            `rule: place` (a load of what is not there), `rule: capacity`, `rule: output` (an output not where it has to
            be), `rule: pairs` (the outputs are not sums over the pairs that the trace names).
    """
    machine = _Machine(trace, M)
    for time, event in enumerate(trace.events):
        machine.run(time, event)
    return machine.history()


class _Machine:
    def __init__(self, trace: WordTrace, M: int | None) -> None:
        self.trace = trace
        self.M = M
        self.fast: dict[int, _Word] = {}
        self.slow: dict[Place, _Word] = {}
        self.inputs: dict[Place, Variable] = {}
        self.resident: dict[Variable, tuple[Stay, int]] = {}  # its open stay and how many words it has
        self.stays: list[Stay] = []
        self.loads: list[tuple[int, Variable]] = []
        self.stores: list[tuple[int, Variable]] = []
        self.scores: list[tuple[int, Triple]] = []
        self.completed: dict[Pair, int] = {}
        self.value_kinds: set[Kind] = set()
        self.peak = 0
        self.sums = 0
        self.held: set[tuple[int, int]] = set()
        self.time = 0

    def broken(self, rule: str, found: str) -> AuditError:
        return AuditError(f"rule: {rule}", f"event {self.time}: {found}")

    def run(self, time: int, event: Event) -> None:
        self.time = time
        match event:
            case Loaded(word=word, variable=variable, place=place):
                self.load(word, variable, place)
            case Stored(word=word, place=place):
                content = self.word(word)
                if place in self.inputs:
                    raise self.broken("place", f"{place} holds the input {self.inputs[place]}")
                self.slow[place] = content.copy()
                self.stores.append((time, content.variable))
                self.stay(content.variable).stores.append(time)
            case Discarded(word=word):
                self.leave(word)
            case Multiplied(left=left, right=right, into=into, creates=creates):
                self.multiply(self.word(left), self.word(right), into, creates)
            case Merged(word=word, other=other):
                self.merge(self.word(word), self.word(other))
            case Exponentiated(word=word):
                content = self.word(word)
                if content.variable.kind != "S" or content.exponentiated or len(content.terms) != self.trace.d:
                    raise self.broken("whole score", f"exp of {content}")
                content.exponentiated = True
            case Aside(direction=direction, place=place):
                if direction == "store":
                    self.slow.pop(place, None)
                elif place in self.slow:
                    raise self.broken(
                        "place", f"{place} holds a word of {self.slow[place].variable}, loaded as of none"
                    )
            case _:
                assert_never(event)

    def word(self, number: int) -> _Word:
        if number not in self.fast:
            raise self.broken("operand", f"word {number} is not in fast memory")
        return self.fast[number]

    def stay(self, variable: Variable) -> Stay:
        return self.resident[variable][0]

    def enter(self, number: int, content: _Word, *, by_load: bool) -> None:
        if number in self.fast:
            raise self.broken("creation", f"word {number} is in fast memory already")
        self.fast[number] = content
        self.sums += content.variable.kind == "O"
        self.held.add((len(self.fast), self.sums))
        self.peak = max(self.peak, len(self.fast))
        if self.M is not None and len(self.fast) > self.M:
            raise self.broken("capacity", f"{len(self.fast)} words live, capacity is {self.M}")
        variable = content.variable
        if variable in self.resident:
            stay, words = self.resident[variable]
        else:
            stay, words = Stay(variable, self.time, by_load), 0
            self.stays.append(stay)
        self.resident[variable] = stay, words + 1

    def leave(self, number: int) -> None:
        variable = self.word(number).variable
        del self.fast[number]
        self.sums -= variable.kind == "O"
        stay, words = self.resident.pop(variable)
        if words > 1:
            self.resident[variable] = stay, words - 1
        else:
            stay.end = self.time

    def load(self, number: int, variable: Variable, place: Place) -> None:
        if variable.kind in ("Q", "K", "V"):
            if place in self.slow or self.inputs.setdefault(place, variable) != variable:
                raise self.broken("place", f"{place} does not hold {variable}")
            content = _Word(variable, {})
        else:
            if place not in self.slow or self.slow[place].variable != variable:
                raise self.broken("place", f"{place} does not hold a word of {variable}")
            content = self.slow[place].copy()
        self.enter(number, content, by_load=True)
        self.loads.append((self.time, variable))
        self.stay(variable).loads.append(self.time)

    def multiply(self, left: _Word, right: _Word, into: int, creates: bool) -> None:
        x, y = left.variable, right.variable
        if x.kind == "Q" and y.kind == "K" and x.column == y.column:
            variable, index = Variable("S", x.row, y.row), x.column
            self.scores.append((self.time, (x.row, y.row, index)))
        elif x.kind == "S" and left.exponentiated and y.kind in ("K", "V") and x.column == y.row:
            variable, index = Variable("O", x.row, y.column), y.row
            self.value_kinds.add(y.kind)
            self.stay(x).used.append(self.time)
        else:
            raise self.broken("product", f"{x} and {y}")
        if creates:
            self.enter(into, _Word(variable, {}), by_load=False)
        elif into not in self.fast:
            raise self.broken("creation", f"a product goes into word {into}, which is not in fast memory")
        target = self.fast[into]
        if target.variable != variable or target.exponentiated:
            raise self.broken("product", f"of {x} and {y}, into a word of {target.variable}")
        self.add(target, {index: self.time})
        self.stay(variable).products.append((self.time, index))

    def merge(self, target: _Word, other: _Word) -> None:
        if target is other or target.variable != other.variable or target.exponentiated or other.exponentiated:
            raise self.broken("product", f"the sum of words of {target.variable} and {other.variable}")
        self.add(target, other.terms)

    def add(self, target: _Word, terms: Mapping[int, int]) -> None:
        twice = target.terms.keys() & terms.keys()
        if twice:
            raise self.broken("sum", f"{target.variable} gets the products with index {sorted(twice)} twice")
        target.terms.update(terms)
        if target.variable.kind == "S" and len(target.terms) == self.trace.d:
            self.completed.setdefault((target.variable.row, target.variable.column), self.time)

    def history(self) -> History:
        for stay, _ in self.resident.values():
            stay.end = len(self.trace.events)
        designated = self.designated()
        times = set(designated.values())
        for x in self.stays:
            if x.variable.kind == "O":
                x.counted = any(time in times for time, _ in x.products)
            elif x.variable.kind == "S":
                x.counted = bool(x.loads or x.stores or times.intersection(x.used))
        pairs = self.trace.pairs
        if len(self.value_kinds) != 1:
            raise self.broken("product", f"values are words of {sorted(self.value_kinds)}, not of one array")
        return History(
            stays=tuple(self.stays),
            loads=tuple(self.loads),
            stores=tuple(self.stores),
            designated=designated,
            completed={pair: time for pair, time in self.completed.items() if pair in pairs},
            scores=tuple(self.scores),
            pairs=pairs,
            d=self.trace.d,
            d_v=self.trace.d_v,
            tied=self.value_kinds == {"K"},
            peak=self.peak,
            held=frozenset(self.held),
            length=len(self.trace.events),
        )

    def designated(self) -> dict[Triple, int]:
        """The products in the outputs as they were stored last, once the outputs are those of the pairs."""
        found: dict[Triple, int] = {}
        if not self.trace.outputs:
            raise self.broken("output", "the trace has no outputs")
        for place, variable in self.trace.outputs.items():
            end = self.slow.get(place)
            if end is None or end.variable != variable:
                raise self.broken("output", f"{place} does not hold {variable} at the end")
            found.update({(variable.row, key, variable.column): time for key, time in end.terms.items()})
        rows: dict[int, set[int]] = {}
        for variable in self.trace.outputs.values():
            rows.setdefault(variable.row, set()).add(variable.column)
        wanted = {(i, j, l) for i, j in self.trace.pairs for l in rows.get(i, set())}
        columns = {len(columns) for columns in rows.values()}
        if found.keys() != wanted or columns != {self.trace.d_v} or {i for i, _ in self.trace.pairs} - rows.keys():
            odd = sorted(found.keys() ^ wanted)
            raise self.broken("pairs", f"the outputs are not the sums over {len(self.trace.pairs)} pairs: {odd[:3]}")
        return found
