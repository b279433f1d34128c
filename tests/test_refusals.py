"""What is said of flags that can't be used, each sentence once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iosim.errors import UsageError
from iosim.refusals import among, at_most_one, does_not_fit, given, missing, one_of, refuse
from iosim.units import FP16


def test_a_flag_is_given_unless_it_is_none_or_false() -> None:
    """Zero and empty text are given; so is what happens to be the default."""
    assert given(n_k=0, M="", tied=True, d=None, curve=False) == ["--n-k", "--M", "--tied"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: refuse(["--ways2", "--line2"], "without --M2", "with it"), "--ways2 without --M2; allowed: with it"),
        (lambda: one_of(algo=None, trace=None), "--algo or --trace is missing; allowed: one of them"),
        (lambda: one_of(algo="flash2", trace="t.din"), "--algo flash2 --trace t.din: allowed: one of them"),
        (lambda: at_most_one(M=0, io=3), "--M 0 --io 3: allowed: one of them"),
        (lambda: among("mru", ("lru", "opt"), where="--policy"), "--policy mru: allowed: lru, opt"),
    ],
)
def test_what_is_refused(call: Callable[[], None], said: str) -> None:
    """Where, what was found, what is allowed."""
    with pytest.raises(UsageError) as error:
        call()
    assert str(error.value) == said


def test_what_is_not_refused() -> None:
    """Nothing given beside, one of two, none or one of at most one, and one of those that are known."""
    refuse([], "without --M2", "with it")
    one_of(algo="flash2", trace=None)
    at_most_one(M=None, io=None)
    at_most_one(M=None, io=0)
    among("lru", ("lru", "opt"), where="--policy")


def test_what_is_missing_and_what_does_not_fit() -> None:
    """With an example or the least that is enough; more only where there is more to say."""
    assert str(missing("--n", like="65536")) == "--n is missing; allowed: like --n 65536"
    said = "--M is missing (a CPU has none); allowed: like --M 1MB, or rows"
    assert str(missing("--M", like="1MB", instead="rows", why="a CPU has none")) == said
    said = "--M 2w: exact at d=64 needs at least 4 words of fast memory"
    assert str(does_not_fit("--M 2w", "exact at d=64", 4)) == said
    assert str(does_not_fit("--M 2w", "exact at d=64", 4, FP16, why="; so it is")) == f"{said} (8 B at fp16); so it is"
