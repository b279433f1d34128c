"""The theorems: every step holds, every stronger bound fails, and another solver agrees."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import sympy

from iosim.bounds.bound import Bound
from iosim.bounds.exact import BOUNDS
from iosim.errors import ProofError
from iosim.proof import Method
from iosim.registry import find_theorem, theorems
from proofs import any_fast_memory, exact_attention, large_fast_memory, lemmas, never_stored, stays, tied, wide_sums
from tests.second_opinion import answers
from tests.small_proofs import checked

NAMES = {bound.theorem for bound in BOUNDS}


def test_every_bound_names_a_theorem_that_is_registered() -> None:
    """The theorems that the bounds name are those of this distribution."""
    assert set(theorems()) >= NAMES
    assert None not in NAMES


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_every_bound_is_concluded_by_its_theorem(bound: Bound) -> None:
    """Each bound is the claim of a final step of the theorem that it names, under no more than its regime."""
    assert bound.theorem is not None
    assert bound in checked(bound.theorem).conclusions


@pytest.mark.parametrize("name", sorted(theorems()))
def test_every_theorem_holds_and_says_what_it_rests_on(name: str) -> None:
    """All of them rest on argued steps, so none is called proved; each algebraic step has a control that was refuted."""
    found = checked(name)
    assert found.trust is Method.ARGUED
    assert found.verdict.startswith("holds, resting on ")
    assert "proved" not in found.verdict
    for step in found.steps:
        if step.method is Method.ARGUED:
            assert step.refuted is None
        elif step.how.startswith("z3") and not step.text.endswith(
            ("segments", "segment", "either way")  # the common claim of cases that have controls of their own
        ):
            assert step.refuted is not None, step.text


@pytest.mark.parametrize("name", sorted(theorems()))
def test_every_theorem_refutes_a_stronger_bound_by_a_schedule(name: str) -> None:
    """Beside each theorem a schedule moves fewer words than something slightly stronger would allow."""
    texts = [step.text for step in checked(name).steps]
    assert any(text.startswith("false: ") for text in texts)


def test_loomis_whitney_is_cited_where_products_are_counted() -> None:
    """Every theorem but the trivial one rests on it."""
    for name in NAMES:
        assert name is not None
        cited = "Loomis-Whitney (cited)" in checked(name).verdict
        assert cited == (name != "inputs_are_loaded_and_outputs_stored")


def _greater(bound: Bound) -> Bound:
    """One percent more."""
    formula = bound.formula
    return dataclasses.replace(bound, formula=lambda x: formula(x) * x.number(Fraction(101, 100)))


MUTANTS: dict[str, tuple[Any, str, Any]] = (
    {
        bound.name: (module, name, _greater(bound))
        for module, names in (
            (exact_attention, ("TRIVIAL", "TRIVIAL_TIED")),
            (
                large_fast_memory,
                (
                    "LARGE_FAST_MEMORY",
                    "LARGE_FAST_MEMORY_FIRST_COLUMNS",
                    "LARGE_FAST_MEMORY_WIDE_VALUES",
                ),
            ),
            (any_fast_memory, ("NO_RECOMPUTATION", "NO_RECOMPUTATION_SMALL_FAST_MEMORY")),
            (never_stored, ("NEVER_SPILLED",)),
            (tied, ("TIED", "TIED_SMALL_FAST_MEMORY", "TIED_LARGE_FAST_MEMORY")),
        )
        for name in names
        for bound in [getattr(module, name)]
    }
    | {
        bound.name: (
            any_fast_memory,
            "SEGMENTS",
            tuple(_greater(b) if b == bound else b for b in any_fast_memory.SEGMENTS),
        )
        for bound in any_fast_memory.SEGMENTS
    }
    | {
        bound.name: (wide_sums, name, tuple(_greater(b) if b == bound else b for b in getattr(wide_sums, name)))
        for name in ("SUMS", "SEGMENTS_WITH_SUMS")
        for bound in getattr(wide_sums, name)
    }
)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_a_greater_bound_fails_its_proof(bound: Bound, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one percent more, any bound is more than its proof gives, and the proof says so with numbers."""
    module, name, mutant = MUTANTS[bound.name]
    monkeypatch.setattr(module, name, mutant)
    assert bound.theorem is not None
    with pytest.raises(ProofError, match=r"does not follow; it fails at .*Q_io = "):
        find_theorem(bound.theorem).check()


WIDER: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a smaller threshold than 4": (
        large_fast_memory,
        "LARGE_FAST_MEMORY",
        lambda x: ((x.M, x.number(Fraction(39, 10)) * x.d**2), (x.d, x.d_v)),
    ),
    "a smaller threshold than 128/27": (
        large_fast_memory,
        "LARGE_FAST_MEMORY_WIDE_VALUES",
        lambda x: ((x.M, x.number(Fraction(47, 10)) * x.d**2), (x.d_v, x.d)),
    ),
    "wide values": (large_fast_memory, "LARGE_FAST_MEMORY", lambda x: ((x.M, 5 * x.d**2),)),
    "less than (d + d_v)^2": (any_fast_memory, "NO_RECOMPUTATION", lambda x: ((x.M, x.d**2),)),
    "tied, less than (d + d_v)^2/2": (tied, "TIED", lambda x: ((x.M, x.d**2), (x.d, x.d_v))),
    "tied, more than 2d^2": (tied, "TIED_SMALL_FAST_MEMORY", lambda x: ((3 * x.d**2, x.M), (x.d, x.d_v))),
    "tied, wide values": (tied, "TIED_LARGE_FAST_MEMORY", lambda x: ((x.M, 5 * x.d**2),)),
    "tied, a smaller threshold than 32/27": (tied, "TIED_LARGE_FAST_MEMORY", lambda x: ((x.M, x.d**2), (x.d, x.d_v))),
}


@pytest.mark.parametrize(("module", "name", "conditions"), WIDER.values(), ids=WIDER)
def test_a_bound_with_a_wider_regime_fails_its_proof(
    module: Any, name: str, conditions: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proofs need the thresholds of the regimes, and where (d + d_v)^2 is claimed that d_v <= d."""
    bound = getattr(module, name)
    wider = dataclasses.replace(bound, conditions=lambda x: (*conditions(x), bound.conditions(x)[-1]))
    monkeypatch.setattr(module, name, wider)
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(bound.theorem).check()


@pytest.mark.parametrize(
    ("number", "condition"),
    [(number, condition) for number, conditions in enumerate((3, 3, 4) * 2) for condition in range(conditions)],
)
def test_wide_sums_need_every_condition(number: int, condition: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any of its conditions, no bound with wide sums is proved."""
    bound = wide_sums.SUMS[number]

    def fewer(x: Any) -> tuple[Any, ...]:
        return tuple(pair for place, pair in enumerate(bound.conditions(x)) if place != condition)

    mutant = dataclasses.replace(bound, conditions=fewer)
    monkeypatch.setattr(wide_sums, "SUMS", tuple(mutant if b == bound else b for b in wide_sums.SUMS))
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(bound.theorem).check()


@pytest.mark.parametrize("number", range(4))
def test_segments_with_wide_sums_need_their_condition(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound for M >= 4d^2 is not proved below, that for M <= 4d^2 not above."""
    bounds = wide_sums.SEGMENTS_WITH_SUMS
    mutant = dataclasses.replace(bounds[number], conditions=lambda _: ())
    monkeypatch.setattr(wide_sums, "SEGMENTS_WITH_SUMS", (*bounds[:number], mutant, *bounds[number + 1 :]))
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(mutant.theorem).check()


@pytest.mark.parametrize(
    ("module", "name", "condition"),
    [
        *((large_fast_memory, name, 2) for name in ("LARGE_FAST_MEMORY", "LARGE_FAST_MEMORY_WIDE_VALUES")),
        *((any_fast_memory, "NO_RECOMPUTATION", 1), (any_fast_memory, "NO_RECOMPUTATION_SMALL_FAST_MEMORY", 1)),
        *((never_stored, "NEVER_SPILLED", number) for number in (0, 1)),
        *((tied, "TIED", 2), (tied, "TIED_SMALL_FAST_MEMORY", 2), (tied, "TIED_LARGE_FAST_MEMORY", 2)),
    ],
)
def test_what_is_added_needs_work_for_more_than_what_fits(
    module: Any, name: str, condition: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a bound does not say that there is enough work for its M, it is not proved: a schedule that moves less than M
    words gains nothing from how it is cut."""
    bound = getattr(module, name)

    def fewer(x: Any) -> tuple[Any, ...]:
        return tuple(pair for place, pair in enumerate(bound.conditions(x)) if place != condition)

    monkeypatch.setattr(module, name, dataclasses.replace(bound, conditions=fewer))
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        find_theorem(bound.theorem).check()


@pytest.mark.parametrize("name", ["PLUS", "PLUS_LARGE"])
def test_no_more_is_added_than_is_proved(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 - 2/sqrt(27) = 0.615 M are left of the words that a last segment starts with, 2 (sqrt(2) - 1) = 0.828 M where the
    number of segments is whole; not 0.62 M, nor 0.83 M."""
    step, more = {
        "PLUS": (lemmas.last_segment, sympy.Rational(62, 100)),
        "PLUS_LARGE": (lemmas.next_below, sympy.Rational(83, 100)),
    }[name]
    monkeypatch.setattr(lemmas, name, more)
    with pytest.raises(ProofError, match="does not follow; it fails at"):
        step.__wrapped__()
    monkeypatch.setattr(lemmas, name, more - sympy.Rational(1, 100))
    assert step.__wrapped__().trust is Method.PROVED


# The checks beside the arguments


def test_a_product_outside_the_stays_would_be_noticed() -> None:
    """A pair whose score is summed up twice in one segment does 2d products, of which the segment has d."""
    twice = ("0", "1", "use", "discard", "0", "1", "use")
    found = stays.count_pair(twice)
    # The second stay has no weight: a counted stay of the pair is in the segment already.
    assert (found.moves, found.charged, found.free, found.work) == (0, 0, 1, 2)
    apart = ("0", "1", "use", "discard", "cut", "0", "1", "use")
    found = stays.count_pair(apart)
    assert (found.moves, found.charged, found.free, found.work) == (0, 0, 2, 4)


def test_a_stay_that_ends_a_segment_works_in_the_next() -> None:
    """Its beginning is weighed in the old segment, its products are done in the new one."""
    found = stays.count_pair(("0*", "1", "use"))
    assert found.possible
    assert (found.free, found.work) == (1, 2)
    spilled = stays.count_pair(("0", "store", "discard", "load", "1", "use"))
    # Created and stored, loaded again: two beginnings with weight, two moves.
    assert (spilled.moves, spilled.charged, spilled.free, spilled.work) == (2, 2, 0, 2)
    assert not stays.count_pair(("0", "1", "use", "discard", "0*", "1", "use")).possible


# A second solver


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if "recomp" in name or "inputs" in name else pytest.mark.slow) for name in theorems()],
)
def test_cvc5_agrees_with_every_answer_that_it_finds(name: str) -> None:
    """What z3 found unsatisfiable is never satisfiable for cvc5, and nearly always unsatisfiable within seconds."""
    pytest.importorskip("cvc5")
    questions = list(dict.fromkeys(question for step in checked(name).steps for question in step.questions))
    found = answers(questions)
    assert "sat" not in found
    assert found.count("unsat") >= 0.9 * len(questions)


def test_cvc5_finds_what_is_satisfiable() -> None:
    """The second opinion is one: it says sat where it should."""
    pytest.importorskip("cvc5")
    declared = "(declare-fun x () Real)(assert (= (* x x) 2.0))"
    below = "(assert (< x 0.0))"
    assert answers([declared + below + "(check-sat)", declared + below + "(assert (> x (- 1.0)))(check-sat)"]) == [
        "sat",
        "unsat",
    ]
