"""What the theorems about approximate attention speak of, and what a segment of a schedule can do.

**The machine** is that of `proofs.model`. **Words.** The exponential is a polynomial of degree g with no coefficient zero.
Words of row j of K and V are of *K-type* (k_j^beta, 1 <= |beta| <= g) or *V-type* (k_j^beta v_jl); words of row i of Q are
q_i^beta. A word of the *sum* with label (alpha, l) is a sum of k_j^alpha v_jl over some rows j; l is a column of V or, with
v_jl = 1 and alpha != 0, that of ones: its sum for alpha = 0 is a constant, of which there is no word. A word of *output* i
is a part of the sum over alpha >= beta of c_alpha q_i^(alpha-beta) W[alpha,l], for any beta and l; multiplied by words of
row i it is added to other words of this output, until beta = 0 (*nested* evaluation; direct evaluation has beta = 0 from
the start). With l that of ones it is a word of the *normaliser*: with beta = 0, words of output i are divided by it, and
nothing else comes from it to other columns. Products of words of one row may be formed, stored, loaded and formed again as
one likes. A sum is *used* (multiplied by words of Q into a word of an output) only while it holds at least m rows. Larger
classes of words are those of `iosim.bounds.approx`.

**Contributions.** (j, alpha, l): k_j^alpha v_jl is added to a word of the sum (alpha, l). (i, alpha, l): W[alpha,l], times
words of row i, is added to a word of output i. For each contribution that flows into the final outputs one execution is
*designated*. Which columns *count*, with their sums, is a choice: those of V, so that T = r d_v contributions of each row
do, or that of ones, too, T = r (d_v+1) - 1. Of larger classes of words those of V count.

**Stays.** A sum is in fast memory while a word of it is; each maximal time of that is a *stay*. It is *useful* if it
contains a load, a store or a use of the sum. What is added in a useless stay is lost, so that every designated contribution
to a sum is in a useful one. A useful stay without load and store is *pure*: what is used in it has been built in it.

**Moves** are the loads of words of rows, the beginnings of useful stays of sums, and the stores of words of outputs.

**Segments.** A schedule is cut just before a useful stay begins, as late as no more than M sums are in useful stays of a
segment: those there as it begins and those whose stays begin in it. A segment but the last so has M sums, and at least
one stay begins in it, as sums do not fill fast memory just before one comes. The words of a row are those there as a
segment begins, those loaded in it and, for outputs, *sinks*. A word of an output may be made, kept and used up without a
move: follow a contribution to an output along the words that its value is added to, up to the first one that is stored in
the segment or in fast memory at its end. That is its sink: on the way it is multiplied by words of the row that were
there at the start or loaded, so that one of the products of at most g of these and the sink determine it. A contribution
to the normaliser may come to a division before it comes to a sink; as beta = 0 there, such a product, of at least one word,
determines it alone. So what a segment does is done by its sums, the words of rows that are there at its start or loaded,
and the words of outputs that are stored or there at its end; what rows of K contribute to the column of ones, and what
comes to a division, takes no word of V or of an output.

Words that are there as a segment begins (of rows; of outputs for the segment before) have not moved for it. But they are at
most as many as the places that sums leave then, which is how many stays begin in a segment with M sums. The first segment
begins with nothing, and M stays begin in it: these make up for the words as the last one begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from sympy import Eq, Ge, Le

from iosim.proof import Fact, argue, exhaust, prove
from iosim.proof.theorem import DEFINED, IO
from proofs.model import M, measured, n_k

r, m, C, T = (DEFINED[name] for name in "rmCT")
W = measured("W", "loads of words of rows, beginnings of useful stays of sums, and stores of words of outputs")
P = measured("P", "pure stays of sums")
L = measured("L", "loads of words of K and V")
X = measured("X", "words of rows, and sinks, of all segments")

ADDED = n_k * T  # contributions to sums


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
        "all pure stays together contain m P of the n_k T additions",
        Le(m * P, ADDED),
        beside=[stays_of_a_sum()],
    )


@cache
def pure_stays_again() -> Fact:
    """Sums computed again: a pure stay has most of its rows loaded meanwhile."""
    return argue(
        "in a pure stay words of m rows of K and V are present; at most M rows had one before, so that it contains loads of "
        "words of m - M rows, which all are words of K and V; a load is in at most M pure stays, since the sums of "
        "all of them are in fast memory at once",
        Le((m - M) * P, M * L),
    )


@cache
def words_have_moved() -> Fact:
    """The words of rows of all segments, those that are there as they begin too, are at most the moves."""
    there = measured("Y", "words of rows and of outputs in fast memory as segments begin, over all of them")
    begun = measured("B", "useful stays of sums that begin")
    own = measured("Z", "loads of words of rows and stores of words of outputs")
    words = argue(
        "each is loaded in its segment, or a sink that is stored in it; or a word of a row that is there as it begins; or a "
        "word of an output that is there as the next one begins, as what is in fast memory at the end of all is no sink",
        Le(X, own + there),
    )
    places = argue(
        "as a segment begins, w sums and M - w other words at most are in fast memory, and M - w stays begin in it, unless "
        "it is the last; none is there as the first one begins, so that if there is another one, M stays that begin in the "
        "first make up for the last",
        Le(there, begun),
        beside=[cuts_of_a_schedule(2, 8), cuts_of_a_schedule(3, 7)],
    )
    return prove(
        "words of rows of all segments are at most the moves",
        Ge(W, X),
        using=[words, places, argue("moves are of these kinds", Eq(W, own + begun))],
        refuted=Ge(W, X + 1),
    )


@cache
def cuts_of_a_schedule(M: int, longest: int) -> Fact:
    """Every schedule of so many steps with M words of fast memory, cut where more than M sums would be in a segment."""
    return exhaust(
        f"M = {M}, every schedule of up to {longest} steps that bring and drop sums and other words: a stay begins in each "
        "segment but a schedule without any, none has more than M sums, and other words as segments begin are at most the "
        "stays that begin",
        schedules_of(longest, M),
        lambda schedule: others_have_places(schedule, M, spare=0),
        refuted=lambda schedule: others_have_places(schedule, M, spare=1),
    )


Event = str
History = tuple[Event, ...]


def schedules_of(longest: int, M: int) -> Iterator[History]:
    """Schedules by what each step does to fast memory: which words they are does not matter here."""

    def go(past: History, sums: int, others: int) -> Iterator[History]:
        yield past
        if len(past) == longest:
            return
        if sums + others < M:
            yield from go((*past, "sum"), sums + 1, others)
            yield from go((*past, "other"), sums, others + 1)
        if sums:
            yield from go((*past, "drop sum"), sums - 1, others)
        if others:
            yield from go((*past, "drop other"), sums, others - 1)

    yield from go((), 0, 0)


def others_have_places(schedule: History, M: int, *, spare: int) -> bool:
    """Whether the other words as segments begin, and `spare` more, are at most the stays of sums that begin."""
    sums = others = there = begun = inside = 0
    for step in schedule:
        if step == "sum":
            if inside == M:
                there, inside = there + others, sums
            inside, begun = inside + 1, begun + 1
            if inside > M:
                return False
        sums += (step == "sum") - (step == "drop sum")
        others += (step == "other") - (step == "drop other")
    return there + spare <= begun


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
