"""Bounds for approximate attention: what they count, by brute force; what they come to; and which schedules they bind."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import product
from math import comb
from operator import add

import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from algorithms.approx import approx
from iosim.api import run
from iosim.bounds import approx as module
from iosim.bounds.approx import (
    AGAIN,
    CLOSED_DEGREES,
    LINEAR,
    NOT_RESIDENT,
    ONE_SHOT,
    SEGMENTS,
    SMOOTH,
    SUMS_OF_MONOMIALS,
    all_products,
    applicable,
    bounds,
    closed_form,
    products_of,
    words_of_a_row,
)
from iosim.bounds.bound import Property, Setting
from iosim.cli import main
from iosim.problem import Problem
from iosim.runs.result import Run
from tests import commands

report = partial(commands.report, "bounds")

MONOMIALS: frozenset[Property] = frozenset({"feature sums", "V-linear sums", "monomials"})


def setting(
    n: int, d: int, g: int, M: int, *, d_v: int | None = None, m: int | None = None, properties=SUMS_OF_MONOMIALS
) -> Setting:
    return Setting(N=n * n, n_q=n, n_k=n, d=d, d_v=d_v or d, M=M, g=g, m=m, properties=properties)


def words(at: Setting) -> dict[str, int]:
    return {bound.name: found for bound, found, _ in applicable(at)}


# What is counted


@pytest.mark.parametrize(("g", "d", "d_v"), [*product((1, 2, 3, 4), (1, 2, 5), (1, 3)), (6, 4, 2)])
def test_products_of_words_are_the_most_over_all_splits(g: int, d: int, d_v: int) -> None:
    """kappa(s) is the maximum over t + u = s of C(t+g, g) u, at most r monomials for each word of V and r d_v in all; with
    the column of ones it is that of C(t+g, g) (u+1), without the constant."""
    r = comb(d + g, g)
    for s in range(1, 2 * (d + d_v) + 3):
        splits = (min(comb(t + g, g), r) * (s - t) for t in range(s))
        assert products_of(s, g, d, r * d_v) == min(r * d_v, max(splits))
        with_ones = (min(comb(t + g, g), r) * (s - t + 1) for t in range(s + 1))
        assert products_of(s, g, d, r * (d_v + 1) - 1, "normalised") == min(r * (d_v + 1), max(with_ones)) - 1
        # monomials of degree 1 to g + 1 in s words
        smooth = sum(comb(s + degree - 1, degree) for degree in range(1, g + 2))
        assert products_of(s, g, d, r * d_v, "smooth") == min(smooth, r * d_v)


def by_definition(g: int, d: int, products: int, M: int, kind: str = "linear") -> int:
    """C: the fewest words, one more after the other, with which parts of at most M products each make them all."""
    part, most = [0], [0]
    while most[-1] < products:
        s = len(most)
        part.append(min(products_of(s, g, d, products, kind), M))  # type: ignore[arg-type]
        most.append(max(map(add, part[1:], reversed(most))))
    return len(most) - 1


@settings(max_examples=60)
@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 500),
    st.sampled_from(["linear", "normalised", "smooth"]),
)
def test_words_of_a_row_by_definition(g: int, d: int, d_v: int, M: int, kind: str) -> None:
    """C, most of which are of one size, is what trying all parts gives."""
    products = all_products(comb(d + g, g), d_v, kind)  # type: ignore[arg-type]
    assume(products < 300 * M)
    assert words_of_a_row(g, d, products, M, kind) == by_definition(g, d, products, M, kind)


def test_parts_of_a_row_are_whole() -> None:
    """g = 1, d = d_v = 9, 90 products: with M = 90 all at once of 9 + 9 words. With M = 60, 15 words give 60 of 8 8, and 10
    give the last 30 of 6 5: 25, more than 90/60 of 15."""
    assert words_of_a_row(1, 9, 90, 90) == 18
    assert words_of_a_row(1, 9, 90, 60) == 15 + 10
    assert Fraction(90, 60) * 15 < 25


def test_the_column_of_ones_needs_no_word() -> None:
    """g = 1, d = d_v = 9, 99 = 10 10 - 1 products: with M = 99 all at once of 9 + 9 words. With M = 50, 13 words, 6 or 7 of
    them of K, give 7 8 - 1 = 55, of which 50 count; 12 give 7 7 - 1 = 48, so the other 49 need 13, too: 26. Without the
    column of ones, 13 words give 7 7 = 49 of the 90, and 12 give 7 6 = 42, which is more than the other 41: 25."""
    assert words_of_a_row(1, 9, 99, 99, "normalised") == 9 + 9
    assert words_of_a_row(1, 9, 99, 50, "normalised") == 13 + 13
    assert words_of_a_row(1, 9, 90, 50) == 13 + 12


# What they come to

# Words a row in units of d, for many rows, from an independent calculation by segments of M + F words, which row words at
# their start and parts of visits weaken.
LARGE = {
    (16, 4, 12): 33.04,
    (32, 1, 10): 4.06,
    (32, 3, 14): 23.19,
    (64, 2, 12): 38.26,
    (64, 2, 16): 6.17,
    (128, 1, 12): 7.99,
    (64, 2, 14): 15.41,
}


@pytest.mark.parametrize(("d", "g", "log_M"), LARGE)
def test_the_bound_for_many_rows(d: int, g: int, log_M: int) -> None:
    """n = 2^40: 2 n C - T, with C by definition, T = r d products or with the column of ones r (d+1) - 1, and more than an
    independent weaker calculation."""
    n, r = 2**40, comb(d + g, g)
    found = words(setting(n, d, g, 2**log_M))[ONE_SHOT.name]
    all_of = {"linear": r * d, "normalised": r * (d + 1) - 1}
    assert found == max(2 * n * by_definition(g, d, T, 2**log_M, kind) - T for kind, T in all_of.items())
    assert found > LARGE[d, g, log_M] * n * d


@pytest.mark.parametrize("g", CLOSED_DEGREES)
@pytest.mark.parametrize("log_M", [0, 3, 6, 12])
def test_closed_forms_say_no_more_than_what_is_counted(g: int, log_M: int) -> None:
    """The formulas are consequences; at M = 2^12 within 4 percent of 2 n C for columns of V, of which parts are not whole in
    them."""
    n, d, M = 2**40, 128, 2**log_M
    found = words(setting(n, d, g, M))
    closed = found[closed_form(g).name]
    assert closed <= found[ONE_SHOT.name]
    assert log_M < 12 or closed > 0.96 * 2 * n * words_of_a_row(g, d, comb(d + g, g) * d, M)


@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.integers(2, 3000), st.integers(1, 800))
@settings(max_examples=25)
def test_larger_classes_have_lower_bounds(g: int, d: int, d_v: int, n: int, M: int) -> None:
    """Sums computed again, any features, and sums that are not linear in V never raise what holds."""
    found = words(setting(n, d, g, M, d_v=d_v))
    for smaller, larger in ((AGAIN, LINEAR), (LINEAR, SMOOTH)):
        assert found.get(larger.name, 0) <= found.get(smaller.name, 0)


def test_bounds_are_for_their_classes_only() -> None:
    """Without a property, the bounds that need it say nothing; computing sums again needs more rows than words."""
    at = setting(4096, 8, 2, 64)
    assert set(words(at)) == {bound.name for bound in bounds(2) if bound is not NOT_RESIDENT[1]}
    assert set(words(replace(at, properties=frozenset()))) == set()
    assert set(words(replace(at, properties=frozenset({"feature sums"})))) == {SMOOTH.name}
    assert ONE_SHOT.name not in words(replace(at, properties=SUMS_OF_MONOMIALS - {"one-shot"}))
    few = words(replace(at, M=4097))
    assert not few.keys() & {AGAIN.name, LINEAR.name, SMOOTH.name}
    assert SEGMENTS[0].about != SEGMENTS[1].about


def test_sums_used_early_subtract_more() -> None:
    """n T/m: with the column of ones 4096 * (45 * 9 - 1)/m words less than with all rows, for m = 64; with any features, all
    rows are needed."""
    whole, chunked = (words(setting(4096, 8, 2, 64, m=m)) for m in (None, 64))
    products = 45 * 9 - 1
    assert whole[ONE_SHOT.name] - chunked[ONE_SHOT.name] == 4096 * products // 64 - products
    assert LINEAR.name not in chunked


# What schedules do


@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 8), st.integers(1, 4), st.integers(0, 3000))
def test_no_schedule_moves_less_than_any_bound(n: int, d: int, g: int, more: int) -> None:
    """In all fast memories from the least one on, every plan moves at least what every bound for its class says."""
    problem = Problem(n=n, d=d, degree=g)
    M = approx.least_capacity(problem) + more
    for bound, found, _ in applicable(setting(n, d, g, M)):
        for plan in approx.plans(problem, M):
            assert found <= plan.count().io_words, bound.name


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4000))
def test_the_converse_holds_up_to_where_all_sums_are_resident(d: int, g: int, n: int) -> None:
    """One word more than inputs and outputs up to M = r(d+1) + d - 1, nothing from there on, where 4nd suffice but for g."""
    M = comb(d + g, g) * (d + 1) + d
    assume(n >= M + 1)
    (bound,) = (bound for bound in NOT_RESIDENT if bound.applies(setting(n, d, g, M - 1)))
    assert bound.words(setting(n, d, g, M - 1)) == 4 * n * d + 1
    assert not any(bound.applies(setting(n, d, g, M)) for bound in NOT_RESIDENT)
    assert not any(bound.applies(setting(M, d, g, M - 1)) for bound in NOT_RESIDENT)
    assert approx.best(Problem(n=n, d=d, degree=g), M + g).count().io_words == 4 * n * d


def small(**options: object) -> Run:
    return run("approx", n=300, d=6, M=60, degree=2, logit_bound=1.0, **options)  # type: ignore[arg-type]


def test_a_run_says_what_its_lower_bound_is_for() -> None:
    """The greatest bound of the class of the schedule, with the class; the universal one beside it."""
    found = small()
    bound, least = found.lower_bound
    at = setting(300, 6, 2, 60)
    assert (bound, least) == max(((b, w) for b, w, _ in applicable(at)), key=lambda pair: pair[1])
    assert found.to_dict()["lower_bound_class"] == bound.about == "sums of monomials, one-shot"
    assert found.to_dict()["universal_lower_bound_words"] == 4 * 300 * 6
    assert found.to_dict()["io_over_lower_bound"] == found.io_words / least
    assert found.holds


def test_a_violated_bound_fails_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that moved half of what it does would be refuted: here the bound is doubled."""
    doubled = replace(ONE_SHOT, formula=lambda x: 3 * ONE_SHOT.formula(x))
    monkeypatch.setattr(module, "SEGMENTS", (doubled,))
    found = small()
    assert [check.name for check in found.checks if not check.holds] == ["count at least each lower bound"]
    assert not found.holds


def test_classes_that_a_schedule_is_not_in() -> None:
    """A coefficient zero needs fewer features: no bound but that of inputs and outputs."""
    from iosim.plan_bounds import setting as of

    problem = Problem(n=300, d=6, degree=2, coefficients=(1.0, 0.0, 1.0))
    plan = approx.best(problem, 60)
    assert not of(problem, plan, 60, approx).properties & SUMS_OF_MONOMIALS
    again = of(replace(problem, coefficients=(1.0, 1.0, 1.0)), replace(plan, recomputes=True), 60, approx)
    assert again.properties & SUMS_OF_MONOMIALS == SUMS_OF_MONOMIALS - {"one-shot"}


# At the command line


def test_bounds_by_degree_at_given_sizes() -> None:
    """Each bound once, with its class, its value, and what a row needs."""
    found = json.loads(report("--degree", "2", "--n", "4096", "--d", "16", "--M", "100w", "--json"))
    values = {group["lines"][0]["lower_bound"]: group["lines"][0]["words"] for group in found["bounds"][1:]}
    assert values == words(setting(4096, 16, 2, 100))
    assert found["bounds"][1]["holds_for"] == ONE_SHOT.about
    assert found["lower_bound_words"] == 4 * 4096 * 16
    # r d = 153 * 16
    assert f"a row needs C = {words_of_a_row(2, 16, 2448, 100)} words to make T = r d_v = 2,448 products" in report(
        "--degree", "2", "--n", "4096", "--d", "16", "--M", "100w"
    )


def test_bounds_by_degree_in_symbols() -> None:
    """All bounds of the degree; for g = 2 the leading term is 2 A_2 n r d M^(-2/3), A_2 = (3/2) 4^(1/3)."""
    found = json.loads(report("--degree", "2", "--json"))
    assert [group["lines"][0]["lower_bound"] for group in found["bounds"][1:]] == [bound.name for bound in bounds(2)]
    simplified = found["bounds"][1]["lines"][2]
    assert simplified["expression"] == "3*2^(2/3)*d*n*r/M^(2/3)"
    assert "if m >= M and m >= N/n_q" in " ".join(report("--degree", "2").split())
    assert r"C \left(n_{k} + n_{q}\right) - \frac{T n_{k}}{m}" in report("--degree", "1", "--latex")


def test_bounds_for_sums_used_early() -> None:
    """--chunk is m."""
    args = ("--degree", "2", "--n", "4096", "--d", "16", "--M", "100w", "--chunk", "512")
    found = json.loads(report(*args, "--json"))
    values = {group["lines"][0]["lower_bound"]: group["lines"][0]["words"] for group in found["bounds"][1:]}
    assert values == words(setting(4096, 16, 2, 100, m=512))
    assert "m = 512 rows" in found["problem"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--degree", "0"), "--degree 0: allowed: whole numbers from 1 to 64"),
        (("--degree", "65"), "--degree 65: allowed: whole numbers from 1 to 64"),
        (("--degree", "2", "--mask", "causal"), "--mask with --degree; allowed: neither mask nor tie"),
        (("--degree", "2", "--einsum", "ik,kj->ij"), "--degree with --einsum; allowed: neither mask"),
        (("--chunk", "2"), "--chunk without --degree; allowed: with it"),
        (("--degree", "2", "--chunk", "2"), "--chunk without --n and --M; allowed: with them"),
        (("--degree", "2", "--n", "9", "--M", "9w", "--chunk", "10"), "--chunk 10: allowed: at most 9 keys"),
    ],
)
def test_flags_that_do_not_fit(args: tuple[str, ...], message: str) -> None:
    """One line that says what is allowed, and exit code 2."""
    result = CliRunner().invoke(main, ["bounds", *args])
    assert result.exit_code == 2
    assert message in result.stderr
