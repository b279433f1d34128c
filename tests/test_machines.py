"""The table of machines: figures that hang together, and what a wrong name says."""

import pytest

from iosim.errors import UsageError
from iosim.machines import MACHINES, machine


def test_what_a_block_can_have_is_what_triton_says_is_the_hardware_limit() -> None:
    """Triton's "out of resource: shared memory" names 65,536, 101,376, 166,912 and 232,448 bytes on these processors."""
    limits = {"t4": 65_536, "rtx3090": 101_376, "rtx4090": 101_376, "a100": 166_912, "h100": 232_448}
    assert {name: machine(name).shared_bytes_per_block for name in limits} == limits


def test_peaks_follow_from_units_and_clock() -> None:
    """fp32 peak = 2 flops x 128 lanes x 132 multiprocessors x 1.98 GHz = 66.9e12 on an H100."""
    assert machine("h100").fp32 == pytest.approx(2 * 128 * 132 * 1.98e9, rel=1e-3)


def test_the_balance_is_flops_while_a_byte_comes() -> None:
    """An A100 with 40 GB does 312e12 / 1555e9 = 200.6 flops of fp16 matrices a byte; the unknown stays unknown."""
    a100, epyc = machine("a100"), machine("epyc7763")
    assert a100.balance(a100.tensor_fp16) == pytest.approx(200.6, abs=0.1)
    assert epyc.balance(epyc.tensor_fp16) is None


def test_the_roof_bends_at_the_balance() -> None:
    """Below it 1555e9 bytes a second times the intensity, above it the peak; the bend is a corner only if it is in view."""
    a100 = machine("a100")
    peak, balance = a100.tensor_fp16, a100.balance(a100.tensor_fp16)
    assert peak is not None
    assert balance is not None
    assert [a100.roof(peak, x) for x in (100, 1000)] == pytest.approx([1555e11, 312e12])
    assert a100.corners(peak, 100, 1000) == [(x, a100.roof(peak, x)) for x in (100, balance, 1000)]
    assert a100.corners(peak, 1, 100) == [(1, 1555e9), (100, 1555e11)]


def test_every_row_is_plausible_and_says_where_it_is_from() -> None:
    """A block has at most its multiprocessor's memory; matrix units are faster; a name is there once; so is a source."""
    assert len({each.name for each in MACHINES}) == len(MACHINES)
    for each in MACHINES:
        assert each.source
        if each.shared_bytes_per_block is not None and each.shared_bytes_per_sm is not None:
            assert 0 < each.shared_bytes_per_block <= each.shared_bytes_per_sm
        if each.tensor_fp16 is not None and each.fp32 is not None:
            assert each.tensor_fp16 > each.fp32


def test_a_name_is_found_however_it_is_written_and_a_wrong_one_lists_all() -> None:
    """Capitals, spaces and dashes don't count."""
    assert machine("RTX 4090") is machine("rtx-4090")
    with pytest.raises(UsageError, match=r"--gpu gtx: no such machine; allowed: v100, t4, a100, .*epyc9654"):
        machine("gtx", where="--gpu")
