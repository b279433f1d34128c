"""The proof kernel: the ways to establish a fact. Only this file makes facts.

`prove` and `identity` establish algebra for all values, `exhaust` checks each of finitely many cases, `cite` takes a
published result over, and `argue` states in words what is left to the reader.

Variables of a fact are universally quantified. To use it is to say for which values (`fact.at({x: ...})`); then its
hypotheses have to follow there. `Measured` variables are numbers that a schedule has, not numbers to choose: nothing can
be put in their place. What a fact is about in words, such as a kind of schedules, is not carried along: whoever uses facts
together has to see that they are about the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import sympy

from iosim.errors import ProofError
from iosim.proof.fact import Fact, Method, Use, established, make, recorded
from iosim.proof.reals import SOLVER, TIME_LIMIT, Assumptions, Formula, Measured, sign, symbols_of, written

__all__ = [
    "Fact",
    "Method",
    "Use",
    "argue",
    "cases",
    "cite",
    "established",
    "exhaust",
    "identity",
    "prove",
    "recorded",
    "refute",
]

Case = TypeVar("Case")


def prove(
    text: str,
    claim: Formula,
    *,
    refuted: Formula,
    given: Iterable[Formula] = (),
    using: Iterable[Fact | Use] = (),
    at: Mapping[sympy.Symbol, Any] | None = None,
    seconds: float = TIME_LIMIT,
) -> Fact:
    """The fact that an inequality holds for all real values of its variables.

    Args:
        text: what it says, in words.
        claim: what is to be proved.
        refuted: a statement that claims more and is false; it has to have a counterexample under the same hypotheses,
            which shows at the same time that these do not contradict each other.
        given: the hypotheses.
        using: facts, as they are or for some values; their own hypotheses have to follow from what is given and from
            the facts before them.
        at: values of some variables at which to look for the counterexample.
        seconds: time for each question to the solver.

    Raises:
        ProofError: something does not follow (with the numbers at which it fails), the solver does not know, the
            hypotheses contradict each other, or the stronger statement is not refuted.

    Example:
        >>> x, y = sympy.symbols("x y", nonnegative=True)
        >>> means = prove("means", sympy.Le(4 * x * y, (x + y) ** 2), refuted=sympy.Le(5 * x * y, (x + y) ** 2))
        >>> print(means, "|", means.trust.name, "|", means.refuted)
        means: 4*x*y <= (x + y)**2 | PROVED | 5*x*y <= (x + y)**2 fails at x = 1, y = 1
    """
    start = time.perf_counter()
    given, uses = tuple(given), tuple(map(_use, using))
    if claim in (sympy.true, sympy.false):
        raise ProofError(f"{text}: the claim is just {claim}")
    try:
        known = _assume(given, uses, seconds)
        there = known.and_also(*(sympy.Eq(symbol, value, evaluate=False) for symbol, value in (at or {}).items()))
        fails_at = there.counterexample(refuted)
        if fails_at is None:
            if there.example() is None:
                raise ProofError("the hypotheses contradict each other")
            raise ProofError(f"the stronger statement {written(refuted)} is not refuted")
        known.require(claim, "not proved")
    except ProofError as error:
        raise ProofError(f"{text}: {error}") from error
    return make(
        text=text,
        method=Method.PROVED,
        how=SOLVER,
        claim=claim,
        given=given,
        using=tuple(use.fact for use in uses),
        refuted=f"{written(refuted)} fails at {fails_at}",
        questions=tuple(known.questions),
        seconds=time.perf_counter() - start,
    )


def cases(text: str, facts: Iterable[Fact], *, given: Iterable[Formula], using: Iterable[Fact | Use] = ()) -> Fact:
    """The common claim of several facts, of which one applies whenever the hypotheses hold.

    Args:
        text: what it says, in words.
        facts: one for each case, with the same claim.
        given: the hypotheses of the result.
        using: facts from which, with the hypotheses, it follows that one of the cases applies.
    """
    start = time.perf_counter()
    facts, given, uses = established(facts), tuple(given), tuple(map(_use, using))
    claims = {fact.claim for fact in facts}
    if len(claims) != 1 or None in claims:
        raise ProofError(f"{text}: the cases claim different things: {', '.join(map(str, claims)) or 'nothing'}")
    try:
        known = _assume(given, uses, TIME_LIMIT)
        if known.example() is None:
            raise ProofError("the hypotheses contradict each other")
        applies = [sympy.And(*fact.given, *_signs({s: s for s in _symbols(fact)})) for fact in facts]
        known.require(sympy.Or(*applies), "no case applies")
    except ProofError as error:
        raise ProofError(f"{text}: {error}") from error
    return make(
        text=text,
        method=Method.PROVED,
        how=SOLVER,
        claim=facts[0].claim,
        given=given,
        using=(*facts, *(use.fact for use in uses)),
        questions=tuple(known.questions),
        seconds=time.perf_counter() - start,
    )


def identity(text: str, left: Any, right: Any) -> Fact:
    """The fact that two expressions are equal, by exact computation.

    Raises:
        ProofError: they differ, or one of them may not exist: a denominator may be 0, the argument of a root negative.
    """
    start = time.perf_counter()
    left, right = sympy.sympify(left), sympy.sympify(right)
    known = Assumptions()
    try:
        known.require_real(left)
        known.require_real(right)
    except ProofError as error:
        raise ProofError(f"{text}: {error}") from error
    difference = sympy.simplify(sympy.expand(sympy.together(left - right)))
    if difference != 0:
        raise ProofError(f"{text}: the two sides differ by {difference}")
    return make(
        text=text,
        method=Method.PROVED,
        how=f"sympy {sympy.__version__}",
        claim=sympy.Eq(left, right, evaluate=False),
        seconds=time.perf_counter() - start,
    )


def refute(text: str, claim: Formula, at: Mapping[sympy.Symbol, Any], *, using: Iterable[Fact] = ()) -> Fact:
    """The fact that a statement is false: it fails at these numbers.

    Args:
        text: what the statement would say, in words.
        claim: the false statement: hypotheses that hold at these numbers imply something that does not.
        at: rational numbers for all its variables.
        using: what says that there is such a case.
    """
    values = {symbol: sympy.Rational(number) for symbol, number in at.items()}
    if claim == sympy.false or claim.atoms(sympy.Float):
        raise ProofError(
            f"{text}: {written(claim)}; allowed: a formula with rational numbers, false only at some values"
        )
    for condition in _signs(values):
        Assumptions().require(condition, f"{text}: a value that its symbol can't have")
    value = claim.xreplace(values)
    if value != sympy.false:
        raise ProofError(f"{text}: this is not refuted, it comes to {value}")
    numbers = ", ".join(f"{symbol} = {number}" for symbol, number in at.items())
    return make(
        text=f"false: {text}",
        method=Method.PROVED,
        how="arithmetic",
        using=established(using),
        refuted=f"{written(claim)} fails at {numbers}",
    )


def exhaust(
    text: str, cases: Iterable[Case], holds: Callable[[Case], bool], *, refuted: Callable[[Case], bool]
) -> Fact:
    """The fact that something holds in each of finitely many cases.

    Args:
        text: what it says, and for which cases.
        cases: all of them.
        holds: what is to hold in each.
        refuted: something stronger that has to fail in some case.

    Raises:
        ProofError: there are no cases, it fails in one, the stronger statement fails in none, or an answer is no bool.
    """
    start = time.perf_counter()
    number, fails_at = 0, None
    for case in cases:
        number += 1
        if not _answer(text, holds(case)):
            raise ProofError(f"{text}: fails for {case}")
        if fails_at is None and not _answer(text, refuted(case)):
            fails_at = case
    if not number:
        raise ProofError(f"{text}: there are no cases")
    if fails_at is None:
        raise ProofError(f"{text}: the stronger statement fails in none of {number:,} cases")
    return make(
        text=text,
        method=Method.EXHAUSTED,
        how=f"{number:,} cases",
        refuted=f"the stronger statement fails for {fails_at}",
        seconds=time.perf_counter() - start,
    )


def cite(text: str, source: str, *, beside: Iterable[Fact] = ()) -> Fact:
    """A published result, taken over without a proof; checks of it in some cases may stand beside it."""
    if not source.strip():
        raise ProofError(f"{text}: a citation needs a source")
    return make(text=text, method=Method.CITED, how=source, beside=established(beside))


def argue(
    text: str,
    claim: Formula | None = None,
    *,
    given: Iterable[Formula] = (),
    using: Iterable[Fact] = (),
    beside: Iterable[Fact] = (),
) -> Fact:
    """A statement whose reasons are given in words; all that rests on it is no more than argued.

    Args:
        text: the statement and its reasons.
        claim: what it comes to as a formula.
        given: when that holds.
        using: what the reasons refer to.
        beside: checks of it in some cases.

    Raises:
        ProofError: it has no words, or its formulas contradict each other.
    """
    if not text.strip():
        raise ProofError("an argument needs words")
    given = tuple(given)
    if claim is not None and Assumptions(*given, claim).example() is None:
        raise ProofError(f"{text}: {claim} contradicts itself or the hypotheses")
    return make(
        text=text,
        method=Method.ARGUED,
        how="in words",
        claim=claim,
        given=given,
        using=established(using),
        beside=established(beside),
    )


def _use(what: Fact | Use) -> Use:
    use = what if isinstance(what, Use) else Use(fact=what, values={})
    established([use.fact])
    return use


def _answer(text: str, answer: Any) -> bool:
    """Whether a case holds; a generator or a function that was not called would hold always."""
    if answer not in (True, False):
        raise ProofError(f"{text}: {answer!r} is no answer; allowed: True or False")
    return bool(answer)


def _symbols(fact: Fact) -> set[sympy.Symbol]:
    return symbols_of([*fact.given, *([] if fact.claim is None else [fact.claim])])


def _signs(values: Mapping[sympy.Symbol, Any]) -> tuple[Formula, ...]:
    """What symbols are assumed to be, said of the values that take their places."""
    found = [sign(symbol, value) for symbol, value in values.items()]
    return tuple(formula for formula in found if formula is not None)


def _at(use: Use) -> tuple[Formula, tuple[Formula, ...], tuple[Formula, ...]]:
    """The claim of a fact for some values, its hypotheses there, and the signs that its variables have to have there."""
    fact, values = use.fact, use.values
    if fact.claim is None:
        raise ProofError(f"{fact.text}: has no formula, so that nothing can be derived from it but by argument")
    occurring = _symbols(fact)
    for symbol in values:
        if symbol not in occurring:
            raise ProofError(f"{fact.text}: has no variable {symbol}")
        bound = [s for s in occurring if isinstance(s, Measured) and (s is symbol or symbol in s.of)]
        if bound:
            raise ProofError(f"{fact.text}: {symbol} is not free to choose, {bound[0]} is {bound[0].meaning}")
    signs = _signs(values)
    given = tuple(formula.xreplace(dict(values)) for formula in fact.given)
    return fact.claim.xreplace(dict(values)), given, signs


def _assume(given: tuple[Formula, ...], using: tuple[Use, ...], seconds: float) -> Assumptions:
    """What is given, and the facts that are used, once their hypotheses have been seen to follow."""
    known = Assumptions(*given, seconds=seconds)
    for use in using:
        claim, conditions, signs = _at(use)
        for value in use.values.values():
            known.require_real(value)
        for condition in (*signs, *conditions):
            known.require(condition, f"the hypothesis of {use.fact.text!r}")
        known.assume(claim)
    return known
