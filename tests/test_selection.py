"""Attention over chosen keys: words by hand, how keys are chosen, and the bound on what the others would have got."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.selection import bound, dropped, farthest_points, token_hunting, top_keys
from iosim.api import run
from iosim.expr import evaluate_int
from iosim.method import Head
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import softmax_attention
from iosim.problem import Problem
from tests import brute
from tests.legality import is_as_claimed

KEYS, TOKENS = top_keys.method, token_hunting.method
assert KEYS is not None
assert TOKENS is not None


def head_of(algorithm_settings: dict[str, int], n: int, d: int, seed: int = 0, logit_bound: float = 3.0) -> Head:
    data = random_input(n, d, logit_bound=logit_bound, seed=seed)
    method = KEYS if "kept" in algorithm_settings else TOKENS
    assert method is not None
    return next(method.heads({"Q": data.Q, "K": data.K, "V": data.V}, algorithm_settings))


def test_the_words_of_a_small_case_by_hand() -> None:
    """T = 5 queries in tiles of 2, 3 of 7 keys kept, d = 4: 2Td + 2md ceil(T/B_r), and m ceil(T/B_r) words of the index."""
    plan = top_keys.explicit(Problem(n=5, n_k=7, d=4, settings=(("kept", 3),)), {"B_r": 2})
    counted = plan.count()
    assert counted.loads == {"Q": 20, "T": 3 * 3, "K": 3 * 12, "V": 3 * 12}
    assert plan.io_words == 2 * 5 * 4 + 2 * 3 * 4 * 3 + 3 * 3
    # a word of the index; q, o, m, l and a score for each query; a word of k or v
    assert plan.peak_words == 1 + 2 * (4 + 4 + 2 + 1) + 1


@given(n=st.integers(1, 80), frames=st.integers(1, 6), width=st.integers(1, 6), sigma=st.integers(1, 7))
@settings(max_examples=60)
def test_as_many_tokens_are_kept_as_the_program_takes(n: int, frames: int, width: int, sigma: int) -> None:
    """The index has exactly the declared length: distinct tokens, those beyond the last whole frame among them."""
    chosen = {"frames": frames, "width": width, "sigma": sigma}
    T = head_of(chosen, n, 3).extra["T"]
    plan = token_hunting.explicit(Problem(n=n, d=3, settings=tuple(chosen.items())), {"B_r": 1})
    (declared,) = plan.program.array("T").shape
    assert len(T) == evaluate_int(declared, plan.sizes) == plan.keys == len(set(T.tolist()))
    whole = n // width**2
    assert set(range(whole * width**2, n)) <= set(T.astype(int).tolist())
    in_frames = T[whole * width**2 > T]
    assert len(np.unique(in_frames // width**2)) == min(frames, whole)
    assert (in_frames % width % sigma == 0).all()
    assert (in_frames % width**2 // width % sigma == 0).all()


def test_frames_far_from_each_other_are_chosen() -> None:
    """On a line: from 0 the far end 9, then 4, which is 4 from the nearer one; a greedy choice, not the best three."""
    points = np.array([[0.0], [1.0], [9.0], [4.0], [8.5]])
    assert farthest_points(points, 3).tolist() == [0, 2, 3]


def test_keys_that_queries_attend_to_are_kept() -> None:
    """Two keys along all queries, the others against them."""
    Q, K = np.ones((5, 2)), -np.ones((6, 2))
    K[[1, 4]] = 1.0
    assert KEYS is not None
    (head,) = KEYS.heads({"Q": Q, "K": K, "V": K}, {"kept": 2})
    assert head.extra["T"].tolist() == [1, 4]


@given(n=st.integers(2, 30), kept=st.integers(1, 30), seed=st.integers(0, 99), logit_bound=st.floats(0.1, 20))
@settings(max_examples=40)
def test_the_error_is_below_the_share_of_the_dropped_keys(n: int, kept: int, seed: int, logit_bound: float) -> None:
    """|O - O~| <= delta range(V), with delta summed here from the weights; 0 where all keys are kept."""
    head = head_of({"kept": min(kept, n)}, n, 3, seed, logit_bound)
    assert KEYS is not None
    rows = np.arange(n)
    difference = np.abs(KEYS.reference(head, rows) - softmax_attention(head.Q, head.K, head.V)).max()
    assert difference <= bound(head, rows) + 1e-13
    weights = np.exp(head.Q @ head.K.T / np.sqrt(3))
    weights /= weights.sum(axis=1, keepdims=True)
    left = np.setdiff1d(rows, head.extra["T"].astype(int))
    assert dropped(head, rows) == pytest.approx(weights[:, left].sum(axis=1).max(), abs=1e-13)


def test_the_bound_is_attained() -> None:
    """Two keys with weights (3, 1)/4 and values 0 and 1: without the second the error is 1/4, which is the bound."""
    head = Head(
        Q=np.array([[1.0]]),
        K=np.array([[np.log(3)], [0.0]]),
        V=np.array([[0.0], [1.0]]),
        settings={"kept": 1},
        extra={"T": np.array([0.0])},
    )
    assert KEYS is not None
    rows = np.arange(1)
    difference = np.abs(KEYS.reference(head, rows) - softmax_attention(head.Q, head.K, head.V)).max()
    assert difference == pytest.approx(0.25)
    assert bound(head, rows) == pytest.approx(0.25)


def test_fewer_words_than_the_inputs_have_and_the_bound_says_so() -> None:
    """Keys that are not kept are never loaded: only what is used is compulsory, with the index beside it."""
    found = run("top-keys", n=50, d=4, M=2000, set={"kept": 5})
    assert found.holds
    assert found.lower_bound[1] == 2 * 50 * 4 + 2 * 5 * 4
    assert found.io_words == found.lower_bound[1] + 5 < 4 * 50 * 4
    assert found.numeric is not None
    assert found.numeric.proved


@given(
    n=st.integers(1, 14),
    frames=st.integers(1, 3),
    width=st.integers(1, 3),
    sigma=st.integers(1, 3),
    B_r=st.integers(1, 14),
)
@settings(max_examples=10)
def test_a_grid_is_legal_and_as_counted_word_by_word(n: int, frames: int, width: int, sigma: int, B_r: int) -> None:
    """In its peak and not in a word less; a machine that shares no code with the interpreters agrees."""
    problem = Problem(n=n, d=2, settings=(("frames", frames), ("width", width), ("sigma", sigma)))
    plan = token_hunting.explicit(problem, {"B_r": min(B_r, n)})
    is_as_claimed(plan)
    ran = brute.run(plan.program, plan.sizes, plan.peak_words)
    assert (ran.broken, ran.peak) == ([], plan.peak_words)
    assert sum(ran.loads.values()) + sum(ran.stores.values()) == plan.io_words
