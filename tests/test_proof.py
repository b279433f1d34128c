"""The proof kernel: what it proves, what it refuses, and that every refusal can happen."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy
import z3
from hypothesis import given
from hypothesis import strategies as st
from sympy import And, Eq, Ge, Gt, Implies, Le, Lt, Or, sqrt

from iosim.bounds.bound import NAMES, Bound, symbols
from iosim.errors import ProofError
from iosim.proof import Fact, Method, argue, cases, cite, exhaust, identity, kernel, prove, reals, refute
from iosim.proof.reals import Assumptions, Measured
from iosim.proof.theorem import DEFINED, DEGREE, ERROR, IO, Checked, Conclusions, claim_of, theorem

x, y, z = sympy.symbols("x y z", nonnegative=True)
p, q = sympy.symbols("p q", positive=True)
r = sympy.Symbol("r", real=True)


def squares() -> Fact:
    """2xy <= x^2 + y^2."""
    return prove("squares", Le(2 * x * y, x**2 + y**2), refuted=Le(3 * x * y, x**2 + y**2))


def root_grows() -> Fact:
    """x <= y if x^2 <= y^2."""
    return prove("root", Le(x, y), given=[Le(x**2, y**2)], refuted=Lt(x, y))


# A fact can only be made by the kernel

FORGERIES: dict[str, Callable[[Fact], Any]] = {
    "made by hand": lambda _: Fact(),
    "replaced": lambda fact: dataclasses.replace(fact, text="anything"),  # type: ignore[type-var]
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "pickled": lambda fact: pickle.loads(pickle.dumps(fact)),
    "subclassed": lambda _: type("Mine", (Fact,), {}),
    "changed": lambda fact: setattr(fact, "text", "anything"),
    "extended": lambda fact: setattr(fact, "extra", "anything"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_fact_cannot_be_made_copied_or_changed(forge: Callable[[Fact], Any]) -> None:
    """Whatever Python offers to make an object like another is refused for facts."""
    with pytest.raises((TypeError, AttributeError)):
        forge(squares())


class Lookalike:
    """Says of itself what a fact says."""

    text, given, using, beside, closure, steps = "false", (), (), (), (), ()
    method = trust = Method.PROVED
    claim = Ge(IO, sympy.Symbol("n_q", positive=True) * sympy.Symbol("d", positive=True), evaluate=False)  # of `bound`


USERS: dict[str, Callable[[Any], Any]] = {
    "prove": lambda fact: prove("q", Ge(q, 0), using=[fact], refuted=Ge(q, 1)),
    "argue": lambda fact: argue("so", using=[fact]),
    "argue beside": lambda fact: argue("so", beside=[fact]),
    "cite": lambda fact: cite("so", "a book", beside=[fact]),
    "cases": lambda fact: cases("so", [fact], given=[]),
    "refute": lambda fact: refute("so", Ge(x, 1), {x: 0}, using=[fact]),
    "theorem": lambda fact: theorem(proof_of({bound(): fact})).check(),
}


@pytest.mark.parametrize("forged", [object.__new__(Fact), Lookalike()], ids=["empty", "lookalike"])
@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
def test_nothing_accepts_a_forged_fact(use: Callable[[Any], Any], forged: Any) -> None:
    """An object of the type that the kernel has not made, or of another type, is refused by everything that uses facts."""
    with pytest.raises(ProofError, match="not a fact that the kernel has made"):
        use(forged)


def test_a_forged_fact_says_nothing() -> None:
    """Without the kernel's record there is nothing to read."""
    with pytest.raises(ProofError, match="not a fact that the kernel has made"):
        _ = object.__new__(Fact).trust


def test_only_the_kernel_makes_facts() -> None:
    """What makes a fact is imported by `iosim.proof.kernel`, and by nothing else that is installed."""
    root = Path(kernel.__file__).parents[2]
    files = (path for package in ("iosim", "algorithms", "proofs") for path in (root / package).rglob("*.py"))
    users = [path for path in files if re.search(r"proof\.fact\b|import .*\bfact\b", path.read_text())]
    assert users == [Path(kernel.__file__)]


# What is proved, and what is not


def test_what_holds_is_proved_and_remembered() -> None:
    """A fact keeps its claim, its method, its solver, the time, and where the stronger statement fails."""
    fact = squares()
    assert fact.claim == Le(2 * x * y, x**2 + y**2)
    assert fact.method is fact.trust is Method.PROVED
    assert fact.how == reals.SOLVER
    assert fact.seconds > 0
    assert fact.refuted is not None
    assert "fails at x = " in fact.refuted
    assert len(fact.questions) == 1


def test_what_does_not_hold_fails_with_numbers() -> None:
    """A false claim is an error that names numbers at which it fails."""
    with pytest.raises(ProofError, match=r"cubes: not proved: x\*\*3 <= x\*\*2 does not follow; it fails at x = \d"):
        prove("cubes", Le(x**3, x**2), refuted=Le(x, 0))


@pytest.mark.parametrize("given", [[Gt(x, y), Gt(y, x)], [Lt(p, 0)], [Lt(x**2 + 1, 2 * x)]], ids=str)
def test_contradictory_hypotheses_are_refused(given: list[Any]) -> None:
    """From a contradiction everything would follow, so nothing does."""
    with pytest.raises(ProofError, match="the hypotheses contradict each other"):
        prove("anything", Ge(z, 1000), given=given, refuted=Ge(z, 1001))
    with pytest.raises(ProofError, match="the hypotheses contradict each other"):
        cases("anything", [squares()], given=given)


def test_facts_that_contradict_each_other_prove_nothing() -> None:
    """Two arguments that can't both be right do not make a third."""
    one, other = argue("one", Ge(x, 2)), argue("other", Le(x, 1))
    with pytest.raises(ProofError, match="the hypotheses contradict each other"):
        prove("anything", Ge(z, 1000), using=[one, other], refuted=Ge(z, 1001))


def test_an_argument_that_contradicts_itself_is_refused() -> None:
    """What can hold nowhere can't be argued."""
    with pytest.raises(ProofError, match="contradicts itself"):
        argue("negative", Lt(p, 0))


def test_a_stronger_statement_that_holds_is_no_control() -> None:
    """What is to be refuted has to be false."""
    with pytest.raises(ProofError, match=r"the stronger statement 2\*x\*y <= x\*\*2 \+ y\*\*2 is not refuted"):
        prove("products", Le(x * y, x**2 + y**2), refuted=Le(2 * x * y, x**2 + y**2))


def test_a_claim_that_says_nothing_is_refused() -> None:
    """sympy knows that x >= 0; there is nothing to prove."""
    with pytest.raises(ProofError, match="the claim is just True"):
        prove("sign", Ge(x, 0), refuted=Ge(x, 1))


def test_unknown_and_time_out_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that does not know proves nothing."""
    monkeypatch.setattr(z3.Solver, "check", lambda _: z3.unknown)
    monkeypatch.setattr(z3.Solver, "reason_unknown", lambda _: "timeout")
    with pytest.raises(ProofError, match=r"the solver does not know \(timeout\)"):
        squares()


def test_numbers_of_the_solver_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counterexample that does not satisfy what was asked is an error."""
    add = z3.Solver.add
    monkeypatch.setattr(z3.Solver, "add", lambda self, *asked: add(self, *asked[:-1]))  # the last is forgotten
    with pytest.raises(ProofError, match="the solver's numbers do not satisfy its formulas"):
        squares()


# False statements that a less careful kernel would certify

a_real, a_positive = sympy.Symbol("a", real=True), sympy.Symbol("a", positive=True)
dummy = sympy.Dummy("a", positive=True)


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        (Ge(a_real, a_positive), "a"),
        (Ge(dummy, sympy.Symbol(f"a#{dummy.dummy_index}", positive=True)), f"a#{dummy.dummy_index}"),
        (Eq(sqrt(p), sympy.Symbol("root 0 of p", real=True)), "root 0 of p"),
    ],
    ids=["a symbol with other assumptions", "a symbol called like a dummy", "a symbol called like a root"],
)
def test_two_symbols_are_never_one_variable(claim: Any, name: str) -> None:
    """To the solver variables of one name are one, so that a >= a would hold for a real a and a positive one."""
    with pytest.raises(ProofError, match=f"two different variables are called {name}"):
        prove("the same", claim, refuted=Gt(claim.lhs, claim.rhs + 1))
    split = Assumptions(Ge(a_real, x)).and_also()
    with pytest.raises(ProofError, match="two different variables are called a"):
        split.assume(Ge(a_positive, x))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1 / x, "the denominator x may be 0"),
        (1e30, "not a polynomial, a quotient or a root: 1.0+E"),
        (sympy.I, "not a polynomial, a quotient or a root: I"),
        (sympy.oo, "not a polynomial, a quotient or a root: oo"),
        (sqrt(x - 1), "the root of x - 1 may not exist"),
        (sympy.Symbol("b"), "the symbol b has to be real"),
    ],
    ids=str,
)
def test_values_of_a_lemma_are_real_numbers(value: Any, why: str) -> None:
    """r x = 1 or x = 0 would say x = 0 at r = 1/x, wherever that is, and (r + 1) x - r x is 0 at a large enough float."""
    fact = prove("distinct", Or(sympy.Ne(r * x, 1), sympy.Ne(x, 0)), refuted=sympy.Ne(x, 0))
    with pytest.raises(ProofError, match=why):
        prove("positive", sympy.Ne(x, 0), using=[fact.at({r: value})], refuted=Gt(x, 1))


def test_a_refutation_is_at_values_that_symbols_have() -> None:
    """p <= 2p is no less true for failing where p would be negative; nor is what fails by rounding."""
    with pytest.raises(ProofError, match="growth: a value that its symbol can't have: -1 > 0"):
        refute("growth", Le(p, 2 * p, evaluate=False), {p: -1})
    with pytest.raises(ProofError, match="allowed: a formula with rational numbers"):
        refute("tiny", Ge(x + y * sympy.Float(1e-30), x + 1), {x: 1, y: 1})
    with pytest.raises(ProofError, match="False; allowed: a formula"):
        refute("false", sympy.false, {x: 1})


def test_an_identity_is_not_one_of_floats() -> None:
    """1 + 1e-17 is 1 to a float."""
    tiny = sympy.Add(x, sympy.Float(1), sympy.Float(1e-17), evaluate=False)
    with pytest.raises(ProofError, match=r"not a polynomial, a quotient or a root: 1\.0"):
        identity("rounded", tiny, x + sympy.Float(1))


@pytest.mark.parametrize(
    "answer", [None, (n for n in range(3)), lambda: False, "no", 2], ids=lambda x: type(x).__name__
)
def test_an_answer_that_is_none_is_refused(answer: Any) -> None:
    """A predicate that was forgotten to be called, or returns nothing, decides no case."""
    with pytest.raises(ProofError, match="is no answer; allowed: True or False"):
        exhaust("all", range(3), lambda _: answer, refuted=lambda _: False)
    with pytest.raises(ProofError, match="is no answer; allowed: True or False"):
        exhaust("all", range(3), lambda _: True, refuted=lambda _: answer)


@pytest.mark.parametrize(
    ("about", "letters"),
    [(IO, NAMES), (ERROR, ("e", "v")), (DEGREE, ("R",)), (DEFINED["c"], ("R", "L")), (DEFINED["r"], ("d",))],
    ids=str,
)
def test_what_bounds_are_about_depends_on_their_letters(about: Measured, letters: tuple[str, ...]) -> None:
    """The error of weights that are off by e says nothing for another e, nor a degree on [-R, R] for another R."""
    for letter in letters:
        symbol = symbols([letter])[letter]
        said = argue("so", Le(about, symbol))
        with pytest.raises(ProofError, match=f"{letter} is not free to choose"):
            prove("less", Le(about, x + 1), using=[said.at({symbol: 1})], refuted=Lt(about, 1))


# Lemmas


def test_a_lemma_is_used_at_values() -> None:
    """2ab <= a^2 + b^2 at a = sqrt(p), b = sqrt(q) is the inequality of the means."""
    fact = prove(
        "means", Le(2 * sqrt(p * q), p + q), using=[squares().at({x: sqrt(p), y: sqrt(q)})], refuted=Le(sqrt(p * q), p)
    )
    assert fact.trust is Method.PROVED
    assert [step.text for step in fact.closure] == ["squares", "means"]


def test_the_hypotheses_of_a_lemma_have_to_follow() -> None:
    """The lemma x <= y if x^2 <= y^2 is of use only where x^2 <= y^2 is known."""
    lemma = root_grows()
    known = [Le(p**2, 4 * q**2)]
    assert prove("half", Le(p, 2 * q), given=known, using=[lemma.at({x: p, y: 2 * q})], refuted=Le(p, q)).method
    with pytest.raises(ProofError, match=r"the hypothesis of 'root': p\*\*2 <= 4\*q\*\*2 does not follow; it fails at"):
        prove("half", Le(p, 2 * q), using=[lemma.at({x: p, y: 2 * q})], refuted=Le(p, q))


def test_the_signs_of_a_lemma_have_to_follow() -> None:
    """A lemma about numbers that are not negative can't be used at any real number."""
    with pytest.raises(ProofError, match="the hypothesis of 'root': r >= 0 does not follow"):
        prove("real", Le(r, 1), given=[Le(r**2, 1)], using=[root_grows().at({x: r, y: 1})], refuted=Le(r, 0))


def test_a_lemma_has_no_other_variables() -> None:
    """A value for a variable that does not occur is a mistake."""
    with pytest.raises(ProofError, match="squares: has no variable z"):
        prove("q", Ge(q, 0, evaluate=False), using=[squares().at({z: 1})], refuted=Ge(q, 1))


def test_a_fact_without_a_formula_is_no_lemma() -> None:
    """From words follow only words."""
    with pytest.raises(ProofError, match="has no formula"):
        prove("q", Ge(q, 0, evaluate=False), using=[argue("words")], refuted=Ge(q, 1))


def test_what_a_schedule_has_is_not_free_to_choose() -> None:
    """From loads <= traffic does not follow 5 <= 3."""
    loads, io = Measured("loads", "words loaded"), Measured("io", "words moved")
    fact = argue("loads are moves", Le(loads, io))
    with pytest.raises(ProofError, match="loads is not free to choose, loads is words loaded"):
        prove("5", Le(5, z), using=[fact.at({loads: 5})], refuted=Le(6, z))
    derived = prove("twice", Le(2 * loads, 2 * io), using=[fact], refuted=Le(2 * loads, io))
    with pytest.raises(ProofError, match="io is not free to choose"):
        prove("5", Le(loads, 0), using=[derived.at({io: 0})], refuted=Le(loads, 0))


def test_what_a_number_depends_on_is_fixed_with_it() -> None:
    """A number of segments of length p says nothing for another p; what it implies without it does."""
    h = Measured("h", "segments", of=[p])
    count = argue("segments", And(Ge(h, z**2 / p), Le(h, z)))
    with pytest.raises(ProofError, match="p is not free to choose, h is segments"):
        prove("segments of 2", Ge(2 * h, z**2), using=[count.at({p: 2})], refuted=Ge(h, z**2))
    both = prove("without h", Le(z**2 / p, z), using=[count], refuted=Le(z**2 / p, z / 2))
    at_two = prove("p = 2", Le(x**2, 2 * x), using=[both.at({p: 2, z: x})], refuted=Le(x**2, x))
    assert at_two.trust is Method.ARGUED


def test_two_measured_numbers_of_one_name_are_different() -> None:
    """The words of one proof do not stand for those of another."""
    one, other = Measured("W", "moves"), Measured("W", "weight")
    fact = argue("few moves", Le(one, 3))
    with pytest.raises(ProofError, match="does not follow"):
        prove("light", Le(other, 3), using=[fact], refuted=Le(other, 2))


# Cases


def test_cases_have_to_cover_everything() -> None:
    """A common claim holds if one of the cases always applies, and not otherwise."""
    claim = Le(x * y, x**2 + y**2)
    low = prove("low", claim, given=[Le(x, y)], refuted=Le(3 * x * y, x**2 + y**2))
    high = prove("high", claim, given=[Ge(x, y + 1)], refuted=Le(3 * x * y, x**2 + y**2))
    assert cases("far", [low, high], given=[Or(Le(x, y), Ge(x, y + 2))]).given == (Or(Le(x, y), Ge(x, y + 2)),)
    with pytest.raises(ProofError, match="no case applies"):
        cases("all", [low, high], given=[])
    with pytest.raises(ProofError, match="the cases claim different things"):
        cases("all", [low, squares()], given=[])
    with pytest.raises(ProofError, match="the cases claim different things: nothing"):
        cases("all", [], given=[])


def test_a_common_claim_rests_on_its_cases_and_on_what_says_that_one_applies() -> None:
    """If any of them is argued, so is it; its hypotheses are those that it is given."""
    claim = Le(x * y, x**2 + y**2)
    low = prove("low", claim, given=[Le(x, y)], refuted=Le(3 * x * y, x**2 + y**2))
    high = prove("high", claim, given=[Ge(x, y)], refuted=Le(3 * x * y, x**2 + y**2))
    both = cases("any", [low, high], given=[])
    assert (both.claim, both.given, both.trust) == (claim, (), Method.PROVED)
    assert both.using == (low, high)
    argued = argue("low", claim, given=[Le(x, y)])
    assert cases("any", [argued, high], given=[]).trust is Method.ARGUED
    below = argue("x is not above y", Le(x, y))
    only = cases("below", [low], given=[], using=[below])
    assert (only.trust, only.using) == (Method.ARGUED, (low, below))
    with pytest.raises(ProofError, match="the cases claim different things"):
        cases("words", [argue("this"), argue("that")], given=[])


def test_what_a_measured_number_does_not_depend_on_is_free() -> None:
    """Words loaded are the same for every z, so that a fact for all z may be used at one; a real variable at any term."""
    loads = Measured("loads", "words loaded", of=[p])
    fact = argue("loads", Le(loads, (z - 1) ** 2 + 5))
    assert prove("at 1", Le(loads, 5), using=[fact.at({z: 1})], refuted=Le(loads, 4)).trust is Method.ARGUED
    square = prove("square", Ge(r**2 + x, 2 * r + x - 1), refuted=Ge(r**2 + x, 2 * r + x))
    assert prove("q", Ge(q**2, 2 * q - 1), using=[square.at({r: q, x: 0})], refuted=Ge(q**2, 2 * q)).using == (square,)


def test_counterexamples_are_looked_for_where_it_is_said() -> None:
    """`at` holds for the counterexample, not for the claim."""
    fact = prove("squares", Le(2 * x * y, x**2 + y**2), refuted=Le(3 * x * y, x**2 + y**2), at={x: 7, y: 7})
    assert fact.refuted == "3*x*y <= x**2 + y**2 fails at x = 7, y = 7"
    with pytest.raises(ProofError, match="not proved"):
        prove("cubes", Le(x**3, 49 * x), refuted=Le(x, 6), at={x: 7})
    with pytest.raises(ProofError, match="is not refuted"):
        prove("squares", Le(2 * x * y, x**2 + y**2), refuted=Le(3 * x * y, x**2 + y**2), at={x: 0})


def test_facts_are_written_and_timed() -> None:
    """Words, then the formula, then when it holds; time that was spent, and none for what takes none."""
    assert str(root_grows()) == "root: x <= y  if x**2 <= y**2"
    assert str(argue("words")) == "words"
    same = identity("same", p + p, 2 * p)
    assert same.claim == Eq(2 * p, 2 * p, evaluate=False)
    counted = exhaust("two", range(5), lambda n: n < 5, refuted=lambda n: n < 3)
    assert counted.refuted == "the stronger statement fails for 3"
    facts = [squares(), same, counted, cases("one", [squares()], given=[])]
    assert all(0 < fact.seconds < 60 for fact in facts)
    assert argue("words").seconds == 0


# The other methods


def test_exhaustion_looks_at_every_case() -> None:
    """Every case holds, or the first that does not is named; no cases, or a control that never fails, are failures."""
    fact = exhaust("small squares", range(10), lambda n: n * n < 100, refuted=lambda n: n * n < 81)
    assert (fact.method, fact.how) == (Method.EXHAUSTED, "10 cases")
    assert fact.refuted == "the stronger statement fails for 9"
    with pytest.raises(ProofError, match="fails for 10"):
        exhaust("small squares", range(12), lambda n: n * n < 100, refuted=lambda _: False)
    with pytest.raises(ProofError, match="there are no cases"):
        exhaust("nothing", range(0), lambda _: True, refuted=lambda _: False)
    with pytest.raises(ProofError, match="fails in none of 10 cases"):
        exhaust("small squares", range(10), lambda n: n * n < 100, refuted=lambda n: n * n < 82)


def test_identities_are_exact() -> None:
    """Equal expressions are equal, others differ, and what may not exist is refused."""
    assert identity("square", (p - q) ** 2 + 4 * p * q, (p + q) ** 2).trust is Method.PROVED
    assert identity("root", sqrt(p**2 * q) / p, sqrt(q)).trust is Method.PROVED
    with pytest.raises(ProofError, match="the two sides differ by"):
        identity("square", (p - q) ** 2, (p + q) ** 2 - sympy.Rational(399, 100) * p * q)
    with pytest.raises(ProofError, match="quotient: the denominator r may be 0"):
        identity("quotient", 1 / (r - 1) - 1 / (r - 1), r - r + 1 / r)
    quotient = (r**2 + r) / (r + 1)
    for left, right in ((quotient, r), (r, quotient)):
        with pytest.raises(ProofError, match=r"quotient: the denominator r \+ 1 may be 0"):
            identity("quotient", left, right)
    with pytest.raises(ProofError, match="root: the root of r may not exist"):
        identity("root", sqrt(r) ** 3, r * sqrt(r))


def test_a_refutation_needs_a_point_where_it_fails() -> None:
    """A statement that holds at the numbers, or is not decided by them, is not refuted."""
    assert refute("sums", Le(x + y, 3), {x: 2, y: 2}).text == "false: sums"
    assert refute("if", Implies(Ge(x, 1), Ge(x, Fraction(3, 2))), {x: 1}).trust is Method.PROVED
    with pytest.raises(ProofError, match="it comes to True"):
        refute("sums", Le(x + y, 4), {x: 2, y: 2})
    with pytest.raises(ProofError, match="it comes to True"):
        refute("if", Implies(Ge(x, 2), Ge(x, 3)), {x: 1})
    with pytest.raises(ProofError, match=r"it comes to y \+ 2 <= 3"):
        refute("sums", Le(x + y, 3), {x: 2})


def test_arguments_need_words_and_citations_a_source() -> None:
    """Nothing is taken for granted without saying why."""
    with pytest.raises(ProofError, match="an argument needs words"):
        argue(" ")
    with pytest.raises(ProofError, match="a citation needs a source"):
        cite("true", " ")


def test_trust_is_the_weakest_method_below() -> None:
    """A proof that uses an argument is no better than the argument; a check beside it makes it no better or worse."""
    assert Method.ARGUED < Method.CITED < Method.EXHAUSTED < Method.PROVED
    checked = exhaust("some", range(3), lambda n: n < 3, refuted=lambda n: n < 2)
    book = cite("a theorem", "a book", beside=[checked])
    words = argue("so", Le(x, 1), using=[book])
    final = prove("final", Le(x, 2), using=[words], refuted=Le(2 * x, 1))
    assert final.method is Method.PROVED
    assert final.trust is Method.ARGUED
    assert book.trust is Method.CITED
    assert [fact.text for fact in final.closure] == ["a theorem", "so", "final"]
    assert [fact.text for fact in final.steps] == ["some", "a theorem", "so", "final"]


# Formulas


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        (Gt(1 / r, r), "the denominator r may be 0"),
        (Gt(1 / (x - y), 1), "may be 0"),
        (Ge(sqrt(r), r), "the root of r may not exist"),
        (Ge(sqrt(x - 1), x), "may not exist"),
        (Ge(sympy.exp(x), 1 + y), "not a polynomial, a quotient or a root: exp"),
        (Ge(x**sympy.pi, y), "not a polynomial, a quotient or a root"),
        (Ge(x**p, y), "not a polynomial, a quotient or a root"),
        (Ge(sympy.Symbol("c"), x), "the symbol c has to be real, positive or nonnegative, and no more"),
        (Ge(sympy.Symbol("n", integer=True), x), "the symbol n has to be real"),
        (Ge(sympy.Symbol("n", positive=True, integer=True), x), "the symbol n has to be real"),
        (x + 1, "not a formula over the real numbers"),
    ],
    ids=str,
)
def test_what_cannot_be_translated_is_refused(formula: Any, why: str) -> None:
    """Quotients and roots that may not exist, other functions, and symbols with assumptions that z3 would not see."""
    with pytest.raises(ProofError, match=why):
        Assumptions().counterexample(formula)


def test_roots_of_any_degree() -> None:
    """Cube roots grow; 18^(1/4) p^(1/4), which sympy takes apart, is the fourth root of 18p and of no more."""
    known = Assumptions(Ge(p, 1))
    assert known.counterexample(Ge(p, sympy.cbrt(p))) is None
    assert known.counterexample(Le(p, sympy.cbrt(p))) is not None
    assert sympy.root(18 * p, 4).is_Mul
    bounded = known.and_also(Le(18 * p, q**4))
    assert bounded.counterexample(Le(sympy.root(18 * p, 4), q)) is None
    assert bounded.counterexample(Le(sympy.root(19 * p, 4), q)) is not None
    assert bounded.counterexample(Le(sympy.root(18 * p, 4) * sympy.sqrt(p), q * sympy.sqrt(p))) is None


def test_a_quotient_may_use_what_is_given() -> None:
    """1/r is allowed where r is known not to be 0, sqrt(r) where it is known not to be negative."""
    assert Assumptions(Gt(r, 0)).counterexample(Gt(1 / r, 0)) is None
    assert Assumptions(Ge(r, 1)).counterexample(Ge(sqrt(r), 1)) is None
    assert Assumptions(Ge(r, 1)).counterexample(Ge(r ** sympy.Rational(-3, 2), 1)) == "r = 4"


@pytest.mark.parametrize(
    ("term", "value"),
    [
        (1 / p, sympy.Rational(1, 4)),
        (p**2, 16),
        (p**3, 64),
        (sqrt(p), 2),
        (p ** sympy.Rational(3, 2), 8),
        (p ** sympy.Rational(-3, 2), sympy.Rational(1, 8)),
        (p**-2 * sqrt(p), sympy.Rational(1, 8)),
        (sympy.root(2 * p, 3), 2),
        (sqrt(2) * sqrt(8 * p), 8),
    ],
    ids=str,
)
def test_powers_have_their_values(term: Any, value: Any) -> None:
    """At p = 4, by hand; and no other value."""
    at_four = Assumptions(Eq(p, 4, evaluate=False))
    assert at_four.counterexample(Eq(term, value, evaluate=False)) is None
    assert at_four.counterexample(Eq(term, value + 1, evaluate=False)) is not None


def test_roots_of_zero_exist_and_those_of_products_are_no_way_around() -> None:
    """sqrt(x) needs no x > 0; sqrt(r) sqrt(a), with r and a below 0, is not the root of r a."""
    assert Assumptions(Eq(x, 0, evaluate=False)).counterexample(Eq(sqrt(x), 0, evaluate=False)) is None
    with pytest.raises(ProofError, match="may not exist"):
        Assumptions(Ge(r * a_real, 0)).counterexample(Ge(sqrt(r) * sqrt(a_real), 0, evaluate=False))


def test_examples_are_written_with_all_that_they_need() -> None:
    """Irrational numbers to six digits; where there are no variables, every number will do; where nothing holds, none."""
    assert Assumptions(Eq(p**2, 2)).example() == "p = 1.414213.."
    assert Assumptions(sympy.true).example() == "every number"
    assert Assumptions(sympy.false).example() is None
    assert reals.written(sympy.Ne(x, y)) == "x != y"
    assert reals.written(Or(Eq(x, 1), Ge(y, 2))) == "(x = 1) or (y >= 2)"
    assert reals.written(And(Eq(x, 1), Ge(y, 2))) == "(x = 1) and (y >= 2)"


def test_the_solver_has_as_long_as_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """In milliseconds, for each question; 20 s unless something else is said."""
    limits: list[tuple[str, int]] = []
    set_option = z3.Solver.set
    monkeypatch.setattr(z3.Solver, "set", lambda self, *given: (limits.append(given), set_option(self, *given))[1])
    prove("p", Ge(2 * p, p, evaluate=False), refuted=Ge(p, 2 * p, evaluate=False), seconds=1.5)
    assert set(limits) == {("timeout", 1500)}
    limits.clear()
    squares()
    assert set(limits) == {("timeout", 20_000)}


_NUMBERS = st.fractions(min_value=0, max_value=9, max_denominator=6)


def _terms() -> st.SearchStrategy[Any]:
    leaves = st.sampled_from([x, y, p, sqrt(x), sqrt(y), 1 / p, p ** sympy.Rational(-3, 2)]) | st.integers(-3, 3).map(
        sympy.Integer
    )
    return st.recursive(
        leaves,
        lambda inner: st.builds(lambda a, b: a + b, inner, inner) | st.builds(lambda a, b: a * b, inner, inner),
        max_leaves=6,
    )


@given(_terms(), _terms(), st.tuples(_NUMBERS, _NUMBERS, _NUMBERS.filter(bool)))
def test_a_formula_holds_at_numbers_exactly_if_sympy_says_so(
    left: Any, right: Any, roots: tuple[Fraction, ...]
) -> None:
    """Formulas mean to z3 what they mean to sympy: at squares of rational numbers, where roots are rational too."""
    values = {s: sympy.Rational(root) ** 2 for s, root in zip((x, y, p), roots, strict=True)}
    formula = Ge(left, right, evaluate=False)
    holds = bool(left.xreplace(values) >= right.xreplace(values))
    at = Assumptions(*(Eq(s, value, evaluate=False) for s, value in values.items()))
    assert (at.counterexample(formula) is None) == holds


# Theorems


def bound(**changes: Any) -> Bound:
    """Q_io >= n_q d if M >= d, proved by `conclusion`."""
    contents: dict[str, Any] = {
        "name": "a_bound",
        "formula": lambda letters: letters.n_q * letters.d,
        "conditions": lambda letters: ((letters.M, letters.d),),
        "theorem": "conclusion",
        "source": "a test",
    }
    return Bound(**{**contents, **changes})


DOC = "Something.\n\nStatement: this.\nHypotheses: that.\nDoes not say: more.\nSource: a test."


def proof_of(conclusions: Conclusions, doc: str = DOC) -> Callable[[], Conclusions]:
    def conclusion() -> Conclusions:
        return conclusions

    conclusion.__doc__ = doc
    return conclusion


def final(of: Bound, *given: Any) -> Fact:
    """What the bound says, argued."""
    return argue("obvious", claim_of(of), given=given)


def test_a_theorem_concludes_its_bounds() -> None:
    """The final fact says what the bound says, under no more than its regime."""
    one = bound()
    with_regime = final(one, one.regime)
    checked = theorem(proof_of({one: with_regime})).check()
    assert checked.theorem.name == "conclusion"
    assert checked.theorem.does_not_say == "more."
    assert checked.verdict == "holds, resting on 1 argued step"
    assert theorem(proof_of({one: final(one)})).check().conclusions


def test_a_theorem_with_another_conclusion_is_refused() -> None:
    """Another formula, a hypothesis that is not in the regime, a bound of another theorem, nothing at all."""
    one = bound()
    greater = dataclasses.replace(one, formula=lambda letters: letters.n_q * letters.d + 1)
    with pytest.raises(ProofError, match="a_bound is not what is claimed in the end"):
        theorem(proof_of({greater: final(one)})).check()
    with pytest.raises(ProofError, match="a_bound holds only if Q_io >= 1, which is not in its regime"):
        theorem(proof_of({one: final(one, Ge(IO, 1))})).check()
    with pytest.raises(ProofError, match="a_bound names the theorem other"):
        theorem(proof_of({bound(theorem="other"): final(one)})).check()
    with pytest.raises(ProofError, match="a_bound is not what is claimed"):
        theorem(proof_of({bound(kind="upper"): final(one)})).check()
    with pytest.raises(ProofError, match="concludes nothing"):
        theorem(proof_of({})).check()


@pytest.mark.parametrize(
    ("old", "new"),
    [("Hypotheses: that.\n", ""), ("Source: a test.", "Source:"), ("Statement", "Claim"), ("Does not say", "Source")],
)
def test_a_theorem_without_its_headings_is_refused(old: str, new: str) -> None:
    """Statement, hypotheses, what it does not say and source are all there, in this order."""
    with pytest.raises(ProofError, match="heading"):
        theorem(proof_of({}, DOC.replace(old, new)))


def test_the_verdict_says_proved_only_if_everything_is() -> None:
    """One argued, cited or exhausted step below a conclusion, and the verdict names it; controls don't count."""
    one = bound(formula=lambda letters: letters.n_q / letters.n_q - 2, conditions=lambda _: ())

    def check(*using: Fact) -> Checked:
        return theorem(proof_of({one: prove("end", claim_of(one), using=using, refuted=Ge(IO, 1))})).check()

    assert check().verdict == "proved"
    assert check(squares().at({x: 1, y: 2}).fact).verdict == "proved"
    book = cite("Somebody: a theorem", "a book")
    words = argue("so", Ge(IO, 0, evaluate=False), using=[book])
    more = argue("and so", Ge(IO, 0, evaluate=False))
    assert check(words).verdict == "holds, resting on 1 argued step and Somebody (cited)"
    assert check(words, more).verdict == "holds, resting on 2 argued steps and Somebody (cited)"
    assert [step.text for step in check(words).rests_on] == ["Somebody: a theorem", "so"]
    few = exhaust("few", range(3), lambda n: n < 3, refuted=lambda n: n < 2)
    seen = argue("as seen", Ge(IO, 0, evaluate=False), using=[few])
    assert check(seen).verdict == "holds, resting on 1 argued step and 1 exhausted step"
    found = check(words)
    assert [found.number(step) for step in found.steps] == [1, 2, 3]
    assert 0 <= found.seconds < 60


def test_a_theorem_is_worth_as_much_as_its_weakest_conclusion() -> None:
    """One bound proved, another argued; and an upper bound on an error is a conclusion, one on traffic is not."""
    one, other = bound(formula=lambda x: x.n_q / x.n_q - 2, conditions=lambda _: ()), bound(name="other")
    proved = prove("end", claim_of(one), refuted=Ge(IO, 1))
    assert theorem(proof_of({one: proved, other: final(other)})).check().trust is Method.ARGUED
    error = bound(
        kind="upper", quantity="error", letters=("e", "v"), formula=lambda x: x.e * x.v, conditions=lambda _: ()
    )
    assert theorem(proof_of({error: final(error)})).check().conclusions
    assert set(DEFINED) == set("rmCac")


def test_facts_are_handed_over_as_they_are_made() -> None:
    """Whoever waits for a long proof sees its steps."""
    seen: list[Fact] = []
    with kernel.recorded(seen.append) as facts:
        one = squares()
    squares()
    assert seen == facts == [one]
