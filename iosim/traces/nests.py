"""The order in which an operation uses words, as a nest of loops over letters in flat rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from iosim.ops import Op
from iosim.traces.form import NEST_END, NEST_GATHER, NEST_LOOP, NEST_STOP, NEST_USE

_ITEM = re.compile(r"(\w+)\(|(\))|(\w+)@(\w+)|(\w+)")


class Nests:
    """Rows of all nests of a program; equal ones are there once."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.starts: dict[str, int] = {}

    def add(self, text: str, named: Mapping[str, Sequence[str]], letters: str | None = None) -> int:
        """Columns: kind, letter or operand, partner of a loop or its end, first use of a perfect nest or -1, @'s letter."""
        letters = letters if letters is not None else "".join(dict.fromkeys(x for axes in named.values() for x in axes))
        key = f"{text} {letters} {list(named.items())}"
        if key in self.starts:
            return self.starts[key]
        start = self.starts[key] = len(self.rows)
        operands, around, gathered = list(named), list[int](), 0
        for letter, end, by_list, listing, name in _ITEM.findall(text):
            if letter:
                around.append(len(self.rows))
                self.rows.append((NEST_LOOP, letters.index(letter), 0, -1, 0))
            elif end:
                begin = around.pop()
                number = self.rows[begin][1]
                self.rows.append((NEST_END, number, begin, -1, 0))
                self.rows[begin] = (NEST_LOOP, number, len(self.rows) - 1, _perfect(self.rows, begin), 0)
            elif by_list:
                looped = {self.rows[loop][1] for loop in around}
                (axis,) = [letters.index(x) for x in named[by_list] if letters.index(x) not in looped]
                self.rows.append((NEST_GATHER, operands.index(by_list), letters.index(listing), axis, gathered))
                gathered += 1
            else:
                self.rows.append((NEST_USE, operands.index(name), 0, -1, 0))
        self.rows.append((NEST_STOP, 0, 0, -1, 0))
        return start


def _perfect(nests: Sequence[tuple[int, ...]], begin: int) -> int:
    """The first use of the nest that begins here, if there is nothing but loops before it and no loop after; else -1."""
    at = begin
    while nests[at][0] == NEST_LOOP:
        at += 1
    first = at
    while nests[at][0] == NEST_USE:
        at += 1
    return first if at > first and all(row[0] == NEST_END for row in nests[at:]) else -1


def one_after_the_other(op: Op) -> str:
    """Every word once: of what is read, then of what is updated."""
    parts = []
    for name, axes in (*op.operands[op.updates :], *op.operands[: op.updates]):
        text = name
        for letter in reversed(axes):
            text = f"{letter}({text})"
        parts.append(text)
    return " ".join(parts)
