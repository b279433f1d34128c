"""What each line of a program contributes: exact words, as a product, and the words that are live there."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from math import prod

import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from iosim.builder import Builder, build
from iosim.cli import main
from iosim.expr import Size, evaluate, evaluate_int, symbol
from iosim.interpret.count import count
from iosim.interpret.explain import Line, explain, held_at
from iosim.interpret.reasons import governing_law, peak_line, reasons
from iosim.interpret.steps import steps
from iosim.masks import parse_mask
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import Alloc, Compute, Free, Load, Loop, Program, Span, Store, TableLoop, walk
from iosim.registry import algorithms
from tests.strategies import programs, sizes

PROBLEM = Problem(n=100, d=8)
CAPACITIES = (40, 300, 3000)
PLANS = {
    f"{name} {plan.title} {capacity}": plan
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


@pytest.mark.parametrize("mask", ["causal", "window:30", "band:7,5"])
@pytest.mark.parametrize(("heads", "group"), [(1, 1), (3, 2)])
def test_the_lines_of_masked_problems_add_up(mask: str, heads: int, group: int) -> None:
    """Sums over tiles that meet different keys, for several heads that share them or not."""
    problem = Problem(n=100, d=8, mask=parse_mask(mask, where=""), kv_heads=heads, group=group)
    for capacity in CAPACITIES:
        plan = flash2.best(problem, capacity).times(heads)
        lines = explain(plan.program, plan.sizes)
        assert_lines_add_up(plan.program, dict(plan.sizes), lines)
        assert max(line.live_words or 0 for line in lines) == plan.peak_words


def test_tables_are_among_the_schedules() -> None:
    """Loops over tables are explained too: some of the schedules above have one."""
    assert any(isinstance(one, TableLoop) for plan in PLANS.values() for one in walk(plan.program.body))


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


def lines_of(plan: Plan) -> tuple[Line, ...]:
    """What is said about the lines of a plan."""
    return explain(plan.program, plan.sizes)


def said(plan: Plan, capacity: int) -> str:
    """The sentences about a plan, one a line."""
    return "\n".join(reasons(plan.program, plan.sizes, lines_of(plan), capacity))


def test_flash2_loads_keys_once_for_each_row_tile() -> None:
    """At n = 100, d = 8 and B_r = 15 (6 whole tiles and one of 10) each line is the product that one expects."""
    plan = flash2.explicit(PROBLEM, {"B_r": 15})
    assert plan.schedule in {"words", "rows"}
    found = {str(line.words) + ": " + " x ".join(map(str, line.factors)) for line in lines_of(plan) if line.factors}
    keys = {
        "words": "5600: 7 tiles i x 100 rows j x 8 columns c",
        "rows": "5600: 7 tiles i x 100 rows j x 8 words",
    }
    assert found == {"800: 100 rows i x 8 words", keys[plan.schedule]}  # Q and O; K and V


def test_a_mask_is_a_sum() -> None:
    """Causal: row tile i meets the keys up to its own end, and the lengths of all tiles are added."""
    tile = CAUSAL.sizes["B_r"]
    keys = sum(min(1000, (i + 1) * tile) for i in range(-(-1000 // tile)))
    loaded = [line for line in lines_of(CAUSAL) if line.factors and line.factors[0].summed]
    assert [line.words for line in loaded] == [64 * keys] * 2  # K and V
    assert all(str(line.factors[0]) == f"{keys:,} summed over i, j" for line in loaded)


def test_a_changed_program_has_other_lines() -> None:
    """A load left out, or a region that is wider, is missed or found in the sum: it is not what was counted before."""
    plan = flash2.explicit(PROBLEM, {"B_r": 15})
    (loop,) = plan.program.body
    assert isinstance(loop, Loop)
    without = replace(plan.program, body=(replace(loop, body=loop.body[1:]),))
    with pytest.raises(AssertionError):
        assert_lines_add_up(plan.program, dict(plan.sizes), explain(without, plan.sizes))
    load = loop.body[0]
    assert isinstance(load, Load)
    wider = replace(load, region=replace(load.region, axes=(Span(0, symbol("n")), load.region.axes[1])))
    changed = replace(plan.program, body=(replace(loop, body=(wider, *loop.body[1:])),))
    with pytest.raises(AssertionError):
        assert_lines_add_up(plan.program, dict(plan.sizes), explain(changed, plan.sizes))
    assert explain(changed, plan.sizes)[1].words == 7 * 100 * 8  # all of Q for each of the 7 tiles


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_tiles_at_the_peak_make_up_the_peak(plan: Plan) -> None:
    """Without a mask all tiles are at their largest at once: their words, and the operation's own, are the peak."""
    peak = peak_line(lines_of(plan))
    assert peak is not None
    own = peak.statement.op.scratch(dict(peak.statement.params)) if isinstance(peak.statement, Compute) else 0
    held = held_at(plan.program, plan.sizes, peak.number)
    assert sum(tile.words for tile in held) + own == plan.peak_words
    assert "never all at their largest" not in said(plan, plan.peak_words)


def test_tiles_that_are_never_large_at_once_are_said_to_be() -> None:
    """Where one tile shrinks while another grows, the parts exceed the peak, and the sentence says by how much."""

    def author(b: Builder, *, n: Size) -> None:
        X, R = b.input("X", (n,)), b.output("R", (n,), needs="R[i] <- X[:]")
        with b.tiles("i", n, 1) as i, b.zeros("r", i) as r, b.zeros("up", i.start + 1), b.zeros("down", n - i.start):
            with b.load(X[i]):
                b.store(r, R[i])

    program = build(author, name="scissors", n="n")
    found = reasons(program, {"n": 10}, explain(program, {"n": 10}), 100)
    # r, x, and up + down = n + 1 in each iteration; 10 each at their largest
    assert any(
        "The peak of 13 words" in x and "never all at their largest, which would be 22 words" in x for x in found
    )


def test_the_constants_are_found() -> None:
    """4 n^2 d^2/M for FlashAttention-2's order (2d words a key, 2d words a row of the tile), 6 n^2 d^2/M for the first."""
    n, d = symbol("n"), symbol("d")
    problem = Problem(n=65536, d=64)
    for plan in flash2.plans(problem, 65_536):
        second = governing_law(*_symbols(plan))
        assert second is not None
        kept = {"cached": plan.sizes.get("C", 0), "cached rows": plan.sizes.get("C", 1) - 1}.get(plan.schedule, 0)
        assert (second.per_tile, second.tile, second.axis) == (2 * d * n - 2 * d * kept, "B_r", n)
        assert second.per_row == 2 * d + (2 if "rows" in plan.schedule else 3)  # m and l; and s, if there is a column
        assert second.leading == 4 * d**2 * n**2
    (streamed,) = flash1.plans(problem, 32_768)
    first = governing_law(*_symbols(streamed))
    assert first is not None
    assert first.leading == 6 * d**2 * n**2  # Q once, O loaded and stored: 3 d n words for each block of 2 d B_c words


def _symbols(plan: Plan) -> tuple[Program, dict[str, int]]:
    return plan.program, dict(plan.sizes)


def test_no_law_is_made_up() -> None:
    """Two tile sizes that share the fast memory, or a mask, have no law of one tile size."""
    (standard, *_) = algorithms()["standard"].plans(Problem(n=4096, d=64), 4096)
    assert governing_law(*_symbols(standard)) is None
    assert governing_law(*_symbols(CAUSAL)) is None


def test_whether_outputs_are_loaded_again_is_read_off_the_program() -> None:
    """FlashAttention-2's order never loads O; the first one's loads it for each block of keys but one."""
    problem = Problem(n=1000, d=8)
    assert "O: each word is stored once, none is loaded." in said(flash2.best(problem, 2000), 2000)
    (streamed,) = flash1.plans(problem, 2000)
    blocks = -(-1000 // streamed.sizes["B_c"])
    stored = f"each word is stored {blocks} times"
    assert (
        f"O, M and L: each word is loaded {blocks - 1} times, once for each of {blocks - 1} tiles j, {stored}."
        in said(streamed, 2000)
    )


def test_words_that_overlap_are_not_said_to_be_different() -> None:
    """X[i + j] for i and j below 3 are nine words moved, but five different ones: the sentence speaks of an average."""

    def author(b: Builder, *, n: Size) -> None:
        X, R = b.input("X", (n * n,)), b.output("R", (1,), needs="R[i] <- X[:]")
        with b.zeros("r", 1) as r:
            with b.tiles("i", n, 1) as i, b.tiles("j", n, 1) as j, b.load(X[i.start + j.start : i.start + j.start + 1]):
                pass
            b.store(r, R[:])

    program = build(author, name="diagonals", n="n")
    lines = explain(program, {"n": 3})
    assert [line.words for line in lines if isinstance(line.statement, Load)] == [9]
    assert "X: each word is loaded once on average." in reasons(program, {"n": 3}, lines, 10)


def test_symbols_and_numbers_agree() -> None:
    """What `show --explain` says in symbols is, at sizes, what `run --explain` says in numbers."""
    for plan in PLANS.values():
        for general, line in zip(explain(plan.program), lines_of(plan), strict=True):
            assert evaluate(general.words, plan.sizes) == line.words


def test_run_explain_shows_and_writes_the_same_numbers() -> None:
    """`run --explain` prints the program with its words, `--json` has the same; without the flag neither has."""
    command = ["run", "--algo", "flash2", "--n", "1000", "--M", "9KB", "--no-numeric"]
    printed = CliRunner().invoke(main, [*command, "--explain"])
    written = CliRunner().invoke(main, [*command, "--explain", "--json"])
    assert printed.exit_code == written.exit_code == 0
    found = json.loads(written.stdout)
    assert sum(line["io_words"] for line in found["explanation"]["lines"]) == found["io_words"]
    assert max(line["live_words"] or 0 for line in found["explanation"]["lines"]) == found["peak_words"]
    assert [line["live_words"] for line in found["explanation"]["lines"] if line["reaches_peak"]] == [
        found["peak_words"]
    ]
    for line in found["explanation"]["lines"]:
        product = " x ".join(factor["text"] for factor in line["factors"])
        assert not product or f"{line['io_words']:,}" in printed.stdout
        assert product in printed.stdout
    assert "why" not in CliRunner().invoke(main, command).stdout
    assert "explanation" not in json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)


def test_show_explain_is_the_program_with_words_in_symbols() -> None:
    """The pseudo-code of `show`, line by line, with the words beside loads and stores."""
    command = ["show", "--algo", "flash2", "--schedule", "rows"]
    plain = CliRunner().invoke(main, command).stdout.splitlines()
    explained = CliRunner().invoke(main, [*command, "--explain"]).stdout.splitlines()
    assert all(long.startswith(short) for short, long in zip(plain, explained, strict=True))
    loads = [line for line in explained if "load k " in line]
    assert len(loads) == 1
    assert "d*n_k*ceil(n/B_r) = ceil(n/B_r) tiles i x n_k rows j x d words" in loads[0]


def test_wide_values_make_a_sum_of_two_leading_terms() -> None:
    """With d_v columns of V the tile's row is d + d_v words wide, and the law says so: 2 terms, in brackets over M."""
    plan = flash2.explicit(Problem(n=4096, d=64, d_v=32), {"B_r": 100})
    law = governing_law(*_symbols(plan))
    assert law is not None
    n, d, d_v = symbol("n"), symbol("d"), symbol("d_v")
    assert law.leading == n**2 * (d + d_v) ** 2
    assert f"({law.leading})/M = {4096**2 * 96**2 // 2**14:,} is the leading term" in said(plan, 2**14)
