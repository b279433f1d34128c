"""The points of a statement, what they touch, and which of them are the same product: what a segment argument counts.

Where two operands are the same array, two points may have the same product: in C[i,j] += A[i,k] A[j,k] the points
(i,j,k) and (j,i,k) do. A schedule may form it once, and C[i,j] and C[j,i] are one value. So

    * points are counted up to the symmetries, permutations of the letters that map the operands to themselves;
    * points whose product coincides with another one for another reason (two letters are equal) are not counted;
    * a set E of points, one of each symmetric family, touches as many words of the operands as all its images together,
      which are |G| times as many points; words of the result stand for as many index tuples as are identified.

The last is the symmetric Loomis-Whitney inequality for syrk. Source: Beaumont, Eyraud-Dubois, Verite and Langou, SPAA 2022,
arXiv 2202.10217; Al Daas, Ballard, Grigori, Kumar, Rouse and Verite, arXiv 2409.11304. The proof here is the sentence above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from math import factorial, prod
from typing import Any

from iosim.bounds.bound import Letters
from iosim.bounds.statements import Access, Einsum, Statement

Map = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The points of a statement that are counted.

    Attributes:
        statement: whose points they are.
        size_of: the letter that names the size of a letter.
        group: the symmetries, without the identity.
        coincident: each a partition of the letters; points whose letters are equal within its classes are not counted.
        families: by how much the points are divided, since one of each family is counted.
        images: how many disjoint images a set of counted points has that touch the same words of the operands.
        copies: index tuples of the result that one of its words may stand for.
        shared: the results, if the same product belongs to different ones; then no segment argument is made.
    """

    statement: Statement
    size_of: Map
    group: tuple[Map, ...]
    coincident: tuple[tuple[frozenset[str], ...], ...]
    families: int
    images: int
    copies: int
    shared: bool

    def count(self, x: Letters, *, leading: bool = False) -> Any:
        """How many points are counted, at least; with `leading`, only its term of highest degree."""
        every = self._every(x, leading=leading)
        if not leading:
            for classes in self.coincident:
                every = every - prod(x[self.size_of[min(c)]] for c in classes)
        return every / self.families

    def _every(self, x: Letters, *, leading: bool) -> Any:
        chains = self.statement.chains
        free = [letter for letter in self.statement.letters if not any(letter in chain for chain in chains)]
        every = prod((x[self.size_of[letter]] for letter in free), start=x.number(Fraction(1)))
        for chain in chains:
            every = every * _choose(x[self.size_of[chain[0]]], len(chain), leading=leading)
        return every


def points(einsum: Einsum, statement: Statement) -> Points:
    """What can be counted of a statement."""
    group, merged = [], []
    for source in _matchings(statement.inputs):
        classes = _merged(statement, source)
        if all(len(c) == 1 for c in classes):
            symmetry = {letter: min(found) for letter, found in source.items()}
            if all(a == b for a, b in symmetry.items()) or symmetry in group:
                continue
            group.append(symmetry)
            classes = _classes(statement.letters, ((a, b) for a, b in symmetry.items()))
        if not any(len(c & set(chain)) > 1 for c in classes for chain in statement.chains):
            merged.append(classes)
    output = statement.output
    kept = all({g[letter] for letter in output.letters} == set(output.letters) for g in group)
    orbit = {tuple(g[letter] for letter in output.letters) for g in group} | {output.letters}
    families, images = _families(statement, group)
    return Points(
        statement=statement,
        size_of=einsum.size_of,
        group=tuple(group),
        coincident=tuple(dict.fromkeys(merged)),
        families=families,
        images=images,
        copies=factorial(len(output.letters)) if output.unordered else len(orbit),
        shared=not kept,
    )


def _matchings(inputs: Sequence[Access]) -> Iterator[dict[str, set[str]]]:
    """For each way to match the operands with operands of the same array: the letters of the first point that each letter of
    the second must equal."""
    places: dict[str, list[int]] = {}
    for place, access in enumerate(inputs):
        places.setdefault(access.array, []).append(place)
    for chosen in product(*(permutations(group) for group in places.values())):
        pairs = [
            pair for group, to in zip(places.values(), chosen, strict=True) for pair in zip(group, to, strict=True)
        ]
        source: dict[str, set[str]] = {}
        for a, b in pairs:
            for letter, other in zip(inputs[a].letters, inputs[b].letters, strict=True):
                source.setdefault(letter, set()).add(other)
        yield source


def _merged(statement: Statement, source: Mapping[str, set[str]]) -> tuple[frozenset[str], ...]:
    """The letters that must be equal for the matching to be possible."""
    return _classes(statement.letters, ((a, b) for found in source.values() for a in found for b in found))


def _classes(letters: Sequence[str], pairs: Iterator[tuple[str, str]]) -> tuple[frozenset[str], ...]:
    classes = {letter: frozenset({letter}) for letter in letters}
    for a, b in pairs:
        joined = classes[a] | classes[b]
        classes.update(dict.fromkeys(joined, joined))
    return tuple(dict.fromkeys(classes.values()))


def _families(statement: Statement, group: Sequence[Map]) -> tuple[int, int]:
    """By how much the points are divided, and how many images a set of them has."""
    order = len(group) + 1
    below = {(a, b) for chain in statement.chains for i, a in enumerate(chain) for b in chain[i + 1 :]}
    images = [{(g[a], g[b]) for a, b in below} for g in group]
    if all(_cyclic(below | image) for image in images):
        return 1, order  # every image of the domain is disjoint from it
    if all(image == below for image in images):
        return order, order
    return order, 1


def _cyclic(below: set[tuple[str, str]]) -> bool:
    """Whether these inequalities contradict each other."""
    while below:
        least = {a for a, _ in below} - {b for _, b in below}
        if not least:
            return True
        below = {(a, b) for a, b in below if a not in least}
    return False


def words_touched(einsum: Einsum, array: str, x: Letters, *, at_most: bool = False) -> Any:
    """How many words of an array are used or made, at least; or how many a schedule can make of a result, `at_most`."""
    found = [
        (len(set(access.letters)), -sum(map(len, statement.chains)), number, access, statement)
        for number, statement in enumerate(einsum.statements)
        for access in (*statement.inputs, statement.output)
        if access.array == array
    ]
    *_, access, statement = max(found, key=lambda f: f[:2])
    if access is statement.output:
        return _results(einsum, statement, x, at_most=at_most)
    return _tuples(einsum, statement, access, x)


def _tuples(einsum: Einsum, statement: Statement, access: Access, x: Letters) -> Any:
    """Index tuples of an access."""
    letters = set(access.letters)
    every = x.number(Fraction(1))
    for chain in statement.chains:
        here = len(letters & set(chain))
        # a letter of the chain that is not here takes one value from between
        every = every * _choose(x[einsum.size_of[chain[0]]] - (len(chain) - here), here)
        letters -= set(chain)
    return prod((x[einsum.size_of[letter]] for letter in sorted(letters)), start=every)


def _results(einsum: Einsum, statement: Statement, x: Letters, *, at_most: bool) -> Any:
    """Index tuples of the result, those of one word once, as far as is known: no more, or with `at_most` no fewer.

    What a schedule has to make of words that are equal is one; it may make them all.
    """
    own = points(einsum, statement)
    letters = statement.output.letters
    every = _tuples(einsum, statement, statement.output, x)
    ordered = any(set(letters) <= set(chain) for chain in statement.chains)
    if ordered or (at_most and (statement.chains or not statement.output.unordered)):
        return every
    if statement.output.unordered:
        maps: list[Map] = [dict(zip(letters, p, strict=True)) for p in permutations(letters)]
    else:
        seen = dict.fromkeys(tuple(g[letter] for letter in letters) for g in own.group)
        maps = [dict(zip(letters, letters, strict=True))]
        maps += [dict(zip(letters, p, strict=True)) for p in seen if p != letters]
    if own.shared or (own.families == 1 and not statement.output.unordered):
        return every  # no two points have the same result for the same reason
    if statement.chains:
        return every / own.copies
    # Burnside: the mean number of tuples that a permutation leaves as they are
    fixed = (_classes(letters, iter(m.items())) for m in maps)
    one = x.number(Fraction(1))
    return sum(prod((x[einsum.size_of[min(c)]] for c in classes), start=one) for classes in fixed) / len(maps)


def _choose(n: Any, k: int, *, leading: bool = False) -> Any:
    """Binomial coefficient, as a polynomial."""
    return prod((n - (0 if leading else i) for i in range(k)), start=n**0) / factorial(k)
