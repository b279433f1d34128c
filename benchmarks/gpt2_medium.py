"""FlashAttention's published HBM traffic for GPT-2 medium, rebuilt from passes over arrays, with no fitted constant.

Published (Dao et al., FlashAttention, NeurIPS 2022, Figure 2, left): sequence length 1024, head dimension 64, 16 heads,
batch 64, fp16, forward + backward on an A100: standard attention 40.3 GB "HBM R/W", FlashAttention 4.4 GB.

What is counted here:

*   The forward passes of FlashAttention (Algorithm 1 of the paper, its tiles for 192 KiB a multiprocessor) and of plain
    standard attention (Algorithm 0) are counted by this package's programs.
*   Mask, dropout and everything backward is DERIVED BY HAND from the steps of PyTorch's standard operations and of the
    paper's Algorithm 4: which n x n and n x d arrays each step reads and writes. No program of this package counts it.

What is not known: how the figures were obtained, whether a mask and dropout were on, and which operations were fused. It is
assumed that both were on. The three readings below differ in the mask only; that one of them has the published number of
bytes was found by trying the three, so it shows what the figure is consistent with, not what ran.

What does not fit: FlashAttention's figure is that of blocks for the 192 KiB of one multiprocessor, all moves between it and
what lies behind counted; the L2 of the chip holds all of a head (512 KiB), so that HBM itself could see each array but once.
The published tiles of the backward pass fill all the fast memory with K, V, dK and dV alone, and leave no word for the rest.
The flops of the same table are less than a twelfth of those of 1,024 instances.

Run by hand: python -m benchmarks.gpt2_medium
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from algorithms.flash1 import flash1
from algorithms.standard import standard
from iosim import registry
from iosim.expr import evaluate_int
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.units import DTYPES, words_to_bytes

N, D, HEADS, BATCH = 1024, 64, 16, 64
INSTANCES = HEADS * BATCH
FP16, FP32 = DTYPES["fp16"], DTYPES["fp32"]
SM_WORDS = 192 * 2**10 // FP16.bytes  # L1 and shared memory of one multiprocessor of an A100
L2_WORDS = 40 * 2**20 // FP16.bytes  # L2 of an A100: what is between HBM and the chip
PUBLISHED_STANDARD, PUBLISHED_FLASH = "40.3", "4.4"  # GB, as printed
PUBLISHED_GFLOPS = {"standard": (66.6, 12), "FlashAttention": (75.2, 14)}  # as printed; and n^2 d flops of the products

_BYTE = Fraction(1, FP16.bytes)  # a dropout mask has one byte an entry; in passes at fp16


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation of standard attention: how often it passes over an n x n and an n x d array, at fp16."""

    name: str
    n_n: Fraction | int
    n_d: int = 0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A standard implementation: its steps, forward and backward."""

    name: str
    forward: tuple[Step, ...]
    backward: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.forward + self.backward

    @property
    def n_n(self) -> Fraction:
        """Passes over n x n arrays."""
        return sum((Fraction(step.n_n) for step in self.steps), start=Fraction(0))

    @property
    def n_d(self) -> int:
        """Passes over n x d arrays."""
        return sum(step.n_d for step in self.steps)

    @property
    def gigabytes(self) -> float:
        words = INSTANCES * (self.n_n * N * N + self.n_d * N * D)
        return float(words * FP16.bytes) / 1e9


def reading(name: str, *, mask_forward: int, mask_backward: int, dropout: bool = True) -> Reading:
    """Standard attention with a mask that passes so often over the scores, and dropout with a stored byte mask."""
    drop = 2 + _BYTE if dropout else 0
    return Reading(
        name=name,
        forward=(
            Step(name="S = Q K^T: read Q, K, write S", n_n=1, n_d=2),
            Step(name="mask S", n_n=mask_forward),
            Step(name="P = softmax(S): read, write", n_n=2),
            Step(name="dropout(P): read, write, write its mask", n_n=drop),
            Step(name="O = P V: read P, V, write O", n_n=1, n_d=2),
        ),
        backward=(
            Step(name="dV = P^T dO: read P, dO, write dV", n_n=1, n_d=2),
            Step(name="dP = dO V^T: read dO, V, write dP", n_n=1, n_d=2),
            Step(name="dropout: read dP and the mask, write dP", n_n=drop),
            Step(name="softmax: read P, dP, write dS", n_n=3),
            Step(name="mask dS", n_n=mask_backward),
            Step(name="dQ = dS K: read dS, K, write dQ", n_n=1, n_d=2),
            Step(name="dK = dS^T Q: read dS, Q, write dK", n_n=1, n_d=2),
        ),
    )


READINGS = (
    reading("mask fused into the softmax", mask_forward=0, mask_backward=0),
    reading("mask added: S + mask reads and writes S, its gradient is dS", mask_forward=2, mask_backward=0),
    reading("masked_fill: reads and writes S, and dS", mask_forward=2, mask_backward=2),
)
PLAIN = reading("no mask, no dropout", mask_forward=0, mask_backward=0, dropout=False)


def standard_forward() -> Plan:
    """Algorithm 0, with HBM as slow memory and the L2 as fast memory, so that the products load their operands once."""
    problem = Problem(n=N, d=D)
    return min(standard.plans(problem, L2_WORDS), key=lambda plan: plan.io_words)


def flash_forward(fast_words: int = SM_WORDS) -> Plan:
    """Algorithm 1 with its tiles."""
    return flash1.published(Problem(n=N, d=D), fast_words)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Words of one instance: of data (fp16) and of softmax statistics (fp32 in the published kernels)."""

    data: int
    statistics: int

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(data=self.data + other.data, statistics=self.statistics + other.statistics)

    @property
    def gigabytes(self) -> float:
        return INSTANCES * (words_to_bytes(self.data, FP16) + words_to_bytes(self.statistics, FP32)) / 1e9


def flash_forward_traffic(fast_words: int = SM_WORDS) -> Traffic:
    """Algorithm 1, counted by its program; the arrays M and L are the statistics."""
    counted = flash_forward(fast_words).count()
    moved: dict[str, int] = {}
    for words_by_array in (counted.loads, counted.stores):
        for array, words in words_by_array.items():
            moved[array] = moved.get(array, 0) + evaluate_int(words, {})
    statistics = moved["M"] + moved["L"]
    return Traffic(data=sum(moved.values()) - statistics, statistics=statistics)


def flash_backward_traffic(blocks: int) -> Traffic:
    """Algorithm 4, derived by hand: dQ is set to 0; for each block K and V are loaded, dK and dV stored, and for all rows
    Q, O, dO, dQ, l and m loaded and dQ stored."""
    once = 1 + 2 + 2  # dQ; all of K and V; all of dK and dV
    return Traffic(data=(once + 5 * blocks) * N * D, statistics=2 * N * blocks)


def flash_traffic(fast_words: int = SM_WORDS) -> Traffic:
    """Forward and backward with ceil(n/B_c) blocks each."""
    blocks = -(-N // flash_forward(fast_words).sizes["B_c"])
    return flash_forward_traffic(fast_words) + flash_backward_traffic(blocks)


def backward_blocks_words(B_c: int) -> int:
    """What Algorithm 4 keeps of one block for all rows: K, V, dK and dV. Units: words."""
    return 4 * B_c * D


def main() -> None:
    n_n, n_d = (words_to_bytes(INSTANCES * words, FP16) / 1e9 for words in (N * N, N * D))
    print(
        f"{INSTANCES:,} instances, n = {N:,}, d = {D}, fp16: n x n arrays of {n_n:.3f} GB, n x d arrays of {n_d:.4f} GB\n"
    )
    print(
        f"standard attention, published {PUBLISHED_STANDARD} GB = {float(PUBLISHED_STANDARD) / n_n:.2f} passes over n x n"
    )
    plan = standard_forward()
    forward = sum((Fraction(step.n_n) for step in PLAIN.forward), start=Fraction(0))
    print(f"  forward, plain (program {plan.title}): {plan.io_words:,} words an instance;")
    by_hand = int(forward * N * N) + 4 * N * D
    print(f"    by hand {forward} n^2 + 4 n d = {by_hand:,}")
    for one in (PLAIN, *READINGS):
        print(f"  {one.gigabytes:6.2f} GB = {one.n_n!s:>2} passes over n x n, {one.n_d} over n x d: {one.name}")
    print("\n  the second of the three with a mask, step by step:")
    for step in READINGS[1].steps:
        print(f"    {float(step.n_n):4.1f} n^2 {step.n_d:3} nd   {step.name}")

    print(f"\nFlashAttention, published {PUBLISHED_FLASH} GB = {float(PUBLISHED_FLASH) / n_d:.1f} passes over n x d")
    print("  fast memory     B_c  blocks  forward  backward     both   K, V, dK, dV / M")
    for label, words in (("192 KiB", SM_WORDS), ("128 KiB", 2**16), ("100 KiB", 100 * 2**9), ("40 MiB (L2)", L2_WORDS)):
        B_c = flash_forward(words).sizes["B_c"]
        blocks = -(-N // B_c)
        first, second = flash_forward_traffic(words), flash_backward_traffic(blocks)
        held = backward_blocks_words(B_c) / words
        print(
            f"  {label:12} {B_c:6} {blocks:7} {first.gigabytes:5.2f} GB  {second.gigabytes:5.2f} GB"
            f"  {(first + second).gigabytes:5.2f} GB  {held:8.2f}"
        )
    narrow = flash_traffic()
    print(f"  with statistics at fp16 too, 192 KiB: {INSTANCES * 2 * (narrow.data + narrow.statistics) / 1e9:.2f} GB")
    best = registry.find("exact").best(Problem(n=N, d=D), SM_WORDS)
    ours = words_to_bytes(INSTANCES * best.io_words, FP16) / 1e9
    print(f"  best exact forward in 192 KiB ({best.title}): {ours:.2f} GB")

    print("\nthe GFLOPs of the same table, for products of 2 n^2 d flops:")
    for name, (published, times) in PUBLISHED_GFLOPS.items():
        flops = times * N * N * D / 1e9
        print(f"  {name}: {published} published, {times} n^2 d = {INSTANCES * flops:.1f} for all instances")


if __name__ == "__main__":
    main()
