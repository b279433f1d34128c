"""How fast the core is: counting at n = 2^40, `iosim --help`, legality, tuning, and the numeric path against numpy.

Run by hand: python benchmarks/core.py [n]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations_with_replacement
from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from iosim import registry
from iosim.inputs import AttentionInput, random_input
from iosim.interpret.count import count
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.minimax import minimax_exp
from iosim.problem import Problem
from iosim.tune import exact_algorithms, tune

Array = NDArray[np.float64]


def median_seconds(work: Callable[[], object], times: int) -> float:
    """Median wall time of `work`."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def help_cpu_seconds() -> float:
    """CPU time of `iosim --help`, user and system, the least of five."""
    best = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "iosim", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def plain_numpy(data: AttentionInput, coefficients: tuple[float, ...], rows: int) -> Array:
    """Polynomial attention of degree 2 as one would write it in numpy: all features of a chunk of rows, two products."""
    Q, K, V = data.Q[0], data.K[0], data.V[0]
    n, d = Q.shape
    pairs = np.array(list(combinations_with_replacement(range(d), 2)))
    twice = np.where(pairs[:, 0] == pairs[:, 1], 1.0, 2.0)
    weights = np.concatenate(
        [[coefficients[0]], np.full(d, coefficients[1] / d**0.5), coefficients[2] * twice * factorial(2) / 2 / d]
    )

    def features(x: Array) -> Array:
        return np.concatenate([np.ones((len(x), 1)), x, x[:, pairs[:, 0]] * x[:, pairs[:, 1]]], axis=1)

    ones = np.concatenate([V, np.ones((n, 1))], axis=1)
    W = np.zeros((comb(d + 2, 2), d + 1))
    for start in range(0, n, rows):
        W += features(K[start : start + rows]).T @ ones[start : start + rows]
    W *= weights[:, None]
    O = np.empty((n, d))
    for start in range(0, n, rows):
        sums = features(Q[start : start + rows]) @ W
        O[start : start + rows] = sums[:, :-1] / sums[:, -1:]
    return O


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 65536
    print(f"iosim --help: {help_cpu_seconds():.3f} s of CPU (limit 0.15)")
    print(f"\n{'one-row tiles, d = 64':32} {'count at n = 2^40':>18} {'legality at n = 65,536':>24}")
    for algorithm in registry.algorithms().values():
        for form in algorithm.forms():
            if algorithm.approximate or algorithm.name not in {"standard", "flash1", "flash2"}:
                continue
            sizes = dict.fromkeys(form.program.sizes, 1) | {"n": 2**40, "d": 64}
            counting = median_seconds(lambda: count(form.program, sizes), 50)  # noqa: B023
            checking = median_seconds(lambda: violations(form.program, sizes | {"n": 65536}), 3)  # noqa: B023
            print(f"{algorithm.name + ' ' + form.schedule:32} {1e3 * counting:15.3f} ms {1e3 * checking:21.1f} ms")

    square = Problem(n=65536, d=64)
    print(f"\n{'fewest words, n = 65,536, d = 64':32} {'in 200 M':>18} {'a point':>24}")
    for title, chosen, asked in (
        ("all exact algorithms", exact_algorithms(square), square),
        ("approx, degree 2", [registry.find("approx")], replace(square, degree=2)),
    ):
        begin = time.process_time()
        points = len(tune(asked, chosen).points)
        seconds = time.process_time() - begin
        print(f"{title:32} {seconds:12.2f} s CPU {1e3 * seconds / points:21.1f} ms")

    polynomial = minimax_exp(2, 1.0)
    data = random_input(n, 64)
    problem = Problem(n=n, d=64, degree=2, weights=polynomial.coefficients)
    plan = registry.find("approx").best(problem, 50_000)
    inputs = {"Q": data.Q[0], "K": data.K[0], "V": data.V[0]}
    begin = time.perf_counter()
    ours = execute(plan.program, plan.executed, inputs)["O"]
    middle = time.perf_counter()
    plain = plain_numpy(data, polynomial.coefficients, plan.executed["N"])
    end = time.perf_counter()
    print(f"\nnumeric path, n = {n:,}, d = 64, degree 2, M = 50,000 words ({plan.schedule}, NC = {plan.tiles['NC']}):")
    print(f"  the program, tile by tile  {middle - begin:6.2f} s")
    print(
        f"  plain numpy, all columns   {end - middle:6.2f} s   ratio {(middle - begin) / (end - middle):.2f} (limit 3)"
    )
    print(f"  greatest difference        {np.max(np.abs(ours - plain)):.2e}")


if __name__ == "__main__":
    main()
