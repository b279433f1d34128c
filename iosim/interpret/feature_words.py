"""Which words of approximate attention move, and what is added to which sum? A program as a trace over its features.

The lower bounds for approximate attention (`iosim.bounds.approx`) speak of words of rows, sums of features and words of
outputs; a program's trace, word by word, becomes what it does to these. As in `iosim.interpret.words`, nothing is read off
the names of tiles, and an operation without a meaning here is an error. Words of the normaliser, and the products of a
monomial's first factors within one operation, are of no interest to the bounds, which hold without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from iosim.errors import MeaningError
from iosim.expr import Expr, evaluate_int
from iosim.interpret.trace import Indices, Step, steps
from iosim.program import Alloc, Column, Compute, Free, Load, Program, Store

Factors: TypeAlias = tuple[int, ...]  # a monomial: its factors in ascending order, x0 x0 x3 is (0, 0, 3)


class Word(NamedTuple):
    """A word of fast or slow memory.

    Attributes:
        kind: K, V, Q (products of words of one row of these), W (a sum) or Y (a word of the output).
        row: of K and V, Q or the output; -1 for sums.
        factors: of the monomial.
        column: of V or the output; -1 where there is none.
    """

    kind: str
    row: int
    factors: Factors
    column: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A word comes from slow memory."""

    word: Word


@dataclass(frozen=True, slots=True)
class Stored:
    """A word is copied to slow memory."""

    word: Word


@dataclass(frozen=True, slots=True)
class Discarded:
    """A word leaves fast memory."""

    word: Word


@dataclass(frozen=True, slots=True)
class Formed:
    """The product of words of one row becomes a word."""

    word: Word
    factors: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """k_j^alpha v_jl, a product of words of row j, is added to the sum; this makes the word if it is not there."""

    sum: Word
    factors: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """The sum times q_i^alpha, a product of words of row i, is added to the output; this makes it if it is not there."""

    output: Word
    sum: Word
    factors: tuple[Word, ...]


Event: TypeAlias = Loaded | Stored | Discarded | Formed | Added | Used


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTrace:
    """A schedule of approximate attention, word by word.

    Attributes:
        events: what happens, in order.
        n: queries, and keys.
        d: columns of Q, K, V and the output.
        g: degree.
        beside: words moved that are none of these: of the normaliser.
    """

    events: tuple[Event, ...]
    n: int
    d: int
    g: int
    beside: int = 0


def monomials(d: int, g: int) -> Iterator[Factors]:
    """All monomials of degree at most g in d variables."""
    for degree in range(g + 1):
        yield from combinations_with_replacement(range(d), degree)


def feature_trace(program: Program, sizes: Mapping[str, int], *, d: int, g: int) -> FeatureTrace:
    """The trace of a program for approximate attention.

    Args:
        program: what to run.
        sizes: values of all its sizes, n among them.
        d: columns of Q, K, V and O.
        g: degree.

    Raises:
        MeaningError: an operation that adds no features and uses none.
    """
    machine = _Machine(program)
    for step in steps(program, sizes):
        machine.run(step)
    return FeatureTrace(events=tuple(machine.events), n=sizes["n"], d=d, g=g, beside=machine.beside)


_NONE = None  # a word of the normaliser, or one without a value
_UNNAMED = Word("Y", -1, (), -1)


@dataclass(frozen=True, slots=True)
class _Nameless:
    """A word of an output of which only constants have been used so far: which one it is is seen when it is stored."""

    uses: list[tuple[int, Word]]  # where in the events, and of which sum


Words: TypeAlias = NDArray[Any]  # of Word or None


class _Machine:
    """Tiles whose words know what they are words of."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tiles: dict[str, Words] = {}
        self.events: list[Event] = []
        self.beside = 0

    def run(self, step: Step) -> None:
        match step.statement:
            case Load(region=region, tile=tile):
                found = [self.word(region.array.name, at) for at in _places(step.indices(region.axes))]
                words: Words = np.empty(len(found), dtype=object)
                for number, word in enumerate(found):
                    words[number] = word
                    self.move(word, Loaded)
                self.tiles[tile.name] = words.reshape(step.shape(tile.shape))
            case Store(view=view, region=region):
                words = self.tiles[view.tile.name][step.indices(view.axes)]
                for number, at in enumerate(_places(step.indices(region.axes))):
                    word = self.word(region.array.name, at)
                    held = words.flat[number]
                    if isinstance(held, _Nameless) and word is not None:
                        for position, label in held.uses:
                            self.events[position] = Used(word, label, ())
                        words.flat[number] = held = word
                    if held is not None and held != word:
                        raise MeaningError(f"{self.program.name}: {held} is stored as {word}")
                    self.move(word, Stored)
            case Alloc(tile=tile):
                self.tiles[tile.name] = np.full(step.shape(tile.shape), _NONE, dtype=object)
            case Free(tile=tile):
                for word in self.tiles.pop(tile.name).flat:
                    if word is not None:
                        self.events.append(Discarded(word))  # one that is nameless would have been stored
            case Compute(op=op, operands=operands, params=params):
                if op.name not in MEANINGS:
                    raise MeaningError(
                        f"{self.program.name}: {op.name} has no meaning for words of features; "
                        f"known: {', '.join(MEANINGS)}"
                    )
                views = [self.tiles[view.tile.name][step.indices(view.axes)] for view in operands]
                MEANINGS[op.name](self, *views, **{key: _value(step, value) for key, value in params})
            case _:
                assert_never(step.statement)

    def word(self, array: str, at: tuple[int, ...]) -> Word | None:
        """What is at a place of slow memory."""
        row, column = at
        match array:
            case "Q" | "K":
                return Word(array, row, (column,), -1)
            case "V":
                return Word("V", row, (), column)
            case "O":
                return Word("Y", row, (), column)
            case _:
                return _NONE

    def move(self, word: Word | None, how: Callable[[Word], Event]) -> None:
        if word is None:
            self.beside += 1
        else:
            self.events.append(how(word))


def _places(indices: Sequence[Indices]) -> Iterator[tuple[int, ...]]:
    axes = [range(i.start, i.stop) if isinstance(i, slice) else (i,) if isinstance(i, int) else i for i in indices]
    return product(*axes)


def _value(step: Step, value: object) -> object:
    match value:
        case Column(index=index, column=column):
            return step.rows[index][column]
        case Expr():
            return evaluate_int(value, step.values)
        case _:
            return value


def _listed(monomials: Any) -> list[tuple[int, ...]]:
    """The factors of each slot, by position among the coordinates of a block."""
    return [tuple(map(int, factors)) for found in monomials.by_degree() for factors in found]


def _add_features(machine: _Machine, W: Words, k: Words, v: Words, *, monomials: Any, degree: int) -> None:
    for (slot, factors), j, l in product(enumerate(_listed(monomials)), range(len(k)), range(v.shape[1])):
        words = tuple(k[j, position] for position in factors)
        label = Word("W", -1, tuple(sorted(word.factors[0] for word in words)), v[j, l].column)
        machine.events.append(Added(label, (v[j, l], *words)))
        W[slot, l] = label


def _add_feature_products(machine: _Machine, y: Words, q: Words, W: Words, *, monomials: Any, degree: int) -> None:
    for (slot, factors), i, l in product(enumerate(_listed(monomials)), range(len(q)), range(W.shape[1])):
        if W[slot, l] is not None:
            words = tuple(q[i, position] for position in factors)
            held = y[i, l]
            if q.shape[1]:
                held = Word("Y", q[i, 0].row, (), W[slot, l].column)
            elif held is None:
                held = _Nameless([])
            if isinstance(held, _Nameless):
                held.uses.append((len(machine.events), W[slot, l]))
            machine.events.append(Used(_UNNAMED if isinstance(held, _Nameless) else held, W[slot, l], words))
            y[i, l] = held


def _nothing(machine: _Machine, *_: Words, **__: object) -> None:
    """Words of the normaliser, or of no new variable."""


MEANINGS: Mapping[str, Callable[..., None]] = {
    "add_features": _add_features,
    "add_feature_products": _add_feature_products,
    "add_feature_sums": _nothing,
    "weigh_features": _nothing,
    "add_constant": _nothing,
    "divide_by_column": _nothing,
}
