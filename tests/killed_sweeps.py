"""Kills a sweep by SIGKILL at random moments, again and again: `python -m tests.killed_sweeps FILE SEED KILLS`.

A process of its own without threads, so that it may fork; prints what was left after each kill, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import iosim
from iosim import table_files
from iosim.sweeps import journal

# 2 algorithms x 6 n x 3 M: 36 points, 12 of which are infeasible
GRID: dict[str, Any] = {"algo": "flash2,flash1", "n": [7, 8, 9, 10, 11, 12], "d": 2, "M": [6, 60, 90]}
_WRITERS = {journal.__file__, table_files.__file__}
_LINES = 900  # of these files that a sweep runs through before it is killed, at most; to its end it has thousands


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after_lines(lines: int) -> None:
    """Dies when so many lines of the files that write have run: before, between and after all that is written."""
    left = lines

    def line(_frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal left
        left -= event == "line"
        if left < 0:
            die()
        return line

    sys.settrace(lambda frame, _event, _: line if frame.f_code.co_filename in _WRITERS else None)


def in_a_row(rows: int, share: float) -> None:
    """Dies when so many rows and a part of the next one are in the journal."""
    write, left = journal._write, rows

    def half(file: int, line: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            write(file, line[: int(share * len(line))])
            die()
        return write(file, line)

    journal._write = half


def kill(path: str, chance: random.Random) -> tuple[str, bool]:
    """How a sweep was killed, and whether it was: it may have been quicker."""
    how = chance.choice(("lines", "row", "time"))
    lines, rows, share, seconds = chance.randrange(_LINES), chance.randrange(20), chance.random(), chance.random() / 5
    child = os.fork()
    if child == 0:
        if how == "lines":
            after_lines(lines)
        elif how == "row":
            in_a_row(rows, share)
        iosim.sweep(**GRID, output=path)
        os._exit(0)
    if how == "time":
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return how, os.WIFSIGNALED(status)


def main(path: str, seed: int, kills: int) -> None:
    chance, done = random.Random(seed), 0
    while done < kills:
        how, killed = kill(path, chance)
        done += killed
        lines = Path(f"{path}.journal")
        kept = lines.read_bytes().count(b"\n") if lines.exists() else 0
        sys.stdout.write(
            json.dumps({"how": how, "killed": killed, "kept": kept, "complete": Path(path).exists()}) + "\n"
        )
        if not killed:  # complete: from the beginning
            assert json.dumps(timeless(path)) == json.dumps(WHOLE)
            for file in Path(path).parent.iterdir():
                file.unlink()


def timeless(path: str) -> list[dict[str, Any]]:
    return [{**row, "seconds": 0} for row in table_files.read_rows(path)]


if __name__ == "__main__":
    WHOLE = [{**row, "seconds": 0} for row in iosim.sweep(**GRID).rows()]
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
