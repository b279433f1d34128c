"""Based: words by hand, exact within the window, the bound for what is beyond it, and the causal order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.based import based, bound, taylor
from iosim.api import run
from iosim.expr import evaluate_int
from iosim.masks import CAUSAL, Mask
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import polynomial_attention, softmax_attention
from iosim.numeric.run import run_plan
from iosim.problem import Problem
from tests import brute
from tests.legality import is_as_claimed

METHOD = based.method
assert METHOD is not None


def settled(window: int, **sizes: object) -> Problem:
    return Problem(settings=(("window", window),), **sizes)  # type: ignore[arg-type]


def test_the_words_of_a_small_case_by_hand() -> None:
    """n = 5 in tiles of 2 rows, d = d_v = 3 in groups of 2 columns, a window of 2: one key more on either side."""
    counted = based.explicit(settled(2, n=5, d=3), {"B_r": 2, "B_v": 2}).count()
    # two groups of columns; 5 keys for the sums, and 4 + 4 + 3 for the tiles of 2, 2 and 1 queries
    assert counted.loads == {"Q": 2 * 15, "K": 2 * (15 + 11 * 3), "V": 15 + 11 * 3}
    assert counted.stores == {"O": 15}
    causal = based.explicit(settled(2, n=5, d=3, mask=CAUSAL), {"B_r": 2, "B_v": 2}).count()
    # one key more on one side
    assert causal.loads == {"Q": 2 * 15, "K": 2 * (15 + 8 * 3), "V": 15 + 8 * 3}


@given(
    n=st.integers(1, 9),
    window=st.integers(1, 9),
    d=st.integers(1, 3),
    d_v=st.integers(1, 3),
    B_r=st.integers(1, 9),
    B_v=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_causal_tiles_are_legal_as_counted_and_right(
    n: int, window: int, d: int, d_v: int, B_r: int, B_v: int, seed: int
) -> None:
    """With a causal mask too: claims, legality, a run word by word, and the result of the formula."""
    problem = settled(min(window, n), n=n, d=d, d_v=d_v, mask=CAUSAL)
    plan = based.explicit(problem, {"B_r": min(B_r, n), "B_v": min(B_v, d_v)})
    is_as_claimed(plan)
    ran = brute.run(plan.program, plan.sizes, plan.peak_words)
    assert (ran.broken, ran.peak) == ([], plan.peak_words)
    assert sum(ran.loads.values()) + sum(ran.stores.values()) == plan.io_words
    data = random_input(n, d, d_v=d_v, seed=seed)
    assert METHOD is not None
    (head,) = METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, plan.sizes, CAUSAL)
    for sizes in (dict(plan.sizes), dict(plan.executed)):
        O = run_plan(replace(plan, executed=sizes), problem, data, lambda _: None)
        assert np.abs(O[0] - METHOD.reference(head, np.arange(n))).max() <= 1e-10 * np.abs(data.V).max()


@pytest.mark.parametrize("mask", ["full", "causal"])
def test_a_window_over_everything_is_softmax_attention(mask: str) -> None:
    """With a window of n every weight is exact; the causal reference is masked."""
    found = run("based", n=20, d=3, M=500, mask=mask, set={"window": 20}, logit_bound=4.0)
    assert found.holds
    assert found.numeric is not None
    assert found.numeric.max_abs_error < 1e-13


def test_a_window_of_one_is_the_polynomial_but_for_a_querys_own_key() -> None:
    """Own key by exp, the others by 1 + s + s^2/2: as polynomial attention with one weight replaced."""
    data = random_input(6, 2, logit_bound=1.0)
    assert METHOD is not None
    (head,) = METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, {"window": 1})
    Q, K, V = data.Q[0], data.K[0], data.V[0]
    scores = Q @ K.T / np.sqrt(2)
    own = np.exp(np.diag(scores)) - taylor(np.diag(scores))
    total = taylor(scores).sum(axis=1)
    plain = polynomial_attention(Q, K, V, (1.0, 1.0, 0.5))
    expected = (plain * total[:, None] + own[:, None] * V) / (total + own)[:, None]
    assert np.abs(METHOD.reference(head, np.arange(6)) - expected).max() < 1e-14


@given(
    n=st.integers(2, 20),
    window=st.integers(1, 5),
    logit_bound=st.floats(0.05, 1.2),
    seed=st.integers(0, 99),
    full=st.booleans(),
)
@settings(max_examples=40)
def test_the_error_is_below_its_bound(n: int, window: int, logit_bound: float, seed: int, full: bool) -> None:
    """The relative error of the weights bounds the difference, as for any polynomial."""
    data, mask = random_input(n, 3, logit_bound=logit_bound, seed=seed), Mask() if full else CAUSAL
    assert METHOD is not None
    (head,) = METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, {"window": min(window, n)}, mask)
    rows = np.arange(n)
    right = softmax_attention(data.Q[0], data.K[0], data.V[0], mask=mask)
    assert np.abs(METHOD.reference(head, rows) - right).max() <= bound(head, rows) + 1e-14


def test_nothing_is_proved_where_the_polynomial_is_far_off() -> None:
    """At scores of -3 the polynomial is 2.5, and exp is 0.05: no relative error below 1; the error is measured."""
    found = run("based", n=30, d=3, M=400, set={"window": 2}, logit_bound=6.0)
    assert found.holds
    assert found.numeric is not None
    assert not found.numeric.proved
    assert "its error has no proved bound" in found.verdict


def test_what_it_is_not_for_is_refused() -> None:
    """Masks other than causal ones; keys that are no queries' own."""
    assert based.unsupported(Problem(n=4, d=2, mask=Mask(back=1, ahead=0)))
    assert based.unsupported(Problem(n=4, n_k=5, d=2)) == "as many keys as queries"
    plan = based.explicit(settled(3, n=7, d=2), {"B_r": 2, "B_v": 1})
    (shape, _) = plan.program.array("K").shape
    assert evaluate_int(shape, plan.sizes) == 7 + 2 * 2
