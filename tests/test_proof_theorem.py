"""Theorems: what one has to say and to conclude, and when it is called proved."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sympy import Ge

from iosim.bounds.bound import Bound
from iosim.errors import ProofError
from iosim.proof import Fact, Method, argue, cite, exhaust, kernel, prove
from iosim.proof.theorem import DEFINED, IO, Checked, claim_of, theorem
from tests.small_proofs import DOC, bound, proof_of, squares, x, y


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
    assert set(DEFINED) == set("rmCTac")


def test_facts_are_handed_over_as_they_are_made() -> None:
    """Whoever waits for a long proof sees its steps."""
    seen: list[Fact] = []
    with kernel.recorded(seen.append) as facts:
        one = squares()
    squares()
    assert seen == facts == [one]
