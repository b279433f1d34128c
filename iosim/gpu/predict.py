"""How many bytes should cross each boundary of a GPU? From the program's count, and from a simulated L2 cache.

instructions    the program's loads and stores, in the bytes of each array's format
SM and L2       the same: M is the fast memory of one SM. In sectors, where a tile does not fill those of 32 bytes
DRAM            the moves of all blocks through an L2 cache (`iosim.gpu.l2`), each launch from an empty one, as
                Nsight Compute has it. For writes a range: what is stored and still in the cache at the end of a
                launch may have been written or not
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iosim.errors import CountError, IosimError
from iosim.expr import evaluate_int
from iosim.gpu import nsight
from iosim.gpu.cases import Work
from iosim.gpu.device import Facts
from iosim.gpu.l2 import Dram, dram
from iosim.gpu.moves import Moved, Moves, moves
from iosim.lowering.resources import Resources

NEAR, NEAR_DRAM = 0.02, 0.10  # how far a measured number may be from the predicted one


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPrediction:
    """One launch.

    Attributes:
        kernel: its name.
        resident: blocks that run at once on the whole GPU.
        dram: what is predicted.
        dram_of_whole: if all partitions of the L2 cache were one cache.
    """

    kernel: str
    resident: int
    dram: Dram
    dram_of_whole: Dram


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """All launches of a case together. Units: bytes.

    Attributes:
        loads, stores: by array, from the program's count.
        load_sectors, store_sectors: bytes of the sectors that the moves touch.
        constants: bytes of the tables that the kernels have besides, once for each block: no words of the program.
        launches: each, through the L2 cache.
        flops: arithmetic of the program, from its count.
    """

    loads: Mapping[str, int]
    stores: Mapping[str, int]
    load_sectors: int
    store_sectors: int
    constants: int
    launches: tuple[LaunchPrediction, ...]
    flops: int

    @property
    def bytes(self) -> int:
        """Loads and stores together."""
        return sum(self.loads.values()) + sum(self.stores.values())

    @property
    def dram_reads(self) -> int:
        """Bytes from the memory to the L2 cache."""
        return sum(x.dram.reads for x in self.launches)

    @property
    def dram_writes(self) -> tuple[int, int]:
        """The range of bytes back: what is evicted; and with it what is stored and still in the cache at the end."""
        evicted = sum(x.dram.writes for x in self.launches)
        return evicted, evicted + sum(x.dram.left for x in self.launches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Predicted against measured at one boundary.

    Attributes:
        name: of the boundary.
        low, high: what is predicted; the same, or a range. Units: bytes.
        measured: Units: bytes.
        allowed: how far from that range it may be, relative to it.
        count: the program's own number, where whole sectors make another. Units: bytes.
    """

    name: str
    low: int
    high: int
    measured: float
    allowed: float
    count: int | None = None

    @property
    def ratio(self) -> float:
        """Measured over the nearest number of the predicted range; infinite where nothing is predicted and some measured."""
        nearest = min(max(self.measured, self.low), self.high)
        return self.measured / nearest if nearest else (float("inf") if self.measured else 1.0)

    @property
    def holds(self) -> bool:
        """Whether the measured number is near the predicted range."""
        return self.low * (1 - self.allowed) <= self.measured <= self.high * (1 + self.allowed)


def predict(work: Work, resources: Sequence[Resources | None], facts: Facts) -> Prediction:
    """What the launches of a case should move.

    Args:
        work: the case.
        resources: what a block of each launch needs of an SM; None where that is not known: one block an SM.
        facts: of the GPU.

    Raises:
        CountError: a count that can't be given, or moves that are not those of the count.
    """
    count, size = work.plan.count(), work.kernels.word_bytes
    loads = {name: evaluate_int(words, {}) * size[name] for name, words in count.loads.items()}
    stores = {name: evaluate_int(words, {}) * size[name] for name, words in count.stores.items()}
    made: list[Moves] = []
    launches: list[LaunchPrediction] = []
    for launch, need in zip(work.kernels.launches, resources, strict=True):
        found = moves(launch.nest, launch.axes, work.plan.sizes, size)
        per_sm = 1 if need is None else need.at_once(facts.multiprocessor)
        if not per_sm:
            raise CountError(f"{launch.function}: an SM of {facts.name} can't hold {need}")
        resident = per_sm * facts.sms
        parts = facts.l2_partitions
        part = dram(found, capacity=facts.l2_bytes, resident=resident, partitions=parts)
        whole = part if parts == 1 else dram(found, capacity=facts.l2_bytes, resident=resident)
        made.append(found)
        launches.append(
            LaunchPrediction(
                kernel=launch.function,
                resident=resident,
                dram=part,
                dram_of_whole=whole,
            )
        )
    _check(loads, {k: v for k, v in _bytes([m.loads for m in made], size).items() if v}, "loads")
    _check(stores, {k: v for k, v in _bytes([m.stores for m in made], size).items() if v}, "stores")
    return Prediction(
        loads=loads,
        stores=stores,
        load_sectors=sum(each.sector_bytes for m in made for each in m.loads.values()),
        store_sectors=sum(each.sector_bytes for m in made for each in m.stores.values()),
        constants=_constants(work),
        launches=tuple(launches),
        flops=evaluate_int(count.flops, {}),
    )


def _constants(work: Work) -> int:
    tables = {p.name: math.prod(p.shape) for p in work.kernels.parameters if p.role == "constant"}
    size = work.kernels.word_bytes
    return sum(
        math.prod(launch.grid) * tables[name] * size[name]
        for launch in work.kernels.launches
        for name in launch.parameters
        if name in tables
    )


def _bytes(found: Sequence[Mapping[str, Moved]], size: Mapping[str, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in found:
        for name, moved in each.items():
            total[name] = total.get(name, 0) + moved.words * size[name]
    return total


def _check(counted: Mapping[str, int], moved: Mapping[str, int], what: str) -> None:
    if {name: number for name, number in counted.items() if number} != moved:
        raise CountError(f"{what}: the launches move {moved} bytes, the count says {dict(counted)}")


def compare(prediction: Prediction, profiles: Sequence[nsight.Profile]) -> list[Boundary]:
    """Predicted against measured at each boundary, over all launches of a case.

    Raises:
        IosimError: not as many kernels were measured as launched, or a metric is missing.
    """
    if len(profiles) != len(prediction.launches):
        raise IosimError(f"{len(prediction.launches)} launches, and Nsight Compute measured {len(profiles)}")

    def boundary(name: str, low: int, high: int, *, count: int | None = None, allowed: float = NEAR) -> Boundary:
        measured = sum(profile.total(nsight.BOUNDARIES[name]) for profile in profiles)
        own = None if low == high == count else count
        return Boundary(name=name, low=low, high=high, measured=measured, allowed=allowed, count=own)

    loads, stores = sum(prediction.loads.values()), sum(prediction.stores.values())
    read, written, tables = prediction.load_sectors, prediction.store_sectors, prediction.constants
    fetched = prediction.dram_reads
    spilled = sum(profile.total(nsight.SPILLED) for profile in profiles)
    return [
        boundary(nsight.LOADS, loads, loads + tables, count=loads),
        boundary(nsight.STORES, stores, stores, count=stores),
        boundary(nsight.FROM_L2, read, read + tables, count=loads),
        boundary(nsight.TO_L2, stores, written, count=stores),
        boundary(nsight.DRAM_READS, fetched, fetched, allowed=NEAR_DRAM),
        boundary(nsight.DRAM_WRITES, *prediction.dram_writes, allowed=NEAR_DRAM),
        Boundary(name=nsight.SPILLS, low=0, high=0, measured=spilled, allowed=0.0),
    ]
