"""Other machines for the same program: a GPU's kernels, and the best schedule of a tiny graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iosim.api.given import Named, as_flags, word_of
from iosim.defaults import DEFAULT_LIMIT_GB
from iosim.units import FP16, Number, parse_size

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm
    from iosim.lowering.ask import KernelRun
    from iosim.masks import AnyMask
    from iosim.pebbling.result import Answer
    from iosim.progress import Progress


@as_flags
def kernel(
    algo: str | Algorithm,
    *,
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
    set: Named | None = None,
    M: Number | None = None,
    tiles: Named = "best",
    num_warps: int | None = None,
    num_stages: int | None = None,
    compile: str | None = None,
    count: bool = False,
    progress: Progress | None = None,
) -> KernelRun:
    """The Triton kernels of an algorithm: `iosim kernel`.

    Args:
        algo: a registered name, `path/to/file.py:name`, or an algorithm; the others as of `run`, and:
        dtype: of inputs and outputs: fp32, fp16 or bf16.
        M: fast memory that tiles are chosen for.
        tiles: "best", "paper", or sizes by name, also of the rows and columns that pass at a time.
        num_warps, num_stages: of each launch; chosen if not given.
        compile: compute capability that they are compiled for, like "sm_90".
        count: whether they run in Triton's interpreter, to count what they load and store.
        progress: as of `run`.

    Raises:
        UsageError: what can't be used.
        NotLowerable: a statement that no kernel is written for.
    """
    from iosim import request
    from iosim.lowering.ask import kernel_run
    from iosim.progress import silent
    from iosim.registry import find

    given = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    problem = request.make_problem(request.parse_shape(given, mask=mask, tied=tied), None)
    request.check_options(degree=degree)
    algorithm, word = find(algo), word_of(dtype)
    problem, _ = request.stated(algorithm, problem, degree=degree, settings=request.parse_settings(set))
    return kernel_run(
        algorithm,
        problem,
        word=word,
        capacity=None if M is None else parse_size(M, word, where="--M"),
        where=f"--M {M}",
        tiles=request.parse_tiles(tiles),
        num_warps=num_warps,
        num_stages=num_stages,
        target=compile,
        counts=count,
        progress=progress or silent,
    )


@as_flags
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
    dtype: str = FP16.name,
    game: str = "partial",
    one_shot: bool = False,
    overwrite: bool = False,
    limit_s: float | None = None,
    limit_GB: float = DEFAULT_LIMIT_GB,
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
        parse_size(M, word_of(dtype), where="--M"),
        game=game,
        one_shot=one_shot,
        overwrite=overwrite,
        limit_s=math.inf if limit_s is None else limit_s,
        limit_GB=limit_GB,
        where=f"--M {M}",
        progress=progress and (lambda bound, states: progress(f"at least {bound} words, {states:,} states", 0.0)),
        algorithm=algorithm,
        problem=problem,
    )
