"""Figures for a paper, and a page for a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from iosim import units
from iosim.api.given import as_flags, word_of
from iosim.defaults import DEFAULT_D, PAGE_MAX_FLOPS
from iosim.errors import UsageError
from iosim.progress import Progress, silent
from iosim.units import FP16, Number, parse_count, parse_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iosim.web.ask import WebReport


@as_flags
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
    say = progress or silent
    figure = found.figure(data, Settings(algo=algo, given=settings, progress=say))
    if output is not None:
        save(figure, output)
    return figure


@as_flags
def report(
    *,
    n: Number,
    d: Number | None = None,
    M: Number,
    dtype: str = FP16.name,
    degree: int | None = None,
    logit_bound: float | None = None,
    seed: int | None = None,
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
    from iosim.web.ask import web_report

    path = None if output is None else str(output)
    if path is not None:
        if not path.lower().endswith(".html"):
            raise UsageError(f"-o {path}: allowed: FILE.html")
        check_folder(path, where="-o")
    word, most = word_of(dtype), PAGE_MAX_FLOPS if max_flops is None else max_flops
    request.check_options(degree=degree, logit_bound=logit_bound, seed=seed, numeric=numeric, max_flops=max_flops)
    given = {"--n": n, "--d": d, "--M": M, "--degree": degree, "--logit-bound": logit_bound, "--max-flops": max_flops}
    named = {**given, "--dtype": None if word == units.FP16 else word, "--seed": seed or None}
    flags = [f"{flag} {value}" for flag, value in named.items() if value is not None]
    found = web_report(
        parse_count(n, where="--n"),
        DEFAULT_D if d is None else parse_count(d, where="--d"),
        M=parse_size(M, word, where="--M"),
        where=f"--M {M}",
        degree=degree,
        logit_bound=logit_bound,
        word=word,
        seed=seed or 0,
        numeric=numeric,
        max_flops=most,
        command=" ".join(["iosim report", *flags, *([] if numeric else ["--no-numeric"])]),
        progress=progress,
    )
    if path is not None:
        text = found.html()
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return found
