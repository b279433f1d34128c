"""`iosim pebble`: the optimum of tiny computation graphs."""

from __future__ import annotations

from typing import Any

import click

from iosim.defaults import DEFAULT_LIMIT_GB
from iosim.verbs.common import JSON, REAL, Verb, flag, print_result, progress_bar, user_files


@click.command(cls=Verb, short_help="The fewest words that any schedule of a tiny graph moves.")
@flag("algo", help="The graph of what this algorithm computes, whatever its schedule.")
@click.option(
    "--graph",
    metavar="GRAPH",
    help="Another one: fft:8, grid:4x5, matmul:2x3x2 (m x k x n), FILE.hdag, or a file with an edge `a b` a line.",
)
@click.option("--n", "--n-q", "n", metavar="COUNT", help="Queries, with --algo.")
@flag("n_k")
@flag("d", help="Head dimension.  [default: 1]")
@flag("d_v")
@flag("mask", default=None, show_default=False, help="As for `iosim run`.  [default: full]")
@flag("tied")
@flag("degree", help="Of the polynomial, for approximate algorithms.  [default: 1]")
@flag("M", required=True, help="Fast memory: 5w (words), 20B.")
@flag("dtype", help="For sizes in bytes.")
@click.option(
    "--game",
    metavar="GAME",
    default="partial",
    show_default=True,
    help="partial: sums grow term by term, in place (PRBP). classical: each node in one step, of all its predecessors.",
)
@click.option("--one-shot", "--no-recompute", "one_shot", is_flag=True, help="No term is done twice.")
@click.option("--overwrite", is_flag=True, help="A result may replace an operand; by default it needs a free word.")
@click.option("--limit-s", type=REAL, metavar="S", help="Give up after so many seconds.  [default: none]")
@click.option(
    "--limit-GB",
    "limit_GB",
    type=REAL,
    metavar="GB",
    default=DEFAULT_LIMIT_GB,
    show_default=True,
    help="Memory for states.",
)
@click.option("--export", metavar="FILE.hdag", help="Write the graph, in the format of OneStopParallel.")
@JSON
@click.pass_context
def pebble(
    ctx: click.Context, /, algo: str | None, graph: str | None, export: str | None, as_json: bool, **asked: Any
) -> None:
    """The optimum of the red-blue pebble game on a tiny graph, by exhaustive search, with a schedule that attains it.

    Up to about 40 nodes. Exit code 1 if a limit ends the search: then the lower bound that it has proved is printed.

    \b
    Examples:
      iosim pebble --algo exact --n-q 2 --n-k 2 --d 1 --d-v 1 --M 5w
      iosim pebble --algo approx --n 4 --d 1 --degree 1 --one-shot --overwrite --M 3w
      iosim pebble --graph fft:8 --game classical --one-shot --M 4w
      iosim pebble --graph my.hdag --M 6w --limit-s 60 --json
    """
    from iosim import api
    from iosim.table_files import check_folder

    if export is not None:
        check_folder(export, where="--export")
    with user_files(algo), progress_bar() as progress:
        answer = api.pebble(algo, graph=graph, progress=progress, **asked)
        if export is not None:
            from iosim.pebbling.ask import asked_graph
            from iosim.pebbling.files import write_hdag

            shape = {name: asked[name] for name in ("n", "n_k", "d", "d_v", "mask", "tied", "degree")}
            write_hdag(asked_graph(algo, graph, shape)[0], export)
    print_result(answer, as_json=as_json)
    ctx.exit(0 if answer.holds else 1)
