"""Traces as files: Dinero's `.din`, libCacheSim's `oracleGeneral`, and a compact `.npz` of our own.

    .din            a line for each access, `label address`: 0 read, 1 write; hexadecimal, in bytes. An update is a read
                    and a write.
    .oracleGeneral  24 bytes for each access (little-endian): time (32 bits), object (64), its size (32), the number of
                    its next access or -1 (64). Whether it is written is not said; an update is one access.
    .npz            pieces of differences of addresses and of kinds, and what lies at which addresses; nothing is lost

Units: addresses are in words here; a word has as many bytes as its number format.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.table_files import write_whole
from iosim.traces.form import LOAD, READ, STORE, UPDATE, WRITE, Bytes, Integers, Place
from iosim.traces.sizes import LARGEST

_Whole = TypeVar("_Whole", np.int64, np.uint8)
Pieces: TypeAlias = Iterable[tuple[Integers, Bytes]]

FORMATS = (".din", ".oracleGeneral", ".npz")
_ORACLE = np.dtype([("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])
_ADDRESS = re.compile(rb"(0[xX])?0*[0-9a-fA-F]{1,16}")
_PLACE = re.compile(r"(?P<name>.*) (?P<start>[0-9]{1,19}) (?P<words>[0-9]{1,19}) (?P<tile>[01])", re.DOTALL)
_BLOCK = 1 << 20  # accesses that are read or written at a time
_DENSE = 1 << 28  # addresses below which a simulation has a table for all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFile:
    """What a file holds.

    Attributes:
        addresses: in words, as in the file. Shape: [accesses].
        kinds: READ, UPDATE, WRITE, LOAD, STORE. Shape: [accesses].
        places: what lies at which addresses, if the file says so.
    """

    addresses: npt.NDArray[np.uint64]
    kinds: Bytes
    places: tuple[Place, ...] = ()

    def dense(self, unit: int) -> tuple[Integers, tuple[Place, ...]]:
        """Addresses without large gaps, and what lies there: blocks of `unit` words (or a multiple) keep their inside.

        A cache of which `unit` is the line times the number of sets can't tell the difference.
        """
        top = int(self.addresses.max(initial=0)) + 1
        if top <= _DENSE or self.places:
            addresses = self.addresses.astype(np.int64)
            return addresses, self.places or (Place("trace", 0, -(-top // unit) * unit, False),)
        size = np.uint64(-(-4096 // unit) * unit)
        blocks, number = np.unique(self.addresses // size, return_inverse=True)
        addresses = (number.astype(np.int64) * int(size)) + (self.addresses % size).astype(np.int64)
        return addresses, (Place("trace", 0, len(blocks) * int(size), False),)


def write_trace(path: str, pieces: Pieces, places: Sequence[Place], word_bytes: int) -> int:
    """Writes a trace piece by piece; returns how many accesses the file has. For `oracleGeneral`, all of it is held.

    The file is there when it is complete.

    Raises:
        UsageError: the name has none of the known endings, or the file can't be written.
    """
    writers = {".din": _write_din, ".oracleGeneral": _write_oracle, ".npz": _write_npz}
    writer = writers[_ending(path)]
    written = 0

    def write(part: Path) -> None:
        nonlocal written
        with part.open("wb") as file:
            written = writer(file, pieces, places, word_bytes)

    write_whole(path, write)
    return written


def read_trace(path: str, word_bytes: int) -> TraceFile:
    """Reads a trace.

    Raises:
        UsageError: no such file, an unknown ending, or contents that are no trace or are cut short.
    """
    readers = {".din": _read_din, ".oracleGeneral": _read_oracle, ".npz": _read_npz}
    reader = readers[_ending(path)]
    try:
        with open(path, "rb") as file:
            return reader(path, file, word_bytes)
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror or error}") from error


def _ending(path: str) -> str:
    ending = Path(path).suffix
    if ending not in FORMATS:
        raise UsageError(f"{path}: not the name of a trace; allowed endings: {', '.join(FORMATS)}")
    return ending


def _write_din(file: IO[bytes], pieces: Pieces, places: Sequence[Place], word_bytes: int) -> int:
    labels = {READ: "0", UPDATE: "01", WRITE: "1", LOAD: "0", STORE: "1"}
    written = 0
    for addresses, kinds in pieces:
        lines = [
            f"{label} {address:x}\n"
            for address, kind in zip((addresses * word_bytes).tolist(), kinds.tolist(), strict=True)
            for label in labels[kind]
        ]
        written += len(lines)
        file.write("".join(lines).encode())
    return written


def _read_din(path: str, file: IO[bytes], word_bytes: int) -> TraceFile:
    addresses: list[int] = []
    kinds: list[int] = []
    for number, line in enumerate(file, 1):
        parts = line.split()
        at = f"{path}, line {number}"
        if not line.endswith(b"\n"):
            raise UsageError(f"{at}: ends without a newline; the file is cut short")
        if not parts:
            continue
        if len(parts) < 2 or parts[0] not in (b"0", b"1", b"2"):
            shown = ascii(line.strip()[:40].decode("latin-1"))
            raise UsageError(f"{at}: {shown}; allowed: 0, 1 or 2 and a hexadecimal address, like '0 1f40'")
        if not _ADDRESS.fullmatch(parts[1]):
            shown = ascii(parts[1][:40].decode("latin-1"))
            raise UsageError(f"{at}: address {shown}; allowed: hexadecimal, at most 64 bits")
        addresses.append(int(parts[1], 16) // word_bytes)
        kinds.append(WRITE if parts[0] == b"1" else READ)
    return TraceFile(addresses=np.array(addresses, dtype=np.uint64), kinds=np.array(kinds, dtype=np.uint8))


def _write_oracle(file: IO[bytes], pieces: Pieces, places: Sequence[Place], word_bytes: int) -> int:
    parts = [addresses.copy() for addresses, _ in pieces]
    addresses = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    following = next_accesses(addresses)
    for begin in range(0, len(addresses), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        records = np.zeros(len(addresses[block]), dtype=_ORACLE)
        records["time"] = np.arange(begin, begin + len(records)) % 2**32
        records["object"] = addresses[block]
        records["size"] = 1
        records["next"] = following[block]
        file.write(records.tobytes())
    return len(addresses)


def next_accesses(addresses: npt.NDArray[np.integer]) -> Integers:
    """Of each access, the number of the next one to the same address; -1 if there is none."""
    order = np.argsort(addresses, kind="stable")
    same = addresses[order[1:]] == addresses[order[:-1]]
    following = np.full(len(addresses), -1, dtype=np.int64)
    following[order[:-1][same]] = order[1:][same]
    return following


def _read_oracle(path: str, file: IO[bytes], word_bytes: int) -> TraceFile:
    contents = file.read()
    if len(contents) % _ORACLE.itemsize:
        raise UsageError(
            f"{path}: {len(contents):,} bytes, which is {len(contents) % _ORACLE.itemsize} more than whole accesses of "
            f"{_ORACLE.itemsize}; the file is cut short, or no oracleGeneral"
        )
    records = np.frombuffer(contents, dtype=_ORACLE)
    following = next_accesses(records["object"])
    beyond = np.flatnonzero(records["next"] >= len(records))
    if len(beyond):
        raise UsageError(
            f"{path}, access {beyond[0]:,}: the next one to its object is {records['next'][beyond[0]]:,}, the file has "
            f"{len(records):,}; it is cut short"
        )
    wrong = np.flatnonzero((following >= 0) & (records["next"] < 0))
    if len(wrong):
        raise UsageError(
            f"{path}, access {wrong[0]:,}: says that its object is not accessed again, but access {following[wrong[0]]:,} "
            "does; no oracleGeneral"
        )
    sizes = np.unique(records["size"])
    if len(sizes) > 1:
        raise UsageError(f"{path}: objects of {sizes[0]:,} to {sizes[-1]:,} bytes; allowed: all of one size")
    return TraceFile(addresses=records["object"].copy(), kinds=np.full(len(records), READ, dtype=np.uint8))


def _write_npz(file: IO[bytes], pieces: Pieces, places: Sequence[Place], word_bytes: int) -> int:
    total = count = 0
    last = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for addresses, kinds in pieces:
            steps = np.diff(addresses, prepend=last)
            last = int(addresses[-1])
            widest = max(abs(int(steps.min())), abs(int(steps.max())))
            _add(archive, f"steps_{count}", steps.astype(np.min_scalar_type(-widest - 1)))
            _add(archive, f"kinds_{count}", kinds)
            total, count = total + len(addresses), count + 1
        _add(archive, "places", np.array([f"{p.name} {p.start} {p.words} {int(p.tile)}" for p in places], dtype="U"))
        _add(archive, "accesses", np.array([total, count]))
    return total


def _add(archive: zipfile.ZipFile, name: str, array: npt.NDArray[np.generic]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _read_npz(path: str, file: IO[bytes], word_bytes: int) -> TraceFile:
    contents = io.BytesIO(file.read())
    try:
        accesses, places, steps, kinds = _npz_parts(contents)
    except Exception as error:  # zipfile and numpy raise much, and UsageError is what is found wrong here
        raise UsageError(f"{path}: no trace, or cut short: {str(error)[:100]}") from error
    addresses = np.cumsum(steps)
    if len(addresses) != accesses or len(kinds) != accesses or (kinds > STORE).any() or (addresses < 0).any():
        raise UsageError(
            f"{path}: {len(addresses):,} addresses and {len(kinds):,} kinds; it says {accesses:,} accesses"
        )
    if places and accesses and int(addresses.max()) >= places[-1].start + places[-1].words:
        raise UsageError(f"{path}: address {int(addresses.max()):,} is in none of its arrays")
    return TraceFile(addresses=addresses.astype(np.uint64), kinds=kinds.astype(np.uint8), places=places)


def _npz_parts(file: IO[bytes]) -> tuple[int, tuple[Place, ...], Integers, Bytes]:
    """How many accesses, what lies where, then steps and kinds, the pieces put together."""
    with zipfile.ZipFile(file) as archive:
        accesses, count = _whole(archive, "accesses", np.int64, 2).tolist()
        steps = [_whole(archive, f"steps_{number}", np.int64) for number in range(count)]
        kinds = [_whole(archive, f"kinds_{number}", np.uint8) for number in range(count)]
        places = tuple(map(_place, _part(archive, "places", "U", "texts").tolist()))
    for before, after in pairwise(places):
        if after.start < before.start + before.words:
            raise UsageError(f"places: {after.name} begins at {after.start:,}, before {before.name} ends")
    return (
        accesses,
        places,
        np.concatenate([np.zeros(0, np.int64), *steps]),
        np.concatenate([np.zeros(0, np.uint8), *kinds]),
    )


def _part(archive: zipfile.ZipFile, name: str, kinds: str, allowed: str) -> npt.NDArray[Any]:
    """A list from the archive; its elements are of one of the kinds, by the letters of numpy."""
    with archive.open(f"{name}.npy") as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
    if array.ndim != 1 or array.dtype.kind not in kinds:
        raise UsageError(f"{name}: {array.dtype}, {list(array.shape)}; allowed: a list of {allowed}")
    return array


def _whole(archive: zipfile.ZipFile, name: str, dtype: type[_Whole], length: int | None = None) -> npt.NDArray[_Whole]:
    """The same, for whole numbers that a number format can hold."""
    array = _part(archive, name, "iu", "whole numbers")
    if length is not None and len(array) != length:
        raise UsageError(f"{name}: {len(array)} numbers; allowed: {length}")
    most = np.iinfo(dtype)
    if len(array) and not (most.min <= int(array.min()) and int(array.max()) <= most.max):
        raise UsageError(f"{name}: {int(array.min()):,} to {int(array.max()):,}; allowed: {most.min:,} to {most.max:,}")
    return array.astype(dtype)


def _place(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise UsageError(f"places: {text[:40]!a}; allowed: name, first address, words, and 1 for a tile or 0")
    start, words = int(match["start"]), int(match["words"])
    if start + words > LARGEST:
        raise UsageError(f"places: {text[:40]!a} ends at {start + words:,}; allowed: up to 2^62")
    return Place(match["name"], start, words, match["tile"] == "1")
