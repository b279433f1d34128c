"""The verbs about one algorithm: `iosim run`, `iosim list` and `iosim show`."""

from __future__ import annotations

from typing import Any

import click

from iosim.defaults import DEFAULT_EPS
from iosim.verbs.common import JSON, SIZES, Verb, flag, flags, print_result, progress_bar, user_files


@click.command(cls=Verb, short_help="One algorithm at one size, to a verdict.")
@flag("algo", required=True)
@flags(*SIZES)
@flag(
    "mask",
    help="Keys that a query meets: full, causal, window:W (W keys up to its own), band:BACK,AHEAD; or blocks of them: "
    "blocks:SIZE,local,W, blocks:SIZE,strided,W,S, blocks:SIZE,bigbird,W,G,R,SEED, FILE.npy (a table of bool).",
)
@flag("tied")
@flag("M", required=True)
@flag("dtype", help="Of a word, fp64, fp32, fp16, bf16 or fp8; for sizes in bytes. All computing is in float64.")
@flag("degree")
@flag("eps", help=f"Relative error that the polynomial must reach; picks the degree.  [default: {DEFAULT_EPS}]")
@flags("logit_bound", "set", "input")
@flag("tiles", help="best (fewest words moved), paper (as published), or sizes like B_r=32,B_c=1.")
@flags("seed", "rows")
@click.option("--numeric/--no-numeric", default=True, help="Whether to compute the result and compare it.")
@flag("max_flops")
@click.option("--explain", is_flag=True, help="The program line by line: the words that each line moves, and why.")
@JSON
@click.pass_context
def run(ctx: click.Context, /, algo: str, as_json: bool, **options: Any) -> None:
    """Pick tiles, count, check legality, compute, compare: one algorithm at one size, to a verdict.

    \b
    Examples:
      iosim run --algo approx --n 65536 --M 100KB
      iosim run --algo flash2 --n 4096 --M 51200w --tiles B_r=128 --no-numeric
      iosim run --algo exact --n 8192 --mask causal --heads 32 --kv-heads 8 --M 100KB --no-numeric
      iosim run --algo flash1 --n 8192 --M 100KB --tiles paper --no-numeric
      iosim run --algo flash2 --n 65536 --M 64KiB --no-numeric --explain
      iosim run --algo block-sparse --n 8192 --mask blocks:64,bigbird,1,2,3,0 --M 100KB
      iosim run --algo performer --n 65536 --M 100KB --set features=128,seed=1
      iosim run --algo approx --input qkv.npz --M 64KiB --degree 2 --json
      iosim run --algo my_attention.py:mine --n 1024 --M 20000w
    """
    from iosim import api

    with user_files(algo), progress_bar() as progress:
        result = api.run(algo, progress=progress, **options)
    print_result(result, as_json=as_json)
    ctx.exit(0 if result.holds else 1)


@click.command("list", cls=Verb, short_help="The registered algorithms.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--short", is_flag=True, help="Only names and what they are.")
@JSON
def list_algorithms(name: str | None, short: bool, as_json: bool) -> None:
    """The registered algorithms, or one: what it is, its schedules with closed form and regime, and its source.

    \b
    Examples:
      iosim list --short
      iosim list flash2
      iosim list --json
    """
    from iosim import api

    with user_files(name, where="list"):
        found = api.list_algorithms(name)
    print_result(found, as_json=as_json, report=found.names if short else None)


@click.command(cls=Verb, short_help="The program of an algorithm as pseudo-code.")
@flag("algo", required=True)
@click.option("--schedule", metavar="NAME", help="Only this one of its schedules.")
@click.option("--explain", is_flag=True, help="Beside each load and store the words that it moves in all, in symbols.")
@JSON
def show(algo: str, schedule: str | None, explain: bool, as_json: bool) -> None:
    """The program of an algorithm as pseudo-code, one for each of its schedules.

    \b
    Examples:
      iosim show --algo flash2
      iosim show --algo flash2 --schedule words --explain
      iosim show --algo flash1 --schedule published
    """
    from iosim import api

    with user_files(algo):
        found = api.show(algo, schedule=schedule, explain=explain)
    print_result(found, as_json=as_json)
