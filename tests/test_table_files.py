"""Tables in files: what is written is read back, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iosim.errors import UsageError
from iosim.table_files import check_table_file, read_rows, write_rows

ROWS = [
    {"algo": "exact", "n": 2**70, "ratio": 1.25, "degree": None, "tied": False, "tiles": '{"B_r": 3}'},
    {"algo": "approx, 2", "n": 3, "ratio": 1e-7, "degree": 2, "tied": True, "tiles": "{}"},
]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    """Whole numbers of any size, fractions, truths, texts with commas, and nothing."""
    path = str(tmp_path / f"table{suffix}")
    write_rows(path, ROWS)
    assert read_rows(path) == ROWS
    assert [p.name for p in tmp_path.iterdir()] == [f"table{suffix}"]


def test_parquet_keeps_numbers_exact(tmp_path: Path) -> None:
    """A column with a number beyond 64 bits is text in the file, and numbers again when it is read."""
    pytest.importorskip("pyarrow")
    path = str(tmp_path / "table.parquet")
    write_rows(path, ROWS)
    assert read_rows(path) == ROWS


def test_what_can_not_be_read_says_why(tmp_path: Path) -> None:
    """No file, another kind of file, no rows, half a line of JSON."""
    cases = {
        "no.csv": (None, "No such file"),
        "a.txt": ("x", "allowed: FILE.csv"),
        "b.csv": ("n,d\n", "there are none"),
    }
    cases |= {"c.jsonl": ('{"n": 1}\n{"n"', "Expecting"), "d.jsonl": ("[1]\n", "there are none")}
    for name, (text, said) in cases.items():
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=said):
            read_rows(str(tmp_path / name))


def test_where_nothing_can_be_written_is_known_before(tmp_path: Path) -> None:
    """No folder, a folder in its place, an unknown kind, a folder that lets nobody write."""
    (tmp_path / "x.csv").mkdir()
    for path, said in (
        ("no/x.csv", "there is no folder"),
        ("x.csv", "this is a folder"),
        ("x.txt", "allowed: FILE.csv"),
    ):
        with pytest.raises(UsageError, match=said):
            check_table_file(str(tmp_path / path), where="-o")
    if os.access("/proc", os.F_OK):  # nobody can make files there, not even root
        with pytest.raises(UsageError, match=r"-o /proc/x\.csv"):
            check_table_file("/proc/x.csv", where="-o")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """The new file is written beside it and renamed at the end."""
    path = tmp_path / "t.jsonl"
    write_rows(str(path), ROWS)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_rows(str(path), [{"n": object()}])
    assert path.read_bytes() == before
