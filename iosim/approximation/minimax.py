"""Which polynomial is nearest to exp in relative error on [-R, R], and what that error does to softmax attention.

Every error here is certified: an upper bound is taken over all points where the error can turn, a lower bound is de la
Vallee-Poussin's, both in interval arithmetic and rounded outward.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from iosim.bounds.bound import Letters
from iosim.bounds.polynomial import LEAST_DEGREE, OUTPUT_ERROR
from iosim.errors import CountError, UsageError

MIN_LOGIT_BOUND = 1e-9  # from here down 1 + x is exp to the last bit
MAX_LOGIT_BOUND = 700.0  # a float64 exp overflows just above 709
EQUAL = 1e-12  # relative difference of the extremal errors at which the exchange stops
MAX_EXCHANGES = 60  # convergence is quadratic: 4 exchanges are usual, 22 the most seen (degree 40 on [-100, 100])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpPolynomial:
    """A polynomial near exp on [-logit_bound, logit_bound], with the best bounds known on its error.

    Args:
        degree: g.
        logit_bound: R.
        coefficients: c_0..c_g, of 1, x, .., x^g.
        relative_error: upper bound of |p(x) exp(-x) - 1| on the interval, for these coefficients and exact arithmetic.
            Evaluation in float64 adds about 2^-53 exp(2R), because the terms cancel near -R.
        lower_error: no polynomial of this degree, whatever its coefficients, has a smaller error.
        extrema: g+2 increasing points where the error of the best polynomial alternates; they certify lower_error.
    """

    degree: int
    logit_bound: float
    coefficients: tuple[float, ...]
    relative_error: float
    lower_error: float
    extrema: tuple[float, ...]

    @overload
    def __call__(self, x: float) -> float: ...
    @overload
    def __call__(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: ...
    def __call__(self, x: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
        """p(x) by Horner's rule; the bounds say nothing outside [-logit_bound, logit_bound]."""
        value: float | npt.NDArray[np.float64] = _horner(self.coefficients, x)
        return value + 0.0 * x  # gives a constant the shape of x

    def __str__(self) -> str:
        return f"degree {self.degree} on [-{self.logit_bound:g}, {self.logit_bound:g}]: error {self.relative_error:.2g}"


@lru_cache(maxsize=256, typed=True)  # True and 2.0 must not find the entry of 1 and 2
def minimax_exp(degree: int, logit_bound: float) -> ExpPolynomial:
    """The polynomial of this degree with the least max |p(x) exp(-x) - 1| on [-logit_bound, logit_bound].

    Rounding its coefficients to float64 adds about 2^-53 exp(R): invisible up to R = 16, fatal from R = 30.
    relative_error includes it, lower_error does not depend on it.

    Args:
        degree: g, at least 0.
        logit_bound: R, half the range of a row's scores (softmax does not see a shift), in [1e-9, 700].
    Returns:
        The polynomial with its certificates.
    Raises:
        UsageError: for a degree or a logit bound outside these ranges.
        CountError: if the exchange does not reach equal, alternating errors.
    Source: E. Remez (1934), with the exchange of all points; C. de la Vallee-Poussin (1910) for the lower bound.
    Example:
        >>> p = minimax_exp(2, 1.0)
        >>> print(p)
        degree 2 on [-1, 1]: error 0.04
        >>> p.relative_error / p.lower_error < 1 + 1e-9
        True
    """
    where = f"minimax_exp(degree={degree!r}, logit_bound={logit_bound!r})"
    if not isinstance(degree, int) or isinstance(degree, bool) or degree < 0:
        raise UsageError(f"{where}: degree is {degree!r}, allowed are the integers from 0")
    R = _checked(where, logit_bound)
    ctx, _ = _contexts(degree, R)
    points = [ctx.mpf(x) for x in _kepler_points(degree, R)]
    for _ in range(MAX_EXCHANGES):
        _, coefficients = _levelled(ctx, points)
        points = _turning_points(ctx, coefficients, R)
        errors = [_error(ctx, coefficients, x) for x in points]
        least, most = min(map(abs, errors)), max(map(abs, errors))
        alternate = len(points) == degree + 2 and all(a * b < 0 for a, b in pairwise(errors))
        if not alternate or most - least <= EQUAL * least:
            break
    if not alternate or most - least > EQUAL * least:
        raise CountError(
            f"{where}: errors from {float(least):.12g} to {float(most):.12g} at {len(points)} extrema, alternating: "
            f"{alternate}; allowed are {degree + 2}, alternating, with sizes within {EQUAL} of each other"
        )
    rounded = _rounded(ctx, coefficients, points)
    extrema = tuple(float(x) for x in points)
    return ExpPolynomial(
        degree=degree,
        logit_bound=R,
        coefficients=rounded,
        relative_error=_upper_bound(rounded, R),
        lower_error=_lower_bound(extrema, R),
        extrema=extrema,
    )


def smallest_degree(eps: float, logit_bound: float, *, max_degree: int = 64) -> ExpPolynomial:
    """The minimax polynomial of the least degree whose certified relative error is at most eps.

    Args:
        eps: relative error allowed, in (0, 1).
        logit_bound: R, in [1e-9, 700].
        max_degree: where to give up.
    Returns:
        The polynomial; every smaller degree has lower_error > eps, except where rounding decides (R above 16).
    Raises:
        UsageError: for an eps or a logit bound outside these ranges; if no degree up to max_degree will do.
    Example:
        >>> [smallest_degree(eps, 8.0).degree for eps in (1e-1, 1e-2, 1e-3)]
        [10, 12, 14]
    """
    where = f"smallest_degree(eps={eps!r}, logit_bound={logit_bound!r}, max_degree={max_degree!r})"
    R = _checked(where, logit_bound, eps)
    reached = f"degree {degree_lower_bound(eps, R)} is necessary (degree_lower_bound)"
    for degree in range(degree_lower_bound(eps, R), max_degree + 1):
        # Any g+2 points give a lower bound, and those the exchange starts from a good one: often it decides already.
        lower = _lower_bound(_kepler_points(degree, R), R)
        reached = f"no polynomial of degree {degree} has an error below {lower:.2g}"
        if lower <= eps:
            best = minimax_exp(degree, R)
            if best.relative_error <= eps:
                return best
            errors = f"{best.lower_error:.2g} with exact coefficients, {best.relative_error:.2g} with float64 ones"
            reached = f"degree {degree} has error {errors}"
            if best.relative_error - best.lower_error > eps:
                break  # rounding alone is too much, and a higher degree does not lessen it
    raise UsageError(f"{where}: {reached}; allowed is a larger eps or max_degree")


def degree_lower_bound(eps: float, logit_bound: float) -> int:
    """A degree that every polynomial with relative error at most eps on [-logit_bound, logit_bound] must have.

    It is max over L of (2R - L - ln((1+eps)/(1-eps))) / arccosh(4R/L - 1), which grows like 0.58 R: |p| is at most
    (1+eps) exp(-R+L) on [-R, -R+L], so at R at most T_g(4R/L - 1) times that, and it must reach (1-eps) exp(R) there.

    Args:
        eps: relative error, in (0, 1).
        logit_bound: R, in [1e-9, 700].
    Raises:
        UsageError: for values outside these ranges.
    Source: growth of polynomials outside an interval (Chebyshev).
    Example:
        >>> degree_lower_bound(1e-1, 16.0), smallest_degree(1e-1, 16.0).degree
        (10, 18)
    """
    where = f"degree_lower_bound(eps={eps!r}, logit_bound={logit_bound!r})"
    R = _checked(where, logit_bound, eps)
    share = np.arange(1, 1001) / 1000.0  # L/R; every L gives a bound, so a grid can only lose, never cheat
    values = {"R": R, "L": R * share, "a": 2 * math.atanh(eps), "c": np.arccosh(4 / share - 1)}
    bound = float(np.max(LEAST_DEGREE.formula(Letters(values, float, lambda value, _: value))))
    return max(0, math.ceil(bound * (1 - 1e-12)))


def taylor_degree(eps: float, logit_bound: float) -> int:
    """The least degree at which Taylor's polynomial of exp at 0 has relative error at most eps.

    The error of degree g at x is the integral of s^g exp(-s) / g! from 0 to x, in absolute value largest at x = -R.

    Args:
        eps: relative error, in (0, 1).
        logit_bound: R, in [1e-9, 700].
    Raises:
        UsageError: for values outside these ranges.
    Example:
        >>> taylor_degree(1e-2, 4.0), smallest_degree(1e-2, 4.0).degree
        (15, 7)
    """
    where = f"taylor_degree(eps={eps!r}, logit_bound={logit_bound!r})"
    R = _checked(where, logit_bound, eps)
    ctx, _ = _contexts(0, R)
    degree, term, value, exp = 0, ctx.mpf(1), ctx.mpf(1), ctx.exp(R)
    while abs(value * exp - 1) > eps:
        degree += 1
        term *= -ctx.mpf(R) / degree
        value += term
    return degree


def softmax_output_error(relative_error: float) -> float:
    """The factor f with |O - O~| <= f (max_j v_jl - min_j v_jl), if every weight exp(s_j) is off by relative_error.

    It is (1 - sqrt(1 - eps^2)) / eps, about eps/2, and attained: two values of v, errors +eps on one and -eps on the
    other, weights that put the mean of the errors at sqrt(1 - eps^2) - 1.

    Args:
        relative_error: eps, in [0, 1).
    Raises:
        UsageError: for values outside this range.
    Example:
        >>> softmax_output_error(0.6)
        0.3333333333333333
    """
    if not 0 <= relative_error < 1:
        raise UsageError(f"softmax_output_error: relative_error is {relative_error}, allowed is 0 <= it < 1")
    letters = Letters({"e": relative_error, "v": 1.0}, float, lambda value, _: math.sqrt(value))
    return float(OUTPUT_ERROR.formula(letters))


def _checked(where: str, logit_bound: float, eps: float = 0.5) -> float:
    if not MIN_LOGIT_BOUND <= logit_bound <= MAX_LOGIT_BOUND:  # refuses nan as well
        raise UsageError(
            f"{where}: logit_bound is {logit_bound}, allowed is {MIN_LOGIT_BOUND:g} to {MAX_LOGIT_BOUND:g}"
        )
    if not 0 < eps < 1:
        raise UsageError(f"{where}: eps is {eps}, allowed is 0 < eps < 1")
    return float(logit_bound)


def _contexts(degree: int, R: float) -> tuple[Any, Any]:
    """mpmath's arithmetic and its interval arithmetic, in contexts of our own: nobody else's precision is touched."""
    import mpmath  # type: ignore[import-untyped]

    # digits of the best error, about R^(g+1) / (2^g (g+1)!); of what exp(2R) and the monomials cancel; and 50 to spare
    size = (degree + 1) * math.log10(R) - degree * math.log10(2) - math.lgamma(degree + 2) / math.log(10)
    mp, iv = mpmath.ctx_mp.MPContext(), mpmath.ctx_iv.MPIntervalContext()
    mp.dps = iv.dps = math.ceil(50 + max(0.0, -size) + degree + 2 * R)
    return mp, iv


def _kepler_points(degree: int, R: float) -> list[float]:
    """About where the extrema are: -R cos(theta) with Kepler's equation theta + e sin(theta) = pi i/(g+1), e = R/(g+2).

    Read off computed optima, and only speed rests on it. An e above 1 would put the points out of order.
    """
    mean = np.pi * np.arange(degree + 2) / (degree + 1)
    low, high = np.zeros_like(mean), np.full_like(mean, np.pi)
    for _ in range(60):
        middle = (low + high) / 2
        below = middle + min(1.0, R / (degree + 2)) * np.sin(middle) < mean
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return [-R, *(float(x) for x in -R * np.cos(high[1:-1])), R]


def _levelled(ctx: Any, points: Sequence[Any]) -> tuple[Any, list[Any]]:
    """(E, p): the polynomial with p(x_i) exp(-x_i) = 1 + (-1)^i E on all points, of degree two less than their number.

    No polynomial p of that degree has a smaller error e = p exp(-x) - 1 on all the points: the divided difference D over
    them has D(p) = 0, so D(exp) = -D(e exp), and since its weights alternate in sign, |D(e exp)| is at most max |e| times
    |D((-1)^i exp)|; |E| is the quotient of |D(exp)| by that.
    """
    plain = [ctx.exp(x) for x in points]
    signed = [y if i % 2 == 0 else -y for i, y in enumerate(plain)]
    for order in range(1, len(points)):  # entry i becomes the divided difference over x_0..x_i
        for i in range(len(points) - 1, order - 1, -1):
            span = points[i] - points[i - order]
            plain[i] = (plain[i] - plain[i - 1]) / span
            signed[i] = (signed[i] - signed[i - 1]) / span
    level = -plain[-1] / signed[-1]
    coefficients: list[Any] = []
    for i in range(len(points) - 2, -1, -1):  # Newton's form, innermost bracket first
        coefficients = _times_linear(coefficients, points[i])
        coefficients[0] += plain[i] + level * signed[i]
    return level, coefficients


def _times_linear(coefficients: Sequence[Any], root: Any) -> list[Any]:
    """Coefficients of (x - root) times a polynomial."""
    return [a - root * b for a, b in zip([0, *coefficients], [*coefficients, 0], strict=True)]


def _horner(coefficients: Sequence[Any], x: Any) -> Any:
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _error(ctx: Any, coefficients: Sequence[Any], x: Any) -> Any:
    return _horner(coefficients, x) * ctx.exp(-x) - 1


def _slope(coefficients: Sequence[Any]) -> list[Any]:
    """Coefficients of p' - p: the error, whose derivative is (p' - p) exp(-x), turns where it changes sign."""
    return [k * b - a for k, (a, b) in enumerate(zip(coefficients, [*coefficients[1:], 0], strict=True), start=1)]


def _turning_points(ctx: Any, coefficients: Sequence[Any], R: float) -> list[Any]:
    """Where |p exp(-x) - 1| can be largest on [-R, R]: at the ends and where p' - p changes sign.

    None is missed: exact Bernstein coefficients of p' - p change sign at least as often as it has roots, and if once,
    it has one. During the exchange there are g, as the error alternates on g+2 points.
    """
    from mpmath.libmp import to_rational  # type: ignore[import-untyped]

    exact = _slope([Fraction(*to_rational(c._mpf_)) for c in coefficients])
    n = len(exact) - 1
    shifted: list[Fraction] = []
    for slope in reversed(exact):  # p' - p at -R + 2R s, on 0 <= s <= 1
        shifted = [2 * b * Fraction(R) for b in _times_linear(shifted, Fraction(1, 2))]
        shifted[0] += slope
    scaled = [a / math.comb(n, i) for i, a in enumerate(shifted)]
    bernstein = [sum(math.comb(j, i) * a for i, a in enumerate(scaled[: j + 1])) for j in range(n + 1)]
    scale = math.lcm(*(b.denominator for b in bernstein))
    inner = []
    pieces = [(Fraction(-R), Fraction(R), [int(b * scale) for b in bernstein])]
    while pieces:
        low, high, row = pieces.pop()
        signs = [b > 0 for b in row if b]
        changes = sum(a != b for a, b in pairwise(signs))
        if changes == 1:
            a, b = (ctx.mpf(x.numerator) / x.denominator for x in (low, high))
            inner.append(_root(ctx, _slope(coefficients), a, b, rising=signs[-1]))
        elif changes > 1:
            middle = (low + high) / 2
            if high - low < Fraction(R) / 2**60:
                raise CountError(f"p' - p has several roots within {float(high - low):.2g} of {float(low)}")
            left, right = [], []
            for k in range(n, -1, -1):  # de Casteljau with sums for means: k+1 numbers are 2^(n-k) times too large
                left.append(row[0] << k)
                right.append(row[-1] << k)
                row = [a + b for a, b in pairwise(row)]
            if left[-1] == 0:  # a root between the halves is in neither
                inner.append(ctx.mpf(middle.numerator) / middle.denominator)
            pieces += [(low, middle, left), (middle, high, right[::-1])]
    return [ctx.mpf(-R), *sorted(inner), ctx.mpf(R)]


def _root(ctx: Any, coefficients: Sequence[Any], a: Any, b: Any, *, rising: bool) -> Any:
    """The one sign change of a polynomial in (a, b): Newton's method, bisecting whenever it would leave the bracket."""
    x = (a + b) / 2
    while True:
        value, derivative = ctx.polyval(coefficients[::-1], x, derivative=True)
        a, b = (a, x) if (value > 0) == rising else (x, b)
        newton = x - value / derivative if derivative else a
        x, old = (newton if a < newton < b else (a + b) / 2), x
        if abs(x - old) <= _tolerance(ctx) / 2:
            return x


def _tolerance(ctx: Any) -> Any:
    return ctx.mpf(10) ** -(ctx.dps // 2)  # beyond half the digits, p' - p may be all cancellation


def _rounded(ctx: Any, coefficients: Sequence[Any], points: Sequence[Any]) -> tuple[float, ...]:
    """float64 coefficients, from the highest down; the lower ones, not yet rounded, make up for each rounding.

    Rounding c_k by d adds d N(x) with N monic of degree k, small against exp on the interval: its roots are points,
    each next one where what is left is largest. Plain rounding adds d x^k, which loses another factor exp(R).
    """
    left = [ctx.exp(-x) for x in points]
    monic = [[ctx.mpf(1)]]
    for _ in coefficients[1:]:
        root = points[max(range(len(points)), key=lambda i: abs(left[i]))]
        left = [y * (x - root) for x, y in zip(points, left, strict=True)]
        monic.append(_times_linear(monic[-1], root))
    exact = list(coefficients)
    for k in range(len(exact) - 1, -1, -1):
        d = ctx.mpf(float(exact[k])) - exact[k]
        for j in range(k + 1):
            exact[j] += d * monic[k][j]
    return tuple(float(c) for c in exact)


def _upper_bound(coefficients: Sequence[float], R: float) -> float:
    """A float not below max |p exp(-x) - 1| on [-R, R], for exactly these coefficients."""
    ctx, iv = _contexts(len(coefficients) - 1, R)
    points = _turning_points(ctx, [ctx.mpf(c) for c in coefficients], R)
    exact, h = [iv.mpf(c) for c in coefficients], _tolerance(ctx)
    # As many disjoint boxes as turning points, and a root of p' - p in each: so none is outside the boxes.
    slope, close = _slope(exact), any(y - x <= 2 * h for x, y in pairwise(points))
    for x in points[1:-1]:
        turns = _horner(slope, iv.mpf(x - h)) * _horner(slope, iv.mpf(x + h)) < 0
        if close or not (turns or _horner(slope, iv.mpf(x)) == 0):
            raise CountError(f"on [-{R}, {R}] p' - p has roots that boxes of size {float(h):.2g} do not separate")
    worst = max(abs(_error(iv, exact, iv.mpf([x - h, x + h]))).b for x in points)
    return math.nextafter(float(worst), math.inf)


def _lower_bound(points: Sequence[float], R: float) -> float:
    """A float not above the error of any polynomial of degree two less than the number of points."""
    _, iv = _contexts(len(points) - 2, R)
    level, _ = _levelled(iv, [iv.mpf(x) for x in points])
    return max(0.0, math.nextafter(float(abs(level).a), 0.0))
