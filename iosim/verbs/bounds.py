"""The verbs about what no schedule can go below: `iosim bounds` and `iosim prove`."""

from __future__ import annotations

from typing import Any

import click

from iosim.refusals import given, refuse
from iosim.verbs.common import JSON, SIZES, Verb, flag, flags, print_result, progress_bar


@click.command(cls=Verb, short_help="Lower bounds on the words moved, with their constants.")
@flags(*SIZES)
@flag("mask", default=None, show_default=False, help="As for `iosim run`.  [default: full]")
@flags("tied", "M", "dtype")
@click.option("--sums", metavar="NAME", help="Number format of the sums that make up O.  [default: that of a word]")
@flag("degree", help="For approximate attention instead, by a polynomial of that degree.")
@click.option("--chunk", metavar="COUNT", help="With --degree: rows in a sum when it is used.  [default: all]")
@click.option("--einsum", metavar="TEXT", help='Of this instead: "ik,kj->ij", "C[i,j] += A[i,k] A[j,k]".')
@click.option("--size", metavar="i=COUNT", multiple=True, help="Size of a letter of the einsum; repeatable.")
@click.option("--latex", is_flag=True, help="Print only the formulas, as LaTeX.")
@click.option("--tightness", is_flag=True, help="The best schedule over the bound instead, for each --M of a range.")
@JSON
def bounds(as_json: bool, latex: bool, tightness: bool, **options: Any) -> None:
    """What no schedule can go below: trivial, full, leading and simplified bound, at given sizes or in symbols.

    \b
    Examples:
      iosim bounds --n 65536 --M 100KB
      iosim bounds --n 4096 --d 576 --d-v 512 --tied --mask causal --M 64KiB
      iosim bounds --n 8192 --d 128 --heads 32 --kv-heads 8 --mask window:1024 --M 100KB
      iosim bounds --n 65536 --M 200KB --dtype fp16 --sums fp32
      iosim bounds --degree 2 --n 65536 --M 4096w
      iosim bounds
      iosim bounds --einsum "ik,kj->ij; ij,jl->il"
      iosim bounds --einsum "C[i,j] += A[i,k] A[j,k]" --size i=529 --size k=1024 --M 299w
      iosim bounds --tightness --n 65536 --d 64 --M 1Kiw:4Miw:*2
      iosim bounds --tightness --n 2^40 --d 64 --degree 2 --M 256w:256Kiw:*4
    """
    if tightness:
        _tightness(as_json, {**options, "latex": latex})
        return

    from iosim import api

    found = api.bounds(**options)
    if latex and not as_json:
        click.echo(found.latex)
    else:
        print_result(found, as_json=as_json)


@click.command(cls=Verb, short_help="Theorems, with every step of their proofs checked.")
@click.argument("name", required=False, metavar="[NAME]")
@JSON
@click.pass_context
def prove(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Run the proof of one theorem, or of all: every step, how it was established, and what the theorem rests on.

    \b
    Examples:
      iosim prove
      iosim prove io_in_a_large_fast_memory
      iosim prove io_in_any_fast_memory --json
    """
    from iosim import api
    from iosim.errors import ProofError

    with progress_bar() as progress:
        try:
            found = api.prove(name, progress=progress)
        except ProofError as error:
            click.echo(str(error), err=True)
            ctx.exit(1)
    print_result(found, as_json=as_json)


def _tightness(as_json: bool, options: dict[str, Any]) -> None:
    """What `bounds --tightness` prints."""
    from iosim import api

    own = ("n", "d", "M", "degree", "dtype")
    others = {name: value for name, value in options.items() if name not in own and value != ()}
    refuse(given(**others), "with --tightness", "--n, --d, --M, --degree, --dtype, --json")
    print_result(api.tightness(**{name: options[name] for name in own}), as_json=as_json)
