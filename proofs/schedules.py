"""Schedules with their exact traffic and peak, for the counterexamples to statements that claim too much.

`sizes` holds n_q, n_k, d, d_v and M, as the letters of the bounds. Units: words.
"""

from __future__ import annotations

from collections.abc import Mapping

Sizes = Mapping[str, int]


def _tiles(size: int, tile: int) -> int:
    return -(-size // tile)


def flash2_io(x: Sizes, rows: int) -> int:
    """FlashAttention-2's order: Q and O once, K and V once for each tile of rows."""
    return x["n_q"] * (x["d"] + x["d_v"]) + x["n_k"] * (x["d"] + x["d_v"]) * _tiles(x["n_q"], rows)


def flash2_peak(x: Sizes, rows: int) -> int:
    """Rows of q and o with the maximum, the sum and the score; one word of k or v, or the new maximum."""
    return rows * (x["d"] + x["d_v"] + 3) + 1


def regrouped_io(x: Sizes, rows: int) -> int:
    """The same once for each group of d columns of V: Q and K for each group, V and O once a row tile and once."""
    groups = _tiles(x["d_v"], x["d"])
    q_and_o = groups * x["n_q"] * x["d"] + x["n_q"] * x["d_v"]
    return q_and_o + x["n_k"] * (groups * x["d"] + x["d_v"]) * _tiles(x["n_q"], rows)


def regrouped_peak(x: Sizes, rows: int) -> int:
    """Rows of q and of d columns of o with the maximum, the sum and the score; one word of k or v."""
    return rows * (2 * x["d"] + 3) + 1


def tied_io(x: Sizes, rows: int) -> int:
    """V is columns of K: Q and O once, each row of K once for each tile of rows, for both products."""
    return x["n_q"] * (x["d"] + x["d_v"]) + x["n_k"] * x["d"] * _tiles(x["n_q"], rows)


def tied_peak(x: Sizes, rows: int) -> int:
    """Rows of q and o with the maximum and the sum; one row of K, one score and the new maximum."""
    return rows * (x["d"] + x["d_v"] + 2) + x["d"] + 2


def fused_io(x: Sizes, rows: int, columns: int) -> int:
    """Tiles of scores, columns of Q, K, V, O streamed past; O, the maximum and the sum are updated in slow memory."""
    across, down = _tiles(x["n_k"], columns), _tiles(x["n_q"], rows)
    scores = x["n_q"] * x["d"] * across + x["n_k"] * x["d"] * down
    values = x["n_k"] * x["d_v"] * down + x["n_q"] * x["d_v"] * (2 * across - 1)
    return scores + values + 4 * x["n_q"] * (across - 1)


def fused_peak(x: Sizes, rows: int, columns: int) -> int:
    """A tile of scores with the maximum, the sum and the factor of each row; a word of each operand."""
    return rows * columns + 3 * rows + 2


def spilled_io(x: Sizes, scores: tuple[int, int], outputs: tuple[int, int]) -> int:
    """Two passes: tiles of scores are stored with each row's maximum and sum; tiles of O load them again."""
    n_q, n_k, d, d_v = (x[name] for name in ("n_q", "n_k", "d", "d_v"))
    across = _tiles(n_k, scores[1])
    first = n_q * d * across + n_k * d * _tiles(n_q, scores[0]) + n_q * n_k + n_q * (4 * across - 2)
    again = _tiles(d_v, outputs[1])
    second = n_q * n_k * again + n_k * d_v * _tiles(n_q, outputs[0]) + n_q * d_v + 2 * n_q * again
    return first + second


def spilled_peak(x: Sizes, scores: tuple[int, int], outputs: tuple[int, int]) -> int:
    """The larger of the two passes; each tile with the maximum, the sum and a third word for each row."""
    first, second = scores[0] * scores[1] + 3 * scores[0] + 1, outputs[0] * outputs[1] + 3 * outputs[0] + 1
    return max(first, second)


def columns_io(sizes: Sizes, groups: int) -> int:
    """All features at once, for one group of columns of V after the other; the normaliser is kept for the later groups.

    K and Q once for each group, V and O once, the normaliser stored once and loaded by the later groups. Units: words.
    """
    n, d = sizes["n_q"], sizes["d"]
    return n * (2 * d * groups + 2 * d + groups)


def columns_peak(sizes: Sizes, groups: int, degree: int) -> int:
    """Sums for a group, q, an output, its normaliser, and the products of the first factors of a monomial. Units: words."""
    columns = -(-(sizes["d"] + 1) // groups)
    return sizes["r"] * columns + sizes["d"] + 2 + degree - 1


def row_sums_io(sizes: Sizes, rows: int) -> int:
    """Sums of a single row of K and V, used for a tile of queries: Q and O once, K and V for each tile. Units: words."""
    n, d = sizes["n_q"], sizes["d"]
    return 2 * n * d + 2 * n * d * _tiles(n, rows)


def row_sums_peak(sizes: Sizes, rows: int, degree: int) -> int:
    """A tile of Q and O with the normaliser; k, a word of v, a sum, and products of first factors. Units: words."""
    return rows * (2 * sizes["d"] + 1) + sizes["d"] + 2 + degree - 1


def polarisation_io(*, n: int, d: int, k: int) -> int:
    """K^T V by symmetric products of blocks of k^2 columns, k a prime: forming the sums of K and V, two products of each two
    blocks and one of each block alone, and solving for each pair of columns. Units: words."""
    H = k * k
    R = d // H
    product = n * H * (k + 1) + H * (H - 1) // 2
    return R * R * (4 * n * H + H) + (2 * R * R + 2 * R) * product + R * R * 3 * H * (H - 1)


def polarisation_peak(k: int) -> int:
    """The pairs of a line of k columns, and its part of one row. Units: words."""
    return max(k * (k - 1) // 2 + k, 6)
