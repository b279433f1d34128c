"""Segments: how the proofs cut a schedule into pieces of about equally many moves, and what a piece touches.

A segment is a range of events, cut just before a move. Its start state is what is in fast memory there; where moves are
weighted, the move that crosses the threshold belongs to the start state of the segment that it begins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import TypeAlias

from iosim.interpret.words.events import Kind, Variable
from proofs.audit.replay import History, Pair, Triple

Segments: TypeAlias = list[tuple[int, int]]  # first event, and the one after the last


def cut_equally(history: History, M: int, parts: int, *, words: int = 1) -> tuple[Segments, Fraction, int]:
    """The segments for a large fast memory, at most `parts`; the words X that each may have, and the weight W of all moves.

    Moves are all loads, and beginnings by creation of counted stays of O; those of O weigh `words`. A segment ends when
    the weight so far first exceeds X, or each time that it first exceeds X - M more, and the next one begins with that move;
    parts X = W + (parts - 1) M.
    """
    created = [(x.begin, words) for x in history.counted("O") if not x.by_load]
    loaded = [(time, words if variable.kind == "O" else 1) for time, variable in history.loads]
    W = sum(weight for _, weight in loaded + created)
    X = Fraction(W + (parts - 1) * M, parts)
    cuts, weight, threshold = [0], 0, X
    for time, more in sorted(loaded + created):
        weight += more
        if weight > threshold:
            threshold += X - M
            cuts.append(time)
    return list(pairwise([*cuts, history.length])), X, W


def touched_by_moves(
    history: History, start: int, stop: int, *, with_first: bool = False
) -> tuple[int, int, int, int, set[Pair]]:
    """How many variables of Q, K, values, O a segment touches, and the pairs whose words are carried into it.

    Touched: resident at its start, or moved in it. Tied values are among the K. Where the first move belongs to the start of
    the segment, what it takes into fast memory is resident there.
    """
    found: dict[Kind, set[Variable]] = {"Q": set(), "K": set(), "V": set(), "O": set(), "S": set()}
    for x in history.stays:
        if x.begin >= stop:
            break
        if x.end < start:
            continue
        resident = x.begin < start or (with_first and x.begin == start)
        moved = start <= x.begin and (x.by_load or (x.variable.kind == "O" and x.counted))
        if resident or moved or any(start <= time < stop for time in x.loads):
            found[x.variable.kind].add(x.variable)
    carried = {(x.row, x.column) for x in found["S"]}
    values = {x for x in found["K"] if x.column < history.d_v} if history.tied else found["V"]
    return len(found["Q"]), len(found["K"]), len(values), len(found["O"]), carried


def cut_weights(
    history: History, weights: Mapping[Kind, Fraction], *, loaded_score: int, first: int, later: int
) -> tuple[Segments, Fraction, Counter[Pair]]:
    """The segments for any fast memory and where no score is stored, the total weight, and how often free stays of each pair
    were charged.

    A move is the beginning of a counted stay. Segment k ends when the weight so far first exceeds first + (k-1) later.

    Args:
        history: the schedule.
        weights: of a beginning, by kind; kinds that are left out weigh nothing. A score that begins by creation is
            charged only if its pair has not been touched before in the segment.
        loaded_score: the weight of a score that begins by a load.
        first: weight of the first segment.
        later: weight of every other.
    """
    cuts = [0]
    # in units of 1/scale, so that all weights are whole numbers
    scale = lcm(*(x.denominator for x in weights.values()))
    whole = {kind: int(x * scale) for kind, x in weights.items()}
    weight, threshold = 0, first * scale
    touched: set[Variable] = set()  # pairs with a counted stay that meets the current segment
    charged: Counter[Pair] = Counter()
    scores = history.counted("S")
    for x in history.counted(*weights):
        if x.variable.kind != "S":
            weight += whole[x.variable.kind]
        elif x.by_load:
            weight += loaded_score * scale
        elif x.variable not in touched:
            weight += whole["S"]
            if x.free:
                charged[x.variable.row, x.variable.column] += 1
        if x.variable.kind == "S":
            touched.add(x.variable)
        if weight > threshold:
            threshold += later * scale
            cuts.append(x.begin)
            touched = {y.variable for y in scores if y.begin <= x.begin < y.end}
    return list(pairwise([*cuts, history.length])), Fraction(weight, scale), charged


@dataclass(slots=True)
class Contents:
    """What meets one segment: variables of Q, K, V, O and pairs with a counted stay; distinct products Q_il K_jl in
    counted stays of (i, j); designated products."""

    start: int
    stop: int
    variables: dict[Kind, set[Variable]]
    scores: set[tuple[Variable, int]]
    designated: set[Triple]

    @property
    def touched(self) -> tuple[int, int, int, int, int]:
        """The numbers a, b, c, e, s of the proofs."""
        found = self.variables
        return len(found["Q"]), len(found["K"]), len(found["V"]), len(found["O"]), len(found["S"])

    @property
    def products(self) -> tuple[int, int]:
        """The numbers T1 and T2 of the proofs."""
        return len(self.scores), len(self.designated)

    def __str__(self) -> str:
        return f"segment of events {self.start} to {self.stop}"


def contents(history: History, segments: Segments) -> list[Contents]:
    """What meets each of the segments, which follow one another."""
    starts = [start for start, _ in segments]
    found = [
        Contents(start, stop, {"Q": set(), "K": set(), "V": set(), "O": set(), "S": set()}, set(), set())
        for start, stop in segments
    ]

    def at(time: int) -> int:
        return bisect_right(starts, time) - 1

    for x in history.stays:
        if not x.counted:
            continue
        first, last = at(x.begin), at(x.end)
        for segment in found[first : last + 1]:
            segment.variables[x.variable.kind].add(x.variable)
        if x.variable.kind == "S":
            for time, l in x.products:
                found[first if first == last else at(time)].scores.add((x.variable, l))
    for triple, time in history.designated.items():
        found[at(time)].designated.add(triple)
    return found
