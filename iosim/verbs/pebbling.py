"""`iosim pebble`: the optimum of tiny computation graphs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from iosim.errors import UsageError
from iosim.verbs.common import JSON, print_json, progress_bar

if TYPE_CHECKING:
    from iosim.algorithm import Algorithm, Problem
    from iosim.pebbling.graph import Cdag


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
    from iosim.pebbling.ask import pebble as find
    from iosim.registry import user_code
    from iosim.units import dtype, parse_size

    word = dtype(dtype_name, where="--dtype")
    capacity = parse_size(M, word, where="--M")
    with user_code(algo or ""):
        graph, algorithm, problem = _graph(algo, source, shape)
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
    if as_json:
        print_json(answer.to_dict())
    else:
        from iosim.pebbling.report import pebble_report
        from iosim.report import show

        show(pebble_report(answer))
    ctx.exit(0 if answer.holds else 1)


def _graph(
    algo: str | None, source: str | None, shape: dict[str, Any]
) -> tuple[Cdag, Algorithm | None, Problem | None]:
    """The graph that is asked for; with the algorithm and its problem, if it is that of one."""
    if (algo is None) == (source is None):
        raise UsageError("give the graph by --algo or by --graph; allowed: one of them")
    if source is not None:
        for name, value in shape.items():
            if value:
                raise UsageError(f"--{name.replace('_', '-')} with --graph {source}; allowed: with --algo")
        from iosim.graph_files import read_graph
        from iosim.pebbling.families import family

        return family(source) or read_graph(source), None, None
    from dataclasses import replace

    from iosim.bounds.approx import MAX_DEGREE
    from iosim.masks import parse_mask
    from iosim.pebbling.ask import task_graph
    from iosim.registry import find
    from iosim.request import Shape, make_problem
    from iosim.units import parse_count

    assert algo is not None
    algorithm = find(algo)
    mask, tied, degree = shape.pop("mask"), shape.pop("tied"), shape.pop("degree")
    counts = {
        name: None if given is None else parse_count(given, where=f"--{name.replace('_', '-')}")
        for name, given in shape.items()
    }
    counts["d"] = counts["d"] or 1
    if degree is not None and not algorithm.approximate:
        raise UsageError(f"--degree {degree}: {algorithm.name} is exact; --degree is for approximate algorithms")
    if degree is not None and not 0 <= degree <= MAX_DEGREE:
        raise UsageError(f"--degree {degree}: allowed: whole numbers from 0 to {MAX_DEGREE}")
    problem = make_problem(Shape(**counts, mask=parse_mask(mask or "full", where="--mask"), tied=tied), None)
    if algorithm.approximate:
        problem = replace(problem, degree=1 if degree is None else degree)
    limit = algorithm.unsupported(problem)
    if limit is not None:
        raise UsageError(f"{algorithm.name} at {problem}: this algorithm is for {limit}")
    return task_graph(algorithm, problem), algorithm, problem
