"""The verb about all fast memories at once: `iosim tune`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from iosim.defaults import DEFAULT_POINTS
from iosim.errors import UsageError
from iosim.refusals import at_most_one, given, refuse
from iosim.verbs.common import JSON, PROBLEM, Verb, flag, flags, print_result, progress_bar, user_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@click.command(cls=Verb, short_help="The fewest words for every M, the least M for given words, tiles that fit a GPU.")
@flag(
    "algo",
    metavar="NAMES",
    help="Only these, like flash2,two-pass.  [default: all exact ones; with --degree, all with the polynomial; with "
    "--gpu, flash2]",
)
@flags(*PROBLEM)
@flag(
    "M",
    metavar="SIZES",
    help=f"Fast memories: 32KB,64KB or 1Kiw:1Miw:*2.  [default: about {DEFAULT_POINTS} where it matters]",
)
@click.option("--io", metavar="SIZE", help="The least fast memory in which so much moves at most: 2GB, 1000000w.")
@click.option("--gpu", metavar="NAME", help="Which tiles fit a block of threads there: h100, a100, rtx4090, t4, ...")
@flag("num_stages", help="With --gpu: stages of the software pipeline.  [default: 1]")
@flag(
    "tiles",
    default=None,
    show_default=False,
    help="With --gpu: only these, like B_r=128,B_c=64,e=64,e_v=64.",
)
@click.option(
    "-o", "--output", "files", metavar="FILE", multiple=True, help="FILE.png, .svg, .pdf, .csv, .jsonl, .parquet."
)
@JSON
@click.pass_context
def tune(
    ctx: click.Context,
    /,
    algo: str | None,
    M: str | None,
    io: str | None,
    gpu: str | None,
    num_stages: int | None,
    tiles: str | None,
    files: Sequence[str],
    as_json: bool,
    **asked: Any,
) -> None:
    """Over all schedules and tile sizes, the fewest words for every fast memory, and the lower bound beside them.

    With --degree, of attention by a polynomial of that degree. With --gpu, of flash2 unless others are named: shared memory
    that loaded tiles need, registers that created ones need, and what the processor has.

    \b
    Examples:
      iosim tune --n 65536 --d 64
      iosim tune --n 65536 --M 32KB:1MB:*2 -o slope.pdf -o slope.csv
      iosim tune --n 65536 --degree 2 --M 1Kiw:256Kiw:*4
      iosim tune --n 65536 --io 3GB
      iosim tune --n 65536 --d 128 --gpu h100 --num-stages 3
      iosim tune --n 65536 --d 128 --gpu a100 --algo flash2 --tiles B_r=128,B_c=64,e=128,e_v=128
    """
    from iosim import api

    if gpu is None:
        refuse(given(num_stages=num_stages, tiles=tiles), "without --gpu", "with it")
    else:
        for name, value in (("M", M), ("io", io), ("degree", asked.pop("degree"))):
            at_most_one(**{name: value, "gpu": gpu})
    for path in files:
        _check(path, figures=gpu is None)
    if gpu is not None:
        with user_files(algo):
            fit = api.gpu_tiles(
                gpu, algo or "flash2", num_stages=1 if num_stages is None else num_stages, tiles=tiles, **asked
            )
        _write(files, fit.rows(), None)
        print_result(fit, as_json=as_json)
        return
    with user_files(algo), progress_bar() as progress:
        found = api.tune(algo, M=M, io=io, progress=progress, **asked)
    _write(files, found.rows(), found.plot)
    print_result(found, as_json=as_json)
    ctx.exit(0 if found.holds else 1)


def _check(path: str, *, figures: bool) -> None:
    from iosim.plots.style import SUFFIXES
    from iosim.table_files import SUFFIXES as TABLES
    from iosim.table_files import check_folder, check_table_file

    if path.lower().endswith(TABLES):
        check_table_file(path, where="-o")
        return
    allowed = (*SUFFIXES, *TABLES) if figures else TABLES
    if not path.lower().endswith(allowed):
        raise UsageError(f"-o {path}: allowed: FILE{', FILE'.join(allowed)}")
    check_folder(path, where="-o")


def _write(files: Sequence[str], rows: list[dict[str, object]], plot: Callable[[], Figure] | None) -> None:
    from iosim.plots.style import SUFFIXES, save
    from iosim.table_files import write_rows

    for path in files:
        if plot is not None and path.lower().endswith(SUFFIXES):
            save(plot(), path)
        else:
            write_rows(path, rows)
