"""What may import what: iosim knows no algorithm and no theorem, algorithms know no theorem, of proofs only the schedules of
counterexamples know algorithms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"iosim", "algorithms", "proofs", "tests", "benchmarks"}


def imported(tree: ast.AST, *, functions: bool) -> Iterator[str]:
    """The packages that a module imports; with `functions`, when they run too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # relative imports stay inside their package
            if not node.level and node.module:
                yield node.module.partition(".")[0]
        elif functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imported(node, functions=functions)


@pytest.mark.parametrize(
    ("package", "functions", "allowed"),
    [
        # entry points lead to algorithms and theorems, when they are asked for
        ("iosim", False, {"iosim"}),
        ("algorithms", True, {"iosim", "algorithms"}),
        ("proofs", True, {"iosim", "proofs"}),
    ],
)
def test_arrows_of_import(package: str, functions: bool, allowed: set[str]) -> None:
    """Of our own packages each module imports those that are allowed, and no others."""
    files = sorted((ROOT / package).rglob("*.py"))
    found = {
        str(path.relative_to(ROOT)): set(imported(ast.parse(path.read_bytes()), functions=functions)) & OURS
        for path in files
    }
    assert any(packages for packages in found.values())
    if package == "proofs":
        found["proofs/schedules.py"].remove("algorithms")
    assert {path: sorted(packages - allowed) for path, packages in found.items() if packages - allowed} == {}


def test_imports_are_seen_wherever_they_are() -> None:
    """Those of classes and branches are of the module; those of functions only if they are asked for."""
    text = """
import os.path, proofs.lemmas
from . import own
if True:
    from algorithms.flash2 import flash2
class A:
    import iosim
    def f(self):
        from tests import own
"""
    assert list(imported(ast.parse(text), functions=False)) == ["os", "proofs", "algorithms", "iosim"]
    assert list(imported(ast.parse(text), functions=True))[-1] == "tests"
