"""Fast memories: all of them at once, that of a GPU, a cache in their place, and what goes to and from one, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iosim.api.given import Named, as_flags, word_of
from iosim.refusals import among, at_most_one
from iosim.units import FP16, Number, Numbers, parse_size, parse_sizes

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm
    from iosim.caches.result import CacheRun
    from iosim.gpu.tiles import GpuTiles
    from iosim.masks import AnyMask
    from iosim.progress import Progress
    from iosim.traces.report import Trace
    from iosim.tuning.tune import Tuned


@as_flags
def tune(
    algo: str | Sequence[str | Algorithm] | None = None,
    *,
    n: Number,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    batch: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | AnyMask = "full",
    tied: bool = False,
    M: Numbers | None = None,
    io: Number | None = None,
    dtype: str = FP16.name,
    degree: int | None = None,
    set: Named | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """The fewest words over all schedules and tile sizes for every fast memory, and the lower bound: `iosim tune`.

    Args:
        algo: only these, as a list or as text like "flash2,two-pass"; all exact ones if not given, or, with a degree, all
            with the polynomial.
        n, n_k, d, d_v, batch, heads, kv_heads, mask, tied, dtype, set, progress: as of `run`.
        M: fast memories: a list, or a range like "32KB:1MB:*2"; about 200 over all that matters if not given.
        io: words, or text like "3GB": the least fast memory in which no more than that moves, instead.
        degree: of the polynomial.

    Raises:
        UsageError: what can't be used, or nothing fits.

    Example:
        >>> found = tune(n=65536, M="1Kiw:64Kiw:*64")
        >>> [(point.fast_memory_words, point.io_words, point.schedule) for point in found.points]
        [(1024, 39829110784, 'two-pass tiles'), (65536, 1107262976, 'flash2 cached rows')]
        >>> tune("flash2", n=65536, io=10**9).points[0].fast_memory_words
        72410
    """
    from iosim.tuning.ask import ask
    from iosim.tuning.tune import least_memory
    from iosim.tuning.tune import tune as curve

    word = word_of(dtype)
    at_most_one(M=M, io=io)
    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    problem, chosen = ask(algo, degree=degree, mask=mask, tied=tied, set=set, **counts)
    if io is not None:
        return least_memory(parse_size(io, word, where="--io"), problem, chosen, word=word)
    capacities = None if M is None else parse_sizes(M, word, where="--M")
    where = f"--M {M}" if isinstance(M, str) else None
    return curve(problem, chosen, capacities=capacities, word=word, where=where, progress=progress)


@as_flags
def gpu_tiles(
    gpu: str,
    algo: str | Sequence[str | Algorithm] = "flash2",
    *,
    n: Number,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    batch: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | AnyMask = "full",
    tied: bool = False,
    dtype: str = FP16.name,
    set: Named | None = None,
    num_stages: int = 1,
    tiles: Named | None = None,
) -> GpuTiles:
    """Which tiles fit a block of threads of a GPU: `iosim tune --gpu`.

    Args:
        gpu: a name of `iosim.machines`, like "h100".
        algo: whose schedules; the others as of `tune`.
        num_stages: of the software pipeline.
        tiles: only these, by name.

    Raises:
        UsageError: what can't be used.

    Example:
        >>> found = gpu_tiles("h100", n=4096, d=128, num_stages=4, tiles="B_r=128,B_c=128,e=128,e_v=128")
        >>> found.why_not(found.needs[0])
        'out of shared memory: required 294,912 B, hardware limit 232,448 B'
    """
    from iosim.gpu.tiles import gpu_tiles as fitting
    from iosim.machines import machine
    from iosim.tuning.ask import ask
    from iosim.units import parse_numbers

    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    problem, chosen = ask(algo, degree=None, mask=mask, tied=tied, set=set, **counts)
    given = None if tiles is None else parse_numbers(tiles, where="--tiles", least=1, like="B_r=128")
    return fitting(
        machine(gpu, where="--gpu"), problem, chosen, word=word_of(dtype), num_stages=num_stages, tiles=given
    )


@as_flags
def cache(
    algo: str | None = None,
    *,
    M: Number | None = None,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    batch: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | None = None,
    tied: bool = False,
    dtype: str = FP16.name,
    degree: int | None = None,
    set: Named | None = None,
    tiles: Named | None = None,
    trace: str | None = None,
    cache: Number | None = None,
    line: Number = "1w",
    policy: str = "lru",
    ways: int | None = None,
    seed: int | None = None,
    M2: Number | None = None,
    line2: Number | None = None,
    policy2: str | None = None,
    ways2: int | None = None,
    curve: bool = False,
    temporaries: bool = True,
    progress: Progress | None = None,
) -> CacheRun:
    """What a cache does with the uses of an algorithm, word by word: `iosim cache`.

    Args:
        algo, n, n_k, d, d_v, batch, heads, kv_heads, mask, tied, dtype, degree, set, tiles: as of `iosim.run`.
        M: fast memory that tiles are chosen for, and the cache if `cache` is not given.
        trace: a file with a trace, in place of an algorithm.
        cache, line, policy, ways: words of the cache and of a line, what is evicted, and lines of a set.
        seed: of the random policy, 0 if not given.
        M2, line2, policy2, ways2: the same of a second cache behind it, with the lines of the first and lru if not given.
        curve: every capacity at once, for lru or opt.
        temporaries: whether tiles at home in no array are in the cache.
        progress: as of `run`.

    Raises:
        UsageError: what can't be used, or does not go together.

    Example:
        >>> cache("flash2", n=64, d=4, M=200).levels[0].total.compulsory  # Q, K and V once
        768
    """
    from iosim.caches.ask import AskedCache, cache_run
    from iosim.progress import silent
    from iosim.traces.ask import Asked

    asked = Asked(
        algo=algo,
        M=M,
        n=n,
        n_k=n_k,
        d=d,
        d_v=d_v,
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        mask=mask,
        tied=tied,
        dtype=dtype,
        degree=degree,
        set=set,
        tiles=tiles,
    )
    return cache_run(
        asked,
        AskedCache(size=cache, line=line, policy=policy, ways=ways),
        AskedCache(size=M2, line=line2, policy=policy2, ways=ways2),
        trace=trace,
        seed=seed,
        whole_curve=curve,
        temporaries=temporaries,
        progress=progress or silent,
    )


@as_flags
def trace(
    algo: str,
    *,
    M: Number,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    batch: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str = "full",
    tied: bool = False,
    dtype: str = FP16.name,
    degree: int | None = None,
    set: Named | None = None,
    tiles: Named = "best",
    by: str = "tile",
    what: str = "all",
) -> Trace:
    """What an algorithm does, step by step: `iosim trace`; its `write(path)` is `-o`.

    Args:
        algo, M, n, n_k, d, d_v, batch, heads, kv_heads, mask, tied, dtype, degree, set, tiles: as of `iosim.run`.
        by: "tile", a row a load, store and operation, or "word".
        what: "moves", "uses" or "all".

    Raises:
        UsageError: what can't be used.

    Example:
        >>> found = trace("flash2", n=2, d=2, M=20, by="word", what="moves")
        >>> found.rows()[0]
        {'kind': 'load', 'address': 0, 'word': 'Q[0, 0]'}
        >>> len(found.rows())  # Q, K, V and O once
        16
    """
    from iosim.traces.ask import Asked, choose
    from iosim.traces.report import BY, WHAT, Trace

    among(by, BY, where="--by")
    among(what, WHAT, where="--what")
    asked = Asked(
        algo=algo,
        M=M,
        n=n,
        n_k=n_k,
        d=d,
        d_v=d_v,
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        mask=mask,
        tied=tied,
        dtype=dtype,
        degree=degree,
        set=set,
        tiles=tiles,
    )
    return Trace(chosen=choose(asked), what=what, by=by)
