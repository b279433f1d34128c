"""A sweep of eight points, and algorithms that end or break one."""

from __future__ import annotations

from typing import Any

# 2 algorithms x 2 n x 2 M: 8 points, 4 of which are infeasible
GRID: dict[str, Any] = {"algo": "flash2,flash1", "n": [7, 12], "d": 2, "M": [6, 60]}
COMMAND = ("sweep", "--algo", "flash2,flash1", "--n", "7,12", "--d", "2", "--M", "6w,60w")

DEADLY = """
import os
from iosim import Schedule, Tiled

def program(b, *, n, d, B_r):
    os._exit(7)

mine = Tiled(
    name="mine", summary="ends the process", source="none",
    schedules=(Schedule(name="s", author=program, tiles={"B_r": "n"}, io=lambda *, n, d, B_r: n, peak=lambda *, n, d, B_r: n),),
)
"""  # noqa: E501

BROKEN = """
from iosim import Schedule, Tiled

def program(b, *, n, d, B_r):
    raise LookupError("nothing\\nhere")

mine = Tiled(
    name="mine", summary="raises", source="none",
    schedules=(Schedule(name="s", author=program, tiles={"B_r": "n"}, io=lambda *, n, d, B_r: n, peak=lambda *, n, d, B_r: n),),
)
"""  # noqa: E501


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what is not the same twice."""
    assert all(row["seconds"] >= 0 for row in rows)
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
