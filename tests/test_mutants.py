"""Every registered schedule with one statement changed breaks the rule that it should, or computes something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from iosim.algorithm import Best
from iosim.block_masks import PatternMask
from iosim.expr import evaluate_int
from iosim.interpret.count import peak_words
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.masks import CAUSAL
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import (
    Alloc,
    Compute,
    Free,
    Load,
    Lookup,
    Loop,
    Program,
    Span,
    Statement,
    Store,
    TableLoop,
    Tile,
    walk,
)
from iosim.tiled import Tiled
from tests.registered import REGISTERED, SAME_STATEMENTS
from tests.surgery import enlarged, places, replaced, statement_at, widened

SPARSE = Problem(n=5, d=3, mask=PatternMask(1, "local", (1,)))


DEGREES = {"o-stationary": 1}  # schedules that are not for degree 2


def structured(plan: Plan, problem: Problem) -> bool:
    """Whether no loop of an approximate plan is empty; of two stages, one is simple and the other is not."""
    tiles = plan.tiles
    if "NB_2" not in tiles:
        return tiles.get("e", 2) > 1 and 0 < tiles.get("t", 1) < problem.d and ("B_f" not in tiles or tiles["NC"] == 2)
    second = {
        "w-stationary": tiles["NB"] == 1 == tiles["NB_2"] and tiles.get("NC_2") == 2,
        "q-stationary": tiles["NB"] == 3 and tiles["NC"] == 2,
        "o-stationary": tiles["NB_2"] == 3 and tiles.get("NC_2") == 2,
    }
    return min(tiles["e"], tiles.get("e_2", 2)) > 1 and second[plan.schedule]


def mutated_programs() -> dict[str, tuple[Program, dict[str, int]]]:
    """Every schedule of every algorithm at sizes at which each of its loops runs, most of them with a ragged end."""
    found = {}
    for name, algorithm in REGISTERED.items():
        if name in SAME_STATEMENTS:
            continue
        if isinstance(algorithm, Tiled):
            for schedule in algorithm.schedules:
                sizes = {"n": 5, "n_k": 5, "d": 3, "d_v": 3} | dict.fromkeys(schedule.tiles, 2)
                sizes |= dict.fromkeys(schedule.streams, 1) | dict.fromkeys(schedule.given, 2)
                if algorithm.method:
                    sizes |= {"n": 3, "n_k": 3, "d": 2, "d_v": 2}
                    own = {"features": 3, "rows": 3, "layers": 1}
                    sizes |= {option.name: own.get(option.name, 2) for option in algorithm.method.options}
                    sizes |= {"n": 5, "n_k": 5} if "landmarks" in sizes else {}  # segments of more than one row
                found[f"{name} {schedule.name}"] = (algorithm.program(schedule), sizes)
        elif algorithm.unsupported(SPARSE) is None and not isinstance(algorithm, Best):
            plan = algorithm.explicit(SPARSE, {"B_r": 2})
            found[f"{name} {plan.schedule}"] = (plan.program, dict(plan.sizes))
        elif algorithm.takes_polynomial:
            for degree in (1, 2):
                problem = Problem(n=3, d=3, degree=degree, coefficients=(1.0, 1.0, 0.5)[: degree + 1])
                capacities = range(algorithm.least_capacity(problem), 50)
                for capacity in capacities if algorithm.unsupported(problem) is None else ():
                    for plan in algorithm.plans(problem, capacity):
                        if degree == DEGREES.get(plan.schedule, 2) and structured(plan, problem):
                            text = ", ".join(
                                f"{k}={v}"
                                for k, v in plan.tiles.items()
                                if k in {"NB", "NC"} and "NB_2" not in plan.tiles
                            )
                            found[f"{name} {plan.schedule} {text}".strip()] = (plan.program, dict(plan.sizes))
            causal = Problem(n=3, d=2, d_v=4, degree=1, coefficients=(1.0, 1.0), mask=CAUSAL)
            if algorithm.unsupported(causal) is None:
                for capacity in range(algorithm.least_capacity(causal), 30):
                    for plan in algorithm.plans(causal, capacity):
                        if plan.algorithm == name and structured(plan, causal) and plan.tiles.get("NB", 2) == 2:
                            # two positions at a time, so that a key waits while the queries of both use the sums
                            found[f"{name} {plan.schedule} causal"] = (plan.program, {**plan.sizes, "B": 2})
    return found


MUTATED = mutated_programs()
LAYOUTS = {
    f"{name} {schedule.name}": layout
    for name, algorithm in REGISTERED.items()
    if isinstance(algorithm, Tiled)
    for schedule in algorithm.schedules
    if (layout := algorithm.method.layout if algorithm.method else schedule.layout)
}


def mentions(statement: Statement, tile: Tile) -> bool:
    match statement:
        case Load(region=region):
            looked_up = [axis.tile for axis in region.axes if isinstance(axis, Lookup)]
            return tile in (statement.tile, *looked_up)
        case Alloc() | Free():
            return statement.tile == tile
        case Store(view=view):
            return view.tile == tile
        case Compute(operands=operands):
            return any(view.tile == tile for view in operands)
        case Loop(body=body) | TableLoop(body=body):
            return any(mentions(inner, tile) for inner in body)


def outside_tiles(loop: Loop | TableLoop) -> list[Tile]:
    """The tiles that are used in a loop and made before it."""
    inside = list(walk(loop.body))
    made = {statement.tile for statement in inside if isinstance(statement, Load | Alloc)}
    used = {view.tile: None for s in inside if isinstance(s, Compute) for view in s.operands}
    return [tile for tile in used if tile not in made]


def mutants(program: Program, capacity: int) -> Iterator[tuple[str, Program, set[Rule]]]:
    """What was done where, the program after it, and the rules of which it breaks one: one change for each."""
    for place, statement in places(program):
        where = f"at {place}"
        match statement:
            case Load(region=region, tile=tile):
                yield f"load dropped {where}", replaced(program, place), {Rule.OPERAND}
                for axis in range(len(tile.shape)):
                    enlarged_tile = replace(statement, tile=enlarged(tile, axis))
                    yield f"tile enlarged {where}", replaced(program, place, enlarged_tile), {Rule.SHAPE}
                    if isinstance(region.axes[axis], Span):
                        wide = widened(region, axis, size=capacity)
                        only_region = replace(statement, region=wide)
                        both = replace(statement, region=wide, tile=enlarged(tile, axis, capacity))
                        yield f"region widened {where}", replaced(program, place, only_region), {Rule.SHAPE}
                        yield f"region and tile widened {where}", replaced(program, place, both), {Rule.BOUNDS}
            case Alloc(tile=tile):
                yield f"alloc dropped {where}", replaced(program, place), {Rule.OPERAND}
                for axis in range(len(tile.shape)):
                    large = replace(statement, tile=enlarged(tile, axis, capacity))
                    yield f"tile enlarged {where}", replaced(program, place, large), {Rule.CAPACITY}
            case Store(region=region):
                for axis in range(len(region.axes)):
                    wide_store = replace(statement, region=widened(region, axis))
                    yield f"store widened {where}", replaced(program, place, wide_store), {Rule.SHAPE}
            case Free(tile=tile):
                yield f"free dropped {where}", replaced(program, place), {Rule.LEAK}
                block = statement_at(program, place[:-1]).body if place[:-1] else program.body
                before = [number for number in range(place[-1]) if mentions(block[number], tile)]
                early, last_use = replaced(program, place), (*place[:-1], before[-1])
                yield (
                    f"free before last use {where}",
                    replaced(early, last_use, statement, block[before[-1]]),
                    {Rule.FREED},
                )
            case Loop() | TableLoop():
                for tile in outside_tiles(statement):
                    freed = replace(statement, body=(*statement.body, Free(tile)))
                    rules = {Rule.FREED, Rule.DOUBLE_FREE}
                    yield f"{tile.name} freed in loop {where}", replaced(program, place, freed), rules
            case Compute():
                pass


def assert_caught(name: str, most: int | None = None) -> None:
    """Each mutant of a schedule, or a sample of `most`, breaks a rule that it can't but break."""
    program, sizes = MUTATED[name]
    capacity = evaluate_int(peak_words(program, sizes), {})
    assert violations(program, sizes, capacity) == []
    listed = list(mutants(program, capacity))
    assert listed
    if most is not None and most < len(listed):
        listed = Random(name).sample(listed, most)
    for change, mutant, rules in listed:
        found = {violation.rule for violation in violations(mutant, sizes, capacity)}
        assert found & rules, f"{change}: {found or 'legal'}, not {rules}"


@pytest.mark.parametrize("name", MUTATED)
def test_broken_schedules_break_the_rule_that_they_should(name: str) -> None:
    """One dropped, moved, widened or enlarged statement, wherever it stands, breaks a rule that it can't but break:
    twelve of them, the same each time."""
    assert_caught(name, most=12)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATED)
def test_every_broken_schedule_breaks_the_rule_that_it_should(name: str) -> None:
    """The same for all of them."""
    assert_caught(name)


@pytest.mark.parametrize("name", MUTATED)
def test_no_store_and_no_operation_is_there_in_vain(name: str) -> None:
    """Without any one of its stores or operations a schedule is illegal, or its result is another one."""
    program, sizes = MUTATED[name]
    random = np.random.default_rng(7)
    shapes = {array.name: tuple(evaluate_int(size, sizes) for size in array.shape) for array in program.arrays}
    if name in LAYOUTS:
        plain = {array: random.standard_normal((sizes["n"], sizes["d"])) for array in "QKV"}
        inputs = dict(LAYOUTS[name](plain, sizes))
    else:
        inputs = {a.name: random.standard_normal(shapes[a.name]) for a in program.arrays if a.role == "input"}
    right = execute(program, sizes, inputs)
    for place, statement in places(program):
        if isinstance(statement, Store | Compute):
            mutant = replaced(program, place)
            if not violations(mutant, sizes):
                with np.errstate(all="ignore"):
                    result = execute(mutant, sizes, inputs)
                same = all(np.allclose(result[name], right[name], rtol=0, atol=1e-9) for name in right)
                assert not same, f"{statement} at {place}"
