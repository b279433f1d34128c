"""`iosim kernel`: from what a user types to Triton kernels, what a GPU needs for them, and what they move, counted.

Rows and columns that a schedule lets pass one at a time pass in longer pieces here, so that matrix units have something to
multiply: the same words move, and more of them wait in fast memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iosim import request
from iosim.algorithm import Algorithm, Best
from iosim.display import Result
from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.interpret.triton import FORMATS, Kernels, lower
from iosim.machines import MACHINES, Machine, Multiprocessor, check_launch
from iosim.numeric.layouts import laid_out
from iosim.plan import Plan, fewest
from iosim.problem import Problem
from iosim.progress import Progress, silent
from iosim.refusals import missing
from iosim.tiled import Tiled
from iosim.units import Dtype, words_to_bytes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from iosim.lowering.counted import Counted
    from iosim.lowering.resources import Resources

_ROWS = 64  # that pass at a time
_ROWS_OF_FEATURES = 16  # the same, where each row becomes hundreds of features
_ROUNDING = {"fp32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8}  # most by which rounding changes a number, relatively
_MOST_COUNTED = 20_000  # iterations of loops: the interpreter takes about a millisecond for each


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRun(Result):
    """The kernels of a plan, and what is known of them.

    Attributes:
        plan: what was chosen.
        problem: what is computed.
        sizes: of the kernels: those of the plan, but for pieces that pass.
        dtype: of inputs and outputs.
        kernels: the source, its arrays and launches.
        loads, stores: words that the program moves at these sizes, by array.
        peak_words: most words of fast memory live at once at these sizes.
        target: compute capability of a GPU, if the kernels were compiled for one.
        compiled: what each launch needs there.
        counted: what the kernels moved in Triton's interpreter, if they ran there.
        error: most by which an output is off what the program computes in float64, in parts of the largest output.
    """

    plan: Plan
    problem: Problem
    sizes: Mapping[str, int]
    dtype: Dtype
    kernels: Kernels
    loads: Mapping[str, int]
    stores: Mapping[str, int]
    peak_words: int
    target: str | None = None
    compiled: tuple[Resources, ...] = ()
    counted: Counted | None = None
    error: float | None = None

    @property
    def source(self) -> str:
        """A whole Python module."""
        return self.kernels.source

    @property
    def machines(self) -> tuple[Machine, ...]:
        """GPUs of that compute capability; the fast memory of a multiprocessor is the same in all of them."""
        return tuple(m for m in MACHINES if m.capability is not None and f"sm_{m.capability}" == self.target)

    @property
    def multiprocessor(self) -> Multiprocessor:
        """One of those GPUs'."""
        sm = self.machines[0].multiprocessor
        assert sm is not None
        return sm

    @property
    def moves_agree(self) -> bool | None:
        """Whether the kernels moved, array by array, what the program moves; None if they did not run."""
        if self.counted is None:
            return None
        return dict(self.loads) == dict(self.counted.loads) and dict(self.stores) == dict(self.counted.stores)

    @property
    def allowed_error(self) -> float:
        """Of values: a few roundings to the number format of the data, and some hundred of the sums in fp32."""
        return 16 * _ROUNDING[self.dtype.name] + 256 * _ROUNDING["fp32"]

    @property
    def values_agree(self) -> bool | None:
        """Whether the kernels computed what the program computes; None if they did not run."""
        return None if self.error is None else self.error <= self.allowed_error

    @property
    def holds(self) -> bool:
        """Whether nothing that was looked at is wrong."""
        return self.moves_agree is not False and self.values_agree is not False

    def bytes_moved(self) -> int:
        """By the program, each array in its own number format."""
        word_bytes = self.kernels.word_bytes
        return sum(words * word_bytes[name] for moved in (self.loads, self.stores) for name, words in moved.items())

    def report(self) -> RenderableType:
        from iosim.lowering.report import kernel_report

        return kernel_report(self)

    def to_dict(self) -> dict[str, object]:
        found: dict[str, object] = {
            "algorithm": self.plan.algorithm,
            "schedule": self.plan.schedule,
            "sizes": dict(self.sizes),
            "dtype": self.dtype.name,
            "loads_words_by_array": dict(self.loads),
            "stores_words_by_array": dict(self.stores),
            "io_bytes": self.bytes_moved(),
            "peak_words": self.peak_words,
            "peak_bytes": words_to_bytes(self.peak_words, self.dtype),
            "arrays": [
                {"name": p.name, "shape": list(p.shape), "dtype": p.dtype, "role": p.role}
                for p in self.kernels.parameters
            ],
            "launches": [
                {
                    "kernel": launch.function,
                    "programs": math.prod(launch.grid),
                    "num_warps": launch.num_warps,
                    "num_stages": launch.num_stages,
                    "arguments": list(launch.parameters),
                }
                for launch in self.kernels.launches
            ],
            "source_code": self.source,
        }
        if self.compiled:
            found["target"] = self.target
            found["machines"] = [machine.name for machine in self.machines]
            found["fast_memory_bytes_per_sm"] = self.machines[0].fast_bytes
            found["compiled"] = [
                {
                    "kernel": launch.function,
                    "threads": one.threads,
                    "registers_per_thread": one.registers_per_thread,
                    "spilled_bytes_per_thread": one.spilled_bytes_per_thread,
                    "shared_bytes": one.shared_bytes,
                    "on_chip_bytes": one.on_chip_bytes,
                    "programs_per_sm": one.at_once(self.multiprocessor),
                }
                for launch, one in zip(self.kernels.launches, self.compiled, strict=True)
            ]
        if self.counted is not None:
            found["counted"] = {
                "loads_words_by_array": dict(self.counted.loads),
                "stores_words_by_array": dict(self.counted.stores),
                "constants_words_by_array": dict(self.counted.constants),
                "relative_error": self.error,
                "allowed_relative_error": self.allowed_error,
                "moves_agree": self.moves_agree,
                "values_agree": self.values_agree,
            }
        return found


def kernel_run(
    algorithm: Algorithm,
    problem: Problem,
    *,
    word: Dtype,
    capacity: int | None = None,
    where: str | None = None,
    tiles: str | Mapping[str, int] = "best",
    schedule: str | None = None,
    num_warps: int | None = None,
    num_stages: int | None = None,
    target: str | None = None,
    counts: bool = False,
    progress: Progress = silent,
) -> KernelRun:
    """The kernels of an algorithm for a problem, compiled and counted if that is asked for.

    Args:
        word: number format of inputs and outputs: fp32, fp16 or bf16.
        capacity: words of fast memory that tiles are chosen for; not needed if `tiles` says all that there is to choose.
        where: what to call the capacity in an error; its words if not given.
        tiles: "best", "paper", or sizes by name; also of pieces that pass.
        schedule: the only one to choose tiles for; None for all.
        num_warps, num_stages: of each launch, as in `iosim.interpret.triton.lower`.
        target: compute capability to compile for, like "sm_90".
        counts: whether to run the kernels in Triton's interpreter.
        progress: told what is going on, and which fraction of it is done.

    Raises:
        UsageError: what can't be used.
        NotLowerable: a statement that no kernel is written for.
    """
    if word.name not in FORMATS:
        raise UsageError(f"--dtype {word}: allowed for kernels: {', '.join(FORMATS)}")
    check_launch(num_warps=num_warps, num_stages=num_stages)
    plan, given = _plan(algorithm, problem, capacity, where, tiles, schedule, word)
    sizes = {**plan.sizes, **pieces(plan, problem, algorithm), **given}
    kernels = lower(plan.program, sizes, dtype=word.name, num_warps=num_warps, num_stages=num_stages, progress=progress)
    moved = count(plan.program, sizes)
    loads, stores = (
        {name: evaluate_int(words, {}) for name, words in found.items() if words != 0}
        for found in (moved.loads, moved.stores)
    )
    compiled: tuple[Resources, ...] = ()
    if target is not None:
        from iosim.lowering.resources import compile_kernels

        compiled = compile_kernels(kernels, target)
    counted, error = None, None
    if counts:
        iterations = sum(evaluate_int(trips, {}) for trips in moved.trips.values())
        if iterations > _MOST_COUNTED:
            raise UsageError(
                f"--count: {iterations:,} iterations of loops, one after the other; allowed: {_MOST_COUNTED:,}, at a "
                "smaller --n or larger --tiles"
            )
        counted, error = _counted(plan, problem, sizes, kernels)
    return KernelRun(
        plan=plan,
        problem=problem,
        sizes=sizes,
        dtype=word,
        kernels=kernels,
        loads=loads,
        stores=stores,
        peak_words=evaluate_int(peak_words(plan.program, sizes), {}),
        target=target,
        compiled=compiled,
        counted=counted,
        error=error,
    )


def _plan(
    algorithm: Algorithm,
    problem: Problem,
    capacity: int | None,
    where: str | None,
    tiles: str | Mapping[str, int],
    schedule: str | None,
    word: Dtype,
) -> tuple[Plan, dict[str, int]]:
    """The plan, and the sizes of pieces that were asked for."""
    passing: dict[str, int] = {}
    if isinstance(tiles, Mapping):
        passing = {name: size for name, size in tiles.items() if name in _passing(algorithm)}
        chosen = {name: size for name, size in tiles.items() if name not in passing}
        if algorithm.takes_polynomial:
            passing, chosen = dict(tiles), {}
        tiles = chosen or "best"
    if capacity is None and isinstance(tiles, str) and not algorithm.takes_polynomial:
        raise missing("--M", like="100KB", instead="tiles like --tiles B_r=128")
    capacity = 2**62 if capacity is None else capacity
    if schedule is None:
        plan = request.choose_plan(algorithm, problem, capacity, tiles, where=where or f"--M {capacity}w", word=word)
    else:
        best = fewest(plan for plan in algorithm.plans(problem, capacity) if plan.schedule == schedule)
        if best is None:
            raise UsageError(f"{algorithm.name} {schedule}: no such schedule fits in {capacity:,} words")
        plan = best.times(problem.instances)
    own = sorted(set(plan.sizes) - set(problem.sizes) - {"instances"})
    for name, size in passing.items():
        if name not in own:
            raise UsageError(
                f"--tiles {name}={size}: {plan.algorithm} ({plan.schedule}) has {', '.join(own) or 'none'}"
            )
    return plan, passing


def _passing(algorithm: Algorithm) -> frozenset[str]:
    """Names of the sizes of pieces that pass, in any of the schedules."""
    match algorithm:
        case Best():
            return frozenset().union(*map(_passing, algorithm.of))
        case Tiled():
            return frozenset(name for schedule in algorithm.schedules for name in schedule.streams)
        case _:
            return frozenset()


def pieces(plan: Plan, problem: Problem, algorithm: Algorithm) -> dict[str, int]:
    """How long the pieces that pass are in a kernel: whole rows, and as many rows as matrix units want."""
    rows = _ROWS_OF_FEATURES if algorithm.takes_polynomial else _ROWS
    return {
        name: size if size in (problem.d, problem.d_v) else min(size, rows)
        for name, size in plan.executed.items()
        if name not in plan.tiles and size != plan.sizes.get(name)
    }


def _counted(plan: Plan, problem: Problem, sizes: Mapping[str, int], kernels: Kernels) -> tuple[Counted, float]:
    """What the kernels move and how far off their outputs are, on random inputs."""
    from iosim.interpret.execute import execute
    from iosim.lowering.counted import run_counted

    inputs = _inputs(plan, problem, sizes, kernels)
    counted = run_counted(kernels, inputs)
    with np.errstate(all="ignore"):
        wanted = execute(plan.program, sizes, inputs)
    error = 0.0
    for name, array in wanted.items():
        apart = np.abs(counted.outputs[name].astype(np.float64) - array).max(initial=0.0)
        error = max(error, float(apart / max(np.abs(array).max(initial=0.0), np.finfo(np.float32).tiny)))
    return counted, error


def _inputs(plan: Plan, problem: Problem, sizes: Mapping[str, int], kernels: Kernels) -> dict[str, np.ndarray]:
    """Random numbers from -1 to 1, rounded to the number format of each array; or what a layout makes of such ones."""
    random = np.random.default_rng(0)
    if plan.layout is None:
        inputs = {p.name: random.uniform(-1, 1, p.shape) for p in kernels.parameters if p.role == "input"}
    else:
        inputs = laid_out(plan, problem, sizes, lambda shape: random.uniform(-1, 1, shape))
    if any(p.dtype == "fp16" for p in kernels.parameters):
        kinds = {p.name: p.dtype for p in kernels.parameters}
        inputs = {
            name: array.astype(np.float16).astype(np.float64) if kinds[name] == "fp16" else array
            for name, array in inputs.items()
        }
    return inputs
