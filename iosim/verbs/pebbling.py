"""`iosim pebble`: the optimum of tiny computation graphs."""

from __future__ import annotations

import math
from typing import Any

import click

from iosim.verbs.common import JSON, print_result, progress_bar


@click.command(short_help="The fewest words that any schedule of a tiny graph moves.")
@click.option("--algo", metavar="NAME", help="The graph of what this algorithm computes, whatever its schedule.")
@click.option(
    "--graph",
    "source",
    metavar="GRAPH",
    help="Another one: fft:8, grid:4x5, matmul:2x3x2 (m x k x n), FILE.hdag, or a file with an edge `a b` a line.",
)
@click.option("--n", "--n-q", "n", metavar="COUNT", help="Queries, with --algo.")
@click.option("--n-k", metavar="COUNT", help="Keys.  [default: as many as queries]")
@click.option("--d", metavar="COUNT", help="Head dimension.  [default: 1]")
@click.option("--d-v", metavar="COUNT", help="Columns of V and O.  [default: as many as d]")
@click.option("--mask", metavar="MASK", help="As for `iosim run`.  [default: full]")
@click.option("--tied", is_flag=True, help="V is the first columns of K.")
@click.option("--degree", type=int, metavar="G", help="Of the polynomial, for approximate algorithms.  [default: 1]")
@click.option("--M", "M", metavar="SIZE", required=True, help="Fast memory: 5w (words), 20B.")
@click.option("--dtype", "dtype_name", metavar="NAME", default="fp16", show_default=True, help="For sizes in bytes.")
@click.option(
    "--game",
    metavar="GAME",
    default="partial",
    show_default=True,
    help="partial: sums grow term by term, in place (PRBP). classical: each node in one step, of all its predecessors.",
)
@click.option("--one-shot", "--no-recompute", "one_shot", is_flag=True, help="No term is done twice.")
@click.option("--overwrite", is_flag=True, help="A result may replace an operand; by default it needs a free word.")
@click.option("--limit-s", type=float, metavar="S", help="Give up after so many seconds.  [default: none]")
@click.option(
    "--limit-GB", "limit_GB", type=float, metavar="GB", default=4.0, show_default=True, help="Memory for states."
)
@click.option("--export", metavar="FILE.hdag", help="Write the graph, in the format of OneStopParallel.")
@JSON
@click.pass_context
def pebble(
    ctx: click.Context,
    /,
    algo: str | None,
    source: str | None,
    M: str,
    dtype_name: str,
    limit_s: float | None,
    export: str | None,
    as_json: bool,
    game: str,
    one_shot: bool,
    overwrite: bool,
    limit_GB: float,
    **shape: Any,
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
    from iosim.pebbling.ask import asked_graph
    from iosim.pebbling.ask import pebble as find
    from iosim.registry import user_code
    from iosim.units import dtype, parse_size

    word = dtype(dtype_name, where="--dtype")
    capacity = parse_size(M, word, where="--M")
    with user_code(algo or ""):
        graph, algorithm, problem = asked_graph(algo, source, shape)
        if export is not None:
            from iosim.graph_files import write_hdag

            write_hdag(graph, export)
        with progress_bar() as progress:
            answer = find(
                graph,
                capacity,
                game=game,
                one_shot=one_shot,
                overwrite=overwrite,
                limit_s=math.inf if limit_s is None else limit_s,
                limit_GB=limit_GB,
                progress=lambda bound, states: progress(f"at least {bound} words, {states:,} states", 0.0),
                algorithm=algorithm,
                problem=problem,
            )
    print_result(answer, as_json=as_json)
    ctx.exit(0 if answer.holds else 1)
