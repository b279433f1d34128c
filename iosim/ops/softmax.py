"""Operations of softmax attention: scores hidden, turned into probabilities, and partial results merged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iosim.masks import AnyMask, Mask
from iosim.ops.matrices import divide_by_sqrt
from iosim.ops.operation import Array, Op


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
    divide_by_sqrt(s, of=of)
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


SOFTMAX = (
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
)
