"""What several audits have checked, as one ledger."""

from __future__ import annotations

from collections.abc import Iterable

from proofs.audit.ledger import Entry, Ledger


def together(ledgers: Iterable[Ledger]) -> Ledger:
    """A ledger of all their checks."""
    found = Ledger()
    for ledger in ledgers:
        for name, theirs in ledger.entries.items():
            mine = found.entries.setdefault(name, Entry())
            checks = mine.checks + theirs.checks
            if theirs.slack is not None and (mine.slack is None or theirs.slack < mine.slack):
                mine.slack = theirs.slack
            if theirs.tightest is not None:
                mine.note(*theirs.tightest)
            mine.checks = checks
    return found
