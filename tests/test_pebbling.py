"""The search for optimal pebblings: published numbers, the plain rules on small random graphs, what a schedule is worth."""

from __future__ import annotations

import math
import random
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count, peak_words
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.pebbling import families, rules, search
from iosim.pebbling.at_least import at_least, moved_at_least, terms_that_must
from iosim.pebbling.families import attention, fft, grid, matmul, polynomial_attention
from iosim.pebbling.game import Game, unstored
from iosim.pebbling.graph import Cdag, from_edges, of_names
from iosim.pebbling.moves import MoveKind
from iosim.pebbling.rules import compiled, nodes_made_once
from iosim.pebbling.schedule import identifiers, program, values
from iosim.pebbling.search import Limits, Pebbling, best_below, empty_steps, good_schedule, optimal_pebbling
from iosim.pebbling.steps import Steps, steps_from, take
from iosim.pebbling.symmetry import exchanges, is_symmetry
from tests.pebbles import least_words


@st.composite
def graphs(draw: st.DrawFn) -> Cdag:
    """A few inputs, a few nodes of up to three terms with up to two operands; outputs are those that nothing needs, and
    some others; perhaps for the classical game."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    inputs, others = rng.randint(1, 3), rng.randint(1, 3)
    terms: list[tuple[frozenset[int], ...]] = [()] * inputs
    for node in range(inputs, inputs + others):
        sizes = [min(node, rng.choice((1, 1, 2))) for _ in range(rng.randint(1, 3))]
        terms.append(tuple(frozenset(rng.sample(range(node), size)) for size in sizes))
    used = {x for made_of in terms for term in made_of for x in term}
    outputs = {x for x in range(inputs, len(terms)) if x not in used or rng.random() < 0.2}
    graph = Cdag(tuple(f"x{i}" for i in range(len(terms))), tuple(terms), frozenset(outputs)).trimmed()
    return graph.classical() if rng.random() < 0.4 else graph


def _check_schedule(found: Pebbling) -> None:
    """The schedule is legal, moves as many words as the search says, and computes every output."""
    assert found.moves is not None
    graph = found.graph
    written = program(graph, found.moves)
    assert violations(written, {}, found.capacity) == []
    assert evaluate_int(count(written, {}).io_words, {}) == found.optimum
    rng = np.random.default_rng(0)
    given_values = {x: float(rng.uniform(0.5, 2)) for x in graph.inputs}
    expected, names = values(graph, given_values), identifiers(graph.names)
    arrays = {array.name for array in written.arrays}
    computed = execute(written, {}, {names[x]: np.array([given_values[x]]) for x in graph.inputs if names[x] in arrays})
    for node in graph.outputs:
        if graph.terms[node]:
            assert computed[names[node]][0] == pytest.approx(expected[node])


@pytest.mark.parametrize("one_shot", [True, False])
@pytest.mark.parametrize(
    ("n_q", "optima"),
    # Exact optima of attention with 2 keys, d = 1, for M = 3, 4, ... (theory of exact attention, section 7). The last of
    # each row is the trivial bound, n_q + 2 + 2 loads and n_q stores.
    [(2, [16, 10, 9, 8]), (3, [24, 14, 12, 11, 10])],
)
def test_optima_of_exact_attention(n_q: int, optima: list[int], one_shot: bool) -> None:
    """Attention of 2 and 3 queries over 2 keys has the optima that were found before, with recomputation and without."""
    for capacity, optimum in enumerate(optima, start=3):
        found = optimal_pebbling(attention(n_q, 2, 1, 1), capacity, one_shot=one_shot)
        assert found.optimum == optimum
        _check_schedule(found)


@pytest.mark.parametrize(
    ("capacity", "optima"),
    # A result may replace an operand: q_i W_1 takes the place of q_i. With M = rd + d + 1 = 4 words (r = 2) each word
    # moves once, 4n; with one word less 5n - 1.
    [(3, [14, 19, 24, 29]), (4, [12, 16, 20, 24])],
)
def test_optima_of_polynomial_attention(capacity: int, optima: list[int]) -> None:
    """Polynomial attention of degree 1 without normaliser, n = 3 to 6, each product formed once."""
    for n, optimum in enumerate(optima, start=3):
        found = optimal_pebbling(polynomial_attention(n, n, 1, 1, 1), capacity, one_shot=True, overwrite=True)
        assert found.optimum == optimum
        _check_schedule(found)


@pytest.mark.parametrize(("d", "degree", "threshold"), [(1, 1, 4), (1, 2, 5), (1, 3, 6), (2, 1, 9)])
def test_resident_threshold(d: int, degree: int, threshold: int) -> None:
    """Without normaliser every word moves just once from M = r d + d + 1 on, r = C(d + g, g) features, and not below."""
    n = 3 if d == 1 else 2
    once = optimal_pebbling(polynomial_attention(4, 4, d, d, degree), threshold, one_shot=True, limit_s=60)
    assert once.optimum == once.graph.compulsory_words == 16 * d
    if d == 1:
        less = optimal_pebbling(polynomial_attention(n, n, d, d, degree), threshold - 1, one_shot=True)
        assert less.optimum is not None
        assert less.optimum > less.graph.compulsory_words


NO_LIMITS = Limits(math.inf, math.inf, 0.001, lambda _bound, _states: None)


@settings(max_examples=25, deadline=None)
@given(graphs(), st.booleans(), st.booleans(), st.integers(0, 2))
def test_optimum_is_that_of_the_plain_rules(graph: Cdag, one_shot: bool, overwrite: bool, more: int) -> None:
    """Steps, normal forms, symmetries and the lower bound lose nothing: the optimum is that of a search over single moves.

    Also where no good schedule is known before, and among those that move one word more; and none is found below.
    """
    capacity = graph.least_capacity(overwrite=overwrite) + more
    least = least_words(graph, capacity, one_shot=one_shot, overwrite=overwrite)
    found = optimal_pebbling(graph, capacity, one_shot=one_shot, overwrite=overwrite)
    assert found.optimum == least
    _check_schedule(found)
    game = compiled(graph, capacity, one_shot=one_shot, overwrite=overwrite)
    for most in (1000, least + 1):
        below = best_below(game, NO_LIMITS, most)
        assert below.end is not None
        assert below.bound == least
    assert best_below(game, NO_LIMITS, least).end is None
    good = good_schedule(compiled(graph, capacity, one_shot=True, overwrite=overwrite), NO_LIMITS)
    assert good.bound >= least


@pytest.mark.parametrize(
    ("graph", "capacity"),
    [(attention(1, 2, 1, 1), 3), (attention(2, 1, 1, 1), 3), (attention(2, 1, 1, 1), 4), (matmul(1, 2, 2), 3)],
)
def test_optimum_of_dense_graphs_is_that_of_the_plain_rules(graph: Cdag, capacity: int) -> None:
    """Where most terms need words that the one before does not leave, and that counts in the lower bound."""
    found = optimal_pebbling(graph, capacity, one_shot=True)
    assert found.optimum == least_words(graph, capacity, one_shot=True, overwrite=False)


def test_what_is_moved_for_each_term_counts() -> None:
    """3 x 3 matrices at M = 3: a term leaves A_il, B_lj and C_ij; the next one has one of these at most. The first term of
    each C needs one more word, the 18 others two: at least 9 + 36 - 1 loads and 9 stores; 55 is the optimum. With that
    the search is for a good schedule only; without, it was stopped after 100,000 states.

    Mutant: if one word more were charged for each term, no schedule of 55 words would be found.
    """
    graph = matmul(3, 3, 3)
    found = optimal_pebbling(graph, 3, one_shot=True)
    assert found.optimum == 55 > 9 + 36 - 1 + 9
    assert found.states < 20_000
    _check_schedule(found)
    game = compiled(graph, 3, one_shot=True, overwrite=False)
    assert best_below(game, NO_LIMITS, 56).bound == 55
    assert best_below(game._replace(after=game.after + game.scale), NO_LIMITS, 56).end is None


@pytest.mark.parametrize(("n", "words"), [(3, 36), (4, 64)])
def test_what_is_moved_for_each_term_is_all_that_is_moved(n: int, words: int) -> None:
    """Attention at M = 3: S_ij is made after one of its row or column, and stored: n^2 + 1 loads and n^2 stores. Then O_ij
    needs S_ij, v_j and O_il, one of which the term before leaves: 2 loads, and no more for the first one of each row; the
    last one of a row is stored, as are the others but when the next one is of the same row. In all 4 n^2 words: the
    lower bound of the first state, so that nothing is left to be searched."""
    graph = attention(n, n, 1, 1)
    game = compiled(graph, 3, one_shot=True, overwrite=False)
    nothing = np.uint64(0)
    assert at_least(game, nothing, nothing, nothing) == words == optimal_pebbling(graph, 3).optimum


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 6), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_shares_are_the_dual_of_an_assignment(costs: list[list[int]]) -> None:
    """No row and column add up to more than the cost where they meet, and all to the least cost of an assignment."""
    rows, columns = rules.shares(np.array(costs))
    size = range(len(costs))
    assert all(rows[i] + columns[j] <= costs[i][j] for i in size for j in size)
    assert rows.sum() + columns.sum() == min(
        sum(costs[i][j] for i, j in enumerate(order)) for order in permutations(size)
    )


RECOMPUTED = of_names({"a": [], "u": [["a"]], "v": [["u"]], "w": [["a", "v"]], "x": [["u", "w"]]})


@pytest.mark.parametrize(("one_shot", "optimum"), [(True, 4), (False, 2)])
def test_recomputation_can_pay(one_shot: bool, optimum: int) -> None:
    """A word that is cheap to make again is not spilled.

    u = f(a), v = f(u), w = f(a, v), x = f(u, w), M = 3: a, u and v fill fast memory, so u has to go for w. Without
    recomputation it is stored and loaded, besides the load of a and the store of x; with it, it is made of a again.
    """
    found = optimal_pebbling(RECOMPUTED, 3, one_shot=one_shot)
    assert found.optimum == optimum == least_words(RECOMPUTED, 3, one_shot=one_shot, overwrite=False)
    _check_schedule(found)


def test_an_output_that_is_used_up_costs_nothing_more() -> None:
    """Its store is counted once: not again as what the next step evicts.

    2 loads and 3 stores: n2 is an output and an operand; once n3 is made of it, it is stored and makes room.
    """
    graph = of_names(
        {"a": [], "b": [], "n2": [["a", "b"]], "n3": [["a", "n2"]], "n4": [["a", "n3"]], "n5": [["n3", "a"]]},
        outputs=["n2", "n4", "n5"],
    )
    assert optimal_pebbling(graph, 3, one_shot=True).optimum == graph.compulsory_words == 5


@settings(max_examples=25, deadline=None)
@given(graphs(), st.booleans(), st.integers(0, 1), st.integers(0, 4), st.integers(0, 2**32))
def test_a_step_adds_what_is_lost(graph: Cdag, overwrite: bool, more: int, budget: int, seed: int) -> None:
    """Without recomputation: no step is left out if what is paid and has to be moved grows by no more than the budget.

    Along a random schedule. With one word less in the budget those that grow by just so much are left out; but some that
    replace an operand are kept, which is not wrong.
    """
    capacity = graph.least_capacity(overwrite=overwrite) + more
    game = compiled(graph, capacity, one_shot=True, overwrite=overwrite)
    rng, log = random.Random(seed), np.empty((0, 2), np.int64)
    state = tuple(map(np.uint64, (0, 0, 0)))

    def moved(state: tuple[np.uint64, ...]) -> int:
        _, X, B = state
        return int(moved_at_least(game, *state, terms_that_must(game, X, B), unstored(game, B)))

    while True:
        steps = empty_steps(2**12)
        grows = {}
        for number in range(steps_from(game, *state, steps, 1000)):
            *after, paid = take(game, *state, steps, number, log)
            after = tuple(map(np.uint64, after))
            grows[_step(steps, number)] = (paid + moved(after) - moved(state), after)
        kept = {_step(steps, number) for number in range(steps_from(game, *state, steps, budget))}
        assert kept >= {step for step, (more, _) in grows.items() if more <= budget}
        exact = {step for step, (more, _) in grows.items() if more == budget}
        less = {_step(steps, number) for number in range(steps_from(game, *state, steps, budget - 1))}
        assert overwrite or not exact & less
        if not grows:
            return
        _, state = rng.choice(list(grows.values()))


def _step(steps: Steps, number: int) -> tuple[int, ...]:
    return tuple(int(x[number]) for x in (steps.term, steps.how, steps.evicted, steps.spilled, steps.replaced))


def test_nodes_that_are_made_once() -> None:
    """Scores of one value column, partial results that are used once: with recomputation they are searched as without.

    Scores of two columns are used twice; in a butterfly all but the outputs are.
    """
    for graph in (
        attention(4, 4, 1, 1),
        matmul(3, 3, 3),
        of_names({"a": [], "b": [["a"]], "c": [["b"]]}, outputs=["b", "c"]),
    ):
        assert nodes_made_once(graph) == frozenset(range(graph.size))
        assert not compiled(graph, 4, one_shot=False, overwrite=False).recompute
    graph = attention(2, 2, 1, 2)
    scores = {x for x in range(graph.size) if graph.names[x].startswith("S")}
    assert nodes_made_once(graph) == frozenset(range(graph.size)) - scores
    butterfly = fft(4).classical()
    assert nodes_made_once(butterfly) == frozenset(butterfly.inputs) | butterfly.outputs


@pytest.mark.parametrize(
    ("mutant", "words"), [("all nodes are made once", 4), ("nothing is lost unless it was stored", 3)]
)
def test_a_search_that_makes_too_few_words_again_is_caught(
    mutant: str, words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutants: what decides which nodes are made once, and which are not discarded, is seen in the optimum of 2 words.

    Were all nodes made once, u would be stored and loaded, 2 words more. Were a word never seen as used, u would be stored.
    """

    def mutated(*args: Any, **options: Any) -> Game:
        game = compiled(*args, **options)
        return game if mutant == "all nodes are made once" else game._replace(below=np.zeros_like(game.below))

    monkeypatch.setattr(search, "compiled", mutated)
    if mutant == "all nodes are made once":
        monkeypatch.setattr(rules, "nodes_made_once", lambda graph: frozenset(range(graph.size)))
    assert optimal_pebbling(RECOMPUTED, 3, one_shot=False).optimum == words > 2


def test_no_good_schedule_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimum is the same if the first, quick search keeps one state of each layer, or none and finds no schedule."""
    graph = attention(2, 3, 1, 1)
    optimum = optimal_pebbling(graph, 4).optimum
    for width in (1, 0):
        monkeypatch.setattr(search, "_WIDTH", width)
        found = optimal_pebbling(graph, 4)
        assert found.optimum == optimum
        _check_schedule(found)


def test_limits_leave_a_proved_bound() -> None:
    """A search that is stopped has no optimum, but a lower bound that is between the trivial one and the optimum."""
    graph = attention(4, 4, 1, 1)
    stopped = optimal_pebbling(graph, 4, one_shot=True, limit_s=1e-9)
    assert stopped.optimum is None
    assert stopped.moves is None
    assert stopped.stopped == "--limit-s 1e-09: time"
    assert graph.compulsory_words <= stopped.lower_bound <= 34  # the optimum, found in a longer run
    small = optimal_pebbling(graph, 4, one_shot=True, limit_GB=0.0001)
    assert small.stopped is not None
    assert small.stopped.startswith("--limit-GB 0.0001: memory for ")
    assert graph.compulsory_words <= small.lower_bound <= 34


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graph", "capacity", "optimum"),
    [
        *(
            (attention(4, 4, 1, 1), capacity, optimum)
            for capacity, optimum in zip((3, 4, 5, 6), (64, 34, 31, 25), strict=True)
        ),
        (attention(5, 4, 1, 1), 3, 80),
        (attention(5, 4, 1, 1), 7, 27),
        (matmul(3, 3, 3), 5, 39),
        (grid(6, 6).classical(), 4, 17),
    ],
)
def test_larger_graphs(graph: Cdag, capacity: int, optimum: int) -> None:
    """Graphs of 27 to 38 nodes are searched in less than a minute of one core."""
    found = optimal_pebbling(graph, capacity, one_shot=graph.title.startswith("grid"))
    assert found.optimum == optimum
    _check_schedule(found)


def test_more_fast_memory_never_costs() -> None:
    """The optimum does not grow with M, recomputation or overwriting."""
    for graph in (fft(4).classical(), matmul(2, 2, 2), grid(3, 3).classical()):
        for once, overwrite in ((True, False), (False, False), (True, True), (False, True)):
            optima = [
                optimal_pebbling(graph, capacity, one_shot=once, overwrite=overwrite).optimum for capacity in (3, 4, 5)
            ]
            assert optima == sorted(optima, reverse=True)
        strict, free = (optimal_pebbling(graph, 3, overwrite=overwrite).optimum for overwrite in (False, True))
        once = optimal_pebbling(graph, 3, one_shot=True).optimum
        assert free <= strict <= once  # type: ignore[operator]


def test_partial_computations_cost_no_more_than_the_classical_game() -> None:
    """A schedule of the classical game can do the terms of a node one after the other."""
    graph = fft(4)
    for capacity in (3, 4):
        partial, classical = (optimal_pebbling(g, capacity, one_shot=True).optimum for g in (graph, graph.classical()))
        assert partial <= classical  # type: ignore[operator]


@pytest.mark.parametrize(
    ("graph", "least"),
    [
        (attention(2, 2, 1, 1), 2 * 2),  # two rows
        (matmul(2, 2, 2), 3),  # rows of A, columns of B, the inner dimension
        (fft(4).classical(), 4),
        (from_edges([("a", "b"), ("b", "c")]), 0),
    ],
)
def test_symmetries(graph: Cdag, least: int) -> None:
    """Every exchange that is found is a symmetry; of rows and columns all are found."""
    found = exchanges(graph)
    assert all(is_symmetry(graph, moved) for moved in found)
    assert len(found) >= least // 2


def test_no_symmetry_is_no_symmetry() -> None:
    """A chain has none, and exchanging its ends is refused."""
    graph = from_edges([("a", "b"), ("b", "c")])
    assert not is_symmetry(graph, {0: 2, 2: 0})


@pytest.mark.parametrize("kind", [MoveKind.LOAD, MoveKind.STORE])
def test_schedule_without_a_move_is_refused(kind: MoveKind) -> None:
    """Mutants: an optimal schedule with one load or store left out breaks a rule, wherever it was."""
    found = optimal_pebbling(attention(2, 2, 1, 1), 4)
    assert found.moves is not None
    assert violations(program(found.graph, found.moves), {}, 4) == []
    refused = {Rule.UNWRITTEN, Rule.MISSING, Rule.UNFINISHED}
    for at in [i for i, move in enumerate(found.moves) if move.kind == kind]:
        moves = (*found.moves[:at], *found.moves[at + 1 :])
        if kind == MoveKind.LOAD:
            with pytest.raises(KeyError):
                program(found.graph, moves)
        else:
            assert {v.rule for v in violations(program(found.graph, moves), {}, 4)} & refused


def test_a_step_with_more_moves_than_the_log_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule is the same, whatever room the log of a step begins with."""
    found = optimal_pebbling(attention(2, 2, 1, 1), 4).moves
    monkeypatch.setattr(search, "_LOG", 2)
    assert optimal_pebbling(attention(2, 2, 1, 1), 4).moves == found


def test_schedule_fills_fast_memory() -> None:
    """The peak of an optimal schedule that needs more than compulsory moves is M; with a word less it is refused."""
    found = optimal_pebbling(attention(2, 2, 1, 1), 4)
    assert found.moves is not None
    written = program(found.graph, found.moves)
    assert evaluate_int(peak_words(written, {}), {}) == 4
    assert [violation.rule for violation in violations(written, {}, 3)] == [Rule.CAPACITY] * len(
        violations(written, {}, 3)
    )
    assert violations(written, {}, 3)


@pytest.mark.parametrize(
    ("graph", "capacity", "overwrite", "message"),
    [
        (fft(4).classical(), 2, False, "M = 2: FFT of 4 points needs at least 3 words of fast memory"),
        (fft(4).classical(), 1, True, "M = 1: FFT of 4 points needs at least 2 words of fast memory"),
        (attention(2, 2, 1, 1), 2, False, "needs at least 3 words"),
        (attention(8, 8, 1, 1), 8, False, "96 nodes and 128 terms; allowed: up to 64 nodes and 64 terms"),
    ],
)
def test_refused(graph: Cdag, capacity: int, overwrite: bool, message: str) -> None:
    """M below the in-degree plus 1 (or the in-degree, where results replace operands), and graphs that are too large."""
    with pytest.raises(UsageError, match=message):
        optimal_pebbling(graph, capacity, overwrite=overwrite)


def test_cycles_are_refused() -> None:
    """The error names a cycle."""
    with pytest.raises(UsageError, match=r"a cycle, b -> c -> d -> b; allowed: graphs without cycles"):
        from_edges([("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")])
    with pytest.raises(UsageError, match="an edge from a to itself"):
        from_edges([("a", "a")])


@pytest.mark.parametrize("text", ["fft:6", "fft:", "grid:2", "grid:0x3", "matmul:2x2", "matmul:ax2x2", "grid:2x65"])
def test_family_names_are_checked(text: str) -> None:
    """Sizes that a family does not take are refused."""
    with pytest.raises(UsageError, match="allowed"):
        families.family(text)


def test_family_sizes() -> None:
    """FFT: s + 1 levels of 2^s; matmul m x k x n: mk + kn inputs and mn sums of k products; grid: one node a cell."""
    sizes = {"fft:8": (32, 48), "matmul:2x3x4": (6 + 12 + 8, 24), "grid:3x4": (12, 3 * 3 + 2 * 4)}
    for text, (nodes, terms) in sizes.items():
        graph = families.family(text)
        assert graph is not None
        assert (graph.size, sum(map(len, graph.terms))) == (nodes, terms)
    assert families.family("some/file.hdag") is None
