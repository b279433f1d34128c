"""Which tiles fit in a processor? What a block of threads needs of shared memory and of registers, against what it has.

A program's tiles are of two kinds. Those that are *loaded* (of Q, K, V) are what a kernel keeps in shared memory, in the
number format of the data. Those that are *created* (scores, sums, statistics) are what it keeps in registers, in fp32. With
a software pipeline of several stages, every tile that is loaded in an inner loop is there that many times, and all of them
at once. Triton's "out of resource: shared memory, Required: ..., Hardware limit: ..." is about the first kind.

Held against Triton 3.9 and a kernel in FlashAttention-2's order, compiled with many tiles: for compute capability 9.0 it
needs that to the byte; for 8.0 to 8.9 to the byte with one stage and at most that with more, as it may keep Q in registers.
For other processors nothing was compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, assert_never

from iosim.algorithm import Algorithm
from iosim.display import Result, pairs
from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import peak_words
from iosim.interpret.tiles import tiles_of
from iosim.loops import row_values, tile_values
from iosim.machines import Machine, check_launch
from iosim.plan import Scheduled
from iosim.problem import Problem
from iosim.program import Alloc, Compute, Free, Load, Loop, Statement, Store, TableLoop
from iosim.tiled import Schedule, Tiled
from iosim.units import Dtype, words_to_bytes

if TYPE_CHECKING:
    from rich.console import RenderableType

BLOCKS = (16, 32, 64, 128, 256)  # rows of a tile: matrix units take at least 16
_REGISTER_BYTES = 4  # of a word that is created: sums are in fp32
_SHOWN = 20
_EXACT, _AT_MOST = ("90",), ("80", "86", "89")  # compute capabilities that were held against Triton


@dataclass(frozen=True, slots=True, kw_only=True)
class TileNeed(Scheduled):
    """What a block of threads holds with some tiles.

    Attributes:
        algorithm, schedule: whose program it is.
        tiles: all tile sizes.
        io_words: the exact traffic of the program, for all heads.
        shared_bytes: loaded tiles, in the number format of the data, those of inner loops once for each stage.
        register_bytes: created tiles, in fp32.
    """

    algorithm: str
    schedule: str
    tiles: Mapping[str, int]
    io_words: int
    shared_bytes: int
    register_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTiles(Result):
    """Tiles and what they need, against what a processor has.

    Attributes:
        machine: the processor.
        problem: what is computed.
        dtype: of the data.
        num_stages: of the software pipeline.
        needs: fewest words first.
    """

    machine: Machine
    problem: Problem
    dtype: Dtype
    num_stages: int
    needs: tuple[TileNeed, ...]

    @property
    def shared_limit(self) -> int:
        """Shared memory that a block can have. Units: bytes."""
        assert self.machine.shared_bytes_per_block is not None
        return self.machine.shared_bytes_per_block

    @property
    def register_limit(self) -> int:
        """Registers of a multiprocessor, all of which one block can have. Units: bytes."""
        assert self.machine.register_bytes_per_sm is not None
        return self.machine.register_bytes_per_sm

    @property
    def exact(self) -> bool:
        """Whether a kernel needs the shared memory that is said, not perhaps less."""
        return self.num_stages == 1 or self.machine.capability not in _AT_MOST

    @property
    def note(self) -> str:
        """What the bytes of shared memory were held against."""
        if self.machine.capability in (*_AT_MOST, *_EXACT):
            needs = "exactly" if self.exact else "at most"
            return f"Triton 3.9 needs {needs} this shared memory for a kernel in FlashAttention-2's order"
        return f"not held against a compiler for {self.machine.title}: it may need more, or less"

    def why_not(self, need: TileNeed) -> str | None:
        """What is out of resource, as compilers say it; None if the tiles fit."""
        short = [
            f"out of {what}: required {required:,} B, hardware limit {limit:,} B"
            for what, required, limit in (
                ("shared memory", need.shared_bytes, self.shared_limit),
                ("registers", need.register_bytes, self.register_limit),
            )
            if required > limit
        ]
        return (
            "; ".join(short).replace("memory: required", f"memory: required{'' if self.exact else ' at most'}") or None
        )

    @property
    def fitting(self) -> tuple[TileNeed, ...]:
        return tuple(need for need in self.needs if self.why_not(need) is None)

    def rows(self) -> list[dict[str, object]]:
        """All tiles, as rows of a table."""
        return [{**row, "tiles": json.dumps(row["tiles"])} for row in self._listed()]

    def _listed(self) -> list[dict[str, object]]:
        return [
            {
                "algorithm": need.algorithm,
                "schedule": need.schedule,
                "tiles": dict(need.tiles),
                "io_words": need.io_words,
                "shared_bytes": need.shared_bytes,
                "register_bytes": need.register_bytes,
                "fits": self.why_not(need) is None,
                "why_not": self.why_not(need),
            }
            for need in self.needs
        ]

    def to_dict(self) -> dict[str, object]:
        return {
            "machine": self.machine.name,
            "machine_title": self.machine.title,
            "source": self.machine.source,
            "shared_bytes_per_block": self.shared_limit,
            "register_bytes_per_sm": self.register_limit,
            "n": self.problem.n,
            "d": self.problem.d,
            "d_v": self.problem.d_v,
            "dtype": self.dtype.name,
            "num_stages": self.num_stages,
            "note": self.note,
            "points": self._listed(),
        }

    def report(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from iosim.terminal import problem_text, table

        facts = [
            ("machine", f"{self.machine.title} ({self.machine.source})"),
            ("a block has", f"{self.shared_limit:,} B of shared memory, {self.register_limit:,} B of registers"),
            (
                "problem",
                f"{problem_text(self.problem)}, {self.dtype}, {self.num_stages} stage{'s' * (self.num_stages > 1)}",
            ),
        ]
        rows = [("traffic", "shared B", "register B", "schedule", "tiles", "")]
        fitting, rest = self.fitting, [need for need in self.needs if self.why_not(need)]
        for need in (*fitting[:_SHOWN], *rest[: max(0, min(_SHOWN - len(fitting), 5))]):
            tiles = ", ".join(f"{name} = {value:,}" for name, value in need.tiles.items())
            cells = (f"{need.io_words:,}", f"{need.shared_bytes:,}", f"{need.register_bytes:,}")
            rows.append((*cells, need.title, tiles, self.why_not(need) or "fits"))
        counted = f"{len(fitting)} of {len(self.needs)} fit"
        best = f"; the fewest words: {fitting[0].io_words:,}" if fitting else ""
        lines = [Text(), table(rows, left=(3, 4, 5)), Text(), Text(counted + best), Text(self.note)]
        return Group(pairs(facts, indent=0), *lines)


def gpu_tiles(
    machine: Machine,
    problem: Problem,
    algorithms: Sequence[Algorithm],
    *,
    word: Dtype,
    num_stages: int = 1,
    tiles: Mapping[str, int] | None = None,
    where: str = "--gpu",
) -> GpuTiles:
    """Which tiles fit in a processor.

    Args:
        machine: the processor.
        problem: what is computed.
        algorithms: whose schedules are looked at, of those with tile sizes.
        word: the number format of the data.
        num_stages: of the software pipeline.
        tiles: only these; rows in powers of two from 16 to 256 if not given, and whole rows of K and V at a time.
        where: what to call the machine in an error.

    Raises:
        UsageError: the machine has no figures for a block, or no schedule has tile sizes.
    """
    check_launch(num_stages=num_stages)
    if machine.shared_bytes_per_block is None or machine.register_bytes_per_sm is None:
        raise UsageError(f"{where} {machine.name}: {machine.title} has no shared memory; allowed: a GPU")
    needs = [
        _need(algorithm, schedule, problem, chosen, word, num_stages)
        for algorithm in algorithms
        if isinstance(algorithm, Tiled)
        for schedule in algorithm.schedules
        if schedule.searched and schedule.unsupported(problem) is None
        for chosen in ([tiles] if tiles else _choices(schedule, problem))
        if set(schedule.tiles) <= set(chosen) <= set(schedule.axes)
    ]
    if not needs:
        names = ", ".join(algorithm.name for algorithm in algorithms)
        raise UsageError(f"{where} {machine.name}: no schedule of {names} has such tile sizes; see `iosim list`")
    needs.sort(key=lambda need: (need.io_words, need.shared_bytes, need.register_bytes))
    return GpuTiles(machine=machine, problem=problem, dtype=word, num_stages=num_stages, needs=tuple(needs))


def _choices(schedule: Schedule, problem: Problem) -> Iterator[dict[str, int]]:
    """Blocks of rows, and of columns where a tile cuts them; streams of columns whole."""
    ladders = []
    for name, axis in schedule.axes.items():
        length = problem.length(axis)
        columns = name in schedule.streams and axis in ("d", "d_v")
        ladders.append([length] if columns else sorted({min(block, length) for block in BLOCKS}))
    for values in product(*ladders):
        yield dict(zip(schedule.axes, values, strict=True))


def _need(
    algorithm: Tiled, schedule: Schedule, problem: Problem, tiles: Mapping[str, int], word: Dtype, stages: int
) -> TileNeed:
    plan = algorithm.with_tiles(schedule, problem, tiles)
    loaded = evaluate_int(peak_words(plan.program, plan.sizes, only="loaded"), {})
    if stages > 1:
        loaded = sum(words * (stages if inner else 1) for words, inner in _loads(plan.program.body, plan.sizes, 0))
    created = evaluate_int(peak_words(plan.program, plan.sizes, only="created"), {})
    return TileNeed(
        algorithm=algorithm.name,
        schedule=schedule.name,
        tiles={name: plan.sizes[name] for name in schedule.axes},
        io_words=problem.instances * plan.io_words,
        shared_bytes=words_to_bytes(loaded, word),
        register_bytes=created * _REGISTER_BYTES,
    )


def _loads(body: Sequence[Statement], sizes: Mapping[str, int], depth: int) -> Iterator[tuple[int, bool]]:
    """Words of each tile that is loaded, at its full length, and whether that is in an inner loop."""
    for statement in body:
        match statement:
            case Load(tile=tile):
                yield evaluate_int(tile.words, sizes), depth > 1
            case Loop(index=index, body=inner):
                cut = tiles_of(statement, sizes)
                length = min(evaluate_int(cut.step, sizes), evaluate_int(cut.extent, sizes))
                start = evaluate_int(cut.start, sizes)
                yield from _loads(inner, {**sizes, **tile_values(index, start, length)}, depth + 1)
            case TableLoop(index=index, table=table, body=inner):
                for row, _, _ in table.classes():
                    yield from _loads(inner, {**sizes, **row_values(index, row)}, depth + 1)
            case Alloc() | Free() | Store() | Compute():
                pass
            case _:
                assert_never(statement)
