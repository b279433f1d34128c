"""From what a user types to the bounds that were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from iosim.bounds.approx import MAX_DEGREE
from iosim.bounds.approx_survey import approximate, approximate_in_symbols
from iosim.bounds.bound import Property
from iosim.bounds.einsum import einsum_bounds
from iosim.bounds.survey import Survey, attention, attention_in_symbols
from iosim.bounds.survey import einsum as einsum_survey
from iosim.errors import UsageError
from iosim.masks import CAUSAL, FULL
from iosim.refusals import given, refuse
from iosim.request import Shape, make_problem, parse_shape
from iosim.terminal import problem_text
from iosim.units import FP16, Dtype, Number, dtype, named, parse_count, parse_size, parse_whole


def survey(
    *,
    counts: Mapping[str, Number | None],
    M: Number | None = None,
    dtype_name: str = FP16.name,
    mask: str | None = None,
    tied: bool = False,
    einsum: str | None = None,
    sizes: Iterable[str] = (),
    degree: int | None = None,
    chunk: Number | None = None,
    sums: str | None = None,
) -> Survey:
    """The bounds for attention or for an einsum, as the flags of `iosim bounds` ask for them.

    Args:
        counts: of queries, keys, columns and heads, by the names of a `Shape`; None where nothing is said.
        M: fast memory; without it and without counts, the bounds are in symbols.
        mask: which keys a query meets; all if not given.
        degree: of the polynomial in place of the exponential; the bounds are for exact attention if not given.
        chunk: rows of K that a sum of features holds when it is used; all if not given.
        sums: number format of the sums that make up O; that of a word if not given.

    Raises:
        UsageError: flags that can't be read, or don't go together.
    """
    word = dtype(dtype_name, where="--dtype")
    capacity = None if M is None else parse_size(M, word, where="--M")
    shape = parse_shape(counts, mask=FULL if mask is None else mask, tied=tied)
    sized = [flag for flag, count in shape.counts.items() if count is not None]
    wide = _wide_sums(word, sums)
    if einsum is not None:
        refuse(given(sums=sums), "with --einsum", "one number format")
        refuse(sized, "with --einsum", "its sizes by --size")
        refuse(given(mask=mask, tied=tied, degree=degree, chunk=chunk), "with --einsum", "neither mask, tie nor degree")
        found = einsum_bounds(einsum, where="--einsum")
        given_sizes = named(sizes, where="--size", like="i=1024")
        letters = {letter: parse_count(size, where=f"--size {letter}") for letter, size in given_sizes.items()}
        if capacity is None and letters:
            raise UsageError("--size without --M; allowed: both, or neither for symbols")
        return einsum_survey(found, letters, capacity, where="--size")
    if any(sizes):
        raise UsageError("--size without --einsum; allowed: --n, --n-k, --d, --d-v for attention")
    if degree is None:
        refuse(given(chunk=chunk), "without --degree", "with it")
    else:
        check_degree(degree)
        refuse(given(mask=None if shape.mask.full else mask, tied=tied), "with --degree", "neither mask nor tie")
        refuse(given(sums=sums), "with --degree", "one number format")
    if wide:
        refuse(given(tied=tied), "with --sums", "values of their own")
    if capacity is None and not sized:
        return _in_symbols(shape, degree, chunk, wide)
    if capacity is None or shape.n is None:
        missing = "--M" if capacity is None else "--n"
        raise UsageError(
            f"{', '.join([*sized, *(['--M'] if M else [])])} without {missing}; allowed: both --n and --M, or no sizes"
        )
    problem = make_problem(shape, None)
    if degree is None:
        text = ", ".join([problem_text(problem), *sorted(wide)])
        return attention(problem.setting(capacity, properties=wide), problem=text)
    rows = None if chunk is None else parse_count(chunk, where="--chunk")
    if rows is not None and rows > problem.n_k:
        raise UsageError(f"--chunk {chunk}: allowed: at most {problem.n_k:,} keys")
    setting = replace(problem.setting(capacity, degree=degree), m=rows)
    return approximate(setting, problem=problem_text(problem))


def _wide_sums(word: Dtype, sums: str | None) -> frozenset[Property]:
    """What sums in a number format are, beside words of another."""
    if sums is None:
        return frozenset()
    found = dtype(sums, where="--sums")
    known: dict[int, frozenset[Property]] = {word.bytes: frozenset()}
    known |= {2 * word.bytes: frozenset({"sums of 2 words"}), 4 * word.bytes: frozenset({"sums of 4 words"})}
    if found.bytes not in known:
        raise UsageError(
            f"--sums {sums} with --dtype {word}; allowed: as many bytes as a word, twice or four times as many"
        )
    return known[found.bytes]


def _in_symbols(shape: Shape, degree: int | None, chunk: Number | None, wide: frozenset[Property]) -> Survey:
    if degree is not None:
        refuse(given(chunk=chunk), "without --n and --M", "with them")
        return approximate_in_symbols(degree)
    if shape.mask not in (FULL, CAUSAL):
        raise UsageError(f"--mask {shape.mask} without --n and --M; allowed in symbols: full, causal")
    return attention_in_symbols(causal=shape.mask == CAUSAL, tied=shape.tied, wide=wide)


def check_degree(degree: int | None) -> None:
    """Whether there are bounds for polynomials of that degree, if one is given."""
    if degree is not None:
        parse_whole(degree, where="--degree", most=MAX_DEGREE)
