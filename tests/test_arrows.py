"""What may import what: arrows between our packages, between the modules of iosim, and to packages that take long to load.

A module *knows* what it imports itself, anywhere, and *loads* what Python imports with it: what stands at module level, of
all that it names there, and their packages.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from iosim.algorithm import Algorithm

ROOT = Path(__file__).parent.parent
PACKAGES = ("iosim", "algorithms", "proofs")
OTHERS = ("tests", "benchmarks", "notebooks")
SLOW = ("dask", "distributed", "matplotlib", "numba", "numpy", "pandas", "pyarrow", "rich", "scipy", "sympy")
SLOWER = (*SLOW, "joblib", "mpmath", "torch", "transformers", "triton", "z3")

# Results of runs, and who asks for them: nothing that a run is made of knows them.
FRONT = (
    "*.ask",
    "*.report",
    "api",
    "cli",
    "verbs",
    "plots",
    "web",
    "sweeps",
    "terminal",
    "explanation",
    "listing",
)
# Choices of tiles and of algorithms: what a program is, and what is asked of one program, does not depend on them.
CHOICES = (
    "problem",
    "plan",
    "plan_bounds",
    "algorithm",
    "tiled",
    "registry",
    "user_files",
    "request",
    "tuning",
    "runs",
    "approximation",
)
PROOFS = ("proof", "bounds")
# Algorithm files that choose among the algorithms of others.
CHOOSERS = ("algorithms.approx", "algorithms.backward", "algorithms.exact")
QUESTIONS = ("interpret", "numeric", "traces", "caches", "lowering", "pebbling", "gpu")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Modules that never know, themselves or through what they load, certain others; names are within iosim."""

    says: str
    who: tuple[str, ...]
    never: tuple[str, ...]
    but: tuple[str, ...] = ()  # what they know all the same
    besides: tuple[str, ...] = ()  # whom the rule is not about
    mutant: tuple[str, str]  # an import that breaks it


RULES = (
    Rule(says="errors know nothing of ours", who=("errors",), never=("*",), mutant=("errors", "expr")),
    Rule(says="units know errors only", who=("units",), never=("*",), but=("errors",), mutant=("units", "display")),
    Rule(
        says="a program is known by those who ask about it, and knows none of them",
        who=("program", "instances", "builder", "ops", "expr", "masks", "block_masks", "intervals"),
        never=(*QUESTIONS, *PROOFS, *CHOICES, *FRONT),
        mutant=("builder", "interpret.count"),
    ),
    Rule(
        says="a question about a program knows no algorithm, no choice, no bound and no report",
        who=("interpret", "traces", "caches", "lowering", "pebbling"),
        besides=("*.ask", "*.result", "*.report"),  # what a user asks for, gets and sees
        never=(*PROOFS, *CHOICES, *FRONT, "numeric", "gpu"),
        mutant=("traces.form", "tuning.tile_search"),
    ),
    Rule(
        says="tuning, algorithms and verdicts know no verb, sweep, figure or page, but where one shows itself",
        who=CHOICES,
        never=("api", "cli", "verbs", "sweeps", "web"),
        mutant=("tuning.tile_search", "sweeps.grid"),
    ),
    Rule(
        says="bounds and proofs know no program, algorithm or question",
        who=PROOFS,
        besides=("*.ask",),  # what a user asks for
        never=(
            "program",
            "builder",
            "ops",
            "masks",
            *QUESTIONS,
            *CHOICES,
            "api",
            "cli",
            "verbs",
            "plots",
            "web",
            "sweeps",
        ),
        mutant=("bounds.bound", "program"),
    ),
    Rule(
        says="only the command line knows its verbs",
        who=("*",),
        never=("verbs",),
        besides=("cli", "__main__", "verbs"),
        mutant=("terminal", "verbs.common"),
    ),
    Rule(
        says="nothing knows the command line", who=("*",), never=("cli",), besides=("__main__",), mutant=("api", "cli")
    ),
)


@dataclass(frozen=True)
class Imports:
    """What each module imports: `always` when it is loaded, and `later`, in functions or for types only."""

    always: Mapping[str, frozenset[str]]
    later: Mapping[str, frozenset[str]]

    def and_(self, importer: str, imported: str, *, later: bool = False) -> Imports:
        """With one import more, at the top of a module or in a function of it."""
        more = self.later if later else self.always
        changed = {**more, importer: more[importer] | {imported}}
        return Imports(self.always, changed) if later else Imports(changed, self.later)

    def loaded(self, start: Iterable[str]) -> set[str]:
        """What is loaded with these modules, and they."""
        found, waiting = set(), list(start)
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                package = module.rpartition(".")[0]
                waiting += [*self.always.get(module, ()), *([package] if package in self.always else [])]
        return found


def statements(node: ast.AST, *, later: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports below a node, and whether they run later than the module: in functions, or never, for types only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, later
        else:
            types_only = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from statements(child, later=later or types_only or function)


def imports(sources: Mapping[str, str]) -> Imports:
    """What modules import, by name; of other packages' modules only the package."""
    always: dict[str, set[str]] = {}
    later: dict[str, set[str]] = {}
    for module, text in sources.items():
        always[module], later[module] = set(), set()
        for statement, is_later in statements(ast.parse(text)):
            names = [alias.name for alias in statement.names]
            if isinstance(statement, ast.ImportFrom):
                assert not statement.level, f"{module}: relative imports hide what is imported"
                assert statement.module is not None
                origin = statement.module
                names = [f"{origin}.{name}" if f"{origin}.{name}" in sources else origin for name in names]
            ours = [name if name in sources else name.partition(".")[0] for name in names]
            (later if is_later else always)[module].update(ours)
    return Imports({k: frozenset(v) for k, v in always.items()}, {k: frozenset(v) for k, v in later.items()})


def sources() -> dict[str, str]:
    """The text of each of our modules."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


ALL = imports(sources())


def within(module: str, patterns: Iterable[str]) -> bool:
    """Whether a module is one of these or below one, by its name within iosim."""
    package, _, name = module.partition(".")
    return (
        package == "iosim" and bool(name) and any(fnmatchcase(name, p) or fnmatchcase(name, f"{p}.*") for p in patterns)
    )


def broken(rule: Rule, among: Imports) -> list[str]:
    """Which module knows which other that it never does by this rule."""
    found = []
    for module, always in among.always.items():
        if within(module, rule.who) and not within(module, rule.besides):
            known = among.loaded(always | among.later[module]) - {module}
            found += [
                f"{module} knows {other}"
                for other in sorted(known)
                if within(other, rule.never) and not within(other, rule.but)
            ]
    return found


def cycle(among: Imports) -> list[str]:
    """Modules that can't be loaded one after the other, if there are any."""
    try:
        TopologicalSorter(among.always).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_a_module_knows_what_it_may(rule: Rule) -> None:
    """The arrows within iosim, lazy imports included; one import more, and the rule is broken."""
    assert any(within(module, rule.who) for module in ALL.always)
    assert broken(rule, ALL) == []
    importer, imported = (f"iosim.{name}" for name in rule.mutant)
    for later in (False, True):
        assert f"{importer} knows {imported}" in broken(rule, ALL.and_(importer, imported, later=later))


def test_modules_load_one_after_the_other() -> None:
    """No cycle at module level, in the three packages; one import back makes one."""
    assert cycle(ALL) == []
    assert cycle(ALL.and_("iosim.errors", "iosim.units"))


@pytest.mark.parametrize(
    ("start", "slow"), [("iosim", SLOWER), ("iosim.cli", SLOWER), ("iosim.interpret.count", (*SLOW, "z3"))]
)
def test_what_takes_long_to_load_is_loaded_by_those_who_need_it(start: str, slow: tuple[str, ...]) -> None:
    """Not by `import iosim` nor `iosim --help`; to count words takes none of them either."""
    assert ALL.loaded([start]) & set(slow) == set()
    inner = max(name for name in ALL.loaded([start]) if name in ALL.always)
    assert "sympy" in ALL.and_(inner, "sympy").loaded([start])


def strangers(package: str, allowed: set[str], among: Imports, *, later: bool) -> list[str]:
    """Which module of a package imports from which other of ours that it may not."""
    ours = {*PACKAGES, *OTHERS} - allowed
    return [
        f"{module} knows {other}"
        for module, always in among.always.items()
        if module.partition(".")[0] == package
        for other in sorted(always | (among.later[module] if later else frozenset()))
        if other.partition(".")[0] in ours
    ]


@pytest.mark.parametrize(
    ("package", "later", "allowed", "mutant"),
    [
        # entry points lead to algorithms and theorems, when they are asked for
        ("iosim", False, {"iosim"}, ("iosim.registry", "algorithms.flash2")),
        ("algorithms", True, {"iosim", "algorithms"}, ("algorithms.flash2", "proofs.lemmas")),
        ("proofs", True, {"iosim", "proofs"}, ("proofs.lemmas", "algorithms.flash2")),
    ],
)
def test_a_package_knows_what_it_may(package: str, later: bool, allowed: set[str], mutant: tuple[str, str]) -> None:
    """iosim knows no algorithm and no theorem, algorithms know no theorem, and of the proofs only the schedules that refute
    stronger bounds are of algorithms: they are counted, not typed. One import more, and it is seen."""
    known = strangers(package, allowed, ALL, later=later)
    assert [found for found in known if not found.startswith("proofs.schedules knows algorithms.")] == []
    importer, imported = mutant
    for hidden in {False, later}:
        more = strangers(package, allowed, ALL.and_(importer, imported, later=hidden), later=later)
        assert {*more} - {*known} == {f"{importer} knows {imported}"}


def borrowed(texts: Mapping[str, str]) -> list[str]:
    """Which algorithm file takes what of another one; those that choose among algorithms may take these, and no more."""
    folders = {name.rpartition(".")[0] for name in texts}
    files = {name for name in texts if name.rpartition(".")[0] == "algorithms"} - folders
    found = []
    for file in sorted(files):
        for statement, _ in statements(ast.parse(texts[file])):
            origin = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
            for alias in statement.names:
                other, _, taken = (origin + alias.name).rpartition(".")
                if f"{other}.{taken}" in files:
                    other, taken = f"{other}.{taken}", "all"
                if other in files and not (file in CHOOSERS and is_algorithm(other, taken)):
                    found.append(f"{file} takes {taken} of {other}")
    return found


def is_algorithm(module: str, name: str) -> bool:
    return isinstance(getattr(importlib.import_module(module), name, None), Algorithm)


def test_algorithm_files_take_nothing_of_each_other() -> None:
    """What several of them need is in a sub-package; one import more, and it is seen: a helper, an algorithm, a module, or
    more than an algorithm where one is chosen."""
    assert borrowed(sources()) == []
    for file, line, taken in (
        ("flash1", "from algorithms.flash2 import rows", "rows of algorithms.flash2"),
        ("flash1", "from algorithms.flash2 import flash2", "flash2 of algorithms.flash2"),
        ("flash1", "from algorithms import flash2", "all of algorithms.flash2"),
        ("flash1", "import algorithms.flash2", "all of algorithms.flash2"),
        ("exact", "from algorithms.flash2 import rows", "rows of algorithms.flash2"),
    ):
        name = f"algorithms.{file}"
        for more in (line, f"def late():\n    {line}"):
            assert borrowed({"algorithms.flash2": "", name: more}) == [f"{name} takes {taken}"]


def programs_known(among: Imports) -> list[str]:
    """Which theorem imports what of iosim that says nothing of bounds, proofs, errors, or what happens word by word."""
    return [
        f"{module} knows {name}"
        for module, always in among.always.items()
        if module.startswith("proofs") and module != "proofs.schedules"
        for name in sorted(always | among.later[module])
        if name.partition(".")[0] == "iosim" and not within(name, ("errors", "interpret.words", *PROOFS))
    ]


def test_theorems_know_bounds_and_the_proof_kernel() -> None:
    """Of iosim they import those, what is said of real numbers, errors, and what happens word by word; no program."""
    assert programs_known(ALL) == []
    for later in (False, True):
        mutant = ALL.and_("proofs.lemmas", "iosim.program", later=later)
        assert programs_known(mutant) == ["proofs.lemmas knows iosim.program"]


def test_imports_are_seen_wherever_they_are() -> None:
    """Those of classes and branches run when a module is loaded; those of functions and for types only do not."""
    text = """
import os.path, proofs.lemmas
from iosim import own, other
if True:
    from algorithms.flash2 import flash2
class A:
    import iosim
    def f(self):
        from tests import own
if TYPE_CHECKING:
    import numpy
"""
    found = imports({"iosim": "", "iosim.own": "", "iosim.some": text})
    assert found.always["iosim.some"] == {"os", "proofs", "iosim", "iosim.own", "algorithms"}
    assert found.later["iosim.some"] == {"tests", "numpy"}
    assert found.loaded(["iosim.own"]) == {"iosim.own", "iosim"}
