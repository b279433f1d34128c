"""From what a user types to a problem and the algorithms whose schedules are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import SupportsIndex

from iosim import request
from iosim.algorithm import Algorithm
from iosim.errors import UsageError
from iosim.masks import AnyMask
from iosim.problem import Problem
from iosim.registry import find, names_of
from iosim.tuning.tune import exact_algorithms, polynomial_algorithms
from iosim.units import Number


def ask(
    names: str | Sequence[str | Algorithm] | None,
    *,
    degree: int | None,
    mask: str | AnyMask,
    tied: bool,
    set: str | Mapping[str, SupportsIndex] | None,
    **counts: Number | None,
) -> tuple[Problem, list[Algorithm]]:
    """The problem and the algorithms: if none are named, all exact ones, or with a degree all with the polynomial.

    An algorithm with a polynomial of which no degree is given has that of `iosim run` on random data.

    Args:
        names: of algorithms, as a list or as text like "flash2,two-pass".
        degree: of the polynomial.
        mask: which keys a query meets.
        tied: whether V is the first columns of K.
        set: settings of the one algorithm that has some.
        counts: n, n_k, d, d_v, batch, heads, kv_heads.

    Raises:
        UsageError: what can't be used.
    """
    problem = request.make_problem(request.parse_shape(counts, mask=mask, tied=tied), None)
    request.check_options(degree=degree)
    if names is None:
        chosen = (exact_algorithms if degree is None else polynomial_algorithms)(problem)
    else:
        chosen = [find(name) for name in names_of(names)]
    polynomials = [request.choose_polynomial(a, degree=degree) for a in chosen]
    for polynomial in polynomials:
        problem = problem if polynomial is None else replace(problem, degree=polynomial.degree)
    own = request.parse_settings(set)
    if own and len(chosen) != 1:
        raise UsageError(f"--set {next(iter(own))}: allowed with one algorithm, by --algo")
    return (request.with_settings(chosen[0], problem, own) if own else problem), chosen
