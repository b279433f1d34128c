"""The proofs of the bounds for approximate attention, asserted step by step on a concrete schedule.

The schedule is replayed by the rules of `proofs.approx_model`; its useful stays of sums, moves and contributions are found;
it is cut into segments of M + F words, and others begin in between: each is checked to have at most T(M + F) contributions,
every row in it at most what its words and sinks give. A wrong step of a proof, or a wrong constant, shows up as a named
failure on a legal schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import comb, floor
from typing import assert_never

from iosim.bounds.approx import Work, applicable, products_of
from iosim.bounds.bound import Bound, Property, Setting
from iosim.interpret.feature_words import (
    Added,
    Discarded,
    Event,
    Factors,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
    monomials,
)
from proofs.ledger import Ledger
from proofs.residence import AuditError

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

Contribution = tuple[str, int, Word]  # which stage, the row, the sum


@dataclass(slots=True)
class Stay:
    """A maximal time of a sum in fast memory.

    Attributes:
        word: which.
        begin, end: numbers of the events that begin and end it.
        moved: whether it contains a load or a store.
        used: whether the sum is used in it.
        rows: that are added in it.
        loads: rows of K and V of which a word is loaded meanwhile.
    """

    word: Word
    begin: int
    end: int
    moved: bool = False
    used: bool = False
    rows: set[int] = field(default_factory=set)
    loads: set[int] = field(default_factory=set)

    @property
    def useful(self) -> bool:
        return self.moved or self.used

    @property
    def pure(self) -> bool:
        return self.useful and not self.moved


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened.

    Attributes:
        trace: the schedule.
        stays: of sums.
        moved: words that are moved; words of no interest are in the trace.
        m: rows of the sum that was used with the fewest.
        recomputed: whether a contribution is executed twice.
        peak: most words at once.
    """

    trace: FeatureTrace
    stays: tuple[Stay, ...]
    moved: tuple[Word, ...]
    m: int
    recomputed: bool
    peak: int

    @property
    def traffic(self) -> int:
        return len(self.moved) + self.trace.beside


def replay(trace: FeatureTrace, M: int | None = None, *, least: int | None = None) -> History:
    """Runs a trace by the rules of the model.

    Args:
        trace: the schedule.
        M: words of fast memory; any number if not given.
        least: rows that a sum has to hold when it is used; all if not given.

    Raises:
        AuditError: a rule is broken; the error names it.
    """
    least = trace.n if least is None else least
    fast: dict[Word, frozenset[object]] = {}  # what words are made of: rows of sums, monomials of outputs
    slow: dict[Word, frozenset[object]] = {}
    open_stays: dict[Word, Stay] = {}
    stays: list[Stay] = []
    moved: list[Word] = []
    done: Counter[tuple[int, Word]] = Counter()  # a row is added to a sum
    m, peak = trace.n, 0

    def refuse(rule: str, time: int, why: str) -> AuditError:
        return AuditError(f"rule: {rule}", f"event {time}: {why}")

    def need(words: Iterable[Word], time: int) -> None:
        for word in words:
            if word not in fast:
                raise refuse("operand", time, f"{word} is not in fast memory")

    def enter(word: Word, content: frozenset[object], time: int) -> None:
        fast[word] = content
        if word.kind == "W":
            open_stays[word] = Stay(word, time, len(trace.events))
            stays.append(open_stays[word])

    for time, event in enumerate(trace.events):
        match event:
            case Loaded(word=word):
                if word in fast:
                    raise refuse("place", time, f"{word} is in fast memory already")
                is_input = (word.kind in "KQ" and len(word.factors) == 1) or (word.kind == "V" and not word.factors)
                if word not in slow and not is_input:
                    raise refuse("place", time, f"{word} was never stored")
                enter(word, slow.get(word, frozenset()), time)
                moved.append(word)
                if word.kind == "W":
                    open_stays[word].moved = True
                if word.kind in "KV":
                    for stay in open_stays.values():
                        stay.loads.add(word.row)
            case Stored(word=word):
                need([word], time)
                slow[word] = fast[word]
                moved.append(word)
                if word.kind == "W":
                    open_stays[word].moved = True
            case Discarded(word=word):
                need([word], time)
                del fast[word]
                if word in open_stays:
                    open_stays.pop(word).end = time
            case Formed(word=word, factors=factors):
                need(factors, time)
                _require_product(word, factors, trace.g, time)
                if word not in fast:
                    enter(word, frozenset(), time)
            case Added(sum=label, factors=factors):
                need(factors, time)
                row = factors[0].row
                _require_product(Word("V", row, label.factors, label.column), factors, trace.g, time)
                if label not in fast:
                    enter(label, frozenset(), time)
                if row in fast[label]:
                    raise refuse("sum", time, f"row {row} is in {label} already")
                fast[label] |= {row}
                done[row, label] += 1
                open_stays[label].rows.add(row)
            case Used(output=output, sum=label, factors=factors):
                need((label, *factors), time)
                if label.column != output.column or label.row not in (-1, output.row):
                    raise refuse("product", time, f"{label} is used for {output}")
                if factors or label.factors != output.factors:
                    _require_product(Word("Q", output.row, _over(label, output, time), -1), factors, trace.g, time)
                if label.kind == "W":
                    if len(fast[label]) < least:
                        raise refuse("whole sum", time, f"{label} holds {len(fast[label])} rows, {least} are needed")
                    m = min(m, len(fast[label]))
                    open_stays[label].used = True
                    used: frozenset[object] = frozenset((label.factors, rows) for rows in fast[label])
                else:
                    used = fast[label]
                if output not in fast:
                    enter(output, frozenset(), time)
                fast[output] |= used
        peak = max(peak, len(fast))
        if M is not None and len(fast) > M:
            raise refuse("capacity", time, f"{len(fast)} words live, capacity is {M}")
    whole = frozenset((factors, row) for factors in monomials(trace.d, trace.g) for row in range(trace.n))
    for i in range(trace.n):
        for l in range(trace.d):
            if slow.get(Word("Y", i, (), l)) != whole:
                raise AuditError("rule: output", f"word {l} of output {i} does not end complete in slow memory")
    return History(
        trace=trace,
        stays=tuple(stays),
        moved=tuple(moved),
        m=m,
        recomputed=any(times > 1 for times in done.values()),
        peak=peak,
    )


def _over(label: Word, output: Word, time: int) -> Factors:
    """What a sum or a word of an output is multiplied by for another one."""
    left = Counter(label.factors)
    left.subtract(output.factors)
    if any(times < 0 for times in left.values()):
        raise AuditError("rule: product", f"event {time}: {label} is used for {output}")
    return tuple(sorted(left.elements()))


def _require_product(word: Word, factors: tuple[Word, ...], g: int, time: int) -> None:
    """A word of a row is the product of words of that row: for V-type exactly one of them of V-type."""
    columns = [factor.column for factor in factors if factor.kind == "V"]
    kinds = {"K", "V"} if word.kind == "V" else {word.kind}
    found = tuple(sorted(x for factor in factors for x in factor.factors))
    fits = (
        all(factor.row == word.row and factor.kind in kinds for factor in factors)
        and columns == ([word.column] if word.kind == "V" else [])
        and found == word.factors
        and len(found) <= g
    )
    if not fits:
        raise AuditError("rule: product", f"event {time}: {word} is not the product of {', '.join(map(str, factors))}")


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
