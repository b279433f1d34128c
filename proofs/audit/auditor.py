"""The proofs of the lower bounds for exact attention, asserted step by step on a concrete schedule.

A proof of a lower bound on traffic is a chain of inequalities about *every* legal schedule. Here the chain is evaluated
on one: the schedule is replayed, its stays and designated products are found, the segments of each theorem are cut, and
every inequality of every segment is checked under its name, in whole numbers and fractions. A wrong step of a proof, or a
wrong constant, shows up as a named failure on a legal schedule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from iosim.bounds.bound import Bound, Property, Setting
from iosim.bounds.exact import BOUNDS, SEGMENTS_WITH_SUMS
from iosim.bounds.exact import SUMS as WIDE
from iosim.interpret.words.events import WordTrace
from proofs.audit import inequalities as names
from proofs.audit.inequalities import (
    any_fast_memory,
    enough,
    is_large,
    large_fast_memory,
    never_stored,
    wide_sums,
    wide_sums_are_large,
)
from proofs.audit.ledger import Ledger
from proofs.audit.replay import History, replay

ALPHAS = (Fraction(1), Fraction(7, 10), Fraction(7, 20), Fraction(1, 10))  # weights of a creation, for any fast memory
SUMS = (1, 2)  # words that a sum takes, with a root that is whole and one that is not

FACTS = (
    "a counted stay of O stores it",
    "stores of O_il >= its counted stays",
    "loads of O_il >= its counted stays - 1",
)
FREE = "a free stay has all d products"


def audit(
    trace: WordTrace,
    M: int,
    *,
    claims: Iterable[Bound] = (),
    tightened: Mapping[str, Fraction] | None = None,
) -> Ledger:
    """Checks every inequality of the proofs on one schedule.

    Args:
        trace: a schedule, word by word.
        M: words of fast memory that it has.
        claims: more lower bounds to hold against its traffic.
        tightened: factors on the right sides of named inequalities, to try whether they can fail.

    Returns:
        How often each inequality was checked, and how tight it was.

    Raises:
        AuditError: the trace breaks a rule of the model, an inequality does not hold, or one that applies to every
            schedule of its kind was checked 0 times.

    Example:
        >>> from algorithms.flash2 import flash2
        >>> from iosim.interpret.words.attention import word_trace
        >>> sizes = {"n": 3, "n_k": 3, "d": 1, "d_v": 1, "B_r": 2, "B_c": 1, "e": 1, "e_v": 1}
        >>> ledger = audit(word_trace(flash2.program(flash2.schedules[0]), sizes), M=11)
        >>> ledger.entries["a counted stay of O stores it"].checks  # 3 words of the output, one stay each
        3
    """
    history = replay(trace, M)
    ledger = Ledger(tightened=tightened or {})
    facts(history, ledger)
    large_fast_memory(history, M, ledger)
    for alpha in (*ALPHAS, best_alpha(history, M)):
        any_fast_memory(history, M, alpha, ledger)
    if not history.tied:
        for words in SUMS:
            wide_sums(history, words, ledger)
        wide = history.peak_with(4)
        any_fast_memory(history, wide, best_alpha(history, wide, root=2), ledger, root=2)
    if not (history.tied or history.spilled):
        never_stored(history, M, ledger)
    bounds(history, M, claims, ledger)
    ledger.require(expected(history, M))
    return ledger


def expected(history: History, M: int) -> Iterator[str]:
    """The inequalities that speak about every schedule of this kind, so that 0 checks of one are a fault."""
    yield from (*FACTS, *names.LARGE_FAST_MEMORY, *names.ANY_FAST_MEMORY)
    if history.tied:
        yield from names.ANY_FAST_MEMORY_TIED
        yield from names.LARGE_FAST_MEMORY_TIED
    if is_large(M, history):
        yield from names.LARGE_FAST_MEMORY_TRAFFIC
    if enough(history, M, Fraction(1)):
        yield from names.ANY_FAST_MEMORY_TRAFFIC
    if enough(history, M, best_alpha(history, M)):
        yield from names.ANY_FAST_MEMORY_BOUND
    if history.tied:
        return
    yield from names.ANY_FAST_MEMORY_UNTIED
    yield from names.WIDE_SUMS
    if not history.recomputed:
        yield from names.WIDE_SUMS_ONCE
    if any(wide_sums_are_large(history.peak_with(words), history, words) for words in SUMS):
        yield from names.WIDE_SUMS_TRAFFIC
    if not history.spilled:
        yield from names.NEVER_STORED
        if 25 * (len(history.pairs) * history.d) ** 2 >= M**3:
            yield from names.NEVER_STORED_SCORES
        if not history.recomputed:
            yield from names.NEVER_STORED_ONCE
            if 25 * (len(history.pairs) * history.d_v) ** 2 >= 2 * M**3:
                yield from names.NEVER_STORED_VALUES


def best_alpha(history: History, M: int, *, root: int = 1) -> Fraction:
    """The weight of a creation that gives the greatest bound for any fast memory: sqrt(alpha) = min(1, c d, c (d + d_v)/2),
    with c = 2/sqrt(M) or, tied, sqrt(2/M).

    If sums take w words, d_v stands for root d_v, w = root^2.
    """
    c2 = Fraction(4, M) / (2 if history.tied else 1)
    return min(Fraction(1), c2 * history.d**2, c2 * Fraction(history.d + root * history.d_v, 2) ** 2)


def facts(history: History, ledger: Ledger) -> None:
    """What holds of single stays and variables."""
    outputs = history.counted("O")
    for x in outputs:
        ledger.at_most(FACTS[0], 1, len(x.stores), f"{x.variable} from event {x.begin}")
    for variable in {x.variable for x in outputs}:
        counted = sum(x.variable == variable for x in outputs)
        ledger.at_most(FACTS[1], counted, sum(v == variable for _, v in history.stores), str(variable))
        ledger.at_most(FACTS[2], counted - 1, sum(v == variable for _, v in history.loads), str(variable))
    for x in history.counted("S"):
        if x.free:
            ledger.at_most(FREE, history.d, len({l for _, l in x.products}), f"{x.variable} from event {x.begin}")


def bounds(history: History, M: int, claims: Iterable[Bound], ledger: Ledger) -> None:
    """What the theorems say in the end, as `iosim.bounds.exact` states it, against the traffic."""
    properties: set[Property] = set()
    if history.tied:
        properties.add("tied")
    if not history.recomputed:
        properties.add("no recomputation")
    if not history.spilled:
        properties.add("no spilling")
    setting = Setting(
        N=len(history.pairs),
        n_q=len({i for i, _ in history.pairs}),
        n_k=len({j for _, j in history.pairs}),
        d=history.d,
        d_v=history.d_v,
        M=M,
        properties=frozenset(properties),
    )
    for name, words in _stated(setting):
        ledger.at_most(f"bound: {name}", words, history.traffic, str(setting))
    for bound in (*WIDE, *SEGMENTS_WITH_SUMS):
        size = 2 if "sums of 2 words" in bound.requires else 4
        wide = replace(setting, M=history.peak_with(size), properties=setting.properties | bound.requires)
        if bound.applies(wide):
            ledger.at_most(f"bound: {bound.name}", bound.words(wide), history.traffic_with(size), str(wide))
    for bound in claims:
        ledger.at_most(f"claim: {bound.name}", bound.words(setting), history.traffic, str(setting))


@lru_cache(maxsize=4096)
def _stated(setting: Setting) -> tuple[tuple[str, int], ...]:
    return tuple((bound.name, bound.words(setting)) for bound in BOUNDS if bound.applies(setting))
