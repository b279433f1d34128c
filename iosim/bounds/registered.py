"""Bounds of other distributions, beside our own: what `iosim bounds` lists, and runs hold against their counts.

Runs of exact attention hold all of them; runs of approximate algorithms only those that are `compulsory`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

from iosim.bounds.bound import NAMES, Bound, Condition, Irrational, Letters
from iosim.entries import registered, said
from iosim.errors import CountError, IosimError

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


def guarded(bound: Bound) -> Bound:
    """The same bound; what goes wrong in its formula or its conditions is a `CountError` that names it."""

    def formula(x: Letters) -> Any:
        with _blamed(bound):
            return bound.formula(x) + 0  # which has to be a number

    def conditions(x: Letters) -> tuple[Condition, ...]:
        with _blamed(bound):
            return tuple((high + 0, low + 0) for high, low in bound.conditions(x))

    return replace(bound, formula=formula, conditions=conditions)


@contextmanager
def _blamed(bound: Bound) -> Iterator[None]:
    try:
        yield
    except (Irrational, IosimError):
        raise
    except Exception as error:  # a formula of somebody else may raise anything
        raise CountError(f"the registered bound {bound.name} can't be evaluated: {said(error)}") from error
