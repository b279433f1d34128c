"""How far the best schedules are from the lower bounds, and which open problem a gap belongs to."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest
import sympy
from click.testing import CliRunner
from sympy.parsing.sympy_parser import (
    convert_xor,
    implicit_multiplication,
    parse_expr,
    standard_transformations,
)

import iosim
from iosim import registry
from iosim.bounds.bound import Setting
from iosim.bounds.open_problems import (
    FORMULAS,
    GAP,
    MIDDLE,
    OPEN_PROBLEMS,
    SECOND_ORDER,
    WIDEST,
    PerPair,
    best_known,
    open_problem,
    proved,
)
from iosim.cli import main
from iosim.errors import UsageError
from iosim.problem import Problem
from iosim.tuning.tightness import Tightness
from iosim.tuning.tune import tune
from iosim.units import DTYPES

FP16 = DTYPES["fp16"]
PROBLEMS = ((65536, 64), (16384, 128))
CAPACITIES = [2**power for power in range(10, 23)]
TABLES = {(n, d): iosim.tightness(n=n, d=d, M=CAPACITIES) for n, d in PROBLEMS}

# Beyond M = nd/32, the words of an independent simulation with FlashAttention-2's order and keys kept in what is left, over
# max(4nd, 4n^2d^2/M); the bound has 4M/5 more than that up to M = 2nd.
NEAR_ND = {
    (65536, 64): {18: 1.062, 19: 1.122, 20: 1.238, 21: 1.453, 22: 1.839},
    (16384, 128): {17: 1.062, 18: 1.122, 19: 1.237, 20: 1.452, 21: 1.836, 22: 1.252},
}


def assert_tight(table: Tightness, *, least: int, most: int, ratio: float) -> None:
    """Each point with a fast memory in this range has at most this ratio, and there are such points."""
    within = [point for point in table.points if least <= point.fast_memory_words <= most]
    assert within
    assert max(point.io_over_lower_bound for point in within) <= ratio


@pytest.mark.parametrize(("n", "d"), PROBLEMS)
def test_the_bounds_are_tight_from_4d2_to_nd_over_32(n: int, d: int) -> None:
    """There the best schedule moves at most 1.05 times the lower bound."""
    assert_tight(TABLES[n, d], least=4 * d * d, most=n * d // 32, ratio=1.05)


@pytest.mark.parametrize(("n", "d"), PROBLEMS)
def test_below_4d2_the_gap_is_at_most_1_4(n: int, d: int) -> None:
    """4/3 at leading order, and a few percent for tiles that are whole."""
    assert_tight(TABLES[n, d], least=0, most=4 * d * d - 1, ratio=1.05 * float(WIDEST))


@pytest.mark.parametrize(("n", "d"), PROBLEMS)
def test_near_nd_the_ratio_is_the_simulated_one_or_less(n: int, d: int) -> None:
    """Kept rows of K and V use what the row tiles leave over."""
    for row in TABLES[n, d].points:
        simulated = NEAR_ND[n, d].get(row.fast_memory_words.bit_length() - 1)
        assert (simulated is not None) == (row.fast_memory_words > n * d // 32)
        if simulated is not None:
            M, arrays = row.fast_memory_words, 4 * n * d
            leading = max(arrays, 4 * n * n * d * d / M)
            assert round(row.io_words / leading, 3) <= simulated
            assert row.lower_bound_words == math.ceil(arrays if 2 * n * d <= M else leading + 4 * M / 5)


def test_a_worse_algorithm_is_not_tight() -> None:
    """The promise is about the best schedule: FlashAttention's first order, 6/4 as much, does not keep it."""
    n, d = PROBLEMS[0]
    table = Tightness(tune(Problem(n=n, d=d), [registry.find("flash1")], capacities=CAPACITIES))
    with pytest.raises(AssertionError):
        assert_tight(table, least=4 * d * d, most=n * d // 32, ratio=1.05)


@pytest.mark.parametrize(("n", "d"), PROBLEMS)
def test_schedules_move_what_the_open_problems_say(n: int, d: int) -> None:
    """Below 4d^2 within 7% of 4u^2 N, (1+u)^2 N or (4u+1) N; beyond, 2nd and at most one row tile more than 4n^2d^2/M."""
    table = TABLES[n, d]
    for point in table.points:
        M, gap = point.fast_memory_words, table.open_problem(point)
        if gap is MIDDLE:
            assert 1 <= point.io_words / (best_known(table.u(point)) * n * n) <= 1.07
        elif gap is SECOND_ORDER:
            assert 4 * n * n * d * d / M + 2 * n * d - M <= point.io_words <= 4 * n * n * d * d / M * 1.02 + 4 * n * d


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.text)
def test_the_open_problems_say_what_is_computed(formula: PerPair) -> None:
    """The text of a formula, read as one, is the function beside it."""
    u = sympy.Symbol("u")
    read = parse_expr(formula.text, transformations=(*standard_transformations, implicit_multiplication, convert_xor))
    assert sympy.expand(read - formula.at(u)) == 0


def test_bound_and_schedules_are_widest_apart_at_u_1() -> None:
    """4/3 there, 1 up to u = 1/2, and less everywhere else."""
    ratios = {u: best_known(u) / proved(u) for u in (Fraction(k, 24) for k in range(1, 24 * 9))}
    assert max(ratios.values()) == ratios[Fraction(1)] == WIDEST == Fraction(4, 3)
    assert {ratio for u, ratio in ratios.items() if 2 * u <= 1} == {1}
    assert list(ratios.values()).count(WIDEST) == 1


@pytest.mark.parametrize(("n", "d"), PROBLEMS)
def test_a_gap_has_an_open_problem_and_only_a_gap_has(n: int, d: int) -> None:
    """Above 1.1: the first below M = 4d^2, the second from there on."""
    table = TABLES[n, d]
    for point in table.points:
        gap = table.open_problem(point)
        assert point.io_over_lower_bound >= 1
        assert (gap is None) == (point.io_over_lower_bound <= GAP)
        if gap is not None:
            assert gap is (MIDDLE if point.fast_memory_words < 4 * d * d else SECOND_ORDER)


def test_the_regimes_of_the_open_problems_meet_at_4d2() -> None:
    """M = 4d^2 - 1 belongs to the first, M = 4d^2 to the second, if there is a gap."""
    for M, problem in ((4 * 64 * 64 - 1, MIDDLE), (4 * 64 * 64, SECOND_ORDER)):
        setting = Setting(N=2**20, n_q=2**10, n_k=2**10, d=64, d_v=64, M=M)
        assert open_problem(setting, ratio=1.11) is problem
        assert open_problem(setting, ratio=1.1) is None
    assert [problem.number for problem in OPEN_PROBLEMS] == [1, 2]


def test_the_command_prints_the_rows() -> None:
    """`bounds --tightness` shows each row and the open problems of those with a gap; `--json` has the same numbers."""
    command = ["bounds", "--tightness", "--n", "65536", "--M", "4Kiw:16Kiw:*4"]
    printed = CliRunner().invoke(main, command)
    rows = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)["points"]
    assert [row["fast_memory_words"] for row in rows] == [4096, 16384]
    assert [row["open_problem"] for row in rows] == [1, None]
    for row in rows:
        assert f"{row['io_words']:,}  {row['lower_bound_words']:,}" in " ".join(printed.stdout.split()).replace(
            " ", "  "
        )
    assert f"(1) open: {MIDDLE.title}" in printed.stdout
    assert SECOND_ORDER.title not in printed.stdout


def test_fast_memories_in_which_nothing_fits_are_counted() -> None:
    """Exact attention needs 4 words: 1, 2 and 3 are left out, and the table says so; if all are, that is an error."""
    found = iosim.tightness(n=64, d=64, M=[1, 2, 3, 4])
    assert [point.fast_memory_words for point in found.points] == [4]
    assert str(found).endswith("nothing fits in 3 of the fast memories asked for")
    with pytest.raises(UsageError, match="exact at n=64, d=64 needs at least 4 words"):
        iosim.tightness(n=64, d=64, M=[1, 2, 3])


@pytest.mark.parametrize("more", [["--tied"], ["--latex"], ["--size", "i=3"], ["--d-v", "8"], ["--mask", "full"]])
def test_flags_that_say_nothing_here_are_refused(more: list[str]) -> None:
    """Exit code 2, and the flag is named."""
    result = CliRunner().invoke(main, ["bounds", "--tightness", "--n", "64", "--M", "1Kiw", *more])
    assert result.exit_code == 2
    assert f"{more[0]} with --tightness" in result.stderr


@pytest.mark.parametrize("given", [["--n", "64"], ["--M", "1Kiw"]])
def test_both_sizes_are_needed(given: list[str]) -> None:
    """Without --n or --M there is no table."""
    result = CliRunner().invoke(main, ["bounds", "--tightness", *given])
    assert result.exit_code == 2
    assert "is missing" in result.stderr
