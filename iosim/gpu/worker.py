"""The process that runs cases on a device, one after the other; `python -m iosim.gpu.worker FOLDER MODE NAME`.

In the folder lies `cases.json`. Several workers share it: each takes the next case that none has taken, by making a file.
What a worker does goes line by line to a file of its own, so that whoever started it knows how far it came when it hangs,
breaks or is stopped. An error of CUDA ends the process, since nothing more would run in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iosim.errors import IosimError
from iosim.gpu.cases import Case, Work, work_of
from iosim.gpu.device import Device, Loaded, Tensors, loaded
from iosim.lowering.resources import Resources

SEED = 0
ROWS = 32  # compared, of a head
HEADS = 2  # compared
MOST_FUSED = 2e13  # flops up to which fused attention is profiled: each counter takes a run of its own
BROKEN = 3  # exit code


def prefix(number: int) -> str:
    """Of the names of the kernels of a case."""
    return f"case{number}_"


def compiled(device: Device, work: Work, number: int) -> dict[str, Any]:
    """Compiles the kernels."""
    start = time.perf_counter()
    with loaded(work.kernels, prefix(number)) as module:
        device.compile(module)
    return {"seconds": time.perf_counter() - start, "launches": len(work.kernels.launches)}


def timed(device: Device, work: Work, number: int) -> dict[str, Any]:
    """Values, what a block needs of an SM, and times."""
    tensors = _tensors(device, work)
    with loaded(work.kernels, prefix(number)) as module:
        launched = device.launch(module, tensors)
        device.synchronise()
        found: dict[str, Any] = {"resources": [_plain(device.resources(each)) for each in launched]}
        found["accuracy"] = _accuracy(work, tensors)
        found["seconds"] = device.seconds(lambda: device.launch(module, tensors))
    if work.case.sdpa:
        fused = device.fused_attention(tensors, causal=work.case.mask == "causal")
        found["sdpa_seconds"] = device.seconds(fused)
    return found


def profiled(device: Device, work: Work, number: int) -> dict[str, Any]:
    """Launches once inside the region that Nsight Compute sees; PyTorch's fused attention after it."""
    tensors = _tensors(device, work)
    with loaded(work.kernels, prefix(number)) as module:
        device.launch(module, tensors)
        with device.profiled():
            device.launch(module, tensors)
        if work.case.sdpa and work.case.useful_flops < MOST_FUSED:
            fused = device.fused_attention(tensors, causal=work.case.mask == "causal")
            fused()
            with device.profiled():
                fused()
    return {"launches": [_launch(work, module, k) for k in range(len(module.functions))]}


MODES = {"compile": compiled, "time": timed, "profile": profiled}


def main(folder: str, mode: str, name: str) -> int:
    """Works through the cases in a folder; returns the exit code."""
    place = Path(folder)
    task = json.loads((place / "cases.json").read_text())
    with (place / f"{name}.jsonl").open("a", encoding="utf-8") as log:

        def say(**line: object) -> None:
            log.write(json.dumps(line) + "\n")
            log.flush()

        try:
            device = Device(task["device"])
        except IosimError as error:
            say(event="unusable", error=str(error))
            return 1
        facts = device.facts()
        say(event="ready", facts={key: getattr(facts, key) for key in facts.__slots__})
        for number, fields in task["cases"]:
            if time.time() > task["until"]:
                say(event="late", number=number)
                return 0
            try:
                (place / f"taken-{number}").open("x").close()
            except FileExistsError:
                continue
            say(event="start", number=number)
            try:
                result = MODES[mode](device, work_of(Case(**fields)), number)
            except Exception as error:  # noqa: BLE001  any case may fail in any way, the others must run
                say(event="failed", number=number, error=_said(error))
                if device.broken(error):
                    return BROKEN
            else:
                say(event="done", number=number, result=result)
            _forget(device)
        return 0


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:500] if isinstance(error, IosimError) else f"{type(error).__name__}: {text[:500]}"


def _forget(device: Device) -> None:
    """Gives the memory of a case back."""
    import gc

    gc.collect()
    if device.kind == "cuda":
        device.torch.cuda.empty_cache()


def _tensors(device: Device, work: Work) -> Tensors:
    from iosim.gpu.cases import LOGIT_BOUND

    bound = None if work.coefficients is None else LOGIT_BOUND
    return device.tensors(work.kernels.parameters, seed=SEED, logit_bound=bound)


def _launch(work: Work, module: Loaded, number: int) -> dict[str, object]:
    return {"kernel": module.functions[number].__name__, "grid": list(work.kernels.launches[number].grid)}


def _plain(resources: Resources | None) -> dict[str, int] | None:
    return None if resources is None else {name: getattr(resources, name) for name in resources.__slots__}


def _accuracy(work: Work, tensors: Mapping[str, Any]) -> dict[str, object]:
    """Rows of the first and the last head, against float64."""
    from iosim.gpu.accuracy import Accuracy, accuracy
    from iosim.numeric.reference import sample_rows

    problem = work.problem
    heads = sorted({0, problem.instances - 1})[:HEADS]
    rows = sample_rows(problem.n, ROWS, SEED)
    worst: Accuracy | None = None
    for head in heads:
        arrays = {}
        for name in "QKVO":
            tensor = tensors[name] if problem.instances == 1 else tensors[name][head]
            tensor = tensor[rows] if name == "O" else tensor
            arrays[name] = tensor.detach().float().cpu().numpy().astype(np.float64)
        found = accuracy(
            arrays["O"],
            arrays["Q"],
            arrays["K"],
            arrays["V"],
            rows,
            dtype=work.case.dtype,
            coefficients=work.coefficients,
            mask=problem.mask,
        )
        if worst is None or not found.error - found.allowed <= worst.error - worst.allowed:
            worst = found
    assert worst is not None
    return {
        "max_abs_error": worst.error,
        "plain_max_abs_error": worst.plain_error,
        "allowed_max_abs_error": worst.allowed,
        "holds": worst.holds,
        "rows_checked": worst.rows * len(heads),
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
