"""Bounds of other distributions, beside our own: what `iosim bounds` lists, and runs hold against their counts.

Runs of exact attention hold all of them; runs of approximate algorithms only those that are `compulsory`.
"""

from __future__ import annotations

from functools import cache

from iosim.bounds.bound import NAMES, Bound
from iosim.entries import registered

GROUP = "iosim.bounds"


@cache
def registered_bounds() -> tuple[Bound, ...]:
    """Every bound that an entry point of the group leads to, in the order of the names.

    Raises:
        UsageError: two different bounds have the same name, one is not what can be held against the words of a schedule, or
            a module can't be imported.
    """
    return tuple(registered(GROUP, Bound, "bounds", refused=_refused).values())


def _refused(bound: Bound) -> str | None:
    if (bound.kind, bound.strength, bound.quantity) == ("lower", "exact", "traffic") and {*bound.letters} <= {*NAMES}:
        return None
    return f"{bound.name} is registered; allowed: exact lower bounds on traffic, in {', '.join(NAMES)}"
