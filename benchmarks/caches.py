"""How fast traces and caches are, and how that compares with libcachesim on the same trace in the same run.

CPU time on one core, after compilation; the least of a few. Run by hand: python benchmarks/caches.py [accesses]
"""

from __future__ import annotations

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
from iosim.caches.model import Cache
from iosim.caches.simulation import simulation
from iosim.problem import Problem
from iosim.trace_files import write_trace
from iosim.traces.expand import Expansion, Piece
from iosim.traces.form import Place

ADDRESSES = 100_000
TARGETS = {"lru": 100, "fifo": None, "opt": 30}  # million accesses a second
THEIRS = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "opt": libcachesim.Belady}


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
        print(f"trace of flash2, M = {M:,}: {words / seconds / 1e6:7.0f} M words/s (target 50)")
    print()
    for name, addresses, places in traces(length):
        reads = Piece(addresses, np.zeros(len(addresses), dtype=np.uint8))
        words = max(place.start + place.words for place in places) // 10
        print(f"{name}; {len(addresses):,} reads, a cache of {words:,} words; million accesses/s:")
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "trace.oracleGeneral")
            write_trace(path, [reads], places, 2)
            for policy, target in TARGETS.items():
                _compare(policy, target, reads, places, words, path)
        simulation(Cache(words=words), places).feed(reads)
        seconds = cpu_seconds(lambda: curve("lru", places, [reads]))  # noqa: B023
        print(f"  whole LRU curve {len(addresses) / seconds / 1e6:7.1f} (target 15)")
        some = Piece(reads.addresses[: length // 20], reads.kinds[: length // 20])
        seconds = cpu_seconds(lambda: curve("opt", places, [some]), 1)  # noqa: B023
        print(f"  whole OPT curve {len(some.addresses) / seconds / 1e6:7.1f} (on {len(some.addresses):,} of them)\n")
    plan = registry.find("flash2").best(Problem(n=65536, d=64), 50_000)
    for policy in ("lru", "fifo"):
        cache = Cache(words=50_000, policy=policy)
        seconds = cpu_seconds(lambda: Forward(plan.program, plan.sizes, cache).count(), 1)  # noqa: B023
        accesses = Forward(plan.program, plan.sizes, cache).count().accesses
        print(f"fast-forward, flash2 at n = 65,536, M = 50,000, {policy}: {accesses:,} accesses in {seconds:.2f} s")


def _compare(policy: str, target: int | None, reads: Piece, places: tuple[Place, ...], words: int, path: str) -> None:
    cache = Cache(words=words, policy=policy)
    ours = simulation(cache, places)
    ours.feed(reads)
    misses = int(ours.counters[:, 3].sum())
    seconds = cpu_seconds(lambda: simulation(cache, places).feed(reads))
    ratio = 0.0

    def theirs() -> None:
        nonlocal ratio
        reader = libcachesim.TraceReader(trace=path, trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE)
        ratio, _ = THEIRS[policy](cache_size=words).process_trace(reader)

    other = cpu_seconds(theirs, 1)
    equal = "the same misses" if round(ratio * len(reads.addresses)) == misses else "OTHER MISSES"
    speed, speed_other = len(reads.addresses) / seconds / 1e6, len(reads.addresses) / other / 1e6
    aim = f" (target {target})" if target else ""
    ratios = f"libcachesim {speed_other:5.1f}, ratio {speed / speed_other:5.1f}"
    print(f"  {policy:4} {speed:7.0f}{aim}, {ratios}; {equal}: {misses:,}")


if __name__ == "__main__":
    main()
