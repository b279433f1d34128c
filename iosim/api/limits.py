"""What no schedule can go below, and the theorems that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from iosim.api.given import as_flags, word_of
from iosim.errors import UsageError
from iosim.progress import Progress, silent
from iosim.units import FP16, Number, Numbers

if TYPE_CHECKING:
    from iosim.bounds.survey import Survey
    from iosim.proof.report import Proofs
    from iosim.tuning.tightness import Tightness


@as_flags
def bounds(
    *,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    M: Number | None = None,
    batch: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | None = None,
    tied: bool = False,
    dtype: str = FP16.name,
    sums: str | None = None,
    degree: int | None = None,
    chunk: Number | None = None,
    einsum: str | None = None,
    size: Iterable[str] | Mapping[str, Number] = (),
) -> Survey:
    """What no schedule can go below, at given sizes or in symbols: `iosim bounds`.

    Args:
        n, n_k, d, d_v, M, batch, heads, kv_heads, mask, tied, dtype: as of `run`; without n and M, the bounds are in
            symbols.
        sums: number format of the sums that make up the output, with two or four times the bytes of a word; that of a
            word if not given.
        degree: for approximate attention instead, by a polynomial of that degree.
        chunk: with a degree: rows in a sum when it is used; all if not given.
        einsum: of this instead, like "ik,kj->ij".
        size: of each letter of the einsum: a mapping, or texts like "i=1024".

    Raises:
        UsageError: what can't be read, or does not go together.

    Example:
        >>> bounds(n=65536, M="100KB").greatest.words
        1407414884
        >>> bounds(einsum="ik,kj->ij", size={"i": 64, "j": 64, "k": 64}, M=100).greatest.words
        52489
    """
    from dataclasses import replace

    from iosim.bounds.ask import survey

    found = survey(
        counts={"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads},
        M=M,
        dtype_name=dtype,
        mask=mask,
        tied=tied,
        sums=sums,
        degree=degree,
        chunk=chunk,
        einsum=einsum,
        sizes=[f"{letter}={number}" for letter, number in size.items()] if isinstance(size, Mapping) else size,
    )
    return replace(found, dtype=word_of(dtype))


@as_flags
def tightness(
    *,
    n: Number | None = None,
    d: Number | None = None,
    M: Numbers | None = None,
    degree: int | None = None,
    dtype: str = FP16.name,
) -> Tightness:
    """The best schedule over the greatest lower bound, for each fast memory of a list: `iosim bounds --tightness`.

    Args:
        n: queries and keys.
        d: head dimension, 64 if not given.
        M: fast memories, as words or as text: "1Kiw:4Miw:*2", ["100KB", 51200].
        degree: of the polynomial; exact attention if not given.
        dtype: of a word.

    Raises:
        UsageError: what can't be read, or nothing fits.

    Example:
        >>> for point in tightness(n=65536, M="4Kiw:64Kiw:*4").points:
        ...     print(point.fast_memory_words, point.schedule, round(point.io_over_lower_bound, 3))
        4096 two-pass rows 1.356
        16384 flash2 words 1.027
        65536 flash2 cached rows 1.031
    """
    from dataclasses import replace

    from iosim import registry
    from iosim.bounds.ask import check_degree
    from iosim.defaults import DEFAULT_D
    from iosim.problem import Problem
    from iosim.task import ATTENTION
    from iosim.tuning.tightness import Tightness
    from iosim.tuning.tune import tune
    from iosim.units import parse_count, parse_sizes

    if n is None or M is None:
        missing = "--n" if n is None else "--M"
        raise UsageError(f"--tightness: {missing} is missing; allowed: like --n 65536 --M 1Kiw:4Miw:*2")
    word = word_of(dtype)
    memories = parse_sizes(M, word, where="--M")
    check_degree(degree)
    problem = Problem(n=parse_count(n, where="--n"), d=DEFAULT_D if d is None else parse_count(d, where="--d"))
    if degree is not None:
        problem = replace(problem, degree=degree)
    chosen = registry.best(ATTENTION) if degree is None else registry.find("approx")
    where = f"--M {M}" if isinstance(M, str) else None
    return Tightness(tune(problem, [chosen], capacities=memories, word=word, where=where))


@as_flags
def prove(name: str | None = None, *, progress: Progress | None = None) -> Proofs:
    """The proofs of all theorems or of one, run step by step: `iosim prove`. A sequence, one for each theorem.

    Raises:
        UnknownNameError: there is no such theorem.
        ProofError: a step fails; the message begins with the theorem.

    Example:
        >>> print(prove("io_in_a_large_fast_memory")[0].verdict)
        holds, resting on 18 argued steps and Loomis-Whitney (cited)
    """
    from iosim.errors import ProofError
    from iosim.proof.report import Proofs
    from iosim.registry import find_theorem, theorems

    say = progress or silent
    chosen = list(theorems().values()) if name is None else [find_theorem(name)]
    if not chosen:
        raise UsageError("no theorem is registered under the entry points iosim.proofs; is iosim installed?")
    found = []
    for number, theorem in enumerate(chosen):
        what, done = theorem.name, number / len(chosen)
        try:
            found.append(theorem.check(lambda _fact: say(what, done)))  # noqa: B023  called at once
        except ProofError as error:
            raise ProofError(f"{theorem.name}: a step fails: {error}") from error
    return Proofs(tuple(found))
