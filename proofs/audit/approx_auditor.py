"""The proofs of the bounds for approximate attention, asserted step by step on a concrete schedule.

The schedule is replayed by the rules of `proofs.approx_model`; its useful stays of sums, moves and contributions are found;
it is cut into segments with at most M sums, and others begin in between: every row in each is checked to have at most the
contributions that its words and sinks give, and all its words and sinks to be as many as it needs. A wrong step of a proof,
or a wrong constant, shows up as a named failure on a legal schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import comb
from typing import assert_never

from iosim.bounds.approx import OF_MONOMIALS, Kind, all_products, applicable, products_of, words_of_a_row
from iosim.bounds.bound import Bound, Property, Setting
from iosim.interpret.words.features import (
    ONES,
    Added,
    Discarded,
    Divided,
    Event,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
)
from proofs.audit.approx_replay import Contribution, History, Stay, replay
from proofs.audit.ledger import Ledger

PAID = "moves <= loads and stores, and pure stays"
PURE = "a pure stay contains m additions"
ONCE = "pure stays <= additions/m, if each is done once"
AGAIN = "a pure stay contains loads of m - M rows"
SUMS = "sums of a segment <= M"
ROW = "contributions of a row in a segment <= products of its words"
SHARED = "contributions of a row in a segment <= sums there"
PLACES = "words of rows and outputs as segments begin <= stays of sums that begin"
MOVED = "words of rows and sinks of all segments <= moves"
NEEDED = "C <= words and sinks of a row in all segments"
ALL = "all contributions <= contributions of all segments"
EVERY = (PAID, SUMS, ROW, SHARED, PLACES, MOVED, NEEDED, ALL)
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
    for kind in OF_MONOMIALS:
        _count(history, kind, M, ledger)
    _bounds(history, M, claims, ledger)
    ledger.require(EVERY)
    return ledger


def _count(history: History, kind: Kind, M: int, ledger: Ledger) -> None:
    """The steps where columns of V count, or that of ones too."""
    trace = history.trace
    stays = [stay for stay in history.stays if stay.useful and _counts(stay.word, kind)]
    pure = [stay for stay in stays if stay.pure]
    schedule = _Schedule(history, stays, kind)
    ledger.at_most(PAID, schedule.moves, history.traffic + len(pure))
    for stay in pure:
        ledger.at_most(PURE, history.m, len(stay.rows), str(stay.word))
        ledger.at_most(AGAIN, history.m - M, len(stay.loads), str(stay.word))
    if not history.recomputed and pure:
        ledger.at_most(ONCE, history.m * len(pure), trace.n * schedule.products)
    done: set[Contribution] = set()
    words: Counter[tuple[str, int]] = Counter()  # of each row, in all segments
    there = start = 0
    events = len(schedule.events)
    while start < events:
        there += sum(word.kind != "W" for word in schedule.before[start])
        start, contributions, own = schedule.segment(start, M, ledger)
        done |= contributions
        words += own
    ledger.at_most(ALL, 2 * trace.n * schedule.products, len(done))
    ledger.at_most(PLACES, there, len(stays))
    ledger.at_most(MOVED, words.total(), schedule.moves)
    needed = words_of_a_row(trace.g, trace.d, schedule.products, M, kind)
    for row in ((stage, row) for stage in ("add", "use") for row in range(trace.n)):
        ledger.at_most(NEEDED, needed, words[row], f"{row[0]} row {row[1]}")
    for begin in range(1, events, max(1, events // _WINDOWS)):
        schedule.segment(begin, M, ledger)


def _counts(word: Word, kind: Kind) -> bool:
    return kind == "normalised" or word.kind not in "WY" or word.column != ONES


class _Schedule:
    """The events of a trace about words that count, with what segments need of them: whether each begins a useful stay, and
    what fast memory holds before."""

    def __init__(self, history: History, stays: list[Stay], kind: Kind) -> None:
        trace = history.trace
        begins = {stay.begin for stay in stays}
        self.events: list[Event] = []
        self.products = all_products(comb(trace.d + trace.g, trace.g), trace.d, kind)
        self.d, self.g, self.kind = trace.d, trace.g, kind
        self.begins: list[bool] = []  # whether a useful stay of a sum does
        self.before: list[frozenset[Word]] = []  # words in useful stays of sums, of rows and of outputs
        self.useful: list[bool] = []  # whether what is added is added in a useful stay
        spans = {(stay.word, stay.begin) for stay in stays}
        self.moves = len(stays)
        fast: set[Word] = set()
        idle: set[Word] = set()  # sums in useless stays
        for time, event in enumerate(trace.events):
            if not _counts(_about(event), kind):
                continue
            self.events.append(event)
            self.before.append(frozenset(fast))
            word = _made(event)
            if isinstance(event, Discarded):
                fast.discard(event.word)
                idle.discard(event.word)
            elif word is not None and word not in fast and word not in idle:
                (fast if word.kind != "W" or (word, time) in spans else idle).add(word)
            self.useful.append(isinstance(event, Added) and event.sum in fast)
            self.begins.append(time in begins)
            self.moves += isinstance(event, Loaded) and event.word.kind in "KVQ"
            self.moves += isinstance(event, Stored) and event.word.kind == "Y"

    def segment(self, start: int, M: int, ledger: Ledger) -> tuple[int, set[Contribution], Counter[tuple[str, int]]]:
        """The segment with at most M sums from an event on: where it ends, its contributions that reach a sink, and how many
        words and sinks each row has."""
        where = f"from event {start}"
        outputs = {word for word in self.before[start] if word.kind == "Y"}
        words = {word for word in self.before[start] if word.kind in "KVQ"}  # and sinks
        labels = {word for word in self.before[start] if word.kind == "W"}
        sums, time = len(labels), start
        held: dict[Word, set[Contribution]] = {}  # contributions to outputs, by the word that they are in
        done: set[Contribution] = set()
        while time < len(self.events) and sums + self.begins[time] <= M:
            event = self.events[time]
            made = _made(event)
            if self.begins[time]:
                assert made is not None
                labels.add(made)
                sums += 1
            match event:
                case Loaded(word=word) if word.kind in "KVQ":
                    words.add(word)
                case Loaded(word=word) if word.kind == "Y":
                    outputs.add(word)
                case Stored(word=word) if word.kind == "Y":
                    words.add(word)
                    done |= held.get(word, set())
                case Discarded(word=word):
                    outputs.discard(word)
                    held.pop(word, None)
                case Divided(normaliser=z):
                    done |= held.get(z, set())
                case Added(sum=label, factors=factors) if self.useful[time]:
                    done.add(("add", factors[0].row, label))
                case Used(output=output, sum=label):
                    outputs.add(output)
                    new = {("use", output.row, label)} if label.kind == "W" else held.get(label, set())
                    held[output] = held.get(output, set()) | new
            time += 1
        if time < len(self.events):
            words |= outputs
            for contributions in held.values():
                done |= contributions
        ledger.at_most(SUMS, len(labels), M, where)
        own = Counter(("use" if word.kind in "QY" else "add", word.row) for word in words)
        rows = Counter((stage, row) for stage, row, _ in done)
        for row, found in rows.items():
            most = products_of(own[row], self.g, self.d, self.products, self.kind)
            ledger.at_most(ROW, found, most, f"{where}, {row[0]} row {row[1]}")
            ledger.at_most(SHARED, found, len(labels), f"{where}, {row[0]} row {row[1]}")
        return time, done, own


def _about(event: Event) -> Word:
    """The word that an event moves or makes; or, of a division, divides by."""
    match event:
        case Loaded(word=word) | Stored(word=word) | Discarded(word=word) | Formed(word=word):
            return word
        case Added(sum=word) | Used(output=word) | Divided(normaliser=word):
            return word
        case _ as never:
            assert_never(never)


def _made(event: Event) -> Word | None:
    """The word that an event puts into fast memory, if it is not there."""
    match event:
        case Loaded(word=word) | Formed(word=word) | Added(sum=word) | Used(output=word):
            return word
        case Stored() | Discarded() | Divided():
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
