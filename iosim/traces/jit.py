"""Compiled by numba on first use; kept beside the source, where that can be written.

Compiled functions allocate nothing: they work on arrays that they are given, and numba need not count references.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])
_NJIT: Any = numba.njit  # its stubs do not know `_nrt`, which leaves out the counting of references
_INTRINSIC: Any = intrinsic
_KEPT = os.access(Path(__file__).parent, os.W_OK)


def jit(function: _F) -> _F:
    """`function`, compiled."""
    compiled: _F = _NJIT(cache=_KEPT, error_model="numpy", _nrt=False)(function)
    return compiled


def inline(function: _F) -> _F:
    """`function`, compiled into those that call it.

    What is kept of callers in other files is not compiled anew when this one changes: delete `__pycache__` then.
    """
    compiled: _F = _NJIT(forceinline=True, error_model="numpy", _nrt=False)(function)
    return compiled


def _ones(_typing: Any, word: Any) -> Any:
    return types.int64(types.uint64), lambda _context, builder, _signature, args: builder.ctpop(args[0])


def _lowest(_typing: Any, word: Any) -> Any:
    return types.int64(types.uint64), lambda _context, builder, _signature, args: builder.cttz(args[0], _NOT_ZERO)


def _highest(_typing: Any, word: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        zeros = builder.ctlz(args[0], _NOT_ZERO)
        return builder.sub(zeros.type(63), zeros)

    return types.int64(types.uint64), code


_NOT_ZERO = ir.IntType(1)(1)

ones: Callable[[Any], int] = _INTRINSIC(_ones)
"""How many bits of a 64-bit word are 1."""

lowest: Callable[[Any], int] = _INTRINSIC(_lowest)
"""The place of the lowest 1 of a 64-bit word that is not 0."""

highest: Callable[[Any], int] = _INTRINSIC(_highest)
"""The place of the highest 1 of a 64-bit word that is not 0."""
