"""Flash-Decoding: chunks of keys with partial results, and the reduction that combines them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.flash2 import flash2
from algorithms.flash_decoding import flash_decoding
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import norm_bound, rounding_bound, softmax_attention
from iosim.numeric.run import run_plan
from iosim.ops import OPS
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import Alloc, Compute, Store
from tests.legality import is_as_claimed, runs_as_counted
from tests.surgery import places, replaced


@st.composite
def plans(draw: st.DrawFn, most: int = 12) -> tuple[Problem, Plan]:
    """A small decoding problem, with tiles and streams of any length up to their axis."""
    problem = Problem(
        n=draw(st.integers(1, 3)),
        n_k=draw(st.integers(1, most)),
        d=draw(st.integers(1, 4)),
        d_v=draw(st.integers(1, 4)),
        group=draw(st.integers(1, 3)),
    )
    (schedule,) = flash_decoding.schedules
    chosen = {name: draw(st.integers(1, problem.length(axis)), name) for name, axis in schedule.axes.items()}
    return problem, flash_decoding.explicit(problem, chosen)


def error(problem: Problem, plan: Plan) -> tuple[float, float]:
    """How far the result is from float64 attention, and how far rounding may take it."""
    data = random_input(
        problem.n, problem.d, n_k=problem.n_k, d_v=problem.d_v, heads=problem.group, group=problem.group, seed=1
    )
    O = run_plan(plan, problem, data, lambda _: None)
    right = np.stack([softmax_attention(Q, data.K[0], data.V[0]) for Q in data.Q])
    norm = max(norm_bound(Q, data.K[0]) for Q in data.Q)
    allowed = rounding_bound(problem.n_k, problem.d, norm, float(np.abs(data.V).max()))
    return float(np.abs(O - right).max()), allowed


def test_the_words_of_a_small_case_by_hand() -> None:
    """One query with a group of 2, 5 keys in chunks of 2, d = 3, d_v = 4."""
    problem = Problem(n=1, n_k=5, d=3, d_v=4, group=2)
    plan = flash_decoding.explicit(problem, {"B_r": 2, "B_s": 2})
    counted = plan.count()
    # three chunks (2, 2, 1), two rows: Q for each chunk; K and V once; partial results of both rows for each chunk
    assert counted.loads == {"Q": 3 * 6, "K": 15, "V": 20, "O_s": 3 * 8, "m_s": 3 * 2, "l_s": 3 * 2}
    assert counted.stores == {"O": 8, "O_s": 24, "m_s": 6, "l_s": 6}
    # q, o, m, l of two rows, two scores, one word of k or v: 6 + 8 + 2 + 2 + 2 + 1
    assert plan.peak_words == 21


@given(found=plans(most=40))
@settings(max_examples=40)
def test_any_tiles_are_as_claimed_and_fit_exactly(found: tuple[Problem, Plan]) -> None:
    """Counted words and peak equal the closed forms, ragged ends included; in a word less one rule is broken."""
    _, plan = found
    is_as_claimed(plan)


@given(found=plans(most=40))
@settings(max_examples=30)
def test_it_moves_the_words_that_its_docstring_says_more_than_flash2(found: tuple[Problem, Plan]) -> None:
    """n d (S - 1) + 2 n (d_v + 2) S more than flash2 in the same row tiles."""
    problem, plan = found
    n, S = problem.length("n"), -(-problem.n_k // plan.sizes["B_s"])
    other = flash2.explicit(problem, {"B_r": plan.sizes["B_r"]})
    more = n * problem.d * (S - 1) + 2 * n * (problem.d_v + 2) * S
    assert plan.io_words == other.io_words + more


@given(found=plans(most=7))
@settings(max_examples=15)
def test_the_machine_that_runs_word_by_word_agrees(found: tuple[Problem, Plan]) -> None:
    """Loads, stores, peak and flops are those of a run of every iteration, which breaks no rule."""
    _, plan = found
    runs_as_counted(plan)


@given(found=plans())
@settings(max_examples=30)
def test_the_result_is_softmax_attention(found: tuple[Problem, Plan]) -> None:
    """For any chunks, in any pieces, with grouped queries: softmax attention to rounding."""
    problem, plan = found
    for sizes in (dict(plan.sizes), dict(plan.executed)):
        difference, allowed = error(problem, replace(plan, executed=sizes))
        assert difference <= allowed


def test_a_long_cache_is_counted_and_proved_legal_at_once() -> None:
    """2^18 keys in 256 chunks, 8 queries that share them."""
    problem = Problem(n=1, n_k=2**18, d=16, group=8)
    plan = flash_decoding.explicit(problem, {"B_r": 8, "B_s": 1024})
    # K and V; Q and O; Q for 255 chunks more; 18 words for each row of each chunk, both ways
    assert plan.io_words == 2**23 + 2 * 128 + 255 * 128 + 2 * 256 * 8 * 18
    assert violations(plan.program, plan.sizes, plan.peak_words) == []


def test_the_tile_rule_ends_at_one_chunk() -> None:
    """Chunks only cost words where there is one fast memory: with room for all rows, S = 1."""
    problem = Problem(n=1, n_k=1000, d=16, group=4)
    plan = flash_decoding.best(problem, 1000)
    assert plan.tiles == {"B_r": 4, "B_s": 1000}
    assert plan.io_words == flash2.best(problem, 1000).io_words + 2 * 4 * (16 + 2)


def test_a_mask_is_refused() -> None:
    """It is for queries that meet every key."""
    from iosim.masks import CAUSAL

    assert flash_decoding.unsupported(Problem(n=2, d=4, mask=CAUSAL)) == "no mask"


def test_merging_parts_in_any_order_is_the_whole() -> None:
    """The two operations of the reduction combine parts of a row into the row, whatever the order of the parts."""
    random = np.random.default_rng(4)
    scores, values = random.normal(0, 3, (4, 9)), random.normal(size=(9, 2))
    right = np.exp(scores) @ values / np.exp(scores).sum(axis=1, keepdims=True)
    parts = [slice(0, 2), slice(2, 3), slice(3, 9)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        o, m, l = np.zeros((4, 2)), np.full(4, -np.inf), np.zeros(4)
        for part in (parts[number] for number in order):
            p = scores[:, part].max(axis=1)
            weights = np.exp(scores[:, part] - p[:, None])
            r, y = weights.sum(axis=1), weights @ values[part]
            OPS["merge_statistics"].numpy(m, l, p, r)
            OPS["merge_rows"].numpy(o, y, p, r)
        np.testing.assert_allclose(o / l[:, None], right, rtol=1e-13)


def test_a_partial_result_that_is_not_stored_is_caught() -> None:
    """Without any one of the three stores of partial results the reduction reads words that were never written."""
    plan = flash_decoding.explicit(Problem(n=2, n_k=5, d=2), {"B_r": 2, "B_s": 2})
    stores = [(place, s) for place, s in places(plan.program) if isinstance(s, Store) and s.region.array.name != "O"]
    assert len(stores) == 3
    for place, _ in stores:
        broken = violations(replaced(plan.program, place), plan.sizes)
        assert Rule.UNWRITTEN in {violation.rule for violation in broken}


@pytest.mark.parametrize("op", ["merge_statistics", "merge_rows", "divide_rows"])
def test_a_reduction_without_one_of_its_operations_is_wrong(op: str) -> None:
    """Each operation of the reduction matters: without it the schedule is illegal or the result is another one."""
    plan = flash_decoding.explicit(Problem(n=2, n_k=5, d=2), {"B_r": 2, "B_s": 2})
    random = np.random.default_rng(2)
    inputs = {name: random.normal(size=(2 if name == "Q" else 5, 2)) for name in "QKV"}
    right = execute(plan.program, plan.sizes, inputs)["O"]
    (place,) = [p for p, s in places(plan.program) if isinstance(s, Compute) and s.op.name == op]
    mutant = replaced(plan.program, place)
    if not violations(mutant, plan.sizes):
        with np.errstate(all="ignore"):
            assert not np.allclose(execute(mutant, plan.sizes, inputs)["O"], right)


def test_a_tile_too_large_is_named() -> None:
    """One more column in the accumulator of the reduction breaks the capacity rule there."""
    plan = flash_decoding.explicit(Problem(n=1, n_k=4, d=1, d_v=9), {"B_r": 1, "B_s": 2})
    *_, (place, alloc) = [(p, s) for p, s in places(plan.program) if isinstance(s, Alloc) and s.tile.name == "o_2"]
    assert isinstance(alloc, Alloc)
    larger = replace(alloc, tile=replace(alloc.tile, shape=(alloc.tile.shape[0], 20)))
    broken = violations(replaced(plan.program, place, larger), plan.sizes, plan.peak_words)
    assert any(v.rule is Rule.CAPACITY and "o_2" in v.where for v in broken)
