"""What a polynomial in place of the exponential does to the output, and what degree it needs."""

from __future__ import annotations

import sympy
from sympy import And, Ge, Gt, Implies, Le, Rational, sqrt

from iosim.bounds.polynomial import LEAST_DEGREE, OUTPUT_ERROR
from iosim.proof import argue, cases, cite, identity, prove, refute
from iosim.proof.reals import Measured
from iosim.proof.theorem import DEFINED, DEGREE, ERROR, Conclusions, claim_of, expression_of, regime_of, theorem

e, v = (sympy.Symbol(name, positive=True) for name in OUTPUT_ERROR.letters)
R, L = (sympy.Symbol(name, positive=True) for name in ("R", "L"))
a, c = DEFINED["a"], DEFINED["c"]
DEVIATION = Measured("D", "sum of a_j |delta_j - m|", of=(e, v))
ONE_AND_MEAN = Measured("1 + m", "1 + sum of a_j delta_j", of=(e, v))
m = sympy.Symbol("m", real=True)
delta = sympy.Symbol("delta", real=True)


@theorem
def output_error_of_approximate_weights() -> Conclusions:
    """The error of attention whose weights have a relative error.

    Statement: if every weight is off by a factor of 1 + delta_j with |delta_j| <= e < 1, an output changes by at most
        (1 - sqrt(1 - e^2))/e times the range of its column of V; this is attained.
    Hypotheses: weights are positive, an output is the mean of values with these weights.
    Does not say: anything on absolute errors of weights, or on rounding.
    Source: this proof.
    """
    # 1. With a_j the weights over their sum, and m = sum a_j delta_j.
    w = sympy.symbols("w_1 w_2 w_3", positive=True)
    x, d = sympy.symbols("v_1 v_2 v_3", real=True), sympy.symbols("d_1 d_2 d_3", nonnegative=True)
    total = sum(w)
    share = [weight / total for weight in w]
    mean = sum(s * y for s, y in zip(share, d, strict=True))
    new = sum(s * (1 + y) * z for s, y, z in zip(share, d, x, strict=True)) / (1 + mean)
    moved = sum(s * (y - mean) * z for s, y, z in zip(share, d, x, strict=True)) / (1 + mean)
    three = identity("three keys", new - sum(s * z for s, z in zip(share, x, strict=True)), moved)
    shifted = argue(
        "the change is the sum of a_j (delta_j - m) v_j/(1 + m); the factors of v_j add up to 0, so that v may be shifted "
        "to the middle of its range, which is at most v/2 away; and m, as a mean, is between -e and e",
        And(Le(2 * ONE_AND_MEAN * ERROR, v * DEVIATION), Le(1 - e, ONE_AND_MEAN), Le(ONE_AND_MEAN, 1 + e)),
        beside=[three],
    )
    # 2. |delta - m| is convex in delta, below the line through its values at -e and e; the mean of the line is at delta = m.
    line = prove(
        "|delta - m| is below the line through its ends",
        And(*(Le(2 * e * z, (e + delta) * (e - m) + (e - delta) * (e + m)) for z in (delta - m, m - delta))),
        given=[Le(-e, delta), Le(delta, e), Le(-e, m), Le(m, e)],
        refuted=And(*(Le(3 * e * z, (e + delta) * (e - m) + (e - delta) * (e + m)) for z in (delta - m, m - delta))),
    )
    # 3. So the change is at most v/2 (e^2 - m^2)/(e (1 + m)), which is greatest at m = sqrt(1 - e^2) - 1.
    greatest = prove(
        "(e^2 - m^2)/(1 + m) is greatest at m = sqrt(1 - e^2) - 1",
        Le(e**2 - m**2, 2 * (1 - sqrt(1 - e**2)) * (1 + m)),
        given=[sympy.Lt(e, 1), Le(-e, m), Le(m, e)],
        refuted=Le(e**2 - m**2, Rational(199, 100) * (1 - sqrt(1 - e**2)) * (1 + m)),
    )
    on_average = argue(
        "the mean of the line, where the mean of delta_j is m, is (e^2 - m^2)/e",
        Le(e * DEVIATION, e**2 - (ONE_AND_MEAN - 1) ** 2),
        using=[line],
    )
    at_most = prove(
        "the change, times e",
        Le(ERROR * e, v * (1 - sqrt(1 - e**2))),
        given=[sympy.Lt(e, 1)],
        using=[shifted, on_average, greatest.at({m: ONE_AND_MEAN - 1})],
        refuted=Le(ERROR * e, v * (1 - sqrt(1 - e**2)) * Rational(99, 100)),
    )
    at_one = argue(
        "for e = 1, weights may vanish, and the mean stays within the range", Le(ERROR, v), given=[sympy.Eq(e, 1)]
    )
    below = prove(
        "for e < 1",
        claim_of(OUTPUT_ERROR),
        given=[sympy.Lt(e, 1)],
        using=[at_most],
        refuted=Le(ERROR, Rational(99, 100) * expression_of(OUTPUT_ERROR)),
    )
    at_its_end = prove(
        "for e = 1",
        claim_of(OUTPUT_ERROR),
        given=[sympy.Eq(e, 1)],
        using=[at_one],
        refuted=Le(ERROR, Rational(99, 100) * expression_of(OUTPUT_ERROR)),
    )
    # 4. Attained: weights 1/3 and 2/3, errors 3/5 and -3/5, values 1 and 0: the output moves from 1/3 to 2/3.
    refute(
        "one percent less",
        Implies(sympy.Lt(e, 1), Le(ERROR, Rational(99, 100) * expression_of(OUTPUT_ERROR))),
        {e: Rational(3, 5), v: 1, ERROR: _moved(Rational(3, 5))},
    )
    return {
        OUTPUT_ERROR: cases("the error of an output, either way", [below, at_its_end], given=regime_of(OUTPUT_ERROR))
    }


def _moved(size: Rational) -> Rational:
    """What errors +size and -size do to the mean of 1 and 0, with the weights for which they do most."""
    mean = sqrt(1 - size**2) - 1
    first, second = (1 + mean / size) / 2, (1 - mean / size) / 2
    new = first * (1 + size) / (first * (1 + size) + second * (1 - size))
    return Rational(sympy.nsimplify(new - first))


@theorem
def degree_of_a_polynomial_near_exp() -> Conclusions:
    """The degree that a relative error needs.

    Statement: a polynomial with |p(s)/exp(s) - 1| <= eps on [-R, R] has degree at least
        (2R - L - ln((1+eps)/(1-eps)))/arccosh(4R/L - 1) for every L <= R; that grows like 0.58 R.
    Hypotheses: 0 < eps < 1.
    Does not say: anything on absolute errors; that it is the least degree, which is R and a little more.
    Source: this proof, with the growth of polynomials outside an interval by Chebyshev.
    """
    below = argue("on [-R, -R + L], |p| is at most (1 + eps) exp(L - R)")
    growth = cite(
        "Chebyshev growth: a polynomial of degree g with |p| <= 1 on an interval of length L is at most T_g(1 + 2x/L) at a "
        "distance of x from it; R is 2R - L away from [-R, -R + L], so that T_g(4R/L - 3 + 2) = cosh(g arccosh(4R/L - 1))",
        "T. J. Rivlin, Chebyshev Polynomials, 2nd ed., Wiley 1990, section 2.7",
    )
    y = sympy.Symbol("y", positive=True)
    cosh = prove(
        "cosh(x) <= exp(x) for x >= 0, with y = exp(x)",
        Le((y + 1 / y) / 2, y),
        given=[Ge(y, 1)],
        refuted=Le((y + 1 / y) / 2, y * Rational(9, 10)),
    )
    grown = argue(
        "p(R) is at least (1 - eps) exp(R) and at most (1 + eps) exp(L - R) exp(g c): the logarithms of both",
        Ge(DEGREE * c, 2 * R - L - a),
        given=[Ge(R, L)],
        using=[below, growth, cosh],
    )
    positive = argue("4R/L - 1 is at least 3", Gt(c, 0), given=[Ge(R, L)])
    inside = prove(
        "for L up to R",
        claim_of(LEAST_DEGREE),
        given=[Ge(R, L)],
        using=[grown, positive],
        refuted=Ge(DEGREE, 2 * (2 * R - L - a) / c),
    )
    # R = 16, eps = 1/10: degree 18 is enough, and with L = 8 the bound is 9.03; a < 0.201, c < 2.634
    enough = cite(
        "degree 18 has a relative error of 1/10 on [-16, 16]", "iosim.approximation.minimax, computed by Remez exchange"
    )
    refute(
        "2.2 times the degree",
        Implies(
            And(Le(a, Rational(201, 1000)), Le(c, Rational(2634, 1000)), Ge(R, L)),
            Ge(DEGREE, Rational(22, 10) * (2 * R - L - a) / c),
        ),
        {R: 16, L: 8, a: Rational(201, 1000), c: Rational(2634, 1000), DEGREE: 18},
        using=[enough],
    )
    return {LEAST_DEGREE: inside}
