"""`iosim VERB`: the command line. Results go to stdout, progress and errors to stderr.

Exit code 0: every check holds. 1: a check fails. 2: wrong usage, with one line that says where, what and what is allowed.
130 and 141: interrupted, and stdout closed early, as shells have it.
"""

from __future__ import annotations

import difflib
import errno
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from iosim import __version__
from iosim.errors import IosimError
from iosim.verbs import algorithms, bounds, gpu, kernel, pebbling, plot, report, sweep, traces, tradeoff, tune

VERBS = (
    algorithms.run,
    algorithms.list_algorithms,
    algorithms.show,
    bounds.bounds,
    bounds.prove,
    tradeoff.tradeoff,
    tradeoff.advise,
    tune.tune,
    sweep.sweep,
    plot.plot,
    report.report,
    traces.cache,
    traces.trace,
    pebbling.pebble,
    kernel.kernel,
    gpu.gpu,
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
        # programs and counts are many small objects without cycles: to look for garbage took a seventh of a run
        gc.set_threshold(100_000, 50, 50)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            with _writing():
                if sys.stdout is not None:  # None where it was closed from the start
                    sys.stdout.flush()
        except click.MissingParameter as error:
            code = _fail(_missing(error.param) if error.param else error.format_message())
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


def _missing(param: click.Parameter) -> str:
    """What is said where a parameter has to be given and is not: what its help says of its values."""
    if not isinstance(param, click.Option):
        return f"{param.metavar or param.name} is missing; allowed: what --help lists"
    values = (param.help or "").rpartition(": ")[2].rstrip(".")
    first = values[:1] if values[1:2].isupper() else values[:1].lower()  # FILE.csv, a name
    return f"{'/'.join(param.opts)} is missing; allowed: {first}{values[1:]}"


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


for _verb in VERBS:
    main.add_command(_verb)
