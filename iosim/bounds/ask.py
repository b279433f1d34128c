"""From what a user types to the bounds that were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from iosim.bounds.approx import MAX_DEGREE
from iosim.bounds.approx_survey import approximate, approximate_in_symbols
from iosim.bounds.bound import Setting
from iosim.bounds.einsum import einsum_bounds
from iosim.bounds.survey import Survey, attention, attention_in_symbols
from iosim.bounds.survey import einsum as einsum_survey
from iosim.errors import UsageError
from iosim.units import Number, dtype, parse_count, parse_size

_HEAD_DIMENSION = 64


def survey(
    *,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    M: Number | None = None,
    dtype_name: str = "fp16",
    causal: bool = False,
    tied: bool = False,
    einsum: str | None = None,
    sizes: Iterable[str] = (),
    degree: int | None = None,
    chunk: Number | None = None,
) -> Survey:
    """The bounds for attention or for an einsum, as the flags of `iosim bounds` ask for them.

    Args:
        degree: of the polynomial in place of the exponential; the bounds are for exact attention if not given.
        chunk: rows of K that a sum of features holds when it is used; all if not given.

    Raises:
        UsageError: flags that can't be read, or don't go together.
    """
    word = dtype(dtype_name, where="--dtype")
    capacity = None if M is None else parse_size(M, word, where="--M")
    counts = {"--n": n, "--n-k": n_k, "--d": d, "--d-v": d_v}
    given = {flag: parse_count(value, where=flag) for flag, value in counts.items() if value is not None}
    if einsum is not None:
        _refuse(given, "--einsum", "its sizes by --size")
        _refuse(_on(causal=causal, tied=tied, degree=degree, chunk=chunk), "--einsum", "neither mask, tie nor degree")
        found = einsum_bounds(einsum, where="--einsum")
        letters = _letters(sizes)
        if capacity is None and letters:
            raise UsageError("--size without --M; allowed: both, or neither for symbols")
        return einsum_survey(found, letters, capacity, where="--size")
    if any(sizes):
        raise UsageError("--size without --einsum; allowed: --n, --n-k, --d, --d-v for attention")
    if degree is None:
        _refuse(_on(chunk=chunk), "no --degree", "for approximate attention only")
    else:
        check_degree(degree)
        _refuse(_on(causal=causal, tied=tied), "--degree", "neither mask nor tie")
    if capacity is None and not given:
        if degree is None:
            return attention_in_symbols(causal=causal, tied=tied)
        _refuse(_on(chunk=chunk), "no sizes", "with --n and --M")
        return approximate_in_symbols(degree)
    if capacity is None or "--n" not in given:
        missing = "--M" if capacity is None else "--n"
        raise UsageError(
            f"{', '.join([*given, *(['--M'] if M else [])])} without {missing}; allowed: both --n and --M, or no sizes"
        )
    setting = _setting(given, capacity, causal=causal, tied=tied)
    if degree is None:
        return attention(setting, causal=causal)
    rows = None if chunk is None else parse_count(chunk, where="--chunk")
    if rows is not None and rows > setting.n_k:
        raise UsageError(f"--chunk {chunk}: allowed: at most {setting.n_k:,} keys")
    return approximate(replace(setting, g=degree, m=rows))


def _setting(given: dict[str, int], M: int, *, causal: bool, tied: bool) -> Setting:
    n, d = given["--n"], given.get("--d", _HEAD_DIMENSION)
    n_k, d_v = given.get("--n-k", n), given.get("--d-v", d)
    if causal and n_k != n:
        raise UsageError(f"--n-k {n_k}: --causal with {n} queries; allowed: as many keys")
    if tied and d_v > d:
        raise UsageError(f"--d-v {d_v}: --tied takes V from the {d} columns of K; allowed: at most {d}")
    pairs = n * (n + 1) // 2 if causal else n * n_k
    return Setting(N=pairs, n_q=n, n_k=n_k, d=d, d_v=d_v, M=M, properties=frozenset({"tied"} if tied else ()))


def _letters(sizes: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in sizes:
        letter, equals, value = (part.strip() for part in text.partition("="))
        if not letter or not equals:
            raise UsageError(f"--size {text}: no letter with a size; allowed: like i=1024")
        if letter in found:
            raise UsageError(f"--size {text}: {letter} is given twice")
        found[letter] = parse_count(value, where=f"--size {letter}")
    return found


def check_degree(degree: int | None) -> None:
    """Whether there are bounds for polynomials of that degree, if one is given."""
    if degree is not None and not 1 <= degree <= MAX_DEGREE:
        raise UsageError(f"--degree {degree}: allowed: whole numbers from 1 to {MAX_DEGREE}")


def _on(**flags: object) -> list[str]:
    """The flags that are given."""
    return [f"--{name}" for name, value in flags.items() if value not in (None, False)]


def _refuse(given: Iterable[str], beside: str, allowed: str) -> None:
    for flag in given:
        raise UsageError(f"{flag} with {beside}; allowed there: {allowed}")
