"""What a schedule with sums of features did: the stays of sums, its loads and stores, whether it is legal.

A *stay* is a maximal time of a sum in fast memory, as in `proofs.approx_model`. `replay` runs a trace on a machine of its
own that trusts nothing in it, and refuses what breaks the model's rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from iosim.interpret.words.features import (
    ONES,
    Added,
    Discarded,
    Divided,
    Factors,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
    monomials,
)
from proofs.audit.replay import AuditError

_DIVIDED = "divided by the normaliser"  # of what an output is made of
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
    whole = frozenset[object]((factors, row) for factors in monomials(trace.d, trace.g) for row in range(trace.n))
    ones = whole - {((), row) for row in range(trace.n)}  # what the normaliser is made of, but for a constant

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
                kind = "K" if label.column == ONES else "V"
                _require_product(Word(kind, row, label.factors, label.column), factors, trace.g, time)
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
                if _DIVIDED in fast[output] or _DIVIDED in used:
                    raise refuse("division", time, f"{output} is added to, or added, after division")
                fast[output] |= used
            case Divided(output=output, normaliser=z):
                need((output, z), time)
                if z != Word("Y", output.row, (), ONES) or output == z:
                    raise refuse("division", time, f"{output} is divided by {z}")
                if fast[z] != ones:
                    raise refuse("division", time, f"{z} does not hold all its sums")
                if _DIVIDED in fast[output]:
                    raise refuse("division", time, f"{output} is divided already")
                fast[output] |= {_DIVIDED}
        peak = max(peak, len(fast))
        if M is not None and len(fast) > M:
            raise refuse("capacity", time, f"{len(fast)} words live, capacity is {M}")
    for i in range(trace.n):
        for l in range(trace.d):
            if slow.get(Word("Y", i, (), l)) != (whole | {_DIVIDED} if ones else whole):
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
