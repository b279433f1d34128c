"""How fast traces and caches are, beside libcachesim and cachegrind on the same accesses in the same run.

CPU time on one core, after compilation, the least of a few; misses must be the same. Our trace is in memory, libcachesim
reads it from a file. cachegrind simulates a C program whose loops make the accesses, and runs its other instructions too;
what it takes for a program without them is left out. Run by hand: python benchmarks/caches.py [accesses]
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import libcachesim
import numpy as np
from numpy.typing import NDArray

from iosim import registry
from iosim.caches.curves import curve
from iosim.caches.forward import Forward
from iosim.caches.model import MISSES, Cache
from iosim.caches.simulation import simulation
from iosim.problem import Problem
from iosim.trace_files import write_trace
from iosim.traces.expand import READ, UPDATE, Expansion, Piece
from iosim.traces.form import Place

ADDRESSES = 100_000
THEIRS = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "opt": libcachesim.Belady}
LINE = 16  # words of 4 bytes in the 64 bytes that cachegrind has as its least useful line
CACHES = ((32, None), (512, 8), (512, 1))  # lines and ways that cachegrind is asked for
MATMUL = """static volatile int room[{words} + (1 << 16)];
__attribute__((noinline)) int replay(void) {{
volatile int *m = (volatile int *)(((unsigned long)room + (1 << 17)) >> 17 << 17);
for (int i = 0; i < {n}; i++) for (int j = 0; j < {n}; j++) for (int k = 0; k < {n}; k++) {{
int x = m[i * {n} + k]; int y = m[{b} + k * {n} + j]; m[{c} + i * {n} + j] += x * y; }}
return 0; }}
int main(void) {{ return replay(); }}
"""
INSIDE = 5  # the line of the accesses


# A first answer in a new process, compiled code being on the disk.
OURS_ANSWERS = """
import numpy as np
from iosim.caches.model import Cache
from iosim.caches.simulation import simulate
from iosim.traces.expand import Piece
from iosim.traces.form import Place
simulate([Cache(words=10)], (Place("A", 0, 100, False),), [Piece(np.arange(1000) % 100, np.zeros(1000, np.uint8))])
"""
THEIRS_ANSWERS = """
import libcachesim
cache = libcachesim.LRU(cache_size=10)
for number in range(1000):
    request = libcachesim.Request()
    request.obj_id, request.obj_size = number % 100, 1
    cache.get(request)
"""


def cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    """CPU time of `work`, the least of a few."""
    seconds = []
    for _ in range(times):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def traces(length: int) -> Iterator[tuple[str, NDArray[np.int64], tuple[Place, ...]]]:
    """The uses of attention; random ones, some much more frequent than others, and all equally frequent."""
    plan = registry.find("flash2").best(Problem(n=390, d=64), 4000)
    expansion = Expansion(plan.program, plan.sizes)
    parts, words = [], 0
    for piece in expansion.pieces():
        parts.append(piece.addresses.copy())
        words += len(piece.addresses)
        if words >= length:
            break
    yield f"flash2, {expansion.words:,} addresses", np.concatenate(parts)[:length], expansion.places
    random = np.random.default_rng(0)
    places = (Place("A", 0, ADDRESSES, False),)
    zipf = random.zipf(1.2, 2 * length) - 1
    yield f"zipf 1.2, {ADDRESSES:,} addresses", random.permutation(ADDRESSES)[zipf[zipf < ADDRESSES][:length]], places
    yield f"uniform, {ADDRESSES:,} addresses", random.integers(0, ADDRESSES, length), places


def main() -> None:
    length = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    for M in (50_000, 700):
        plan = registry.find("flash2").explicit(Problem(n=512, d=64), {"B_r": M // 131})
        expansion = Expansion(plan.program, plan.sizes)
        words = sum(len(piece.addresses) for piece in expansion.pieces())
        seconds = cpu_seconds(lambda: sum(len(piece.addresses) for piece in expansion.pieces()), 1)  # noqa: B023
        print(f"trace of flash2, M = {M:,}: {words / seconds / 1e6:7.0f} million words/s")
    print()
    for name, addresses, places in traces(length):
        reads = Piece(addresses, np.zeros(len(addresses), dtype=np.uint8))
        words = max(place.start + place.words for place in places) // 10
        print(f"{name}; {len(addresses):,} reads, a cache of {words:,} words; million accesses/s:")
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "trace.oracleGeneral")
            write_trace(path, [reads], places, 2)
            for policy in THEIRS:
                _beside_libcachesim(policy, reads, places, words, path)
        seconds = cpu_seconds(lambda: curve("lru", places, [reads]))  # noqa: B023
        print(f"  every capacity, lru {len(addresses) / seconds / 1e6:7.1f}, they have no such thing")
        some = Piece(reads.addresses[: length // 20], reads.kinds[: length // 20])
        seconds = cpu_seconds(lambda: curve("opt", places, [some]), 1)  # noqa: B023
        print(f"  every capacity, opt {len(some.addresses) / seconds / 1e6:7.1f}, on {len(some.addresses):,} of them\n")
    if shutil.which("valgrind") and shutil.which("cc"):
        _beside_cachegrind(round((length / 3) ** (1 / 3)))
    else:
        print("cachegrind: no valgrind or no C compiler here\n")
    ours, theirs = map(_process_seconds, (OURS_ANSWERS, THEIRS_ANSWERS))
    lose = "we LOSE, " if ours > theirs else ""
    print(
        f"1,000 accesses in a new process: {ours:.2f} s, libcachesim {theirs:.2f} s: {lose}ratio {ours / theirs:.1f}\n"
    )
    plan = registry.find("flash2").best(Problem(n=65536, d=64), 50_000)
    for policy in ("lru", "fifo"):
        cache = Cache(words=50_000, policy=policy)
        seconds = cpu_seconds(lambda: Forward(plan.program, plan.sizes, cache).count(), 1)  # noqa: B023
        accesses = Forward(plan.program, plan.sizes, cache).count().accesses
        print(f"fast-forward, flash2 at n = 65,536, M = 50,000, {policy}: {accesses:,} accesses in {seconds:.2f} s")


def _ours(cache: Cache, accesses: Piece, places: tuple[Place, ...]) -> tuple[int, float]:
    """Misses, and accesses a second."""
    first = simulation(cache, places)
    first.feed(accesses)  # compiled now
    first.finish()
    seconds = cpu_seconds(lambda: (found := simulation(cache, places)).feed(accesses) and found.finish())
    return int(first.counters[:, MISSES].sum()), len(accesses.addresses) / seconds


def _say(what: str, speed: float, other: float, misses: int, others: int, who: str) -> None:
    times = f"{speed / other:.1f} times as fast" if speed >= other else f"we LOSE, {other / speed:.1f} times as slow"
    equal = "the same misses" if misses == others else f"OTHER MISSES, {others:,}"
    print(f"  {what:24} {speed / 1e6:7.1f}, {who} {other / 1e6:7.1f}: {times}; {equal}: {misses:,}")


def _beside_libcachesim(policy: str, reads: Piece, places: tuple[Place, ...], words: int, path: str) -> None:
    misses, speed = _ours(Cache(words=words, policy=policy), reads, places)
    ratio = 0.0

    def theirs() -> None:
        nonlocal ratio
        reader = libcachesim.TraceReader(trace=path, trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE)
        ratio, _ = THEIRS[policy](cache_size=words).process_trace(reader)

    other = len(reads.addresses) / cpu_seconds(theirs, 1)
    _say(policy, speed, other, misses, round(ratio * len(reads.addresses)), "libcachesim")


def _beside_cachegrind(n: int) -> None:
    """The product of two n x n matrices, entry by entry: a word of A and of B is read, one of C updated."""
    size = -(-n * n // LINE) * LINE
    i, j, k = np.indices((n, n, n)).reshape(3, -1)
    addresses = np.stack([i * n + k, size + k * n + j, 2 * size + i * n + j], axis=1).ravel()
    accesses = Piece(addresses, np.tile(np.array([READ, READ, UPDATE], np.uint8), n**3))
    places = (Place("A B C", 0, 3 * size, False),)
    print(f"product of {n} x {n} matrices, {len(addresses):,} accesses, lines of {LINE} words; million accesses/s:")
    with tempfile.TemporaryDirectory() as folder:
        for lines, ways in CACHES:
            misses, speed = _ours(Cache(words=lines * LINE, line=LINE, ways=ways), accesses, places)
            idle, _ = _cachegrind(1, 16, lines, ways, Path(folder))
            seconds, others = _cachegrind(n, size, lines, ways, Path(folder))
            what = f"lru, {lines} lines, {'fully' if ways is None else ways}-way".replace("fully-way", "fully assoc.")
            _say(what, speed, len(addresses) / (seconds - idle), misses, others, "cachegrind")
    print()


def _cachegrind(n: int, size: int, lines: int, ways: int | None, folder: Path) -> tuple[float, int]:
    """CPU seconds, and misses of the loop."""
    source, program, out = folder / "matmul.c", folder / "matmul", folder / "out"
    source.write_text(MATMUL.format(n=n, words=3 * size, b=size, c=2 * size))
    subprocess.run(["cc", "-O1", "-g", "-fomit-frame-pointer", "-o", program, source], check=True)
    D1 = f"--D1={64 * lines},{ways or lines},64"
    begin = _child_seconds()
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", D1, f"--cachegrind-out-file={out}", program]
    subprocess.run(command, check=True, capture_output=True)
    seconds = _child_seconds() - begin
    misses, inside = 0, False
    for line in out.read_text().splitlines():
        if line.startswith("fn="):
            inside = line == "fn=replay"
        elif inside and re.fullmatch(rf"{INSIDE} [\d ]+", line):
            # the line, then Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw, without zeros at the end
            numbers = [*map(int, line.split()), *[0] * 9]
            misses += numbers[5] + numbers[8]
    return seconds, misses


def _process_seconds(code: str) -> float:
    """CPU seconds of the second of two processes; the first may have had to compile."""
    begin = 0.0
    for _ in range(2):
        begin = _child_seconds()
        subprocess.run([sys.executable, "-c", code], check=True)
    return _child_seconds() - begin


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
