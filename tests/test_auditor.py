"""Every inequality of the proofs holds on good and bad schedules, is checked often, and fails where it should."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import peak_words
from iosim.bounds.bound import Bound, Setting
from iosim.bounds.exact import TIED_SMALL_FAST_MEMORY
from iosim.interpret.words.attention import word_trace
from iosim.interpret.words.events import (
    Discarded,
    Event,
    Exponentiated,
    Loaded,
    Multiplied,
    Place,
    Stored,
    Variable,
    WordTrace,
)
from proofs.audit import inequalities as names
from proofs.audit.auditor import FACTS, FREE, audit, best_alpha, facts
from proofs.audit.inequalities import any_fast_memory, large_fast_memory, never_stored
from proofs.audit.ledger import Ledger
from proofs.audit.replay import AuditError, History, replay
from proofs.audit.segments import cut_equally
from tests.attention import (
    SCHEDULES,
    causal_flash,
    masked,
    rectangular_flash,
    score_tiles,
    sizes_of,
    tied_flash,
    turned_attention,
)
from tests.ledgers import together
from tests.schedules import bad_schedule

# n, d, rows and columns of tiles; ragged, single words, whole matrices
SIZES = ((1, 1, 1, 1), (4, 2, 4, 2), (5, 1, 2, 3), (7, 3, 3, 2), (9, 2, 4, 1), (12, 4, 5, 3))
FLAVOURS = ({}, {"fused": True}, {"tied": True})
SEEDS = 120  # of each flavour
EVERY = {
    *FACTS,
    FREE,
    *(name for table in vars(names).values() if isinstance(table, tuple) for name in table if isinstance(name, str)),
    names.ANY_FAST_MEMORY_MANY_SEGMENTS,
}


@cache
def programs() -> tuple[tuple[WordTrace, int], ...]:
    """Word-level traces of all registered schedules, and of the others, with the fast memory that they need."""
    listed = [(SCHEDULES[name][0], sizes_of(name, *sizes), {}) for name in SCHEDULES for sizes in SIZES]
    listed += [(causal_flash, {"n": 8, "d": d, "B_r": 3, "B_c": 2}, {}) for d in (1, 3)]
    listed += [(program, sizes, {}) for program, sizes in masked()]
    listed += [(rectangular_flash, {"n": 6, "n_k": 9, "d": d, "d_v": 5 - d, "B_r": 4}, {}) for d in (1, 2, 3, 4)]
    listed += [(score_tiles, {"n": 7, "d": d, "B_r": rows, "B_c": 3}, {}) for d, rows in ((2, 4), (4, 3), (6, 2))]
    # d_v < d in a fast memory of at least 4 d^2 words, with traffic for several segments
    for d, d_v, rows in ((2, 1, 3), (3, 1, 7), (3, 2, 6)):
        listed += [(rectangular_flash, {"n": 14, "n_k": 15, "d": d, "d_v": d_v, "B_r": rows}, {})]
    listed += [(tied_flash, {"n": 16, "d": 2, "d_v": 1, "B_r": 4}, {})]
    listed += [(tied_flash, {"n": 9, "d": 3, "d_v": d_v, "B_r": 4}, {}) for d_v in (1, 2, 3)]
    # less than (32/27) d^2 words, and a single segment
    listed += [(tied_flash, {"n": 1, "d": 6, "d_v": 6, "B_r": 1}, {})]
    turned = {"inputs": {"Q": "Q", "K": "K", "VT": "V"}, "output": "OT", "transposed": frozenset({"VT", "OT"})}
    listed += [(turned_attention, {"n": 6, "d": 2, "B": 2}, turned)]
    return tuple(
        (word_trace(program, sizes, **options), peak_words(program, sizes)) for program, sizes, options in listed
    )


@cache
def audited() -> tuple[tuple[WordTrace, int, Ledger], ...]:
    """Audits of all programs, with the memory that they claim and with what words of variables really need, and of the
    random bad schedules."""
    given_memories = [(trace, M) for trace, peak in programs() for M in sorted({peak, replay(trace).peak})]
    given_memories += [bad_schedule(seed, **flavour) for seed in range(SEEDS) for flavour in FLAVOURS]
    return tuple((trace, M, audit(trace, M)) for trace, M in given_memories)


def flash(n: int, d: int, rows: int, schedule: str = "words") -> WordTrace:
    name = f"flash2 {schedule}"
    return word_trace(SCHEDULES[name][0], sizes_of(name, n, d, rows, 1) | ({"e": 1} if schedule == "words" else {}))


# What holds


def test_no_inequality_fails_and_each_is_checked() -> None:
    """On all exact schedules, masked, rectangular, tied, transposed and score-stationary ones, and on 360 random
    bad schedules, every inequality of the proofs holds wherever it is evaluated; each is evaluated at least 50 times."""
    ledger = together(found for _, _, found in audited())
    ledger.require(EVERY)
    rare = {name: ledger.entries[name].checks for name in EVERY if ledger.entries[name].checks < 50}
    assert not rare
    assert sum(name.startswith("bound: ") for name in ledger.entries) >= 15


@settings(max_examples=300, derandomize=True)
@given(st.integers(2**16, 2**32), st.sampled_from(FLAVOURS))
def test_bad_schedules_obey_the_proofs(seed: int, flavour: dict[str, bool]) -> None:
    """Other random schedules than those of the list above."""
    trace, M = bad_schedule(seed, **flavour)
    audit(trace, M)


def test_the_bad_schedules_are_bad() -> None:
    """Among them, many of each: recomputed scores, spilled partial scores and outputs, unused stays, loads for
    nothing, one pair built for free twice in one segment, products formed apart, several segments."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        trace, M = bad_schedule(seed)
        history = replay(trace, M)
        seen["recomputed"] += history.recomputed
        seen["not spilled, recomputed"] += history.recomputed and not history.spilled
        loaded = {event.word: event.variable.kind for event in trace.events if isinstance(event, Loaded)}
        seen["partial score goes on"] += any(
            isinstance(event, Multiplied) and event.into in loaded and loaded.get(event.left) == "Q"
            for event in trace.events
        )
        seen["outputs loaded"] += history.loads_of("O") > 0
        seen["unused score"] += any(x.variable.kind == "S" and not x.counted for x in history.stays)
        seen["unused output"] += any(x.variable.kind == "O" and not x.counted for x in history.stays)
        factors = {w for event in trace.events if isinstance(event, Multiplied) for w in (event.left, event.right)}
        seen["useless load"] += any(
            isinstance(event, Loaded) and event.variable.kind in "QKV" and event.word not in factors
            for event in trace.events
        )
        segments, _, _ = cut_equally(history, M, 3)
        seen["several segments"] += len(segments) > 2
        free = [x for x in history.counted("S") if x.free]
        seen["free twice in a segment"] += any(
            max(Counter(x.variable for x in free if start <= x.begin < stop).values(), default=0) > 1
            for start, stop in segments
        )
    few = {what: times for what, times in seen.items() if times < 10}
    assert not few


def test_every_case_of_the_proofs_occurs() -> None:
    """Large and small fast memories, d_v below, at and above d, tied or not, one segment and several."""
    seen = set()
    for trace, M, _ in audited():
        history = replay(trace)
        _, _, moves = cut_equally(history, M, 1)
        order = (trace.d_v > trace.d) - (trace.d_v < trace.d)
        least = names.threshold(history) if history.tied or order > 0 else names.threshold_of_wide_sums(history, 1)
        seen.add((history.tied, least <= M, order, moves > 2 * M))
    untied = set(product((False,), (False, True), (-1, 0, 1), (False, True)))
    assert seen == untied | set(product((True,), (False, True), (-1, 0), (False, True)))


def test_stays_by_hand() -> None:
    """FlashAttention-2, n = 2, d = 1, tiles of one row: q_0; k_0, v_0, k_1, v_1 pass by; o_0; then row 1 the same."""
    history = replay(flash(2, 1, 1))
    assert history.traffic == 2 + 4 + 4 + 2  # Q, K and V twice, O
    assert history.peak == 4  # q, o, s, and k or v
    counted = {kind: len(history.counted(kind)) for kind in ("Q", "K", "V", "S", "O")}
    assert counted == {"Q": 2, "K": 4, "V": 4, "S": 4, "O": 2}
    assert all(x.free for x in history.counted("S"))
    assert not any(x.by_load for x in history.counted("O"))
    # moves: 10 loads and 2 creations of O; two segments of (12 + 4)/2 words, of which the second may start with 4
    segments, words, moves = cut_equally(history, 4, 2)
    assert (moves, words, len(segments)) == (12, 8, 2)
    starts = [x.begin for x in history.stays if x.begin >= segments[1][0] and (x.by_load or x.variable.kind == "O")]
    assert len(starts) == 12 - 8


def test_the_best_weight_of_a_creation() -> None:
    """alpha = min(1, 4 d^2/M) for d_v = d; d = 2, M = 19 gives 16/19, and M = 9 gives 1; tied, half of it."""
    history = replay(flash(3, 2, 2))
    assert best_alpha(history, 19) == Fraction(16, 19)
    assert best_alpha(history, 9) == 1
    assert best_alpha(replace(history, tied=True), 19) == Fraction(8, 19)


# Traces that are no schedules


def without(trace: WordTrace, time: int) -> WordTrace:
    return replace(trace, events=trace.events[:time] + trace.events[time + 1 :])


def changed(trace: WordTrace, time: int, event: Event) -> WordTrace:
    return replace(trace, events=(*trace.events[:time], event, *trace.events[time + 1 :]))


def first(trace: WordTrace, kind: type, **attributes: object) -> int:
    return next(
        time
        for time, event in enumerate(trace.events)
        if isinstance(event, kind) and all(getattr(event, name) == value for name, value in attributes.items())
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_event_can_be_dropped(name: str) -> None:
    """Without any one of its loads, stores, products or exponentials, no registered schedule is one any more."""
    trace = word_trace(SCHEDULES[name][0], sizes_of(name, 3, 2, 2, 2))
    dropped: Counter[str] = Counter()
    for time, event in enumerate(trace.events):
        if isinstance(event, Loaded | Stored | Multiplied | Exponentiated):
            with pytest.raises(AuditError) as broken:
                replay(without(trace, time))
            dropped[broken.value.name] += 1
    assert dropped["rule: operand"] >= 12 + 3 * 2  # each load: at least Q, K and V once
    assert dropped["rule: output"] >= 6 or dropped["rule: pairs"] >= 6  # each last store of an output


def test_rules_by_name() -> None:
    """Each way to break the model's rules is found under its own name."""
    trace = flash(3, 2, 2)
    multiplied = first(trace, Multiplied, creates=True)
    made = trace.events[multiplied]
    assert isinstance(made, Multiplied)
    loaded = first(trace, Loaded)
    load = trace.events[loaded]
    assert isinstance(load, Loaded)
    stored = first(trace, Stored)
    store = trace.events[stored]
    assert isinstance(store, Stored)
    more = next(t for t in range(multiplied + 1, len(trace.events)) if isinstance(trace.events[t], Multiplied))
    again = trace.events[more]
    assert isinstance(again, Multiplied)
    broken = {
        "a dropped load": (without(trace, loaded), "rule: operand"),
        "a product of what is gone": (changed(trace, loaded, Discarded(load.word)), "rule: operand"),
        "a dropped store": (without(trace, stored), "rule: output"),
        "a store to another place": (changed(trace, stored, replace(store, place=Place("O", (2, 1)))), "rule: output"),
        "a creation that is none": (changed(trace, multiplied, replace(made, creates=False)), "rule: creation"),
        "a word made twice": (changed(trace, more, replace(again, into=made.into, creates=True)), "rule: creation"),
        "a score of other columns": (
            changed(trace, multiplied, replace(made, left=made.left + 1)),
            "rule: product",
        ),
        "a sum with a product twice": (
            replace(trace, events=(*trace.events[: multiplied + 1], replace(made, creates=False))),
            "rule: sum",
        ),
        "a probability of a partial score": (changed(trace, more, Exponentiated(made.into)), "rule: whole score"),
        "a score used as a probability": (without(trace, first(trace, Exponentiated)), "rule: product"),
        "a load from where something else is": (
            changed(
                trace,
                first(trace, Loaded, variable=Variable("Q", 0, 1)),
                replace(load, word=2, variable=Variable("Q", 0, 1)),
            ),
            "rule: place",
        ),
        "a load of what was never stored": (
            changed(trace, loaded, replace(load, variable=Variable("O", 0, 0), place=Place("O", (0, 0)))),
            "rule: place",
        ),
        "an output over an input": (changed(trace, stored, replace(store, place=load.place)), "rule: place"),
        "a pair that never met": (replace(trace, pairs=trace.pairs | {(0, 7)}), "rule: pairs"),
        "a pair left out": (replace(trace, pairs=trace.pairs - {(0, 0)}), "rule: pairs"),
        "no outputs": (replace(trace, outputs={}), "rule: output"),
    }
    replay(trace)
    for what, (mutant, rule) in broken.items():
        with pytest.raises(AuditError) as found:
            replay(mutant)
        assert found.value.name == rule, f"{what}: {found.value}"


def test_capacity() -> None:
    """FlashAttention-2 word by word holds q, o (2 2 words each), 2 scores and one word of k or v: 11; not 10."""
    trace = flash(5, 2, 2)
    assert replay(trace, 4 + 4 + 2 + 1).peak == 11
    with pytest.raises(AuditError, match=r"^rule: capacity: event \d+: 11 words live, capacity is 10"):
        audit(trace, 10)


# Inequalities that are false


def test_every_inequality_can_fail() -> None:
    """Each claim, tightened to a thousandth below its own tightest case, is refuted there under its own name."""
    tightest: dict[str, tuple[Fraction, WordTrace, int]] = {}
    for trace, M, ledger in audited():
        for name, entry in ledger.entries.items():
            ratio = entry.ratio
            if ratio is not None and ratio > 0 and (name not in tightest or ratio > tightest[name][0]):
                tightest[name] = ratio, trace, M
    assert tightest.keys() >= EVERY
    for name, (ratio, trace, M) in tightest.items():
        with pytest.raises(AuditError) as refuted:
            audit(trace, M, tightened={name: ratio * Fraction(999, 1000)})
        assert refuted.value.name == name


def wrong(name: str, formula) -> Bound:
    return Bound(name=name, formula=formula, source="a test")


def test_wrong_constants_are_refuted() -> None:
    """FlashAttention-2, n = 12, d = 8, one row at a time, M = 2 8 + 2: 2 96 + 2 96 12 = 2,496 words; 4 N d^2/M is 2,048
    but 5 N d^2/M 2,560."""
    trace = flash(12, 8, 1)
    five = wrong("five", lambda x: 5 * x.N * x.d**2 / x.M)
    audit(trace, 18, claims=[wrong("four", lambda x: 4 * x.N * x.d**2 / x.M)])
    with pytest.raises(AuditError, match=r"^claim: five: .*: 2560 <= 2496 does not hold"):
        audit(trace, 18, claims=[five])


def test_free_scores_must_be_paid_for() -> None:
    """4 N d/sqrt(M) - 2M forgets that a score costs nothing if it stays: d = 2, M = 25 (5 rows), n = 20 gives
    4 400 2/5 - 50 = 590, FlashAttention-2 moves 2 40 (1 + 20/5) = 400."""
    trace = flash(20, 2, 5)
    M = 5 * (2 * 2 + 1) + 1
    first_draft = wrong("first draft", lambda x: 4 * x.N * x.d / x.sqrt(x.M) - 2 * x.M)
    assert replay(trace, M).traffic == 400
    with pytest.raises(AuditError, match=r"^claim: first draft"):
        audit(trace, M, claims=[first_draft])


def test_the_segment_value_of_a_large_fast_memory_needs_its_constant() -> None:
    """X m/(8 d), m = X/2, can't be less: n = 12, d = 3, all rows stay; one segment of 2 36 + 2 36 = 144 moves has all
    12^2 3 = 432 = 144 72/24 products."""
    trace = flash(12, 3, 12)
    M = 12 * 7 + 1
    audit(trace, M)
    with pytest.raises(AuditError) as refuted:
        audit(trace, M, tightened={"large fast memory: beta d C + T <= X m/per": Fraction(99, 100)})
    assert refuted.value.name == "large fast memory: beta d C + T <= X m/per"


def refuted_by(check, *arguments: object) -> str:
    with pytest.raises(AuditError) as refuted:
        check(*arguments, Ledger())
    return refuted.value.name


def test_budgets_break_in_a_smaller_memory() -> None:
    """A schedule that needs 29 words, judged as if it had 9: the numbers of touched variables are too large."""
    history = replay(flash(9, 2, 4, "rows"))
    M = history.peak // 3
    assert refuted_by(large_fast_memory, history, M) == "large fast memory: a + b + c + e + s <= X"
    assert refuted_by(any_fast_memory, history, M, Fraction(1)) == "any fast memory: a + b + c + e + alpha s <= X"
    assert refuted_by(never_stored, history, M) == "never stored: a + b + s <= 3M"


def test_histories_that_did_not_happen() -> None:
    """Without its stores, its loads or its products, a history contradicts the facts that the proofs start from."""
    history = replay(word_trace(*_flash1()))
    M = history.peak
    unstored = [replace(x, stores=[]) if x.variable.kind == "O" else x for x in history.stays]
    assert refuted_by(facts, replace(history, stays=tuple(unstored))) == FACTS[0]
    assert refuted_by(facts, replace(history, stores=())) == FACTS[1]
    assert refuted_by(facts, replace(history, loads=())) == FACTS[2]
    halved = [replace(x, products=x.products[1:]) if x.variable.kind == "S" else x for x in history.stays]
    assert refuted_by(facts, replace(history, stays=tuple(halved))) == FREE
    assert (
        refuted_by(any_fast_memory, replace(history, stays=tuple(halved)), M, Fraction(1))
        == "any fast memory: T1 >= f'' d"
    )

    once = replay(flash(4, 2, 4))
    assert refuted_by(large_fast_memory, replace(once, stores=()), 40) == "large fast memory: W <= Q_io"
    assert (
        refuted_by(any_fast_memory, replace(once, stores=()), 40, Fraction(1))
        == "any fast memory: W <= Q_io + alpha f'"
    )
    assert refuted_by(never_stored, replace(once, loads=()), 40) == "never stored: W1 <= Q_QK + f'"
    some = dict(list(once.designated.items())[:-1])
    both = "large fast memory: completions are N, designated products N d_v"
    assert refuted_by(large_fast_memory, replace(once, designated=some), 40) == both
    fewer = dict(list(once.completed.items())[:-1])
    assert refuted_by(large_fast_memory, replace(once, completed=fewer), 40) == both


def _flash1() -> tuple:
    name = "flash1 streamed"
    return SCHEDULES[name][0], sizes_of(name, 4, 2, 2, 2)


def test_what_was_not_checked_is_refused() -> None:
    """An inequality with 0 checks is named."""
    ledger = Ledger()
    ledger.at_most("one", 1, 2)
    ledger.require(["one"])
    with pytest.raises(AuditError, match=r"^unchecked: checked 0 times: two, three"):
        ledger.require(["two", "one", "three"])


def test_the_ledger_remembers() -> None:
    """Checks, the least slack, and the largest left/right: 3 <= 4 and 10 <= 12, of which the second is tighter."""
    ledger = Ledger()
    ledger.at_most("x", 3, 4)
    ledger.at_most("x", 10, 12)
    entry = ledger.entries["x"]
    assert (entry.checks, entry.slack, entry.ratio) == (2, 1, Fraction(5, 6))
    assert "2 checks, least slack 1, tightest 0.833333" in str(ledger)
    for claim in (lambda: ledger.at_most("x", 2, 1), lambda: ledger.at_most("x", 1, 1, strict=True)):
        with pytest.raises(AuditError, match=r"^x: 2 <= 1|^x: 1 < 1"):
            claim()
    with pytest.raises(AuditError, match=r"^y: 3 <= 2 does not hold"):
        ledger.equal("y", 2, 3)


def test_bounds_are_rounded_where_roots_cancel() -> None:
    """N = 36, d = d_v = 5, M = 50: N (sqrt(2) 10/sqrt(50) - 1) + 30 = 66 exactly, though both roots are irrational."""
    setting = Setting(N=36, n_q=6, n_k=6, d=5, d_v=5, M=50, properties=frozenset({"tied"}))
    assert TIED_SMALL_FAST_MEMORY.words(setting) == 36 * (10 // 5 - 1) + 30


def test_a_history_says_what_its_schedule_is() -> None:
    """Standard attention spills, FlashAttention does not; neither computes a score twice, nor is tied."""

    def kinds(history: History) -> tuple[bool, bool, bool]:
        return history.spilled, history.recomputed, history.tied

    name = "standard two sweeps"
    assert kinds(replay(word_trace(SCHEDULES[name][0], sizes_of(name, 3, 2, 2, 2)))) == (True, False, False)
    assert kinds(replay(flash(3, 2, 2))) == (False, False, False)
    assert kinds(replay(word_trace(tied_flash, {"n": 3, "d": 2, "d_v": 1, "B_r": 2}))) == (False, False, True)
