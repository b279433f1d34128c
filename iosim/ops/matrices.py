"""Operations that are linear algebra: products of matrices, sums of rows and columns, rows scaled and divided."""

from __future__ import annotations

import math

import numpy as np

from iosim.ops.operation import Array, Op


def _add_abt(C: Array, A: Array, B: Array) -> None:
    C += A @ B.T


def _add_ab(C: Array, A: Array, B: Array) -> None:
    C += A @ B


def _add_atb(C: Array, A: Array, B: Array) -> None:
    C += A.T @ B


def _add_row_dots(D: Array, A: Array, B: Array) -> None:
    D += np.einsum("ij,ij->i", A, B)


def divide_by_sqrt(x: Array, *, of: int) -> None:
    x /= math.sqrt(of)


def _scale_rows(o: Array, a: Array) -> None:
    o *= a[:, None]


def _divide_rows(o: Array, l: Array) -> None:
    o /= l[:, None]


def _divide_by_column(y: Array, z: Array) -> None:
    y /= z


def _add_column_sums(w: Array, F: Array) -> None:
    w[:, 0] += F.sum(axis=0)


MATRICES = (
    Op(
        name="add_abt",
        shapes="C[i,j] A[i,l] B[j,l]",
        updates=1,
        uses="i(j(l(A B C)))",
        text="{C} += {A} {B}^T",
        flops=lambda n, _: 2 * n["i"] * n["j"] * n["l"],
        numpy=_add_abt,
        triton="{C} = product({A!l}, tl.trans({B!l}), {C})",
    ),
    Op(
        name="add_ab",
        shapes="C[i,j] A[i,l] B[l,j]",
        updates=1,
        uses="i(j(l(A B C)))",
        text="{C} += {A} {B}",
        flops=lambda n, _: 2 * n["i"] * n["j"] * n["l"],
        numpy=_add_ab,
        triton="{C} = product({A!l}, {B!l}, {C})",
    ),
    Op(
        name="add_atb",
        shapes="C[i,j] A[l,i] B[l,j]",
        updates=1,
        uses="i(j(l(A B C)))",
        text="{C} += {A}^T {B}",
        flops=lambda n, _: 2 * n["i"] * n["j"] * n["l"],
        numpy=_add_atb,
        triton="{C} = product(tl.trans({A!l}), {B!l}, {C})",
    ),
    Op(
        name="add_row_dots",
        shapes="D[i] A[i,j] B[i,j]",
        updates=1,
        uses="i(j(A B D))",
        text="{D} += rowsum({A} * {B})",
        flops=lambda n, _: 2 * n["i"] * n["j"],
        numpy=_add_row_dots,
        triton="{D} += tl.sum({A@j} * {B@j}, axis=1)",
    ),
    Op(
        name="add_column_sums",
        shapes="w[f,u] F[j,f]",
        updates=1,
        uses="j(f(u(F w)))",
        text="{w} += column sums of {F}",
        flops=lambda n, _: n["f"] * n["j"],
        numpy=_add_column_sums,
        triton="{w} += tl.sum({F@j}, axis=0)[:, None]",
    ),
    Op(
        name="divide_by_sqrt",
        shapes="x[i,j]",
        updates=1,
        uses="i(j(x))",
        params=("of",),
        text="{x} /= sqrt({of})",
        flops=lambda n, _: n["i"] * n["j"],
        numpy=divide_by_sqrt,
        triton="{x} *= {of} ** -0.5",
    ),
    Op(
        name="scale_rows",
        shapes="o[i,c] a[i]",
        updates=1,
        uses="i(c(a o))",
        text="{o} = {a} {o}",
        flops=lambda n, _: n["i"] * n["c"],
        numpy=_scale_rows,
        triton="{o} *= {a}[:, None]",
    ),
    Op(
        name="divide_rows",
        shapes="o[i,c] l[i]",
        updates=1,
        uses="i(c(l o))",
        text="{o} = {o} / {l}",
        flops=lambda n, _: n["i"] * n["c"],
        numpy=_divide_rows,
        triton="{o} = {o} / {l}[:, None]",
    ),
    Op(
        name="divide_by_column",
        shapes="y[i,c] z[i,u]",
        updates=1,
        uses="i(c(u(z y)))",
        text="{y} = {y} / {z}",
        flops=lambda n, _: n["i"] * n["c"],
        numpy=_divide_by_column,
        triton="{y} = {y} / {z}",
    ),
)
