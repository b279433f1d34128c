"""Every inequality of the proofs for approximate attention holds on good and bad schedules, and fails where it should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.approx import approx
from algorithms.approx_materialised import approx_materialised
from algorithms.approx_resident import approx_resident
from algorithms.designs.blown_up import BlownUp
from algorithms.designs.design import GroupProducts
from algorithms.designs.parts import Part
from algorithms.designs.parts import Stored as StoredSums
from algorithms.witnesses.early_sums import held_rows_program, row_sums_program
from iosim import peak_words
from iosim.bounds import approx as of_approx
from iosim.bounds.approx import ONE_SHOT
from iosim.errors import MeaningError
from iosim.interpret.words.features import (
    ONES,
    Added,
    Discarded,
    Divided,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
    feature_trace,
    monomials,
)
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import Loop, TableLoop
from proofs.audit import approx_auditor
from proofs.audit.approx_auditor import AGAIN, EVERY, ONCE, PURE, ROW, audit
from proofs.audit.approx_replay import replay
from proofs.audit.ledger import Ledger
from proofs.audit.replay import AuditError
from tests.approximate import Displaced, staged
from tests.feature_schedules import random_schedule
from tests.ledgers import together
from tests.surgery import places, replaced

ALGORITHMS = (approx, approx_resident, approx_materialised)
SIZES = ((4, 2, 2), (3, 3, 1), (2, 2, 3), (1, 1, 1), (6, 1, 2))  # n, d, g: with any fast memory
# n, d, g, M: where the designs are of other kinds; and where passes are cut
POINTS = ((2, 4, 2, 18), (2, 6, 1, 15), (2, 8, 2, 20), (2, 4, 2, 35))
FLAVOURS: tuple[dict[str, bool], ...] = ({}, {"again": True}, {"early": True}, {"nested": True})
SEEDS = 14  # of each flavour


@cache
def planned() -> tuple[tuple[Plan, FeatureTrace], ...]:
    """Every plan of the package for the sizes from the least fast memory on, and at the points."""
    found = []
    for algorithm, (n, d, g, *at) in product(ALGORITHMS, (*SIZES, *POINTS)):
        problem = Problem(n=n, d=d, degree=g)
        least = algorithm.least_capacity(problem)
        plans = {
            (plan.program, *plan.sizes.items()): plan
            for M in at or range(least, least + 50, 12)
            for plan in algorithm.plans(problem, M)
        }
        found += [(plan, feature_trace(plan.program, plan.sizes, d=d, g=g)) for plan in plans.values()]
    return tuple(found)


@cache
def schedules() -> tuple[tuple[FeatureTrace, int, int], ...]:
    """Traces with their fast memory and the rows that their sums hold when used: of every schedule of the package, of sums
    that live for a moment, and random bad ones."""
    found = [(trace, plan.peak_words, trace.n) for plan, trace in planned()]
    for n, d, g in SIZES:
        for program, sizes, rows in (
            (held_rows_program(d, g), {"n": n}, n),
            (row_sums_program(d, g), {"n": n, "B": min(n, 2)}, 1),
        ):
            found.append((feature_trace(program, sizes, d=d, g=g), peak_words(program, sizes), rows))
    for seed in range(SEEDS):
        for flavour in FLAVOURS:
            trace = random_schedule(seed, **flavour)
            rows = 1 if "early" in flavour else trace.n
            found.append((trace, replay(trace, least=rows).peak, rows))
    return tuple(found)


def designs(body: Iterable[object]) -> Iterator[str]:
    """The kinds of the block designs that a program loops over: the class, or of a blown-up system what that is."""
    for statement in body:
        if isinstance(statement, TableLoop):
            table = statement.table
            assert isinstance(table, Part)
            design = table.design
            yield design.system.kind if isinstance(design, BlownUp) else type(design).__name__
        if isinstance(statement, Loop | TableLoop):
            yield from designs(statement.body)


def test_schedules_of_every_kind_are_among_them() -> None:
    """Every order of the stages, with blocks that are all monomials over some coordinates, products of groups, runs, and
    blown-up systems: complete, coverings and a projective plane."""
    seen: dict[str, set[str]] = {}
    for plan, _ in planned():
        seen.setdefault(plan.schedule, set()).update(designs(plan.program.body))
    assert not seen.pop("resident") | seen.pop("leftover") | seen.pop("passes") | seen.pop("materialised")
    assert seen.pop("o-stationary") >= {"GroupProducts", "MonomialRuns", "complete"}
    assert seen.keys() == {"blocks", "w-stationary", "q-stationary"}
    for kinds in seen.values():
        assert kinds >= {"GroupProducts", "MonomialRuns", "complete", "PG"}
    assert "covering" in set.union(*seen.values())


def test_all_that_moves_is_in_the_traces() -> None:
    """Words that are moved in the trace and beside it are as many as are counted; no more words are held than the peak;
    sums are made once, and used when they hold all rows, so the bounds for that class are the schedules' own."""
    for plan, trace in planned():
        history = replay(trace, plan.peak_words)
        assert history.traffic == plan.count().io_words
        assert not history.recomputed
        assert history.m == trace.n


def test_features_that_are_stored_are_words_of_rows() -> None:
    """Of the baseline, d = 2, g = 2: each of six features of each of two rows of K and of Q is formed once, from its
    coordinates, stored, and loaded again for each group of columns."""
    problem = Problem(n=2, d=2, degree=2)
    plan = approx_materialised.best(problem, 1000)
    trace = feature_trace(plan.program, plan.sizes, d=2, g=2)
    stored = Counter(event.word for event in trace.events if isinstance(event, Stored) and event.word.kind in "KQ")
    expected = {Word(kind, row, factors, -1) for kind in "KQ" for row in range(2) for factors in monomials(2, 2)}
    assert stored == dict.fromkeys(expected, 1)
    formed = {event.word: event.factors for event in trace.events if isinstance(event, Formed)}
    assert formed.keys() == expected
    assert formed[Word("K", 1, (0, 1), -1)] == (Word("K", 1, (0,), -1), Word("K", 1, (1,), -1))


def test_the_column_of_ones_is_in_the_traces() -> None:
    """Of the baseline, d = 2, g = 2: each of the five monomials but the constant is added once for each of two keys, and
    used once for each of two queries; their normalisers then divide each word of the output. Beside these words, the sum of
    the constant is stored and loaded, for the one tile of queries."""
    problem = Problem(n=2, d=2, degree=2)
    plan = approx_materialised.best(problem, 1000)
    trace = feature_trace(plan.program, plan.sizes, d=2, g=2)
    labels = [Word("W", -1, factors, ONES) for factors in monomials(2, 2) if factors]
    added = [event for event in trace.events if isinstance(event, Added) and event.sum.column == ONES]
    assert Counter((event.sum, event.factors) for event in added) == Counter(
        (label, (Word("K", row, label.factors, -1),)) for label in labels for row in range(2)
    )
    used = [event for event in trace.events if isinstance(event, Used) and event.output.column == ONES]
    assert Counter((event.output, event.sum) for event in used) == Counter(
        (Word("Y", row, (), ONES), label) for label in labels for row in range(2)
    )
    assert [event for event in trace.events if isinstance(event, Divided)] == [
        Divided(Word("Y", row, (), l), Word("Y", row, (), ONES)) for row in range(2) for l in range(2)
    ]
    assert trace.beside == 1 + 1


@cache
def audited() -> tuple[tuple[FeatureTrace, int, int, Ledger], ...]:
    return tuple((trace, M, rows, audit(trace, M, least=rows)) for trace, M, rows in schedules())


def test_no_inequality_fails_and_each_is_checked() -> None:
    """On all of them every inequality holds wherever it is evaluated, and each is evaluated at least 50 times."""
    ledger = together(found for *_, found in audited())
    rare = {
        name: ledger.entries[name].checks for name in (*EVERY, PURE, ONCE, AGAIN) if ledger.entries[name].checks < 50
    }
    assert not rare
    assert {name for name in ledger.entries if name.startswith("bound: ")} >= {f"bound: {ONE_SHOT.name}"}


@settings(max_examples=20, derandomize=True)
@given(st.integers(2**16, 2**32), st.sampled_from(FLAVOURS))
def test_bad_schedules_obey_the_proofs(seed: int, flavour: dict[str, bool]) -> None:
    """Other random schedules than those of the list above."""
    trace = random_schedule(seed, **flavour)
    rows = 1 if "early" in flavour else trace.n
    audit(trace, replay(trace, least=rows).peak, least=rows)


def test_the_bad_schedules_are_bad() -> None:
    """Among them, many of each: sums computed twice, spilled partly, used early, pure and moved; products formed and kept;
    outputs and normalisers that come back, and parts of them that are used, some of them after they have been stored;
    outputs that are divided while sums are still made."""
    seen: Counter[str] = Counter()
    for trace, _, rows in schedules()[-len(FLAVOURS) * SEEDS :]:
        history = replay(trace, least=rows)
        loaded = {event.word for event in trace.events if isinstance(event, Loaded)}
        parts = {event.sum for event in trace.events if isinstance(event, Used) and event.sum.kind == "Y"}
        seen["computed again"] += history.recomputed
        seen["used early"] += history.m < trace.n
        seen["pure"] += any(stay.pure and stay.word.kind == "W" for stay in history.stays)
        seen["sums loaded"] += any(word.kind == "W" for word in loaded)
        seen["outputs loaded"] += any(word.kind == "Y" for word in loaded)
        seen["nested"] += bool(parts)
        seen["normalisers loaded"] += any(word.kind == "Y" and word.column == ONES for word in loaded)
        seen["normalisers nested"] += any(word.column == ONES for word in parts)
        kinds = [type(event) for event in trace.events]
        seen["divided before the last addition"] += Added in kinds[kinds.index(Divided) :]
        seen["parts loaded"] += bool(parts & loaded)
        seen["useless"] += any(not stay.useful for stay in history.stays)
        seen["formed"] += any(isinstance(event, Formed) for event in trace.events)
    few = {what: times for what, times in seen.items() if times < 5}
    assert not few


def test_every_inequality_can_fail() -> None:
    """Each claim, tightened to a thousandth below its own tightest case, is refuted there under its own name."""
    tightest: dict[str, tuple[Fraction, FeatureTrace, int, int]] = {}
    for trace, M, rows, ledger in audited():
        for name, entry in ledger.entries.items():
            ratio = entry.ratio
            if ratio is not None and ratio > 0 and (name not in tightest or ratio > tightest[name][0]):
                tightest[name] = ratio, trace, M, rows
    assert tightest.keys() >= {*EVERY, PURE, ONCE}
    for name, (ratio, trace, M, rows) in tightest.items():
        with pytest.raises(AuditError) as refuted:
            audit(trace, M, least=rows, tightened={name: ratio * Fraction(999, 1000)})
        assert refuted.value.name == name


@pytest.mark.parametrize(
    ("kappa", "names"),
    [
        (lambda s, g, d, products, kind: s, {ROW}),  # words, not products
        (
            lambda s, g, d, products, kind: of_approx.products_of(s, g - 1, d, products, kind),
            {ROW},
        ),  # one degree less
        (
            lambda s, g, d, products, kind: of_approx.products_of(s, g, d, products, "linear"),
            {ROW},
        ),
        (
            lambda s, g, d, products, kind: max(1, of_approx.products_of(s - 1, g, d, products, kind)),
            {ROW},
        ),
    ],
    ids=["words", "one degree less", "a word for the column of ones", "one word less"],
)
def test_a_wrong_number_of_products_is_found(kappa, names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than kappa(s), row by row and so for segments, some schedule does more."""
    monkeypatch.setattr(approx_auditor, "products_of", kappa)
    broken = set()
    for trace, M, rows in schedules()[::4]:
        try:
            audit(trace, M, least=rows)
        except AuditError as error:
            broken.add(error.name)
    assert broken
    assert broken <= names


def test_the_bound_without_what_is_subtracted_is_refuted() -> None:
    """Held rows, n = 3, d = 4, g = 3: 48 words move, 2 n C says more; as a claim it fails under its name."""
    n, d, g = 3, 4, 3
    program = held_rows_program(d, g)
    M = peak_words(program, {"n": n})
    trace = feature_trace(program, {"n": n}, d=d, g=g)
    words = 2 * n * of_approx.words_of_a_row(g, d, 35 * d, M)
    draft = replace(ONE_SHOT, name="first draft", formula=lambda x: x.number(Fraction(words)), letters=("N",))
    assert words > 48
    with pytest.raises(AuditError, match=rf"^claim: first draft: .*: {words} <= 48 does not hold"):
        audit(trace, M, claims=[draft])


# Traces that are no schedules


def resident(n: int = 3, d: int = 2, g: int = 2) -> FeatureTrace:
    problem = Problem(n=n, d=d, degree=g)
    plan = next(plan for plan in approx.plans(problem, 1000) if plan.schedule == "resident")
    return feature_trace(plan.program, plan.sizes, d=d, g=g)


def without(trace: FeatureTrace, time: int) -> FeatureTrace:
    return replace(trace, events=trace.events[:time] + trace.events[time + 1 :])


def in_two_stages(schedule: str) -> FeatureTrace:
    """n = 2, d = 3, degree 2, with three blocks in both stages, and groups of two columns."""
    design = GroupProducts(3, 2, 3)
    program = staged(schedule, (design, design), (2, 2))
    return feature_trace(program, {name: {"n": 2, "B_r": 2}.get(name, 1) for name in program.sizes}, d=3, g=2)


TRACES = {
    "constants": lambda: resident(d=1, g=0),
    "degree 2": lambda: resident(d=2, g=2),
    "degree 3": lambda: resident(n=2, d=1, g=3),
    **{schedule: partial(in_two_stages, schedule) for schedule in ("w-stationary", "q-stationary", "o-stationary")},
}


@pytest.mark.parametrize("of", TRACES)
def test_no_event_can_be_dropped(of: str) -> None:
    """Without any one of its loads, stores, additions, uses or divisions, a schedule is none any more."""
    trace = TRACES[of]()
    dropped: Counter[str] = Counter()
    for time, event in enumerate(trace.events):
        if isinstance(event, Loaded | Stored | Added | Used | Divided):
            with pytest.raises(AuditError) as broken:
                replay(without(trace, time))
            dropped[broken.value.name] += 1
    assert dropped["rule: operand"] >= 3
    assert dropped["rule: output"] >= trace.n
    assert dropped["rule: whole sum"] >= 1


class Misled(Part):
    """The blocks of a design, each looking for its sums where those of its next monomials are."""

    def rows(self):  # type: ignore[no-untyped-def]
        return ({**row, "rows": (*row["rows"][1:], row["rows"][0])} for row in super().rows())


@pytest.mark.parametrize("schedule", ["w-stationary", "q-stationary", "o-stationary"])
def test_sums_from_a_wrong_place_are_told(schedule: str) -> None:
    """Sums that are loaded from a place of others are used for monomials that they are not of; those from a place where
    none was stored have no meaning."""
    design = GroupProducts(3, 2, 3)
    program = staged(schedule, (design, design), (2, 2))
    sizes = {name: {"n": 2, "B_r": 2}.get(name, 1) for name in program.sizes}
    loops = [(place, loop) for place, loop in places(program) if isinstance(loop, TableLoop)]
    place, loop = next((p, x) for p, x in loops if x.index == "b")
    assert isinstance(loop.table, Part)
    mutant = replaced(program, place, replace(loop, table=Misled(design, loop.table.where, design)))
    with pytest.raises(AuditError, match=r"^rule: product"):
        replay(feature_trace(mutant, sizes, d=3, g=2))
    ((place, loop),) = [(p, x) for p, x in loops if isinstance(x.table, StoredSums)]
    mutant = replaced(program, place, replace(loop, table=Displaced(design)))
    with pytest.raises(MeaningError, match=r"[Ww]\[0,0\] is loaded and was never stored"):
        feature_trace(mutant, sizes, d=3, g=2)


def test_rules_by_name() -> None:
    """Each way to break the model's rules is found under its own name."""
    trace = resident()
    events = list(trace.events)

    def first(kind: type) -> int:
        """Of those that are about columns of V, if it is about sums."""
        return next(
            time
            for time, event in enumerate(events)
            if isinstance(event, kind) and not (isinstance(event, Added | Used) and event.sum.column == ONES)
        )

    def changed(time: int, *new: object) -> FeatureTrace:
        return replace(trace, events=(*events[:time], *new, *events[time + 1 :]))  # type: ignore[arg-type]

    added, used, loaded = first(Added), first(Used), first(Loaded)
    addition, use, load = events[added], events[used], events[loaded]
    assert isinstance(addition, Added)
    assert isinstance(use, Used)
    assert isinstance(load, Loaded)
    other = Word("W", -1, (0, 1), addition.sum.column)
    early = Used(use.output, use.sum, use.factors)
    divided = first(Divided)
    division = events[divided]
    assert isinstance(division, Divided)
    output, normaliser = division.output, division.normaliser
    last_use = max(
        time for time in range(divided) if isinstance(events[time], Used) and events[time].output == normaliser
    )
    of_ones = Added(Word("W", -1, addition.sum.factors, ONES), addition.factors)
    broken = {
        "a load of what is there": (changed(loaded, load, load), "rule: place"),
        "a sum that was never stored": (changed(loaded, load, Loaded(other)), "rule: place"),
        "another monomial": (changed(added, replace(addition, sum=other)), "rule: product"),
        "a row twice": (changed(added, addition, addition), "rule: sum"),
        "another column": (
            changed(used, replace(use, output=use.output._replace(column=1 - use.output.column))),
            "rule: product",
        ),
        "a value that is gone": (changed(added, Discarded(addition.factors[0]), addition), "rule: operand"),
        "an output twice as loaded": (changed(used, Loaded(use.output), early), "rule: place"),
        "a store of nothing": (changed(loaded, Stored(load.word)), "rule: operand"),
        "a word of V in the column of ones": (changed(added, of_ones), "rule: product"),
        "another row's normaliser": (
            changed(divided, replace(division, normaliser=normaliser._replace(row=1))),
            "rule: operand",
        ),
        "an output for a normaliser": (changed(divided, replace(division, normaliser=output)), "rule: division"),
        "a normaliser that is divided": (changed(divided, Divided(normaliser, normaliser)), "rule: division"),
        "a normaliser without its last sum": (changed(last_use), "rule: division"),
        "a division twice": (changed(divided, division, division), "rule: division"),
        "an addition after division": (changed(divided, division, replace(use, output=output)), "rule: division"),
    }
    replay(trace)
    for what, (mutant, rule) in broken.items():
        with pytest.raises(AuditError) as found:
            replay(mutant)
        assert found.value.name == rule, f"{what}: {found.value}"


def test_capacity() -> None:
    """The words of its peak are enough, one less is not."""
    trace = resident()
    peak = replay(trace).peak
    assert replay(trace, peak).peak == peak
    with pytest.raises(AuditError, match=rf"^rule: capacity: event \d+: {peak} words live, capacity is {peak - 1}"):
        audit(trace, peak - 1)


def test_other_operations_have_no_meaning_here() -> None:
    """Exact attention is no schedule of sums: its first operation says so."""
    from algorithms.flash2 import flash2

    plan = flash2.best(Problem(n=3, d=2), 40)
    with pytest.raises(MeaningError, match="has no meaning for words of features; known: add_features"):
        feature_trace(plan.program, plan.sizes, d=2, g=1)
