"""Every operation is complete, updates in place, and means what its line of pseudo-code says."""

from __future__ import annotations

import math
import re
from itertools import combinations_with_replacement

import numpy as np
import pytest

from algorithms.designs.monomials import all_monomials
from iosim.errors import ProgramError
from iosim.masks import CAUSAL, Mask
from iosim.ops import OPS, Op
from iosim.program import Compute, walk
from iosim.registry import algorithms

SIZES = {"i": 4, "j": 5, "l": 3, "c": 2, "a": 3, "t": 3, "u": 1}
MONOMIALS = all_monomials(3, 2, 3)
PARAMS = {
    "mask": Mask(back=1, ahead=0),
    "row": 3,
    "column": 2,
    "shift": 0,
    "group": 2,
    "of": 7,
    "monomials": MONOMIALS,
    "degree": 2,
    "coefficients": (0.5, -1.5, 2.0),
    "times": 11,
    "before": 6,
    "count": MONOMIALS.slots,
}
PARAMS |= {"keys": (0, 1, 2, 4, 7, 8), "position": 1, "n": 9, "n_k": 9, "first": 0}
COEFFICIENTS = [2.0, 3.0, 5.0]


def _operands(op: Op) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    sizes = SIZES | {"f": MONOMIALS.slots}
    return {name: random.uniform(0.5, 2, [sizes[letter] for letter in axes]) for name, axes in op.operands}


def _applied(op: Op, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    after = {name: array.copy() for name, array in given.items()}
    op.numpy(*after.values(), **{name: PARAMS[name] for name in op.params})
    return after


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_every_row_is_complete(op: Op) -> None:
    """Name, shapes, text, flops and numpy are there, the text mentions every updated operand and only what there is."""
    names = [name for name, _ in op.operands]
    assert op.name
    assert names
    assert 1 <= op.updates <= len(names)
    assert set(op.fresh) <= set(names[: op.updates])
    text = op.text.format(**{name: f"<{name}>" for name in names}, **{name: f"({name})" for name in op.params})
    assert all(f"<{name}>" in text for name in names)
    sizes = SIZES | {"f": MONOMIALS.slots}
    assert op.flops(sizes, PARAMS) > 0 or op.name.startswith("hide")  # a comparison is no arithmetic
    assert op.scratch({name: PARAMS[name] for name in op.params}) >= 0


def test_a_name_stands_for_one_operation() -> None:
    """What an operation does to the words of attention or of features is looked up by its name alone."""
    assert all(name == op.name for name, op in OPS.items())
    named = dict(OPS)
    for algorithm in algorithms().values():
        for form in algorithm.forms():
            for statement in walk(form.program.body):
                if isinstance(statement, Compute):
                    op = statement.op
                    assert named.setdefault(op.name, op) == op, f"{algorithm.name}: another {op.name}"
    assert len(named) > len(OPS)  # some algorithms have operations of their own


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_the_order_of_uses_reaches_every_operand(op: Op) -> None:
    """Every operand is used, inside loops over all of its axes but one that is gathered, of which there is a list."""
    axes, around, used = dict(op.operands), [], []
    for letter, end, name, _, listing in re.findall(r"(\w+)\(|(\))|(\w+)((?:@(\w+))?)", op.uses):
        if letter:
            around.append(letter)
        elif end:
            around.pop()
        else:
            used.append(name)
            assert len(set(axes[name]) - set(around)) == bool(listing)
            assert not listing or listing in around
    assert set(used) == set(axes)
    assert not around
    lists = op.gather(SIZES | {"f": MONOMIALS.slots}, PARAMS)
    assert len(lists) == op.uses.count("@")
    assert all(len(listed) == MONOMIALS.slots and max(listed) < SIZES["t"] for listed in lists)


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_updated_operands_change_and_read_ones_do_not(op: Op) -> None:
    """The first operands are updated in place, the others are only read."""
    given = _operands(op)
    after = _applied(op, given)
    changed = [name for name in given if not np.array_equal(given[name], after[name])]
    assert changed == [name for name, _ in op.operands][: op.updates]


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_fresh_operands_are_not_read(op: Op) -> None:
    """What an operation overwrites without reading may have no value before."""
    given = _operands(op)
    blank = {name: np.full_like(array, np.nan) if name in op.fresh else array for name, array in given.items()}
    for name, array in _applied(op, given).items():
        np.testing.assert_array_equal(array, _applied(op, blank)[name])


def _softmax_rows(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def test_products() -> None:
    """add_ab, add_abt and add_atb are the products of matrices that they say."""
    for name, product in (
        ("add_ab", lambda x: x["A"] @ x["B"]),
        ("add_abt", lambda x: x["A"] @ x["B"].T),
        ("add_atb", lambda x: x["A"].T @ x["B"]),
    ):
        given = _operands(OPS[name])
        np.testing.assert_allclose(_applied(OPS[name], given)["C"], given["C"] + product(given), rtol=1e-14)


def test_online_softmax_in_pieces_is_softmax() -> None:
    """Two pieces of scores, one after the other, with sums and outputs rescaled, give softmax times values."""
    random = np.random.default_rng(5)
    scores, values = random.normal(0, 3, (4, 9)), random.normal(size=(9, 2))
    m, l, o = np.full(4, -np.inf), np.zeros(4), np.zeros((4, 2))
    for piece in (slice(0, 5), slice(5, 9)):
        s = scores[:, piece].copy()
        OPS["online_softmax"].numpy(s, m, l, o)
        OPS["add_ab"].numpy(o, s, values[piece])
    OPS["divide_rows"].numpy(o, l)
    np.testing.assert_allclose(o, _softmax_rows(scores) @ values, rtol=1e-13)


def test_attend_is_its_parts() -> None:
    """The fused row operation is the product, the scaling, the softmax step and the second product."""
    given = _operands(OPS["attend"])
    fused = _applied(OPS["attend"], given)
    o, m, l = (given[name].copy() for name in "oml")
    s = given["q"] @ given["k"].T / math.sqrt(PARAMS["of"])
    OPS["online_softmax"].numpy(s, m, l, o)
    for name, expected in (("o", o + s @ given["v"]), ("m", m), ("l", l)):
        np.testing.assert_allclose(fused[name], expected, rtol=1e-14)


def test_rescaling_softmax_keeps_outputs_divided() -> None:
    """FlashAttention's step: an output that is divided by the sum so far stays so."""
    random = np.random.default_rng(6)
    scores, values = random.normal(0, 3, (4, 9)), random.normal(size=(9, 2))
    m, l, o = np.full(4, -np.inf), np.zeros(4), np.zeros((4, 2))
    for piece in (slice(0, 4), slice(4, 9)):
        s, a = scores[:, piece].copy(), np.full(4, np.nan)
        OPS["rescaling_softmax"].numpy(s, m, l, a)
        OPS["scale_rows"].numpy(o, a)
        OPS["add_ab"].numpy(o, s, values[piece])
        np.testing.assert_allclose(o, _softmax_rows(scores[:, : piece.stop]) @ values[: piece.stop], rtol=1e-13)


def test_scores_are_hidden_where_pairs_do_not_meet() -> None:
    """With a causal mask, tiles of queries 1, ..., 4 hide later keys: of a run of keys, and of listed ones."""
    params = PARAMS | {"mask": CAUSAL, "row": 1, "group": 1}
    for name, keys in (("hide_scores", range(2, 7)), ("hide_listed_scores", (1, 2, 4, 7, 8))):
        given = _operands(OPS[name])["s"]
        later = np.array([[key > query for key in keys] for query in range(1, 5)])
        after = given.copy()
        OPS[name].numpy(after, **{key: params[key] for key in OPS[name].params})
        np.testing.assert_array_equal(after, np.where(later, -np.inf, given))


def test_statistics_then_softmax() -> None:
    """Row maxima and sums from two pieces normalise the whole row."""
    scores = np.random.default_rng(7).normal(0, 3, (4, 9))
    m, l = np.full(4, -np.inf), np.zeros(4)
    for piece in (slice(0, 2), slice(2, 9)):
        OPS["row_statistics"].numpy(m, l, scores[:, piece])
    p = scores.copy()
    OPS["softmax"].numpy(p, m, l)
    np.testing.assert_allclose(p, _softmax_rows(scores), rtol=1e-13)


def test_softmax_gradient_is_the_jacobian_of_softmax() -> None:
    """p * (x - rowsum(p * x)) is x times the derivative of softmax, as found by finite differences of its output."""
    random = np.random.default_rng(9)
    scores, weights, h = random.normal(0, 2, (4, 9)), random.normal(size=(4, 9)), 1e-6
    p, x, D = scores.copy(), weights.copy(), np.zeros(4)
    OPS["exp_shifted"].numpy(p, np.log(np.exp(scores).sum(axis=1)))
    np.testing.assert_allclose(p, _softmax_rows(scores), rtol=1e-13)
    OPS["add_row_dots"].numpy(D, p, x)
    np.testing.assert_allclose(D, (p * x).sum(axis=1), rtol=1e-13)
    OPS["softmax_gradient"].numpy(x, p, D)
    for j in range(9):
        step = h * (np.arange(9) == j)
        change = (weights * (_softmax_rows(scores + step) - _softmax_rows(scores - step))).sum(axis=1) / (2 * h)
        np.testing.assert_allclose(x[:, j], change, atol=1e-8)


def test_features_evaluate_the_polynomial() -> None:
    """Summing, weighing and using features is the sum of p(q.k/sqrt d) v over the rows."""
    random = np.random.default_rng(8)
    q, k, v = random.normal(size=(4, 3)), random.normal(size=(5, 3)), random.normal(size=(5, 2))
    W, w, y, z = np.zeros((10, 2)), np.zeros((9, 1)), np.zeros((4, 2)), np.zeros((4, 1))
    rest = all_monomials(3, 2, 3, least=1)
    OPS["add_features"].numpy(W, k, v, monomials=MONOMIALS, degree=2)
    OPS["add_feature_sums"].numpy(w, k, monomials=rest, degree=2)
    OPS["weigh_features"].numpy(W, monomials=MONOMIALS, coefficients=COEFFICIENTS)
    OPS["weigh_features"].numpy(w, monomials=rest, coefficients=COEFFICIENTS)
    OPS["add_feature_products"].numpy(y, q, W, monomials=MONOMIALS, degree=2)
    OPS["add_feature_products"].numpy(z, q, w, monomials=rest, degree=2)
    OPS["add_constant"].numpy(z, coefficients=COEFFICIENTS, times=5)
    p = np.polynomial.Polynomial(COEFFICIENTS)(q @ k.T / math.sqrt(3))
    np.testing.assert_allclose(y, p @ v, rtol=1e-12)
    np.testing.assert_allclose(z[:, 0], p.sum(axis=1), rtol=1e-12)
    OPS["divide_by_column"].numpy(y, z)
    np.testing.assert_allclose(y, p @ v / p.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("group", [1, 2])
def test_sums_before_a_chunk_and_scores_within_it_evaluate_the_polynomial_for_the_keys_seen(group: int) -> None:
    """Three earlier keys in weighted sums, four of the chunk score by score: the sum of p(q.k/sqrt d) v over keys seen."""
    random = np.random.default_rng(8)
    q, k, v = random.normal(size=(4 * group, 3)), random.normal(size=(7, 3)), random.normal(size=(7, 2))
    W, w, y, z = np.zeros((10, 2)), np.zeros((9, 1)), np.zeros((4 * group, 2)), np.zeros((4 * group, 1))
    rest = all_monomials(3, 2, 3, least=1)
    weighted = {"coefficients": COEFFICIENTS, "degree": 2}
    OPS["add_weighted_features"].numpy(W, k[:3], v[:3], monomials=MONOMIALS, **weighted)
    OPS["add_weighted_feature_sums"].numpy(w, k[:3], monomials=rest, **weighted)
    OPS["add_feature_products"].numpy(y, q, W, monomials=MONOMIALS, degree=2)
    OPS["add_feature_products"].numpy(z, q, w, monomials=rest, degree=2)
    # positions 2, ..., 5 of the queries; the key of position p is number p, so that 3 + 0, ..., 3 come with them
    seen = {"row": 2 * group, "column": 3, "group": group, "count": 10}
    OPS["add_seen_products"].numpy(y, q, k[3:], v[3:], monomials=MONOMIALS, **weighted, **seen)
    OPS["add_seen_sums"].numpy(z, q, k[3:], monomials=rest, **weighted, **seen)
    OPS["add_key_counts"].numpy(z, coefficients=COEFFICIENTS, before=1, row=2 * group, group=group)
    p = np.polynomial.Polynomial(COEFFICIENTS)(q @ k.T / math.sqrt(3))
    p[np.arange(7) > 2 + np.arange(4 * group)[:, None] // group] = 0
    np.testing.assert_allclose(y, p @ v, rtol=1e-12)
    np.testing.assert_allclose(z[:, 0], p.sum(axis=1), rtol=1e-12)


def test_hidden_scores_are_those_of_pairs_that_do_not_meet() -> None:
    """Rows 3, 3, 4, 4 in groups of two, keys 2 to 6; each query meets its own key and the one before."""
    after = _applied(OPS["hide_scores"], given := _operands(OPS["hide_scores"]))["s"]
    meets = [[True, True, False, False, False]] * 2 + [[False, True, True, False, False]] * 2
    np.testing.assert_array_equal(np.isneginf(after), ~np.array(meets))
    np.testing.assert_array_equal(after[np.array(meets)], given["s"][np.array(meets)])


def test_rows_that_have_met_no_key_yet_stay_as_they_are() -> None:
    """A row of hidden scores changes neither sum nor output, nor is anything not a number."""
    s, m, l, o = np.full((2, 3), -np.inf), np.array([-np.inf, 1.0]), np.array([0.0, 2.0]), np.array([[0.0], [5.0]])
    OPS["online_softmax"].numpy(s, m, l, o)
    assert (s == 0).all()
    np.testing.assert_array_equal(m, [-np.inf, 1.0])
    np.testing.assert_array_equal(l, [0.0, 2.0])
    np.testing.assert_array_equal(o, [[0.0], [5.0]])


def test_monomials_are_all_there() -> None:
    """Ten monomials of degree at most two in three variables, each once."""
    assert MONOMIALS.slots == 10  # 1 + 3 + 6
    assert MONOMIALS.factors == tuple(f for m in range(3) for f in combinations_with_replacement(range(3), m))


def test_shapes_are_checked() -> None:
    """Operands whose sizes don't agree are refused with the letter and both sizes."""
    with pytest.raises(ProgramError, match="axis l of B is 4, but 3"):
        OPS["add_abt"].axis_sizes([(2, 2), (2, 3), (2, 4)])
