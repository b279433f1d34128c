"""How tight the bounds are: best exact schedule over greatest lower bound, M = 2^10 .. 2^22 words, for two problems.

Run by hand: python benchmarks/tightness.py
"""

from __future__ import annotations

from rich.console import Console

from iosim.tightness import tightness, tightness_report

PROBLEMS = ((65536, 64), (16384, 128))
CAPACITIES = [2**power for power in range(10, 23)]


def main() -> None:
    console = Console(width=120, highlight=False)
    for n, d in PROBLEMS:
        rows = list(tightness(n, d, CAPACITIES))
        console.print(f"n = {n:,} queries and keys, d = {d}\n")
        console.print(tightness_report(rows))
        resolved = [row.ratio for row in rows if 4 * d * d <= row.fast_memory_words <= n * d // 32]
        small = [row.ratio for row in rows if row.fast_memory_words < 4 * d * d]
        console.print(f"\nat most {max(resolved):.3f} for 4d^2 <= M <= nd/32, at most {max(small):.3f} for M < 4d^2\n")


if __name__ == "__main__":
    main()
