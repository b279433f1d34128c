"""Masks of blocks: which keys a query meets, the lists of keys that programs stream through, block-sparse attention."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.block_sparse import BlockSparse, block_sparse
from iosim.api import run
from iosim.block_masks import BlockMask, PatternMask, RowTiles, Runs, mask_from_array, parse_block_mask
from iosim.builder import Builder, build
from iosim.cli import main
from iosim.errors import UsageError
from iosim.expr import Size
from iosim.interpret.count import count
from iosim.interpret.execute import execute
from iosim.interpret.legality import violations
from iosim.interpret.legality.rules import Rule
from iosim.interpret.render import render
from iosim.interpret.steps import moves
from iosim.masks import CAUSAL, FULL, AnyMask, Mask, parse_mask
from iosim.numeric.inputs import random_input
from iosim.numeric.reference import norm_bound, rounding_bound, softmax_attention
from iosim.numeric.run import run_plan
from iosim.plan import Plan
from iosim.problem import Problem
from iosim.program import Table, TableLoop
from iosim.registry import find
from tests import brute
from tests.legality import is_as_claimed, runs_as_counted
from tests.surgery import places, replaced

LOCAL = PatternMask(2, "local", (1,))


@st.composite
def masks(draw: st.DrawFn) -> BlockMask:
    """Any pattern, or a table of blocks with a key for every query."""
    size, small = draw(st.integers(1, 5)), st.integers(0, 3)
    return draw(
        st.sampled_from(
            [
                PatternMask(size, "local", (draw(small),)),
                PatternMask(size, "strided", (draw(small), draw(st.integers(1, 4)))),
                PatternMask(size, "bigbird", (draw(small), draw(small), draw(small), draw(small))),
            ]
        )
    )


@st.composite
def problems(draw: st.DrawFn, most: int = 14) -> Problem:
    """Small problems with a mask of blocks, at least as many keys as queries."""
    n = draw(st.integers(1, most))
    return Problem(
        n=n,
        n_k=draw(st.integers(n, most + 3)),
        d=draw(st.integers(1, 3)),
        d_v=draw(st.integers(1, 3)),
        group=draw(st.integers(1, 2)),
        mask=draw(masks()),
    )


@st.composite
def plans(draw: st.DrawFn, most: int = 14) -> tuple[Problem, Plan]:
    """A problem, and block-sparse attention in tiles of any height."""
    problem = draw(problems(most))
    return problem, block_sparse.explicit(problem, {"B_r": draw(st.integers(1, problem.n))})


def allowed(mask: AnyMask, n: int, n_k: int) -> np.ndarray:
    """Which pairs meet."""
    return mask.meets(np.arange(n), np.arange(n_k), n, n_k)


def difference(problem: Problem, plan: Plan) -> tuple[float, float]:
    """From float64 attention, and how much rounding may make it."""
    data = random_input(
        problem.n, problem.d, n_k=problem.n_k, d_v=problem.d_v, heads=problem.group, group=problem.group, seed=1
    )
    O = run_plan(plan, problem, data, lambda _: None)
    right = np.stack([softmax_attention(Q, data.K[0], data.V[0], mask=problem.mask) for Q in data.Q])
    norm = max(norm_bound(Q, data.K[0]) for Q in data.Q)
    return float(np.abs(O - right).max()), rounding_bound(problem.n_k, problem.d, norm, float(np.abs(data.V).max()))


# Masks


def test_patterns_by_hand() -> None:
    """4 by 4 blocks of each pattern, written out."""

    def picture(mask: BlockMask, n: int = 4, n_k: int = 4) -> list[str]:
        return ["".join(".x"[int(x)] for x in row) for row in mask.blocks(n, n_k)[0]]

    assert picture(PatternMask(1, "local", (1,))) == ["xx..", "xxx.", ".xxx", "..xx"]
    assert picture(PatternMask(1, "strided", (0, 2))) == ["xx.x", ".x.x", ".xxx", ".x.x"]
    assert picture(PatternMask(1, "bigbird", (0, 1, 0, 0))) == ["xxxx", "xx..", "x.x.", "x..x"]
    # the last block of queries is aligned with the last block of keys
    assert picture(PatternMask(1, "local", (0,)), n=2) == ["..x.", "...x"]
    random = PatternMask(1, "bigbird", (0, 0, 2, 7)).blocks(50, 60)[0]
    assert set(random.sum(axis=1)) <= {2, 3}  # two random blocks, one of which may be its own
    assert (random == PatternMask(1, "bigbird", (0, 0, 2, 7)).blocks(50, 60)[0]).all()
    assert (random != PatternMask(1, "bigbird", (0, 0, 2, 8)).blocks(50, 60)[0]).any()


@given(mask=masks(), n=st.integers(1, 20), more=st.integers(0, 9), B=st.integers(1, 22))
def test_pairs_keys_and_tiles_are_those_of_the_pairs_that_meet(mask: BlockMask, n: int, more: int, B: int) -> None:
    """Counted from blocks or from a table of all pairs: the same pairs, keys, and keys of each tile of queries."""
    n_k = n + more
    table = allowed(mask, n, n_k)
    assert mask.pairs(n, n_k) == table.sum()
    assert mask.keys(n, n_k) == table.any(axis=0).sum()
    tiles = [table[start : start + B].any(axis=0) for start in range(0, n, B)]
    assert mask.met(n, n_k, B) == sum(int(tile.sum()) for tile in tiles)
    listed = [list(row["keys"]) for row in RowTiles(mask, n, n_k, B).rows()]  # type: ignore[call-overload]
    assert listed == [np.flatnonzero(tile).tolist() for tile in tiles]


@given(n=st.integers(1, 12), more=st.integers(0, 5), back=st.none() | st.integers(0, 4))
def test_bands_answer_the_same_questions(n: int, more: int, back: int | None) -> None:
    """A band's pairs and keys are those of its table of pairs, asked as a mask of blocks is."""
    mask = Mask(back=back, ahead=0)
    table = allowed(mask, n, n + more)
    assert (mask.pairs(n, n + more), mask.keys(n, n + more)) == (table.sum(), table.any(axis=0).sum())


@given(st.lists(st.integers(0, 30), unique=True))
def test_runs_are_a_list_in_rising_order(numbers: list[int]) -> None:
    """Ranges with gaps between them read like the list of their numbers."""
    numbers.sort()
    runs = Runs(tuple(range(x, x + 1) for x in numbers))
    assert (len(runs), list(runs), runs[1:4]) == (len(numbers), numbers, tuple(numbers[1:4]))


def test_a_mask_from_a_file(tmp_path: Path) -> None:
    """3 by 2 blocks for 5 queries and 7 keys: blocks of ceil(5/3) = 2 queries and ceil(7/2) = 4 keys."""
    blocks = np.array([[True, False], [False, True], [True, True]])
    path = tmp_path / "mask.npy"
    np.save(path, blocks)
    mask = parse_mask(str(path), where="--mask")
    assert str(mask) == str(path)
    rows, columns = np.arange(5) // 2, np.arange(7) // 4
    assert (allowed(mask, 5, 7) == blocks[rows][:, columns]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blocks:64,local", "allowed: blocks:SIZE,local,W, blocks:SIZE,strided,W,S"),
        ("blocks:0,local,1", "allowed: blocks:SIZE"),
        ("blocks:64,strided,1,0", "allowed: blocks:SIZE"),
        ("blocks:64,spiral,1", "allowed: blocks:SIZE"),
        ("no/such/file.npy", "can't be read"),
        ("sparse", "allowed: full, causal, window:W .*, blocks:SIZE,local,W"),
    ],
)
def test_masks_that_are_none_are_refused(text: str, message: str) -> None:
    """The error says what was found and what is allowed."""
    with pytest.raises(UsageError, match=message) as caught:
        parse_mask(text, where="--mask")
    assert text in str(caught.value)


def test_tables_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    """Numbers, lists and empty tables; a table too large; a file that is not what its name says."""
    for table in (np.ones((2, 2)), np.ones(4, dtype=bool), np.ones((0, 2), dtype=bool)):
        with pytest.raises(UsageError, match="allowed: a table of bool"):
            mask_from_array(table, name="x")
    with pytest.raises(UsageError, match="allowed: at most 16,777,216"):
        mask_from_array(np.ones((4097, 1), dtype=bool), name="x")
    (tmp_path / "text.npy").write_text("no")
    with pytest.raises(UsageError, match="can't be read"):
        parse_block_mask(str(tmp_path / "text.npy"), where="--mask")


def test_masks_that_do_not_fit_a_problem_are_refused() -> None:
    """Queries without a key, blocks that stay empty, too many blocks."""
    with pytest.raises(UsageError, match="queries 2 to 3 meet no key; allowed: masks with a key for every query"):
        Problem(n=4, d=2, mask=mask_from_array([[True, True], [False, False]], name="half"))
    with pytest.raises(UsageError, match=r"4 blocks of 2 for 5 queries, some of them empty; allowed: 3 blocks"):
        Problem(n=5, d=2, mask=mask_from_array(np.ones((4, 1), dtype=bool), name="four"))
    with pytest.raises(UsageError, match="allowed: at most 16,777,216"):
        Problem(n=10**6, d=2, mask=PatternMask(16, "local", (1,)))


# Lists of coordinates, piece by piece


def picked(b: Builder, *, n: Size, B: Size, table: Table) -> None:
    """Rows of X that a table lists, B at a time; all of X in the end."""
    X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
    with b.table("t", table) as t, b.tiles("j", t.size("many"), B) as j, b.load(X[t.coordinates("at", j)]):
        pass
    with b.load(X[:]) as x:
        b.store(x, Y[:])


LISTS = Table([{"many": 3, "at": (4, 0, 2)}, {"many": 0, "at": ()}, {"many": 5, "at": (0, 1, 2, 3, 4)}])


def test_a_list_is_loaded_piece_by_piece() -> None:
    """Two at a time: (4, 0), (2); nothing; (0, 1), (2, 3), (4); and then all 5 words."""
    program = build(picked, name="picked", n="n", B="B", table=LISTS)
    sizes = {"n": 5, "B": 2}
    found = [move.indices for move in moves(program, sizes) if move.direction == "load"]
    assert found[:-1] == [((4, 0),), ((2,),), ((0, 1),), ((2, 3),), ((4,),)]
    assert count(program, sizes).loads == {"X": 3 + 5 + 5}
    assert violations(program, sizes) == []
    assert brute.run(program, sizes).broken == []
    assert "load x <- X[t.at[j]]" in render(program)
    given = np.arange(5.0)
    assert (execute(program, sizes, {"X": given})["Y"] == given).all()


@pytest.mark.parametrize(
    "row",
    [
        {"many": 2, "at": (0, 5)},  # beyond the array
        {"many": 2, "at": (0, -1)},
        {"many": 3, "at": (0, 1)},  # beyond the list
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_listed_coordinate_out_of_range_is_caught(row: dict[str, object], first: bool) -> None:
    """Coordinates outside the array and positions outside the list break the rule of bounds, where they are used."""
    good = {"many": 2, "at": (0, 1)}
    table = Table([row, good] if first else [good, row])
    program, sizes = build(picked, name="picked", n="n", B="B", table=table), {"n": 5, "B": 2}
    (violation,) = violations(program, sizes)
    assert violation.rule is Rule.BOUNDS
    assert violation.where.startswith(f"loop t={0 if first else 1} / ")
    assert brute.run(program, sizes).rules == {Rule.BOUNDS}


def test_lists_of_one_length_and_another_are_told_apart() -> None:
    """Rows with the same whole numbers and lists of other lengths: the short one is found."""
    table = Table([{"many": 2, "at": (0, 1)}, {"many": 2, "at": (3, 4)}, {"many": 2, "at": (1,)}])
    (violation,) = violations(build(picked, name="picked", n=5, B=1, table=table), {})
    assert (violation.rule, violation.where) == (Rule.BOUNDS, "loop t=2 / loop j=1 / load x")


# Block-sparse attention


def test_the_words_of_a_small_case_by_hand() -> None:
    """7 queries and keys in blocks of 2 (the last has 1), each with its neighbours, in tiles of 4 queries; d = 3."""
    plan = block_sparse.explicit(Problem(n=7, d=3, mask=LOCAL), {"B_r": 4})
    counted = plan.count()
    # blocks 0 and 1 meet 0, 1 and 2: 6 keys; blocks 2 and 3 meet 1, 2 and 3: 5 keys
    assert counted.loads == {"Q": 21, "K": 11 * 3, "V": 11 * 3}
    assert counted.stores == {"O": 21}
    assert plan.peak_words == 4 * (3 + 3 + 2) + 4 + 1


@given(found=plans(most=40))
@settings(max_examples=40)
def test_any_mask_is_as_claimed_and_fits_exactly(found: tuple[Problem, Plan]) -> None:
    """Counted words and peak equal the closed forms for any mask and height; in a word less one rule is broken."""
    _, plan = found
    is_as_claimed(plan)


@given(found=plans(most=7))
@settings(max_examples=15)
def test_the_machine_that_runs_word_by_word_agrees(found: tuple[Problem, Plan]) -> None:
    """Loads, stores, peak and flops are those of a run of every iteration, which breaks no rule."""
    _, plan = found
    runs_as_counted(plan)


@given(found=plans(), B_c=st.integers(1, 9))
@settings(max_examples=40)
def test_the_result_is_masked_softmax_attention(found: tuple[Problem, Plan], B_c: int) -> None:
    """For any mask, height and pieces: attention over the keys that each query meets, to rounding."""
    problem, plan = found
    for sizes in (dict(plan.sizes), {**plan.sizes, "B_c": B_c}, dict(plan.executed)):
        error, rounding = difference(problem, replace(plan, executed=sizes))
        assert error <= rounding


@given(problem=problems(), spare=st.integers(0, 200))
@settings(max_examples=25)
def test_the_tile_rule_finds_the_best_height(problem: Problem, spare: int) -> None:
    """No height that fits moves fewer words; of those that move as few, it is the least."""
    capacity = block_sparse.least_capacity(problem) + spare
    best = block_sparse.best(problem, capacity)
    everything = [block_sparse.explicit(problem, {"B_r": B}) for B in range(1, problem.n + 1)]
    fitting = [plan for plan in everything if plan.peak_words <= capacity]
    words, height = min((plan.io_words, plan.tiles["B_r"]) for plan in fitting)
    assert (best.io_words, best.tiles["B_r"]) == (words, height)


def test_other_masks_and_algorithms_are_told_apart() -> None:
    """Bands are not for block-sparse, masks of blocks not for the others; `exact` knows which to take."""
    sparse = Problem(n=8, d=4, mask=LOCAL)
    for mask in (FULL, CAUSAL):
        assert block_sparse.unsupported(Problem(n=8, d=4, mask=mask)) == "a mask of blocks"
    assert find("flash2").unsupported(sparse) == "masks that are bands: full, causal, window, band"
    assert find("flash1").unsupported(sparse) == "no mask"
    assert list(block_sparse.plans(Problem(n=8, d=4), 1000)) == []
    assert find("exact").best(sparse, 100).algorithm == "block-sparse"
    with pytest.raises(UsageError, match="needs B_r; got B_c=3"):
        block_sparse.explicit(sparse, {"B_c": 3})
    with pytest.raises(UsageError, match="B_r=9; allowed: 1 to n=8"):
        block_sparse.explicit(sparse, {"B_r": 9})


def test_a_run_holds_with_heads_that_share_keys() -> None:
    """`iosim run` with a mask by name: every check holds, and the bounds know how many pairs meet."""
    found = run("block-sparse", n=37, d=4, heads=4, kv_heads=2, mask="blocks:5,strided,1,3", M=300)
    assert found.holds
    assert found.numeric is not None
    assert found.problem.pairs == 4 * allowed(found.problem.mask, 37, 37).sum()
    assert found.to_dict()["mask"] == "blocks:5,strided,1,3"


def test_the_command_line_takes_a_mask_from_a_file(tmp_path: Path) -> None:
    """`--mask FILE.npy`: a verdict, the words by hand, and one line for a file of another kind."""
    path, numbers = tmp_path / "mask.npy", tmp_path / "numbers.npy"
    np.save(path, np.eye(3, dtype=bool))
    np.save(numbers, np.eye(3))
    command = ["run", "--algo", "exact", "--n", "6", "--d", "2", "--M", "100w", "--json", "--mask"]
    result = CliRunner().invoke(main, [*command, str(path)])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["mask"], found["pairs"], found["verdict"]) == (str(path), 3 * 2 * 2, "holds")
    assert found["io_words"] == 2 * 12 + 2 * 12  # each block of queries meets its own two keys: everything once
    refused = CliRunner().invoke(main, [*command, str(numbers)])
    assert refused.exit_code == 2
    allowed = "allowed: a table of bool, [blocks of queries, of keys]"
    assert refused.stderr == f"Error: --mask {numbers}: float64, 3 x 3; {allowed}\n"


def test_a_touched_block_left_out_is_caught_by_the_result() -> None:
    """Lists are not tracked by legality: a program that skips a block is legal, and computes something else."""
    problem = Problem(n=8, d=3, mask=LOCAL)
    plan = block_sparse.explicit(problem, {"B_r": 4})
    ((place, loop),) = [(place, s) for place, s in places(plan.program) if isinstance(s, TableLoop)]
    assert isinstance(loop, TableLoop)
    first, *others = loop.table.rows()
    short = {**first, "met": 4, "keys": Runs((range(4),))}  # block 2 is met by queries 2 and 3
    mutant = replace(plan, program=replaced(plan.program, place, replace(loop, table=Table([short, *others]))))
    assert violations(mutant.program, mutant.sizes) == []
    (right, rounding), (wrong, _) = difference(problem, plan), difference(problem, mutant)
    assert right <= rounding < wrong
    assert mutant.count().io_words == plan.closed_form_words - 2 * 2 * 3  # so does the count


def test_scores_that_are_not_hidden_are_caught_by_the_result() -> None:
    """Where a tile holds queries of two blocks, hiding what one of them does not meet matters."""
    problem = Problem(n=8, d=3, mask=LOCAL)
    plan = block_sparse.explicit(problem, {"B_r": 4})
    ((place, _),) = [(p, s) for p, s in places(plan.program) if getattr(s, "op", None) and "hide" in s.op.name]  # type: ignore[union-attr]
    mutant = replace(plan, program=replaced(plan.program, place))
    error, rounding = difference(problem, mutant)
    assert error > rounding


def test_65536_queries_in_blocks_of_64_take_seconds() -> None:
    """BigBird with 3 random blocks: counted, proved legal, and its best height found among all 373 that fit."""
    problem = Problem(n=65536, d=64, mask=PatternMask(64, "bigbird", (1, 2, 3, 0)))
    plan = BlockSparse(name="x", summary="", source="").best(problem, 50_000)
    assert plan.io_words == plan.closed_form_words
    assert violations(plan.program, plan.sizes, 50_000) == []
    # whole blocks are best, and 6 of them do not fit
    assert plan.tiles == {"B_r": 320}
