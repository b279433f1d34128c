"""The bounds of approximate attention side by side: one class of schedules after the other, with what its segments do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from iosim.bounds.approx import COUNTED, NOT_RESIDENT, SUMS_OF_MONOMIALS, applicable, bounds
from iosim.bounds.approx_survey import approximate, approximate_in_symbols
from iosim.bounds.bound import Setting
from iosim.bounds.exact import TRIVIAL

SQUARE = Setting(N=4096**2, n_q=4096, n_k=4096, d=16, d_v=16, M=100, g=2)
LINEAR = "kappa(s) = min(r d_v, C(t+g, g) (s - t)) with t = min(d, floor(g s/(g+1))): products of s words of a row"
SMOOTH = "kappa(s) = min(r d_v, C(s+g+1, g+1) - 1): products of s words of a row"
WORDS = "C = min of s_1 + s_2 + ... with min(kappa(s_1), M) + min(kappa(s_2), M) + ... >= T = r d_v: words of a row"
NORMALISED = (
    "kappa(s) = min(r (d_v+1), C(t+g, g) (s+1 - t)) - 1 with t = min(d, floor(g (s+1)/(g+1))): with the column of ones"
)
MORE = WORDS.replace("r d_v", "r (d_v+1) - 1") + ", if that says more"

# A_g = (g+1) (g!)^(1/(g+1))/g^(g/(g+1)): A_1 = 2, A_2^3 = 27 2/4, A_3^4 = 256 6/27. Rows of V-linear sums are queries and
# keys; those of any functions are keys, with (g+1)! for A_g^(g+1).
LEADING = {
    1: ("4*d*n*r/sqrt(M)", "sqrt(2)*d*n*r/sqrt(M)"),
    2: ("2*d*n*r*Rational(27, 2)**Rational(1, 3)*M**Rational(-2, 3)", "6**Rational(1, 3)*d*n*r*M**Rational(-2, 3)"),
    3: ("2*d*n*r*Rational(512, 9)**Rational(1, 4)*M**Rational(-3, 4)", "24**Rational(1, 4)*d*n*r*M**Rational(-3, 4)"),
}


@pytest.mark.parametrize("g", LEADING)
def test_the_classes_in_symbols(g: int) -> None:
    """After the trivial bound each class with its condition, its leading term with its constant, and what C is."""
    found = approximate_in_symbols(g)
    assert (
        found.problem == f"attention by a polynomial of degree {g}, r = C(d+{g}, {g}) features, sums used with m rows"
    )
    assert (found.fast_memory_words, found.greatest) == (None, None)
    assert found.simplified == "n_q = n_k = m = n, d_v = d"
    first, *groups = found.groups
    assert [(line.label, line.bound) for line in first.lines] == [("trivial", TRIVIAL)]
    assert first.title == "every schedule"
    assert [group.lines[0].bound for group in groups] == list(bounds(g))
    letters = {name: sympy.Symbol(name, positive=True) for name in ("d", "n", "r", "M")}
    linear, smooth = (sympy.sympify(text, locals=letters) for text in LEADING[g])
    for group in groups:
        bound = group.lines[0].bound
        assert all(line.words is None for line in group.lines)
        if bound in NOT_RESIDENT:
            assert [line.label for line in group.lines] == ["full"]
            assert group.steps == ()
            continue
        assert [line.label for line in group.lines] == ["full", "leading", "simplified"]
        v_linear = "V-linear sums" in bound.requires
        assert sympy.simplify(group.lines[2].expression - (linear if v_linear else smooth)) == 0
        of_monomials = (NORMALISED, MORE) if "monomials" in bound.requires else ()
        steps = (LINEAR if v_linear else SMOOTH, WORDS, *of_monomials)
        assert group.steps == (steps if bound.letters == COUNTED else ())
    titles = [group.title for group in groups]
    assert titles[:4] == [
        "sums of monomials, one-shot",
        "sums of monomials, computed again at will, if m >= M",
        "sums of any features that are linear in V, computed again at will, if m >= M and m >= N/n_q",
        "sums of any smooth functions of single rows, computed again at will, if m >= M and m >= N/n_q",
    ]


@pytest.mark.parametrize(
    "setting",
    [
        SQUARE,
        replace(SQUARE, N=4096 * 1000, n_k=1000, d=6, d_v=4, g=1),
        replace(SQUARE, N=4 * 4096 * 1000, n_q=4 * 4096, n_k=4000, d=6, d_v=6, m=512),
    ],
    ids=["square", "rectangle", "heads"],
)
def test_the_classes_at_sizes(setting: Setting) -> None:
    """Those of sums of monomials that say something, with the words of each, and the words of a row."""
    found = approximate(setting, problem="as given")
    r = {(16, 2): 153, (6, 1): 7, (6, 2): 28}[setting.d, setting.g or 0]
    used = ", sums used with m = 512 rows" if setting.m else ""
    assert found.problem == f"attention by a polynomial of degree {setting.g}, as given, r = {r} features{used}"
    assert found.fast_memory_words == 100
    assert found.simplified == ""
    first, *groups = found.groups
    assert [(line.label, line.bound, line.words) for line in first.lines] == [
        ("trivial", TRIVIAL, TRIVIAL.words(setting))
    ]
    said = list(applicable(replace(setting, properties=SUMS_OF_MONOMIALS)))
    assert [(group.title, group.lines[0].bound, group.lines[0].words) for group in groups] == [
        (bound.about, bound, words) for bound, words, _ in said
    ]
    products = r * setting.d_v
    for group, (bound, _, sized) in zip(groups, said, strict=True):
        if bound.letters != COUNTED:
            assert group.steps == ()
            continue
        first_step, step = group.steps
        assert first_step == (LINEAR if "V-linear sums" in bound.requires else SMOOTH)
        assert step == (
            f"a row needs C = {sized.sizes['C']:,} words to make T = r d_v = {products:,} products, "
            "at most M = 100 at a time"
        )


def test_the_words_of_a_row_by_hand() -> None:
    """g = 2, M = 100: 10 words, 6 of them of K, give C(8, 2) 4 = 112 products, of which 100 count; 9 words give 84. Of the
    2,448 = 153 16 products 22 times 100 and 3 times 84 are enough: C = 220 + 27 words, for 2 4096 rows; less r d_v.
    With the column of ones 9 words give 28 4 - 1 = 111, and 26 times 100 are enough: 234 words are fewer."""
    group = approximate(SQUARE, problem="").groups[1]
    assert group.steps[1].startswith("a row needs C = 247 words to make T = r d_v = 2,448 products")
    assert group.lines[0].words == 2 * 4096 * 247 - 2448


def test_the_words_of_a_row_with_the_column_of_ones_by_hand() -> None:
    """M = 2,500 is room for all 2,448 products with V at once, of 16 + 16 words; not for 2,600 with the column of ones: the
    other 100 need 9 words more, which give 28 4 - 1 = 111."""
    group = approximate(replace(SQUARE, M=2500), problem="").groups[1]
    assert group.steps == (
        NORMALISED,
        "a row needs C = 41 words to make T = r (d_v+1) - 1 = 2,600 products, at most M = 2,500 at a time",
    )
    assert group.lines[0].words == 2 * 4096 * (16 + 16 + 9) - 2600


def test_leading_terms_at_sizes() -> None:
    """2 (27/2)^(1/3) n r d/M^(2/3) = 2,216,388.2 words at n = 4096, r = 153, d = 16, M = 100; n_k r d (6 M)^(1/3)/M for any
    functions; in n and d only for as many keys as queries of one head, and for values as wide as keys."""
    groups = approximate(SQUARE, problem="").groups
    simplified = {group.title: group.lines[2] for group in groups[1:] if len(group.lines) == 3}
    linear = 2 * 13.5 ** (1 / 3) * 4096 * 153 * 16 / 100 ** (2 / 3)
    smooth = 4096 * 153 * 16 * 600 ** (1 / 3) / 100
    assert simplified["sums of monomials, one-shot"].words == int(linear) + 1 == 2_216_389
    of_any = simplified["sums of any smooth functions of single rows, computed again at will"]
    assert of_any.words == int(smooth) + 1
    assert str(of_any.expression) == "6**(1/3)*d*n*r/M**(2/3)"
    for setting, letters in (
        (replace(SQUARE, d_v=4), {"n", "d_v", "r", "M"}),
        (replace(SQUARE, N=4096 * 1000, n_k=1000), {"n_q", "n_k", "d", "r", "M"}),
        (replace(SQUARE, N=4 * 4096**2, n_q=4 * 4096, n_k=4 * 4096), {"n_q", "n_k", "d", "r", "M"}),
    ):
        lines = approximate(setting, problem="").groups[1].lines
        assert {symbol.name for symbol in lines[2].expression.free_symbols} == letters
        assert {symbol.name for symbol in lines[1].expression.free_symbols} == {"n_q", "n_k", "d_v", "r", "M"}
        assert lines[1].words == lines[2].words


def test_what_a_schedule_is_known_not_to_do_is_of_no_account() -> None:
    """The bounds are those of the classes, whichever properties the setting has."""
    known = replace(SQUARE, properties=frozenset({"no recomputation"}))
    assert approximate(known, problem="").groups == approximate(SQUARE, problem="").groups
