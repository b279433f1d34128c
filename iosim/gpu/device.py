"""Kernels on a device, through PyTorch: arrays made, launched, timed. Without a GPU, in Triton's interpreter."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from iosim.errors import UsageError
from iosim.lowering.modules import imported
from iosim.lowering.resources import WARP, Resources
from iosim.machines import REGISTERS_OF_SM, Machine, Multiprocessor, l2_partitions_of, machine, machine_called

if TYPE_CHECKING:
    from iosim.interpret.triton import Kernels, Parameter

Kind: TypeAlias = Literal["cuda", "cpu"]
Tensors: TypeAlias = Mapping[str, Any]

TORCH_NAMES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int32": "int32"}  # of formats
_TIMED_S, _FEWEST, _MOST = 0.2, 3, 50  # of runs that are timed: together about so long, at least and at most so many
_FLUSHED = 2**28  # bytes that are written between them, more than any L2 cache has


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the device is.

    Attributes:
        name: of the GPU, or of the CPU's stand-in.
        sms: streaming multiprocessors.
        l2_bytes: of its second-level cache.
        l2_partitions: parts of that, each of which holds what SMs on its side use; 1 where nothing is known of them.
        shared_bytes_of_sm: shared memory of an SM.
        registers_of_sm: 32-bit registers of an SM.
        versions: of the software.
    """

    name: str
    sms: int
    l2_bytes: int
    shared_bytes_of_sm: int
    registers_of_sm: int
    versions: Mapping[str, str]
    l2_partitions: int = 1

    @property
    def machine(self) -> Machine | None:
        """The published figures; None if they are not known."""
        return machine_called(self.name)

    @property
    def multiprocessor(self) -> Multiprocessor:
        """What an SM has for blocks; what the driver does not say is that of an H100, if the GPU is not known."""
        published = (self.machine and self.machine.multiprocessor) or machine("h100").multiprocessor
        assert published is not None
        return replace(published, registers=self.registers_of_sm, shared_bytes=self.shared_bytes_of_sm)


class Device:
    """Where kernels run.

    Raises:
        UsageError: PyTorch or Triton is not installed, or there is no such device.
    """

    def __init__(self, kind: Kind) -> None:
        if kind == "cpu":
            os.environ["TRITON_INTERPRET"] = "1"  # Triton looks at it when it is imported
        try:
            import torch
            import triton
        except ImportError as error:
            raise UsageError(
                f"this needs PyTorch and Triton ({error}); allowed: after pip install 'iosim[torch]'"
            ) from error
        if kind == "cuda" and not torch.cuda.is_available():
            raise UsageError("this needs an NVIDIA GPU that PyTorch can use, and there is none here")
        self.kind, self.torch, self.triton = kind, torch, triton
        self._profiling = False

    def facts(self) -> Facts:
        """What the device is."""
        versions = {
            "python": sys.version.split()[0],
            "torch": str(self.torch.__version__),
            "triton": str(self.triton.__version__),
        }
        if self.kind == "cpu":
            h100 = machine("h100")  # what a prediction is made for
            assert h100.multiprocessor is not None
            return Facts(
                name="CPU, Triton's interpreter",
                sms=h100.sms or 1,
                l2_bytes=h100.l2_bytes or 1,
                shared_bytes_of_sm=h100.multiprocessor.shared_bytes,
                registers_of_sm=h100.multiprocessor.registers,
                versions=versions,
                l2_partitions=h100.l2_partitions or 1,
            )
        found = self.torch.cuda.get_device_properties(0)
        return Facts(
            name=str(found.name),
            sms=int(found.multi_processor_count),
            l2_bytes=int(found.L2_cache_size),
            shared_bytes_of_sm=int(found.shared_memory_per_multiprocessor),
            registers_of_sm=int(getattr(found, "regs_per_multiprocessor", REGISTERS_OF_SM)),
            versions={**versions, "cuda": str(self.torch.version.cuda), "capability": f"{found.major}.{found.minor}"},
            l2_partitions=l2_partitions_of(str(found.name)),
        )

    def dtype(self, name: str) -> Any:
        """PyTorch's name for a format."""
        return getattr(self.torch, TORCH_NAMES[name])

    def check_interpreter(self) -> None:
        """Raises a UsageError if Triton was imported in a way that CPU tensors can't be used."""
        from triton.runtime.interpreter import InterpretedFunction

        if not isinstance(self.triton.language.sum, InterpretedFunction):
            raise UsageError(
                "Triton was imported without its interpreter, which CPU tensors need; allowed: TRITON_INTERPRET=1 in the "
                "environment"
            )

    def constant(self, parameter: Parameter) -> Any:
        """The array of a parameter with values."""
        made = self.torch.tensor(parameter.values, dtype=self.dtype(parameter.dtype), device=self.kind)
        return made.reshape(parameter.shape)

    def tensors(self, parameters: Sequence[Parameter], *, seed: int, logit_bound: float | None = None) -> Tensors:
        """Arrays for the kernels: random inputs, constants as they are, and NaN in what is to be written.

        Args:
            logit_bound: R; Q and K are scaled so that no |q.k|/sqrt(d) is above. None: standard normal numbers.
        """
        torch = self.torch
        generator = torch.Generator(device=self.kind).manual_seed(seed)
        found: dict[str, Any] = {}
        for parameter in parameters:
            dtype = self.dtype(parameter.dtype)
            if parameter.role == "constant":
                made = self.constant(parameter)
            elif parameter.role == "input":
                made = torch.randn(parameter.shape, generator=generator, device=self.kind, dtype=torch.float32)
                if logit_bound is not None and parameter.name in ("Q", "K"):
                    # a norm of d^(1/4) sqrt(R) each; rounding to 8 bits adds less than the factor takes away
                    made *= 0.99 * (math.sqrt(logit_bound) * made.shape[-1] ** 0.25) / made.norm(dim=-1, keepdim=True)
                made = made.to(dtype)
            else:
                made = torch.full(parameter.shape, math.nan, dtype=dtype, device=self.kind)
            found[parameter.name] = made.contiguous()
        return found

    def launch(self, loaded: Loaded, tensors: Tensors) -> list[Any]:
        """Launches every kernel, in order; returns what was launched."""
        return [
            loaded.functions[number][launch.grid](
                *(tensors[name] for name in launch.parameters),
                num_warps=launch.num_warps,
                num_stages=launch.num_stages,
            )
            for number, launch in enumerate(loaded.kernels.launches)
        ]

    def compile(self, loaded: Loaded) -> None:
        """Compiles every kernel for this device without arrays; Triton keeps the result for the launch."""
        dtypes = {parameter.name: self.dtype(parameter.dtype) for parameter in loaded.kernels.parameters}
        for number, launch in enumerate(loaded.kernels.launches):
            loaded.functions[number].warmup(
                *(dtypes[name] for name in launch.parameters),
                grid=launch.grid,
                num_warps=launch.num_warps,
                num_stages=launch.num_stages,
            )

    def resources(self, launched: Any) -> Resources | None:
        """What a block of a launched kernel needs; None in the interpreter."""
        if self.kind == "cpu":
            return None
        return Resources(
            threads=WARP * int(launched.metadata.num_warps),
            registers_per_thread=int(launched.n_regs),
            shared_bytes=int(launched.metadata.shared),
            spilled_bytes_per_thread=int(launched.n_spills),
        )

    def synchronise(self) -> None:
        """Waits until everything launched has run; an error of a launch is raised here."""
        if self.kind == "cuda":
            self.torch.cuda.synchronize()

    def seconds(self, run: Callable[[], object]) -> float:
        """The median time of several runs, each after the L2 cache was filled with something else."""
        times = [self._once(run, None)]
        if self.kind == "cuda":
            other = self.torch.empty(_FLUSHED, dtype=self.torch.int8, device="cuda")
            times = [self._once(run, other)]  # the first one of all warmed up
            many = max(_FEWEST, min(_MOST, int(_TIMED_S / times[0])))
            times = [self._once(run, other) for _ in range(many)]
        return median(times)

    def _once(self, run: Callable[[], object], other: Any) -> float:
        if self.kind == "cpu":
            start = perf_counter()
            run()
            return perf_counter() - start
        if other is not None:
            other.zero_()
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    def fused_attention(self, tensors: Tensors, *, causal: bool) -> Callable[[], Any]:
        """PyTorch's fused attention on the same Q, K and V.

        Shapes: Q, K, V: [n, d] or [heads, n, d].
        """
        q, k, v = (tensors[name].reshape(1, -1, *tensors[name].shape[-2:]) for name in "QKV")
        attend = self.torch.nn.functional.scaled_dot_product_attention
        return lambda: attend(q, k, v, is_causal=causal)

    @contextmanager
    def profiled(self) -> Iterator[None]:
        """What is launched inside is seen by Nsight Compute."""
        self.synchronise()
        if self.kind == "cpu":
            yield
            return
        self.torch.cuda.profiler.start()
        try:
            yield
            self.synchronise()
        finally:
            self.torch.cuda.profiler.stop()

    def broken(self, error: BaseException) -> bool:
        """Whether nothing more can run in this process: an error of CUDA stays."""
        return self.kind == "cuda" and ("CUDA error" in str(error) or type(error).__name__ == "AcceleratorError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Kernels as functions of an imported module, in the order of their launches."""

    kernels: Kernels
    functions: Sequence[Any]


@contextmanager
def loaded(kernels: Kernels, prefix: str = "") -> Iterator[Loaded]:
    """The module of some kernels, imported from a file that is there while the context lasts.

    Args:
        prefix: of the names of the functions, by which Nsight Compute's table is read.
    """
    source = kernels.source
    for name in dict.fromkeys(launch.function for launch in kernels.launches):
        source = source.replace(f"def {name}(", f"def {prefix}{name}(")
    with imported(source, f"{prefix or 'iosim_'}kernels") as module:
        yield Loaded(
            kernels=kernels, functions=[getattr(module, f"{prefix}{launch.function}") for launch in kernels.launches]
        )
