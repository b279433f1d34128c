"""What is exact attention, in float64?

The definitions that every program's result is compared with, written as plainly as memory allows: they follow no
schedule, share no code with the interpreters, and see one head at a time. Scores are computed for a few rows and some
of the keys at once, so any number of keys fits.
"""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from iosim.errors import ExecutionError, UsageError
from iosim.masks import FULL, AnyMask

Float64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

UNIT_ROUNDOFF: Final = 2.0**-53
MAX_WORDS_AT_ONCE: Final = 2**21  # of a block of scores, of the queries and of the keys that it needs: 16 MiB each
MAX_ROWS_AT_ONCE: Final = 1024  # enough to keep matrix products fast


def softmax_attention(
    Q: npt.ArrayLike, K: npt.ArrayLike, V: npt.ArrayLike, rows: npt.ArrayLike | None = None, mask: AnyMask = FULL
) -> Float64:
    """Rows of softmax(Q K^T / sqrt(d)) V in float64.

    By the definition, in two passes over the keys: the largest score of each row, then the sums of exp(score - largest)
    and of its products with V. Temporaries stay below 128 MiB.

    Args:
        rows: indices of the wanted rows of Q, in any order; all of them if not given.
        mask: which keys a query meets.

    Shapes: Q: [n, d], K: [n_k, d], V: [n_k, d_v]; result: [len(rows), d_v].

    Raises:
        UsageError: shapes that don't fit together, a row outside Q.
        ExecutionError: a result that is not finite, because an input isn't or a score overflows.

    Example:
        >>> Q, K, V = [[0.0], [math.log(3)]], [[0.0], [1.0]], [[0.0], [4.0]]
        >>> softmax_attention(Q, K, V).round(12).tolist()  # weights (1, 1) / 2 and (1, 3) / 4
        [[2.0], [3.0]]
    """

    def exponentials(scores: Float64, shift: Float64) -> Float64:
        scores -= shift
        return np.exp(scores, out=scores)

    return _weighted_mean(Q, K, V, rows, weigh=exponentials, shifted=True, name="softmax_attention", mask=mask)


def polynomial_attention(
    Q: npt.ArrayLike,
    K: npt.ArrayLike,
    V: npt.ArrayLike,
    coefficients: Sequence[float],
    rows: npt.ArrayLike | None = None,
    mask: AnyMask = FULL,
) -> Float64:
    """Rows of attention with a polynomial p in place of the exponential, in float64.

    Row i is sum_j p(s_ij) V_j / sum_j p(s_ij) over the keys j that it meets, with s_ij = Q_i . K_j / sqrt(d), score by
    score: O(n n_k d) work. It is what an algorithm that splits p into features of Q and of K must compute. Temporaries
    stay below 128 MiB.

    Args:
        coefficients: of p, constant term first.
        rows: indices of the wanted rows of Q, in any order; all of them if not given.
        mask: which keys a query meets.

    Shapes: Q: [n, d], K: [n_k, d], V: [n_k, d_v]; result: [len(rows), d_v].

    Raises:
        UsageError: shapes that don't fit together, a row outside Q, no coefficients.
        ExecutionError: a result that is not finite, as when the weights of a row sum to 0.

    Source: Alman and Song, Fast Attention Requires Bounded Entries (NeurIPS 2023).

    Example:
        >>> Q, K, V = [[0.0], [2.0]], [[0.0], [1.0]], [[0.0], [4.0]]
        >>> polynomial_attention(Q, K, V, (1, 1)).tolist()  # p = 1 + x: weights (1, 1) / 2 and (1, 3) / 4
        [[2.0], [3.0]]
    """
    ascending = np.asarray(coefficients, dtype=np.float64)
    if ascending.ndim != 1 or ascending.size == 0:
        raise UsageError(f"coefficients: shape {ascending.shape}; allowed: a sequence of at least one number")

    def values(scores: Float64, shift: Float64) -> Float64:
        weights = np.full_like(scores, ascending[-1])
        for coefficient in ascending[-2::-1]:  # Horner's rule
            weights *= scores
            weights += coefficient
        return weights

    return _weighted_mean(Q, K, V, rows, weigh=values, shifted=False, name="polynomial_attention", mask=mask)


def sample_rows(n: int, count: int, seed: int) -> Rows:
    """Sorted distinct rows out of n, drawn at random except for the first and the last.

    The first row and the last (where a ragged tile ends) are in every sample of at least two rows, since schedules go
    wrong there. The same arguments give the same rows. All rows when `count` is at least n.

    Raises:
        UsageError: n or count below 1, a negative seed.

    Example:
        >>> sample_rows(5, 9, seed=0).tolist()
        [0, 1, 2, 3, 4]
    """
    if n < 1 or count < 1 or seed < 0:
        raise UsageError(f"{count} rows of {n} with seed {seed}: allowed: at least 1 row of at least 1, seed from 0 up")
    if count >= n:
        return np.arange(n, dtype=np.int64)
    generator = np.random.Generator(np.random.PCG64(seed))
    if count == 1:
        return generator.integers(n, size=1, dtype=np.int64)
    inner = 1 + generator.choice(n - 2, size=count - 2, replace=False, shuffle=False)
    return np.sort(np.concatenate([[0, n - 1], inner])).astype(np.int64)


def norm_bound(Q: npt.ArrayLike, K: npt.ArrayLike) -> float:
    """A bound on the scores of a head from norms alone: max_i |Q_i| max_j |K_j| / sqrt(d).

    By the Cauchy-Schwarz inequality every |Q_i . K_j| / sqrt(d) is at most this, and so is
    sum_t |Q_it| |K_jt| / sqrt(d), which is what rounding errors of a score are proportional to. Itself computed in
    float64, so within a relative error of (d + 5) 2^-53; entries below 1e-150 count as 0.

    Shapes: Q: [n, d], K: [n_k, d].

    Example:
        >>> norm_bound([[3.0, 4.0]], [[0.0, 2.0], [1.0, 0.0]]) == 10 / math.sqrt(2)
        True
    """
    queries, keys = np.asarray(Q, dtype=np.float64), np.asarray(K, dtype=np.float64)
    squares = (float(np.einsum("nd,nd->n", rows, rows).max()) for rows in (queries, keys))
    return math.prod(map(math.sqrt, squares)) / math.sqrt(queries.shape[1])


def rounding_bound(n_keys: int, d: int, logit_bound: float, value_max: float) -> float:
    """Most by which an entry of two correct float64 evaluations of softmax attention can differ.

    "Correct" allows for every common schedule: scores scaled before or after the product, exponentials to the base 2
    or e, shifted by the row's largest score or by the largest so far, sums in any order, accumulators rescaled as often
    as once a key (FlashAttention-2) or also renormalised each time (FlashAttention-1). A larger difference is a
    mistake, not rounding. To first order in 2^-53, with a factor of 2 for the higher orders; nothing is fitted.

    Args:
        logit_bound: at least sum_t |Q_it| |K_jt| / sqrt(d) for all i, j, such as `norm_bound`. The largest score alone
            is not enough: terms that cancel in a score leave their rounding errors behind.
        value_max: the largest |V_jc|.

    Raises:
        UsageError: a negative or non-finite argument, or sizes at which first order no longer means anything.

    Source: standard model of rounding, gamma_n bounds for sums and inner products: Higham, Accuracy and Stability of
        Numerical Algorithms (2002), chapters 3 and 4; the rest is derived in the code.

    Example:
        >>> f"{rounding_bound(n_keys=1024, d=64, logit_bound=1.0, value_max=1.0):.2e}"
        '1.05e-11'
    """
    n_keys, d = operator.index(n_keys), operator.index(d)
    if n_keys < 1 or d < 1 or not (0 <= logit_bound < math.inf and 0 <= value_max < math.inf):
        raise UsageError(
            f"rounding bound of {n_keys} keys, d={d}, logit bound {logit_bound}, values to {value_max}: "
            "allowed: at least 1 key, d from 1 up, finite bounds from 0 up"
        )
    # Write u = 2^-53, R = logit_bound, N = n_keys. Each operation returns its exact result times (1 + e), |e| <= u, and
    # an exponential is within 4 units in the last place, |e| <= 8u (libraries aim for 1). Drop u^2. Exactly,
    # O_c = sum_j p_j V_jc with p_j = exp(s_j) / sum_k exp(s_k). Fix a row and a column. Errors below are in units of u.
    #
    # 1. The score. An inner product of d terms, in any order, is off by at most d sum_t |Q_t K_t|; the scaling by
    #    1 / sqrt(d) costs a root, a reciprocal and a product wherever it is done. Together (d + 3) R.
    # 2. The argument of the exponential. exp(s_j) is computed as exp(s_j - m_1) exp(m_1 - m_2) ... exp(m_T - m), where
    #    s_j <= m_1 <= ... <= m are the largest scores so far. Each subtraction is off by its result; the results add
    #    up to m - s_j <= 2 R. With base 2, a rounded log2(e) and a product with it add 2 relative errors to the score
    #    (2 R) or to the differences (2 * 2 R). Together at most 2 R + 4 R = 6 R. (Folding log2(e) into the scale and
    #    fusing the product with the subtraction of a rounded product of m_1 makes (d + 4) R and R + 2 * 2 R: the same.)
    #    An absolute error of the argument is a relative error of the weight: steps 1 and 2 give (d + 9) R.
    score = (d + 9) * logit_bound
    # 3. The exponentials and their products. There is at most one rescaling a key, so at most N + 1 factors, each with
    #    8 for the exponential and 1 for the product: 9 N + 9. Renormalising each time (FlashAttention-1) costs the
    #    numerator a product, a reciprocal and a product more: 3 N. (The computed sum by which it divides is the one by
    #    which it later multiplies, so that sum's own error cancels.)
    # 4. The sums. N terms, of any sign in the numerator, in any order: each takes part in at most N additions. The
    #    numerator also has the product with V_jc.
    numerator = score + (9 * n_keys + 9) + 3 * n_keys + n_keys + 1
    denominator = score + (9 * n_keys + 9) + n_keys
    # 5. The quotient: a reciprocal and a product. With a_j and b_j the relative errors of term j in numerator and
    #    denominator, to first order O' - O = sum_j p_j a_j V_jc - O sum_j p_j b_j + 2 e O; sum_j p_j = 1 and
    #    |O| <= value_max, so each of the three is at most value_max times its relative error.
    relative = (numerator + denominator + 2) * UNIT_ROUNDOFF
    if relative > 0.01:
        raise UsageError(
            f"rounding bound of {n_keys} keys, d={d}, logit bound {logit_bound}: relative error {relative:.1e}, "
            "allowed: at most 1e-2; beyond that float64 is no reference"
        )
    # 6. Two evaluations, each off by that much: the first factor 2. Below 1e-2 the dropped orders are a few percent of
    #    the first: the second factor 2 covers them, the rounding of the bounds that came in, and exponentials that
    #    underflow (2^-1074 each, beside a sum that holds exp(0) = 1). Products w_j V_jc that underflow, of values below
    #    1e-290, are left out.
    return 2 * 2 * relative * value_max


def iter_scores(q: Float64, K: Float64) -> Iterator[tuple[slice, Float64]]:
    """Scores q K^T of a few queries, some of the keys at a time, with the slice of keys that they belong to.

    The same memory is used for every block: take what you need before the next one. At most 16 MiB.

    Shapes: q: [b, d], already divided by sqrt(d), K: [n_k, d]; each block: [b, keys in the slice].

    Example:
        >>> q, K = np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])
        >>> [(keys, block.tolist()) for keys, block in iter_scores(q, K)]
        [(slice(0, 2, None), [[3.0, 4.0], [6.0, 8.0]])]
    """
    rows, d = q.shape
    step = min(len(K), max(1, MAX_WORDS_AT_ONCE // max(rows, d)))  # a product may copy its operands
    memory = np.empty(rows * step)
    for start in range(0, len(K), step):
        keys = slice(start, min(start + step, len(K)))
        block = memory[: rows * (keys.stop - start)].reshape(rows, -1)
        yield keys, np.matmul(q, K[keys].T, out=block)


def row_blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of at most 1024 rows that cover `count` of them, fewer where rows of that width would pass 16 MiB.

    Example:
        >>> list(row_blocks(1500, width=64))
        [slice(0, 1024, None), slice(1024, 1500, None)]
    """
    step = max(1, min(MAX_ROWS_AT_ONCE, MAX_WORDS_AT_ONCE // width))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _weighted_mean(
    Q: npt.ArrayLike,
    K: npt.ArrayLike,
    V: npt.ArrayLike,
    rows: npt.ArrayLike | None,
    *,
    weigh: Callable[[Float64, Float64], Float64],
    shifted: bool,
    name: str,
    mask: AnyMask = FULL,
) -> Float64:
    """For each row sum_j w_j V_j / sum_j w_j over the keys that it meets, where w = weigh(scores, largest score)."""
    queries, keys, values = (np.asarray(array, dtype=np.float64) for array in (Q, K, V))
    _check_shapes(queries, keys, values, name)
    wanted = _check_rows(rows, len(queries), name)

    def hide(array: Float64, block: slice, columns: slice, value: float) -> None:
        """Writes `value` where one of these rows does not meet one of these keys."""
        if not mask.full:
            met = mask.meets(wanted[block], np.arange(columns.start, columns.stop), len(queries), len(keys))
            array[~met] = value

    result = np.empty((len(wanted), values.shape[1]))
    # Overflow and invalid operations end in a result that is not finite, which is an error below.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        for block in row_blocks(len(wanted), max(keys.shape[1], values.shape[1])):
            q = queries[wanted[block]] / math.sqrt(keys.shape[1])
            largest = np.full((len(q), 1), -np.inf)
            if shifted:
                for columns, scores in iter_scores(q, keys):
                    hide(scores, block, columns, -np.inf)
                    np.maximum(largest, scores.max(axis=1, keepdims=True), out=largest)
            total = np.zeros((len(q), 1))
            mean = result[block]
            mean[:] = 0
            for columns, scores in iter_scores(q, keys):
                weights = weigh(scores, largest)
                hide(weights, block, columns, 0.0)
                total += weights.sum(axis=1, keepdims=True)
                mean += weights @ values[columns]
            mean /= total
    finite = np.isfinite(result).all(axis=1)
    if not finite.all():
        row = wanted[int(np.argmin(finite))]
        raise ExecutionError(f"{name}: row {row} is not finite; allowed: finite inputs, weights that don't sum to 0")
    return result


def _check_shapes(Q: Float64, K: Float64, V: Float64, name: str) -> None:
    if (
        not (Q.ndim == K.ndim == V.ndim == 2)
        or Q.shape[1] != K.shape[1]
        or len(K) != len(V)
        or 0 in Q.shape + K.shape + V.shape
    ):
        raise UsageError(
            f"{name}: Q {list(Q.shape)}, K {list(K.shape)}, V {list(V.shape)}; "
            "allowed: [n, d], [n_k, d], [n_k, d_v], none of them empty"
        )


def _check_rows(rows: npt.ArrayLike | None, n: int, name: str) -> Rows:
    if rows is None:
        return np.arange(n, dtype=np.int64)
    wanted = np.asarray(rows)
    if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
        raise UsageError(f"{name}: rows {wanted.dtype} {list(wanted.shape)}; allowed: a list of row indices")
    outside = (wanted < 0) | (wanted >= n)
    if outside.any():
        raise UsageError(f"{name}: row {wanted[int(np.argmax(outside))]}; allowed: 0 to {n - 1}")
    return wanted.astype(np.int64)
