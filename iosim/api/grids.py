"""Runs at many points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from iosim.api.given import Named, as_flags
from iosim.units import FP16, Numbers

if TYPE_CHECKING:
    from iosim.progress import Progress
    from iosim.sweeps.sweep import Sweep


@as_flags
def sweep(
    algo: str | Sequence[str],
    *,
    M: Numbers,
    n: Numbers | None = None,
    n_k: Numbers | None = None,
    d: Numbers | None = None,
    d_v: Numbers | None = None,
    batch: Numbers | None = None,
    heads: Numbers | None = None,
    kv_heads: Numbers | None = None,
    mask: str | Sequence[str] = "full",
    tied: bool = False,
    dtype: str = FP16.name,
    degree: Numbers | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    set: Mapping[str, Numbers] | None = None,
    input: str | None = None,
    tiles: Named = "best",
    seed: int | None = None,
    rows: int | None = None,
    numeric: bool = False,
    max_flops: float | None = None,
    output: str | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    yes: bool = False,
    progress: Progress | None = None,
) -> Sweep:
    """A run at every point of a grid, to a table: `iosim sweep`.

    Args:
        algo: algorithms, as a list or as text like "flash2,approx".
        M, n, n_k, d, d_v, batch, heads, kv_heads, degree: as of `run`, each a number, a list, or a range like "1k:1M:*2".
        mask: one or several.
        set: values of the settings of approximate methods, by name, for those that have them.
        input: a file, as for `run`.
        tied, dtype, eps, logit_bound, tiles, seed, rows, max_flops: as of `run`.
        numeric: whether to compute the results.
        output: FILE.csv, FILE.jsonl or FILE.parquet; a sweep that was interrupted goes on there. None to keep the rows here.
        jobs: processes that work side by side; -1 for as many as there are processors.
        cluster: the address of a Dask scheduler, whose workers do it instead.
        yes: whether more than 10^7 points are meant.
        progress: called with what is going on and its fraction done.

    Raises:
        UsageError: what can't be used, or a file that was begun with other settings.
        SweepError: workers are lost; what is done is kept.

    Example:
        >>> found = sweep(["flash2", "flash1"], n="256:512:*2", d=16, M=[20, 1000])
        >>> for row in found.rows()[:4]:
        ...     print(row["algorithm"], row["n"], row["fast_memory_words"], row["io_words"])
        flash2 256 20 None
        flash2 256 1000 89536
        flash2 512 20 None
        flash2 512 1000 327104
        >>> found.rows()[0]["error"]
        '--M 20: flash2 at d=16 needs at least 36 words of fast memory (72 B at fp16)'
    """
    from iosim.sweeps.ask import ask
    from iosim.sweeps.sweep import run_sweep

    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    grid, shared, settings = ask(
        algo,
        counts={name: values for name, values in counts.items() if values is not None},
        M=M,
        masks=[mask] if isinstance(mask, str) else mask,
        degree=degree,
        set=set or {},
        tiles=tiles,
        yes=yes,
        input=input,
        tied=tied,
        dtype_name=dtype,
        eps=eps,
        logit_bound=logit_bound,
        seed=seed,
        rows=rows,
        numeric=numeric,
        max_flops=max_flops,
    )
    return run_sweep(grid, shared, settings, output=output, jobs=jobs, cluster=cluster, progress=progress)
