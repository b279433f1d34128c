"""How fast optimal pebblings are found, and how that compares with a plain search over single moves in the same run.

CPU time on one core, after compilation. Run by hand: python -m benchmarks.pebbling [seconds for each graph]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from iosim.pebbling.families import attention, fft, grid, matmul, polynomial_attention
from iosim.pebbling.graph import Cdag
from iosim.pebbling.search import optimal_pebbling

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the plain search

from tests.pebbles import least_words

# graph, M, whether nothing is computed twice, whether a result may replace an operand
ISSUE = [
    *((attention(2, 2, 1, 1), M, False, False) for M in (3, 4, 5, 6)),
    *((attention(3, 2, 1, 1), M, False, False) for M in (3, 4, 5, 6, 7)),
    *((polynomial_attention(n, n, 1, 1, 1), M, True, True) for M in (3, 4) for n in (3, 4, 5, 6)),
]
LARGE = [
    *((attention(3, 3, 1, 1), M, True, False) for M in (3, 4, 5)),
    *((attention(4, 4, 1, 1), M, one_shot, False) for one_shot in (True, False) for M in (3, 4, 5, 6, 7, 8)),
    *((attention(4, 4, 1, 1), M, True, True) for M in (3, 4, 5)),
    *((attention(5, 4, 1, 1), M, False, False) for M in (3, 6, 7, 8)),
    *((matmul(2, 3, 3), M, True, False) for M in (3, 4, 5)),
    *((matmul(3, 3, 3), M, False, False) for M in (3, 4, 5, 6, 7, 8)),
    *((fft(8).classical(), M, one_shot, False) for one_shot in (True, False) for M in (3, 4, 5, 6)),
    (fft(8), 4, True, False),
    *((grid(6, 6).classical(), M, True, False) for M in (3, 4, 5)),
]
PLAIN = [
    (matmul(1, 2, 2), 3, True, False),
    (attention(1, 2, 1, 1), 3, True, False),
    (grid(3, 3).classical(), 3, True, False),
    (grid(3, 3).classical(), 3, False, False),
]


def main() -> None:
    limit_s = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    optimal_pebbling(matmul(1, 1, 1), 3)  # compiles
    print(
        f"{'graph':<44} {'nodes':>5} {'M':>2} {'rules':<24} {'optimum':>8} {'states':>10} {'seconds':>8} {'states/s':>10}"
    )
    for case in (*ISSUE, *LARGE):
        _search(*case, limit_s)
    print("\nagainst a plain search over single moves, without normal forms, symmetries and estimate:")
    for case in PLAIN:
        _compare(*case)


def _search(graph: Cdag, M: int, one_shot: bool, overwrite: bool, limit_s: float) -> None:
    begin = time.process_time()
    found = optimal_pebbling(graph, M, one_shot=one_shot, overwrite=overwrite, limit_s=limit_s)
    seconds = time.process_time() - begin
    optimum = f">= {found.lower_bound}" if found.optimum is None else str(found.optimum)
    rules = ("nothing twice" if one_shot else "recomputation") + (", overwrite" if overwrite else "")
    print(
        f"{graph.title:<44} {found.graph.size:>5} {M:>2} {rules:<24} {optimum:>8} {found.states:>10,} {seconds:>8.2f} "
        f"{found.states / max(seconds, 1e-9):>10,.0f}",
        flush=True,
    )


def _compare(graph: Cdag, M: int, one_shot: bool, overwrite: bool) -> None:
    begin = time.process_time()
    found = optimal_pebbling(graph, M, one_shot=one_shot, overwrite=overwrite)
    ours = time.process_time() - begin
    begin = time.process_time()
    plain = least_words(graph.trimmed(), M, one_shot=one_shot, overwrite=overwrite)
    other = time.process_time() - begin
    same = "the same optimum" if plain == found.optimum else f"OTHER OPTIMUM {plain}"
    again = "nothing twice" if one_shot else "recomputation"
    print(
        f"  {graph.title}, M = {M}, {again}: {ours:.3f} s, plain {other:.2f} s, {other / ours:,.0f}x; {same}: "
        f"{found.optimum}"
    )


if __name__ == "__main__":
    main()
