"""What are Q, K and V?

Random ones with a proven bound on the scores, or real ones from a file, checked in full before anything is computed
with them; and the range that their scores really have, on which it depends whether a polynomial can stand in for the
exponential.
"""

import importlib
import math
import operator
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.reference import UNIT_ROUNDOFF, Float64, iter_scores, norm_bound, row_blocks

NAMES: Final = ("Q", "K", "V")
LARGEST_ENTRY: Final = 1e100  # products of two, summed over d, stay far from the end of float64's range
LARGEST_INTEGER: Final = 2**53 - 1  # up to here every integer is a float64, and none above is rounded down to it
MAX_BYTES: Final = 2**47  # more than an address space holds: refused before asking the system for it

_FILES_ALLOWED = "allowed: FILE.npz, FILE.safetensors or Q.npy,K.npy,V.npy"

_SAFETENSORS_DTYPES: Final[Mapping[str, str]] = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "<i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "<u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}

# What numpy and zipfile raise on damaged files. Their readers meet arbitrary bytes, hence the long list.
_UNREADABLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    MemoryError,
    OverflowError,
    RuntimeError,  # encrypted archives; NotImplementedError (compression methods) and RecursionError are children
    SyntaxError,
    AssertionError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


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
        stored[name] = _Stored(array, array.dtype.name)
    return _input(stored, source)


def load_input(path: str | os.PathLike[str]) -> AttentionInput:
    """Q, K and V from a file.

    One of: an `.npz` archive with the arrays Q, K, V (or q, k, v); three `.npy` files, joined by commas, in the order
    Q,K,V; a `.safetensors` file with Q, K, V (needs the package safetensors, the only way to bring bfloat16). Pickled
    objects are never loaded.

    Shapes: each array [n, d] or [h, n, d], all three alike; K and V may have another n and fewer h, and V another d.

    Raises:
        UsageError: whatever is wrong with the file or the arrays, in one line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/tiny.npz", Q=np.zeros((5, 2)), K=np.zeros((7, 2)), V=np.zeros((7, 3)))
        ...     data = load_input(f"{folder}/tiny.npz")
        >>> data.heads, data.n, data.n_k, data.d, data.d_v
        (1, 5, 7, 2, 3)
    """
    text = os.fspath(path)
    if "," in text and not os.path.exists(text):
        return _input(_read_npy_triple(text), text)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    suffix = Path(text).suffix.lower()
    if suffix == ".npy":
        raise UsageError(f"{text}: one .npy file holds one array; {_FILES_ALLOWED}")
    if suffix not in readers:
        raise UsageError(f"{text}: unknown kind of file; {_FILES_ALLOWED}")
    _check_file(text)
    return _input(readers[suffix](text), text)


def logit_range(data: AttentionInput, progress: Callable[[int, int], None] | None = None) -> LogitRange:
    """The exact range of the scores q . k / sqrt(d) of each head, over all pairs.

    Every pair is looked at, in float64: O(h n n_k d) work; temporaries stay below 64 MiB.

    Args:
        progress: called now and then with the rows done and the rows in all, counted over all heads.

    Example:
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


class _Stored(NamedTuple):
    """An array as found, and the name of the data type that it was stored in."""

    array: npt.NDArray[Any]
    dtype: str


def _input(stored: Mapping[str, _Stored], source: str) -> AttentionInput:
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


def _read_npz(path: str) -> dict[str, _Stored]:
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path}: not an .npz archive; allowed: what numpy.savez writes")
    stored = {}
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = {member.removesuffix(".npy"): member for member in archive.namelist()}
        for name, key in _find(list(members), path).items():
            with _readable(f"{path}: array {name}"), archive.open(members[key]) as file:
                stored[name] = _parse_npy(file)
    return stored


def _read_npy_triple(path: str) -> dict[str, _Stored]:
    parts = [part.strip() for part in path.split(",")]
    if len(parts) != len(NAMES):
        raise UsageError(f"{path}: {len(parts)} files; allowed: three, as in Q.npy,K.npy,V.npy")
    stored = {}
    for name, part in zip(NAMES, parts, strict=True):
        _check_file(part)
        with _readable(f"{part}: array {name}"), open(part, "rb") as file:
            stored[name] = _parse_npy(file)
    return stored


def _read_safetensors(path: str) -> dict[str, _Stored]:
    try:
        safetensors = importlib.import_module("safetensors")
    except ImportError as error:
        raise UsageError(
            f"{path}: reading .safetensors needs the package safetensors; pip install 'iosim[safetensors]'"
        ) from error
    with _readable(path, safetensors.SafetensorError):
        tensors = dict(safetensors.deserialize(Path(path).read_bytes()))
    stored = {}
    for name, key in _find(list(tensors), path).items():
        stored[name] = _parse_tensor(f"{path}: array {name}", tensors[key])
    return stored


def _parse_npy(file: IO[bytes]) -> _Stored:
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return _Stored(array, array.dtype.name)


def _parse_tensor(at: str, tensor: Mapping[str, Any]) -> _Stored:
    """A tensor as safetensors describes it: the name of its data type, its shape, its bytes (little-endian)."""
    if tensor["dtype"] == "BF16":
        # bfloat16 is the upper half of a float32.
        words = np.frombuffer(tensor["data"], dtype="<u2").astype("<u4") << np.uint32(16)
        return _Stored(words.view("<f4").reshape(tensor["shape"]), "bfloat16")
    if tensor["dtype"] not in _SAFETENSORS_DTYPES:
        raise UsageError(f"{at} has the data type {tensor['dtype']}; allowed: BF16, {', '.join(_SAFETENSORS_DTYPES)}")
    array = np.frombuffer(tensor["data"], dtype=_SAFETENSORS_DTYPES[tensor["dtype"]])
    return _Stored(array.reshape(tensor["shape"]), array.dtype.name)


def _find(keys: Sequence[str], path: str) -> dict[str, str]:
    """The key of each of Q, K and V among the keys of a file."""
    found = {}
    for name in NAMES:
        matches = [key for key in keys if key in (name, name.lower())]
        if len(matches) != 1:
            problem = "both " + " and ".join(matches) if matches else f"no array {name}"
            listed = ", ".join(sorted(keys)[:8]) + (", ..." if len(keys) > 8 else "")
            raise UsageError(f"{path}: {problem} among its arrays ({listed}); allowed: one each of Q, K, V or q, k, v")
        found[name] = matches[0]
    return found


def _check_file(path: str) -> None:
    # os.path answers False where pathlib raises, as for names that are too long.
    if not os.path.isfile(path):
        problem = "not a file" if os.path.exists(path) else "no such file"
        raise UsageError(f"{path}: {problem}; {_FILES_ALLOWED}")


@contextmanager
def _readable(at: str, *more: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong while reading a file into a UsageError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's about old but readable headers
            yield
    except UsageError:
        raise
    except (*_UNREADABLE, *more) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"{at} can't be read: {reason}; {_FILES_ALLOWED}") from error
