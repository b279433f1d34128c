"""What a reader of a run is told besides its numbers: each note where it belongs; and what a verdict leaves open."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from iosim.api import run
from iosim.approximation.logits import HeadLogits, LogitRange
from iosim.approximation.needed import Needed
from iosim.approximation.payoff import Payoff
from iosim.numeric.inputs import random_input
from iosim.runs.checks import Check
from iosim.runs.notes import notes_of
from iosim.runs.result import Run
from iosim.task import GRADIENT, LOOPED

TOO_FAR = "rounding alone may exceed the result at these logits: the error is measured, no bound is proved"
MEASURED = "the error of this method is measured on these data: nothing is proved about it on others"
FORWARD = "dO is standard normal; O and L are those of a forward pass in float64"


@cache
def exact() -> Run:
    """A small run of which there is nothing to say."""
    return run("flash2", input=random_input(6, 2), M=60)


@cache
def polynomial() -> Run:
    """n = 6, d = 2, degree 2: 6 features, on [-R, R] with R from the data; less traffic than exact attention."""
    found = run("approx", input=random_input(6, 2, logit_bound=1.0), M=60, degree=2)
    return replace(found, logits=None, needed=None, payoff=pays(True))


@cache
def method() -> Run:
    found = run("top-keys", input=random_input(6, 2), M=90, set={"kept": 3})
    return replace(found, payoff=pays(True))


def pays(less: bool, *, from_n: int | None = None, letter: str = "n") -> Payoff:
    """Half of the words of exact attention, or twice as many."""
    plan = exact().plan
    return Payoff(words=50 if less else 200, exact=plan, exact_words=100, pays_from_n=from_n, letter=letter)


def proved(found: Run, bound: float) -> Run:
    """The same with that bound of the error."""
    assert found.numeric is not None
    return replace(found, numeric=replace(found.numeric, error_bound=bound))


def test_a_run_of_which_there_is_nothing_to_say_has_no_note() -> None:
    """Exact, one head, a proved bound; or an approximation that pays."""
    assert notes_of(exact()) == []
    assert notes_of(polynomial()) == []
    assert notes_of(replace(proved(method(), 1.0))) == []
    assert notes_of(replace(exact(), numeric=None)) == []


def test_heads_are_counted_together() -> None:
    """From two key heads on."""
    several = replace(exact(), problem=replace(exact().problem, kv_heads=2))
    assert notes_of(several) == ["2 key heads, one after the other: counts are for all, the peak is for one"]


def test_logits_are_of_account_for_a_polynomial() -> None:
    """Those that were measured: the largest one, and what the best shift of each row leaves."""
    range_ = LogitRange(heads=(HeadLogits(min=-3.0, max=2.5, centred_bound=1.25, key_centred=2.0, norm_bound=4.0),))
    assert notes_of(replace(polynomial(), logits=range_)) == [
        "the largest |q.k|/sqrt(d) of the input is 3; the best shift of each row would leave 1.25"
    ]
    assert notes_of(replace(exact(), logits=range_)) == []


def test_what_is_not_proved_is_said_to_be_measured() -> None:
    """Of a method on these data, else where rounding is too much; nothing if nothing was computed."""
    assert notes_of(proved(exact(), math.inf)) == [TOO_FAR]
    assert notes_of(proved(polynomial(), math.inf)) == [TOO_FAR]
    assert notes_of(proved(method(), math.inf)) == [MEASURED]
    assert notes_of(replace(method(), numeric=None)) == []


def test_a_gradient_is_computed_with_a_forward_pass() -> None:
    """If it is computed."""
    gradient = replace(exact(), computes=GRADIENT)
    assert notes_of(gradient) == [FORWARD]
    assert notes_of(replace(gradient, numeric=None)) == []


def test_more_features_than_tokens_are_more_arithmetic() -> None:
    """More than n queries; of decoding, more than n_k keys; as many are not more."""
    found = polynomial()

    def features(r: int, letter: str = "n") -> list[str]:
        problem = replace(found.problem, n=1, n_k=6) if letter == "n_k" else found.problem
        plan = replace(found.plan, tiles={**found.plan.tiles, "r": r})
        return notes_of(replace(found, plan=plan, problem=problem, payoff=pays(True, letter=letter)))

    assert features(6) == features(6, "n_k") == []
    assert features(7) == ["7 features for n=6: more arithmetic than exact attention"]
    assert features(7, "n_k") == ["7 features for n_k=6: more arithmetic than exact attention"]
    without = {name: size for name, size in found.plan.tiles.items() if name != "r"}
    assert notes_of(replace(found, plan=replace(found.plan, tiles=without))) == []
    assert notes_of(replace(exact(), plan=replace(exact().plan, tiles={"r": 7}))) == []


@pytest.mark.parametrize(
    ("payoff", "said"),
    [
        (pays(False, from_n=900), "at n=6: 2x more words than flash2 cached; it pays from n=900"),
        (pays(False, from_n=1200, letter="n_k"), "at n_k=9: 2x more words than flash2 cached; it pays from n_k=1,200"),
        (pays(False), "at n=6: 2x more words than flash2 cached; nor does it pay at n=1,125,899,906,842,624"),
    ],
)
def test_an_approximation_that_does_not_pay_is_told_where_it_would(payoff: Payoff, said: str) -> None:
    """From which n on, or n_k; or that it does not at 2^50. Of what is no approximation nothing is said."""
    problem = replace(polynomial().problem, n_k=9)
    title = exact().plan.title
    note = f"the approximation does not pay {said.replace('flash2 cached', title)}"
    assert notes_of(replace(polynomial(), problem=problem, payoff=payoff)) == [note]
    assert notes_of(replace(method(), problem=problem, payoff=payoff))[-1] == note
    assert notes_of(replace(exact(), problem=problem, payoff=payoff)) == []
    # looped layers in another order are a method, but no approximation of attention
    assert notes_of(replace(proved(method(), 1.0), computes=LOOPED, payoff=payoff)) == []


def test_what_it_would_take_is_said() -> None:
    """A degree with its features, and whether it pays or how many words it takes; or that there is none."""
    found = polynomial()
    assert found.polynomial is not None
    R = f"{found.polynomial.logit_bound:.4g}"
    wish = f"a relative error of 0.1 on [-{R}, {R}]"

    def said(**needed: Any) -> list[str]:
        return notes_of(replace(found, needed=Needed(**needed)))

    assert said(degree=None) == [f"no degree up to 32 has {wish}"]
    first = f"{wish} needs degree 4, that is 1,500 features"
    assert said(degree=4, features=1500) == [first]
    assert said(degree=4, features=1500, least_words=2000) == [
        first,
        "degree 4 needs at least 2,000 words of fast memory",
    ]
    title = exact().plan.title
    assert said(degree=4, features=1500, least_words=20, payoff=pays(True)) == [
        first,
        f"degree 4 pays at n=6: 2x fewer words than {title}",
    ]
    assert said(degree=4, features=1500, least_words=20, payoff=pays(False, from_n=7)) == [
        first,
        f"degree 4 does not pay at n=6: 2x more words than {title}; it pays from n=7",
    ]


# The verdict


def test_a_verdict_names_what_it_leaves_open() -> None:
    """That nothing was computed, or nothing is proved; that a polynomial is none of exp; that it does not pay."""
    assert exact().verdict == polynomial().verdict == "every check holds"
    assert replace(exact(), numeric=None).verdict == "every check holds; the result was not computed"
    assert proved(exact(), math.inf).verdict == "every check holds; its error has no proved bound"
    for payoff, open_ in ((pays(True), ""), (pays(False), "; the approximation does not pay here")):
        assert replace(polynomial(), payoff=payoff).verdict == f"every check holds{open_}"
        assert replace(method(), payoff=payoff, numeric=exact().numeric).verdict == f"every check holds{open_}"
        assert replace(exact(), payoff=payoff).verdict == "every check holds"
        assert replace(method(), payoff=payoff, numeric=exact().numeric, computes=LOOPED).verdict == "every check holds"
    assert polynomial().polynomial is not None
    for error, open_ in ((0.5, ""), (0.51, "; degree 2 is no approximation at these logits")):
        far = replace(polynomial().polynomial, relative_error=error)  # type: ignore[type-var]
        assert replace(polynomial(), polynomial=far).verdict == f"every check holds{open_}"
    everything = replace(polynomial(), numeric=None, polynomial=far, payoff=pays(False))
    assert everything.verdict == (
        "every check holds; the result was not computed; degree 2 is no approximation at these logits; "
        "the approximation does not pay here"
    )


def test_a_verdict_names_each_check_that_fails_and_nothing_else() -> None:
    """One FAILS, several FAIL; what is left open is of no account then."""

    def checked(*holds: bool) -> Run:
        checks = tuple(Check(name=f"check {i}", holds=h, found="") for i, h in enumerate(holds))
        return replace(exact(), checks=checks, numeric=None)

    assert checked(True, True).holds
    assert not checked(True, False).holds
    assert checked(True, False).verdict == "check 1 FAILS"
    assert checked(False, True, False).verdict == "check 0, check 2 FAIL"
    assert (checked(True).to_dict()["verdict"], checked(False).to_dict()["verdict"]) == ("holds", "fails")


def test_the_lower_bound_of_a_run_is_the_greatest_of_those_it_is_about() -> None:
    """For exact attention of those about every schedule; for a polynomial of all that the schedule is held against."""
    bounds = list(exact().bounds)
    (some, _), *_ = bounds
    classed = replace(some, requires=frozenset({"no recomputation"}), about="a class")
    said = ((some, 10), (classed, 90), (some, 30), (some, 20))
    for found, bound, words in ((exact(), some, 30), (polynomial(), classed, 90), (method(), some, 30)):
        here = replace(found, bounds=said)
        assert here.lower_bound == (bound, words)
        assert here.universal_lower_bound == (some, 30)
        plain = here.to_dict()
        assert plain["lower_bound_words"] == words
        assert plain["universal_lower_bound_words"] == 30
        assert plain["io_over_lower_bound"] == here.io_words / words
        assert plain["lower_bound_class"] == (bound.about or "every schedule")
