"""Compiled by numba on first use; kept beside the source, where that can be written.

Compiled functions allocate nothing: they work on arrays that they are given, and numba need not count references.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import types
from numba.extending import intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])
_KEPT = os.access(Path(__file__).parent, os.W_OK)


def jit(function: _F) -> _F:
    """`function`, compiled."""
    compiled: _F = numba.njit(cache=_KEPT, error_model="numpy", _nrt=False)(function)
    return compiled


def inline(function: _F) -> _F:
    """`function`, compiled into those that call it."""
    compiled: _F = numba.njit(forceinline=True, error_model="numpy", _nrt=False)(function)
    return compiled


@intrinsic  # type: ignore[untyped-decorator]
def ones(_typing: Any, word: Any) -> Any:
    """How many bits of a 64-bit word are 1."""
    return types.int64(types.uint64), lambda _context, builder, _signature, args: builder.ctpop(args[0])


@intrinsic  # type: ignore[untyped-decorator]
def lowest(_typing: Any, word: Any) -> Any:
    """The place of the lowest 1 of a 64-bit word that is not 0."""
    return types.int64(types.uint64), lambda _context, builder, _signature, args: builder.cttz(
        args[0], _true(builder, args[0])
    )


@intrinsic  # type: ignore[untyped-decorator]
def highest(_typing: Any, word: Any) -> Any:
    """The place of the highest 1 of a 64-bit word that is not 0."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        zeros = builder.ctlz(args[0], _true(builder, args[0]))
        return builder.sub(zeros.type(63), zeros)

    return types.int64(types.uint64), code


def _true(_builder: Any, word: Any) -> Any:
    from llvmlite import ir

    assert word.type == ir.IntType(64)
    return ir.IntType(1)(1)
