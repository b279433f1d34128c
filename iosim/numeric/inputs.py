"""What are Q, K and V?

Random ones with a proven bound on the scores, or real ones, checked in full before anything is computed with them.
"""

import math
import operator
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.numeric.reference import UNIT_ROUNDOFF, Float64, norm_bound, row_blocks

NAMES: Final = ("Q", "K", "V")
LARGEST_ENTRY: Final = 1e100  # products of two, summed over d, stay far from the end of float64's range
LARGEST_INTEGER: Final = 2**53 - 1  # up to here every integer is a float64, and none above is rounded down to it
MAX_BYTES: Final = 2**47  # more than an address space holds: refused before asking the system for it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttentionInput:
    """The arrays that attention reads, in float64, and where they come from.

    Shapes: Q: [h, n, d], K: [h_k, n_k, d], V: [h_k, n_k, d_v]; h_k divides h, and head i reads keys i // (h / h_k).
    """

    Q: Float64
    K: Float64
    V: Float64
    source: str
    seed: int | None
    stored_dtype: str

    def __post_init__(self) -> None:
        _check_shapes(self.Q, self.K, self.V, self.source)
        for name, array in zip(NAMES, (self.Q, self.K, self.V), strict=True):
            if array.ndim != 3 or array.dtype != np.float64:
                raise UsageError(
                    f"{self.source}: array {name} is {array.dtype} {list(array.shape)}; "
                    "allowed here: float64 of shape [h, n, d] (`from_arrays` converts)"
                )

    @property
    def heads(self) -> int:
        """Number of heads, h."""
        return int(self.Q.shape[0])

    @property
    def group(self) -> int:
        """Query heads that share keys and values: h / h_k."""
        return self.heads // int(self.K.shape[0])

    @property
    def n(self) -> int:
        """Number of queries."""
        return int(self.Q.shape[1])

    @property
    def n_k(self) -> int:
        """Number of keys."""
        return int(self.K.shape[1])

    @property
    def d(self) -> int:
        """Head dimension: columns of Q and K."""
        return int(self.Q.shape[2])

    @property
    def d_v(self) -> int:
        """Columns of V."""
        return int(self.V.shape[2])

    def __str__(self) -> str:
        sizes = f"h={self.heads}, n={self.n}, n_k={self.n_k}, d={self.d}, d_v={self.d_v}"
        return f"{self.source}: {sizes}, stored as {self.stored_dtype}"


class Stored(NamedTuple):
    """An array as found, and the name of the data type that it was stored in."""

    array: npt.NDArray[Any]
    dtype: str


def random_input(
    n: int,
    d: int,
    *,
    n_k: int | None = None,
    d_v: int | None = None,
    heads: int = 1,
    group: int = 1,
    tied: bool = False,
    logit_bound: float = 1.0,
    seed: int = 0,
) -> AttentionInput:
    """Standard normal Q, K, V, with Q and K scaled so that no score exceeds `logit_bound`.

    For each key head, Q and K are multiplied by one common factor, after which max|q_i| max|k_j| / sqrt(d), the
    Cauchy-Schwarz bound on the scores, is `logit_bound` (less a relative 1e-13 or so for rounding). So the bound on the
    scores is proven, not measured, in exact arithmetic and in float64 alike. The same arguments give the same arrays.

    Args:
        n_k: keys; n if not given.
        d_v: columns of V; d if not given.
        heads: query heads.
        group: how many of them share keys and values; a divisor of `heads`.
        tied: whether V is the first d_v columns of K.

    Shapes: Q: [heads, n, d], K: [heads / group, n_k, d], V: [heads / group, n_k, d_v].

    Raises:
        UsageError: a size below 1, a negative seed, a bound outside 1e-100 to 1e100, more than memory holds.

    Example:
        >>> from iosim.approximation.logits import logit_range
        >>> data = random_input(100, 8, logit_bound=2.0)
        >>> logit_range(data).worst.max_abs < 2.0
        True
        >>> round(norm_bound(data.Q[0], data.K[0]), 9)
        2.0
    """
    n, d, heads, group, seed = (operator.index(number) for number in (n, d, heads, group, seed))
    n_k, d_v = operator.index(n_k or n), operator.index(d_v or d)
    source = f"random input (n={n}, d={d}, heads={heads}, seed={seed}, logit bound {logit_bound:g})"
    if heads % max(group, 1) or (tied and d_v > d):
        raise UsageError(f"{source}: group {group}, d_v {d_v}; allowed: a divisor of heads, d_v <= d if tied")
    if min(n, d, heads, n_k, d_v, group) < 1 or seed < 0:
        raise UsageError(f"{source}: allowed: n, d and heads from 1 up, seed from 0 up")
    if not 1e-100 <= logit_bound <= 1e100:
        raise UsageError(f"{source}: allowed: a logit bound from 1e-100 to 1e100")
    shapes = ((heads, n, d), (heads // group, n_k, d), (heads // group, n_k, d_v))
    memory = _allocate((sum(map(math.prod, shapes)),), source)
    ends = list(accumulate(map(math.prod, shapes)))
    Q, K, V = (part.reshape(shape) for part, shape in zip(np.split(memory, ends[:-1]), shapes, strict=True))

    def fill(array: Float64, own: np.random.SeedSequence) -> None:
        np.random.Generator(np.random.PCG64(own)).standard_normal(out=array)

    # A stream of its own for each array, so that threads (numpy lets go of the lock) don't change the numbers.
    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(fill, (Q, K, V), np.random.SeedSequence(seed).spawn(len(NAMES))))
    # Rounding, in units of 2^-53: norm_bound is off by d + 5, the factor and the products with it by 8,
    # and a score computed from them by d + 3. Aiming lower by twice their sum keeps even computed scores below.
    aim = logit_bound * (1 - (4 * d + 32) * UNIT_ROUNDOFF)
    for head in range(len(K)):
        own = slice(head * group, (head + 1) * group)
        factor = math.sqrt(aim / max(norm_bound(q, K[head]) for q in Q[own]))
        Q[own] *= factor
        K[head] *= factor
    if tied:
        V = np.ascontiguousarray(K[:, :, :d_v])
    return AttentionInput(Q=Q, K=K, V=V, source=source, seed=seed, stored_dtype="float64")


def from_arrays(Q: npt.ArrayLike, K: npt.ArrayLike, V: npt.ArrayLike, *, source: str = "arrays") -> AttentionInput:
    """Arrays from elsewhere as an input: checked entry by entry and converted to float64.

    Args:
        source: what to call them in reports and errors.

    Shapes: Q: [n, d] or [h, n, d]; K: [n_k, d] or [h_k, n_k, d]; V: [n_k, d_v] or [h_k, n_k, d_v]; h_k divides h.

    Raises:
        UsageError: another shape, a data type that isn't real, an entry that is not finite or beyond 1e100.

    Example:
        >>> print(from_arrays([[1, 2]], [[3, 4]], [[5]], source="by hand"))
        by hand: h=1, n=1, n_k=1, d=2, d_v=1, stored as int64
    """
    stored = {}
    for name, given in zip(NAMES, (Q, K, V), strict=True):
        try:
            array = np.asarray(given)
        except ValueError as error:  # rows of different lengths
            raise UsageError(f"{source}: {name} is not an array: {' '.join(str(error).split())}") from error
        stored[name] = Stored(array, array.dtype.name)
    return checked(stored, source)


def checked(stored: Mapping[str, Stored], source: str) -> AttentionInput:
    """Q, K and V as found somewhere, converted to float64 with every entry checked.

    Raises:
        UsageError: as of `from_arrays`.
    """
    for name, (array, _) in stored.items():
        _check_dtype(name, array, source)
    _check_shapes(stored["Q"].array, stored["K"].array, stored["V"].array, source)
    Q, K, V = (_to_float64(name, stored[name].array, source) for name in NAMES)
    dtypes = [stored[name].dtype for name in NAMES]
    if len(set(dtypes)) > 1:
        dtypes = [", ".join(f"{name} {dtype}" for name, dtype in zip(NAMES, dtypes, strict=True))]
    return AttentionInput(Q=Q, K=K, V=V, source=source, seed=None, stored_dtype=dtypes[0])


def _check_dtype(name: str, array: npt.NDArray[Any], source: str) -> None:
    if array.dtype.kind in "iu" or array.dtype.name in ("float16", "bfloat16", "float32", "float64"):
        return
    # numpy.save writes bfloat16, which numpy itself doesn't know, as two bytes without a meaning.
    hint = " (perhaps bfloat16: store it as float32 or in a .safetensors file)" if array.dtype == np.dtype("V2") else ""
    raise UsageError(
        f"{source}: array {name} has the data type {array.dtype}{hint}; "
        "allowed: float16, bfloat16, float32, float64, integers"
    )


def _check_shapes(Q: npt.NDArray[Any], K: npt.NDArray[Any], V: npt.NDArray[Any], source: str) -> None:
    found = f"{source}: Q {list(Q.shape)}, K {list(K.shape)}, V {list(V.shape)}"
    if not (Q.ndim == K.ndim == V.ndim and Q.ndim in (2, 3)):
        raise UsageError(f"{found}; allowed: all three [n, d] or all three [h, n, d]")
    if 0 in Q.shape + K.shape + V.shape:
        raise UsageError(f"{found}; allowed: no empty array")
    if K.shape[:-2] != V.shape[:-2] or (Q.ndim == 3 and len(Q) % len(K)):
        raise UsageError(f"{found}; allowed: as many heads in K and V, and a multiple of that in Q")
    if Q.shape[-1] != K.shape[-1]:
        raise UsageError(f"{found}; allowed: Q and K with as many columns")
    if K.shape[-2] != V.shape[-2]:
        raise UsageError(f"{found}; allowed: K and V with as many rows")


def _to_float64(name: str, array: npt.NDArray[Any], source: str) -> Float64:
    """A copy in float64 and C order, of shape [h, n, d], with every entry checked."""
    copy = _allocate(array.shape, source)
    copy[...] = array
    largest, words = LARGEST_ENTRY, f"{LARGEST_ENTRY:g}"
    if array.dtype.kind in "iu":
        largest, words = LARGEST_INTEGER, "2^53 - 1"
    table = copy.reshape(-1, copy.shape[-1])
    for rows in row_blocks(*table.shape):
        good = np.abs(table[rows]) <= largest  # not so for nan
        if not good.all():
            position = rows.start * table.shape[1] + int(np.argmin(good))
            index = tuple(int(i) for i in np.unravel_index(position, array.shape))
            raise UsageError(
                f"{source}: {name}{list(index)} is {array[index]}; allowed: finite numbers of magnitude up to {words}"
            )
    return copy if copy.ndim == 3 else copy[np.newaxis]


def _allocate(shape: tuple[int, ...], source: str) -> Float64:
    size = 8 * math.prod(shape)
    if size <= MAX_BYTES:
        try:
            return np.empty(shape)
        except MemoryError:
            pass
    raise UsageError(f"{source}: {size:,} B in float64; allowed: what fits into memory")
