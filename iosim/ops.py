"""The operations on fast memory, one row of a table each: shapes, temporaries, flops, words of pseudo-code, numpy.

A row says everything that the interpreters need to know, so that a new operation is a new row. An operation reads and
updates views of tiles; it moves nothing. `scratch` words of fast memory are its own while it runs: they count against
the capacity. The numpy function is the definition of what the operation means: it updates its first `updates`
arguments in place.

Flops are arithmetic operations (`+ - * / max exp sqrt`, one each) of the plain way to evaluate the definition.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from iosim.errors import ProgramError
from iosim.expr import Size
from iosim.masks import AnyMask, Mask

Array: TypeAlias = NDArray[np.float64]
Sizes: TypeAlias = Mapping[str, Size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation on views of tiles.

    Attributes:
        name: how a program asks for it.
        shapes: its operands and their axes, updated ones first: `C[i,j] A[i,l] B[j,l]`; equal letters, equal sizes.
        updates: how many of the operands it changes.
        fresh: the updated operands that it overwrites without reading them.
        params: names of its parameters.
        uses: the order in which it uses words, as `i(j(l(A B C)))`: for each i, each j, each l, a word of A, of B and of
            C. `k@f` is the word of k that `gather` names for the f that it is at. If it is empty, every word once: of the
            operands that are read, one after the other, then of the updated ones.
        gather: for each `@` of `uses`, from the sizes of its axes and its parameters, the coordinate on the axis of the
            operand that no loop of `uses` is over, for 0, 1, ... of the letter (from the parameter `first` on, if it has
            one); -1 for none, and none beyond the list.
        scratch: words of fast memory it needs for itself, from its parameters.
        flops: from the sizes of its axes, by letter, and its parameters.
        text: a line of pseudo-code with `{C}` for operands and `{p}` for parameters.
        numpy: the definition; updates its first arguments in place.
        triton: the same as lines of Triton (see `iosim.lowering.operations`): `{C}` for a block, in fp32 if it is read;
            `{A!}` for it as it was loaded; where the block goes beyond axis j of the tile, `{s@j}` and `{A!j}` have zero,
            `{s@j=-inf}` has -inf; `{#j}` for how long that axis of the block is, `{|j|}` for how much of it is the tile;
            `{p}` for a parameter; `{features k}` for the monomials at each row of k, `{weights}` for their weights,
            `{weights?}` if there may be none, `{weights.0}` for the first coefficient; `$x` for a name of its own.
        not_lowered: why there are no such lines, if there are none.
    """

    name: str
    shapes: str
    updates: int
    text: str
    flops: Callable[[Sizes, Mapping[str, Any]], Size]
    numpy: Callable[..., None]
    uses: str = ""
    gather: Callable[[Mapping[str, int], Mapping[str, Any]], Sequence[Sequence[int]]] = lambda _sizes, _params: ()
    scratch: Callable[[Mapping[str, Any]], int] = lambda _: 0
    params: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    triton: str = ""
    not_lowered: str = ""

    @property
    def operands(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each operand's name and the letters of its axes."""
        found = re.findall(r"(\w+)\[([\w,]*)\]", self.shapes)
        return tuple((name, tuple(axes.split(","))) for name, axes in found)

    def axis_sizes(self, shapes: Sequence[Sequence[Size]]) -> dict[str, Size]:
        """The size of each letter for operands of these shapes.

        Raises:
            ProgramError: the number of operands, their ranks or the sizes of equal letters don't fit.
        """
        operands = self.operands
        if len(shapes) != len(operands):
            raise ProgramError(f"{self.name} takes {len(operands)} operands ({self.shapes}), got {len(shapes)}")
        sizes: dict[str, Size] = {}
        for (name, axes), shape in zip(operands, shapes, strict=True):
            if len(axes) != len(shape):
                raise ProgramError(f"{self.name}: {name} has {len(axes)} axes ({self.shapes}), got {len(shape)}")
            for letter, size in zip(axes, shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ProgramError(
                        f"{self.name}: axis {letter} of {name} is {size}, but {sizes[letter]} elsewhere ({self.shapes})"
                    )
        return sizes


def _add_abt(C: Array, A: Array, B: Array) -> None:
    C += A @ B.T


def _add_ab(C: Array, A: Array, B: Array) -> None:
    C += A @ B


def _add_atb(C: Array, A: Array, B: Array) -> None:
    C += A.T @ B


def _add_row_dots(D: Array, A: Array, B: Array) -> None:
    D += np.einsum("ij,ij->i", A, B)


def _divide_by_sqrt(x: Array, *, of: int) -> None:
    x /= math.sqrt(of)


def _hide_scores(s: Array, *, mask: Mask, row: int, column: int, shift: int, group: int) -> None:
    rows, columns = s.shape
    queries = row + np.arange(rows) // group
    s[~mask.allows(queries, column + np.arange(columns), shift)] = -np.inf


def _hide_listed_scores(
    s: Array, *, mask: AnyMask, row: int, keys: Sequence[int], position: int, n: int, n_k: int, group: int
) -> None:
    rows, columns = s.shape
    listed = np.asarray(keys[position : position + columns])
    s[~mask.meets(row + np.arange(rows) // group, listed, n, n_k)] = -np.inf


def _shift(maximum: Array) -> Array:
    """What is subtracted from scores: their maximum, but nothing where no score has been seen."""
    return np.where(np.isneginf(maximum), 0.0, maximum)


def _online_softmax(s: Array, m: Array, l: Array, o: Array) -> None:
    maximum = np.maximum(m, s.max(axis=1))
    s -= _shift(maximum)[:, None]
    np.exp(s, out=s)
    correction = np.exp(m - _shift(maximum))
    l *= correction
    l += s.sum(axis=1)
    o *= correction[:, None]
    m[:] = maximum


def _attend(o: Array, m: Array, l: Array, q: Array, k: Array, v: Array, *, of: int) -> None:
    s = q @ k.T
    _divide_by_sqrt(s, of=of)
    _online_softmax(s, m, l, o)
    o += s @ v


def _row_statistics(m: Array, l: Array, s: Array) -> None:
    maximum = np.maximum(m, s.max(axis=1))
    l *= np.exp(m - _shift(maximum))
    l += np.exp(s - _shift(maximum)[:, None]).sum(axis=1)
    m[:] = maximum


def _softmax(s: Array, m: Array, l: Array) -> None:
    s -= m[:, None]
    np.exp(s, out=s)
    s /= l[:, None]


def _exp_shifted(s: Array, L: Array) -> None:
    s -= L[:, None]
    np.exp(s, out=s)


def _softmax_gradient(x: Array, p: Array, D: Array) -> None:
    x -= D[:, None]
    x *= p


def _rescaling_softmax(s: Array, m: Array, l: Array, a: Array) -> None:
    maximum = np.maximum(m, s.max(axis=1))
    s -= maximum[:, None]
    np.exp(s, out=s)
    a[:] = l * np.exp(m - maximum)
    l[:] = a + s.sum(axis=1)
    s /= l[:, None]
    a /= l
    m[:] = maximum


def _merge_statistics(m: Array, l: Array, p: Array, r: Array) -> None:
    maximum = np.maximum(m, p)
    kept, added = np.exp(m - _shift(maximum)), np.exp(p - _shift(maximum))
    l[:] = kept * l + added * r
    m[:], p[:], r[:] = maximum, added, kept


def _merge_rows(o: Array, y: Array, p: Array, r: Array) -> None:
    o *= r[:, None]
    o += p[:, None] * y


def _scale_rows(o: Array, a: Array) -> None:
    o *= a[:, None]


def _divide_rows(o: Array, l: Array) -> None:
    o /= l[:, None]


def _divide_by_column(y: Array, z: Array) -> None:
    y /= z


def features(x: Array, monomials: Any) -> Array:
    """Every monomial of a block at every row of x; unused slots are zero.

    Shapes: x: [rows, t]; returns [slots, rows].
    """
    columns = np.ascontiguousarray(x.T)
    values = np.zeros((monomials.slots, x.shape[0]))
    start = 0
    for degree, factors in enumerate(monomials.by_degree()):
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


def _add_weighted_features(W: Array, k: Array, v: Array, *, monomials: Any, weights: Any, degree: int) -> None:
    W += monomials.weights(weights)[:, None] * (features(k, monomials) @ v)


def _add_weighted_feature_sums(W: Array, k: Array, *, monomials: Any, weights: Any, degree: int) -> None:
    W[:, 0] += monomials.weights(weights) * features(k, monomials).sum(axis=1)


def _weigh_features(W: Array, *, monomials: Any, weights: Any) -> None:
    W *= monomials.weights(weights)[:, None]


def _add_constant(z: Array, *, weights: Any, times: int) -> None:
    z += weights[0] * times


def _add_key_counts(z: Array, *, weights: Any, before: int, row: int, group: int) -> None:
    z[:, 0] += weights[0] * (before + (row + np.arange(len(z))) // group)


def _seen_kernel(q: Array, k: Array, monomials: Any, weights: Any, row: int, column: int, group: int) -> Array:
    """The part of the polynomial that these monomials make up, zero where the key comes after the query."""
    kernel: Array = (features(q, monomials) * monomials.weights(weights)[:, None]).T @ features(k, monomials)
    kernel[(row + np.arange(len(q)))[:, None] // group < column + np.arange(len(k))] = 0
    return kernel


def _add_seen_products(
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    *,
    monomials: Any,
    weights: Any,
    count: int,
    degree: int,
    row: int,
    column: int,
    group: int,
) -> None:
    y += _seen_kernel(q, k, monomials, weights, row, column, group) @ v


def _add_seen_sums(
    z: Array,
    q: Array,
    k: Array,
    *,
    monomials: Any,
    weights: Any,
    count: int,
    degree: int,
    row: int,
    column: int,
    group: int,
) -> None:
    z[:, 0] += _seen_kernel(q, k, monomials, weights, row, column, group).sum(axis=1)


def _add_feature_products(y: Array, q: Array, W: Array, *, monomials: Any, degree: int) -> None:
    y += features(q, monomials).T @ W


def _add_some_feature_products(y: Array, q: Array, W: Array, *, monomials: Any, first: int, degree: int) -> None:
    y += features(q, monomials)[first : first + len(W)].T @ W


def _decode(
    W: Array,
    y: Array,
    q: Array,
    k: Array,
    v: Array,
    *,
    monomials: Any,
    weights: Any,
    first: int,
    group: int,
) -> None:
    chosen = slice(first, first + len(W))
    of_keys = features(k, monomials)[chosen] * monomials.weights(weights)[chosen, None]
    of_queries = features(q, monomials)[chosen].T
    kernel = of_queries @ of_keys
    kernel[np.arange(len(q))[:, None] // group < np.arange(len(k))] = 0
    y += of_queries @ W + kernel @ v
    W += of_keys @ v


def _decode_sums(
    W: Array, z: Array, q: Array, k: Array, *, monomials: Any, weights: Any, first: int, group: int
) -> None:
    _decode(W, z, q, k, np.ones((len(k), 1)), monomials=monomials, weights=weights, first=first, group=group)


def _take_features(F: Array, x: Array, *, monomials: Any, first: int, weights: Any, degree: int) -> None:
    rows = slice(first, first + F.shape[1])
    F[:] = features(x, monomials)[rows].T
    if weights is not None:
        F *= monomials.weights(weights)[rows]


def _add_column_sums(w: Array, F: Array) -> None:
    w[:, 0] += F.sum(axis=0)


def _prefixes(params: Mapping[str, Any]) -> int:
    """Words for the products of the first 1, 2, ..., g-1 factors of a monomial, while the last is fused into a sum."""
    return max(0, int(params["degree"]) - 1)


def _last_factors(_: Mapping[str, int], params: Mapping[str, Any]) -> Sequence[Sequence[int]]:
    """The last factor of each monomial: the product of the others is among the prefixes; the constant has none."""
    return (
        [int(factors[-1]) if len(factors) else -1 for degree in params["monomials"].by_degree() for factors in degree],
    )


def _weighted_prefixes(params: Mapping[str, Any]) -> int:
    """As `_prefixes`, with a weight for each monomial: the last prefix is scaled in place, first for the coordinates that
    are new to it, then for the one that it ends with; in degree 1 the prefix is a word of K or V, scaled in a copy."""
    degree = int(params["degree"])
    return min(degree, max(1, degree - 1))


_TABLE = (
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
        name="divide_by_sqrt",
        shapes="x[i,j]",
        updates=1,
        uses="i(j(x))",
        params=("of",),
        text="{x} /= sqrt({of})",
        flops=lambda n, _: n["i"] * n["j"],
        numpy=_divide_by_sqrt,
        triton="{x} *= {of} ** -0.5",
    ),
    Op(
        name="hide_scores",
        shapes="s[i,j]",
        updates=1,
        uses="i(j(s))",
        params=("mask", "row", "column", "shift", "group"),
        text="{s} = -inf where a query of {row} on does not meet a key of {column} on ({mask})",
        flops=lambda n, _: 0,
        numpy=_hide_scores,
        triton="""
$query = {row} + tl.arange(0, {#i}) // {group} + {shift}
$key = {column} + tl.arange(0, {#j})
{s} = tl.where(in_band($key[None, :] - $query[:, None], {mask}), {s}, float("-inf"))
""",
    ),
    Op(
        name="hide_listed_scores",
        shapes="s[i,j]",
        updates=1,
        uses="i(j(s))",
        params=("mask", "row", "keys", "position", "n", "n_k", "group"),
        text="{s} = -inf where a query of {row} on does not meet a key of {keys} from {position} on ({mask})",
        flops=lambda n, _: 0,
        numpy=_hide_listed_scores,
        not_lowered="its mask is a table of blocks, which a kernel would have to look into",
    ),
    Op(
        name="online_softmax",
        shapes="s[i,j] m[i] l[i] o[i,c]",
        updates=4,
        uses="i(j(s) m l c(o))",
        text="m' = max({m}, rowmax {s}); {s} = exp({s} - m'); a = exp({m} - m'); "
        "{l} = a {l} + rowsum {s}; {o} = a {o}; {m} = m'",
        # scores: max, minus, exp, sum; statistics: minus, exp, times; output: times
        flops=lambda n, _: 4 * n["i"] * n["j"] + 3 * n["i"] + n["i"] * n["c"],
        # row by row: the new maximum; the old maximum's place then holds the correction a
        scratch=lambda _: 1,
        numpy=_online_softmax,
        triton="""
$top = tl.maximum({m}, tl.max({s@j=-inf}, axis=1))
$shift = tl.where($top == float("-inf"), 0.0, $top)
{s} = tl.exp({s} - $shift[:, None])
$factor = tl.exp({m} - $shift)
{l} = {l} * $factor + tl.sum({s@j}, axis=1)
{o} *= $factor[:, None]
{m} = $top
""",
    ),
    Op(
        name="attend",
        shapes="o[i,c] m[i] l[i] q[i,a] k[j,a] v[j,c]",
        updates=3,
        uses="i(j(a(q k) m l c(v o)))",
        params=("of",),
        text="for each row of {q}: s = {q} {k}^T / sqrt({of}); {o}, {m}, {l} <- online softmax step with s and {v}",
        # as add_abt, divide_by_sqrt, online_softmax and add_ab together
        flops=lambda n, _: 2 * n["i"] * n["j"] * (n["a"] + n["c"]) + 5 * n["i"] * n["j"] + 3 * n["i"] + n["i"] * n["c"],
        # one score and the new maximum, row by row
        scratch=lambda _: 2,
        numpy=_attend,
        triton="""
$s = product({q!a}, tl.trans({k!a}), tl.zeros([{#i}, {#j}], tl.float32)) * {of} ** -0.5
$s = tl.where((tl.arange(0, {#j}) < {|j|})[None, :], $s, float("-inf"))
$top = tl.maximum({m}, tl.max($s, axis=1))
$shift = tl.where($top == float("-inf"), 0.0, $top)
$p = tl.exp($s - $shift[:, None])
$factor = tl.exp({m} - $shift)
{l} = {l} * $factor + tl.sum($p, axis=1)
{o} = product($p, {v!j}, {o} * $factor[:, None])
{m} = $top
""",
    ),
    Op(
        name="row_statistics",
        shapes="m[i] l[i] s[i,j]",
        updates=2,
        uses="i(j(s) m l)",
        text="m' = max({m}, rowmax {s}); {l} = exp({m} - m') {l} + rowsum exp({s} - m'); {m} = m'",
        flops=lambda n, _: 4 * n["i"] * n["j"] + 3 * n["i"],
        scratch=lambda _: 1,
        numpy=_row_statistics,
        triton="""
$top = tl.maximum({m}, tl.max({s@j=-inf}, axis=1))
$shift = tl.where($top == float("-inf"), 0.0, $top)
{l} = {l} * tl.exp({m} - $shift) + tl.sum(tl.exp({s@j=-inf} - $shift[:, None]), axis=1)
{m} = $top
""",
    ),
    Op(
        name="softmax",
        shapes="s[i,j] m[i] l[i]",
        updates=1,
        uses="i(j(m l s))",
        text="{s} = exp({s} - {m}) / {l}",
        flops=lambda n, _: 3 * n["i"] * n["j"],
        numpy=_softmax,
        triton="{s} = tl.exp({s} - {m}[:, None]) / {l}[:, None]",
    ),
    Op(
        name="exp_shifted",
        shapes="s[i,j] L[i]",
        updates=1,
        uses="i(j(L s))",
        text="{s} = exp({s} - {L})",
        flops=lambda n, _: 2 * n["i"] * n["j"],
        numpy=_exp_shifted,
        triton="{s} = tl.exp({s} - {L}[:, None])",
    ),
    Op(
        name="softmax_gradient",
        shapes="x[i,j] p[i,j] D[i]",
        updates=1,
        uses="i(j(p D x))",
        text="{x} = {p} * ({x} - {D})",
        flops=lambda n, _: 2 * n["i"] * n["j"],
        numpy=_softmax_gradient,
        triton="{x} = {p} * ({x} - {D}[:, None])",
    ),
    Op(
        name="rescaling_softmax",
        shapes="s[i,j] m[i] l[i] a[i]",
        updates=4,
        uses="i(j(s) m l a)",
        fresh=("a",),
        text="m' = max({m}, rowmax {s}); {s} = exp({s} - m'); l' = exp({m} - m') {l} + rowsum {s}; "
        "{a} = exp({m} - m') {l} / l'; {s} = {s} / l'; {m} = m'; {l} = l'",
        # scores: max, minus, exp, sum, divide; statistics: minus, exp, times, divide.
        # No scratch: m' is formed in a; once s = exp(s - m'), m's place takes exp(m - m') l, then the factor a.
        flops=lambda n, _: 5 * n["i"] * n["j"] + 4 * n["i"],
        numpy=_rescaling_softmax,
        triton="""
$top = tl.maximum({m}, tl.max({s@j=-inf}, axis=1))
{s} = tl.exp({s} - $top[:, None])
$old = {l} * tl.exp({m} - $top)
{l} = $old + tl.sum({s@j}, axis=1)
{s} = {s} / {l}[:, None]
{a} = $old / {l}
{m} = $top
""",
    ),
    Op(
        name="merge_statistics",
        shapes="m[i] l[i] p[i] r[i]",
        updates=4,
        uses="i(m l p r)",
        text="m' = max({m}, {p}); {l} = exp({m} - m') {l} + exp({p} - m') {r}; "
        "{p}, {r} = exp({p} - m'), exp({m} - m'); {m} = m'",
        # max, two minus, two exp, two times, plus
        flops=lambda n, _: 8 * n["i"],
        # row by row: the new maximum
        scratch=lambda _: 1,
        numpy=_merge_statistics,
        triton="""
$top = tl.maximum({m}, {p})
$shift = tl.where($top == float("-inf"), 0.0, $top)
$kept = tl.exp({m} - $shift)
$added = tl.exp({p} - $shift)
{l} = $kept * {l} + $added * {r}
{m} = $top
{p} = $added
{r} = $kept
""",
    ),
    Op(
        name="merge_rows",
        shapes="o[i,c] y[i,c] p[i] r[i]",
        updates=1,
        uses="i(c(r p y o))",
        text="{o} = {r} {o} + {p} {y}",
        flops=lambda n, _: 3 * n["i"] * n["c"],
        numpy=_merge_rows,
        triton="{o} = {r}[:, None] * {o} + {p}[:, None] * {y}",
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
    Op(
        name="add_features",
        shapes="W[f,c] k[j,t] v[j,c]",
        updates=1,
        uses="c(j(f(k@f v W)))",
        gather=_last_factors,
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
        gather=_last_factors,
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
        gather=_last_factors,
        params=("monomials", "weights", "degree"),
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
        gather=_last_factors,
        params=("monomials", "weights", "degree"),
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
        params=("monomials", "weights"),
        text="{W} = c_alpha {W} for each alpha of {monomials}",
        flops=lambda n, _: n["f"] * n["c"],
        numpy=_weigh_features,
        triton="{W} *= {weights}[:, None]",
    ),
    Op(
        name="add_constant",
        shapes="z[i,u]",
        updates=1,
        uses="i(u(z))",
        params=("weights", "times"),
        text="{z} += c_0 {times}",
        flops=lambda n, _: n["i"],
        numpy=_add_constant,
        triton="{z} += {weights.0} * {times}",
    ),
    Op(
        name="add_key_counts",
        shapes="z[i,u]",
        updates=1,
        uses="i(u(z))",
        params=("weights", "before", "row", "group"),
        text="{z} += c_0 ({before} + p) for each row, p = ({row}, ...) // {group}",
        flops=lambda n, _: 2 * n["i"],
        numpy=_add_key_counts,
        triton="{z} += {weights.0} * ({before} + ({row} + tl.arange(0, {#i})) // {group})[:, None]",
    ),
    Op(
        name="add_seen_products",
        shapes="y[i,c] q[i,t] k[j,t] v[j,c]",
        updates=1,
        uses="i(j(t(q k) c(v y)))",
        params=("monomials", "weights", "count", "degree", "row", "column", "group"),
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
        params=("monomials", "weights", "count", "degree", "row", "column", "group"),
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
        name="add_feature_products",
        shapes="y[i,c] q[i,t] W[f,c]",
        updates=1,
        uses="c(i(f(q@f W y)))",
        gather=_last_factors,
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
        gather=_last_factors,
        params=("monomials", "first", "degree"),
        text="{y} += phi({q}) {W}, phi = those from {first} on of {monomials}",
        flops=lambda n, _: 3 * n["f"] * n["i"] * n["c"],
        scratch=_prefixes,
        numpy=_add_some_feature_products,
        triton="{y} = product({features q}, {W@f}, {y})",
    ),
    Op(
        name="decode",
        shapes="W[f,c] y[i,c] q[i,t] k[j,t] v[j,c]",
        updates=2,
        uses="j(f(k@f c(v W))) i(f(q@f c(W y)))",
        gather=lambda n, p: 2 * tuple(_last_factors(n, p)),
        params=("monomials", "weights", "first", "group"),
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
        gather=lambda n, p: 2 * tuple(_last_factors(n, p)),
        params=("monomials", "weights", "first", "group"),
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
    Op(
        name="take_features",
        shapes="F[j,f] x[j,t]",
        updates=1,
        uses="j(f(x@f F))",
        gather=_last_factors,
        fresh=("F",),
        params=("monomials", "first", "weights", "degree"),
        text="{F} = phi({x}), phi = those from {first} on of {monomials}",
        flops=lambda n, _: n["f"] * n["j"],
        scratch=_prefixes,
        numpy=_take_features,
        triton="""
$weights = {weights?}[None, :]
{F} = {features x} * $weights
""",
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
)

OPS: dict[str, Op] = {op.name: op for op in _TABLE}
