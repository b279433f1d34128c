"""How results look: one screen, whole numbers, the same facts in colour and without."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from iosim.api import run
from iosim.interpret.legality.rules import Rule, Violation
from iosim.registry import algorithms
from iosim.runs.result import Run
from iosim.terminal import WIDTH, list_report, run_report, show


def plain(result: Run, width: int = WIDTH) -> str:
    """A report without colours."""
    text = io.StringIO()
    Console(file=text, width=width, markup=False, highlight=False).print(run_report(result), crop=False)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def value(text: str, name: str) -> str:
    """What stands beside a name."""
    (found,) = (line for line in text.splitlines() if re.match(rf"{name}  +", line))
    return re.sub(rf"^{name} +", "", found)


def test_one_run_is_one_screen_with_everything_on_it() -> None:
    """Sizes, memory in words and bytes, peak, tiles, words by array, claim, comparison, checks, verdict: in that order."""
    result = run("flash1", n=1000, d=64, M="100KB", numeric=False)
    text = plain(result)
    assert value(text, "algorithm") == "flash1: streamed"
    assert value(text, "problem") == "n = 1,000 queries and keys, d = 64"
    assert value(text, "fast memory") == "M = 50,000 words (fp16, 100,000 B)"
    assert value(text, "peak") == f"{result.peak_words:,} words (fp16, {2 * result.peak_words:,} B)"
    assert value(text, "tiles") == f"B_c = {result.plan.tiles['B_c']}"
    assert value(text, "closed form").endswith(f" = {result.io_words:,}")
    assert value(text, "exact attention").endswith(f"more words than flash2 cached rows ({result.exact_io_words:,})")
    assert text.splitlines()[-1] == "verdict: every check holds; the result was not computed"
    assert len(text.splitlines()) <= 40
    order = [text.index(word) for word in ("algorithm", "words moved", "traffic  ", "holds  legal", "verdict")]
    assert order == sorted(order)


def test_words_by_array_are_a_table_that_adds_up() -> None:
    """Loads and stores of each array sum to its traffic, and the columns to the last line."""
    result = run("standard", n=100, d=8, M=2000, numeric=False)
    lines = plain(result).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("words moved"))
    table = {}
    for line in lines[start + 1 :]:
        if not line:
            break
        name, *cells = line.split()
        table[name] = [int(cell.replace(",", "")) for cell in cells]
    assert set(table) == {"Q", "K", "V", "O", "S", "P", "all"}
    assert all(loads + stores == traffic for loads, stores, traffic in table.values())
    for column in range(3):
        assert sum(table[name][column] for name in table if name != "all") == table["all"][column]
    assert table["all"][2] == result.io_words


def test_one_query_has_its_own_words() -> None:
    """No '1 queries', no 'all 1 rows'."""
    text = plain(run("flash2", n=1, d=1, M=100))
    assert value(text, "problem") == "n = 1 query and 1 key, d = 1"
    assert "proved (1 row, seed 0, float64)" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_number_is_cut_however_narrow_the_terminal(width: int) -> None:
    """On a narrow terminal lines get more, and numbers stay whole or are folded, never cropped."""
    result = run("standard", n=2**40, d=2**30, M=10**6, numeric=False)
    text = plain(result, width)
    assert "\u2026" not in text
    folded = re.sub(r"\s", "", text)
    for number in (result.io_words, result.loads_words, result.flops, result.closed_form_words, result.peak_words):
        assert f"{number:,}" in folded


def test_rules_are_named_in_brackets() -> None:
    """Square brackets are text here, not markup."""
    text = plain(run("flash1", n=100, d=64, M=3000, tiles="paper", numeric=False))
    assert "[capacity]" in text


def test_violations_of_other_rules_are_listed_and_more_of_the_same_capacity_counted() -> None:
    """What does not fit once does not fit again: that is one line; each other violation is a line of its own."""
    result = run("flash2", n=100, d=4, M=2000, numeric=False)
    over = [Violation(Rule.CAPACITY, f"loop i={i}", "too many words live") for i in range(3)]
    leaks = [Violation(Rule.LEAK, "end", f"tile {i} is left") for i in range(2)]
    text = plain(replace(result, violations=(*over, *leaks), checks=(replace(result.checks[0], holds=False),)))
    assert "loop i=1" not in text
    assert all(f"end: tile {i} is left [leak]" in text for i in range(2))
    assert "and 2 more violations, listed by --json" in text
    many = tuple(Violation(Rule.LEAK, "end", f"tile {i} is left") for i in range(30))
    text = plain(replace(result, violations=many, checks=(replace(result.checks[0], holds=False),)))
    assert "tile 10 is left" in text
    assert "tile 11 is left" not in text
    assert "and 19 more violations" in text


def test_sizes_that_were_executed_are_said_if_they_are_others() -> None:
    """One-row streams are executed coarser, and the report says with which sizes."""
    text = " ".join(plain(run("flash2", n=300, d=8, M=2000)).split())
    assert "(all 300 rows, seed 0, float64; executed with " in text
    assert "B_c = 300" in text


def test_the_best_exact_schedule_is_not_compared_with_itself() -> None:
    """No 'as many words as flash2' below flash2."""
    assert "exact attention" not in plain(run("flash2", n=1000, d=64, M=50_000, numeric=False))
    assert "exact attention" not in plain(run("exact", n=1000, d=64, M=50_000, numeric=False))
    assert "exact attention" in plain(run("flash2", n=1000, d=64, M=50_000, tiles={"B_r": 7}, numeric=False))


def test_the_list_has_closed_forms_and_sources_of_all() -> None:
    """Each schedule of each algorithm with words moved, peak words and where that holds."""
    text = io.StringIO()
    Console(file=text, width=1000, markup=False, highlight=False).print(list_report(list(algorithms().values())))
    words = " ".join(text.getvalue().split())
    for algorithm in algorithms().values():
        assert f"{algorithm.name} {algorithm.summary} source {algorithm.source}" in words
        for form in algorithm.forms():
            assert f"{form.schedule} words moved {form.io} peak words {form.peak} holds for {form.regime}" in words


def test_a_terminal_gets_colours_and_a_pipe_plain_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words with and without colours; without, lines end where their text ends."""
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    result = run("flash2", n=100, d=8, M=2000, numeric=False)
    show(run_report(result))
    piped = capsys.readouterr().out
    assert "\x1b" not in piped
    assert all(line == line.rstrip() for line in piped.splitlines())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    show(run_report(result))
    coloured = capsys.readouterr().out
    assert "\x1b[32mholds" in coloured
    assert "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()) == piped.rstrip(
        "\n"
    )
