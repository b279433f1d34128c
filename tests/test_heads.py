"""Heads and batches: one program for all instances, shared keys, and the counts of all of them together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.exact import exact
from algorithms.flash2 import flash2
from iosim import CAUSAL, FULL, Mask, Problem, count, for_each, violations
from iosim.api import run
from iosim.errors import UsageError
from iosim.interpret.legality.rules import Rule
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import softmax_attention
from iosim.numeric.run import run_plan
from iosim.task import Task
from tests.legality import fits_exactly

GROUPED = {"n": 40, "d": 4, "M": 400, "batch": 2, "heads": 6, "kv_heads": 2}


def test_heads_multiply_the_words_and_not_the_peak() -> None:
    """Three heads move three times the words of one, in the same fast memory; the closed form says so."""
    one, three = (run("flash2", n=50, d=4, M=300, heads=heads) for heads in (1, 3))
    assert three.io_words == 3 * one.io_words == three.closed_form_words
    assert three.peak_words == one.peak_words
    assert three.holds
    assert three.numeric is not None
    assert (three.numeric.rows_checked, three.numeric.rows) == (150, 150)


def test_grouped_queries_are_rows_of_one_instance() -> None:
    """Batch 2, six query heads on two key heads: four instances with 3 n queries each; K and V are counted once."""
    found = run("exact", **GROUPED)
    assert found.holds
    assert found.problem.instances == 4
    assert found.problem.group == 3
    assert "2 sequences of 6 heads, 3 to a key head" in str(found)
    assert found.problem.pairs == 2 * 6 * 40 * 40
    alone = run("exact", n=3 * 40, n_k=40, d=4, M=400)
    assert found.io_words == 4 * alone.io_words


@pytest.mark.parametrize("mask", ["causal", "window:7", "band:3,2"])
def test_masked_groups_hold(mask: str) -> None:
    """With a mask the queries of one position are next to each other, and meet the same keys."""
    found = run("exact", **GROUPED, n_k=45, mask=mask)
    assert found.holds
    assert found.numeric is not None
    assert found.numeric.rows_checked == 12 * 40


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_head_reads_its_own_keys(data: st.DataObject) -> None:
    """With different data in every head, each row is the attention of its own query over its own keys."""
    heads, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    mask = data.draw(st.sampled_from([FULL, CAUSAL, Mask(back=1, ahead=0)]))
    problem = Problem(n=5, n_k=7, d=2, d_v=3, kv_heads=heads, group=group, mask=mask)
    plan = flash2.best(problem, flash2.least_capacity(problem) + data.draw(st.integers(0, 60))).times(heads)
    given_data = random_input(5, 2, n_k=7, d_v=3, heads=heads * group, group=group, seed=data.draw(st.integers(0, 9)))
    O = run_plan(plan, problem, given_data, lambda _: None)
    for head in range(heads * group):
        keys, values = given_data.K[head // group], given_data.V[head // group]
        expected = softmax_attention(given_data.Q[head], keys, values, mask=mask)
        np.testing.assert_allclose(O[head], expected, atol=1e-12)


def test_a_batch_is_legal_and_each_instance_has_its_own_place() -> None:
    """The program of three heads is legal in the peak of one; without the last head its output is missing."""
    problem = Problem(n=7, d=2)
    plan = flash2.explicit(problem, {"B_r": 3}).times(3)
    fits_exactly(plan.program, plan.sizes, plan.peak_words)
    (loop,) = plan.program.body
    short = type(plan.program)(
        plan.program.name, plan.program.sizes, plan.program.arrays, (type(loop)("h", 0, 2, 1, loop.body),)
    )
    assert {v.rule for v in violations(short, plan.sizes)} == {Rule.MISSING}


def test_shared_inputs_stay_as_they_are() -> None:
    """Instances may share an input: it has no axis of its own, and is loaded by each."""
    program = for_each(flash2.program(flash2.schedules[1]), "h", 4, shared=frozenset({"K", "V"}))
    assert {array.name: len(array.shape) for array in program.arrays} == {"Q": 3, "K": 2, "V": 2, "O": 3}
    at = {"n": 6, "n_k": 5, "d": 2, "d_v": 3, "B_r": 2, "B_c": 1}
    assert violations(program, at) == []
    # 4 instances with 3 row tiles each load 5 keys of 2 words
    assert count(program, at).loads["K"] == 4 * 3 * 5 * 2


def test_the_input_may_have_fewer_key_heads() -> None:
    """Four query heads over two key heads, from arrays."""
    random = np.random.default_rng(0)
    data = from_arrays(random.normal(size=(4, 9, 3)), random.normal(size=(2, 11, 3)), random.normal(size=(2, 11, 2)))
    found = run(exact, M=200, input=data)
    assert found.holds
    assert (found.problem.instances, found.problem.group, found.problem.n_k, found.problem.d_v) == (2, 2, 11, 2)


def test_a_violated_bound_fails_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a bound claimed a word more than is moved, the run would fail."""
    from iosim.bounds import exact as bounds

    real = bounds.applicable
    words = run("flash2", n=60, d=4, M=300, numeric=False).io_words
    monkeypatch.setattr(bounds, "applicable", lambda setting: ((bound, words + 1) for bound, _ in real(setting)))
    found = run("flash2", n=60, d=4, M=300, numeric=False)
    assert not found.holds
    assert [check.name for check in found.checks if not check.holds] == ["count at least each lower bound"]


def test_a_task_without_bounds_is_refused() -> None:
    """No other task's bounds are taken for it: they may be more than it moves."""
    other = replace(flash2, computes=Task(name="sorting", inputs={}, outputs={}))
    with pytest.raises(UsageError, match="flash2 computes sorting, for which no lower bounds are stated"):
        run(other, n=60, d=4, M=300, numeric=False)
