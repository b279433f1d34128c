"""`iosim gpu` where there is no GPU: one line that says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from iosim.cli import main
from iosim.lowering.resources import Resources
from iosim.machines import machine

RUN = ["gpu", "run", "--algo", "flash2", "--n", "64", "--d", "16", "--tiles", "B_r=16,B_c=16,e=16,e_v=16"]


def refused(*arguments: str) -> str:
    """The one line of a refusal."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is in the message."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "allowed: after pip install 'iosim[torch]'" in refused(*RUN)


def test_without_a_gpu_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is there, a GPU is not."""

    class Cuda:
        @staticmethod
        def is_available() -> bool:
            return False

    class Torch:
        cuda = Cuda

    monkeypatch.setitem(sys.modules, "torch", Torch)
    monkeypatch.setitem(sys.modules, "triton", Torch)
    assert "this needs an NVIDIA GPU that PyTorch can use, and there is none here" in refused(*RUN)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpu"], "gpu: what to do is missing; allowed: gpu run, gpu validate"),
        (["gpu", "run", "--n", "64"], "--algo is missing"),
        (["gpu", "run", "--algo", "flash2"], "--n is missing"),
        (["gpu", "run", "--algo", "flash2", "--n", "64", "--tiles", "B_r"], "'B_r' is not like B_r=128"),
        (["gpu", "run", "--algo", "flash2", "--n", "64", "--tiles", "B_q=2"], "unknown B_q"),
        (["gpu", "run", "--algo", "approx-resident", "--n", "64", "--d", "4", "--tiles", "B_q=2"], "has N, c"),
        (["gpu", "run", "--algo", "flsh2", "--n", "64"], "did you mean flash2?"),
        (["gpu", "validate", "--all", "--n", "64"], "--n with --all"),
        (["gpu", "validate", "--all", "--out", "/proc/no", "--ncu", sys.executable], "--out /proc/no"),
    ],
)
def test_what_can_t_be_asked_for_is_one_line(arguments: list[str], said: str) -> None:
    """Errors say what was found and what is allowed."""
    assert said in refused(*arguments)


def test_without_nsight_compute_no_folder_is_made(tmp_path: Path) -> None:
    """What can't be measured leaves nothing behind."""
    out = tmp_path / "results"
    assert "there is no such program" in refused("gpu", "validate", "--all", "--out", str(out), "--ncu", "no-such-ncu")
    assert not out.exists()


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "blocks"),
    [
        # registers of a warp: 32 x 194 = 6,208, in units of 256: 6,400; 65,536 // 6,400 = 10 warps, 2 blocks of 4
        (128, 194, 0, 2),
        # 96 KiB and 1 KiB of 228 KiB
        (128, 32, 96 * 1024, 2),
        # 2,048 threads
        (512, 32, 0, 4),
        # 32 blocks
        (32, 16, 0, 32),
        # 32 warps of 8,192 registers each are too many, and so are 228 KiB and 1 KiB
        (1024, 255, 0, 0),
        (32, 16, 228 * 1024, 0),
    ],
)
def test_blocks_that_an_sm_holds(threads: int, registers: int, shared: int, blocks: int) -> None:
    """Registers, shared memory, threads and blocks each can be what limits them."""
    need = Resources(threads=threads, registers=registers, shared_bytes=shared, spilled_bytes=0)
    h100 = machine("h100").multiprocessor
    assert h100 is not None
    assert need.at_once(h100) == blocks
