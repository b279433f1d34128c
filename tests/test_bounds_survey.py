"""Bounds side by side: which ones, in which order, and what is left of them where the problem is large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import sympy

from iosim.bounds.bound import Bound, Property, Setting
from iosim.bounds.einsum import einsum_bounds
from iosim.bounds.exact import BOUNDS, TRIVIAL, TRIVIAL_TIED, applicable
from iosim.bounds.literature import STATEMENTS
from iosim.bounds.survey import Group, Survey, attention, attention_in_symbols, einsum, value
from iosim.errors import UsageError

ONCE: frozenset[Property] = frozenset({"no recomputation"})
NEVER: frozenset[Property] = frozenset({"no recomputation", "no spilling"})
TIED: frozenset[Property] = frozenset({"tied"})
SQUARE = Setting(N=10**6, n_q=1000, n_k=1000, d=8, d_v=8, M=300)

SETTINGS = {
    "square": SQUARE,
    "few words": replace(SQUARE, d_v=24, M=60),
    "wide values": replace(SQUARE, d_v=64, M=2000),
    "all fits": replace(SQUARE, M=10**6),
    "tied": replace(SQUARE, d_v=4, M=60, properties=TIED),
    "known not to compute twice": replace(SQUARE, d_v=64, M=2000, properties=ONCE),
    # (d + sqrt(2) d_v) is above d + d_v even without recomputation: both classes say more than the one before
    "both classes": replace(SQUARE, N=10**8, n_q=10**4, n_k=10**4, d=4, d_v=64, M=300),
    # one query and key: the trivial bound alone
    "tiny": Setting(N=1, n_q=1, n_k=1, d=8, d_v=8, M=300),
}


def most(setting: Setting) -> int:
    """The most that any bound says at this setting."""
    return max(words for _, words in applicable(setting))


def values(group: Group) -> dict[str, int | None]:
    return {line.label: line.words for line in group.lines}


def expressions(group: Group) -> dict[str, str]:
    return {line.label: str(line.expression) for line in group.lines}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_bounds_of_attention_at_sizes(name: str) -> None:
    """First what holds for every schedule, the most first; then each class of schedules that has a greater bound yet."""
    setting = SETTINGS[name]
    found = attention(setting, problem="as given")
    assert found.problem == "exact attention, as given"
    assert found.fast_memory_words == setting.M
    assert found.cited == STATEMENTS

    (first, *classes) = found.groups
    assert first.title == "every schedule"
    trivial = TRIVIAL_TIED if "tied" in setting.properties else TRIVIAL
    rest = sorted((p for p in applicable(setting) if p[0] is not trivial), key=lambda pair: -pair[1])
    full = rest[:1]  # none where all fits
    assert values(first)["trivial"] == trivial.words(setting)
    assert [(line.label, line.bound) for line in first.lines] == [
        ("trivial", trivial),
        *((label, bound) for bound, _ in full for label in ("full", "leading", "simplified")),
    ]
    assert all(values(first)["full"] == words for _, words in full)
    assert bool(full) is (name not in ("all fits", "tiny"))
    assert [words for _, words in found.others] == [words for _, words in rest[1:]]
    assert {bound.name for bound, _ in found.others} == {bound.name for bound, _ in rest if bound != full[0][0]}
    assert found.greatest is not None
    assert found.greatest.words == most(setting)
    assert found.to_dict()["lower_bound_words"] == most(setting)
    assert found.to_dict()["greatest"] == found.greatest.label

    expected, before = [], most(setting)
    for title, properties in (
        ("no score computed twice", ONCE),
        ("no score computed twice, none stored", NEVER),
    ):
        of_class = most(replace(setting, properties=setting.properties | properties))
        if of_class > before:
            expected.append((title, of_class))
            before = of_class
    assert [(group.title, values(group)["full"]) for group in classes] == expected
    assert all([line.label for line in group.lines] == ["full", "leading", "simplified"] for group in classes)


def test_a_class_is_shown_only_if_it_says_more() -> None:
    """Of the settings above: neither class, the second alone, the first alone, and both."""
    shown = {name: [group.title for group in attention(s, problem="").groups[1:]] for name, s in SETTINGS.items()}
    once, never = "no score computed twice", "no score computed twice, none stored"
    assert shown == {
        "square": [],
        "few words": [never],
        "wide values": [once],
        "all fits": [],
        "tied": [],
        "known not to compute twice": [],
        "both classes": [once, never],
        "tiny": [],
    }


SIMPLIFIED: Mapping[str, tuple[Setting, str, str]] = {
    # N d^2 4/M
    "square": (SQUARE, "N*(d + d_v)**2/M", "4*d**2*n**2/M"),
    "other d_v": (replace(SQUARE, d_v=24, M=60), "2*N*(d + d_v)/sqrt(M)", "2*n**2*(d + d_v)/sqrt(M)"),
    "rectangle": (
        replace(SQUARE, N=200_000, n_k=200, d_v=24, M=60),
        "2*N*(d + d_v)/sqrt(M)",
        "2*n_k*n_q*(d + d_v)/sqrt(M)",
    ),
    # n (n + 1)/2 pairs: n^2/2
    "causal": (replace(SQUARE, N=500_500, M=60), "2*N*(d + d_v)/sqrt(M)", "2*d*n**2/sqrt(M)"),
    "another mask": (replace(SQUARE, N=500_501, M=60), "2*N*(d + d_v)/sqrt(M)", "4*N*d/sqrt(M)"),
    # four heads of 1000: 4 10^6 pairs of 4000 and 4000
    "heads": (replace(SQUARE, N=4 * 10**6, n_q=4000, n_k=4000, M=60), "2*N*(d + d_v)/sqrt(M)", "4*N*d/sqrt(M)"),
    # 2 N = n_q (n_q + 1), but there are other keys
    "half of no square": (replace(SQUARE, N=500_500, n_k=700, M=60), "2*N*(d + d_v)/sqrt(M)", "4*N*d/sqrt(M)"),
}


@pytest.mark.parametrize("name", SIMPLIFIED)
def test_the_simplest_letters(name: str) -> None:
    """n where queries are as many as keys, and all pairs, or half of them, meet; d where the head dimensions are one."""
    setting, leading, simplified = SIMPLIFIED[name]
    first = attention(setting, problem="").groups[0]
    assert expressions(first)["leading"] == leading
    assert expressions(first)["simplified"] == simplified
    found = {line.label: line for line in first.lines}
    at = {**setting.sizes, "n": setting.n_q}
    for label in ("leading", "simplified"):
        exact = found[label].expression.subs(
            {symbol: at[symbol.name] for symbol in found[label].expression.free_symbols}
        )
        assert found[label].words == sympy.ceiling(exact)
        assert not found[label].proved
    assert all(found[label].proved for label in ("trivial", "full"))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_the_bounds_of_attention_in_symbols(causal: bool, tied: bool) -> None:
    """Each that is about such values, as a formula with its condition, with no words; half as many pairs under the mask."""
    found = attention_in_symbols(causal=causal, tied=tied)
    about = "exact attention with N pairs of a query and a key"
    assert found.problem == about + ", mask causal" * causal + ", V part of K" * tied
    assert found.simplified == f"n_q = n_k = n, d_v = d, N = n^2{'/2' * causal}"
    assert (found.fast_memory_words, found.greatest, found.others, found.cited) == (None, None, (), STATEMENTS)
    assert found.to_dict()["lower_bound_words"] is found.to_dict()["greatest"] is None
    wide = {"sums of 2 words", "sums of 4 words"}
    said = [
        bound
        for bound in BOUNDS
        if "tied" not in (bound.excludes if tied else bound.requires) and not bound.requires & wide
    ]
    assert [group.lines[0].bound for group in found.groups] == said
    n, d, d_v, n_q, n_k, N = (sympy.Symbol(name, positive=True) for name in ("n", "d", "d_v", "n_q", "n_k", "N"))
    pairs = n**2 / 2 if causal else n**2
    for group, bound in zip(found.groups, said, strict=True):
        assert all(line.words is None for line in group.lines)
        if bound in (TRIVIAL, TRIVIAL_TIED):
            assert [line.label for line in group.lines] == ["trivial"]
            assert group.title == "N >= n_q and N >= n_k"
            continue
        assert [line.label for line in group.lines] == ["full", "leading", "simplified"]
        _, leading, simple = (line.expression for line in group.lines)
        assert sympy.simplify(simple - leading.subs({N: pairs, d_v: d, n_q: n, n_k: n})) == 0
    titles = {group.title for group in found.groups}
    for title, of_tied in (
        ("no recomputation and no spilling and 25*N^2*d^2 >= 9*M^3 and 25*N^2*d_v^2 >= 18*M^3", False),
        ("no recomputation and M >= (d + d_v)^2 and 5*N*(d + d_v)^2 >= 3*M^2", False),
        ("2*M >= (d + d_v)^2 and d >= d_v and 5*N*(d + d_v)^2 >= 6*M^2", True),
    ):
        assert (title in titles) is (of_tied is tied)


def test_a_bound_without_a_condition_is_for_every_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for all sizes; what it requires beside that V is tied is named."""
    plain = Bound(name="plain", formula=lambda x: 5 * x.N, source="a test")
    asks = Bound(name="asks", formula=lambda x: 5 * x.N, source="a test", requires=NEVER | TIED)
    # a condition that holds for all sizes is said all the same, as it was stated
    always = replace(plain, name="always", conditions=lambda x: ((x.M + 1, x.M),))
    monkeypatch.setattr("iosim.bounds.survey.known", lambda: (plain, asks, always))
    titles = [group.title for group in attention_in_symbols(causal=False, tied=True).groups]
    assert titles == ["every schedule, all sizes", "no recomputation and no spilling", "M + 1 >= M"]


def test_a_value_is_rounded_up() -> None:
    """7/2 words are 4; a formula in symbols has none."""
    N, n = sympy.Symbol("N", positive=True), sympy.Symbol("n", positive=True)
    setting = Setting(N=7, n_q=3, n_k=4, d=1, d_v=1, M=2)
    assert value(N / 2, setting) == 4
    assert value(sympy.Integer(6) * N / 7, setting) == 6
    assert value(n**2, setting) == 9
    assert value(N, None) is None


# Einsums


def of(text: str, M: int | None, **sizes: int) -> Survey:
    return einsum(einsum_bounds(text), sizes, M, where="--einsum")


def test_an_einsum_at_sizes() -> None:
    """A matrix product: 3 10^6 words of arrays, then 2 10^9/100 and 3M/5, which any schedule moves."""
    found = of("ik,kj->ij", 10_000, i=1000, k=1000, j=1000)
    assert found.problem == "C[i,j] += A[i,k] B[k,j], i = 1,000, k = 1,000, j = 1,000"
    assert (found.fast_memory_words, found.cited, found.others) == (10_000, (), ())
    (group,) = found.groups
    assert group.title == "every schedule"
    assert values(group) == {
        "trivial": 3_000_000,
        "full": 20_000_000 + 6_000,
        "leading": 20_000_000,
        "simplified": 20_000_000,
    }
    assert expressions(group)["full"] == "3*M/5 + 2*i*j*k/sqrt(M)"
    assert expressions(group)["simplified"] == "2*i*j*k/sqrt(M)"
    assert group.steps
    assert found.greatest is not None
    assert found.greatest.words == 20_000_000 + 6_000
    leading = group.lines[2].bound
    assert leading is group.lines[1].bound


def test_an_einsum_that_moves_its_arrays_once() -> None:
    """A matrix times a vector: the trivial bound alone, with its derivation."""
    (group,) = of("ij,j->i", 100, i=300, j=200).groups
    assert (group.title, values(group)) == ("every schedule", {"trivial": 300 * 200 + 300 + 200})
    assert "is moved at least once" in group.steps[0]


def test_an_einsum_with_a_result_in_between() -> None:
    """Two products: what holds if nothing is computed twice stands apart, and only where it says more."""
    text = "ik,kj->ij; ij,jl->il"
    first, more = of(text, 10_000, i=1000, k=1000, j=1000, l=1000).groups
    assert (first.title, values(first)) == ("every schedule", {"trivial": 4_000_000})
    # 2 2 10^9/100 - 10^6 + 3 10^4/5
    assert more.title == "no product computed twice"
    assert values(more) == {"full": 39_006_000, "leading": 40_000_000, "simplified": 40_000_000}
    assert expressions(more)["full"] == "3*M/5 - i*j + 2*i*j*k/sqrt(M) + 2*i*j*l/sqrt(M)"
    assert expressions(more)["simplified"] == "2*i*j*(k + l)/sqrt(M)"
    (alone,) = of(text, 10_000, i=10, k=10, j=10, l=10).groups
    assert alone.title == "every schedule"


def test_sizes_of_an_einsum_that_do_not_fit_are_named_by_their_flag() -> None:
    """Where the caller says that they are from."""
    with pytest.raises(UsageError, match=r"^--einsum z=3: no such letter"):
        of("ik,kj->ij", 100, z=3)


def test_an_einsum_in_symbols() -> None:
    """The trivial bound, then the segment bound of all statements and of each, by its first cover, with what it requires."""
    found = of("ik,kj->ij; ij,jl->il", None)
    assert (found.problem, found.fast_memory_words) == ("C[i,j] += A[i,k] B[k,j]; E[i,l] += C[i,j] D[j,l]", None)
    first, second = "i^2*j^2*k^2 >= M^3/27", "i^2*j^2*l^2 >= M^3/27"  # more than (M/3)^(3/2) points
    once = [f"no product computed twice and {required}" for required in (f"{first} and {second}", first, second)]
    assert [group.title for group in found.groups] == ["every schedule", *once]
    assert [expressions(group).get("simplified") for group in found.groups] == [
        None,
        "2*i*j*(k + l)/sqrt(M)",
        "2*i*j*k/sqrt(M)",
        "2*i*j*l/sqrt(M)",
    ]
    assert expressions(found.groups[0]) == {"trivial": "i*k + i*l + j*k + j*l"}
    assert all(line.words is None for group in found.groups for line in group.lines)
    alone = [group.title for group in of("ik,kj->ij", None).groups]
    assert alone == ["every schedule", f"every schedule and {first}"]


# As plain numbers


def test_rows_and_numbers_say_what_the_lines_say() -> None:
    """One row a line, with its heading; the bounds that hold too, and the literature."""
    setting = replace(SQUARE, d_v=64, M=2000)
    found = attention(setting, problem="")
    rows = found.rows()
    lines = [(group, line) for group in found.groups for line in group.lines]
    assert len(rows) == len(lines) == 7
    for row, (group, line) in zip(rows, lines, strict=True):
        assert row == {
            "holds_for": group.title,
            "label": line.label,
            "expression": str(line.expression).replace("**", "^"),
            "latex": sympy.latex(line.expression),
            "words": line.words,
            "proved": line.label in ("trivial", "full"),
            "lower_bound": line.bound.name,
            "theorem": line.bound.theorem,
            "source": line.bound.source,
            "requires": sorted(line.bound.requires),
        }
    plain = found.to_dict()
    assert plain["fast_memory_words"] == 2000
    assert [group["holds_for"] for group in plain["bounds"]] == [group.title for group in found.groups]  # type: ignore[attr-defined]
    assert [line for group in plain["bounds"] for line in group["lines"]] == [  # type: ignore[attr-defined]
        {key: value for key, value in row.items() if key != "holds_for"} for row in rows
    ]
    assert [(other["lower_bound"], other["lower_bound_words"]) for other in plain["others"]] == [  # type: ignore[attr-defined]
        (bound.name, words) for bound, words in found.others
    ]
    for said, cited in zip(plain["literature"], STATEMENTS, strict=True):  # type: ignore[call-overload]
        assert (said["title"], said["problem"], said["symbol"]) == (cited.title, cited.problem, cited.symbol)
        assert said["strength"] == cited.bounds[0].strength
        assert said["kind"] == cited.bounds[0].kind
        assert len(said["expressions"]) == len(said["regimes"]) == len(cited.bounds)
