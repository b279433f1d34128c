"""What is its computation graph? Variables of attention and the products between them, from a program at tiny sizes.

The graph does not depend on the schedule: a product that is formed twice, in pieces or in another order is the same term.
So all programs that compute the same have the same graph, which is that of `iosim.pebbling.families.attention`. Row
statistics are no variables; see `iosim.interpret.words.attention` for what an operation means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from iosim.errors import MeaningError
from iosim.interpret.words.attention import word_trace
from iosim.interpret.words.events import (
    Aside,
    Discarded,
    Exponentiated,
    Loaded,
    Merged,
    Multiplied,
    Stored,
    Variable,
)
from iosim.pebbling.graph import Cdag, of_names
from iosim.program import Program


def cdag(program: Program, sizes: Mapping[str, int]) -> Cdag:
    """The graph of an attention program: inputs, scores and outputs, each product a term.

    Args:
        program: what computes it.
        sizes: values of all its sizes.

    Raises:
        MeaningError: a statement has no meaning for words of attention.
        CountError: a size has no value.

    Example:
        >>> from algorithms.flash2 import flash2
        >>> sizes = {"n": 2, "n_k": 2, "d": 1, "d_v": 1, "B_r": 2, "B_c": 1, "e": 1, "e_v": 1}
        >>> graph = cdag(flash2.program(flash2.schedules[0]), sizes)
        >>> graph.size, sum(map(len, graph.terms))  # Q, K, V, O: 2 each; 4 scores; a product a score, two an output
        (12, 8)
    """
    trace = word_trace(program, sizes)
    variable: dict[int, Variable] = {}
    terms: dict[Variable, dict[frozenset[Variable], None]] = {}
    for event in trace.events:
        match event:
            case Loaded(word=word, variable=loaded):
                variable[word] = loaded
                terms.setdefault(loaded, {})
            case Multiplied(left=left, right=right, into=into):
                a, b = variable[left], variable[right]
                if {a.kind, b.kind} == {"Q", "K"}:
                    query, key = (a, b) if a.kind == "Q" else (b, a)
                    made = Variable("S", query.row, key.row)
                else:
                    score, value = (a, b) if a.kind == "S" else (b, a)
                    made = Variable("O", score.row, value.column)
                variable[into] = made
                terms.setdefault(made, {})[frozenset((a, b))] = None
            case Stored() | Discarded() | Merged() | Exponentiated() | Aside():
                pass
            case _:
                assert_never(event)
    missing = [made for made in trace.outputs.values() if made not in terms]
    if missing:
        raise MeaningError(f"{program.name}: nothing is added to {_name(missing[0])}")
    named = {_name(v): [[_name(x) for x in sorted(term)] for term in made_of] for v, made_of in terms.items()}
    return of_names(named, outputs=[_name(v) for v in trace.outputs.values()], title=program.name)


def _name(variable: Variable) -> str:
    return f"{variable.kind}[{variable.row},{variable.column}]"
