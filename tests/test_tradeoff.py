"""Error against I/O: what is measured, which points are worth having, and how they are shown."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.approximation.tradeoff import Tradeoff, tradeoff
from iosim.cli import main
from iosim.errors import UsageError
from iosim.numeric.inputs import AttentionInput, random_input
from iosim.registry import find

DATA = random_input(96, 4, seed=3)
GRID = {"degree": [1, 2, 3], "features": [4, 16], "seed": [0]}


def measured(data: AttentionInput = DATA, **more: object) -> Tradeoff:
    options: dict[str, object] = {"M": 300, "grid": GRID, "algorithms": [find("approx"), find("performer")]}
    return tradeoff(data, **{**options, **more})  # type: ignore[arg-type]


@cache
def one_point() -> Tradeoff:
    return measured(grid={"features": [4], "seed": [0]}, algorithms=[find("performer")])


@pytest.fixture(scope="module")
def found() -> Tradeoff:
    return measured()


def test_each_setting_is_a_point_with_its_own_count_and_error(found: Tradeoff) -> None:
    """Three degrees and two numbers of features are five points, fewest words first, each computing what it should."""
    settings = [
        (point.algorithm, point.settings.get("degree"), point.settings.get("features")) for point in found.points
    ]
    expected = [*(("approx", degree, None) for degree in (1, 2, 3)), *(("performer", None, f) for f in (4, 16))]
    assert sorted(settings, key=str) == sorted(expected, key=str)
    words = [point.io_words for point in found.points]
    assert words == sorted(words) == [point.plan.count().io_words for point in found.points]
    assert all(point.is_method for point in found.points)
    assert all(0 < point.max_abs_error < 1 for point in found.points)


def test_a_higher_degree_has_a_smaller_error_within_its_bound(found: Tradeoff) -> None:
    """On logits within 1 the error of the best polynomial falls by more than half with each degree; a bound is proved."""
    errors = {p.settings["degree"]: p for p in found.points if "degree" in p.settings}
    for degree in (1, 2):
        assert errors[degree + 1].max_abs_error < errors[degree].max_abs_error / 2
    for point in errors.values():
        assert point.error_bound is not None
        assert point.max_abs_error <= point.error_bound


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=8))
@settings(max_examples=60)
def test_the_front_is_what_no_other_point_beats(pairs: list[tuple[int, int]]) -> None:
    """A point is off the front just if another has no more words and no more error, one of both less."""
    base = one_point()
    (point,) = base.points
    points = tuple(
        replace(point, io_words=words, numeric=replace(point.numeric, max_abs_error=float(error)))
        for words, error in pairs
    )
    found = replace(base, points=points, exact=None)
    for one, (words, error) in zip(points, pairs, strict=True):
        beaten = any(w <= words and e <= error and (w < words or e < error) for w, e in pairs)
        assert found.on_front(one) is not beaten


def test_the_front_by_the_other_norm_is_about_that(found: Tradeoff) -> None:
    """By Frobenius norm the points are the same, and the error that counts is the relative one."""
    other = measured(by="frobenius")
    assert [p.io_words for p in other.points] == [p.io_words for p in found.points]
    assert [other.error(p) for p in other.points] == [p.relative_error for p in other.points]


def test_the_relative_error_is_that_of_the_whole_output() -> None:
    """Relative Frobenius norm by hand: |O - O~| / |O| of the linear polynomial on all rows."""
    from iosim.approximation.minimax import minimax_exp
    from iosim.numeric.reference import polynomial_attention, softmax_attention

    found = measured(grid={"degree": [1]}, algorithms=[find("approx")], logit_bound=1.0)
    Q, K, V = DATA.Q[0], DATA.K[0], DATA.V[0]
    right, near = softmax_attention(Q, K, V), polynomial_attention(Q, K, V, minimax_exp(1, 1.0).coefficients)
    assert math.isclose(
        found.points[0].relative_error, np.linalg.norm(right - near) / np.linalg.norm(right), rel_tol=1e-9
    )


def test_without_a_grid_degrees_end_where_exact_attention_is_as_cheap() -> None:
    """The first degree that moves no fewer words than exact attention is named and left out, with all above it."""
    found = tradeoff(DATA, M=300, algorithms=[find("approx")])
    assert found.exact_words is not None
    assert all(point.io_words < found.exact_words for point in found.points)
    (reason,) = found.left_out
    assert f"degree={len(found.points) + 1}, and more" in reason


def test_what_does_not_fit_is_left_out_with_a_reason() -> None:
    """C(38, 8) = 48,903,492 features are too many to be listed: not measured, and said."""
    found = measured(random_input(16, 8), grid={"degree": [1, 30]}, algorithms=[find("approx")])
    assert [point.settings["degree"] for point in found.points] == [1]
    assert "approx degree=30: approx at n=16, d=8, degree 30: 48,903,492 features" in found.left_out[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"grid": {"heat": [1]}}, "--set heat: none of the algorithms has such a setting; allowed: features, seed"),
        ({"grid": {"degree": []}}, "--degree: none is given"),
        ({"by": "mean"}, "--by mean: allowed: max, frobenius"),
        ({"M": 3, "grid": {"degree": [2]}, "algorithms": [find("approx")]}, "nothing can be measured"),
    ],
)
def test_what_can_not_be_asked_is_refused(more: dict[str, object], said: str) -> None:
    """The error names the flag and what is allowed."""
    with pytest.raises(UsageError) as error:
        measured(**more)
    assert said in str(error.value)


COMMAND = ["tradeoff", "--n", "96", "--d", "4", "--M", "300w", "--algo", "approx,performer", "--degree", "1,2"]


def test_the_command_prints_what_json_has(tmp_path: Path) -> None:
    """Table and JSON have the same words and stars, the figure is written, and the file of rows makes it again."""
    plot, rows, again = (tmp_path / name for name in ("front.svg", "errors.csv", "again.svg"))
    printed = CliRunner().invoke(main, [*COMMAND, "--set", "features=8", "-o", str(plot), "-o", str(rows)])
    assert printed.exit_code == 0, printed.output
    listed = json.loads(CliRunner().invoke(main, [*COMMAND, "--set", "features=8", "--json"]).stdout)
    assert [point["settings"] for point in listed["points"]] != []
    for point in listed["points"]:
        star = "*" if point["on_front"] else " "
        assert any(line.startswith(star) and f" {point['io_words']:,} " in line for line in printed.stdout.splitlines())
    assert "exact attention" in plot.read_text()
    drawn = CliRunner().invoke(main, ["plot", "error-against-io", str(rows), "-o", str(again)])
    assert drawn.exit_code == 0, drawn.output
    assert again.read_bytes() == plot.read_bytes()
