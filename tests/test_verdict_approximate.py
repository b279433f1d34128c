"""What a run says of a polynomial: which degree is needed, what it takes, and its proved bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from iosim.api import run
from iosim.numeric.input_files import load_input
from iosim.numeric.inputs import from_arrays, random_input
from iosim.problem import Problem
from iosim.registry import find
from tests.small_runs import HEAD, failing, small


def test_a_degree_that_is_enough_raises_no_question() -> None:
    """Nothing is needed where the polynomial is good."""
    result = small("approx", degree=3)
    assert result.needed is None
    assert result.to_dict()["degree_needed"] is None


def test_a_degree_that_is_too_low_is_told_which_would_do() -> None:
    """On [-1, 1] degree 2 is the least with a relative error of 0.1, for all to see."""
    result = small("approx", degree=1)
    assert result.needed is not None
    assert (result.needed.degree, result.needed.features) == (2, 28)  # C(6 + 2, 2)
    assert "a relative error of 0.1 on [-1, 1] needs degree 2, that is 28 features" in result.notes
    assert result.needed.payoff is not None
    assert result.needed.payoff.words == small("approx", degree=2).io_words


def test_a_needed_degree_that_does_not_fit_is_told_how_much_it_needs() -> None:
    """The note names the fast memory that the needed degree takes."""
    least = find("approx").least_capacity(Problem(n=90, d=6, degree=4))
    result = small("approx", degree=0, logit_bound=3.0, M=least - 1, numeric=False)
    assert result.needed is not None
    assert (result.needed.degree, result.needed.payoff) == (4, None)
    assert f"degree 4 needs at least {least:,} words of fast memory" in result.notes


def test_logits_beyond_any_polynomial_are_said_to_be_so() -> None:
    """At R = 200 no degree in reach has a small error."""
    result = small("approx", degree=2, logit_bound=200.0, numeric=False)
    assert result.needed is not None
    assert result.needed.degree is None
    assert "no degree up to 32 has a relative error of 0.1 on [-200, 200]" in result.notes
    assert "degree 2 is no approximation at these logits" in result.verdict


def test_the_logit_bound_is_measured_on_data() -> None:
    """R is the largest |q.k|/sqrt(d) over all heads and pairs, to rounding."""
    data = load_input(HEAD)
    result = run("approx", input=data, degree=2, M=40_000)
    scores = data.Q[0] @ data.K[0].T / math.sqrt(32)
    assert result.polynomial is not None
    assert result.polynomial.logit_bound == pytest.approx(np.abs(scores).max(), rel=1e-12)


def test_data_without_any_score_have_a_polynomial_too() -> None:
    """All scores are 0: any degree is exact."""
    zeros = np.zeros((20, 4))
    result = run("approx", input=from_arrays(zeros, zeros, np.arange(80.0).reshape(20, 4)), M=2000)
    assert result.holds
    assert result.numeric is not None
    assert result.numeric.max_abs_error < 1e-6


def test_scores_that_float64_can_not_resolve_get_no_bound() -> None:
    """Where rounding may exceed the result, the error is measured, nothing is proved, and the verdict says so."""
    data = random_input(40, 6, logit_bound=600.0)
    approximate = run("approx", input=data, degree=2, M=2000)
    assert approximate.numeric is not None
    assert not approximate.numeric.proved
    assert approximate.to_dict()["numeric"]["error_bound"] is None  # type: ignore[index]
    assert "its error has no proved bound" in approximate.verdict
    assert approximate.checks[-1].name == "result is finite"
    huge = from_arrays(1e8 * data.Q[0], 1e8 * data.K[0], data.V[0])
    exact = run("flash2", input=huge, M=2000)
    assert exact.numeric is not None
    assert not exact.numeric.proved
    assert exact.holds


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("logit_bound", [0.1, 1.0, 3.0])
def test_the_proved_bound_of_a_polynomial_holds_and_is_not_wild(degree: int, logit_bound: float) -> None:
    """The measured error stays below the bound at every degree; and no bound is above the range of V, but for rounding."""
    result = small("approx", n=50, d=3, degree=degree, logit_bound=logit_bound)
    assert failing(result) == []
    numeric = result.numeric
    assert numeric is not None
    assert numeric.max_abs_error <= numeric.error_bound <= 8  # normal values, 150 of them
    assert numeric.rounding_bound < 1e-9
