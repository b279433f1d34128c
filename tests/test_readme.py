"""README.md says what is true: its commands print what it shows, its code runs, its words say what its tables do.

After a change, `python -m benchmarks.numbers` writes what is shown anew.
"""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from benchmarks import numbers
from benchmarks.numbers import README, RESULTS, ROOT, Block, blocks, own_algorithm, printed
from iosim.cli import main
from iosim.proof.theorem import Theorem
from tests.rounding import without_rounding

IOSIM = [block for block in blocks() if block.command.startswith("iosim ")]
BENCHMARKS = [block for block in blocks() if not block.command.startswith("iosim ") and not block.measured]
WHOLE = blocks(RESULTS)
MEASURED = [block for block in blocks() if block.measured]


def command(block: Block) -> str:
    return block.command


@pytest.mark.parametrize("block", IOSIM, ids=command)
def test_readme_shows_what_its_commands_print(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `console` block of the README holds exactly what its command prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_attention.py").write_text(own_algorithm())
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    result = CliRunner().invoke(main, shlex.split(block.command)[1:])
    assert result.exit_code == 0, result.output
    assert without_rounding(result.stdout) == without_rounding(block.shown)


@pytest.mark.slow
@pytest.mark.parametrize("block", [*BENCHMARKS, *WHOLE], ids=command)
def test_readme_shows_what_benchmarks_print(block: Block) -> None:
    """The tables of the README, and the whole ones, are those that its benchmarks compute."""
    assert printed(block.command) == block.shown


@pytest.mark.slow
def test_the_measured_table_has_the_rows_that_its_command_measures() -> None:
    """Times differ from run to run: the same questions to the same peers, in the same order, and none has another answer."""

    def asked(text: str) -> list[str]:
        rows = re.findall(r"^(.{44}) +[\d.e+-]+ +[\d.e+-]+ +[\d.,-]+  (\w+)", text, re.MULTILINE)
        return [f"{re.sub(r'[0-9,]+', '#', question.strip())}: {peer}" for question, peer in rows]

    (block,) = MEASURED
    assert len(asked(block.shown)) >= 15
    assert asked(printed(f"{block.command} --quick")) == asked(block.shown)
    assert "OTHER" not in block.shown


@pytest.mark.parametrize("part", [block for block in BENCHMARKS if "approximate" in block.command], ids=command)
def test_a_table_of_readme_is_a_part_of_the_whole_one(part: Block) -> None:
    """Each row that README shows is in it as it is."""
    (whole,) = (block for block in WHOLE if part.command.startswith(block.command))
    assert {*part.shown.splitlines()} < {*whole.shown.splitlines()}


def test_the_whole_table_of_tightness_has_the_case_that_readme_shows() -> None:
    """d = 64, degree 2: for each M the same words for each query in units of d, and the same ratio."""
    (block,) = (block for block in IOSIM if "--degree 2 --M 256w:256Kiw" in block.command)
    shown = [line.replace(",", "").split() for line in block.shown.splitlines()[1:7]]
    (whole,) = (block for block in WHOLE if block.command.endswith("tightness"))
    rows = [line.split() for line in whole.shown.splitlines() if line.split()[:2] == ["64", "2"]]
    expected = [[str(2 ** int(power)), moved, bound, ratio] for _, _, power, bound, moved, ratio, _ in rows]
    assert [[M, moved, bound, ratio] for M, _, moved, _, bound, ratio, *_ in shown] == expected


def test_readme_says_of_its_table_what_is_in_it() -> None:
    """How far the bounds are from the best schedules: at most 5% in the middle, and the factors that are open outside."""
    (block,) = (block for block in IOSIM if "--tightness --n 65536" in block.command)
    rows = [
        re.split(r" {2,}", line.strip()) for line in block.shown.splitlines() if re.match(r" *[\d,]+ +\d\.\d", line)
    ]
    ratios = {int(M.replace(",", "")): float(ratio) for M, _, _, _, ratio, *_ in rows}
    n, d, text = 65536, 64, " ".join(README.read_text().split())
    assert max(ratio for M, ratio in ratios.items() if 4 * d**2 <= M <= n * d // 32) < 1.05
    small = max(ratio for M, ratio in ratios.items() if 4 * d**2 > M)
    large = max(ratio for M, ratio in ratios.items() if n * d // 32 < M)
    assert f"up to a factor {small:.2f} below 4d² and {large:.2f} near M = nd is open" in text


def test_what_readme_shows_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong block, and none but those that are asked for, becomes what its command prints."""
    right = README.read_text()
    wrong = right.replace("flash2  FlashAttention-2 order", "flash2  an order").replace(
        "holds  legal", "holds  illegal"
    )
    copy = tmp_path / "README.md"
    copy.write_text(wrong)
    monkeypatch.setattr(numbers, "README", copy)
    assert [*numbers.renewed(["list flash2"])] == ["iosim list flash2"]
    assert copy.read_text() == right.replace("holds  legal", "holds  illegal") != wrong


def test_the_theorem_of_the_readme_holds() -> None:
    """The file that README shows has one theorem, whose proof runs and rests on its two argued steps."""
    (text,) = re.findall(r"```python\n(from sympy import Ge.*?)```", README.read_text(), re.DOTALL)
    module = ModuleType("my_theorem")
    exec(text, vars(module))
    (found,) = (value for value in vars(module).values() if isinstance(value, Theorem))
    assert found.check().verdict == "holds, resting on 2 argued steps"


def test_readme_has_two_install_commands() -> None:
    """One line installs and runs the main job, one installs and runs the tests."""
    lines = [line for line in README.read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith("iosim run --algo approx --n 65536 --M 100KB")
    assert "pytest" in lines[1]


def test_readme_python_session_is_true() -> None:
    """The Python session in the README prints what it shows."""
    failures, tests = doctest.testfile(str(README), module_relative=False, verbose=False)
    assert failures == 0
    assert tests >= 5


def test_the_layout_names_what_is_there() -> None:
    """Each module and package of `iosim/` is in one row of the table of the README, and no other is."""
    rows = re.findall(r"(?m)^\| (`[a-z_/`, ]+`) \|", README.read_text().split("| in `iosim/` | |")[1])
    named = [name.strip("`/") for row in rows for name in row.split(", ")]
    there = {
        path.stem for path in (ROOT / "iosim").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(named) == sorted(there - {"__init__", "__main__"})


def test_what_is_said_of_the_table_of_tightness_is_in_it() -> None:
    """The greatest ratio below M = 4d^2 and at M = nd, and at most 1.05 from 4d^2 to nd/32; n = 65,536, d = 64."""
    text = README.read_text(encoding="utf-8")
    table = text.partition("$ iosim bounds --tightness --n 65536 --d 64")[2].partition("(1) open")[0]
    rows = [line.split() for line in table.splitlines()[2:] if line.strip()]
    ratios = {int(row[0].replace(",", "")): float(row[4]) for row in rows}
    below = max(ratio for M, ratio in ratios.items() if M < 4 * 64**2)
    assert max(ratio for M, ratio in ratios.items() if 4 * 64**2 <= M <= 65536 * 64 // 32) <= 1.05
    assert f"up to a factor {below:.2f} below 4d² and {ratios[65536 * 64]:.2f} near M = nd is open" in text
