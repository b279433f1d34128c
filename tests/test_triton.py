"""Programs as Triton kernels: which launches and grids they become, and which statements have no kernel."""

from __future__ import annotations

import re

import pytest

from algorithms.witnesses import polarisation
from iosim import CAUSAL, Builder, Problem, Size, build
from iosim.algorithm import Algorithm
from iosim.approximation.minimax import minimax_exp
from iosim.errors import NotLowerable
from iosim.instances import for_each
from iosim.interpret.triton import Kernels, lower
from iosim.lowering.ask import pieces
from iosim.ops import OPS, Op
from iosim.plan import Plan
from iosim.program import Compute, TableLoop, walk
from iosim.registry import algorithms
from tests.lowered import NOT_LOWERED, OWN, plans_of, small

REGISTERED = algorithms()


def lowered(plan: Plan, problem: Problem, algorithm: Algorithm, **options: str) -> Kernels:
    return lower(plan.program, {**plan.sizes, **pieces(plan, problem, algorithm)}, **options)


@pytest.mark.parametrize("name", OWN)
def test_every_algorithm_lowers_or_says_which_statement_does_not(name: str) -> None:
    """Each schedule of each registered algorithm becomes kernels; else the error has the statement and why."""
    algorithm, problem = REGISTERED[name], small(name)
    for plan in plans_of(algorithm, problem):
        if name not in NOT_LOWERED:
            kernels = lowered(plan, problem, algorithm)
            compile(kernels.source, name, "exec")
            assert kernels.launches
            continue
        with pytest.raises(NotLowerable, match=r"^can't lower `") as caught:
            lowered(plan, problem, algorithm)
        ops = {s.op.name: s.op for s in walk(plan.program.body) if isinstance(s, Compute)}
        assert str(caught.value).endswith(f": {ops[NOT_LOWERED[name]].not_lowered}")


def test_every_operation_has_lines_of_triton_or_a_reason() -> None:
    """No cell of the column is empty, and none has both."""
    used = {
        statement.op
        for name in OWN
        for form in REGISTERED[name].forms()
        for statement in walk(form.program.body)
        if isinstance(statement, Compute)
    }
    for op in {*OPS.values(), *used, polarisation.POLARISE, polarisation.SOLVE}:
        assert bool(op.triton) != bool(op.not_lowered), op.name


def test_lines_of_triton_name_the_operands_of_their_operation() -> None:
    """Each `{name}` is an operand, a parameter, an axis or weights of monomials, and each updated operand is written."""
    for op in OPS.values():
        axes = dict(op.operands)
        letters = {letter for own in axes.values() for letter in own}
        for key in re.findall(r"\{([^{}]+)\}", op.triton):
            name, mark, along = re.fullmatch(r"(?:[#|]|features )?(\w+)([@!]?)(\w*).*", key).groups()  # type: ignore[union-attr]
            made = {"weights"} if {"monomials", "coefficients"} <= {*op.params} else set()
            assert name in {*axes, *op.params, *letters, *made}, (op.name, key)
            assert not (mark and along) or along in axes[name], (op.name, key)
        for name, _ in op.operands[: op.updates] if op.triton else ():
            assert re.search(rf"\{{{name}\}} [*+]?= ", op.triton), (op.name, name)


def grids(kernels: Kernels) -> list[tuple[tuple[str, ...], int]]:
    """The loops of each grid, and how many programs it has."""
    return [(launch.axes, launch.grid[0]) for launch in kernels.launches]


def plan_of(name: str, heads: int = 1, **problem: object) -> Plan:
    tiles = {"flash2": {"B_r": 24}, "flash1": {"B_c": 16}, "flash2-backward": {"B_c": 16}}
    shape = Problem(n=50, d=16, **problem)  # type: ignore[arg-type]
    if name in tiles:
        return REGISTERED[name].explicit(shape, tiles[name]).times(heads)
    return REGISTERED[name].best(shape, 400).times(heads)


def test_independent_tiles_are_the_grid() -> None:
    """flash2: a program for each row tile of each head, rows fastest. 50 rows in tiles of 24: 3."""
    assert grids(lower((plan := plan_of("flash2", heads=5)).program, plan.sizes)) == [(("h", "i"), 5 * 3)]


def test_phases_are_launches_in_order() -> None:
    """Standard attention: tiles of S, rows of P, tiles of O; each phase waits for the one before."""
    plan = plan_of("standard")
    kernels = lower(plan.program, plan.sizes)
    assert [axes for axes, _ in grids(kernels)] == [("i", "j"), ("i",), ("i", "c")]
    assert [launch.parameters for launch in kernels.launches] == [("Q", "K", "S"), ("S", "P"), ("P", "V", "O")]


def test_a_nest_of_nothing_is_no_launch() -> None:
    """A loop over tiles in which nothing happens, before one that copies."""

    def copy(b: Builder, *, n: Size) -> None:
        X = b.input("X", (n,))
        O = b.output("O", (n,), needs="O[i] <- X[i]")
        with b.tiles("i", n, 2) as i, b.tiles("j", i.stop, 2, start=i.start):
            pass
        with b.tiles("i", n, 2) as i:
            b.store(b.load(X[i]), O[i])

    made = lower(for_each(build(copy, name="copy", n="n"), "h", 1), {"n": 5})
    assert [launch.grid for launch in made.launches] == [(3,)]
    compile(made.source, "kernels", "exec")


def test_what_later_blocks_read_is_done_in_one_program() -> None:
    """flash1: each block of keys reads the O of the block before; its heads are independent, and get own M and L."""
    plan = plan_of("flash1")
    assert grids(lower(plan.program, plan.sizes)) == [(("j",), 1), ((), 1)]
    plan = plan_of("flash1", heads=5)
    kernels = lower(plan.program, plan.sizes)
    assert grids(kernels) == [(("h", "j"), 5), (("h",), 5)]
    assert {p.name: p.shape for p in kernels.parameters if p.role == "scratch"} == {"M": (5, 50), "L": (5, 50)}


def rows(b: Builder, *, n: int, B: int, load: int, stored: int, out: bool) -> None:
    """Copies rows; what it loads is `load` rows on, what it stores is tiles `stored` rows longer or shorter than B."""
    X, Y = b.input("X", (n + 8,)), b.output("Y", (n + 8,), needs="Y[i] <- X[i]")
    with b.tiles("i", n, B) as i:
        source = Y if out else X
        with b.load(source[i.start + load : i.stop + load + stored]) as x:
            b.store(x, Y[i.start : i.stop + stored])


@pytest.mark.parametrize(
    ("load", "stored", "out", "programs"),
    [
        (0, 0, False, 5),
        (4, 0, False, 5),  # another array
        (0, 0, True, 5),  # its own words
        (4, 0, True, 1),  # words that the next tile stores
        (0, 1, False, 1),  # a word that the next tile stores too
        (0, -1, False, 5),
    ],
)
def test_a_loop_is_a_grid_only_if_its_tiles_do_not_meet(load: int, stored: int, out: bool, programs: int) -> None:
    """Tiles of 4 of 20 words: five programs, but one where a tile touches what another one stores."""
    program = build(rows, name="rows", n=20, B=4, load=load, stored=stored, out=out)
    assert [launch.grid for launch in lower(program, {}).launches] == [(programs,)]


def test_a_loop_whose_length_depends_on_the_grid_is_inside() -> None:
    """Row tiles of the lower triangle: tiles of columns up to the diagonal, as many as the row says, are no grid axis."""

    def triangle(b: Builder, *, n: int, B: int) -> None:
        X, Y = b.input("X", (n, n)), b.output("Y", (n, n), needs="Y[i,j] <- X[i,j]")
        with b.tiles("i", n, B) as i, b.tiles("j", i.stop, B) as j, b.load(X[i, j]) as x:
            b.store(x, Y[i, j])

    (launch,) = lower(build(triangle, name="triangle", n=10, B=4), {}).launches
    assert (launch.axes, launch.grid) == (("i",), (3,))


def test_scratch_that_carries_something_over_is_not_split() -> None:
    """Instances that read in scratch what the one before wrote stay one after the other."""

    def carried(b: Builder, *, heads: int) -> None:
        X, Y, S = b.input("X", (4,)), b.output("Y", (heads, 4), needs="Y[h,i] <- X[i]"), b.scratch("S", (4,))
        with b.load(X[:]) as x:
            b.store(x, S[:])
        with b.tiles("h", heads, 1) as h:
            with b.load(S[:], "s") as s:
                b.store(s, S[:])
            with b.zeros("y", h, 4) as y:
                b.store(y, Y[h, :])

    launches = lower(build(carried, name="carried", heads=3), {}).launches
    assert [(launch.axes, launch.grid) for launch in launches] == [((), (1,)), ((), (1,))]


def test_full_tiles_have_no_masks() -> None:
    """Where tile sizes are powers of two that divide the lengths, under a causal mask too, nothing is masked."""
    plan = plan_of("flash2", mask=CAUSAL)
    exact = {**plan.sizes, "n": 64, "B_r": 32, "B_c": 16, "e": 16, "e_v": 16}
    assert "mask=" not in lower(plan.program, exact).source
    assert "mask=" in lower(plan.program, {**exact, "B_c": 24}).source


def test_sums_are_fp32_and_looked_up_places_int32() -> None:
    """Number formats: data as asked, unfinished sums in slow memory fp32, lists of places int32."""
    plan = plan_of("flash1")
    kernels = lower(plan.program, plan.sizes, dtype="bf16")
    assert {p.name: p.dtype for p in kernels.parameters} == {
        **dict.fromkeys("QKV", "bf16"),
        **dict.fromkeys("OML", "fp32"),
    }
    problem = small("paged")
    (paged,) = plans_of(REGISTERED["paged"], problem)
    kinds = {p.name: p.dtype for p in lowered(paged, problem, REGISTERED["paged"], dtype="fp16").parameters}
    assert kinds["T"] == "int32"
    assert kinds["K"] == "fp16"


def test_positions_beyond_31_bits_are_computed_in_64() -> None:
    """An array of 2^31 words has 64-bit positions, a smaller one 32-bit ones."""
    plan = plan_of("flash2")
    assert "int64" not in lower(plan.program, {**plan.sizes, "n": 2**26, "B_r": 2**16}).source
    assert "int64" in lower(plan.program, {**plan.sizes, "n": 2**27, "B_r": 2**16}).source


def test_an_operation_without_text_is_named() -> None:
    """An operation of somebody else's: the error has its line of pseudo-code."""
    own = Op(name="own", shapes="x[i]", updates=1, text="{x} = own {x}", flops=lambda _n, _p: 0, numpy=lambda _x: None)

    def author(b: Builder, *, n: int) -> None:
        X, Y = b.input("X", (n,)), b.output("Y", (n,), needs="Y[i] <- X[i]")
        with b.load(X[:]) as x:
            b.op(own, x)
            b.store(x, Y[:])

    with pytest.raises(NotLowerable, match=r"^can't lower `x = own x`: own has no Triton text$"):
        lower(build(author, name="author", n=4), {})


def test_a_block_that_triton_can_not_have_is_named() -> None:
    """Blocks have at most 2^20 numbers."""
    plan = plan_of("flash2")
    with pytest.raises(NotLowerable, match=r"can't lower `load q <- Q\[i, :\]`: q takes a block of 2,097,152 numbers"):
        lower(plan.program, {**plan.sizes, "n": 2**17, "B_r": 2**17})


def test_kernels_are_values() -> None:
    """The same program at the same sizes gives the same kernels, whose nests are the program's statements."""
    plan = plan_of("flash2")
    first, second = (lower(plan.program, plan.sizes) for _ in range(2))
    assert first == second
    assert [launch.nest for launch in first.launches] == [plan.program.body]


def test_a_table_that_is_too_long_is_not_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any row of it is listed; a table that is listed says how far that is."""
    problem = Problem(n=8, d=16, degree=2, coefficients=minimax_exp(2, 1.0).coefficients)
    plan = REGISTERED["approx"].best(problem, 150)  # five blocks between the first and the last
    (table,) = {s.table for s in walk(plan.program.body) if isinstance(s, TableLoop) and s.table.row_count > 2}
    fractions: list[float] = []
    lower(plan.program, plan.sizes, progress=lambda _what, fraction: fractions.append(fraction))
    assert {number / table.row_count for number in range(1, table.row_count + 1)} <= set(fractions)
    assert max(fractions) == 1
    monkeypatch.setattr("iosim.interpret.triton._MOST_LISTED", 10)
    monkeypatch.setattr(type(table), "rows", None)
    with pytest.raises(
        NotLowerable, match=r"can't lower `for .*`: its table lists [0-9,]+ numbers; allowed: at most 10$"
    ):
        lower(plan.program, plan.sizes)
