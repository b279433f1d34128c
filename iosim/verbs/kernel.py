"""The verb about GPU kernels: `iosim kernel`."""

from __future__ import annotations

from typing import Any

import click

from iosim.verbs.common import JSON, PROBLEM, Verb, flag, flags, print_result, progress_bar, user_files


@click.command(
    cls=Verb, short_help="The Triton kernels of an algorithm; compiled, and what they move counted, without a GPU."
)
@flag("algo", required=True)
@flags(*PROBLEM)
@flag("M", help="Fast memory that tiles are chosen for: 100KB, 100KiB, 51200w.")
@flag("tiles", help="best, paper, or sizes like B_r=128,B_c=64; also of rows and columns that pass.")
@flags("num_warps", "num_stages")
@click.option("--compile", metavar="TARGET", help="Registers, shared memory and spills: sm_80, sm_90, ...")
@click.option("--count", is_flag=True, help="Run them in Triton's interpreter and count their loads and stores.")
@click.option("-o", "--output", metavar="FILE.py", help="Write the source there.")
@JSON
@click.pass_context
def kernel(ctx: click.Context, /, algo: str, output: str | None, as_json: bool, **asked: Any) -> None:
    """The Triton kernels of an algorithm, from its program: the same tiles, loops, loads and stores.

    Prints the source; with --compile or --count, what was found instead.

    \b
    Examples:
      iosim kernel --algo flash2 --n 4096 --d 64 --tiles B_r=128,B_c=64
      iosim kernel --algo flash2 --n 4096 --d 64 --tiles B_r=128,B_c=64 --dtype bf16 --compile sm_90
      iosim kernel --algo flash2 --n 70 --d 20 --tiles B_r=24,B_c=10 --dtype fp32 --count
      iosim kernel --algo approx --n 50 --d 6 --degree 2 --M 150w --dtype fp32 --count
      iosim kernel --algo standard --n 4096 --M 64KiB -o standard.py
    """
    from iosim import api
    from iosim.table_files import check_folder, write_whole

    if output is not None:
        check_folder(output, where="-o")
    with user_files(algo), progress_bar() as progress:
        found = api.kernel(algo, progress=progress, **asked)
    if output is not None:
        write_whole(output, lambda part: part.write_text(found.source))
        click.echo(f"{output}: {len(found.kernels.launches)} launches", err=True)
    if as_json or found.compiled or found.counted is not None:
        print_result(found, as_json=as_json)
    elif output is None:
        click.echo(found.source, nl=False)
    ctx.exit(0 if found.holds else 1)
