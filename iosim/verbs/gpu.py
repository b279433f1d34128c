"""The verbs about kernels on a GPU: `iosim gpu run` and `iosim gpu validate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from iosim.defaults import DEFAULT_D, DEFAULT_EPS
from iosim.errors import UsageError
from iosim.refusals import among, missing
from iosim.units import flag_of
from iosim.verbs.common import JSON, REAL, Verb, flag, print_result, progress_bar, user_files

if TYPE_CHECKING:
    from iosim.gpu.cases import Case
    from iosim.gpu.record import Validation

_F = TypeVar("_F", bound=Callable[..., Any])

_CASE = (
    flag("algo"),
    flag("n", help="Queries and keys of a head: 65536, 64Ki, 2^16."),
    flag("d", default=str(DEFAULT_D), show_default=True, help="Head dimension."),
    flag("heads"),
    flag("mask"),
    flag("dtype", default="bf16", help="Of a word: bf16, fp16 or fp32."),
    flag(
        "degree",
        help=f"Of the polynomial, for approximate algorithms.  [default: for a relative error of {DEFAULT_EPS}]",
    ),
    flag("M", help="Fast memory that tiles and blocks are chosen for, if not given."),
    flag(
        "tiles",
        default=None,
        show_default=False,
        help="Sizes like B_r=128,B_c=64; exact algorithms need them, or --M.",
    ),
    flag("num_warps"),
    flag("num_stages"),
)
_DEVICES = ("cuda", "cpu")
_DEVICE = click.option(
    "--device",
    metavar="NAME",
    default="cuda",
    show_default=True,
    help="cuda, or cpu: in Triton's interpreter, for tiny sizes; its times say nothing.",
)


def _of_a_case(command: _F) -> _F:
    """With the flags that say what is run."""
    for option in reversed(_CASE):
        command = option(command)
    return command


@click.group(
    short_help="Run the kernels of a program on a GPU, and hold its counters against the count.",
    invoke_without_command=True,
)
@click.pass_context
def gpu(ctx: click.Context) -> None:
    """Run the kernels of a program on a GPU, and hold its counters against the count."""
    if ctx.invoked_subcommand is None:
        raise UsageError("gpu: what to do is missing; allowed: gpu run, gpu validate")


@gpu.command(cls=Verb, short_help="Values, time and bandwidth of the kernels of one algorithm at one size.")
@_of_a_case
@_DEVICE
@JSON
@click.pass_context
def run(ctx: click.Context, /, as_json: bool, device: str, **given: Any) -> None:
    """Launch the kernels of an algorithm: values against float64, time, bandwidth, beside PyTorch's fused attention.

    \b
    Examples:
      iosim gpu run --algo flash2 --n 4096 --tiles B_r=128,B_c=64
      iosim gpu run --algo approx-resident --n 4096 --d 16 --heads 132 --tiles N=32
    """
    among(device, _DEVICES, where="--device")
    case = _case(given)

    from iosim.gpu.report import run_report
    from iosim.gpu.validate import run_alone

    with user_files(given["algo"]):
        found = run_alone(case, device=device)
    print_result(found, as_json=as_json, report=lambda: run_report(found))
    (result,) = found.results
    ctx.exit(0 if result.accurate else 1)


@gpu.command(cls=Verb, short_help="Predicted bytes against the counters of Nsight Compute.")
@_of_a_case
@click.option("--all", "everything", is_flag=True, help="The whole list of cases instead of one.")
@click.option("--measured", metavar="FOLDER", help="What -o left: predict and compare again, without a GPU.")
@click.option("-o", "--output", metavar="FOLDER", help="For results: JSON, a table, figures, Nsight Compute's CSV.")
@click.option(
    "--limit-s", type=REAL, metavar="SECONDS", default=420.0, show_default=True, help="For everything together."
)
@click.option("--ncu", metavar="PROGRAM", default="ncu", show_default=True, help="NVIDIA Nsight Compute.")
@_DEVICE
@JSON
@click.pass_context
def validate(
    ctx: click.Context,
    /,
    as_json: bool,
    everything: bool,
    measured: str | None,
    output: str | None,
    limit_s: float,
    ncu: str,
    device: str,
    **given: Any,
) -> None:
    """Run under Nsight Compute and compare, at each boundary, the bytes that the program predicts with those measured.

    \b
    Examples:
      iosim gpu validate --algo flash2 --n 4096 --tiles B_r=128,B_c=64
      iosim gpu validate --all -o results
      iosim gpu validate --measured results
    """
    if everything or measured is not None:
        what = "--all" if measured is None else "--measured"
        typed = [name for name in given if ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE]
        typed += ["all"] if everything and measured is not None else []
        if typed:
            raise UsageError(f"{flag_of(typed[0])} with {what}; allowed: without it")
    among(device, _DEVICES, where="--device")
    if not limit_s >= 1:  # refuses nan as well
        raise UsageError(f"--limit-s {limit_s:g}: allowed: seconds from 1")

    from iosim.gpu.record import write
    from iosim.gpu.validate import again, find_ncu
    from iosim.gpu.validate import validate as run_validation

    cases: tuple[Case, ...] = ()
    if everything:
        from iosim.gpu.case_list import CASES, REHEARSAL

        cases = CASES if device == "cuda" else REHEARSAL
    elif measured is None:
        cases = (_case(given, instead="--all for the whole list, or --measured FOLDER"),)
    if measured is None:
        find_ncu(ncu)
    folder = None if output is None else _folder(output)

    def keep(found: Validation) -> None:
        if folder is not None:
            write(found, folder)

    with progress_bar() as progress:
        if measured is None:
            found = run_validation(cases, limit_s=limit_s, device=device, ncu=ncu, progress=progress, keep=keep)
        else:
            found = again(Path(measured), progress=progress)
            keep(found)
    print_result(found, as_json=as_json)
    ctx.exit(0 if found.holds else 1)


def _case(given: dict[str, Any], *, instead: str = "") -> Case:
    """The case that the flags ask for.

    Args:
        instead: what is allowed in its place.
    """
    from iosim.gpu.cases import LOGIT_BOUND, Case
    from iosim.interpret.triton import FORMATS
    from iosim.registry import find
    from iosim.request import check_options, choose_polynomial
    from iosim.units import dtype, parse_count, parse_numbers, parse_size

    for name, like in (("algo", "flash2"), ("n", "4096")):
        if given[name] is None:
            raise missing(flag_of(name), like=like, instead=instead)
    among(given["dtype"], FORMATS, where="--dtype")
    check_options(degree=given["degree"])
    algorithm = find(given["algo"])
    bound = LOGIT_BOUND if algorithm.takes_polynomial else None
    polynomial = choose_polynomial(algorithm, degree=given["degree"], logit_bound=bound)
    M = given["M"]
    return Case(
        algorithm=given["algo"],
        n=parse_count(given["n"], where="--n"),
        d=parse_count(given["d"], where="--d"),
        heads=1 if given["heads"] is None else parse_count(given["heads"], where="--heads"),
        mask=given["mask"],
        dtype=given["dtype"],
        degree=None if polynomial is None else polynomial.degree,
        fast_memory_words=None if M is None else parse_size(M, dtype(given["dtype"], where="--dtype"), where="--M"),
        tiles=parse_numbers(given["tiles"] or {}, where="--tiles", least=1, like="B_r=128"),
        num_warps=given["num_warps"],
        num_stages=given["num_stages"],
        sdpa=given["mask"] in ("full", "causal"),
    )


def _folder(out: str) -> Path:
    """A folder that can be written; it is made if it is not there."""
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {out}: this is no folder; allowed: a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".iosim.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"-o {out}: {error.strerror or error}") from error
    return folder
