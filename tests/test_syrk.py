"""SYRK by triangle blocks: counted by hand, legal at its peak, right, and below a bound that is quoted for it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from algorithms.witnesses.syrk import assembled, io_words, lines, pairs, peak_words, program
from iosim import count, execute, render, violations
from iosim import peak_words as measured_peak
from iosim.bounds.einsum import einsum_bounds
from iosim.errors import UsageError
from iosim.interpret.legality.rules import Rule
from iosim.program import Load, Program, Statement, Store, Table, TableLoop
from tests.legality import fits_exactly

DESIGNS = [(2, 2), (3, 2), (5, 2), (2, 4), (3, 3)]


@pytest.mark.parametrize(("k", "m"), DESIGNS)
def test_every_two_rows_are_on_one_line(k: int, m: int) -> None:
    """The lines have k rows and hold each pair once; those of the first direction hold each row once."""
    first, others = lines(k, m)
    held = [pair for line in (*first, *others) for pair in combinations(sorted(line), 2)]
    assert sorted(held) == list(combinations(range(k**m), 2))
    assert sorted(row for line in first for row in line) == list(range(k**m))
    assert {len(line) for line in (*first, *others)} == {k}


@pytest.mark.parametrize(("k", "m"), [(4, 2), (1, 2), (9, 2), (3, 1)])
def test_designs_that_do_not_exist_here_are_refused(k: int, m: int) -> None:
    """k must be a prime: modulo 4, two points can be on two lines."""
    with pytest.raises(UsageError, match="allowed: a prime k, and m from 2"):
        lines(k, m)


def test_the_count_by_hand() -> None:
    """k = 3, n = 9, K = 7: 12 lines of 3 rows, each with 7 columns; 36 pairs and 9 squares stored."""
    counted = count(program(3), {"K": 7, "e": 1})
    assert counted.loads == {"A": 12 * 3 * 7}
    assert counted.stores == {"D": 3 * 6, "C": 9 * 3}
    assert io_words(K=7, k=3, m=2) == 252 + 45


@pytest.mark.parametrize(("k", "m"), DESIGNS)
@pytest.mark.parametrize(("K", "e"), [(1, 1), (7, 1), (7, 3)])
def test_count_peak_and_legality(k: int, m: int, K: int, e: int) -> None:
    """The claimed count, and the claimed peak for single columns: legal there, and not with one word less."""
    built, sizes = program(k, m), {"K": K, "e": e}
    assert count(built, sizes).io_words == io_words(K=K, k=k, m=m)
    peak = measured_peak(built, sizes)
    assert peak == k * (k + 1) // 2 + k * e
    if e == 1:
        assert peak == peak_words(k)
    fits_exactly(built, sizes, peak)


@pytest.mark.parametrize(("k", "m"), DESIGNS)
@pytest.mark.parametrize("e", [1, 3])
def test_the_result_is_the_product(k: int, m: int, e: int) -> None:
    """Executed tile by tile, the packed triangles are A A^T."""
    A = np.random.default_rng(k).normal(size=(k**m, 7))
    outputs = execute(program(k, m), {"K": 7, "e": e}, {"A": A})
    np.testing.assert_allclose(assembled(outputs, k, m), A @ A.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("k", "m"), [(7, 2), (13, 2), (23, 2), (7, 3)])
def test_below_the_bound_that_is_quoted_and_above_the_one_that_is_derived(k: int, m: int) -> None:
    """K n(n-1)/(k-1) words at M = k(k+3)/2: below K n^2/sqrt(M), by sqrt(2) for large k, and not below ours."""
    n, K, M = k**m, 1024, k * (k + 3) // 2
    words = count(program(k, m), {"K": K, "e": 1}).io_words
    assert list(violations(program(k, m), {"K": 2, "e": 1}, capacity=M)) == []
    assert words < K * n**2 / math.sqrt(M)
    bounds = einsum_bounds("C[i,j] += A[i,k] A[j,k]")
    _, least = bounds.greatest(bounds.sizes({"i": n, "k": K}, M))
    assert least <= words
    if k == 23:
        assert words < 1.13 * least  # 1/22 + (n+1)/(2nK) of K n(n-1), against 1/sqrt(2 299) = 1/24.45


def changed(built: Program, change: dict[type[Statement], Statement | None], *, table: int = 1) -> Program:
    """The program with statements of one of its two loops over lines replaced or left out."""

    def visit(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        found = []
        for statement in body:
            if type(statement) in change:
                new = change[type(statement)]
                found += [] if new is None else [new]
            elif hasattr(statement, "body"):
                found.append(replace(statement, body=visit(statement.body)))
            else:
                found.append(statement)
        return tuple(found)

    loops = list(built.body)
    loop = loops[table]
    assert isinstance(loop, TableLoop)
    loops[table] = replace(loop, body=visit(loop.body))
    return replace(built, body=tuple(loops))


def without_last_line(built: Program) -> Program:
    """The program with one line of rows less."""
    loop = built.body[1]
    assert isinstance(loop, TableLoop)
    shorter = Table(list(loop.table.rows())[:-1])
    return replace(built, body=(built.body[0], replace(loop, table=shorter)))


def test_mutants_are_caught() -> None:
    """A line left out, a store left out, a load left out: each breaks the rule that it should."""
    built, sizes = program(3), {"K": 4, "e": 1}
    for mutant, rule in (
        (without_last_line(built), Rule.MISSING),
        (changed(built, {Store: None}), Rule.MISSING),
        (changed(built, {Load: None}), Rule.OPERAND),
    ):
        assert rule in {v.rule for v in violations(mutant, sizes, capacity=100)}


def test_a_wrong_line_gives_a_wrong_result() -> None:
    """Two lines with exchanged rows are legal, as coordinates are not told apart, but the numbers are not A A^T."""
    built = program(3)
    loop = built.body[1]
    assert isinstance(loop, TableLoop)
    rows = [dict(row) for row in loop.table.rows()]
    rows[0]["rows"], rows[1]["rows"] = rows[1]["rows"], rows[0]["rows"]
    mutant = replace(built, body=(built.body[0], replace(loop, table=Table(rows))))
    A = np.random.default_rng(0).normal(size=(9, 4))
    found = assembled(execute(mutant, {"K": 4, "e": 1}, {"A": A}), 3, 2)
    assert not np.allclose(found, A @ A.T)


def test_packed_triangles_and_pseudo_code() -> None:
    """Pairs in order, and a program that reads like the description."""
    assert pairs(3, squares=False) == [(0, 1), (0, 2), (1, 2)]
    assert pairs(2, squares=True) == [(0, 0), (0, 1), (1, 1)]
    assert "t_2 += products of each two rows of a_2" in render(program(3))
