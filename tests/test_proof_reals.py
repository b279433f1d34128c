"""Formulas as the solver sees them: what is translated means the same, what can't be is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sympy
import z3
from hypothesis import given
from hypothesis import strategies as st
from sympy import And, Eq, Ge, Gt, Le, Or, sqrt

from iosim.errors import ProofError
from iosim.proof import prove, reals
from iosim.proof.reals import Assumptions
from tests.small_proofs import p, q, r, squares, x, y


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


a_real = sympy.Symbol("a", real=True)


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
