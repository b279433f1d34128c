"""What the einsum bounds rest on: the notation, covers, points up to symmetry, and how many of them a segment holds."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iosim.bounds.bound import Letters, symbols
from iosim.bounds.covers import covers
from iosim.bounds.einsum import Term, _may_be_added, einsum_bounds
from iosim.bounds.points import points, words_touched
from iosim.bounds.statements import parse
from iosim.errors import UsageError

SYRK = "C[i,j] += A[i,k] A[j,k]"
TWO = "ik,kj->ij; ij,jl->il"
THREE = "E[i,j] += A[i,k] B[k,j]; F[j,l] += C[j,m] D[m,l]; G[i,l] += E[i,j] F[j,l]"

Word = tuple[str, tuple[int, ...]]  # the array and the index


# Never fewer points than a set has


STATEMENTS = [
    "ik,kj->ij",
    SYRK,
    "C{i,j} += A[i,k] B[j,k]",
    "X[i,j] += A[k,i] B[k,j] where i < k",
    "C[i,j] += A[i,k] A[j,k] where i < j",
    "C[i,j] += A[i,k] A[k,j]",
    "C[i,j,k] += A[i,l] A[j,l] A[k,l]",
    "C[] += A[i,k] A[j,k]",
    "ijk,jl,kl->il",
    "ij,jk,kl,li->",
    "i,j->ij",
    TWO,
    THREE,
    "C[i,j] += A[i,k] B[k,j]; E[i,l] += A[i,k] D[k,l]",
]


def capacity(term: Term, X: int, n: int) -> float:
    """The most points that a set with X touched words can have, according to the term."""
    length = Fraction(1)
    sizes = dict.fromkeys(term.points.size_of.values(), float(n)) | {"M": X / 2}
    x = Letters(sizes, float, lambda v, degree: v ** (1 / degree))
    return float(X / 2 * term.points.count(x) / term.words(x, length))


def family(term: Term, point: dict[str, int]) -> frozenset[Word]:
    """The product at a point: its words, with their number."""
    words = [(a.array, tuple(point[letter] for letter in a.letters)) for a in term.points.statement.inputs]
    return frozenset((f"{array} {words.count((array, index))}", index) for array, index in words)


def touched(term: Term, point: dict[str, int]) -> Iterator[Word]:
    """The words that a point uses: those of the result that are one, once."""
    statement = term.points.statement
    for access in statement.inputs:
        yield access.array, tuple(point[letter] for letter in access.letters)
    index = tuple(point[letter] for letter in statement.output.letters)
    images = [tuple(point[g[letter]] for letter in statement.output.letters) for g in term.points.group]
    one = sorted(index) if statement.output.unordered else min([index, *images])
    yield statement.output.array, tuple(one)


def counted(term: Term, values: dict[str, list[int]], holes: int = 0) -> list[dict[str, int]]:
    """The points of a box that are counted, one of each family; with `holes`, without every (holes + 2)th."""
    statement = term.points.statement
    found: dict[object, dict[str, int]] = {}
    for number, chosen in enumerate(product(*values.values())):
        point = dict(zip(values, chosen, strict=True))
        ordered = all(point[a] < point[b] for chain in statement.chains for a, b in pairwise(chain))
        merged = any(
            all(len({point[letter] for letter in c}) == 1 for c in classes) for classes in term.points.coincident
        )
        if ordered and not merged and not (holes and number % (holes + 2) == 1):
            found.setdefault(family(term, point), point)
    return list(found.values())


def drawn(term: Term, n: int, data: st.DataObject) -> list[dict[str, int]]:
    """Points of a random box with holes."""
    letters = term.points.statement.letters
    values = {letter: sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))) for letter in letters}
    return counted(term, values, data.draw(st.integers(0, 3)))


@pytest.mark.parametrize("text", STATEMENTS)
def test_no_box_is_larger_than_a_segment_is_said_to_hold(text: str) -> None:
    """Every box {0, ..., a-1} x {0, ..., b-1} x ... with sides up to 4."""
    for terms in einsum_bounds(text).terms:
        for sides in product(range(1, 5), repeat=len(terms[0].points.statement.letters)):
            box = zip(terms[0].points.statement.letters, sides, strict=True)
            chosen = counted(terms[0], {letter: list(range(side)) for letter, side in box})
            X = len({word for point in chosen for word in touched(terms[0], point)})
            assert X == 0 or all(len(chosen) <= capacity(term, X, 4) * (1 + 1e-12) for term in terms)


@pytest.mark.parametrize("text", STATEMENTS)
@given(data=st.data())
@settings(max_examples=40)
def test_no_set_of_points_is_larger_than_a_segment_is_said_to_hold(text: str, data: st.DataObject) -> None:
    """Random boxes with holes, for every cover: at most V(X) points for the X words that they touch."""
    n = 4
    for terms in einsum_bounds(text).terms:
        chosen = drawn(terms[0], n, data)
        assume(chosen)
        X = len({word for point in chosen for word in touched(terms[0], point)})
        for term in terms:
            assert len(chosen) <= capacity(term, X, n) * (1 + 1e-12)


@pytest.mark.parametrize("text", [TWO, THREE, STATEMENTS[-1]])
@given(data=st.data())
@settings(max_examples=40)
def test_segments_do_not_gain_from_several_statements(text: str, data: st.DataObject) -> None:
    """Where bounds are added, the fractions points_q/V_q(X) of sets that share their words sum to at most one."""
    n, terms = 3, [found[0] for found in einsum_bounds(text).terms]
    assert _may_be_added(terms)
    chosen = [drawn(term, n, data) for term in terms]
    X = len(
        {word for term, found in zip(terms, chosen, strict=True) for point in found for word in touched(term, point)}
    )
    assume(X)
    share = sum(len(found) / capacity(term, X, n) for term, found in zip(terms, chosen, strict=True))
    assert share <= 1 + 1e-12


# Never more than a cache does


def uses(text: str, n: int, order: list[int], tile: int) -> list[list[Word]]:
    """The words that each point uses, the result last, statement by statement; points in tiles, their loops permuted."""
    found = []
    for terms in einsum_bounds(text).terms:
        letters = terms[0].points.statement.letters
        outer = sorted(range(len(letters)), key=lambda place: order[place % len(order)])

        def key(point: dict[str, int], letters=letters, outer=outer) -> list[int]:  # type: ignore[no-untyped-def]
            return [point[letters[p]] // tile for p in outer] + [point[letters[p]] for p in outer]

        for point in sorted(counted(terms[0], {letter: list(range(n)) for letter in letters}), key=key):
            found.append(list(touched(terms[0], point)))
    return found


def moved(trace: list[list[Word]], M: int, results: tuple[str, ...], read: tuple[str, ...]) -> int:
    """Loads and stores of a cache of M words that evicts the word which is used last: results are created, stored when they
    are evicted, and loaded when they are used again; at the end those that no statement reads are stored."""
    later: dict[Word, list[int]] = {}
    for time, words in reversed(list(enumerate(trace))):
        for word in words:
            later.setdefault(word, []).append(time)
    dirty: dict[Word, bool] = {}
    stored, traffic = set(), 0

    def leave(word: Word) -> int:
        needed = bool(later[word]) or word[0] not in read
        if dirty.pop(word) and needed:
            stored.add(word)
            return 1
        return 0

    for time, words in enumerate(trace):
        for word in words:
            while later[word] and later[word][-1] <= time:
                later[word].pop()
        for word in words:
            if word not in dirty:
                if len(dirty) >= M:
                    rest = [w for w in dirty if w not in words]
                    traffic += leave(max(rest, key=lambda w: later[w][-1] if later[w] else len(trace)))
                traffic += word[0] not in results or word in stored
                dirty[word] = False
        dirty[words[-1]] = True
    return traffic + sum(leave(word) for word in list(dirty))


@pytest.mark.parametrize("text", STATEMENTS)
@given(n=st.integers(2, 6), M=st.integers(5, 30), tile=st.integers(1, 4), order=st.permutations([0, 1, 2, 3]))
@settings(max_examples=25, deadline=None)
def test_no_more_than_a_cache_moves(text: str, n: int, M: int, tile: int, order: list[int]) -> None:
    """Points in tiled loops of any order, once each, through a cache: at least the bound of the counted points' words.

    The trivial bound is about all points, of which those that coincide are not in the trace; the others are.
    """
    bounds = einsum_bounds(text)
    sizes = bounds.sizes(dict.fromkeys(bounds.einsum.sizes, n), M, "no recomputation")
    trace = uses(text, n, order, tile)
    words = moved(trace, M, bounds.einsum.produced, bounds.einsum.intermediates)
    for derived in bounds.segments:
        if derived.bound.applies(sizes):
            assert derived.bound.words(sizes) <= words


# Points


def test_points_up_to_symmetry() -> None:
    """SYRK: n(n-1)/2 pairs; A A: off the points where a product coincides; cubes of rows: six of a kind."""
    x = symbols("ikl")
    i, k, l = x.i, x.k, x.l
    counts = {
        SYRK: (i**2 * k - i * k) / 2,
        "C[i,j] += A[i,k] A[k,j]": i**3 - i**2,  # A_ik A_ki is in C_ii and in C_kk
        # less the planes i = j, i = k, j = k, which two letters' exchange leaves, and i = j = k for the rotations
        "C[i,j,k] += A[i,l] A[j,l] A[k,l]": (i**3 * l - 3 * i**2 * l - i * l) / 6,
    }
    for text, expected in counts.items():
        einsum = parse(text)
        assert sympy.expand(points(einsum, einsum.statements[0]).count(x) - expected) == 0
    own = points(parse("C[i] += A[i,k] A[j,k]"), parse("C[i] += A[i,k] A[j,k]").statements[0])
    assert own.shared  # A_ik A_jk belongs to C_i and to C_j: no claim is made
    assert not any(einsum_bounds("C[i] += A[i,k] A[j,k]").terms)


# How many points are a family, how many images a set of counted points has, and how many index tuples a word of the result
# stands for; the counted points with sizes n = 7 and k = l = 3.
FAMILIES = {
    "C[i,j] += A[i,k] B[j,k]": (1, 1, 1, 147),
    "C[i,j] += A[i] A[j]": (2, 2, 2, Fraction(49 - 7, 2)),
    SYRK: (2, 2, 2, Fraction(147 - 21, 2)),
    # the words of B are exchanged too, which makes no other points
    "C[i,j] += A[i,k] A[j,k] B[k] B[k]": (2, 2, 2, Fraction(147 - 21, 2)),
    # l and m are exchanged as well, and both; less i = j, l = m, and both
    "C[i,j] += A[i,k] A[j,k] B[l] B[m]": (4, 4, 2, Fraction(147 * 9 - 21 * 9 - 147 * 3 - 21 * 3, 4)),
    # one of each pair is in the domain: all are counted, and the image of a set is disjoint from it
    "C[i,j] += A[i,k] A[j,k] where i < j": (1, 2, 2, 21 * 3),
    # the domain is its own image: 3 pairs k < l; those with i = j are left out as if all k and l were in it
    "C[i,j] += A[i,k,l] A[j,k,l] where k < l": (2, 2, 2, Fraction(49 * 3 - 7 * 9, 2)),
    # an image is in the domain if j < k too: no image is counted; i = j is left out as if all k were in it
    "C[i,j] += A[i,k] A[j,k] where i < k": (2, 1, 2, Fraction(21 * 7 - 49, 2)),
    # p and q are exchanged in the domain, i and j out of it, the others in part
    "C[i,j,p,q] += A[i] A[j] A[p] A[q] where i < j": (24, 1, 24, None),
    "C[i,j,k] += A[i,l] A[j,l] A[k,l] where i < j < k": (1, 6, 6, 35 * 3),  # C(7, 3) 3
}


@pytest.mark.parametrize("text", FAMILIES)
def test_families_images_and_copies(text: str) -> None:
    """By hand, where the points that are computed are all, a half of each pair, closed under the symmetry, or neither."""
    einsum = parse(text)
    own = points(einsum, einsum.statements[0])
    *numbers, count = FAMILIES[text]
    assert [own.families, own.images, own.copies] == numbers
    sizes = {letter: 3 if letter in "kl" and einsum.size_of["i"] != letter else 7 for letter in einsum.sizes}
    if count is not None:
        assert own.count(Letters(sizes, Fraction, lambda v, _: v)) == count


# Words of an array that are used or made, with sizes n = 7 of i and 3 of k or l where that is another one.
WORDS = {
    (SYRK, "A"): 21,
    (SYRK, "C"): 28,  # 7 8/2
    ("C{i,j} += A[i,k] B[j,k]", "C"): 28,
    ("C[i,j] += A[i,k] A[j,k] B[l] B[m]", "C"): 28,
    ("C[i] += A[i,k] A[j,k]", "C"): 7,
    ("C[i,j] += A[i,k] A[j,k] where i < j", "C"): 21,  # 7 6/2
    ("C[i,j] += A[i,k] A[j,k] where i < j", "A"): 6 * 3,  # there is a j for all i but the last
    ("C{i,j} += A[i,k] B[j,k] where i < j", "C"): 21,  # one index tuple for a word
    ("C[i,j] += A[i,k] B[j] where i < j", "C"): 21,
    ("C[i] += A[i,k,l] B[i] where k < l", "A"): 21,
    ("C[i] += A[i,k,l] B[i] where k < l", "B"): 7,
    # as it is made, which comes first, not as it is read
    ("C{i,j} += A[i,k] B[j,k]; E[i,l] += C[i,j] D[j,l]", "C"): 28,
    # all of it in the second statement, half of it in the first
    ("X[i,j] += A[k,i] B[k,j] where i < k; Y[i,j] += A[k,i] D[k,j]", "A"): 49,
    ("Y[i,j] += A[k,i] D[k,j]; X[i,j] += A[k,i] B[k,j] where i < k", "A"): 49,
    # the access with the most letters: A[i,k] is 49 words where A[i,i] is 7
    ("C[i] += A[i,i] B[i]; D[i] += A[i,k]", "A"): 49,
}


@pytest.mark.parametrize(("text", "array"), WORDS)
def test_words_of_an_array(text: str, array: str) -> None:
    """By hand: every index tuple that some access has, those of one word once."""
    einsum = parse(text)
    sizes = {letter: 7 if letter == einsum.size_of["i"] else 3 for letter in einsum.sizes}
    assert words_touched(einsum, array, Letters(sizes, Fraction, lambda v, _: v)) == WORDS[text, array]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ij,jk,kl,li->", 4 * 2**80 + 1),  # four matrices and a word
        ("C[] += A[i,k] A[j,k]", 2**80 + 1),
        # A for each i and each k < l; B and C for each i: an access that has no letter of the chain
        ("C[i] += A[i,k,l] B[i] where k < l", 2**40 * (2**40 * (2**40 - 1) // 2) + 2 * 2**40),
    ],
)
def test_words_are_whole_at_any_size(text: str, words: int) -> None:
    """At sizes of 2^40 each word counts: no number on the way is a float."""
    bounds = einsum_bounds(text)
    assert bounds.trivial.bound.words(bounds.sizes(dict.fromkeys(bounds.einsum.sizes, 2**40), 10)) == words


@pytest.mark.parametrize(
    "text", [*dict.fromkeys(text for text, _ in WORDS), "C{i,j} += A[i] B[j,k] where i < k", "C{i,j,k} += A[i,j] B[k]"]
)
def test_a_result_has_no_more_words_than_are_said_at_most(text: str) -> None:
    """All words that points have as their result, by listing the points at sizes of 4: those, or fewer, are made."""
    einsum = parse(text)
    made: dict[str, set[tuple[int, ...]]] = {}
    for statement in einsum.statements:
        for chosen in product(range(4), repeat=len(statement.letters)):
            point = dict(zip(statement.letters, chosen, strict=True))
            if all(point[a] < point[b] for chain in statement.chains for a, b in pairwise(chain)):
                word = tuple(point[letter] for letter in statement.output.letters)
                ordered = tuple(sorted(word)) if statement.output.unordered else word
                made.setdefault(statement.output.array, set()).add(ordered)
    sizes = Letters(dict.fromkeys(einsum.sizes, 4), Fraction, lambda v, _: v)
    for array, words in made.items():
        assert words_touched(einsum, array, sizes, at_most=True) >= len(words)
        assert words_touched(einsum, array, sizes) <= len(words)


@pytest.mark.parametrize("text", STATEMENTS)
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_counted_points_are_no_more_than_there_are(text: str, n: int) -> None:
    """The count is at most the number of different products, found by listing them all."""
    for term in (terms[0] for terms in einsum_bounds(text).terms):
        statement = term.points.statement
        seen = set()
        for chosen in product(range(n), repeat=len(statement.letters)):
            point = dict(zip(statement.letters, chosen, strict=True))
            if all(point[a] < point[b] for chain in statement.chains for a, b in pairwise(chain)):
                seen.add(family(term, point))
        sizes = Letters(dict.fromkeys(term.points.size_of.values(), n), Fraction, lambda v, _: v)
        assert term.points.count(sizes) <= len(seen)


# Covers and notation


@given(st.lists(st.text("ijkl", min_size=1, max_size=3), min_size=1, max_size=4))
@settings(max_examples=60)
def test_covers_cover(accesses: list[str]) -> None:
    """Every letter has exponents of at least one, or is counted as a whole; none is negative."""
    letters = sorted(set("".join(accesses)))
    found = covers(letters, accesses)
    assert found
    for cover in found:
        assert all(s >= 0 for s in cover.exponents)
        for letter in letters:
            total = sum(s for a, s in zip(accesses, cover.exponents, strict=True) if letter in a)
            assert total >= 1 or letter in cover.whole


def test_a_mean_of_covers_can_say_more_than_each() -> None:
    """A ring of four: (1,0,1,0) and (0,1,0,1) give X^2/4 points, their mean X^2/16."""
    found = einsum_bounds("ij,jk,kl,li->").terms[0]
    most = {term.cover.exponents[:4]: capacity(term, 100, 10) for term in found}
    half = Fraction(1, 2)
    assert most[half, half, half, half] == pytest.approx(most[1, 0, 1, 0] / 4)  # type: ignore[index]


def test_both_notations_mean_the_same() -> None:
    """Positional statements chain through their first operand."""
    named = "C[i,j] = A[i,k] * B[k,j]; C[i,j], D[j,l] -> E[i,l]"
    assert parse(TWO) == parse(named)
    assert parse(str(parse(THREE))) == parse(THREE)
    assert parse("C{i,j} += A[i,k] B[j,k]").statements[0].output.unordered
    # words without an order are of a square; a size is called like the first letter that has it
    assert parse("C{i,j} += A[i,k] B[j,k]").sizes == ("i", "k")
    assert parse("C[i,j] += A[i,k] B[j,k]").sizes == ("i", "k", "j")
    assert parse("C[z,a] += A[z,k] A[a,k]").sizes == ("z", "k")


BAD = {
    "": "an empty statement",
    "ik,kj->ij; ": "an empty statement",
    "A[" + "i" * 2000 + "] -> B[]": "2,010 characters; allowed: 2,000",
    "ik,kj": "can't read 'ik,kj'",
    "ik,kj->iz": "z of the result C[i,z] is in no operand; allowed: i, k, j",
    "ik,kj->ij; ijl,l->i": "begins with 3 letters; allowed: 2",
    "C[i,j] += C[i,k] B[k,j]": "C[i,k] is read before it is there",
    "C[i] += A[i]; C[i] += B[i]": "C is the result of two statements; allowed: one",
    "C[i] += A[i]; D[i] += A[i,i]": "A has 1 axes and 2",
    "C[i] += A[i,M]": "M is the fast memory",
    "C[i] += A[i] + B[i]": "can't read '+'",
    "C[i] += A{i}": "braces in an operand",
    "C[i] += A[i,j] where i <= j": "can't read the condition 'i <= j'; allowed: i < k",
    "C[i] += A[i,j] where i": "can't read the condition 'i'",
    "C[i] += A[i,j] where i < z": "a letter of the conditions",
    "C[i,i] += A[i]": "repeats a letter",
    "abcdefgh->a": "allowed: 7 letters",
    "a->a;a->a;a->a;a->a;a->a;a->a": "6 statements; allowed: at most 5",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:60])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """The error quotes the text and says what is allowed."""
    with pytest.raises(UsageError) as caught:
        parse(text, where="--einsum")
    assert BAD[text] in str(caught.value)
    assert str(caught.value).startswith("--einsum ")
