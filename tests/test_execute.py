"""A program computes what it says, on arrays, and nothing that was not computed looks as if it were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from algorithms.standard import standard
from iosim import Builder, build, execute
from iosim.errors import ExecutionError
from iosim.interpret.steps import moves, steps
from iosim.program import Table

EXACT = [(algorithm, schedule) for algorithm in (standard, flash1, flash2) for schedule in algorithm.schedules]
IDS = [f"{algorithm.name} {schedule.name}" for algorithm, schedule in EXACT]


def naive(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """softmax(Q K^T / sqrt(d)) V."""
    P = np.exp(Q @ K.T / np.sqrt(Q.shape[1]))
    return P / P.sum(axis=1, keepdims=True) @ V


@pytest.mark.parametrize(("algorithm", "schedule"), EXACT, ids=IDS)
@settings(max_examples=15)
@given(data=st.data())
def test_exact_schedules_compute_attention_with_any_tiles_and_streams(algorithm, schedule, data) -> None:  # type: ignore[no-untyped-def]
    """With random ragged tiles and with streams of any length the result is softmax attention."""
    (n, n_k), (d, d_v) = ([data.draw(st.integers(1, most)) for _ in range(2)] for most in (12, 5))
    sizes = {"n": n, "n_k": n_k, "d": d, "d_v": d_v}
    sizes |= {name: data.draw(st.integers(1, sizes[axis])) for name, axis in schedule.axes.items()}
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    inputs = {name: random.normal(0, 2, shape) for name, shape in {"Q": (n, d), "K": (n_k, d), "V": (n_k, d_v)}.items()}
    result = execute(algorithm.program(schedule), sizes, inputs)["O"]
    np.testing.assert_allclose(result, naive(*inputs.values()), rtol=1e-11, atol=1e-12)


def _copy_columns(b: Builder, *, n, d, forget):  # type: ignore[no-untyped-def]
    X, Y = b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")
    with b.tiles("i", n, 2) as i, b.load(X[i, :]) as x, b.empty("y", i, d) as y:
        if not forget:
            b.op("divide_by_sqrt", x, of=1)
        b.store(y if forget else x, Y[i, :])


def test_listed_coordinates_are_taken_on_each_axis() -> None:
    """Two rows by three columns that tables list are six words, every row with every column."""

    def listed(b: Builder, *, n, d):  # type: ignore[no-untyped-def]
        X, Y = b.input("X", (n, d)), b.output("Y", (2, 3), needs="Y[i,l] <- X[:,:]")
        table = Table([{"r": 2, "rows": (4, 1), "c": 3, "columns": (0, 3, 2)}])
        with b.table("t", table) as row:
            with b.load(X[row.coordinates("rows", "r"), row.coordinates("columns", "c")]) as x, b.zeros("y", 2, 3) as y:
                with b.load(X[row.coordinates("rows", "r"), :3]), b.full("u", 3, 3, fill=1.0) as u:
                    b.op("add_ab", y, x[:2, :3], u)
                b.store(y, Y[:, :])

    X = np.arange(20.0).reshape(5, 4)
    result = execute(build(listed, name="listed", n="n", d="d"), {"n": 5, "d": 4}, {"X": X})["Y"]
    # row 4 is 16..19, row 1 is 4..7: columns 0, 3 and 2 of them, added up
    np.testing.assert_array_equal(result, [[16 + 19 + 18] * 3, [4 + 7 + 6] * 3])


def test_a_tile_without_a_value_is_nan() -> None:
    """What a program never computes comes out as NaN, not as zero."""
    X = np.ones((5, 3))
    for forget in (True, False):
        program = build(_copy_columns, name="copy", n="n", d="d", forget=forget)
        result = execute(program, {"n": 5, "d": 3}, {"X": X})["Y"]
        assert np.isnan(result).all() == forget


def test_the_inputs_are_not_changed() -> None:
    """Operations work on copies: an update in place never reaches the caller's arrays."""
    X = np.full((4, 2), 3.0)
    execute(build(_copy_columns, name="copy", n="n", d="d", forget=False), {"n": 4, "d": 2}, {"X": X})
    np.testing.assert_array_equal(X, np.full((4, 2), 3.0))


def test_wrong_inputs_are_refused() -> None:
    """A missing input and a wrong shape are errors that name the array and both shapes."""
    program = build(_copy_columns, name="copy", n="n", d="d", forget=False)
    with pytest.raises(ExecutionError, match="input X is missing"):
        execute(program, {"n": 4, "d": 2}, {})
    with pytest.raises(ExecutionError, match=r"X is \[4, 3\], declared as \[4, 2\]"):
        execute(program, {"n": 4, "d": 2}, {"X": np.ones((4, 3))})


def test_progress_ends_near_one() -> None:
    """Progress rises from 0 to 1 with the words moved."""
    seen: list[float] = []
    schedule = flash2.schedules[0]
    sizes = {"n": 40, "n_k": 40, "d": 4, "d_v": 4, "B_r": 7, "B_c": 1, "e": 4, "e_v": 4}
    inputs = {name: np.ones((40, 4)) for name in "QKV"}
    execute(flash2.program(schedule), sizes, inputs, progress=seen.append)
    assert seen == sorted(seen)
    assert 0.95 < seen[-1] <= 1


def test_the_trace_is_the_program_in_order() -> None:
    """The moves of a small program, one by one, with the ragged tile at the end."""
    program = build(_copy_columns, name="copy", n="n", d="d", forget=False)
    listed = [(move.direction, move.array, move.indices[0], move.words) for move in moves(program, {"n": 3, "d": 2})]
    assert listed == [
        ("load", "X", slice(0, 2), 4),
        ("store", "Y", slice(0, 2), 4),
        ("load", "X", slice(2, 3), 2),
        ("store", "Y", slice(2, 3), 2),
    ]
    assert [step.path for step in steps(program, {"n": 3, "d": 2})][-1] == (("i", 1),)
