"""How fast the core is: counting at n = 2^40, legality, tuning. Beside others: benchmarks/peers.py.

CPU time on one core, the least of a few. Run by hand: python -m benchmarks.core
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.clock import cpu_seconds
from iosim import registry
from iosim.interpret.count import count
from iosim.interpret.legality import violations
from iosim.problem import Problem
from iosim.tuning.tune import exact_algorithms, tune


def main() -> None:
    print(f"{'one-row tiles, d = 64':32} {'count at n = 2^40':>18} {'legality at n = 65,536':>24}")
    for algorithm in registry.algorithms().values():
        for form in algorithm.forms():
            if algorithm.approximate or algorithm.name not in {"standard", "flash1", "flash2"}:
                continue
            sizes = dict.fromkeys(form.program.sizes, 1) | {"n": 2**40, "d": 64}
            counting = cpu_seconds(lambda: count(form.program, sizes), 50)  # noqa: B023
            checking = cpu_seconds(lambda: violations(form.program, sizes | {"n": 65536}), 3)  # noqa: B023
            print(f"{algorithm.name + ' ' + form.schedule:32} {1e3 * counting:15.3f} ms {1e3 * checking:21.1f} ms")

    square = Problem(n=65536, d=64)
    print(f"\n{'fewest words, n = 65,536, d = 64':32} {'in 200 M':>18} {'a point':>24}")
    for title, chosen, asked in (
        ("all exact algorithms", exact_algorithms(square), square),
        ("approx, degree 2", [registry.find("approx")], replace(square, degree=2)),
    ):
        points: list[int] = []
        seconds = cpu_seconds(lambda: points.append(len(tune(asked, chosen).points)), 1)  # noqa: B023
        print(f"{title:32} {seconds:12.2f} s CPU {1e3 * seconds / points[0]:21.1f} ms")


if __name__ == "__main__":
    main()
