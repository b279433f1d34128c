"""Methods that are no polynomials: settings, what is made before the program starts, errors measured, and one function."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from algorithms.performer import performer
from iosim.api import run
from iosim.approximation.measure import exact_rows, measure
from iosim.cli import main
from iosim.errors import UsageError
from iosim.method import AttentionMethod
from iosim.numeric.inputs import from_arrays, random_input
from iosim.numeric.reference import softmax_attention
from iosim.problem import Problem
from iosim.registry import algorithms, find

WITH_METHOD = [name for name, algorithm in algorithms().items() if algorithm.method]
METHOD = performer.method
assert METHOD is not None


def test_settings_are_completed_by_default_and_as_far_as_an_axis_allows() -> None:
    """What is not given is the default; `complete` keeps a number within its axis, `checked` refuses one beyond."""
    assert performer.settled(Problem(n=9, d=4)).settings == (("features", 256), ("seed", 0))
    assert METHOD is not None
    narrow = replace(METHOD, options=(replace(METHOD.options[0], axis="d"),))
    assert narrow.complete(Problem(n=9, d=4)).settings == (("features", 4),)
    with pytest.raises(UsageError, match="--set features=5: allowed for x: whole numbers from 1 to d=4"):
        narrow.checked(Problem(n=9, d=4), {"features": 5}, name="x")


@pytest.mark.parametrize(
    ("algo", "text", "message"),
    [
        ("performer", "windows=3", "performer has no such setting; allowed: features, seed"),
        ("performer", "features=0", "allowed for performer: whole numbers from 1 to 2^50"),
        ("performer", "features", "--set features: allowed: like features=256, with a whole number from 0"),
        ("performer", "seed=1,seed=2", "--set seed=2: seed is given twice"),
        ("flash2", "features=3", "flash2 has no settings"),
        ("approx", "degree=3", "approx has a polynomial, chosen by --degree or --eps"),
    ],
)
def test_settings_that_there_are_not_are_refused(algo: str, text: str, message: str) -> None:
    """One line that says what was found and what is allowed, and exit code 2."""
    result = CliRunner().invoke(main, ["run", "--algo", algo, "--n", "8", "--d", "4", "--M", "500w", "--set", text])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --set ")
    assert message in result.stderr


def test_a_method_takes_no_polynomial() -> None:
    """Degree and eps are for polynomials; the error names the settings that there are."""
    told = r"--degree 2: performer has no polynomial, but the settings features, seed \(--set\)"
    with pytest.raises(UsageError, match=told):
        run("performer", n=8, d=4, M=500, degree=2)


def test_the_settings_are_in_the_report_the_json_and_the_list() -> None:
    """`--set` on the command line: what was asked for and what is so by default, measured errors, no proved bound."""
    command = ["run", "--algo", "performer", "--n", "9", "--d", "4", "--M", "500w", "--set", "features=6"]
    text = CliRunner().invoke(main, command)
    assert text.exit_code == 0
    assert "settings     features = 6, seed = 0" in text.stdout
    assert "in relative Frobenius norm" in text.stdout
    assert "its error has no proved bound" in text.stdout
    found = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert found["settings"] == {"features": 6, "seed": 0}
    assert found["numeric"]["error_bound"] is None
    assert found["numeric"]["max_abs_error"] > 0
    assert 0 < found["numeric"]["relative_frobenius_error"] < 1
    assert found["checks"]["result is the method's"]
    assert "features = 256: random features m; 1 to 2^50" in CliRunner().invoke(main, ["list"]).stdout
    listed = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)
    assert listed["performer"]["settings"]["features"]["default"] == 256
    assert listed["flash2"]["settings"] == {}


def test_measured_errors_are_the_differences_from_softmax_attention() -> None:
    """The greatest difference and the ratio of Frobenius norms, over both heads, computed here once more."""
    data = random_input(20, 4, heads=2, logit_bound=2.0, seed=3)
    found = measure("performer", data, M=400, settings={"features": 5, "seed": 1})
    assert METHOD is not None
    heads = list(METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, {"features": 5, "seed": 1}))
    O = np.stack([METHOD.reference(head, np.arange(20)) for head in heads])
    right = np.stack([softmax_attention(*arrays) for arrays in zip(data.Q, data.K, data.V, strict=True)])
    assert found.max_abs_error == pytest.approx(np.abs(O - right).max(), rel=1e-9)
    assert found.relative_error == pytest.approx(np.linalg.norm(O - right) / np.linalg.norm(right), rel=1e-9)
    assert found.is_method
    # two heads: Q, K, V and O and 5 random vectors of 4 words each
    assert found.io_words == 2 * (4 * 20 * 4 + 5 * 4)


def test_a_polynomial_is_measured_in_the_same_way_with_its_proved_bound() -> None:
    """The degree is its setting; exact attention may be computed once for several calls."""
    data = random_input(20, 4, logit_bound=1.0)
    exact = exact_rows(data)
    coarse, fine = (measure("approx", data, M=900, settings={"degree": g}, exact=exact) for g in (1, 3))
    assert (coarse.settings, fine.settings) == ({"degree": 1}, {"degree": 3})
    assert fine.relative_error < coarse.relative_error
    assert fine.error_bound is not None
    assert fine.max_abs_error <= fine.error_bound
    assert measure("approx", data, M=900, settings={"degree": 3}).max_abs_error == fine.max_abs_error
    with pytest.raises(UsageError, match="--set features=3: approx has a polynomial"):
        measure("approx", data, M=900, settings={"features": 3})


def test_exact_algorithms_are_measured_too() -> None:
    """Their error is rounding."""
    assert measure("flash2", random_input(20, 4), M=100).max_abs_error < 1e-14


def test_a_result_that_is_not_the_methods_fails_its_check() -> None:
    """Random vectors of another seed than the formula's: about as good an approximation, and caught."""

    def other(method: AttentionMethod) -> AttentionMethod:
        return replace(method, reference=lambda head, rows: method.reference(_reversed(head), rows))

    def _reversed(head):  # type: ignore[no-untyped-def]
        return replace(head, extra={"Omega": head.extra["Omega"][:, ::-1]})

    assert METHOD is not None
    mutant = replace(performer, method=other(METHOD))
    result = run(mutant, n=30, d=4, M=500, set={"features": 8})
    assert [check.name for check in result.checks if not check.holds] == ["result is the method's"]


def test_a_bound_that_is_exceeded_fails_its_check() -> None:
    """A method that claims a bound is held to it."""
    assert METHOD is not None
    for bound, holds in ((10.0, True), (1e-6, False)):
        mutant = replace(performer, method=replace(METHOD, bound=lambda _head, _rows, bound=bound: bound))  # type: ignore[misc]
        result = run(mutant, n=30, d=4, M=500, set={"features": 8})
        assert result.checks[-1].name == "error within its bound"
        assert result.holds == holds


@pytest.mark.parametrize("name", WITH_METHOD)
def test_what_is_made_before_the_program_is_the_same_for_the_same_seed_and_differs_between_heads(name: str) -> None:
    """Random numbers come from the seed and the head alone."""
    method = find(name).method
    assert method is not None
    data = random_input(12, 4, heads=2, seed=5)
    given = {"Q": data.Q, "K": data.K, "V": data.V}
    problem = method.complete(Problem(n=12, d=4))
    sizes = {**problem.sizes, "seed": 3}
    once, again, other = (method.layout(given, {**sizes, "seed": seed}) for seed in (3, 3, 4))
    for key, array in once.items():
        assert (array == again[key]).all()
        assert len(array) == 2
    if any(option.name == "seed" for option in method.options):
        changed = [key for key in once if key not in given and (once[key] != other[key]).any()]
        assert changed
        assert any((once[key][0] != once[key][1]).any() for key in changed)
    alone = method.layout({key: array[0] for key, array in given.items()}, sizes)
    assert all((alone[key] == once[key][0]).all() for key in alone)


# Performer


def test_the_words_of_a_small_case_by_hand() -> None:
    """5 queries, 7 keys, d = 2, d_v = 3, 4 features in each of the three schedules."""
    problem = Problem(n=5, n_k=7, d=2, d_v=3, settings=(("features", 4), ("seed", 0)))
    passing = performer.explicit(problem, {"B_c": 3, "B_r": 2}).count()
    once = {"Q": 10, "K": 14, "V": 21}
    assert passing.loads == {**once, "Omega": 8 * (3 + 3)}  # ceil(7/3) tiles of keys, ceil(5/2) of queries
    sweeps = performer.explicit(problem, {"B_f": 2, "B_r": 3}).count()
    # two tiles of features; two of queries, each with Omega and the 4 * 3 + 4 sums
    assert sweeps.loads == {"Q": 10, "K": 28, "V": 42, "Omega": 8 + 2 * 8, "S": 24, "s": 8}
    assert sweeps.stores == {"O": 15, "S": 12, "s": 4}
    resident = performer.explicit(problem, {}).count()
    assert resident.loads == {**once, "Omega": 8}


def test_rows_of_a_block_are_orthogonal_and_as_long_as_normal_vectors() -> None:
    """Within a block of d rows the angles are right; the mean square of the lengths is about d."""
    assert METHOD is not None
    data = random_input(3, 8)
    (head,) = METHOD.heads({"Q": data.Q, "K": data.K, "V": data.V}, {"features": 804, "seed": 0})
    Omega = head.extra["Omega"]
    assert Omega.shape == (804, 8)
    for start in range(0, 804, 8):
        products = Omega[start : start + 8] @ Omega[start : start + 8].T
        assert np.abs(products - np.diag(np.diag(products))).max() < 1e-12
    assert np.mean(Omega**2) == pytest.approx(1, abs=0.1)  # standard deviation of the mean: sqrt(2 / (8 * 804)) < 0.02


def test_the_estimate_is_unbiased_and_its_error_falls_with_the_features() -> None:
    """16 times the features, about a quarter of the error: between half and an eighth."""
    data = random_input(40, 4, logit_bound=1.0)
    errors = [measure("performer", data, M=10**5, settings={"features": m}).relative_error for m in (64, 1024)]
    assert errors[0] / 8 < errors[1] < errors[0] / 2


def test_one_key_is_its_value() -> None:
    """With a single key every weighted mean is that key's value, whatever the features."""
    data = from_arrays([[1.0, 2.0]], [[0.5, -1.0]], [[3.0]])
    assert measure("performer", data, M=200, settings={"features": 3}).max_abs_error < 1e-15
