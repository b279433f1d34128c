"""Block designs: every monomial in exactly one block, and what is said without listing is what a list shows."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement, islice
from math import comb, prod, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from algorithms.designs.blown_up import BlownUp
from algorithms.designs.choice import hoped_for, measured
from algorithms.designs.coverings import systems
from algorithms.designs.design import Design, GroupProducts, MonomialRuns, in_runs, slots
from algorithms.designs.monomials import Monomials, all_monomials, other_monomials
from algorithms.designs.parts import Part, Stored
from iosim.ops import features

HUGE = GroupProducts(128, 6, 64)  # C(64, 6) = 74,974,368 blocks


@st.composite
def designs(
    draw: st.DrawFn,
    of_d: int | None = None,
    of_degree: int | None = None,
) -> Design:
    d = draw(st.integers(1, 7)) if of_d is None else of_d
    degree = draw(st.integers(0, 4)) if of_degree is None else of_degree
    kind = draw(st.sampled_from(["products", "runs", "system"]))
    if kind == "products":
        return GroupProducts(d, degree, draw(st.integers(1, d)))
    if kind == "system" and degree:
        return BlownUp(d, degree, draw(st.sampled_from(systems(max(2, degree), 2 * d + 6))), draw(st.integers(1, 3)))
    return MonomialRuns(d, degree, draw(st.integers(1, comb(d + degree, degree))))


def monomials_up_to(d: int, degree: int, least: int = 0) -> set[tuple[int, ...]]:
    return {f for m in range(least, degree + 1) for f in combinations_with_replacement(range(d), m)}


def held(block: object) -> list[tuple[int, ...]]:
    """The monomials of a block in the coordinates of the whole, factors in ascending order."""
    found: list[tuple[int, ...]] = []
    for factors in block["monomials"].factors:  # type: ignore[index]
        found.append(tuple(sorted(block["coords"][position] for position in factors)))  # type: ignore[index]
    return found


# Every design


@given(designs())
@settings(max_examples=150)
def test_every_monomial_is_in_exactly_one_block_and_has_room_there(design: Design) -> None:
    """The blocks hold each monomial of degree at most g once; none holds more than its slots, in t coordinates."""
    everything: Counter[tuple[int, ...]] = Counter()
    for block in design.blocks():
        monomials = block["monomials"]
        assert isinstance(monomials, Monomials)
        assert len(held(block)) <= block["a"] == monomials.slots
        assert len(set(block["coords"])) == block["t"]  # type: ignore[call-overload]
        assert list(block["coords"]) == sorted(block["coords"])  # type: ignore[call-overload]
        everything.update(held(block))
    assert everything == Counter(monomials_up_to(design.d, design.degree))


@given(designs())
@settings(max_examples=150)
def test_kinds_and_totals_are_those_of_the_list(design: Design) -> None:
    """Number of blocks, words of coordinates, first and last block, and kinds are what enumeration finds."""
    rows = [(block["t"], block["a"]) for block in design.blocks()]
    assert len(rows) == design.NB
    assert sum(t for t, _ in rows) == design.coordinates_words  # type: ignore[misc]
    assert (rows[0], rows[-1]) == (design.first, design.last)
    assert (max(rows), min(rows)) == (design.first, design.last)
    kinds = [(t, a, rows.count((t, a)), rows.index((t, a))) for t, a in dict.fromkeys(rows)]
    assert list(design.kinds()) == kinds


@given(designs(), st.sampled_from(["only", "first", "middle", "last"]))
@settings(max_examples=150)
def test_the_classes_of_a_part_are_those_of_its_rows(design: Design, where: str) -> None:
    """A part is the block it names; its classes say how often each kind occurs in it, and where it comes first."""
    assume((where == "only") == (design.NB == 1))
    part = Part(design, where)
    blocks = list(design.blocks())
    rows = {"only": blocks, "first": blocks[:1], "middle": blocks[1:-1], "last": blocks[-1:]}[where]
    assert list(part.rows()) == rows
    assert part.row_count == len(rows)
    sizes = [{"t": row["t"], "a": row["a"]} for row in rows]
    distinct = [row for number, row in enumerate(sizes) if row not in sizes[:number]]
    expected = [(row, sizes.count(row)) for row in distinct]
    assert [found[:2] for found in part.classes()] == expected
    assert [found[2] for found in part.classes()] == [sizes.index(row) for row in distinct]
    least, greatest = part.bounds("coords")
    assert all(least <= x <= greatest < design.d for row in rows for x in row["coords"])  # type: ignore[attr-defined]


@given(designs(), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_weighted_blocks_add_up_to_the_polynomial_of_the_score(design: Design, seed: int) -> None:
    """The weighted monomials of q and k, over all blocks, sum to p(q.k / sqrt(d))."""
    random = np.random.default_rng(seed)
    coefficients = tuple(random.standard_normal(design.degree + 1))
    q, k = random.uniform(-1, 1, (2, 1, design.d))
    total = 0.0
    for block in design.blocks():
        monomials, coords = block["monomials"], list(block["coords"])  # type: ignore[call-overload]
        assert isinstance(monomials, Monomials)
        phi_q, phi_k = features(q[:, coords], monomials)[:, 0], features(k[:, coords], monomials)[:, 0]
        total += float(phi_q @ (monomials.weights(coefficients) * phi_k))
    score = float(q[0] @ k[0]) / sqrt(design.d)
    size = sum(abs(c) * sqrt(design.d) ** m for m, c in enumerate(coefficients))  # |q.k| <= d
    assert total == pytest.approx(sum(c * score**m for m, c in enumerate(coefficients)), abs=1e-13 * size * 100)


@given(st.data())
@settings(max_examples=60)
def test_every_sum_is_stored_once_and_found_again(data: st.DataObject) -> None:
    """The blocks of a design have places for their sums one after the other; the rows that another design's blocks list
    are the places of their monomials."""
    stored = data.draw(designs().filter(in_runs))
    other = data.draw(designs(stored.d, stored.degree))
    at: dict[tuple[int, ...], int] = {}
    used: list[int] = []
    for number, block in enumerate(Stored(stored).rows()):
        begin = block["offset"] + block["a"] * number  # type: ignore[operator]
        used += range(begin, begin + block["a"])  # type: ignore[operator]
        for position, factors in enumerate(block["monomials"].in_order()):  # type: ignore[attr-defined]
            at[tuple(sorted(block["coords"][x] for x in factors))] = begin + position  # type: ignore[index]
    assert used == list(range(slots(stored)))
    for block in Part(other, "all", stored).rows():
        factors = block["monomials"].in_order()  # type: ignore[attr-defined]
        places = [at[tuple(sorted(block["coords"][x] for x in f))] for f in factors]  # type: ignore[index]
        assert list(block["rows"])[: len(factors)] == places  # type: ignore[call-overload]
        assert len(block["rows"]) == block["a"]  # type: ignore[arg-type]
        assert all(0 <= x < slots(stored) for x in block["rows"])  # type: ignore[attr-defined]


@given(designs())
@settings(max_examples=25)
def test_what_is_hoped_for_of_a_system_is_no_worse_than_what_it_is(design: Design) -> None:
    """Where every set is cut into all its pieces: as many blocks and coordinates, and no more monomials than there are."""
    hoped, found = hoped_for(design), measured(design)
    assert (hoped is not None) == isinstance(design, BlownUp)
    if hoped is None or found.NB != hoped.NB:
        return
    assert (hoped.T, hoped.slots) == (found.T, comb(design.d + design.degree, design.degree))
    assert hoped.slots <= found.slots
    (narrowest, a), (widest, _) = hoped.kinds
    assert (min(t for t, _ in found.kinds), max(t for t, _ in found.kinds)) == (narrowest, widest)
    assert a <= max(a for _, a in found.kinds)


# Products of groups


def test_pairs_of_groups_by_hand() -> None:
    """d = 5 in v = 3 groups, degree 2: three pairs of groups, the first with four coordinates."""
    design = GroupProducts(5, 2, 3)
    assert [list(design.group(number)) for number in range(3)] == [[0, 1], [2, 3], [4]]
    blocks = list(design.blocks())
    assert [block["coords"] for block in blocks] == [(0, 1, 2, 3), (0, 1, 4), (2, 3, 4)]
    # groups of 2: x, y, xx, xy, yy in one of 2 blocks; the group of 1: x, xx; the constant in one of 3 blocks
    # {2, 2}: 4 products of two + ceil(5/2) + ceil(5/2) + ceil(1/3); {2, 1}: 2 + ceil(5/2) + ceil(2/2) + ceil(1/3)
    assert [block["a"] for block in blocks] == [4 + 3 + 3 + 1, 2 + 3 + 1 + 1, 2 + 3 + 1 + 1]
    assert design.coordinates_words == 4 + 3 + 3
    assert [len(held(block)) for block in blocks] == [4 + 3 + 3 + 1, 2 + 2 + 1, 2 + 2 + 1]  # 21 = C(7, 2) monomials


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_one_group_is_the_block_of_all_monomials(degree: int) -> None:
    """v = 1, and as many groups as the degree: one block with all C(d+g, g) monomials, and no room to spare."""
    for v in (1, degree):
        (block,) = GroupProducts(6, degree, v).blocks()
        assert block["coords"] == tuple(range(6))
        assert block["a"] == comb(6 + degree, degree)


def test_a_design_of_75_million_blocks_is_answered_without_listing_it() -> None:
    """Totals, kinds, classes and bounds of 74,974,368 blocks need no list of them."""
    assert comb(64, 6) == HUGE.NB
    # 64 groups of 2 coordinates: every block has 6 groups
    (only,) = HUGE.kinds()
    assert only[0] == 12
    assert only[2:] == (HUGE.NB, 0)
    assert HUGE.coordinates_words == 12 * HUGE.NB
    ((row, times, first),) = Part(HUGE, "middle").classes()
    assert (row["t"], times, first) == (12, HUGE.NB - 2, 0)
    assert Part(HUGE, "middle").bounds("coords") == (0, 127)
    assert Part(HUGE, "middle").row_count == HUGE.NB - 2
    # the first few are at hand, too
    assert [block["coords"][-1] for block in islice(HUGE.blocks(), 3)] == [11, 13, 15]  # type: ignore[index]


def test_the_number_of_blocks_may_be_beyond_what_len_can_say() -> None:
    """C(128, 20), about 10^23, blocks have kinds and totals like any others."""
    design = GroupProducts(128, 20, 128)
    assert design.NB == comb(128, 20) > 2**63
    assert [times for *_, times, _ in design.kinds()] == [design.NB]
    assert design.coordinates_words == 20 * design.NB


# Runs of monomials


def test_runs_by_hand() -> None:
    """d = 2, degree 2: 1 | x, y | xx, xy, yy cut into runs of 2 and 1."""
    blocks = list(MonomialRuns(2, 2, 4).blocks())
    assert [held(block) for block in blocks] == [[(), (0,)], [(1,), (0, 0)], [(0, 1)], [(1, 1)]]
    assert [block["a"] for block in blocks] == [2, 2, 1, 1]


# Lists of monomials


@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 3))
def test_all_monomials_are_all_of_them(t: int, degree: int, least: int) -> None:
    """The list has as many monomials as slots, each once, in the order of the degree."""
    least = min(least, degree + 1)
    monomials = all_monomials(t, degree, t, least=least)
    assert monomials.factors is not None
    assert len(monomials.factors) == monomials.slots
    assert set(monomials.factors) == monomials_up_to(t, degree, least)
    assert [len(f) for f in monomials.factors] == sorted(len(f) for f in monomials.factors)


@given(st.integers(1, 6), st.integers(0, 4), st.data())
def test_the_other_monomials_are_those_not_in_the_first_variables(d: int, degree: int, data: st.DataObject) -> None:
    """Those in the first t variables and the others are all monomials in d variables, each once."""
    t = data.draw(st.integers(1, d))
    small, rest = all_monomials(t, degree, d).factors, other_monomials(d, t, degree, d).factors
    assert small is not None
    assert rest is not None
    assert Counter(small + rest) == Counter(monomials_up_to(d, degree))
    assert len(rest) == other_monomials(d, t, degree, d).slots


@given(st.integers(1, 5), st.integers(0, 4))
def test_features_are_products_of_factors_and_zero_beyond_the_list(t: int, degree: int) -> None:
    """Row f of the features is the product of the factors of monomial f; unused slots are zero."""
    factors = all_monomials(t, degree, t).factors
    assert factors is not None
    monomials = Monomials(degree, t, len(factors) + 2, factors, "two spare slots")
    x = np.random.default_rng(t).standard_normal((3, t))
    values = features(x, monomials)
    for f, row in zip(factors, values, strict=False):
        assert row == pytest.approx([prod(x[j, a] for a in f) for j in range(3)])
    assert not values[len(factors) :].any()
    assert not monomials.weights((1.0,) * (degree + 1))[len(factors) :].any()


def test_monomials_too_many_to_list_are_counted() -> None:
    """At d = 128, degree 5 there are C(133, 5) = 320,135,403 features: they have a number, not a list."""
    monomials = all_monomials(128, 5, 128)
    assert (monomials.slots, monomials.factors) == (comb(133, 5), None)
    with pytest.raises(AssertionError, match="are not listed"):
        _ = monomials.by_degree
