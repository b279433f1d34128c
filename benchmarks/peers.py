"""How fast iosim is beside others who do a part of it, each with the same answer, measured in one run.

CPU seconds of one thread, the least of a few; a ratio below 1 says that the other is faster. A peer that is not installed
has no time: libcachesim comes with the tests, AccelForge from `pip install accelforge` (Python 3.12 or newer), cachegrind
with valgrind and a C compiler. Not the same work in all: libcachesim reads its trace from a file, where ours is an array;
cachegrind executes a program and counts its instructions as well; AccelForge finds energies and occupancies besides.

Run by hand: python -m benchmarks.peers [--quick]
"""

from __future__ import annotations

import os

for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # before numpy loads it

import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import cachegrind
from benchmarks.clock import cpu_seconds
from iosim import Plan, Problem, count, execute, monomial_count, registry
from iosim.approximation.minimax import minimax_exp
from iosim.caches.model import MISSES, Cache
from iosim.caches.simulation import simulation
from iosim.numeric.inputs import random_input
from iosim.traces.expand import Piece
from iosim.traces.files import write_trace
from iosim.traces.form import Place

Array = NDArray[np.float64]
D = 64
LINE = 16  # words of 4 bytes in 64 bytes


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is asked of both sides."""

    counted: int  # queries and keys of the program that is counted
    reads: int  # of a trace
    executed: int  # queries and keys of the program that is executed
    times: int  # that each is measured


FULL = Sizes(counted=65_536, reads=10_000_000, executed=65_536, times=3)
QUICK = Sizes(counted=2_048, reads=100_000, executed=2_048, times=1)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One question that iosim and a peer answer. Units: CPU seconds."""

    question: str
    peer: str
    ours: float
    theirs: float | None  # None: it is not installed
    answer: str


def installed(package: str) -> str | None:
    """The package with its version, if it is there."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def same(answer: str, ours: float, theirs: float) -> str:
    """What both found, or that they differ."""
    return answer if ours == theirs else f"OTHER {answer}: {ours:,} here, {theirs:,} there"


# Counting: FlashAttention-2's order, rows of Q and O stay, K and V pass by row by row.


def counting(sizes: Sizes) -> Iterator[Row]:
    n, rows = sizes.counted, 128
    plan = registry.find("flash2").explicit(Problem(n=n, d=D), {"B_r": rows, "B_c": 1})
    words = plan.io_words
    ours = cpu_seconds(lambda: [count(plan.program, plan.sizes).io_words for _ in range(100)], sizes.times) / 100
    question = f"words of flash2, n = {n:,}"
    seconds = cpu_seconds(partial(loops, n, rows), sizes.times)
    answer = same("the same words", words, loops(n, rows))
    yield Row(question=question, peer="loops in Python", ours=ours, theirs=seconds, answer=answer)
    name, theirs = installed("accelforge"), None
    if name:
        spec = accelforge_spec(n, rows)
        theirs = cpu_seconds(spec.evaluate_mapping, sizes.times + 1)
        answer = same("the same words", words, float(spec.evaluate_mapping().energy()) / 16)
    yield Row(question=question, peer=name or "accelforge", ours=ours, theirs=theirs, answer=answer)


def loops(n: int, rows: int) -> int:
    """The same words, one tile of K and V after the other."""
    words = 0
    for start in range(0, n, rows):
        words += 2 * min(rows, n - start) * D  # Q, O
        for _ in range(n):
            words += D  # K
            words += D  # V
    return words


def accelforge_spec(n: int, rows: int) -> Any:
    """The two products in that order for AccelForge, where a bit from or to slow memory has an energy of 1, all else 0."""
    import accelforge

    accelforge.set_n_parallel_jobs(1)

    def memory(name: str, energy: int, keep: str) -> str:
        actions = ", ".join(f"{{name: {a}, energy: {energy}, throughput: inf, latency: 0}}" for a in ("read", "write"))
        return f"!Memory {{name: {name}, size: inf, leak_power: 0, area: 0, tensors: {keep}, actions: [{actions}]}}"

    def einsum(name: str, output: str, column: str, **inputs: str) -> str:
        accesses = "".join(f"{{name: {array}, projection: [{axes}]}}, " for array, axes in inputs.items())
        weight = next(array for array in inputs if array in "KV")
        names = f"weight: {weight}, input: {'Q' if weight == 'K' else 'S'}, output: {output}"
        accesses += f"{{name: {output}, projection: [i, {column}], output: True}}"
        return f"{{name: {name}, renames: {{{names}}}, tensor_accesses: [{accesses}]}}"

    def nest(name: str, *inner: str) -> str:
        steps = [f"!Temporal {{rank_variable: {axis}, tile_shape: 1}}" for axis in inner]
        return f"!Nested {{nodes: [{', '.join(steps)}, !Compute {{einsum: {name}, component: Unit}}]}}"

    text = f"""
arch:
  nodes:
  - {memory("Slow", 1, "{keep: ~Intermediates, may_keep: All}")}
  - {memory("Fast", 0, "{keep: All}")}
  - !Compute
    {{name: Unit, leak_power: 0, area: 0, actions: [{{name: compute, energy: 0, throughput: 1, latency: 0}}]}}
workload:
  iteration_space_shape: {{i: 0 <= i < {n}, j: 0 <= j < {n}, l: 0 <= l < {D}, v: 0 <= v < {D}}}
  bits_per_value: {{All: 16}}
  einsums:
  - {einsum("Scores", "S", "j", Q="i, l", K="j, l")}
  - {einsum("Values", "O", "v", S="i, j", V="j, v")}
mapping:
  nodes:
  - !Storage {{tensors: [Q, K, V, O], component: Slow}}
  - !Temporal {{rank_variable: i, tile_shape: {rows}}}
  - !Storage {{tensors: [Q, O], component: Fast}}
  - !Temporal {{rank_variable: j, tile_shape: 1}}
  - !Storage {{tensors: [K, V, S], component: Fast}}
  - !Sequential
    nodes:
    - {nest("Scores", "i", "j", "l")}
    - {nest("Values", "i", "j", "v")}
"""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return accelforge.Spec.from_yaml(file.name)


# Caches: the same trace for both.

FIRST_OURS = """
import numpy as np
from iosim.caches.model import MISSES, Cache
from iosim.caches.simulation import simulate
from iosim.traces.expand import Piece
from iosim.traces.form import Place
simulate([Cache(words=10)], (Place("A", 0, 100, False),), [Piece(np.arange(1000) % 100, np.zeros(1000, np.uint8))])
"""
FIRST_THEIRS = """
import libcachesim
cache = libcachesim.LRU(cache_size=10)
for number in range(1000):
    request = libcachesim.Request()
    request.obj_id, request.obj_size = number % 100, 1
    cache.get(request)
"""


def caches(sizes: Sizes) -> Iterator[Row]:
    from benchmarks.caches import traces

    compiled = Piece(np.arange(8), np.zeros(8, dtype=np.uint8))
    for name, reads, places, words in traces(sizes.reads):
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "trace.oracleGeneral")
            write_trace(path, [reads], places, 2)
            for policy in ("lru", "fifo", "opt"):
                cache = Cache(words=words, policy=policy)
                simulated(cache, places, compiled)
                misses = int(simulated(cache, places, reads).counters[:, MISSES].sum())
                ours = cpu_seconds(lambda: simulated(cache, places, reads), sizes.times)  # noqa: B023
                missed: list[int] = []
                theirs = cpu_seconds(lambda: missed.append(libcachesim_misses(policy, words, path)), 1)  # noqa: B023
                yield Row(
                    question=f"{policy.upper()}, {len(reads.addresses):,} reads, {name.partition(',')[0]}",
                    peer=str(installed("libcachesim")),
                    ours=ours,
                    theirs=theirs,
                    answer=same("the same misses", misses, round(missed[0] * len(reads.addresses))),
                )
    yield uniform_reads(sizes)
    ours, theirs = (
        cpu_seconds(lambda: subprocess.run([sys.executable, "-c", text], check=True), sizes.times + 1)  # noqa: B023
        for text in (FIRST_OURS, FIRST_THEIRS)
    )
    peer = str(installed("libcachesim"))
    yield Row(question="LRU, 1,000 reads, in a new process", peer=peer, ours=ours, theirs=theirs, answer="")


def simulated(cache: Cache, places: tuple[Place, ...], piece: Piece) -> Any:
    """A simulation of the whole trace."""
    found = simulation(cache, places)
    found.feed(piece)
    found.finish()
    return found


def libcachesim_misses(policy: str, words: int, path: str) -> float:
    """The share of the reads that miss."""
    import libcachesim

    policies = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "opt": libcachesim.Belady}
    reader = libcachesim.TraceReader(trace=path, trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    ratio, _ = policies[policy](cache_size=words).process_trace(reader)
    return float(ratio)


def uniform_reads(sizes: Sizes) -> Row:
    """Reads at pseudo-random words, of which cachegrind needs a program that does them, and no other."""
    words, lines, reads = 4_096, 64, sizes.reads
    states = np.empty(reads, dtype=np.uint64)
    state = 1
    for block in range(0, reads, 2**16):  # x <- a x + c; powers of a and their sums give a block at once
        length = min(2**16, reads - block)
        states[block : block + length] = _powers(length) * np.uint64(state) + _sums(length)
        states[block : block + length] &= np.uint64(2**32 - 1)
        state = int(states[block + length - 1])
    addresses = ((states >> np.uint64(16)) % np.uint64(words)).astype(np.int64)
    places = (Place("m", 0, words, False),)
    cache = Cache(words=lines * LINE, line=LINE)
    piece = Piece(addresses, np.zeros(reads, dtype=np.uint8))
    misses = int(simulated(cache, places, piece).counters[:, MISSES].sum())
    ours = cpu_seconds(lambda: simulated(cache, places, piece), sizes.times)
    question = f"LRU with lines, {reads:,} reads, uniform"
    if not cachegrind.there():
        return Row(question=question, peer="cachegrind", ours=ours, theirs=None, answer="")
    step = f"y = {_A}u * y + {_C}u; x += m[(y >> 16) % {words}];"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "reads"
        cachegrind.compiled(f"unsigned y = 1;\nfor (unsigned k = 0; k < {reads}u; k++) {{ {step} }}", words, program)
        theirs = cpu_seconds(lambda: cachegrind.run(program, lines, lines), 1)
        _, missed, *_ = cachegrind.counts(program)
    answer = same("the same misses", misses, missed)
    return Row(question=question, peer=f"cachegrind, {cachegrind.version()}", ours=ours, theirs=theirs, answer=answer)


_A, _C = 1_664_525, 1_013_904_223  # of a linear congruential generator modulo 2^32


def _powers(length: int) -> NDArray[np.uint64]:
    """a^1 .. a^length modulo 2^32."""
    return np.multiply.accumulate(np.full(length, _A, dtype=np.uint32)).astype(np.uint64)


def _sums(length: int) -> NDArray[np.uint64]:
    """c (1 + a + .. + a^(k-1)) for k = 1 .. length, modulo 2^32."""
    powers = np.concatenate([np.ones(1, dtype=np.uint64), _powers(length - 1)])
    return (np.add.accumulate(powers.astype(np.uint32), dtype=np.uint32) * np.uint32(_C)).astype(np.uint64)


# Numbers: polynomial attention of degree 2, tile by tile, against two products with all features of many rows.


def numbers(sizes: Sizes) -> Iterator[Row]:
    polynomial, data = minimax_exp(2, 1.0), random_input(sizes.executed, D)
    problem = Problem(n=sizes.executed, d=D, degree=2, coefficients=polynomial.coefficients)
    plan: Plan = registry.find("approx").best(problem, 50_000)
    inputs = {"Q": data.Q[0], "K": data.K[0], "V": data.V[0]}
    ours = cpu_seconds(lambda: execute(plan.program, plan.executed, inputs), sizes.times)
    coefficients = polynomial.coefficients
    theirs = cpu_seconds(lambda: plain_numpy(inputs, coefficients, plan.executed["N"]), sizes.times)
    difference = np.max(
        np.abs(
            execute(plan.program, plan.executed, inputs)["O"] - plain_numpy(inputs, coefficients, plan.executed["N"])
        )
    )
    yield Row(
        question=f"O of approx, n = {sizes.executed:,}",
        peer=f"numpy {np.__version__}",
        ours=ours,
        theirs=theirs,
        answer=f"within {10.0 ** np.ceil(np.log10(difference)):.0e}",
    )


def plain_numpy(inputs: dict[str, Array], coefficients: tuple[float, ...], rows: int) -> Array:
    """Polynomial attention of degree 2 as one would write it in numpy: all features of a chunk of rows, two products."""
    Q, K, V = inputs["Q"], inputs["K"], inputs["V"]
    n, d = Q.shape
    pairs = np.array(list(combinations_with_replacement(range(d), 2)))
    twice = np.where(pairs[:, 0] == pairs[:, 1], 1.0, 2.0)
    weights = np.concatenate([[coefficients[0]], np.full(d, coefficients[1] / d**0.5), coefficients[2] * twice / d])

    def features(x: Array) -> Array:
        return np.concatenate([np.ones((len(x), 1)), x, x[:, pairs[:, 0]] * x[:, pairs[:, 1]]], axis=1)

    ones = np.concatenate([V, np.ones((n, 1))], axis=1)
    W = np.zeros((monomial_count(d, 2), d + 1))
    for start in range(0, n, rows):
        W += features(K[start : start + rows]).T @ ones[start : start + rows]
    W *= weights[:, None]
    O = np.empty((n, d))
    for start in range(0, n, rows):
        sums = features(Q[start : start + rows]) @ W
        O[start : start + rows] = sums[:, :-1] / sums[:, -1:]
    return O


# The command line: what `--help` takes, each as a module of this Python.


def helps(sizes: Sizes) -> Iterator[Row]:
    def seconds(name: str) -> float:
        command = [sys.executable, "-m", name, "--help"]
        return cpu_seconds(lambda: subprocess.run(command, check=True, capture_output=True), sizes.times + 2)

    ours = seconds("iosim")
    for name in ("ruff", "pytest", "jupytext", "dask", "mypy"):
        there = installed(name)
        theirs = seconds(name) if there else None
        yield Row(question="--help", peer=there or name, ours=ours, theirs=theirs, answer="")


def table(rows: list[Row]) -> Iterator[str]:
    """One line a row, and what to take from it."""
    yield f"{'':44} {'iosim s':>9} {'peer s':>9} {'ratio':>9}  peer"
    for row in rows:
        theirs, ratio = ("-", "-") if row.theirs is None else (f"{row.theirs:.3g}", f"{row.theirs / row.ours:,.2f}")
        said = f"; {row.answer}" if row.answer and row.theirs is not None else ""
        yield f"{row.question:44} {row.ours:9.3g} {theirs:>9} {ratio:>9}  {row.peer}{said}"
    lost = [row for row in rows if row.theirs is not None and row.theirs < row.ours]
    yield "\nslower than its peer:"
    yield from (f"  {row.question} ({row.peer})" for row in lost)


def machine() -> str:
    """What this was measured on."""
    model = platform.machine()
    if Path("/proc/cpuinfo").exists():
        model = (re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) or [model])[0]
    return f"{model}, one thread; Python {platform.python_version()}; CPU seconds"


def main(arguments: list[str]) -> None:
    sizes = QUICK if "--quick" in arguments else FULL
    rows = [row for part in (counting, caches, numbers, helps) for row in part(sizes)]
    print(machine())
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
