"""Tables in files: rows with names, as CSV, JSON lines or Parquet, written whole or not at all.

Whole numbers stay exact. In CSV an empty field is None; columns of `iosim.columns` are read as what they are there, others
as what they look like. In Parquet a column whose numbers pass 2^63 is of decimals.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, TypeAlias

from iosim.columns import COLUMNS
from iosim.errors import MissingPackageError, UsageError

Row: TypeAlias = Mapping[str, Any]

SUFFIXES = (".csv", ".jsonl", ".parquet")
_NO_FILE = "this is a device or a pipe; allowed: a file"
_GROUP = 20_000  # rows of a Parquet row group


def check_table_file(path: str, *, where: str) -> None:
    """Whether a table can be written there.

    Raises:
        UsageError: an unknown kind of file, no such folder, or nothing can be written in it.
        MissingPackageError: Parquet without pyarrow.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{where} {path}: allowed: FILE{', FILE'.join(SUFFIXES)}")
    check_folder(path, where=where)
    if Path(path).suffix.lower() == ".parquet":
        _parquet(path)


def check_folder(path: str, *, where: str) -> None:
    """Whether a file can be made in the folder of `path`.

    Raises:
        UsageError: there is no such folder, nothing can be written in it, or `path` is there and no file.
    """
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise UsageError(f"{where} {path}: there is no folder {Path(path).parent}")
    if Path(path).is_dir():
        raise UsageError(f"{where} {path}: this is a folder")
    if _special(path):
        raise UsageError(f"{where} {path}: {_NO_FILE}")
    try:
        _part(path).touch()
        _part(path).unlink()
    except OSError as error:
        raise UsageError(f"{where} {path}: {error.strerror or error}") from error


def write_rows(path: str, rows: Iterable[Row], *, greatest: Mapping[str, int] | None = None) -> None:
    """Writes a table; all rows have the columns of the first. Rows may come one by one, and are not kept.

    Args:
        greatest: of the whole numbers of a column, if that is known; only Parquet asks, and looks itself if it is not.

    Raises:
        UsageError: the file can't be written.
    """
    match Path(path).suffix.lower():
        case ".csv":
            write_whole(path, lambda part: _write_csv(part, rows))
        case ".jsonl":
            write_whole(path, lambda part: _write_lines(part, rows))
        case _:
            write_whole(path, lambda part: _write_parquet(part, rows, greatest))


def write_whole(path: str, write: Callable[[Path], object]) -> None:
    """Has a file written beside `path`, on the disk, and renamed, so that there never is half of one.

    Raises:
        UsageError: it can't be written.
    """
    if _special(path):
        raise UsageError(f"{path}: {_NO_FILE}")
    part = _part(path)
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def read_rows(path: str) -> list[dict[str, Any]]:
    """The rows of a table, with numbers as numbers, and None where there is nothing.

    Raises:
        UsageError: it can't be read, or has no rows.
        MissingPackageError: Parquet without pyarrow.
    """
    rows = list(iter_rows(path))
    if not rows:
        raise UsageError(f"FILE {path}: a table with rows was expected, there are none")
    return rows


def iter_rows(path: str, *, where: str = "FILE") -> Iterator[dict[str, Any]]:
    """The rows one by one, of a table that need not fit in memory.

    Raises:
        UsageError: it can't be read.
        MissingPackageError: Parquet without pyarrow.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{where} {path}: allowed: FILE{', FILE'.join(SUFFIXES)}")
    try:
        if suffix == ".parquet":
            with _parquet(path).ParquetFile(path) as table:
                for batch in table.iter_batches():
                    yield from map(_plain, batch.to_pylist())
            return
        with Path(path).open(encoding="utf-8", newline="") as file:
            yield from _read_csv(file) if suffix == ".csv" else _read_lines(file)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors as well
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise UsageError(f"{where} {path}: {reason}") from error


def _special(path: str) -> bool:
    """Whether a device, a pipe or the like is there, which a file that is renamed would take the place of."""
    return Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir()


def _part(path: str) -> Path:
    return Path(path).with_name(f".{Path(path).name}.part")


def _write_csv(part: Path, rows: Iterable[Row]) -> None:
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(rows):
            if number == 0:
                writer.writerow(row)
            writer.writerow(row.values())


def _write_lines(part: Path, rows: Iterable[Row]) -> None:
    with part.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(dict(row)) + "\n" for row in rows)


def _read_lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    for line in filter(str.strip, file):
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("a line is no row of names and values")
        yield row


def _read_csv(file: IO[str]) -> Iterator[dict[str, Any]]:
    for row in csv.DictReader(file, strict=True):
        if None in row or None in row.values():
            raise ValueError("a line has more or fewer fields than the first one")
        yield {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> Any:
    """A field as what its column is of, or as what it looks like."""
    if not text:
        return None
    kind = COLUMNS[name][0] if name in COLUMNS else None
    if kind is str:
        return text
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# Parquet


def _parquet(path: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        wanted = "allowed: pip install 'iosim[parquet]', or FILE.csv, FILE.jsonl"
        raise MissingPackageError(f"{path}: Parquet needs pyarrow; {wanted}") from error
    return pyarrow.parquet


def _write_parquet(part: Path, rows: Iterable[Row], greatest: Mapping[str, int] | None) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        pyarrow.parquet.write_table(pyarrow.table({}), part)
        return
    rows = chain([first], rows)
    if greatest is None:
        kept = list(rows)
        rows, greatest = iter(kept), greatest_numbers(kept)
        kinds = {name: _kind({type(row[name]) for row in kept if row[name] is not None}) for name in first}
    else:
        kinds = {name: COLUMNS[name][0] for name in first}
    schema = pyarrow.schema([(name, _arrow_type(kinds[name], greatest.get(name, 0))) for name in first])
    with pyarrow.parquet.ParquetWriter(part, schema) as writer:
        while group := list(islice(rows, _GROUP)):
            arrays = [
                pyarrow.array([_cell(row[field.name], field.type) for row in group], field.type) for field in schema
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _kind(found: set[type]) -> type:
    """Of a column whose values are of these types."""
    return found.pop() if len(found) == 1 else float if found == {int, float} else str


def greatest_numbers(rows: Iterable[Row]) -> dict[str, int]:
    """The greatest absolute value of the whole numbers of each column."""
    found: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int) and abs(value) > found.get(name, 0):
                found[name] = abs(value)
    return found


def _arrow_type(kind: type, greatest: int) -> Any:
    import pyarrow

    if kind is not int:
        return pyarrow.bool_() if kind is bool else pyarrow.float64() if kind is float else pyarrow.string()
    if greatest < 2**63:
        return pyarrow.int64()
    if greatest < 10**38:
        return pyarrow.decimal128(38)
    if greatest < 10**76:
        return pyarrow.decimal256(76)
    raise UsageError(f"a whole number of {len(str(greatest))} digits: Parquet has 76; allowed: FILE.csv, FILE.jsonl")


def _cell(value: Any, kind: Any) -> Any:
    import pyarrow

    return Decimal(value) if isinstance(value, int) and pyarrow.types.is_decimal(kind) else value


def _plain(row: Row) -> dict[str, Any]:
    return {name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()}
