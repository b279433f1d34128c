"""HyperAttention: words by hand, the order of the hashes, the weight of the sample, and orders that are wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from algorithms.hyper import gray_place, hyper, orders
from iosim.api import run
from iosim.approximation.measure import measure
from iosim.method import Head
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import softmax_attention
from iosim.problem import Problem

METHOD = hyper.method
assert METHOD is not None


def settled(n: int, d: int, d_v: int, **settings: int) -> Problem:
    return hyper.settled(Problem(n=n, d=d, d_v=d_v, settings=tuple(settings.items())))


def test_the_words_of_a_small_case_by_hand() -> None:
    """n = 7 in blocks of 3 (the last has 1), 2 samples, d = 4, d_v = 5."""
    plan = hyper.explicit(settled(7, 4, 5, block=3, samples=2), {})
    counted = plan.count()
    # each key in its own block, 2 samples for each of 3 blocks
    once = {"Q": 28, "K": (7 + 6) * 4, "V": (7 + 6) * 5, "P": 7, "R": 7, "U": 7}
    assert counted.loads == {**once, "J": 6, "G": 6, "Y": 35}
    assert counted.stores == {"Y": 35, "O": 35}
    # q, o, m, l and scores of 3 queries; a row number, a place, and a word of k or v
    assert plan.peak_words == 3 * (4 + 5 + 3) + 3


def test_neighbours_in_the_order_of_the_hash_differ_in_one_sign() -> None:
    """The codes sorted by their place: each differs from the next one in one bit, and every one comes once."""
    codes = np.arange(32)
    places = gray_place(codes, 5)
    assert sorted(places) == list(range(32))
    in_order = codes[np.argsort(places)]
    assert [bin(a ^ b).count("1") for a, b in pairwise(in_order)] == [1] * 31


def test_vectors_that_point_alike_come_together() -> None:
    """Three directions, each as four queries and four keys, scattered: each block of 4 has one direction."""
    directions = np.repeat(np.array([[1.0, 0, 0], [0, 1, 0], [-1, -1, 1]]), 4, axis=0)
    mixed = np.random.default_rng(0).permutation(12)
    head = Head(
        Q=directions[mixed],
        K=2 * directions[mixed[::-1]],
        V=directions,
        settings={"block": 4, "samples": 1, "bits": 30},
    )
    made = orders(head, np.random.default_rng(1))
    for name, rows in (("P", head.Q), ("R", head.K)):
        for block in made[name].astype(int).reshape(3, 4):
            assert (rows[block] == rows[block][0]).all()
    assert (made["P"][made["U"].astype(int)] == np.arange(12)).all()


def test_one_block_is_softmax_attention() -> None:
    """With all keys in the block no sample counts."""
    found = run("hyper", n=9, d=3, M=200, set={"block": 9, "samples": 4})
    assert found.holds
    assert found.numeric is not None
    assert found.numeric.max_abs_error < 1e-14


def test_the_sample_stands_for_the_keys_of_other_blocks() -> None:
    """Sums over many drawn samples: numerator and normaliser are those of softmax attention, within four deviations."""
    data = random_input(8, 2, logit_bound=1.0, seed=2)
    assert METHOD is not None
    given = {"Q": data.Q, "K": data.K, "V": data.V}
    (head,) = METHOD.heads(given, {"block": 2, "samples": 40_000, "bits": 4, "seed": 0})
    O = METHOD.reference(head, np.arange(8))
    # a mean of 30,000 terms of size about 1: deviation about 6e-3
    assert np.abs(O - softmax_attention(data.Q[0], data.K[0], data.V[0])).max() < 2.4e-2
    assert measure("hyper", data, M=200, settings={"block": 2, "samples": 4}).max_abs_error > 2.4e-2


def test_similar_queries_and_keys_are_seen_by_blocks_alone() -> None:
    """Two far clusters: nearly all weight is within a query's own, so two blocks and few samples are nearly exact."""
    points = np.repeat(np.array([[6.0, 0], [0, 6.0]]), 10, axis=0)[np.random.default_rng(3).permutation(20)]
    data = from_arrays(points, points, np.random.default_rng(4).standard_normal((20, 2)))
    near = measure("hyper", data, M=300, settings={"block": 10, "samples": 1, "bits": 8})
    assert near.relative_error < 1e-8


@pytest.mark.parametrize("array", ["U", "G"])
def test_an_index_that_is_wrong_is_caught_by_the_result(array: str) -> None:
    """Results put back in another order, places of another sample: legal, counted the same, and not the method's."""
    assert METHOD is not None
    made = METHOD.extra

    def wrong(head: Head, random: np.random.Generator) -> dict[str, np.ndarray]:
        found = dict(made(head, random))
        return {**found, array: np.roll(found[array], 1)}

    mutant = replace(hyper, method=replace(METHOD, extra=wrong))
    found = run(mutant, n=12, d=3, M=200, set={"block": 3, "samples": 5})
    assert [check.name for check in found.checks if not check.holds] == ["result is the method's"]
