"""`iosim VERB`: the command line. Results go to stdout, progress and errors to stderr.

Exit code 0: every check holds. 1: a check fails. 2: wrong usage, with one line that says where, what and what is allowed.
130 and 141: interrupted, and stdout closed early, as shells have it.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from iosim import __version__
from iosim.cli_pebble import pebble
from iosim.errors import IosimError, UsageError

_JSON = click.option("--json", "as_json", is_flag=True, help="Print plain numbers, with units in the key names.")
_ALGO = click.option(
    "--algo", required=True, metavar="NAME", help="A registered name (see `iosim list`), or path/to/file.py:name."
)


class _Verbs(click.Group):
    """Turns every error of usage into one line and exit code 2."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            with _writing():
                if sys.stdout is not None:  # None where it was closed from the start
                    sys.stdout.flush()
        except click.ClickException as error:
            code = _fail(error.format_message())
        except IosimError as error:
            code = _fail(str(error))
        except click.Abort:
            code = _fail("interrupted", code=130)
        except MemoryError:
            code = _fail("out of memory: this problem is too large for this machine")
        except OverflowError as error:
            code = _fail(f"this problem is too large: {error}")
        except _StdoutError as error:
            code = error.exit_code
        sys.exit(code)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _writing():  # --help and --version write here
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _writing():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], self.commands, n=1)
        if args[0] not in self.commands and near and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)


class _StdoutError(Exception):
    """Nothing more can be written to stdout."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextmanager
def _writing() -> Iterator[None]:
    """Where output is written: who reads it may have seen enough, or the disk may be full."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and error.errno != errno.ENOSPC:
            raise
        code = 141 if isinstance(error, BrokenPipeError) else _fail(f"stdout: {error.strerror}")
        # What is still in the buffer must not be written again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _StdoutError(code) from error


def _fail(message: str, *, code: int = 2) -> int:
    """One line on stderr, whatever is in the message."""
    line = " ".join(message.split())
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    click.echo(f"Error: {shown}", err=True)
    return code


@click.group(
    cls=_Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="iosim")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Count the data movement of attention algorithms exactly, and check the count from both sides.

    \b
    Examples:
      iosim run --algo approx --n 65536 --M 100KB
      iosim list
      iosim show --algo flash2
      iosim prove
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@main.command(short_help="One algorithm at one size, to a verdict.")
@_ALGO
@click.option("--n", metavar="COUNT", help="Queries of a head: 65536, 64Ki, 2^16.")
@click.option("--n-k", metavar="COUNT", help="Keys.  [default: as many as queries]")
@click.option("--d", metavar="COUNT", help="Head dimension.  [default: 64]")
@click.option("--d-v", metavar="COUNT", help="Columns of V and O.  [default: as many as d]")
@click.option("--batch", metavar="COUNT", help="Sequences.  [default: 1]")
@click.option("--heads", metavar="COUNT", help="Query heads of a sequence.  [default: 1]")
@click.option("--kv-heads", metavar="COUNT", help="Key heads, which query heads share.  [default: as many]")
@click.option(
    "--mask",
    metavar="MASK",
    default="full",
    show_default=True,
    help="Keys that a query meets: full, causal, window:W (W keys up to its own), band:BACK,AHEAD; or blocks of them: "
    "blocks:SIZE,local,W, blocks:SIZE,strided,W,S, blocks:SIZE,bigbird,W,G,R,SEED, FILE.npy (a table of bool).",
)
@click.option("--tied", is_flag=True, help="V is the first columns of K, as in multi-head latent attention.")
@click.option(
    "--M",
    "M",
    metavar="SIZE",
    required=True,
    help="Fast memory: 100KB (100,000 B), 100KiB (102,400 B), 51200w (words).",
)
@click.option(
    "--dtype",
    "dtype_name",
    metavar="NAME",
    default="fp16",
    show_default=True,
    help="Of a word, fp64, fp32, fp16, bf16 or fp8; for sizes in bytes. All computing is in float64.",
)
@click.option("--degree", type=int, metavar="G", help="Degree of the polynomial, for approximate algorithms.")
@click.option(
    "--eps",
    type=float,
    metavar="E",
    help="Relative error that the polynomial must reach; picks the degree.  [default: 0.1]",
)
@click.option(
    "--logit-bound",
    type=float,
    metavar="R",
    help="Greatest |q.k|/sqrt(d), for the polynomial and of random data.  [default: measured with --input, else 1]",
)
@click.option("--input", "path", metavar="FILE", help="Q, K and V: FILE.npz, FILE.safetensors, or Q.npy,K.npy,V.npy.")
@click.option(
    "--tiles",
    metavar="TILES",
    default="best",
    show_default=True,
    help="best (fewest words moved), paper (as published), or sizes like B_r=32,B_c=1.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random data, and of the sample of rows.")
@click.option(
    "--rows", type=int, metavar="COUNT", help="Rows to compare.  [default: all up to n = 4096, else a sample of 256]"
)
@click.option("--numeric/--no-numeric", default=True, help="Whether to compute the result and compare it.")
@click.option(
    "--max-flops",
    type=float,
    metavar="COUNT",
    default=2e12,
    show_default="2e12",
    help="Work beyond which the result is not computed.",
)
@click.option("--explain", is_flag=True, help="The program line by line: the words that each line moves, and why.")
@_JSON
@click.pass_context
def run(
    ctx: click.Context,
    /,
    algo: str,
    path: str | None,
    as_json: bool,
    explain: bool,
    tiles: str,
    **options: Any,
) -> None:
    """Pick tiles, count, check legality, compute, compare: one algorithm at one size, to a verdict.

    \b
    Examples:
      iosim run --algo approx --n 65536 --M 100KB
      iosim run --algo flash2 --n 4096 --M 51200w --tiles B_r=128 --no-numeric
      iosim run --algo exact --n 8192 --mask causal --heads 32 --kv-heads 8 --M 100KB --no-numeric
      iosim run --algo flash1 --n 8192 --M 100KB --tiles paper --no-numeric
      iosim run --algo flash2 --n 65536 --M 64KiB --no-numeric --explain
      iosim run --algo block-sparse --n 8192 --mask blocks:64,bigbird,1,2,3,0 --M 100KB
      iosim run --algo approx --input qkv.npz --M 64KiB --degree 2 --json
      iosim run --algo my_attention.py:mine --n 1024 --M 20000w
    """
    from iosim.units import parse_count

    for name in ("n", "n_k", "d", "d_v", "batch", "heads", "kv_heads"):
        given = options[name]
        options[name] = None if given is None else parse_count(given, where=f"--{name.replace('_', '-')}")
    chosen = _tiles(tiles)

    from iosim.registry import find, user_code
    from iosim.verdict import run as run_algorithm

    with user_code(algo), progress_bar() as progress:
        algorithm = find(algo)
        data = None
        if path is not None:
            from iosim.inputs import load_input

            data = load_input(path)
        result = run_algorithm(algorithm, data=data, tiles=chosen, progress=progress, **options)
    explanation = None
    if explain:
        from iosim.explanation import explanation_of

        explanation = explanation_of(result.plan, result.fast_memory_words)
    if as_json:
        print_json(result.to_dict() | ({"explanation": explanation.to_dict()} if explanation else {}))
    else:
        from iosim.report import run_report, show

        show(run_report(result, explanation.report() if explanation else None))
    ctx.exit(0 if result.holds else 1)


@main.command("list", short_help="The registered algorithms.")
@_JSON
def list_algorithms(as_json: bool) -> None:
    """The registered algorithms: what each is, its schedules with closed form and regime, and its source.

    \b
    Examples:
      iosim list
      iosim list --json
    """
    from iosim.registry import algorithms

    found = list(algorithms().values())
    if as_json:
        print_json([_description(algorithm) for algorithm in found])
    else:
        from iosim.report import list_report, show

        show(list_report(found))


@main.command(short_help="Lower bounds on the words moved, with their constants.")
@click.option("--n", "n", metavar="COUNT", help="Queries, and keys: 65536, 64Ki, 2^16.")
@click.option("--n-k", "n_k", metavar="COUNT", help="Keys, if not as many.  [default: n]")
@click.option("--d", "d", metavar="COUNT", help="Head dimension.  [default: 64]")
@click.option("--d-v", "d_v", metavar="COUNT", help="Head dimension of V and O.  [default: d]")
@click.option("--M", "M", metavar="SIZE", help="Fast memory: 100KB (100,000 B), 100KiB (102,400 B), 51200w (words).")
@click.option("--dtype", "dtype_name", metavar="NAME", default="fp16", show_default=True, help="Of a word.")
@click.option("--causal", is_flag=True, help="Each query meets the keys up to its own.")
@click.option("--tied", is_flag=True, help="V is the first d_v columns of K.")
@click.option(
    "--degree", type=int, metavar="G", help="For approximate attention instead, by a polynomial of that degree."
)
@click.option("--chunk", metavar="COUNT", help="With --degree: rows in a sum when it is used.  [default: all]")
@click.option("--einsum", "einsum", metavar="TEXT", help='Of this instead: "ik,kj->ij", "C[i,j] += A[i,k] A[j,k]".')
@click.option("--size", "sizes", metavar="i=COUNT", multiple=True, help="Size of a letter of the einsum; repeatable.")
@click.option("--latex", is_flag=True, help="Print only the formulas, as LaTeX.")
@click.option("--tightness", is_flag=True, help="The best schedule over the bound instead, for each --M of a range.")
@_JSON
def bounds(as_json: bool, latex: bool, tightness: bool, **options: Any) -> None:
    """What no schedule can go below: trivial, full, leading and simplified bound, at given sizes or in symbols.

    \b
    Examples:
      iosim bounds --n 65536 --M 100KB
      iosim bounds --n 4096 --d 576 --d-v 512 --tied --causal --M 64KiB
      iosim bounds --degree 2 --n 65536 --M 4096w
      iosim bounds
      iosim bounds --einsum "ik,kj->ij; ij,jl->il"
      iosim bounds --einsum "C[i,j] += A[i,k] A[j,k]" --size i=529 --size k=1024 --M 299w
      iosim bounds --tightness --n 65536 --d 64 --M 1Kiw:4Miw:*2
    """
    if tightness:
        _tightness(as_json, **{**options, "latex": latex})
        return

    from iosim.bounds.ask import survey

    found = survey(**options)
    if as_json:
        print_json(found.to_dict())
        return
    from iosim.bounds.report import latex_lines, survey_report
    from iosim.units import dtype

    if latex:
        click.echo("\n".join(latex_lines(found)))
        return
    from iosim.report import show

    show(survey_report(found, dtype(options["dtype_name"], where="--dtype")))


@main.command(short_help="The program of an algorithm as pseudo-code.")
@_ALGO
@click.option("--schedule", metavar="NAME", help="Only this one of its schedules.")
@click.option("--explain", is_flag=True, help="Beside each load and store the words that it moves in all, in symbols.")
@_JSON
def show(algo: str, schedule: str | None, explain: bool, as_json: bool) -> None:
    """The program of an algorithm as pseudo-code, one for each of its schedules.

    \b
    Examples:
      iosim show --algo flash2
      iosim show --algo flash2 --schedule words --explain
      iosim show --algo flash1 --schedule published
    """
    from iosim.interpret.render import render
    from iosim.registry import find, user_code

    with user_code(algo):
        algorithm = find(algo)
        forms = algorithm.forms()
    names = [form.schedule for form in forms]
    if schedule is not None:
        if schedule not in names:
            raise UsageError(f"--schedule {schedule}: no such schedule; {algo} has {', '.join(names)}")
        forms = tuple(form for form in forms if form.schedule == schedule)
    if explain:
        from iosim.explanation import annotated

        render = annotated
    programs = {form.schedule: render(form.program) for form in forms}
    if as_json:
        listed = [{"name": name, "pseudo_code": text} for name, text in programs.items()]
        print_json({"algorithm": algorithm.name, "schedules": listed})
    else:
        click.echo("\n\n".join(programs.values()))


@main.command(short_help="Theorems, with every step of their proofs checked.")
@click.argument("name", required=False, metavar="[NAME]")
@_JSON
@click.pass_context
def prove(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Run the proof of one theorem, or of all: every step, how it was established, and what the theorem rests on.

    \b
    Examples:
      iosim prove
      iosim prove io_in_a_large_cache
      iosim prove io_in_any_cache --json
    """
    from iosim.errors import ProofError
    from iosim.proof_report import proof_numbers, proof_report
    from iosim.registry import find_theorem, theorems
    from iosim.report import show

    chosen = list(theorems().values()) if name is None else [find_theorem(name)]
    if not chosen:
        raise UsageError("no theorem is registered under the entry points iosim.proofs; is iosim installed?")
    results = []
    with progress_bar() as progress:
        for number, theorem in enumerate(chosen):
            done, what = number / len(chosen), theorem.name
            try:
                results.append(theorem.check(lambda _fact: progress(what, done)))  # noqa: B023  called at once
            except ProofError as error:
                click.echo(f"{theorem.name}: a step fails: {error}", err=True)
                ctx.exit(1)
    if as_json:
        print_json([proof_numbers(checked) for checked in results])
        return
    for checked in results:
        show(proof_report(checked))
        click.echo()


def _tightness(as_json: bool, *, n: str | None, d: str | None, M: str | None, dtype_name: str, **others: Any) -> None:
    """What `bounds --tightness` prints."""
    from iosim.report import show
    from iosim.tightness import capacities, tightness, tightness_report
    from iosim.units import dtype, parse_count

    for name, value in others.items():
        if value:
            flag = {"sizes": "size"}.get(name, name.replace("_", "-"))
            raise UsageError(f"--{flag} with --tightness; allowed: --n, --d, --M, --dtype, --json")
    if n is None or M is None:
        raise UsageError(
            f"--tightness: {'--n' if n is None else '--M'} is missing; allowed: like --n 65536 --M 1Kiw:4Miw:*2"
        )
    memories = capacities(M, dtype(dtype_name, where="--dtype"))
    rows = list(tightness(parse_count(n, where="--n"), parse_count(d or "64", where="--d"), memories))
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        show(tightness_report(rows))


main.add_command(pebble)


def _description(algorithm: Any) -> dict[str, object]:
    return {
        "name": algorithm.name,
        "summary": algorithm.summary,
        "source": algorithm.source,
        "approximate": algorithm.approximate,
        "schedules": [
            {"name": form.schedule, "io_words": str(form.io), "peak_words": str(form.peak), "regime": form.regime}
            for form in algorithm.forms()
        ],
    }


def _tiles(text: str) -> str | Mapping[str, int]:
    if "=" not in text:
        return text
    tiles: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        if not name or not value.isascii() or not value.isdecimal() or len(value) > 20 or int(value) < 1:
            raise UsageError(f"--tiles {text}: {part!r} is not like B_r=32, with a whole number from 1")
        if name in tiles:
            raise UsageError(f"--tiles {text}: {name} is given twice")
        tiles[name] = int(value)
    return tiles


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda what, fraction: bars.update(task, description=what, completed=fraction)
