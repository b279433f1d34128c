"""The verbs about one algorithm: `iosim run`, `iosim list` and `iosim show`."""

from __future__ import annotations

from typing import Any

import click

from iosim.verbs.common import ALGO, JSON, print_json, progress_bar


@click.command(short_help="One algorithm at one size, to a verdict.")
@ALGO
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
@click.option(
    "--set",
    metavar="SETTINGS",
    help="Settings of an approximate method, like features=256,window=64 (see `iosim list`).",
)
@click.option("--input", metavar="FILE", help="Q, K and V: FILE.npz, FILE.safetensors, or Q.npy,K.npy,V.npy.")
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
@JSON
@click.pass_context
def run(ctx: click.Context, /, algo: str, as_json: bool, explain: bool, **options: Any) -> None:
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
    from iosim.registry import user_code

    with user_code(algo), progress_bar() as progress:
        result = api.run(algo, progress=progress, **options)
    explanation = result.explain() if explain else None
    if as_json:
        print_json(result.to_dict() | ({"explanation": explanation.to_dict()} if explanation else {}))
    else:
        from iosim.report import run_report, show

        show(run_report(result, explanation.report() if explanation else None))
    ctx.exit(0 if result.holds else 1)


@click.command("list", short_help="The registered algorithms.")
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
    from iosim.registry import user_code

    with user_code(name or "", where="list"):
        found = api.list_algorithms(name)
    if as_json:
        print_json(found.rows())
        return
    from iosim.report import list_report, names_report, show

    show(names_report(found) if short else list_report(found))


@click.command(short_help="The program of an algorithm as pseudo-code.")
@ALGO
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
    from iosim.registry import user_code

    with user_code(algo):
        found = api.show(algo, schedule=schedule, explain=explain)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo("\n\n".join(found.schedules.values()))
