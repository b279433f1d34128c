"""What the literature states, and what it must not be taken for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from iosim.bounds.bound import Setting
from iosim.bounds.einsum import einsum_bounds
from iosim.bounds.exact import greatest
from iosim.bounds.literature import MATMUL, STATEMENTS
from iosim.errors import CountError

n_q, n_k, d, d_v, M = (sympy.Symbol(x, positive=True) for x in ("n_q", "n_k", "d", "d_v", "M"))
SETTING = Setting(N=4096**2, n_q=4096, n_k=4096, d=64, d_v=64, M=20_000)


@pytest.mark.parametrize("cited", STATEMENTS, ids=lambda cited: cited.title)
def test_asymptotic_statements_have_no_words(cited: object) -> None:
    """Whatever is stated up to a constant refuses to be a number of words; only Smith et al. give one."""
    for bound in cited.bounds:  # type: ignore[attr-defined]
        assert bound.theorem is None  # cited, not proved here
        assert bound.source
        assert bound.expression.has(d)
        if bound.strength == "exact":
            assert bound is MATMUL
            assert bound.words(SETTING) > 0
        else:
            with pytest.raises(CountError, match="asymptotic: it has no value"):
                bound.words(SETTING)


def test_expressions_are_those_of_the_papers() -> None:
    """With n_q = n_k = n: n^2 d/sqrt(M), n^2 d^2/M, and the two branches of the backward pass."""
    n = sympy.Symbol("n", positive=True)
    found = {cited.title: [b.expression.subs({n_q: n, n_k: n, d_v: d}) for b in cited.bounds] for cited in STATEMENTS}
    expected = {
        "Hong and Kung 1981": [n**2 * d / sympy.sqrt(M)],
        "Smith, Lowery, Langou and van de Geijn 2017": [2 * n**2 * d / sympy.sqrt(M) - 2 * M],
        "FlashAttention 2022, Theorem 2": [n**2 * d**2 / M],
        "FlashAttention 2022, Proposition 3": [n**2 * d**2 / M],
        "Saha and Ye 2024": [n**2 * d**2 / M, n**2 * d / sympy.sqrt(M)],
        "Li et al. 2024": [(n**2 * d**2 + n * d**3) / M, (n**2 * d + n * d**2) / sympy.sqrt(M)],
        "Papp, Sobczyk and Zouzias 2026": [4 * n * d],
    }
    assert list(found) == list(expected)
    for title, formulas in expected.items():
        assert [sympy.simplify(a - b) for a, b in zip(found[title], formulas, strict=True)] == [0] * len(formulas)


def test_only_the_statement_about_one_algorithm_is_an_upper_bound() -> None:
    """FlashAttention's Theorem 2 is about FlashAttention; the others are about all algorithms."""
    upper = [cited.title for cited in STATEMENTS if cited.bounds[0].kind == "upper"]
    assert upper == ["FlashAttention 2022, Theorem 2"]


def test_what_was_read_is_said() -> None:
    """Only an abstract was read of the paper of 2026."""
    assert ["abstract only" in cited.note for cited in STATEMENTS] == [False] * 6 + [True]


def test_smith_et_al_against_what_is_derived_here() -> None:
    """The same leading term; ours is 13M/5 larger. Of one product, so never a bound for attention: two are 2 M apart."""
    bounds = einsum_bounds("ik,kj->ij")
    sizes = bounds.sizes({"i": 4096, "j": 4096, "k": 64}, SETTING.M)
    assert bounds.segments[0].bound.words(sizes) - MATMUL.words(SETTING) == 13 * SETTING.M // 5
    assert MATMUL.words(SETTING) != greatest(SETTING)[1]


def test_flash_attention_is_about_fast_memories_between_d_and_nd() -> None:
    """A row fits, but not all of them."""
    for cited in STATEMENTS[2:4]:
        (bound,) = cited.bounds
        memories = (SETTING.d - 1, SETTING.d, SETTING.n_q * SETTING.d, SETTING.n_q * SETTING.d + 1)
        assert [bound.applies(replace(SETTING, M=M)) for M in memories] == [False, True, True, False]


def test_the_branches_of_saha_and_ye_cross_at_d_squared() -> None:
    """n^2 d^2/M = n^2 d/sqrt(M) exactly where M = d^2; the smaller one is meant on either side."""
    (saha_ye,) = (cited for cited in STATEMENTS if cited.title.startswith("Saha"))
    large, small = (bound.expression for bound in saha_ye.bounds)
    assert [b.applies(replace(SETTING, M=M)) for M in (2000, 64**2, 9000) for b in saha_ye.bounds] == [
        *(False, True),
        *(True, True),
        *(True, False),
    ]
    assert sympy.simplify((large - small).subs(M, d**2)) == 0
    assert sympy.simplify((large / small).subs(M, 4 * d**2)) == sympy.Rational(1, 2)
    assert sympy.simplify((large / small).subs(M, d**2 / 4)) == 2
