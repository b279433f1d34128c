"""The rows that figures are made of: those of a sweep, of `tune`, or of runs, with the columns of `iosim.columns`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from iosim.columns import COLUMNS
from iosim.errors import UsageError

Row: TypeAlias = Mapping[str, Any]

# What tells lines of a figure apart, with what a label says of it; {} is its value.
_SERIES = {
    "degree": "degree {}",
    "settings": "{}",
    "n": "$n$ = {:,}",
    "n_k": "$n_k$ = {:,}",
    "d": "$d$ = {}",
    "d_v": "$d_v$ = {}",
    "batch": "{} sequences",
    "heads": "{} heads",
    "kv_heads": "{} key heads",
    "mask": "{}",
    "dtype": "{}",
    "fast_memory_words": "$M$ = {:,} words",
}
_LIKE = {"n_k": "n", "d_v": "d", "kv_heads": "heads"}  # columns that say nothing where they are as another one
_SILENT = {"settings": "{}", "mask": "full", "batch": 1, "heads": 1}  # values that say nothing


def with_numbers(rows: Sequence[Row], columns: Iterable[str], *, what: str, where: str) -> list[Row]:
    """The rows that have a positive number in each of these columns.

    Raises:
        UsageError: a column is missing, no row has such numbers, or there is text where `iosim.columns` has numbers.
    """
    needed = list(columns)
    missing = [name for name in needed if not any(name in row for row in rows)]
    if missing:
        raise UsageError(f"{where}: no column {', '.join(missing)}; {what} is made of {', '.join(needed)}")
    for name in (name for name, (kind, _) in COLUMNS.items() if kind in (int, float)):
        for row in rows:
            if row.get(name) is not None and not _number(row[name]):
                raise UsageError(f"{where}: {name} is {row[name]!r}; allowed: numbers")
    found = [row for row in rows if all(_number(row.get(name)) and 0 < row[name] < math.inf for name in needed)]
    if not found:
        raise UsageError(f"{where}: no row has positive numbers in all of {', '.join(needed)}, of which {what} is made")
    return found


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def series(rows: Sequence[Row], along: str) -> dict[str, list[Row]]:
    """The rows of each line of a figure, in the order of the column `along`, by a label that says what the line is.

    A label has the algorithm, and of the other columns those whose values differ between lines.
    """
    keys = {name: [_value(row, name) for row in rows] for name in _SERIES if name != along and _LIKE.get(name) != along}
    telling = [name for name, values in keys.items() if len(set(values)) > 1]
    found: dict[str, list[Row]] = {}
    for number, row in enumerate(rows):
        said = [str(row.get("algorithm", "")) or "traffic"]
        said += [_SERIES[name].format(keys[name][number]) for name in telling if keys[name][number] is not None]
        # the degree is the name already where a curve is of all polynomials
        found.setdefault(", ".join(dict.fromkeys(said)), []).append(row)
    return {label: sorted(line, key=lambda row: row[along]) for label, line in found.items()}


def common(rows: Sequence[Row], *names: str) -> str:
    """What all rows share of these columns, for a title."""
    said = []
    for name in names:
        values = {_value(row, name) for row in rows}
        if len(values) == 1 and (value := values.pop()) is not None:
            said.append(_SERIES[name].format(value))
    return ", ".join(said)


def _value(row: Row, name: str) -> Any:
    value = row.get(name)
    if value == _SILENT.get(name) or (name in _LIKE and value == row.get(_LIKE[name])):
        return None
    return value
