"""A fact can only be made by the proof kernel."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy
from sympy import Ge

from iosim.errors import ProofError
from iosim.proof import Fact, Method, argue, cases, cite, kernel, prove, refute
from iosim.proof.theorem import IO, theorem
from tests.small_proofs import bound, proof_of, q, squares, x

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
