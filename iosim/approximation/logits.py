"""Which range do the scores q . k / sqrt(d) have? On it depends whether a polynomial can stand in for the exponential."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iosim.numeric.inputs import AttentionInput
from iosim.numeric.reference import iter_scores, norm_bound, row_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLogits:
    """The range of the scores q . k / sqrt(d) of one head, over all pairs of a query and a key.

    `min`, `max` and `max_abs` are of the scores themselves. Softmax doesn't change when a constant is added to a row of
    scores, so an approximation of the exponential may have less to cover: `centred_bound` is the largest |score| after
    the best shift of each row, half of the row's range, and at most `max_abs`; `key_centred` is the largest |score|
    after the mean key is subtracted from every key, a shift that costs O(n d) only, and that can also be larger than
    `max_abs`. `norm_bound` is max|q| max|k| / sqrt(d), at least `max_abs`.
    """

    min: float
    max: float
    centred_bound: float
    key_centred: float
    norm_bound: float

    @property
    def max_abs(self) -> float:
        """Largest |score|."""
        return max(abs(self.min), abs(self.max))

    def __str__(self) -> str:
        return (
            f"scores from {self.min:.3g} to {self.max:.3g}; |score| at most {self.max_abs:.3g}, "
            f"{self.key_centred:.3g} with centred keys, {self.centred_bound:.3g} with centred rows"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitRange:
    """The range of the scores of every head."""

    heads: tuple[HeadLogits, ...]

    @property
    def worst(self) -> HeadLogits:
        """The range that holds for every head: the smallest minimum and the largest of everything else."""
        return HeadLogits(
            min=min(head.min for head in self.heads),
            max=max(head.max for head in self.heads),
            centred_bound=max(head.centred_bound for head in self.heads),
            key_centred=max(head.key_centred for head in self.heads),
            norm_bound=max(head.norm_bound for head in self.heads),
        )

    def __str__(self) -> str:
        return str(self.worst)


def logit_range(data: AttentionInput, progress: Callable[[int, int], None] | None = None) -> LogitRange:
    """The exact range of the scores q . k / sqrt(d) of each head, over all pairs.

    Every pair is looked at, in float64: O(h n n_k d) work; temporaries stay below 64 MiB.

    Args:
        progress: called now and then with the rows done and the rows in all, counted over all heads.

    Example:
        >>> from iosim.numeric.inputs import from_arrays
        >>> print(logit_range(from_arrays([[2.0]], [[5.0], [6.0]], [[0.0], [0.0]])))
        scores from 10 to 12; |score| at most 12, 1 with centred keys, 1 with centred rows
    """
    heads: list[HeadLogits] = []
    for head, Q in enumerate(data.Q):
        K = data.K[head // data.group]
        lowest, highest, centred, key_centred = math.inf, -math.inf, 0.0, 0.0
        mean_key = K.mean(axis=0)
        for rows in row_blocks(data.n, data.d):
            q = Q[rows] / math.sqrt(data.d)
            low, high = np.full(len(q), np.inf), np.full(len(q), -np.inf)
            for _, scores in iter_scores(q, K):
                np.minimum(low, scores.min(axis=1), out=low)
                np.maximum(high, scores.max(axis=1), out=high)
            lowest, highest = min(lowest, float(low.min())), max(highest, float(high.max()))
            centred = max(centred, float((high - low).max()) / 2)
            # Subtracting the mean key shifts row i by q_i . mean_key.
            shift = q @ mean_key
            key_centred = max(key_centred, float((high - shift).max()), float((shift - low).max()))
            if progress is not None:
                progress(len(heads) * data.n + rows.stop, data.heads * data.n)
        heads.append(
            HeadLogits(
                min=lowest,
                max=highest,
                centred_bound=centred,
                key_centred=key_centred,
                norm_bound=norm_bound(Q, K),
            )
        )
    return LogitRange(heads=tuple(heads))
