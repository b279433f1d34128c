"""`iosim kernel`: source, what a GPU needs for it, and the count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import iosim
from iosim.cli import main
from iosim.lowering.resources import Resources, compile_kernels
from iosim.machines import machine

FLASH2 = "kernel --algo flash2 --n 50 --d 16 --tiles B_r=24,B_c=16 --dtype fp32"


def command(text: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, text.split())
    assert result.exit_code == exit_code, result.output
    return result.output


def test_the_source_is_printed_and_written(tmp_path: Path) -> None:
    """Without other flags the source; with -o the same in a file; in JSON too."""
    source = command(FLASH2)
    compile(source, "flash2", "exec")
    out = tmp_path / "flash2.py"
    command(f"{FLASH2} -o {out}")
    assert out.read_text() == source
    found = json.loads(command(f"{FLASH2} --json"))
    assert found["source_code"] == source
    assert found["launches"][0]["programs"] == 3  # 50 rows in tiles of 24
    # Q and O once; K and V once for each of 3 tiles; all in fp32
    assert found["io_bytes"] == 4 * 50 * 16 * (2 + 2 * 3)


def test_the_count_is_printed_beside_what_is_predicted() -> None:
    """Every array in one table, and a verdict; the function of the library has the same numbers."""
    text = command(f"{FLASH2} --mask causal --count")
    # tiles of 24, 24 and 2 queries meet 24, 48 and 50 keys
    assert f"  K            fp32  {(24 + 48 + 50) * 16:,}" in text
    assert "verdict  the kernels load and store each array as counted for the program" in text
    run = iosim.kernel("flash2", n=50, d=16, tiles="B_r=24,B_c=16", dtype="fp32", mask="causal", count=True)
    assert run.moves_agree
    assert run.values_agree
    assert str(run) == text.rstrip("\n")


def test_compiling_says_what_a_program_needs() -> None:
    """On an H100: registers, shared memory and no spills, in which the tiles of the program find room."""
    text = "kernel --algo flash2 --n 256 --d 64 --tiles B_r=64,B_c=32 --dtype bf16 --compile sm_90 --json"
    found = json.loads(command(text))
    (one,) = found["compiled"]
    assert found["machines"][0] == "h100"
    assert one["spilled_bytes_per_thread"] == 0
    assert one["on_chip_bytes"] == 4 * one["threads"] * one["registers_per_thread"] + one["shared_bytes"]
    # q and o, m and l stay there in any case: 2 bytes for a word of q, 4 for the others
    assert one["on_chip_bytes"] >= 64 * (2 * 64 + 4 * 64 + 4 * 2)
    assert one["programs_per_sm"] >= 1


def test_programs_at_once_are_limited_by_registers_and_shared_memory() -> None:
    """An H100 has 65,536 registers and 228 KiB of shared memory a multiprocessor, 227 for one program, 1 KiB reserved."""
    h100 = machine("h100").multiprocessor
    assert h100 is not None
    need = {"threads": 128, "spilled_bytes_per_thread": 0}
    assert Resources(registers_per_thread=128, shared_bytes=0, **need).at_once(h100) == 65536 // (128 * 128)
    assert Resources(registers_per_thread=32, shared_bytes=56 * 1024, **need).at_once(h100) == 4  # 4 times 57 KiB
    assert Resources(registers_per_thread=32, shared_bytes=57 * 1024, **need).at_once(h100) == 3
    assert Resources(registers_per_thread=32, shared_bytes=228 * 1024, **need).at_once(h100) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--algo flash2 --n 50", "--M is missing; allowed: like --M 100KB, or tiles"),
        ("--algo flash2 --n 50 --tiles B_r=9 --dtype fp64", "--dtype fp64: allowed for kernels: fp32, fp16, bf16"),
        ("--algo flash2 --n 50 --tiles B_r=9 --compile sm_70", "--compile sm_70: allowed: sm_80, sm_86, sm_89, sm_90"),
        ("--algo flash2 --n 50 --tiles B_r=9 --num-warps 3", "--num-warps 3: allowed: 1, 2, 4, 8, 16, 32"),
        ("--algo flash2 --n 50 --tiles B_r=9 --num-stages 0", "--num-stages 0: allowed: 1, 2, 3"),
        ("--algo flash2 --n 50 --tiles B_r=9,B_z=3", "--tiles: flash2 needs B_r or B_r and C; unknown B_z"),
        ("--algo approx --n 50 --d 4 --degree 2 --tiles B_z=3", "--tiles B_z=3: approx-resident (resident) has N, c"),
        (
            "--algo flash2 --n 5000 --tiles B_r=9 --count --dtype fp32",
            "iterations of loops, one after the other; allowed",
        ),
        ("--algo flash2 --n 50 --tiles B_r=9 --count --dtype bf16", "bf16 wrongly; allowed: fp32, fp16"),
        ("--algo flash2 --n 50 --tiles B_r=9 -o no/where.py", "-o no/where.py: there is no folder no"),
        ("--algo based --n 50 --d 4 --M 900w", "its features are in an order that only its numpy function knows"),
    ],
)
def test_what_can_not_be_used_is_said(flags: str, said: str) -> None:
    """One line, exit code 2."""
    text = command(f"kernel {flags}", exit_code=2)
    assert said in text
    assert text.count("\n") == 1


def test_a_compiler_that_fails_is_one_line() -> None:
    """What Triton says of source that it can't compile."""
    run = iosim.kernel("flash2", n=50, d=16, tiles="B_r=24", dtype="fp32")
    from dataclasses import replace

    broken = replace(run.kernels, source=run.source.replace("tl.program_id(0)", "tl.nothing(0)"))
    with pytest.raises(iosim.errors.IosimError, match=r"^Triton's compiler for sm_90 fails: .*nothing"):
        compile_kernels(broken)
