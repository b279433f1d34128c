"""Figures: what is drawn is what was computed, from files and from settings, and bad input is one line."""

from __future__ import annotations

import math
import shlex
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import Problem, api, count, peak_words
from iosim.errors import UsageError
from iosim.machines import machine
from iosim.plots import (
    WIDTH,
    Settings,
    against_n_figure,
    error_figure,
    kinds,
    roofline_figure,
    save,
    tightness_figure,
    timeline_figure,
)
from iosim.plots.against_n import crossovers
from iosim.plots.rows import series
from iosim.plots.timeline import moments
from iosim.registry import find
from iosim.table_files import write_rows
from iosim.verbs.plot import plot
from tests import commands

command = partial(commands.iosim, "plot")

# Of each kind what is quick: algorithms and flags; and what it has on its axes, quantities with units where they have one.
QUICK: dict[str, tuple[str, dict[str, Any], tuple[str, str]]] = {
    "ski-slope": (
        "flash2",
        {"n": "300", "d": "8", "M": "32w:4Kiw:*4"},
        ("fast memory $M$ (words)", "words moved"),
    ),
    "io-against-n": (
        "flash2,approx",
        {"n": "16:1024:*4", "d": "4", "M": "300w", "degree": 1},
        ("queries and keys $n$", "words moved"),
    ),
    "tightness": (
        "flash2",
        {"n": "64,256", "d": "8", "M": "100w,1000w"},
        ("fast memory $M$ (words)", "queries and keys $n$"),
    ),
    "error-against-io": ("performer", {"n": "64", "d": "8", "M": "2KB"}, ("words moved", "greatest error")),
    "timeline": ("flash2", {"n": "6", "d": "2", "M": "40w"}, ("", "fast memory (words)")),
    "roofline": (
        "flash2",
        {"n": "512", "d": "16", "M": "4KB", "gpu": "a100,t4"},
        ("intensity (flops per byte moved)", "attainable flops per second"),
    ),
}
_LEAST_FONT = 5  # points: what can still be read in print


def drawn(figure: Any) -> dict[str, tuple[list[float], list[float]]]:
    """The lines of a figure's first axes, by label."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines}


def test_every_kind_has_examples_that_the_command_reads() -> None:
    """A new file with a kind is a new kind; its examples name flags that exist and that it knows."""
    assert set(QUICK) == set(kinds())
    for kind in kinds().values():
        for example in kind.examples:
            context = plot.make_context("plot", shlex.split(example))
            assert context.params["kind"] == kind.name
            asked = {name for name, value in context.params.items() if value not in (None, False, "full", "fp16")}
            allowed = kind.settings if context.params["path"] is None else kind.settings & {"by", "gpu"}
            assert asked - {"kind", "path", "output"} <= allowed


MINE = """
from iosim.plots.kind import Kind
from iosim.plots.style import new_figure, styled

def draw(rows, settings):
    with styled():
        figure, axes = new_figure()
        axes.plot([row["fast_memory_words"] for row in rows], [row["peak_words"] for row in rows], "o")
    return figure

KIND = Kind(
    name="peaks", summary="how full the fast memory is", examples=("peaks grid.csv -o peaks.pdf",),
    settings=frozenset({"n"}), columns=("fast_memory_words", "peak_words"), draw=draw,
    rows=lambda settings: [{"fast_memory_words": 8, "peak_words": int(settings.needed("n", like="4"))}],
)
"""


def test_a_new_kind_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with a kind beside the others is in the help, and draws from settings and from a file."""
    import iosim.plots

    (tmp_path / "peaks.py").write_text(MINE)
    monkeypatch.setattr(iosim.plots, "__path__", [*iosim.plots.__path__, str(tmp_path)])
    kinds.cache_clear()
    try:
        assert "how full the fast memory is" in command("--help").stdout
        write_rows(str(tmp_path / "grid.csv"), [{"fast_memory_words": 8, "peak_words": 7}])
        for source in (("--n", "5"), (str(tmp_path / "grid.csv"),)):
            assert command("peaks", *source, "-o", str(tmp_path / "peaks.svg")).exit_code == 0
    finally:
        kinds.cache_clear()


@pytest.mark.parametrize("name", list(QUICK))
def test_every_kind_is_drawn_from_settings(name: str) -> None:
    """As wide as a column, with quantities and units on its axes, and no text too small to be read."""
    algo, flags, labels = QUICK[name]
    figure = kinds()[name].figure(None, Settings(algo=algo, given=flags))
    assert figure.get_size_inches()[0] == WIDTH
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == labels
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= _LEAST_FONT


def test_files_of_all_formats_and_the_same_again(tmp_path: Path) -> None:
    """A figure that is made again is the same file."""
    args = ("timeline", "--algo", "flash2", "--n", "3", "--d", "2", "--M", "30w")
    for name, begin in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("b.svg", b"<?xml")):
        result = command(*args, "-o", str(tmp_path / name))
        assert (result.exit_code, result.output) == (0, "")
        assert (tmp_path / name).read_bytes().startswith(begin)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_ski_slope_has_the_tuned_points_and_the_regimes_of_its_bound() -> None:
    """Small M: n^2 d/sqrt(M); from about 4 d^2 on n^2 d^2/M; at the end each word once."""
    found = api.tune("exact", n=4096, d=16, M="16w:1Miw:*2")
    figure = found.plot()
    lines = drawn(figure)
    M = [point.fast_memory_words for point in found.points]
    assert lines["exact"] == (M, [point.io_words for point in found.points])
    assert lines["lower bound"] == (M, [point.lower_bound_words for point in found.points])
    small, large, last = (text.get_text() for text in figure.axes[0].texts)
    assert (r"\sqrt{M}" in small, r"\sqrt{M}" in large, last) == (True, False, "each word once")


def test_a_run_is_drawn_with_the_best_exact_schedule_for_all_heads() -> None:
    """The bars below those of the run: the bound, and twice what the best exact schedule moves for one of two heads."""
    run = api.run("flash1", n=64, d=4, M="100w", heads=2, numeric=False)
    *_, (bound,), (exact,) = run.plot().axes[0].containers
    one = api.run("exact", n=64, d=4, M="100w", numeric=False)
    assert (bound.get_width(), exact.get_width()) == (run.lower_bound[1], 2 * one.io_words)


def test_the_bound_of_one_fast_memory_is_seen() -> None:
    """One point makes no line: it has a marker, and so has its bound."""
    lines = api.tune("exact", n=64, d=4, M="64w").plot().axes[0].lines
    assert [line.get_marker() for line in lines] == ["o", "_"]


def test_files_of_tune_and_sweep_are_drawn(tmp_path: Path) -> None:
    """The rows of a file make the figure that the result makes."""
    path = str(tmp_path / "slope.csv")
    found = api.tune("flash2", n=300, d=8, M="64w:4Kiw:*4")
    write_rows(path, found.rows())
    assert command("ski-slope", path, "-o", str(tmp_path / "slope.svg")).exit_code == 0
    save(found.plot(), str(tmp_path / "same.svg"))
    assert (tmp_path / "same.svg").read_bytes() == (tmp_path / "slope.svg").read_bytes()
    grid = str(tmp_path / "grid.jsonl")
    rows = api.sweep("flash2", n=[64, 512], d=4, M=[10, 300]).rows()
    assert {row["verdict"] for row in rows} == {"infeasible", "holds"}
    write_rows(grid, rows)
    for kind in ("io-against-n", "roofline"):
        assert command(kind, grid, "-o", str(tmp_path / f"{kind}.svg")).exit_code == 0


ROWS = st.dictionaries(st.integers(1, 12), st.integers(1, 5), min_size=1)


@settings(max_examples=60)
@given(ROWS, ROWS)
def test_a_crossover_is_the_last_change_of_places(one: dict[int, int], other: dict[int, int]) -> None:
    """From it on the one that is lower at the end is strictly lower; just before it is not; and the other was lower once."""
    lines = {
        name: [{"n": n, "io_words": words} for n, words in line.items()]
        for name, line in (("one", one), ("other", other))
    }
    both = sorted(one.keys() & other.keys())
    ahead = [n for n in both if one[n] < other[n]], [n for n in both if one[n] > other[n]]
    found = crossovers(lines)
    if not all(ahead) or one[both[-1]] == other[both[-1]]:
        assert found == []
        return
    winner, loser = (one, other) if both[-1] in ahead[0] else (other, one)
    ((at, words),) = found
    after, before = [n for n in both if n >= at], [n for n in both if n < at]
    assert words == winner[at]
    assert all(winner[n] < loser[n] for n in after)
    assert winner[before[-1]] >= loser[before[-1]]


def test_where_lines_cross_is_the_n_from_which_the_polynomial_pays() -> None:
    """Between two of the n asked for, the same number that `iosim run` prints."""
    flags = {"n": "64,128", "d": "16", "M": "1000w", "degree": 2}
    rows = kinds()["io-against-n"].rows(Settings(algo="exact,approx", given=flags))
    run = api.run("approx", n=64, d=16, M=1000, degree=2, numeric=False)
    assert run.payoff.pays_from_n is not None
    assert [at for at, _ in crossovers(series(rows, "n"))] == [run.payoff.pays_from_n]
    assert f"$n$ = {run.payoff.pays_from_n:,}" in [text.get_text() for text in against_n_figure(rows).axes[0].texts]


def test_a_cell_of_the_map_is_the_best_of_its_algorithms() -> None:
    """Words over lower bound of whichever moves fewer; grey where nothing fits."""
    cells = {(64, 20): {"a": 30}, (64, 40): {"a": 24, "b": 22}, (128, 40): {"b": 80}}
    rows = [
        {"algorithm": algo, "n": n, "fast_memory_words": M, "io_words": words, "lower_bound_words": 20}
        for (n, M), found in cells.items()
        for algo, words in found.items()
    ]
    (mesh,) = tightness_figure(rows).axes[0].collections
    shown = mesh.get_array().filled(math.nan).reshape(2, 2).tolist()
    assert shown[0] == [1.5, 1.1]
    assert math.isnan(shown[1][0])
    assert shown[1][1] == 4
    with pytest.raises(UsageError, match="rows of several d, degrees or masks"):
        tightness_figure([{**row, "d": number} for number, row in enumerate(rows)])


@pytest.mark.parametrize(
    ("name", "M"), [("flash2", 60), ("two-pass", 20), ("standard", 25), ("approx", 40), ("recompute", 60)]
)
def test_a_timeline_is_the_count_and_reaches_the_peak(name: str, M: int) -> None:
    """Words that move are those counted, and the fullest moment is the peak, for any schedule."""
    plan = find(name).best(Problem(n=7, d=3), M)
    found = list(moments(plan.program, plan.sizes))
    assert sum(moment.end - moment.begin for moment in found) == count(plan.program, plan.sizes).io_words
    assert all(one.end == other.begin for one, other in pairwise(found))
    assert max(sum(moment.held.values()) for moment in found) == peak_words(plan.program, plan.sizes)
    top = timeline_figure(found, M=M).axes[0]
    assert {line.get_label() for line in top.lines} == {f"peak, {plan.peak_words:,}", f"$M$ = {M:,}"}


def test_a_point_of_a_roofline_is_on_the_roof() -> None:
    """x = flops over bytes; y = the bandwidth times that, or the peak."""
    runs = [api.run(name, n=512, d=16, M=2000, numeric=False) for name in ("standard", "flash2")]
    rows = [
        {"algorithm": r.algorithm, "flops": r.flops, "fast_memory_words": 2000, "io_words": r.io_words, "dtype": "fp16"}
        for r in runs
    ]
    a100 = machine("a100")
    lines = drawn(roofline_figure(rows, [a100]))
    assert a100.memory_bandwidth
    assert a100.tensor_fp16
    for run in runs:
        ((x,), (y,)) = lines[run.algorithm]
        assert x == run.flops / (2 * run.io_words)
        assert y == min(a100.tensor_fp16, a100.memory_bandwidth * x)
    with pytest.raises(UsageError, match="--gpu b200: no published peak"):
        roofline_figure(rows, [machine("b200")])


def test_the_front_of_errors() -> None:
    """Of (words, error) = (1, 3), (2, 3), (3, 1), (9, 0.1), with exact attention at 5 words: the first and the third."""
    rows = [
        {"algorithm": "x", "io_words": w, "max_abs_error": e, "exact_io_words": 5}
        for w, e in ((1, 3), (2, 3), (3, 1), (9, 0.1))
    ]
    lines = drawn(error_figure(rows))
    assert lines["front"] == ([1, 3], [3, 1])
    assert len(lines["x"][0]) == 4
    assert lines["exact attention"][0] == [5, 5]
