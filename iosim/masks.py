"""Which keys does a query meet? A mask is a value that programs, bounds and numerics ask.

Query i of n meets key j of n_k if i + shift - back <= j <= i + shift + ahead, where shift = n_k - n: the last query is
aligned with the last key, as where the keys of a cache come before those of the queries. Causal attention has ahead = 0,
a sliding window of w keys also has back = w - 1. Masks of blocks are in `iosim.block_masks`; what all masks answer is
`AnyMask`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from iosim.errors import UsageError
from iosim.expr import Size, ceil_div, evaluate_int, floor_div, maximum, minimum, sum_over, symbol
from iosim.program import Span

if TYPE_CHECKING:
    from iosim.builder import Builder, Index, TileHandle


class AnyMask(Protocol):
    """Which keys a query meets: a frozen value whose text names it."""

    @property
    def full(self) -> bool:
        """Whether every query meets every key, however many there are."""

    def pairs(self, n: int, n_k: int) -> int:
        """How many pairs meet."""

    def keys(self, n: int, n_k: int) -> int:
        """How many keys some query meets."""

    def meets(
        self, queries: npt.NDArray[np.int64], keys: npt.NDArray[np.int64], n: int, n_k: int
    ) -> npt.NDArray[np.bool_]:
        """Whether each of some queries meets each of some keys. Shapes: [queries], [keys]; returns [queries, keys]."""

    def check(self, n: int, n_k: int) -> None:
        """Raises a UsageError if some query meets no key, or the mask is not for so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A band of pairs of a query and a key; all of them if both widths are None.

    Attributes:
        back: how many keys before its own a query meets; None for all of them.
        ahead: how many keys after its own; None for all of them.
    """

    back: int | None = None
    ahead: int | None = None

    @property
    def full(self) -> bool:
        """Whether every query meets every key."""
        return self.back is None and self.ahead is None

    @property
    def transposed(self) -> Mask:
        """Which queries does a key meet? The same pairs, with keys in the place of queries.

        Example:
            >>> print(Mask(back=1, ahead=3).transposed)
            band:3,1
        """
        return Mask(back=self.ahead, ahead=self.back)

    def span(self, queries: Span, n: Size, n_k: Size) -> Span:
        """The keys that some consecutive queries meet between them; for their tile all of them, one after the other."""
        shift = n_k - n
        low = 0 if self.back is None else maximum(0, queries.start + shift - self.back)
        high = n_k
        if self.ahead is not None:
            high = queries.stop + shift + self.ahead
            high = high if self.ahead == 0 else minimum(n_k, high)  # the last query is aligned with the last key
        return Span(low, high - low)

    def met(self, n: Size, n_k: Size, B: Size) -> Size:
        """The sum, over tiles of B queries, of the keys that each tile meets. Units: keys.

        Example:
            >>> CAUSAL.met(8, 8, 4)  # 4 and 8
            12
        """
        tiles = ceil_div(n, B)
        if self.full:
            return n_k * tiles
        shift = n_k - n

        def ends(height: Size, ahead: Size) -> Size:
            """The sum over t = 1, ..., tiles - 1 of min(t B + shift + ahead, height)."""
            below = minimum(tiles, maximum(1, ceil_div(height - shift - ahead, B)))  # from t = below on, height is less
            return _half(B * below * (below - 1)) + (shift + ahead) * (below - 1) + height * (tiles - below)

        # what all tiles meet, and for each tile but the first what the one before it meets too: the keys from max(0,
        # t B + shift - back) up to min(n_k, t B + shift + ahead)
        every = self.span(Span(0, n), n, n_k).size
        if self.ahead == 0 and self.back is None:
            return every + _half(B * tiles * (tiles - 1)) + shift * (tiles - 1)
        if self.ahead == 0 and self.back is not None:
            return every + ends(self.back, 0)
        upper = n_k * (tiles - 1) if self.ahead is None else ends(n_k, self.ahead)
        if self.back is None:
            return every + upper
        # max(0, x) = x - min(x, 0)
        x = _half(B * tiles * (tiles - 1)) + (shift - self.back) * (tiles - 1)
        return every + upper - x + ends(0, -self.back)

    def total(self, f: Callable[[Size, Size], Size], n: Size, n_k: Size, B: Size) -> Size:
        """The sum of `f(queries, keys)` over tiles of B queries and the keys that each tile meets.

        Example:
            >>> CAUSAL.total(lambda queries, keys: queries * keys, 6, 6, 4)  # 4 4 + 2 6
            28
        """
        full, t = floor_div(n, B), symbol("mask.t")
        some = f(B, self.span(Span(B * t, B), n, n_k).size)
        rest = n - B * full
        if isinstance(rest, int) and rest == 0:
            return sum_over(some, "mask.t", full)
        last = f(rest, self.span(Span(B * full, rest), n, n_k).size)
        return sum_over(some, "mask.t", full) + (ceil_div(n, B) - full) * last

    def pairs(self, n: int, n_k: int) -> int:
        """How many pairs meet."""
        return evaluate_int(self.met(n, n_k, 1), {})

    def keys(self, n: int, n_k: int) -> int:
        """How many keys some query meets."""
        return evaluate_int(self.span(Span(0, n), n, n_k).size, {})

    def meets(
        self, queries: npt.NDArray[np.int64], keys: npt.NDArray[np.int64], n: int, n_k: int
    ) -> npt.NDArray[np.bool_]:
        """Whether each of some queries meets each of some keys. Shapes: [queries], [keys]; returns [queries, keys]."""
        return self.allows(queries, keys, n_k - n)

    def allows(self, queries: npt.NDArray[np.int64], keys: npt.NDArray[np.int64], shift: int) -> npt.NDArray[np.bool_]:
        """Whether each of some queries meets each of some keys. Shapes: [queries], [keys]; returns [queries, keys]."""
        apart = keys[None, :] - (queries[:, None] + shift)
        allowed = np.ones(apart.shape, dtype=bool)
        if self.back is not None:
            allowed &= apart >= -self.back
        if self.ahead is not None:
            allowed &= apart <= self.ahead
        return allowed

    def hide(self, b: Builder, s: TileHandle, i: Index, j: Index, *, shift: Size, g: Size = 1) -> None:
        """Writes the statement that sets the scores of pairs that don't meet to -inf; none if all meet.

        Args:
            b: the builder of the program.
            s: scores of the tile i of queries, g rows each, and the tile j of keys.
        """
        if not self.full:
            b.op("hide_scores", s, mask=self, row=i.start, column=j.start, shift=shift, group=g)

    def check(self, n: int, n_k: int) -> None:
        """Whether every query meets a key.

        Raises:
            UsageError: some don't.
        """
        if self.ahead is not None and n_k < n - self.ahead:
            raise UsageError(
                f"--mask {self}: n = {n:,} queries and {n_k:,} keys, so that some meet no key; allowed: n_k >= n"
            )

    def __str__(self) -> str:
        match self.back, self.ahead:
            case None, None:
                return "full"
            case None, 0:
                return "causal"
            case int(back), 0:
                return f"window:{back + 1}"
            case back, ahead:
                return f"band:{'all' if back is None else back},{'all' if ahead is None else ahead}"


def _half(size: Size) -> Size:
    return size // 2 if isinstance(size, int) else size * Fraction(1, 2)


FULL = Mask()
CAUSAL = Mask(ahead=0)

_FORMS = "full, causal, window:W (W keys up to its own), band:BACK,AHEAD"


def parse_mask(text: str, *, where: str) -> AnyMask:
    """The mask that a user names.

    Raises:
        UsageError: it is none.

    Example:
        >>> parse_mask("window:256", where="--mask")
        Mask(back=255, ahead=0)
    """
    if text in ("full", "causal"):
        return FULL if text == "full" else CAUSAL
    window, band = re.fullmatch(r"window:([1-9]\d*)", text), re.fullmatch(r"band:(\d+|all),(\d+|all)", text)
    if window:
        return Mask(back=int(window[1]) - 1, ahead=0)
    if band:
        back, ahead = (None if width == "all" else int(width) for width in band.groups())
        return Mask(back=back, ahead=ahead)

    from iosim.block_masks import FORMS, parse_block_mask

    if text.startswith("blocks:") or text.endswith(".npy"):
        return parse_block_mask(text, where=where)
    raise UsageError(f"{where} {text}: allowed: {_FORMS}, {FORMS}")
