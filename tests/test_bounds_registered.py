"""Bounds of other distributions: held against counts, listed, and refused if they can't be."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

import iosim
from iosim import entries
from iosim.bounds import exact, registered
from iosim.bounds.bound import Bound
from iosim.cli import main
from iosim.errors import UsageError

TEXT = """
from iosim.bounds.bound import Bound
from iosim.bounds.exact import TRIVIAL  # which is there already

MORE = Bound(name="more_than_the_inputs", formula=lambda x: 5 * x.n_q * x.d, source="a test", {options})
"""


def register(monkeypatch: pytest.MonkeyPatch, folder: Path, **options: str) -> None:
    """An entry point of the group names a module with such a bound, for as long as the test runs."""
    (folder / "others_bounds.py").write_text(TEXT.format(options=", ".join(f"{k}={v}" for k, v in options.items())))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(entries.importlib.sys.modules, "others_bounds", raising=False)  # type: ignore[attr-defined]
    entry = EntryPoint(name="others", value="others_bounds", group=registered.GROUP)
    found = entries.entry_points
    monkeypatch.setattr(
        entries, "entry_points", lambda group: [entry] if group == registered.GROUP else found(group=group)
    )
    monkeypatch.setattr(registered, "registered_bounds", registered.registered_bounds.__wrapped__)
    monkeypatch.setattr(exact, "registered_bounds", registered.registered_bounds)
    monkeypatch.setattr(exact, "known", exact.known.__wrapped__)
    monkeypatch.setattr("iosim.bounds.survey.known", exact.known)


def test_nothing_is_registered_here() -> None:
    """This distribution's own bounds are in the table, each once."""
    assert registered.registered_bounds() == ()
    assert exact.known() == exact.BOUNDS


def test_a_run_holds_it_against_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """n = 64, d = 4, all in fast memory: 4nd words move, fewer than the 5nd that it says; the check fails by its name."""
    assert iosim.run("flash2", n=64, d=4, M=5000, numeric=False).holds
    register(monkeypatch, tmp_path)
    found = iosim.run("flash2", n=64, d=4, M=5000, numeric=False)
    assert [check.name for check in found.checks if not check.holds] == ["count at least each lower bound"]
    bound, words = found.lower_bound
    assert (bound.name, words) == ("more_than_the_inputs", 5 * 64 * 4)
    assert [each.name for each in exact.known()].count("more_than_the_inputs") == 1
    assert exact.known()[:-1] == exact.BOUNDS


def test_it_is_listed_with_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In symbols and at sizes."""
    register(monkeypatch, tmp_path)
    for args in ([], ["--n", "64", "--d", "4", "--M", "5000w"]):
        result = CliRunner().invoke(main, ["bounds", *args])
        assert result.exit_code == 0, result.output
        assert "more_than_the_inputs" in result.stdout
    assert "5*" in result.stdout


@pytest.mark.parametrize(
    "options",
    [{"kind": '"upper"'}, {"strength": '"asymptotic"'}, {"quantity": '"error"'}, {"letters": '("n_q", "d", "g")'}],
    ids=lambda options: next(iter(options)),
)
def test_what_no_count_can_be_held_against_is_refused(
    options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upper bounds, those without a constant, of other things, and in other letters: an error that names it."""
    register(monkeypatch, tmp_path, **options)
    with pytest.raises(UsageError, match=r"more_than_the_inputs is registered; allowed: exact lower bounds on traffic"):
        exact.known()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import absent_dependency", "others_bounds can't be imported: No module named 'absent_dependency'"),
        (TEXT.format(options='kind="upper"'), "more_than_the_inputs is registered; allowed: exact lower bounds"),
        (
            TEXT.format(options="") + "AGAIN = MORE.__class__(name=MORE.name, formula=MORE.formula, source='')",
            "two bounds",
        ),
    ],
    ids=["import", "kind", "name"],
)
def test_a_run_that_somebody_elses_bounds_stop_says_whose_they_are(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the installed distribution, which is what its reader can remove."""
    register(monkeypatch, tmp_path)
    monkeypatch.setattr(entries, "entry_points", entry_points)
    (tmp_path / "others_bounds.py").write_text(text)
    folder = tmp_path / "somebody_elses-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-elses\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[{registered.GROUP}]\nothers = others_bounds\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=f"^entry point others of somebody-elses: {said}"):
        iosim.run("flash2", n=64, d=4, M=5000, numeric=False)


@pytest.mark.parametrize(
    ("formula", "conditions", "said"),
    [
        ("1 / (x.d - 4)", "()", "ZeroDivisionError: Fraction(1, 0)"),
        ("x.n_rows * x.d", "()", "AttributeError: formulas know the letters N, n_q, n_k, d, d_v, M, not n_rows"),
        ("None", "()", "TypeError: unsupported operand type"),
        ("x.n_q", "(x.n_q,)", "TypeError: "),
        ("x.n_q", "((x.n_q, '1'),)", "TypeError: can only concatenate str"),
    ],
)
def test_a_formula_that_can_not_be_evaluated_is_named(
    formula: str, conditions: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line and exit code 2; in a sweep the point has no result, and is not called infeasible."""
    register(monkeypatch, tmp_path)
    text = TEXT.format(options=f"conditions=lambda x: {conditions}").replace("5 * x.n_q * x.d", formula)
    (tmp_path / "others_bounds.py").write_text(text)
    words = f"the registered bound more_than_the_inputs can't be evaluated: {said}"
    for verb in (["run", "--algo", "flash2", "--no-numeric"], ["bounds"], ["tune"]):
        result = CliRunner().invoke(main, [*verb, "--n", "64", "--d", "4", "--M", "5000w"])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"Error: {words}")
        assert result.stderr.count("\n") == 1
    (row,) = iosim.sweep("flash2", n=64, d=4, M=5000, numeric=False).rows()
    assert (row["verdict"], row["io_words"]) == ("error", None)
    assert words in str(row["error"])


def test_a_root_in_a_formula_of_somebody_else_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is enclosed in intervals like our own: 64 sqrt(4097) is 4096.5 words."""
    register(monkeypatch, tmp_path)
    text = (tmp_path / "others_bounds.py").read_text().replace("5 * x.n_q * x.d", "x.n_q * x.sqrt(x.M)")
    (tmp_path / "others_bounds.py").write_text(text)
    (more,) = (bound for bound in exact.known() if bound.name == "more_than_the_inputs")
    assert more.words(iosim.Problem(n=64, d=4).setting(4097)) == 4097


def test_two_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for algorithms."""
    register(monkeypatch, tmp_path)
    text = (tmp_path / "others_bounds.py").read_text()
    (tmp_path / "others_bounds.py").write_text(text + text.split("\n\n")[-1].replace("MORE =", "AGAIN ="))
    with pytest.raises(UsageError, match="two bounds are called 'more_than_the_inputs'"):
        exact.known()
    assert isinstance(exact.BOUNDS[0], Bound)
