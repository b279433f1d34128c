"""The verbs as functions: `import iosim`, then `iosim.run(...)`, with the names that the command line has.

What a flag takes as text can be given as text or as itself: `n="64Ki"` or `n=65536`, `M="100KB"` or words as a number,
`tiles="B_r=32,B_c=1"` or a mapping, `input="qkv.npz"` or arrays. Flags with a dash are parameters with an underscore. What
can't be used is an `iosim.errors.UsageError`, with the line that the command prints.

Results print as the command does, show themselves in a notebook, and have `to_dict()` and `to_frame()`.

Example:
    >>> import iosim
    >>> run = iosim.run("approx", n=65536, M="100KB", numeric=False)
    >>> run.verdict
    'every check holds; the result was not computed'
    >>> run.io_words, run.peak_words, run.tiles["r"]
    (33751040, 47257, 2145)
    >>> exact = iosim.run("exact", n="64Ki", M=50_000, numeric=False)
    >>> exact.io_words // run.io_words
    42
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

from iosim import units
from iosim.errors import UsageError
from iosim.numeric import DEFAULT_MAX_FLOPS
from iosim.units import Number, Numbers, parse_count, parse_counts, parse_size, parse_sizes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iosim.advice import Advice
    from iosim.algorithm import Algorithm
    from iosim.bounds.survey import Survey
    from iosim.gpu_tiles import GpuTiles
    from iosim.inputs import AttentionInput
    from iosim.kernel import KernelRun
    from iosim.listing import Listing, PseudoCode
    from iosim.masks import AnyMask
    from iosim.numeric import Progress
    from iosim.problem import Problem
    from iosim.sweeps.sweep import Sweep
    from iosim.theorem import Checked
    from iosim.tradeoff import By, Tradeoff
    from iosim.tune import Tuned
    from iosim.units import Dtype
    from iosim.verdict import Run
    from iosim.web.ask import WebReport

# A file as for --input; Q, K and V by name, or in this order.
Arrays: TypeAlias = "str | AttentionInput | Mapping[str, Any] | Sequence[Any]"
Named: TypeAlias = "str | Mapping[str, SupportsIndex]"


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
    dtype: str = "fp16",
    degree: int | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    set: Named | None = None,
    input: Arrays | None = None,
    tiles: Named = "best",
    seed: int = 0,
    rows: int | None = None,
    numeric: bool = True,
    max_flops: float = DEFAULT_MAX_FLOPS,
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
        seed: of random data, and of the sample of rows.
        rows: how many rows to compare: all up to n = 4096, else 256.
        numeric: whether to compute the result.
        max_flops: work beyond which the result is not computed.
        progress: called with what is going on and its fraction done.

    Shapes: Q: [n, d] or [heads, n, d], K: [n_k, d] or [kv_heads, n_k, d], V: [n_k, d_v] or [kv_heads, n_k, d_v].

    Raises:
        UsageError: a value that can't be used; the message says where, what was found, what is allowed.

    Example:
        >>> found = run("flash2", n=1000, d=16, M="4KB", mask="causal", heads=2)
        >>> found.holds, found.lower_bound[0].name
        (True, 'io_at_least_N_d_plus_dv_squared_over_M')
        >>> run("flash2", n=1000, M=64)
        Traceback (most recent call last):
            ...
        iosim.errors.UsageError: --M 64: flash2 at d=64 needs at least 132 words of fast memory (264 B at fp16)
    """
    from iosim.registry import find
    from iosim.request import parse_settings, parse_tiles
    from iosim.verdict import run as to_a_verdict

    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    sizes = {name: None if given is None else parse_count(given, where=_flag(name)) for name, given in counts.items()}
    chosen, settings = parse_tiles(tiles), parse_settings(set)
    algorithm = find(algo)
    return to_a_verdict(
        algorithm,
        **sizes,
        M=M if isinstance(M, str) else parse_size(M, _word(dtype), where="--M"),
        mask=mask,
        tied=tied,
        dtype_name=dtype,
        degree=degree,
        eps=eps,
        logit_bound=logit_bound,
        settings=settings,
        data=_data(input),
        tiles=chosen,
        seed=seed,
        rows=rows,
        numeric=numeric,
        max_flops=max_flops,
        elsewhere=True,
        against=None,
        progress=progress,
    )


def list_algorithms(name: str | None = None) -> Listing:
    """The registered algorithms, or one of them: `iosim list`. A sequence of `iosim.Algorithm`.

    Raises:
        UnknownNameError: there is none of that name.

    Example:
        >>> "flash2" in [algorithm.name for algorithm in list_algorithms()]
        True
        >>> list_algorithms("flash2").rows()[0]["schedules"][0]["peak_words"]
        'B_r*d + B_r*d_v + 3*B_r + 1'
    """
    from iosim.listing import Listing
    from iosim.registry import algorithms, find

    return Listing(tuple(algorithms().values()) if name is None else (find(name, where="list"),))


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


def bounds(
    *,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    M: Number | None = None,
    dtype: str = "fp16",
    causal: bool = False,
    tied: bool = False,
    degree: int | None = None,
    chunk: Number | None = None,
    einsum: str | None = None,
    size: Iterable[str] | Mapping[str, Number] = (),
) -> Survey:
    """What no schedule can go below, at given sizes or in symbols: `iosim bounds`.

    Args:
        n, n_k, d, d_v, M, dtype, tied: as of `run`; without n and M, the bounds are in symbols.
        causal: whether each query meets the keys up to its own.
        degree: for approximate attention instead, by a polynomial of that degree.
        chunk: with a degree: rows in a sum when it is used; all if not given.
        einsum: of this instead, like "ik,kj->ij".
        size: of each letter of the einsum: a mapping, or texts like "i=1024".

    Raises:
        UsageError: what can't be read, or does not go together.

    Example:
        >>> bounds(n=65536, M="100KB").greatest.words
        1407374884
        >>> bounds(einsum="ik,kj->ij", size={"i": 64, "j": 64, "k": 64}, M=100).greatest.words
        52329
    """
    from dataclasses import replace

    from iosim.bounds.ask import survey

    found = survey(
        n=n,
        n_k=n_k,
        d=d,
        d_v=d_v,
        M=M,
        dtype_name=dtype,
        causal=causal,
        tied=tied,
        degree=degree,
        chunk=chunk,
        einsum=einsum,
        sizes=[f"{letter}={number}" for letter, number in size.items()] if isinstance(size, Mapping) else size,
    )
    return replace(found, dtype=_word(dtype))


def prove(name: str | None = None, *, progress: Progress | None = None) -> list[Checked]:
    """The proofs of all theorems or of one, run step by step: `iosim prove`.

    Raises:
        UnknownNameError: there is no such theorem.
        ProofError: a step fails; the message begins with the theorem.

    Example:
        >>> print(prove("io_in_a_large_cache")[0].verdict)
        holds, resting on 10 argued steps and Loomis-Whitney (cited)
    """
    from iosim.errors import ProofError
    from iosim.registry import find_theorem, theorems

    say = progress or (lambda _what, _fraction: None)
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
    return found


def tradeoff(
    *,
    M: Number,
    n: Number | None = None,
    d: Number | None = None,
    dtype: str = "fp16",
    logit_bound: float | None = None,
    input: Arrays | None = None,
    algo: str | Sequence[str] | None = None,
    grid: Mapping[str, Numbers] | None = None,
    by: By = "max",
    rows: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tradeoff:
    """Words moved and measured error of approximate methods with many settings, on the same data: `iosim tradeoff`.

    Args:
        M, n, d, dtype, logit_bound, input, rows, seed, progress: as of `run`.
        algo: only these, as a list or as text like "approx,performer".
        grid: values of settings by name, `degree` for polynomials: lists, or texts like "64:1024:*2".
        by: error of the front: "max", the greatest difference, or "frobenius", the relative norm.

    Raises:
        UsageError: what can't be used, or nothing that can be measured.

    Example:
        >>> found = tradeoff(n=128, d=8, M=2000, algo="approx", grid={"degree": [1, 2]})
        >>> [point.settings["degree"] for point in found.points if found.on_front(point)]
        [2]
    """
    from dataclasses import replace

    from iosim import request
    from iosim.inputs import random_input
    from iosim.tradeoff import tradeoff as measured

    algorithms = _approximate(algo)
    problem, data, R = _asked(n, d, logit_bound, input)
    if data is None:
        R = request.DEFAULT_LOGIT_BOUND if R is None else R
        data = random_input(problem.n, problem.d, logit_bound=R, seed=seed)
    word = _word(dtype)
    found = measured(
        data,
        M=parse_size(M, word, where="--M"),
        algorithms=algorithms,
        grid={name: parse_counts(values, where=f"--grid {name}") for name, values in (grid or {}).items()},
        logit_bound=R,
        by=by,
        rows=rows,
        seed=seed,
        progress=progress,
    )
    return replace(found, dtype=word)


def advise(
    *,
    M: Number,
    n: Number | None = None,
    d: Number | None = None,
    dtype: str = "fp16",
    logit_bound: float | None = None,
    input: Arrays | None = None,
    algo: str | Sequence[str] | None = None,
    eps: float | None = None,
    numeric: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """The cheapest method that is good enough, and from which n it pays: `iosim advise`.

    Args:
        M, n, d, dtype, logit_bound, input, seed, progress: as of `run`.
        algo: only these, as a list or as text like "approx,performer".
        eps: relative error of the weights exp(q.k/sqrt(d)) that is allowed; 0.1 if not given.
        numeric: whether to measure methods whose error is not proved.

    Raises:
        UsageError: what can't be used.

    Example:
        >>> advise(n=256, d=8, M=1000, numeric=False).heads[0].polynomial.degree
        2
    """
    from dataclasses import replace

    from iosim import request
    from iosim.advice import advise as advice

    algorithms = _approximate(algo)
    problem, data, R = _asked(n, d, logit_bound, input)
    word = _word(dtype)
    found = advice(
        problem,
        M=parse_size(M, word, where="--M"),
        eps=request.DEFAULT_EPS if eps is None else eps,
        logit_bound=request.DEFAULT_LOGIT_BOUND if data is None and R is None else R,
        data=data,
        algorithms=algorithms,
        numeric=numeric,
        seed=seed,
        progress=progress,
    )
    return replace(found, dtype=word)


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
    dtype: str = "fp16",
    degree: Numbers | None = None,
    eps: float | None = None,
    logit_bound: float | None = None,
    set: Mapping[str, Numbers] | None = None,
    input: str | None = None,
    tiles: Named = "best",
    seed: int = 0,
    rows: int | None = None,
    numeric: bool = False,
    max_flops: float = DEFAULT_MAX_FLOPS,
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
        >>> [(row["algo"], row["n"], row["M_words"], row["io_words"]) for row in found.rows() if row["algo"] == "flash2"]
        [('flash2', 256, 20, None), ('flash2', 256, 1000, 89536), ('flash2', 512, 20, None), ('flash2', 512, 1000, 327104)]
        >>> found.rows()[0]["error"]
        '--M 20: flash2 at d=16 needs at least 36 words of fast memory (72 B at fp16)'
    """
    from iosim.sweeps.ask import ask
    from iosim.sweeps.sweep import run_sweep

    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "batch": batch, "heads": heads, "kv_heads": kv_heads}
    grid, shared, settings = ask(
        algo.split(",") if isinstance(algo, str) else algo,
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


def tune(
    algo: str | Sequence[str | Algorithm] | None = None,
    *,
    n: Number,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | AnyMask = "full",
    tied: bool = False,
    M: Numbers | None = None,
    io: Number | None = None,
    dtype: str = "fp16",
    degree: int | None = None,
    set: Named | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """The fewest words over all schedules and tile sizes for every fast memory, and the lower bound: `iosim tune`.

    Args:
        algo: only these, as a list or as text like "flash2,two-pass"; all exact ones if not given, or, with a degree, all
            with the polynomial.
        n, n_k, d, d_v, mask, tied, dtype, set, progress: as of `run`.
        heads, kv_heads: query heads and key heads in all.
        M: fast memories: a list, or a range like "32KB:1MB:*2"; 200 over all that matters if not given.
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
    from iosim.tune import least_memory
    from iosim.tune import tune as curve
    from iosim.tune_ask import ask

    word = _word(dtype)
    if M is not None and io is not None:
        raise UsageError(f"--M {M} --io {io}: allowed: one of them")
    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "heads": heads, "kv_heads": kv_heads}
    problem, chosen = ask(algo, degree=degree, mask=mask, tied=tied, set=set, **counts)
    if io is not None:
        return least_memory(parse_size(io, word, where="--io"), problem, chosen, word=word)
    capacities = None if M is None else parse_sizes(M, word, where="--M")
    return curve(problem, chosen, capacities=capacities, word=word, progress=progress)


def plot(
    kind: str,
    data: str | Sequence[Mapping[str, Any]] | None = None,
    *,
    algo: str | None = None,
    output: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Figure:
    """A figure for a paper: `iosim plot`.

    Args:
        kind: ski-slope, io-against-n, tightness, error-against-io, timeline or roofline.
        data: a file that `sweep` or `tune` wrote, or rows; from settings if not given.
        algo: algorithms, as text like "exact,approx".
        output: FILE.png, FILE.svg or FILE.pdf, where the figure is written as well.
        progress: as of `run`.
        settings: flags of `iosim plot`, by name.

    Raises:
        UsageError: what can't be used, or drawn.

    Example:
        >>> figure = plot("ski-slope", n=4096, d=16, algo="flash2", M="64w:64Kiw:*4")
        >>> figure.axes[0].get_xlabel()
        'fast memory $M$ (words)'
    """
    from iosim.plots import Settings, check_file, kinds, save

    found = kinds().get(kind)
    if found is None:
        raise UsageError(f"KIND {kind}: no such figure; allowed: {', '.join(kinds())}")
    if output is not None:
        check_file(output, where="-o")
    say = progress or (lambda _what, _fraction: None)
    figure = found.figure(data, Settings(algo=algo, given=settings, progress=say))
    if output is not None:
        save(figure, output)
    return figure


def gpu_tiles(
    gpu: str,
    algo: str | Sequence[str | Algorithm] = "flash2",
    *,
    n: Number,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | AnyMask = "full",
    tied: bool = False,
    dtype: str = "fp16",
    set: Named | None = None,
    stages: int = 1,
    tiles: Named | None = None,
) -> GpuTiles:
    """Which tiles fit a block of threads of a GPU: `iosim tune --gpu`.

    Args:
        gpu: a name of `iosim.machines`, like "h100".
        algo: whose schedules; the others as of `tune`.
        stages: of the software pipeline.
        tiles: only these, by name.

    Raises:
        UsageError: what can't be used.

    Example:
        >>> found = gpu_tiles("h100", n=4096, d=128, stages=4, tiles="B_r=128,B_c=128,e=128,e_v=128")
        >>> found.why_not(found.needs[0])
        'out of shared memory: required 294,912 B, hardware limit 232,448 B'
    """
    from iosim.gpu_tiles import gpu_tiles as fitting
    from iosim.machines import machine
    from iosim.request import parse_tiles
    from iosim.tune_ask import ask

    counts = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "heads": heads, "kv_heads": kv_heads}
    problem, chosen = ask(algo, degree=None, mask=mask, tied=tied, set=set, **counts)
    given = None if tiles is None else parse_tiles(tiles)
    if isinstance(given, str):
        raise UsageError(f"--tiles {given}: allowed: sizes like B_r=128,B_c=64,e=64,e_v=64")
    return fitting(machine(gpu, where="--gpu"), problem, chosen, word=_word(dtype), stages=stages, tiles=given)


def report(
    *,
    n: Number,
    d: Number | None = None,
    M: Number,
    dtype: str = "fp16",
    degree: int | None = None,
    logit_bound: float | None = None,
    seed: int = 0,
    numeric: bool = True,
    max_flops: float | None = None,
    output: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> WebReport:
    """Every exact algorithm and a polynomial at one size, as a page for a browser: `iosim report`.

    Args:
        n, d, M, dtype, logit_bound, seed, numeric, progress: as of `run`.
        degree: of the polynomial; that for a relative error of 0.1 if not given.
        max_flops: work beyond which the result of a run is not computed; 1e11 if not given.
        output: a file like "report.html" to write the page to.

    Raises:
        UsageError: what can't be used, or a file that can't be written.

    Example:
        >>> found = report(n=64, d=4, M=100, numeric=False)
        >>> found.holds, [(run.algorithm, run.io_words) for run in found.exact[:2]]
        (True, [('flash2', 4552), ('recompute', 4608)])
    """
    from iosim import request
    from iosim.table_files import check_folder, write_whole
    from iosim.web.ask import MAX_FLOPS, web_report

    path = None if output is None else str(output)
    if path is not None:
        if not path.lower().endswith(".html"):
            raise UsageError(f"-o {path}: allowed: FILE.html")
        check_folder(path, where="-o")
    word, most = _word(dtype), MAX_FLOPS if max_flops is None else max_flops
    request.check_options(
        degree=degree, eps=None, logit_bound=logit_bound, seed=seed, rows=None, numeric=numeric, max_flops=most
    )
    given = {"--n": n, "--d": d, "--M": M, "--degree": degree, "--logit-bound": logit_bound, "--max-flops": max_flops}
    named = {**given, "--dtype": None if word == units.FP16 else word, "--seed": seed or None}
    flags = [f"{flag} {value}" for flag, value in named.items() if value is not None]
    found = web_report(
        parse_count(n, where="--n"),
        request.DEFAULT_D if d is None else parse_count(d, where="--d"),
        M=parse_size(M, word, where="--M"),
        degree=degree,
        logit_bound=logit_bound,
        word=word,
        seed=seed,
        numeric=numeric,
        max_flops=most,
        command=" ".join(["iosim report", *flags, *([] if numeric else ["--no-numeric"])]),
        progress=progress,
    )
    if path is not None:
        text = found.html()
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return found


def kernel(
    algo: str | Algorithm,
    *,
    n: Number | None = None,
    n_k: Number | None = None,
    d: Number | None = None,
    d_v: Number | None = None,
    heads: Number | None = None,
    kv_heads: Number | None = None,
    mask: str | AnyMask = "full",
    tied: bool = False,
    dtype: str = "fp16",
    degree: int | None = None,
    set: Named | None = None,
    M: Number | None = None,
    tiles: Named = "best",
    warps: int | None = None,
    stages: int | None = None,
    compile: str | None = None,
    count: bool = False,
) -> KernelRun:
    """The Triton kernels of an algorithm: `iosim kernel`.

    Args:
        algo: a registered name, `path/to/file.py:name`, or an algorithm; the others as of `run`, and:
        dtype: of inputs and outputs: fp32, fp16 or bf16.
        M: fast memory that tiles are chosen for.
        tiles: "best", "paper", or sizes by name, also of the rows and columns that pass at a time.
        warps, stages: of each launch; chosen if not given.
        compile: compute capability that they are compiled for, like "sm_90".
        count: whether they run in Triton's interpreter, to count what they load and store.

    Raises:
        UsageError: what can't be used.
        NotLowerable: a statement that no kernel is written for.
    """
    from iosim import request
    from iosim.kernel import kernel_run
    from iosim.tune_ask import ask

    given = {"n": n, "n_k": n_k, "d": d, "d_v": d_v, "heads": heads, "kv_heads": kv_heads}
    problem, (algorithm,) = ask([algo], degree=degree, mask=mask, tied=tied, set=set, **given)
    polynomial = request.choose_polynomial(algorithm, degree=degree, eps=None, logit_bound=None, logits=None)
    word = _word(dtype)
    return kernel_run(
        algorithm,
        algorithm.settled(request.with_polynomial(problem, polynomial)),
        word=word,
        capacity=None if M is None else parse_size(M, word, where="--M"),
        tiles=request.parse_tiles(tiles),
        num_warps=warps,
        num_stages=stages,
        target=compile,
        counts=count,
    )


def _word(name: str) -> Dtype:
    return units.dtype(name, where="--dtype")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _data(given: Arrays | None) -> AttentionInput | None:
    """Q, K and V from a file, or from arrays."""
    from iosim.input_files import load_input
    from iosim.inputs import NAMES, AttentionInput, from_arrays

    if given is None or isinstance(given, AttentionInput):
        return given
    if isinstance(given, str | PathLike):
        return load_input(given)
    if isinstance(given, Mapping) and {*given} == {*NAMES}:
        return from_arrays(**given)
    if not isinstance(given, Mapping) and len(given) == len(NAMES):
        return from_arrays(*given)
    raise UsageError("--input: allowed: a file, Q, K and V in this order, or a mapping with these names")


def _approximate(given: str | Sequence[str] | None) -> list[Algorithm] | None:
    """The algorithms of that name; None for all."""
    from iosim.registry import find

    if given is None:
        return None
    found = [find(name.strip()) for name in (given.split(",") if isinstance(given, str) else given)]
    for algorithm in found:
        if not algorithm.approximate:
            raise UsageError(f"--algo {algorithm.name}: it is exact; allowed: approximate algorithms, see `iosim list`")
    return found


def _asked(
    n: Number | None, d: Number | None, logit_bound: float | None, given: Arrays | None
) -> tuple[Problem, AttentionInput | None, float | None]:
    """The problem, the data if there are any, and a bound on the logits if there is one."""
    from iosim import request

    shape = request.Shape(
        n=None if n is None else parse_count(n, where="--n"), d=None if d is None else parse_count(d, where="--d")
    )
    request.check_options(
        degree=None, eps=None, logit_bound=logit_bound, seed=0, rows=None, numeric=True, max_flops=math.inf
    )
    data = _data(given)
    if data is not None and logit_bound is not None:
        raise UsageError(f"--logit-bound {logit_bound} --input {data.source}: it is measured on the data; leave it out")
    return request.make_problem(shape, data), data, logit_bound
