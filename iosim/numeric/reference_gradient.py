"""What is the gradient of exact attention, in float64? By the definition, and how far rounding may lead from it.

As in `iosim.numeric.reference`, nothing here follows a schedule or shares code with the interpreters.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iosim.errors import ExecutionError, UsageError
from iosim.masks import FULL, AnyMask
from iosim.numeric.reference import UNIT_ROUNDOFF, Float64, Rows, row_blocks

_FIRST_ORDER = 0.01  # relative rounding error up to which the dropped higher orders are small


class Gradient(NamedTuple):
    """Of a scalar with respect to Q, K and V."""

    dQ: Float64
    dK: Float64
    dV: Float64


class GradientBound(NamedTuple):
    """What the entries of each of the three are at most off by."""

    dQ: float
    dK: float
    dV: float


def log_sum_exp(Q: npt.ArrayLike, K: npt.ArrayLike, mask: AnyMask = FULL) -> Float64:
    """The logarithm of the sum of exp(Q_i . K_j / sqrt(d)) over the keys j that query i meets.

    Shapes: Q: [n, d], K: [n_k, d]; result: [n].

    Example:
        >>> log_sum_exp([[0.0], [1.0]], [[0.0], [0.0]]).round(6).tolist()  # log 2
        [0.693147, 0.693147]
    """
    queries, keys = np.asarray(Q, dtype=np.float64), np.asarray(K, dtype=np.float64)
    result = np.empty(len(queries))
    for rows in row_blocks(len(queries), max(len(keys), keys.shape[1])):
        scores = queries[rows] @ keys.T / math.sqrt(keys.shape[1])
        met = mask.meets(np.arange(rows.start, rows.stop), np.arange(len(keys)), len(queries), len(keys))
        scores[~met] = -np.inf
        largest = scores.max(axis=1)
        result[rows] = largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1))
    return result


def softmax_attention_gradient(
    Q: npt.ArrayLike,
    K: npt.ArrayLike,
    V: npt.ArrayLike,
    O: npt.ArrayLike,
    dO: npt.ArrayLike,
    L: npt.ArrayLike,
    *,
    rows: Rows | None = None,
    keys: Rows | None = None,
    mask: AnyMask = FULL,
) -> Gradient:
    """Rows of dQ, and rows of dK and dV: the gradient of sum_ic dO_ic O_ic, where O = softmax(Q K^T / sqrt(d)) V.

    With P_ij = exp(Q_i . K_j / sqrt(d) - L_i) for the keys that a query meets, else 0, and
    dS_ij = P_ij (dO_i . V_j - dO_i . O_i): dQ = dS K / sqrt(d), dK = dS^T Q / sqrt(d), dV = P^T dO. Temporaries are of the
    size of the arrays, and below 64 MiB besides.

    Args:
        O: what attention gives, as by `softmax_attention`.
        dO: the gradient with respect to O.
        L: as by `log_sum_exp`.
        rows: indices of the wanted rows of dQ; all if not given.
        keys: indices of the wanted rows of dK and dV; all if not given.
        mask: which keys a query meets.

    Shapes: Q: [n, d], K: [n_k, d], V: [n_k, d_v], O and dO: [n, d_v], L: [n]; dQ: [len(rows), d], dK: [len(keys), d],
        dV: [len(keys), d_v].

    Raises:
        UsageError: shapes that don't fit together.
        ExecutionError: a result that is not finite.

    Source: chain rule; Dao, FlashAttention-2, ICLR 2024, section 3.1.2.

    Example:
        >>> Q, K, V = [[1.0]], [[0.0], [0.0]], [[0.0], [2.0]]  # P = (1, 1) / 2, O = 1, dP - D = (-1, 1)
        >>> dQ, dK, dV = softmax_attention_gradient(Q, K, V, [[1.0]], [[1.0]], log_sum_exp(Q, K))
        >>> dQ.round(12).tolist(), dK.round(12).tolist(), dV.round(12).tolist()
        ([[0.0]], [[-0.5], [0.5]], [[0.5], [0.5]])
    """
    q, k, v, o, do, l = (np.asarray(array, dtype=np.float64) for array in (Q, K, V, O, dO, L))
    n, n_k = len(q), len(k)
    fit = q.shape[1:] == k.shape[1:] and v.shape[:1] == (n_k,) and o.shape == do.shape == (n, *v.shape[1:])
    if not fit or l.shape != (n,):
        given = {"Q": q, "K": k, "V": v, "O": o, "dO": do, "L": l}
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in given.items())
        raise UsageError(f"gradient of attention: {shapes}; allowed: [n, d], [n_k, d], [n_k, d_v], 2 of [n, d_v], [n]")
    wanted = np.arange(n) if rows is None else rows
    columns = np.arange(n_k) if keys is None else keys
    root, delta = math.sqrt(q.shape[1]), (do * o).sum(axis=1)

    def pairs(i: Rows, j: Rows) -> tuple[Float64, Float64]:
        """P and dS of some queries and some keys."""
        scores = q[i] @ k[j].T / root
        scores[~mask.meets(i, j, len(q), len(k))] = -np.inf
        p = np.exp(scores - l[i, None])
        return p, p * (do[i] @ v[j].T - delta[i, None])

    dQ = np.zeros((len(wanted), q.shape[1]))
    dK, dV = np.zeros((len(columns), q.shape[1])), np.zeros((len(columns), v.shape[1]))
    width = max(q.shape[1], v.shape[1])
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for some in row_blocks(len(wanted), width):
            for others in row_blocks(n_k, width):
                _, ds = pairs(wanted[some], np.arange(others.start, others.stop))
                dQ[some] += ds @ k[others] / root
        for some in row_blocks(len(columns), width):
            for others in row_blocks(n, width):
                p, ds = pairs(np.arange(others.start, others.stop), columns[some])
                dK[some] += ds.T @ q[others] / root
                dV[some] += p.T @ do[others]
    found = Gradient(dQ, dK, dV)
    for name, array in found._asdict().items():
        if not np.isfinite(array).all():
            raise ExecutionError(f"{name} of softmax_attention_gradient is not finite; allowed: finite inputs")
    return found


def key_masses(Q: Float64, K: Float64, L: Float64, *, keys: Rows | None = None, mask: AnyMask = FULL) -> Float64:
    """For each of some keys the sum of its probabilities over the queries that meet it.

    Shapes: Q: [n, d], K: [n_k, d], L: [n]; result: [len(keys)].

    Example:
        >>> Q, K = np.zeros((3, 1)), np.zeros((2, 1))
        >>> key_masses(Q, K, log_sum_exp(Q, K)).round(12).tolist()
        [1.5, 1.5]
    """
    chosen = np.arange(len(K)) if keys is None else keys
    masses = np.zeros(len(chosen))
    for rows in row_blocks(len(Q), max(len(chosen), K.shape[1])):
        scores = Q[rows] @ K[chosen].T / math.sqrt(K.shape[1])
        scores[~mask.meets(np.arange(rows.start, rows.stop), chosen, len(Q), len(K))] = -np.inf
        masses += np.exp(scores - L[rows, None]).sum(axis=0)
    return masses


def gradient_rounding_bound(
    Q: Float64, K: Float64, V: Float64, dO: Float64, *, logit_bound: float, mass: float
) -> GradientBound:
    """Most by which an entry of dQ, dK and dV can differ between two correct float64 evaluations of the gradient.

    "Correct" allows for what `rounding_bound` allows for, with probabilities from L or from row statistics of their own,
    with D as rowsum(dO * O) or as rowsum(P * dP), and with all sums in any order. To first order in 2^-53, with a factor of
    2 for the higher orders; nothing is fitted.

    Args:
        logit_bound: at least sum_t |Q_it| |K_jt| / sqrt(d) for all i, j, such as `norm_bound`.
        mass: the greatest sum of the probabilities of a key over all queries, of the keys whose rows are compared.

    Shapes: Q: [n, d], K: [n_k, d], V: [n_k, d_v], dO: [n, d_v].

    Raises:
        UsageError: sizes or scores at which first order no longer means anything.

    Source: as `rounding_bound`; the rest is derived in the code.
    """
    n, d = Q.shape
    n_k, d_v = V.shape
    # Write u = 2^-53, R = logit_bound, N = n_k; errors are in units of u, to first order. O and L are given numbers: they
    # differ from the exact ones of Q, K and V by rounding, and the exact result below is that of the numbers given.
    #
    # 1. P_ij, relative. A score is off by (d + 3) R. As exp(s - L): |s - L| <= 2 R + log N, and the subtraction, with
    #    products with log2(e) before or after it, is off by at most 3 times that; the exponential by 8. Together
    #    (d + 9) R + 3 log N + 8.
    #    From other row statistics: 2 (d + 9) R + 22 N + 20, as in `rounding_bound`; and L itself is the logarithm of a sum
    #    that is off by (d + 9) R + N + 8, with 8 log N for the logarithm and R + log N for adding the maximum.
    p = 4 * (d + 10) * logit_bound + 23 * n_k + 12 * math.log(n_k) + 36
    # 2. dP_ij = dO_i . V_j is at most A = max |dO_i| max |V_j|, and off by d_v A. D_i = dO_i . O_i is at most A, as O_i is a
    #    mean of rows of V. It is off by d_v A; as rowsum(P * dP) by (p + d_v + N + 1) A, and from dO . O, where O is off by
    #    rounding that is at most p in the mean of the |V_jc|, by p A more.
    norm = float(np.sqrt(np.einsum("ic,ic->i", dO, dO).max() * np.einsum("jc,jc->j", V, V).max()))
    # 3. dS_ij = P_ij (dP_ij - D_i), in units of P_ij A: 2 p for P_ij, d_v and 2 p + d_v + N + 1 for the difference, and 2
    #    for each of the two operations.
    ds = 4 * p + 2 * d_v + n_k + 5
    # 4. The sums, whose terms are at most 2 P_ij A |K_jc| / sqrt(d) and the like: as many additions as terms, a product, and
    #    3 for a root, a reciprocal and a product. P_ij sums to 1 over j, and over i to at most the mass.
    relative = UNIT_ROUNDOFF * (ds + 2 * (max(n, n_k) + 4))
    if not relative <= _FIRST_ORDER:
        raise UsageError(
            f"rounding bound of the gradient: {n} queries, {n_k} keys, d={d}, logit bound {logit_bound}: relative error "
            f"{relative:.1e}, allowed: at most {_FIRST_ORDER:g}"
        )
    root = math.sqrt(d)
    one = GradientBound(
        dQ=(ds + 2 * (n_k + 4)) * norm * float(np.abs(K).max()) / root,
        dK=(ds + 2 * (n + 4)) * mass * norm * float(np.abs(Q).max()) / root,
        dV=(p + n + 1) * mass * float(np.abs(dO).max()),
    )
    # Twice for two evaluations, twice for the higher orders.
    return GradientBound(*(4 * UNIT_ROUNDOFF * bound for bound in one))
