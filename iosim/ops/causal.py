"""Operations of polynomial attention where a query meets only the keys up to its own: the constant, pairs, decoding."""

from __future__ import annotations

from typing import Any

import numpy as np

from iosim.ops.operation import Array, Op
from iosim.ops.polynomial import features, last_factors


def _add_constant(z: Array, *, coefficients: Any, times: int) -> None:
    z += coefficients[0] * times


def _add_key_counts(z: Array, *, coefficients: Any, before: int, row: int, group: int) -> None:
    z[:, 0] += coefficients[0] * (before + (row + np.arange(len(z))) // group)


def _seen_kernel(q: Array, k: Array, monomials: Any, coefficients: Any, row: int, column: int, group: int) -> Array:
    """The part of the polynomial that these monomials make up, zero where the key comes after the query."""
    kernel: Array = (features(q, monomials) * monomials.weights(coefficients)[:, None]).T @ features(k, monomials)
    kernel[(row + np.arange(len(q)))[:, None] // group < column + np.arange(len(k))] = 0
    return kernel


def _add_seen_products(
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    *,
    monomials: Any,
    coefficients: Any,
    count: int,
    degree: int,
    row: int,
    column: int,
    group: int,
) -> None:
    y += _seen_kernel(q, k, monomials, coefficients, row, column, group) @ v


def _add_seen_sums(
    z: Array,
    q: Array,
    k: Array,
    *,
    monomials: Any,
    coefficients: Any,
    count: int,
    degree: int,
    row: int,
    column: int,
    group: int,
) -> None:
    z[:, 0] += _seen_kernel(q, k, monomials, coefficients, row, column, group).sum(axis=1)


def _decode(
    W: Array,
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    *,
    monomials: Any,
    coefficients: Any,
    first: int,
    group: int,
) -> None:
    chosen = slice(first, first + len(W))
    of_keys = features(k, monomials)[chosen] * monomials.weights(coefficients)[chosen, None]
    of_queries = features(q, monomials)[chosen].T
    kernel = of_queries @ of_keys
    kernel[np.arange(len(q))[:, None] // group < np.arange(len(k))] = 0
    y += of_queries @ W + kernel @ v
    W += of_keys @ v


def _decode_sums(
    W: Array, z: Array, q: Array, k: Array, *, monomials: Any, coefficients: Any, first: int, group: int
) -> None:
    _decode(W, z, q, k, np.ones((len(k), 1)), monomials=monomials, coefficients=coefficients, first=first, group=group)


CAUSAL = (
    Op(
        name="add_constant",
        shapes="z[i,u]",
        updates=1,
        uses="i(u(z))",
        params=("coefficients", "times"),
        text="{z} += c_0 {times}",
        flops=lambda n, _: n["i"],
        numpy=_add_constant,
        triton="{z} += {coefficients.0} * {times}",
    ),
    Op(
        name="add_key_counts",
        shapes="z[i,u]",
        updates=1,
        uses="i(u(z))",
        params=("coefficients", "before", "row", "group"),
        text="{z} += c_0 ({before} + p) for each row, p = ({row}, ...) // {group}",
        flops=lambda n, _: 2 * n["i"],
        numpy=_add_key_counts,
        triton="{z} += {coefficients.0} * ({before} + ({row} + tl.arange(0, {#i})) // {group})[:, None]",
    ),
    Op(
        name="add_seen_products",
        shapes="y[i,c] q[i,t] k[j,t] v[j,c]",
        updates=1,
        uses="i(j(t(q k) c(v y)))",
        params=("monomials", "coefficients", "count", "degree", "row", "column", "group"),
        text="{y} += sum of phi({q}) c phi({k})^T {v} over keys {column}, ... not after queries ({row}, ...) // {group}, "
        "phi = {monomials}",
        # a score: for each monomial two products with a coordinate, one with the weight, one sum
        flops=lambda n, p: 4 * p["count"] * n["i"] * n["j"] + 2 * n["i"] * n["j"] * n["c"],
        # the score, and products of the first factors
        scratch=lambda p: 1 + int(p["degree"]),
        numpy=_add_seen_products,
        triton="""
$weights = {weights}[None, :]
$phi = {features q} * $weights
$seen = {features k}
$kernel = product($phi, tl.trans($seen), tl.zeros([{#i}, {#j}], tl.float32))
$query = ({row} + tl.arange(0, {#i})) // {group}
$key = {column} + tl.arange(0, {#j})
$kernel = tl.where($key[None, :] <= $query[:, None], $kernel, 0.0)
{y} = product($kernel, {v@j}, {y})
""",
    ),
    Op(
        name="add_seen_sums",
        shapes="z[i,u] q[i,t] k[j,t]",
        updates=1,
        uses="i(j(t(q k) u(z)))",
        params=("monomials", "coefficients", "count", "degree", "row", "column", "group"),
        text="{z} += sum of phi({q}) c phi({k})^T over keys {column}, ... not after queries ({row}, ...) // {group}, "
        "phi = {monomials}",
        flops=lambda n, p: 4 * p["count"] * n["i"] * n["j"] + n["i"] * n["j"],
        scratch=lambda p: 1 + int(p["degree"]),
        numpy=_add_seen_sums,
        triton="""
$weights = {weights}[None, :]
$phi = {features q} * $weights
$seen = {features k}
$kernel = product($phi, tl.trans($seen), tl.zeros([{#i}, {#j}], tl.float32))
$query = ({row} + tl.arange(0, {#i})) // {group}
$key = {column} + tl.arange(0, {#j})
{z} += tl.sum(tl.where($key[None, :] <= $query[:, None], $kernel, 0.0), axis=1)[:, None]
""",
    ),
    Op(
        name="decode",
        shapes="W[f,c] y[i,c] q[i,t] k[j,t] v[j,c]",
        updates=2,
        uses="j(f(k@f c(v W))) i(f(q@f c(W y)))",
        gather=lambda n, p: 2 * tuple(last_factors(n, p)),
        params=("monomials", "coefficients", "first", "group"),
        text="for each row of {k}, and the {group} rows of {q} with it: {W} += c phi({k}) {v}^T; {y} += phi({q}) {W}, "
        "phi = those from {first} on of {monomials}",
        # a weighted monomial of each key, counted as in add_weighted_features, and one of each query
        flops=lambda n, _: 4 * n["f"] * n["j"] * n["c"] + 3 * n["f"] * n["i"] * n["c"],
        # one monomial at a time, made from its factors
        scratch=lambda _: 1,
        numpy=_decode,
        triton="""
$weights = {weights}[None, :]
$seen = {features k} * $weights
$phi = {features q}
$kernel = product($phi, tl.trans($seen), tl.zeros([{#i}, {#j}], tl.float32))
$met = tl.arange(0, {#j})[None, :] <= (tl.arange(0, {#i}) // {group})[:, None]
{y} = product($phi, {W@f}, product(tl.where($met, $kernel, 0.0), {v@j}, {y}))
{W} = product(tl.trans($seen), {v@j}, {W})
""",
    ),
    Op(
        name="decode_sums",
        shapes="W[f,u] z[i,u] q[i,t] k[j,t]",
        updates=2,
        uses="j(f(k@f u(W))) i(f(q@f u(W z)))",
        gather=lambda n, p: 2 * tuple(last_factors(n, p)),
        params=("monomials", "coefficients", "first", "group"),
        text="for each row of {k}, and the {group} rows of {q} with it: {W} += c phi({k}); {z} += phi({q}) {W}, "
        "phi = those from {first} on of {monomials}",
        flops=lambda n, _: 3 * n["f"] * n["j"] + 3 * n["f"] * n["i"],
        scratch=lambda _: 1,
        numpy=_decode_sums,
        triton="""
$weights = {weights}[None, :]
$seen = {features k} * $weights
$phi = {features q}
$kernel = product($phi, tl.trans($seen), tl.zeros([{#i}, {#j}], tl.float32))
$met = tl.arange(0, {#j})[None, :] <= (tl.arange(0, {#i}) // {group})[:, None]
$own = tl.sum(tl.where($met, $kernel, 0.0), axis=1)[:, None]
{z} = product($phi, {W@f}, {z} + $own)
{W} += tl.sum($seen, axis=0)[:, None]
""",
    ),
)
