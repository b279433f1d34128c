"""A program as a word-level trace: the words that it counts, the products that attention is made of, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.flash2 import flash2
from iosim import Builder, Size, build, count, peak_words
from iosim.errors import MeaningError
from iosim.interpret.words.attention import MEANINGS, word_trace
from iosim.interpret.words.events import (
    Aside,
    Discarded,
    Exponentiated,
    Loaded,
    Multiplied,
    Place,
    Stored,
    Variable,
    moves_by_array,
)
from iosim.ops import OPS, Op
from iosim.program import Program
from proofs.audit.replay import replay
from tests.attention import (
    SCHEDULES,
    causal_flash,
    rectangular_flash,
    score_tiles,
    sizes_of,
    tied_flash,
    turned_attention,
)


def assert_moves_are_the_count(program: Program, sizes: dict[str, int], **options: object) -> None:
    counted = count(program, sizes)
    wanted = {("load", name): words for name, words in counted.loads.items() if words}
    wanted |= {("store", name): words for name, words in counted.stores.items() if words}
    assert moves_by_array(word_trace(program, sizes, **options).events) == wanted


def of_kind(trace, kind: type) -> list:
    return [event for event in trace.events if isinstance(event, kind)]


@pytest.mark.parametrize("name", SCHEDULES)
@given(data=st.data())
def test_loads_and_stores_are_the_count(name: str, data: st.DataObject) -> None:
    """Array by array, ragged tiles among them, the trace moves what is counted."""
    n, d, rows, columns = (data.draw(st.integers(1, most)) for most in (7, 3, 8, 4))
    assert_moves_are_the_count(SCHEDULES[name][0], sizes_of(name, n, d, rows, columns))


@pytest.mark.parametrize("name", [name for name in SCHEDULES if not name.startswith(("two-pass", "recompute"))])
@pytest.mark.parametrize(("n", "d", "rows", "columns"), [(1, 1, 1, 1), (5, 3, 2, 2), (12, 4, 5, 3)])
def test_every_pair_meets_once(name: str, n: int, d: int, rows: int, columns: int) -> None:
    """n^2 d products Q_il K_jl and as many P_ij V_jl, n^2 exponentials, n^2 pairs, within the program's own peak."""
    program, sizes = SCHEDULES[name][0], sizes_of(name, n, d, rows, columns)
    trace = word_trace(program, sizes)
    assert len(of_kind(trace, Multiplied)) == 2 * n * n * d
    assert len(of_kind(trace, Exponentiated)) == n * n
    assert trace.pairs == {(i, j) for i in range(n) for j in range(n)}
    history = replay(trace, peak_words(program, sizes))
    assert len(history.scores) == n * n * d
    assert len(history.designated) == n * n * d


def test_one_pair_by_hand() -> None:
    """n = d = 1, FlashAttention-2 word by word: q, k, then v are loaded, o is stored; the score never moves."""
    program = flash2.program(flash2.schedules[0])
    trace = word_trace(program, dict.fromkeys(program.sizes, 1))
    q, k, s, v, o = 1, 2, 3, 4, 5
    assert trace.events == (
        Loaded(q, Variable("Q", 0, 0), Place("Q", (0, 0))),
        Loaded(k, Variable("K", 0, 0), Place("K", (0, 0))),
        Multiplied(q, k, s, creates=True),
        Discarded(k),
        Exponentiated(s),
        Loaded(v, Variable("V", 0, 0), Place("V", (0, 0))),
        Multiplied(s, v, o, creates=True),
        Discarded(v),
        Discarded(s),
        Stored(o, Place("O", (0, 0))),
        Discarded(q),
        Discarded(o),
    )
    assert trace.outputs == {Place("O", (0, 0)): Variable("O", 0, 0)}


def test_zeros_and_statistics_are_words_of_no_variable() -> None:
    """FlashAttention, n = 2, d = 1, one block: O, l, m are stored as constants (2 words each) and loaded again; then
    m and l are stored once more, O as a word of the output."""
    name = "flash1 published"
    trace = word_trace(SCHEDULES[name][0], sizes_of(name, 2, 1, 2, 2))
    aside = [(event.direction, event.place.array) for event in of_kind(trace, Aside)]
    for array, moved in (
        ("O", ["store", "load"]),
        ("M", ["store", "load", "store"]),
        ("L", ["store", "load", "store"]),
    ):
        # both rows are moved at once
        assert [way for way, of in aside if of == array] == [way for way in moved for _ in range(2)]
    assert [event.place.array for event in of_kind(trace, Stored)] == ["O", "O"]


def test_scores_stored_and_loaded_keep_what_they_are() -> None:
    """Standard attention: each score is stored and loaded, then each probability, under the same variable."""
    name, n = "standard whole rows", 3
    trace = word_trace(SCHEDULES[name][0], sizes_of(name, n, 2, 3, 3))
    loaded = [event.variable for event in of_kind(trace, Loaded) if event.variable.kind == "S"]
    # S once, P once (B_d = d, so one column of tiles of O)
    assert sorted(loaded) == sorted(2 * [Variable("S", i, j) for i in range(n) for j in range(n)])


def test_masked_scores_meet_no_value() -> None:
    """Causal, n = 4, d = 2: all 16 scores are built (32 products), the 10 at or before the query are used (20)."""
    sizes = {"n": 4, "d": 2, "B_r": 3, "B_c": 2}
    trace = word_trace(causal_flash, sizes)
    assert trace.pairs == {(i, j) for i in range(4) for j in range(i + 1)}
    assert len(of_kind(trace, Exponentiated)) == 10
    history = replay(trace)
    assert len(history.scores) == 32
    assert len(history.designated) == 20
    assert sum(x.variable.kind == "S" and not x.counted for x in history.stays) == 6
    assert_moves_are_the_count(causal_flash, sizes)


def test_other_shapes() -> None:
    """5 queries, 3 keys, d = 2, d_v = 4: 15 pairs, 15 2 products for scores and 15 4 for outputs."""
    sizes = {"n": 5, "n_k": 3, "d": 2, "d_v": 4, "B_r": 2}
    trace = word_trace(rectangular_flash, sizes)
    assert (trace.d, trace.d_v, len(trace.pairs)) == (2, 4, 15)
    assert len(of_kind(trace, Multiplied)) == 15 * (2 + 4)
    assert_moves_are_the_count(rectangular_flash, sizes)


def test_a_stationary_tile_of_scores() -> None:
    """n = 4, d = 3, tiles of 2 x 2: scores never move, each output is stored twice and loaded once."""
    sizes = {"n": 4, "d": 3, "B_r": 2, "B_c": 2}
    history = replay(word_trace(score_tiles, sizes), peak_words(score_tiles, sizes))
    assert not history.spilled
    assert (history.stores_of("O"), history.loads_of("O")) == (2 * 12, 12)
    assert history.loads_of("Q", "K", "V") == 3 * 2 * 12  # each once for each of two tiles in the other direction
    assert_moves_are_the_count(score_tiles, sizes)


def test_keys_as_values() -> None:
    """Tied: words of K are factors of both products, and are loaded once for both."""
    sizes = {"n": 3, "d": 2, "d_v": 1, "B_r": 3}
    trace = word_trace(tied_flash, sizes)
    assert {event.variable.kind for event in of_kind(trace, Loaded)} == {"Q", "K"}
    assert len(of_kind(trace, Loaded)) == 3 * 2 + 3 * 2  # Q and K once
    assert replay(trace).tied


def test_transposed_arrays() -> None:
    """V^T and O^T: the same variables as ever, d = 2 columns of each."""
    sizes = {"n": 3, "d": 2, "B": 2}
    options = {
        "inputs": {"Q": "Q", "K": "K", "VT": "V"},
        "output": "OT",
        "transposed": frozenset({"VT", "OT"}),
    }
    trace = word_trace(turned_attention, sizes, **options)
    assert (trace.d, trace.d_v, len(trace.pairs)) == (2, 2, 9)
    assert trace.outputs[Place("OT", (1, 2))] == Variable("O", 2, 1)
    assert len(replay(trace, peak_words(turned_attention, sizes)).designated) == 9 * 2
    assert_moves_are_the_count(turned_attention, sizes, **options)


# What has no meaning


def program_of(work) -> Program:
    """A program that loads all of Q, K and V, has zeros s and o and statistics m and l, works, and stores o."""

    def author(b: Builder, *, n: Size, d: Size) -> None:
        Q, K, V = b.input("Q", (n, d)), b.input("K", (n, d)), b.input("V", (n, d))
        O = b.output("O", (n, d), needs="O[i,l] <- Q[i,:]")
        with b.load(Q[:, :]) as q, b.load(K[:, :]) as k, b.load(V[:, :]) as v:
            with b.zeros("s", n, n) as s, b.zeros("o", n, d) as o, b.zeros("m", n) as m, b.zeros("l", n) as l:
                work(b, q, k, v, s, o, m, l)
                b.store(o, O[:, :])

    return build(author, name="odd", n="n", d="d")


def attention(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q, k)
    b.op("softmax", s, m, l)
    b.op("add_ab", o, s, v)


def twice(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q, k)
    b.op("add_abt", s, q, k)


def half_a_score(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q[:, :1], k[:, :1])
    b.op("softmax", s, m, l)


def no_exponential(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q, k)
    b.op("add_ab", o, s, v)


def two_exponentials(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q, k)
    b.op("softmax", s, m, l)
    b.op("softmax", s, m, l)


def other_columns(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q[:, :1], k[:, 1:2])


def queries_and_values(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q, v)


def two_variables_in_a_word(b, q, k, v, s, o, m, l) -> None:
    b.op("add_abt", s, q[:, :1], k[:, :1])
    b.op("add_abt", s[:1, :1], q[1:2, 1:2], k[:1, 1:2])


def statistics_as_factors(b, q, k, v, s, o, m, l) -> None:
    with b.full("one", *s.tile.shape, fill=1.0) as one:
        b.op("add_ab", o, one, v)


def sum_onto_a_constant(b, q, k, v, s, o, m, l) -> None:
    with b.full("one", *s.tile.shape, fill=1.0) as one:
        b.op("add_abt", one, q, k)


def statistics_of_inputs(b, q, k, v, s, o, m, l) -> None:
    b.op("row_statistics", m, l, q)


def scaled_without_a_value(b, q, k, v, s, o, m, l) -> None:
    with b.empty("x", *s.tile.shape) as x:
        b.op("scale_rows", x, m)


def unknown(b, q, k, v, s, o, m, l) -> None:
    op = Op(
        name="negate",
        shapes="x[i,j]",
        updates=1,
        text="{x} = -{x}",
        flops=lambda n, _: n["i"] * n["j"],
        numpy=lambda x: None,
    )
    b.op(op, s)


def masked_by_a_tile(b, q, k, v, s, o, m, l) -> None:
    op = Op(
        name="hide_scores",
        shapes="s[i,j] which[i,j]",
        updates=1,
        text="{s} = -inf where {which}",
        flops=lambda n, _: n["i"] * n["j"],
        numpy=lambda s, which: None,
    )
    with b.zeros("which", *s.tile.shape) as which:
        b.op("add_abt", s, q, k)
        b.op(op, s, which)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (twice, r"add_abt: the product with index 0 is added to S\[0, 0\] twice"),
        (half_a_score, r"softmax: needs a whole score, got S\[0, 0\], the sum of 1 products of 2"),
        (no_exponential, r"add_ab: a product of S\[0, 0\] and V\[0, 0\]"),
        (two_exponentials, r"softmax: needs a score, got P\[0, 0\]"),
        (other_columns, r"add_abt: a product of Q\[0, 0\] and K\[0, 1\]"),
        (queries_and_values, r"add_abt: a product of Q\[0, 0\] and V\[0, 0\]"),
        (two_variables_in_a_word, r"add_abt: a product that belongs to .* is added to S\[0, 0\]"),
        (statistics_as_factors, r"add_ab: a product of a row statistic or a constant and V\[0, 0\]"),
        (sum_onto_a_constant, r"add_abt: a product is added to a row statistic or a constant"),
        (statistics_of_inputs, r"row_statistics: needs a score, got Q\[0, 0\]"),
        (scaled_without_a_value, r"scale_rows: a word without a value"),
        (masked_by_a_tile, r"hide_scores: which scores it hides depends on other words"),
        (unknown, r"negate: no meaning for words of attention; known: add_abt, "),
    ],
)
def test_what_is_not_attention_is_an_error(work, message: str) -> None:
    """A statement without meaning is named, with what it found, and gives no trace."""
    word_trace(program_of(attention), {"n": 3, "d": 2})  # the frame itself is fine
    with pytest.raises(MeaningError, match=message):
        word_trace(program_of(work), {"n": 3, "d": 2})


def test_meanings_are_of_operations() -> None:
    """Every operation with a meaning is a row of the table of operations."""
    assert set(MEANINGS) <= set(OPS)


def test_an_error_says_where() -> None:
    """The loops and their iterations stand before the operation."""

    def author(b: Builder, *, n: Size) -> None:
        Q, V = b.input("Q", (n, n)), b.input("V", (n, n))
        O = b.output("O", (n, n), needs="O[i,l] <- Q[i,:]")
        with b.tiles("i", n, 1) as i, b.load(Q[i, :]) as q, b.load(V[i, :]) as v, b.zeros("s", i, i) as s:
            b.op("add_abt", s, q, v)
            b.store(q, O[i, :])

    with pytest.raises(MeaningError, match=r"^loop i=0 / add_abt: "):
        word_trace(build(author, name="lost", n="n"), {"n": 2})


def test_arrays_have_to_be_named() -> None:
    """No queries, no output, an input that is neither Q, K nor V, a word never stored, three axes: each is an error."""
    frame, sizes = program_of(attention), {"n": 2, "d": 1}
    with pytest.raises(MeaningError, match="none of its arrays Q, K, V, O holds the queries"):
        word_trace(frame, sizes, inputs={"K": "K"})
    with pytest.raises(MeaningError, match="is the output X"):
        word_trace(frame, sizes, output="X")
    with pytest.raises(MeaningError, match="load: V is none of the inputs Q, K"):
        word_trace(frame, sizes, inputs={"Q": "Q", "K": "K"})

    def unwritten(b: Builder, *, n: Size) -> None:
        b.input("Q", (n, n))
        with b.load(b.scratch("S", (n, n))[:, :]):
            pass

    with pytest.raises(MeaningError, match=r"load: S\[0, 0\] was never stored"):
        word_trace(build(unwritten, name="unwritten", n="n"), {"n": 1})

    def deep(b: Builder, *, n: Size) -> None:
        b.input("Q", (n, n, n))

    with pytest.raises(MeaningError, match="Q has 3 axes, words of attention have 2"):
        word_trace(build(deep, name="deep", n="n"), {"n": 1})
