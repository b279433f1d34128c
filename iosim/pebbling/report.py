"""How a pebbling looks at a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from iosim.display import pairs
from iosim.pebbling.result import Answer
from iosim.pebbling.schedule import listing


def pebble_report(answer: Answer) -> RenderableType:
    """The optimum or the limit, bounds from other sources, and the schedule."""
    found = answer.pebbling
    graph = found.graph
    terms = sum(map(len, graph.terms))
    facts = [
        ("graph", f"{graph.title}: {graph.size} nodes, {terms} terms, {len(graph.outputs)} outputs"),
        ("fast memory", f"M = {answer.capacity:,} words"),
        ("game", answer.game),
        ("searched", f"{found.states:,} states in {found.seconds:.2f} s"),
    ]
    if found.moves is None:
        facts.append(("stopped", f"{found.stopped}"))
        facts.append(("optimum", f"at least {found.lower_bound:,} words, proved so far"))
    else:
        facts.append(("optimum", f"{found.optimum:,} words ({answer.loads:,} loaded, {answer.stores:,} stored)"))
    for bound in answer.bounds:
        other = "" if bound.holds else f"; only for {bound.holds_for}"
        facts.append((f"{bound.name} bound", f"{bound.words:,} ({bound.source}{other})"))
    for name, words in answer.theorems:
        facts.append(("theorem", f"{words:,} ({name})"))
    if answer.algorithm is not None:
        counted = "does not fit" if answer.algorithm_words is None else f"{answer.algorithm_words:,} words"
        facts.append(("algorithm", f"{' '.join(filter(None, (answer.algorithm, answer.schedule)))}: {counted}"))
    parts: list[RenderableType] = [pairs(facts, indent=0)]
    if found.moves is not None:
        parts += [Text(), Text("schedule", "bold"), Text("\n".join(f"  {x}" for x in listing(graph, found.moves)))]
    parts.append(Text())
    for check in answer.checks:
        mark = Text("holds  ", "green") if check.holds else Text("FAILS  ", "bold red")
        parts.append(Text.assemble(mark, f"{check.name}: {check.found}"))
    parts.append(Text(f"verdict: {answer.verdict}", "bold green" if answer.holds else "bold red"))
    return Group(*parts)
