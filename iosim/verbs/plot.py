"""The verb about figures: `iosim plot`."""

from __future__ import annotations

from typing import Any

import click

from iosim.verbs.common import PROBLEM, Verb, flag, flags, progress_bar, user_files


class _Plot(Verb):
    """Its help lists the kinds, which are only looked up for it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from iosim.plots import kinds

        with formatter.section("Kinds"):
            formatter.write_dl([(kind.name, kind.summary) for kind in kinds().values()])
        with formatter.section("Examples"):
            for kind in kinds().values():
                for example in kind.examples:
                    formatter.write_text(f"iosim plot {example}")


@click.command(cls=_Plot, short_help="A figure for a paper, from a file or from settings.")
@click.argument("kind", metavar="KIND")
@click.argument("path", metavar="[FILE]", required=False)
@flag("algo", metavar="NAMES", help="Algorithms, like exact,approx.")
@flags(*PROBLEM)
@flag("M", metavar="SIZES", help="Fast memories: 100KB, 32KB,64KB, 1Kiw:1Miw:*2.")
@click.option("--gpu", metavar="NAMES", help="Machines of a roofline, like a100,h100.")
@flag("tiles", default=None, show_default=False, help="Of a timeline: best, paper, or sizes like B_r=4.")
@click.option("--by", metavar="NAME", help="Error: max, the greatest difference, or frobenius, the norm.")
@click.option("-o", "--output", metavar="FILE", required=True, help="FILE.png, FILE.svg or FILE.pdf.")
@click.pass_context
def plot(ctx: click.Context, /, kind: str, path: str | None, algo: str | None, output: str, **given: Any) -> None:
    """A figure of one KIND, from the rows of a FILE that `sweep` or `tune` wrote (csv, jsonl, parquet), or from settings.

    Figures are as wide as a column of a paper (3.3 inches), in colours that colour-blind readers tell apart.
    """
    from iosim import api

    default = click.core.ParameterSource.DEFAULT
    asked = {name: value for name, value in given.items() if ctx.get_parameter_source(name) != default}
    with user_files(algo), progress_bar() as progress:
        api.plot(kind, path, algo=algo, output=output, progress=progress, **asked)
