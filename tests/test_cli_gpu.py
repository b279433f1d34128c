"""`iosim gpu` where there is no GPU: one line that says so."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from iosim.cli import main
from iosim.gpu.cases import Case
from iosim.gpu.record import Validation
from iosim.gpu.results import CaseResult
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


def test_json_is_what_the_result_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gpu run --json` prints the object that `to_dict()` of a validation of one case is, whatever was measured."""
    errors = {"max_abs_error": 0.5, "plain_max_abs_error": 0.5, "allowed_max_abs_error": 1.0}
    timed = {"accuracy": {**errors, "rows_checked": 2, "holds": True}, "seconds": 0.1, "resources": []}
    found = Validation(results=[CaseResult(number=0, case=Case(algorithm="flash2", n=64, d=16), timed=timed)])
    monkeypatch.setattr("iosim.gpu.validate.run_alone", lambda case, *, device: found)
    result = CliRunner().invoke(main, [*RUN, "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, found.to_dict())


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
    need = Resources(threads=threads, registers_per_thread=registers, shared_bytes=shared, spilled_bytes_per_thread=0)
    h100 = machine("h100").multiprocessor
    assert h100 is not None
    assert need.at_once(h100) == blocks
