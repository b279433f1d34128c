"""Stand-ins for a GPU: a worker that runs nothing, and an Nsight Compute that prints what a file says.

`python tests/fake_gpu.py FOLDER MODE NAME` is the worker. Run as `ncu` it is Nsight Compute: it runs the worker that it
is given, and prints a table of the launches that the worker says it made. What cases do, and what is measured, is in the
JSON file that the environment names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HEADER = ("ID", "Process ID", "Kernel Name", "Section Name", "Metric Name", "Metric Unit", "Metric Value")
FACTS = {
    "name": "NVIDIA H100 80GB HBM3",
    "sms": 132,
    "l2_bytes": 2**12,
    "shared_bytes_of_sm": 228 * 1024,
    "registers_of_sm": 65536,
    "versions": {"torch": "0"},
}
RESOURCES = {
    "threads": 128,
    "registers_per_thread": 255,
    "shared_bytes": 2**17,
    "spilled_bytes_per_thread": 0,
}  # one block an SM


def script() -> dict[str, dict[str, object]]:
    """`does`: what a case does, by mode and number; `measured`: bytes by metric, by kernel."""
    return json.loads(Path(os.environ["FAKE_GPU"]).read_text())


def worker(folder: Path, mode: str, name: str) -> int:
    """Takes cases as the real one does."""
    task = json.loads((folder / "cases.json").read_text())
    with (folder / f"{name}.jsonl").open("a") as log:

        def say(**line: object) -> None:
            print(json.dumps(line), file=log, flush=True)

        if script()["does"].get("unusable"):
            say(event="unusable", error="no GPU that can be used")
            return 1
        say(event="ready", facts=FACTS)
        for number, case in task["cases"]:
            if time.time() > task["until"]:
                say(event="late", number=number)
                return 0
            try:
                (folder / f"taken-{number}").open("x").close()
            except FileExistsError:
                continue
            say(event="start", number=number)
            does = script()["does"].get(f"{mode} {number}")
            if does == "hang":
                time.sleep(60)
            if does == "die":
                os.abort()
            if does in ("fail", "break"):
                say(event="failed", number=number, error=f"it was told to {does}")
                if does == "break":
                    return 3
                continue
            result: dict[str, object] = {"seconds": 0.001 * case["n"]}
            if mode == "time":
                result |= {
                    "resources": [RESOURCES] * script()["launches"][str(number)],
                    "accuracy": {
                        "max_abs_error": 1e-3,
                        "plain_max_abs_error": 1e-3,
                        "allowed_max_abs_error": 2e-3,
                        "holds": does != "wrong",
                        "rows_checked": 4,
                    },
                    **({"sdpa_seconds": 1e-6 * case["n"] ** 2} if case["sdpa"] else {}),
                }
            say(event="done", number=number, result=result)
    return 0


def ncu(arguments: list[str]) -> int:
    """Runs the worker; its launches are those of the cases that it says are done."""
    log = Path(arguments[arguments.index("--log-file") + 1])
    program = arguments[arguments.index(sys.executable) :]
    code = subprocess.run(program, check=False).returncode
    folder, name = Path(program[-3]), program[-1]
    lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    rows = [HEADER]
    kernels = [
        kernel for line in lines if line["event"] == "done" for kernel in script()["kernels"][str(line["number"])]
    ]
    for number, kernel in enumerate(kernels):
        for metric, value in script()["measured"][kernel].items():
            rows.append((str(number), str(os.getpid()), kernel, "Command line", metric, "byte", f"{value:,}"))
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    log.write_text(f"==PROF== Connected to process {os.getpid()}\n{text}\n" if kernels else "==ERROR== No kernels\n")
    return code


if __name__ == "__main__":
    if "--log-file" in sys.argv:
        sys.exit(ncu(sys.argv[1:]))
    sys.exit(worker(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
