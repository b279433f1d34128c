"""Counts are exact: in symbols, in integers, and word by word they are the same."""

from __future__ import annotations

from collections import Counter
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.flash1 import flash1
from algorithms.flash2 import flash2
from algorithms.standard import standard
from iosim import Builder, Size, build, ceil_div, count, peak_words
from iosim.errors import CountError
from iosim.expr import evaluate_int, free_symbols, to_sympy
from iosim.interpret.steps import moves
from iosim.problem import Problem
from iosim.program import Program
from tests import brute
from tests.strategies import programs, sizes

SQUARE = Problem(n=2, d=1)  # n stands for queries and keys, d for all head dimensions
EXACT = [(algorithm, schedule) for algorithm in (standard, flash1, flash2) for schedule in algorithm.schedules]
IDS = [f"{algorithm.name} {schedule.name}" for algorithm, schedule in EXACT]


def causal(b: Builder, *, n: Size, d: Size, B_r: Size, B_c: Size) -> None:
    """FlashAttention-2's order with a causal mask by blocks: a row tile sees the keys up to its last row."""
    Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
    O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:]")
    with b.tiles("i", n, B_r) as i, b.load(Q[i, :]) as q:
        o, m, l = b.zeros("o", i, d), b.full("m", i, fill=-inf), b.zeros("l", i)
        with b.tiles("j", i.stop, B_c) as j, b.load(K[j, :]) as k, b.load(V[j, :]) as v:
            b.op("attend", o, m, l, q, k, v, of=d)
        b.store(o, O[i, :])
        b.free(o, m, l)


CAUSAL = build(causal, name="causal", n="n", d="d", B_r="B_r", B_c="B_c")


def assert_counted(program: Program, at: dict[str, int]) -> None:
    """The symbolic count at these sizes, the integer count, and what happens word by word are equal."""
    happened = brute.run(program, at)
    counted, symbolic = count(program, at), count(program)
    for direction, moved in (("loads", happened.loads), ("stores", happened.stores)):
        table, formulas = getattr(counted, direction), getattr(symbolic, direction)
        assert {name: words for name, words in table.items() if words} == {k: v for k, v in moved.items() if v}
        assert {name: evaluate_int(words, at) for name, words in formulas.items()} == {
            name: table.get(name, 0) for name in formulas
        }
    assert counted.flops == evaluate_int(symbolic.flops, at) == happened.flops


@settings(max_examples=150)
@given(programs(), sizes())
def test_symbols_integers_and_words_agree(program: Program, at: dict[str, int]) -> None:
    """On random programs and ragged sizes the three ways to count agree, array by array."""
    assert_counted(program, at)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(programs(), sizes())
def test_ten_thousand_random_programs(program: Program, at: dict[str, int]) -> None:
    """The same for very many, and what moves step by step adds up to it, too."""
    assert_counted(program, at)
    moved: Counter[tuple[str, str]] = Counter()
    for move in moves(program, at):
        moved[move.direction, move.array] += move.words
    counted = count(program, at)
    assert {array: words for array, words in counted.loads.items() if words} == _of(moved, "load")
    assert {array: words for array, words in counted.stores.items() if words} == _of(moved, "store")


def _of(moved: Counter[tuple[str, str]], direction: str) -> dict[str, int]:
    return {array: words for (way, array), words in moved.items() if way == direction and words}


@settings(max_examples=100)
@given(programs(), sizes())
def test_the_peak_is_the_most_that_ever_lives(program: Program, at: dict[str, int]) -> None:
    """On random programs and ragged sizes the peak is that of the word-by-word run."""
    assert evaluate_int(peak_words(program, at), {}) == brute.run(program, at).peak


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_causal_counts_are_exact(n: int, d: int, B_r: int, B_c: int) -> None:
    """Loops whose end depends on an outer loop are summed exactly, whichever tiles divide which."""
    assert_counted(CAUSAL, {"n": n, "d": d, "B_r": B_r, "B_c": B_c})


@pytest.mark.parametrize(("algorithm", "schedule"), EXACT, ids=IDS)
def test_any_size_is_counted(algorithm, schedule) -> None:  # type: ignore[no-untyped-def]
    """At n = 2^40 with one-row tiles the count is the closed form, to the last word."""
    problem = Problem(n=2**40, d=64, n_k=2**39, d_v=32)
    at = {**problem.sizes, **dict.fromkeys(schedule.axes, 1)}
    program = algorithm.program(schedule, problem)
    assert count(program, at).io_words == evaluate_int(schedule.claims(problem)[0], at)


def test_flash2_by_hand() -> None:
    """n = 1024, d = 64, B_r = 32: Q once and O once, K and V once for each of 32 row tiles."""
    at = {"n": 1024, "n_k": 1024, "d": 64, "d_v": 64, "B_r": 32, "B_c": 1}
    counted = count(flash2.program(flash2.schedules[1]), at)
    assert counted.loads == {"Q": 65_536, "K": 32 * 65_536, "V": 32 * 65_536}
    assert counted.stores == {"O": 65_536}
    assert counted.io_words == 4_325_376
    assert counted.trips == {"i": 32, "j": 32 * 1024}


def test_causal_at_any_size() -> None:
    """n = 2^40, B_r = 128, B_c = 64: tile i loads 2(i+1) blocks of K and V, in all m(m+1) with m = n/128 tiles."""
    m = 2**40 // 128
    counted = count(CAUSAL, {"n": 2**40, "d": 64, "B_r": 128, "B_c": 64})
    assert counted.loads["K"] == m * (m + 1) * 64 * 64
    assert counted.trips["j"] == m * (m + 1)


def test_the_count_in_symbols_is_a_formula() -> None:
    """Counting with symbols gives the closed form, ceilings kept, and sympy reads it."""
    import sympy

    counted = count(flash2.program(flash2.schedules[0], SQUARE), {"B_c": 1, "e": 1, "e_v": 1})
    assert str(counted.io_words) == "2*d*n*ceil(n/B_r) + 2*d*n"
    n, d, B_r = (sympy.Symbol(name, integer=True, positive=True) for name in ("n", "d", "B_r"))
    assert sympy.simplify(to_sympy(counted.io_words) - (2 * n * d + 2 * n * d * sympy.ceiling(n / B_r))) == 0


def test_the_peak_in_symbols_is_a_formula() -> None:
    """The peak in symbols has min(B, n) for a tile that may be longer than its axis; assuming tiles fit leaves it out."""
    program = flash2.program(flash2.schedules[0], SQUARE)
    assert str(peak_words(program, {"B_c": 1, "e": 1, "e_v": 1}, tiles_fit=True)) == "2*B_r*d + 3*B_r + 1"
    assert "min(B_r, n)" in str(peak_words(program, {"B_c": 1, "e": 1, "e_v": 1}))


def test_flops_of_a_matrix_product() -> None:
    """A tiled product of n x n matrices takes 2 n^3 flops, however it is tiled."""

    def product(b: Builder, *, n: Size, B: Size) -> None:
        X, Y = b.input("X", (n, n)), b.input("Y", (n, n))
        Z = b.output("Z", (n, n), needs="Z[i,j] <- X[i,:], Y[:,j]")
        with b.tiles("i", n, B) as i, b.tiles("j", n, B) as j, b.zeros("z", i, j) as z:
            with b.tiles("k", n, B) as k, b.load(X[i, k]) as x, b.load(Y[k, j]) as y:
                b.op("add_ab", z, x, y)
            b.store(z, Z[i, j])

    counted = count(build(product, name="product", n="n", B="B"), {})
    n = next(iter(free_symbols(counted.stores["Z"])))
    assert str(counted.flops) == f"2*{n}^3"
    # X once for each column of tiles, Y for each row
    assert counted.loads_words == 2 * counted.stores["Z"] * ceil_div(*_symbols("n", "B"))


def _symbols(*names: str):  # type: ignore[no-untyped-def]
    from iosim import symbols

    return symbols(*names)


@settings(max_examples=100)
@given(programs(), sizes())
def test_the_peak_in_symbols_is_the_peak_at_the_sizes(program: Program, at: dict[str, int]) -> None:
    """The symbolic peak has the value of the integer one, or is refused because no closed form is known."""
    try:
        symbolic = peak_words(program)
    except CountError:
        return
    assert evaluate_int(symbolic, at) == peak_words(program, at)


def prefixes(b: Builder, *, n: Size, B: Size) -> None:
    """Each tile loads all rows up to its end; before that, 100 words live in each tile further up."""
    X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
    with b.tiles("i", n, B) as i:
        with b.tiles("j", i.start, B), b.zeros("z", 100):
            pass
        with b.load(X[: i.stop]):
            pass
        with b.load(X[i]) as x:
            b.store(x, Y[i])


@pytest.mark.parametrize(
    ("n", "B", "peak"),
    [
        (4, 4, 4),  # one tile: no tile further up, all four rows
        (5, 4, 100),  # the second tile, of one row, has one further up
        (110, 4, 110),  # all rows, not 28 tiles of 4
        (2**40, 3, 2**40),
    ],
)
def test_the_peak_where_tiles_depend_on_loops(n: int, B: int, peak: int) -> None:
    """A tile that grows with the loop is as long as its last, ragged one; a loop without tiles makes none."""
    assert peak_words(build(prefixes, name="prefixes", n="n", B="B"), {"n": n, "B": B}) == peak


def test_trips_of_loops_of_one_name_are_added() -> None:
    """Iterations are counted by the name of the loop: 4 and 3 tiles, and 4 times 2."""

    def twice(b: Builder, *, n: Size) -> None:
        with b.tiles("i", n, 2), b.tiles("j", n, 4):
            pass
        with b.tiles("i", n, 3):
            pass

    assert count(build(twice, name="twice", n="n"), {"n": 7}).trips == {"i": 4 + 3, "j": 4 * 2}


def test_a_loop_that_runs_backwards_in_some_iteration_is_refused() -> None:
    """n = 10: from i to 5, i = 6, ..., 9 would add negative words; no answer is given, not even a peak."""

    def falls_short(b: Builder, *, n: Size, c: Size) -> None:
        X = b.input("X", (n,))
        with b.tiles("i", n, 1) as i, b.tiles("j", n - c, 1, start=i.start) as j, b.load(X[j]):
            pass

    program = build(falls_short, name="short", n="n", c="c")
    for question in (count, peak_words):
        with pytest.raises(CountError, match="loop j"):
            question(program, {"n": 10, "c": 5})
    # 10 + 9 + ... + 1 words if it stops at the end
    assert count(program, {"n": 10, "c": 0}).loads == {"X": 55}


def test_a_loop_that_runs_backwards_is_refused() -> None:
    """A loop that stops before it starts is an error that names it, not a negative count."""

    def backwards(b: Builder, *, n: Size) -> None:
        X = b.input("X", (n,))
        with b.tiles("i", n, 1, start=n + 3) as i, b.load(X[i]):
            pass

    with pytest.raises(CountError, match="loop i"):
        count(build(backwards, name="backwards", n="n"), {"n": 5})
