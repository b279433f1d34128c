"""What each line of a program contributes: exact words, as a product, and the words that are live there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

import pytest
from hypothesis import given, settings

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from iosim.algorithm import Plan, Problem
from iosim.expr import evaluate, evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.interpret.explain import Line, explain, held_at
from iosim.interpret.trace import steps
from iosim.masks import parse_mask
from iosim.program import Alloc, Compute, Free, Load, Loop, Program, Store, TableLoop, walk
from iosim.registry import algorithms
from tests.strategies import programs, sizes

PROBLEM = Problem(n=100, d=8)
CAPACITIES = (40, 300, 3000)
PLANS = {
    f"{name} {plan.algorithm} {plan.schedule} {capacity}": plan
    for name, algorithm in algorithms().items()
    for capacity in CAPACITIES
    if algorithm.unsupported(PROBLEM) is None
    for plan in algorithm.plans(PROBLEM, capacity)
}
CAUSAL = flash2.best(Problem(n=1000, d=64, mask=parse_mask("causal", where="")), 32_768)


def words_by_array(program: Program, lines: tuple[Line, ...], kind: type) -> Counter[str]:
    """What the lines of one kind move, array by array."""
    moved: Counter[str] = Counter()
    for line in lines:
        if isinstance(line.statement, kind):
            moved[line.statement.region.array.name] += evaluate_int(line.words, {})
    return +moved


def assert_lines_add_up(program: Program, at: dict[str, int], lines: tuple[Line, ...]) -> None:
    """To the count of each array in each direction; and the factors of each line to its words."""
    counted = count(program, at)
    assert words_by_array(program, lines, Load) == +Counter(counted.loads)
    assert words_by_array(program, lines, Store) == +Counter(counted.stores)
    for line in lines:
        assert line.words == (prod(factor.amount for factor in line.factors) if line.factors else 0)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_lines_of_every_schedule_add_up_to_its_count(plan: Plan) -> None:
    """For each registered algorithm and several fast memories: words by array, factors, and the peak."""
    lines = explain(plan.program, plan.sizes)
    assert_lines_add_up(plan.program, dict(plan.sizes), lines)
    assert max(line.live_words or 0 for line in lines) == plan.peak_words


@settings(max_examples=100)
@given(programs(), sizes())
def test_the_lines_of_random_programs_are_what_happens(program: Program, at: dict[str, int]) -> None:
    """Each line happens, moves and holds as much as when the program is run statement by statement."""
    lines = explain(program, at)
    assert_lines_add_up(program, at, lines)
    assert [line.statement for line in lines] == list(walk(program.body))
    numbers = {id(statement): number for number, statement in enumerate(walk(program.body))}
    times: Counter[int] = Counter()
    words: Counter[int] = Counter()
    live: dict[str, int] = {}
    most: dict[int, int] = {}
    for step in steps(program, at):
        number, scratch = numbers[id(step.statement)], 0
        times[number] += 1
        match step.statement:
            case Load(region=region, tile=tile):
                words[number] += evaluate_int(region.words, step.values)
                live[tile.name] = evaluate_int(tile.words, step.values)
            case Store(region=region):
                words[number] += evaluate_int(region.words, step.values)
            case Alloc(tile=tile):
                live[tile.name] = evaluate_int(tile.words, step.values)
            case Free(tile=tile):
                del live[tile.name]
            case Compute(op=op, params=params):
                scratch = op.scratch(dict(params))
        most[number] = max(most.get(number, 0), sum(live.values()) + scratch)
    for line in lines:
        assert line.words == words[line.number]
        if not isinstance(line.statement, Loop | TableLoop):
            assert line.times == times[line.number]
        if isinstance(line.statement, Load | Alloc | Compute):
            assert line.live_words == most.get(line.number)
