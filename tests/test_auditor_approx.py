"""Every inequality of the proofs for approximate attention holds on good and bad schedules, and fails where it should."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.approx import approx
from algorithms.early_sums import held_rows_program, row_sums_program
from iosim import peak_words
from iosim.algorithm import Problem
from iosim.bounds import approx as of_approx
from iosim.bounds.approx import DIRECT
from iosim.errors import MeaningError
from iosim.interpret.feature_words import (
    Added,
    Discarded,
    FeatureTrace,
    Formed,
    Loaded,
    Stored,
    Used,
    Word,
    feature_trace,
)
from proofs import approx_auditor
from proofs.approx_auditor import AGAIN, EVERY, ONCE, PURE, ROW, WINDOW, audit, replay
from proofs.ledger import Ledger
from proofs.residence import AuditError
from tests.feature_schedules import random_schedule

SIZES = ((4, 2, 2), (3, 3, 1), (2, 2, 3), (1, 1, 1), (6, 1, 2))  # n, d, g
FLAVOURS: tuple[dict[str, bool], ...] = ({}, {"again": True}, {"early": True})
SEEDS = 16  # of each flavour


@cache
def schedules() -> tuple[tuple[FeatureTrace, int, int], ...]:
    """Traces with their fast memory and the rows that their sums hold when used: of every schedule of the package from the
    least fast memory on, of sums that live for a moment, and random bad ones."""
    found = []
    for n, d, g in SIZES:
        problem = Problem(n=n, d=d, degree=g)
        least = approx.least_capacity(problem)
        plans = {plan.program: plan for M in range(least, least + 50, 12) for plan in approx.plans(problem, M)}
        for plan in plans.values():
            trace = feature_trace(plan.program, plan.sizes, d=d, g=g)
            assert replay(trace).traffic == plan.count().io_words
            found.append((trace, plan.peak_words, n))
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


@cache
def audited() -> tuple[tuple[FeatureTrace, int, int, Ledger], ...]:
    return tuple((trace, M, rows, audit(trace, M, least=rows)) for trace, M, rows in schedules())


def test_no_inequality_fails_and_each_is_checked() -> None:
    """On all of them every inequality holds wherever it is evaluated, and each is evaluated at least 50 times."""
    ledger = Ledger()
    for *_, found in audited():
        ledger.include(found)
    rare = {
        name: ledger.entries[name].checks for name in (*EVERY, PURE, ONCE, AGAIN) if ledger.entries[name].checks < 50
    }
    assert not rare
    assert {name for name in ledger.entries if name.startswith("bound: ")} >= {f"bound: {DIRECT.name}"}


@settings(max_examples=20, derandomize=True)
@given(st.integers(2**16, 2**32), st.sampled_from(FLAVOURS))
def test_bad_schedules_obey_the_proofs(seed: int, flavour: dict[str, bool]) -> None:
    """Other random schedules than those of the list above."""
    trace = random_schedule(seed, **flavour)
    rows = 1 if "early" in flavour else trace.n
    audit(trace, replay(trace, least=rows).peak, least=rows)


def test_the_bad_schedules_are_bad() -> None:
    """Among them, many of each: sums computed twice, spilled partly, used early, pure and moved; products formed and kept;
    outputs that come back."""
    seen: Counter[str] = Counter()
    for trace, _, rows in schedules()[-3 * SEEDS :]:
        history = replay(trace, least=rows)
        seen["computed again"] += history.recomputed
        seen["used early"] += history.m < trace.n
        seen["pure"] += any(stay.pure and stay.word.kind == "W" for stay in history.stays)
        seen["sums loaded"] += any(word.kind == "W" for _, word in history.loads)
        seen["outputs loaded"] += any(word.kind == "Y" for _, word in history.loads)
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
        (lambda s, g, d, labels, words="linear": s, {ROW, WINDOW}),  # words, not products
        (
            lambda s, g, d, labels, words="linear": of_approx.products_of(s, g - 1, d, labels),
            {ROW, WINDOW},
        ),  # one degree less
        (lambda s, g, d, labels, words="linear": max(1, of_approx.products_of(s - 1, g, d, labels)), {ROW, WINDOW}),
    ],
    ids=["words", "one degree less", "one word less"],
)
def test_a_wrong_number_of_products_is_found(kappa, names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than kappa(s), row by row and so for windows, some schedule does more."""
    monkeypatch.setattr(approx_auditor, "products_of", kappa)
    broken = set()
    for trace, M, rows in schedules():
        try:
            audit(trace, M, least=rows)
        except AuditError as error:
            broken.add(error.name)
    assert broken
    assert broken <= names


def test_the_bound_without_what_is_subtracted_is_refuted() -> None:
    """Held rows, n = 3, d = 4, g = 3: 48 words move, F (S - 1) says more; as a claim it fails under its name."""
    n, d, g = 3, 4, 3
    program = held_rows_program(d, g)
    M = peak_words(program, {"n": n})
    trace = feature_trace(program, {"n": n}, d=d, g=g)
    labels = 35 * d
    best = of_approx.Work(g=g, d=d, labels=labels, total=2 * n * labels, M=M).best()
    assert best is not None
    words = best[0] * (best[1] - 1)
    draft = replace(DIRECT, name="first draft", formula=lambda x: x.number(Fraction(words)), letters=("N",))
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


@pytest.mark.parametrize("seed", range(3))
def test_no_event_can_be_dropped(seed: int) -> None:
    """Without any one of its loads, additions or uses, the resident schedule is none any more; nor is
    any store idle there."""
    trace = resident(d=1 + seed % 2, g=1 + seed)
    dropped: Counter[str] = Counter()
    for time, event in enumerate(trace.events):
        if isinstance(event, Loaded | Stored | Added | Used):
            with pytest.raises(AuditError) as broken:
                replay(without(trace, time))
            dropped[broken.value.name] += 1
    assert dropped["rule: operand"] >= 3
    assert dropped["rule: output"] >= trace.n
    assert dropped["rule: whole sum"] >= 1


def test_rules_by_name() -> None:
    """Each way to break the model's rules is found under its own name."""
    trace = resident()
    events = list(trace.events)

    def first(kind: type) -> int:
        return next(time for time, event in enumerate(events) if isinstance(event, kind))

    def changed(time: int, *new: object) -> FeatureTrace:
        return replace(trace, events=(*events[:time], *new, *events[time + 1 :]))  # type: ignore[arg-type]

    added, used, loaded = first(Added), first(Used), first(Loaded)
    addition, use, load = events[added], events[used], events[loaded]
    assert isinstance(addition, Added)
    assert isinstance(use, Used)
    assert isinstance(load, Loaded)
    other = Word("W", -1, (0, 1), addition.sum.column)
    early = Used(use.output, use.sum, use.factors)
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
