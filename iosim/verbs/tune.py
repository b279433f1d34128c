"""The verb about all fast memories at once: `iosim tune`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from iosim.errors import UsageError
from iosim.verbs.common import JSON, PROBLEM, asked_for, options, parse_tiles, print_json, progress_bar

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm, Problem
    from iosim.tune import Tuned
    from iosim.units import Dtype


@click.command(short_help="The fewest words for every M, the least M for given words, tiles that fit a GPU.")
@click.option("--algo", "names", metavar="NAMES", help="Only these, like flash2,two-pass.  [default: all exact ones]")
@options(PROBLEM)
@click.option(
    "--M", "M", metavar="SIZES", help="Fast memories: 32KB,64KB or 1Kiw:1Miw:*2.  [default: 200 where it matters]"
)
@click.option("--io", metavar="SIZE", help="The least fast memory in which so much moves at most: 2GB, 1000000w.")
@click.option("--gpu", metavar="NAME", help="Which tiles fit a block of threads there: h100, a100, rtx4090, t4, ...")
@click.option("--stages", type=int, metavar="COUNT", help="With --gpu: of the software pipeline.  [default: 1]")
@click.option("--tiles", metavar="TILES", help="With --gpu: only these, like B_r=128,B_c=64,e=64,e_v=64.")
@click.option(
    "-o", "--output", "files", metavar="FILE", multiple=True, help="FILE.png, .svg, .pdf, .csv, .jsonl, .parquet."
)
@JSON
@click.pass_context
def tune(
    ctx: click.Context,
    /,
    names: str | None,
    M: str | None,
    io: str | None,
    gpu: str | None,
    stages: int | None,
    tiles: str | None,
    files: Sequence[str],
    as_json: bool,
    dtype_name: str,
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
      iosim tune --n 65536 --d 128 --gpu rtx4090 --stages 3
      iosim tune --n 65536 --d 128 --gpu a100 --algo flash2 --tiles B_r=128,B_c=64,e=128,e_v=128
    """
    from iosim.units import dtype

    for flag, given in (("--stages", stages), ("--tiles", tiles)):
        if given is not None and gpu is None:
            raise UsageError(f"{flag} {given}: allowed with --gpu only")
    given_sizes = [f"{flag} {given}" for flag, given in (("--M", M), ("--io", io), ("--gpu", gpu)) if given is not None]
    if len(given_sizes) > 1:
        raise UsageError(f"{' '.join(given_sizes)}: allowed: one of them")
    for path in files:
        _check(path, figures=gpu is None)
    word = dtype(dtype_name, where="--dtype")
    problem, chosen = asked_for("flash2" if gpu is not None and names is None else names, **asked)
    if gpu is not None:
        _fit(gpu, problem, chosen, word, stages, tiles, files, as_json=as_json)
        return
    found = _tuned(problem, chosen, word, M, io)
    _write(files, found)
    if as_json:
        print_json(found.to_dict())
    else:
        from iosim.report import show

        show(found.report())
    if not found.holds:
        ctx.exit(1)


def _tuned(problem: Problem, chosen: list[Algorithm], word: Dtype, M: str | None, io: str | None) -> Tuned:
    from iosim.tune import least_memory, tune
    from iosim.units import parse_size, parse_sizes

    if io is not None:
        return least_memory(parse_size(io, word, where="--io"), problem, chosen, word=word)
    capacities = None if M is None else parse_sizes(M, word, where="--M")
    with progress_bar() as progress:
        return tune(problem, chosen, capacities=capacities, word=word, progress=progress)


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


def _write(files: Sequence[str], found: Tuned) -> None:
    from iosim.plots.style import SUFFIXES, save
    from iosim.table_files import write_rows

    for path in files:
        if path.lower().endswith(SUFFIXES):
            save(found.plot(), path)
        else:
            write_rows(path, found.rows())


def _fit(
    gpu: str,
    problem: Problem,
    chosen: list[Algorithm],
    word: Dtype,
    stages: int | None,
    tiles: str | None,
    files: Sequence[str],
    *,
    as_json: bool,
) -> None:
    from iosim.gpu_tiles import gpu_tiles
    from iosim.machines import machine
    from iosim.report import show
    from iosim.table_files import write_rows

    if stages is not None and not 1 <= stages <= 8:
        raise UsageError(f"--stages {stages}: allowed: 1 to 8")
    given = None if tiles is None else parse_tiles(tiles)
    if isinstance(given, str):
        raise UsageError(f"--tiles {given}: allowed: sizes like B_r=128,B_c=64,e=64,e_v=64")
    found = gpu_tiles(machine(gpu, where="--gpu"), problem, chosen, word=word, stages=stages or 1, tiles=given)
    for path in files:
        write_rows(path, found.rows())
    if as_json:
        print_json(found.to_dict())
    else:
        show(found.report())
