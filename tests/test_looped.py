"""Looped layers: the words that layer order saves, both orders against a plain loop, and where they agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.looped import looped_block_order, looped_layer_order, weight_words
from iosim.api import run
from iosim.numeric.inputs import random_input
from iosim.problem import Problem
from iosim.tiled import Tiled
from tests import brute
from tests.legality import is_as_claimed

ORDERS = (looped_block_order, looped_layer_order)


def settled(n: int, d: int, **chosen: int) -> Problem:
    return looped_block_order.settled(Problem(n=n, d=d, settings=tuple(chosen.items())))


def test_the_words_of_a_small_case_by_hand() -> None:
    """5 tokens in tiles of 2, d = 3, 2 layers with 4 hidden units, 3 loops: 6 applications."""
    problem = settled(5, 3, loops=3, layers=2, hidden=4)
    block, layer = (order.explicit(problem, {"B_r": 2}).count() for order in ORDERS)
    for counted, times in ((block, 6), (layer, 2)):  # weights for each application, or for each layer
        assert counted.loads == {
            "Q": 15,
            "O": 6 * 2 * 15,  # for keys and values, and for the step
            "X": 6 * 3 * 15,  # three tiles
            "Y": 6 * 3 * 15,
            **dict.fromkeys(("Wq", "Wk", "Wv", "Wo"), times * 9),
            **dict.fromkeys("AB", times * 12),
        }
        assert counted.stores == {"O": 15 + 6 * 15, "X": 6 * 15, "Y": 6 * 15}
    # 4 3^2 + 2 3 4 weights; x, q, o of 3 words, m and l for two tokens, a key, a value and two words
    assert looped_block_order.explicit(problem, {"B_r": 2}).peak_words == 60 + 2 * (3 * 3 + 2) + 6 + 2


@given(
    n=st.integers(1, 50),
    d=st.integers(1, 8),
    loops=st.integers(1, 9),
    layers=st.integers(1, 9),
    hidden=st.integers(1, 9),
    spare=st.integers(0, 300),
)
@settings(max_examples=30)
def test_layer_order_saves_the_weights_of_all_loops_but_one(
    n: int, d: int, loops: int, layers: int, hidden: int, spare: int
) -> None:
    """(K - 1) w P words at any fast memory in which a layer's weights fit beside a token."""
    problem = settled(n, d, loops=loops, layers=layers, hidden=hidden)
    least = looped_layer_order.least_capacity(problem)
    assert least == looped_block_order.least_capacity(problem) > weight_words(d=d, hidden=hidden)
    block, layer = (order.best(problem, least + spare).io_words for order in ORDERS)
    assert block - layer == (loops - 1) * layers * weight_words(d=d, hidden=hidden)


def plain(algorithm: Tiled, settings_: dict[str, int], x: np.ndarray, extra: dict[str, np.ndarray]) -> np.ndarray:
    """Token by token and head by head, in plain loops."""
    loops, layers, d = settings_["loops"], settings_["layers"], x.shape[1]
    rounds = [number for _ in range(loops) for number in range(layers)]
    for number in rounds if algorithm is looped_block_order else sorted(rounds):
        square = {name: extra[name][number * d : (number + 1) * d] for name in ("Wq", "Wk", "Wv", "Wo")}
        height = settings_["hidden"]
        A, B = (extra[name][number * height : (number + 1) * height] for name in "AB")
        stepped = np.empty_like(x)
        for i, token in enumerate(x):
            query = square["Wq"] @ token
            weights = np.array([np.exp(query @ (square["Wk"] @ other) / np.sqrt(d)) for other in x])
            mean = sum(w * (square["Wv"] @ other) for w, other in zip(weights, x, strict=True)) / weights.sum()
            h = token + square["Wo"] @ mean
            g = h + B.T @ np.maximum(A @ h, 0)
            stepped[i] = token + (g - token) / loops
        x = stepped
    return x


@pytest.mark.parametrize("algorithm", ORDERS)
def test_the_formula_is_that_of_plain_loops(algorithm: Tiled) -> None:
    """Attention, perceptron and step by hand, in each order."""
    data = random_input(5, 3, seed=1)
    chosen = {"loops": 3, "layers": 2, "hidden": 4, "seed": 2}
    assert algorithm.method is not None
    (head,) = algorithm.method.heads({"Q": data.Q, "K": data.K, "V": data.V}, chosen)
    found = algorithm.method.reference(head, np.arange(5))
    assert np.abs(found - plain(algorithm, chosen, data.Q[0], dict(head.extra))).max() < 1e-12


def test_one_loop_or_one_layer_is_the_same_in_either_order() -> None:
    """With several of both the orders compute different functions."""
    data = random_input(5, 3, seed=1)
    for loops, layers, same in ((1, 3, True), (3, 1, True), (2, 2, False)):
        results = []
        for algorithm in ORDERS:
            assert algorithm.method is not None
            chosen = {"loops": loops, "layers": layers, "hidden": 4, "seed": 2}
            (head,) = algorithm.method.heads({"Q": data.Q, "K": data.K, "V": data.V}, chosen)
            results.append(algorithm.method.reference(head, np.arange(5)))
        assert (np.abs(results[0] - results[1]).max() < 1e-12) == same


@pytest.mark.parametrize("algorithm", ORDERS)
def test_a_run_holds_and_compares_with_layer_order(algorithm: Tiled) -> None:
    """Legal, counted as claimed, the result of the formula; a step of another size is caught."""
    found = run(algorithm, n=20, d=4, M=300, heads=2, set={"hidden": 5})
    assert found.holds
    assert found.verdict == "every check holds"
    assert found.lower_bound[1] == 2 * (2 * 20 * 4 + 2 * (4 * 16 + 2 * 20))  # two heads: tokens in and out, two layers
    assert found.payoff.exact.title == "looped-layer-order layer order"
    other = looped_block_order if algorithm is looped_layer_order else looped_layer_order
    assert other.method is not None
    wrong = run(replace(algorithm, method=other.method), n=20, d=4, M=300, set={"hidden": 5})
    assert [check.name for check in wrong.checks if not check.holds] == ["error within its bound"]


@given(
    n=st.integers(1, 4),
    d=st.integers(1, 2),
    loops=st.integers(1, 2),
    layers=st.integers(1, 2),
    hidden=st.integers(1, 2),
    B_r=st.integers(1, 4),
)
@settings(max_examples=8)
def test_block_order_is_legal_and_as_counted_word_by_word(
    n: int, d: int, loops: int, layers: int, hidden: int, B_r: int
) -> None:
    """In its peak and not in a word less; a machine that shares no code with the interpreters agrees."""
    problem = settled(n, d, loops=loops, layers=layers, hidden=hidden)
    plan = looped_block_order.explicit(problem, {"B_r": min(B_r, n)})
    is_as_claimed(plan)
    ran = brute.run(plan.program, plan.sizes, plan.peak_words)
    assert (ran.broken, ran.peak) == ([], plan.peak_words)
    assert sum(ran.loads.values()) + sum(ran.stores.values()) == plan.io_words
