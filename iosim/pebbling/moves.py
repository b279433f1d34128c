"""Single moves of the pebble games."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class MoveKind(IntEnum):
    """What is done, in the numbers of `iosim.pebbling.game`."""

    LOAD = 0
    STORE = 1
    DISCARD = 2
    TERM = 3
    REPLACE = 4  # the next term makes a new word where this node was


class Move(NamedTuple):
    """One move, of a node; of a term for `TERM`."""

    kind: MoveKind
    what: int
