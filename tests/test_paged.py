"""Paged K and V: coordinates that are looked up in fast memory, and attention over pages that a block table finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.flash2 import flash2
from algorithms.paged import layout, paged
from iosim.api import run
from iosim.builder import Builder, build
from iosim.errors import ExecutionError, MeaningError, ProgramError, UsageError
from iosim.expr import Size
from iosim.interpret.count import count
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.interpret.render import render
from iosim.interpret.steps import moves, steps
from iosim.interpret.words.attention import word_trace
from iosim.masks import CAUSAL
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import norm_bound, rounding_bound, softmax_attention
from iosim.numeric.run import run_plan
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import Free, Load, Lookup, Program, Store
from tests import brute
from tests.legality import is_as_claimed, runs_as_counted
from tests.surgery import places, replaced


@st.composite
def plans(draw: st.DrawFn, most: int = 12) -> tuple[Problem, Plan]:
    """A small problem, with tiles, streams and pages of any length up to their axis."""
    problem = Problem(
        n=draw(st.integers(1, 4)),
        n_k=draw(st.integers(1, most)),
        d=draw(st.integers(1, 4)),
        d_v=draw(st.integers(1, 4)),
        group=draw(st.integers(1, 2)),
    )
    (schedule,) = paged.schedules
    return problem, paged.explicit(
        problem, {name: draw(st.integers(1, problem.length(axis)), name) for name, axis in schedule.axes.items()}
    )


def difference(problem: Problem, plan: Plan) -> tuple[float, float]:
    """From float64 attention, and how much rounding may make it."""
    data = random_input(
        problem.n,
        problem.d,
        n_k=problem.n_k,
        d_v=problem.d_v,
        heads=problem.instances * problem.group,
        group=problem.group,
        seed=1,
    )
    O = run_plan(plan, problem, data, lambda _: None)
    pairs = [(Q, data.K[head // problem.group], data.V[head // problem.group]) for head, Q in enumerate(data.Q)]
    right = np.stack([softmax_attention(Q, K, V) for Q, K, V in pairs])
    norm = max(norm_bound(Q, K) for Q, K, _ in pairs)
    return float(np.abs(O - right).max()), rounding_bound(problem.n_k, problem.d, norm, float(np.abs(data.V).max()))


# Looking up


def gather(b: Builder, *, n: Size, m: Size) -> None:
    """Rows of X in the order that I says."""
    X, I = b.input("X", (m, 1, 2)), b.input("I", (n,))
    Y = b.output("Y", (n, 2), needs=lambda i, l: (I[i], X[:, :, l]))
    with b.tiles("i", n, 1) as i, b.load(I[i]) as at, b.load(X[at.at(0), :, :]) as x:
        b.store(x, Y[i.start, :])


GATHER = build(gather, name="gather", n="n", m="m")


def test_rows_are_gathered_in_the_order_of_an_index() -> None:
    """Each row costs its two words and the word that says which it is, whatever that word is."""
    sizes = {"n": 4, "m": 3}
    X = np.arange(6.0).reshape(3, 1, 2)
    I = np.array([2.0, 0.0, 2.0, 1.0])
    assert (execute(GATHER, sizes, {"X": X, "I": I})["Y"] == X[[2, 0, 2, 1], 0]).all()
    counted = count(GATHER, sizes)
    assert counted.loads == {"I": 4, "X": 8}
    assert violations(GATHER, sizes) == []
    ran = brute.run(GATHER, sizes)
    assert (ran.broken, dict(ran.loads)) == ([], dict(counted.loads))
    assert "load x <- X[i[0], :, :]" in render(GATHER)


@pytest.mark.parametrize(("wrong", "text"), [(3.0, "3"), (-1.0, "-1"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_number_that_is_no_coordinate_ends_the_execution(wrong: float, text: str) -> None:
    """Too large, negative, a fraction, not a number: an error that says where, what was found and what is allowed."""
    inputs = {"X": np.zeros((3, 1, 2)), "I": np.array([0.0, wrong])}
    with pytest.raises(ExecutionError) as caught:
        execute(GATHER, {"n": 2, "m": 3}, inputs)
    assert str(caught.value) == (
        f"loop i=1 / load x: i[0] is {text}, looked up on axis 0 of X; allowed: whole numbers from 0 to 2"
    )


def lookups(program: Program) -> list[tuple[tuple[int, ...], Load]]:
    return [
        (place, s)
        for place, s in places(program)
        if isinstance(s, Load) and any(isinstance(axis, Lookup) for axis in s.region.axes)
    ]


def test_a_lookup_through_a_freed_tile_is_caught() -> None:
    """The tile in which a coordinate is looked up must be in fast memory: freed before, it breaks the rule by name."""
    plan = paged.explicit(Problem(n=2, n_k=5, d=2), {"B_r": 2, "page": 2})
    program = plan.program
    ((free_place, free),) = [(p, s) for p, s in places(program) if isinstance(s, Free) and s.tile.name == "t"]
    (first, load), *_ = lookups(program)
    early = replaced(replaced(program, free_place), first, free, load)
    broken = violations(early, plan.sizes)
    assert Rule.FREED in {violation.rule for violation in broken}
    assert brute.run(early, plan.sizes).rules >= {Rule.FREED}


def test_a_lookup_in_a_table_that_was_never_loaded_is_caught() -> None:
    """Without the load of the table there is nothing to look up in."""
    plan = paged.explicit(Problem(n=2, n_k=5, d=2), {"B_r": 2, "page": 2})
    ((place, _),) = [(p, s) for p, s in places(plan.program) if isinstance(s, Load) and s.tile.name == "t"]
    mutant = replaced(plan.program, place)
    found = {violation.rule for violation in violations(mutant, plan.sizes)}
    assert Rule.OPERAND in found
    assert brute.run(mutant, plan.sizes).rules == found


def test_a_lookup_beyond_its_tile_or_without_a_value_is_caught() -> None:
    """A position outside the tile breaks the rule of bounds; a tile that nothing gave a value, that of values."""

    def author(b: Builder, *, n: Size, valued: bool, position: int) -> None:
        X, Y = b.input("X", (n, 2)), b.output("Y", (2,), needs="Y[i] <- X[:,i]")
        with b.zeros("t", 2) if valued else b.empty("t", 2) as t, b.load(X[t.at(position), :]) as x:
            b.store(x, Y[:])

    for valued, position, rules in (
        (True, 1, set()),
        (True, 2, {Rule.BOUNDS}),
        (True, -1, {Rule.BOUNDS}),
        (False, 0, {Rule.NO_VALUE}),
    ):
        program = build(author, name="x", n="n", valued=valued, position=position)
        assert {violation.rule for violation in violations(program, {"n": 3})} == rules
        assert brute.run(program, {"n": 3}).rules == rules


def test_a_scratch_array_must_be_written_wherever_a_lookup_may_read() -> None:
    """Which row is looked up is not known: every row must have been written."""

    def author(b: Builder, *, n: Size, rows: Size) -> None:
        X, Y, S = b.input("X", (n, 2)), b.output("Y", (2,), needs="Y[i] <- X[:,i]"), b.scratch("S", (n, 2))
        with b.load(X[:, :]) as x:
            b.store(x[:rows, :], S[:rows, :])
        with b.zeros("t", 1) as t, b.load(S[t.at(0), :]) as s:
            b.store(s, Y[:])

    program = build(author, name="x", n="n", rows="rows")
    assert violations(program, {"n": 3, "rows": 3}) == []
    for rows in (3, 2):
        found = {violation.rule for violation in violations(program, {"n": 3, "rows": rows})}
        assert brute.run(program, {"n": 3, "rows": rows}).rules == found
        assert found == (set() if rows == 3 else {Rule.UNWRITTEN})


def test_what_was_looked_up_has_flowed_into_what_was_loaded() -> None:
    """A result that must have seen the table is finished, one that was loaded from a fixed page is not."""
    plan = paged.explicit(Problem(n=2, n_k=5, d=2), {"B_r": 2, "page": 2})
    fixed = plan.program
    for place, load in lookups(plan.program):
        region = load.region
        (lookup, *rest) = region.axes
        assert isinstance(lookup, Lookup)
        zero = replace(lookup, tile=replace(lookup.tile, name="l"))  # what is looked up in is another tile
        fixed = replaced(fixed, place, replace(load, region=replace(region, axes=(zero, *rest))))
    unseen = [v for v in violations(fixed, plan.sizes) if v.rule is Rule.UNFINISHED]
    assert any("O[0:2, 0:2] needs T[0:3], has seen nothing of it" in v.found for v in unseen)


def test_no_store_and_no_view_is_looked_up() -> None:
    """Stores go to boxes; a tile with two axes is not looked up in; where words are followed, values are not known."""

    def stores(b: Builder, *, n: Size) -> None:
        Y = b.scratch("Y", (n, 2))
        with b.zeros("t", 1) as t, b.zeros("y", 2) as y:
            b.store(y, Y[t.at(0), :])

    def square(b: Builder, *, n: Size) -> None:
        X = b.input("X", (n,))
        b.load(X[b.zeros("t", 1, 1).at(0)])

    with pytest.raises(ProgramError, match="not to listed or looked-up coordinates"):
        build(stores, name="x", n="n")
    with pytest.raises(ProgramError, match="t has 2 axes; looked up in are tiles with one"):
        build(square, name="x", n="n")
    plan = paged.explicit(Problem(n=2, d=2), {"B_r": 2})
    with pytest.raises(MeaningError):
        word_trace(plan.program, plan.sizes)
    (step, *_) = (
        step
        for step in steps(plan.program, plan.sizes)
        if isinstance(step.statement, Load) and step.statement.region.array.name == "K"
    )
    assert isinstance(step.statement, Load)
    with pytest.raises(
        MeaningError, match=r"loop i=0 / loop p=0 / .*: t\[0\] is a number that only an execution knows"
    ):
        step.indices(step.statement.region.axes)


def test_a_store_that_is_looked_up_breaks_a_rule() -> None:
    """What the builder refuses, legality names too."""

    def author(b: Builder, *, n: Size) -> None:
        X, Y, _ = b.input("X", (n, 2)), b.output("Y", (2,), needs="Y[i] <- X[:,i]"), b.scratch("S", (n, 2))
        with b.zeros("t", 1) as t, b.load(X[t.at(0), :]) as x:
            b.store(x, Y[:])

    program = build(author, name="x", n="n")
    ((place, store),) = [(p, s) for p, s in places(program) if isinstance(s, Store)]
    ((_, load),) = lookups(program)
    assert isinstance(store, Store)
    region = replace(load.region, array=program.array("S"))
    (violation, *_) = violations(replaced(program, place, replace(store, region=region)), {"n": 3})
    assert violation.rule is Rule.SHAPE
    assert violation.found == "a store goes to a box of S, not to listed or looked-up coordinates"


# Paged attention


def test_the_words_of_a_small_case_by_hand() -> None:
    """3 queries in tiles of 2, 5 keys in pages of 2, d = 3, d_v = 4."""
    plan = paged.explicit(Problem(n=3, n_k=5, d=3, d_v=4), {"B_r": 2, "page": 2})
    counted = plan.count()
    # two row tiles; K and V as far as they are filled, and three pages, for each
    assert counted.loads == {"Q": 9, "T": 2 * 3, "K": 2 * 15, "V": 2 * 20}
    assert counted.stores == {"O": 12}
    # the place of a page; q, o, m, l of two rows, two scores, one word of k or v: 1 + 6 + 8 + 2 + 2 + 2 + 1
    assert plan.peak_words == 22


@given(found=plans(most=60))
@settings(max_examples=40)
def test_any_tiles_are_as_claimed_and_fit_exactly(found: tuple[Problem, Plan]) -> None:
    """Counted words and peak equal the closed forms, pages filled in part included; in a word less one rule is broken."""
    _, plan = found
    is_as_claimed(plan)


@given(found=plans(most=60))
@settings(max_examples=30)
def test_paging_costs_the_words_of_the_table_and_nothing_else(found: tuple[Problem, Plan]) -> None:
    """As flash2 in the same row tiles, and a word for each page and row tile."""
    problem, plan = found
    other = flash2.explicit(problem, {"B_r": plan.sizes["B_r"]})
    table = -(-problem.n_k // plan.sizes["page"]) * -(-problem.length("n") // plan.sizes["B_r"])
    assert plan.io_words == other.io_words + table


@given(found=plans(most=7))
@settings(max_examples=15)
def test_the_machine_that_runs_word_by_word_agrees(found: tuple[Problem, Plan]) -> None:
    """Loads, stores, peak and flops are those of a run of every iteration, which breaks no rule."""
    _, plan = found
    runs_as_counted(plan)
    assert sum(move.words for move in moves(plan.program, plan.sizes)) == plan.io_words


@given(found=plans(), heads=st.integers(1, 2))
@settings(max_examples=40)
def test_the_result_is_softmax_attention(found: tuple[Problem, Plan], heads: int) -> None:
    """With the pages of each head in an order of its own, in any pieces: softmax attention to rounding."""
    problem, plan = found
    problem, plan = replace(problem, kv_heads=heads), plan.times(heads)
    for sizes in (dict(plan.sizes), dict(plan.executed)):
        error, rounding = difference(problem, replace(plan, executed=sizes))
        assert error <= rounding


def test_the_layout_scatters_pages_and_says_where() -> None:
    """Pages in another order than their positions; the table finds each one; what is not filled is not a number."""
    K = np.arange(22.0).reshape(11, 2)
    made = layout({"Q": K, "K": K, "V": -K}, {"page": 2})
    T = made["T"].astype(int)
    assert sorted(T) == list(range(6))
    assert (np.arange(6) != T).any()
    for position in range(11):
        assert (made["K"][T[position // 2], position % 2] == K[position]).all()
        assert (made["V"][T[position // 2], position % 2] == -K[position]).all()
    assert np.isnan(made["K"][T[5], 1]).all()


def test_a_table_that_is_wrong_is_caught_by_the_result() -> None:
    """Two entries that name the same page: legal, counted the same, and not attention."""
    problem = Problem(n=2, n_k=6, d=3)
    plan = paged.explicit(problem, {"B_r": 2, "page": 2})

    def repeated(inputs, sizes):  # type: ignore[no-untyped-def]
        made = layout(inputs, sizes)
        return {**made, "T": np.array([made["T"][0], made["T"][0], made["T"][2]])}

    error, rounding = difference(problem, replace(plan, layout=repeated))
    assert error > rounding


def test_reading_beyond_the_filled_part_of_the_last_page_is_caught_by_the_result() -> None:
    """With the loop over rows always a whole page long, the result is not a number."""
    problem = Problem(n=2, n_k=5, d=3)
    plan = paged.explicit(problem, {"B_r": 2, "page": 2})
    short = replace(problem, n_k=6)  # the program runs as if the page were full
    whole = {**plan.sizes, "n_k": 6}
    data = random_input(2, 3, n_k=5, seed=1)
    mutant = replace(plan, executed=whole)
    assert np.isnan(run_plan(mutant, short, data, lambda _: None)).any()


def test_a_run_holds_and_says_how_long_a_page_is() -> None:
    """`iosim run` with heads that share keys and pages of 16, or of another length if asked for."""
    found = run("paged", n=1, n_k=100, d=4, heads=4, kv_heads=2, M=200)
    assert found.holds
    assert found.numeric is not None
    assert found.plan.tiles == {"B_r": 2, "page": 16}
    assert found.loads["T"] == 2 * 7  # for each of two key heads
    other = run("paged", n=1, n_k=100, d=4, M=200, tiles={"B_r": 1, "page": 50})
    assert (other.holds, other.loads["T"]) == (True, 2)


def test_what_it_is_not_for_is_refused() -> None:
    """Masks, and pages longer than the keys."""
    assert paged.unsupported(Problem(n=2, d=4, mask=CAUSAL)) == "no mask"
    with pytest.raises(UsageError, match="page=9; allowed: 1 to n_k=8"):
        paged.explicit(Problem(n=8, d=4), {"B_r": 1, "page": 9})
