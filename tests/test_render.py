"""Pseudo-code: the exact text for every schedule of every algorithm, and for what those don't use.

With REGENERATE=1 in the environment the files in `golden` are written anew; a file that is missing fails.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from iosim.algorithm import Best
from iosim.builder import Builder, build
from iosim.expr import Size
from iosim.interpret.render import render
from iosim.program import Free, Loop, Program, Table, TableLoop, walk
from iosim.registry import algorithms
from tests.strategies import programs

GOLDEN = Path(__file__).parent / "golden"
SCHEDULES = {
    f"{name}.{form.schedule}": form.program
    for name, algorithm in algorithms().items()
    if not isinstance(algorithm, Best)  # those show the schedules of others
    for form in algorithm.forms()
}


def golden(name: str) -> Path:
    """The file for a schedule."""
    return GOLDEN / f"{name.replace(' ', '-')}.txt"


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_pseudo_code_of_every_schedule_is_as_written_down(name: str) -> None:
    """What `iosim show` prints for a schedule is its golden file."""
    text = render(SCHEDULES[name]) + "\n"
    if os.environ.get("REGENERATE"):
        golden(name).write_text(text)
    assert golden(name).read_text() == text


def test_every_golden_file_belongs_to_a_schedule() -> None:
    """No file is left of a schedule that is gone."""
    assert {path.name for path in GOLDEN.iterdir()} == {golden(name).name for name in SCHEDULES}


def test_short_names_show_the_programs_of_what_they_stand_for() -> None:
    """`exact` and `flash` have no pseudo-code of their own."""
    own = set(map(render, SCHEDULES.values()))
    for algorithm in algorithms().values():
        if isinstance(algorithm, Best):
            assert {render(form.program) for form in algorithm.forms()} <= own


def offsets(b: Builder, *, n: Size, d: Size, B: Size) -> None:
    X, Y = b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")
    with b.tiles("i", n - 2, B, start=1) as i:
        with b.tiles("j", i.stop, 1, start=i.start) as j, b.load(X[j, : d - 1]) as x:
            b.store(x[:, 2:], Y[j, 2 : d - 1])
        with b.load(X[i.start + 1 : i.stop + 1, :]) as x:
            b.store(x, Y[i.start - 1 : i.stop - 1, :])
        tile = b.empty("t", i.length, 3)
        b.free(tile)


def test_positions_inside_loops_are_written_as_shifts_of_the_index() -> None:
    """A box that moves with a tile is `i + 1`; others are from:to, with `i0` and `|i|` for the tile's place and size."""
    assert render(build(offsets, name="offsets", n="n", d="d", B="B")).splitlines() == [
        "offsets, for sizes n, d, B",
        "input  X[n, d]",
        "output Y[n, d]",
        "for tile i of 1:n - 2, B at a time:",
        "    for tile j of i0:i0 + |i|, one at a time:",
        "        load x <- X[j, 0:d - 1]",
        "        store x[:, 2:d - 1] -> Y[j, 2:d - 1]",
        "        free x",
        "    load x_2 <- X[i + 1, :]",
        "    store x_2 -> Y[i - 1, :]",
        "    free x_2",
        "    t[|i|, 3] = no value yet",
        "    free t",
    ]


def test_tables_say_how_long_they_are_and_their_columns_are_named() -> None:
    """A loop over a table names its length; lists of coordinates and entries are `row.column`."""

    def picks(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n, 4)), b.output("Y", (n, 4), needs="Y[i,l] <- X[i,l]")
        with b.table("row", Table([{"size": 2, "at": (0, 3), "first": 1}])) as row:
            with b.load(X[0:1, row.coordinates("at", "size")]), b.load(X[row.size("first"), :]) as x:
                b.store(x, Y[row.size("first"), :])

    assert render(build(picks, name="picks", n="n")).splitlines()[3:] == [
        "for row in a table of 1 row:",
        "    load x <- X[0:1, row.at]",
        "    load x_2 <- X[row.first:row.first + 1, :]",
        "    store x_2 -> Y[row.first:row.first + 1, :]",
        "    free x_2, x",
    ]


@given(programs())
@settings(max_examples=100)
def test_any_program_renders_to_a_line_for_each_statement(program: Program) -> None:
    """One line for each statement, indented by its depth; neighbouring frees share one. No internal name shows."""
    lines = render(program).splitlines()[1 + len(program.arrays) :]
    frees = sum(len(line.split(",")) for line in lines if line.lstrip().startswith("free "))
    others = [line for line in lines if not line.lstrip().startswith("free ")]
    statements = list(walk(program.body))
    assert frees == sum(isinstance(statement, Free) for statement in statements)
    assert len(others) == sum(not isinstance(statement, Free) for statement in statements)
    assert sum(line.endswith(":") for line in others) == sum(isinstance(x, Loop | TableLoop) for x in statements)
    assert not re.search(r"\b\w+\.start\b", "\n".join(lines))
