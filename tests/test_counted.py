"""Generated kernels in Triton's interpreter: what they load and store is what their program moves, array by array."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import CAUSAL, FULL, Mask, Problem
from iosim.algorithm import Algorithm
from iosim.approximation.minimax import minimax_exp
from iosim.errors import ExecutionError, UsageError
from iosim.expr import evaluate_int
from iosim.interpret.count import count
from iosim.interpret.execute import execute
from iosim.interpret.triton import Kernels, lower
from iosim.lowering.ask import KernelRun, kernel_run
from iosim.lowering.counted import run_counted
from iosim.plan import Plan
from iosim.program import Program
from iosim.registry import algorithms
from iosim.units import DTYPES
from tests.lowered import NOT_LOWERED, OWN, plans_of, small
from tests.strategies import programs, sizes

REGISTERED = algorithms()


def kernels(
    name: str,
    n: int,
    d: int,
    *,
    M: int | None = None,
    tiles: Mapping[str, int] | None = None,
    dtype: str = "fp32",
    degree: int | None = None,
    **problem: object,
) -> KernelRun:
    """The kernels of an algorithm, run and counted."""
    algorithm = REGISTERED[name]
    shape = Problem(n=n, d=d, **problem) if degree is None else polynomial(n, d, degree, **problem)  # type: ignore[arg-type]
    return kernel_run(
        algorithm,
        algorithm.settled(shape),
        word=DTYPES[dtype],
        capacity=M,
        tiles=tiles or "best",
        counts=True,
    )


def schedule(name: str, wanted: str, problem: Problem, M: int) -> KernelRun:
    """The kernels of one schedule of an algorithm, whether or not it is the best one."""
    algorithm = REGISTERED[name]
    (plan,) = (plan for plan in algorithm.plans(problem, M) if plan.schedule == wanted)
    return of_plan(algorithm, problem, plan)


def of_plan(algorithm: Algorithm, problem: Problem, plan: Plan) -> KernelRun:
    class Only(type(algorithm)):  # type: ignore[misc]
        def plans(self, _problem: Problem, _capacity: int) -> Iterator[Plan]:
            yield plan

    only = Only(**{name: getattr(algorithm, name) for name in algorithm.__dataclass_fields__})
    return kernel_run(only, problem, word=DTYPES["fp32"], capacity=2**40, counts=True)


def polynomial(n: int, d: int, degree: int, **problem: object) -> Problem:
    coefficients = minimax_exp(degree, 1.0).coefficients
    return Problem(n=n, d=d, degree=degree, coefficients=coefficients, **problem)  # type: ignore[arg-type]


def agrees(run: KernelRun) -> None:
    """Counts are equal, array by array, and values are right to rounding."""
    assert run.counted is not None
    assert dict(run.counted.loads) == dict(run.loads)
    assert dict(run.counted.stores) == dict(run.stores)
    assert run.error is not None
    assert run.error <= run.allowed_error


CASES: dict[str, Callable[[], KernelRun]] = {
    # powers of two that divide: no masks. Then ragged tiles and lengths that are no powers of two.
    "flash2": lambda: kernels("flash2", 64, 16, tiles={"B_r": 32, "B_c": 16}),
    "flash2 ragged": lambda: kernels("flash2", 50, 20, tiles={"B_r": 24, "B_c": 11}),
    "flash2 pieces of rows": lambda: kernels("flash2", 20, 12, tiles={"B_r": 9, "B_c": 8, "e": 5, "e_v": 7}),
    "flash2 word by word": lambda: kernels("flash2", 5, 3, tiles={"B_r": 3, "B_c": 1, "e": 1, "e_v": 1}),
    "flash2 cached": lambda: kernels("flash2", 30, 8, tiles={"B_r": 9, "C": 7, "B_c": 6}),
    "flash2 causal": lambda: kernels("flash2", 64, 16, mask=CAUSAL, tiles={"B_r": 32, "B_c": 16}),
    "flash2 causal ragged, more keys": lambda: kernels(
        "flash2", 45, 9, n_k=57, d_v=5, mask=CAUSAL, tiles={"B_r": 20, "B_c": 13}
    ),
    "flash2 window": lambda: kernels("flash2", 40, 8, mask=Mask(back=6, ahead=2), tiles={"B_r": 12, "B_c": 8}),
    "flash2 heads that share keys": lambda: kernels(
        "flash2", 20, 8, kv_heads=2, group=3, mask=CAUSAL, tiles={"B_r": 7, "B_c": 9}
    ),
    "flash2 fp16": lambda: kernels("flash2", 50, 20, dtype="fp16", tiles={"B_r": 24, "B_c": 10}),
    "flash1": lambda: kernels("flash1", 50, 12, tiles={"B_c": 18}),
    "flash1 heads": lambda: kernels("flash1", 20, 8, kv_heads=2, dtype="fp16", tiles={"B_c": 9}),
    "standard": lambda: kernels("standard", 50, 12, M=700),
    "standard two sweeps, heads": lambda: schedule("standard", "two sweeps", Problem(n=18, d=6, kv_heads=2), 40),
    "approx resident": lambda: kernels("approx", 50, 6, degree=2, M=2000),
    "approx resident, degree 3, fp16": lambda: kernels("approx", 30, 5, degree=3, M=2000, dtype="fp16"),
    "approx blocked": lambda: kernels("approx", 30, 6, degree=2, M=70),
    "approx blocked, degree 3": lambda: kernels("approx", 17, 4, degree=3, M=30),
    "approx causal": lambda: kernels("approx", 12, 5, degree=2, M=80, mask=CAUSAL, tiles={"B": 6}),
    "approx leftover": lambda: schedule("approx", "leftover", polynomial(20, 4, 2), 70),
    "approx passes": lambda: schedule("approx", "passes", polynomial(20, 4, 2), 35),
    "approx w-stationary": lambda: schedule("approx", "w-stationary", polynomial(9, 4, 2), 30),
    "approx q-stationary": lambda: schedule("approx", "q-stationary", polynomial(9, 4, 2), 30),
    "backward": lambda: kernels("flash2-backward", 40, 12, tiles={"B_c": 18}),
    "backward causal": lambda: kernels("flash2-backward", 40, 12, mask=CAUSAL, tiles={"B_c": 18}),
    "backward heads": lambda: kernels("flash2-backward", 20, 8, kv_heads=2, tiles={"B_c": 9}),
}


@pytest.mark.parametrize("name", CASES)
def test_kernels_move_what_the_program_moves(name: str) -> None:
    """Loads and stores of each array are exactly those of the count; the outputs are those of the program."""
    agrees(CASES[name]())


@settings(max_examples=4, deadline=None)
@given(st.data())
def test_kernels_of_any_sizes_move_what_the_program_moves(data: st.DataObject) -> None:
    """flash2 at random lengths, masks and tiles."""
    n, d, d_v = (data.draw(st.integers(1, most)) for most in (30, 20, 20))
    mask = data.draw(st.sampled_from([FULL, CAUSAL, Mask(back=5, ahead=0)]))
    n_k = n + data.draw(st.integers(0, 20))
    tiles = {"B_r": data.draw(st.integers(-(-n // 4), n)), "B_c": data.draw(st.integers(-(-n_k // 4), n_k))}
    agrees(kernels("flash2", n, d, n_k=n_k, d_v=d_v, mask=mask, tiles=tiles))


@settings(max_examples=8, deadline=None)
@given(programs(), sizes(most=7, steps=4))
def test_random_programs_and_their_kernels_do_the_same(program: Program, values: dict[str, int]) -> None:
    """Programs of any shape: loops in loops, views, tables, lookups, scratch arrays; counts are equal, values close."""
    made = lower(program, values)
    random = np.random.default_rng(0)
    inputs = {p.name: random.uniform(-1, 1, p.shape) for p in made.parameters if p.role == "input"}
    counted, expected = run_counted(made, inputs), count(program, values)
    for found, wanted in ((counted.loads, expected.loads), (counted.stores, expected.stores)):
        assert dict(found) == {name: evaluate_int(x, {}) for name, x in wanted.items() if evaluate_int(x, {})}
    with np.errstate(all="ignore"):
        outputs = execute(program, values, inputs)
    for name, array in outputs.items():
        np.testing.assert_allclose(counted.outputs[name], array, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OWN if name not in NOT_LOWERED])
def test_kernels_of_every_algorithm_move_what_the_program_moves(name: str) -> None:
    """Each schedule of each registered algorithm that lowers; the values of those whose inputs are not arbitrary too."""
    algorithm = REGISTERED[name]
    problem = small(name)
    if name == "approx-decoding":
        problem = replace(problem, n=9, n_k=9)
    for plan in plans_of(algorithm, problem):
        agrees(of_plan(algorithm, problem, plan))


def attention(Q: np.ndarray, K: np.ndarray, V: np.ndarray, dtype: type) -> np.ndarray:  # type: ignore[type-arg]
    """Softmax attention with scores, probabilities and results rounded to `dtype`, as where each is stored."""
    scores = ((Q @ K.T) / np.sqrt(Q.shape[1])).astype(dtype).astype(np.float64)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(dtype).astype(np.float64)
    return (weights @ V).astype(dtype).astype(np.float64)


@pytest.mark.parametrize("name", ["flash2", "flash1", "standard"])
def test_kernels_with_16_bit_data_are_as_accurate_as_attention_in_it(name: str) -> None:
    """fp16 inputs, fp32 sums: the error is at most twice that of attention with fp16 scores and weights, and 1e-3."""
    tiles = {"flash2": {"B_r": 24, "B_c": 16}, "flash1": {"B_c": 18}, "standard": None}[name]
    run = kernels(name, 50, 16, dtype="fp16", tiles=tiles, M=1000)
    random = np.random.default_rng(1)
    rounded = {x: random.standard_normal((50, 16)).astype(np.float16).astype(np.float64) for x in "QKV"}
    exact, low = (attention(**rounded, dtype=kind) for kind in (np.float64, np.float16))
    found = run_counted(run.kernels, rounded).outputs["O"].astype(np.float64)
    assert np.abs(found - exact).max() <= 2 * np.abs(low - exact).max() + 1e-3


def rerun(run: KernelRun, source: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Loads and stores of kernels with another source."""
    random = np.random.default_rng(0)
    changed: Kernels = replace(run.kernels, source=source)
    inputs = {p.name: random.uniform(-1, 1, p.shape) for p in changed.parameters if p.role == "input"}
    counted = run_counted(changed, inputs)
    return counted.loads, counted.stores


def without_mask(source: str, array: str) -> str:
    """The first load of the array moves padding too."""
    changed = re.sub(rf"(tl\.load\({array}_ptr.*), mask=.*, other=0\.0\)", r"\1)", source, count=1)
    assert changed != source
    return changed


def twice(source: str, array: str) -> str:
    """The loads of the array happen twice."""
    changed = re.sub(rf"^( *)(\w+)( = tl\.load\({array}_ptr.*)$", r"\1\2\3\n\1\2\3", source, flags=re.MULTILINE)
    assert changed != source
    return changed


def test_a_lowering_with_a_mistake_is_caught() -> None:
    """A mask that is dropped loads more, or beyond the array; a load that is done twice doubles the count."""
    run = CASES["flash2 ragged"]()
    # a column mask of 20 of 32 columns; the row beyond the last is not there
    with pytest.raises(ExecutionError, match="outside its arrays"):
        rerun(run, without_mask(run.source, "K"))
    loads, stores = rerun(run, twice(run.source, "V"))
    assert loads == {**run.loads, "V": 2 * run.loads["V"]}
    assert stores == run.stores
    # rows of Q beyond those of the tile are there, but in the last tile: n = 64, tiles of 24 in blocks of 32
    inside = kernels("flash2", 48, 16, tiles={"B_r": 24, "B_c": 16})
    with pytest.raises(ExecutionError, match="outside its arrays"):
        rerun(inside, without_mask(inside.source, "Q"))
    more = re.sub(
        r"mask=\(tl.arange\(0, 32\) < 24\)\[:, None\], other",
        "mask=(tl.arange(0, 32) < 24 - pid)[:, None], other",
        inside.source,
    )
    assert rerun(inside, more)[0] == {**inside.loads, "Q": (24 + 23) * 16}


def test_what_is_not_computed_shows() -> None:
    """An output word that no kernel stores is NaN, which no comparison takes for a value."""
    run = CASES["flash2"]()
    nothing = re.sub(r"^( *)tl\.store\(.*$", r"\1pass", run.source, flags=re.MULTILINE)
    changed = replace(run.kernels, source=nothing)
    zeros = {p.name: np.zeros(p.shape) for p in changed.parameters if p.role == "input"}
    assert np.isnan(run_counted(changed, zeros).outputs["O"]).all()


def test_inputs_must_be_there_and_fit() -> None:
    """Errors name the array and its shape; bf16, which the interpreter multiplies wrongly, is refused."""
    run = CASES["flash2"]()
    inputs = {name: np.zeros((64, 16)) for name in "QK"}
    with pytest.raises(ExecutionError, match=r"input V is missing, its shape is \[64, 16\]"):
        run_counted(run.kernels, inputs)
    with pytest.raises(ExecutionError, match=r"V is \[16, 64\], declared as \[64, 16\]"):
        run_counted(run.kernels, {**inputs, "V": np.zeros((16, 64))})
    with pytest.raises(UsageError, match="bf16 wrongly; allowed: fp32, fp16"):
        kernels("flash2", 64, 16, dtype="bf16", tiles={"B_r": 32})
