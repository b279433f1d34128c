"""What the theorems about approximate attention speak of, and what a segment of a schedule can do.

**The machine** is that of `proofs.model`. **Words.** The exponential is a polynomial of degree g with no coefficient zero.
Words of row j of K and V are of *K-type* (k_j^beta, 1 <= |beta| <= g) or *V-type* (k_j^beta v_jl); words of row i of Q are
q_i^beta. A word of the *sum* with label (alpha, l) is a sum of k_j^alpha v_jl over some rows j; a word of the *output* with
label (i, l) is a part of sum over alpha of c_alpha q_i^alpha W[alpha,l]. Products of words of one row may be formed, stored,
loaded and formed again as one likes. A sum is *used* (multiplied by a word of Q into a word of an output) only while it
holds
at least m rows. Larger classes of words are those of `iosim.bounds.approx`.

**Contributions.** (j, alpha, l): k_j^alpha v_jl is added to a word of the sum (alpha, l). (i, alpha, l): q_i^alpha
W[alpha,l]
is added to a word of the output (i, l). Only the columns l of V count, not the column of ones. For each contribution that
flows into the final outputs one execution is *designated*: (n_q + n_k) r d_v in all.

**Stays.** A label is in fast memory while a word of it is; each maximal time of that is a *stay*. It is *useful* if it
contains a load or a store of the label or, for sums, a use. What is added in a useless stay is lost, so that every
designated
contribution is in useful stays. A useful stay of a sum without load and store is *pure*: what it uses, it has built.

**Moves** are, in the theorems with direct evaluation, the loads of words of rows and the beginnings of useful stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from sympy import Ge, Le

from iosim.proof import Fact, argue, exhaust
from iosim.theorem import DEFINED, IO
from proofs.model import M, d_v, measured, n_k, n_q

r, m, F, S = (DEFINED[name] for name in "rmFS")
W = measured("W", "loads of words of rows, and beginnings of useful stays")
P = measured("P", "pure stays of sums")
L = measured("L", "loads of words of K and V")
h = measured("h", "segments of F moves, the last one perhaps shorter")

ALL = (n_q + n_k) * r * d_v  # contributions
ADDED = n_k * r * d_v  # those to sums


@cache
def rows_of_a_sum() -> Fact:
    """A sum that is used holds a row."""
    return argue("a sum that is used holds a row at least", Ge(m, 1))


@cache
def moves_are_paid() -> Fact:
    """Every useful stay that is not pure contains a load or a store of its label, and different stays different ones."""
    return argue(
        "a useful stay contains a load or a store of its label, unless it is pure; stays of outputs are never pure, since "
        "what is not stored is lost; loads of words of rows are loads",
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
def segments_are_full() -> Fact:
    """All segments but the last have F moves."""
    return argue("cut the schedule after every F moves; all h segments but the last one are full", Ge(W, F * (h - 1)))


# The stays of one sum in all small histories

Event = str
History = tuple[Event, ...]


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
