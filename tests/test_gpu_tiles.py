"""Which tiles fit a GPU: bytes of loaded and of created tiles, against published limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Problem
from iosim.errors import UsageError
from iosim.gpu.tiles import BLOCKS, GpuTiles, gpu_tiles
from iosim.machines import machine
from iosim.registry import find
from iosim.units import dtype


def needed(gpu: str, d: int, *, word: str = "fp16", stages: int = 1, n: int = 65_536, **tiles: int) -> GpuTiles:
    """What flash2's tiles need, with whole rows of K and V at a time."""
    whole = {**tiles, "e": d, "e_v": d}
    return gpu_tiles(
        machine(gpu), Problem(n=n, d=d), [find("flash2")], word=dtype(word), num_stages=stages, tiles=whole
    )


# d, B_r, B_c, stages: bytes of shared memory for sm_80 and sm_90, as Triton 3.9 has them in the metadata of a kernel in
# FlashAttention-2's order (fp16, 8 warps, 4 for 64 rows), compiled for these targets.
TRITON = {
    (128, 128, 64, 1): (49_152, 49_152),
    (128, 128, 64, 2): (65_536, 98_304),
    (128, 128, 64, 3): (98_304, 131_072),
    (128, 64, 64, 3): (90_112, 114_688),
    (128, 128, 128, 4): (229_376, 294_912),
    (128, 128, 16, 2): (40_960, 49_152),
    (64, 256, 16, 2): (36_864, 40_960),
    (64, 128, 32, 3): (32_768, 40_960),
    (64, 128, 64, 3): (49_152, 65_536),
    (64, 128, 64, 4): (65_536, 81_920),
    (64, 64, 64, 2): (24_576, 40_960),
    (64, 128, 128, 3): (81_920, 114_688),
}


@pytest.mark.parametrize("choice", TRITON, ids=str)
def test_shared_memory_is_what_triton_needs(choice: tuple[int, int, int, int]) -> None:
    """To the byte for an H100, and for an A100 with one stage; else at most that, and that is said."""
    d, B_r, B_c, stages = choice
    ampere, hopper = TRITON[choice]
    found = {gpu: needed(gpu, d, stages=stages, B_r=B_r, B_c=B_c) for gpu in ("a100", "h100")}
    assert found["h100"].needs[0].shared_bytes == hopper
    assert found["a100"].needs[0].shared_bytes >= ampere
    assert found["h100"].exact
    assert found["a100"].exact == (stages == 1)
    assert stages > 1 or found["a100"].needs[0].shared_bytes == ampere


def test_a_kernel_that_is_out_of_shared_memory() -> None:
    """d = 128, fp16, 128 x 128 tiles, 4 stages: q is 128 128 2 B, k and v as much, four times: 294,912 B; a block of an
    H100 has 232,448 B. Of an A100 it is said to be at most that; of a T4 nothing was compared."""
    found = needed("h100", 128, stages=4, B_r=128, B_c=128)
    (need,) = found.needs
    assert need.shared_bytes == 2 * (128 * 128 + 4 * 2 * 128 * 128) == 294_912
    assert found.why_not(need) == "out of shared memory: required 294,912 B, hardware limit 232,448 B"
    on_a100 = needed("a100", 128, stages=4, B_r=128, B_c=128)
    assert "memory: required at most 294,912 B, hardware limit 166,912 B" in (on_a100.why_not(need) or "")
    assert "exactly" in found.note
    assert "at most" in on_a100.note
    assert "not held against a compiler" in needed("t4", 128, B_r=16, B_c=16).note


@settings(max_examples=20)
@given(
    st.sampled_from(BLOCKS), st.sampled_from(BLOCKS), st.sampled_from([32, 64, 128]), st.sampled_from(["fp16", "fp32"])
)
def test_bytes_of_one_stage_are_the_peaks_of_both_kinds(B_r: int, B_c: int, d: int, word: str) -> None:
    """Loaded: q, and k or v, whichever is there; created, in fp32: o, m, l, the scores and the new maximum."""
    (need,) = needed("h100", d, word=word, B_r=B_r, B_c=B_c).needs
    assert need.shared_bytes == dtype(word).bytes * d * (B_r + B_c)
    assert need.register_bytes == 4 * (B_r * (d + 2 + B_c) + 1)


def test_more_registers_than_there_are() -> None:
    """256 x 256 scores in fp32 are all 262,144 B of an H100's multiprocessor, and o comes on top."""
    found = needed("h100", 64, B_r=256, B_c=256)
    (need,) = found.needs
    assert need.shared_bytes <= found.shared_limit
    assert (
        found.why_not(need)
        == f"out of registers: required {4 * (256 * (64 + 2 + 256) + 1):,} B, hardware limit 262,144 B"
    )


def test_a_word_more_of_the_limit_decides() -> None:
    """T4: 65,536 B are 128 + 128 rows of 128 fp16 words, which fit exactly; a row more does not."""
    fits, not_so = (needed("t4", 128, B_r=128, B_c=B_c) for B_c in (128, 129))
    assert fits.needs[0].shared_bytes == 65_536
    assert "shared memory" not in (fits.why_not(fits.needs[0]) or "")
    assert "shared memory: required 65,792 B" in (not_so.why_not(not_so.needs[0]) or "")


def test_the_fewest_words_come_first_and_are_counted() -> None:
    """Powers of two from 16 on, and the whole axis; K and V move once for each row tile."""
    n, d = 40, 64
    found = gpu_tiles(machine("l4"), Problem(n=n, d=d, kv_heads=2), [find("flash2")], word=dtype("bf16"))
    traffic = [need.io_words for need in found.needs]
    assert traffic == sorted(traffic)
    for need in found.needs:
        if need.schedule == "words":
            assert need.io_words == 2 * (2 * n * d + 2 * n * d * -(-n // need.tiles["B_r"]))


def test_what_has_no_shared_memory_or_no_such_tiles_is_refused() -> None:
    """A CPU; an algorithm whose blocks are no tile sizes; tiles with other names."""
    problem, word = Problem(n=64, d=16), dtype("fp16")
    with pytest.raises(UsageError, match="--gpu epyc7763: AMD EPYC 7763, one socket has no shared memory"):
        gpu_tiles(machine("epyc7763"), problem, [find("flash2")], word=word)
    with pytest.raises(UsageError, match="--gpu t4: no schedule of approx has such tile sizes"):
        gpu_tiles(machine("t4"), problem, [find("approx")], word=word)
    with pytest.raises(UsageError, match="no schedule of flash2 has such tile sizes"):
        gpu_tiles(machine("t4"), problem, [find("flash2")], word=word, tiles={"X": 3})
