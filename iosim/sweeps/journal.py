"""What is done is kept: rows in a journal beside the file to be, each whole, whatever interrupts the sweep.

Beside `grid.csv` there are `grid.csv.settings.json`, which says what the sweep is, and until it is complete
`grid.csv.journal`, a line for each row that is done, in the order in which they came. A line that was not written to its end
is cut off and its point done again. When every row is there they are written in their order to a new file that takes the
name `grid.csv`, and the journal goes; so there is no moment at which a row is in neither.
"""

from __future__ import annotations

import errno
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from iosim.errors import UsageError
from iosim.table_files import check_table_file, greatest_numbers, iter_rows, write_rows, write_whole

_SYNC_S = 1.0  # of work may be lost if the machine itself goes down, none if only the sweep does


class Journal:
    """The rows of a sweep on the way to its file.

    Args:
        path: of the file to be.
        size: how many points there are.
        settings: what the sweep is: plain values, by name.

    Raises:
        UsageError: the file can't be written, is something else, is being written by another sweep, or what is there was
            begun with other settings.
    """

    def __init__(self, path: str, size: int, settings: Mapping[str, Any]) -> None:
        check_table_file(path, where="-o")
        self.path, self._settings = path, Path(f"{path}.settings.json")
        self._name = f"{path}.journal"
        self._offsets = array("q", [-1]) * size  # where the row of each point begins
        self._greatest: dict[str, int] = {}
        self.done = 0
        self.verdicts: Counter[str] = Counter()  # of the rows that are done
        self.complete = False
        self._synced = monotonic()
        self._end = 0
        self._file = -1
        file = Path(self.path).exists()
        if file or _begun(self._name):
            self._check_same(settings, self.path if file else self._name)
        if file:
            self.done, self.complete = size, True
            self.verdicts.update(str(row.get("verdict")) for row in iter_rows(path, where="-o"))
            Path(self._name).unlink(missing_ok=True)
            return
        try:
            self._file = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            self._lock()
            self._read()
        except OSError as error:
            raise UsageError(f"{self._name}: {error.strerror or error}") from error
        if not self.done:
            text = json.dumps(settings, indent=2) + "\n"
            write_whole(str(self._settings), lambda part: part.write_text(text, encoding="utf-8"))

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the journal; what is in it stays."""
        if self._file < 0:
            return
        if not self.done:
            self._settings.unlink(missing_ok=True)
            Path(self._name).unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1

    @property
    def missing(self) -> Iterator[int]:
        """The numbers of the points without a row."""
        return (number for number, offset in enumerate(self._offsets) if offset < 0)

    def add(self, number: int, row: Mapping[str, object]) -> None:
        """Keeps the row of a point.

        Raises:
            UsageError: it can't be written; nothing of it is left, and what was there before is.
        """
        if self._offsets[number] >= 0:
            return  # a worker that was given up for lost may have done it as well
        line = json.dumps({"point": number, "row": row}).encode() + b"\n"
        try:
            written = _write(self._file, line)
            if written < len(line):  # what is left is refused with the reason
                _write(self._file, line[written:])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if monotonic() - self._synced > _SYNC_S:
                os.fsync(self._file)
                self._synced = monotonic()
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise UsageError(f"{self._name}: {error.strerror or error}; {self.kept}") from error
        self._note(number, self._end, row)
        self._end += len(line)

    @property
    def kept(self) -> str:
        """What there is to go on from, for people."""
        return f"{self.done:,} of {len(self._offsets):,} points are kept in {self._name}, the same command goes on"

    def finish(self) -> None:
        """Writes the file, when every row is there, and removes the journal.

        Raises:
            UsageError: it can't be written; the journal stays.
        """
        if self.complete:
            return
        assert self.done == len(self._offsets)
        try:
            write_rows(self.path, self._rows(), greatest=self._greatest)
        except UsageError as error:
            raise UsageError(f"{error}; {self.kept}") from error
        Path(self._name).unlink()
        self.complete = True

    def _rows(self) -> Iterator[dict[str, object]]:
        with Path(self._name).open("rb") as file:
            for offset in self._offsets:
                file.seek(offset)
                yield json.loads(file.readline())["row"]

    def _note(self, number: int, offset: int, row: Mapping[str, object]) -> None:
        self._offsets[number] = offset
        self.done += 1
        self.verdicts[str(row.get("verdict"))] += 1
        for name, value in greatest_numbers([row]).items():
            self._greatest[name] = max(value, self._greatest.get(name, 0))

    def _check_same(self, settings: Mapping[str, Any], found: str) -> None:
        """Whether what is there is of a sweep with these settings."""
        if not self._settings.exists():
            raise UsageError(
                f"-o {self.path}: {found} is there, and no {self._settings.name} that says which sweep it is of; "
                "allowed: another file, or remove it"
            )
        try:
            before = json.loads(self._settings.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{self._settings}: can't be read: {error}") from error
        if before != json.loads(json.dumps(settings)):
            raise UsageError(
                f"-o {self.path}: begun with other settings: {differences(before, settings)}; "
                "allowed: the same settings, or another file"
            )

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            self._file = -1
            raise UsageError(f"-o {self.path}: another sweep is writing it") from error

    def _read(self) -> None:
        """Notes what is there, passes over what can't be read, and cuts off a last line that is not whole."""
        with Path(self._name).open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._end)
                    return
                number, row = _entry(line, len(self._offsets))
                if row is not None and self._offsets[number] < 0:
                    self._note(number, self._end, row)
                self._end += len(line)


def _begun(path: str) -> bool:
    """Whether a journal has anything in it."""
    return Path(path).exists() and Path(path).stat().st_size > 0


def _write(file: int, line: bytes) -> int:
    return os.write(file, line)


def _entry(line: bytes, size: int) -> tuple[int, dict[str, object] | None]:
    """The point and the row of a line; no row if it is none."""
    try:
        entry = json.loads(line)
        number, row = entry["point"], entry["row"]
    except (ValueError, KeyError, TypeError):
        return 0, None
    return (number, row) if isinstance(number, int) and 0 <= number < size and isinstance(row, dict) else (0, None)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The settings that are not the same, for people.

    Example:
        >>> differences({"n": [64, 128], "d": [64]}, {"n": [64], "d": [64], "degree": [2]})
        'n was 64, 128, now 64; degree was not given, now 2'
    """
    names = [*before, *(name for name in now if name not in before)]
    return "; ".join(
        f"{name} was {_shown(before.get(name))}, now {_shown(now.get(name))}"
        for name in names
        if (before.get(name) or None) != (now.get(name) or None)
    )


def _shown(value: Any) -> str:
    if value is None or value in ([], {}):
        return "not given"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(each)}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
