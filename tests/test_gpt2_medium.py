"""The published traffic of GPT-2 medium against passes over arrays: what is counted, what is derived, what matches."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpt2_medium import (
    INSTANCES,
    L2_WORDS,
    PLAIN,
    PUBLISHED_FLASH,
    PUBLISHED_GFLOPS,
    PUBLISHED_STANDARD,
    READINGS,
    SM_WORDS,
    D,
    N,
    Traffic,
    backward_blocks_words,
    flash_backward_traffic,
    flash_forward,
    flash_forward_traffic,
    flash_traffic,
    main,
    standard_forward,
)

README = Path(__file__).parent.parent / "README.md"


def test_the_hand_count_of_the_plain_forward_pass_is_the_programs() -> None:
    """Algorithm 0 with all of a head on the chip: S stored and loaded, P stored and loaded, Q, K, V and O once."""
    assert sum(step.n_n for step in PLAIN.forward) == 4
    assert sum(step.n_d for step in PLAIN.forward) == 4
    assert standard_forward().io_words == 4 * N * N + 4 * N * D


def test_the_forward_pass_of_flash_attention_is_counted() -> None:
    """192 KiB hold blocks of 98,304/(4 64) = 384 keys, so 3 blocks: O set to 0, K and V, and 3 times Q and O twice."""
    assert SM_WORDS == 98_304
    assert flash_forward().sizes["B_c"] == 384
    # m and l: 2n to begin with, and loaded and stored for each of 3 blocks
    assert flash_forward_traffic() == Traffic(data=(1 + 2 + 3 * 3) * N * D, statistics=(2 + 3 * 4) * N)


def test_the_backward_pass_is_algorithm_4() -> None:
    """3 blocks: dQ set to 0, K, V, dK, dV once, and 3 times Q, O, dO, dQ loaded and dQ stored; l and m loaded 3 times."""
    assert flash_backward_traffic(3) == Traffic(data=(1 + 4 + 3 * 5) * N * D, statistics=3 * 2 * N)


def test_one_reading_of_standard_attention_has_the_published_bytes() -> None:
    """18 passes over n x n arrays and 12 over n x d ones: an added mask, whose gradient needs no pass. The others don't."""
    rounded = {one.name: f"{one.gigabytes:.1f}" for one in READINGS}
    assert [name.split(":")[0] for name, found in rounded.items() if found == PUBLISHED_STANDARD] == ["mask added"]
    assert [(one.n_n, one.n_d) for one in READINGS] == [(16, 12), (18, 12), (20, 12)]


@pytest.mark.parametrize(
    ("words", "matches"), [(SM_WORDS, True), (2**16, False), (100 * 2**9, False), (L2_WORDS, False)]
)
def test_the_tiles_for_192_kib_have_the_published_bytes(words: int, matches: bool) -> None:
    """Two passes of 3 blocks, statistics in fp32: 4.38 GB. Fast memories with another number of blocks are off."""
    assert (f"{flash_traffic(words).gigabytes:.1f}" == PUBLISHED_FLASH) == matches


def test_what_does_not_fit_is_as_said() -> None:
    """The backward tiles fill the fast memory alone; a head is smaller than the L2; the flops are below a twelfth."""
    assert backward_blocks_words(flash_forward().sizes["B_c"]) == SM_WORDS
    assert 4 * N * D * 2 == 512 * 2**10 < 2 * L2_WORDS
    for published, times in PUBLISHED_GFLOPS.values():
        assert 12 * published < INSTANCES * times * N * N * D / 1e9


def test_the_readme_quotes_what_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    """The two figures in the README are those that the benchmark prints."""
    main()
    printed, text = capsys.readouterr().out, " ".join(README.read_text().split())
    for gigabytes, published in (
        (READINGS[1].gigabytes, PUBLISHED_STANDARD),
        (flash_traffic().gigabytes, PUBLISHED_FLASH),
    ):
        assert f"{gigabytes:.2f} GB" in printed
        assert f"{published} GB published, {gigabytes:.2f} GB" in text
