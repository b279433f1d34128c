"""Tables in files: what is written is read back, in every kind of file, and never half of it is there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import MissingPackageError, UsageError
from iosim.table_files import (
    SUFFIXES,
    check_folder,
    check_table_file,
    greatest_numbers,
    read_rows,
    write_rows,
    write_whole,
)
from tests.bad_files import full_after

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=8)
_VALUES = {
    "n": st.integers(-(10**75), 10**75),
    "io_over_lower_bound": st.floats(allow_nan=False),
    "legal": st.booleans(),
    "error": _TEXT,
}
_ROWS = st.lists(st.tuples(*(st.none() | values for values in _VALUES.values())), min_size=1, max_size=4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=20)
@given(values=_ROWS)
def test_what_is_written_is_read(
    suffix: str, values: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows come back as they were, whole numbers of any length too, whether their greatest numbers are known or not."""
    path = str(tmp_path_factory.getbasetemp() / f"table{suffix}")
    rows = [dict(zip(_VALUES, row, strict=True)) for row in values]
    for greatest in (None, greatest_numbers(rows)):
        write_rows(path, iter(rows), greatest=greatest)
        assert read_rows(path) == rows
        assert [list(row) for row in read_rows(path)] == [list(_VALUES)] * len(rows)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_columns_are_what_they_look_like(suffix: str, tmp_path: Path) -> None:
    """Columns that no sweep has are numbers where all that is in them is."""
    rows = [{"a": 1, "b": 0.5, "c": "x y", "e": True}, {"a": None, "b": 1e300, "c": "1,2", "e": False}]
    write_rows(str(tmp_path / f"t{suffix}"), rows)
    assert read_rows(str(tmp_path / f"t{suffix}")) == rows


def test_pandas_reads_them(tmp_path: Path) -> None:
    """The three kinds of file are those that pandas knows."""
    rows = [
        {"n": 64, "io_over_lower_bound": 1.5, "mask": "full", "degree": None},
        {"n": 128, "io_over_lower_bound": 2.0, "mask": "band:1,2", "degree": 3},
    ]
    for suffix in SUFFIXES:
        write_rows(str(tmp_path / f"t{suffix}"), rows)
    frames = [
        pd.read_csv(tmp_path / "t.csv"),
        pd.read_json(tmp_path / "t.jsonl", lines=True),
        pd.read_parquet(tmp_path / "t.parquet"),
    ]
    for frame in frames:
        assert frame["n"].tolist() == [64, 128]
        assert frame["mask"].tolist() == ["full", "band:1,2"]
        assert frame["io_over_lower_bound"].tolist() == [1.5, 2.0]
        assert frame["degree"].isna().tolist() == [True, False]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_fills_leaves_what_was_there(suffix: str, tmp_path: Path) -> None:
    """A table that can't be written to its end is an error, the file before it stays, and nothing else is left."""
    path = tmp_path / f"t{suffix}"
    write_rows(str(path), [{"a": 1}])
    rows = [{"a": 10**17 + number * 7919 % 10**9} for number in range(20_000)]
    with full_after(1000), pytest.raises(UsageError, match=rf"t{suffix}: .*File too large"):
        write_rows(str(path), rows)
    assert read_rows(str(path)) == [{"a": 1}]
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t.txt", r"t\.txt: allowed: FILE\.csv, FILE\.jsonl, FILE\.parquet"),
        ("nowhere/t.csv", r"there is no folder .*nowhere"),
        ("folder.csv", "this is a folder"),
    ],
)
def test_a_place_where_no_table_can_be_is_found_at_once(name: str, said: str, tmp_path: Path) -> None:
    """A wrong ending, a missing folder and a folder in the place of the file are refused."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=said):
        check_table_file(str(tmp_path / name), where="--output")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """What is no file, like a pipe or a device, is refused and stays what it is."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UsageError, match=r"--out .*pipe: this is a device or a pipe"):
        check_folder(str(path), where="--out")
    with pytest.raises(UsageError, match=r"pipe: this is a device or a pipe"):
        write_whole(str(path), lambda part: part.write_text("x"))
    assert path.is_fifo()
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_that_cant_be_written_is_found_at_once() -> None:
    """Where nobody may make a file, not even root, that is said."""
    with pytest.raises(UsageError, match=r"--output /proc/t\.csv: "):
        check_table_file("/proc/t.csv", where="--output")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "a,b\n1\n", "more or fewer fields"),
        ("t.csv", "a,b\n1,2,3\n", "more or fewer fields"),
        ("t.csv", 'a\n"1\n', "unexpected end of data"),
        ("t.csv", "", "there are none"),
        ("t.jsonl", '{"a": 1}\n{"a"', "Expecting"),
        ("t.jsonl", "[1]\n", "a line is no row"),
        ("t.parquet", "no parquet", "Parquet"),
        ("t.csv", "a\n\xff\n", "codec can't decode"),
        ("t.jso", "", r"allowed: FILE\.csv"),
    ],
)
def test_what_is_no_table_is_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    """Damaged files are one line that says what is wrong with them."""
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said):
        read_rows(str(tmp_path / name))


def test_a_missing_file_is_said() -> None:
    """A file that isn't there is an error with its name."""
    with pytest.raises(UsageError, match=r"FILE /nowhere\.csv: No such file"):
        read_rows("/nowhere.csv")


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where pyarrow is missing, that is said before work begins, with the extra that brings it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'iosim\[parquet\]'"):
        check_table_file(str(tmp_path / "t.parquet"), where="--output")
    check_table_file(str(tmp_path / "t.csv"), where="--output")


def test_a_number_too_long_for_parquet_is_refused(tmp_path: Path) -> None:
    """Parquet has 76 digits; a longer number is an error, not another number."""
    with pytest.raises(UsageError, match="a whole number of 77 digits"):
        write_rows(str(tmp_path / "t.parquet"), [{"a": 10**76}])
    write_rows(str(tmp_path / "t.jsonl"), [{"a": 10**76}])
    assert json.loads((tmp_path / "t.jsonl").read_text()) == {"a": 10**76}
