"""Lower bounds for the traffic of einsum-like statements, derived with their constants by the segment argument.

They hold for every schedule of the two-level machine that forms each elementary product of a statement (each point) from
its operands in fast memory, and adds products up into partial sums of the results, in any order and tree; partial sums
may be stored and loaded. A product of more than two operands counts as one operation. Recomputation is allowed where
only inputs are read and every result is stored; else the bound requires "no recomputation", and says so.

The derivation (`Derived.steps` has it for each bound, in numbers):

1.  Moves: loads, and creations of words of a result after none of its words was in fast memory. Each such creation is
    followed by a store of that word or of a sum with it, so moves <= traffic. A result that is only read by another
    statement need not be stored: there a creation may be free, once for each word (no recomputation), which is
    subtracted.
2.  Cut the schedule where the moves exceed X = M + F, X + F, X + 2F, ... A segment touches at most X words: those that
    are there when it begins (none in the first) and those that it moves. The move that exceeds counts to what is there
    when the next segment begins, so that F need not be whole.
3.  A segment that touches x_A words of each array A has at most V = c * product of x_A^S_A points (`covers`, `points`),
    where S_A is the sum of the exponents of the accesses to A: accesses to one array share its words.
4.  Over all splits of X words among the arrays, V <= c * product of (S_A X/sigma)^S_A, sigma = sum of S_A.
5.  The first h - 1 of h segments have at most V points each. The last one, if it touches Y words, has at most V (Y/X)^sigma,
    and the moves are at least (h - 1) F + Y. What is convex lies below its chord: (Y/X)^sigma <= (M/X)^sigma + (Y - M)/F for
    Y from M to X. So if Y >= M, traffic >= F points/V + M - F (M/X)^sigma. Y is at least M if h > 1; a single segment with
    Y < M has fewer points than M words can hold, so it is required that there are as many. The best F is M/(sigma - 1). What
    is added, M (1 - (sigma - 1)^(sigma - 1)/sigma^sigma) then, is rounded down to twentieths of M.
6.  Several statements: the sum of points_q/V_q takes the place of points/V, and the least sigma that of sigma, if no segment
    can do better than one statement alone could (`_may_be_added`); otherwise the greatest of the single bounds is all that
    is claimed.

Source: the argument is Hong and Kung's (1981); F independent of M as in Smith, Lowery, Langou and van de Geijn,
arXiv 1702.02017; covers and the best segment for programs as in Olivry et al., PLDI 2020 (IOLB) and Kwasniewski et al.,
SPAA 2021 (SOAP).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import combinations, islice
from math import lcm, prod
from typing import Any

from iosim.bounds.bound import Bound, Condition, Formula, Letters, Property, Sizes, floats
from iosim.bounds.covers import Cover, covers
from iosim.bounds.points import Points, points, words_touched
from iosim.bounds.statements import Einsum, parse
from iosim.errors import UsageError

_SOURCE = "derived here (iosim.bounds.einsum)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What one statement contributes: its points, and how many of them fit in a segment.

    Attributes:
        number: of the statement, from 0.
        points: the points that are counted.
        cover: exponents of the accesses, operands first, the result last.
        shares: for each array with a positive exponent, the sum of the exponents of its accesses (S_A).
    """

    number: int
    points: Points
    cover: Cover
    shares: Mapping[str, Fraction]

    @property
    def sigma(self) -> Fraction:
        return self.cover.sigma

    def words(self, x: Letters, length: Fraction, *, leading: bool = False) -> Any:
        """F points/V for F = length * M. Units: words."""
        sigma = self.sigma
        outside = self._outside(x, leading=leading) * x.number(length)
        inner = self._inner(1 + length)
        # M / M^sigma is M^(1 - floor(sigma)) outside of the root, and the rest inside
        left = (sigma - int(sigma)) * self._degree
        return outside * x.M ** (1 - int(sigma)) * x.root(x.number(1 / inner) / x.M ** int(left), self._degree)

    def more_than_fit(self, x: Letters) -> tuple[Condition, ...]:
        """That there are as many points as M words can hold, or more."""
        held = x.number(self._inner(Fraction(1))) * x.M ** int(self.sigma * self._degree)
        outside = self._outside(x)
        # where coincident points are taken off, they may be more than all, and an even power knows no sign
        return ((outside**self._degree, held), *(((outside, 0),) if self.points.coincident else ()))

    @property
    def _degree(self) -> int:
        """A power of V that has no root."""
        return lcm(self.sigma.denominator, *(s.denominator for s in self.cover.exponents))

    def _outside(self, x: Letters, *, leading: bool = False) -> Any:
        """The points, over those factors of V that have no root: product of N_i (whole letters) / images."""
        p = self.points
        whole = prod(x[p.size_of[letter]] for letter in self.cover.whole)
        return p.count(x, leading=leading) * p.images / whole

    def _inner(self, words: Fraction) -> Fraction:
        """The other factors of V for `words` * M words, without M^sigma: copies^s_out * product of (S_A words/sigma)^S_A; to
        the power of `_degree`."""
        power = partial(_power, degree=self._degree)
        inner = power(Fraction(self.points.copies), self.cover.exponents[-1])
        for share in self.shares.values():
            inner *= power(share * words / self.sigma, share)
        return inner


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A bound with its derivation.

    Attributes:
        bound: the statement.
        results: the arrays that the statements it is about produce; none for the trivial bound.
        leading: its leading term for many points.
        steps: how it follows, for people.
    """

    bound: Bound
    results: tuple[str, ...]
    leading: Formula
    steps: tuple[str, ...]


@dataclass(frozen=True)
class EinsumBounds:
    """Everything that is derived of an einsum.

    Attributes:
        einsum: what is computed.
    """

    einsum: Einsum

    @cached_property
    def terms(self) -> tuple[tuple[Term, ...], ...]:
        """For each statement, one term for each cover of a sum above 1; a sum of 1 says no more than the trivial bound."""
        return tuple(tuple(_terms(self.einsum, number)) for number in range(len(self.einsum.statements)))

    @cached_property
    def trivial(self) -> Derived:
        """Every input is loaded, every result that no statement reads is stored."""
        einsum = self.einsum
        arrays = dict.fromkeys(a.array for s in einsum.statements for a in (*s.inputs, s.output))
        moved = [array for array in arrays if array not in einsum.intermediates]

        def formula(x: Letters) -> Any:
            return sum(words_touched(einsum, array, x) for array in moved)

        step = f"each word of {', '.join(moved)} is moved at least once; points that use no other words of them are ignored"
        bound = self._bound("inputs_are_loaded_and_results_stored", formula, frozenset())
        return Derived(bound=bound, results=(), leading=formula, steps=(step,))

    @cached_property
    def segments(self) -> tuple[Derived, ...]:
        """The bounds of the segment argument, each with its best F: sums of all statements that may be added first, then
        single ones, every cover."""
        found = []
        for chosen in [*_sums([terms[0] for terms in self.terms if terms]), *self._single]:
            for length in _lengths(chosen):
                found.append(self._derive(chosen, length))
        return tuple(found)

    def greatest(self, sizes: Sizes) -> tuple[Derived, int]:
        """The bound, of all covers and sums, that says the most, and what it says.

        Units: words.
        """
        best = self.trivial, self.trivial.bound.words(sizes)
        letters = floats(sizes.sizes)
        candidates = []
        for length in sorted({length for terms in self.terms for length in _lengths(terms)}):
            strongest = [max(terms, key=lambda t: t.words(letters, length)) for terms in self.terms if terms]
            for chosen in [*_sums(strongest), *self._single]:
                if length in _lengths(chosen) and self._requires(chosen) <= sizes.properties:
                    candidates.append((self._formula(chosen, length)(letters), chosen, length))
        applicable = (
            derived
            for _, chosen, length in sorted(candidates, key=lambda c: -c[0])
            for derived in [self._derive(chosen, length)]
            if derived.bound.applies(sizes)
        )
        for derived in islice(applicable, 2):  # in floating point the two greatest may be the wrong way round
            words = derived.bound.words(sizes)
            if words > best[1]:
                best = derived, words
        return best

    def sizes(self, values: Mapping[str, int], M: int, *properties: Property, where: str = "sizes") -> Sizes:
        """The sizes of all letters, from those of at least one letter of each size.

        Raises:
            UsageError: a letter is unknown, one is missing, two that index the same axis differ, or the operands of a
                product don't fit in M words, so that there is no schedule.
        """
        of = self.einsum.size_of
        found: dict[str, int] = {}
        for letter, value in values.items():
            if letter not in of:
                raise UsageError(f"{where} {letter}={value}: no such letter; allowed: {', '.join(of)}")
            if value < 1 or found.setdefault(of[letter], value) != value:
                same = ", ".join(a for a, b in of.items() if b == of[letter])
                raise UsageError(f"{where} {letter}={value}: allowed: one number from 1 for all of {same}")
        missing = [letter for letter in self.einsum.sizes if letter not in found]
        if missing:
            raise UsageError(f"{where}: no size of {', '.join(missing)}; allowed: one for each of {', '.join(of)}")
        for statement in self.einsum.statements:
            operands = len(set(statement.inputs))
            if operands > M:
                raise UsageError(f"M = {M} words: {statement} uses {operands} at once; allowed: at least {operands}w")
            for chain in statement.chains:
                if found[of[chain[0]]] < len(chain):
                    raise UsageError(f"{where}: {' < '.join(chain)} has no point below a size of {len(chain)}")
        return Sizes(sizes=found | {"M": M}, properties=frozenset(properties))

    @property
    def _single(self) -> list[tuple[Term, ...]]:
        """Each statement alone, with every cover."""
        return [(term,) for terms in self.terms for term in terms]

    def _requires(self, chosen: Sequence[Term]) -> frozenset[Property]:
        return frozenset({"no recomputation"}) if self._free(chosen) else frozenset()

    def _free(self, chosen: Sequence[Term]) -> tuple[str, ...]:
        """The arrays whose words may be created and used up without a move."""
        statements = [term.points.statement for term in chosen]
        touched = {a.array for s in statements for a in (*s.inputs, s.output)}
        return tuple(array for array in self.einsum.intermediates if array in touched)

    def _formula(self, chosen: Sequence[Term], length: Fraction, *, leading: bool = False) -> Formula:
        added = _added(length, _least_sigma(chosen))

        def formula(x: Letters) -> Any:
            found = sum(term.words(x, length, leading=leading) for term in chosen)
            if leading:
                return found
            subtracted = sum(
                (words_touched(self.einsum, array, x, at_most=True) for array in self._free(chosen)),
                start=x.number(Fraction(0)),
            )
            return found + x.number(added) * x.M - subtracted

        return formula

    def _derive(self, chosen: Sequence[Term], length: Fraction) -> Derived:
        results = tuple(term.points.statement.output.array for term in chosen)
        exponents = "_".join(str(s) for term in chosen for s in term.cover.exponents)
        name = f"segments_of_{length}_M_of_{'_and_'.join(results)}_covered_by_{exponents}"
        bound = replace(
            self._bound(name, self._formula(chosen, length), self._requires(chosen)),
            conditions=lambda x: tuple(condition for term in chosen for condition in term.more_than_fit(x)),
        )
        steps = tuple(_steps(chosen, length, self._free(chosen)))
        leading = self._formula(chosen, length, leading=True)
        return Derived(bound=bound, results=results, leading=leading, steps=steps)

    def _bound(self, name: str, formula: Formula, requires: frozenset[Property]) -> Bound:
        letters = (*self.einsum.sizes, "M")
        return Bound(name=name, formula=formula, source=_SOURCE, requires=requires, letters=letters)


def _lengths(chosen: Sequence[Term]) -> list[Fraction]:
    """F/M of the segments that are best for one of the terms."""
    return sorted({1 / (term.sigma - 1) for term in chosen})


def _least_sigma(chosen: Sequence[Term]) -> Fraction:
    return min(term.sigma for term in chosen)


def _added(length: Fraction, sigma: Fraction) -> Fraction:
    """1 - F/M (M/X)^sigma, F = length * M, rounded down to twentieths: so roots of M can't cancel."""
    power = sigma.denominator
    held = length**power / (1 + length) ** sigma.numerator
    return max(Fraction(k, 20) for k in range(20) if Fraction(20 - k, 20) ** power >= held)


def einsum_bounds(text: str, *, where: str = "einsum") -> EinsumBounds:
    """The lower bounds for what a text computes; the notation is that of `iosim.bounds.statements`.

    Raises:
        UsageError: the text can't be read.

    Example:
        >>> matmul = einsum_bounds("ik,kj->ij")
        >>> print(matmul.segments[0].bound.expression)
        3*M/5 + 2*i*j*k/sqrt(M)
        >>> matmul.greatest(matmul.sizes({"i": 1000, "j": 1000, "k": 1000}, 10_000))[1]
        20006000
    """
    return EinsumBounds(parse(text, where=where))


def _terms(einsum: Einsum, number: int) -> Iterator[Term]:
    statement = einsum.statements[number]
    own = points(einsum, statement)
    accesses = (*statement.inputs, statement.output)
    merged = {s.output.array for s in einsum.statements[:number] if points(einsum, s).copies > 1}
    if own.shared or any(access.array in merged for access in statement.inputs):
        return
    for cover in covers(statement.letters, [access.letters for access in accesses]):
        shares: dict[str, Fraction] = {}
        for access, exponent in zip(accesses, cover.exponents, strict=True):
            if exponent:
                shares[access.array] = shares.get(access.array, Fraction(0)) + exponent
        if cover.sigma > 1:
            yield Term(number=number, points=own, cover=cover, shares=shares)


def _sums(terms: Sequence[Term]) -> Iterator[tuple[Term, ...]]:
    """Choices of several statements that may be added, the most first, of one term for each."""
    for count in range(len(terms), 1, -1):
        yield from filter(_may_be_added, combinations(terms, count))


def _may_be_added(chosen: Sequence[Term]) -> bool:
    """Whether a segment that works on all these statements has no more of points_q/V_q in all than one of them alone.

    Arrays that no other of the statements touches are private. Take all statements with at most one array that is not
    private, whose private exponents have a sum of at least 1. For given words of the other arrays, the total is convex in
    how the words of all their private arrays are dealt out to these statements: it is greatest where one gets all. The
    others then have no points and can be left out. If that ends with a single statement, whichever is kept, nothing is
    lost by giving it everything. Statements that multiply the same arrays might share products; they are not added.
    """
    factors = [sorted(access.array for access in term.points.statement.inputs) for term in chosen]
    if any(a == b for a, b in combinations(factors, 2)):
        return False
    if len(chosen) == 1:
        return True

    def private(term: Term) -> Mapping[str, Fraction]:
        others = {array for other in chosen if other is not term for array in other.shares}
        return {array: share for array, share in term.shares.items() if array not in others}

    leaves = [t for t in chosen if len(private(t)) >= len(t.shares) - 1 and sum(private(t).values()) >= 1]
    rest = [term for term in chosen if term not in leaves]
    return len(leaves) > 1 and all(_may_be_added([*rest, leaf]) for leaf in leaves)


def _power(base: Fraction, exponent: Fraction, *, degree: int) -> Fraction:
    """base^exponent to the power of `degree`, a multiple of the exponent's denominator."""
    return Fraction(base ** int(exponent * degree))


def _steps(chosen: Sequence[Term], length: Fraction, free: Sequence[str]) -> Iterator[str]:
    """The derivation in words."""
    F, X = _times(length, "M"), _times(1 + length, "M")
    for term in chosen:
        p, statement = term.points, term.points.statement
        yield f"statement {statement}: one product for each point ({', '.join(statement.letters)})"
        if p.group:
            maps = "; ".join(", ".join(f"{a} -> {b}" for a, b in g.items() if a != b) for g in p.group)
            yield f"symmetries, points with the same product: {maps}; of {len(p.group) + 1} such points one is counted"
        if p.coincident:
            yield "points whose product coincides with another one are left out"
        if len(statement.inputs) > 2:
            yield f"assumed: all {len(statement.inputs)} operands of a product are in fast memory when it is formed"
        accesses = (*statement.inputs, statement.output)
        exponents = zip(accesses, term.cover.exponents, strict=True)
        bounded = [f"|{a}|" if s == 1 else f"|{a}|^{s}" for a, s in exponents if s]
        bounded += [f"size of {letter}" for letter in term.cover.whole]
        yield f"points of a set <= {' * '.join(bounded)} (every letter is covered: Loomis-Whitney, Shearer)"
        several = [a for a in term.shares if sum(access.array == a for access in accesses) > 1]
        if several:
            yield f"all accesses to {', '.join(several)} share its words: the budget bounds their union"
        if p.images > 1 or p.copies > 1:
            copies = f"{p.copies} index tuples for a word of {statement.output}"
            yield f"the set with its images: {p.images} times the points, {copies}"
        split = ", ".join(f"{array}: {share / term.sigma}" for array, share in term.shares.items())
        yield f"largest set that touches X words: they are split as {split}; it grows as X^{term.sigma}"
    if len(chosen) > 1:
        yield "a segment does not gain from working on several of the statements: their bounds are added up"
    yield f"segments of F = {F} moves touch at most X = M + F = {X} words"
    if free:
        yield f"words of {', '.join(free)} may be created and used up without a move, once each: subtracted"
    sigma = _least_sigma(chosen)
    yield "required: as many points as M words can hold; then at least M words are moved"
    yield f"the last segment, of Y words, holds (Y/X)^{sigma} as many points: M of its words may be there when it begins"
    added = _times(_added(length, sigma), "M")
    yield f"traffic >= F * points / largest set + M - F * (M/X)^{sigma}, where the last two are at least {added}"


def _times(factor: Fraction, letter: str) -> str:
    return letter if factor == 1 else f"{factor} {letter}"
