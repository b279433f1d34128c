"""Tables in files: rows with names, as CSV, JSON lines or Parquet, written whole or not at all.

Whole numbers stay exact where the format allows it: in CSV and JSON lines always, in Parquet up to 2^63 (a column with a
larger number is written as text, and read back as numbers).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from iosim.errors import UsageError

Row: TypeAlias = Mapping[str, Any]

SUFFIXES = (".csv", ".jsonl", ".parquet")
_INT64 = 2**63


def check_table_file(path: str, *, where: str) -> None:
    """Whether a table can be written there.

    Raises:
        UsageError: an unknown kind of file, no such folder, or a package is missing.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{where} {path}: allowed: FILE{', FILE'.join(SUFFIXES)}")
    check_folder(path, where=where)
    if Path(path).suffix.lower() == ".parquet":
        _parquet(path)


def check_folder(path: str, *, where: str) -> None:
    """Whether a file can be made in the folder of `path`.

    Raises:
        UsageError: there is no such folder, or nothing can be written in it.
    """
    folder, part = Path(path).resolve().parent, _part(path)
    if not folder.is_dir():
        raise UsageError(f"{where} {path}: there is no folder {Path(path).parent}")
    if Path(path).is_dir():
        raise UsageError(f"{where} {path}: this is a folder")
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise UsageError(f"{where} {path}: {error.strerror or error}") from error


def write_rows(path: str, rows: Sequence[Row]) -> None:
    """Writes a table; all rows have the columns of the first.

    Raises:
        UsageError: the file can't be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        write_whole(path, lambda part: _write_parquet(part, rows))
        return
    lines = io.StringIO()
    if suffix == ".csv":
        writer = csv.DictWriter(lines, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        for row in rows:
            lines.write(json.dumps(dict(row)) + "\n")
    write_whole(path, lambda part: part.write_text(lines.getvalue(), encoding="utf-8"))


def write_whole(path: str, write: Callable[[Path], object]) -> None:
    """Has a file written beside `path` and renamed, so that there never is half of one.

    Raises:
        UsageError: it can't be written.
    """
    part = _part(path)
    try:
        write(part)
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def read_rows(path: str, *, where: str = "FILE") -> list[dict[str, Any]]:
    """The rows of a table, with numbers as numbers, and None where there is nothing.

    Raises:
        UsageError: it can't be read, or has no rows.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{where} {path}: allowed: FILE{', FILE'.join(SUFFIXES)}")
    try:
        if suffix == ".parquet":
            rows = _parquet(path).read_table(path).to_pylist()
        else:
            text = Path(path).read_text(encoding="utf-8")
            if suffix == ".csv":
                rows = list(csv.DictReader(io.StringIO(text), strict=True))
            else:
                rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors as well
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise UsageError(f"{where} {path}: {reason}") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{where} {path}: a table with rows was expected, there are none")
    return [{str(name): _value(value) for name, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    """Numbers and truths that a file has as text."""
    if not isinstance(value, str):
        return value
    if value in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[value]
    for kind in (int, float):
        try:
            return kind(value) if value.strip("+-. ")[:1].isdigit() else value
        except ValueError:
            continue
    return value


def _part(path: str) -> Path:
    return Path(path).with_name(f".{Path(path).name}.part")


def _parquet(path: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"{path}: Parquet needs pyarrow; allowed: pip install 'iosim[parquet]', or .csv") from error
    return pyarrow.parquet


def _write_parquet(part: Path, rows: Sequence[Row]) -> None:
    import pyarrow

    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    for name, values in columns.items():
        if any(isinstance(value, int) and abs(value) >= _INT64 for value in values):
            columns[name] = [None if value is None else str(value) for value in values]
    pyarrow.parquet.write_table(pyarrow.table(columns), part)
