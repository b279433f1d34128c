"""Steiner systems, geometries and other coverings: any g points lie in a set, in exactly one if that is what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from math import comb

import pytest

from algorithms.designs.base_blocks import BASE_BLOCKS, developed
from algorithms.designs.blown_up import BlownUp, level, spread
from algorithms.designs.coverings import System, quadruples, systems
from algorithms.designs.finite_fields import field, prime_power
from algorithms.designs.geometries import Blocks, maximal_arc, unital
from algorithms.designs.steiner import orbits, triples

SMALL = [system for g in (2, 3, 4, 5) for system in systems(g, 28) if system.b <= 800]


def named(kind: str, *arguments: int) -> System:
    return next(
        system
        for g in (5, 4, 3, 2)
        for system in systems(g, 133)
        if (system.kind, system.arguments) == (kind, arguments)
    )


def uncovered(blocks: Blocks, v: int, strength: int) -> Iterator[tuple[int, ...]]:
    """The sets of `strength` points that no block has."""
    covered = {chosen for block in blocks for chosen in combinations(sorted(block), strength)}
    return (chosen for chosen in combinations(range(v), strength) if chosen not in covered)


@pytest.mark.parametrize("system", SMALL, ids=str)
def test_any_points_are_together_in_a_set(system: System) -> None:
    """Points, sets and the largest set are as many as said; any g points are in a set; in a Steiner system in one."""
    blocks = system.blocks
    assert len(set(blocks)) == system.b
    assert {x for block in blocks for x in block} == set(range(system.v))
    assert max(len(block) for block in blocks) == system.k
    assert list(uncovered(blocks, system.v, system.strength)) == []
    if system.exact:
        assert {len(block) for block in blocks} == {system.k}
        together = Counter(chosen for block in blocks for chosen in combinations(block, system.strength))
        assert set(together.values()) == {1}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (("AG", 2, 5, 1), (2, 5, 25)),
        (("PG", 2, 7, 1), (2, 8, 57)),
        (("unital", 3), (2, 4, 28)),
        (("maximal arc", 4, 2), (2, 4, 52)),
        (("triples", 31), (2, 3, 31)),
        (("AG", 4, 2, 2), (3, 4, 16)),
        (("doubled quadruples", 20), (3, 4, 20)),
        (("spherical", 5, 2), (3, 6, 26)),
        (("derived", 8, 24, 2), (3, 6, 22)),
        (("derived", 6, 12, 1), (4, 5, 11)),
        (("derived", 8, 24, 1), (4, 7, 23)),
        (("derived", 7, 28, 1), (4, 6, 27)),
        (("derived", 6, 12, 0), (5, 6, 12)),
        (("derived", 8, 24, 0), (5, 8, 24)),
        (("derived", 7, 28, 0), (5, 7, 28)),
    ],
    ids=str,
)
def test_the_classical_systems_are_there(name: tuple[str, int], parameters: tuple[int, int, int]) -> None:
    """S(g, k, v) with C(v, g)/C(k, g) blocks."""
    g, k, v = parameters
    kind, *arguments = name
    system = next(s for s in systems(g, 60) if (s.kind, s.arguments) == (kind, tuple(arguments)))
    assert (system.strength, system.k, system.v) == parameters
    assert system.b == len(system.blocks) == comb(v, g) // comb(k, g)
    assert system.exact


def assert_steiner(blocks: Blocks, g: int, k: int, v: int) -> None:
    """Any g of the points 0, ..., v-1 are in exactly one block; all blocks have k points."""
    assert {len(set(block)) for block in blocks} == {k}
    together = Counter(chosen for block in blocks for chosen in combinations(sorted(block), g))
    assert set(together.values()) == {1}
    assert set(together) == set(combinations(range(v), g))


@pytest.mark.parametrize(("g", "k", "v"), BASE_BLOCKS)
def test_base_blocks_develop_into_a_steiner_system(g: int, k: int, v: int) -> None:
    """The images of the base blocks have any g points together exactly once."""
    assert_steiner(developed(g, k, v), g, k, v)


@pytest.mark.parametrize(
    "system", [s for g in (3, 4, 5) for s in systems(g, 68) if s.kind == "derived" and s.exact], ids=str
)
def test_what_is_derived_is_a_steiner_system(system: System) -> None:
    """The systems on 12, 24 and 28 points with any five together once, and what is derived from them."""
    assert_steiner(system.blocks, system.strength, system.k, system.v)


def test_another_base_block_is_no_steiner_system() -> None:
    """Differences of {0, 1, 3, 25} mod 37 under x -> 10 x are not all different; those of the block in the table are."""
    maps = [[(x + 1) % 37 for x in range(37)], [10 * x % 37 for x in range(37)]]
    assert_steiner(orbits(maps, [(0, 1, 18, 30)]), 2, 4, 37)
    with pytest.raises(AssertionError):
        assert_steiner(orbits(maps, [(0, 1, 3, 25)]), 2, 4, 37)


def test_quadruple_systems_are_there_for_every_possible_v_up_to_68() -> None:
    """S(3, 4, v) is possible for v = 2 or 4 mod 6, and there for each; beyond, for some: 82 = 3^4 + 1, not 70 = 2 * 35."""
    for v in range(8, 70):
        known = quadruples(v)
        assert (known is not None) == (v % 6 in (2, 4))
        assert (v in {s.v for s in systems(3, 68) if s.k == 4 and s.exact}) == (known is not None)
    assert quadruples(82) == ("spherical", (3, 4))
    assert quadruples(70) is None
    for system in systems(3, 68):
        if system.kind == "doubled quadruples" and system.v % 8 == 4:
            assert_steiner(system.blocks, 3, 4, system.v)


def test_quadruples_of_which_any_two_are_in_one_are_there_for_every_possible_v_up_to_148() -> None:
    """S(2, 4, v) is possible for v = 1 or 4 mod 12, and there for each."""
    known = {s.v for s in systems(2, 150) if s.k == 4 and s.exact}
    assert known == {v for v in range(13, 150) if v % 12 in (1, 4)}


@pytest.mark.parametrize(
    "system", [named("PG", 2, 3, 1), named("derived", 6, 12, 1), named("covering", 3, 8, 5)], ids=str
)
def test_a_set_less_or_a_point_less_is_noticed(system: System) -> None:
    """Without one of its sets, or with one point of a set replaced, some points are no longer together."""
    blocks = system.blocks
    assert list(uncovered(blocks[1:], system.v, system.strength))
    other = next(x for x in range(system.v) if x not in blocks[0])
    assert list(uncovered(((*blocks[0][1:], other), *blocks[1:]), system.v, system.strength))


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7, 8, 9, 16, 25, 27])
def test_a_field_is_a_field(q: int) -> None:
    """Sums and products are commutative, associative and distributive; every element but 0 has an inverse."""
    f = field(q)
    some = range(q) if q <= 9 else (0, 1, 2, q // 2, q - 1)
    for x in some:
        assert f.plus[x][f.minus(x)] == 0
        assert x == 0 or f.times[x][f.inverse(x)] == 1
        for y in some:
            assert (f.plus[x][y], f.times[x][y]) == (f.plus[y][x], f.times[y][x])
            for z in some:
                assert f.plus[f.plus[x][y]][z] == f.plus[x][f.plus[y][z]]
                assert f.times[f.times[x][y]][z] == f.times[x][f.times[y][z]]
                assert f.times[x][f.plus[y][z]] == f.plus[f.times[x][y]][f.times[x][z]]
    assert sorted(f.powers) == list(range(1, q))


def test_powers_of_primes_are_told_from_other_numbers() -> None:
    """8 = 2^3 and 49 = 7^2 are; 1, 6 and 12 are not, and have no field."""
    assert (prime_power(8), prime_power(49), prime_power(1), prime_power(6)) == ((2, 3), (7, 2), None, None)
    with pytest.raises(ValueError, match="12 is no power of a prime"):
        field(12)
    with pytest.raises(ValueError, match="S\\(2, 3, 11\\): there is none"):
        triples(11)


def test_unital_and_maximal_arc_by_their_counts() -> None:
    """Of order 3: 28 points, 63 secants of 4; degree 4 in PG(2, 8): 28 points, 63 lines of 4."""
    assert (len(unital(3)), len(maximal_arc(3, 2))) == (63, 63)


# Blown up


def test_levels_by_hand() -> None:
    """6 more on heights 5, 0, 3: the two lowest come to 4 and 5, the highest gets nothing."""
    assert sorted(level([5, 0, 3], 6)) == [(1, 5), (2, 1)]
    assert sorted(level([0, 0, 0], 7)) == [(0, 3), (1, 2), (2, 2)]
    assert level([4, 4], 0) == []


def test_larger_groups_are_spread() -> None:
    """Four of the seven points of the Fano plane with no three on a line."""
    fano = named("PG", 2, 2, 1)
    chosen = spread(fano, 4)
    assert len(chosen) == 4
    assert max(len(chosen & set(block)) for block in fano.blocks) == 2


def test_the_fano_plane_blown_up_by_hand() -> None:
    """d = 14, degree 2: 7 blocks of 6 coordinates. Of C(16, 2) = 120 monomials each block has 3 * 4 products of two
    groups; the other 36 are dealt out by fives and one six."""
    design = BlownUp(14, 2, named("PG", 2, 2, 1))
    assert list(design.kinds()) == [(6, 18, 1, 0), (6, 17, 6, 1)]
    assert design.coordinates_words == 42


def test_pieces_cut_the_monomials_of_each_set() -> None:
    """Two pieces of each of the seven sets: 14 blocks with 9 or 8 monomials, nothing left out."""
    design = BlownUp(14, 2, named("PG", 2, 2, 1), 2)
    assert design.NB == 14
    assert sum(a * times for _, a, times, _ in design.kinds()) == 120
    assert {a for _, a, *_ in design.kinds()} == {8, 9}
