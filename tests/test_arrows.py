"""What may import what: arrows between our packages, between the modules of iosim, and to packages of others; how long a
module may be.

A module *knows* what it imports itself, anywhere, and *loads* what Python imports with it: what stands at module level, of
all that it names there, and their packages.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from iosim.algorithm import Algorithm
from tests.imports import PACKAGES, ROOT, Imports, found_by_name, imports, sources, statements

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
# `iosim.bounds` is a package, and `iosim.bounds(...)` a function for users: the package can be called, and asks for the
# function by name when it is. No other arrow goes back, and no rule is about this one.
CALLED = ("iosim.bounds", "iosim.api")
# Where the name of a module is found while iosim runs: public names, entry points, kinds of figures.
FOUND_BY_NAME = {"iosim", "iosim.entries", "iosim.plots.kind"}
# Algorithm files that choose among the algorithms of others.
CHOOSERS = ("algorithms.approx", "algorithms.backward", "algorithms.exact")
QUESTIONS = ("interpret", "numeric", "traces", "caches", "lowering", "pebbling", "gpu")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Modules that never know, themselves or through what they load, certain others.

    Names are within iosim, and those of the other packages whole.
    """

    says: str
    who: tuple[str, ...]
    never: tuple[str, ...]
    but: tuple[str, ...] = ()  # what they know all the same
    besides: tuple[str, ...] = ()  # whom the rule is not about
    mutants: tuple[tuple[str, str], ...]  # imports that break it


RULES = (
    Rule(says="errors know nothing of ours", who=("errors",), never=("*",), mutants=(("errors", "expr"),)),
    Rule(says="units know errors only", who=("units",), never=("*",), but=("errors",), mutants=(("units", "display"),)),
    Rule(
        says="a program is known by those who ask about it, and knows none of them",
        who=("program", "instances", "builder", "ops", "expr", "masks", "block_masks", "intervals"),
        never=(*QUESTIONS, *PROOFS, *CHOICES, *FRONT),
        mutants=(("builder", "interpret.count"),),
    ),
    Rule(
        says="a question about a program knows no algorithm, no choice, no bound and no report",
        who=("interpret", "traces", "caches", "lowering", "pebbling"),
        besides=("*.ask", "*.result", "*.report"),  # what a user asks for, gets and sees
        never=(*PROOFS, *CHOICES, *FRONT, "numeric", "gpu"),
        mutants=(("traces.form", "tuning.tile_search"),),
    ),
    Rule(
        says="numbers are computed of a plan, whoever chose it, and of no other question",
        who=("numeric",),
        never=(
            *FRONT,
            "algorithm",
            "plan_bounds",
            "registry",
            "user_files",
            "request",
            "tuning",
            "runs",
            *(question for question in QUESTIONS if question not in ("interpret", "numeric")),
        ),
        mutants=(("numeric.reference", "runs.verdict"), ("numeric.check", "gpu.cases")),
    ),
    Rule(
        says="what happens on a GPU knows no table, figure or verdict, but where it is shown",
        who=("gpu",),
        besides=("gpu.record", "gpu.report", "gpu.roofline", "gpu.tiles"),
        never=("runs", "plots", "terminal", "explanation", "listing", "pebbling", "caches", "proof"),
        mutants=(("gpu.predict", "terminal"),),
    ),
    Rule(
        says="bounds and proofs know no program, algorithm or question",
        who=PROOFS,
        besides=("*.ask",),  # what a user asks for
        never=("program", "builder", "ops", "masks", *QUESTIONS, *CHOICES, "plots"),
        mutants=(("bounds.bound", "program"),),
    ),
    Rule(
        says="an algorithm is a program, a rule for its tiles and claims: it asks nothing of what is made of algorithms",
        who=("algorithms",),
        never=(
            *FRONT,
            *(f"{question}.*" for question in QUESTIONS),
            *("plan_bounds", "registry", "entries", "user_files", "request", "proof", "runs"),
            *("tuning.*", "approximation.*"),
        ),
        but=(
            *("interpret.count", "interpret.peak", "interpret.tiles", "tuning.tile_search"),  # to choose tiles
            *(
                "numeric.reference",
                "numeric.reference_decoding",
                "approximation.minimax",
            ),  # what it computes, its error
        ),
        mutants=(
            ("algorithms.flash2", "api"),
            ("algorithms.flash2", "tuning.tune"),
            ("algorithms.shared.attention", "registry"),
            ("algorithms.polynomial.sizes", "bounds.ask"),
        ),
    ),
    Rule(
        says="only verbs, and figures that are asked for, know the functions for users",
        who=("*",),
        never=("api",),
        besides=("cli", "__main__", "verbs", "api", "plots", "sweeps.sweep"),
        mutants=(("gpu.predict", "api"), ("bounds.ask", "api"), ("bounds.bound", "api"), ("proofs.schedules", "api")),
    ),
    Rule(
        says="only the functions for users know sweeps and pages",
        who=("*",),
        never=("sweeps", "web"),
        besides=("api", "sweeps", "web"),
        mutants=(
            ("tuning.tile_search", "sweeps.grid"),
            ("gpu.device", "sweeps.grid"),
            ("algorithms.flash2", "web.page"),
        ),
    ),
    Rule(
        says="only the command line knows its verbs",
        who=("*",),
        never=("verbs",),
        besides=("cli", "__main__", "verbs"),
        mutants=(("terminal", "verbs.common"), ("algorithms.flash2", "verbs.tune")),
    ),
    Rule(
        says="nothing knows the command line",
        who=("*",),
        never=("cli",),
        besides=("__main__",),
        mutants=(("api", "cli"), ("algorithms.flash2", "cli"), ("proofs.schedules", "cli")),
    ),
)


ALL = imports(sources(*PACKAGES))


def within(module: str, patterns: Iterable[str]) -> bool:
    """Whether a module of ours is one of these or below one; by its name within iosim, if it is there."""
    package, _, rest = module.partition(".")
    name = rest if package == "iosim" else module
    return (
        package in PACKAGES
        and bool(name)
        and any(fnmatchcase(name, p) or fnmatchcase(name, f"{p}.*") for p in patterns)
    )


def whole(name: str) -> str:
    """The name of a module that a rule names."""
    return name if name.partition(".")[0] in PACKAGES else f"iosim.{name}"


def known(rule: Rule, module: str, among: Imports) -> list[str]:
    """What a module knows that it never does by this rule."""
    if not within(module, rule.who) or within(module, rule.besides):
        return []
    others = among.loaded(among.always[module] | among.later[module]) - {module}
    return [other for other in sorted(others) if within(other, rule.never) and not within(other, rule.but)]


def broken(rule: Rule, among: Imports) -> dict[str, list[str]]:
    """Which module knows which others that it never does by this rule."""
    return {module: found for module in among.always if (found := known(rule, module, among))}


def cycle(among: Imports) -> list[str]:
    """Modules that can't be loaded one after the other, if there are any."""
    try:
        TopologicalSorter(among.always).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_a_module_knows_what_it_may(rule: Rule) -> None:
    """The arrows between our modules, lazy imports included; one import more, and the rule is broken."""
    assert any(within(module, rule.who) for module in ALL.always)
    among = ALL.without(*CALLED)
    assert broken(rule, among) == {}
    for importer, imported in (map(whole, mutant) for mutant in rule.mutants):
        assert imported in ALL.always
        for later in (False, True):
            assert imported in known(rule, importer, among.and_(importer, imported, later=later))


def test_one_import_goes_back_and_three_modules_find_others_by_name() -> None:
    """The one that no rule is about is there, and would break them; elsewhere the name of a module is written out."""
    importer, imported = CALLED
    assert any(imported in known(rule, importer, ALL) for rule in RULES)
    assert found_by_name(sources(*PACKAGES)) == FOUND_BY_NAME
    assert found_by_name({"some": "import_module(name)", "other": "import_module('name')"}) == {"some"}


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
    assert borrowed(sources(*PACKAGES)) == []
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
        if name.partition(".")[0] == "iosim"
        and (not within(name, ("errors", "interpret.words", *PROOFS)) or within(name, ("*.ask", "*.report")))
    ]


def test_theorems_know_bounds_and_the_proof_kernel() -> None:
    """Of iosim they import those, what is said of real numbers, errors, and what happens word by word; no program, and not
    what a user asks for and sees. What they load then knows no program either: rules above."""
    assert programs_known(ALL) == []
    for name in ("iosim.program", "iosim.bounds.ask", "iosim.bounds.report"):
        for later in (False, True):
            mutant = ALL.and_("proofs.lemmas", name, later=later)
            assert programs_known(mutant) == [f"proofs.lemmas knows {name}"]


# Packages of others that are called otherwise where they are imported, or come with the one that they are a part of.
DISTRIBUTIONS = {"PIL": "pillow", "llvmlite": "numba", "yaml": "pyyaml", "z3": "z3-solver"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def declared(*extras: str) -> set[str]:
    """What is installed with iosim, with these extras."""
    found = set()
    for line in [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]:
        name, inner = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", line).groups()  # type: ignore[union-attr]
        found |= declared(*inner.split(",")) if name == "iosim" else {name}
    return found


def of_others(package: str, among: Imports) -> set[str]:
    """The distributions of others that the modules of a package of ours import, anywhere in them."""
    modules = [module for module in among.always if module.partition(".")[0] == package]
    names = {name.partition(".")[0] for module in modules for name in among.always[module] | among.later[module]}
    ours = {*PACKAGES, *OTHERS, *(path.stem for path in (ROOT / package).glob("*.py"))}
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in names - ours - sys.stdlib_module_names}


@cache
def not_installed() -> Imports:
    """What tests, benchmarks and notebooks import."""
    return imports(sources(*OTHERS))


def taken_of_tests(among: Imports) -> list[str]:
    """Which module imports a file of tests."""
    return [
        f"{module} knows {name}"
        for module, always in among.always.items()
        for name in sorted(always | among.later[module])
        if name.startswith("tests.test_")
    ]


def test_what_tests_share_is_in_no_file_of_tests() -> None:
    """A helper is not called `test_`; one import more, and it is seen."""
    assert taken_of_tests(not_installed()) == []
    mutant = not_installed().and_("tests.test_arrows", "tests.test_cli")
    assert taken_of_tests(mutant) == ["tests.test_arrows knows tests.test_cli"]


def test_what_is_imported_is_declared() -> None:
    """By the packages in any extra, by notebooks in theirs, by tests and benchmarks in `test`; but what runs where it is."""
    for package in PACKAGES:
        assert of_others(package, ALL) <= declared(*EXTRAS)
    others = not_installed()
    assert of_others("notebooks", others) <= declared("notebooks")
    # a GPU's tests and the other side of a benchmark run where these are
    assert of_others("tests", others) - declared("test") == {"torch", "transformers"}
    assert of_others("benchmarks", others) - declared("test") == {"accelforge"}


def test_no_module_is_long() -> None:
    """About 400 lines at most: a longer one answers several questions."""
    lines = {module: len(text.splitlines()) for module, text in sources(*PACKAGES).items()}
    assert len(lines) > 100
    assert {module: count for module, count in lines.items() if count > 420} == {}


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
        import_module("iosim.other").f, importlib.import_module("sympy.core")
if TYPE_CHECKING:
    import numpy
"""
    found = imports({"iosim": "", "iosim.own": "", "iosim.other": "", "iosim.some": text})
    assert found.always["iosim.some"] == {"os", "proofs", "iosim.own", "iosim.other", "iosim", "algorithms"}
    assert found.later["iosim.some"] == {"tests", "numpy", "iosim.other", "sympy"}
    assert found.loaded(["iosim.own"]) == {"iosim.own", "iosim"}
