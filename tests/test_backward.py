"""The orders of the backward pass: counts by hand, tiles by brute force, results against the gradient, mutants."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.backward import backward
from algorithms.flash2 import flash2
from algorithms.flash2_backward import flash2_backward, transposed_backward
from algorithms.shared.gradient import passing
from algorithms.split_backward import split_backward
from algorithms.standard_backward import standard_backward
from algorithms.two_pass_backward import two_pass_backward
from iosim.api import run
from iosim.bounds.gradient import applicable, compulsory
from iosim.errors import ExecutionError, UsageError
from iosim.masks import CAUSAL, FULL, Mask
from iosim.numeric.check import compare_with_reference
from iosim.numeric.gradient import gradient_inputs
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import softmax_attention
from iosim.numeric.run import run_task
from iosim.ops import OPS, Op
from iosim.plan import Plan
from iosim.plan_bounds import setting
from iosim.problem import Problem
from iosim.program import Compute, Program, Span
from iosim.task import GRADIENT
from iosim.tiled import Schedule, Tiled
from tests.legality import fits_exactly
from tests.surgery import places, replaced

ALL: tuple[Tiled, ...] = (flash2_backward, transposed_backward, split_backward, two_pass_backward, standard_backward)
EACH = pytest.mark.parametrize("algorithm", ALL, ids=lambda algorithm: algorithm.name)
MASKS = (FULL, FULL, CAUSAL, Mask(ahead=2), Mask(back=2, ahead=0), Mask(back=1, ahead=3))


@st.composite
def problems(draw: st.DrawFn, n: int = 9, d: int = 4) -> Problem:
    """Small problems of any shape; every query meets a key."""
    mask, queries = draw(st.sampled_from(MASKS)), draw(st.integers(1, n))
    return Problem(
        n=queries,
        n_k=draw(st.integers(1 if mask.full else queries, n)),
        d=draw(st.integers(1, d)),
        d_v=draw(st.integers(1, d)),
        kv_heads=draw(st.integers(1, 2)),
        group=draw(st.integers(1, 2)) if mask.full else 1,
        mask=mask,
    )


def one(algorithm: Tiled, name: str) -> Schedule:
    return next(schedule for schedule in algorithm.schedules if schedule.name == name)


# Counts by hand


def test_flash2_backward_at_n_4_with_blocks_of_2_keys() -> None:
    """n = n_k = 4, d = 2, d_v = 3, two blocks of two keys: Q, dO, L for both, dQ and D loaded for the second only."""
    plan = flash2_backward.explicit(Problem(n=4, d=2, d_v=3), {"B_c": 2})
    counted = plan.count()
    assert counted.loads == {
        **{"Q": 2 * 8, "K": 8, "V": 12, "O": 12, "dO": 2 * 12, "L": 2 * 4},
        **{"dQ": 8, "D": 4},
    }
    assert counted.stores == {"dQ": 2 * 8, "dK": 8, "dV": 12, "D": 4}
    # k, v, dk, dv: 2 * 2 (2 + 3); q: 2; P and dP: 2 * 2; D, a word of dO and one of O
    assert plan.peak_words == 20 + 2 + 4 + 3


def test_published_blocks_read_and_write_dq_for_each_block() -> None:
    """n = 4, d = 2: a pass before loads O and dO, stores D and dQ = 0; then two blocks of keys load and store all of dQ."""
    plan = flash2_backward.explicit(Problem(n=4, d=2), {"B_c": 2, "B_r": 3})
    counted = plan.count()
    assert counted.loads == {"Q": 16, "K": 8, "V": 8, "O": 8, "dO": 8 + 16, "L": 8, "dQ": 16, "D": 8}
    assert counted.stores == {"dQ": 8 + 16, "dK": 8, "dV": 8, "D": 4}


def test_two_sweeps_store_each_gradient_once() -> None:
    """n = 6, n_k = 4, d = 2, d_v = 1: K and V for each of 3 blocks of queries and once more, Q, dO, L, D for 2 of keys."""
    plan = split_backward.explicit(Problem(n=6, n_k=4, d=2, d_v=1), {"B_r": 2, "B_c": 2})
    counted = plan.count()
    assert counted.loads == {
        **{"Q": 12 + 2 * 12, "K": 3 * 8 + 8, "V": 3 * 4 + 4, "O": 6, "dO": 6 + 2 * 6, "L": 6 + 2 * 6},
        **{"D": 2 * 6},
    }
    assert counted.stores == {"dQ": 12, "D": 6, "dK": 8, "dV": 4}


def test_causal_blocks_meet_only_later_queries() -> None:
    """n = 4, d = 1, causal, blocks of 2 keys: the second block meets queries 2 and 3 only."""
    counted = flash2_backward.explicit(Problem(n=4, d=1, mask=CAUSAL), {"B_c": 2}).count()
    assert counted.loads == {"Q": 6, "K": 4, "V": 4, "O": 4, "dO": 6, "L": 6, "dQ": 2, "D": 2}
    assert counted.stores == {"dQ": 6, "dK": 4, "dV": 4, "D": 4}


def test_one_block_of_queries_moves_what_any_schedule_must() -> None:
    """With all of Q, dO and dQ in fast memory the transposed order loads each input and stores each output once."""
    problem = Problem(n=10, n_k=30, d=4, d_v=3)
    plan = transposed_backward.best(problem, 1000)
    bound = compulsory(plan.program)
    assert plan.io_words == 10 * (4 + 3 + 3 + 1 + 4) + 30 * 2 * (4 + 3) == bound.words(setting(problem, plan, 1000))


# Constants


@pytest.mark.parametrize(
    ("algorithm", "schedule", "constant"),
    # words for each query and for each key that stays, over words of fast memory for each: (3d + d_v) 2(d + d_v),
    # 3 (d + d_v) (2d + d_v), and (d + d_v)(2d + d_v) + (d + d_v) 2(d + d_v), for d_v = d
    [(flash2_backward, "words", 16), (transposed_backward, "words", 18), (split_backward, "sweeps", 14)],
)
def test_constants_in_a_large_fast_memory(algorithm: Tiled, schedule: str, constant: int) -> None:
    """For n much longer than sqrt(M), and that than d, traffic comes to the constant times n^2 d^2/M, from above."""
    n, d, M = 2**40, 256, 2**28
    plan = next(plan for plan in algorithm.plans(Problem(n=n, d=d), M) if plan.schedule == schedule)
    assert constant < plan.io_words * M / (n * d) ** 2 < 1.01 * constant


@pytest.mark.parametrize(("schedule", "constant", "pairs"), [("tiles", 10, 3)])
def test_the_constant_in_a_small_fast_memory(schedule: str, constant: int, pairs: int) -> None:
    """Five products of 2 n^2 d/sqrt(M) words, and P, P again and dS: three words a pair."""
    n, d, M = 2**30, 2**20, 2**20
    plan = next(plan for plan in two_pass_backward.plans(Problem(n=n, d=d), M) if plan.schedule == schedule)
    assert plan.io_words / n**2 - pairs == pytest.approx(constant * d / 2**10, rel=0.01)


@pytest.mark.parametrize(
    ("log_M", "best"),
    [
        (8, "two-pass-backward tiles"),
        (11, "two-pass-backward rows"),
        (13, "split-backward stored"),
        (14, "split-backward sweeps"),
        (18, "split-backward sweeps"),
        (22, "flash2-backward words"),
        (23, "transposed-backward words"),
    ],
)
def test_each_order_has_its_fast_memory(log_M: int, best: str) -> None:
    """At n = 65536, d = 64: P and dS stored up to d^2, dS beyond, two sweeps beyond 2.5 d^2, one where few blocks do."""
    plan = backward.best(Problem(n=65_536, d=64), 2**log_M)
    assert plan.title == best


# Tiles


@EACH
@given(n=st.integers(1, 4), n_k=st.integers(1, 4), d=st.integers(1, 2), d_v=st.integers(1, 2), spare=st.integers(0, 40))
@settings(max_examples=6, deadline=None)
def test_the_tiles_are_the_best_of_all(algorithm: Tiled, n: int, n_k: int, d: int, d_v: int, spare: int) -> None:
    """No tile sizes that fit move fewer words than those that were chosen, by trying each."""
    problem = Problem(n=n, n_k=n_k, d=d, d_v=d_v)
    capacity = algorithm.least_capacity(problem) + spare
    chosen = {plan.schedule: plan.closed_form_words for plan in algorithm.plans(problem, capacity)}
    for schedule in algorithm.schedules:
        if schedule.searched:
            words = []
            for lengths in product(*(range(1, problem.length(axis) + 1) for axis in schedule.tiles.values())):
                tiles = dict(zip(schedule.tiles, lengths, strict=True))
                io, peak = schedule.claimed(problem, {**problem.sizes, **dict.fromkeys(schedule.streams, 1), **tiles})
                words += [io] if peak <= capacity else []
            assert chosen.get(schedule.name) == min(words, default=None)


@given(
    mask=st.sampled_from(MASKS),
    n=st.integers(1, 12),
    more=st.integers(0, 4),
    B=st.integers(1, 12),
    f=st.integers(1, 12),
)
def test_streams_are_as_long_as_the_longest_that_a_tile_meets(mask: Mask, n: int, more: int, B: int, f: int) -> None:
    """How many keys pass by at once is what the tile with the most keys allows."""
    B = min(n, B)
    met = [mask.span(Span(start, min(B, n - start)), n, n + more).size for start in range(0, n, B)]
    assert passing(mask, n, n + more, B, f) == (f if mask.full else min(f, max(map(int, met))))


@given(mask=st.sampled_from(MASKS), n=st.integers(1, 8), n_k=st.integers(1, 8))
def test_the_transposed_mask_has_the_same_pairs(mask: Mask, n: int, n_k: int) -> None:
    """A key meets the queries that meet it."""
    i, j = np.arange(n), np.arange(n_k)
    np.testing.assert_array_equal(mask.allows(i, j, n_k - n).T, mask.transposed.allows(j, i, n - n_k))


# Legality


@EACH
def test_legal_in_its_peak_only(algorithm: Tiled) -> None:
    """Every schedule is legal in its peak, and breaks the capacity rule in one word less, at ragged sizes."""
    problem = Problem(n=23, n_k=31, d=5, d_v=3)
    for schedule in algorithm.schedules:
        tiles = {name: min(4, problem.length(axis)) for name, axis in schedule.tiles.items()}
        plan = algorithm.explicit(problem, tiles)
        fits_exactly(plan.program, plan.sizes, plan.peak_words)


# Results


@EACH
@given(problem=problems(), spare=st.integers(0, 100), seed=st.integers(0, 1000), wanted=st.booleans())
@settings(max_examples=12, deadline=None)
def test_the_result_is_the_gradient(algorithm: Tiled, problem: Problem, spare: int, seed: int, wanted: bool) -> None:
    """As counted and as executed, each schedule computes dQ, dK and dV within the bound of each; some rows or all."""
    if algorithm.unsupported(problem) is not None:
        problem = replace(problem, mask=FULL)
    for plan in algorithm.plans(problem, algorithm.least_capacity(problem) + spare):
        found = compare(plan.times(problem.instances), problem, seed, rows=2 if wanted else None)
        assert found.within_bound
        assert found.max_abs_error < 1e-13
        assert found.error_bound < 1e-6
        as_counted = replace(plan, executed=dict(plan.sizes)).times(problem.instances)
        assert compare(as_counted, problem, seed).within_bound


def compare(plan: Plan, problem: Problem, seed: int = 0, rows: int | None = None):  # type: ignore[no-untyped-def]
    return compare_with_reference(
        plan, problem, None, data(problem, seed), rows=rows, seed=seed, progress=lambda *_: None, task=GRADIENT
    )


def data(problem: Problem, seed: int = 0):  # type: ignore[no-untyped-def]
    heads = problem.instances * problem.group
    sizes = {"n_k": problem.n_k, "d_v": problem.d_v, "heads": heads, "group": problem.group}
    return random_input(problem.n, problem.d, **sizes, seed=seed)


@EACH
def test_the_result_is_that_of_finite_differences(algorithm: Tiled) -> None:
    """No reference of this package but the forward pass: each entry moved either way changes sum dO * O as computed."""
    problem, h = Problem(n=4, n_k=5, d=2, d_v=3), 1e-5
    x = data(problem)
    inputs = gradient_inputs(problem, x, seed=0)
    plan = algorithm.best(problem, 200)
    found = run_task(plan, problem, GRADIENT, inputs, lambda _: None)
    for name in "QKV":
        for place in np.ndindex(inputs[name][0].shape):
            change = 0.0
            for step in (h, -h):
                moved = {key: inputs[key][0].copy() for key in "QKV"}
                moved[name][place] += step
                change += step * float((inputs["dO"][0] * softmax_attention(*moved.values())).sum())
            assert found[f"d{name}"][0][place] == pytest.approx(change / (2 * h * h), abs=1e-8)


# Mutants


def without(plan: Plan, name: str, op: Op | None) -> Plan:
    """The plan with its first operation of that name left out, or another one in its place."""
    place, statement = next(
        (place, s) for place, s in places(plan.program) if isinstance(s, Compute) and s.op.name == name
    )
    mutant: Program = replaced(plan.program, place, *([] if op is None else [replace(statement, op=op)]))
    return replace(plan, program=mutant)


def _plus(x: np.ndarray, p: np.ndarray, D: np.ndarray) -> None:
    x += D[:, None]
    x *= p


def _negative(C: np.ndarray, A: np.ndarray, B: np.ndarray) -> None:
    C -= A.T @ B


MISTAKES = {
    "dP + D in place of dP - D": ("softmax_gradient", replace(OPS["softmax_gradient"], numpy=_plus)),
    "dV or dK of the wrong sign": ("add_atb", replace(OPS["add_atb"], numpy=_negative)),
    "scores or dS not divided by sqrt(d)": ("divide_by_sqrt", None),
    "probabilities that are scores": ("exp_shifted", None),
    "D that is 0": ("add_row_dots", None),
}


@EACH
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_gradient_is_above_the_bound(algorithm: Tiled, mistake: str) -> None:
    """One operation left out or wrong: the result is finite, and its error is far above what is proved."""
    problem = Problem(n=40, n_k=30, d=4, d_v=5)
    for plan in algorithm.plans(problem, 300):
        assert compare(plan, problem).within_bound
        found = compare(without(plan, *MISTAKES[mistake]), problem)
        assert not found.within_bound
        assert found.max_abs_error > 100 * found.error_bound


@EACH
def test_each_scaling_counts(algorithm: Tiled) -> None:
    """Every single division by sqrt(d), the last one of dS as well as the first one of S, is needed."""
    problem = Problem(n=40, n_k=30, d=4)
    plan = algorithm.best(problem, 300)
    scalings = [p for p, s in places(plan.program) if isinstance(s, Compute) and s.op.name == "divide_by_sqrt"]
    assert len(scalings) >= 2
    for place in scalings:
        mutant = replace(plan, program=replaced(plan.program, place), executed=dict(plan.sizes))
        assert not compare(mutant, problem).within_bound


# What it is for, and how it is reported


def test_masks_and_shapes_that_an_order_is_not_for_are_refused() -> None:
    """Windows need an order without a first block; keys that no query meets have no order; neither have tied values."""
    window, lonely = Problem(n=8, d=2, mask=Mask(back=1, ahead=0)), Problem(n=4, n_k=9, d=2, mask=Mask(back=1, ahead=0))
    assert flash2_backward.unsupported(window) == "a mask in which every query meets the first key"
    assert transposed_backward.unsupported(window) == two_pass_backward.unsupported(window) == "no mask"
    assert split_backward.unsupported(window) is None
    assert split_backward.unsupported(lonely) == "a mask in which every key meets a query"
    assert backward.unsupported(Problem(n=8, d=2, tied=True)) == "values of their own"
    with pytest.raises(UsageError, match="values of their own"):
        run("backward", n=8, d=2, M=500, tied=True)


def test_a_run_is_compared_with_the_best_gradient() -> None:
    """The best schedule that it is compared with is one of the gradient, and the report says so."""
    result = run("flash2-backward", n=90, n_k=70, d=6, M=2000)
    assert result.holds
    assert result.to_dict()["computes"] == "gradient"
    best = backward.best(result.problem, 2000)
    assert result.payoff.exact == best
    assert result.payoff.exact_words == best.io_words <= result.io_words
    assert "O and L are those of a forward pass" in " ".join(result.notes)


# Bounds


def test_what_must_move_is_each_input_and_output_of_the_gradient() -> None:
    """With room for all: Q, O, dO, dQ and L for each query, K, V, dK and dV for each key; other bounds are less."""
    result = run("backward", n=90, n_k=70, d=6, M=20_000)
    bound, words = result.lower_bound
    assert bound.name == "gradient_inputs_are_loaded_and_outputs_stored"
    assert words == 90 * (4 * 6 + 1) + 70 * 4 * 6 == result.io_words


def test_attention_within_the_gradient_bounds_it() -> None:
    """At n = 65536, d = 64, M = 2^16 the bound is that of attention, 4 n^2 d^2/M + 4M/5; two sweeps move 3.6 times that."""
    problem, M = Problem(n=65_536, d=64), 2**16
    plan = backward.best(problem, M)
    bound, words = max(applicable(setting(problem, plan, M), plan.program), key=lambda found: found[1])
    assert bound.name == "gradient_io_at_least_N_d_plus_dv_squared_over_M_plus_4M_over_5"
    assert words == 2**30 + 52_429  # of 4M/5 = 52,428.8
    assert 3.5 < plan.io_words / words < 3.7


def test_through_dq_the_roles_of_d_and_dv_are_exchanged() -> None:
    """Scores of dP have d_v terms, and dQ has d columns: a bound of its own where d_v is not d."""
    problem, M = Problem(n=1000, d=8, d_v=24), 20_000
    plan = backward.best(problem, M)
    found = {bound.name: words for bound, words in applicable(setting(problem, plan, M), plan.program)}
    # scores of 8 terms, values of 24: 4 N d d_v/M; scores of 24 terms, values of 8: N (d + d_v)^2/M; and 4M/5
    assert found["gradient_io_at_least_4N_d_dv_over_M_plus_4M_over_5"] == 4 * 10**6 * 8 * 24 // M + 16_000
    exchanged = "gradient_io_at_least_N_d_plus_dv_squared_over_M_plus_4M_over_5_with_d_and_dv_exchanged"
    assert found[exchanged] == 10**6 * 32**2 // M + 16_000


@given(problem=problems(n=60, d=9), spare=st.integers(0, 2000))
@settings(max_examples=10, deadline=None)
def test_no_schedule_moves_fewer_words_than_a_bound_allows(problem: Problem, spare: int) -> None:
    """Every plan of every order, from the least fast memory on, moves at least what each bound says; each says the same
    by its formula."""
    for algorithm in ALL:
        if algorithm.unsupported(problem) is None:
            capacity = algorithm.least_capacity(problem) + spare
            for plan in algorithm.plans(problem, capacity):
                here = setting(problem, plan, capacity)
                for bound, words in applicable(here, plan.program):
                    assert bound.words(here) == words <= plan.times(problem.instances).io_words, bound.name


def test_a_program_that_is_not_given_o_need_not_load_it() -> None:
    """The compulsory bound is about the arrays that a program declares."""
    plan = flash2_backward.best(Problem(n=10, d=3), 200)
    arrays = tuple(array for array in plan.program.arrays if array.name not in ("O", "L"))
    here = setting(Problem(n=10, d=3), plan, 200)
    difference = compulsory(plan.program).words(here) - compulsory(replace(plan.program, arrays=arrays)).words(here)
    assert difference == 10 * 3 + 10


def test_a_program_of_another_task_is_refused() -> None:
    """The forward pass declared as a gradient: the error names the arrays that are missing."""
    with pytest.raises(ExecutionError, match="allowed: inputs Q, K, V, O, dO, L and outputs dQ, dK, dV"):
        run(replace(flash2, computes=GRADIENT), n=20, d=3, M=500)


def test_scores_beyond_float64_leave_the_error_without_a_bound() -> None:
    """Where no bound is proved the run says so, as for the forward pass."""
    x = data(Problem(n=20, d=3))
    result = run("backward", M=500, input=from_arrays(1e8 * x.Q, 1e8 * x.K, x.V))
    assert result.numeric is not None
    assert not result.numeric.proved
    assert "its error has no proved bound" in result.verdict
