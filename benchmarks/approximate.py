"""Polynomial attention in three tables: best schedule over lower bound, from which n it pays, and which degree is needed.

Run by hand: python -m benchmarks.approximate [tightness|crossover|degrees] [NUMBER]   only rows that begin with it
"""

from __future__ import annotations

import sys
import time

from iosim import monomial_count, tightness
from iosim.approximation.advice import loses_at
from iosim.approximation.minimax import smallest_degree, taylor_degree
from iosim.approximation.payoff import pays_from
from iosim.problem import Problem
from iosim.registry import find

# log2 M, by d and degree
TIGHTNESS = {
    16: {4: (12,)},
    32: {1: (10,), 2: (8, 12), 3: (10, 14), 4: (14, 16)},
    64: {1: (10, 12), 2: (8, 10, 12, 14, 16, 18), 3: (10, 12, 14, 16, 18, 20), 4: (12, 16, 20)},
    128: {1: (12,), 2: (10, 12, 14, 16, 18, 20), 3: (12, 14, 16, 18, 20), 4: (16, 20)},
}
CROSSOVER = {8: (2, 5, 7), 16: (2, 3, 4, 5), 32: (1, 2, 3, 4), 64: (1, 2, 3, 4), 128: (1, 2, 3)}


def ratios(only: float | None) -> None:
    print(f"{'d':>4} {'g':>2} {'log2 M':>6} {'bound/(n d)':>12} {'best/(n d)':>12} {'ratio':>6}  schedule")
    for d, degrees in TIGHTNESS.items():
        for g, powers in degrees.items() if only in (None, d) else ():
            found = tightness(n=2**40, d=d, M=[2**power for power in powers], degree=g)
            for power, point in zip(powers, found.points, strict=True):
                each = (found.over_n_d(words) for words in (point.lower_bound_words, point.io_words))
                words = " ".join(f"{number:>12,.2f}" for number in each)
                print(f"{d:>4} {g:>2} {power:>6} {words} {point.io_over_lower_bound:>6.3f}  {point.choice.schedule}")


def crossover(only: float | None) -> None:
    """n from which it pays, and in brackets the largest n found at which by the lower bound it can't."""
    approx, memories = find("approx"), [2**x for x in (12, 14, 16, 18, 20)]
    print(f"{'d':>4} {'g':>2} {'r':>12}  " + "".join(f"{f'M = {M:,}':>24}" for M in memories))
    for d, degrees in CROSSOVER.items():
        for g in degrees if only in (None, d) else ():
            cells = []
            for M in memories:
                problem = Problem(n=1, d=d, degree=g, coefficients=(1.0,) * (g + 1))
                if not any(approx.plans(problem, M)):
                    cells.append("does not fit")
                    continue
                pays = pays_from(approx, problem, M)
                loses = loses_at(approx, problem, M, pays)
                cells.append(f"{pays:,} [{loses:,}]" if pays and loses else f"{pays}")
            print(f"{d:>4} {g:>2} {problem.features:>12,}  " + "".join(f"{cell:>24}" for cell in cells))


def degrees(only: float | None) -> None:
    print(
        f"{'R':>4} {'eps':>6} {'Taylor':>7} {'minimax':>8} {'reached':>9}"
        + "".join(f"{f'd = {d}':>22}" for d in (32, 64))
    )
    for R in (0.5, 1.0, 2.0, 4.0, 8.0):
        for eps in (1e-1, 1e-2, 1e-3) if only in (None, R) else ():
            p = smallest_degree(eps, R)
            features = "".join(f"{monomial_count(d, p.degree):>22,}" for d in (32, 64))
            print(f"{R:>4} {eps:>6g} {taylor_degree(eps, R):>7} {p.degree:>8} {p.relative_error:>9.1e}{features}")


TABLES = {"tightness": ratios, "crossover": crossover, "degrees": degrees}


def main() -> None:
    names = [word for word in sys.argv[1:] if word in TABLES]
    numbers = [float(word) for word in sys.argv[1:] if word not in TABLES]
    for name in names or TABLES:
        start = time.process_time()
        TABLES[name](numbers[0] if numbers else None)
        print(f"{name}: {time.process_time() - start:.1f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
