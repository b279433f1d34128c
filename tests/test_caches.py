"""Caches do what the plain machine does, and what others' simulators do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.caches import queue
from iosim.caches.curves import curve
from iosim.caches.model import Cache, CacheCount
from iosim.caches.simulation import simulate, simulation
from iosim.errors import UsageError
from iosim.interpret.cache import cache_counts, cache_curve
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.registry import find
from iosim.traces.ask import looked_up
from iosim.traces.expand import READ, WRITE, Expansion, Piece
from iosim.traces.form import Place
from tests import plain_traces
from tests.registered import EVERY_OWN, fitted, plans, problems
from tests.small_programs import MATMUL

ACCESSES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2)), max_size=70)
LINES = st.sampled_from([1, 1, 2, 3])


def places(line: int) -> tuple[Place, ...]:
    """Addresses 0 to 5 and 6 to 11; six is a multiple of every line."""
    assert 6 % line == 0
    return (Place("A", 0, 6, False), Place("B", 6, 6, False))


def pieces(accesses: list[tuple[int, int]], cut: int = 0) -> list[Piece]:
    """The accesses in two pieces."""
    parts = [accesses[:cut], accesses[cut:]]
    return [Piece(np.array([a for a, _ in p], np.int64), np.array([k for _, k in p], np.uint8)) for p in parts]


def one(accesses: list[tuple[int, int]], cache: Cache, cut: int = 0) -> CacheCount:
    """What one cache makes of the accesses."""
    return simulate([cache], places(cache.line), pieces(accesses, cut))[0]


@settings(max_examples=150)
@given(
    ACCESSES,
    LINES,
    st.sampled_from(["lru", "fifo", "opt"]),
    st.sampled_from([(1, None), (3, None), (5, None), (4, 1), (6, 3), (4, 2), (6, 2)]),
    st.integers(0, 70),
)
def test_a_cache_is_the_plain_machine(
    accesses: list[tuple[int, int]], line: int, policy: str, shape: tuple[int, int | None], cut: int
) -> None:
    """Loads, stores and the split of LRU, FIFO and OPT, with sets or without, are those of lists that are searched."""
    lines, ways = shape
    found = one(accesses, Cache(words=lines * line, line=line, ways=ways, policy=policy), cut).total
    loads, stores, first, _ = plain_traces.cached(accesses, lines, policy, line=line, ways=ways)
    full = plain_traces.cached(accesses, lines, policy, line=line)[0]
    assert (found.loads, found.stores) == (loads, stores)
    assert (found.compulsory, found.capacity, found.conflict) == (first, full - first, loads - full)


@settings(max_examples=100)
@given(ACCESSES, LINES, st.sampled_from(["lru", "opt"]), st.integers(0, 70))
def test_a_curve_is_every_cache(accesses: list[tuple[int, int]], line: int, policy: str, cut: int) -> None:
    """At each capacity the curve of one pass is the simulation of a cache of that capacity, loads and stores."""
    found = curve(policy, places(line), pieces(accesses, cut), line=line)
    for lines in range(1, 14):
        total = one(accesses, Cache(words=lines * line, line=line, policy=policy)).total
        assert found.at(lines * line) == (total.loads, total.stores)


@pytest.mark.parametrize("addresses", [900, 40_000, 300_000])
def test_a_long_curve_is_every_cache(addresses: int) -> None:
    """Where times start anew, which they do after 65,536 or twice as many as there are addresses, and the counts of bits
    in words, in 16 words and so on, up to at most 16 numbers, are on 3 or 4 levels."""
    rng = np.random.default_rng(addresses)
    length = 2 * addresses + 150_000
    found = np.where(rng.random(length) < 0.4, rng.integers(0, addresses, length), rng.zipf(1.3, length) % addresses)
    long = [Piece(found[:70_001], rng.integers(0, 3, 70_001).astype(np.uint8))]
    long.append(Piece(found[70_001:], rng.integers(0, 3, length - 70_001).astype(np.uint8)))
    where = (Place("A", 0, addresses, False),)
    whole = curve("lru", where, long)
    for words in (1, 2, 63, 700, addresses // 3, addresses):
        total = simulate([Cache(words=words)], where, long)[0].total
        assert whole.at(words) == (total.loads, total.stores)


def test_opt_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few accesses, and what comes out is the same however few."""
    rng = np.random.default_rng(0)
    long = [Piece(rng.integers(0, 40, 1000), rng.integers(0, 3, 1000).astype(np.uint8))]
    where = (Place("A", 0, 40, False),)
    whole = curve("opt", where, long)
    monkeypatch.setattr("iosim.caches.curves._AT_ONCE", 7)
    fractions: list[float] = []
    found = curve("opt", where, long, progress=lambda _what, fraction: fractions.append(fraction))
    assert fractions == [7 * part / 1000 for part in range(143)]  # 1000 = 142 * 7 + 6
    assert np.array_equal(found.loads, whole.loads)
    assert np.array_equal(found.stores, whole.stores)


@settings(max_examples=80)
@given(
    ACCESSES,
    st.sampled_from(["lru", "fifo", "opt"]),
    st.sampled_from(["lru", "fifo", "opt"]),
    st.sampled_from([(2, 1, None), (4, 1, 2), (3, 1, None), (4, 2, None), (4, 2, 1)]),
    st.integers(0, 70),
)
def test_the_second_cache_sees_what_the_first_moves(
    accesses: list[tuple[int, int]], first: str, second: str, shape: tuple[int, int, int | None], cut: int
) -> None:
    """Loads of the first are reads of the second, stores are writes, in order; with longer lines and with sets, the flush
    included."""
    words, line, ways = shape
    levels = [
        Cache(words=words, line=line, ways=ways, policy=first),
        Cache(words=6, line=2, policy=second),
        Cache(words=6, policy="fifo"),
    ]
    found = simulate(levels, places(2), pieces(accesses, cut))
    loads, stores, _, out = plain_traces.cached(accesses, words // line, first, line=line, ways=ways)
    assert (found[0].total.loads, found[0].total.stores) == (loads, stores)
    assert found[1].accesses == loads + stores == len(out)
    assert (found[1].total.loads, found[1].total.stores) == plain_traces.cached(out, 3, second, line=2)[:2]


@settings(max_examples=40)
@given(ACCESSES, st.sampled_from([2, 4, 8]))
def test_plru_of_two_ways_is_lru(accesses: list[tuple[int, int]], lines: int) -> None:
    """One bit that points away from the line used last is all that LRU needs for two ways."""
    found = [one(accesses, Cache(words=lines, ways=2, policy=policy)).arrays for policy in ("plru", "lru")]
    plru, lru = ([(array.name, array.loads, array.stores) for array in arrays] for arrays in found)
    assert plru == lru


def test_plru_by_hand() -> None:
    """Four ways: after 0 1 2 3 0 the tree points at the other half, to the way not used last there: 2 goes, LRU's is 1."""
    accesses = [(a, READ) for a in (0, 1, 2, 3, 0, 4, 1, 2)]
    assert one(accesses, Cache(words=4, policy="plru")).total.loads == 6  # 0 1 2 3, 4 for 2, then 1 is there, 2 is not
    assert one(accesses, Cache(words=4, policy="lru")).total.loads == 7  # 4 goes for 1, 1 for 2, 2 for 3


def test_random_is_seeded() -> None:
    """The same seed, the same evictions; another seed, others; never fewer loads than OPT."""
    rng = np.random.default_rng(5)
    accesses = [(int(a), READ) for a in rng.integers(0, 12, 400)]
    found = [one(accesses, Cache(words=5, policy="random", seed=seed)).total.loads for seed in (1, 1, 2, 3, 4)]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    assert min(found) >= one(accesses, Cache(words=5, policy="opt")).total.loads


def test_a_word_that_is_written_whole_is_not_loaded() -> None:
    """With lines of one word a write that misses loads nothing; with longer lines the rest of the line is needed."""
    accesses = [(0, WRITE), (7, READ)]
    by_word = one(accesses, Cache(words=2))
    assert [(a.name, a.loads, a.stores) for a in by_word.arrays] == [("A", 0, 1), ("B", 1, 0)]
    assert by_word.total.misses == 2
    by_line = one(accesses, Cache(words=4, line=2))
    assert [(a.name, a.loads, a.stores) for a in by_line.arrays] == [("A", 2, 2), ("B", 2, 0)]


def test_opt_does_not_keep_what_nobody_reads() -> None:
    """A value that is written over before it is read again takes no room and is not stored: 0 stays for its read."""
    accesses = [(0, READ), (1, WRITE), (2, READ), (1, WRITE), (0, READ)]
    found = one(accesses, Cache(words=2, policy="opt")).total
    assert (found.loads, found.stores) == (2, 1)  # 0 and 2 once; the last value of 1 is flushed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"words": 4, "policy": "mru"}, "--policy mru: allowed: lru, fifo, opt, plru, random"),
        ({"words": 3, "line": 4}, "--line: 4 words, the cache holds 3"),
        ({"words": 12, "ways": 5}, "--ways 5: allowed: divisors of the 12 lines"),
        ({"words": 12, "ways": 3, "policy": "plru"}, "--ways 3: a tree of bits is for powers of 2"),
    ],
)
def test_caches_that_can_not_be(options: dict[str, object], said: str) -> None:
    """Each error says what was found and what is allowed."""
    with pytest.raises(UsageError, match=said):
        Cache(**options)  # type: ignore[arg-type]


def test_a_table_that_the_system_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was needed is said, in place of the error of the system: 2^28 lines of 4 bytes are 1 GiB."""

    def refuse(*_args: object, **_options: object) -> object:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(queue.mmap, "mmap", refuse)
    with pytest.raises(UsageError, match="268,435,456 lines needs 1 GiB of addresses: Cannot allocate memory"):
        queue.empty_table(2**28)


def test_what_opt_moves_and_when_by_hand() -> None:
    """Two lines: 0 and 1 are written; 2 comes in the place of 1, which is read later than 0; 1 comes again in the place of
    0, which is not read again, though it was used after 2."""
    accesses = [(0, WRITE), (1, WRITE), (2, READ), (0, READ), (1, READ), (2, READ)]
    level = simulation(Cache(words=2, policy="opt"), places(1), tell=True)
    (piece,) = pieces(accesses)[1:]
    assert len(level.feed(piece).addresses) == 0  # what goes first is not known before all is known
    moved = level.finish()
    assert list(zip(*moved, strict=True)) == [(1, WRITE), (2, READ), (0, WRITE), (1, READ)]


# Sandwich


def _uses(plan: Plan, problem: Problem) -> Expansion:
    return Expansion(plan.program, plan.sizes, data=looked_up(plan, problem))


@EVERY_OWN
@settings(max_examples=3)
@given(data=st.data())
def test_explicit_loads_against_opt_and_lru(name: str, data: st.DataObject) -> None:
    """With as many words as the schedule has at its peak, OPT loads no more than the schedule; LRU with twice the words
    loads at most twice as much as OPT, and as much more as OPT's capacity.

    The schedule is one policy among all: its words are in fast memory whenever they are used, and what it loads again it
    has given up. Sleator and Tarjan 1985: LRU with k words misses at most k/(k - M + 1) times as often as OPT with M,
    below 2 for k = 2M, on misses of both kinds; loads alone obey it where every miss is a load, so writes are reads here.
    """
    problem = fitted(name, data.draw(problems(n=8, d=3, degree=2)))
    for plan in plans(name, problem, data.draw(st.integers(0, 60))):
        expansion = _uses(plan, problem)
        piece = expansion.whole()
        (opt,) = simulate([Cache(words=plan.peak_words, policy="opt")], expansion.places, [piece])
        assert opt.total.loads <= plan.count().loads_words
        reads = [Piece(piece.addresses, np.zeros_like(piece.kinds))]
        for words in (plan.peak_words, max(1, plan.peak_words // 3)):
            (least,) = simulate([Cache(words=words, policy="opt")], expansion.places, reads)
            (twice,) = simulate([Cache(words=2 * words)], expansion.places, reads)
            assert twice.total.loads <= 2 * least.total.loads


def test_opt_below_the_peak_may_load_more() -> None:
    """The bound is no triviality: one word less than half of the peak, and OPT loads more than the schedule."""
    problem = Problem(n=24, d=4)
    plan = find("flash2").best(problem, 60)
    piece = _uses(plan, problem).whole()
    (opt,) = simulate([Cache(words=plan.peak_words // 2, policy="opt")], _uses(plan, problem).places, [piece])
    assert opt.total.loads > plan.count().loads_words


# Others' simulators


@pytest.mark.parametrize("policy", ["lru", "fifo", "opt"])
@pytest.mark.parametrize("trace", ["attention", "matmul"])
def test_misses_are_those_of_libcachesim(policy: str, trace: str, tmp_path: Path) -> None:
    """On traces of attention and of matrix products, at several capacities, word for word the misses of libCacheSim.

    It knows no writes: every use is a read here.
    """
    libcachesim = pytest.importorskip("libcachesim")
    from iosim.traces.files import write_trace

    if trace == "attention":
        plan = find("flash2").best(Problem(n=24, d=4), 100)
        expansion = Expansion(plan.program, plan.sizes)
    else:
        expansion = Expansion(MATMUL, {"n": 13, "B": 4})
    addresses, kinds = expansion.whole()
    path = str(tmp_path / "trace.oracleGeneral")
    write_trace(path, [(addresses, kinds)], expansion.places, 2)
    kind = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "opt": libcachesim.Belady}[policy]
    for words in (2, 3, 17, 60, 128):
        reader = libcachesim.TraceReader(trace=path, trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE)
        ratio, _ = kind(cache_size=words).process_trace(reader)
        reads = [Piece(addresses, np.zeros_like(kinds))]
        (ours,) = simulate([Cache(words=words, policy=policy)], expansion.places, reads)
        assert ours.total.misses == round(ratio * len(addresses))


def test_whole_curves_of_a_program() -> None:
    """The curve of a program is its caches at each capacity, temporaries in the cache or not."""
    plan = find("flash2").best(Problem(n=20, d=3), 60)
    for policy in ("lru", "opt"):
        for temporaries in (True, False):
            found = cache_curve(plan.program, plan.sizes, policy, temporaries=temporaries)
            for words in (1, 7, 30, 60, 500):
                cache = Cache(words=words, policy=policy)
                (count,) = cache_counts(plan.program, plan.sizes, [cache], temporaries=temporaries)
                assert found.at(words) == (count.total.loads, count.total.stores)
