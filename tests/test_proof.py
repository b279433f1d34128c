"""The proof kernel: what it proves, what it refuses, and that every refusal can happen."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sympy
import z3
from sympy import And, Eq, Ge, Gt, Implies, Le, Lt, Or, sqrt

from iosim.bounds.bound import NAMES, symbols
from iosim.errors import ProofError
from iosim.proof import Method, argue, cases, cite, exhaust, identity, prove, reals, refute
from iosim.proof.reals import Assumptions, Measured
from iosim.proof.theorem import DEFINED, DEGREE, ERROR, IO
from tests.small_proofs import p, q, r, root_grows, squares, x, y, z

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
