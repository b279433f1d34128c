"""What every registered algorithm owes: its claims are the count, its schedules are legal, its result is attention."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.algorithm import Algorithm, Best
from iosim.approximation.minimax import minimax_exp, softmax_output_error
from iosim.errors import UsageError
from iosim.expr import evaluate, evaluate_int, free_symbols
from iosim.interpret.count import count, peak_words
from iosim.interpret.legality import violations
from iosim.interpret.steps import moves, steps
from iosim.masks import FULL, Mask
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import norm_bound, polynomial_attention, rounding_bound, softmax_attention
from iosim.numeric.run import run_plan
from iosim.plan import Plan
from iosim.plan_bounds import lower_bounds
from iosim.problem import Problem
from iosim.program import (
    Alloc,
    Compute,
    Free,
    Load,
    Program,
)
from iosim.task import ATTENTION
from iosim.tiled import Tiled
from tests.legality import fits_exactly, runs_as_counted
from tests.registered import EVERY_OWN, LOGIT_BOUND, OWN, REGISTERED, SPARE, fitted, plans, problems

EVERY = pytest.mark.parametrize("name", REGISTERED)
EXACT = pytest.mark.parametrize("name", [x for x, a in OWN.items() if not a.approximate and a.computes == ATTENTION])
POLYNOMIAL = pytest.mark.parametrize("name", [name for name, a in REGISTERED.items() if a.takes_polynomial])
METHODS = pytest.mark.parametrize("name", [name for name, a in REGISTERED.items() if a.method])
TILED = pytest.mark.parametrize("name", [name for name, a in REGISTERED.items() if isinstance(a, Tiled)])


def streams(plan: Plan, problem: Problem) -> list[str]:
    """The sizes that are 1 word or row when counted: any other value gives the same traffic."""
    return [name for name in plan.sizes if name not in {*problem.sizes, *plan.tiles}]


def longer_streams(plan: Plan, problem: Problem, choose: st.DataObject) -> dict[str, int]:
    """The sizes of a plan, its streams as long as `choose` says, up to a little more than any axis."""
    most = max(problem.n, problem.d) + 2
    return {**plan.sizes, **{name: choose.draw(st.integers(1, most), name) for name in streams(plan, problem)}}


def output(plan: Plan, sizes: dict[str, int], problem: Problem, seed: int) -> list[tuple[np.ndarray, ...]]:
    """What a plan computes on random data whose scores stay within [-1, 1], and the data: O, Q, K, V of each query head."""
    data = random_input(
        problem.n,
        problem.d,
        n_k=problem.n_k,
        d_v=problem.d_v,
        heads=problem.group,
        group=problem.group,
        tied=problem.tied,
        logit_bound=LOGIT_BOUND,
        seed=seed,
    )
    O = run_plan(replace(plan, executed=sizes), problem, data, lambda _: None)
    return [(O[head], data.Q[head], data.K[0], data.V[0]) for head in range(problem.group)]


def greatest_live(program: Program, sizes: dict[str, int]) -> int:
    """Most words that live at once when every loop is run, an operation's own words included."""
    live: dict[str, int] = {}
    most = 0
    for step in steps(program, sizes):
        scratch = 0
        match step.statement:
            case Load(tile=tile) | Alloc(tile=tile):
                live[tile.name] = prod(step.shape(tile.shape))
            case Free(tile=tile):
                del live[tile.name]
            case Compute(op=op, params=params):
                scratch = op.scratch(dict(params))
            case _:
                pass
        most = max(most, sum(live.values()) + scratch)
    return most


# Claims


@EVERY_OWN
@given(problem=problems(n=40, d=8, degree=4), spare=SPARE | st.integers(0, 5000))
@settings(max_examples=15)
def test_count_and_peak_are_what_the_plan_claims_and_fit(name: str, problem: Problem, spare: int) -> None:
    """Counted words and peak are the claimed ones for every plan, and the peak fits."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        assert plan.count().io_words == plan.closed_form_words, plan
        assert plan.peak_words == plan.claimed_peak_words <= REGISTERED[name].least_capacity(problem) + spare, plan


@EVERY_OWN
@given(problem=problems(n=40, d=8, degree=4), spare=SPARE)
@settings(max_examples=10)
def test_the_closed_form_of_a_plan_is_its_count_with_n_a_symbol(name: str, problem: Problem, spare: int) -> None:
    """With every size but n given, the claim and the count are one expression in n; at n it is the claimed number."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        known = {key: value for key, value in plan.sizes.items() if key != "n"}
        claimed = evaluate(plan.closed_form, {**plan.tiles, **known, "d": problem.d})
        if problem.mask.full:
            assert claimed == count(plan.program, known).io_words
        assert free_symbols(claimed) == {"n"}
        assert evaluate_int(claimed, {"n": problem.n}) == plan.closed_form_words


@TILED
def test_the_claims_of_a_schedule_are_its_count_and_peak_in_symbols(name: str) -> None:
    """With word streams the claims are the counted expressions, for tiles no longer than their axis."""
    algorithm = REGISTERED[name]
    assert isinstance(algorithm, Tiled)
    for schedule in algorithm.schedules:
        program, ones = algorithm.program(schedule), dict.fromkeys(schedule.streams, 1)
        io, peak = schedule.claims(None, algorithm.method)
        assert count(program, ones).io_words == io, schedule.name
        assert peak_words(program, ones, tiles_fit=True) == peak, schedule.name


@TILED
@given(problem=problems(n=20, d=8), choose=st.data())
@settings(max_examples=20)
def test_the_claims_of_a_schedule_hold_for_any_tiles_and_streams(
    name: str, problem: Problem, choose: st.DataObject
) -> None:
    """Tiles and streams that a user asks for, of any length up to their axis, count as claimed."""
    problem = fitted(name, problem)
    algorithm = REGISTERED[name]
    assert isinstance(algorithm, Tiled)
    for schedule in algorithm.schedules:
        if schedule.unsupported(problem) is None:
            axes = schedule.axes if problem.mask.full else schedule.tiles
            chosen = {x: choose.draw(st.integers(1, problem.length(axis)), x) for x, axis in axes.items()}
            sizes = {**problem.sizes, **dict.fromkeys(schedule.streams, 1), **chosen}
            program = algorithm.program(schedule, problem)
            assert (count(program, sizes).io_words, peak_words(program, sizes)) == schedule.claimed(problem, sizes)
            plan = algorithm.explicit(problem, chosen)
            assert (plan.count().io_words, plan.peak_words) == (plan.closed_form_words, plan.claimed_peak_words)


@EVERY
def test_what_is_listed_can_be_counted(name: str) -> None:
    """Each schedule that `list` shows has a program, and a closed form that is its count where its symbols are sizes."""
    algorithm = REGISTERED[name]
    assert algorithm.name == name
    assert algorithm.source
    assert "\n" not in algorithm.summary
    for form in algorithm.forms():
        names = set(form.program.sizes)
        assert form.regime
        if not isinstance(form.io, str) and free_symbols(form.io) <= names:
            ones = dict.fromkeys(names - free_symbols(form.io) - free_symbols(form.peak), 1)
            assert count(form.program, ones).io_words == form.io, form.schedule


# Counts against what happens


@EVERY_OWN
@given(problem=problems(), spare=SPARE)
@settings(max_examples=6)
def test_the_moves_of_the_trace_add_up_to_the_count_of_each_array(name: str, problem: Problem, spare: int) -> None:
    """Run step by step, a plan loads and stores the counted words of each array, and no others."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        moved: dict[str, Counter[str]] = {"load": Counter(), "store": Counter()}
        for move in moves(plan.program, plan.sizes):
            moved[move.direction][move.array] += move.words
        counted = plan.count()
        assert +moved["load"] == +Counter(counted.loads)
        assert +moved["store"] == +Counter(counted.stores)


@EVERY_OWN
@given(problem=problems(), spare=SPARE)
@settings(max_examples=6)
def test_the_peak_is_the_most_that_lives_in_the_trace(name: str, problem: Problem, spare: int) -> None:
    """Run step by step, a plan holds at most its peak, and once it holds that many words."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        assert greatest_live(plan.program, dict(plan.sizes)) == plan.peak_words


@EVERY_OWN
@given(problem=problems(n=5, d=3, degree=2), spare=SPARE)
@settings(max_examples=4)
def test_word_by_word_a_plan_breaks_no_rule_and_costs_what_is_counted(name: str, problem: Problem, spare: int) -> None:
    """A machine that shares no code with the interpreters agrees on the words moved, the peak and the legality."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        runs_as_counted(plan)


# Legality


@EVERY_OWN
@given(problem=problems(n=16, d=5), spare=SPARE)
@settings(max_examples=3)
def test_legal_in_its_peak_and_too_large_for_a_word_less(name: str, problem: Problem, spare: int) -> None:
    """A plan is legal in as many words as its peak; in one word less it breaks the capacity rule and no other."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        fits_exactly(plan.program, plan.sizes, plan.peak_words)


@EVERY_OWN
@given(problem=problems(n=10**6, d=24), spare=st.integers(0, 1000) | st.integers(0, 10**6))
@settings(max_examples=2)
def test_legal_at_sizes_that_no_one_would_run(name: str, problem: Problem, spare: int) -> None:
    """Long inputs, wide heads, many blocks and groups of columns: still legal, still as counted."""
    if isinstance(problem.mask, Mask):
        problem = replace(problem, mask=FULL)  # the best tiles of bands are searched for at small sizes only
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        assert violations(plan.program, plan.sizes, plan.peak_words) == []
        assert plan.count().io_words == plan.closed_form_words


@EVERY_OWN
@given(problem=problems(n=25, d=6), spare=SPARE, choose=st.data())
@settings(max_examples=5)
def test_longer_streams_are_legal_and_move_the_same_words(
    name: str, problem: Problem, spare: int, choose: st.DataObject
) -> None:
    """How many rows or words pass at a time changes neither the legality nor the traffic."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        sizes = longer_streams(plan, problem, choose)
        assert violations(plan.program, sizes) == []
        assert count(plan.program, sizes).io_words == plan.closed_form_words
        assert violations(plan.program, plan.executed) == []


# Results


@EXACT
@given(problem=problems(), spare=SPARE, seed=st.integers(0, 1000), choose=st.data())
@settings(max_examples=8)
def test_exact_algorithms_compute_softmax_attention(
    name: str, problem: Problem, spare: int, seed: int, choose: st.DataObject
) -> None:
    """Word by word, with any streams, and as executed on real data, the result is softmax attention to rounding."""
    problem = fitted(name, problem)
    for plan in plans(name, problem, spare):
        for sizes in (dict(plan.sizes), longer_streams(plan, problem, choose), dict(plan.executed)):
            for O, Q, K, V in output(plan, sizes, problem, seed):
                bound = rounding_bound(problem.n_k, problem.d, norm_bound(Q, K), float(np.abs(V).max()))
                assert np.abs(O - softmax_attention(Q, K, V, mask=problem.mask)).max() <= bound


@METHODS
@given(problem=problems(), spare=SPARE, seed=st.integers(0, 1000), choose=st.data())
@settings(max_examples=8)
def test_methods_compute_what_they_are_defined_to_compute(
    name: str, problem: Problem, spare: int, seed: int, choose: st.DataObject
) -> None:
    """Word by word, with any streams, and as executed on real data, the result is that of the method's formula."""
    problem, method = fitted(name, problem), REGISTERED[name].method
    assert method is not None
    for plan in plans(name, problem, spare):
        for sizes in (dict(plan.sizes), longer_streams(plan, problem, choose), dict(plan.executed)):
            found = output(plan, sizes, problem, seed)
            Q = np.stack([Q for _, Q, _, _ in found], axis=1).reshape(
                -1, problem.d
            )  # the rows of one position together
            _, _, K, V = found[0]
            (head,) = method.heads({"Q": Q, "K": K, "V": V}, sizes, problem.mask)
            expected = method.reference(head, np.arange(len(Q))).reshape(problem.n, problem.group, problem.d_v)
            for member, (O, *_) in enumerate(found):
                assert np.abs(O - expected[:, member]).max() <= 1e-10 * np.abs(V).max()


@POLYNOMIAL
@given(problem=problems(), spare=SPARE, seed=st.integers(0, 1000), choose=st.data())
@settings(max_examples=15)
def test_approximate_algorithms_compute_attention_with_the_polynomial(
    name: str, problem: Problem, spare: int, seed: int, choose: st.DataObject
) -> None:
    """Word by word, with any streams, and as executed on real data, the result is that of the polynomial."""
    problem = fitted(name, problem)
    assert problem.coefficients is not None
    for plan in plans(name, problem, spare):
        for sizes in (dict(plan.sizes), longer_streams(plan, problem, choose), dict(plan.executed)):
            for O, Q, K, V in output(plan, sizes, problem, seed):
                expected = polynomial_attention(Q, K, V, problem.coefficients, mask=problem.mask)
                assert np.abs(O - expected).max() <= 1e-11 * np.abs(V).max()


@POLYNOMIAL
@given(problem=problems(degree=5), spare=SPARE, seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_the_error_of_approximate_algorithms_is_below_the_proved_bound(
    name: str, problem: Problem, spare: int, seed: int
) -> None:
    """|O - O~| is at most (1 - sqrt(1 - eps^2))/eps times the range of the column of V."""
    problem = fitted(name, problem)
    factor = softmax_output_error(minimax_exp(problem.degree, LOGIT_BOUND).relative_error)
    for plan in plans(name, problem, spare):
        for O, Q, K, V in output(plan, dict(plan.executed), problem, seed):
            right = softmax_attention(Q, K, V, mask=problem.mask)
            assert (np.abs(O - right) <= factor * np.ptp(V, axis=0) + 1e-11).all()


# Choosing


@EVERY
@given(problem=problems(n=60, d=10, degree=6))
@settings(max_examples=8)
def test_the_least_capacity_is_enough_and_one_word_less_is_not(name: str, problem: Problem) -> None:
    """At the least capacity there is a plan; one word below there is none, and the error names the least capacity."""
    problem = fitted(name, problem)
    algorithm = REGISTERED[name]
    least = algorithm.least_capacity(problem)
    assert algorithm.best(problem, least).peak_words == least
    assert list(algorithm.plans(problem, least - 1)) == []
    with pytest.raises(UsageError, match=rf"^M = {least - 1:,}: {name} at .* needs at least {least:,} words"):
        algorithm.best(problem, least - 1)


@EVERY
@given(problem=problems(n=60, d=10, degree=4), spare=SPARE | st.integers(0, 5000), more=st.integers(0, 200))
@settings(max_examples=8)
def test_more_fast_memory_never_costs_traffic(name: str, problem: Problem, spare: int, more: int) -> None:
    """The best plan for a larger fast memory moves no more words, and none moves fewer than any lower bound."""
    problem = fitted(name, problem)
    algorithm = REGISTERED[name]
    capacity = algorithm.least_capacity(problem) + spare
    tight, roomy = algorithm.best(problem, capacity), algorithm.best(problem, capacity + more)
    bounds = list(lower_bounds(algorithm, problem, roomy, capacity + more))
    assert any(bound.compulsory for bound, _ in bounds)
    for bound, words in bounds:
        assert words <= roomy.closed_form_words, bound.name
    assert roomy.closed_form_words <= tight.closed_form_words


@EVERY
@given(problem=problems(n=60, d=10, degree=4), spare=SPARE)
@settings(max_examples=8)
def test_the_best_plan_moves_the_fewest_words_in_the_smallest_peak(name: str, problem: Problem, spare: int) -> None:
    """Of the plans, the best moves the fewest words; of those that move as few, it has the smallest peak."""
    problem = fitted(name, problem)
    algorithm = REGISTERED[name]
    best = algorithm.best(problem, algorithm.least_capacity(problem) + spare)
    for plan in plans(name, problem, spare):
        assert (best.closed_form_words, best.peak_words) <= (plan.closed_form_words, plan.peak_words)


@EVERY
def test_tiles_that_do_not_belong_to_the_algorithm_are_refused(name: str) -> None:
    """Explicit tiles of another algorithm are an error that says what was found."""
    with pytest.raises(UsageError, match="no_such_tile"):
        REGISTERED[name].explicit(fitted(name, Problem(n=8, d=4)), {"no_such_tile": 3})


@EVERY
def test_published_tiles_come_from_a_paper_or_not_at_all(name: str) -> None:
    """Only algorithms with a published tile rule have a published plan; the others say that they have none."""
    algorithm, problem = REGISTERED[name], fitted(name, Problem(n=100, d=8))
    if has_published_tiles(algorithm):
        plan = algorithm.published(problem, 1000)
        assert (plan.count().io_words, plan.peak_words) == (plan.closed_form_words, plan.claimed_peak_words)
    else:
        with pytest.raises(UsageError, match="--tiles paper"):
            algorithm.published(problem, 1000)


def has_published_tiles(algorithm: Algorithm) -> bool:
    if isinstance(algorithm, Best):
        return len(algorithm.of) == 1 and has_published_tiles(algorithm.of[0])
    return isinstance(algorithm, Tiled) and any(schedule.published for schedule in algorithm.schedules)
