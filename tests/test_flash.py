"""FlashAttention's orders: counts derived by hand, and the same numbers as a word-by-word simulation made elsewhere."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.flash1 import flash1, published_tiles
from algorithms.flash2 import flash, flash2
from iosim.interpret.count import count, peak_words
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.plan import Plan, fewest
from iosim.problem import Problem
from iosim.tiled import Schedule, Tiled

# Millions of words moved with the best tiles, from formulas that word-level simulations confirmed; `height` is the
# greatest B_r that fits, `held` the words of the published tiles without row statistics, over M.
# log2 M, flash2, its height, flash1 best, flash1 published, held
MEASURED = {
    (4096, 64): """
        10 307.76 7 470.70 822.33 1.02
        11 144.18 15 220.22 411.29 1.03
        12 70.25 31 107.02 205.77 1.06
        13 35.65 62 53.24 103.01 1.12
        14 17.83 125 26.74 51.63 1.25
        15 9.44 251 13.90 25.94 1.00
        16 5.24 503 7.48 13.09 0.88
        17 3.15 1007 4.26 6.67 0.81
        18 2.10 2015 2.66 3.46 0.78
        19 1.57 4031 1.86 1.86 0.77
        20 1.05 4096 1.05 1.05 0.76""",
    (4096, 128): """
        10 1433.40 3 2171.42 3255.29 1.00
        11 615.51 7 931.81 1627.90 1.01
        12 288.36 15 435.97 814.21 1.02
        13 140.51 31 211.88 407.36 1.03
        14 70.25 63 105.40 203.94 1.06
        15 35.65 126 52.96 102.22 1.12
        16 18.87 253 27.53 51.37 1.25
        17 10.49 507 14.82 25.94 1.00
        18 6.29 1015 8.46 13.23 0.88
        19 4.19 2031 5.28 6.87 0.81
        20 3.15 4063 3.69 3.69 0.78
        21 2.10 4096 2.10 2.10 0.77""",
    (16384, 128): """
        10 22913.48 3 34723.94 52078.53 1.00
        11 9823.06 7 14883.77 26040.29 1.01
        12 4588.57 15 6950.24 13021.17 1.02
        13 2222.98 31 3364.90 6511.61 1.03
        14 1098.91 63 1661.22 3256.83 1.06
        15 553.65 126 828.46 1629.44 1.12
        16 276.82 253 415.25 815.74 1.25
        17 142.61 507 211.83 408.90 1.00
        18 75.50 1015 110.12 205.47 0.88
        19 41.94 2031 59.26 103.76 0.81
        20 25.17 4063 33.83 52.90 0.78
        21 16.78 8127 21.12 27.48 0.77
        22 12.58 16255 14.76 14.76 0.76""",
    (65536, 64): """
        10 78550.93 7 120272.26 210457.40 1.02
        11 36666.61 15 56136.89 105230.70 1.03
        12 17750.29 31 27171.29 52617.35 1.06
        13 8883.54 62 13375.70 26310.67 1.12
        14 4412.41 125 6696.27 13157.34 1.25
        15 2206.20 251 3343.71 6580.67 1.00
        16 1107.30 503 1673.85 3292.33 0.88
        17 562.04 1007 838.93 1648.16 0.81
        18 285.21 2015 427.88 826.08 0.78
        19 150.99 4031 222.36 415.04 0.77
        20 83.89 8064 119.60 209.52 0.76
        21 50.33 16130 68.22 106.76 0.75
        22 33.55 32262 42.53 55.38 0.75""",
}
TABLE = [
    (n, d, 2 ** int(row.split()[0]), row.split()[1:])
    for (n, d), rows in MEASURED.items()
    for row in rows.split("\n")[1:]
]


def millions(words: int) -> str:
    return f"{words / 1e6:.2f}"


def schedule(algorithm: Tiled, name: str) -> Schedule:
    return next(schedule for schedule in algorithm.schedules if schedule.name == name)


def best_of_all_tiles(algorithm: Tiled, problem: Problem, capacity: int) -> int | None:
    """The fewest words over every tile size whose peak fits, by trying each; None if none fits."""
    fitting = []
    for one in algorithm.schedules:
        if one.searched:
            program = algorithm.program(one, problem)
            for lengths in product(*(range(1, problem.length(axis) + 1) for axis in one.tiles.values())):
                sizes = {**problem.sizes, **dict.fromkeys(one.streams, 1), **dict(zip(one.tiles, lengths, strict=True))}
                if peak_words(program, sizes) <= capacity:
                    fitting.append(count(program, sizes).io_words)
    return min(fitting, default=None)


# FlashAttention-2


def uncached(n: int, d: int, M: int) -> Plan:
    """The best plan that keeps no keys."""
    found = fewest(plan for plan in flash2.plans(Problem(n=n, d=d), M) if "cached" not in plan.schedule)
    assert found is not None
    return found


def test_flash2_at_n_1024_with_32_rows_moves_4_325_376_words() -> None:
    """Q and O once, K and V once for each of the 1024/32 = 32 row tiles: 2nd + 2nd 32, n = 1024, d = 64."""
    plan = flash2.explicit(Problem(n=1024, d=64), {"B_r": 32})
    counted = plan.count()
    assert counted.loads == {"Q": 65_536, "K": 32 * 65_536, "V": 32 * 65_536}
    assert counted.stores == {"O": 65_536}
    assert counted.io_words == 2 * 65_536 * (1 + 32) == 4_325_376


def test_flash2_at_n_65536_in_65536_words_moves_1_107_296_256_words() -> None:
    """Rows of K and V resident let B_r = 503 rows stay (130 B_r + 130 <= 65,536): 131 row tiles, 2nd (1 + 131) words."""
    plan = uncached(65_536, 64, 65_536)
    assert plan.schedule == "rows"
    # 501 rows need no more tiles than 503
    assert plan.tiles == {"B_r": 501}
    assert plan.count().io_words == 2 * 65_536 * 64 * (1 + 131) == 1_107_296_256


@pytest.mark.parametrize(("n", "d", "M", "row"), TABLE, ids=[f"n={n},d={d},M={M}" for n, d, M, _ in TABLE])
def test_flash2_moves_the_measured_words(n: int, d: int, M: int, row: list[str]) -> None:
    """The best row tile moves the words of the independent simulation; its height needs as many tiles as the greatest."""
    plan = uncached(n, d, M)
    assert millions(plan.count().io_words) == row[0]
    # word by word B_r(2d+3) + 1 <= M, or with rows of K and V B_r(2d+2) + 2d+2 <= M
    height = min(n, max((M - 1) // (2 * d + 3), (M - 2 * d - 2) // (2 * d + 2)))
    assert height == int(row[1])
    assert plan.tiles["B_r"] == -(-n // -(-n // height))


@pytest.mark.parametrize(
    ("M", "words"),
    [(64, 297_984), (128, 101_376), (256, 46_080), (512, 24_576), (1024, 15_360), (2048, 9_216), (3500, 6_144)],
)
def test_flash2_moves_the_words_simulated_at_n_96(M: int, words: int) -> None:
    """At n = 96, d = 16 the count is that of a simulation with real arithmetic and a capacity assertion."""
    assert uncached(96, 16, M).count().io_words == words


def test_streaming_words_wins_in_a_small_fast_memory_and_rows_in_a_large_one() -> None:
    """Rows of K and V cost 2d+1 words once and save one word a row: with fewer than about 2d rows, words are better."""
    assert flash2.best(Problem(n=4096, d=64), 2**10).schedule == "words"
    assert uncached(65_536, 64, 2**16).schedule == "rows"


def test_words_that_a_row_tile_leaves_over_keep_keys() -> None:
    """501 of 503 possible rows make 131 tiles; the words left over keep 2 keys and values, loaded once, not 131 times."""
    plan = flash2.best(Problem(n=65_536, d=64), 65_536)
    assert (plan.schedule, plan.tiles) == ("cached rows", {"B_r": 501, "C": 3})
    assert 130 * 501 + 130 + 2 * 128 == plan.peak_words == 65_516
    assert plan.io_words == 1_107_296_256 - 130 * 2 * 128


def test_flash2_with_all_queries_resident_moves_each_word_once() -> None:
    """With B_r = n rows, n(2d+3) + 1 words, K and V pass once: 4nd."""
    n, d = 50, 6
    assert uncached(n, d, n * (2 * d + 3) + 1).count().io_words == 4 * n * d
    assert uncached(n, d, n * (2 * d + 2) + 2 * d + 1).count().io_words > 4 * n * d


@given(st.integers(1, 14), st.integers(1, 5), st.integers(0, 300))
@settings(max_examples=30)
def test_the_tile_rules_find_what_trying_every_tile_finds(n: int, d: int, M: int) -> None:
    """Best tiles of both orders move the fewest words of all tile sizes that fit."""
    problem = Problem(n=n, d=d)
    for algorithm in (flash1, flash2):
        expected = best_of_all_tiles(algorithm, problem, M)
        found = min((plan.count().io_words for plan in algorithm.plans(problem, M)), default=None)
        assert found == expected


def test_flash_is_flash2() -> None:
    """The short name gives the plans of flash2."""
    problem = Problem(n=100, d=8)
    assert list(flash.plans(problem, 1000)) == list(flash2.plans(problem, 1000))


# FlashAttention


def moved_by_simulated_flash1(n: int, d: int, B_c: int) -> int:
    """K, V once; for each block Q, O, m, l loaded and O, m, l stored, but for the first block O, m, l not loaded; and n
    words less, as if one number a row, not m and l, were left in the end."""
    return 2 * n * d + -(-n // B_c) * (3 * n * d + 4 * n) - (n * d + 2 * n) - n


@pytest.mark.parametrize(
    ("M", "words"),
    [(64, 480_480), (128, 160_992), (256, 71_136), (512, 36_192), (1024, 21_216), (2048, 11_232), (3500, 6_240)],
)
def test_flash1_moves_n_words_more_than_the_simulation_at_n_96(M: int, words: int) -> None:
    """At n = 96, d = 16 ours stores m and l after the last block too, as the paper does: n words more than simulated."""
    n, d = 96, 16
    plan = flash1.best(Problem(n=n, d=d), M)
    assert moved_by_simulated_flash1(n, d, plan.tiles["B_c"]) == words
    assert plan.count().io_words == words + n


@pytest.mark.parametrize(("n", "d", "M", "row"), TABLE, ids=[f"n={n},d={d},M={M}" for n, d, M, _ in TABLE])
def test_flash1_moves_the_measured_words_and_a_few_initial_and_final_ones(
    n: int, d: int, M: int, row: list[str]
) -> None:
    """Best tiles: n words more than simulated. Published order: O, m, l stored at first and loaded for the first block."""
    problem = Problem(n=n, d=d)
    best, paper = flash1.best(problem, M), flash1.published(problem, M)
    assert millions(best.count().io_words - n) == row[2]
    # nd + 2n initial stores, nd + 2n loads for the first block, n of the last block
    assert millions(paper.count().io_words - 2 * (n * d + 2 * n) - n) == row[3]


def test_flash1_by_hand() -> None:
    """n = 4, d = 2, B_c = 2: two blocks; Q, O are 8 words, m and l 4 each."""
    counted = flash1.explicit(Problem(n=4, d=2), {"B_c": 2}).count()
    assert counted.loads == {"Q": 2 * 8, "K": 8, "V": 8, "O": 8, "M": 4, "L": 4}
    assert counted.stores == {"O": 2 * 8, "M": 2 * 4, "L": 2 * 4}
    # M = 16 words: B_c = ceil(16/8) = 2, B_r = min(2, 2)
    paper = published(4, 2, 16).count()
    assert paper.loads == {"Q": 2 * 8, "K": 8, "V": 8, "O": 2 * 8, "M": 2 * 4, "L": 2 * 4}
    assert paper.stores == {"O": 3 * 8, "M": 3 * 4, "L": 3 * 4}


# Published tiles


@given(st.integers(1, 64), st.data())
@settings(max_examples=100)
def test_published_tiles_overflow_below_8_d_squared(d: int, data: st.DataObject) -> None:
    """Q, K, V, O and scores of the published tiles need more than M words exactly for M < 8d^2 (M a multiple of 4d).

    They need M + M^2/16d^2 for M <= 4d^2, and 0.75 M + 2d^2 above: 1.25 M at worst.
    """
    M = 4 * d * data.draw(st.integers(1, 4 * d + 8), "M/4d")
    tiles = published_tiles(axes(10**9, d), M)
    B_r, B_c = tiles["B_r"], tiles["B_c"]
    needed = 2 * B_c * d + 2 * B_r * d + B_r * B_c
    assert 16 * d * d * needed == (16 * d * d * M + M * M if 4 * d * d >= M else 12 * d * d * M + 32 * d**4)
    assert (needed > M) == (8 * d * d > M)
    assert 4 * needed <= 5 * M


@given(st.integers(1, 64), st.data())
@settings(max_examples=100)
def test_with_row_statistics_published_tiles_overflow_below_8_d_squared_plus_12_d(d: int, data: st.DataObject) -> None:
    """Counting m, l and the correction of each row too, the published schedule fits exactly from M = 8d^2 + 12d on."""
    M = 4 * d * data.draw(st.integers(1, 4 * d + 8), "M/4d")
    # B_c = M/4d >= d rows: 3 d B_c + 2 d^2 + 3 d <= M = 4 d B_c  <=>  B_c >= 2 d + 3
    assert (published(10**9, d, M).peak_words > M) == (8 * d * d + 12 * d > M)


@pytest.mark.parametrize(("n", "d", "M", "row"), TABLE, ids=[f"n={n},d={d},M={M}" for n, d, M, _ in TABLE])
def test_published_tiles_hold_the_measured_part_of_the_fast_memory(n: int, d: int, M: int, row: list[str]) -> None:
    """The tiles of Q, K, V, O and the scores over M; the row statistics come on top."""
    plan = published(n, d, M)
    assert f"{(plan.peak_words - 3 * plan.tiles['B_r']) / M:.2f}" == row[4]


def test_published_tiles_are_illegal_where_they_overflow_and_legal_from_there_on() -> None:
    """At d = 4 the published schedule breaks the capacity rule, and no other, below 8 16 + 12 4 = 176 words."""
    problem = Problem(n=64, d=4)
    for M, rules in ((160, {Rule.CAPACITY}), (176, set())):
        plan = flash1.published(problem, M)
        assert {violation.rule for violation in violations(plan.program, plan.sizes, M)} == rules


def axes(n: int, d: int) -> dict[str, int]:
    return {"n": n, "n_k": n, "d": d, "d_v": d}


def published(n: int, d: int, M: int) -> Plan:
    return flash1.published(Problem(n=n, d=d), M)


def test_published_tiles_are_no_longer_than_the_input() -> None:
    """For a few rows B_c = ceil(M/4d) and B_r are cut down to n."""
    assert published_tiles(axes(5, 8), 1000) == {"B_c": 5, "B_r": 5}
    assert published_tiles(axes(100, 8), 1000) == {"B_c": 32, "B_r": 8}
    assert schedule(flash1, "published").searched is False
