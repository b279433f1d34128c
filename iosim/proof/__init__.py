"""Theorems and what proves them: the kernel that makes facts, formulas over the real numbers, statements for people.

What establishes a fact is imported from here; `iosim.proof.theorem` has what a theorem is made of.
"""

from __future__ import annotations

from iosim.proof.kernel import (
    Fact,
    Method,
    Use,
    argue,
    cases,
    cite,
    established,
    exhaust,
    identity,
    prove,
    recorded,
    refute,
)

__all__ = [
    "Fact",
    "Method",
    "Use",
    "argue",
    "cases",
    "cite",
    "established",
    "exhaust",
    "identity",
    "prove",
    "recorded",
    "refute",
]
