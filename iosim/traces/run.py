"""The compiled code that runs a program as flat arrays, from any state on, until the trace so far fills its arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from iosim.traces.form import (
    CEIL,
    COORDINATES,
    EMIT,
    END,
    FLOOR,
    GREATEST,
    LEAST,
    LETTERS,
    LOOKUP,
    LOOP,
    MULTIPLY,
    NEST_END,
    NEST_LOOP,
    NEST_STOP,
    NEST_USE,
    OPERANDS,
    PUSH,
    RANK,
    SPAN,
    STACK,
    SYMBOL,
    TABLE,
    TABLE_END,
    Bytes,
    Flat,
    Flattened,
    Integers,
)
from iosim.traces.jit import inline, jit

DONE, FULL, BACKWARDS, OUTSIDE = 0, 1, -1, -2  # a loop stops before it starts; a region is not inside its array


class State(NamedTuple):
    """Where an expansion is.

    Attributes:
        at: instruction, whether inside an emission, position in its nest; then what went wrong.
        registers: values of the symbols.
        place: of each tile, the address of its first word.
        array: of each tile, the array it is at home in, or -1.
        axes: of each axis of each tile, its size, its stride, and the first of its listed coordinates or -1.
        letters: where the nest is, by letter; then how far each letter goes.
        base, stride, listed: of each operand of the emission, its first address; by letter, how far a step goes, and the
            first of listed coordinates or -1.
        stack: of the code of sizes.
    """

    at: Integers
    registers: Integers
    place: Integers
    array: Integers
    axes: Integers
    letters: Integers
    base: Integers
    stride: Integers
    listed: Integers
    stack: Integers


def start(flattened: Flattened) -> State:
    """The state at the first instruction."""

    def zeros(size: int) -> Integers:
        return np.zeros(size, dtype=np.int64)

    tiles = flattened.tiles
    return State(
        zeros(4),
        zeros(flattened.registers),
        zeros(tiles),
        zeros(tiles),
        np.zeros((tiles * RANK, 3), dtype=np.int64),
        zeros(2 * LETTERS),
        zeros(OPERANDS),
        zeros(OPERANDS * LETTERS),
        zeros(OPERANDS * LETTERS),
        zeros(STACK),
    )


@inline
def _size(flat: Flat, state: State, number: int) -> int:
    code = flat.code_at[number]
    if code < 0:
        register = flat.register[number]
        if register < 0:
            return int(flat.constant[number])
        return int(flat.constant[number] + flat.coefficient[number] * state.registers[register])
    stack, top = state.stack, -1
    while True:
        what, argument = flat.code[code, 0], flat.code[code, 1]
        code += 1
        if what < 0:
            return int(stack[top])
        if what == PUSH:
            top += 1
            stack[top] = argument
        elif what == SYMBOL:
            top += 1
            stack[top] = state.registers[argument]
        else:
            right = stack[top]
            top -= 1
            left = stack[top]
            if what == MULTIPLY:
                stack[top] = left * right
            elif what == FLOOR:
                stack[top] = left // right
            elif what == CEIL:
                stack[top] = -(-left // right)
            elif what == LEAST:
                stack[top] = min(left, right)
            elif what == GREATEST:
                stack[top] = max(left, right)
            else:
                stack[top] = left + right


@jit
def size_of(flat: Flat, state: State, number: int) -> int:
    return _size(flat, state, number)


@inline
def _region_axis(flat: Flat, state: State, region: int, axis: int) -> tuple[int, int, int, int]:
    """What an axis adds to the address, its size or -1 for none, its stride, its first listed coordinate; size -2 if it
    reaches outside."""
    row, array = region * RANK + axis, flat.regions[region, 0]
    length, stride = flat.array_axes[array * RANK + axis, 0], flat.array_axes[array * RANK + axis, 1]
    kind = flat.region_axes[row, 0]
    at = _size(flat, state, flat.region_axes[row, 1])
    if kind == SPAN:
        size = _size(flat, state, flat.region_axes[row, 2])
        if at < 0 or size < 0 or at + size > length:
            size = -2
        return at * stride, size, stride, -1
    if kind == COORDINATES:
        size = _size(flat, state, flat.region_axes[row, 2])
        listed = flat.region_axes[row, 3] + state.registers[flat.region_axes[row, 4]]
        if at < 0 or size < 0 or at + size > flat.lists[listed, 1]:
            size = -2
        return 0, size, stride, flat.lists[listed, 0] + at
    if kind == LOOKUP:
        tile = flat.region_axes[row, 4]
        source = flat.arrays[state.array[tile], 1] + state.place[tile] - flat.arrays[state.array[tile], 0]
        at = flat.looked_up[source + at * state.axes[tile * RANK, 1]]
    return at * stride, (-1 if 0 <= at < length else -2), 0, -1


@inline
def _birth(flat: Flat, state: State, pc: int) -> bool:
    tile, region = flat.instructions[pc, 1], flat.instructions[pc, 2]
    if region < 0:
        state.place[tile] = flat.tiles[tile, 0]
        state.array[tile] = -1
        stride = 1
        for axis in range(flat.tiles[tile, 1] - 1, -1, -1):
            size = _size(flat, state, flat.operands[flat.instructions[pc, 3], 3 + axis])
            state.axes[tile * RANK + axis, 0] = size
            state.axes[tile * RANK + axis, 1] = stride
            state.axes[tile * RANK + axis, 2] = -1
            stride *= size
        return True
    array = flat.regions[region, 0]
    place, rank = flat.arrays[array, 0], 0
    for axis in range(flat.regions[region, 1]):
        more, size, stride, listed = _region_axis(flat, state, region, axis)
        if size == -2:
            return False
        place += more
        if size >= 0:
            state.axes[tile * RANK + rank, 0] = size
            state.axes[tile * RANK + rank, 1] = stride
            state.axes[tile * RANK + rank, 2] = listed
            rank += 1
    state.place[tile] = place
    state.array[tile] = array
    return True


@inline
def _operand(flat: Flat, state: State, number: int, row: int, count: int) -> bool:
    """Prepares an operand of an emission: its base, its strides and lists by letter, and how far its letters go."""
    for letter in range(count):
        state.stride[number * LETTERS + letter] = 0
        state.listed[number * LETTERS + letter] = -1
    tile = flat.operands[row, 0]
    base = state.place[tile]
    for axis in range(flat.operands[row, 2]):
        begin = _size(flat, state, flat.operands[row, 3 + axis])
        size = _size(flat, state, flat.operands[row, 3 + RANK + axis])
        letter = flat.operands[row, 3 + 2 * RANK + axis]
        length, stride = state.axes[tile * RANK + axis, 0], state.axes[tile * RANK + axis, 1]
        listed = state.axes[tile * RANK + axis, 2]
        if begin < 0 or size < 0 or begin + size > length:
            return False
        state.letters[LETTERS + letter] = size
        state.stride[number * LETTERS + letter] = stride
        if listed >= 0:
            state.listed[number * LETTERS + letter] = listed + begin
        else:
            base += begin * stride
    state.base[number] = base
    return True


@inline
def _address(flat: Flat, state: State, number: int, count: int) -> int:
    address = state.base[number]
    for letter in range(count):
        stride = state.stride[number * LETTERS + letter]
        if stride != 0:
            at = state.letters[letter]
            listed = state.listed[number * LETTERS + letter]
            address += stride * (at if listed < 0 else flat.coordinates[listed + at])
    return int(address)


@inline
def _line(
    flat: Flat,
    state: State,
    first: int,
    uses: int,
    row: int,
    count: int,
    letter: int,
    addresses: Integers,
    kinds: Bytes,
    at: int,
) -> int:
    """The uses from `first` on, in turn, along one letter; returns how far the arrays are filled."""
    many = min(state.letters[LETTERS + letter] - state.letters[letter], (len(addresses) - at) // uses)
    for use in range(uses):
        number = flat.nests[first + use, 1]
        address = _address(flat, state, number, count)
        stride = state.stride[number * LETTERS + letter]
        kind = flat.operands[row + number, 1]
        place = at + use
        for _ in range(many):
            addresses[place] = address
            kinds[place] = kind
            address += stride
            place += uses
    state.letters[letter] += many
    return int(at + many * uses)


@jit
def _emission(flat: Flat, state: State, pc: int, addresses: Integers, kinds: Bytes, at: int) -> int:
    """Goes on with an emission, whose operands are prepared; state.at[1] is 0 once it is at its end."""
    letters, nests = state.letters, flat.nests
    step, operands, count = state.at[2], flat.instructions[pc, 3], flat.instructions[pc, 8]
    while True:
        kind, which = nests[step, 0], nests[step, 1]
        if kind == NEST_LOOP:
            first = nests[step, 3]
            if letters[LETTERS + which] == 0:
                step = nests[step, 2] + 1
                continue
            if first >= 0:
                # Where at most one of the loops of a perfect nest is longer than 1, it is a line.
                longer, along, plain = 0, which, True
                for inner in range(step, first):
                    letter = nests[inner, 1]
                    if letters[LETTERS + letter] != 1:
                        longer += 1
                        along = letter
                last = first
                while nests[last, 0] == NEST_USE:
                    plain = plain and state.listed[nests[last, 1] * LETTERS + along] < 0
                    last += 1
                if longer <= 1 and plain and letters[LETTERS + along] > 0:
                    at = _line(flat, state, first, last - first, operands, count, along, addresses, kinds, at)
                    if letters[along] < letters[LETTERS + along]:
                        state.at[2] = step
                        return at
                    letters[along] = 0
                    step = nests[step, 2] + 1
                    continue
            step += 1
        elif kind == NEST_END:
            letters[which] += 1
            if letters[which] < letters[LETTERS + which]:
                step = nests[step, 2] + 1
            else:
                letters[which] = 0
                step += 1
        elif kind == NEST_STOP:
            state.at[1] = 0
            return at
        else:
            if at == len(addresses):
                state.at[2] = step
                return at
            if kind == NEST_USE:
                addresses[at] = _address(flat, state, which, count)
                kinds[at] = flat.operands[operands + which, 1]
                at += 1
            else:
                register = flat.instructions[pc, 6]
                listed = flat.instructions[pc, 5] + nests[step, 4]
                if register >= 0:
                    listed += state.registers[register] * flat.instructions[pc, 7]
                place = letters[nests[step, 2]]
                if flat.instructions[pc, 9] >= 0:
                    place += _size(flat, state, flat.instructions[pc, 9])
                if place < flat.lists[listed, 1]:
                    coordinate = flat.coordinates[flat.lists[listed, 0] + place]
                    if coordinate >= 0:
                        letters[nests[step, 3]] = coordinate
                        addresses[at] = _address(flat, state, which, count)
                        letters[nests[step, 3]] = 0
                        kinds[at] = flat.operands[operands + which, 1]
                        at += 1
            step += 1


@jit
def run(
    flat: Flat, state: State, end: int, what: int, addresses: Integers, kinds: Bytes, filled: int
) -> tuple[int, int]:
    """Runs up to the instruction `end`, from its state on; returns a status and how far the arrays are filled."""
    registers, code, at = state.registers, flat.instructions, filled
    pc = state.at[0]
    while pc != end:
        kind = code[pc, 0]
        if kind == EMIT:
            if what & code[pc, 1]:
                if state.at[1] == 0:
                    state.at[1] = 1
                    state.at[2] = code[pc, 2]
                    for letter in range(code[pc, 8]):
                        state.letters[letter] = 0
                    for number in range(code[pc, 4]):
                        if not _operand(flat, state, number, code[pc, 3] + number, code[pc, 8]):
                            state.at[0] = pc
                            return OUTSIDE, at
                at = _emission(flat, state, pc, addresses, kinds, at)
                if state.at[1]:
                    state.at[0] = pc
                    return FULL, at
            pc += 1
        elif kind == LOOP:
            begin, stop = _size(flat, state, code[pc, 1]), _size(flat, state, code[pc, 2])
            step, register = _size(flat, state, code[pc, 3]), code[pc, 4]
            if begin > stop or step < 1:
                state.at[0] = pc
                return BACKWARDS, at
            registers[register], registers[register + 1] = begin, min(step, stop - begin)
            registers[register + 2], registers[register + 3] = stop, step
            pc = code[pc, 5] if begin == stop else pc + 1
        elif kind == END:
            register = code[code[pc, 1], 4]
            begin = registers[register] + registers[register + 3]
            if begin < registers[register + 2]:
                registers[register] = begin
                registers[register + 1] = min(registers[register + 3], registers[register + 2] - begin)
                pc = code[pc, 1] + 1
            else:
                pc += 1
        elif kind in (TABLE, TABLE_END):
            first = pc if kind == TABLE else code[pc, 1]
            number = 0 if kind == TABLE else registers[code[first, 4]] + 1
            if number < code[first, 2]:
                registers[code[first, 4]] = number
                for column in range(code[first, 3]):
                    registers[code[first, 4] + 1 + column] = flat.rows[
                        code[first, 1] + number * code[first, 3] + column
                    ]
                pc = first + 1
            else:
                pc = code[first, 5]
        else:
            if what & code[pc, 4] and not _birth(flat, state, pc):
                state.at[0] = pc
                return OUTSIDE, at
            pc += 1
    state.at[0] = pc
    return DONE, at
