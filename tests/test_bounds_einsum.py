"""The bound engine for einsums: its formulas, and that they never exceed what some schedule moves."""

from __future__ import annotations

from itertools import combinations

import pytest
import sympy

from iosim.bounds.bound import Setting, floats, symbols
from iosim.bounds.einsum import EinsumBounds, _may_be_added, einsum_bounds
from iosim.bounds.exact import SEGMENTS
from iosim.errors import UsageError
from tests.einsums import MATMUL, SYR2K, SYRK, THREE, TRMM, TWO, says


def leading(text: str) -> sympy.Expr:
    """The leading term of the first bound that the segment argument gives."""
    first = einsum_bounds(text).segments[0]
    return sympy.factor(first.leading(symbols(first.bound.letters)))


# Formulas


# gemm, 2mm, doitgen and trmm: IOLB (Olivry et al., PLDI 2020); 3mm: SOAP (Kwasniewski et al., SPAA 2021), as the tables of
# SOAP's tool have them, with S for M. For syrk and syr2k these have M N^2/(2 sqrt S) and M N^2/sqrt S from IOLB, sqrt(2)
# below ours, and M N^2/sqrt S and 2 M N^2/sqrt S from SOAP, sqrt(2) above ours and above what triangle blocks move.
LEADING = {
    MATMUL: "2*i*j*k/sqrt(M)",
    TWO: "2*i*j*(k + l)/sqrt(M)",
    THREE: "2*j*(i*k + i*l + l*m)/sqrt(M)",
    "S[r,q,p] += A[r,q,s] C[s,p]": "2*p*q*r*s/sqrt(M)",
    TRMM: "j*k**2/sqrt(M)",
    SYRK: "i**2*k/sqrt(2*M)",  # Beaumont et al., SPAA 2022
    SYR2K: "sqrt(2)*i**2*k/sqrt(M)",
    "ijk,jl,kl->il": "3*i*j*k*l/M**(Rational(2,3))",  # MTTKRP, as SOAP (Kwasniewski et al., SPAA 2021)
    "C[i,j] += A[i,k] A[k,j]": "i**3/sqrt(M)",
}


@pytest.mark.parametrize("text", LEADING)
def test_leading_terms_are_the_published_ones(text: str) -> None:
    """The leading term, with its constant, is the one of the literature."""
    expected = sympy.sympify(LEADING[text], locals={x: sympy.Symbol(x, positive=True) for x in "ijklmpqrsM"})
    assert sympy.simplify(leading(text) - expected) == 0


def test_two_products_say_what_the_proof_for_attention_says() -> None:
    """(Q K^T) V without the softmax: 4 n^2 d/sqrt(M) - n^2 + 3M/5, as with it for M <= 4d^2."""
    n, d, M = 1000, 64, 777
    theorem = SEGMENTS[2].words(Setting(N=n * n, n_q=n, n_k=n, d=d, d_v=d, M=M))
    bounds = einsum_bounds(TWO)
    sizes = bounds.sizes({"i": n, "k": d, "j": n, "l": d}, M, "no recomputation")
    assert bounds.segments[0].bound.words(sizes) == theorem


def test_the_full_bound_of_a_matrix_product() -> None:
    """F = 2M moves: V = (3M/3)^(3/2) points, so 2M ijk/M^(3/2) + M - 2M/3^(3/2), and 1 - 0.385 is more than 3/5; Smith et
    al. subtract 2M."""
    bounds = einsum_bounds(MATMUL)
    i, j, k, M = (sympy.Symbol(x, positive=True) for x in "ijkM")
    assert sympy.simplify(bounds.segments[0].bound.expression - (2 * i * j * k / sympy.sqrt(M) + 3 * M / 5)) == 0
    # 2 * 10^9 / 100 + 3 10^4/5, a whole number: exact
    assert says(MATMUL, 10_000, i=1000, j=1000, k=1000) == 20_006_000
    # 2 * 10^9 / sqrt(1000) = 63,245,553.2 by hand, and 600, rounded up
    assert says(MATMUL, 1000, i=1000, j=1000, k=1000) == 63_246_154


def test_the_value_is_the_formula_rounded_up() -> None:
    """The words at given sizes are the sympy expression at these sizes, rounded up; a cube root too."""
    bounds = einsum_bounds("ijk,jl,kl->il")
    sizes = bounds.sizes({"i": 50, "j": 60, "k": 70, "l": 80}, 767)
    for derived in bounds.segments:
        values = {sympy.Symbol(name, positive=True): size for name, size in sizes.sizes.items()}
        assert derived.bound.words(sizes) == sympy.ceiling(derived.bound.expression.subs(values))


def test_matrix_times_vector_has_the_trivial_bound() -> None:
    """ij + i + j: the matrix is used once; no segment argument says more."""
    assert says("ij,j->i", 100, i=300, j=200) == 300 * 200 + 300 + 200
    assert says("C[i] += A[i] B[i]", 100, i=300) == 3 * 300  # and none has anything to say
    bounds = einsum_bounds(MATMUL)
    derived, words = bounds.greatest(bounds.sizes({"i": 1000, "k": 1000, "j": 1}, 5000))
    assert derived is bounds.trivial
    assert words == 1_002_000
    # where segments say as much, too: 4 + 4 + 4
    sizes = bounds.sizes({"i": 2, "k": 2, "j": 2}, 3)
    assert max(found.bound.words(sizes) for found in bounds.segments if found.bound.applies(sizes)) == 12
    assert bounds.greatest(sizes) == (bounds.trivial, 12)


def test_every_bound_has_a_derivation_that_names_what_it_uses() -> None:
    """Steps: the cover, the split, the length of a segment; sharing, symmetry and subtraction where there are some."""
    steps = " / ".join(einsum_bounds(SYRK).segments[0].steps)
    for part in ("|A[i,k]|^1/2", "A: 2/3, C: 1/3", "F = 2 M", "the budget bounds their union", "i -> j, j -> i"):
        assert part in steps
    assert "words of C may be created and used up without a move" in " / ".join(einsum_bounds(TWO).segments[0].steps)
    assert "assumed: all 3 operands" in " / ".join(einsum_bounds("ijk,jl,kl->il").segments[0].steps)


# F points/V + M - F (M/X)^sigma, the last two rounded down to twentieths of M, with F = M/(sigma - 1) and X = M + F;
# V = (X/sigma)^sigma, times the sizes of letters that no exponent covers, and product of S_A^S_A where these are not one.
MTTKRP = {
    # sigma = 5/3, F = 3/2 M, S_A = 2/3 and three times 1/3: V = (3/2 M)^(5/3) (2/3)^(2/3) (1/3) = M^(5/3)/2
    "2/3_1/3_1/3_1/3": "3*i*j*k*l/M**Rational(2, 3) + 13*M/20",  # 3/2 (2/5)^(5/3) = 0.326
    "1_1_0_0": "i*j*k*l/M + 3*M/4",  # sigma = 2, F = M, V = (2M/2)^2
    "1_0_1_0": "i*j*k*l/M + 3*M/4",
    "1_0_0_1": "i*j*k*l/M + 3*M/4",
    "0_1_1_1": "4*i*j*k*l/M**2 + 17*M/20",  # sigma = 3, F = M/2, V = (3/2 M/3)^3
    "1/2_1/2_1/2_0": "2*j*k*l/sqrt(M) + 3*M/5",  # sigma = 3/2, F = 2M, V = (3M/3)^(3/2) i
    "1/2_1/2_0_1/2": "2*i*j*l/sqrt(M) + 3*M/5",
    "1/2_0_1/2_1/2": "2*i*k*l/sqrt(M) + 3*M/5",
    "0_1_1_0": "j*k*l/M + 3*M/4",  # sigma = 2, F = M, V = (2M/2)^2 i
    "0_1_0_1": "i*j*l/M + 3*M/4",
    "0_0_1_1": "i*k*l/M + 3*M/4",
}


def test_the_bound_of_every_cover() -> None:
    """MTTKRP: its eleven covers, those that leave a letter out at the end; each with its best F."""
    found = einsum_bounds("ijk,jl,kl->il").segments
    letters = {x: sympy.Symbol(x, positive=True) for x in "ijklM"}
    assert [derived.bound.name.split("_covered_by_")[1] for derived in found] == list(MTTKRP)
    for derived, expected in zip(found, MTTKRP.values(), strict=True):
        assert sympy.simplify(derived.bound.expression - sympy.sympify(expected, locals=letters)) == 0
        assert derived.results == ("D",)
        leading = derived.leading(symbols(derived.bound.letters))
        assert sympy.simplify(leading - sympy.sympify(expected.split(" + ")[0], locals=letters)) == 0


def test_the_covers_of_a_symmetric_product() -> None:
    """SYRK, (i^2 k - i k)/2 points, F = M: of A alone V = (2 2M/2)^2/2; with C, two index tuples a word, V = 2 M M/2."""
    i, k, M = (sympy.Symbol(x, positive=True) for x in "ikM")
    found = {d.bound.name.split("_covered_by_")[1]: d.bound.expression for d in einsum_bounds(SYRK).segments}
    for cover, largest in (("1_1_0", 2 * M**2), ("1_0_1", M**2), ("0_1_1", M**2)):
        assert sympy.simplify(found[cover] - M * (i**2 * k - i * k) / 2 / largest - 3 * M / 4) == 0


def test_a_word_that_stands_for_two_is_not_read_again() -> None:
    """What multiplies C of SYRK uses C[i,j] and C[j,i], one word: nothing is claimed about it."""
    first, second = einsum_bounds(f"{SYRK}; E[i,l] += C[i,j] D[j,l]").terms
    assert first
    assert second == ()
    assert [found.results for found in einsum_bounds(f"{SYRK}; E[i,l] += C[i,j] D[j,l]").segments] == [("C",)] * 4
    assert all(einsum_bounds(TWO).terms)


def test_only_what_a_statement_touches_is_subtracted() -> None:
    """Three products in a row: the first may create C for nothing, the second C and E, the third E."""
    bounds = einsum_bounds("ik,kj->ij; ij,jl->il; il,lm->im")
    singles = {d.results[0]: d.bound.expression for d in reversed(bounds.segments) if len(d.results) == 1}
    letters = {x: sympy.Symbol(x, positive=True) for x in "ijklmM"}
    for result, expected in {
        "C": "2*i*j*k/sqrt(M) + 3*M/5 - i*j",
        "E": "2*i*j*l/sqrt(M) + 3*M/5 - i*j - i*l",
        "G": "2*i*l*m/sqrt(M) + 3*M/5 - i*l",
    }.items():
        assert sympy.simplify(singles[result] - sympy.sympify(expected, locals=letters)) == 0


ENOUGH = "required: as many points as M words can hold; then at least M words are moved"
COVERED = "(every letter is covered: Loomis-Whitney, Shearer)"
DERIVATIONS = {
    (SYRK, 0): (
        "statement C[i,j] += A[i,k] A[j,k]: one product for each point (i, k, j)",
        "symmetries, points with the same product: i -> j, j -> i; of 2 such points one is counted",
        "points whose product coincides with another one are left out",
        f"points of a set <= |A[i,k]|^1/2 * |A[j,k]|^1/2 * |C[i,j]|^1/2 {COVERED}",
        "all accesses to A share its words: the budget bounds their union",
        "the set with its images: 2 times the points, 2 index tuples for a word of C[i,j]",
        "largest set that touches X words: they are split as A: 2/3, C: 1/3; it grows as X^3/2",
        "segments of F = 2 M moves touch at most X = M + F = 3 M words",
        ENOUGH,
        "the last segment, of Y words, holds (Y/X)^3/2 as many points: M of its words may be there when it begins",
        "traffic >= F * points / largest set + M - F * (M/X)^3/2, where the last two are at least 3/5 M",
    ),
    (SYR2K, 0): (
        "statement C{i,j} += A[i,k] B[j,k]: one product for each point (i, k, j)",
        f"points of a set <= |A[i,k]|^1/2 * |B[j,k]|^1/2 * |C{{i,j}}|^1/2 {COVERED}",
        "the set with its images: 1 times the points, 2 index tuples for a word of C{i,j}",
        "largest set that touches X words: they are split as A: 1/3, B: 1/3, C: 1/3; it grows as X^3/2",
        "segments of F = 2 M moves touch at most X = M + F = 3 M words",
        ENOUGH,
        "the last segment, of Y words, holds (Y/X)^3/2 as many points: M of its words may be there when it begins",
        "traffic >= F * points / largest set + M - F * (M/X)^3/2, where the last two are at least 3/5 M",
    ),
    (TWO, 0): (
        "statement C[i,j] += A[i,k] B[k,j]: one product for each point (i, k, j)",
        f"points of a set <= |A[i,k]|^1/2 * |B[k,j]|^1/2 * |C[i,j]|^1/2 {COVERED}",
        "largest set that touches X words: they are split as A: 1/3, B: 1/3, C: 1/3; it grows as X^3/2",
        "statement E[i,l] += C[i,j] D[j,l]: one product for each point (i, j, l)",
        f"points of a set <= |C[i,j]|^1/2 * |D[j,l]|^1/2 * |E[i,l]|^1/2 {COVERED}",
        "largest set that touches X words: they are split as C: 1/3, D: 1/3, E: 1/3; it grows as X^3/2",
        "a segment does not gain from working on several of the statements: their bounds are added up",
        "segments of F = 2 M moves touch at most X = M + F = 3 M words",
        "words of C may be created and used up without a move, once each: subtracted",
        ENOUGH,
        "the last segment, of Y words, holds (Y/X)^3/2 as many points: M of its words may be there when it begins",
        "traffic >= F * points / largest set + M - F * (M/X)^3/2, where the last two are at least 3/5 M",
    ),
    ("C[] += A[i] A[j]", 0): (
        "statement C[] += A[i] A[j]: one product for each point (i, j)",
        "symmetries, points with the same product: i -> j, j -> i; of 2 such points one is counted",
        "points whose product coincides with another one are left out",
        f"points of a set <= |A[i]| * |A[j]| {COVERED}",
        "all accesses to A share its words: the budget bounds their union",
        "the set with its images: 2 times the points, 1 index tuples for a word of C[]",
        "largest set that touches X words: they are split as A: 1; it grows as X^2",
        "segments of F = M moves touch at most X = M + F = 2 M words",
        ENOUGH,
        "the last segment, of Y words, holds (Y/X)^2 as many points: M of its words may be there when it begins",
        "traffic >= F * points / largest set + M - F * (M/X)^2, where the last two are at least 3/4 M",
    ),
    ("ijk,jl,kl->il", 8): (
        "statement D[i,l] += A[i,j,k] B[j,l] C[k,l]: one product for each point (i, j, k, l)",
        "assumed: all 3 operands of a product are in fast memory when it is formed",
        f"points of a set <= |B[j,l]| * |C[k,l]| * size of i {COVERED}",
        "largest set that touches X words: they are split as B: 1/2, C: 1/2; it grows as X^2",
        "segments of F = M moves touch at most X = M + F = 2 M words",
        ENOUGH,
        "the last segment, of Y words, holds (Y/X)^2 as many points: M of its words may be there when it begins",
        "traffic >= F * points / largest set + M - F * (M/X)^2, where the last two are at least 3/4 M",
    ),
    ("ijk,jl,kl->il", 4): (
        "statement D[i,l] += A[i,j,k] B[j,l] C[k,l]: one product for each point (i, j, k, l)",
        "assumed: all 3 operands of a product are in fast memory when it is formed",
        f"points of a set <= |B[j,l]| * |C[k,l]| * |D[i,l]| {COVERED}",
        "largest set that touches X words: they are split as B: 1/3, C: 1/3, D: 1/3; it grows as X^3",
        "segments of F = 1/2 M moves touch at most X = M + F = 3/2 M words",
        ENOUGH,
        "the last segment, of Y words, holds (Y/X)^3 as many points: M of its words may be there when it begins",
        "traffic >= F * points / largest set + M - F * (M/X)^3, where the last two are at least 17/20 M",
    ),
}


@pytest.mark.parametrize(("text", "number"), DERIVATIONS)
def test_the_derivation_step_by_step(text: str, number: int) -> None:
    """All that is used is said: symmetry, sharing, whole letters, what is subtracted; and nothing else is."""
    assert einsum_bounds(text).segments[number].steps == DERIVATIONS[text, number]


def test_the_trivial_bound_says_what_it_is_about() -> None:
    """The arrays that move; not what is in between."""
    trivial = einsum_bounds(TWO).trivial
    assert trivial.steps == (
        "each word of A, B, D, E is moved at least once; points that use no other words of them are ignored",
    )
    assert (trivial.results, trivial.bound.requires) == ((), frozenset())


def test_what_is_required() -> None:
    """A matrix product of 27 points has as many as M = 27 words hold, (27/3)^(3/2), and fewer than 28 words. A bound that
    asked for no points would say that 600 words move for a product of two numbers."""
    bounds = einsum_bounds(MATMUL)
    bound = bounds.segments[0].bound
    three, one = (dict.fromkeys("ijk", size) for size in (3, 1))
    assert bound.applies(bounds.sizes(three, 27))
    assert not bound.applies(bounds.sizes(three, 28))
    far = bounds.sizes(one, 1000)
    assert not bound.applies(far)
    assert bound.formula(floats({**one, "M": 1000})) > 600
    assert bounds.greatest(far)[1] == 3


@pytest.mark.parametrize("M", [30, 150, 1000])
@pytest.mark.parametrize("text", [SYRK, TWO, "ijk,jl,kl->il"])
def test_the_greatest_bound_is_the_greatest(text: str, M: int) -> None:
    """Of all best lengths, covers and sums of statements that may be added: each evaluated exactly."""
    bounds = einsum_bounds(text)
    for properties in (("no recomputation",), ()):
        sizes = bounds.sizes(dict.fromkeys(bounds.einsum.sizes, 30), M, *properties)
        chosen = [c for n in (1, 2) for c in combinations([t[0] for t in bounds.terms], n) if _may_be_added(c)]
        chosen += [(term,) for terms in bounds.terms for term in terms]
        every = [bounds.trivial.bound.words(sizes)]
        for length in {1 / (term.sigma - 1) for terms in bounds.terms for term in terms}:
            tried = (bounds._derive(c, length).bound for c in chosen)
            every += [bound.words(sizes) for bound in tried if bound.applies(sizes)]
        derived, words = bounds.greatest(sizes)
        assert words == derived.bound.words(sizes) == max(every)


# Sums of statements


def test_statements_that_share_arrays_in_a_ring_are_not_added() -> None:
    """A ring: 3 x sqrt(y) with 3x + 3y = 1 at x = 2/9 is 2/9, above the (1/3)^(3/2) = 0.192 of one statement alone."""
    ring = "P[i,j] += A[i,k] B[k,j]; Q[k,l] += B[k,j] C[j,l]; R[k,l] += A[i,k] C[i,l]"
    bounds = einsum_bounds(ring)
    assert 3 * (2 / 9) * (1 / 9) ** 0.5 > (1 / 3) ** 1.5
    assert not _may_be_added([terms[0] for terms in bounds.terms])
    assert max(len(found.results) for found in bounds.segments) == 2
    # the words of A are two thirds of what syrk needs: a segment can use them for both
    assert not _may_be_added([found[0] for found in einsum_bounds(f"{SYRK}; E[i,l] += A[i,k] B[k,l]").terms])
    # the same products twice: P is Q, nothing is added
    twice = einsum_bounds("P[i,j] += A[i,k] B[k,j]; Q[i,j] += A[i,k] B[k,j]")
    assert max(len(found.results) for found in twice.segments) == 1
    # with this cover each has a result of its own with the exponent 1, but A A is what both need
    square = einsum_bounds("P[i,j] += A[i,k] A[k,j]; Q[i,j] += A[i,k] A[k,j]")
    assert not _may_be_added([t for terms in square.terms for t in terms if t.cover.exponents == (1, 0, 1)])
    # of three in a row the first or the last may get all words, but X is two operands of the second: if the first is kept,
    # the second has 1/2 besides, and is no end of the row; if the last is, 1
    row = "X[i,k] += A[i,l] B[l,k]; Z[i,j] += X[i,k] X[k,j]; W[i,m] += Z[i,j] D[j,m]"
    first, second, last = (found[0] for found in einsum_bounds(row).terms)
    assert [_may_be_added(two) for two in ([first, second], [second, last], [first, last])] == [False, True, True]
    assert not _may_be_added([first, second, last])


def test_a_sum_through_a_word_that_is_never_stored_needs_no_recomputation() -> None:
    """With recomputation only the trivial bound is claimed: for k = 1, A B is made anew from i + j words at any time."""
    bounds = einsum_bounds(TWO)
    sizes = {"i": 500, "k": 1, "j": 500, "l": 500}
    assert bounds.greatest(bounds.sizes(sizes, 100))[0] is bounds.trivial
    derived, words = bounds.greatest(bounds.sizes(sizes, 100, "no recomputation"))
    assert derived.bound.requires == {"no recomputation"}
    assert words > bounds.trivial.bound.words(bounds.sizes(sizes, 100))


# Sizes


def test_trivial_words_by_hand() -> None:
    """SYRK: A and the triangle with its diagonal; TRMM: what is below the diagonal; 2mm: not what is between."""

    def trivial(text: str, **sizes: int) -> int:
        bounds = einsum_bounds(text)
        return bounds.trivial.bound.words(bounds.sizes(sizes, 10))

    assert trivial(SYRK, i=5, k=3) == 15 + 15
    assert trivial(SYR2K, i=5, k=3) == 15 + 15 + 15
    assert trivial(TRMM, k=5, j=2) == 10 + 4 * 2 + 4 * 2
    assert trivial(TWO, i=2, k=3, j=5, l=7) == 6 + 15 + 35 + 14


def test_sizes_must_fit() -> None:
    """One size for each axis: none missing, none unknown, equal where letters index the same axis."""
    bounds: EinsumBounds = einsum_bounds(SYRK)
    assert bounds.sizes({"j": 5, "k": 3}, 9).sizes == {"i": 5, "k": 3, "M": 9}
    for wrong, message in (
        ({"i": 5}, "no size of k"),
        ({"i": 5, "j": 6, "k": 3}, "allowed: one number from 1 for all of i, j"),
        ({"i": 5, "k": 3, "z": 1}, "no such letter; allowed: i, k, j"),
        ({"i": 0, "k": 3}, "from 1"),
    ):
        with pytest.raises(UsageError, match=message):
            bounds.sizes(wrong, 9)
    with pytest.raises(UsageError, match=r"M = 1 words: .* uses 2 at once; allowed: at least 2w"):
        bounds.sizes({"i": 5, "k": 3}, 1)
    with pytest.raises(UsageError, match="below a size of 2"):
        einsum_bounds(TRMM).sizes({"k": 1, "j": 3}, 9)
    with pytest.raises(UsageError, match=r"^--einsum"):
        einsum_bounds("ik,kj", where="--einsum")
    assert einsum_bounds(MATMUL).sizes({"i": 3, "k": 3, "j": 3}, 2).sizes["M"] == 2  # a word of A and one of B
    assert einsum_bounds(TRMM).sizes({"k": 2, "j": 3}, 9).sizes == {"k": 2, "j": 3, "M": 9}


def test_fewer_points_than_none_are_no_points() -> None:
    """Where all letters are 1, A and C have one word each: 2 words are moved, in a fast memory of 5 words.

    Of the one point 12 coincident ones are taken off, -11 are counted: they are not as many as M words can hold, though
    (-11)^2 is.
    """
    bounds = einsum_bounds("C[j,i] += A[j,k] A[j,i] A[l,k] A[l,j]")
    assert bounds.greatest(bounds.sizes({"j": 1}, 5))[1] == 2
