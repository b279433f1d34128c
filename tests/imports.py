"""What each of our modules imports, read from its text."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("iosim", "algorithms", "proofs")


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

    def without(self, importer: str, imported: str) -> Imports:
        """Without an import that some function makes."""
        return Imports(self.always, {**self.later, importer: self.later[importer] - {imported}})

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
    """The imports below a node, and whether they run later than the module: in functions, or never, for types only.

    `import_module("name")` is one of them.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, later
        else:
            if (name := module_called_for(child)) is not None and isinstance(name, ast.Constant):
                yield ast.Import([ast.alias(name.value)]), later
            types_only = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from statements(child, later=later or types_only or function)


def module_called_for(node: ast.AST) -> ast.expr | None:
    """What names the module, in a call that imports one."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return node.args[0] if name in ("import_module", "__import__", "importorskip") else None
    return None


def found_by_name(texts: Mapping[str, str]) -> set[str]:
    """Modules that import others by names that are not written out."""
    return {
        module
        for module, text in texts.items()
        if "import_module(" in text or "__import__(" in text
        for node in ast.walk(ast.parse(text))
        if not isinstance(module_called_for(node), ast.Constant | None)
    }


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


def sources(*packages: str) -> dict[str, str]:
    """The text of each module of these packages, by name."""
    found = {}
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found
