"""Misses are those of cachegrind, whose D1 is a true LRU, on traces of attention and matrix products.

A trace becomes a C function with one access to one array for each of its words, in order, and nothing else that touches
data; cachegrind counts the misses of that function (see `benchmarks.cachegrind`). The numbers are recorded in
`data/cachegrind.txt`, one trace and cache a line; written anew by

    REGENERATE=1 pytest -m slow tests/test_cachegrind.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cachegrind
from iosim.caches.model import Cache
from iosim.caches.simulation import simulate
from iosim.problem import Problem
from iosim.registry import find
from iosim.traces.expand import READ, UPDATE, WRITE, Expansion
from tests.small_programs import MATMUL

RECORDED = Path(__file__).parent / "data" / "cachegrind.txt"
LINE = 16  # words of 4 bytes in 64 bytes
CACHES = ((4, 4), (8, 8), (16, 16), (16, 4), (16, 1))  # lines, ways
CASES = [(trace, *cache) for trace in ("flash2", "standard", "matmul") for cache in CACHES]


def expansion(trace: str) -> Expansion:
    """Every use of a small program, arrays at multiples of a line."""
    if trace == "matmul":
        return Expansion(MATMUL, {"n": 12, "B": 5}, align=LINE)
    plan = find(trace).best(Problem(n=10, d=6), 90)
    return Expansion(plan.program, plan.sizes, align=LINE)


def recorded() -> dict[tuple[str, int, int], tuple[int, ...]]:
    """Reads, read misses, writes, write misses, by trace, lines and ways."""
    found = {}
    for line in RECORDED.read_text().splitlines():
        if not line.startswith("#"):
            trace, lines, ways, *numbers = line.split()
            found[trace, int(lines), int(ways)] = tuple(map(int, numbers))
    return found


@pytest.mark.parametrize(("trace", "lines", "ways"), CASES)
def test_misses_are_those_of_cachegrind(trace: str, lines: int, ways: int) -> None:
    """Reads, writes, and all misses; an update is a read and a write that hits."""
    expanded = expansion(trace)
    piece = expanded.whole()
    reads, read_misses, writes, write_misses = recorded()[trace, lines, ways]
    assert reads == np.isin(piece.kinds, [READ, UPDATE]).sum()
    assert writes == np.isin(piece.kinds, [UPDATE, WRITE]).sum()
    cache = Cache(words=lines * LINE, line=LINE, ways=None if ways == lines else ways)
    (found,) = simulate([cache], expanded.places, [piece])
    assert found.total.misses == read_misses + write_misses
    assert found.total.misses < len(piece.addresses) // 2  # neither all miss nor none
    assert found.total.loads == LINE * found.total.misses


@pytest.mark.slow
@pytest.mark.skipif(not cachegrind.there(), reason="needs valgrind and a C compiler")
def test_cachegrind_says_what_is_recorded(tmp_path: Path) -> None:
    """Run again, cachegrind finds the recorded numbers."""
    found = {}
    for trace in dict.fromkeys(trace for trace, *_ in CASES):
        program = tmp_path / trace
        cachegrind.compiled(accesses(trace), expansion(trace).words + LINE, program)
        for lines, ways in CACHES:
            cachegrind.run(program, lines, ways)
            found[trace, lines, ways] = cachegrind.counts(program)
    if os.environ.get("REGENERATE"):
        rows = [" ".join(map(str, (*case, *found[case]))) + "\n" for case in CASES]
        columns = "trace, lines of D1 (64 B), lines of a set, Dr, D1mr, Dw, D1mw of replay"
        RECORDED.write_text(f"# {cachegrind.version()}\n# {columns}\n" + "".join(rows))
    assert found == recorded()


def accesses(trace: str) -> str:
    """One line of C for each use of a word."""
    text = {READ: "x += m[{}];", UPDATE: "x += m[{0}]; m[{0}] = 0;", WRITE: "m[{}] = 0;"}
    addresses, kinds = expansion(trace).whole()
    return "\n".join(text[k].format(a) for a, k in zip(addresses.tolist(), kinds.tolist(), strict=True))
