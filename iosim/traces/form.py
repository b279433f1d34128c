"""What a program looks like as flat arrays (`iosim.traces.flat`): the arrays, and the codes in them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from iosim.program import Statement

Integers: TypeAlias = npt.NDArray[np.int64]
Integers32: TypeAlias = npt.NDArray[np.int32]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Bits: TypeAlias = npt.NDArray[np.uint64]

READ, UPDATE, WRITE, LOAD, STORE = range(5)  # kinds of words of a trace; WRITE does not read the old value
LOOP, END, TABLE, TABLE_END, BIRTH, EMIT = range(6)  # kinds of instructions
NEST_LOOP, NEST_USE, NEST_GATHER, NEST_END, NEST_STOP = range(5)
PUSH, SYMBOL, ADD, MULTIPLY, FLOOR, CEIL, LEAST, GREATEST = range(8)
SPAN, POINT, COORDINATES, LOOKUP = range(4)
MOVES, USES = 1, 2  # of which traces an instruction is a part

RANK = 6  # axes that an array may have
LETTERS = 8  # of an operation
OPERANDS = 8  # of an operation
STACK = 64  # numbers that a size may need at once while it is computed


class Flat(NamedTuple):
    """The arrays, one row an item. A size is given by its number; what is not there is -1.

    Attributes:
        constant, coefficient, register, code_at: of each size, of which the number is the row: a number and a multiple
            of a register; or, if `code_at` is not -1, where its code begins.
        code: what to do on the stack (`PUSH` to `GREATEST`, or -1 at the end of a size), the number pushed or the register.
        instructions: kind (`LOOP` to `EMIT`), then as `_Flattener._loop`, `_table`, `_birth` and `_compute` say.
        operands: tile, kind of use, rank; then `RANK` starts, `RANK` sizes, `RANK` letters. For the birth of a tile at home
            in no array, its sizes stand in place of starts.
        nests: kind (`NEST_LOOP` to `NEST_STOP`), then as `iosim.traces.nests` says.
        regions: array, rank; the axes are `RANK` rows of `region_axes` for each.
        region_axes: kind (`SPAN` to `LOOKUP`), start or place or position, size, first list, register of the row or tile.
        arrays: first address, first of its values in `looked_up`.
        array_axes: length, stride; `RANK` rows for each array.
        tiles: its own address, rank.
        rows: the whole numbers of tables, row by row.
        lists: first in `coordinates`, length.
        coordinates: of all lists.
        looked_up: the values of arrays that are looked up in.
    """

    constant: Integers
    coefficient: Integers
    register: Integers
    code_at: Integers
    code: Integers
    instructions: Integers
    operands: Integers
    nests: Integers
    regions: Integers
    region_axes: Integers
    arrays: Integers
    array_axes: Integers
    tiles: Integers
    rows: Integers
    lists: Integers
    coordinates: Integers
    looked_up: Integers


class Place(NamedTuple):
    """A range of addresses: an array, or a tile that is at home in none (then `tile`). Units: words."""

    name: str
    start: int
    words: int
    tile: bool


class Flattened(NamedTuple):
    """A program as `Flat`, and what people need to read what comes out.

    Attributes:
        flat: the arrays.
        registers: how many.
        tiles: how many.
        places: the address ranges in rising order.
        statements: what each instruction comes from.
    """

    flat: Flat
    registers: int
    tiles: int
    places: tuple[Place, ...]
    statements: tuple[Statement | None, ...]
