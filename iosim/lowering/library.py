"""Functions of Triton that the generated kernels call; each is part of a kernel's source only if it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SOURCE = '''
@triton.jit
def product(a, b, c):
    """c + a b, with fp32 sums; where one factor is of 16 bits, so is the other, as tensor cores want it."""
    if a.shape[1] == 1:
        return c + a.to(tl.float32) * b.to(tl.float32)
    elif b.shape[1] == 1:
        return c + tl.sum(a.to(tl.float32) * tl.trans(b).to(tl.float32), axis=1)[:, None]
    elif a.shape[0] == 1:
        return c + tl.sum(tl.trans(a).to(tl.float32) * b.to(tl.float32), axis=0)[None, :]
    elif a.dtype == b.dtype:
        return tl.dot(a, b, c, input_precision="ieee")
    elif a.dtype == tl.float32:
        return tl.dot(a.to(b.dtype), b, c)
    else:
        return tl.dot(a, b.to(a.dtype), c)


@triton.jit
def spread(index, like, axis: tl.constexpr):
    """`index` along `axis` of a block of the other axes of `like`."""
    if len(like.shape) == 1:
        return index
    elif axis == 0:
        return tl.broadcast_to(index[:, None], [index.shape[0], like.shape[1]])
    else:
        return tl.broadcast_to(index[None, :], [like.shape[0], index.shape[0]])


@triton.jit
def take(x, start, width: tl.constexpr, axis: tl.constexpr):
    """`width` coordinates of `x` from `start` on; those beyond the end are repeated."""
    index = tl.minimum(start + tl.arange(0, width), x.shape[axis] - 1)
    return tl.gather(x, spread(index, x, axis), axis)


@triton.jit
def put(x, piece, start, size, axis: tl.constexpr):
    """`x` with `size` coordinates from `start` on taken from `piece`."""
    at = tl.arange(0, x.shape[axis]) - start
    index = tl.minimum(tl.maximum(at, 0), piece.shape[axis] - 1)
    return tl.where(spread((at >= 0) & (at < size), x, axis), tl.gather(piece, spread(index, x, axis), axis), x)


@triton.jit
def pick(x, position):
    """The whole number that `x` holds at `position`."""
    return tl.sum(tl.where(tl.arange(0, x.shape[0]) == position, x, 0), axis=0).to(tl.int32)


@triton.jit
def in_band(apart, back: tl.constexpr, ahead: tl.constexpr):
    """Whether keys are at most `back` before and `ahead` after those of their queries."""
    met = apart == apart
    if back is not None:
        met = met & (apart >= -back)
    if ahead is not None:
        met = met & (apart <= ahead)
    return met


@triton.jit
def select(x, index):
    """Columns of `x`, zero where the index is none; exact, as a product of matrices."""
    one = (tl.arange(0, x.shape[1])[:, None] == index[None, :]).to(x.dtype)
    return product(x, one, tl.zeros([x.shape[0], index.shape[0]], tl.float32))


@triton.jit
def ones(length: tl.constexpr, rows, factor):
    """Monomials without factors, zero beyond `rows` rows and where there is no monomial."""
    inside = (tl.arange(0, length) < rows)[:, None] & (factor >= -1)[None, :]
    return tl.where(inside, 1.0, 0.0)


@triton.jit
def times(phi, x, factor):
    """Monomials with a factor more, the column of `x` that `factor` says; -1 for none."""
    return phi * (select(x, factor) + tl.where(factor == -1, 1.0, 0.0)[None, :])
'''

_FUNCTIONS = {
    re.findall(r"def (\w+)", text)[0]: "@triton.jit\n" + text.strip() for text in _SOURCE.split("@triton.jit\n")[1:]
}


def called(source: str) -> Iterator[str]:
    """The functions that `source` calls, and those that they call, in an order in which they can be defined."""
    found: set[str] = set()
    new = {name for name in _FUNCTIONS if re.search(rf"\b{name}\(", source)}
    while new:
        found |= new
        texts = "\n".join(_FUNCTIONS[name].split(":\n", 1)[1] for name in new)
        new = {name for name in _FUNCTIONS if name not in found and re.search(rf"\b{name}\(", texts)}
    return (_FUNCTIONS[name] for name in _FUNCTIONS if name in found)
