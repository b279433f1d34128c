"""What does a program look like? Pseudo-code as a paper would print it.

Inside a loop over tiles `i` stands for the coordinates of the current tile, `|i|` for how many they are, and `i0` for the
first of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never

from iosim.expr import Size, free_symbols
from iosim.loops import start_name
from iosim.program import (
    Alloc,
    Axis,
    Column,
    Compute,
    Coordinates,
    Free,
    Load,
    Lookup,
    Loop,
    Point,
    Program,
    Region,
    Span,
    Statement,
    Store,
    TableLoop,
    View,
    size_of,
    start_of,
)

_INDENT = "    "


def render(program: Program) -> str:
    """`program` as pseudo-code, one statement a line.

    Example:
        >>> from iosim.builder import build
        >>> def halve(b, *, n, d, B):
        ...     X, Y = b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")
        ...     with b.tiles("i", n, B) as i, b.load(X[i, :]) as x:
        ...         b.op("divide_by_sqrt", x, of=4)
        ...         b.store(x, Y[i, :])
        >>> print(render(build(halve, name="halve", n="n", d="d", B="B")))
        halve, for sizes n, d, B
        input  X[n, d]
        output Y[n, d]
        for tile i of 0:n, B at a time:
            load x <- X[i, :]
            x /= sqrt(4)
            store x -> Y[i, :]
            free x
    """
    lines = [program.name + (f", for sizes {', '.join(program.sizes)}" if program.sizes else "")]
    lines += [f"{array.role:6} {array.name}[{', '.join(map(_size, array.shape))}]" for array in program.arrays]
    lines += [text for text in statement_lines(program) if text]
    return "\n".join(lines)


def statement_lines(program: Program) -> tuple[str, ...]:
    """The line of each statement, in the order of `walk`; empty for a `Free` whose line is that of the next one."""
    lines: list[str] = []
    _lines(program.body, (), 0, lines)
    return tuple(lines)


def _lines(body: Sequence[Statement], loops: tuple[str, ...], depth: int, lines: list[str]) -> None:
    frees: list[str] = []
    for position, statement in enumerate(body):
        match statement:
            case Load(region=region, tile=tile):
                text = f"load {tile.name} <- {_region(region, loops)}"
            case Store(view=view, region=region):
                text = f"store {_view(view, loops)} -> {_region(region, loops)}"
            case Alloc(tile=tile, fill=fill):
                value = "no value yet" if fill is None else f"{fill:g}"
                text = f"{tile.name}[{', '.join(map(_size, tile.shape))}] = {value}"
            case Free(tile=tile):
                frees.append(tile.name)
                if position + 1 < len(body) and isinstance(body[position + 1], Free):
                    lines.append("")
                    continue
                text, frees = f"free {', '.join(frees)}", []
            case Compute():
                text = _compute(statement, loops)
            case Loop(index=index, start=start, stop=stop, step=step):
                many = "one" if isinstance(step, int) and step == 1 else _size(step)
                text = f"for tile {index} of {_size(start)}:{_size(stop)}, {many} at a time:"
            case TableLoop(index=index, table=table):
                rows = table.row_count
                text = f"for {index} in a table of {rows:,} row{'' if rows == 1 else 's'}:"
            case _:
                assert_never(statement)
        lines.append(_INDENT * depth + text)
        if isinstance(statement, Loop | TableLoop):
            _lines(statement.body, (*loops, statement.index), depth + 1, lines)


def _compute(statement: Compute, loops: tuple[str, ...]) -> str:
    names = [name for name, _ in statement.op.operands]
    operands = {name: _view(view, loops) for name, view in zip(names, statement.operands, strict=True)}
    return statement.op.text.format(**operands, **{key: _param(value) for key, value in statement.params})


def _param(value: object) -> str:
    match value:
        case Column(index=index, column=column):
            return f"{index}.{column}"
        case _:
            return _size_text(str(value))


def _region(region: Region, loops: tuple[str, ...]) -> str:
    return f"{region.array.name}[{_axes(region.axes, region.array.shape, loops)}]"


def _view(view: View, loops: tuple[str, ...]) -> str:
    text = _axes(view.axes, view.tile.shape, loops)
    return view.tile.name if set(text) <= set(":, ") else f"{view.tile.name}[{text}]"


def _axes(axes: Sequence[Axis], shape: Sequence[Size], loops: tuple[str, ...]) -> str:
    return ", ".join(_axis(axis, size, loops) for axis, size in zip(axes, shape, strict=True))


def _axis(axis: Axis, size: Size, loops: tuple[str, ...]) -> str:
    match axis:
        case Coordinates(index=index, column=column, start=start, size=length):
            listed = f"{index}.{column}"
            if start == 0:
                return listed
            tile = next((loop for loop in loops if (start_of(loop), size_of(loop)) == (start, length)), None)
            return f"{listed}[{tile or f'{_size(start)}:{_size(axis.stop)}'}]"
        case Lookup(tile=tile, position=position):
            return f"{tile.name}[{_size(position)}]"
        case Point(at=at):
            return next((index for index in loops if at == start_of(index)), _size(at))
        case Span(start=start, size=length):
            if start == 0 and length == size:
                return ":"
            for index in loops:
                shift = start - start_of(index)
                if length == size_of(index) and start_name(index) not in free_symbols(shift):
                    return _shifted(index, shift)
            return f"{_size(start)}:{_size(axis.stop)}"
        case _:
            assert_never(axis)


def _shifted(index: str, shift: Size) -> str:
    text = _size(shift)
    if text == "0":
        return index
    return f"{index} - {text[1:]}" if text.startswith("-") else f"{index} + {text}"


def _size(size: Size) -> str:
    return _size_text(str(size))


def _size_text(text: str) -> str:
    """With i0 for where tile i begins and |i| for how long it is; its end is i0 + |i|, in that order."""
    text = re.sub(r"\b(\w+)\.start\b", r"\g<1>0", re.sub(r"\b(\w+)\.size\b", r"|\1|", text))
    return re.sub(r"\|(\w+)\| \+ (?:\1)0\b", r"\g<1>0 + |\g<1>|", text)
