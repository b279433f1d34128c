"""Published figures of processors: how much fast memory a block of threads has, and how fast the memories and units are.

Shared memory and registers of NVIDIA's processors follow from the compute capability (CUDA C++ Programming Guide, table
"Technical Specifications per Compute Capability"; shared memory of a block is the most that it can ask for, 1 KiB less than
that of the multiprocessor from 8.0 on). The rest is from the source that each row names. Peaks are of dense matrices, at
boost clock, with sums in fp32; a figure that no source says is None.
"""

from __future__ import annotations

from dataclasses import dataclass

from iosim.errors import UsageError

KIB, MIB = 1024, 1024**2
REGISTERS_OF_SM = 64 * KIB  # of 32 bits, in every compute capability from 3.7 on
_FP32_OF_A_ZEN_CORE = 32  # a cycle: two 256-bit units, eight fp32 words each, a product and a sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiprocessor:
    """What a multiprocessor has for blocks of threads.

    Attributes:
        registers: of 32 bits.
        shared_bytes: shared memory.
        reserved_bytes: that each block takes of it besides its own.
        threads, blocks: at once.
    """

    registers: int
    shared_bytes: int
    reserved_bytes: int
    threads: int
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A processor.

    Attributes:
        name: what `machine` finds it by.
        title: of whom, and which model.
        sms: streaming multiprocessors; compute units of AMD, cores of a CPU.
        shared_bytes_per_sm: shared memory (AMD: local data share) of a multiprocessor.
        shared_bytes_per_block: the most of it that one block of threads can have.
        register_bytes_per_sm: vector registers of a multiprocessor.
        l2_bytes: second-level cache of the whole chip.
        l2_partitions: parts of it, each of which holds what the multiprocessors on its side use.
        memory_bandwidth: of the memory off the chip. Units: bytes a second.
        tensor_fp16: matrix products of fp16 words. Units: flops a second.
        fp32: without matrix units. Units: flops a second.
        source: of the figures.
        capability: compute capability of NVIDIA's, without the dot, as compilers write it.
    """

    name: str
    title: str
    source: str
    sms: int | None = None
    shared_bytes_per_sm: int | None = None
    shared_bytes_per_block: int | None = None
    register_bytes_per_sm: int | None = None
    l2_bytes: int | None = None
    l2_partitions: int | None = None
    memory_bandwidth: float | None = None
    tensor_fp16: float | None = None
    fp32: float | None = None
    capability: str | None = None

    @property
    def fast_bytes(self) -> int | None:
        """Registers and shared memory of a multiprocessor together."""
        if self.register_bytes_per_sm is None or self.shared_bytes_per_sm is None:
            return None
        return self.register_bytes_per_sm + self.shared_bytes_per_sm

    @property
    def exponentials(self) -> float | None:
        """Special functions of fp32, such as exponentials. Units: results a second.

        Source: CUDA C++ Programming Guide, table "Throughput of Native Arithmetic Instructions": 16 a cycle and
        multiprocessor, beside 64 or 128 products and sums.
        """
        lanes = _CAPABILITIES[self.capability].lanes if self.capability else None
        return None if lanes is None or self.fp32 is None else self.fp32 / (2 * lanes) * 16

    @property
    def multiprocessor(self) -> Multiprocessor | None:
        """What one multiprocessor of NVIDIA's has for blocks of threads."""
        if self.capability is None:
            return None
        own = _CAPABILITIES[self.capability]
        return Multiprocessor(
            registers=REGISTERS_OF_SM,
            shared_bytes=own.shared_kib * KIB,
            reserved_bytes=(own.shared_kib - own.shared_kib_per_block) * KIB,
            threads=own.threads,
            blocks=own.blocks,
        )

    def balance(self, peak: float | None) -> float | None:
        """Flops that the machine does while a byte comes from memory. Units: flops a byte."""
        return None if peak is None or self.memory_bandwidth is None else peak / self.memory_bandwidth

    def roof(self, peak: float, intensity: float) -> float:
        """Flops a second at that intensity: as the bandwidth allows, at most the peak.

        Args:
            peak: of the units that do them. Units: flops a second.
            intensity: flops for each byte that comes from memory or goes there.
        """
        return peak if self.memory_bandwidth is None else min(peak, self.memory_bandwidth * intensity)

    def corners(self, peak: float, low: float, high: float) -> list[tuple[float, float]]:
        """Intensities and heights of the roof: where it is cut off at both sides, and between them where it bends."""
        balance = self.balance(peak)
        bend = [balance] if balance is not None and low < balance < high else []
        return [(x, self.roof(peak, x)) for x in (low, *bend, high)]


@dataclass(frozen=True, slots=True)
class _Capability:
    """What all processors of one compute capability have in common.

    Attributes:
        shared_kib: shared memory of a multiprocessor. Units: KiB.
        shared_kib_per_block: the most of it that one block can have. Units: KiB.
        threads, blocks: that a multiprocessor holds at once.
        lanes: products and sums of fp32 that it does in a cycle.
        l2_partitions: of the second-level cache.
    """

    shared_kib: int
    shared_kib_per_block: int
    threads: int
    blocks: int
    lanes: int | None = None
    l2_partitions: int | None = None


# CUDA C++ Programming Guide, as above. Partitions, for 8.0: NVIDIA A100 Tensor Core GPU Architecture, white paper, on its L2
# cache; for 9.0: "Nvidia's H100: Funny L2, and Tons of Bandwidth", Chips and Cheese, 2023.
_CAPABILITIES = {
    "70": _Capability(96, 96, 2048, 32, lanes=64),
    "75": _Capability(64, 64, 1024, 16, lanes=64),
    "80": _Capability(164, 163, 2048, 32, lanes=64, l2_partitions=2),
    "86": _Capability(100, 99, 1536, 16, lanes=128),
    "89": _Capability(100, 99, 1536, 24, lanes=128),
    "90": _Capability(228, 227, 2048, 32, lanes=128, l2_partitions=2),
    "100": _Capability(228, 227, 2048, 32),
}


def _nvidia(
    name: str,
    title: str,
    source: str,
    capability: str,
    *,
    sms: int | None,
    l2_mib: int | None,
    gb_a_second: float,
    tensor_fp16: float | None,
    fp32: float | None,
) -> Machine:
    """Peaks in Tflops a second."""
    number = capability.replace(".", "")
    own = _CAPABILITIES[number]
    return Machine(
        name=name,
        title=f"NVIDIA {title}",
        source=f"{source}; compute capability {capability}",
        capability=number,
        sms=sms,
        shared_bytes_per_sm=own.shared_kib * KIB,
        shared_bytes_per_block=own.shared_kib_per_block * KIB,
        register_bytes_per_sm=4 * REGISTERS_OF_SM,
        l2_bytes=None if l2_mib is None else l2_mib * MIB,
        l2_partitions=own.l2_partitions,
        memory_bandwidth=gb_a_second * 1e9,
        tensor_fp16=None if tensor_fp16 is None else tensor_fp16 * 1e12,
        fp32=None if fp32 is None else fp32 * 1e12,
    )


MACHINES = (
    _nvidia(
        "v100",
        "V100 SXM2",
        "NVIDIA Tesla V100 GPU Architecture, white paper WP-08608",
        "7.0",
        sms=80,
        l2_mib=6,
        gb_a_second=900,
        tensor_fp16=125,
        fp32=15.7,
    ),
    _nvidia(
        "t4",
        "T4",
        "NVIDIA Turing GPU Architecture, white paper WP-09183",
        "7.5",
        sms=40,
        l2_mib=4,
        gb_a_second=320,
        tensor_fp16=65,
        fp32=8.1,
    ),
    _nvidia(
        "a100",
        "A100 SXM4 40 GB",
        "NVIDIA A100 Tensor Core GPU Architecture, white paper",
        "8.0",
        sms=108,
        l2_mib=40,
        gb_a_second=1555,
        tensor_fp16=312,
        fp32=19.5,
    ),
    _nvidia(
        "a100-80gb",
        "A100 SXM4 80 GB",
        "NVIDIA A100 Tensor Core GPU, data sheet",
        "8.0",
        sms=108,
        l2_mib=40,
        gb_a_second=2039,
        tensor_fp16=312,
        fp32=19.5,
    ),
    _nvidia(
        "rtx3090",
        "GeForce RTX 3090",
        "NVIDIA Ampere GA102 GPU Architecture, white paper",
        "8.6",
        sms=82,
        l2_mib=6,
        gb_a_second=936,
        tensor_fp16=71,
        fp32=35.6,
    ),
    _nvidia(
        "rtx4090",
        "GeForce RTX 4090",
        "NVIDIA Ada GPU Architecture, white paper",
        "8.9",
        sms=128,
        l2_mib=72,
        gb_a_second=1008,
        tensor_fp16=165.2,
        fp32=82.6,
    ),
    _nvidia(
        "l4",
        "L4",
        "NVIDIA L4 Tensor Core GPU, data sheet",
        "8.9",
        sms=58,
        l2_mib=48,
        gb_a_second=300,
        tensor_fp16=121,
        fp32=30.3,
    ),
    _nvidia(
        "h100",
        "H100 SXM5 80 GB",
        "NVIDIA H100 Tensor Core GPU Architecture, white paper, and data sheet",
        "9.0",
        sms=132,
        l2_mib=50,
        gb_a_second=3350,
        tensor_fp16=989.4,
        fp32=66.9,
    ),
    _nvidia(
        "h100-pcie",
        "H100 PCIe 80 GB",
        "NVIDIA H100 Tensor Core GPU Architecture, white paper, and data sheet",
        "9.0",
        sms=114,
        l2_mib=50,
        gb_a_second=2000,
        tensor_fp16=756,
        fp32=51.2,
    ),
    _nvidia(
        "h200",
        "H200 SXM 141 GB",
        "NVIDIA H200 Tensor Core GPU, data sheet",
        "9.0",
        sms=132,
        l2_mib=None,
        gb_a_second=4800,
        tensor_fp16=989.5,  # half of the 1,979 with sparsity
        fp32=67,
    ),
    _nvidia(
        "b200",
        "B200 SXM",
        "NVIDIA DGX B200, data sheet: 64 TB/s of 8 processors",
        "10.0",
        sms=None,
        l2_mib=None,
        gb_a_second=8000,
        tensor_fp16=None,
        fp32=None,
    ),
    Machine(
        name="mi250",
        title="AMD Instinct MI250 (both dies)",
        source="AMD CDNA 2 Architecture, white paper, and AMD Instinct MI250, data sheet",
        sms=208,
        shared_bytes_per_sm=64 * KIB,
        shared_bytes_per_block=64 * KIB,
        register_bytes_per_sm=512 * KIB,
        l2_bytes=2 * 8 * MIB,
        memory_bandwidth=3276.8e9,
        tensor_fp16=362.1e12,
        fp32=45.3e12,
    ),
    Machine(
        name="mi300x",
        title="AMD Instinct MI300X",
        source="AMD CDNA 3 Architecture, white paper, and AMD Instinct MI300X, data sheet",
        sms=304,
        shared_bytes_per_sm=64 * KIB,
        shared_bytes_per_block=64 * KIB,
        register_bytes_per_sm=512 * KIB,
        l2_bytes=8 * 4 * MIB,  # of each of eight dies
        memory_bandwidth=5300e9,
        tensor_fp16=1307.4e12,
        fp32=163.4e12,
    ),
    Machine(
        name="epyc7763",
        title="AMD EPYC 7763, one socket",
        source="AMD EPYC 7763, product page: 64 cores at 2.45 GHz, 8 channels of DDR4-3200; 32 flops a cycle and core",
        sms=64,
        l2_bytes=64 * 512 * KIB,
        memory_bandwidth=8 * 25.6e9,
        fp32=64 * 2.45e9 * _FP32_OF_A_ZEN_CORE,
    ),
    Machine(
        name="epyc9654",
        title="AMD EPYC 9654, one socket",
        source="AMD EPYC 9654, product page: 96 cores at 2.4 GHz, 12 channels of DDR5-4800; 32 flops a cycle and core",
        sms=96,
        l2_bytes=96 * MIB,
        memory_bandwidth=12 * 38.4e9,
        fp32=96 * 2.4e9 * _FP32_OF_A_ZEN_CORE,
    ),
)


def machine(name: str, *, where: str = "machine") -> Machine:
    """The machine of that name; capitals, spaces and dashes don't count.

    Raises:
        UsageError: there is none.

    Example:
        >>> machine("H100").shared_bytes_per_block  # 227 KiB
        232448
    """
    found = {_plain(each.name): each for each in MACHINES}.get(_plain(name))
    if found is None:
        raise UsageError(f"{where} {name}: no such machine; allowed: {', '.join(each.name for each in MACHINES)}")
    return found


def machine_called(name: str) -> Machine | None:
    """The published figures of the GPU that a driver calls so; None if they are not known.

    Example:
        >>> machine_called("NVIDIA H100 80GB HBM3").name, machine_called("NVIDIA H100 PCIe").name
        ('h100', 'h100-pcie')
    """
    fitting = [each for each in MACHINES if _plain(each.name) in _plain(name)]
    return max(fitting, key=lambda each: len(each.name), default=None)


def l2_partitions_of(name: str) -> int:
    """Parts of the L2 cache of the GPU that a driver calls so; 1 where nothing is known of them."""
    found = machine_called(name)
    return (found.l2_partitions if found else None) or 1


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def check_launch(*, num_warps: int | None = None, num_stages: int | None = None) -> None:
    """That Triton launches kernels so: a power of two warps, up to 1,024 threads, and a few stages of a pipeline.

    Raises:
        UsageError: it does not.
    """
    for flag, value, allowed in (
        ("num-warps", num_warps, (1, 2, 4, 8, 16, 32)),
        ("num-stages", num_stages, range(1, 9)),
    ):
        if value is not None and value not in allowed:
            raise UsageError(f"--{flag} {value}: allowed: {', '.join(map(str, allowed))}")
