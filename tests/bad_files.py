"""A folder of files that can't be used, each for a reason that its name tells, and a disk that is full."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_GOOD = np.ones((6, 4))
_ARRAYS = {
    "good": (_GOOD, _GOOD, _GOOD),
    "nan": (_GOOD, np.where(np.eye(6, 4) > 0, np.nan, 1), _GOOD),
    "inf": (_GOOD, _GOOD, -np.inf * _GOOD),
    "huge": (_GOOD * 1e200, _GOOD, _GOOD),
    "large_logits": (_GOOD * 1e3, _GOOD, _GOOD),
    "columns": (_GOOD, np.ones((6, 5)), _GOOD),
    "rows": (_GOOD, _GOOD, np.ones((7, 4))),
    "cross": (_GOOD, np.ones((9, 4)), np.ones((9, 4))),
    "flat": (_GOOD[0], _GOOD[0], _GOOD[0]),
    "deep": (_GOOD[None, None], _GOOD[None, None], _GOOD[None, None]),
    "scalar": (np.float64(1), np.float64(1), np.float64(1)),
    "heads": (_GOOD[None], _GOOD, _GOOD),
    "divide": (np.ones((3, 6, 4)), np.ones((2, 6, 4)), np.ones((2, 6, 4))),
    "key_heads": (np.ones((2, 6, 4)), np.ones((2, 6, 4)), np.ones((1, 6, 4))),
    "values": (_GOOD, _GOOD, 2 * _GOOD),
    "empty": (_GOOD[:0], _GOOD[:0], _GOOD[:0]),
    "complex": (_GOOD * 1j, _GOOD, _GOOD),
    "strings": (_GOOD.astype(str), _GOOD, _GOOD),
    "objects": (_GOOD.astype(object), _GOOD, _GOOD),
}
_TEXTS = {
    "text.npz": "Q K V",
    "none.npz": "",
    "none.npy": "",
    "x.npy": "\x93NUMPY",
    "text.safetensors": "Q K V",
    "none.safetensors": "",
    "empty.py": "",
    "nul.py": "a = 1\0",
    "two.py": "from algorithms.flash1 import flash1\nfrom algorithms.flash2 import flash2\n",
    # tables
    "text.csv": "1,2",
    "none.csv": "",
    "header.csv": "fast_memory_words,io_words\n",
    "t.csv": "n,io_words\n3,4\n",
    "u.csv": "fast_memory_words,io_words\n3,\n",
    "ragged.csv": "fast_memory_words,io_words\n3,4\n5\n",
    "zero.csv": "n,fast_memory_words,io_words,lower_bound_words\n0,0,0,0\n64,1,0,0\n",
    "negative.csv": "n,fast_memory_words,io_words,lower_bound_words\n-3,-4,-5,-1\n64,-8,-1,-1\n",
    "nan.csv": "n,fast_memory_words,io_words,lower_bound_words,flops,max_abs_error,relative_frobenius_error\n"
    + ",".join(7 * ["nan"])
    + "\n",
    "words.csv": "fast_memory_words,io_words\nmany,few\n",
    "dtype.csv": "flops,io_words,fast_memory_words,dtype\n8,4,2,fp9\n",
    "nan.jsonl": '{"fast_memory_words": NaN, "io_words": 3}\n',
    "list.jsonl": "[1, 2]\n",
    "half.jsonl": '{"fast_memory_words": 4, "io_wo',
    "strings.jsonl": '{"fast_memory_words": "4", "io_words": "8"}\n',
    "text.parquet": "fast_memory_words,io_words",
    # sweeps that were begun, of other settings or of nobody knows which
    "other.csv": "algo,n\nflash2,9\n",
    "other.csv.settings.json": '{"n": [9]}',
    "begun.csv.journal": '{"point": 0, "row": {}}\n',
    "garbled.csv": "algo,n\nflash2,9\n",
    "garbled.csv.settings.json": '{"n": [9',
    # traces
    "text.din": "Q K V\n",
    "none.din": "",
    "label.din": "9 10\n",
    "negative.din": "0 -10\n",
    "wide.din": "0 " + "f" * 30 + "\n",
    "underscore.din": "0 1_0\n",
    "short.oracleGeneral": "1234567",
    "trace.txt": "0 10\n",
    # graphs
    "none.txt": "",
    "words.txt": "one two three\n",
    "loop.txt": "a a\n",
    "cycle.txt": "a b\nb c\nc b\n",
    "bad.hdag": "hello\n",
    "half.hdag": "3 4 5\n0 1\n",
    "huge.hdag": "0 100000000000 0\n",
    "cycle.hdag": "2 2 4\n0 0\n0 1\n1 1\n1 0\n",
    # what must stay as it is
    "kept.html": "kept",
    "kept.hdag": "kept",
    "kept.py": "kept = 1\n",
    "kept.csv": "kept\n",
    "kept.png": "kept",
    "kept.din": "kept",
}  # fmt: skip


def make_bad_files(folder: Path) -> None:
    """Fills an empty folder."""
    for name, (Q, K, V) in _ARRAYS.items():
        np.savez(folder / f"{name}.npz", Q=Q, K=K, V=V)
    np.savez(folder / "no_v.npz", Q=_GOOD, K=_GOOD)
    np.savez(folder / "float_trace.npz", addresses=np.ones(3), kinds=np.zeros(3))
    whole = (folder / "good.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    for name, steps in {
        "moves": np.zeros(2, int),
        "pickled_trace": np.array([{}, {}]),
        "negative_trace": np.array([-5, 1]),
        "wide_trace": np.array([2**62, 2**62]),
    }.items():
        kinds, places = np.full(2, 3, np.uint8), np.array(["A 0 1 0"])  # loads
        np.savez(folder / f"{name}.npz", accesses=np.array([2, 1]), steps_0=steps, kinds_0=kinds, places=places)
    (folder / "pickle.npz").write_bytes(pickle.dumps([1, 2]))
    (folder / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    (folder / "long.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    (folder / "latin.py").write_bytes(b"# \xe9\n")
    (folder / "binary.csv").write_bytes(b"fast_memory_words,io_words\n\xff\xfe\0,3\n")
    for name, array in {
        "good": _GOOD,
        "float": np.full((8, 8), 0.5),
        "small": np.ones((3, 3), dtype=bool),
        "line": np.ones(8, dtype=bool),
        "false": np.zeros((8, 8), dtype=bool),
    }.items():
        np.save(folder / f"{name}.npy", array)
    for name, text in _TEXTS.items():
        (folder / name).write_text(text, encoding="latin-1")
    for ending in ("npz", "npy", "csv", "png", "html", "py", "din", "txt", "hdag"):
        (folder / f"folder.{ending}").mkdir()
        os.symlink("/proc/self/mem", folder / f"unreadable.{ending}")  # opens, and can't be read, even by root
    (folder / "results").mkdir()
    (folder / "no_results").mkdir()
    (folder / "results" / "validation.json").write_text("{")


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """What is in a folder: size and time of each file. A file that was written again has another time."""
    found = {}
    for entry in os.scandir(folder):
        stat = entry.stat(follow_symlinks=False)
        found[entry.name] = (stat.st_size, stat.st_mtime_ns)
    return found


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Files can't grow beyond that many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
