"""Lists of coordinates in flat rows: those of the columns of tables, and those that operations gather by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iosim.program import Table
from iosim.traces.form import Integers


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
