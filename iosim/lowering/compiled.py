"""What do generated kernels need of a GPU? Registers, shared memory and spills, by Triton's compiler; no GPU needed.

The compiler runs in a Python process of its own, because Triton, once imported for its interpreter, compiles nothing.
"""

from __future__ import annotations

import importlib.util
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
from iosim.machines import MACHINES, Machine

_TYPES = {"fp32": "*fp32", "fp16": "*fp16", "bf16": "*bf16", "int32": "*i32"}
_REGISTER = 4  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What one program (CTA) of a launch needs.

    Attributes:
        function: name of the kernel.
        threads: of one program.
        registers: of each thread.
        shared_bytes: shared memory.
        spilled_bytes: of each thread, that found no register and lie in slow memory.
    """

    function: str
    threads: int
    registers: int
    shared_bytes: int
    spilled_bytes: int

    @property
    def on_chip_bytes(self) -> int:
        """Registers and shared memory together."""
        return self.threads * self.registers * _REGISTER + self.shared_bytes

    def at_once(self, machine: Machine) -> int:
        """How many programs run on one multiprocessor at the same time, by registers and shared memory; 0 if none does."""
        assert machine.shared_bytes_per_block is not None
        assert machine.shared_bytes_per_sm is not None
        assert machine.register_bytes_per_sm is not None
        if self.shared_bytes > machine.shared_bytes_per_block:
            return 0
        by_registers = machine.register_bytes_per_sm // (self.threads * self.registers * _REGISTER)
        # from 8.0 on the system takes 1 KiB of shared memory for each block
        reserved = machine.shared_bytes_per_sm - machine.shared_bytes_per_block
        if self.shared_bytes + reserved == 0:
            return by_registers
        return min(by_registers, machine.shared_bytes_per_sm // (self.shared_bytes + reserved))


def compile_kernels(kernels: Kernels, target: str = "sm_90") -> tuple[Compiled, ...]:
    """What each launch needs on a GPU of compute capability `target`.

    Raises:
        UsageError: Triton is not installed, or `target` is that of no machine that Triton compiles for.
        IosimError: Triton's compiler fails; the message is its last line.
    """
    allowed = sorted({int(m.capability) for m in MACHINES if m.capability and int(m.capability) >= 80})
    if target not in {f"sm_{capability}" for capability in allowed}:
        raise UsageError(f"--compile {target}: allowed: {', '.join(f'sm_{capability}' for capability in allowed)}")
    if importlib.util.find_spec("triton") is None:
        raise UsageError("Triton is not installed; allowed: pip install 'iosim[gpu]'")
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
        [sys.executable, "-W", "ignore", "-m", "iosim.lowering.compiled"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise IosimError(f"Triton's compiler for {target} fails: {last}")
    return tuple(Compiled(**found) for found in json.loads(run.stdout.splitlines()[-1]))


def _compile(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In the other process."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.py"
        path.write_text(order["source"])
        spec = importlib.util.spec_from_file_location("iosim_kernels", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for launch in order["launches"]:
            function = getattr(module, launch["function"])
            source = ASTSource(function, dict(zip(function.arg_names, launch["types"], strict=True)))
            options = {"num_warps": launch["num_warps"], "num_stages": launch["num_stages"]}
            kernel = triton.compile(source, target=GPUTarget("cuda", order["capability"], 32), options=options)
            binary = Path(folder) / "kernel.cubin"
            binary.write_bytes(kernel.asm["cubin"])
            usage = subprocess.run(
                [tools / "cuobjdump", "-res-usage", binary], capture_output=True, text=True, check=True
            ).stdout
            numbers = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", usage)}
            found.append(
                {
                    "function": launch["function"],
                    "threads": 32 * launch["num_warps"],
                    "registers": numbers["REG"],
                    "shared_bytes": kernel.metadata.shared,
                    "spilled_bytes": numbers["STACK"] + numbers["LOCAL"],
                }
            )
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_compile(json.load(sys.stdin))) + "\n")
