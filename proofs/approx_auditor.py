"""The proofs of the bounds for approximate attention, asserted step by step on a concrete schedule.

The schedule is replayed by the rules of `proofs.approx_model`; its useful stays of sums, moves and contributions are found;
it is cut into segments of M + F words, and others begin in between: each is checked to have at most T(M + F) contributions,
every row in it at most what its words and sinks give. A wrong step of a proof, or a wrong constant, shows up as a named
failure on a legal schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import comb, floor
from typing import assert_never

from iosim.bounds.approx import Work, applicable, products_of
from iosim.bounds.bound import Bound, Property, Setting
from iosim.interpret.words.features import (
    Added,
    Discarded,
    Event,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
)
from proofs.approx_residence import Contribution, History, Stay, replay
from proofs.ledger import Ledger

PAID = "moves <= loads and stores, and pure stays"
PURE = "a pure stay contains m additions"
ONCE = "pure stays <= additions/m, if each is done once"
AGAIN = "a pure stay contains loads of m - M rows"
WORK = "contributions in a segment <= T(M + F)"
WORDS = "sums, words of rows and sinks of a segment <= M + F"
ROW = "contributions of a row in a segment <= products of its words"
SHARED = "contributions of a row in a segment <= sums there"
FULL = "F (segments - 1) <= moves"
NEEDED = "segments that are needed <= segments"
ALL = "all contributions <= contributions of all segments"
EVERY = (PAID, WORK, WORDS, ROW, SHARED, FULL, NEEDED, ALL)
_WINDOWS = 24  # segments that begin elsewhere, at most


def audit(
    trace: FeatureTrace,
    M: int,
    *,
    least: int | None = None,
    claims: Iterable[Bound] = (),
    tightened: Mapping[str, Fraction] | None = None,
) -> Ledger:
    """Checks every inequality of the proofs for sums of monomials on one schedule.

    Args:
        trace: a schedule, word by word.
        M: words of fast memory that it has.
        least: rows that a sum has to hold when it is used; all if not given.
        claims: more lower bounds to hold against its traffic.
        tightened: factors on the right sides of named inequalities, to try whether they can fail.

    Raises:
        AuditError: the trace breaks a rule of the model, or an inequality does not hold.
    """
    history = replay(trace, M, least=least)
    ledger = Ledger(tightened=tightened or {})
    stays = [stay for stay in history.stays if stay.useful]
    pure = [stay for stay in stays if stay.pure]
    schedule = _Schedule(history, stays)
    ledger.at_most(PAID, schedule.moves, history.traffic + len(pure))
    for stay in pure:
        ledger.at_most(PURE, history.m, len(stay.rows), str(stay.word))
        ledger.at_most(AGAIN, history.m - M, len(stay.loads), str(stay.word))
    r = comb(trace.d + trace.g, trace.g)
    if not history.recomputed and pure:
        ledger.at_most(ONCE, history.m * len(pure), trace.n * r * trace.d)
    work = Work(g=trace.g, d=trace.d, labels=r * trace.d, total=2 * trace.n * r * trace.d, M=M)
    events = len(trace.events)
    for F in _lengths(work, schedule.moves):
        done: set[Contribution] = set()
        start = segments = 0
        while start < events or not segments:
            start, contributions = schedule.segment(start, F, work, ledger)
            done |= contributions
            segments += 1
        ledger.at_most(ALL, work.total, len(done), f"F = {F}")
        ledger.at_most(FULL, F * (segments - 1), schedule.moves, f"F = {F}")
        ledger.at_most(NEEDED, work.segments(F), segments, f"F = {F}")
        for begin in range(1, events, max(1, events // _WINDOWS)):
            schedule.segment(begin, F, work, ledger)
    _bounds(history, M, claims, ledger)
    ledger.require(EVERY)
    return ledger


def _lengths(work: Work, moves: int) -> Iterator[int]:
    best = work.best()
    yield from sorted({1, 2, work.M, 2 * work.M, moves, *([] if best is None else [best[0]])})


class _Schedule:
    """The events of a trace with what segments need of them: whether each is a move, and what fast memory holds before."""

    def __init__(self, history: History, stays: list[Stay]) -> None:
        trace = history.trace
        begins = {stay.begin for stay in stays}
        self.events = trace.events
        self.labels = comb(trace.d + trace.g, trace.g) * trace.d
        self.d, self.g = trace.d, trace.g
        self.is_move: list[bool] = []
        self.before: list[frozenset[Word]] = []  # words in useful stays of sums, of rows and of outputs
        self.useful: list[bool] = []  # whether what is added is added in a useful stay
        spans = {(stay.word, stay.begin) for stay in stays}
        fast: set[Word] = set()
        idle: set[Word] = set()  # sums in useless stays
        for time, event in enumerate(self.events):
            self.before.append(frozenset(fast))
            word = _made(event)
            if isinstance(event, Discarded):
                fast.discard(event.word)
                idle.discard(event.word)
            elif word is not None and word not in fast and word not in idle:
                (fast if word.kind != "W" or (word, time) in spans else idle).add(word)
            self.useful.append(isinstance(event, Added) and event.sum in fast)
            row_load = isinstance(event, Loaded) and event.word.kind in "KVQ"
            stored = isinstance(event, Stored) and event.word.kind == "Y"
            self.is_move.append(row_load or stored or time in begins)
        self.moves = sum(self.is_move)

    def segment(self, start: int, F: int, work: Work, ledger: Ledger) -> tuple[int, set[Contribution]]:
        """The segment of M + F words from an event on: where it ends, and its contributions that reach a sink."""
        where = f"F = {F}, from event {start}"
        outputs = {word for word in self.before[start] if word.kind == "Y"} if self.events else set()
        words = set(self.before[start]) - outputs if self.events else set()  # of rows and sums, and sinks
        begin, moves, time = len(words), 0, start
        held: dict[Word, set[Contribution]] = {}  # contributions to outputs, by the word that they are in
        done: set[Contribution] = set()
        while time < len(self.events):
            event = self.events[time]
            if self.is_move[time]:
                moves += 1
                made = _made(event)
                words.add(event.word if isinstance(event, Stored) or made is None else made)  # type: ignore[union-attr]
            match event:
                case Loaded(word=word) if word.kind == "Y":
                    outputs.add(word)
                case Stored(word=word) if word.kind == "Y":
                    done |= held.get(word, set())
                case Discarded(word=word):
                    outputs.discard(word)
                    held.pop(word, None)
                case Added(sum=label, factors=factors) if self.useful[time]:
                    done.add(("add", factors[0].row, label))
                case Used(output=output, sum=label):
                    outputs.add(output)
                    new = {("use", output.row, label)} if label.kind == "W" else held.get(label, set())
                    held[output] = held.get(output, set()) | new
            time += 1
            if begin + moves + len(outputs) >= work.M + F:
                break
        for contributions in held.values():
            done |= contributions
        words |= outputs
        ledger.at_most(WORDS, len(words), work.M + F, where)
        ledger.at_most(WORK, len(done), floor(work.of(work.M + F)), where)
        rows = Counter((stage, row) for stage, row, _ in done)
        of_rows = Counter(("use" if word.kind in "QY" else "add", word.row) for word in words if word.kind != "W")
        sums = sum(word.kind == "W" for word in words)
        for row, found in rows.items():
            most = products_of(of_rows[row], self.g, self.d, self.labels) if of_rows[row] else 0
            ledger.at_most(ROW, found, most, f"{where}, {row[0]} row {row[1]}")
            ledger.at_most(SHARED, found, sums, f"{where}, {row[0]} row {row[1]}")
        return time, done


def _made(event: Event) -> Word | None:
    """The word that an event puts into fast memory, if it is not there."""
    match event:
        case Loaded(word=word) | Formed(word=word) | Added(sum=word) | Used(output=word):
            return word
        case Stored() | Discarded():
            return None
        case _ as never:
            assert_never(never)


def _bounds(history: History, M: int, claims: Iterable[Bound], ledger: Ledger) -> None:
    """What the theorems say in the end, against the traffic."""
    trace = history.trace
    properties: set[Property] = {"feature sums", "V-linear sums", "monomials"}
    if not history.recomputed:
        properties.add("one-shot")
    setting = Setting(
        N=trace.n**2,
        n_q=trace.n,
        n_k=trace.n,
        d=trace.d,
        d_v=trace.d,
        M=M,
        g=trace.g,
        m=history.m,
        properties=frozenset(properties),
    )
    for bound, words, _ in applicable(setting):
        ledger.at_most(f"bound: {bound.name}", words, history.traffic, str(setting))
    for bound in claims:
        ledger.at_most(f"claim: {bound.name}", bound.words(setting), history.traffic, str(setting))
