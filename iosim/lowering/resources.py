"""What do generated kernels need of a GPU? Registers, shared memory and spills, by Triton's compiler; no GPU needed.

The compiler runs in a Python process of its own, because Triton, once imported for its interpreter, compiles nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim.errors import IosimError, UsageError
from iosim.interpret.triton import Kernels
from iosim.lowering.modules import check_triton, imported
from iosim.machines import MACHINES, Multiprocessor

_TYPES = {"fp32": "*fp32", "fp16": "*fp16", "bf16": "*bf16", "int32": "*i32"}
WARP = 32  # threads
_REGISTER = 4  # bytes
_REGISTERS_AT_ONCE = 256  # a warp gets so many at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a program (block of threads, CTA) of a compiled kernel needs of a multiprocessor.

    Attributes:
        threads: of a program.
        registers_per_thread: of 4 bytes.
        shared_bytes: shared memory of a program.
        spilled_bytes_per_thread: that found no register and lie in slow memory.
    """

    threads: int
    registers_per_thread: int
    shared_bytes: int
    spilled_bytes_per_thread: int

    @property
    def on_chip_bytes(self) -> int:
        """Registers and shared memory together."""
        return self.threads * self.registers_per_thread * _REGISTER + self.shared_bytes

    def at_once(self, sm: Multiprocessor) -> int:
        """How many programs a multiprocessor holds at the same time; 0 if it can't hold one.

        Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability": registers go to warps in
        units of 256.

        Example:
            >>> from iosim.machines import machine
            >>> each = Resources(threads=128, registers_per_thread=168, shared_bytes=49152, spilled_bytes_per_thread=0)
            >>> each.at_once(machine("h100").multiprocessor)  # 12 warps: 65536 // 5376
            3
        """
        warps = -(-self.threads // WARP)
        per_warp = -(-max(1, self.registers_per_thread) * WARP // _REGISTERS_AT_ONCE) * _REGISTERS_AT_ONCE
        shared = self.shared_bytes + sm.reserved_bytes
        by_shared = sm.shared_bytes // shared if shared else sm.blocks
        return min(sm.registers // per_warp // warps, by_shared, sm.threads // (warps * WARP), sm.blocks)


def compile_kernels(kernels: Kernels, target: str = "sm_90") -> tuple[Resources, ...]:
    """What each launch needs on a GPU of compute capability `target`.

    Raises:
        UsageError: Triton is not installed, or `target` is that of no machine that Triton compiles for.
        IosimError: Triton's compiler fails; the message is its last line.
    """
    allowed = sorted({int(m.capability) for m in MACHINES if m.capability and int(m.capability) >= 80})
    if target not in {f"sm_{capability}" for capability in allowed}:
        raise UsageError(f"--compile {target}: allowed: {', '.join(f'sm_{capability}' for capability in allowed)}")
    check_triton()
    types = {parameter.name: _TYPES[parameter.dtype] for parameter in kernels.parameters}
    order = {
        "source": kernels.source,
        "capability": int(target.removeprefix("sm_")),
        "launches": [
            {
                "function": launch.function,
                "types": [types[name] for name in launch.parameters],
                "num_warps": launch.num_warps,
                "num_stages": launch.num_stages,
            }
            for launch in kernels.launches
        ],
    }
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "iosim.lowering.resources"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise IosimError(f"Triton's compiler for {target} fails: {last}")
    return tuple(Resources(**found) for found in json.loads(run.stdout.splitlines()[-1]))


def _compile(order: Mapping[str, Any]) -> list[dict[str, int]]:
    """In the other process."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    found: list[dict[str, int]] = []
    with imported(order["source"]) as module, tempfile.TemporaryDirectory(prefix="iosim-") as folder:
        binary = Path(folder) / "kernel.cubin"
        for launch in order["launches"]:
            function = getattr(module, launch["function"])
            source = ASTSource(function, dict(zip(function.arg_names, launch["types"], strict=True)))
            options = {"num_warps": launch["num_warps"], "num_stages": launch["num_stages"]}
            kernel = triton.compile(source, target=GPUTarget("cuda", order["capability"], WARP), options=options)
            binary.write_bytes(kernel.asm["cubin"])
            usage = subprocess.run(
                [tools / "cuobjdump", "-res-usage", binary], capture_output=True, text=True, check=True
            ).stdout
            numbers = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", usage)}
            found.append(
                {
                    "threads": WARP * launch["num_warps"],
                    "registers_per_thread": numbers["REG"],
                    "shared_bytes": kernel.metadata.shared,
                    "spilled_bytes_per_thread": numbers["STACK"] + numbers["LOCAL"],
                }
            )
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_compile(json.load(sys.stdin))) + "\n")
