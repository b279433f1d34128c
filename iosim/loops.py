"""The symbols of a loop: what they are called, what they are in one iteration, and between which numbers they lie.

Inside a loop over `i` they are `i.start` and `i.size`: where the tile begins and how long it is. Inside a loop over a table
they are `i.COLUMN` for each column of whole numbers, and `#i.start` for the number of the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from iosim.program import Table

_T = TypeVar("_T")


def start_name(index: str) -> str:
    """The symbol for where the tile begins."""
    return f"{index}.start"


def size_name(index: str) -> str:
    """The symbol for how long the tile is."""
    return f"{index}.size"


def number_name(index: str) -> str:
    """The symbol for how many tiles come before, where the tile is any of the loop (`iosim.interpret.tiles`)."""
    return f"{index}.t"


def entry_name(index: str, column: str) -> str:
    """The symbol for the whole number in a column of the row."""
    return f"{index}.{column}"


def row_name(index: str) -> str:
    """The symbol for the number of the row."""
    return start_name(f"#{index}")


def loop_of(name: str) -> str:
    """The index of the loop that a symbol belongs to.

    Example:
        >>> loop_of("i.start"), loop_of("#i.start")
        ('i', 'i')
    """
    return name.lstrip("#").rpartition(".")[0]


def loops_of(names: Iterable[str]) -> set[str]:
    """The indices of the loops that symbols belong to; other symbols are left out."""
    return {loop_of(name) for name in names if "." in name}


def tile_values(index: str, start: _T, size: _T) -> dict[str, _T]:
    """The symbols in the iteration for one tile."""
    return {start_name(index): start, size_name(index): size}


def row_values(index: str, row: Mapping[str, object], number: int | None = None) -> dict[str, int]:
    """The symbols in the iteration for one row of a table; that for its number, if it is given."""
    entries = {entry_name(index, column): value for column, value in row.items() if isinstance(value, int)}
    return entries if number is None else {**entries, row_name(index): number}


def tile_ranges(index: str, low: int, high: int, longest: int) -> dict[str, tuple[int, int]]:
    """The least and the greatest value of each symbol, for tiles of `low`, ..., `high - 1`, of at most so many."""
    return {start_name(index): (low, max(low, high - 1)), size_name(index): (1, max(1, longest))}


def row_ranges(index: str, table: Table) -> dict[str, tuple[int, int]]:
    """The least and the greatest value of each symbol, over all rows of a table."""
    rows = [row for row, _, _ in table.classes()]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    ranges = {entry_name(index, name): (min(column), max(column)) for name, column in columns.items()}
    return {**ranges, row_name(index): (0, max(0, table.row_count - 1))}
