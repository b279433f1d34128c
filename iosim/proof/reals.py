"""Whether formulas over the real numbers follow from others: sympy on the surface, z3 beneath.

Formulas are made of rational numbers, real symbols, sums, products, quotients, rational powers, comparisons, and, or, not,
implications. A quotient is allowed only where its denominator is proved not to be 0, a root only where its argument is
proved not to be negative. Anything else is refused, floats too, and so is an answer "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, TypeAlias

import sympy
import z3
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from iosim.errors import ProofError

SOLVER = f"z3 {z3.get_version_string()}"
TIME_LIMIT = 20.0  # seconds for one question

Formula: TypeAlias = "sympy.Basic"

_COMPARISONS: Mapping[type, Any] = {
    sympy.Ge: lambda a, b: a >= b,
    sympy.Gt: lambda a, b: a > b,
    sympy.Le: lambda a, b: a <= b,
    sympy.Lt: lambda a, b: a < b,
    sympy.Eq: lambda a, b: a == b,
    sympy.Ne: lambda a, b: a != b,
}
_CONNECTIVES: Mapping[type, Any] = {
    sympy.And: z3.And,
    sympy.Or: z3.Or,
    sympy.Not: z3.Not,
    sympy.Implies: z3.Implies,
    BooleanTrue: lambda: z3.BoolVal(True),
    BooleanFalse: lambda: z3.BoolVal(False),
}


class Measured(sympy.Dummy):  # type: ignore[misc]
    """A number of words, moves, ... that a schedule has: at least 0, and not free to choose.

    Attributes:
        meaning: what it counts.
        of: the variables that have to be fixed before it can be counted.
    """

    __slots__ = ("meaning", "of")

    def __new__(cls, name: str, meaning: str, *, of: Iterable[sympy.Symbol] = ()) -> Measured:
        self = super().__new__(cls, name, nonnegative=True)
        self.meaning = meaning
        self.of = frozenset(of)
        return self  # type: ignore[no-any-return]

    def _sympystr(self, _printer: Any) -> str:
        return str(self.name)


def sign(symbol: sympy.Symbol, value: Any) -> Formula | None:
    """What the assumptions of a symbol say about a value that takes its place; None for any real number.

    Raises:
        ProofError: the symbol is not real, or is assumed to be more than real and positive or nonnegative.

    Example:
        >>> sign(sympy.Symbol("x", positive=True), sympy.Symbol("y", real=True))
        y > 0
    """
    known = set(symbol.assumptions0.items())
    for allowed, condition in (
        ({"positive": True}, lambda: sympy.Gt(value, 0, evaluate=False)),
        ({"nonnegative": True}, lambda: sympy.Ge(value, 0, evaluate=False)),
        ({"real": True}, lambda: None),
    ):
        if known == set(sympy.Symbol("x", **allowed).assumptions0.items()):
            return condition()
    raise ProofError(f"the symbol {symbol} has to be real, positive or nonnegative, and no more")


class Assumptions:
    """Formulas that are taken to hold, and what follows from them.

    Attributes:
        questions: every question that was answered "follows", as SMT-LIB text that is to be unsatisfiable.
    """

    def __init__(self, *formulas: Formula, seconds: float = TIME_LIMIT) -> None:
        self.questions: list[str] = []
        self._seconds = seconds
        self._facts: list[Any] = []
        self._symbols: dict[sympy.Symbol, Any] = {}
        self._roots: dict[tuple[sympy.Expr, int], Any] = {}
        self._names: set[str] = set()
        self._defined: set[sympy.Expr] = set()
        for formula in formulas:
            self.assume(formula)

    def assume(self, formula: Formula) -> None:
        """Adds one formula, and the signs of its symbols."""
        self._facts.append(self._formula(formula))

    def and_also(self, *formulas: Formula) -> Assumptions:
        """The same with more formulas."""
        more = Assumptions(seconds=self._seconds)
        more._facts, more._symbols = [*self._facts], {**self._symbols}
        more._roots, more._names, more._defined = {**self._roots}, {*self._names}, {*self._defined}
        for formula in formulas:
            more.assume(formula)
        return more

    def counterexample(self, formula: Formula) -> str | None:
        """Numbers at which what is assumed holds and the formula fails; None if it follows.

        Raises:
            ProofError: the solver does not know, or not in time.
        """
        negation = z3.Not(self._formula(formula))
        return self._ask(negation)

    def example(self) -> str | None:
        """Numbers at which all that is assumed holds; None if it contradicts itself."""
        return self._ask(None)

    def require(self, formula: Formula, why: str) -> None:
        """Raises `ProofError` unless the formula follows."""
        found = self.counterexample(formula)
        if found is not None:
            raise ProofError(f"{why}: {formula} does not follow; it fails at {found}")

    def require_real(self, term: sympy.Expr) -> None:
        """Raises `ProofError` unless the term is a real number wherever what is assumed holds."""
        self._term(term)

    def _ask(self, negation: Any) -> str | None:
        solver = z3.Solver()
        solver.set("timeout", int(1000 * self._seconds))
        asked = [*self._facts, *([] if negation is None else [negation])]
        solver.add(*asked)
        answer = solver.check()
        if answer == z3.unsat:
            if negation is not None:
                self.questions.append(solver.to_smt2())
            return None
        if answer != z3.sat:
            raise ProofError(f"the solver does not know ({solver.reason_unknown()}) whether this holds: {asked[-1]}")
        model = solver.model()
        if not all(z3.is_true(model.eval(part, model_completion=True)) for part in asked):
            raise ProofError(f"the solver's numbers do not satisfy its formulas: {model}")
        values = {str(name): model.eval(variable, model_completion=True) for name, variable in self._symbols.items()}
        return ", ".join(f"{name} = {_written(value)}" for name, value in sorted(values.items())) or "every number"

    def _formula(self, formula: Formula) -> Any:
        kind = type(formula)
        if kind in _COMPARISONS:
            return _COMPARISONS[kind](self._term(formula.args[0]), self._term(formula.args[1]))
        if kind in _CONNECTIVES:
            return _CONNECTIVES[kind](*map(self._formula, formula.args))
        raise ProofError(f"not a formula over the real numbers: {formula}")

    def _term(self, term: sympy.Basic) -> Any:
        match term:
            case sympy.Symbol():
                return self._symbol(term)
            case sympy.Rational():
                return z3.Q(int(term.p), int(term.q))
            case sympy.Add():
                return sum(map(self._term, term.args[1:]), self._term(term.args[0]))
            case sympy.Mul():
                factors = _one_root(term)
                return prod(map(self._term, factors[1:]), start=self._term(factors[0]))
            case sympy.Pow(args=(base, sympy.Rational() as exponent)):
                return self._power(base, exponent)
        raise ProofError(f"not a polynomial, a quotient or a root: {term}")

    def _symbol(self, symbol: sympy.Symbol) -> Any:
        if symbol not in self._symbols:
            unique = f"{symbol.name}#{symbol.dummy_index}" if isinstance(symbol, sympy.Dummy) else symbol.name
            self._symbols[symbol] = self._variable(unique)
            condition = sign(symbol, symbol)
            if condition is not None:
                self._facts.append(self._formula(condition))
        return self._symbols[symbol]

    def _variable(self, name: str) -> Any:
        """A variable for the solver, to which variables of one name are one variable.

        Raises:
            ProofError: there is another one of that name, such as a symbol with other assumptions.
        """
        name = name.replace("|", "")  # which SMT-LIB has no way to write within a name
        if name in self._names:
            raise ProofError(f"two different variables are called {name}")
        self._names.add(name)
        return z3.Real(name)

    def _power(self, base: sympy.Expr, exponent: sympy.Rational) -> Any:
        value = self._term(base) if exponent.q == 1 else self._root(base, int(exponent.q))
        if exponent < 0 and base not in self._defined:
            self.require(sympy.Ne(base, 0, evaluate=False), f"the denominator {base} may be 0")
            self._defined.add(base)
        power = prod([value] * (abs(int(exponent.p)) - 1), start=value)
        return power if exponent > 0 else 1 / power

    def _root(self, base: sympy.Expr, degree: int) -> Any:
        if (base, degree) not in self._roots:
            power = self._term(base)
            self.require(sympy.Ge(base, 0, evaluate=False), f"the root of {base} may not exist")
            root = self._variable(f"root {len(self._roots)} of {base}")
            self._facts += [root >= 0, prod([root] * (degree - 1), start=root) == power]
            self._roots[base, degree] = root
        return self._roots[base, degree]


def _one_root(product: sympy.Mul) -> tuple[sympy.Expr, ...]:
    """The factors of a product, roots of numbers and of a positive symbol put together: 2^(1/4) sqrt(3) M^(1/4) is
    (18 M)^(1/4), one root for the solver in place of three."""

    def is_root(factor: sympy.Expr) -> bool:
        return (
            isinstance(factor, sympy.Pow)
            and factor.exp.is_Rational
            and 0 < factor.exp < 1
            and bool(factor.base.is_positive)
            and (factor.base.is_Rational or factor.base.is_Symbol)
        )

    roots = [factor for factor in product.args if is_root(factor)]
    if len(roots) < 2:
        return product.args  # type: ignore[no-any-return]
    degree = sympy.ilcm(*(root.exp.q for root in roots))
    base = sympy.Mul(*(root.base ** int(root.exp * degree) for root in roots))
    whole = sympy.Pow(base, sympy.Rational(1, degree), evaluate=False)
    return (*(factor for factor in product.args if not is_root(factor)), whole)


def _written(value: Any) -> str:
    if z3.is_algebraic_value(value):
        return f"{value.approx(6).as_decimal(6)}".rstrip("?") + ".."
    return str(value)


def symbols_of(formulas: Iterable[Formula]) -> set[sympy.Symbol]:
    """The symbols that occur in formulas."""
    return set().union(*(formula.free_symbols for formula in formulas))


def written(formula: Formula) -> str:
    """A formula as text, comparisons in infix."""
    match formula:
        case sympy.Eq() | sympy.Ne():
            sign = "=" if isinstance(formula, sympy.Eq) else "!="
            return f"{formula.args[0]} {sign} {formula.args[1]}"
        case sympy.And() | sympy.Or():
            word = " and " if isinstance(formula, sympy.And) else " or "
            return word.join(sorted(f"({written(part)})" for part in formula.args))
        case sympy.Implies():
            return f"({written(formula.args[0])}) implies ({written(formula.args[1])})"
    return str(formula)
