"""Where algorithms come from: entry points, and names."""

from __future__ import annotations

import ast
import importlib
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from iosim import entries, registry
from iosim.algorithm import Algorithm
from iosim.errors import UnknownNameError, UsageError
from iosim.task import ATTENTION, DECODING, GRADIENT, LOOPED
from tests import own


def registered(monkeypatch: pytest.MonkeyPatch, *modules: str) -> dict[str, Algorithm]:
    """What is registered if the entry points of the group name these modules."""
    named = [EntryPoint(name=f"entry{i}", value=module, group=registry.GROUP) for i, module in enumerate(modules)]
    monkeypatch.setattr(entries, "entry_points", lambda group: named if group == registry.GROUP else [])
    return registry.algorithms.__wrapped__()


def test_the_algorithms_of_this_distribution_are_found_by_their_names() -> None:
    """The entry point of this distribution registers its algorithms, sorted by name."""
    found = registry.algorithms()
    assert list(found) == sorted(found)
    assert {"approx", "approx-resident", "exact", "flash", "flash1", "flash2", "standard"} <= set(found)
    assert all(name == algorithm.name for name, algorithm in found.items())
    assert registry.find("flash2") is found["flash2"]


def test_algorithms_and_what_helps_to_write_them_are_told_apart() -> None:
    """Each module of `algorithms` makes at least one algorithm; no module of its sub-packages makes any."""
    root = Path(__file__).parent.parent / "algorithms"
    makes = {}
    for path in root.rglob("*.py"):
        module = importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
        assigned = (node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.Assign))
        names = [target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)]
        makes[path.relative_to(root)] = any(isinstance(getattr(module, name, None), Algorithm) for name in names)
    assert len(makes) > len(registry.algorithms())
    assert {path for path, any_made in makes.items() if any_made} == {
        path for path in makes if len(path.parts) == 1 and path.name != "__init__.py"
    }


def test_another_distribution_adds_algorithms_by_an_entry_point(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every algorithm of the named module and of its submodules is registered."""
    (package / "elsewhere").mkdir()
    (package / "elsewhere" / "__init__.py").write_text("")
    own.write(package / "elsewhere", name="inner.py")
    own.write(package, ('name="block-rows"', 'name="alone"'), name="single.py")
    assert list(registered(monkeypatch, "elsewhere", "single")) == ["alone", "block-rows"]


def test_two_algorithms_of_one_name_are_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that two packages use for different algorithms is an error, not a silent choice."""
    own.write(package, name="one.py")
    own.write(package, name="other.py")
    with pytest.raises(UsageError, match="entry point entry1: two algorithms are called 'block-rows'"):
        registered(monkeypatch, "one", "other")


def test_one_algorithm_has_the_best_schedule_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task has one; two of them, or none, are an error that says so."""
    named = {task.name: registry.best(task).name for task in (ATTENTION, GRADIENT, DECODING, LOOPED)}
    assert named == {
        "attention": "exact",
        "gradient": "backward",
        "decoding": "exact",
        "looped layers": "looped-layer-order",
    }
    flash2 = registry.find("flash2")
    monkeypatch.setattr(registry, "algorithms", lambda: {"flash2": flash2})
    with pytest.raises(UsageError, match="attention: one registered algorithm must be the best of it, found none"):
        registry.best.__wrapped__(ATTENTION)
    rivals = {name: replace(flash2, name=name, best_of=(ATTENTION,)) for name in ("one", "other")}
    monkeypatch.setattr(registry, "algorithms", lambda: rivals)
    with pytest.raises(UsageError, match="must be the best of it, found one, other"):
        registry.best.__wrapped__(ATTENTION)


def test_the_same_algorithm_may_be_seen_twice(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that imports the algorithm of another does not clash with it."""
    own.write(package, name="origin.py")
    (package / "reuse.py").write_text("from origin import mine\n")
    assert list(registered(monkeypatch, "origin", "reuse")) == ["block-rows"]


def test_a_package_that_cannot_be_imported_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken package of somebody else is an error that says which."""
    (package / "broken.py").write_text("import absent_dependency\n")
    with pytest.raises(UsageError, match="entry point entry0: broken can't be imported: No module named 'absent_dep"):
        registered(monkeypatch, "broken")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_package_that_raises_anything_is_named(
    package: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    """Whatever somebody else's module raises while it is imported, in itself or in a submodule."""
    (package / "raising.py").write_text(text)
    (package / "outer").mkdir()
    (package / "outer" / "__init__.py").write_text("")
    (package / "outer" / "inner.py").write_text(text)
    for module in ("raising", "outer"):
        with pytest.raises(UsageError, match=f"entry point entry0: {module} can't be imported: {said}"):
            registered(monkeypatch, module)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("flash3", "flash"), ("FLASH2", "flash2"), ("aprox", "approx"), ("approx_resident", "approx-resident")],
)
def test_an_unknown_name_suggests_the_nearest(name: str, nearest: str) -> None:
    """A slip of the pen gets a hint, and all names that are allowed."""
    with pytest.raises(
        UnknownNameError, match=rf"--algo {name}: no such algorithm \(did you mean {nearest}\?\); allowed: "
    ) as error:
        registry.find(name)
    assert all(known in str(error.value) for known in registry.algorithms())
    assert isinstance(error.value, LookupError)


def test_a_name_that_is_near_nothing_gets_no_hint() -> None:
    """No hint is better than a wrong one."""
    with pytest.raises(UnknownNameError, match=r"--algo zzz: no such algorithm; allowed: "):
        registry.find("zzz")


def test_a_checkout_that_is_not_installed_has_its_own_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a distribution, what pyproject.toml lists is found; without that file, nothing is."""

    def missing(name: str) -> None:
        raise entries.PackageNotFoundError(name)

    monkeypatch.setattr(entries, "distribution", missing)
    monkeypatch.setattr(entries, "entry_points", lambda group: [])
    registered = entries.registered(registry.GROUP, Algorithm, "algorithms")  # type: ignore[type-abstract]
    assert registered == registry.algorithms()
    assert entries._of_checkout(Path("/no/such/pyproject.toml"), registry.GROUP) == []
