"""Support basis: words by hand, which rows are large, exact where one of a pair is, the bound for the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.support_basis import bound, largest, support_basis
from iosim.api import run
from iosim.approximation.measure import measure
from iosim.method import Head
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import softmax_attention
from iosim.problem import Problem

METHOD = support_basis.method
assert METHOD is not None


def test_the_words_of_a_small_case_by_hand() -> None:
    """n = 5, n_k = 4, d = d_v = 2; 3 large queries in tiles of 2, one large key; tiles of 2 queries, columns one by one."""
    problem = Problem(n=5, n_k=4, d=2, settings=(("queries", 3), ("keys", 1)))
    counted = support_basis.explicit(problem, {"B_q": 2, "B_r": 2, "B_v": 1}).count()
    assert counted.loads == {
        "Q": 3 * 2 + 2 * 10,  # the large ones; for each of two columns all
        "K": 2 * 8
        + 2 * (8 + 3 * 2),  # two tiles of large queries; for each column the sums, and 3 tiles of one large key
        "V": 2 * 8 + 8 + 3 * 2,
        "I": 3,
        "J": 2 * 3,
        "U": 2 * 5,
        "F": 2 * 5,
        "E": 10,
    }
    assert counted.stores == {"O": 10, "E": 6}


def test_large_are_the_rows_with_the_largest_entries() -> None:
    """By magnitude, whatever the other entries; among equals the first."""
    assert largest(np.array([[0.0, -9], [5, 5], [8, 0], [-8, 1]]), 2).tolist() == [0, 2]


def test_with_every_query_or_every_key_large_it_is_softmax_attention() -> None:
    """Then every weight is exact."""
    for chosen in ({"queries": 12, "keys": 1}, {"queries": 1, "keys": 12}):
        found = run("support-basis", n=12, d=3, M=300, set=chosen, logit_bound=5.0)
        assert found.holds
        assert found.numeric is not None
        assert found.numeric.max_abs_error < 1e-12
        assert found.numeric.proved


def test_a_few_large_rows_are_what_a_polynomial_can_not_do() -> None:
    """One query and one key of ten times the size: taken exactly, the error is that of the small rows."""
    data = random_input(30, 3, logit_bound=0.3, seed=4)
    Q, K = data.Q[0].copy(), data.K[0].copy()
    Q[7] *= 10
    K[11] *= 10
    large = from_arrays(Q, K, data.V[0])
    found = measure("support-basis", large, M=300, settings={"queries": 2, "keys": 2})
    plain = measure("based", large, M=300, settings={"window": 1})
    assert found.relative_error < plain.relative_error / 20
    assert found.error_bound is not None


@given(
    n=st.integers(2, 15),
    a=st.integers(1, 15),
    c=st.integers(1, 15),
    logit_bound=st.floats(0.05, 1.2),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_the_error_is_below_its_bound(n: int, a: int, c: int, logit_bound: float, seed: int) -> None:
    """The relative error of the polynomial on pairs that are both small bounds the difference from softmax attention."""
    data = random_input(n, 3, logit_bound=logit_bound, seed=seed)
    assert METHOD is not None
    given_ = {"Q": data.Q, "K": data.K, "V": data.V}
    (head,) = METHOD.heads(given_, {"queries": min(a, n), "keys": min(c, n)})
    rows = np.arange(n)
    right = softmax_attention(data.Q[0], data.K[0], data.V[0])
    assert np.abs(METHOD.reference(head, rows) - right).max() <= bound(head, rows) + 1e-14


@pytest.mark.parametrize("array", ["U", "F", "J"])
def test_an_index_that_is_wrong_is_caught_by_the_result(array: str) -> None:
    """Another place, flags of other queries, another large key than the formula's."""
    assert METHOD is not None
    made = METHOD.extra

    def wrong(head: Head, random: np.random.Generator) -> dict[str, np.ndarray]:
        found = dict(made(head, random))
        changed = (found[array] + 1) % len(head.K) if array == "J" else np.roll(found[array], 1)
        return {**found, array: changed}

    mutant = replace(support_basis, method=replace(METHOD, extra=wrong))
    if array == "J":  # the formula reads it too: hold it against the right one
        right = METHOD.reference
        J = largest(random_input(12, 3, logit_bound=1.0).K[0], 3).astype(float)
        reference = lambda head, rows: right(replace(head, extra={**head.extra, "J": J}), rows)  # noqa: E731
        assert mutant.method is not None
        mutant = replace(mutant, method=replace(mutant.method, reference=reference))
    found = run(mutant, n=12, d=3, M=300, set={"queries": 4, "keys": 3})
    assert "result is the method's" in [check.name for check in found.checks if not check.holds]
