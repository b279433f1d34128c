"""Bounds of other distributions: what `iosim bounds` and every run hold against a count beside our own."""

from __future__ import annotations

from functools import cache

from iosim.bounds.bound import NAMES, Bound
from iosim.entries import registered
from iosim.errors import UsageError

GROUP = "iosim.bounds"


@cache
def registered_bounds() -> tuple[Bound, ...]:
    """Every bound that an entry point of the group leads to, in the order of the names.

    Raises:
        UsageError: two different bounds have the same name, one is not what can be held against the words of a schedule, or
            a module can't be imported.
    """
    found = tuple(registered(GROUP, Bound, "bounds").values())
    for bound in found:
        if (bound.kind, bound.strength, bound.quantity) != ("lower", "exact", "traffic") or not {*bound.letters} <= {
            *NAMES
        }:
            raise UsageError(
                f"entry point in {GROUP}: {bound.name} is registered; allowed: exact lower bounds on traffic, in "
                f"{', '.join(NAMES)}"
            )
    return found
