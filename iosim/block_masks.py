"""Block-sparse masks: queries and keys are cut into blocks, and a block of queries meets whole blocks of keys.

A mask of blocks is a value that is asked like a band (`iosim.masks.AnyMask`). Which blocks meet is named by a pattern or
listed in a file:

    blocks:SIZE,local,W            blocks at most W away from its own
    blocks:SIZE,strided,W,S        these, and the last block of each S (Child et al., Sparse Transformers, 2019)
    blocks:SIZE,bigbird,W,G,R,SEED  these (W away), the first G blocks with everything, in both directions, and R random
                                   ones for each block of queries (Zaheer et al., Big Bird, NeurIPS 2020)
    FILE.npy                       a boolean array [blocks of queries, blocks of keys]; R rows cut n queries into blocks of
                                   ceil(n/R), and the columns cut the keys in the same way

A block's own block is the one as far from the last: as in a band, the last query is aligned with the last key.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import overload

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.program import Table

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_MOST_BLOCKS = 2**24  # of queries times of keys, and of queries squared


@dataclass(frozen=True, slots=True)
class Runs(Sequence[int]):
    """Coordinates in rising order, as few ranges with gaps between them."""

    ranges: tuple[range, ...]

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.ranges)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[int, ...]: ...
    def __getitem__(self, at: int | slice) -> int | tuple[int, ...]:
        return tuple(self)[at]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Which blocks of a mask meet, for some n and n_k.

    Attributes:
        touched: whether they do. Shape: [blocks of queries, blocks of keys].
        height: queries of a block, the last one may have fewer.
        width: keys of a block, the last one may have fewer.
        met: by blocks of queries r and s >= r: how many keys some query of the blocks r, ..., s meets. Units: keys.
    """

    touched: Booleans
    n: int
    n_k: int
    height: int
    width: int
    met: Integers

    def keys_met(self, starts: Integers, B: int) -> Integers:
        """For each tile of B queries (fewer at the end) that begins at one of `starts`: the keys that some of them meet."""
        last = np.minimum(starts + B, self.n) - 1
        found: Integers = self.met[starts // self.height, last // self.height]
        return found

    def keys_of(self, start: int, stop: int) -> Runs:
        """The keys that the queries start, ..., stop-1 meet between them."""
        blocks = self.touched[start // self.height : (stop - 1) // self.height + 1].any(axis=0)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], blocks, [False]])))
        pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        return Runs(tuple(range(low * self.width, min(high * self.width, self.n_k)) for low, high in pairs))


class BlockMask(ABC):
    """Blocks of queries that meet blocks of keys; a frozen value."""

    @property
    def full(self) -> bool:
        """Whether every query meets every key, whatever their number: a mask of blocks does not say so."""
        return False

    @abstractmethod
    def blocks(self, n: int, n_k: int) -> tuple[Booleans, int, int]:
        """Which blocks meet, and how many queries and how many keys a block has.

        Raises:
            UsageError: the mask is not for so many queries and keys.
        """

    def grid(self, n: int, n_k: int) -> Grid:
        """Which blocks meet, and what that amounts to."""
        return _grid(self, n, n_k)

    def met(self, n: int, n_k: int, B: int) -> int:
        """The sum, over tiles of B queries, of the keys that some query of the tile meets. Units: keys."""
        return int(self.grid(n, n_k).keys_met(np.arange(0, n, B), B).sum())

    def pairs(self, n: int, n_k: int) -> int:
        """How many pairs meet."""
        return self.met(n, n_k, 1)

    def keys(self, n: int, n_k: int) -> int:
        """How many keys some query meets."""
        return self.met(n, n_k, n)

    def meets(self, queries: Integers, keys: Integers, n: int, n_k: int) -> Booleans:
        """Whether each of some queries meets each of some keys. Shapes: [queries], [keys]; returns [queries, keys]."""
        grid = self.grid(n, n_k)
        found: Booleans = grid.touched[(queries // grid.height)[:, None], (keys // grid.width)[None, :]]
        return found

    def check(self, n: int, n_k: int) -> None:
        """Whether every query meets a key.

        Raises:
            UsageError: some don't, or the mask is not for so many queries and keys.
        """
        grid = self.grid(n, n_k)
        empty = np.flatnonzero(~grid.touched.any(axis=1))
        if empty.size:
            first = int(empty[0]) * grid.height
            last = min(first + grid.height, n) - 1
            raise UsageError(
                f"--mask {self}: queries {first:,} to {last:,} meet no key; allowed: masks with a key for every query"
            )


@lru_cache(maxsize=8)
def _grid(mask: BlockMask, n: int, n_k: int) -> Grid:
    touched, height, width = mask.blocks(n, n_k)
    rows, columns = touched.shape
    widths = np.diff(np.minimum(np.arange(columns + 1) * width, n_k))
    met = np.zeros((rows, rows), dtype=np.int64)
    following = np.full(columns, rows)  # for each block of keys, the first block of queries from r on that meets it
    for r in range(rows - 1, -1, -1):
        following[touched[r]] = r
        met[r] = np.bincount(following, weights=widths, minlength=rows + 1)[:rows].cumsum()
    return Grid(touched, n, n_k, height, width, met)


def _check_number(mask: object, rows: int, columns: int) -> None:
    if rows * max(rows, columns) > _MOST_BLOCKS:
        raise UsageError(
            f"--mask {mask}: {rows:,} by {columns:,} blocks; allowed: at most {_MOST_BLOCKS:,}, and 4,096 of queries"
        )


@dataclass(frozen=True, slots=True)
class PatternMask(BlockMask):
    """A named pattern of square blocks.

    Attributes:
        size: queries, and keys, of a block.
        pattern: its name.
        numbers: what it takes, as in the docstring of this module.
    """

    size: int
    pattern: str
    numbers: tuple[int, ...]

    def blocks(self, n: int, n_k: int) -> tuple[Booleans, int, int]:
        rows, columns = -(-n // self.size), -(-n_k // self.size)
        _check_number(self, rows, columns)
        window, *others = self.numbers
        own, key = np.arange(rows)[:, None] + columns - rows, np.arange(columns)[None, :]
        touched: Booleans = abs(key - own) <= window
        match self.pattern, others:
            case "local", []:
                pass
            case "strided", [stride]:
                touched |= key % stride == stride - 1
            case "bigbird", [first, several, seed]:
                touched |= (key < first) | (np.arange(rows)[:, None] < first)
                for row in range(rows):
                    random = np.random.default_rng([seed, row])
                    touched[row, random.choice(columns, size=min(several, columns), replace=False)] = True
            case _:
                raise AssertionError(self)
        return touched, self.size, self.size

    def __str__(self) -> str:
        return f"blocks:{self.size},{self.pattern},{','.join(map(str, self.numbers))}"


@dataclass(frozen=True, slots=True)
class FileMask(BlockMask):
    """A pattern from a file: its bits, row by row."""

    path: str
    rows: int
    columns: int
    bits: bytes

    def blocks(self, n: int, n_k: int) -> tuple[Booleans, int, int]:
        sizes = []
        for length, parts, what in ((n, self.rows, "queries"), (n_k, self.columns, "keys")):
            size = -(-length // parts)
            if -(-length // size) != parts:
                raise UsageError(
                    f"--mask {self}: {parts:,} blocks of {size:,} for {length:,} {what}, some of them empty; "
                    f"allowed: {-(-length // size):,} blocks"
                )
            sizes.append(size)
        found = np.unpackbits(np.frombuffer(self.bits, dtype=np.uint8), count=self.rows * self.columns)
        return found.astype(bool).reshape(self.rows, self.columns), *sizes  # type: ignore[return-value]

    def __str__(self) -> str:
        return self.path


def mask_from_array(touched: npt.ArrayLike, *, name: str) -> FileMask:
    """The mask whose blocks meet where `touched` says.

    Args:
        touched: booleans. Shape: [blocks of queries, blocks of keys].
        name: what to call it.

    Raises:
        UsageError: not a table of booleans, or one without rows or columns.
    """
    array = np.asarray(touched)
    if array.dtype != np.bool_ or array.ndim != 2 or 0 in array.shape:
        shape = " x ".join(map(str, array.shape)) or "one number"
        raise UsageError(
            f"--mask {name}: {array.dtype}, {shape}; allowed: a table of bool, [blocks of queries, of keys]"
        )
    rows, columns = array.shape
    _check_number(name, rows, columns)
    return FileMask(name, rows, columns, np.packbits(array).tobytes())


_PATTERNS: Mapping[str, tuple[str, tuple[int, ...]]] = {  # its numbers, and the least of each
    "local": ("W", (0,)),
    "strided": ("W,S", (0, 1)),
    "bigbird": ("W,G,R,SEED", (0, 0, 0, 0)),
}
FORMS = ", ".join(f"blocks:SIZE,{name},{numbers}" for name, (numbers, _) in _PATTERNS.items()) + ", FILE.npy"


def parse_block_mask(text: str, *, where: str) -> BlockMask:
    """The mask of blocks that a user names.

    Raises:
        UsageError: it is none, or the file can't be used.

    Example:
        >>> parse_block_mask("blocks:64,local,1", where="--mask")
        PatternMask(size=64, pattern='local', numbers=(1,))
    """
    if text.endswith(".npy"):
        try:
            array = np.load(text, allow_pickle=False)
        except OSError as error:
            raise UsageError(f"{where} {text}: can't be read: {error.strerror or error}") from error
        except (ValueError, EOFError) as error:
            raise UsageError(f"{where} {text}: can't be read as .npy: {error}") from error
        return mask_from_array(array, name=text)
    found = re.fullmatch(r"blocks:([1-9]\d{0,17}),([a-z]+)((?:,\d{1,18})*)", text)
    if found and found[2] in _PATTERNS:
        numbers = tuple(map(int, found[3].split(",")[1:]))
        least = _PATTERNS[found[2]][1]
        if len(numbers) == len(least) and all(number >= low for number, low in zip(numbers, least, strict=True)):
            return PatternMask(int(found[1]), found[2], numbers)
    raise UsageError(f"{where} {text}: allowed: {FORMS}")


class RowTiles(Table):
    """Tiles of B queries, one a row, with the keys that each meets.

    Columns: `start` and `size` of the tile, `met`, how many keys, and `keys`, which.
    """

    def __init__(self, mask: BlockMask, n: int, n_k: int, B: int) -> None:
        grid = mask.grid(n, n_k)
        rows = []
        for start in range(0, n, B):
            stop = min(start + B, n)
            keys = grid.keys_of(start, stop)
            rows.append({"start": start, "size": stop - start, "met": len(keys), "keys": keys})
        super().__init__(rows)
