"""One algorithm: its run to a verdict, what it is, and its program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iosim.api.given import Arrays, Named, as_flags, data_of, word_of
from iosim.defaults import DEFAULT_MAX_FLOPS
from iosim.units import FP16, Number, parse_size

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm
    from iosim.listing import Listing, PseudoCode
    from iosim.masks import AnyMask
    from iosim.progress import Progress
    from iosim.runs.result import Run


@as_flags
def run(
    algo: str | Algorithm,
    *,
    M: Number,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    batch: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | AnyMask = "full",
    tied: bool = False,
    dtype: str = FP16.name,
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    set: Named | None = None,
    input: Arrays | None = None,
    tiles: Named = "best",
    seed: int | None = None,
    rows: int | None = None,
    numeric: bool = True,
    max_flops: float | None = None,
    explain: bool = False,
    progress: Progress | None = None,
) -> Run:
    """One algorithm at one size, to a verdict: `iosim run`.

    Args:
        algo: a registered name, `path/to/file.py:name`, or an algorithm.
        M: fast memory: words, or text like "100KB".
        n: queries of a head; this and the other sizes come from `input` if that is given.
        n_k: keys, as many as queries if not given.
        d: head dimension, 64 if not given.
        d_v: of the values, d if not given.
        batch, heads, kv_heads: sequences, query heads of each, and key heads of each.
        mask: which keys a query meets: "full", "causal", "window:W", "band:BACK,AHEAD", or blocks of them.
        tied: whether V is the first d_v columns of K.
        dtype: of a word: fp64, fp32, fp16, bf16 or fp8.
        degree, eps: of the polynomial of approximate algorithms, or the relative error that it must reach.
        logit_bound: R, the greatest |q.k|/sqrt(d): measured on `input`, else 1, which random data then obey.
        set: settings of an approximate method, by name.
        input: real Q, K and V; else seeded random ones.
        tiles: "best", "paper", or tile sizes by name.
        seed: of random data, and of the sample of rows; 0 if not given.
        rows: how many rows to compare: all up to n = 4096, else 256.
        numeric: whether to compute the result.
        max_flops: work beyond which the result is not computed; 2e12 if not given.
        explain: whether the result shows the program line by line, with the words that each line moves, and why.
        progress: called with what is going on and its fraction done.

    Shapes: Q: [n, d] or [heads, n, d], K: [n_k, d] or [kv_heads, n_k, d], V: [n_k, d_v] or [kv_heads, n_k, d_v].

    Raises:
        UsageError: a value that can't be used; the message says where, what was found, what is allowed.

    Example:
        >>> found = run("flash2", n=1000, d=16, M="4KB", mask="causal", heads=2)
        >>> found.holds, found.lower_bound[0].name
        (True, 'io_at_least_N_d_plus_dv_squared_over_M_plus_4M_over_5')
        >>> run("flash2", n=1000, M=64)
        Traceback (most recent call last):
            ...
        iosim.errors.UsageError: --M 64: flash2 at d=64 needs at least 132 words of fast memory (264 B at fp16)
    """
    from dataclasses import replace

    from iosim.refusals import given, refuse
    from iosim.registry import find
    from iosim.request import check_options, parse_settings, parse_shape, parse_tiles
    from iosim.runs.verdict import run as to_a_verdict

    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    shape, word = parse_shape(counts, mask=mask, tied=tied), word_of(dtype)
    check_options(
        degree=degree, eps=eps, logit_bound=logit_bound, seed=seed, rows=rows, numeric=numeric, max_flops=max_flops
    )
    algorithm = find(algo)
    if not numeric and not algorithm.takes_polynomial:
        refuse(given(logit_bound=logit_bound), "with --no-numeric", "with --numeric, or a polynomial")
    found = to_a_verdict(
        algorithm,
        shape,
        parse_size(M, word, where="--M"),
        where=f"--M {M}",
        word=word,
        data=data_of(input),
        degree=degree,
        eps=eps,
        logit_bound=logit_bound,
        settings=parse_settings(set),
        tiles=parse_tiles(tiles),
        seed=seed or 0,
        rows=rows,
        numeric=numeric,
        max_flops=DEFAULT_MAX_FLOPS if max_flops is None else max_flops,
        progress=progress,
    )
    return replace(found, explained=explain)


@as_flags
def list_algorithms(name: str | None = None) -> Listing:
    """The registered algorithms, or one of them: `iosim list`. A sequence of `iosim.Algorithm`.

    Raises:
        UnknownNameError: there is none of that name.

    Example:
        >>> "flash2" in [algorithm.name for algorithm in list_algorithms()]
        True
        >>> list_algorithms("flash2").rows()[0]["schedules"][0]["closed_form_peak"]
        'B_r*d + B_r*d_v + 3*B_r + 1'
    """
    from iosim.listing import Listing
    from iosim.registry import algorithms, find

    return Listing(tuple(algorithms().values()) if name is None else (find(name, where="list"),))


@as_flags
def show(algo: str | Algorithm, *, schedule: str | None = None, explain: bool = False) -> PseudoCode:
    """The program of an algorithm as pseudo-code, one for each of its schedules: `iosim show`.

    Args:
        schedule: only this one.
        explain: whether to say beside each load and store what it moves in all, in symbols.

    Raises:
        UsageError: it has no such schedule.

    Example:
        >>> print(str(show("flash2", schedule="words")).splitlines()[0])
        flash2 (words), for sizes n, n_k, d, d_v, B_r, B_c, e, e_v
    """
    from iosim.listing import pseudo_code
    from iosim.registry import find

    return pseudo_code(find(algo), schedule=schedule, explain=explain)
