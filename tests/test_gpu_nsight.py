"""Nsight Compute's tables are read as it prints them, and nothing else is taken for a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from iosim.gpu.nsight import (
    DRAM_READ,
    DRAM_WRITTEN,
    DURATION,
    L2_TO_SM,
    LOADED,
    METRICS,
    SM_TO_L2,
    SPILLED,
    STORED,
    NsightError,
    Profile,
    command,
    parse,
)

RECORDED = (Path(__file__).parent / "data" / "nsight.csv").read_text()

WIDE = """==PROF== Connected to process 7 (/usr/bin/python3)
a line of the program's own, "with a quote"
"ID","Process ID","Kernel Name","Grid Size","device__attribute_name","dram__bytes_read.sum","gpu__time_duration.sum"
"","","","","","Mbyte","us"
"0","7","void ns::first<4, float>(int *, float)","(4, 1, 1)","H100","1,024.5","12.25"
"1","7","second(int *)","(4, 1, 1)","H100","2","1,300"
==PROF== Disconnected from process 7
"""


def launches(text: str) -> dict[int, Profile]:
    """By number."""
    return {profile.number: profile for profile in parse(text)}


def test_a_recording_of_an_h100_is_read() -> None:
    """Two launches of a FlashAttention kernel in bf16; its traffic follows from n, d, heads and tiles."""
    found = launches(RECORDED)
    assert sorted(found) == [0, 2]
    # n = 4096, d = 64, B_r = 128: Q once, K and V for each of 32 row tiles; O once; 2 bytes a word
    assert found[0].total(L2_TO_SM) == found[0].total(LOADED) == 2 * 4096 * 64 * (1 + 2 * 32)
    assert found[0].total(SM_TO_L2) == found[0].total(STORED) == 2 * 4096 * 64
    # everything is in the L2 cache once it was read: Q, K and V, and 24,832 bytes more; O stays there
    assert found[0].total(DRAM_READ) == 2 * 3 * 4096 * 64 + 24_832
    assert found[0].total(DRAM_WRITTEN) == found[0].total(SPILLED) == 0
    # n = 4096, d = 128, B_r = 64, four heads
    assert found[2].total(L2_TO_SM) == 2 * 4 * 4096 * 128 * (1 + 2 * 64)
    assert found[0].values[DURATION] == 90_304


def test_units_names_and_separators_of_a_wide_table() -> None:
    """A row of units under the header; prefixes multiply bytes only; names lose types, templates and parameters."""
    first, second = parse(WIDE)
    assert (first.kernel, second.kernel) == ("ns::first", "second")
    assert first.values == {"dram__bytes_read.sum": 1_024.5e6, "gpu__time_duration.sum": 12.25}
    assert second.values == {"dram__bytes_read.sum": 2e6, "gpu__time_duration.sum": 1300.0}


def test_a_wide_and_a_long_table_say_the_same() -> None:
    """The recording, rewritten with a column for each metric, gives the same launches."""
    found = parse(RECORDED)
    names = sorted(found[0].values)
    lines = [",".join(f'"{cell}"' for cell in ("ID", "Process ID", "Kernel Name", *names))]
    lines.append(",".join(f'"{cell}"' for cell in ("", "", "", *("byte" for _ in names))))
    for p in found:
        cells = (str(p.number), "7", p.kernel, *(f"{p.values[name]:,.0f}" for name in names))
        lines.append(",".join(f'"{cell}"' for cell in cells))
    assert parse("\n".join(lines)) == found


def test_a_launch_in_two_tables_has_the_metrics_of_both() -> None:
    """Another pass of the same process adds its metrics; the same launch of another process is another launch."""
    other = WIDE.replace("dram__bytes_read.sum", "dram__bytes_write.sum").replace("gpu__time", "sm__time")
    both = parse(WIDE + other)
    assert len(both) == 2
    assert both[0].values["dram__bytes_read.sum"] == both[0].values["dram__bytes_write.sum"]
    assert len(parse(WIDE + WIDE.replace('"7"', '"8"'))) == 4


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (WIDE.replace('"2","1,300"', '"2"'), "6 cells under a header of 7"),
        (WIDE.replace('"1,300"', '"n/a"'), "printed 'n/a' where a number should be"),
        (WIDE.replace('"1,300"', '"1,30"'), "printed '1,30' where a number should be"),
        (WIDE.replace('"Kernel Name"', '"Kernel"'), "no column Kernel Name"),
        (WIDE.replace('"ID","Process', '"Number","Process'), "printed no table"),
        (WIDE + WIDE, "is there twice"),
        (WIDE + WIDE.replace("second", "third").replace("__", "__a"), "it is second and third"),
        (RECORDED.replace('"Metric Unit"', '"Unit"'), "no column Metric Unit"),
        ("==ERROR== No kernels were profiled.\n", "no table: ==ERROR== No kernels were profiled."),
        ("", "printed no table"),
    ],
)
def test_what_is_no_table_is_an_error(broken: str, said: str) -> None:
    """A short row, a number that is none, a missing column, a metric twice, and Nsight Compute's own errors."""
    with pytest.raises(NsightError, match=said):
        parse(broken)


def test_a_metric_that_was_not_measured_is_not_zero() -> None:
    """A sum over metrics names the one that is missing."""
    with pytest.raises(NsightError, match=r"ns::first: Nsight Compute gave no dram__bytes_write\.sum"):
        parse(WIDE)[0].total(DRAM_WRITTEN)


def test_the_command_leaves_clocks_alone_and_asks_for_every_counter() -> None:
    """Clocks are not touched, caches are emptied, and what is profiled is last."""
    made = command(["python3", "x.py"], log="log.csv", ncu="/opt/ncu")
    assert made[0] == "/opt/ncu"
    assert made[-2:] == ["python3", "x.py"]
    assert made[made.index("--clock-control") + 1] == "none"
    assert made[made.index("--cache-control") + 1] == "all"
    assert set(METRICS) <= set(made[made.index("--metrics") + 1].split(","))
