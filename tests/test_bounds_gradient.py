"""What the gradient has to move: each array that is given or computed, and what attention within it moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from iosim.bounds import exact
from iosim.bounds.bound import Bound, Setting
from iosim.bounds.gradient import applicable, compulsory, for_queries, for_values

SIZES = Setting(N=60, n_q=10, n_k=12, d=3, d_v=5, M=100)


@dataclass(frozen=True)
class Array:
    """An array of that name; the shape is of no account here."""

    name: str
    role: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Declared:
    """What declares such arrays."""

    arrays: tuple[Array, ...]


GIVEN = Declared(
    (*(Array(name, "input") for name in ("Q", "K", "V", "O", "dO", "L")), *(Array(f"d{x}", "output") for x in "QKV"))
)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("Q",), 10 * 3),
        (("K",), 12 * 3),
        (("V",), 12 * 5),
        (("O",), 10 * 5),
        (("dO",), 10 * 5),
        (("L",), 10),
        (("dQ", "dK", "dV"), 10 * 3 + 12 * 3 + 12 * 5),
    ],
)
def test_each_array_is_moved_once(names: tuple[str, ...], words: int) -> None:
    """n_q = 10 rows of Q, O, dO, dQ and L, n_k = 12 of the others; d = 3 and d_v = 5 columns, L has none."""
    rest = Declared(tuple(array for array in GIVEN.arrays if array.name not in names))
    assert compulsory(GIVEN).words(SIZES) - compulsory(rest).words(SIZES) == words
    aside = Declared((*GIVEN.arrays, Array("S", "scratch")))
    assert compulsory(aside).words(SIZES) == compulsory(GIVEN).words(SIZES)
    assert compulsory(GIVEN).compulsory


@pytest.mark.parametrize("pairs", [9, 11])
def test_a_query_or_a_key_that_meets_none_need_not_be_loaded(pairs: int) -> None:
    """10 queries and 12 keys, or 12 and 10: with fewer pairs than either nothing is said to be compulsory."""
    for n_q, n_k in ((10, 12), (12, 10)):
        here = Setting(N=pairs, n_q=n_q, n_k=n_k, d=3, d_v=5, M=100)
        assert not any(bound.compulsory for bound, _ in applicable(here, GIVEN))


def test_the_letters_of_attention_are_exchanged() -> None:
    """Through dV queries and keys, through dQ the head dimensions; in the formula and in the condition."""
    bound = Bound(
        name="some",
        formula=lambda x: x.n_q + 100 * x.n_k + 10_000 * x.d + 10**6 * x.d_v,
        conditions=lambda x: ((x.n_k, x.n_q), (x.d_v, x.d)),
        source="a test",
    )
    assert bound.words(SIZES) == 10 + 1200 + 30_000 + 5 * 10**6
    through_v = Setting(N=60, n_q=12, n_k=10, d=3, d_v=5, M=100)
    assert for_values(bound).words(through_v) == bound.words(SIZES)
    assert not for_values(bound).applies(SIZES)
    through_q = Setting(N=60, n_q=10, n_k=12, d=5, d_v=3, M=100)
    assert for_queries(bound).words(through_q) == bound.words(SIZES)
    assert not for_queries(bound).applies(SIZES)
    assert for_values(bound).name == "gradient_some"
    assert for_queries(bound).name == "gradient_some_with_d_and_dv_exchanged"


@pytest.mark.parametrize("d_v", [8, 24])
def test_bounds_are_those_of_attention_for_every_schedule(d_v: int) -> None:
    """Nothing that asks for a class of schedules is claimed; the exchange is made where d_v is another number than d."""
    every = frozenset({"no recomputation", "no spilling"})
    here = Setting(N=10**6, n_q=1000, n_k=1000, d=8, d_v=d_v, M=300, properties=every)  # type: ignore[arg-type]
    found = dict(applicable(here, GIVEN))
    assert not any(bound.requires for bound in found)
    through_v = Setting(N=10**6, n_q=1000, n_k=1000, d=8, d_v=d_v, M=300)
    through_q = Setting(N=10**6, n_q=1000, n_k=1000, d=d_v, d_v=8, M=300)
    expected = {f"gradient_{bound.name}": words for bound, words in exact.applicable(through_v) if not bound.compulsory}
    if d_v != 8:
        expected |= {
            f"gradient_{bound.name}_with_d_and_dv_exchanged": words
            for bound, words in exact.applicable(through_q)
            if not bound.compulsory
        }
    assert {bound.name: words for bound, words in found.items() if not bound.compulsory} == expected
    # M >= 4 8^2: that of a large fast memory, and two forms of that of any, which are one for d_v = d; for d_v = 24 one
    # form, and the one for little memory through dQ
    assert len(expected) == 3
    # Q, dO, O, dQ and L, K, V, dK and dV
    assert [words for bound, words in found.items() if bound.compulsory] == [
        1000 * (2 * 8 + 2 * d_v + 1 + 2 * 8 + 2 * d_v)
    ]


def test_attention_is_asked_about_with_the_letters_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound in whatever letters says the same at the exchanged setting as the bound that is claimed says here."""
    bound = Bound(name="some", formula=lambda x: x.n_q + 100 * x.n_k + 10_000 * x.d + 10**6 * x.d_v, source="a test")
    monkeypatch.setattr(exact, "applicable", lambda setting: [(bound, bound.words(setting))])
    (_, compulsory_words), *found = applicable(SIZES, GIVEN)
    assert compulsory_words == compulsory(GIVEN).words(SIZES)
    assert [words for _, words in found] == [12 + 1000 + 30_000 + 5 * 10**6, 10 + 1200 + 50_000 + 3 * 10**6]
    for claimed, words in found:
        assert claimed.words(SIZES) == words
