"""Which words of attention move, and which products are formed? A program as a trace over the variables of its theory.

Each statement of a program's trace becomes what it does to words of variables (`iosim.interpret.words.events`). Nothing
is read off the names of tiles: the machine keeps for every word what it is a word of. So a new schedule needs nothing
new; a new operation needs a row in `MEANINGS`, and until it has one it is an error. Row statistics and constants are
words of no variable: their moves are in the trace, for the count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import TypeAlias, assert_never

import numpy as np

from iosim.errors import MeaningError
from iosim.interpret.steps import Step, steps
from iosim.interpret.words.events import Place, Variable, WordTrace
from iosim.interpret.words.machine import Blank, Content, Machine, Word, Words, row_and_column
from iosim.program import Alloc, Compute, Free, Load, Program, Store


def word_trace(
    program: Program,
    sizes: Mapping[str, int],
    *,
    inputs: Mapping[str, str] | None = None,
    output: str = "O",
    transposed: frozenset[str] = frozenset(),
) -> WordTrace:
    """The trace of an attention program, word by word.

    Args:
        program: what to run.
        sizes: values of all its sizes.
        inputs: the variable (Q, K or V) of each input array; each array is its namesake if not given.
        output: the array that is the attention output.
        transposed: input and output arrays whose last two axes are (column, row).

    Raises:
        MeaningError: a statement has no meaning for words of attention: an unknown operation, a product of words that
            attention does not multiply, a probability of an incomplete score.
        CountError: a size has no value.

    Example:
        >>> from algorithms.flash2 import flash2
        >>> from iosim.interpret.words.events import moves_by_array
        >>> sizes = {"n": 2, "n_k": 2, "d": 1, "d_v": 1, "B_r": 2, "B_c": 1, "e": 1, "e_v": 1}
        >>> trace = word_trace(flash2.program(flash2.schedules[0]), sizes)
        >>> moves_by_array(trace.events)
        {('load', 'Q'): 2, ('load', 'K'): 2, ('load', 'V'): 2, ('store', 'O'): 2}
        >>> sorted(trace.pairs)
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    names = {"Q": "Q", "K": "K", "V": "V"} if inputs is None else inputs
    machine = Machine(program, sizes, names, transposed)
    for step in steps(program, sizes):
        _run(machine, step)
    shapes = machine.shapes
    if len(shapes.get(output, ())) != 2:
        raise MeaningError(
            f"{program.name}: none of its arrays {', '.join(shapes)} is the output {output}, with 2 axes"
        )
    outputs = {
        place: Variable("O", *row_and_column(at, output in transposed))
        for at in product(*map(range, shapes[output]))
        for place in [Place(output, at)]
    }
    ends = [(variable.row, machine.slow.get(place)) for place, variable in outputs.items()]
    return WordTrace(
        events=tuple(machine.events),
        d=machine.d,
        d_v=shapes[output][-2 if output in transposed else -1],
        outputs=outputs,
        pairs=frozenset((row, key) for row, end in ends if isinstance(end, Word) for key in end.terms),
    )


def _run(machine: Machine, step: Step) -> None:
    machine.step = step
    match step.statement:
        case Load(region=region, tile=tile):
            places = [Place(region.array.name, at) for at in step.places(region.axes)]
            words: Words = np.empty(step.shape(tile.shape), dtype=object)
            for at, place in zip(np.ndindex(words.shape), places, strict=True):
                words[at] = machine.load(place)
            machine.tiles[tile.name] = words
        case Store(view=view, region=region):
            words = machine.tiles[view.tile.name][step.indices(view.axes)]
            for content, at in zip(words.flat, step.places(region.axes), strict=True):
                machine.store(content, Place(region.array.name, at))
        case Alloc(tile=tile, fill=fill):
            blank = Blank.UNSET if fill is None else Blank.ZERO if fill == 0 else Blank.OTHER
            words = np.empty(step.shape(tile.shape), dtype=object)
            words.fill(blank)
            machine.tiles[tile.name] = words
        case Free(tile=tile):
            machine.overwrite(machine.tiles.pop(tile.name), Blank.UNSET)
        case Compute(op=op, operands=operands, params=params):
            if op.name not in MEANINGS:
                raise machine.error(f"no meaning for words of attention; known: {', '.join(MEANINGS)}")
            views = [machine.tiles[view.tile.name][step.indices(view.axes)] for view in operands]
            MEANINGS[op.name](machine, *views, **{key: step.value(value) for key, value in params})
        case _:
            assert_never(step.statement)


# The operations: what each does to the words of its operands


def _add_abt(machine: Machine, C: Words, A: Words, B: Words) -> None:
    _add_ab(machine, C, A, B.T)


def _add_ab(machine: Machine, C: Words, A: Words, B: Words) -> None:
    for i, j in np.ndindex(C.shape):
        word: Content = C[i, j : j + 1].item()
        for left, right in zip(A[i], B[:, j], strict=True):
            word = machine.multiply(left, right, word)
        C[i, j] = word


def _rescaled(machine: Machine, x: Words, *_: Words, **__: object) -> None:
    machine.rescale(x)


def _online_softmax(machine: Machine, s: Words, m: Words, l: Words, o: Words) -> None:
    machine.exponentiate(s)
    machine.rescale(o)
    machine.overwrite(m, Blank.OTHER)
    machine.overwrite(l, Blank.OTHER)


def _attend(machine: Machine, o: Words, m: Words, l: Words, q: Words, k: Words, v: Words, *, of: object) -> None:
    """Row by row, one score at a time: it is built, becomes a probability, meets its row of values and is gone."""
    score: Words = np.empty((1, 1), dtype=object)
    for i, j in product(range(len(q)), range(len(k))):
        score[0, 0] = Blank.ZERO
        _add_abt(machine, score, q[i : i + 1], k[j : j + 1])
        _online_softmax(machine, score, m[i : i + 1], l[i : i + 1], o[i : i + 1])
        _add_ab(machine, o[i : i + 1], score, v[j : j + 1])
        machine.overwrite(score, Blank.UNSET)


def _row_statistics(machine: Machine, m: Words, l: Words, s: Words) -> None:
    for content in s.flat:
        if content is not Blank.MASKED:
            machine.require_score(content)
    machine.overwrite(m, Blank.OTHER)
    machine.overwrite(l, Blank.OTHER)


def _softmax(machine: Machine, s: Words, m: Words, l: Words) -> None:
    machine.exponentiate(s)


def _rescaling_softmax(machine: Machine, s: Words, m: Words, l: Words, a: Words) -> None:
    machine.exponentiate(s)
    for statistic in (m, l, a):
        machine.overwrite(statistic, Blank.OTHER)


def _hide_scores(machine: Machine, s: Words, *others: Words, **params: object) -> None:
    """The scores that the operation's own definition makes -inf lose their value."""
    if others:
        raise machine.error(
            "which scores it hides depends on other words of fast memory, whose values are not known here"
        )
    assert machine.step is not None
    assert isinstance(machine.step.statement, Compute)
    values = np.zeros(s.shape)
    machine.step.statement.op.numpy(values, **params)
    for at in zip(*np.nonzero(np.isneginf(values)), strict=True):
        machine.discard(s[at])
        s[at] = Blank.MASKED


Meaning: TypeAlias = Callable[..., None]

MEANINGS: Mapping[str, Meaning] = {
    "add_abt": _add_abt,
    "add_ab": _add_ab,
    "divide_by_sqrt": _rescaled,
    "online_softmax": _online_softmax,
    "attend": _attend,
    "row_statistics": _row_statistics,
    "softmax": _softmax,
    "rescaling_softmax": _rescaling_softmax,
    "hide_scores": _hide_scores,
    "scale_rows": _rescaled,
    "divide_rows": _rescaled,
    "divide_by_column": _rescaled,
}
