"""The proofs of the bounds for approximate attention, asserted step by step on a concrete schedule.

The schedule is replayed by the rules of `proofs.approx_model`; its useful stays, moves and contributions are found; and
every window of F consecutive moves is checked to have at most T(M + F) contributions, every row in it at most what its words
give. A wrong step of a proof, or a wrong constant, shows up as a named failure on a legal schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import comb, floor

from iosim.bounds.approx import Work, applicable, products_of
from iosim.bounds.bound import Bound, Property, Setting
from iosim.interpret.feature_words import Added, Discarded, FeatureTrace, Formed, Loaded, Stored, Used, Word, monomials
from proofs.ledger import Ledger
from proofs.residence import AuditError

PAID = "moves <= loads and stores, and pure stays"
PURE = "a pure stay contains m additions"
ONCE = "pure stays <= additions/m, if each is done once"
AGAIN = "a pure stay contains loads of m - M rows"
WINDOW = "contributions in a window of F moves <= T(M + F)"
ROW = "contributions of a row in a segment <= products of its words"
SHARED = "contributions of a row in a segment <= sums there"
SEGMENTS = "F (segments - 1) <= moves"
EVERY = (PAID, WINDOW, ROW, SHARED, SEGMENTS)

Contribution = tuple[str, int, Word]  # which stage, the row, the sum


@dataclass(slots=True)
class Stay:
    """A maximal time of a sum or an output in fast memory.

    Attributes:
        word: which.
        begin, end: numbers of the events that begin and end it.
        moved: whether it contains a load or a store.
        used: whether the sum is used in it.
        added: contributions in it, with the numbers of their events.
        loads: rows of K and V of which a word is loaded meanwhile.
    """

    word: Word
    begin: int
    end: int
    moved: bool = False
    used: bool = False
    added: list[tuple[int, Contribution]] = field(default_factory=list)
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
        stays: of sums and outputs.
        loads, stores: words that are moved, with the numbers of their events; words of no interest are in the trace.
        present: for each event, words of rows and numbers of the events at which they came and went.
        m: rows of the sum that was used with the fewest.
        recomputed: whether a contribution is executed twice.
        peak: most words at once.
    """

    trace: FeatureTrace
    stays: tuple[Stay, ...]
    loads: tuple[tuple[int, Word], ...]
    stores: tuple[tuple[int, Word], ...]
    present: tuple[tuple[Word, int, int], ...]
    m: int
    recomputed: bool
    peak: int

    @property
    def traffic(self) -> int:
        return len(self.loads) + len(self.stores) + self.trace.beside


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
    came: dict[Word, int] = {}
    present: list[tuple[Word, int, int]] = []
    loads: list[tuple[int, Word]] = []
    stores: list[tuple[int, Word]] = []
    done: Counter[Contribution] = Counter()
    m, peak = trace.n, 0

    def refuse(rule: str, time: int, why: str) -> AuditError:
        return AuditError(f"rule: {rule}", f"event {time}: {why}")

    def need(words: Iterable[Word], time: int) -> None:
        for word in words:
            if word not in fast:
                raise refuse("operand", time, f"{word} is not in fast memory")

    def enter(word: Word, content: frozenset[object], time: int) -> None:
        fast[word] = content
        if word.kind in "WY":
            open_stays[word] = Stay(word, time, len(trace.events))
            stays.append(open_stays[word])
        else:
            came[word] = time

    for time, event in enumerate(trace.events):
        match event:
            case Loaded(word=word):
                if word in fast:
                    raise refuse("place", time, f"{word} is in fast memory already")
                is_input = (word.kind in "KQ" and len(word.factors) == 1) or (word.kind == "V" and not word.factors)
                if word not in slow and not is_input:
                    raise refuse("place", time, f"{word} was never stored")
                enter(word, slow.get(word, frozenset()), time)
                loads.append((time, word))
                if word.kind in "WY":
                    open_stays[word].moved = True
                if word.kind in "KV":
                    for stay in open_stays.values():
                        stay.loads.add(word.row)
            case Stored(word=word):
                need([word], time)
                slow[word] = fast[word]
                stores.append((time, word))
                if word.kind in "WY":
                    open_stays[word].moved = True
            case Discarded(word=word):
                need([word], time)
                del fast[word]
                if word in open_stays:
                    open_stays.pop(word).end = time
                if word in came:
                    present.append((word, came.pop(word), time))
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
                done["add", row, label] += 1
                open_stays[label].added.append((time, ("add", row, label)))
            case Used(output=output, sum=label, factors=factors):
                need((label, *factors), time)
                if label.column != output.column:
                    raise refuse("product", time, f"{label} is used for {output}")
                if factors or label.factors:
                    _require_product(Word("Q", output.row, label.factors, -1), factors, trace.g, time)
                if len(fast[label]) < least:
                    raise refuse("whole sum", time, f"{label} holds {len(fast[label])} rows, {least} are needed")
                m = min(m, len(fast[label]))
                if output not in fast:
                    enter(output, frozenset(), time)
                fast[output] |= {(label.factors, rows) for rows in fast[label]}
                done["use", output.row, label] += 1
                open_stays[label].used = True
                open_stays[output].added.append((time, ("use", output.row, label)))
        peak = max(peak, len(fast))
        if M is not None and len(fast) > M:
            raise refuse("capacity", time, f"{len(fast)} words live, capacity is {M}")
    present += [(word, time, len(trace.events)) for word, time in came.items()]
    whole = frozenset((factors, row) for factors in monomials(trace.d, trace.g) for row in range(trace.n))
    for i in range(trace.n):
        for l in range(trace.d):
            if slow.get(Word("Y", i, (), l)) != whole:
                raise AuditError("rule: output", f"word {l} of output {i} does not end complete in slow memory")
    return History(
        trace=trace,
        stays=tuple(stays),
        loads=tuple(loads),
        stores=tuple(stores),
        present=tuple(present),
        m=m,
        recomputed=any(times > 1 for (stage, _, _), times in done.items() if stage == "add"),
        peak=peak,
    )


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
    """Checks every inequality of the proofs for direct evaluation on one schedule.

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
    row_loads = [time for time, word in history.loads if word.kind in "KVQ"]
    begins = sorted([*row_loads, *(stay.begin for stay in stays)])
    ledger.at_most(PAID, len(begins), history.traffic + len(pure))
    for stay in pure:
        ledger.at_most(PURE, history.m, len({row for _, (_, row, _) in stay.added}), str(stay.word))
        ledger.at_most(AGAIN, history.m - M, len(stay.loads), str(stay.word))
    r = comb(trace.d + trace.g, trace.g)
    if not history.recomputed and pure:
        ledger.at_most(ONCE, history.m * len(pure), trace.n * r * trace.d)
    contributions = sorted((time, c) for stay in stays for time, c in stay.added)
    work = Work(g=trace.g, d=trace.d, labels=r * trace.d, total=2 * trace.n * r * trace.d, M=M)
    for F in _lengths(work, len(begins)):
        _windows(history, begins, contributions, F, work, ledger)
        _segments(history, begins, contributions, F, ledger)
        ledger.at_most(SEGMENTS, F * (work.segments(F) - 1), len(begins), f"F = {F}")
    _bounds(history, M, claims, ledger)
    ledger.require(EVERY)
    return ledger


def _lengths(work: Work, moves: int) -> Iterator[int]:
    best = work.best()
    yield from sorted({1, 2, work.M, 2 * work.M, moves, *([] if best is None else [best[0]])})


def _windows(
    history: History,
    begins: list[int],
    contributions: list[tuple[int, Contribution]],
    F: int,
    work: Work,
    ledger: Ledger,
) -> None:
    """Every window of F consecutive moves: from one move to just before the F-th after it."""
    most = floor(work.of(work.M + F))
    bounds = [-1, *begins, len(history.trace.events)]  # contributions before the first move: there are none
    inside: Counter[Contribution] = Counter()
    first = last = 0
    for start in range(1, max(2, len(begins) - F + 2)):
        stop = bounds[min(start + F, len(bounds) - 1)]
        while last < len(contributions) and contributions[last][0] < stop:
            inside[contributions[last][1]] += 1
            last += 1
        while first < last and contributions[first][0] < bounds[start]:
            gone = contributions[first][1]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        ledger.at_most(WINDOW, len(inside), most, f"F = {F}, from move {start}")


def _segments(
    history: History, begins: list[int], contributions: list[tuple[int, Contribution]], F: int, ledger: Ledger
) -> None:
    """Row by row, in segments of F moves: what its words give, and what the sums there allow."""
    trace = history.trace
    labels = comb(trace.d + trace.g, trace.g) * trace.d
    cuts = [*begins[::F], len(trace.events)]
    position = 0
    for start, stop in pairwise(cuts):
        rows: dict[tuple[str, int], set[Word]] = {}
        while position < len(contributions) and contributions[position][0] < stop:
            stage, row, label = contributions[position][1]
            rows.setdefault((stage, row), set()).add(label)
            position += 1
        if not rows:
            continue
        words: Counter[tuple[str, int]] = Counter()
        loaded = {(time, word) for time, word in history.loads}
        for word, came, went in history.present:
            at_start, by_load = came < start < went, start <= came < stop and (came, word) in loaded
            if at_start or by_load:
                words["use" if word.kind == "Q" else "add", word.row] += 1
        sums: set[Word] = set()
        for stay in history.stays:
            if stay.useful and stay.begin < stop and stay.end > start:
                sums.add(stay.word)
        for word in sums:
            if word.kind == "Y":
                words["use", word.row] += 1
        sums = {word for word in sums if word.kind == "W"}
        for (stage, row), found in rows.items():
            most = products_of(words[stage, row], trace.g, trace.d, labels) if words[stage, row] else 0
            ledger.at_most(ROW, len(found), most, f"F = {F}, {stage} row {row}")
            ledger.at_most(SHARED, len(found), len(sums), f"F = {F}, {stage} row {row}")


def _bounds(history: History, M: int, claims: Iterable[Bound], ledger: Ledger) -> None:
    """What the theorems say in the end, against the traffic."""
    trace = history.trace
    properties: set[Property] = {"feature sums", "V-linear sums", "monomials", "direct"}
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
