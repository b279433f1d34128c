"""Operations on features, the monomials of rows of Q and K: added to sums, weighted, multiplied by sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iosim.ops.operation import Array, Op


def features(x: Array, monomials: Any) -> Array:
    """Every monomial of a block at every row of x; unused slots are zero.

    Shapes: x: [rows, t]; returns [slots, rows].
    """
    columns = np.ascontiguousarray(x.T)
    values = np.zeros((monomials.slots, x.shape[0]))
    start = 0
    for degree, factors in enumerate(monomials.by_degree):
        block = values[start : start + len(factors)]
        if degree == 0:
            block[:] = 1.0
        else:
            np.take(columns, factors[:, 0], axis=0, out=block, mode="clip")  # indices are in range; clip needs no copy
        for position in range(1, degree):
            block *= columns[factors[:, position]]
        start += len(factors)
    return values


def _add_features(W: Array, k: Array, v: Array, *, monomials: Any, degree: int) -> None:
    W += features(k, monomials) @ v


def _add_feature_sums(W: Array, k: Array, *, monomials: Any, degree: int) -> None:
    W[:, 0] += features(k, monomials).sum(axis=1)


def _add_weighted_features(W: Array, k: Array, v: Array, *, monomials: Any, coefficients: Any, degree: int) -> None:
    W += monomials.weights(coefficients)[:, None] * (features(k, monomials) @ v)


def _add_weighted_feature_sums(W: Array, k: Array, *, monomials: Any, coefficients: Any, degree: int) -> None:
    W[:, 0] += monomials.weights(coefficients) * features(k, monomials).sum(axis=1)


def _weigh_features(W: Array, *, monomials: Any, coefficients: Any) -> None:
    W *= monomials.weights(coefficients)[:, None]


def _add_feature_products(y: Array, q: Array, W: Array, *, monomials: Any, degree: int) -> None:
    y += features(q, monomials).T @ W


def _add_some_feature_products(y: Array, q: Array, W: Array, *, monomials: Any, first: int, degree: int) -> None:
    y += features(q, monomials)[first : first + len(W)].T @ W


def _take_features(F: Array, x: Array, *, monomials: Any, first: int, coefficients: Any, degree: int) -> None:
    rows = slice(first, first + F.shape[1])
    F[:] = features(x, monomials)[rows].T
    if coefficients is not None:
        F *= monomials.weights(coefficients)[rows]


def _prefixes(params: Mapping[str, Any]) -> int:
    """Words for the products of the first 1, 2, ..., g-1 factors of a monomial, while the last is fused into a sum."""
    return max(0, int(params["degree"]) - 1)


def last_factors(_: Mapping[str, int], params: Mapping[str, Any]) -> Sequence[Sequence[int]]:
    """The last factor of each monomial: the product of the others is among the prefixes; the constant has none."""
    return (
        [int(factors[-1]) if len(factors) else -1 for degree in params["monomials"].by_degree for factors in degree],
    )


def _weighted_prefixes(params: Mapping[str, Any]) -> int:
    """As `_prefixes`, with a weight for each monomial: the last prefix is scaled in place, first for the coordinates that
    are new to it, then for the one that it ends with; in degree 1 the prefix is a word of K or V, scaled in a copy."""
    degree = int(params["degree"])
    return min(degree, max(1, degree - 1))


POLYNOMIAL = (
    Op(
        name="add_features",
        shapes="W[f,c] k[j,t] v[j,c]",
        updates=1,
        uses="c(j(f(k@f v W)))",
        gather=last_factors,
        params=("monomials", "degree"),
        text="{W} += sum over rows of phi({k}) {v}^T, phi = {monomials}",
        # one product per monomial on top of its prefix, one fused multiply-add counted as two
        flops=lambda n, _: 3 * n["f"] * n["j"] * n["c"],
        scratch=_prefixes,
        numpy=_add_features,
        triton="""
{W} = product(tl.trans({features k}), {v@j}, {W})
""",
    ),
    Op(
        name="add_feature_sums",
        shapes="W[f,u] k[j,t]",
        updates=1,
        uses="u(j(f(k@f W)))",
        gather=last_factors,
        params=("monomials", "degree"),
        text="{W} += sum over rows of phi({k}), phi = {monomials}",
        flops=lambda n, _: 2 * n["f"] * n["j"],
        scratch=_prefixes,
        numpy=_add_feature_sums,
        triton="""
{W} += tl.sum({features k}, axis=0)[:, None]
""",
    ),
    Op(
        name="add_weighted_features",
        shapes="W[f,c] k[j,t] v[j,c]",
        updates=1,
        uses="c(j(f(k@f v W)))",
        gather=last_factors,
        params=("monomials", "coefficients", "degree"),
        text="{W} += sum over rows of c_alpha phi({k}) {v}^T, phi = {monomials}",
        # as add_features, and a product with the weight
        flops=lambda n, _: 4 * n["f"] * n["j"] * n["c"],
        scratch=_weighted_prefixes,
        numpy=_add_weighted_features,
        triton="""
$weights = {weights}[None, :]
$phi = {features k} * $weights
{W} = product(tl.trans($phi), {v@j}, {W})
""",
    ),
    Op(
        name="add_weighted_feature_sums",
        shapes="W[f,u] k[j,t]",
        updates=1,
        uses="u(j(f(k@f W)))",
        gather=last_factors,
        params=("monomials", "coefficients", "degree"),
        text="{W} += sum over rows of c_alpha phi({k}), phi = {monomials}",
        flops=lambda n, _: 3 * n["f"] * n["j"],
        scratch=_prefixes,
        numpy=_add_weighted_feature_sums,
        triton="""
$weights = {weights}
{W} += (tl.sum({features k}, axis=0) * $weights)[:, None]
""",
    ),
    Op(
        name="weigh_features",
        shapes="W[f,c]",
        updates=1,
        uses="f(c(W))",
        params=("monomials", "coefficients"),
        text="{W} = c_alpha {W} for each alpha of {monomials}",
        flops=lambda n, _: n["f"] * n["c"],
        numpy=_weigh_features,
        triton="{W} *= {weights}[:, None]",
    ),
    Op(
        name="add_feature_products",
        shapes="y[i,c] q[i,t] W[f,c]",
        updates=1,
        uses="c(i(f(q@f W y)))",
        gather=last_factors,
        params=("monomials", "degree"),
        text="{y} += phi({q}) {W}, phi = {monomials}",
        flops=lambda n, _: 3 * n["f"] * n["i"] * n["c"],
        scratch=_prefixes,
        numpy=_add_feature_products,
        triton="{y} = product({features q}, {W@f}, {y})",
    ),
    Op(
        name="add_some_feature_products",
        shapes="y[i,c] q[i,t] W[f,c]",
        updates=1,
        uses="c(i(f(q@f W y)))",
        gather=last_factors,
        params=("monomials", "first", "degree"),
        text="{y} += phi({q}) {W}, phi = those from {first} on of {monomials}",
        flops=lambda n, _: 3 * n["f"] * n["i"] * n["c"],
        scratch=_prefixes,
        numpy=_add_some_feature_products,
        triton="{y} = product({features q}, {W@f}, {y})",
    ),
    Op(
        name="take_features",
        shapes="F[j,f] x[j,t]",
        updates=1,
        uses="j(f(x@f F))",
        gather=last_factors,
        fresh=("F",),
        params=("monomials", "first", "coefficients", "degree"),
        text="{F} = phi({x}), phi = those from {first} on of {monomials}",
        flops=lambda n, _: n["f"] * n["j"],
        scratch=_prefixes,
        numpy=_take_features,
        triton="""
$weights = {weights?}[None, :]
{F} = {features x} * $weights
""",
    ),
)
