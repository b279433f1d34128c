"""How kernels look at a terminal: what they move, and what they need of a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.display import pairs
from iosim.terminal import problem_text, table
from iosim.units import format_words

if TYPE_CHECKING:
    from iosim.lowering.ask import KernelRun


def kernel_report(run: KernelRun) -> RenderableType:
    """One screen about the kernels of a plan."""
    parts = [_head(run), _moved(run)]
    if run.compiled:
        parts.append(_compiled(run))
    if run.counted is not None:
        parts.append(pairs(list(_verdict(run)), indent=0))
    return Group(*(line for part in parts[:-1] for line in (part, Text())), parts[-1])


def _head(run: KernelRun) -> RenderableType:
    own = {name: size for name, size in run.sizes.items() if name not in {*run.problem.sizes, "instances"}}
    launches = [
        f"{launch.function}: {math.prod(launch.grid):,} programs of {32 * launch.num_warps} threads"
        for launch in run.kernels.launches
    ]
    facts = [
        ("algorithm", f"{run.plan.algorithm}: {run.plan.schedule}"),
        ("problem", problem_text(run.problem)),
        ("tiles", ", ".join(f"{name} = {size:,}" for name, size in own.items()) or "none to choose"),
        ("peak", f"{format_words(run.peak_words, run.dtype)}; {4 * run.peak_words:,} B if all in fp32"),
    ]
    facts += [("launches" if at == 0 else "", text) for at, text in enumerate(launches)]
    return pairs(facts, indent=0)


def _moved(run: KernelRun) -> RenderableType:
    kinds = {parameter.name: parameter.dtype for parameter in run.kernels.parameters}
    head = ["words moved", "format", "loads", "stores"]
    rows = [head if run.counted is None else [*head, "counted loads", "stores"]]
    for array in run.plan.program.arrays:
        row = [f"  {array.name}", kinds[array.name], *_both(run.loads, run.stores, array.name)]
        if run.counted is not None:
            row += _both(run.counted.loads, run.counted.stores, array.name)
        rows.append(row)
    total = ["  all", "", f"{sum(run.loads.values()):,}", f"{sum(run.stores.values()):,}"]
    if run.counted is not None:
        total += [f"{sum(run.counted.loads.values()):,}", f"{sum(run.counted.stores.values()):,}"]
    return table([*rows, total])


def _both(loads: object, stores: object, name: str) -> list[str]:
    return [f"{moved.get(name, 0):,}" for moved in (loads, stores)]  # type: ignore[attr-defined]


def _compiled(run: KernelRun) -> RenderableType:
    machine = run.machines[0]
    rows = [[f"compiled for {run.target}", "threads", "registers", "spilled", "shared", "on chip", "at once"]]
    for launch, one in zip(run.kernels.launches, run.compiled, strict=True):
        rows.append(
            [
                f"  {launch.function}",
                f"{one.threads}",
                f"{one.registers_per_thread}",
                f"{one.spilled_bytes_per_thread:,} B",
                f"{one.shared_bytes:,} B",
                f"{one.on_chip_bytes:,} B",
                f"{one.at_once(run.multiprocessor)}",
            ]
        )
    assert machine.fast_bytes is not None
    names = ", ".join(machine.name for machine in run.machines)
    M = f"M = {format_words(machine.fast_bytes // run.dtype.bytes, run.dtype)}"
    notes = [
        ("on chip", "registers and shared memory of one program; at once: programs on one multiprocessor"),
        (names, f"registers and shared memory of a multiprocessor: {machine.fast_bytes:,} B, {M}"),
    ]
    return Group(table(rows), pairs(notes))


def _verdict(run: KernelRun) -> Iterator[tuple[str, str]]:
    assert run.counted is not None
    constants = sum(run.counted.constants.values())
    if constants:
        yield "constants", f"{constants:,} words of the program's own numbers loaded besides"
    yield "values", f"off by {run.error:.2g} of the largest output, allowed {run.allowed_error:.2g}"
    agree = "each array as counted for the program" if run.moves_agree else "NOT as counted for the program"
    yield "verdict", f"the kernels load and store {agree}" + ("" if run.values_agree else "; the values are WRONG")
