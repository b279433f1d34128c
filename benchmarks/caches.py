"""How fast traces and caches are. One cache beside those of others: benchmarks/peers.py.

CPU time on one core, after compilation; the least of a few. Run by hand: python -m benchmarks.caches [accesses]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import cpu_seconds
from iosim import registry
from iosim.caches.curves import curve
from iosim.caches.forward import Forward
from iosim.caches.model import Cache
from iosim.caches.simulation import simulation
from iosim.problem import Problem
from iosim.traces.expand import Expansion, Piece
from iosim.traces.form import Place

ADDRESSES = 100_000


def traces(length: int) -> Iterator[tuple[str, Piece, tuple[Place, ...], int]]:
    """Reads with the words of a cache that has room for a tenth of them.

    They are the uses of attention; random ones, some much more frequent than others, and all equally frequent.
    """
    for name, addresses, places in _addresses(length):
        words = max(place.start + place.words for place in places) // 10
        yield name, Piece(addresses, np.zeros(len(addresses), dtype=np.uint8)), places, words


def _addresses(length: int) -> Iterator[tuple[str, NDArray[np.int64], tuple[Place, ...]]]:
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
        print(f"trace of flash2, M = {M:,}: {words / seconds / 1e6:7.0f} M words/s")
    print()
    for name, reads, places, words in traces(length):
        print(f"{name}; {len(reads.addresses):,} reads, a cache of {words:,} words; million accesses/s:")
        simulation(Cache(words=words), places).feed(reads)
        seconds = cpu_seconds(lambda: curve("lru", places, [reads]), 3)  # noqa: B023
        print(f"  whole LRU curve {len(reads.addresses) / seconds / 1e6:7.1f}")
        some = Piece(reads.addresses[: length // 20], reads.kinds[: length // 20])
        seconds = cpu_seconds(lambda: curve("opt", places, [some]), 1)  # noqa: B023
        print(f"  whole OPT curve {len(some.addresses) / seconds / 1e6:7.1f} (on {len(some.addresses):,} of them)\n")
    plan = registry.find("flash2").best(Problem(n=65536, d=64), 50_000)
    for policy in ("lru", "fifo"):
        cache = Cache(words=50_000, policy=policy)
        seconds = cpu_seconds(lambda: Forward(plan.program, plan.sizes, cache).count(), 1)  # noqa: B023
        accesses = Forward(plan.program, plan.sizes, cache).count().accesses
        print(f"fast-forward, flash2 at n = 65,536, M = 50,000, {policy}: {accesses:,} accesses in {seconds:.2f} s")


if __name__ == "__main__":
    main()
