"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float], None]
"""Told what is going on, and which fraction of it is done."""


def silent(_what: str, _fraction: float) -> None:
    """Nobody is told."""
