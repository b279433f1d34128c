"""Advice: the cheapest method that is good enough, from which n it pays, and where nothing of its kind can."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from iosim import registry
from iosim.approximation.advice import Advice, advise, loses_at
from iosim.approximation.measure import measure
from iosim.approximation.minimax import minimax_exp, softmax_output_error
from iosim.cli import main
from iosim.errors import UsageError
from iosim.numeric.input_files import load_input
from iosim.numeric.inputs import from_arrays, random_input
from iosim.plan import fewest
from iosim.plan_bounds import bounds_for_all
from iosim.problem import Problem
from iosim.registry import find
from iosim.task import ATTENTION

HEAD = str(Path(__file__).parent / "data" / "minilm_layer5_head0.npz")  # n = 512, d = 32


def exact_words(n: int, d: int, M: int) -> int:
    plan = fewest(find("exact").plans(Problem(n=n, d=d), M))
    assert plan is not None
    return plan.io_words


@pytest.fixture(scope="module")
def small() -> Advice:
    return advise(Problem(n=4096, d=16), M=2**12, eps=0.1, logit_bound=1.0, numeric=False)


def test_the_degree_is_the_least_that_reaches_eps_and_its_words_are_counted(small: Advice) -> None:
    """On [-1, 1] a relative error of 0.1 needs degree 2: 153 features at d = 16."""
    (head,) = small.heads
    assert (head.polynomial.degree, head.polynomial.features) == (2, 153)
    best = find("approx").best(Problem(n=4096, d=16, degree=2, coefficients=minimax_exp(2, 1.0).coefficients), 2**12)
    assert head.polynomial.io_words == best.io_words == head.best_words
    assert head.gains
    assert head.proved


def test_it_pays_from_exactly_that_n_on_and_cannot_at_the_other(small: Advice) -> None:
    """At `pays_from_n` it moves fewer words than exact attention, one below it does not; at `loses_at_n` the lower bound
    for its class, or that each word moves once, is at least what exact attention moves."""
    (head,) = small.heads
    p = head.polynomial
    assert p.pays_from_n is not None
    assert p.loses_at_n is not None
    assert p.loses_at_n < p.pays_from_n

    def ours(n: int) -> int:
        return find("approx").best(Problem(n=n, d=16, degree=2, coefficients=(1.0, 1.0, 0.5)), 2**12).io_words

    assert ours(p.pays_from_n) < exact_words(p.pays_from_n, 16, 2**12)
    assert ours(p.pays_from_n - 1) >= exact_words(p.pays_from_n - 1, 16, 2**12)
    said = bounds_for_all([find("approx")], Problem(n=p.loses_at_n, d=16, degree=2), 2**12)
    assert exact_words(p.loses_at_n, 16, 2**12) <= max(words for _, words in said)


def test_no_schedule_of_the_class_is_said_to_lose_where_one_wins() -> None:
    """What is found from above is never at or above an n at which the schedules of the package pay."""
    for d, degree, M in ((8, 3, 700), (16, 2, 900), (16, 3, 5000)):
        problem = Problem(n=1, d=d, degree=degree, coefficients=(1.0,) * (degree + 1))
        from iosim.approximation.payoff import pays_from

        pays = pays_from(find("approx"), problem, M)
        loses = loses_at(find("approx"), problem, M, pays)
        assert loses is None or pays is None or loses < pays


def test_a_measured_method_counts_if_it_is_within_the_allowed_error() -> None:
    """Of what is measured on the data, fewest words first, the first within (1 - sqrt(1 - eps^2))/eps times the range of V
    is chosen, and nothing after it is measured."""
    data = random_input(1024, 4, seed=5, logit_bound=3.0)
    found = advise(Problem(n=1024, d=4), M=400, eps=0.1, data=data, algorithms=[find("performer")])
    (head,) = found.heads
    assert head.allowed_error == softmax_output_error(0.1) * np.ptp(data.V[0], axis=0).min()
    assert head.tradeoff is not None
    *before, last = head.tradeoff.points
    assert all(point.max_abs_error > head.allowed_error for point in before)
    assert last.max_abs_error <= head.allowed_error
    assert head.measured == last
    assert last.io_words < head.exact_words == exact_words(1024, 4, 400)
    assert head.polynomial.io_words is None  # no algorithm with a polynomial was asked for
    assert head.gains
    assert not head.proved


def test_heads_are_told_apart() -> None:
    """Of two heads, one with tiny and one with large logits, only the first gains."""
    random = np.random.default_rng(0)
    Q, K, V = (random.standard_normal((2, 400, 4)) for _ in range(3))
    Q[0] *= 0.02
    Q[1] *= 8
    found = advise(
        Problem(n=400, d=4), M=64, eps=0.1, data=from_arrays(Q, K, V), algorithms=[find("approx")], numeric=False
    )
    assert found.gaining == (0,)
    assert found.heads[0].logit_bound < 0.3
    assert found.heads[1].logit_bound > 8


def test_what_is_said_of_a_head_does_not_depend_on_the_others() -> None:
    """The same head once and three times: the same words, bounds and crossovers for each."""
    random = np.random.default_rng(1)
    Q, K, V = (random.standard_normal((1, 60, 3)) * 0.5 for _ in range(3))

    def said(times: int) -> list[object]:
        data = from_arrays(*(np.repeat(array, times, axis=0) for array in (Q, K, V)))
        problem = Problem(n=60, d=3, kv_heads=times)
        found = advise(problem, M=40, eps=0.1, data=data, algorithms=[find("approx")], numeric=False)
        return [{**head.to_dict(), "head": 0} for head in found.heads]

    assert said(3) == 3 * said(1)


def test_a_real_head_does_not_gain() -> None:
    """The logits of a head of a small language model go to 7.9: a polynomial that follows them needs degree 10 and moves
    far more words; what is said is what is measured."""
    data = load_input(HEAD)
    found = advise(Problem(n=512, d=32), M=2**15, eps=0.1, data=data, algorithms=[find("approx")])
    (head,) = found.heads
    assert head.polynomial.degree == 10
    assert head.exact_words == exact_words(512, 32, 2**15)
    low = measure("approx", data, M=2**15, settings={"degree": 2})
    assert low.io_words < head.exact_words
    assert head.allowed_error is not None
    assert low.max_abs_error > head.allowed_error
    assert head.choice == "exact"


def test_the_command_prints_what_json_has() -> None:
    """Every number of the table is one of the JSON; the verdict names the choice."""
    command = ["advise", "--n", "4096", "--d", "16", "--M", "4Kiw", "--no-numeric"]
    printed, listed = CliRunner().invoke(main, command), CliRunner().invoke(main, [*command, "--json"])
    assert printed.exit_code == listed.exit_code == 0
    (head,) = json.loads(listed.stdout)["by_head"]
    for key in ("degree", "features", "io_words", "pays_from_n", "loses_at_n"):
        assert f" {head['polynomial'][key]:,} " in printed.stdout
    assert f"verdict: {head['choice']}" in printed.stdout


def test_where_nothing_fits_it_says_what_would() -> None:
    """3 words hold no schedule at all, 4 hold one of exact attention."""
    said = r"^M = 3: exact attention at d=64 needs at least 4 words of fast memory \(8 B at fp16\); nor does any method fit"
    with pytest.raises(UsageError, match=said):
        advise(Problem(n=64, d=64), M=3, eps=0.1, numeric=False)
    assert advise(Problem(n=64, d=64), M=4, eps=0.1, numeric=False).heads[0].exact_words is not None


def test_approximate_algorithms_are_found_by_themselves() -> None:
    """Without --algo every registered approximate algorithm is looked at."""
    from iosim.approximation.tradeoff import approximate

    able = {name for name, a in registry.algorithms().items() if a.approximate and a.computes == ATTENTION}
    assert {a.name for a in approximate()} == able
