"""What is printed, without what differs from one processor to another."""

from __future__ import annotations

import re


def without_rounding(text: str) -> str:
    """`text` with errors at the level of rounding as one sign."""
    return re.sub(r"\b[\d.]+e-1\d\b|(?<=off by )[\d.]+e-\d\d", "~", text)
