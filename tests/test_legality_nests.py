"""Loops whose ends depend on those around them, and regions with no words, are decided exactly and at any size."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iosim import Builder, Size, build, peak_words, violations
from iosim.errors import CountError
from iosim.expr import evaluate_int
from iosim.interpret.legality.rules import Rule
from tests.legality import agrees, legal


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


def test_words_are_told_apart_as_long_as_that_takes_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, what was stored together counts as one, and a nest is decided all the same."""
    monkeypatch.setattr("iosim.interpret.legality.check._EXACT_LIMIT", 10)
    legal(TRIANGLE, {"n": 40, "B_r": 5, "B_c": 7, "D": 3})


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
