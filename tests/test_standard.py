"""Standard attention: the three passes counted by hand, and the best tiles against trying them all."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.standard import standard
from iosim.interpret.count import count, peak_words
from iosim.problem import Problem

WHOLE_ROWS, TWO_SWEEPS = standard.schedules
STREAMS = {"e": 1, "f": 1, "h": 1, "e_v": 1}


def test_the_passes_by_hand() -> None:
    """n = 4, d = 2, tiles of S 2 x 3 and of O 3 x 1: each array passes as often as derived, pass by pass."""
    tiles = {"B_r": 2, "B_c": 3, "B_o": 3, "B_d": 1}
    plan = standard.explicit(Problem(n=4, d=2), tiles)
    counted = plan.count()
    assert plan.schedule == "whole rows"
    assert counted.loads == {
        "Q": 8 * 2,  # once for each of the ceil(4/3) = 2 columns of tiles of S
        "K": 8 * 2,  # once for each of the 4/2 = 2 rows of tiles of S
        "S": 16,  # once, row by row
        "P": 16 * 2,  # once for each of the 2/1 = 2 columns of tiles of O
        "V": 8 * 2,  # once for each of the ceil(4/3) = 2 rows of tiles of O
    }
    assert counted.stores == {"S": 16, "P": 16, "O": 8}
    # a row of 4 scores, m, l and the new maximum; tiles: 2 3 + 2 + 1 = 9 and 3 1 + 3 + 1 = 7
    assert plan.peak_words == max(4 + 3, 9, 7)


def test_two_sweeps_load_the_scores_once_more() -> None:
    """Where a row of scores does not fit, pass 2 loads S twice: n^2 words more, and 4 words are enough for it."""
    sizes = {"n": 6, "n_k": 6, "d": 2, "d_v": 2, "B_r": 2, "B_c": 2, "B_o": 2, "B_d": 2, **STREAMS}
    whole, twice = (count(standard.program(schedule), sizes) for schedule in (WHOLE_ROWS, TWO_SWEEPS))
    assert twice.loads == {**whole.loads, "S": 2 * 36}
    assert whole.loads["S"] == 36
    assert twice.stores == whole.stores
    least = sizes | {"B_r": 1, "B_c": 1, "B_o": 1, "B_d": 1}
    assert peak_words(standard.program(TWO_SWEEPS), least) == 4
    assert peak_words(standard.program(WHOLE_ROWS), least) == 6 + 3


def test_whole_rows_are_chosen_as_soon_as_one_fits() -> None:
    """A row of n scores and 3 more words: below, two sweeps; from there on, n^2 words fewer in pass 2."""
    problem = Problem(n=20, d=3)
    assert standard.best(problem, 22).schedule == "two sweeps"
    assert standard.best(problem, 23).schedule == "whole rows"


def test_nearly_square_tiles_are_best_in_a_small_fast_memory() -> None:
    """n = 4096, d = 64, M = 1024: tiles of S and O of about sqrt(M) = 32 rows and columns."""
    n, d, M = 4096, 64, 1024
    plan = standard.best(Problem(n=n, d=d), M)
    assert plan.schedule == "two sweeps"
    tiles = plan.tiles
    # 31 32 + 31 + 1 = 1024: tiles of S and of O fill the fast memory to the last word
    assert tiles == {"B_r": 31, "B_c": 32, "B_o": 31, "B_d": 32}
    # K once for each of ceil(n/31) = 133 rows of tiles, Q once for each of n/32 = 128 columns; S stored, loaded twice;
    # P stored, loaded for each of d/32 = 2 columns of tiles; V once for each of 133 rows of tiles; O stored
    assert plan.count().io_words == n * d * (133 + 128) + 3 * n * n + (1 + 2) * n * n + n * d * 133 + n * d


def best_of_all_tiles(problem: Problem, capacity: int) -> int | None:
    """The fewest words over all four tile sizes whose peak fits, by trying each; None if none fits."""
    n, d = problem.n, problem.d
    fitting = []
    for schedule, B_r, B_c in product(standard.schedules, range(1, n + 1), range(1, n + 1)):
        for B_o, B_d in product(range(1, n + 1), range(1, d + 1)):
            tiles = {"B_r": B_r, "B_c": B_c, "B_o": B_o, "B_d": B_d}
            # the claims are the counts (tested for all sizes), and quicker
            words, peak = schedule.claimed(problem, {"n": n, "d": d, **tiles, **STREAMS})
            if peak <= capacity:
                fitting.append(words)
    return min(fitting, default=None)


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 70))
@settings(max_examples=20)
def test_the_tile_rule_finds_what_trying_every_tile_finds(n: int, d: int, M: int) -> None:
    """The best plan moves the fewest words of all four tile sizes and both ways of pass 2 that fit."""
    problem = Problem(n=n, d=d)
    found = min((plan.count().io_words for plan in standard.plans(problem, M)), default=None)
    assert found == best_of_all_tiles(problem, M)
