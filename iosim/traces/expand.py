"""What happens, word by word? A program at given sizes, expanded by compiled code, a piece of the trace at a time.

A trace is a sequence of words, each an address in slow memory and a kind:

    READ    an operation reads the word
    UPDATE  it reads it and gives it a new value
    WRITE   it gives it a value without reading the old one: the first zero of an accumulator
    LOAD    the schedule moves it from slow to fast memory
    STORE   the schedule moves it from fast to slow memory

The first three are *uses*, the last two *moves*. Operations use words in the order that the table of operations says
(`iosim.ops`, `uses`); words of a tile are those of slow memory where the tile is at home (`iosim.traces.homes`), and
tiles that are at home in no array, such as softmax statistics, have addresses after all arrays, the same ones each time
that the tile is made. A word that is copied from where it was loaded to where it will be stored, because it changes in
between, is read here and written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from iosim.errors import MeaningError
from iosim.program import Program
from iosim.traces.flat import flatten
from iosim.traces.form import LOAD, MOVES, OPERANDS, READ, STORE, UPDATE, USES, WRITE, Bytes, Integers, Place
from iosim.traces.run import BACKWARDS, DONE, State, run, size_of, start

__all__ = ["KINDS", "LOAD", "MOVES", "READ", "STORE", "UPDATE", "USES", "WRITE", "Expansion", "Piece", "Place"]

KINDS = ("read", "update", "write", "load", "store")
PIECE = 1 << 20  # words of a piece of a trace


class Piece(NamedTuple):
    """Consecutive words of a trace. Shapes: addresses: [words], kinds: [words]."""

    addresses: Integers
    kinds: Bytes


class Expansion:
    """The trace of a program at given sizes.

    Args:
        program: a legal program.
        sizes: values of all its sizes.
        what: MOVES, USES, or MOVES | USES.
        data: of the arrays that are looked up in, their values.
        align: every array begins at a multiple of this. Units: words.

    Attributes:
        places: what lies at which addresses, in rising order.
        words: one more than the largest address.

    Raises:
        MeaningError: as for `iosim.traces.flat.flatten`.
    """

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        *,
        what: int = USES,
        data: Mapping[str, npt.NDArray[Any]] | None = None,
        align: int = 1,
    ) -> None:
        self.program = program
        self.what = what
        self.flattened = flatten(program, sizes, data, align=align)
        self.places = self.flattened.places
        self.words = max((place.start + place.words for place in self.places), default=0)

    def pieces(self, size: int = PIECE) -> Iterator[Piece]:
        """The trace from the beginning, at most `size` words at a time (at least 16); each piece overwrites the last.

        Raises:
            MeaningError: a loop stops before it starts, or a region is not inside its array.
        """
        size = max(size, 2 * OPERANDS)
        state, addresses, kinds = start(self.flattened), np.empty(size, np.int64), np.empty(size, np.uint8)
        end = len(self.flattened.flat.instructions)
        while True:
            done, words = advance(self, state, end, addresses, kinds, 0)
            if words:
                yield Piece(addresses[:words], kinds[:words])
            if done:
                return

    def of_arrays(self, piece: Piece) -> Piece:
        """Of a piece, the words that are at home in an array."""
        end = min((place.start for place in self.places if place.tile), default=self.words)
        kept = piece.addresses < end
        return Piece(piece.addresses[kept], piece.kinds[kept])

    def whole(self) -> Piece:
        """All of the trace at once; 9 bytes a word."""
        parts = [Piece(piece.addresses.copy(), piece.kinds.copy()) for piece in self.pieces()]
        if not parts:
            return Piece(np.empty(0, np.int64), np.empty(0, np.uint8))
        return Piece(np.concatenate([p.addresses for p in parts]), np.concatenate([p.kinds for p in parts]))


def advance(
    expansion: Expansion, state: State, end: int, addresses: Integers, kinds: Bytes, filled: int
) -> tuple[bool, int]:
    """Runs up to the instruction `end`, or until the arrays, filled so far, are full; returns whether it got there, and
    how far the arrays are filled."""
    status, words = run(expansion.flattened.flat, state, end, expansion.what, addresses, kinds, filled)
    if status < 0:
        where = f"{expansion.program.name}: {_told(expansion, int(state.at[0]))}"
        if status == BACKWARDS:
            raise MeaningError(f"{where} stops before it starts, or its step is not positive")
        raise MeaningError(f"{where}: reaches outside of what it is a part of")
    return status == DONE, words


def size_at(expansion: Expansion, state: State, number: int) -> int:
    """The value that the size of that number has in this state."""
    return int(size_of(expansion.flattened.flat, state, number))


def _told(expansion: Expansion, instruction: int) -> str:
    statement = expansion.flattened.statements[instruction]
    name = getattr(statement, "index", None) or getattr(getattr(statement, "tile", None), "name", "")
    return f"{type(statement).__name__.lower()} {name}".strip()
