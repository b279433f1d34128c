"""What a validation found, case by case: as values, as JSON, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iosim.gpu.cases import Case
from iosim.gpu.nsight import BOUNDARIES, Profile
from iosim.gpu.predict import Boundary, Prediction


@dataclass(kw_only=True)
class CaseResult:
    """One case: what is known of it so far.

    Attributes:
        errors: what went wrong, in which step.
        compile_seconds: of all its kernels, lowering not included.
        timed: what `iosim.gpu.worker.timed` found.
        prediction: of the bytes at each boundary.
        profiles: of its own launches.
        sdpa_profiles: of PyTorch's fused attention.
        boundaries: predicted against measured.
    """

    number: int
    case: Case
    errors: list[str] = field(default_factory=list)
    compile_seconds: float | None = None
    timed: Mapping[str, Any] | None = None
    prediction: Prediction | None = None
    profiles: Sequence[Profile] = ()
    sdpa_profiles: Sequence[Profile] = ()
    boundaries: Sequence[Boundary] = ()

    @property
    def status(self) -> str:
        """In one or two words."""
        if self.errors:
            return "failed"
        if not self.boundaries:
            return "not run" if self.timed is None else "not profiled"
        return "holds" if self.holds else "differs"

    @property
    def holds(self) -> bool:
        """Whether all that was looked at is as it should be, and everything was looked at."""
        return bool(self.boundaries) and all(b.holds for b in self.boundaries) and self.accurate is True

    @property
    def accurate(self) -> bool | None:
        """Whether the values are as good as the format allows; None if that is not known."""
        return None if self.timed is None else bool(self.timed["accuracy"]["holds"])

    @property
    def seconds(self) -> float | None:
        return None if self.timed is None else float(self.timed["seconds"])

    @property
    def sdpa_seconds(self) -> float | None:
        found = None if self.timed is None else self.timed.get("sdpa_seconds")
        return None if found is None else float(found)

    def boundary(self, name: str) -> Boundary | None:
        """The one of that name, if it was measured."""
        return next((each for each in self.boundaries if each.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers with units in the names."""
        found: dict[str, Any] = {
            "number": self.number,
            "title": self.case.title,
            "case": self.case.to_dict(),
            "status": self.status,
            "errors": list(self.errors),
            "compile_seconds": self.compile_seconds,
            **({} if self.timed is None else self.timed),
        }
        if self.prediction is not None:
            found |= _prediction(self.prediction)
            if self.seconds:
                found["effective_bandwidth_bytes_per_second"] = self.prediction.bytes / self.seconds
                found["flops_per_second"] = self.prediction.flops / self.seconds
        if self.sdpa_seconds:
            found["sdpa_flops_per_second"] = self.case.useful_flops / self.sdpa_seconds
        found["boundaries"] = [
            {
                "name": b.name,
                "predicted_least_bytes": b.low,
                "predicted_most_bytes": b.high,
                "count_bytes": b.low if b.count is None and b.low == b.high else b.count,
                "measured_bytes": b.measured,
                "ratio": b.ratio,
                "allowed": b.allowed,
                "holds": b.holds,
            }
            for b in self.boundaries
        ]
        found["launches_measured"] = [{"kernel": p.kernel, **p.values} for p in self.profiles]
        found["sdpa_measured"] = [{"kernel": p.kernel, **p.values} for p in self.sdpa_profiles]
        return found


def _prediction(found: Prediction) -> dict[str, Any]:
    return {
        "loads_bytes_by_array": dict(found.loads),
        "stores_bytes_by_array": dict(found.stores),
        "load_sectors_bytes": found.load_sectors,
        "store_sectors_bytes": found.store_sectors,
        "constants_bytes": found.constants,
        "flops": found.flops,
        "dram_reads_bytes": found.dram_reads,
        "dram_writes_bytes_least_most": list(found.dram_writes),
        "dram_reads_with_one_l2_bytes": sum(x.dram_of_whole.reads for x in found.launches),
        "launches_predicted": [
            {
                "kernel": x.kernel,
                "resident_blocks": x.resident,
                "dram_reads_bytes_by_array": dict(x.dram.read),
                "dram_writes_bytes_by_array": dict(x.dram.written),
                "dram_left_bytes": x.dram.left,
            }
            for x in found.launches
        ],
    }


def title_without_n(case: Case) -> str:
    """What cases that differ in n only have in common."""
    return case.title.replace(f"n={case.n} ", "", 1)


def measured_bytes(profiles: Sequence[Profile]) -> dict[str, float]:
    """What the counters of some launches say together, by boundary. Units: bytes."""
    return {name: sum(profile.total(metrics) for profile in profiles) for name, metrics in BOUNDARIES.items()}
