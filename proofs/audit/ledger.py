"""A ledger of inequalities: each is checked under its name, in exact arithmetic, and the ledger knows how often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from proofs.audit.replay import AuditError

Exact: TypeAlias = int | Fraction


@dataclass(slots=True)
class Entry:
    """How often an inequality `left <= right` was checked, the least `right - left`, and the sides where it was
    relatively tightest (largest left/right, over positive right sides)."""

    checks: int = 0
    slack: Exact | None = None
    tightest: tuple[Exact, Exact] | None = None

    def note(self, left: Exact, right: Exact) -> None:
        """One more check, that held."""
        self.checks += 1
        if self.slack is None or right - left < self.slack:
            self.slack = right - left
        if right > 0 and (self.tightest is None or left * self.tightest[1] > self.tightest[0] * right):
            self.tightest = left, right

    @property
    def ratio(self) -> Fraction | None:
        """The largest left/right."""
        return None if self.tightest is None else Fraction(self.tightest[0]) / Fraction(self.tightest[1])


@dataclass(slots=True)
class Ledger:
    """Checks inequalities and remembers them.

    Attributes:
        entries: by name.
        tightened: factors on the right sides of named inequalities; a factor below 1 claims more than the theory does.
            For trying whether an inequality can fail.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    tightened: Mapping[str, Fraction] = field(default_factory=dict)

    def at_most(self, name: str, left: Exact, right: Exact, where: str = "", *, strict: bool = False) -> None:
        """Checks that left <= right (left < right if strict).

        Raises:
            AuditError: it is not; the error has the name and both sides.
        """
        if name in self.tightened:
            right = right * self.tightened[name]
        if left > right or (strict and left == right):
            sign = "<" if strict else "<="
            raise AuditError(name, f"{where + ': ' if where else ''}{left} {sign} {right} does not hold")
        self.entries.setdefault(name, Entry()).note(left, right)

    def equal(self, name: str, left: Exact, right: Exact, where: str = "") -> None:
        """Checks that two numbers are the same."""
        self.at_most(name, left, right, where)
        self.at_most(name, right, left, where)

    def require(self, names: Iterable[str]) -> None:
        """Refuses inequalities that were never checked.

        Raises:
            AuditError: `unchecked`, with their names.
        """
        missing = [name for name in names if name not in self.entries]
        if missing:
            raise AuditError("unchecked", f"checked 0 times: {', '.join(missing)}")

    def __str__(self) -> str:
        rows = [
            f"{name:60} {entry.checks:>9,} checks, least slack {float(entry.slack or 0):.6g}, "
            f"tightest {float(entry.ratio or 0):.6f}"
            for name, entry in sorted(self.entries.items())
        ]
        return "\n".join(rows)
