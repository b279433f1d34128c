"""One run to its verdict: each check holds when it should, and fails when what it is about is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, replace

import numpy as np
import pytest

from iosim.algorithm import Algorithm
from iosim.api import run
from iosim.errors import UsageError
from iosim.numeric.check import ExactRows
from iosim.numeric.differences import sampled
from iosim.numeric.input_files import load_input
from iosim.numeric.inputs import from_arrays, random_input
from iosim.ops import OPS, Op
from iosim.plan import Form, Plan
from iosim.problem import Problem
from iosim.program import Compute, Loop, Program, Statement, TableLoop
from iosim.registry import algorithms, find
from iosim.runs.checks import Check
from iosim.runs.verdict import data_and_reference
from iosim.tiled import Tiled
from tests.needs import needs
from tests.small_runs import HEAD, failing, small

CHECKS = [
    "legal schedule",
    "count equals closed form",
    "count at least each lower bound",
    "peak equals claim",
    "error within its bound",
]
METHOD = "result is the method's"
POLYNOMIAL = "result is the polynomial's"


@dataclass(frozen=True, kw_only=True)
class Changed(Algorithm):
    """Another algorithm, each of whose plans is changed."""

    of: Algorithm
    program: object = None  # of a program to a program
    words: int = 0  # added to the claimed traffic
    peak: int = 0  # added to the claimed peak

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        for plan in self.of.plans(problem, capacity):
            yield replace(
                plan,
                program=self.program(plan.program) if callable(self.program) else plan.program,
                closed_form=plan.closed_form + self.words,
                claimed_peak_words=plan.claimed_peak_words + self.peak,
            )

    def least_capacity(self, problem: Problem) -> int:
        return self.of.least_capacity(problem)

    def forms(self) -> tuple[Form, ...]:
        return self.of.forms()


def changed(name: str, **changes: object) -> Changed:
    """The registered algorithm of that name with a mistake."""
    of = find(name)
    return Changed(
        name=of.name,
        summary=of.summary,
        source=of.source,
        approximate=of.approximate,
        of=of,
        **changes,  # type: ignore[arg-type]
    )


def with_op(old: str, new: Op | None) -> object:
    """Puts another operation in the place of every `old` in a program; none if `new` is None."""

    def body(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for statement in statements:
            match statement:
                case Compute(op=op) if op.name == old:
                    if new is not None:
                        found.append(replace(statement, op=new))
                case Loop() | TableLoop():
                    found.append(replace(statement, body=body(statement.body)))
                case _:
                    found.append(statement)
        return tuple(found)

    def program(program: Program) -> Program:
        here = replace(program, body=body(program.body))
        assert here != program, f"{program.name} has no {old}"
        return here

    return program


# What holds


@pytest.mark.parametrize("name", algorithms())
@pytest.mark.parametrize(("n", "d", "M"), [(90, 6, 2000), (1, 1, 100), (2, 1, 100), (7, 3, 90), (97, 5, 400)])
def test_every_registered_algorithm_passes_every_check(name: str, n: int, d: int, M: int) -> None:
    """Legal, counted as claimed, with the claimed peak, and right within the proved bound; ragged sizes included."""
    result = run(name, n=n, d=d, M=M, **needs(name))  # type: ignore[arg-type]
    assert failing(result) == []
    algorithm = find(name)
    own = [METHOD if algorithm.method else POLYNOMIAL] if algorithm.approximate else []
    assert result.numeric is not None
    last = CHECKS[4:] if result.numeric.proved else ["result is finite"]
    assert result.numeric.proved or algorithm.method is not None
    assert [check.name for check in result.checks] == [*CHECKS[:4], *own, *last]
    assert result.peak_words <= M
    assert result.verdict.startswith("every check holds")


def test_counts_of_a_run_add_up() -> None:
    """Words by array sum to loads and stores, those to the traffic, and that is the claim."""
    result = small("flash1")
    assert result.loads_words == sum(result.loads.values())
    assert result.stores_words == sum(result.stores.values())
    assert result.io_words == result.loads_words + result.stores_words == result.closed_form_words
    assert result.payoff.words == result.io_words


# Mutants


def test_a_wrong_closed_form_fails_its_check() -> None:
    """One word more than is counted."""
    result = small(changed("flash2", words=1))
    assert failing(result) == ["count equals closed form"]
    assert f"{result.io_words:,} words counted, {result.io_words + 1:,} claimed" in result.checks[1].found


def test_a_wrong_peak_fails_its_check() -> None:
    """One word less than is live."""
    result = small(changed("standard", peak=-1))
    assert failing(result) == ["peak equals claim"]
    assert result.verdict == "peak equals claim FAILS"


def test_several_failing_checks_are_all_named() -> None:
    """The verdict lists what fails."""
    result = small(changed("flash2", words=-5, peak=2))
    assert failing(result) == ["count equals closed form", "peak equals claim"]
    assert result.verdict == "count equals closed form, peak equals claim FAIL"


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("flash2", "divide_rows"),  # forgets to divide by the row sum
        ("standard", "divide_by_sqrt"),  # forgets to scale
    ],
)
def test_an_operation_left_out_fails_the_numeric_check_and_only_that(name: str, op: str) -> None:
    """Traffic, peak and the rules don't see it: the result does."""
    result = small(changed(name, program=with_op(op, None)))
    assert failing(result) == ["error within its bound"]
    assert result.numeric is not None
    assert result.numeric.max_abs_error > result.numeric.error_bound


@pytest.mark.parametrize("name", ["approx", "approx-resident"])
def test_an_approximation_other_than_the_claimed_one_fails_though_its_error_is_small(name: str) -> None:
    """Without the coefficients the error may still be below the bound; but it is not the polynomial that was claimed."""
    result = small(changed(name, program=with_op("weigh_features", None)))
    assert failing(result) == [POLYNOMIAL]
    assert result.numeric is not None
    assert result.numeric.method_error is not None
    assert result.numeric.method_error > 1e-4


@pytest.mark.parametrize("name", ["flash2", "flash2-backward", "looped-block-order"])
def test_what_is_not_compared_is_not_said_to_be_the_same(name: str) -> None:
    """Only an approximation of attention is held against its own definition too; for others nothing is claimed."""
    result = small(name)
    assert result.numeric is not None
    assert (result.numeric.is_method, result.numeric.method_error, result.numeric.method_bound) == (None, None, None)
    assert [check.name for check in result.checks if check.name.startswith("result is the")] == []
    assert result.computes == find(name).computes
    assert result.holds


def test_one_head_that_is_wrong_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rounding is known of the first head only, it decides nothing if it is right, and fails if it is wrong."""
    from iosim.numeric import check as numeric

    bounds = numeric._bounds
    for factor, said in ((1.0, None), (0.0, False)):
        known = [factor, math.inf]

        def changed_bounds(*given: object, known: list[float] = known) -> object:
            found = bounds(*given)  # type: ignore[arg-type]
            return replace(found, rounding=found.rounding * known.pop(0))

        monkeypatch.setattr(numeric, "_bounds", changed_bounds)
        result = small("approx", heads=2)
        assert result.numeric is not None
        assert result.numeric.is_method is said
        assert (POLYNOMIAL in [check.name for check in result.checks]) == (said is not None)


def test_a_result_that_is_wrong_in_the_tenth_digit_fails_the_numeric_check() -> None:
    """The bound for exact algorithms is rounding, so an operation that is off by 1e-9 shows."""

    def almost(o: np.ndarray, l: np.ndarray) -> None:
        o /= l[:, None] * (1 + 1e-9)

    assert failing(
        small(changed("flash2", program=with_op("divide_rows", replace(OPS["divide_rows"], numpy=almost))))
    ) == ["error within its bound"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_word_that_is_not_finite_fails_the_numeric_check_in_whatever_row(value: float) -> None:
    """Even in a row that is not in the sample; the JSON has null for what is no number."""

    def poisons(o: np.ndarray, l: np.ndarray) -> None:
        o /= l[:, None]
        o[len(o) // 2] = value

    wrong = changed("flash2", program=with_op("divide_rows", replace(OPS["divide_rows"], numpy=poisons)))
    result = small(wrong, rows=2)
    assert failing(result) == ["error within its bound"]
    assert result.checks[-1].found.startswith("not finite, ")
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["numeric"]["max_abs_error"] is None


def test_a_head_outside_its_own_bound_fails_though_another_head_has_a_wider_one() -> None:
    """With several heads each is held to its own bound."""
    one, two = (random_input(40, 6, logit_bound=bound) for bound in (1.0, 1.0))
    data = from_arrays(
        np.concatenate([one.Q, two.Q]), np.concatenate([one.K, two.K]), np.concatenate([one.V, 1e9 * two.V])
    )

    def shifted(o: np.ndarray, l: np.ndarray) -> None:
        o /= l[:, None]
        o += 1e-6  # far outside the bound of the first head, far inside that of the second

    wrong = changed("flash2", program=with_op("divide_rows", replace(OPS["divide_rows"], numpy=shifted)))
    result = run(wrong, input=data, M=2000)
    assert result.numeric is not None
    assert result.numeric.max_abs_error < result.numeric.error_bound
    assert failing(result) == ["error within its bound"]


def test_an_illegal_schedule_fails_and_is_not_executed() -> None:
    """A leak: the violation is named with its place, and nothing is computed with an illegal program."""

    def leaks(program: Program) -> Program:
        (at, loop), *_ = ((i, s) for i, s in enumerate(program.body) if isinstance(s, Loop))
        short = replace(loop, body=loop.body[:-1])  # the last `free` of the row tile
        return replace(program, body=(*program.body[:at], short, *program.body[at + 1 :]))

    result = small(changed("flash2", program=leaks))
    assert failing(result)[0] == "legal schedule"
    assert "leak" in result.checks[0].found
    assert "loop i" in result.checks[0].found
    assert result.numeric is None
    assert not result.legal
    assert "the result is not computed: the schedule is not legal" in result.notes
    assert result.to_dict()["violations"] == [str(violation) for violation in result.violations]


def test_tiles_that_overflow_break_one_rule_only_and_the_result_is_still_computed() -> None:
    """The published tiles of FlashAttention at small M: the factor is said, the result is right all the same."""
    result = run("flash1", n=200, d=64, M=3000, tiles="paper")
    assert failing(result) == ["legal schedule"]
    assert result.checks[0].found.endswith(f"; the peak is {result.peak_words / 3000:.4g} M")
    assert result.numeric is not None
    assert result.numeric.within_bound


# Requests


def test_a_run_can_not_be_changed() -> None:
    """Results are frozen, and so are their checks."""
    result = small("flash2", numeric=False)
    with pytest.raises(FrozenInstanceError):
        result.peak_words = 0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        result.checks[0].holds = False  # type: ignore[misc]
    assert isinstance(result.checks[0], Check)


@pytest.mark.parametrize("name", algorithms())
def test_the_dict_of_a_run_is_plain_json(name: str) -> None:
    """Numbers, text, booleans, null, and lists and objects of those; words and bytes agree."""
    found = small(name, dtype="fp32").to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["fast_memory_bytes"] == 8000
    assert found["io_bytes"] == 4 * found["io_words"]  # type: ignore[operator]


def test_fast_memory_may_be_words_or_text() -> None:
    """In Python M is a number of words, or a size as on the command line."""
    assert small("flash2", M="4000B", numeric=False) == small("flash2", M=2000, numeric=False)


@pytest.mark.parametrize(("n", "rows", "checked"), [(90, None, 90), (90, 7, 7), (90, 1000, 90), (5000, None, 256)])
def test_as_many_rows_are_compared_as_asked_for(n: int, rows: int | None, checked: int) -> None:
    """All rows up to n = 4096, else 256; or as many as asked for."""
    result = small("flash2", n=n, rows=rows, M=20_000)
    assert result.numeric is not None
    assert (result.numeric.rows_checked, result.numeric.rows) == (checked, n)


def test_explicit_tiles_are_used_as_given() -> None:
    """The count is that of these tiles, not of better ones."""
    result = small("flash2", tiles={"B_r": 4}, numeric=False)
    assert result.plan.tiles == {"B_r": 4}
    assert result.io_words == 2 * 90 * 6 + 2 * 90 * 6 * 23  # 22 full row tiles and a ragged one


@dataclass(frozen=True, kw_only=True)
class OnlyExplicit(Changed):
    """Chooses tiles for as many keys as queries only, but takes those that are given."""

    def plans(self, problem: Problem, capacity: int) -> Iterator[Plan]:
        assert problem.n_k == problem.n
        return self.of.plans(problem, capacity)

    def explicit(self, problem: Problem, tiles: Mapping[str, int]) -> Plan:
        return self.of.explicit(problem, tiles)


def test_no_other_schedule_is_looked_for_where_none_can_be_chosen() -> None:
    """Tiles may be given for a problem for which an algorithm chooses none itself; then it isn't asked for others."""
    of = find("flash2")
    algorithm = OnlyExplicit(name="own", summary=of.summary, source=of.source, of=of)
    assert small(algorithm, n_k=80, tiles={"B_r": 4}, numeric=False).others == ()
    assert small(algorithm, tiles={"B_r": 4}, numeric=False).others != ()


def test_less_than_the_least_fast_memory_names_it_and_the_least_is_enough() -> None:
    """The error names the smallest feasible M; with it the run goes through, with one word less it does not."""
    for name in algorithms():
        with pytest.raises(UsageError, match=r"needs at least [\d,]+ words of fast memory") as error:
            small(name, M=1)
        least = int(str(error.value).split("needs at least ")[1].split(" words")[0].replace(",", ""))
        assert small(name, M=least).holds
        with pytest.raises(UsageError, match=f"^--M {least - 1}: {name} at d=6.* needs at least {least:,} words"):
            small(name, M=least - 1)


# Too large to execute


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"n": 20_000, "max_flops": 1e3}, "(--max-flops)"),
        ({"algo": "approx", "n": 2**30, "d": 1, "degree": 1, "M": 50}, "GiB in float64, the limit is 6 GiB"),
        ({"algo": "approx", "n": 9, "d": 40, "degree": 6, "M": 200_000}, "features, the limit is 5,000,000"),
        ({"algo": "approx", "n": 9, "d": 40, "degree": 5, "M": 60}, "iterations of loops in Python"),
    ],
)
def test_what_is_too_large_is_counted_but_not_computed(options: dict[str, object], reason: str) -> None:
    """Work, memory, features and Python loops each have a limit; the counts stand, and the note says which."""
    given = {"algo": "flash2", "d": 6, "M": 2000, **options}
    result = run(**given)  # type: ignore[arg-type]
    assert result.holds
    assert result.numeric is None
    assert any(note.startswith("the result is not computed: ") and reason in note for note in result.notes), (
        result.notes
    )
    assert "the result was not computed" in result.verdict


def test_progress_is_reported_while_it_computes() -> None:
    """The callback hears what is going on, with a fraction from 0 to 1."""
    heard: list[tuple[str, float]] = []
    run("flash2", input=load_input(HEAD), M=8000, progress=lambda what, fraction: heard.append((what, fraction)))
    assert list(dict.fromkeys(what for what, _ in heard)) == [
        "measuring the logits",
        "choosing tiles",
        "checking each rule",
        "computing",
        "comparing with float64 attention",
        "comparing with other schedules",
    ]
    assert all(0 <= fraction <= 1 for _, fraction in heard)
    assert {("checking each rule", 0.0), ("comparing with other schedules", 0.0)} <= set(heard)  # as they begin


def test_random_data_are_what_the_request_describes() -> None:
    """Seeded, of the problem's sizes and heads, with V in K if it is tied, and with the logits asked for, 1 if none are."""
    problem = Problem(n=5, n_k=7, d=3, d_v=2, kv_heads=2, group=3, tied=True)
    for asked, bound in ((3.0, 3.0), (None, 1.0)):
        data, exact = data_and_reference(problem, None, asked, 8, 4)
        expected = random_input(5, 3, n_k=7, d_v=2, heads=6, group=3, tied=True, logit_bound=bound, seed=8)
        for found, said in zip((data.Q, data.K, data.V), (expected.Q, expected.K, expected.V), strict=True):
            np.testing.assert_array_equal(found, said)
        assert np.array_equal(exact.of(0), ExactRows(expected, problem, sampled(5, 4, 8)).of(0))
        assert data_and_reference(problem, data, None, 8, 4)[0] is data


def test_schedules_of_a_short_name_are_told_apart() -> None:
    """`exact` names the algorithm that it chose."""
    assert small("exact", numeric=False).schedule == "flash2 cached"
    assert small("flash2", numeric=False).schedule == "cached"
    assert isinstance(find("flash2"), Tiled)
