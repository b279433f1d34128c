"""The cases of the whole validation, those that matter most first; and tiny ones, to rehearse it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from typing import TypeVar

from iosim.gpu.cases import Case
from iosim.machines import machine

_published = machine("h100").sms
assert _published is not None
SMS: int = _published  # heads that fill an H100, for algorithms in which one block does a whole head

_WARPS = 8  # of kernels with features
_ROWS = {"N": 16}  # that pass at a time there

_T = TypeVar("_T")


def _flash2(n: int, d: int, B_r: int, B_c: int, *, heads: int = 1, mask: str = "full", sdpa: bool = False) -> Case:
    return Case(algorithm="flash2", n=n, d=d, heads=heads, mask=mask, tiles={"B_r": B_r, "B_c": B_c}, sdpa=sdpa)


def _flash1(n: int, d: int, B_c: int, B_r: int) -> Case:
    return Case(algorithm="flash1", n=n, d=d, heads=SMS, tiles={"B_c": B_c, "B_r": B_r})


def _standard(n: int, d: int, B: int, h: int) -> Case:
    tiles = {"B_r": B, "B_c": B, "B_o": B, "B_d": d, "f": B, "h": h}
    return Case(algorithm="standard", n=n, d=d, tiles=tiles)


def _resident(n: int, d: int, *, degree: int = 2, sdpa: bool = False) -> Case:
    return Case(
        algorithm="approx-resident", n=n, d=d, heads=SMS, degree=degree, tiles=_ROWS, num_warps=_WARPS, sdpa=sdpa
    )


def _blocks(n: int, d: int, M: int, schedule: str | None = None) -> Case:
    return Case(
        algorithm="approx",
        schedule=schedule,
        n=n,
        d=d,
        heads=SMS,
        degree=2,
        fast_memory_words=M,
        tiles=_ROWS,
        num_warps=_WARPS,
    )


_FLASH2 = [
    _flash2(4096, 64, 128, 64, sdpa=True),
    _flash2(16384, 128, 128, 64, sdpa=True),
    _flash2(131072, 128, 128, 64, sdpa=True),  # K and V are larger than the L2 cache
    _flash2(131072, 64, 128, 64, sdpa=True),
    _flash2(16384, 64, 64, 64),
    _flash2(16384, 64, 128, 128),
    _flash2(65536, 128, 64, 64),
    _flash2(4096, 128, 64, 32, heads=16, sdpa=True),
    _flash2(16384, 64, 128, 64, mask="causal", sdpa=True),
    _flash2(65536, 64, 64, 32),
    _flash2(10000, 64, 128, 64),  # ragged
    _flash2(32768, 64, 256, 64),
]
_FLASH1 = [
    _flash1(4096, 64, 128, 64),
    _flash1(4096, 128, 64, 64),
    _flash1(8192, 64, 128, 128),
    _flash1(4096, 64, 64, 128),
]
_STANDARD = [
    _standard(4096, 64, 128, 2),
    _standard(16384, 64, 128, 1),
    _standard(8192, 128, 64, 2),
    _standard(32768, 64, 128, 1),
]
_APPROX = [
    _resident(4096, 16, sdpa=True),
    _blocks(4096, 16, 1500),  # one block of features, two groups of columns
    _blocks(2048, 64, 2000),  # twelve blocks, six groups
    _resident(4096, 6, degree=3),
    _resident(16384, 16, sdpa=True),
    _resident(65536, 16, sdpa=True),
    _resident(1024, 16, sdpa=True),
    _resident(131072, 16, sdpa=True),
    _resident(32768, 16, sdpa=True),
    _resident(8192, 16, sdpa=True),
    _resident(2048, 16, sdpa=True),
    _resident(4096, 8, sdpa=True),
    _resident(1024, 8, sdpa=True),
    _resident(16384, 8, sdpa=True),
    _resident(65536, 8, sdpa=True),
    _blocks(2048, 32, 2000, "q-stationary"),  # stored feature sums, which blocks of one SM share through its L1 cache
    _blocks(1024, 128, 1000),  # 72 blocks, 17 groups
]


def _in_turn(*lists: Iterable[_T]) -> Iterator[_T]:
    """The first of each, then the second of each, and so on."""
    return (item for item in chain.from_iterable(zip_longest(*lists)) if item is not None)


CASES: tuple[Case, ...] = tuple(_in_turn(_FLASH2, _APPROX, _FLASH1, _STANDARD))

_SMALL = {"B_r": 32, "B_c": 16}
REHEARSAL: tuple[Case, ...] = (
    Case(algorithm="flash2", n=64, d=16, tiles=_SMALL, dtype="fp16", sdpa=True),
    Case(algorithm="flash2", n=96, d=16, heads=2, tiles=_SMALL, dtype="fp16"),
    Case(algorithm="flash1", n=64, d=16, heads=2, tiles=_SMALL, dtype="fp16"),
    Case(algorithm="approx-resident", n=32, d=4, degree=2, tiles={"N": 16}, dtype="fp16", sdpa=True),
    Case(algorithm="approx-resident", n=64, d=4, degree=2, tiles={"N": 16}, dtype="fp16", sdpa=True),
)
