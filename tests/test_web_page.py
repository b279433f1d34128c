"""`iosim report`: what the page says is what was computed; it is whole by itself; in a browser the slider works."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import iosim
from iosim import api
from iosim.cli import main
from iosim.tuning.tune import exact_algorithms
from iosim.units import DTYPES
from iosim.verbs.report import report
from iosim.web.ask import WebReport, web_report
from iosim.web.figures import Svg
from iosim.web.page import page
from tests.browser import chromium

N, D, M = 256, 8, 600


@pytest.fixture(scope="module")
def found() -> WebReport:
    return web_report(N, D, M=M, word=DTYPES["fp16"], numeric=False, command="iosim report --n <256>")


@pytest.fixture(scope="module")
def text(found: WebReport) -> str:
    return page(found)


class Parsed(HTMLParser):
    """Start tags with their attributes; ends must match beginnings."""

    VOID = ("meta", "link", "input", "br", "path", "use", "line", "circle", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag


def points(text: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="points">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)  # type: ignore[no-any-return]


def test_the_page_is_whole_by_itself(text: str) -> None:
    """No element asks for anything outside of the page, no id occurs twice, and what is typed is escaped."""
    tags = Parsed(text).tags
    asked = [
        value for _, attrs in tags for name in ("src", "href", "xlink:href", "srcset") if (value := attrs.get(name))
    ]
    assert all(value.startswith(("#", "data:")) for value in asked)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    references = [value[1:] for value in asked if value.startswith("#")]
    assert set(references) <= set(ids)
    assert "--n &lt;256&gt;" in text


def test_the_page_can_be_read_without_seeing_it(text: str) -> None:
    """It has a language, a title and a label for each control and figure; tables have captions and header cells."""
    tags = Parsed(text).tags
    kinds = [tag for tag, _ in tags]
    assert ("html", {"lang": "en"}) in tags
    assert kinds.count("h1") == kinds.count("title") == kinds.count("main") == 1
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag == "svg")
    labels = {attrs["for"] for tag, attrs in tags if tag == "label"}
    assert all(attrs["id"] in labels for tag, attrs in tags if tag == "input")
    assert kinds.count("caption") == kinds.count("table")
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")


def test_the_page_says_what_was_computed(found: WebReport, text: str) -> None:
    """Each run's words, peak and bound are on it; the embedded points are those of the curves, fewer words further down."""
    assert found.holds
    assert "Every check holds" in text
    for run in found.runs:
        for words in (run.io_words, run.peak_words, run.lower_bound[1]):
            assert f"{words:,}" in text
    data = points(text)
    entries = data["points"]
    assert len(entries) == len(found.memories) > 50
    assert entries[data["asked"]]["memory"] == f"{M} words (fp16, {2 * M:,} B)"
    for entry, point in zip(entries, found.exact_curve.points, strict=True):
        shown = entry["curves"]["exact"]
        assert shown["words"] == f"{point.io_words:,}"
        assert shown["bound"] == f"{point.lower_bound_words:,}"
    assert found.points["exact"][M].io_words == found.exact[0].io_words
    assert (places := [entry["x"] for entry in entries]) == sorted(places)
    assert (heights := [entry["curves"]["exact"]["y"] for entry in entries]) == sorted(heights)


def test_the_page_and_its_curve_are_of_all_exact_algorithms(found: WebReport) -> None:
    """Those that `iosim tune` looks at: each has a run or a reason why it has none, and all are in the curve."""
    names = {algorithm.name for algorithm in exact_algorithms(found.problem)}
    assert (
        {run.algorithm for run in found.exact} | set(found.left_out) - {"approx"}
        == names
        == {*found.exact_curve.algorithms}
    )


def test_where_nothing_fits_nothing_is_shown(found: WebReport, text: str) -> None:
    """The polynomial needs more fast memory than the least M of the page: there its cells are empty and it has no dot."""
    assert found.polynomial_curve.least_words > found.memories[0]
    assert points(text)["points"][0]["curves"]["polynomial"] is None


def test_a_failing_check_is_said_and_told_by_the_exit_code(
    found: WebReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose check fails, and a curve below its bound, are named on the page; the exit code is 1."""
    best, *others = found.exact
    bad = replace(best, checks=tuple(replace(check, holds=False) for check in best.checks))
    first, *points = found.exact_curve.points
    below = replace(found.exact_curve, points=(replace(first, lower_bound_words=first.io_words + 1), *points))
    assert not replace(found, exact=(bad, *others)).holds
    assert not replace(found, exact_curve=below).holds
    failing = replace(found, exact=(bad, *others), exact_curve=below)
    monkeypatch.setattr("iosim.web.ask.web_report", lambda *_args, **_options: failing)
    result = CliRunner().invoke(main, ["report", "--n", "256", "--M", "600w", "-o", str(tmp_path / "x.html")])
    assert result.exit_code == 1
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert f"A check FAILS</span>: {bad.algorithm}, the curve of exact." in text
    assert "Every check holds" not in text
    assert str(failing).endswith(f"verdict: a check FAILS: {bad.algorithm}, the curve of exact")


def test_words_beyond_64_bits_are_drawn() -> None:
    """At n = 2^40 more than 2^63 words move: points are drawn where they belong, and a run's bars as well."""
    curve = iosim.tune("flash2", n=2**40, d=4, M=[60, 600])
    assert all(point.io_words > 2**63 for point in curve.points)
    (x, above), (later, below) = Svg(curve.plot(), "huge", "").places(
        (p.fast_memory_words, p.io_words) for p in curve.points
    )
    assert x < later
    assert above < below
    iosim.run("flash2", n=2**40, d=4, M=60, numeric=False).plot().draw_without_rendering()


def test_a_report_shows_itself_as_other_results_do(found: WebReport) -> None:
    """Printed, its runs with their verdicts; as a frame, the rows of a sweep; as plain numbers, all that the page has."""
    lines = str(found).splitlines()
    for run in found.runs:
        (line,) = (line for line in lines if line.startswith(f"{run.plan.title} "))
        assert f" {run.io_words:,} " in line
        assert line.endswith(run.verdict)
    assert lines[-1] == "verdict: every check holds"
    assert repr(found) == "<WebReport problem n = 256 queries and keys, d = 8>"
    assert [row["io_words"] for row in found.rows()] == [run.io_words for run in found.runs]
    assert len(found.to_frame()) == len(found.runs)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [run["io_words"] for run in plain["runs"]] == [run.io_words for run in found.runs]
    assert plain["curves"]["exact"]["points"][0]["io_words"] == found.exact_curve.points[0].io_words


@pytest.mark.parametrize(("more", "typed"), [({"seed": 2}, "--seed 2"), ({"numeric": False}, "--no-numeric")])
def test_the_function_is_the_command(
    more: dict[str, Any], typed: str, found: WebReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`iosim.report` has the flags as parameters; the page names the command that asks for the same page."""
    flags = {max(param.opts, key=len)[2:].replace("-", "_") for param in report.params}
    assert flags == {*inspect.signature(api.report).parameters} - {"progress"}
    asked = []

    def recorded(*sizes: int, progress: object, **options: object) -> WebReport:
        asked.append((sizes, options))
        return found

    monkeypatch.setattr("iosim.web.ask.web_report", recorded)
    monkeypatch.setattr("iosim.web.page.page", lambda _: "the page")
    iosim.report(n=64, M="300w", d=4, dtype="fp32", degree=1, **more, output=tmp_path / "first.html")
    command = f"iosim report --n 64 --d 4 --M 300w --degree 1 --dtype fp32 {typed}"
    result = CliRunner().invoke(main, [*command.split()[1:], "-o", str(tmp_path / "again.html")])
    assert result.exit_code == 0
    assert asked[0] == asked[1]
    assert asked[0][1]["command"] == command
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["the page", "the page"]


def test_the_slider_moves_the_marker_and_changes_the_table(text: str, tmp_path: Path) -> None:
    """In Chromium the page logs nothing and asks for nothing; each step of the slider shows the numbers of its point; the
    button leads back; the page is no wider than a desktop's or a telephone's window."""
    data = points(text)
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    with chromium() as browser:
        browser.get((tmp_path / "report.html").as_uri())

        def shown() -> dict[str, str]:
            cells = browser.find_elements(By.CSS_SELECTOR, "[data-curve=exact]")
            line, dot = (browser.find_element(By.ID, f"marker-{name}") for name in ("line", "exact"))
            return {
                "memory": browser.find_element(By.ID, "chosen-M").text,
                "x": f"{float(line.get_attribute('x1')):g}",
                "cx": f"{float(dot.get_attribute('cx')):g}",
                "y": f"{float(dot.get_attribute('cy')):g}",
                **{str(cell.get_attribute("data-field")): str(cell.get_attribute("textContent")) for cell in cells},
            }

        def expected(number: int) -> dict[str, str]:
            point = data["points"][number]
            x, exact = f"{point['x']:g}", point["curves"]["exact"]
            return {"memory": point["memory"], "x": x, "cx": x, **exact, "y": f"{exact['y']:g}"}

        asked = data["asked"]
        slider = browser.find_element(By.ID, "M")
        assert shown() == expected(asked)
        for keys, number in ((Keys.ARROW_RIGHT, asked + 1), (Keys.END, len(data["points"]) - 1), (Keys.HOME, 0)):
            slider.send_keys(keys)
            assert shown() == expected(number)
            assert slider.get_attribute("aria-valuetext") == data["points"][number]["memory"]
        assert not browser.find_element(By.ID, "marker-polynomial").is_displayed()
        browser.find_element(By.ID, "back").click()
        assert shown() == expected(asked)

        for width in (1200, 390):
            browser.set_window_size(width, 900)
            inside, whole = browser.execute_script(
                "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
            )
            assert whole <= inside
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert browser.get_log("browser") == []


def test_without_javascript_only_the_slider_is_missing(text: str, tmp_path: Path) -> None:
    """Where scripts do not run, the tables and the figure with its marker are there, and no slider that would do nothing."""
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    with chromium(javascript=False) as browser:
        browser.get((tmp_path / "report.html").as_uri())
        assert not browser.find_element(By.ID, "M").is_displayed()
        assert browser.find_element(By.ID, "marker-exact").is_displayed()
        assert browser.find_element(By.ID, "chosen").is_displayed()
