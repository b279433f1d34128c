"""More verbs as functions, as in `iosim.api`: what a hardware cache would do, and optima of tiny graphs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iosim.units import Number, parse_size
from iosim.units import dtype as dtype_of

if TYPE_CHECKING:
    from iosim.api import Named
    from iosim.caches.ask import CacheRun
    from iosim.numeric import Progress
    from iosim.pebbling.ask import Answer


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
    mask: str = "full",
    tied: bool = False,
    dtype: str = "fp16",
    degree: int | None = None,
    set: Named | None = None,
    tiles: Named = "best",
    trace: str | None = None,
    cache: Number | None = None,
    line: Number = 1,
    policy: str = "lru",
    ways: int | None = None,
    seed: int = 0,
    M2: Number | None = None,
    line2: Number | None = None,
    policy2: str = "lru",
    ways2: int | None = None,
    curve: bool = False,
    temporaries: bool = True,
) -> CacheRun:
    """What a cache does with the uses of an algorithm, word by word: `iosim cache`.

    Args:
        algo, n, n_k, d, d_v, batch, heads, kv_heads, mask, tied, dtype, degree, set, tiles: as of `iosim.run`.
        M: fast memory that tiles are chosen for, and the cache if `cache` is not given.
        trace: a file with a trace, in place of an algorithm.
        cache, line, policy, ways: words of the cache and of a line, what is evicted, and lines of a set.
        seed: of the random policy.
        M2, line2, policy2, ways2: the same of a second cache behind it.
        curve: every capacity at once, for lru or opt.
        temporaries: whether tiles at home in no array are in the cache.

    Raises:
        UsageError: what can't be used, or does not go together.

    Example:
        >>> cache("flash2", n=64, d=4, M=200).levels[0].total.compulsory  # Q, K and V once
        768
    """
    from iosim.caches.ask import cache_run
    from iosim.request import parse_settings, parse_tiles

    return cache_run(
        algo=algo,
        trace=trace,
        size=cache,
        line=line,
        policy=policy,
        ways=ways,
        seed=seed,
        second={"size": M2, "line": line2, "policy": policy2, "ways": ways2},
        whole_curve=curve,
        temporaries=temporaries,
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
        dtype_name=dtype,
        degree=degree,
        settings=parse_settings(set),
        tiles=parse_tiles(tiles),
    )


def pebble(
    algo: str | None = None,
    *,
    M: Number,
    graph: str | None = None,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    mask: str | None = None,
    tied: bool = False,
    degree: int | None = None,
    dtype: str = "fp16",
    game: str = "partial",
    one_shot: bool = False,
    overwrite: bool = False,
    limit_s: float | None = None,
    limit_GB: float = 4.0,
    progress: Progress | None = None,
) -> Answer:
    """The fewest words that any schedule of a tiny graph moves, by exhaustive search: `iosim pebble`.

    Args:
        algo, n, n_k, d, d_v, mask, tied, degree, dtype: as of `iosim.run`; d is 1 and the degree 1 if not given.
        M: fast memory.
        graph: another graph: "fft:8", "grid:4x5", "matmul:2x3x2", or a file.
        game: "partial", where sums grow term by term, or "classical".
        one_shot: whether no term is done twice.
        overwrite: whether a result may replace an operand.
        limit_s, limit_GB: where to give up.
        progress: called with what is going on; how much is left is not known.

    Raises:
        UsageError: what can't be used, or a graph that is too large.

    Example:
        >>> pebble("exact", n=2, d=1, M=6).pebbling.optimum  # Q, K and V once, O once
        8
    """
    from iosim.pebbling.ask import asked_graph
    from iosim.pebbling.ask import pebble as find

    shape = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "mask": mask, "tied": tied, "degree": degree}
    found, algorithm, problem = asked_graph(algo, graph, shape)
    return find(
        found,
        parse_size(M, dtype_of(dtype, where="--dtype"), where="--M"),
        game=game,
        one_shot=one_shot,
        overwrite=overwrite,
        limit_s=math.inf if limit_s is None else limit_s,
        limit_GB=limit_GB,
        progress=progress and (lambda bound, states: progress(f"at least {bound} words, {states:,} states", 0.0)),
        algorithm=algorithm,
        problem=problem,
    )
