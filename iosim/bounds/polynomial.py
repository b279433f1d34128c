"""Bounds on the polynomials of approximate attention: what their relative error does to outputs, and what degree they need.

The proofs are in `proofs.approx_error`.
"""

from __future__ import annotations

from iosim.bounds.bound import Bound

_SOURCE = "iosim, proofs.approx_error"

OUTPUT_ERROR = Bound(
    name="output_error_at_most_half_the_relative_error_times_the_range",
    # (1 - sqrt(1 - e^2))/e, in a form that does not cancel
    formula=lambda x: x.e / (1 + x.sqrt((1 - x.e) * (1 + x.e))) * x.v,
    conditions=lambda x: ((1, x.e),),
    kind="upper",
    theorem="output_error_of_approximate_weights",
    source=_SOURCE,
    letters=("e", "v"),  # relative error of the weights, range of a column of V
    quantity="error",
    about="weights p(s) with |p(s)/exp(s) - 1| <= e",
)

LEAST_DEGREE = Bound(
    name="degree_for_a_relative_error",
    formula=lambda x: (2 * x.R - x.L - x.a) / x.c,
    conditions=lambda x: ((x.R, x.L),),
    theorem="degree_of_a_polynomial_near_exp",
    source=_SOURCE,
    letters=("R", "L", "a", "c"),  # a = ln((1+eps)/(1-eps)), c = arccosh(4R/L - 1), for any L <= R
    quantity="degree",
    about="relative error eps on [-R, R]",
)
