"""What the theorems about approximate attention speak of, and what a segment of a schedule can do.

**The machine** is that of `proofs.model`. **Words.** The exponential is a polynomial of degree g with no coefficient zero.
Words of row j of K and V are of *K-type* (k_j^beta, 1 <= |beta| <= g) or *V-type* (k_j^beta v_jl); words of row i of Q are
q_i^beta. A word of the *sum* with label (alpha, l) is a sum of k_j^alpha v_jl over some rows j. A word of *output* i is a
part of the sum over alpha >= beta of c_alpha q_i^(alpha-beta) W[alpha,l], for any beta and l; multiplied by words of row i
it is added to other words of this output, until beta = 0 (*nested* evaluation; direct evaluation has beta = 0 from the
start). Products of words of one row may be formed, stored, loaded and formed again as one likes. A sum is *used* (multiplied
by words of Q into a word of an output) only while it holds at least m rows. Larger classes of words are those of
`iosim.bounds.approx`.

**Contributions.** (j, alpha, l): k_j^alpha v_jl is added to a word of the sum (alpha, l). (i, alpha, l): W[alpha,l], times
words of row i, is added to a word of output i. Only the columns l of V count, not the column of ones. For each contribution
that flows into the final outputs one execution is *designated*: (n_q + n_k) r d_v in all.

**Stays.** A sum is in fast memory while a word of it is; each maximal time of that is a *stay*. It is *useful* if it
contains a load, a store or a use of the sum. What is added in a useless stay is lost, so that every designated contribution
to a sum is in a useful one. A useful stay without load and store is *pure*: what is used in it has been built in it.

**Moves** are the loads of words of rows, the beginnings of useful stays of sums, and the stores of words of outputs.

**Segments.** A word of an output may be made, kept and used up without a move. So a segment is not cut by moves alone: it
ends as soon as its moves, the words in fast memory as it began that are not of outputs, and the words of outputs that are
there now make M + F. Follow a contribution to an output along the words that its value is added to, up to the first one that
is stored in the segment or in fast memory at its end, its *sink*: on the way it is multiplied by words of the row that were
there at the start or loaded, so that one of the products of at most g of these and the sink determine it. So all that a
segment does is done by M + F words: those at its start that are not of outputs, those that its moves bring or store, and the
outputs that are there at its end. At each boundary the words that end one segment and those that begin the next one are in
fast memory together, M at most: on average F of the words of a segment are moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from sympy import Eq, Expr, Ge, Le

from iosim.proof import Fact, argue, exhaust, prove
from iosim.proof.theorem import DEFINED, IO
from proofs.model import M, d_v, measured, n_k, n_q

r, m, F, S = (DEFINED[name] for name in "rmFS")
W = measured("W", "loads of words of rows, beginnings of useful stays of sums, and stores of words of outputs")
P = measured("P", "pure stays of sums")
L = measured("L", "loads of words of K and V")
h = measured("h", "segments of M + F words, the last one perhaps shorter")

ALL = (n_q + n_k) * r * d_v  # contributions
ADDED = n_k * r * d_v  # those to sums


@cache
def rows_of_a_sum() -> Fact:
    """A sum that is used holds a row."""
    return argue("a sum that is used holds a row at least", Ge(m, 1))


@cache
def moves_are_paid() -> Fact:
    """Every useful stay that is not pure contains a load or a store of its sum, and different stays different ones."""
    return argue(
        "a useful stay of a sum contains a load or a store of the sum, unless it is pure; loads of words of rows are loads, "
        "stores of outputs are stores",
        Le(W, IO + P),
        beside=[stays_of_a_sum()],
    )


@cache
def pure_stays_once() -> Fact:
    """One-shot: what is built in different pure stays is different."""
    return argue(
        "a pure stay contains the additions of the m rows that its sum holds when it is used; none is done twice, so that "
        "all pure stays together contain m P of the n_k r d_v additions",
        Le(m * P, ADDED),
        beside=[stays_of_a_sum()],
    )


@cache
def pure_stays_again() -> Fact:
    """Sums computed again: a pure stay has most of its rows loaded meanwhile."""
    return argue(
        "in a pure stay words of m rows of V-type are present; at most M rows had one before, so that it contains the loads "
        "of such words of m - M rows, which all are words of K and V; a load is in at most M pure stays, since the sums of "
        "all of them are in fast memory at once",
        Le((m - M) * P, M * L),
    )


@cache
def segments_are_full(F: Expr = F, h: Expr = h) -> Fact:
    """All h segments of M + F words but the last have F moves on average."""
    of = f"segments of M + {F} words but the last"
    begin = measured(f"A_{F}", f"words that are not of outputs in fast memory as they begin, over all {of}")
    moves = measured(f"W_{F}", f"moves of all {of}")
    end = measured(f"B_{F}", f"words of outputs in fast memory as they end, over all {of}")
    words = argue(
        "a step makes one move or adds one word of an output at most, and what is there as a segment begins is at most M: "
        "its words can't miss M + F",
        Eq(begin + moves + end, (M + F) * (h - 1)),
        beside=[cuts_of_a_schedule()],
    )
    together = argue(
        "nothing is in fast memory before the first; the words that end a segment and those that begin the next are at most "
        "M together; as are those that end the last but one",
        Le(begin + end, M * (h - 1)),
        beside=[cuts_of_a_schedule()],
    )
    return prove(
        "all segments but the last have F moves on average",
        Ge(W, F * (h - 1)),
        using=[words, together, argue("these are some of all moves", Le(moves, W))],
        refuted=Ge(W, F * h),
    )


@cache
def cuts_of_a_schedule() -> Fact:
    """Every schedule of up to seven steps with two words of fast memory, cut into segments of three or four words."""
    return exhaust(
        "M = 2, F = 1 or 2, every schedule of up to 7 steps that load, form and drop words, and make, store and drop words "
        "of outputs: segments of M + F words have F moves on average, all but the last",
        ((schedule, F) for F in (1, 2) for schedule in schedules_of(7, 2)),
        lambda case: F_moves_each(*case, 2, more=0),
        refuted=lambda case: F_moves_each(*case, 2, more=1),
    )


Event = str
History = tuple[Event, ...]


def schedules_of(longest: int, M: int) -> Iterator[History]:
    """Schedules by what each step does to fast memory: which words they are does not matter here."""

    def go(past: History, others: int, outputs: int) -> Iterator[History]:
        yield past
        if len(past) == longest:
            return
        if others + outputs < M:
            yield from go((*past, "load"), others + 1, outputs)
            yield from go((*past, "form"), others + 1, outputs)
            yield from go((*past, "make"), others, outputs + 1)
        if others:
            yield from go((*past, "drop"), others - 1, outputs)
        if outputs:
            yield from go((*past, "store"), others, outputs)
            yield from go((*past, "drop output"), others, outputs - 1)

    yield from go((), 0, 0)


def F_moves_each(schedule: History, F: int, M: int, *, more: int) -> bool:
    """Whether all segments but the last together have so many moves more than F each."""
    others = outputs = begin = moves = full = inside = 0
    for step in schedule:
        others += (step in ("load", "form")) - (step == "drop")
        outputs += (step == "make") - (step == "drop output")
        moves += step in ("load", "store")
        if begin + moves + outputs == M + F:
            full, inside = full + 1, inside + moves
            begin, moves = others, 0
    return not full or inside >= F * full + more


# The stays of one sum in all small histories


@cache
def stays_of_a_sum() -> Fact:
    """Histories of one sum over two rows, used when it holds one or both: every one of up to seven events."""
    return exhaust(
        "stays of one sum over 2 rows, in every history of up to 7 events in which each row is added once: useful stays are "
        "at most the moves and the pure stays, and a pure stay contains m additions",
        ((history, least) for least in (1, 2) for history in histories_of_a_sum(7, least)),
        lambda case: _accounts_hold(*case),
        refuted=lambda case: _useful(case[0])[0] <= sum(e in ("load", "store") for e in case[0]),
    )


def histories_of_a_sum(longest: int, least: int) -> Iterator[History]:
    """Histories of one sum with one place in either memory, used at least once: "0" and "1" add a row, each once."""

    def go(past: History, fast: frozenset[str] | None, slow: frozenset[str] | None) -> Iterator[History]:
        if past and past[-1] == "use":
            yield past
        if len(past) == longest:
            return
        for row in "01":
            if row not in past:
                yield from go((*past, row), (fast or frozenset()) | {row}, slow)
        if slow is not None:
            yield from go((*past, "load"), slow | (fast or frozenset()), slow)
        if fast is not None:
            yield from go((*past, "store"), fast, fast)
            yield from go((*past, "discard"), None, slow)
            if len(fast) >= least:
                yield from go((*past, "use"), fast, slow)

    yield from go((), None, None)


def _useful(history: History) -> tuple[int, list[int]]:
    """Useful stays, and the additions in each pure one."""
    stays: list[list[Event]] = [[]]
    for event in history:
        if event == "discard":
            stays.append([])
        else:
            stays[-1].append(event)
    useful = [stay for stay in stays if {"load", "store", "use"} & set(stay)]
    pure = [stay for stay in useful if not {"load", "store"} & set(stay)]
    return len(useful), [sum(event in "01" for event in stay) for stay in pure]


def _accounts_hold(history: History, least: int) -> bool:
    useful, additions = _useful(history)
    moves = sum(event in ("load", "store") for event in history)
    return useful <= moves + len(additions) and all(found >= least for found in additions)
