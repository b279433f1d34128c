"""Cachegrind as a peer and as an oracle: a C function with accesses to one array, and what its data cache missed in it.

Needs valgrind and a C compiler. What D1 holds before is of no use to the function, and LRU treats that like nothing. Where
the array begins moves all of its lines to other sets, which changes no number of misses.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_START = """static volatile int m[{words}] __attribute__((aligned(64)));
__attribute__((noinline)) int replay(void) {{
int x = 0;
"""
_END = """
return x;
}
int main(void) { return replay() & 0; }
"""


def there() -> bool:
    """Whether both are installed."""
    return all(map(shutil.which, ("valgrind", "cc")))


def version() -> str:
    """Of valgrind."""
    return subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True).stdout.strip()


def compiled(body: str, words: int, program: Path) -> None:
    """Makes a program of the lines of C in `body`, which access the array m of `words` words of 4 bytes.

    Valgrind leaves out loads that nobody uses: they are to be added to x.
    """
    source = program.with_suffix(".c")
    source.write_text(_START.format(words=words) + body + _END)
    subprocess.run(["cc", "-O1", "-g", "-fomit-frame-pointer", "-o", program, source], check=True)


def run(program: Path, lines: int, ways: int) -> None:
    """Runs a program with a data cache of that many lines of 64 bytes, `ways` to a set."""
    out = program.with_suffix(".out")
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", f"--D1={64 * lines},{ways},64"]
    subprocess.run([*command, f"--cachegrind-out-file={out}", program], check=True, capture_output=True)


def counts(program: Path) -> tuple[int, int, int, int]:
    """Reads, read misses, writes and write misses of the lines of `body` in the last run."""
    last = program.with_suffix(".c").read_text().splitlines().index("return x;")  # it takes an address from the stack
    inside, found = False, [0, 0, 0, 0]
    for line in program.with_suffix(".out").read_text().splitlines():
        if line.startswith("fn="):
            inside = line == "fn=replay"
        elif inside and re.fullmatch(r"[\d ]+", line):
            # the line, then Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw, without zeros at the end
            numbers = [*map(int, line.split()), *[0] * 9]
            if numbers[0] <= last:
                found = [n + numbers[column] for n, column in zip(found, (4, 5, 7, 8), strict=True)]
    reads, read_misses, writes, write_misses = found
    return reads, read_misses, writes, write_misses
