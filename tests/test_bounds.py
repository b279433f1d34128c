"""Bounds as values: where they apply, how they round, and the numbers that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

from iosim.bounds.bound import Bound, Letters, Property, Setting, _whole_root
from iosim.bounds.exact import (
    BOUNDS,
    LARGE_FAST_MEMORY,
    LARGE_FAST_MEMORY_FIRST_COLUMNS,
    LARGE_FAST_MEMORY_WIDE_VALUES,
    NEVER_SPILLED,
    NO_RECOMPUTATION,
    NO_RECOMPUTATION_SMALL_FAST_MEMORY,
    SEGMENTS,
    SEGMENTS_WITH_SUMS,
    SUMS,
    TIED,
    TIED_LARGE_FAST_MEMORY,
    TIED_SMALL_FAST_MEMORY,
    TRIVIAL,
    TRIVIAL_TIED,
    applicable,
    compulsory,
    greatest,
)
from iosim.errors import CountError
from tests.bound_settings import ALL, SIZES, setting

SQUARE, WIDE, LINE = SEGMENTS
TWO: Sequence[Property] = ["sums of 2 words"]
FOUR: Sequence[Property] = ["sums of 4 words"]
ONCE: Sequence[Property] = [*TWO, "no recomputation"]


def exact_ceiling(bound: Bound, at: Setting) -> int:
    """The least whole number that is at least the bound, by sympy's arithmetic."""
    names = {sympy.Symbol(name, positive=True): value for name, value in at.sizes.items()}
    return int(sympy.ceiling(bound.expression.subs(names)))


# Where they apply


@pytest.mark.parametrize(
    ("bound", "inside", "outside"),
    [
        # M >= 4d^2 = 1024, for wide values M >= (128/27) d^2 = 1213.6 for d = 16
        (LARGE_FAST_MEMORY, setting(99, 16, 1024), setting(99, 16, 1023)),
        (LARGE_FAST_MEMORY, setting(99, 16, 1024, d_v=15), setting(99, 16, 1024, d_v=17)),
        (LARGE_FAST_MEMORY_FIRST_COLUMNS, setting(99, 16, 1024, d_v=99), setting(99, 16, 1023, d_v=99)),
        (LARGE_FAST_MEMORY_FIRST_COLUMNS, setting(99, 16, 1024, d_v=17), setting(99, 16, 1024, d_v=16)),
        (LARGE_FAST_MEMORY_WIDE_VALUES, setting(99, 16, 1214), setting(99, 16, 1213)),
        (LARGE_FAST_MEMORY_WIDE_VALUES, setting(99, 16, 1214, d_v=17), setting(99, 16, 1214, d_v=15)),
        # M >= (d + d_v)^2 = 1024, for wide values M >= 4d^2 = 1024, for little memory M <= 4d^2
        (SQUARE, setting(99, 16, 1024), setting(99, 16, 1023)),
        (WIDE, setting(99, 16, 1024, d_v=40), setting(99, 16, 1023, d_v=40)),
        (LINE, setting(99, 16, 1024), setting(99, 16, 1025)),
        (TRIVIAL, setting(1, 1, 1), Setting(N=8, n_q=9, n_k=8, d=1, d_v=1, M=1)),
        (TRIVIAL, setting(1, 1, 1), Setting(N=8, n_q=8, n_k=9, d=1, d_v=1, M=1)),
        # by what is known of the schedules and of the problem
        (LARGE_FAST_MEMORY, setting(99, 16, 1024), setting(99, 16, 1024, properties=["tied"])),
        # sums of 2 words: M >= 9/2 16^2 = 1152, and d_v = 11 as 256 >= 2 121; M >= (4/3) 16 64 = 1365.3 for d_v = 16
        # of 4 words: M >= 25/4 16^2 = 1600, and d_v = 8 as 256 >= 4 64; M >= (4/3) 16 96 = 2048 for d_v = 16
        (SUMS[0], setting(99, 16, 1152, d_v=11, properties=TWO), setting(99, 16, 1151, d_v=11, properties=TWO)),
        (SUMS[0], setting(99, 16, 1152, d_v=11, properties=TWO), setting(99, 16, 1152, d_v=12, properties=TWO)),
        (SUMS[0], setting(99, 16, 1152, d_v=11, properties=TWO), setting(99, 16, 1152, d_v=11, properties=FOUR)),
        (SUMS[1], setting(99, 16, 1152, d_v=8, properties=TWO), setting(99, 16, 1151, d_v=8, properties=TWO)),
        (SUMS[1], setting(99, 16, 1366, properties=TWO), setting(99, 16, 1365, properties=TWO)),
        (SUMS[1], setting(99, 16, 1366, properties=TWO), setting(99, 16, 1366)),
        (SUMS[3], setting(99, 16, 1600, d_v=8, properties=FOUR), setting(99, 16, 1600, d_v=9, properties=FOUR)),
        (SUMS[3], setting(99, 16, 1600, d_v=8, properties=FOUR), setting(99, 16, 1599, d_v=8, properties=FOUR)),
        (SUMS[4], setting(99, 16, 2048, properties=FOUR), setting(99, 16, 2047, properties=FOUR)),
        (SUMS[4], setting(99, 16, 2048, properties=FOUR), setting(99, 16, 2048, properties=[*FOUR, "tied"])),
        # if no score is computed twice: M >= 4 2 16^2 = 2048, and 2 12^2 = 288 >= 256; M >= 4 d_v^2 = 1296 for d_v = 18
        (SUMS[2], setting(99, 16, 2048, properties=ONCE), setting(99, 16, 2047, properties=ONCE)),
        (SUMS[2], setting(99, 16, 1152, d_v=12, properties=ONCE), setting(99, 16, 1151, d_v=12, properties=ONCE)),
        (SUMS[2], setting(99, 16, 1152, d_v=12, properties=ONCE), setting(99, 16, 1152, d_v=11, properties=ONCE)),
        (SUMS[2], setting(99, 16, 2048, properties=ONCE), setting(99, 16, 2048, properties=TWO)),
        # M >= 4d^2 = 1024, and M <= 4d^2
        (SEGMENTS_WITH_SUMS[0], setting(99, 16, 1024, properties=TWO), setting(99, 16, 1023, properties=TWO)),
        (SEGMENTS_WITH_SUMS[1], setting(99, 16, 1024, properties=TWO), setting(99, 16, 1025, properties=TWO)),
        (SEGMENTS_WITH_SUMS[2], setting(99, 16, 1024, properties=FOUR), setting(99, 16, 1024, properties=TWO)),
        (SEGMENTS_WITH_SUMS[3], setting(99, 16, 1024, properties=FOUR), setting(99, 16, 1024)),
        (NO_RECOMPUTATION, setting(99, 16, 1024, properties=["no recomputation"]), setting(99, 16, 1024)),
        (
            NO_RECOMPUTATION,
            setting(99, 16, 1024, properties=sorted(ALL)),
            setting(99, 16, 1023, properties=sorted(ALL)),
        ),
        (NEVER_SPILLED, setting(99, 16, 99, properties=sorted(ALL)), setting(99, 16, 99, properties=["no spilling"])),
        (TRIVIAL_TIED, setting(99, 16, 99, properties=["tied"]), setting(99, 16, 99)),
        # tied: M >= (d + d_v)^2/2 = 512, and M <= 2d^2 = 512
        (TIED, setting(99, 16, 512, properties=["tied"]), setting(99, 16, 511, properties=["tied"])),
        (TIED_SMALL_FAST_MEMORY, setting(99, 16, 512, properties=["tied"]), setting(99, 16, 513, properties=["tied"])),
        # (32/27) 16^2 = 303.4; (32/27) 16 (64 - 24) = 758.5
        (TIED_LARGE_FAST_MEMORY, setting(99, 16, 304, properties=["tied"]), setting(99, 16, 303, properties=["tied"])),
        (
            TIED_LARGE_FAST_MEMORY,
            setting(99, 16, 759, d_v=8, properties=["tied"]),
            setting(99, 16, 758, d_v=8, properties=["tied"]),
        ),
        (TIED_LARGE_FAST_MEMORY, setting(99, 16, 304, properties=["tied"]), setting(99, 16, 304)),
        (
            TIED_LARGE_FAST_MEMORY,
            setting(99, 16, 304, properties=["tied"]),
            setting(99, 16, 304, d_v=17, properties=["tied"]),
        ),
        # up to M^2 = N (d + d_v)^2 = 99^2 32^2, 4 N d^2 and 4 N d d_v = 99^2 32^2
        (LARGE_FAST_MEMORY, setting(99, 16, 3168), setting(99, 16, 3169)),
        (LARGE_FAST_MEMORY_FIRST_COLUMNS, setting(99, 16, 3168, d_v=17), setting(99, 16, 3169, d_v=17)),
        (LARGE_FAST_MEMORY_WIDE_VALUES, setting(99, 16, 3168), setting(99, 16, 3169)),
        # N (d + d_v)(d + 2 d_v) = 3171.09^2, 5 N d d_v = 3541.9^2, (16 + 8)(16 + 4 8) N = 3360.2^2
        (SUMS[0], setting(99, 16, 3171, d_v=11, properties=TWO), setting(99, 16, 3172, d_v=11, properties=TWO)),
        (SUMS[1], setting(99, 16, 3541, properties=TWO), setting(99, 16, 3542, properties=TWO)),
        (SUMS[3], setting(99, 16, 3360, d_v=8, properties=FOUR), setting(99, 16, 3361, d_v=8, properties=FOUR)),
        # up to 3M^2 = 5 N (d + d_v)^2 = 20 N d d_v = 3 4089.9^2, tied half of that, 3 2891.98^2, and M^2 = N d (d + d_v) =
        # 2240.1^2
        (SQUARE, setting(99, 16, 4089), setting(99, 16, 4090)),
        (WIDE, setting(99, 16, 4089), setting(99, 16, 4090)),
        (SEGMENTS_WITH_SUMS[0], setting(99, 16, 4089, properties=TWO), setting(99, 16, 4090, properties=TWO)),
        (
            NO_RECOMPUTATION,
            setting(99, 16, 4089, properties=sorted(ALL)),
            setting(99, 16, 4090, properties=sorted(ALL)),
        ),
        (TIED, setting(99, 16, 2891, properties=["tied"]), setting(99, 16, 2892, properties=["tied"])),
        (
            TIED_LARGE_FAST_MEMORY,
            setting(99, 16, 2240, properties=["tied"]),
            setting(99, 16, 2241, properties=["tied"]),
        ),
        # up to 9M^3 = 25 N^2 (d + d_v)^2 = 9 265.2^3, tied half of that, 9 210.5^3; 25 N^2 d^2 = 9 167.1^3, 25 N^2 d_v^2 =
        # 18 132.6^3
        (LINE, setting(9, 16, 265), setting(9, 16, 266)),
        (SEGMENTS_WITH_SUMS[1], setting(9, 16, 265, properties=TWO), setting(9, 16, 266, properties=TWO)),
        (
            NO_RECOMPUTATION_SMALL_FAST_MEMORY,
            setting(9, 16, 265, properties=["no recomputation"]),
            setting(9, 16, 266, properties=["no recomputation"]),
        ),
        (TIED_SMALL_FAST_MEMORY, setting(9, 16, 210, properties=["tied"]), setting(9, 16, 211, properties=["tied"])),
        (NEVER_SPILLED, setting(9, 16, 132, properties=sorted(ALL)), setting(9, 16, 133, properties=sorted(ALL))),
        (
            NEVER_SPILLED,
            setting(9, 16, 167, d_v=99, properties=sorted(ALL)),
            setting(9, 16, 168, d_v=99, properties=sorted(ALL)),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Bound) else "",
)
def test_a_bound_says_something_in_its_regime_only(bound: Bound, inside: Setting, outside: Setting) -> None:
    """At the edge of the regime it applies, one step beyond it raises."""
    assert bound.applies(inside)
    assert bound.words(inside) == exact_ceiling(bound, inside)
    assert not bound.applies(outside)
    with pytest.raises(CountError, match="says nothing about"):
        bound.words(outside)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_regime_and_conditions_are_the_same(bound: Bound) -> None:
    """The sympy condition holds exactly where the bound applies, for sizes on both sides of it."""
    properties = bound.requires
    seen = set()
    for d in (4, 8, 16):
        for d_v in (2, 4, 8, 16):
            for M in (8, 64, 256, 1024, 2048):
                at = setting(40, d, M, d_v=d_v, properties=sorted(properties))
                values = {sympy.Symbol(name, positive=True): value for name, value in at.sizes.items()}
                holds = bool(bound.regime.subs(values))
                assert bound.applies(at) == holds
                seen.add(holds)
    assert True in seen


def test_an_asymptotic_bound_has_no_value() -> None:
    """What holds up to an unknown constant is not a number of words."""
    loose = Bound(name="loose", formula=lambda x: x.N, strength="asymptotic", source="a test")
    with pytest.raises(CountError, match="loose is asymptotic"):
        loose.words(setting(2, 2, 2))


def test_formulas_know_the_letters_only() -> None:
    """A misspelt letter is an error that lists the right ones."""
    with pytest.raises(AttributeError, match="formulas know the letters N, n_q, n_k, d, d_v, M, not n"):
        Bound(name="mistake", formula=lambda x: x.n, source="a test").words(setting(2, 2, 2))


# How they round


def test_rational_values_are_rounded_up_exactly() -> None:
    """4 N d^2/M + 4M/5 = 400/7 + 28/5 is 62.74, so that at least 63 words move; at M = 10 it is 48 and stays 48."""
    assert LARGE_FAST_MEMORY.words(setting(10, 1, 7)) == 63
    assert LARGE_FAST_MEMORY.words(setting(10, 1, 10)) == 48


def test_irrational_values_are_rounded_up_exactly() -> None:
    """N (4d/sqrt(M) - 1) + 3M/5 at n = 10, d = 3, M = 5: 100 (12/sqrt(5) - 1) + 3 = 439.66 by hand."""
    assert LINE.words(setting(10, 3, 5)) == 440


def test_values_next_to_a_whole_number_are_told_apart() -> None:
    """sqrt(k^2 + 1) is k + 1/(2k): rounded up it is k + 1, however large k; sqrt(k^2) is k."""
    for k in (10**3, 10**20, 10**60):
        root = Bound(name="root", formula=lambda x: x.sqrt(x.N), source="a test")
        assert root.words(Setting(N=k * k, n_q=1, n_k=1, d=1, d_v=1, M=1)) == k
        assert root.words(Setting(N=k * k + 1, n_q=1, n_k=1, d=1, d_v=1, M=1)) == k + 1
        assert root.words(Setting(N=k * k - 1, n_q=1, n_k=1, d=1, d_v=1, M=1)) == k


def test_what_cannot_be_told_apart_is_an_error() -> None:
    """sqrt(2) sqrt(2) is 2, which no interval shows: an error, not a guess."""
    two = Bound(name="two", formula=lambda x: x.sqrt(2) * x.sqrt(2), source="a test")
    with pytest.raises(CountError, match="too close to 2 words to be rounded"):
        two.words(setting(1, 1, 1))


def test_roots_of_whole_numbers() -> None:
    """The greatest whole number whose power is at most x: of all small ones, of large ones beside a power."""
    for degree in range(2, 7):
        for x in range(300):
            root = _whole_root(x, degree)
            assert root**degree <= x < (root + 1) ** degree
        for root in (2, 10**9 + 7, 2**64):
            assert [_whole_root(root**degree + more, degree) for more in (-1, 0, 1)] == [root - 1, root, root]


def test_formulas_by_hand() -> None:
    """What never depends on each other is a mistake in both: n = 2^10 queries and keys, d = 2^11, d_v = M = 2^10."""
    at = {"d_v": 2**10, "properties": ["no recomputation", "no spilling"]}
    # 2^20 (2 2^11/2^5 + 2 sqrt(2) 2^10/2^5 - 3) - 2^10 2^10 + 9 2^10/5
    assert NEVER_SPILLED.words(setting(2**10, 2**11, 2**10, **at)) == 224_931_533  # type: ignore[arg-type]
    tied = setting(2**10, 2**11, 2**10, d_v=2**10, properties=["tied"])
    assert TRIVIAL_TIED.words(tied) == 2**10 * (2**11 + 2**10) + 2**10 * 2**11
    for one, other in ((TRIVIAL, TRIVIAL_TIED), (LARGE_FAST_MEMORY, TIED), (LINE, TIED_SMALL_FAST_MEMORY)):
        assert "tied" in other.requires
        assert "tied" in one.excludes
    assert {bound.name for bound in BOUNDS if bound.compulsory} == {TRIVIAL.name, TRIVIAL_TIED.name}
    assert list(compulsory(tied)) == [(TRIVIAL_TIED, TRIVIAL_TIED.words(tied))]


def test_a_bound_for_all_schedules_is_universal() -> None:
    """What is known of the problem makes no class of schedules; what is known of the schedules does."""
    assert TRIVIAL.universal
    assert TIED.universal
    assert not NO_RECOMPUTATION.universal
    assert not replace(NO_RECOMPUTATION, requires=frozenset({"tied", "no spilling"})).universal


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_the_name_of_a_bound_says_for_what_it_is(bound: Bound) -> None:
    """What it requires is in its name, so that none is claimed for more than it says; but for tied values V is its own."""
    said = {
        "tied": "_if_tied",
        "sums of 2 words": "_with_sums_of_2_words",
        "sums of 4 words": "_with_sums_of_4_words",
        "no recomputation": "_without_recomputation",
        "no spilling": "_if_no_score_is_stored",
    }
    # where no score is stored, none is computed twice either
    asked = {"no recomputation"} if "_if_no_score_is_stored" in bound.name else set()
    assert bound.requires == asked | {name for name, words in said.items() if words in bound.name}
    assert bound.excludes == {"tied"} - bound.requires
    assert bound.compulsory == bound.name.startswith("inputs_are_loaded_and_outputs_stored")


def test_tied_bounds_with_rational_roots_have_values() -> None:
    """sqrt(2/M) is 1/128 at M = 2^15: the bound is a whole number there."""
    # 2^20 (1024/128 - 1) + 3 2^15/5, which is 19660.8
    assert TIED_SMALL_FAST_MEMORY.words(setting(2**10, 512, 2**15, properties=["tied"])) == 7 * 2**20 + 19661


@given(st.sampled_from(BOUNDS), SIZES, st.integers(1, 300), st.integers(1, 300), SIZES)
def test_words_are_the_ceiling_of_the_expression(bound: Bound, n: int, d: int, d_v: int, M: int) -> None:
    """What intervals narrow down is what sympy's arithmetic says."""
    at = setting(n, d, M, d_v=d_v, properties=sorted(bound.requires))
    assume(bound.applies(at))
    assert bound.words(at) == exact_ceiling(bound, at)


@given(st.sampled_from(BOUNDS), SIZES, st.integers(1, 300), st.integers(1, 300), SIZES)
def test_symbols_and_numbers_read_the_same_formula(bound: Bound, n: int, d: int, d_v: int, M: int) -> None:
    """In floating point the formula over numbers is close to the expression over symbols."""
    at = setting(n, d, M, d_v=d_v)
    letters = Letters(
        {name: float(value) for name, value in at.sizes.items()}, float, lambda x, degree: x ** (1 / degree)
    )
    names = {sympy.Symbol(name, positive=True): value for name, value in at.sizes.items()}
    exact = float(bound.expression.subs(names).evalf(30))
    assert bound.formula(letters) == pytest.approx(exact, rel=1e-9, abs=1e-6 * n * n)


# What they come to

# n = 96, d = 16: 4 n d = 6144, 96^2 (64/sqrt(M) - 1) + 3M/5 up to M = 4d^2 = 1024, from there on 4 n^2 d^2/M + 4M/5 up to
# M = 2 n d = 3072; found by an independent calculation.
SMALL = {64: 64551, 128: 42995, 256: 27802, 512: 17158, 1024: 10036, 2048: 6247, 3500: 6144}

# The same in millions of words, for M = 2^10, 2^11, ...
LARGE: dict[tuple[int, int], str] = {
    (4096, 64): "117.44 78.13 50.33 30.68 16.79 8.41 4.25 2.20 1.26 1.05 1.05 1.05 1.05",
    (4096, 128): "251.66 173.04 117.44 78.13 50.34 30.70 16.83 8.49 4.40 2.52 2.10 2.10 2.10",
    (16384, 128): "4026.53 2768.57 1879.05 1250.07 805.32 490.83 268.49 134.32 67.32 33.97 17.62 10.07 8.39",
    (65536, 64): "30064.77 20001.04 12884.90 7853.04 4294.98 2147.51 1073.79 536.98 268.65 134.64 67.95 35.23 20.13",
}


@pytest.mark.parametrize(("M", "words"), SMALL.items())
def test_the_greatest_bound_at_small_sizes(M: int, words: int) -> None:
    """The bounds of a small problem."""
    assert greatest(setting(96, 16, M))[1] == words


@pytest.mark.parametrize(("n", "d"), LARGE)
def test_the_greatest_bound_at_large_sizes(n: int, d: int) -> None:
    """Thirteen fast memories from 2^10 words on, to four or more digits."""
    found = [f"{greatest(setting(n, d, 2**k))[1] / 1e6:.2f}" for k in range(10, 23)]
    assert found == LARGE[n, d].split()


def test_which_bound_is_the_greatest() -> None:
    """d = 64: with little memory that of any fast memory, from 4d^2 = 2^14 words on that of a large one, from 2 n d = 2^23
    on inputs and outputs."""
    best = {k: greatest(setting(65536, 64, 2**k))[0].name for k in (10, 14, 22, 23)}
    large = LARGE_FAST_MEMORY.name
    assert best == {10: LINE.name, 14: large, 22: large, 23: TRIVIAL.name}


def test_the_branches_meet_at_a_quarter_of_m() -> None:
    """At M = 4d^2 both forms are N + 3M/5: 4u^2 = 4u - 1 = 1 at u = 1/2."""
    at = setting(100, 16, 1024)
    assert SQUARE.words(at) == LINE.words(at) == 100 * 100 + 615  # of 614.4


def test_the_constant_of_a_latent_vector() -> None:
    """576 columns for scores, 512 for values: 576 * 1088 = 626,688 N/M if tied, from (32/27) 576 * 768 = 2^19 words on;
    1088^2 = 1,183,744 N/M if not."""
    N, M = 2**40, 2**21
    at = Setting(N=N, n_q=2**20, n_k=2**20, d=576, d_v=512, M=M)
    tied = replace(at, properties=frozenset({"tied"}))
    more = 1_677_722  # 4M/5 = 1,677,721.6
    assert LARGE_FAST_MEMORY.words(at) == 1_183_744 * N // M + more
    assert greatest(tied) == (TIED_LARGE_FAST_MEMORY, 626_688 * N // M + more)
    assert TIED_LARGE_FAST_MEMORY.applies(replace(tied, M=2**19))
    assert not TIED_LARGE_FAST_MEMORY.applies(replace(tied, M=2**19 - 1))


def test_without_recomputation_wide_values_cost_more() -> None:
    """d = 16, d_v = 48, M = 2048, N = 10^4: more than the bound that allows recomputation says."""
    at = setting(100, 16, 2048, d_v=48, properties=["no recomputation"])
    # 10^4 (2.828427 - 1) + 1228.8 = 19513.07
    assert NO_RECOMPUTATION_SMALL_FAST_MEMORY.words(at) == 19514
    assert WIDE.words(at) == 4 * 10**4 * 16 * 48 // 2048 + 1229 == 16_229


def test_applicable_bounds_come_with_their_values() -> None:
    """Each bound that applies appears once."""
    at = setting(4096, 64, 2**15)
    found = dict(applicable(at))
    assert set(found) == {
        TRIVIAL,
        LARGE_FAST_MEMORY,
        LARGE_FAST_MEMORY_WIDE_VALUES,
        SQUARE,
        WIDE,
    }  # d_v = d: both forms
    assert found[TRIVIAL] == 4 * 4096 * 64
    leading = 4 * 4096**2 * 64**2 // 2**15
    assert (
        found[LARGE_FAST_MEMORY] == found[LARGE_FAST_MEMORY_WIDE_VALUES] == leading + 26_215
    )  # of 4 2^15/5 = 26,214.4
    assert found[SQUARE] == found[WIDE] == leading + 19_661
    assert max(found.values()) == greatest(at)[1]
