"""For tests of proofs: two small facts, a bound with its theorem, the variables that they are about; registered theorems."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sympy
from sympy import Le, Lt

from iosim.bounds.bound import Bound
from iosim.proof import Fact, prove
from iosim.proof.theorem import Checked, Conclusions
from iosim.registry import find_theorem

x, y, z = sympy.symbols("x y z", nonnegative=True)
p, q = sympy.symbols("p q", positive=True)
r = sympy.Symbol("r", real=True)


def squares() -> Fact:
    """2xy <= x^2 + y^2."""
    return prove("squares", Le(2 * x * y, x**2 + y**2), refuted=Le(3 * x * y, x**2 + y**2))


def root_grows() -> Fact:
    """x <= y if x^2 <= y^2."""
    return prove("root", Le(x, y), given=[Le(x**2, y**2)], refuted=Lt(x, y))


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


@cache
def checked(name: str) -> Checked:
    """A registered theorem, its steps proved."""
    return find_theorem(name).check()
