"""How a validation looks: a table of cases, one case at each boundary, and where one method overtakes another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.gpu import nsight
from iosim.gpu.crossover import Crossover, crossovers
from iosim.gpu.device import Facts
from iosim.gpu.predict import NEAR, NEAR_DRAM, Boundary
from iosim.gpu.record import Validation
from iosim.gpu.results import CaseResult, measured_bytes
from iosim.terminal import table

_SHORT = {
    nsight.LOADS: "loads",
    nsight.STORES: "stores",
    nsight.FROM_L2: "L2>SM",
    nsight.TO_L2: "SM>L2",
    nsight.DRAM_READS: "DRAM r",
    nsight.DRAM_WRITES: "DRAM w",
}


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
    rivals = crossovers(found.results, found.facts.machine if found.facts else None)
    if rivals:
        parts += [Text(), _crossovers(rivals)]
    sdpa = [result for result in found.results if result.sdpa_profiles]
    if sdpa:
        parts += [Text(), _fused(sdpa)]
    parts += [Text(), *_model(found.facts), Text(), Text(verdict(found))]
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
            Text(
                f"{each.name}: {each.count:,} in the count, without sectors and constants; measured / count {share:.4f}"
            )
            for each in result.boundaries
            if each.count
            for share in [each.measured / each.count]
        ]
    parts += [Text(f"failed: {error}") for error in result.errors]
    parts += [Text(f"note: {message}") for message in found.messages]
    parts += [Text(line) for line in timing_lines(result)]
    if result.sdpa_profiles:
        parts += [Text(), _fused([result])]
    parts += [Text(), *_model(found.facts), Text(), Text(verdict(found))]
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
    found = result.timed["accuracy"]
    yield (
        f"values: error {found['max_abs_error']:.3g} over {found['rows_checked']} rows, "
        f"allowed {found['allowed_max_abs_error']:.3g} "
        f"(the plain definition in {result.case.dtype}: {found['plain_max_abs_error']:.3g})"
    )
    line = f"time: {1e3 * result.seconds:.4g} ms"
    if result.prediction is not None:
        moved, flops = result.prediction.bytes / result.seconds, result.prediction.flops / result.seconds
        line += f", {moved / 1e9:,.4g} GB/s of the count's bytes, {flops / 1e12:.4g} TFLOP/s of its arithmetic"
    yield line
    if result.sdpa_seconds:
        rate = result.case.useful_flops / result.sdpa_seconds / 1e12
        yield f"PyTorch's fused attention: {1e3 * result.sdpa_seconds:.4g} ms, {rate:.4g} TFLOP/s"
    for number, need in enumerate(result.timed["resources"]):
        if need is not None:
            yield (
                f"launch {number}: {need['threads']} threads, {need['registers_per_thread']} registers each, "
                f"{need['shared_bytes']:,} B of shared memory, {need['spilled_bytes_per_thread']} spilled"
            )


def verdict(found: Validation) -> str:
    """One line."""
    results = found.results
    held = sum(result.status == "holds" for result in results)
    differ = sum(result.status == "differs" for result in results)
    failed = sum(result.status == "failed" for result in results)
    rest = len(results) - held - differ - failed
    return f"verdict: of {len(results)} cases {held} hold, {differ} differ, {failed} failed, {rest} did not run"


def _model(facts: Facts | None) -> list[RenderableType]:
    parts = 1 if facts is None else facts.l2_partitions
    cache = "the L2" if parts == 1 else f"the L2, in {parts} partitions (what all SMs use is held in each)"
    return [
        Text(line)
        for line in (
            "instructions: the program's count, in bytes, and up to once for each block tables of constants;",
            f"between SM and L2: the same in whole sectors; within {NEAR:.0%}.",
            f"DRAM: the tiles that blocks move, through {cache},",
            "where the least recently used is evicted, empty at each launch; blocks that SMs hold at once take",
            "turns, tile by tile, in the order of the grid; a store fetches the sectors of which it leaves out",
            "a part; written is what is evicted, or with it what is stored and still there at the end;",
            f"within {NEAR_DRAM:.0%}. Not modelled: tiles with fewer numbers than a block has threads are",
            "loaded by several; blocks of one SM share its L1; memory may deliver more than a sector at a time.",
        )
    ]


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
        spills = result.boundary(nsight.SPILLS)
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


def _crossovers(found: Sequence[Crossover]) -> RenderableType:
    rows: list[tuple[str, ...]] = [
        ("fewer than fused attention from n =", "time", "roofline", "words", "times looked at")
    ]
    for each in found:
        shown = [f"{x:,.0f}" if x else "none" for x in (each.measured, each.modelled, each.words)]
        rows.append((f"  {each.title}", *shown, f"n = {each.sizes[0]:,} to {each.sizes[-1]:,}"))
    return table(rows)
