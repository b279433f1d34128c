"""Every rule is checked in every iteration, and the checker says what a machine that runs word by word says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from algorithms.standard import standard
from iosim import Builder, Problem, Size, build, count, execute, peak_words, violations
from iosim.errors import CountError
from iosim.expr import evaluate_int
from iosim.interpret.legality.rules import Rule
from iosim.program import (
    Alloc,
    Compute,
    Free,
    Load,
    Loop,
    Program,
    Span,
    Statement,
    Store,
    Table,
    TableLoop,
    Tile,
)
from tests import brute
from tests.strategies import mutants, places, programs, replaced, sizes, statement_at, swapped

EXACT = [(algorithm, schedule) for algorithm in (standard, flash1, flash2) for schedule in algorithm.schedules]
IDS = [f"{algorithm.name} {schedule.name}" for algorithm, schedule in EXACT]

Author = Callable[..., None]


def legal(program: Program, at: dict[str, int], capacity: int | None = None) -> None:
    """Assert that no rule is broken."""
    assert [str(violation) for violation in violations(program, at, capacity)] == []


def breaks(program: Program, at: dict[str, int], *said: str, capacity: int | None = None) -> None:
    """Assert that exactly these violations are reported."""
    assert [str(violation) for violation in violations(program, at, capacity)] == list(said)


def agrees(program: Program, at: dict[str, int], capacity: int | None = None) -> None:
    """Assert that the rules broken, and where each statement first breaks them, are those of the word-by-word machine.

    Which store of a word was the last one is not followed everywhere, so for unfinished outputs only the rule counts;
    and where words were used that are not there, the checker may follow less of them than the machine.
    """
    happened = brute.run(program, at, capacity)
    found = violations(program, at, capacity)
    finished = [(v.rule, v.where) for v in found if v.rule is not Rule.UNFINISHED]
    assert Counter(finished) == Counter(b for b in happened.broken if b[0] is not Rule.UNFINISHED)
    if Rule.UNFINISHED in happened.rules:
        assert Rule.UNFINISHED in {v.rule for v in found}
    elif not happened.rules & {Rule.BOUNDS, Rule.UNWRITTEN, Rule.OPERAND, Rule.FREED, Rule.SHAPE}:
        assert Rule.UNFINISHED not in {v.rule for v in found}


# Random programs


@settings(max_examples=100)
@given(programs(), sizes(), st.integers(0, 40))
def test_legal_programs_break_no_rule_but_the_capacity(program: Program, at: dict[str, int], spare: int) -> None:
    """A random legal program breaks no rule in its peak; in less, the capacity rule, at the statements that break it."""
    peak = brute.run(program, at).peak
    legal(program, at, peak)
    agrees(program, at, max(0, peak - 1 - spare))


@settings(max_examples=200)
@given(mutants(), sizes(12))
def test_illegal_programs_break_the_rules_that_the_machine_breaks(program: Program, at: dict[str, int]) -> None:
    """On random programs with random changes, the checker finds each violation at its first position, and no other."""
    try:
        brute.run(program, at)
    except brute.RunsBackwards:
        assume(False)
    agrees(program, at)


@settings(max_examples=60)
@given(mutants(), sizes())
def test_what_is_called_unfinished_is_unfinished(program: Program, at: dict[str, int]) -> None:
    """Where each listed coordinate is followed by itself, an output that the checker calls unfinished is unfinished."""
    try:
        happened = brute.run(program, at, lists=True)
    except brute.RunsBackwards:
        assume(False)
    if {v.rule for v in violations(program, at)} == {Rule.UNFINISHED}:
        assert Rule.UNFINISHED in happened.rules


@settings(max_examples=150)
@given(mutants(), sizes())
def test_loops_that_run_backwards_are_refused_by_all(program: Program, at: dict[str, int]) -> None:
    """A loop that ends before it starts, in any iteration of those around it, has no count, no peak and no verdict."""
    try:
        brute.run(program, at)
    except brute.RunsBackwards:
        for question in (count, peak_words, violations):
            with pytest.raises(CountError, match=r"before"):
                question(program, at)


# The exact algorithms


@pytest.mark.parametrize(("algorithm", "schedule"), EXACT, ids=IDS)
@settings(max_examples=12)
@given(data=st.data())
def test_exact_schedules_are_legal_in_their_peak(algorithm, schedule, data) -> None:  # type: ignore[no-untyped-def]
    """With any tiles and streams, longer ones than their axis too, legal in the peak, refused in one word less."""
    program = algorithm.program(schedule)
    at = {name: data.draw(st.integers(1, 9)) for name in ("n", "n_k")}
    at |= {name: data.draw(st.integers(1, 4)) for name in ("d", "d_v")}
    at |= {name: data.draw(st.integers(1, 5)) for name in schedule.axes}
    assume(max(at.get("B_c", 1), at.get("C", 1)) <= at["n_k"])  # the first block of flash1, and what is kept, is one
    peak = evaluate_int(peak_words(program, at), {})
    legal(program, at, peak)
    agrees(program, at, peak - 1)
    assert {v.rule for v in violations(program, at, peak - 1)} == {Rule.CAPACITY}


def depends(first: Statement, second: Statement) -> bool:
    """Whether the second statement uses a tile that the first one makes, or frees one that the first one uses."""

    def tiles(statement: Statement, *, made: bool) -> Iterator[Tile]:
        match statement:
            case Load(tile=tile) | Alloc(tile=tile):
                yield tile
            case Free(tile=tile):
                if not made:
                    yield tile
            case Store(view=view):
                if not made:
                    yield view.tile
            case Compute(operands=operands):
                if not made:
                    yield from (view.tile for view in operands)
            case Loop(body=body) | TableLoop(body=body):
                if not made:
                    for inner in body:
                        yield from tiles(inner, made=made)

    made, used = set(tiles(first, made=True)), set(tiles(second, made=False))
    return bool(made & used) or (isinstance(second, Free) and second.tile in set(tiles(first, made=False)))


def reordered(program: Program) -> Iterator[tuple[str, Program, set[Rule]]]:
    """What was done where, the program after it, and the rules of which it breaks one; none if it may be legal."""
    for place, statement in places(program):
        block = statement_at(program, place[:-1]).body if place[:-1] else program.body
        if place[-1] + 1 < len(block):
            broken = {Rule.OPERAND, Rule.FREED} if depends(statement, block[place[-1] + 1]) else set()
            yield f"swapped at {place}", swapped(program, place), broken
        if isinstance(statement, Loop):
            short = replace(statement, stop=statement.stop - statement.step)
            yield f"one tile less at {place}", replaced(program, place, short), set()
            late = replace(statement, start=statement.start + statement.step)
            yield f"first tile left out at {place}", replaced(program, place, late), set()
        if isinstance(statement, Store):
            twice = (statement, replace(statement))
            yield f"stored twice at {place}", replaced(program, place, *twice), set()
        if isinstance(statement, Alloc | Load):
            yield f"made twice at {place}", replaced(program, place, statement, replace(statement)), {Rule.LEAK}
        if isinstance(statement, Free):
            yield f"freed twice at {place}", replaced(program, place, statement, replace(statement)), {Rule.DOUBLE_FREE}


def assert_as_the_machine_says(algorithm, schedule, most: int | None = None) -> None:  # type: ignore[no-untyped-def]
    """Statements in the wrong order, twice, or in too few iterations, at any depth: as the word-by-word machine says.

    What breaks no rule and yet is not the program (a statistic not stored, say) computes something else.
    """
    program = algorithm.program(schedule)
    at = {"n": 7, "n_k": 5, "d": 2, "d_v": 3} | dict.fromkeys(schedule.tiles, 2) | dict.fromkeys(schedule.streams, 1)
    random = np.random.default_rng(1)
    inputs = {name: random.standard_normal(shape) for name, shape in {"Q": (7, 2), "K": (5, 2), "V": (5, 3)}.items()}
    right = execute(program, at, inputs)["O"]
    listed = list(reordered(program))
    if most is not None and most < len(listed):
        listed = Random(schedule.name).sample(listed, most)
    for change, mutant, rules in listed:
        try:
            agrees(mutant, at)
        except brute.RunsBackwards:
            with pytest.raises(CountError):
                violations(mutant, at)
            continue
        found = {violation.rule for violation in violations(mutant, at)}
        assert not rules or found & rules, f"{change}: {found or 'legal'}, not {rules}"
        if not found and ("less" in change or "left out" in change):
            with np.errstate(all="ignore"):
                assert not np.allclose(execute(mutant, at, inputs)["O"], right, rtol=0, atol=1e-9), change


@pytest.mark.parametrize(("algorithm", "schedule"), EXACT, ids=IDS)
def test_reordered_and_shortened_schedules_are_caught(algorithm, schedule) -> None:  # type: ignore[no-untyped-def]
    """Statements in the wrong order, twice, or in too few iterations, at any depth: a sample of them, always the same."""
    assert_as_the_machine_says(algorithm, schedule, most=30)


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "schedule"), EXACT, ids=IDS)
def test_all_reordered_and_shortened_schedules_are_caught(algorithm, schedule) -> None:  # type: ignore[no-untyped-def]
    """The same for all of them."""
    assert_as_the_machine_says(algorithm, schedule)


def as_broken_at_any_size(program: Program, schedule, *, few: bool) -> None:  # type: ignore[no-untyped-def]
    """Assert that changes (`few`: tiles left out) break at n = 65,543 the rules that they break at n = 7.

    Where words that were stored together can't be told apart in a thousand runs of a loop body, what one of them has not
    seen may be missed; and a few verdicts are not reached at all.
    """
    small = {"n": 7, "n_k": 7, "d": 3, "d_v": 3} | dict.fromkeys(schedule.tiles, 2) | dict.fromkeys(schedule.streams, 1)
    large = (
        {"n": 65_543, "n_k": 65_543, "d": 67, "d_v": 67}
        | dict.fromkeys(schedule.tiles, 32)
        | dict.fromkeys(schedule.streams, 1)
    )
    changes = [each for each in reordered(program) if not few or "less" in each[0] or "left out" in each[0]]
    missed, undecided = [], []
    for change, mutant, _ in changes:
        exact = {violation.rule for violation in violations(mutant, small)}
        try:
            found = {violation.rule for violation in violations(mutant, large)}
        except CountError:
            undecided.append(change)
            continue
        assert found in (exact, exact - {Rule.UNFINISHED}), change
        missed += [change] * (found != exact)
    assert few <= (not missed)
    assert 20 * len(missed) <= len(changes)
    assert 20 * len(undecided) <= len(changes)


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_tiles_are_as_bad_at_any_size(number: int) -> None:
    """FlashAttention-2 with a tile left out breaks the same rules with three tiles and with thousands.

    Not so where keys are kept: a tile of them counts as seen as a whole, whichever of its rows are used.
    """
    schedule = flash2.schedules[number]
    as_broken_at_any_size(flash2.program(schedule), schedule, few=True)


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "schedule"), EXACT, ids=IDS)
def test_broken_schedules_are_as_broken_at_any_size(algorithm, schedule) -> None:  # type: ignore[no-untyped-def]
    """What holds for three tiles holds for thousands, for every change of every schedule."""
    as_broken_at_any_size(algorithm.program(schedule), schedule, few=False)


@pytest.fixture
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict may run loop bodies two thousand times, not tens of thousands of times."""
    monkeypatch.setattr("iosim.interpret.legality.check._STEP_LIMIT", 2_000)


@pytest.mark.parametrize("algorithm", [standard, flash1, flash2], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("n", [65_536, 2**40])
@pytest.mark.usefixtures("few_runs")
def test_legality_does_not_take_longer_for_more_rows(algorithm, n: int) -> None:  # type: ignore[no-untyped-def]
    """The best plan at d = 64, M = 50,000 words is decided, in its peak and in a word less."""
    plan = algorithm.best(Problem(n=n, d=64), 50_000)
    legal(plan.program, dict(plan.sizes), plan.peak_words)
    assert {v.rule for v in violations(plan.program, plan.sizes, plan.peak_words - 1)} == {Rule.CAPACITY}


@pytest.mark.parametrize("n", [50, 10**6])
def test_a_nest_that_repeats_itself_takes_no_longer_after_others(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth tile of 2 meets the same tiles of 5: what loops before it took is not held against it."""

    def author(b: Builder, *, n: Size) -> None:
        X = b.input("X", (n,))
        for name in "abcdef":
            with b.tiles(name, n, 1), b.zeros("z", 1):
                pass
        with b.tiles("i", n, 2) as i, b.tiles("j", i.stop, 5) as j, b.load(X[j]):
            pass

    monkeypatch.setattr("iosim.interpret.legality.check._STEP_LIMIT", 200)
    legal(build(author, name="repeats", n="n"), {"n": n}, 5)


# Nests that are not uniform


def causal(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size, beyond: int) -> None:
    """A row tile sees the keys up to its last row, and `beyond` more."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[i,:], V[i,l]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q, b.zeros("o", i, d) as o:
        with b.tiles("j", i.stop + beyond, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            with b.zeros("s", i, j) as s:
                b.op("add_abt", s, q, k)
                b.op("add_ab", o, s, v)
        b.store(o, O[i, :])


def triangle(b: Builder, *, n: Size, B_r: Size, B_c: Size, D: Size) -> None:
    """Three loops, each up to where the tile around it ends, and back; rows that were stored are loaded again."""
    X, S = b.input("X", (n, 1)), b.scratch("S", (n, 1))
    O = b.output("O", (n, 1), needs="O[i,l] <- X[i,l]")
    with b.tiles("i", n, B_r) as i, b.load(X[i, :]) as x:
        b.store(x, S[i, :])
        with b.tiles("j", i.stop, B_c) as j, b.load(S[j, :]):
            with b.tiles("k", i.stop, D, start=j.start) as k, b.load(S[k, :]):
                pass
        b.store(x, O[i, :])


CAUSAL, TRIANGLE = (
    build(causal, name="causal", n="n", d="d", B_r="B_r", B_c="B_c", beyond="beyond"),
    build(triangle, name="triangle", n="n", B_r="B_r", B_c="B_c", D="D"),
)
tile = st.integers(1, 9)


@given(st.integers(1, 45), tile, tile, st.integers(0, 3), st.integers(0, 60))
def test_causal_nests_agree_word_by_word(n: int, B_r: int, B_c: int, beyond: int, capacity: int) -> None:
    """Whichever tiles divide which, and wherever the keys end and the words run out."""
    agrees(CAUSAL, {"n": n, "d": 1, "B_r": B_r, "B_c": B_c, "beyond": beyond}, capacity)


@settings(max_examples=40)
@given(st.integers(1, 20), tile, tile, tile, st.integers(0, 30))
@example(5, 1, 1, 1, 0)  # a range is cut until it is one tile, which is not decided either
def test_triangular_nests_agree_word_by_word(n: int, B_r: int, B_c: int, D: int, capacity: int) -> None:
    """Three loops deep, each depending on the ones around it, with reads of rows that were just written."""
    agrees(TRIANGLE, {"n": n, "B_r": B_r, "B_c": B_c, "D": D}, capacity)


@pytest.mark.parametrize(("B_r", "B_c"), [(16, 4), (16, 24), (24, 16), (3, 5), (1, 1), (100, 7), (64, 128)])
@pytest.mark.usefixtures("few_runs")
def test_a_causal_nest_is_decided_at_any_size(B_r: int, B_c: int) -> None:
    """n = 65,536: the period after which tiles fall on tiles again is found, and the one row too many in the last tile."""
    at = {"n": 65_536, "d": 64, "B_r": B_r, "B_c": B_c, "beyond": 0}
    legal(CAUSAL, at, evaluate_int(peak_words(CAUSAL, at), {}))
    found = violations(CAUSAL, at | {"beyond": 1})
    last, tiles = -(-65_536 // B_r) - 1, -(-65_537 // B_c)
    assert {violation.rule for violation in found} == {Rule.BOUNDS}
    assert {violation.where for violation in found} == {f"loop i={last} / loop j={tiles - 1} / load {x}" for x in "kv"}


def gram(b: Builder, *, n: Size, m: Size, B: Size) -> None:
    """X X^T X: rows of one array are seen as rows and as columns."""
    X, O = b.input("X", (n, m)), b.output("O", (n, m), needs="O[i,l] <- X[i,:], X[:,:]")
    with b.tiles("i", n, B) as i, b.load(X[i, :]) as x, b.zeros("o", i, m) as o:
        with b.tiles("j", n, 1) as j, b.load(X[j, :]) as y, b.zeros("s", i, j) as s:
            b.op("add_abt", s, x, y)
            b.op("add_ab", o, s, y)
        b.store(o, O[i, :])


@pytest.mark.usefixtures("few_runs")
def test_two_loops_over_one_array_are_decided_at_once() -> None:
    """n = 65,536: where the j-th row is in the i-th tile or not makes no difference, and is not asked for each."""
    program = build(gram, name="gram", n="n", m="m", B="B")
    legal(program, {"n": 65_536, "m": 64, "B": 16})


# Each rule by itself


def one_loop(body: Callable[..., None]) -> Author:
    """A program that copies X to Y tile by tile and does something more in between."""

    def author(b: Builder, *, n: Size, B: Size) -> None:
        X, S = b.input("X", (n, 2)), b.scratch("S", (n, 2))
        Y = b.output("Y", (n, 2), needs="Y[i,l] <- X[i,l]")
        with b.tiles("i", n, B) as i:
            x = b.load(X[i, :])
            body(b, i, x, X, S, Y)
            b.store(x, Y[i, :])
            b.free(x)

    return author


def uses_before(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    y = b.empty("y", i)
    b._blocks[-1].pop()  # as if it had never been made
    b.op("scale_rows", x, y)


def uses_after(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.zeros("y", i) as y:
        pass
    b.op("scale_rows", x, y)


def frees_twice(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    y = b.zeros("y", i)
    b.free(y, y)


def uses_without_value(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.empty("y", i) as y:
        b.op("scale_rows", x, y)


def adds_to_no_value(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.empty("y", i, 2) as y, b.zeros("u", 2, 2) as u:
        b.op("add_ab", y, x, u)


def reads_what_was_not_written(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.store(x, S[i, :])
    with b.load(S[: i.stop + 1, :]):
        pass


def reaches_out(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.load(X[i.start + 1 : i.stop + 1, :]):
        pass


def views_too_much(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.op("divide_by_sqrt", x[: i.length + 1, :], of=2)


def stores_to_the_input(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.store(x, X[i, :])


def takes_too_much(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    with b.zeros("y", i.stop):
        pass


def forgets_to_free(b, i, x, X, S, Y):  # type: ignore[no-untyped-def]
    b.zeros("y", i)


AT = {"n": 11, "B": 4}  # tiles of 4, 4 and 3 rows
EACH_RULE = [
    (uses_before, None, "loop i=0 / compute scale_rows: y is not in fast memory [operand not in fast memory]"),
    (uses_after, None, "loop i=0 / compute scale_rows: y is not in fast memory [use after free]"),
    (frees_twice, None, "loop i=0 / free y: y is not in fast memory [double free]"),
    (uses_without_value, None, "loop i=0 / compute scale_rows: y has not been given a value [operand without a value]"),
    (adds_to_no_value, None, "loop i=0 / compute add_ab: y has not been given a value [operand without a value]"),
    # rows 0..4 where only 0..3 are written
    (
        reads_what_was_not_written,
        None,
        "loop i=0 / load s: S[4:5, 0:2] has never been written [read of a slow word never written]",
    ),
    (reaches_out, None, "loop i=2 / load x_2: X[9:12, 0:2] of an array of 11 x 2 [region out of bounds]"),
    (views_too_much, None, "loop i=0 / compute divide_by_sqrt: x[0:5, 0:2] of a tile of 4 x 2 [region out of bounds]"),
    (stores_to_the_input, None, "loop i=0 / store x: X is an input [store to an input]"),
    # 8 words of x and 8 of y in the second tile; 6 and 11 in the third
    (takes_too_much, 15, "loop i=1 / alloc y: 16 words live, capacity is 15 [capacity]"),
    (takes_too_much, 16, "loop i=2 / alloc y: 17 words live, capacity is 16 [capacity]"),
    (forgets_to_free, None, "loop i=0 / end of loop i: y is still in fast memory [leak]"),
]


@pytest.mark.parametrize(
    ("body", "capacity", "said"), EACH_RULE, ids=[f"{b.__name__} {c or ''}".strip() for b, c, _ in EACH_RULE]
)
def test_each_rule_is_found_where_it_is_first_broken(body: Author, capacity: int | None, said: str) -> None:
    """A program that breaks one rule breaks no other, and the message says where, what was found and what is allowed."""
    program = build(one_loop(body), name="one", n="n", B="B")
    found = [str(violation) for violation in violations(program, AT, capacity)]
    # reading one row too many of a scratch array is out of bounds at the end, too
    assert found[0] == said
    assert len(found) == (2 if body is reads_what_was_not_written else 1)
    agrees(program, AT, capacity)


def test_a_word_is_looked_up_inside_its_tile() -> None:
    """The last of three words, and the one behind it."""

    def author(b: Builder, *, n: Size, p: Size) -> None:
        T, X = b.input("T", (n,)), b.input("X", (9,))
        with b.load(T[:]) as t, b.load(X[t.at(p)]):
            pass

    program = build(author, name="word", n="n", p="p")
    legal(program, {"n": 3, "p": 2})
    breaks(program, {"n": 3, "p": 3}, "load x: t[3:4] of a tile of 3 [region out of bounds]")


def test_what_is_looked_up_has_seen_where() -> None:
    """A row that an index picks is a value of the index too; without it the output is unfinished."""

    def author(b: Builder, *, n: Size) -> None:
        T, X = b.input("T", (n,)), b.input("X", (9, 2))
        Y = b.output("Y", (2,), needs="Y[i] <- T[:], X[:,i]")
        with b.load(T[:]) as t, b.load(X[t.at(0), :]) as x:
            b.store(x, Y[:])

    program = build(author, name="picks", n="n")
    legal(program, {"n": 3})
    load, inner, *_ = program.body
    assert isinstance(load, Load)
    assert isinstance(inner, Load)
    elsewhere = replace(inner, region=replace(inner.region, axes=(Span(0, 1), inner.region.axes[1])))
    assert Rule.UNFINISHED in {v.rule for v in violations(replaced(program, (1,), elsewhere), {"n": 3})}


def test_a_store_goes_to_a_box() -> None:
    """Not to listed coordinates, which the builder refuses too; and none of a list may be below zero."""

    def author(b: Builder) -> None:
        X, S = b.input("X", (2,)), b.scratch("S", (2,))
        with b.load(X[:]) as x:
            b.store(x, S[:])
        with b.table("t", Table([{"size": 2, "at": (0, 1)}])) as row, b.load(X[:]) as x:
            b.store(x, S[:])
            with b.load(S[row.coordinates("at", "size")]):
                pass

    program = build(author, name="listed")
    legal(program, {})
    store, load = statement_at(program, (3, 1)), statement_at(program, (3, 2))
    assert isinstance(store, Store)
    assert isinstance(load, Load)
    said = "a store goes to a box of S, not to listed or looked-up coordinates"
    breaks(
        replaced(program, (3, 1), replace(store, region=load.region)),
        {},
        f"loop t=0 / store x_2: {said} [shapes differ]",
    )
    breaks(
        gathered(Table([{"size": 2, "columns": (-1, 0)}])),
        {"n": 5},
        "loop t=0 / load x: X[0:5, 0:4] of an array of 5 x 4 [region out of bounds]",
    )


def test_a_tile_that_is_still_there_is_not_made_again() -> None:
    """The second load of one tile leaks the first."""
    program = build(one_loop(lambda *_: None), name="one", n="n", B="B")
    load = statement_at(program, (0, 0))
    twice = replaced(program, (0, 0), load, replace(load))
    breaks(twice, AT, "loop i=0 / load x: x is still in fast memory [leak]")


def test_shapes_that_differ() -> None:
    """A tile that is not as large as its region, and operands that don't fit each other."""
    program = build(one_loop(lambda *_: None), name="one", n="n", B="B")
    loop = program.body[0]
    assert isinstance(loop, Loop)
    load = loop.body[0]
    assert isinstance(load, Load)
    narrow = replace(load, tile=Tile("x", (load.tile.shape[0], 1)))
    breaks(
        replaced(program, (0, 0), narrow),
        AT,
        "loop i=0 / load x: tile 4 x 1, region X[0:4, 0:2] [shapes differ]",
        "loop i=0 / store x: x[0:4, 0:2] of a tile of 4 x 1 [region out of bounds]",
    )


def test_a_store_goes_to_a_region_as_large_as_its_view() -> None:
    """A view of one column does not fit into a region of two."""
    program = build(one_loop(lambda *_: None), name="one", n="n", B="B")
    store = statement_at(program, (0, 1))
    assert isinstance(store, Store)
    rows, _ = store.view.axes
    narrow = replace(store, view=replace(store.view, axes=(rows, Span(0, 1))))
    breaks(
        replaced(program, (0, 1), narrow),
        AT,
        "loop i=0 / store x: view and region Y[0:4, 0:2] differ in shape [shapes differ]",
    )


@pytest.mark.parametrize("capacity", [10, 20, 21])
def test_tiles_that_get_larger_and_smaller_again(capacity: int) -> None:
    """Tile i takes i (9 - i) + 1 words, at most 21 in the fifth: no period makes that affine, and each is looked at."""

    def author(b: Builder, *, n: Size) -> None:
        with b.tiles("i", n, 1) as i, b.zeros("y", (n - i.start) * i.start + 1):
            pass

    program = build(author, name="arch", n="n")
    agrees(program, {"n": 9}, capacity)
    assert (violations(program, {"n": 9}, capacity) == []) is (capacity == 21)


def test_what_must_hold_in_the_end() -> None:
    """Nothing is left in fast memory, and all of each output has been written."""

    def author(b: Builder, *, n: Size, B: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        b.zeros("z", 1)
        with b.tiles("i", n - B, B) as i, b.load(X[i]) as x:
            b.store(x, Y[i])

    program = build(author, name="ends", n="n", B="B")
    breaks(
        program,
        {"n": 100, "B": 8},
        "end: z is never freed [leak]",
        "end: Y[92:100] is not written [output word not written]",
    )


def test_a_tile_that_is_made_again_has_not_been_freed() -> None:
    """Left in fast memory by the loop that made it for the second time, it is not there after the loop, nor freed twice."""

    def author(b: Builder, *, n: Size, B: Size) -> None:
        X = b.input("X", (n,))
        with b.tiles("i", n, B) as i:
            x = b.load(X[i])
        b.free(x)

    program = build(author, name="again", n="n", B="B")
    again = replaced(
        program, (0, 0), statement_at(program, (0, 0)), Free(_loaded(program)), statement_at(program, (0, 0))
    )
    breaks(
        again,
        AT,
        "loop i=0 / end of loop i: x is still in fast memory [leak]",
        "free x: x is not in fast memory [operand not in fast memory]",
    )
    agrees(again, AT)


def _loaded(program: Program) -> Tile:
    load = statement_at(program, (0, 0))
    assert isinstance(load, Load)
    return load.tile


# Unfinished outputs


def attention(b: Builder, *, n: Size, d: Size, B: Size, what: str) -> None:
    """Scores times values, with a mistake in the reduction."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:], K[:,:], V[:,l]")

    def reduce(o, q, i, start, stop):  # type: ignore[no-untyped-def]
        with b.tiles("j", stop, B, start=start) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            with b.zeros("s", i, j) as s:
                b.op("add_abt", s, q, k)
                b.op("add_ab", o, s, v)

    with b.tiles("i", n, B) as i, b.load(Q[i, :]) as q, b.zeros("o", i, d) as o:
        match what:
            case "whole":
                reduce(o, q, i, 0, n)
            case "stored first":
                b.store(o, O[i, :])
                reduce(o, q, i, 0, n)
            case "ragged end missed":
                reduce(o, q, i, 0, n // B * B)
            case "a gap":
                reduce(o, q, i, 0, B)
                reduce(o, q, i, 2 * B, n)
            case "its own tile only":
                reduce(o, q, i, i.start, i.stop)
            case "up to its own tile":
                reduce(o, q, i, 0, i.stop)
        if what != "stored first":
            b.store(o, O[i, :])


UNFINISHED = {
    "whole": [],
    "stored first": [
        "loop i / store o: O[0:100, 0:4] needs Q[0:100, 0:4], has seen nothing of it",
        "loop i / store o: O[0:100, 0:4] needs K[0:100, 0:4], has seen nothing of it",
        "loop i / store o: O[0:100, 0:4] needs V[0:100, 0:4], has seen nothing of it",
    ],
    # 100 = 12 * 8 + 4
    "ragged end missed": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], has seen {x}[0:96, 0:4]" for x in "KV"
    ],
    "a gap": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], has seen {x}[0:8, 0:4] and {x}[16:100, 0:4]"
        for x in "KV"
    ],
    "its own tile only": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], each of its words has seen only a part, which moves "
        "along with it"
        for x in "KV"
    ],
    "up to its own tile": [
        f"loop i / store o: O[0:100, 0:4] needs {x}[0:100, 0:4], each of its words has seen only a part, which moves "
        "along with it"
        for x in "KV"
    ],
}


@pytest.mark.parametrize("what", UNFINISHED)
def test_an_unfinished_output_says_what_it_has_not_seen(what: str) -> None:
    """A reduction that starts too late, ends too early, leaves a gap or follows the row leaves the output unfinished."""
    program = _attention(what)
    rule = Rule.UNFINISHED.value
    breaks(program, {"n": 100, "d": 4, "B": 8}, *(f"{said} [{rule}]" for said in UNFINISHED[what]))
    agrees(program, {"n": 11, "d": 2, "B": 3})


def _attention(what: str) -> Program:
    def author(b: Builder, *, n: Size, d: Size, B: Size) -> None:
        attention(b, n=n, d=d, B=B, what=what)

    return build(author, name=what, n="n", d="d", B="B")


@pytest.mark.parametrize("first", ["zeros", "value"])
def test_neighbours_of_which_one_is_unfinished(first: str) -> None:
    """One half of the rows is stored with a value that has seen the input, the other half with zeros, in either order."""

    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (2 * n,), needs="Y[i] <- X[:]")
        with b.load(X[:]) as x, b.zeros("z", n) as z:
            b.store(z if first == "zeros" else x, Y[:n])
            b.store(x if first == "zeros" else z, Y[n:])

    program = build(author, name="half", n="n")
    rows = "0:3" if first == "zeros" else "3:6"
    breaks(
        program,
        {"n": 3},
        f"store z: Y[{rows}] needs X[0:3], has seen nothing of it [{Rule.UNFINISHED.value}]",
    )


def test_a_value_may_be_finished_in_slow_memory() -> None:
    """An output that is stored as zeros, loaded, added to and stored again is finished with its last visit."""

    def author(b: Builder, *, n: Size, B: Size, stop: Size) -> None:
        X, Y = b.input("X", (n, n)), b.output("Y", (n, 1), needs="Y[i,u] <- X[i,:]")
        with b.tiles("i", n, B) as i:
            with b.zeros("y", i, 1) as y:
                b.store(y, Y[i, :])
            with b.tiles("j", stop, B) as j, b.load(X[i, j]) as x, b.load(Y[i, :]) as y:
                with b.full("u", j, 1, fill=1.0) as u:
                    b.op("add_ab", y, x, u)
                b.store(y, Y[i, :])

    program = build(author, name="visits", n="n", B="B", stop="stop")
    legal(program, {"n": 100, "B": 8, "stop": 100})
    assert {v.rule for v in violations(program, {"n": 100, "B": 8, "stop": 99})} == {Rule.UNFINISHED}
    agrees(program, {"n": 11, "B": 3, "stop": 9})


def test_what_flows_through_scratch_is_followed() -> None:
    """A product of two steps through slow memory: all of the first step's rows, or only the own ones."""

    def author(b: Builder, *, n: Size, B: Size, own: Size) -> None:
        X, S = b.input("X", (n, n)), b.scratch("S", (n, n))
        Y = b.output("Y", (n, n), needs="Y[i,j] <- X[i,:], X[:,j]")
        with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.load(X[i, j]) as x:
            b.store(x, S[i, j])
        with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.zeros("y", i, j) as y:
            with b.tiles("k", own, B) as k, b.load(S[i, k]) as s, b.load(S[k, j]) as t:
                b.op("add_ab", y, s, t)
            b.store(y, Y[i, j])

    program = build(author, name="square", n="n", B="B", own="own")
    legal(program, {"n": 100, "B": 8, "own": 100})
    assert {v.rule for v in violations(program, {"n": 100, "B": 8, "own": 96})} == {Rule.UNFINISHED}
    for own in (7, 6):
        agrees(program, {"n": 7, "B": 2, "own": own})


# Tables


def gathered(table: Table) -> Program:
    def author(b: Builder, *, n: Size) -> None:
        X, Y = b.input("X", (n, 4)), b.output("Y", (n, 1), needs="Y[i,u] <- X[i,:]")
        with b.zeros("y", n, 1) as y:
            with b.table("t", table) as row, b.load(X[:, row.coordinates("columns", "size")]) as x:
                with b.full("u", row.size("size"), 1, fill=1.0) as u:
                    b.op("add_ab", y, x, u)
            b.store(y, Y[:, :])

    return build(author, name="gathered", n="n")


def test_listed_coordinates_out_of_bounds_are_found_in_their_row() -> None:
    """The third row lists a column that is not there; the first two rows are like it but for that."""
    rows = [{"size": 2, "columns": columns} for columns in ((0, 1), (2, 3), (3, 4), (0, 2))]
    breaks(
        gathered(Table(rows)),
        {"n": 5},
        "loop t=2 / load x: X[0:5, 0:4] of an array of 5 x 4 [region out of bounds]",
    )
    legal(gathered(Table(rows[:2])), {"n": 5})
    legal(gathered(Table([{"size": 1, "columns": (3,)}, *rows[:2]])), {"n": 5})
    breaks(
        gathered(Table([{"size": 1, "columns": (3,)}, {"size": 2, "columns": (3,)}])),
        {"n": 5},
        "loop t=1 / load x: X[0:5, 0:4] of an array of 5 x 4 [region out of bounds]",
    )


def test_a_list_of_coordinates_counts_as_the_whole_axis() -> None:
    """What the checker can't tell apart: two columns of four are taken for all of them."""
    program = gathered(Table([{"size": 2, "columns": (0, 1)}]))
    legal(program, {"n": 5})
    assert brute.run(program, {"n": 5}, lists=True).rules == {Rule.UNFINISHED}


def test_a_row_that_undoes_what_another_did_is_run_row_by_row() -> None:
    """A tile is freed in the loop over the rows: legal with one row, a double free in the second of two or more."""

    def author_of(rows: int) -> Author:
        def author(b: Builder, *, n: Size) -> None:
            X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
            with b.load(X[:]) as x:
                b.store(x, Y[:])
            z = b.zeros("z", 1)
            with b.table("t", Table([{"size": 1}] * rows)):
                b.free(z)

        return author

    legal(build(author_of(1), name="once", n="n"), {"n": 5})
    for rows in (2, 3):
        program = build(author_of(rows), name="more", n="n")
        breaks(program, {"n": 5}, "loop t=1 / free z: z is not in fast memory [double free]")


# Empty regions


def prefix(b: Builder, *, n: Size, B: Size) -> None:
    """Each tile first loads all rows before it: none, for the first."""
    X, S, Y = b.input("X", (n,)), b.scratch("S", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
    with b.tiles("i", n, B) as i:
        with b.load(S[: i.start]) as s:
            b.store(s, S[: i.start])
        with b.load(X[i]) as x:
            b.store(x, S[i])
            b.store(x, Y[i])


def test_an_empty_region_needs_and_writes_nothing() -> None:
    """Loading and storing no words breaks no rule, wherever it is."""
    program = build(prefix, name="prefix", n="n", B="B")
    legal(program, {"n": 4, "B": 4}, 4)
    legal(program, {"n": 65_537, "B": 4})
    agrees(program, {"n": 11, "B": 4})


# What can't be decided


def test_a_size_without_value_is_refused() -> None:
    """All sizes are needed; the error names the one that is missing."""
    with pytest.raises(CountError, match="no value for beyond"):
        violations(CAUSAL, {"n": 4, "d": 1, "B_r": 1, "B_c": 1})


def test_scattered_stores_are_refused_not_waited_for() -> None:
    """One word in each of 2^15 places that are no neighbours is more than is kept track of."""

    def author(b: Builder, *, n: Size) -> None:
        X, S = b.input("X", (n,)), b.scratch("S", (n,))
        with b.tiles("i", n, 2) as i, b.load(X[i.start]) as x:
            b.store(x, S[i.start])

    program = build(author, name="scattered", n="n")
    legal(program, {"n": 200})
    with pytest.raises(CountError, match="pieces"):
        violations(program, {"n": 2**16})
