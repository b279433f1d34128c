"""What happens to the words of attention: variables, places, and the events of a schedule, word by word.

The lower bounds speak of *variables*, each with its words:

    Q, K, V   row, column           a word of an input
    S         query, key            a score or probability, whole or partial: the sum of some products Q_il K_jl
    O         query, column         a word of the output, whole or partial: the sum of some products P_ij V_jl

A `WordTrace` is made from a program by `iosim.interpret.words.attention`, or by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, assert_never

Kind: TypeAlias = Literal["Q", "K", "V", "S", "O"]


class Variable(NamedTuple):
    """What words are words of: of an input, of a score or probability (query, key), or of an output.

    Rows and columns are those of the array; a batch or heads are rows one after the other.
    """

    kind: Kind
    row: int
    column: int


class Place(NamedTuple):
    """One word of slow memory."""

    array: str
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A word of a variable comes from slow memory; `word` names it while it is in fast memory."""

    word: int
    variable: Variable
    place: Place


@dataclass(frozen=True, slots=True)
class Stored:
    """A word of fast memory is copied to slow memory."""

    word: int
    place: Place


@dataclass(frozen=True, slots=True)
class Discarded:
    """A word leaves fast memory: its tile is freed, or it is overwritten by something else."""

    word: int


@dataclass(frozen=True, slots=True)
class Multiplied:
    """A product is formed and added to `into`, which it makes if `creates`: Q_il K_jl to (i,j), or P_ij V_jl to O_il."""

    left: int
    right: int
    into: int
    creates: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The sum of one word is added to another word of the same variable; both stay."""

    word: int
    other: int


@dataclass(frozen=True, slots=True)
class Exponentiated:
    """A whole score becomes a probability, in place."""

    word: int


@dataclass(frozen=True, slots=True)
class Aside:
    """A word of no variable moves: a row statistic, a zero, a masked score."""

    direction: Literal["load", "store"]
    place: Place


Event: TypeAlias = Loaded | Stored | Discarded | Multiplied | Merged | Exponentiated | Aside


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTrace:
    """A schedule of attention, word by word.

    Attributes:
        events: what happens, in order.
        d: columns of Q and K.
        d_v: columns of V and O.
        outputs: the place in slow memory where each word of the output has to end.
        pairs: the (query, key) pairs that meet: those whose products flow into the outputs.
    """

    events: tuple[Event, ...]
    d: int
    d_v: int
    outputs: Mapping[Place, Variable]
    pairs: frozenset[tuple[int, int]]


def moves_by_array(events: Sequence[Event]) -> dict[tuple[Literal["load", "store"], str], int]:
    """Words loaded and stored, array by array, those of no variable among them. Units: words."""
    moved: dict[tuple[Literal["load", "store"], str], int] = {}
    for event in events:
        match event:
            case Loaded(place=place):
                key: tuple[Literal["load", "store"], str] = ("load", place.array)
            case Stored(place=place):
                key = ("store", place.array)
            case Aside(direction=direction, place=place):
                key = (direction, place.array)
            case Discarded() | Multiplied() | Merged() | Exponentiated():
                continue
            case _:
                assert_never(event)
        moved[key] = moved.get(key, 0) + 1
    return moved
