"""What minimax_exp promises, checked with other formulas and in exact arithmetic."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, workdps

from iosim.approximation import minimax
from iosim.approximation.minimax import (
    degree_lower_bound,
    minimax_exp,
    smallest_degree,
    softmax_output_error,
    taylor_degree,
)
from iosim.errors import CountError, UsageError

CASES = [(0, 1.0), (1, 0.5), (2, 1.0), (5, 2.0), (9, 4.0), (10, 8.0), (24, 16.0), (3, 12.0), (8, 1.7)]

# R, eps, degree of Taylor's polynomial, minimax degree, its error
TABLE = [
    (0.5, 1e-1, 2, 1, "6.2e-02"),
    (0.5, 1e-2, 3, 2, "5.1e-03"),
    (0.5, 1e-3, 4, 3, "3.2e-04"),
    (1.0, 1e-1, 3, 2, "4.0e-02"),
    (1.0, 1e-2, 5, 3, "5.0e-03"),
    (1.0, 1e-3, 6, 4, "5.0e-04"),
    (2.0, 1e-1, 7, 3, "7.1e-02"),
    (2.0, 1e-2, 8, 5, "2.5e-03"),
    (2.0, 1e-3, 10, 6, "3.6e-04"),
    (4.0, 1e-1, 14, 6, "3.3e-02"),
    (4.0, 1e-2, 15, 7, "8.5e-03"),
    (4.0, 1e-3, 17, 9, "4.0e-04"),
    (8.0, 1e-1, 28, 10, "5.9e-02"),
    (8.0, 1e-2, 30, 12, "7.2e-03"),
    (8.0, 1e-3, 31, 14, "6.3e-04"),
]


def error_at(coefficients, x):
    """p(x) exp(-x) - 1, p summed exactly and exp to 60 digits beyond what exp(-R) cancels."""
    value = sum(Fraction(c) * Fraction(x) ** k for k, c in enumerate(coefficients))
    with workdps(150):
        return mp.mpf(value.numerator) / value.denominator * mp.exp(-mp.mpf(x)) - 1


def largest_on(coefficients, points):
    return max(abs(error_at(coefficients, x)) for x in points)


@pytest.mark.parametrize(("R", "eps", "taylor", "degree", "reached"), TABLE)
def test_the_table_of_smallest_degrees(R, eps, taylor, degree, reached):
    """The degrees that Taylor and the best polynomial need, and the error reached, are those of the published table."""
    best = smallest_degree(eps, R)
    assert (taylor_degree(eps, R), best.degree, f"{best.relative_error:.1e}") == (taylor, degree, reached)
    assert degree == 0 or minimax_exp(degree - 1, R).lower_error > eps


@pytest.mark.parametrize(("eps", "degree"), [(1e-1, 18), (1e-2, 21), (1e-3, 24)])
def test_range_sixteen_needs_a_degree_a_little_above_sixteen(eps, degree):
    """On [-16, 16] the smallest degree is 16 plus a few, and float64 coefficients still reach it."""
    best = smallest_degree(eps, 16.0)
    assert best.degree == degree
    assert best.relative_error <= eps < minimax_exp(degree - 1, 16.0).lower_error


@pytest.mark.parametrize("R", range(1, 9))
def test_at_degree_R_the_error_is_about_a_quarter(R):
    """The best error of degree R on [-R, R] hardly depends on R."""
    assert 0.23 < minimax_exp(R, float(R)).relative_error < 0.312


@pytest.mark.parametrize("R", [1e-6, 0.3, 1.0, 5.0, 17.0])
def test_the_best_constant_has_error_tanh_R(R):
    """At degree 0 the answer is known: 1/cosh(R), with error tanh(R)."""
    best = minimax_exp(0, R)
    assert best.coefficients[0] == pytest.approx(1 / math.cosh(R), rel=1e-15)
    assert best.relative_error == pytest.approx(math.tanh(R), rel=1e-9)


@pytest.mark.parametrize(("degree", "R"), CASES)
def test_the_error_equioscillates(degree, R):
    """At g+2 increasing points from -R to R the error alternates in sign and has the certified size."""
    best = minimax_exp(degree, R)
    errors = [error_at(best.coefficients, x) for x in best.extrema]
    assert len(best.extrema) == degree + 2
    assert (best.extrema[0], best.extrema[-1]) == (-R, R)
    assert all(x < y for x, y in pairwise(best.extrema))
    assert all(a * b < 0 for a, b in pairwise(errors))
    assert all(abs(e) == pytest.approx(best.relative_error, rel=2e-6) for e in errors)


@pytest.mark.parametrize(("degree", "R"), CASES)
def test_the_two_bounds_meet(degree, R):
    """Nothing of that degree can be better by more than a millionth."""
    best = minimax_exp(degree, R)
    assert best.lower_error <= best.relative_error <= best.lower_error * (1 + 1e-6)


@pytest.mark.parametrize(("degree", "R"), CASES)
def test_lower_error_follows_from_the_extrema_alone(degree, R):
    """Weights that annihilate all polynomials of the degree, applied to exp, give lower_error."""
    best = minimax_exp(degree, R)
    with workdps(150):
        points = [mp.mpf(x) for x in best.extrema]
        # Lagrange's weights: sum_i w_i p(x_i) = 0 for every p of degree <= g, on g+2 points
        weights = [1 / mp.fprod(x - y for y in points if y != x) for x in points]
        exp = [w * mp.exp(x) for w, x in zip(weights, points, strict=True)]
        lower = abs(mp.fsum(exp)) / mp.fsum(abs(y) for y in exp)
        assert lower * (1 - mp.mpf(2) ** -50) <= best.lower_error <= lower


@pytest.mark.parametrize(("degree", "R"), [(2, 1.0), (5, 2.0), (10, 8.0)])
def test_no_perturbation_does_better(degree, R):
    """Whichever way and however far the coefficients are moved, some extremum has an error of at least lower_error."""
    rng = np.random.default_rng(degree)
    best = minimax_exp(degree, R)
    for size in 10.0 ** rng.uniform(-16, 0, 100):
        other = np.array(best.coefficients) * (1 + size * rng.standard_normal(degree + 1))
        assert largest_on(other.tolist(), best.extrema) >= best.lower_error


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*CASES, (20, 1.0), (30, 20.0), (40, 36.0)]), st.floats(-1, 1))
def test_no_point_exceeds_relative_error(case, t):
    """relative_error bounds the error of the float64 coefficients at every point, where rounding dominates as well."""
    best = minimax_exp(*case)
    assert abs(error_at(best.coefficients, t * best.logit_bound)) <= best.relative_error


@pytest.mark.parametrize(("degree", "R"), [*CASES, (20, 1.0), (30, 20.0), (40, 36.0), (40, 1e-6)])
def test_relative_error_is_attained(degree, R):
    """The certified maximum is no overestimate: a grid with the ends comes within two percent from below."""
    best = minimax_exp(degree, R)
    grid = [*(R * np.cos(np.linspace(0, np.pi, 8 * degree + 2))).tolist(), *best.extrema]
    assert 0.98 * best.relative_error <= largest_on(best.coefficients, grid) <= best.relative_error


@pytest.mark.parametrize("k", range(6))
@pytest.mark.parametrize("factor", [1 - 1e-3, 1 + 1e-3])
def test_a_changed_coefficient_is_found_out(k, factor):
    """Moving any one coefficient by a thousandth makes the certified error larger."""
    best = minimax_exp(5, 2.0)
    mutant = list(best.coefficients)
    mutant[k] *= factor
    assert minimax._upper_bound(mutant, 2.0) > 1.001 * best.relative_error


@pytest.mark.parametrize(
    ("coefficients", "R"),
    [([1.0, 1.0, 0.5], 1.0), ([1.0, 1.0, 0.5, 0.25], 2.0), ([1.0, 0.0, 1.0], 1.0), ([1.0, 0.0, 1.0], 2.0)],
)
def test_an_even_root_of_the_slope_is_no_turning_point(coefficients, R):
    """Where p' - p has a double root (at 0; at 1, which is also an end) the certified maximum is still right."""
    grid = np.linspace(-R, R, 401).tolist()
    assert minimax._upper_bound(coefficients, R) == pytest.approx(float(largest_on(coefficients, grid)), rel=1e-4)


def test_a_turning_point_in_the_middle_is_not_lost():
    """64 (p' - p) = x/4 - x^3 has three roots; the largest error on [-0.6, 0.6] is at 0, where the interval is halved."""
    assert minimax._upper_bound([5.75 / 64, 5.75 / 64, 3 / 64, 1 / 64], 0.6) == pytest.approx(1 - 5.75 / 64, rel=1e-15)


def test_roots_that_bisection_cannot_separate_are_refused():
    """p = x^2 + 1 has p' - p = -(x-1)^2, and 1 is no midpoint of [-3, 3]: no number rather than an unproved one."""
    with pytest.raises(CountError, match=r"several roots within .* of 1\.0$"):
        minimax._upper_bound([1.0, 0.0, 1.0], 3.0)


def test_an_exchange_that_does_not_level_is_refused(monkeypatch):
    """One exchange leaves unequal errors, and the message says which."""
    monkeypatch.setattr(minimax, "MAX_EXCHANGES", 1)
    with pytest.raises(CountError, match=r"degree=10.*errors from 0\.05\d* to 0\.0\d* at 12 extrema"):
        minimax_exp.__wrapped__(10, 8.0)


@pytest.mark.parametrize(("degree", "R"), [(40, 1e-6), (40, 40.0), (10, 40.0), (0, 40.0), (3, 1e-9), (2, 700.0)])
def test_extreme_ranges_keep_true_bounds(degree, R):
    """Where float64 can't do justice to the optimum (too good, or exp(-R) lost) the bounds are far apart but true."""
    best = minimax_exp(degree, R)
    assert 0 <= best.lower_error <= 1
    assert best.lower_error <= best.relative_error
    assert largest_on(best.coefficients, best.extrema) <= best.relative_error


@pytest.mark.parametrize("R", [0.5, 2.0, 8.0, 16.0, 40.0])
@pytest.mark.parametrize("eps", [0.5, 1e-1, 1e-3])
def test_degree_lower_bound_is_one(R, eps):
    """One degree below the lower bound nothing reaches eps, and the bound grows like 0.58 R."""
    bound = degree_lower_bound(eps, R)
    assert bound > 0.58 * R - 2
    assert bound == 0 or minimax_exp(bound - 1, R).lower_error > eps


@pytest.mark.parametrize(("eps", "R"), [(1e-1, 0.5), (1e-2, 2.0), (1e-3, 8.0), (1e-6, 20.0)])
def test_taylor_degree_is_the_first_that_will_do(eps, R):
    """On a grid Taylor's polynomial of that degree stays within eps, and the one before does not."""
    degree = taylor_degree(eps, R)
    taylor = [Fraction(1, math.factorial(k)) for k in range(degree + 1)]
    grid = np.linspace(-R, R, 41).tolist()
    assert largest_on(taylor, grid) <= eps < largest_on(taylor[:-1], grid)


def attention(weights, V):
    return weights @ V / weights.sum()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 0.999), st.booleans())
def test_softmax_output_error_bounds_every_output(seed, eps, extreme):
    """Whatever the weights, the values and errors of up to eps, the output moves by at most the factor times the range."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    weights, V = np.exp(rng.uniform(-6, 6, n)), rng.standard_normal((n, 3))
    delta = eps * (rng.choice([-1.0, 1.0], n) if extreme else rng.uniform(-1, 1, n))
    moved = abs(attention(weights * (1 + delta), V) - attention(weights, V))
    assert np.all(moved <= softmax_output_error(eps) * np.ptp(V, axis=0) + 1e-13)


@pytest.mark.parametrize("eps", [1e-3, 0.1, 0.5, 0.9, 0.999])
def test_softmax_output_error_is_attained(eps):
    """Errors +eps and -eps with mean sqrt(1-eps^2) - 1, values 1 and 0: a factor one per mille less would be false."""
    mean = math.sqrt(1 - eps**2) - 1
    weights = np.array([1 + mean / eps, 1 - mean / eps]) / 2  # sum 1, sum of weight times error = mean
    V = np.array([[1.0], [0.0]])
    moved = abs(attention(weights * (1 + eps * np.array([1.0, -1.0])), V) - attention(weights, V))[0]
    assert moved == pytest.approx(softmax_output_error(eps), rel=1e-10)
    assert moved > 0.999 * softmax_output_error(eps)


@pytest.mark.parametrize("eps", [0.0, 1e-300, 1e-12, 1e-5, 0.3, 0.999999999])
def test_softmax_output_error_does_not_cancel(eps):
    """The stable form agrees with (1 - sqrt(1-eps^2)) / eps in many digits."""
    with workdps(700):
        exact = (1 - mp.sqrt(1 - mp.mpf(eps) ** 2)) / eps if eps else 0
    assert softmax_output_error(eps) == pytest.approx(float(exact), rel=1e-14, abs=0)


@pytest.mark.parametrize(("eps", "R"), [(1e-1, 1.0), (1e-2, 2.0), (1e-3, 4.0)])
def test_polynomial_attention_stays_within_the_bound(eps, R):
    """With the polynomial in place of exp, scores in [-R, R] and random values, the output error is within the bound."""
    rng = np.random.default_rng(7)
    p = smallest_degree(eps, R)
    scores, V = rng.uniform(-R, R, (50, 20)), rng.standard_normal((20, 4))
    for s in scores:
        moved = abs(attention(p(s), V) - attention(np.exp(s), V))
        assert np.all(moved <= softmax_output_error(p.relative_error) * np.ptp(V, axis=0))


@pytest.mark.parametrize("degree", [0, 1, 6])
def test_calling_it_evaluates_numbers_and_arrays(degree):
    """A float gives a float, an array an array of its shape, and both are p(x)."""
    p = minimax_exp(degree, 2.0)
    x = np.linspace(-2, 2, 12).reshape(3, 4)
    assert p(x).shape == x.shape
    assert isinstance(p(0.5), float)
    assert p(x) == pytest.approx(np.polynomial.polynomial.polyval(x, p.coefficients), rel=1e-13)
    assert p(x)[1, 2] == p(float(x[1, 2]))


def test_repeated_questions_are_remembered():
    """The same question gives the same object."""
    assert minimax_exp(4, 1.0) is minimax_exp(4, 1.0)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda: minimax_exp(-1, 1.0), "degree is -1"),
        (lambda: minimax_exp(2.5, 1.0), r"degree is 2\.5"),
        (lambda: minimax_exp(True, 1.0), "degree is True"),
        (lambda: minimax_exp(2, 0.0), r"logit_bound is 0\.0, allowed is 1e-09 to 700"),
        (lambda: minimax_exp(2, math.inf), "logit_bound is inf"),
        (lambda: minimax_exp(2, math.nan), "logit_bound is nan"),
        (lambda: smallest_degree(0.0, 1.0), r"eps is 0\.0, allowed is 0 < eps < 1"),
        (lambda: smallest_degree(1.0, 1.0), r"eps is 1\.0"),
        (lambda: smallest_degree(math.nan, 1.0), "eps is nan"),
        (lambda: smallest_degree(0.1, -1.0), r"logit_bound is -1\.0"),
        (lambda: smallest_degree(1e-3, 8.0, max_degree=10), r"no polynomial of degree 10 has an error below 0\.0\d+;"),
        (lambda: smallest_degree(1e-3, 8.0, max_degree=4), r"degree 5 is necessary \(degree_lower_bound\)"),
        (lambda: smallest_degree(1e-11, 16.0), r"exact coefficients, [2-9]\.\de-10 with float64 ones; allowed"),
        (lambda: degree_lower_bound(2.0, 1.0), r"eps is 2\.0"),
        (lambda: degree_lower_bound(0.1, 701.0), r"logit_bound is 701\.0"),
        (lambda: taylor_degree(-0.1, 1.0), r"eps is -0\.1"),
        (lambda: taylor_degree(0.1, 0.0), r"logit_bound is 0\.0"),
        (lambda: softmax_output_error(1.0), r"relative_error is 1\.0, allowed is 0 <= it < 1"),
        (lambda: softmax_output_error(-1e-9), "relative_error is -1e-09"),
        (lambda: softmax_output_error(math.nan), "relative_error is nan"),
    ],
)
def test_questions_without_an_answer_say_what_is_allowed(question, message):
    """A value outside the domain is refused with the value and the domain."""
    with pytest.raises(UsageError, match=message):
        question()
