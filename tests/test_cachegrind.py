"""Misses are those of cachegrind, whose D1 is a true LRU, on traces of attention and matrix products.

A trace becomes a C function with one access to one array for each of its words, in order, and nothing else that touches
data; cachegrind counts the misses of that function. What its D1 holds before is of no use to the function, and LRU
treats that like nothing. The numbers are recorded in `data/cachegrind.txt`, one trace and cache a line; written anew by

    REGENERATE=1 pytest -m slow tests/test_cachegrind.py

which for each of them compiles the function, and runs

    valgrind --tool=cachegrind --D1=BYTES,WAYS,64 --cachegrind-out-file=FILE PROGRAM

with WAYS lines in a set, as many as there are in the cache if it is fully associative, and adds up what FILE says of the
function `replay`. Where the array begins moves all of its lines to other sets, which changes no number of misses.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from iosim.caches.model import Cache
from iosim.caches.simulation import simulate
from iosim.problem import Problem
from iosim.registry import find
from iosim.traces.expand import READ, UPDATE, WRITE, Expansion
from tests.test_expand import MATMUL

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
@pytest.mark.skipif(not (shutil.which("valgrind") and shutil.which("cc")), reason="needs valgrind and a C compiler")
def test_cachegrind_says_what_is_recorded(tmp_path: Path) -> None:
    """Run again, cachegrind finds the recorded numbers."""
    found = {}
    for trace in dict.fromkeys(trace for trace, *_ in CASES):
        program = _compiled(trace, tmp_path)
        for lines, ways in CACHES:
            found[trace, lines, ways] = _counted(program, lines, ways, tmp_path)
    if os.environ.get("REGENERATE"):
        rows = [" ".join(map(str, (*case, *found[case]))) + "\n" for case in CASES]
        version = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True).stdout
        RECORDED.write_text(
            f"# {version}# trace, lines of D1 (64 B), lines of a set, Dr, D1mr, Dw, D1mw of replay\n" + "".join(rows)
        )
    assert found == recorded()


def _compiled(trace: str, folder: Path) -> str:
    expanded = expansion(trace)
    # valgrind leaves out loads that nobody uses: they are added up
    text = {READ: "x += m[{}];", UPDATE: "x += m[{0}]; m[{0}] = 0;", WRITE: "m[{}] = 0;"}
    addresses, kinds = expanded.whole()
    body = "\n".join(text[k].format(a) for a, k in zip(addresses.tolist(), kinds.tolist(), strict=True))
    source = folder / f"{trace}.c"
    source.write_text(
        f"static volatile int m[{expanded.words + LINE}] __attribute__((aligned(64)));\n"
        f"__attribute__((noinline)) int replay(void) {{\nint x = 0;\n{body}\nreturn x;\n}}\n"
        "int main(void) { return replay() & 0; }\n"
    )
    program = str(folder / trace)
    subprocess.run(["cc", "-O1", "-g", "-fomit-frame-pointer", "-o", program, str(source)], check=True)
    return program


def _counted(program: str, lines: int, ways: int, folder: Path) -> tuple[int, ...]:
    last = (
        Path(f"{program}.c").read_text().splitlines().index("return x;")
    )  # what follows takes an address from the stack
    out = folder / "out"
    D1 = f"--D1={64 * lines},{ways},64"
    command = ["valgrind", "--tool=cachegrind", D1, f"--cachegrind-out-file={out}", program]
    subprocess.run(command, check=True, capture_output=True)
    total = np.zeros(4, dtype=np.int64)
    inside = False
    for line in out.read_text().splitlines():
        if line.startswith("fn="):
            inside = line == "fn=replay"
        elif inside and re.fullmatch(r"[\d ]+", line):
            # the line, then Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw, without zeros at the end
            numbers = [*map(int, line.split()), *[0] * 9]
            if numbers[0] <= last:
                total += [numbers[column] for column in (4, 5, 7, 8)]
    return tuple(total.tolist())
