"""How a validation looks: a table of cases, one case at each boundary, and where one method overtakes another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.gpu.device import Facts
from iosim.gpu.predict import NEAR, NEAR_DRAM, Boundary
from iosim.gpu.results import CaseResult, measured_bytes
from iosim.gpu.validate import Validation
from iosim.machines import MACHINES, Machine
from iosim.report import table

MODEL = (
    f"instructions, L2 to SM, SM to L2: the program's count, each array in its format; within {NEAR:.0%}.",
    "DRAM: every tile that a block moves, through a least-recently-used cache as large as the L2, empty at each launch;",
    "the blocks that SMs hold at once take turns tile by tile, in the order of the grid; a store fetches nothing;",
    f"writes from what is evicted to that and what stays stored in the cache at the end; within {NEAR_DRAM:.0%}.",
)
_SHORT = {
    "instructions, loads": "loads",
    "instructions, stores": "stores",
    "L2 to SM": "L2>SM",
    "SM to L2": "SM>L2",
    "DRAM, reads": "DRAM r",
    "DRAM, writes": "DRAM w",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Where an approximate kernel overtakes fused exact attention, over n.

    Attributes:
        title: of the kernel, without n.
        measured: n at which the times cross, between two measured ones by a straight line of logarithms; None if not.
        modelled: the same for the times that a roofline gives both.
        sizes: n at which both were measured.
    """

    title: str
    measured: float | None
    modelled: float | None
    sizes: tuple[int, ...]


def validation_report(found: Validation) -> RenderableType:
    """Everything on a screen or two."""
    parts: list[RenderableType] = [*_device(found), Text(), _cases(found.results)]
    failed = [result for result in found.results if result.errors]
    if failed:
        parts += [Text(), Text("failed:")]
        parts += [Text(f"  {result.case.title}: {error}") for result in failed for error in result.errors]
    skipped = [result.case.title for result in found.results if not result.errors and not result.boundaries]
    if skipped:
        parts += [Text(), Text("not measured:"), *(Text(f"  {title}") for title in skipped)]
    for message in found.messages:
        parts.append(Text(f"note: {message}"))
    rivals = crossovers(found.results, _machine_of(found.facts))
    if rivals:
        parts += [Text(), _crossovers(rivals)]
    sdpa = [result for result in found.results if result.sdpa_profiles]
    if sdpa:
        parts += [Text(), _fused(sdpa)]
    parts += [Text(), *(Text(line) for line in MODEL), Text(), Text(verdict(found))]
    return Group(*parts)


def case_report(found: Validation) -> RenderableType:
    """One case, a row for each boundary."""
    (result,) = found.results
    parts: list[RenderableType] = [*_device(found), Text(f"case: {result.case.title}"), Text()]
    if result.boundaries:
        rows: list[tuple[str, ...]] = [("bytes", "predicted", "measured", "ratio", "verdict")]
        rows += [_boundary(each) for each in result.boundaries]
        parts += [table(rows)]
        parts += [
            Text(f"{each.name}: {each.sectors:,} in whole sectors, ratio {each.measured / each.sectors:.4f}")
            for each in result.boundaries
            if each.sectors
        ]
    parts += [Text(f"failed: {error}") for error in result.errors]
    parts += [Text(f"note: {message}") for message in found.messages]
    parts += [Text(line) for line in timing_lines(result)]
    if result.sdpa_profiles:
        parts += [Text(), _fused([result])]
    parts += [Text(), *(Text(line) for line in MODEL), Text(), Text(verdict(found))]
    return Group(*parts)


def run_report(found: Validation) -> RenderableType:
    """One case that ran without Nsight Compute."""
    (result,) = found.results
    parts: list[RenderableType] = [*_device(found), Text(f"case: {result.case.title}"), Text()]
    if result.prediction is not None:
        rows = [("bytes, from the count", "loads", "stores")]
        loads, stores = result.prediction.loads, result.prediction.stores
        rows += [
            (f"  {name}", f"{loads.get(name, 0):,}", f"{stores.get(name, 0):,}") for name in sorted({*loads, *stores})
        ]
        rows.append(("  all", f"{sum(loads.values()):,}", f"{sum(stores.values()):,}"))
        parts += [table(rows), Text()]
    parts += [Text(line) for line in timing_lines(result)]
    good = "as good as the format allows" if result.accurate else "NOT as good as the format allows"
    return Group(*parts, Text(), Text(f"verdict: the values are {good}"))


def timing_lines(result: CaseResult) -> Iterator[str]:
    """What running a case alone told: values, times, and what a block needs."""
    if result.timed is None or result.seconds is None:
        return
    accuracy = result.timed["accuracy"]
    yield (
        f"values: error {accuracy['error']:.3g} over {accuracy['rows']} rows, allowed {accuracy['allowed']:.3g} "
        f"(the plain definition in {result.case.dtype}: {accuracy['plain_error']:.3g})"
    )
    line = f"time: {1e3 * result.seconds:.4g} ms"
    if result.prediction is not None:
        moved, flops = result.prediction.bytes / result.seconds, result.prediction.flops / result.seconds
        line += f", {moved / 1e9:,.4g} GB/s of the count's bytes, {flops / 1e12:.4g} TFLOP/s of its arithmetic"
    yield line
    if result.sdpa_seconds:
        rate = result.useful_flops / result.sdpa_seconds / 1e12
        yield f"PyTorch's fused attention: {1e3 * result.sdpa_seconds:.4g} ms, {rate:.4g} TFLOP/s"
    for number, need in enumerate(result.timed["resources"]):
        if need is not None:
            yield (
                f"launch {number}: {need['threads']} threads, {need['registers']} registers each, "
                f"{need['shared_bytes']:,} B of shared memory, {need['spilled_bytes']} spilled"
            )


def verdict(found: Validation) -> str:
    """One line."""
    results = found.results
    held = sum(result.status == "holds" for result in results)
    differ = sum(result.status == "differs" for result in results)
    failed = sum(result.status == "failed" for result in results)
    rest = len(results) - held - differ - failed
    return f"verdict: of {len(results)} cases {held} hold, {differ} differ, {failed} failed, {rest} did not run"


def _device(found: Validation) -> list[RenderableType]:
    facts = found.facts
    if facts is None:
        return [Text("device: none came so far")]
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    took = "".join(f"; {name} {seconds:.0f} s" for name, seconds in found.steps.items())
    return [
        Text(f"device: {facts.name}, {facts.sms} SMs, L2 of {facts.l2_bytes:,} B ({versions})"),
        Text(f"date: {found.date}{took}"),
    ]


def _boundary(each: Boundary) -> tuple[str, ...]:
    predicted = f"{each.low:,}" if each.low == each.high else f"{each.low:,} to {each.high:,}"
    return (
        f"  {each.name}",
        predicted,
        f"{each.measured:,.0f}",
        f"{each.ratio:.4f}",
        "holds" if each.holds else "differs",
    )


def _cases(results: Sequence[CaseResult]) -> RenderableType:
    """A row for each case: measured over predicted at each boundary, and times."""
    rows = [("measured / predicted", *_SHORT.values(), "spill B", "values", "ms", "SDPA ms", "TFLOP/s", "verdict")]
    for result in results:
        ratios = [_ratio(result.boundary(name)) for name in _SHORT]
        spills = result.boundary("spills")
        rate = result.prediction.flops / result.seconds / 1e12 if result.prediction and result.seconds else None
        rows.append(
            (
                f"  {result.case.title}",
                *ratios,
                f"{spills.measured:,.0f}" if spills else "-",
                {True: "good", False: "BAD", None: "-"}[result.accurate],
                f"{1e3 * result.seconds:.4g}" if result.seconds else "-",
                f"{1e3 * result.sdpa_seconds:.4g}" if result.sdpa_seconds else "-",
                f"{rate:.4g}" if rate else "-",
                result.status,
            )
        )
    return table(rows)


def _ratio(boundary: Boundary | None) -> str:
    if boundary is None:
        return "-"
    return f"{boundary.ratio:.4f}{'' if boundary.holds else '!'}"


def _fused(results: Iterable[CaseResult]) -> RenderableType:
    """The bytes of PyTorch's fused attention by the same counters."""
    rows = [("PyTorch's fused attention, bytes", *_SHORT.values(), "kernels")]
    for result in results:
        case = result.case
        found = measured_bytes(result.sdpa_profiles)
        cells = [f"{found[name]:,.0f}" for name in _SHORT]
        rows.append((f"  n={case.n} d={case.d} heads={case.heads}", *cells, str(len(result.sdpa_profiles))))
    return table(rows)


# Where approximate attention pays


def crossovers(results: Sequence[CaseResult], machine: Machine | None) -> list[Crossover]:
    """For each approximate kernel that was timed beside fused attention at several n."""
    groups: dict[str, list[CaseResult]] = {}
    for result in results:
        if result.case.degree is not None and result.seconds and result.sdpa_seconds:
            groups.setdefault(result.case.title.replace(f"n={result.case.n} ", "", 1), []).append(result)
    found = []
    for title, group in groups.items():
        if len(group) < 2:
            continue
        group.sort(key=lambda result: result.case.n)
        measured = [(r.case.n, (r.seconds or 0.0) / (r.sdpa_seconds or 1.0)) for r in group]
        modelled = [] if machine is None else [(r.case.n, _modelled(r, machine)) for r in group if r.prediction]
        found.append(
            Crossover(
                title=title,
                measured=crossing(measured),
                modelled=crossing(modelled),
                sizes=tuple(r.case.n for r in group),
            )
        )
    return found


def crossing(points: Sequence[tuple[int, float]]) -> float | None:
    """Where a ratio that is given at some n falls to 1, on straight lines in logarithms; None if it does not.

    Example:
        >>> crossing([(100, 4.0), (400, 1.0), (800, 0.5)])
        400.0
        >>> crossing([(100, 2.0), (400, 0.5)])
        200.0
    """
    for (n, ratio), (after, less) in pairwise(points):
        if ratio >= 1 >= less and ratio > less:
            part = math.log(ratio) / (math.log(ratio) - math.log(less))
            return round(math.exp(math.log(n) + part * (math.log(after) - math.log(n))), 6)
    return None


def roofline_seconds(flops: float, moved: float, machine: Machine) -> float | None:
    """The time below which no kernel can be: for its arithmetic at the peak, for its bytes at the bandwidth."""
    if machine.tensor_fp16 is None or machine.memory_bandwidth is None:
        return None
    return max(flops / machine.tensor_fp16, moved / machine.memory_bandwidth)


def _modelled(result: CaseResult, machine: Machine) -> float:
    """The kernel's time over that of fused attention, both on the roofline."""
    assert result.prediction is not None
    once = 4 * result.case.n * result.case.d * result.case.heads * 2  # Q, K, V and O, 2 bytes a word
    own = roofline_seconds(
        result.prediction.flops, result.prediction.dram_reads + result.prediction.dram_writes[1], machine
    )
    fused = roofline_seconds(result.useful_flops, once, machine)
    return own / fused if own and fused else float("nan")


def _crossovers(found: Sequence[Crossover]) -> RenderableType:
    rows: list[tuple[str, ...]] = [("overtakes fused attention at n =", "measured", "on the roofline", "n looked at")]
    for each in found:
        shown = [f"{x:,.0f}" if x else "none" for x in (each.measured, each.modelled)]
        rows.append((f"  {each.title}", *shown, f"{each.sizes[0]:,} to {each.sizes[-1]:,}"))
    return table(rows)


def _machine_of(facts: Facts | None) -> Machine | None:
    return None if facts is None else machine_called(facts.name)


def machine_called(name: str) -> Machine | None:
    """The published figures of the GPU that a driver calls so; None if it is not known.

    Example:
        >>> machine_called("NVIDIA H100 80GB HBM3").name, machine_called("NVIDIA H100 PCIe").name
        ('h100', 'h100-pcie')
    """
    plain = "".join(char for char in name.lower() if char.isalnum())
    fitting = [each for each in MACHINES if each.name.replace("-", "") in plain]
    return max(fitting, key=lambda each: len(each.name), default=None)
