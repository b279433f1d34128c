"""Traces come back from files as they were written, and bad files are told apart from good ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.traces.expand import MOVES, USES, Expansion
from iosim.traces.files import read_trace, write_trace
from iosim.traces.form import LOAD, READ, STORE, UPDATE, WRITE, Place
from tests.small_programs import MATMUL

EXPANSION = Expansion(MATMUL, {"n": 5, "B": 2}, what=MOVES | USES)
WHOLE = EXPANSION.whole()


def written(folder: Path, name: str) -> str:
    """The trace of a small matrix product in a file, in pieces."""
    path = str(folder / name)
    write_trace(path, EXPANSION.pieces(100), EXPANSION.places, 2)
    return path


def test_npz_loses_nothing(tmp_path: Path) -> None:
    """Addresses, kinds and what lies where."""
    found = read_trace(written(tmp_path, "t.npz"), 2)
    assert found.addresses.tolist() == WHOLE.addresses.tolist()
    assert found.kinds.tolist() == WHOLE.kinds.tolist()
    assert found.places == EXPANSION.places


def test_din_has_reads_and_writes_in_bytes(tmp_path: Path) -> None:
    """An update is a read and a write, a load a read, a store a write; addresses are twice the words of 2 bytes."""
    path = written(tmp_path, "t.din")
    labels = {READ: [READ], UPDATE: [READ, WRITE], WRITE: [WRITE], LOAD: [READ], STORE: [WRITE]}
    expected = [(a, k) for a, kind in zip(*WHOLE, strict=True) for k in labels[kind]]
    found = read_trace(path, 2)
    assert list(zip(found.addresses.tolist(), found.kinds.tolist(), strict=True)) == expected
    first = Path(path).read_text().splitlines()[0]
    assert first == f"1 {2 * WHOLE.addresses[0]:x}"


def test_oracle_general_by_hand(tmp_path: Path) -> None:
    """24 bytes an access: time, object, size 1, and the number of the next access to the object or -1."""
    path = str(tmp_path / "t.oracleGeneral")
    accesses = np.array([7, 300, 7], dtype=np.int64)
    write_trace(path, [(accesses, np.zeros(3, np.uint8))], (Place("A", 0, 301, False),), 2)
    expected = b"".join(
        number.to_bytes(4, "little") + address.to_bytes(8, "little") + (1).to_bytes(4, "little") + following
        for number, address, following in (
            (0, 7, (2).to_bytes(8, "little")),
            (1, 300, b"\xff" * 8),
            (2, 7, b"\xff" * 8),
        )
    )
    assert Path(path).read_bytes() == expected
    found = read_trace(path, 2)
    assert found.addresses.tolist() == [7, 300, 7]
    assert found.kinds.tolist() == [READ] * 3


@settings(max_examples=40)
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), min_size=1, max_size=30), st.sampled_from([1, 4, 64]))
def test_dense_addresses_keep_lines_and_sets(addresses: list[int], unit: int) -> None:
    """Equal stays equal, apart stays apart, and the place in a unit stays; however large the addresses are."""
    from iosim.traces.files import TraceFile

    file = TraceFile(addresses=np.array(addresses, dtype=np.uint64), kinds=np.zeros(len(addresses), np.uint8))
    found, (place,) = file.dense(unit)
    assert [a % unit for a in found.tolist()] == [a % unit for a in addresses]
    pairs = set(zip(addresses, found.tolist(), strict=True))
    assert len(pairs) == len(set(addresses)) == len(set(found.tolist()))
    lines = {(a // unit, b // unit) for a, b in pairs}
    assert len(lines) == len({a for a, _ in lines}) == len({b for _, b in lines})
    assert found.max() < place.words <= max(2**28 + unit, 4160 * len(addresses))


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("t.din", b"0 1f\n3 20\n", "line 2: '3 20'; allowed: 0, 1 or 2 and a hexadecimal address"),
        ("t.din", b"0 1f\n0 xyz\n", "line 2: address 'xyz'; allowed: hexadecimal"),
        (
            "t.din",
            b"0 10000000000000000\n",
            "line 1: address '10000000000000000'; allowed: hexadecimal, at most 64 bits",
        ),
        ("t.din", b"0 1f\n0 2", "ends without a newline; the file is cut short"),
        ("t.din", b"0 1f\n0\n", "line 2: '0'"),
        ("t.npz", b"PK nothing", "no trace, or cut short"),
        ("t.txt", b"", r"allowed endings: \.din, \.oracleGeneral, \.npz"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, contents: bytes, said: str) -> None:
    """The error says in which line, what was found and what is allowed."""
    path = tmp_path / name
    path.write_bytes(contents)
    with pytest.raises(UsageError, match=said):
        read_trace(str(path), 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"places": np.array(["foo"])}, "places: 'foo'; allowed: name, first address, words, and 1 for a tile or 0"),
        ({"places": np.array(["A 0 x 0"])}, "places: 'A 0 x 0'"),
        ({"places": np.array([1, 2])}, r"places: int64, \[2\]; allowed: a list of texts"),
        ({"places": np.array(["A 0 9 0", "B 3 9 0"])}, "B begins at 3, before A ends"),
        ({"places": np.array([f"A 0 {2**63} 0"])}, "allowed: up to 2\\^62"),
        ({"accesses": np.array([2])}, "accesses: 1 numbers; allowed: 2"),
        ({"accesses": np.array(2)}, r"accesses: int64, \[\]; allowed: a list of whole numbers"),
        ({"accesses": np.array([2.0, 1.0])}, "accesses: float64"),
        ({"accesses": np.array([2, 2])}, "steps_1"),
        ({"kinds_0": np.array(["a", "b"])}, "kinds_0: <U1"),
        ({"kinds_0": np.array([0, 300])}, "kinds_0: 0 to 300; allowed: 0 to 255"),
        ({"kinds_0": np.array([0, 7], np.uint8)}, "it says 2 accesses"),
        ({"steps_0": np.array([[0, 1]])}, "steps_0"),
        ({"steps_0": np.array([0, 2**63], np.uint64)}, "steps_0"),
        ({"steps_0": np.array([0, 9])}, "address 9 is in none of its arrays"),
        ({"steps_0": np.array([None, 1])}, "no trace, or cut short: Object arrays"),
    ],
)
def test_archives_that_are_no_traces(tmp_path: Path, changed: dict[str, npt.NDArray[np.generic]], said: str) -> None:
    """Each part of an archive is looked at before it is used."""
    parts = {
        "accesses": np.array([2, 1]),
        "places": np.array(["A 0 9 0"]),
        "steps_0": np.array([0, 1]),
        "kinds_0": np.zeros(2, np.uint8),
    }
    path = tmp_path / "t.npz"
    np.savez(path, **parts)  # type: ignore[arg-type]
    assert read_trace(str(path), 2).addresses.tolist() == [0, 1]
    np.savez(path, allow_pickle=True, **(parts | changed))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=said):
        read_trace(str(path), 2)


@pytest.mark.parametrize("name", ["t.din", "t.oracleGeneral", "t.npz"])
def test_files_that_are_cut_short(tmp_path: Path, name: str) -> None:
    """Wherever a file is cut, inside a record or between two, reading it says so, or (.din, at a line) it is shorter."""
    path = Path(written(tmp_path, name))
    whole = path.read_bytes()
    for length in (3, len(whole) // 2, len(whole) // 48 * 24, len(whole) - 24, len(whole) - 1):
        path.write_bytes(whole[:length])
        if name == "t.din" and whole[:length].endswith(b"\n"):
            assert len(read_trace(str(path), 2).addresses) == whole[:length].count(b"\n")
            continue
        with pytest.raises(UsageError, match="cut short"):
            read_trace(str(path), 2)


def test_an_object_that_comes_back_unannounced(tmp_path: Path) -> None:
    """A next access of -1 where there is one is no oracle; sizes must be equal."""
    path = Path(written(tmp_path, "t.oracleGeneral"))
    records = np.frombuffer(
        path.read_bytes(), dtype=[("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")]
    ).copy()
    wrong = records.copy()
    wrong["next"] = -1
    path.write_bytes(wrong.tobytes())
    with pytest.raises(UsageError, match="says that its object is not accessed again, but access"):
        read_trace(str(path), 2)
    records["size"][3] = 2
    path.write_bytes(records.tobytes())
    with pytest.raises(UsageError, match="objects of 1 to 2 bytes; allowed: all of one size"):
        read_trace(str(path), 2)


def test_no_such_file(tmp_path: Path) -> None:
    """Neither to read nor to write."""
    with pytest.raises(UsageError, match="can't be read: No such file"):
        read_trace(str(tmp_path / "none.din"), 2)
    with pytest.raises(UsageError, match=r"t\.din: No such file"):
        write_trace(str(tmp_path / "no" / "t.din"), [], (), 2)
