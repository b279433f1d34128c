"""The trace is the plain meaning of a program: every loop run, every statement once for each iteration, in order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from iosim import count
from iosim.errors import CountError
from iosim.interpret.steps import moves, steps
from iosim.program import Compute, Load, Program, Store
from tests import brute
from tests.small_programs import GATHERED
from tests.strategies import mutants, programs, sizes


@settings(max_examples=100)
@given(programs(), sizes())
def test_the_moves_add_up_to_the_count(program: Program, at: dict[str, int]) -> None:
    """Loads and stores of the trace, array by array, are the counted ones and those of the word-by-word machine."""
    moved: dict[str, Counter[str]] = {"load": Counter(), "store": Counter()}
    for move in moves(program, at):
        moved[move.direction][move.array] += move.words
    counted, happened = count(program, at), brute.run(program, at)
    for found, by_count, by_word in (
        (moved["load"], counted.loads, happened.loads),
        (moved["store"], counted.stores, happened.stores),
    ):
        assert +found == +Counter(by_count) == +by_word


@settings(max_examples=50)
@given(programs(), sizes())
def test_every_statement_happens_once_for_each_iteration(program: Program, at: dict[str, int]) -> None:
    """The innermost iterations of the trace are those that are counted as trips, with tiles that fit their loops."""
    happened = brute.run(program, at)
    seen = Counter()
    for step in steps(program, at):
        for depth, (index, _) in enumerate(step.path):
            seen[index, step.path[: depth + 1]] += 1
        for name, value in step.values.items():
            assert value >= (1 if name.endswith(".size") else 0)
    # loops without statements leave no trace
    for index, trips in Counter(index for index, _ in seen).items():
        assert trips <= happened.trips[index]


@settings(max_examples=60)
@given(mutants(), sizes())
def test_a_loop_that_runs_backwards_has_no_trace(program: Program, at: dict[str, int]) -> None:
    """Where the word-by-word machine can't go on, the trace ends with an error as well, and only there."""
    try:
        brute.run(program, at)
    except brute.RunsBackwards:
        with pytest.raises(CountError, match="before"):
            list(steps(program, at))
    else:
        list(steps(program, at))


def test_moves_by_hand() -> None:
    """n = 5, tiles of 2: for each tile two rows of the table, then the store; the last tile has one row."""
    listed = [(m.direction, m.array, m.indices, m.words) for m in moves(GATHERED, {"n": 5, "B": 2})]
    assert listed == [
        ("load", "X", (slice(0, 2), (3, 0)), 4),
        ("load", "X", (slice(0, 2), (2,)), 2),
        ("store", "Y", (slice(0, 2), slice(0, 1)), 2),
        ("load", "X", (slice(2, 4), (3, 0)), 4),
        ("load", "X", (slice(2, 4), (2,)), 2),
        ("store", "Y", (slice(2, 4), slice(0, 1)), 2),
        ("load", "X", (slice(4, 5), (3, 0)), 2),
        ("load", "X", (slice(4, 5), (2,)), 1),
        ("store", "Y", (slice(4, 5), slice(0, 1)), 1),
    ]


def test_a_step_knows_where_it_is() -> None:
    """Positions name each loop and its iteration; values and rows are those of the iteration."""
    found = [step for step in steps(GATHERED, {"n": 5, "B": 2}) if isinstance(step.statement, Load)]
    assert [step.path for step in found[2:4]] == [(("i", 1), ("t", 0)), (("i", 1), ("t", 1))]
    last = found[-1]
    assert (last.values["i.start"], last.values["i.size"], last.values["t.size"]) == (4, 1, 1)
    assert last.rows["t"]["what"] == "b"
    assert last.shape(last.statement.region.shape) == (1, 1)
    kinds = [type(step.statement) for step in steps(GATHERED, {"n": 1, "B": 2})]
    assert kinds.count(Compute) == 4
    assert kinds[-2] is Store


def test_a_size_without_value_is_refused() -> None:
    """The trace needs a value for each size."""
    with pytest.raises(CountError, match="no value for B"):
        list(steps(GATHERED, {"n": 5}))
