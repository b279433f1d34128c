"""Which words of approximate attention move, and what is added to which sum? A program as a trace over its features.

The lower bounds for approximate attention (`iosim.bounds.approx`) speak of words of rows, sums of features and words of
outputs; a program's trace, word by word, becomes what it does to these. As in `iosim.interpret.words.attention`, nothing
is read off the names of tiles, and an operation without a meaning here is an error. The products of a monomial's first
factors within one operation are of no interest to the bounds, which hold without them. So are constants, such as the sum
of the constant monomial in the column of ones; words by which they are multiplied; and room in which there is no word.

A word may be in fast memory several times, such as a feature of degree 1 and the coordinate that it is. It comes with the
first and leaves with the last of these; to load one more is a move of no use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from iosim.errors import MeaningError
from iosim.interpret.steps import Step, steps
from iosim.program import Alloc, Compute, Free, Load, Program, Store

Factors: TypeAlias = tuple[int, ...]  # a monomial: its factors in ascending order, x0 x0 x3 is (0, 0, 3)


class Word(NamedTuple):
    """A word of fast or slow memory.

    Attributes:
        kind: K, V, Q (products of words of one row of these), W (a sum) or Y (a word of the output or its normaliser).
        row: of K and V, Q or the output; -1 for sums.
        factors: of the monomial; of an output, what its sums still have to be multiplied by.
        column: of V or the output; -1 for the column of ones and the normaliser, and where there is none.
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
    """k_j^alpha v_jl, or k_j^alpha for the column of ones, a product of words of row j, is added to the sum; this makes the
    word if it is not there."""

    sum: Word
    factors: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """A sum, or another word of the output, times a product of words of row i, is added to a word of the output; this makes
    it if it is not there. The word for beta holds q_i^(alpha - beta) W[alpha,l]."""

    output: Word
    sum: Word
    factors: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Divided:
    """A word of the output is divided by the normaliser of its row."""

    output: Word
    normaliser: Word


Event: TypeAlias = Loaded | Stored | Discarded | Formed | Added | Used | Divided


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTrace:
    """A schedule of approximate attention, word by word.

    Attributes:
        events: what happens, in order.
        n: queries, and keys.
        d: columns of Q, K, V and the output.
        g: degree.
        beside: words moved that are none of these: constants, room without a word, and one more of a word that is in fast
            memory.
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


_NONE = None  # a constant, or a word without a value
ONES = -1  # the column of ones
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
        self.scratch: dict[tuple[str, tuple[int, ...]], Word | None] = {}
        self.held: Counter[Word] = Counter()  # how often each word is in fast memory
        self.events: list[Event] = []
        self.beside = 0

    def run(self, step: Step) -> None:
        match step.statement:
            case Load(region=region, tile=tile):
                found = [self.word(region.array.name, at) for at in step.places(region.axes)]
                words: Words = np.empty(len(found), dtype=object)
                for number, word in enumerate(found):
                    words[number] = self.load(word)
                self.tiles[tile.name] = words.reshape(step.shape(tile.shape))
            case Store(view=view, region=region):
                words = self.tiles[view.tile.name][step.indices(view.axes)]
                for number, at in enumerate(step.places(region.axes)):
                    words.flat[number] = self.store(words.flat[number], region.array.name, at)
            case Alloc(tile=tile):
                self.tiles[tile.name] = np.full(step.shape(tile.shape), _NONE, dtype=object)
            case Free(tile=tile):
                for word in self.tiles.pop(tile.name).flat:
                    if word is not None:  # one that is nameless would have been stored
                        self.held[word] -= 1
                        if not self.held[word]:
                            self.events.append(Discarded(word))
            case Compute(op=op, operands=operands, params=params):
                if op.name not in MEANINGS:
                    raise MeaningError(
                        f"{self.program.name}: {op.name} has no meaning for words of features; "
                        f"known: {', '.join(MEANINGS)}"
                    )
                views = [self.tiles[view.tile.name][step.indices(view.axes)] for view in operands]
                MEANINGS[op.name](self, *views, **{key: step.value(value) for key, value in params})
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
                if (array, at) not in self.scratch:
                    where = f"{array}[{','.join(map(str, at))}]"
                    raise MeaningError(f"{self.program.name}: {where} is loaded and was never stored")
                return self.scratch[array, at]

    def load(self, word: Word | None) -> Word | None:
        """A word comes; if it is there already, one more of it does. Of a sum that may hold other rows, and has no name."""
        if word is None or self.held[word]:
            self.beside += 1
            if word is None or word.kind in "WY":
                return _NONE
        else:
            self.events.append(Loaded(word))
        self.held[word] += 1
        return word

    def store(self, held: Word | _Nameless | None, array: str, at: tuple[int, ...]) -> Word | None:
        """Stores a word; returns what it is, which for one of an output may be known only now."""
        if array != "O":
            if isinstance(held, _Nameless):
                raise MeaningError(
                    f"{self.program.name}: an output of which only constants are known is stored in {array}"
                )
            self.scratch[array, at] = word = held
        else:
            word = self.word(array, at)
            assert word is not None
            if isinstance(held, _Nameless):
                for position, label in held.uses:
                    self.events[position] = Used(word, label, ())
                self.held[word] += 1
                held = word
            if held is not None and held != word:
                raise MeaningError(f"{self.program.name}: {held} is stored as {word}")
        if word is None:
            self.beside += 1
        else:
            self.events.append(Stored(word))
        return held

    def make(self, at: tuple[int, int], tile: Words, word: Word) -> None:
        """A word of a tile becomes this word."""
        if tile[at] is None:
            self.held[word] += 1
        elif tile[at] != word:
            raise MeaningError(f"{self.program.name}: {tile[at]} becomes {word}")
        tile[at] = word


def _listed(monomials: Any) -> list[tuple[int, ...]]:
    """The factors of each slot, by position among the coordinates of a block."""
    return [tuple(map(int, factors)) for found in monomials.by_degree for factors in found]


def _add_features(machine: _Machine, W: Words, k: Words, v: Words, *, monomials: Any, degree: int) -> None:
    for (slot, factors), j, l in product(enumerate(_listed(monomials)), range(len(k)), range(v.shape[1])):
        _add(machine, W, (slot, l), v[j, l].column, (v[j, l], *(k[j, position] for position in factors)))


def _add_feature_sums(machine: _Machine, w: Words, k: Words, *, monomials: Any, degree: int) -> None:
    for (slot, factors), j in product(enumerate(_listed(monomials)), range(len(k))):
        _add(machine, w, (slot, 0), ONES, tuple(k[j, position] for position in factors))


def _add_atb(machine: _Machine, W: Words, p: Words, v: Words) -> None:
    """Features that were made before, of each row, times its values."""
    for slot, j, l in product(range(p.shape[1]), range(len(p)), range(v.shape[1])):
        _add(machine, W, (slot, l), v[j, l].column, (v[j, l], p[j, slot]))


def _add_column_sums(machine: _Machine, w: Words, p: Words) -> None:
    """The same for the column of ones."""
    for slot, j in product(range(p.shape[1]), range(len(p))):
        _add(machine, w, (slot, 0), ONES, (p[j, slot],))


def _add(machine: _Machine, W: Words, at: tuple[int, int], column: int, words: tuple[Word, ...]) -> None:
    label = Word("W", -1, _factors(words), column)
    if label.factors or column != ONES:
        machine.make(at, W, label)
        machine.events.append(Added(label, words))


def _factors(words: tuple[Word, ...]) -> Factors:
    """Of the product of words of a row."""
    return tuple(sorted(x for word in words for x in word.factors))


def _add_feature_products(
    machine: _Machine, y: Words, q: Words, W: Words, *, monomials: Any, degree: int, first: int = 0
) -> None:
    listed = _listed(monomials)[first : first + len(W)]
    for (slot, factors), i, l in product(enumerate(listed), range(len(q)), range(W.shape[1])):
        if W[slot, l] is not None:
            _use(machine, y, (i, l), W[slot, l], tuple(q[i, position] for position in factors), q[i])


def _add_ab(machine: _Machine, y: Words, p: Words, W: Words) -> None:
    """Features that were made before, of each query, times sums."""
    for slot, i, l in product(range(len(W)), range(len(p)), range(W.shape[1])):
        if W[slot, l] is not None:
            _use(machine, y, (i, l), W[slot, l], (p[i, slot],), p[i])


def _use(
    machine: _Machine, y: Words, at: tuple[int, int], label: Word, words: tuple[Word, ...], of_row: Sequence[Word]
) -> None:
    """A sum times a product of words of a query, which has at least the words `of_row`, is added to a word of an output."""
    output = _UNNAMED
    if len(of_row):
        output = Word("Y", of_row[0].row, (), label.column)
        machine.make(at, y, output)
    elif isinstance(y[at], Word):
        output = y[at]
    else:
        y[at] = y[at] or _Nameless([])
        y[at].uses.append((len(machine.events), label))
    machine.events.append(Used(output, label, words))


def _take_features(
    machine: _Machine, F: Words, x: Words, *, monomials: Any, first: int, coefficients: Any, degree: int
) -> None:
    for (slot, factors), j in product(enumerate(_listed(monomials)[first : first + F.shape[1]]), range(len(x))):
        words = tuple(x[j, position] for position in factors)
        made = Word(x[j, 0].kind, x[j, 0].row, _factors(words), -1)
        machine.make((j, slot), F, made)
        machine.events.append(Formed(made, words))


def _divide(machine: _Machine, y: Words, z: Words) -> None:
    for i, l in product(range(len(y)), range(y.shape[1])):
        if z[i, 0] is not None:  # in degree 0 it is a constant
            machine.events.append(Divided(y[i, l], z[i, 0]))


def _nothing(machine: _Machine, *_: Words, **__: object) -> None:
    """Constants, of no new variable."""


MEANINGS: Mapping[str, Callable[..., None]] = {
    "add_features": _add_features,
    "add_feature_products": _add_feature_products,
    "add_some_feature_products": _add_feature_products,
    "take_features": _take_features,
    "add_atb": _add_atb,
    "add_ab": _add_ab,
    "add_feature_sums": _add_feature_sums,
    "add_column_sums": _add_column_sums,
    "divide_by_column": _divide,
    "weigh_features": _nothing,
    "add_constant": _nothing,
}
