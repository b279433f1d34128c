"""Lists of coordinates in flat rows: those of the columns of tables, and those that operations gather by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iosim.errors import MeaningError
from iosim.expr import Size, evaluate, free_symbols
from iosim.loops import loops_of, row_values
from iosim.program import Column, Compute, Table, TableLoop
from iosim.traces.form import NEST_GATHER, Integers
from iosim.traces.nests import Nests


class Lists:
    """Rows of all lists of a program; the coordinates of one that comes again are there once.

    Attributes:
        rows: where each begins, and its length.
        coordinates: of one list after the other.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []
        self.coordinates: list[Integers] = []
        self._end = 0
        self._known: dict[int, tuple[int, int]] = {}
        self._columns: dict[tuple[int, str], int] = {}
        self._kept: list[object] = []  # whose `id` is a key

    def add(self, values: Sequence[Any]) -> int:
        """The number of the first of some lists, the others come after it."""
        first = len(self.rows)
        for value in values:
            if id(value) not in self._known:
                listed = np.fromiter(value, dtype=np.int64, count=len(value))
                self._known[id(value)] = (self._end, len(listed))
                self._kept.append(value)
                self.coordinates.append(listed)
                self._end += len(listed)
            self.rows.append(self._known[id(value)])
        return first

    def column(self, table: Table, column: str) -> int:
        """The number of the first of the lists of a column, one a row."""
        key = (id(table), column)
        if key not in self._columns:
            self._kept.append(table)
            self._columns[key] = self.add([row[column] for row in table.rows()])
        return self._columns[key]


def gathered(
    compute: Compute, sizes: Mapping[str, Size], tables: Mapping[str, TableLoop]
) -> tuple[TableLoop | None, list[Sequence[Sequence[int]]]]:
    """The loop over a table on whose rows the lists depend that an operation gathers by, and the lists for each row.

    Without such a loop there is one row.

    Args:
        sizes: values of the sizes of the program.
        tables: the loops over tables around the operation, by index.

    Raises:
        MeaningError: the lists depend on several tables.
    """
    lengths = _lengths(compute, sizes)
    indices = {value.index for _, value in compute.params if isinstance(value, Column)}
    indices |= tables.keys() & loops_of(name for size in lengths.values() for name in free_symbols(size))
    if len(indices) > 1:
        raise MeaningError(f"{compute.op.name}: what it gathers depends on the tables {', '.join(sorted(indices))}")
    loop = tables[next(iter(indices))] if indices else None
    found: dict[object, Sequence[Sequence[int]]] = {}
    kept: list[object] = []  # whose `id` is in a key
    lists: list[Sequence[Sequence[int]]] = []
    for row in loop.table.rows() if loop else ({},):
        whole = row_values(loop.index, row) if loop else {}
        at = {letter: evaluate(size, whole) for letter, size in lengths.items()}
        params = {key: row[value.column] if isinstance(value, Column) else value for key, value in compute.params}
        known = (*at.values(), *(value if isinstance(value, int) else id(value) for value in params.values()))
        kept += params.values()
        if known not in found:
            found[known] = compute.op.gather(at, params)  # type: ignore[arg-type]
        lists.append(found[known])
    return loop, lists


def gathers_all(compute: Compute, sizes: Mapping[str, Size], tables: Mapping[str, TableLoop]) -> bool:
    """Whether an operation that gathers surely uses every coordinate of what it gathers from, all of its lists together."""
    named = dict(compute.op.operands)
    letters = "".join(dict.fromkeys(letter for axes in named.values() for letter in axes))
    nests = Nests()
    nests.add(compute.op.uses, named, letters)
    by_list = [(operand, letters[axis]) for kind, operand, _, axis, _ in nests.rows if kind == NEST_GATHER]
    loop, rows = gathered(compute, sizes, tables)
    lengths = _lengths(compute, sizes)
    for row, lists in zip(loop.table.rows() if loop else ({},), rows, strict=True):
        used: dict[tuple[int, str], set[int]] = {}
        for each, coordinates in zip(by_list, lists, strict=True):
            used.setdefault(each, set()).update(coordinates)
        for (_, letter), reached in used.items():
            length = evaluate(lengths[letter], row_values(loop.index, row) if loop else {})
            if not isinstance(length, int) or not reached >= set(range(length)):
                return False
    return True


def _lengths(compute: Compute, sizes: Mapping[str, Size]) -> dict[str, Size]:
    """Of each axis of the operands, by letter."""
    return {
        letter: evaluate(axis.size, sizes)
        for (_, axes), view in zip(compute.op.operands, compute.operands, strict=True)
        for letter, axis in zip(axes, view.axes, strict=True)
    }
