"""Sizes are exact: normal form, quotients, sums, evaluation, and the way to sympy."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.errors import CountError, ProgramError
from iosim.expr import (
    Expr,
    Size,
    binomial,
    ceil_div,
    collect,
    evaluate,
    evaluate_int,
    floor_div,
    free_symbols,
    maximum,
    minimum,
    monomial_count,
    power_sum,
    sum_over,
    symbol,
    symbols,
    to_sympy,
)

N, D, B = symbols("n", "d", "B")
positive = st.integers(1, 60)
values = st.fixed_dictionaries({"n": positive, "d": positive, "B": positive})


def _grown(inner: st.SearchStrategy[Size]) -> st.SearchStrategy[Size]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda x: x[0] + x[1]),
        two.map(lambda x: x[0] - x[1]),
        two.map(lambda x: x[0] * x[1]),
        st.tuples(inner, st.sampled_from([B, 3, 7])).map(lambda x: ceil_div(*x)),
        st.tuples(inner, st.sampled_from([B, 3, 7])).map(lambda x: floor_div(*x)),
        two.map(lambda x: minimum(*x)),
        two.map(lambda x: maximum(*x)),
    )


expressions = st.recursive(st.one_of(st.sampled_from([N, D, B]), st.integers(-5, 5)), _grown, max_leaves=7)


@given(expressions, expressions, values)
def test_arithmetic_before_evaluation_is_arithmetic_after(a: Size, b: Size, at: dict[str, int]) -> None:
    """Sums, differences, products and extrema commute with giving the symbols values."""
    x, y = evaluate_int(a, at), evaluate_int(b, at)
    assert evaluate_int(a + b, at) == x + y
    assert evaluate_int(a - b, at) == x - y
    assert evaluate_int(a * b, at) == x * y
    assert evaluate_int(minimum(a, b), at) == min(x, y)
    assert evaluate_int(maximum(a, b), at) == max(x, y)


@given(expressions, st.one_of(st.just(B), st.integers(1, 9)), values)
def test_quotients_round_exactly(a: Size, b: Size, at: dict[str, int]) -> None:
    """Ceiling and floor of a quotient are those of the integers, at any sign."""
    x, y = evaluate_int(a, at), evaluate_int(b, at)
    assert evaluate_int(ceil_div(a, b), at) == -(-x // y)
    assert evaluate_int(floor_div(a, b), at) == x // y


@given(expressions, values, st.sampled_from("ndB"))
def test_values_may_be_given_one_after_the_other(a: Size, at: dict[str, int], first: str) -> None:
    """Evaluating at some sizes and then at the others is evaluating at all of them."""
    assert evaluate(evaluate(a, {first: at[first]}), at) == evaluate_int(a, at)


@given(expressions, values)
def test_sympy_has_the_same_value(a: Size, at: dict[str, int]) -> None:
    """The sympy expression of a size has the same value, ceilings and floors included."""
    import sympy

    names = {sympy.Symbol(name, integer=True, positive=True): value for name, value in at.items()}
    assert sympy.sympify(to_sympy(a)).subs(names) == evaluate_int(a, at)


def test_equal_polynomials_are_equal_values() -> None:
    """The normal form does not remember in which order an expression was written."""
    assert (N + D) * (N - D) == N * N - D * D
    assert hash((N + D) ** 2) == hash(N**2 + 2 * N * D + D**2)
    assert N - N == 0
    assert ceil_div(N * B + 3, B) == N + ceil_div(3, B)
    assert ceil_div(6 * N + 4, 3) == 2 * N + 2  # ceil(4/3) = 2
    assert minimum(N + 1, N) == N


@given(st.integers(0, 5), st.integers(0, 30))
def test_power_sums(exponent: int, count: int) -> None:
    """The sum of t^p is the sum of t^p."""
    direct = sum(t**exponent for t in range(count))
    assert evaluate_int(power_sum(exponent, count), {}) == direct
    assert evaluate_int(power_sum(exponent, N), {"n": count}) == direct


quotient = st.tuples(st.integers(-9, 20), st.integers(-30, 30), st.integers(1, 9), st.booleans())


@given(quotient, st.integers(0, 2), st.integers(0, 1), st.integers(0, 40))
def test_sums_of_floors_and_ceilings_are_exact(
    line: tuple[int, int, int, bool], exponent: int, power: int, count: int
) -> None:
    """Sums of t^p q^k, q the quotient of an affine function of t, are those of the single terms."""
    a, b, c, up = line
    t = symbol("t")
    q = (ceil_div if up else floor_div)(a * t + b, c)
    term = q**exponent * t**power + 5 * t - 2
    assert sum_over(term, "t", count) == sum(evaluate_int(term, {"t": x}) for x in range(count))


def test_sums_of_floors_need_no_loop() -> None:
    """A sum of 2^40 ceilings, by pairing: ceil((2t + 1)/2) = t + 1, so it is 1 + 2 + ... + 2^40."""
    t = symbol("t")
    assert sum_over(ceil_div(2 * t + 1, 2), "t", 2**40) == 2**40 * (2**40 + 1) // 2
    # floor((3t+1)/2) over t < 2m: even t=2u gives 3u, odd t=2u+1 gives 3u+2
    m = 2**39
    assert sum_over(floor_div(3 * t + 1, 2), "t", 2 * m) == 2 * 3 * (m * (m - 1) // 2) + 2 * m


def test_a_sum_that_is_not_known_is_kept_or_refused() -> None:
    """A sum without closed form stays a sum while it has symbols, and is refused when it is too long to add up."""
    t = symbol("t")
    term = ceil_div(t * t, 7)
    kept = sum_over(term, "t", N)
    assert free_symbols(kept) == {"n"}
    assert evaluate_int(kept, {"n": 20}) == sum(math.ceil(x * x / 7) for x in range(20))
    with pytest.raises(CountError, match="no closed form"):
        sum_over(term, "t", 2**40)


@given(st.integers(0, 12), st.integers(0, 5))
def test_binomials(n: int, k: int) -> None:
    """C(n, k) as a polynomial in n is C(n, k)."""
    assert evaluate_int(binomial(N, k), {"n": n}) == math.comb(n, k)


@given(st.integers(0, 5), st.integers(0, 4))
def test_monomials_are_counted_as_they_are_listed(variables: int, degree: int) -> None:
    """As many monomials as there are choices of at most `degree` factors, with numbers and in symbols."""
    listed = sum(1 for m in range(degree + 1) for _ in combinations_with_replacement(range(variables), m))
    assert monomial_count(variables, degree) == evaluate_int(monomial_count(N, degree), {"n": variables}) == listed


def test_collect_finds_coefficients_or_says_that_it_can_not() -> None:
    """A polynomial is taken apart by the exponents of the variables; a variable in a quotient has none."""
    assert collect(3 * N * N * D + N - 4, "n") == {(2,): 3 * D, (1,): 1, (0,): -4}
    assert collect(ceil_div(N, B) * D, "d") == {(1,): ceil_div(N, B)}
    assert collect(ceil_div(N, B) * D, "n") is None


def test_an_expression_has_no_order_and_no_truth() -> None:
    """Comparing and testing raise: what depends on sizes is not known before they are."""
    for compare in (lambda: N < 3, lambda: N >= D, lambda: bool(N - D)):
        with pytest.raises(ProgramError):
            compare()


def test_bad_values_are_refused() -> None:
    """No division by less than one, no fraction of a word, no missing value."""
    with pytest.raises(CountError, match="division"):
        evaluate_int(ceil_div(N, B), {"n": 4, "B": 0})
    with pytest.raises(CountError, match="not a whole number"):
        evaluate_int(Expr({(("n", 1),): 1}) * N * binomial(N, 2) + binomial(D, 2) * _half(), {"n": 1, "d": 3})
    with pytest.raises(CountError, match="no value for d"):
        evaluate_int(N * D, {"n": 4})


def _half() -> Size:
    """n (n-1)/2 / 3 at n = 1 ... a polynomial that is not whole everywhere."""
    from fractions import Fraction

    return N * Fraction(1, 2)


def test_text_is_ordered() -> None:
    """Terms come by falling degree, then by name."""
    assert str(2 * N * D * ceil_div(N, B) + 2 * N * D - 1) == "2*d*n*ceil(n/B) + 2*d*n - 1"
    assert str(ceil_div(N + 1, 2 * B)) == "ceil((n + 1)/(2*B))"


@given(st.integers(0, 3), st.integers(0, 3))
def test_powers(i: int, j: int) -> None:
    """(n + d)^i (n + d)^j = (n + d)^(i + j), at all small values."""
    for n, d in product(range(1, 4), repeat=2):
        assert evaluate_int((N + D) ** i * (N + D) ** j, {"n": n, "d": d}) == (n + d) ** (i + j)
